"""Pixels: the range that networks work in, the part of a CelebA image that they see, and where its face is."""

import numpy as np
import torch
from torch import Tensor

CELEBA_SIZE = (178, 218)  # width, height of an aligned image
CELEBA_CROP = (3, 26, 173, 196)  # left, top, right, bottom: 170x170, as in the official code; not centred
MEAN_LANDMARKS = np.array([(69.1, 111.2), (107.8, 111.3), (87.8, 134.9), (71.5, 151.8), (105.4, 152.2)])
"""CelebA's mean landmarks in the aligned frame, (5, 2) pixels: eye left and right in the image, nose, mouth corners."""


def normalise(images: Tensor) -> Tensor:
    """uint8 (N, 3, S, S) to float32 in [-1, 1], channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)


def quantise(images: Tensor) -> Tensor:
    """Float in [-1, 1] to uint8, rounded, what lies outside clamped: as a saved PNG holds it."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
