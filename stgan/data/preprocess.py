"""From a row of a dataset to the image and the labels that networks take."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stgan.attributes import shown, truth_of
from stgan.data.errors import MISSING, UNDECODABLE, DataError, RejectedImage, Skipped
from stgan.data.faces import FaceFrames
from stgan.data.frames import celebahq_frame, enlargement, frame_crop
from stgan.frame import CELEBA_CROP, CELEBA_SIZE
from stgan.photo.files import open_photo

Batch = tuple[Tensor, Tensor]  # uint8 images (B, 3, S, S), float labels (B, A) in {0, 1}

CROPS = ("auto", "celeba", "celebahq", "face", "center", "none")


@dataclass(frozen=True)
class Preprocess:
    """Turns an encoded image into uint8 (3, S, S): crops it, then resizes it (bicubic, antialiased).

    Args:
        image_size: S, pixels.
        crop: ``celeba``: the 170x170 box of the paper, for 178x218 images. ``celebahq``: the same part of a face in the
            square images of CelebA-HQ, of any size, mirrored beyond their border. ``face``: the same part of the face
            in any photograph, located by ``frames``. ``center``: the largest centred square. ``none``: the whole image.
            ``auto``: ``celeba`` for 178x218 images and ``center`` for all others.
        frames: locates faces for the crop ``face``.

    Raises:
        DataError: there is no such crop, or ``face`` comes without ``frames``.
    """

    image_size: int
    crop: str = "auto"
    frames: FaceFrames | None = None

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise DataError(f"Unknown crop {self.crop!r}: use one of {', '.join(CROPS)}.")
        if self.crop == "face" and self.frames is None:
            raise DataError("The crop 'face' needs a model that locates faces: give the folder of an editor.")

    def __call__(self, encoded: bytes) -> np.ndarray:
        """Decode and preprocess one image; raises RejectedImage if it does not suit the crop, else Pillow's errors."""
        return self.with_enlargement(encoded)[0]

    def with_enlargement(self, encoded: bytes) -> tuple[np.ndarray, float]:
        """The same with the result's pixels per pixel of the original, across. Above 1 details are missing."""
        with open_image(io.BytesIO(encoded)) as opened:
            if self.crop == "face" and self.frames is not None:
                return self._face(encoded, opened, self.frames)
            return self.from_image(opened), self.enlargement(opened.size)

    def from_image(self, image: Image.Image) -> np.ndarray:
        """Preprocess an image that is already open, with any crop but ``face``."""
        if self.crop == "celebahq":
            frame = celebahq_frame(self._side(image.size))
            return _channels_first(frame_crop(np.asarray(image.convert("RGB")), frame, self.image_size))
        cropped = image.crop(self.box(image.size)).convert("RGB")  # resize(box=…) would read pixels outside the box
        return _channels_first(cropped.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC))

    def _face(self, encoded: bytes, opened: Image.Image, frames: FaceFrames) -> tuple[np.ndarray, float]:
        rgb = open_photo(opened).rgb  # upright, as EXIF data say, in sRGB
        frame = frames.find(encoded, rgb)
        return _channels_first(frame_crop(rgb, frame, self.image_size)), enlargement(frame, self.image_size)

    def enlargement(self, size: tuple[int, int]) -> float:
        """Pixels of the result per pixel of an image of ``size`` (width, height), across; any crop but ``face``."""
        if self.crop == "celebahq":
            return enlargement(celebahq_frame(self._side(size)), self.image_size)
        left, _, right, _ = self.box(size)
        return self.image_size / (right - left)

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part to keep of an image of ``size`` (width, height): left, top, right, bottom in pixels."""
        width, height = size
        crop = self.crop
        if crop == "auto":
            crop = "celeba" if size == CELEBA_SIZE else "center"
        if crop == "celeba":
            if width < CELEBA_CROP[2] or height < CELEBA_CROP[3]:
                raise RejectedImage("too small for the CelebA crop")
            return CELEBA_CROP
        if crop == "none":
            return (0, 0, width, height)
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return (left, top, left + side, top + side)

    @staticmethod
    def _side(size: tuple[int, int]) -> int:
        if size[0] != size[1]:
            raise RejectedImage("not square")
        return size[0]


def open_image(file: Any) -> Image.Image:
    """Open an image of a dataset, a file or its path, in any format of Pillow but EPS, for which it runs a program."""
    Image.init()
    return Image.open(file, formats=[name for name in Image.OPEN if name != "EPS"])


def _channels_first(image: Image.Image | np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


class Sample(NamedTuple):
    """One row of a dataset, decoded."""

    image: np.ndarray  # uint8 (3, S, S)
    labels: np.ndarray  # float32 (A,) in {0, 1}
    enlargement: float  # pixels of the image per pixel of the original


def decode_row(
    row: Mapping[str, Any], name: str, *, column: str, attributes: Sequence[str], preprocess: Preprocess
) -> Sample | Skipped:
    """Decode one row, or say why it is left out; ``name`` is the image's name where the row has none."""
    cell = row[column] or {}
    try:
        encoded = cell["bytes"] if cell.get("bytes") is not None else Path(cell["path"]).read_bytes()
        image, scale = preprocess.with_enlargement(encoded)
    except RejectedImage as rejection:
        return Skipped(cell.get("path") or name, str(rejection))
    except FileNotFoundError:
        return Skipped(cell.get("path") or name, MISSING)
    except Exception:  # decoders fail in many ways: that of AVIF with a RuntimeError
        return Skipped(cell.get("path") or name, UNDECODABLE)
    labels = [label_value(row[attribute], attribute) for attribute in attributes]
    return Sample(image, np.array(labels, np.float32), scale)


def label_value(value: Any, column: str) -> float:
    """One label as 0.0 or 1.0, from a bool, 0/1 or -1/1; anything else is a DataError."""
    truth = truth_of(value)
    if truth is None:
        raise DataError(f"Column {column!r} holds {shown(value)}. Labels must be true/false, 0/1 or -1/1.")
    return float(truth)


class DecodedRows(torch.utils.data.Dataset):
    """Rows of a dataset as ``decode`` returns them, given a row and a name for an image without one."""

    def __init__(self, dataset: datasets.Dataset, decode: Callable[[Mapping[str, Any], str], Any]):
        self.dataset, self.decode = dataset, decode

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Rows of one batch. To read them one by one takes half as long as to decode them."""
        columns = self.dataset[indices]
        rows = (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))
        return [self.decode(row, f"row {index}") for row, index in zip(rows, indices, strict=True)]


class DecodedBatch(NamedTuple):
    """Several rows of a dataset, decoded. All tensors are empty where every row is left out."""

    images: Tensor  # uint8 (N, 3, S, S)
    labels: Tensor  # float (N, A) in {0, 1}
    enlargements: Tensor  # float (N,)
    skipped: list[Skipped]

    @property
    def rows(self) -> int:
        """Number of rows, including those left out."""
        return len(self.images) + len(self.skipped)


def collate(rows: Sequence[Sample | Skipped]) -> DecodedBatch:
    """Rows that :func:`decode_row` returned, as one batch."""
    samples = [row for row in rows if isinstance(row, Sample)]
    skipped = [row for row in rows if isinstance(row, Skipped)]
    if not samples:
        return DecodedBatch(torch.empty(0, dtype=torch.uint8), torch.empty(0), torch.empty(0), skipped)
    images, labels = (torch.from_numpy(np.stack(parts)) for parts in list(zip(*samples, strict=True))[:2])
    return DecodedBatch(images, labels, torch.tensor([sample.enlargement for sample in samples]), skipped)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image of (N, C, H, W) with probability one half, on the images' device."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)
