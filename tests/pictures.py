"""Photographs for the tests: a small one in every mode that Pillow reads, and some without a face."""

import functools

import cv2
import numpy as np
from PIL import Image, ImageCms
from skimage import data

MODES = (
    "RGB", "RGB, one colour transparent", "RGBA", "L", "LA", "P", "P, transparent", "1", "CMYK", "I;16", "I;16B", "I",
    "F", "YCbCr", "LAB",
)  # fmt: skip


def small_portrait() -> np.ndarray:
    """A real photograph, uint8 (64, 48, 3): not square, so that mixing up the sides shows."""
    return np.array(Image.fromarray(data.astronaut()[:384, 80:368]).resize((48, 64), Image.Resampling.BICUBIC))


def two_people() -> Image.Image:
    """A photograph, 900x512 pixels, of two faces; the right one is the larger."""
    astronaut = Image.fromarray(data.astronaut())
    two = Image.new("RGB", (900, 512), "grey")
    two.paste(astronaut.resize((384, 384)).crop((60, 0, 300, 384)), (0, 64))
    two.paste(astronaut, (388, 0))
    return two


@functools.cache
def faceless() -> list[np.ndarray]:
    """Photographs, noise, clouds and black without a face: uint8 (H, W, 3)."""
    scenes = (data.coffee, data.brick, data.grass, data.moon, data.page, data.rocket, data.text, data.clock)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    clouds = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 8), None, 0, 255, cv2.NORM_MINMAX)
    made_up = [noise, cv2.GaussianBlur(noise, (0, 0), 5), clouds, np.zeros_like(noise), data.checkerboard()]
    return [np.array(Image.fromarray(x).convert("RGB")) for x in (*made_up, *(scene() for scene in scenes))]


def every_mode(rgb: np.ndarray) -> dict[str, Image.Image]:
    image = Image.fromarray(rgb)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 48).astype(np.uint8), (64, 1)))
    grey = np.asarray(image.convert("L"))
    deep = (grey.astype(np.uint16) << 8) + np.arange(48, dtype=np.uint16)  # every low byte is a detail to lose
    palette = image.quantize(32)
    see_through = palette.copy()
    see_through.info["transparency"] = 3
    keyed = image.copy()
    keyed.info["transparency"] = tuple(rgb[0, 0].tolist())
    with_alpha, grey_alpha = image.copy(), image.convert("L")
    with_alpha.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    return {
        "RGB": image,
        "RGB, one colour transparent": keyed,
        "RGBA": with_alpha,
        "L": image.convert("L"),
        "LA": grey_alpha,
        "P": palette,
        "P, transparent": see_through,
        "1": image.convert("1"),
        "CMYK": image.convert("CMYK"),
        "I;16": Image.fromarray(deep),
        "I;16B": Image.fromarray(deep.astype(">u2")),
        "I": Image.fromarray(deep.astype(np.int32)),
        "F": Image.fromarray((deep / 65535).astype(np.float32)),
        "YCbCr": image.convert("YCbCr"),
        "LAB": ImageCms.applyTransform(
            image,
            ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
        ),
    }
