"""Frames of a face for the tests: similarities of the plane and CelebA's crop, written down once more."""

import math

import numpy as np

from stgan.photo.align import Alignment

S = 128  # side of the crop in most tests, pixels


def similarity(degrees: float, scale: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """float (3, 3): turned, scaled, then shifted by (x, y)."""
    cos, sin = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def frame_to_crop(size: int) -> np.ndarray:
    """The definition: x_crop = (x_frame + 0.5 - 3) * S / 170 - 0.5, and likewise down."""
    k = size / 170
    return np.array([[k, 0, (0.5 - 3) * k - 0.5], [0, k, (0.5 - 26) * k - 0.5], [0, 0, 1]])


FRAME_POINTS = np.array([(20, 20), (158, 20), (20, 198), (158, 198), (88.5, 108.5)])


def distance_of_frames(one: np.ndarray, other: np.ndarray) -> float:
    """How far apart two alignments (photo to crop of side S) put four corners and the middle, in eye distances."""
    points = moved(moved(FRAME_POINTS, frame_to_crop(S)), np.linalg.inv(np.vstack([one[:2], (0, 0, 1)])))
    back = moved(moved(points, other), np.linalg.inv(frame_to_crop(S)))
    return float(np.linalg.norm(back - FRAME_POINTS, axis=1).mean() / 38.7)


def centred(x: float, y: float, degrees: float, scale: float, size: int = S) -> Alignment:
    """The alignment that brings a point of the photo to the middle of the crop."""
    middle = (size - 1) / 2
    return Alignment((similarity(0, 1, middle, middle) @ similarity(degrees, scale) @ similarity(0, 1, -x, -y))[:2])
