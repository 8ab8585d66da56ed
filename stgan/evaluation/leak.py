"""How much an edit changes what it has nothing to do with, by masks that people drew.

The regions come from labelled masks and not from a parser, so that they do not agree with a model's own mistakes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.data.masks import UNKNOWN
from stgan.evaluation.checkpoint import NOTHING_KEPT, Checkpoint
from stgan.evaluation.classifier import Judge, predicted_labels
from stgan.evaluation.edits import Editing
from stgan.evaluation.flips import edited_batches, flip_name, flips_of
from stgan.evaluation.inference import evaluation_mode
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.models.parser import PARSER_CLASSES


@dataclass(frozen=True)
class Part:
    """A part of the face that an edit may change: classes of the mask, widened, between two heights."""

    classes: tuple[str, ...]  # of stgan.models.PARSER_CLASSES
    margin: float = 0.15  # by which they are widened on all sides, eye distances
    top: float = -math.inf  # first row, eye distances below the eyes
    bottom: float = math.inf  # last row


_HAIR = (Part(("hair",)),)
_FOREHEAD = Part(("skin", "brows", "eyes"), top=-math.inf, bottom=0.3)
_BEARD = (Part(("skin", "mouth", "neck"), top=0.1),)
_PERSON = (Part(("skin", "eyeglasses", "eyes", "brows", "mouth", "hair", "neck"), margin=0.2),)
PARTS: Mapping[str, tuple[Part, ...]] = {
    "Bald": (*_HAIR, _FOREHEAD), "Bangs": (*_HAIR, _FOREHEAD), "Receding_Hairline": (*_HAIR, _FOREHEAD),
    "Black_Hair": _HAIR, "Blond_Hair": _HAIR, "Brown_Hair": _HAIR, "Gray_Hair": _HAIR,
    "Straight_Hair": _HAIR, "Wavy_Hair": _HAIR,
    "Bushy_Eyebrows": (Part(("brows",), margin=0.25),), "Arched_Eyebrows": (Part(("brows",), margin=0.25),),
    "Eyeglasses": (Part(("eyeglasses", "eyes", "brows"), 0.5), Part(("skin", "hair"), 0.1, -0.4, 0.5)),
    "Mouth_Slightly_Open": (Part(("mouth",), 0.35), Part(("skin",), top=0.6)),
    "Smiling": (Part(("mouth",), 0.35), Part(("skin",), top=0.1)), "Wearing_Lipstick": (Part(("mouth",), 0.1),),
    "Mustache": (Part(("mouth",), 0.45),), "No_Beard": _BEARD, "Goatee": _BEARD, "5_o_Clock_Shadow": _BEARD,
    "Pale_Skin": (Part(("skin", "brows", "neck"), 0.1),), "Male": _PERSON, "Young": _PERSON,
}  # fmt: skip
"""What edits of an attribute may change. Other attributes have no leak."""


def measure_leak(
    editing: Editing,
    classifier: Judge,
    images: Tensor,
    masks: Tensor,
    *,
    batch_size: int = 64,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> dict[str, float]:
    """Mean absolute change outside an edit's parts, in 8-bit levels, by the name of the flip.

    Args:
        editing, classifier: on one device. The classifier says which attributes the faces have.
        images: uint8 (N, 3, S, S), aligned as CelebA's are.
        masks: uint8 (N, S, S) with the parser's classes. Pixels of unknown class do not count.
        checkpoint: keeps what an interrupted evaluation has measured.
    """
    attributes, device = editing.attributes, editing.device
    part = checkpoint.part("leak", editing.generator, editing.parser, classifier, images, masks, batch_size, device)
    kept = part.load()
    labels = predicted_labels(classifier, images, attributes, device=device)
    flips = [flip for flip in flips_of(attributes) if set(flip) <= PARTS.keys()]
    parts = {name: part_area(masks, PARTS[name]) for name in attributes if name in PARTS}
    total, count = (kept.get(name) or dict.fromkeys(flips, 0) for name in ("total", "count"))
    first = kept.get("images", 0)
    with evaluation_mode(editing.generator, editing.parser):
        for batch in edited_batches(editing, images, labels, flips, batch_size=batch_size, first=first):
            outside = masks[batch.rows] != UNKNOWN
            for position, name in enumerate(attributes):
                changed = (batch.target != batch.labels)[:, position].cpu()
                if name in parts:
                    outside &= ~(parts[name][batch.rows] & changed[:, None, None])
            change = (batch.image.float() - batch.source.float()).abs().mean(dim=1).cpu()
            area = outside.sum(dim=(1, 2))
            total[batch.flip] += float(((change * outside).sum(dim=(1, 2)) / area.clamp(min=1)).sum())
            count[batch.flip] += int((area > 0).sum())
            if batch.flip == flips[-1]:
                state = {"images": int(batch.rows[-1]) + 1, "total": total, "count": count}
                part.save(partial(dict, state), finished=state["images"] == len(images))
    return {flip_name(flip): total[flip] / count[flip] for flip in flips if count[flip]}


def part_area(masks: Tensor, parts: Sequence[Part]) -> Tensor:
    """Bool (N, S, S): the union of some parts in masks uint8 (N, S, S) of aligned faces."""
    size = masks.shape[-1]
    eye_distance = (MEAN_LANDMARKS[1, 0] - MEAN_LANDMARKS[0, 0]) * size / (CELEBA_CROP[2] - CELEBA_CROP[0])
    eyes = (MEAN_LANDMARKS[:2, 1].mean() + 0.5 - CELEBA_CROP[1]) * size / (CELEBA_CROP[2] - CELEBA_CROP[0]) - 0.5
    height = (torch.arange(size) - eyes) / eye_distance  # of each row below the eyes
    area = torch.zeros(masks.shape, dtype=torch.bool)
    for part in parts:
        wanted = torch.isin(masks, torch.tensor([PARSER_CLASSES.index(name) for name in part.classes]).to(masks))
        wanted &= ((height >= part.top) & (height <= part.bottom))[:, None]
        radius = round(part.margin * eye_distance)
        area |= F.max_pool2d(wanted[:, None].float(), 2 * radius + 1, 1, radius)[:, 0] > 0
    return area
