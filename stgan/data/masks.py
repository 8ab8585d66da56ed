"""Photographs of faces with masks that say what each pixel shows: what the face parser learns from."""

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import datasets
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from stgan.data.errors import MISSING, UNDECODABLE, DataError, RejectedImage, Skipped, SkippedImages, surviving_workers
from stgan.data.frames import celebahq_frame, to_crop
from stgan.data.memory import MemoryDataset
from stgan.data.preprocess import DecodedRows, Preprocess, open_image
from stgan.data.sources import image_column, open_split
from stgan.models.parser import PARSER_CLASSES

MASK_COLUMN = "mask"
UNKNOWN = 255
"""Value of pixels in a mask of which nobody knows what they show: no loss and no figure counts them."""
CELEBAMASK_CLASSES = {
    "background": "background", "skin": "skin", "nose": "skin", "eyeglasses": "eyeglasses", "left eye": "eyes",
    "right eye": "eyes", "left brow": "brows", "right brow": "brows", "left ear": "skin", "right ear": "skin",
    "mouth": "mouth", "upper lip": "mouth", "lower lip": "mouth", "hair": "hair", "hat": "hat",
    "earring": "background", "necklace": "neck", "neck": "neck", "clothes": "clothes",
}  # fmt: skip
"""The 19 classes of CelebAMask-HQ in the order of their values, and the parser's class for each."""
_PARSER_VALUES = np.full(256, UNKNOWN, np.uint8)
_PARSER_VALUES[: len(CELEBAMASK_CLASSES)] = [PARSER_CLASSES.index(name) for name in CELEBAMASK_CLASSES.values()]


def parser_classes(mask: np.ndarray) -> np.ndarray:
    """A mask with CelebAMask-HQ's values, uint8 (H, W), with the parser's instead. All other values are unknown."""
    return _PARSER_VALUES[mask]


def load_masks(
    source: str | Path,
    split: str,
    image_size: int,
    *,
    max_samples: int | None = None,
    skip_samples: int = 0,
    crop: str = "auto",
    workers: int = 2,
    revision: str | None = None,
    progress: bool = False,
) -> MemoryDataset:
    """Decode a split with masks into memory, in the dataset's order.

    The dataset has a column ``mask``: images of the same size as the photographs, whose pixels hold CelebAMask-HQ's
    values. The other arguments and errors are those of :func:`stgan.data.load_into_memory`.

    Returns:
        Images uint8 (N, 3, S, S); in place of labels masks uint8 (N, S, S) with the parser's classes.

    Raises:
        DataError: there is no column ``mask``, or the crop is ``face``.
    """
    if crop == "face":
        raise DataError("--crop face is not for masks: use celebahq for CelebAMask-HQ, or center, none or celeba.")
    dataset = open_masks(source, split, revision=revision)
    last = len(dataset) if max_samples is None else min(skip_samples + max_samples, len(dataset))
    decode = partial(_decode_row, column=image_column(dataset), preprocess=Preprocess(image_size, crop))
    rows = DecodedRows(dataset.select(range(min(skip_samples, last), last)), decode)
    loader = torch.utils.data.DataLoader(rows, batch_size=64, num_workers=workers, collate_fn=list)
    decoded, skipped = [], SkippedImages()
    batches = surviving_workers(iter(loader))
    for batch in tqdm(batches, f"decoding {split}", len(loader), disable=not progress):
        decoded += [row for row in batch if not isinstance(row, Skipped)]
        skipped.add(len(batch), [row for row in batch if isinstance(row, Skipped)])
    skipped.check()
    if not decoded:
        raise DataError(f"The split {split!r} of {source} is empty.")
    images, masks = (torch.from_numpy(np.stack(parts)) for parts in zip(*decoded, strict=True))
    return MemoryDataset(images, masks, skipped)


def open_masks(source: str | Path, split: str, *, revision: str | None = None) -> datasets.Dataset:
    """A split whose images and masks are left encoded. A DataError says so if there is no column ``mask``."""
    dataset = open_split(source, split, revision=revision)
    if MASK_COLUMN not in dataset.column_names:
        raise DataError(
            f"{source} has no column {MASK_COLUMN!r}, which the face parser learns from; its columns are "
            f"{', '.join(dataset.column_names)}. Give a dataset of faces with masks, such as CelebAMask-HQ."
        )
    dataset = dataset.cast_column(MASK_COLUMN, datasets.Image(decode=False))
    return dataset.select_columns([image_column(dataset), MASK_COLUMN])


def rare_class_weights(masks: Tensor, power: float, smallest: float = 0.003) -> Tensor | None:
    """Sampling weight (N,) of each image by its mask uint8 (N, S, S): faces with glasses or hats are drawn more often.

    Args:
        power: 0 changes nothing (returns None). At 1, an image's weight is 0.5 / p, where p is the share of the data
            that shows the rarest of its classes.
        smallest: share of an image's pixels that a class must have to count.
    """
    if power == 0:
        return None
    shows = torch.stack([(masks == value).float().mean(dim=(1, 2)) for value in range(len(PARSER_CLASSES))], dim=1)
    shows = (shows > smallest).float()  # (N, C)
    rarity = shows * 0.5 / shows.mean(dim=0).clamp(min=1e-4)
    return rarity.amax(dim=1).clamp(min=1.0).pow(power)


def decode_masked(row: Mapping[str, Any], column: str) -> tuple[Image.Image, Image.Image]:
    """A row's photograph in RGB, and its mask with the parser's classes.

    Raises:
        RejectedImage: they differ in size.
        OSError, ValueError: one of them cannot be decoded.
    """
    image, mask = (
        open_image(io.BytesIO(cell["bytes"]) if cell.get("bytes") is not None else cell["path"])
        for cell in (row[column], row[MASK_COLUMN])
    )
    if image.size != mask.size:
        raise RejectedImage("mask of another size")
    return image.convert("RGB"), Image.fromarray(parser_classes(np.asarray(mask)))


def _decode_row(
    row: Mapping[str, Any], name: str, *, column: str, preprocess: Preprocess
) -> tuple[np.ndarray, np.ndarray] | Skipped:
    """An image (3, S, S) and its mask (S, S), or why they are left out."""
    name = (row[column] or {}).get("path") or name
    try:
        image, mask = decode_masked(row, column)
        return preprocess.from_image(image), _cropped(mask, preprocess)
    except RejectedImage as rejection:
        return Skipped(name, str(rejection))
    except FileNotFoundError:
        return Skipped(name, MISSING)
    except Exception:  # decoders fail in many ways
        return Skipped(name, UNDECODABLE)


def _cropped(mask: Image.Image, preprocess: Preprocess) -> np.ndarray:
    """The same part of the mask as of its photograph. What the photograph lacks there is unknown."""
    size = (preprocess.image_size,) * 2
    if preprocess.crop == "celebahq":
        matrix = to_crop(celebahq_frame(mask.width), preprocess.image_size)
        return cv2.warpAffine(np.asarray(mask), matrix, size, flags=cv2.INTER_NEAREST, borderValue=UNKNOWN)
    return np.array(mask.resize(size, Image.Resampling.NEAREST, box=preprocess.box(mask.size)))
