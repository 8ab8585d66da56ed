"""From a row of a dataset to the image and the labels that networks take."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stgan.data.errors import DataError
from stgan.frame import CELEBA_CROP, CELEBA_SIZE

Batch = tuple[Tensor, Tensor]  # uint8 images (B, 3, S, S), float labels (B, A) in {0, 1}

CROPS = ("auto", "celeba", "center", "none")


@dataclass(frozen=True)
class Preprocess:
    """Turns an encoded image into uint8 (3, S, S): crops it, then resizes it (bicubic, antialiased).

    Args:
        image_size: S, pixels.
        crop: ``celeba``: the 170x170 box of the paper, for 178x218 images. ``center``: the largest centred square.
            ``none``: the whole image. ``auto``: ``celeba`` for 178x218 images and ``center`` for all others.

    Raises:
        DataError: there is no such crop.
    """

    image_size: int
    crop: str = "auto"

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise DataError(f"Unknown crop {self.crop!r}: use one of {', '.join(CROPS)}.")

    def __call__(self, encoded: bytes) -> np.ndarray:
        """Decode and preprocess one image.

        Raises:
            OSError, ValueError, SyntaxError: the bytes are not an image.
        """
        with Image.open(io.BytesIO(encoded)) as opened:
            return self.from_image(opened)

    def from_image(self, image: Image.Image) -> np.ndarray:
        """Preprocess an image that is already open."""
        cropped = image.crop(self.box(image.size)).convert("RGB")  # resize(box=…) would read pixels outside the box
        resized = cropped.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part to keep of an image of ``size`` (width, height): left, top, right, bottom in pixels."""
        width, height = size
        crop = self.crop
        if crop == "auto":
            crop = "celeba" if size == CELEBA_SIZE else "center"
        if crop == "celeba":
            if width < CELEBA_CROP[2] or height < CELEBA_CROP[3]:
                raise ValueError(f"an image of {width}x{height} pixels is too small for the CelebA crop")
            return CELEBA_CROP
        if crop == "none":
            return (0, 0, width, height)
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return (left, top, left + side, top + side)


def decode_row(
    row: Mapping[str, Any], column: str, attributes: Sequence[str], preprocess: Preprocess, name: str
) -> tuple[np.ndarray, np.ndarray] | str:
    """One row as (uint8 image (3, S, S), float32 labels (A,)), or the image's name if it cannot be decoded."""
    cell = row[column] or {}
    try:
        encoded = cell["bytes"] if cell.get("bytes") is not None else Path(cell["path"]).read_bytes()
        image = preprocess(encoded)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, Image.DecompressionBombError):
        return cell.get("path") or name
    return image, np.array([label_value(row[attribute], attribute) for attribute in attributes], np.float32)


def label_value(value: Any, column: str) -> float:
    """One label as 0.0 or 1.0, from a bool (Python's or NumPy's), 0/1 or -1/1.

    Raises:
        DataError: it is anything else.
    """
    if value == 1:
        return 1.0
    if value in (0, -1):
        return 0.0
    raise DataError(f"Column {column!r} holds {value!r}. Labels must be true/false, 0/1 or -1/1.")


def collate(rows: Sequence[tuple[np.ndarray, np.ndarray] | str]) -> tuple[Tensor, Tensor, list[str]]:
    """Decoded rows as (images (N, 3, S, S), labels (N, A), names of the images that could not be decoded)."""
    decoded = [row for row in rows if not isinstance(row, str)]
    names = [row for row in rows if isinstance(row, str)]
    if not decoded:
        return torch.empty(0, dtype=torch.uint8), torch.empty(0), names
    images = torch.from_numpy(np.stack([image for image, _ in decoded]))
    return images, torch.from_numpy(np.stack([labels for _, labels in decoded])), names


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image of (N, C, H, W) with probability one half, on the images' device."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)
