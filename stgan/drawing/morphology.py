"""Shares and lines of an image, grown or told apart by discs of some pixels."""

import cv2
import numpy as np


def disk(radius: float) -> np.ndarray:
    """A disc, uint8 (2 R + 1, 2 R + 1), with the nearest whole radius R."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(radius) + 1,) * 2)


def grown(share: np.ndarray, radius: float) -> np.ndarray:
    """A share (H, W), float32, grown by a radius in pixels."""
    return cv2.dilate(share.astype(np.float32), disk(radius))


def opened(where: np.ndarray, radius: float) -> np.ndarray:
    """Bool (H, W), without what is narrower than a disc."""
    return np.greater(cv2.morphologyEx(where.astype(np.uint8), cv2.MORPH_OPEN, disk(radius)), 0)


def closed(where: np.ndarray, radius: float) -> np.ndarray:
    """Bool (H, W), with gaps that are narrower than a disc."""
    return np.greater(cv2.morphologyEx(where.astype(np.uint8), cv2.MORPH_CLOSE, disk(radius)), 0)


def ridge(image: np.ndarray, width: float) -> np.ndarray:
    """Levels (H, W) by which lines of at most some pixels are darker or brighter than what is on both sides."""
    kernel = disk(width / 2)
    bright, dark = (cv2.morphologyEx(image, each, kernel) for each in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN))
    return largest(np.maximum(bright - image, image - dark))


def largest(image: np.ndarray) -> np.ndarray:
    """The largest channel (H, W) of an image (H, W, 3). NumPy takes seven times as long along a short axis."""
    one, two, three = cv2.split(image)
    return cv2.max(cv2.max(one, two), three)


def touching(where: np.ndarray, seeds: np.ndarray, least: int) -> np.ndarray:
    """The pieces, bool (H, W), that hold some of the seeds (H, W)."""
    count, pieces = cv2.connectedComponents(where.astype(np.uint8))
    kept = np.bincount(pieces[seeds], minlength=count) >= least
    kept[0] = False
    return kept[pieces]


def without_holes(where: np.ndarray, least: float) -> np.ndarray:
    """Bool (H, W), with the areas within it that have fewer pixels."""
    count, pieces = cv2.connectedComponents((~where).astype(np.uint8), connectivity=4)
    return where | (np.bincount(pieces.ravel(), minlength=count) < least)[pieces]
