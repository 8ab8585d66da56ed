"""How well a face parser knows what pixels show: intersection over union with labelled masks."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from stgan.card import EVALUATION_FILE, write_card
from stgan.data.faces import Locate
from stgan.data.frames import to_crop
from stgan.data.masks import UNKNOWN, decode_masked, open_masks
from stgan.data.sources import image_column
from stgan.evaluation.figures import contact_sheet
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, FaceParser

COLOURS = np.array([
    (0, 0, 0), (255, 180, 140), (0, 255, 255), (0, 0, 255), (160, 80, 0),
    (255, 0, 0), (120, 60, 200), (0, 200, 0), (255, 255, 0), (255, 0, 255),
])  # fmt: skip
"""Of the classes in pictures, RGB."""
UNKNOWN_COLOUR = (128, 128, 128)


def aligned_masks(
    locate: Locate, source: str | Path, split: str, image_size: int, *, progress: bool = False
) -> tuple[Tensor, Tensor, int]:
    """The faces of a labelled split, located as the editor locates them and brought into its frame, with their masks.

    Args:
        locate: such as a :class:`stgan.data.faces.FaceLocator`.
        source, split: see :func:`stgan.data.masks.open_masks`.
        image_size: S, pixels.
        progress: show a progress bar.

    Returns:
        Images uint8 (N, 3, S, S), mirrored beyond the photograph's border; masks uint8 (N, S, S), unknown there; and
        how many faces were not found.
    """
    dataset = open_masks(source, split)
    column, size = image_column(dataset), (image_size, image_size)
    images, masks = [], []
    for row in tqdm(dataset, desc="finding faces", disable=not progress):
        photo, mask = (np.array(each) for each in decode_masked(row, column))
        frame = locate(photo)
        if isinstance(frame, str):  # the reason why it cannot be used
            continue
        matrix = to_crop(frame, image_size)
        image = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
        images.append(torch.from_numpy(image).permute(2, 0, 1))
        mask = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderValue=UNKNOWN)
        masks.append(torch.from_numpy(mask))
    return torch.stack(images), torch.stack(masks), len(dataset) - len(images)


@torch.inference_mode()
def intersection_over_union(
    parser: FaceParser, images: Tensor, masks: Tensor, batch_size: int = 16
) -> dict[str, float]:
    """Of each class, over all pixels whose class is known. The parser's answers are averaged with the mirror image.

    Args:
        parser: in evaluation mode.
        images: uint8 (N, 3, S, S).
        masks: uint8 (N, S, S).
        batch_size: images at once.
    """
    device = next(parser.parameters()).device
    confusion = torch.zeros(len(PARSER_CLASSES), len(PARSER_CLASSES), dtype=torch.long, device=device)
    for batch, truth in zip(images.split(batch_size), masks.split(batch_size), strict=True):
        predicted = parser.parse(normalise(batch.to(device))).argmax(dim=1)
        confusion += confusion_matrix(predicted, truth.to(device))
    return dict(zip(PARSER_CLASSES, class_scores(confusion).tolist(), strict=True))


def confusion_matrix(predicted: Tensor, truth: Tensor) -> Tensor:
    """Pixels by true class (rows) and predicted class (columns), long (C, C), where the truth is known.

    Args:
        predicted, truth: classes (N, S, S).
    """
    known, count = truth != UNKNOWN, len(PARSER_CLASSES)
    pairs = truth[known].long() * count + predicted[known].long()
    return torch.bincount(pairs, minlength=count * count).reshape(count, count)


def class_scores(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, (C,), from a confusion matrix; NaN for a class that occurs nowhere."""
    common = confusion.diagonal().double()
    return common / (confusion.sum(dim=0) + confusion.sum(dim=1) - common)


def scores_table(scores: Mapping[str, float]) -> str:
    """Markdown."""
    rows = [f"| {name} | {score:.3f} |" for name, score in scores.items()]
    return "\n".join(["| class | intersection over union |", "|---|---|", *rows])


def record_scores(
    folder: Path, scores: Mapping[str, float], *, data: str, split: str, images: int, text: str, command: str
) -> None:
    """Write a parser's scores into its folder, as ``evaluation.json``, and into its card.

    Args:
        folder: of the parser.
        scores: from :func:`intersection_over_union`.
        data, split, images: what was measured on, and how many faces.
        text: Markdown for the card.
        command: that measured.
    """
    headline = {f"iou_{name}": score for name, score in scores.items()}
    record = {
        "headline": {name: round(value, 4) for name, value in headline.items()},
        "data": data, "split": split, "images": images, "markdown": text, "command": command,
    }  # fmt: skip
    (folder / EVALUATION_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    write_card(folder, os.path.relpath(folder.parent), companion=True)


@torch.inference_mode()
def seconds_per_pass(parser: FaceParser, repetitions: int = 30) -> float:
    """Median time of one pass over one image of the parser's own size, after a few passes to warm up."""
    image = torch.zeros(1, 3, parser.image_size, parser.image_size, device=next(parser.parameters()).device)
    times = []
    for _ in range(repetitions + 5):
        started = time.perf_counter()
        parser(image).sum().item()  # waits for the device
        times.append(time.perf_counter() - started)
    return float(np.median(times[5:]))


def overlay(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """A photograph uint8 (H, W, 3) with its classes uint8 (H, W) in colours over it, the background darkened."""
    colours = np.where(
        (classes == UNKNOWN)[..., None], UNKNOWN_COLOUR, COLOURS[np.where(classes == UNKNOWN, 0, classes)]
    )
    return (0.5 * image + 0.5 * colours).astype(np.uint8)


def parsing_sheet(images: Tensor, classes: Mapping[str, Tensor], side: int = 192) -> Image.Image:
    """A row of pictures for each of N images: as it is, and under each mapping's name its classes in colours.

    Args:
        images: uint8 (N, 3, S, S).
        classes: name to (N, S, S).
        side: of each picture, pixels.
    """
    pictures, captions = [], []
    for number, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
        pictures.append(Image.fromarray(image))
        captions.append("Photo")
        for name, maps in classes.items():
            pictures.append(Image.fromarray(overlay(image, maps[number].to(torch.uint8).cpu().numpy())))
            captions.append(name)
    return contact_sheet(pictures, captions, columns=1 + len(classes), side=side)
