"""Edits of faces whose pixels are parsed: each keeps to the regions of its own image and leaves the skin its colour."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stgan.attributes import exclusive_groups
from stgan.models.generator import Edit, Generator
from stgan.models.regions import hold_skin

# Attributes whose edits may change the colour of the cheeks: they are of the skin itself, or cover it. Large lenses
# lie on the cheeks, and would fade if their shade were taken back as a tint of the skin.
ON_THE_CHEEKS = ("Pale_Skin", "Eyeglasses")


class FaceParts(NamedTuple):
    """What the pixels of N aligned faces show, and where their edits may change them."""

    classes: Tensor  # (N, 10, S, S) in [0, 1], probabilities by the parser
    regions: Tensor  # (N, A, S, S) in [0, 1]


def decode_faces(
    generator: Generator, features: Any, condition: Tensor, parts: FaceParts | None, reconstruction: Tensor
) -> Edit:
    """Edits as the editor shows them: within each face's regions, with the skin's colour unless they lie on it.

    An edit of several attributes is made of its single edits. Asked for all at once, a network adds up their changes
    wherever they meet: glasses become black and lips red. Here each pixel takes a mean of the single changes, the
    larger ones counting more, and so never more than one of them.

    Args:
        generator: with regions, if there are parts.
        features, parts: of N images; without parts, the generator alone edits.
        condition: (M, A); row i edits image i modulo N.
        reconstruction: (N, 3, S, S) in [-1, 1], the answer to an empty edit.
    """
    if parts is None:
        return generator.decode_parts(features, condition)
    conditions = _layers(condition, generator.attributes)
    if len(features.image) == 1:  # the layers of one face's edits are one batch
        batch = _decode_layer(generator, features, torch.cat(conditions), parts, reconstruction)
        count = len(conditions)
        masks: Sequence[Tensor | None] = [None] * count if batch.mask is None else batch.mask.chunk(count)
        layers = [Edit(*each) for each in zip(batch.image.chunk(count), batch.rgb.chunk(count), masks, strict=True)]
    else:
        layers = [_decode_layer(generator, features, layer, parts, reconstruction) for layer in conditions]
    if len(layers) == 1:
        return layers[0]
    source = features.image if layers[0].mask is not None else reconstruction
    source = source[torch.arange(len(condition), device=condition.device) % len(source)]
    # A row with fewer edits than others has empty layers, whose answer is no edit.
    edits = [(layer != 0).any(dim=1)[:, None, None, None] for layer in conditions]
    changes = [(layer.image - source) * edit for layer, edit in zip(layers, edits, strict=True)]
    weights = [change.abs().amax(dim=1, keepdim=True) for change in changes]
    total = torch.stack(weights).sum(dim=0).clamp(min=1e-6)
    image = source + sum(change * (weight / total) for change, weight in zip(changes, weights, strict=True))
    changed = [layer.mask * edit for layer, edit in zip(layers, edits, strict=True) if layer.mask is not None]
    return Edit(image, image, torch.stack(changed).amax(dim=0) if changed else None)


def _layers(condition: Tensor, attributes: Sequence[str]) -> list[Tensor]:
    """Conditions (M, A) that each change one attribute of a row, or those that exclude one another; they add up to the
    condition."""
    groups = exclusive_groups(attributes)
    groups += [[name] for name in attributes if not any(name in group for group in groups)]
    belongs = torch.tensor(
        [[name in group for name in attributes] for group in groups], device=condition.device
    ).float()
    changed = ((condition != 0).float() @ belongs.T) > 0  # (M, number of groups)
    number = changed.cumsum(dim=1) * changed  # of a row's layers, from 1
    count = max(1, int(number.max())) if len(number) else 1
    return [condition * ((number == layer + 1).float() @ belongs).to(condition.dtype) for layer in range(count)]


def _decode_layer(
    generator: Generator, features: Any, condition: Tensor, parts: FaceParts, reconstruction: Tensor
) -> Edit:
    edited = generator.decode_parts(features, condition, parts.regions)
    share = generator.region(condition, parts.regions)
    share = share if edited.mask is None else share * edited.mask
    source, classes = reconstruction if edited.mask is None else features.image, parts.classes
    if len(classes) > 1:
        rows = torch.arange(len(condition), device=condition.device) % len(classes)
        source, classes = source[rows], classes[rows]
    held = hold_skin(edited.image, source, classes, share)
    on_the_cheeks = torch.tensor([name in ON_THE_CHEEKS for name in generator.attributes], device=condition.device)
    free = ((condition != 0) & on_the_cheeks).any(dim=1)
    return edited._replace(image=torch.where(free[:, None, None, None], edited.image, held))
