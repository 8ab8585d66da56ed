"""Pictures that are no files: arrays and tensors as Pillow images, and depths that Pillow cannot hold."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

MAX_PIXELS = 100_000_000
"""Larger pictures are rejected before they are decoded: a file of a few kilobytes can claim terabytes of pixels."""


class PhotoError(ValueError):
    """A picture that cannot be read or written. The message says what to do."""


class PhotoWarning(UserWarning):
    """Something of a picture is lost: depth, or all frames but the first."""


def warn(message: str) -> None:
    """Warn about what a picture loses."""
    warnings.warn(message, PhotoWarning, stacklevel=3)


def too_large(name: str) -> PhotoError:
    """The error for pictures above :data:`MAX_PIXELS`."""
    return PhotoError(f"{name} is larger than {MAX_PIXELS // 1_000_000} megapixels. Scale it down or crop it first.")


def from_tensor(tensor: torch.Tensor) -> Image.Image:
    """A tensor (3, H, W) or (H, W, 3), or a batch of one, as :func:`from_array` reads arrays."""
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
        raise PhotoError("A picture cannot be a tensor without data, sparse or quantised: use .to_dense().")
    tensor = tensor.detach().cpu()
    if tensor.ndim == 4 and len(tensor) == 1:
        tensor = tensor[0]
    if tensor.ndim == 3 and tensor.shape[0] in (1, 3, 4):  # as torch has it, whatever the width
        tensor = tensor.permute(1, 2, 0)
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return from_array(tensor.numpy())


def from_array(array: np.ndarray) -> Image.Image:
    """An array (H, W), (H, W, 1 to 4) or (1, 3 or 4, H, W) of uint8, uint16, bool or float in [0, 1].

    Raises:
        PhotoError: it has another shape, type or range, or more than 100 megapixels.
    """
    if array.ndim == 3 and array.shape[2] > 4 and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        several = " Edit one photo at a time." if array.ndim == 4 else ""
        raise PhotoError(
            f"A picture cannot have shape {array.shape}: use (H, W), or (H, W, C) with up to 4 channels.{several}"
        )
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise too_large(f"An array of shape {array.shape}")
    if array.size == 0:
        raise PhotoError("This array has no pixels. Use an array of at least one row and one column.")
    if array.dtype == np.uint16 and array.ndim == 2:
        return Image.fromarray(np.ascontiguousarray(array))  # Pillow supports 16 bits for greyscale only
    return Image.fromarray(np.ascontiguousarray(_eight_bits(array)))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        warn("This array has 16 bits per colour and is edited with 8: only greyscale pictures keep 16 bits.")
        return np.round(array / 257).astype(np.uint8)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):  # false for NaN too
            raise PhotoError(
                "A picture of floats must hold values from 0 to 1. For values from 0 to 255 use uint8; for a network's "
                "range of -1 to 1 use (x + 1) / 2."
            )
        return np.round(array * 255).astype(np.uint8)
    raise PhotoError(
        f"A picture cannot have the depth {array.dtype}: use uint8, uint16, bool, or floats from 0 to 1. Divide whole "
        "numbers of more bits by their white."
    )


def shared(image: Image.Image) -> Image.Image:
    """An image with the same pixels in memory and an ``info`` of its own: ``copy()`` of 100 megapixels takes 400 MB."""
    image.load()
    return image._new(image.im)


def pixels(image: Image.Image) -> np.ndarray:
    """As ``np.asarray``; of an RGB image in a quarter of the time and half the memory, for Pillow joins many pieces."""
    if image.mode != "RGB":
        return np.asarray(image)
    result: np.ndarray = np.empty((image.height, image.width, 3), np.uint8)
    file: Any = _Pixels(result, len(b"P6\n%d %d\n255\n" % image.size))
    image.save(file, "PPM")  # which stores pixels as they are
    return result


STRIP_PIXELS = 1 << 18  # of a strip


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """An image in parts from top to bottom, each with the row that it begins at.

    Whatever is made of a whole image, such as an array, takes as much memory again, and twice as much for a moment.
    """
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


class _Pixels(io.RawIOBase):
    """A file in an array, whose first bytes, ``skipped`` in number, are left out."""

    def __init__(self, array: np.ndarray, skipped: int):
        self._values, self._place = array.data.cast("B"), -skipped

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        kept = content[max(0, -self._place) :]
        start = max(0, self._place)
        self._values[start : start + len(kept)] = kept
        self._place += len(content)
        return len(content)


def check_depth(image: Image.Image, name: str) -> None:
    """Warn where an image keeps fewer bits than its file has, and refuse values that cannot be brightness.

    Raises:
        PhotoError: an image of whole or floating-point numbers has negative ones, or they are not finite.
    """
    if image.mode not in ("I", "F"):
        return
    kind = "32-bit whole numbers" if image.mode == "I" else "floating-point numbers"
    if not all(_are_brightness(np.asarray(part)) for _, part in strips(image)):
        raise PhotoError(
            f"{name} holds {kind} that are no brightness (negative, not finite, or above 2147483647): its depth cannot "
            "be read. Save it with 8 or 16 bits per channel."
        )


def _are_brightness(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and values.min() >= 0)


def lost_bits(image: Image.Image, head: bytes) -> int:
    """Bits per colour of an opened, not yet loaded file that Pillow reads with 8 only; 0 if it keeps them all.

    ``head``: the first bytes of the file.
    """
    if image.mode in ("1", "L", "P", "I", "F") or image.mode.startswith("I;16"):
        return 0
    if image.format == "AVIF" and b"av1C" in head:
        flags = head[head.index(b"av1C") + 6]  # of AV1's configuration
        return 12 if flags & 0x20 else 10 if flags & 0x40 else 0
    depth = image.info.get("bit_depth", 8)  # of pillow-heif
    for tile in getattr(image, "tile", []):
        arguments: Any = tile[3]
        raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
        if isinstance(raw, str) and ";16" in raw:
            return 16
    return depth if isinstance(depth, int) and depth > 8 else 0
