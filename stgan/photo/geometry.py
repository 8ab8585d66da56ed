"""Plane geometry of crops: similarities as (2, 3) matrices.

Coordinates are (x, y) in pixels with pixel centres at whole numbers, so the left edge of an image lies at x = -0.5.
"""

from collections.abc import Sequence

import cv2
import numpy as np


def box_to_square(left: float, top: float, side: float, size: int) -> np.ndarray:
    """float64 (3, 3): maps the square with its upper left corner at (left, top) to an image of size x size pixels."""
    scale = size / side
    return np.array([[scale, 0, -left * scale - 0.5], [0, scale, -top * scale - 0.5], [0, 0, 1]])


def as_3x3(matrix: np.ndarray) -> np.ndarray:
    """A (2, 3) matrix with the row (0, 0, 1) added, so that it can be multiplied with others."""
    return np.vstack([matrix, (0, 0, 1)])


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (N, 2) under a (2, 3) matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def extent(
    matrix: np.ndarray, box: tuple[float, float, float, float], photo_shape: Sequence[int], margin: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the photo's pixels that a box of the crop covers, at least one pixel."""
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    corners = transform(corners, cv2.invertAffineTransform(matrix))
    limit = np.array([photo_shape[1], photo_shape[0]])
    first = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin, 0, limit - 1)
    last = np.clip(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, first + 1, limit)
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])


def changed_box(before: np.ndarray, after: np.ndarray) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the pixels in which two pictures, uint8 (H, W, 3), differ; None if they are equal.

    It reads both once, some rows at a time: what NumPy does with a whole photo of 100 megapixels takes seconds.
    """
    height, width = before.shape[:2]
    one, other = before.reshape(height, -1), after.reshape(height, -1)
    rows, values = np.zeros(height, bool), np.zeros(one.shape[1], bool)
    for top in range(0, height if before is not after else 0, ROWS):
        differs = one[top : top + ROWS] != other[top : top + ROWS]
        if differs.any():
            rows[top : top + ROWS] = differs.any(axis=1)
            values |= differs.any(axis=0)
    down, across = np.flatnonzero(rows), np.flatnonzero(values.reshape(width, -1).any(axis=1))
    return (int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1) if len(down) else None


ROWS = 64  # of a photo that are compared at a time, so that they stay in the processor's cache


def smoothstep(values: np.ndarray | np.floating, zero: float, one: float) -> np.ndarray:
    """From 0 to 1 where values go from ``zero`` to ``one``, without a corner at either end."""
    share = np.clip((values - zero) / (one - zero), 0.0, 1.0)
    return share * share * (3 - 2 * share)


def best_path(score: np.ndarray, bends: np.ndarray) -> np.ndarray:
    """The columns (N,), one for each row, along which a score (N, K) is highest, by dynamic programming.

    ``bends``, (K, K), is the price of a step from one column to another.
    """
    total, origins = score[0], []
    for row in score[1:]:
        reached = total[:, None] - bends
        origins.append(reached.argmax(axis=0))
        total = reached.max(axis=0) + row
    path = [int(total.argmax())]
    for origin in origins[::-1]:
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])


COARSEST = 8.0  # pixels of a smaller image, of the standard deviation of a Gaussian that is found there


def slowly(image: np.ndarray, sigma: float) -> np.ndarray:
    """A float32 image (H, W) or (H, W, C) blurred by a Gaussian of many pixels, found at a smaller size."""
    step = max(1, int(sigma / COARSEST))
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma * small.shape[1] / width, sigmaY=sigma * small.shape[0] / height)
    result: np.ndarray = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return result
