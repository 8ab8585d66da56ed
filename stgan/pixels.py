"""Pixels: the range that networks work in, and the part of a CelebA image that they see."""

import torch
from torch import Tensor

CELEBA_SIZE = (178, 218)  # width, height of an aligned image
CELEBA_CROP = (3, 26, 173, 196)  # left, top, right, bottom: 170x170, as in the official code; not centred


def normalise(images: Tensor) -> Tensor:
    """uint8 (N, 3, S, S) to float32 in [-1, 1], channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)


def quantise(images: Tensor) -> Tensor:
    """Float in [-1, 1] to uint8, rounded, what lies outside clamped: as a saved PNG holds it."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
