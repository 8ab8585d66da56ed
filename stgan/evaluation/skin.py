"""Whether skin keeps its lightness: L* of the cheeks, before and after an edit."""

import torch
from torch import Tensor

from stgan.attributes import LEFT_CHEEK, RIGHT_CHEEK
from stgan.models.regions import squared_radius

TONES = ("dark", "medium", "light")


def cheek_lightness(images: Tensor) -> Tensor:
    """Median L* of CIELAB over the cheeks, float (N,) in [0, 100], of aligned uint8 images (N, 3, S, S).

    The median ignores what covers a part of a cheek, such as the rims of glasses.
    """
    cheeks = cheek_area(images.shape[-1]).to(images.device).expand(len(images), -1, -1)
    return lightness(images).masked_fill(~cheeks, torch.nan).flatten(1).nanmedian(dim=1).values


def cheek_area(size: int) -> Tensor:
    """Bool (S, S): the cheeks of an aligned face."""
    return (squared_radius(LEFT_CHEEK, size) <= 1) | (squared_radius(RIGHT_CHEEK, size) <= 1)


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
