"""Bring an image of a face into CelebA's aligned frame (178x218 pixels) and cut the 170x170 crop out of it.

A frame is given as a similarity: float64 (2, 3), from pixels of the image to pixels of the aligned frame. Coordinates
are (x, y) with pixel centres at whole numbers. It does not depend on the size of the crop.
"""

import math

import cv2
import numpy as np

from stgan.frame import CELEBA_CROP
from stgan.photo.align import Alignment
from stgan.photo.crop import crop_face
from stgan.photo.geometry import as_3x3, box_to_square, transform

CELEBAHQ_SCALE = 0.6255
"""Aligned pixels per pixel of a CelebA-HQ image of 256 px: mean of 152 pairs, whose standard deviation is 0.037."""
CELEBAHQ_CENTRE = (88.84, 115.69)
"""Where the centre of a CelebA-HQ image lies in the aligned frame, pixels. The mean angle of the pairs is 0."""


def celebahq_frame(side: int) -> np.ndarray:
    """The frame of a CelebA-HQ image of ``side`` x ``side`` pixels, the same for all of them."""
    scale, centre = CELEBAHQ_SCALE * 256 / side, (side - 1) / 2
    x, y = CELEBAHQ_CENTRE
    return np.array([[scale, 0, x - scale * centre], [0, scale, y - scale * centre]])


def to_crop(frame: np.ndarray, image_size: int) -> np.ndarray:
    """float64 (2, 3), from pixels of the image to pixels of its crop of ``image_size`` x ``image_size`` pixels."""
    left, top, right, _ = CELEBA_CROP
    return (box_to_square(left - 0.5, top - 0.5, right - left, image_size) @ as_3x3(frame))[:2]


def enlargement(frame: np.ndarray, image_size: int) -> float:
    """Pixels of the crop per pixel of the image. Above 1 the crop shows less detail than it has pixels."""
    matrix = to_crop(frame, image_size)
    return math.hypot(matrix[0, 0], matrix[1, 0])


def outside_share(frame: np.ndarray, width: int, height: int) -> float:
    """Share in [0, 1] of the crop that lies outside an image of ``width`` x ``height`` pixels."""
    grid = np.stack(np.meshgrid(*[np.arange(64)] * 2), axis=-1).reshape(-1, 2)
    points = transform(grid, cv2.invertAffineTransform(to_crop(frame, 64)))
    inside = (points > -0.5).all(axis=1) & (points < (width - 0.5, height - 0.5)).all(axis=1)
    return float(1 - inside.mean())


def frame_crop(rgb: np.ndarray, frame: np.ndarray, image_size: int) -> np.ndarray:
    """The crop uint8 (S, S, 3) of an image uint8 (H, W, 3), antialiased. Beyond the image's border it is mirrored."""
    matrix = to_crop(frame, image_size)
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * image_size - 0.5
    corners = transform(corners, cv2.invertAffineTransform(matrix))
    left, top = (np.floor(corners.min(axis=0)).astype(int) - 3).tolist()  # the margin is what filters read
    right, bottom = (np.ceil(corners.max(axis=0)).astype(int) + 4).tolist()
    height, width = rgb.shape[:2]
    part = rgb[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    above, below, before, after = (max(0, edge) for edge in (-top, bottom - height, -left, right - width))
    part = cv2.copyMakeBorder(part, above, below, before, after, borderType=cv2.BORDER_REFLECT_101)
    shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    return crop_face(part, Alignment(matrix @ shift), image_size)
