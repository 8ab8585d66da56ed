"""Convert pictures of any mode to 8-bit sRGB, and carry a change of those pixels back into the picture's own mode."""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from stgan.photo.geometry import changed_box
from stgan.photo.pictures import pixels, strips

DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Pillow's greyscale modes of more than 8 bits."""
ALPHA_REMOVED = {"RGBA": "RGB", "RGBa": "RGBA", "PA": "RGBA", "LA": "L", "La": "LA"}


def to_srgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB, without transparency; its colour profile is applied where it fits the mode."""
    return _conversion(image)(image)


def srgb_pixels(image: Image.Image) -> np.ndarray:
    """The pixels of :func:`to_srgb`, uint8 (H, W, 3), without the memory of a second image."""
    if image.mode == "RGB" and _profile(image) is None:
        return pixels(image)
    result: np.ndarray = np.empty((image.height, image.width, 3), np.uint8)
    convert = _conversion(image)
    for top, part in strips(image):
        result[top : top + part.height] = np.asarray(convert(part))
    return result


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What :func:`to_srgb` does to an image and to parts of it."""
    if image.mode in DEEP_GREY:
        scale = _scale(image, 255, np.uint8)
        return lambda part: Image.fromarray(scale(np.asarray(part))).convert("RGB")
    pixel = _opaque(image.crop((0, 0, 1, 1)))
    profile = _profile(pixel)
    if profile is not None:
        transform = ImageCms.buildTransform(profile, _SRGB, pixel.mode, "RGB")
        return lambda part: transform.apply(_opaque(part))
    return lambda part: part if part.mode == "RGB" else _opaque(part).convert("RGB")


def _opaque(image: Image.Image) -> Image.Image:
    """An image that is not greyscale of many bits, without palette and transparency."""
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    while image.mode in ALPHA_REMOVED:
        image = image.convert(ALPHA_REMOVED[image.mode])
    return image


STRIP = 256  # rows that are changed at a time: as float64 a large scan would take gigabytes


def scaled_grey(image: Image.Image, white: int, dtype: type) -> np.ndarray:
    """An image in one of :data:`DEEP_GREY` as (H, W) whole numbers from 0 to ``white``, rounded."""
    scale = _scale(image, white, dtype)
    result: np.ndarray = np.empty((image.height, image.width), dtype)
    for top, part in strips(image):
        result[top : top + part.height] = scale(np.asarray(part))
    return result


def _scale(image: Image.Image, white: int, dtype: type) -> Callable[[np.ndarray], np.ndarray]:
    """From the values of an image in one of :data:`DEEP_GREY` to whole numbers from 0 to ``white``."""
    factor = white / white_of(image)
    if image.mode.startswith("I;16"):
        table: np.ndarray = np.clip(np.round(np.arange(1 << 16) * factor), 0, white).astype(dtype)
        return lambda values: table[values]
    return lambda values: np.clip(np.round(np.nan_to_num(values.astype(np.float64)) * factor), 0, white).astype(dtype)


def white_of(image: Image.Image) -> float:
    """The value that counts as white in an image in one of :data:`DEEP_GREY`."""
    if image.mode.startswith("I;16"):
        bits = assumed_bits(image)
        return 2.0**bits - 1 if bits else 65535.0
    brightest = max(np.nan_to_num(np.asarray(part)).max() for _, part in strips(image))
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return next((white for white in whites if brightest <= white), float(brightest))


def assumed_bits(image: Image.Image) -> int:
    """Bits of a greyscale image that uses no more than a sixteenth of its 16 bits, as scanners and scientific cameras
    write them: 8, 10 or 12; 0 for all others."""
    if not image.mode.startswith("I;16"):
        return 0
    brightest: Any = (
        image.getextrema()[1] if image.mode == "I;16" else max(np.asarray(part).max() for _, part in strips(image))
    )
    return next((bits for bits in (8, 10, 12) if 0 < brightest < 2**bits), 0)


_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """The colour profile to convert by; None where the numbers are used as they are.

    That is the case for sRGB, and for greyscale, whose profiles describe dot gain and hardly change a face's tones.
    """
    if image.mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    content = image.info.get("icc_profile")
    if image.mode not in ("RGB", "CMYK") or not content:
        return None
    read = _read_profile if len(content) <= KEPT else _read_profile.__wrapped__
    return read(content, image.mode)


KEPT = 100_000  # bytes of a profile that is kept, as most photos have one of a few


@lru_cache(maxsize=16)  # to try a profile takes longer than to decode a small photo
def _read_profile(content: bytes, mode: str) -> ImageCms.ImageCmsProfile | None:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        to_srgb = ImageCms.buildTransform(profile, _SRGB, mode, "RGB")
        ImageCms.buildTransform(_SRGB, profile, "RGB", mode)
    except (ImageCms.PyCMSError, OSError):
        return None  # broken, one-way, or made for another mode
    return None if mode == "RGB" and _changes_nothing(to_srgb) else profile


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform from RGB to sRGB is the identity. The profile's name proves nothing: some linear ones are
    called sRGB too."""
    ramp = np.arange(0, 256, 15, dtype=np.uint8)
    colours = ramp[:, None, None] * np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.uint8)
    converted = np.asarray(transform.apply(Image.fromarray(colours)))
    return bool(np.abs(converted.astype(int) - colours).max() <= 2)


def with_change(
    original: Image.Image, before: np.ndarray, after: np.ndarray, *, colourless: bool = False
) -> Image.Image:
    """The original with the change between two sRGB versions of it; :meth:`stgan.photo.files.Photo.with_rgb` says how.

    Args:
        original: of any mode, H x W pixels.
        before: uint8 (H, W, 3), the original as :func:`to_srgb` shows it.
        after: uint8 (H, W, 3).
        colourless: changed pixels come out grey.
    """
    box = changed_box(before, after)
    if box is None:
        return original.copy()
    result = _editable(original)
    white = white_of(result) if result.mode in DEEP_GREY else 255.0
    left, top, right, bottom = box
    for y in range(top, bottom, STRIP):
        strip = (left, y, right, min(y + STRIP, bottom))
        old, new = (rgb[strip[1] : strip[3], left:right] for rgb in (before, after))
        if colourless:
            grey = cv2.cvtColor(cv2.cvtColor(new, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            new = np.where((new != old).any(axis=2, keepdims=True), grey, old)
        result.paste(_changed_part(result.crop(strip), white, old, new), strip)
    return result


def _editable(image: Image.Image) -> Image.Image:
    info = dict(image.info)
    if image.mode in ("I;16B", "I;16N"):
        image = Image.fromarray(np.asarray(image).astype("<u2"))
    elif image.mode in DEEP_GREY or image.mode == "CMYK":
        image = image.copy()
    else:
        transparent = image.has_transparency_data
        info.pop("transparency", None)  # as one colour or a table: becomes a channel
        if image.mode in ("1", "L", "LA", "La"):
            image = image.convert("LA" if transparent else "L")
        elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBa"):
            image = image.convert("RGBA" if transparent else "RGB")
        else:  # LAB, YCbCr, HSV
            image = to_srgb(image)
            info.pop("icc_profile", None)
    image.info = info
    return image


def _changed_part(part: Image.Image, white: float, before: np.ndarray, after: np.ndarray) -> Image.Image:
    """A part of an editable image, with the change from one uint8 (h, w, 3) sRGB version of it to another.

    ``white`` is the value that counts as white in the image, if it is in one of :data:`DEEP_GREY`.
    """
    if part.mode in DEEP_GREY:
        change = (_luminance(after).astype(np.float64) - _luminance(before)) * (white / 255)
        values = np.asarray(part)
        return Image.fromarray(np.where(change == 0, values, np.clip(values + change, 0, white)).astype(values.dtype))
    opaque = part.convert(ALPHA_REMOVED.get(part.mode, part.mode))
    profile = _profile(opaque)
    if opaque.mode == "L":
        colour = _luminance(after)
    elif profile is not None:
        # The difference of two conversions, so that the loss of a round trip does not show.
        to_profile = ImageCms.buildTransform(_SRGB, profile, "RGB", opaque.mode)
        new, old = (np.asarray(to_profile.apply(Image.fromarray(rgb))) for rgb in (after, before))
        colour = np.clip(np.asarray(opaque) + (new.astype(np.int16) - old), 0, 255).astype(np.uint8)
    elif opaque.mode == "CMYK":
        colour = _inks(np.asarray(opaque), before, after)
    else:
        colour = after
    changed = Image.fromarray(colour, opaque.mode)
    if part.mode != opaque.mode:
        changed.putalpha(part.getchannel("A"))
    return changed


def _luminance(rgb: np.ndarray) -> np.ndarray:
    """uint8 (H, W) by Pillow's weights, which leave grey values exactly as they are."""
    return np.asarray(Image.fromarray(rgb).convert("L"))


def _inks(inks: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """uint8 (h, w, 4) CMYK that Pillow shows as ``after`` where it differs from ``before``, unchanged elsewhere."""
    black = np.minimum(inks[..., 3:], 255 - after.max(axis=2, keepdims=True))
    colour = np.round(255 - 255.0 * after / np.maximum(255.0 - black, 1))
    changed = (before != after).any(axis=2, keepdims=True)
    return np.where(changed, np.concatenate([colour, black], axis=2), inks).astype(np.uint8)
