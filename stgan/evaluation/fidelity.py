"""How exactly an image is reproduced: PSNR and SSIM with scikit-image's defaults on 8-bit RGB, as the papers do."""

import math

import numpy as np
from skimage import metrics  # scikit-image loads it at first use: a second that other commands do not need
from torch import Tensor

from stgan.frame import quantise


def to_uint8(images: Tensor) -> np.ndarray:
    """Float images (N, 3, S, S) in [-1, 1] to uint8 (N, S, S, 3), rounded and clamped as in a saved PNG."""
    return channels_last(quantise(images))


def channels_last(images: Tensor) -> np.ndarray:
    """Images (..., 3, S, S) as an array (..., S, S, 3)."""
    return np.ascontiguousarray(images.movedim(-3, -1).cpu().numpy())


def psnr_ssim(reference: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Peak signal-to-noise ratio in dB and structural similarity, both float64 (N,), by scikit-image's defaults.

    The ratio of two equal images is infinite. They get that of the smallest visible difference instead, one level in
    one channel of one pixel (95.05 dB at 128 px), so that means stay finite.

    Args:
        reference, result: uint8 (N, S, S, 3). S is at least 7, the side of SSIM's uniform window.

    Raises:
        ValueError: the shapes differ, or an array is not uint8.
    """
    if reference.shape != result.shape or reference.dtype != np.uint8 or result.dtype != np.uint8:
        raise ValueError(
            f"Both must be uint8 of one shape, not {reference.dtype} {reference.shape} "
            f"and {result.dtype} {result.shape}."
        )
    best = 10 * math.log10(255**2 * math.prod(reference.shape[1:]))
    pairs = list(zip(reference, result, strict=True))
    psnr = [best if np.array_equal(*pair) else metrics.peak_signal_noise_ratio(*pair) for pair in pairs]
    ssim = [metrics.structural_similarity(*pair, channel_axis=-1) for pair in pairs]
    return np.array(psnr, dtype=np.float64), np.array(ssim, dtype=np.float64)


def fidelity_scores(pixels: np.ndarray) -> np.ndarray:
    """PSNR and SSIM, float64 (R, 2, N), of R results for N sources: ``pixels`` uint8 (1 + R, N, S, S, 3), the sources
    first."""
    return np.stack([np.stack(psnr_ssim(pixels[0], result)) for result in pixels[1:]])
