"""Whether skin keeps its lightness: L* of the cheeks, before and after an edit."""

import torch
from torch import Tensor

from stgan.attributes import LEFT_CHEEK, RIGHT_CHEEK
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS

TONES = ("dark", "medium", "light")


def cheek_lightness(images: Tensor, skin: Tensor | None = None) -> Tensor:
    """Median L* of CIELAB over the cheeks, float (N,) in [0, 100]; NaN where no cheek is visible.

    The median passes over what covers a part of a cheek, such as the rims of glasses.

    Args:
        images: uint8 (N, 3, S, S), aligned as CelebA's are.
        skin: bool (N, S, S), pixels that are known to be skin; all others are left out.
    """
    cheeks = cheek_area(images.shape[-1]).to(images.device).expand(len(images), -1, -1)
    if skin is not None:
        cheeks = cheeks & skin
    return lightness(images).masked_fill(~cheeks, torch.nan).flatten(1).nanmedian(dim=1).values


def cheek_area(size: int) -> Tensor:
    """Bool (S, S): the cheeks of an aligned face."""
    left, top, right, _ = CELEBA_CROP
    eyes = torch.from_numpy(MEAN_LANDMARKS[:2])
    eye_distance = float(eyes[1, 0] - eyes[0, 0])
    pixels = (torch.arange(size) + 0.5) * (right - left) / size - 0.5  # of the aligned frame, within the crop
    x = (pixels + left - float(eyes[:, 0].mean())) / eye_distance
    y = (pixels + top - float(eyes[:, 1].mean())) / eye_distance
    left_cheek, right_cheek = (
        ((x - cheek.x) / cheek.across) ** 2 + ((y[:, None] - cheek.y) / cheek.down) ** 2 <= 1
        for cheek in (LEFT_CHEEK, RIGHT_CHEEK)
    )
    return left_cheek | right_cheek


def lightness(images: Tensor) -> Tensor:
    """L* of CIELAB, float (N, S, S) in [0, 100], of uint8 sRGB images (N, 3, S, S) under D65."""
    levels = images.float() / 255
    linear = torch.where(levels > 0.04045, ((levels + 0.055) / 1.055) ** 2.4, levels / 12.92)
    luminance = 0.212671 * linear[:, 0] + 0.715160 * linear[:, 1] + 0.072169 * linear[:, 2]
    return torch.where(luminance > 0.008856, 116 * luminance ** (1 / 3) - 16, 903.3 * luminance)


def tone_thirds(lightness: Tensor) -> Tensor:
    """Long (N,): 0, 1 or 2 for the dark, medium or light third of people, by the L* of their cheeks."""
    ranks = lightness.argsort().argsort()
    return ranks * len(TONES) // len(ranks)
