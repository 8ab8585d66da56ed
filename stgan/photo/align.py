"""Align a face: the similarity from the photo to the crop that the models were trained on.

That crop is columns 3 to 173 and rows 26 to 196 of CelebA's aligned frame (178x218), scaled to the model's image size.
Coordinates are (x, y) in pixels with pixel centres at whole numbers, so the left edge of an image lies at x = -0.5.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stgan.frame import CELEBA_CROP, CELEBA_SIZE, MEAN_LANDMARKS
from stgan.photo.face import Face, FaceError
from stgan.photo.geometry import as_3x3, box_to_square, transform

LANDMARK_WEIGHTS = np.array([1.0, 1.0, 0.2, 0.7, 0.7])
"""Weight of each landmark in the alignment. The nose leaves the plane of the others as the head turns. With equal
weights CelebA's own landmarks miss CelebA's frame by 0.099 eye distances on average, with these by 0.069."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where the model's crop lies in the photo: ``matrix``, float64 (2, 3), is a similarity from pixels of the photo to
    pixels of the crop."""

    matrix: np.ndarray

    @property
    def inverse(self) -> np.ndarray:
        """float64 (2, 3), maps pixels of the crop to pixels of the photo."""
        return cv2.invertAffineTransform(self.matrix)

    @property
    def scale(self) -> float:
        """Pixels of the crop per pixel of the photo."""
        return math.hypot(self.matrix[0, 0], self.matrix[1, 0])


def align_face(face: Face, image_size: int) -> Alignment:
    """The similarity that brings a face closest to CelebA's mean landmarks, in crops of ``image_size`` pixels.

    Weighted least squares in closed form (Umeyama 1991) over the known landmarks. Where only the box is known, the eyes
    are assumed at their usual place in it.

    Raises:
        FaceError: fewer than two landmarks are known, or they coincide.
    """
    return Alignment((_frame_to_crop(image_size) @ as_3x3(frame_similarity(face)))[:2])


def align_whole(photo_shape: Sequence[int], image_size: int) -> Alignment:
    """For a photo (H, W) or (H, W, 3) that is a face crop already: CelebA's crop of a CelebA image, else the whole
    photo, centred.

    A photo that is not square is padded by repeating its border.
    """
    height, width = photo_shape[:2]
    if looks_aligned(photo_shape):
        return Alignment(_frame_to_crop(image_size)[:2])
    side = max(height, width)
    return Alignment(box_to_square((width - side) / 2 - 0.5, (height - side) / 2 - 0.5, side, image_size)[:2])


def looks_aligned(photo_shape: Sequence[int]) -> bool:
    """Whether a photo of shape (H, W) or (H, W, 3) has the size of CelebA's aligned images: 178 wide, 218 high."""
    return (photo_shape[1], photo_shape[0]) == CELEBA_SIZE


def landmarks_in(alignment: Alignment, image_size: int) -> np.ndarray:
    """Where an alignment puts the mean face's landmarks: float (5, 2), pixels of the photo.

    :func:`align_face` turns them back into the same alignment.
    """
    return transform(transform(MEAN_LANDMARKS, _frame_to_crop(image_size)[:2]), alignment.inverse)


def _frame_to_crop(image_size: int) -> np.ndarray:
    """float64 (3, 3), pixels of the aligned frame to pixels of the crop."""
    left, top, right, _ = CELEBA_CROP
    return box_to_square(left - 0.5, top - 0.5, right - left, image_size)


def frame_similarity(face: Face) -> np.ndarray:
    """float64 (2, 3), pixels of the photo to pixels of the aligned frame; errors as in :func:`align_face`.

    A similarity of the plane is one complex multiplication and one addition, z -> a z + b. Least squares gives it in
    closed form, and it cannot mirror the face.
    """
    landmarks = face.landmarks_or_estimate()
    known = ~np.isnan(landmarks).any(axis=1)
    if known.sum() < 2:
        raise FaceError("At least two landmarks of a face must be known to align it.")
    weights = LANDMARK_WEIGHTS[known] / LANDMARK_WEIGHTS[known].sum()
    source, target = (points[known] @ (1, 1j) for points in (landmarks.astype(np.float64), MEAN_LANDMARKS))
    source_mean, target_mean = weights @ source, weights @ target
    spread = weights @ np.abs(source - source_mean) ** 2
    if spread < 1e-12:
        raise FaceError("The landmarks of this face coincide: it cannot be aligned.")
    turn = (weights * np.conj(source - source_mean)) @ (target - target_mean) / spread
    shift = target_mean - turn * source_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
