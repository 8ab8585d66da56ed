"""How well a face parser knows what pixels show: intersection over union with labelled masks."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stgan.data.masks import UNKNOWN
from stgan.evaluation.figures import contact_sheet
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, FaceParser

COLOURS = np.array([
    (0, 0, 0), (255, 180, 140), (0, 255, 255), (0, 0, 255), (160, 80, 0),
    (255, 0, 0), (120, 60, 200), (0, 200, 0), (255, 255, 0), (255, 0, 255),
])  # fmt: skip
"""Of the classes in pictures, RGB."""
UNKNOWN_COLOUR = (128, 128, 128)


@torch.inference_mode()
def intersection_over_union(
    parser: FaceParser, images: Tensor, masks: Tensor, batch_size: int = 16
) -> dict[str, float]:
    """Intersection over union of each class, over all pixels whose class is known.

    Args:
        parser: in evaluation mode. Its answers are averaged over each image and its mirror image.
        images: uint8 (N, 3, S, S).
        masks: uint8 (N, S, S).
    """
    return by_class(class_scores(confusion_by_face(parser, images, masks, batch_size).sum(dim=0)))


def confusion_by_face(parser: FaceParser, images: Tensor, masks: Tensor, batch_size: int = 16) -> Tensor:
    """The confusion matrix of each face, long (N, C, C); arguments as above."""
    device = next(parser.parameters()).device
    matrices = []
    for batch, truth in zip(images.split(batch_size), masks.split(batch_size), strict=True):
        predicted = parser.parse(normalise(batch.to(device))).argmax(dim=1)
        matrices += [confusion_matrix(*pair) for pair in zip(predicted, truth.to(device), strict=True)]
    return torch.stack(matrices)


def scores_without_one(confusions: Tensor) -> Tensor:
    """Intersection over union of each class, (C,), if the face is left out that costs the class most, of confusion
    matrices (N, C, C). A class that it leaves far higher depends on one face, which may be labelled wrongly."""
    rest = class_scores(confusions.sum(dim=0) - confusions)
    return rest.nan_to_num(-1).amax(dim=0).where(~rest.isnan().all(dim=0), math.nan)


def by_class(scores: Tensor) -> dict[str, float]:
    """Scores (C,) by the names of the classes."""
    return dict(zip(PARSER_CLASSES, scores.tolist(), strict=True))


def confusion_matrix(predicted: Tensor, truth: Tensor) -> Tensor:
    """Pixels by true class (rows) and predicted class (columns), long (C, C); both maps (N, S, S), unknown pixels left
    out."""
    known, count = truth != UNKNOWN, len(PARSER_CLASSES)
    pairs = truth[known].long() * count + predicted[known].long()
    return torch.bincount(pairs, minlength=count * count).reshape(count, count)


def class_scores(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, (..., C), from confusion matrices (..., C, C); NaN for a class that occurs
    nowhere."""
    common = confusion.diagonal(dim1=-2, dim2=-1).double()
    return common / (confusion.sum(dim=-2) + confusion.sum(dim=-1) - common)


def overlay(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """A photograph uint8 (H, W, 3) with its classes uint8 (H, W) in colours over it, the background darkened."""
    colours = np.where(
        (classes == UNKNOWN)[..., None], UNKNOWN_COLOUR, COLOURS[np.where(classes == UNKNOWN, 0, classes)]
    )
    return (0.5 * image + 0.5 * colours).astype(np.uint8)


def parsing_sheet(images: Tensor, classes: Mapping[str, Tensor], side: int = 192) -> Image.Image:
    """For each of N images uint8 (N, 3, S, S) a row: the photo, then each map (N, S, S) in colours over it."""
    pictures, captions = [], []
    for number, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
        pictures.append(Image.fromarray(image))
        captions.append("Photo")
        for name, maps in classes.items():
            pictures.append(Image.fromarray(overlay(image, maps[number].to(torch.uint8).cpu().numpy())))
            captions.append(name)
    return contact_sheet(pictures, captions, columns=1 + len(classes), side=side)
