"""A face in a photograph: where it is, whether it can be edited, and which of several faces is meant."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stgan.photo.geometry import transform

SMALLEST_FACE = 32
"""Shorter side of a face's box in pixels. A smaller face has too little detail to edit."""
EYES_IN_BOX = np.array([(0.314, 0.377), (0.675, 0.383)])
"""Usual place of the eyes in an upright face's box, (2, 2) as shares of its sides: the mean over the boxes that the
Haar cascades find in 219 of CelebA's validation faces. The standard deviation is 0.03 across and 0.04 down; most of
the latter is tilt."""


class FaceError(ValueError):
    """There is no usable face. The message says what to do."""


NO_FACE = (
    "No face was found. The photo must be upright: turn it if it lies on its side or upside down. Otherwise use a "
    "photo where the face is larger and looks at the camera, or crop the face yourself and skip the face detection."
)


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a photo.

    Attributes:
        box: left, top, right, bottom in pixels of the photo; it may reach beyond the photo.
        landmarks: float (5, 2), pixels of the photo: the eye on the image's left, the eye on its right, nose, left and
            right corner of the mouth. Unknown rows are NaN (the Haar cascades know only the eyes). None where only the
            box is known.
        confidence: in [0, 1].
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray | None
    confidence: float

    @property
    def size(self) -> float:
        """Shorter side of the box in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def is_tiny(self) -> bool:
        """Whether the face has too few pixels to edit."""
        return bool(self.size < SMALLEST_FACE)

    @property
    def is_profile(self) -> bool:
        """Whether the head is turned so far that its two eyes nearly coincide. False where the mouth is unknown."""
        if self.landmarks is None or np.isnan(self.landmarks).any():
            return False
        eyes, mouth = self.landmarks[:2], self.landmarks[3:]
        height = np.linalg.norm(mouth.mean(axis=0) - eyes.mean(axis=0))
        return bool(np.linalg.norm(eyes[1] - eyes[0]) < 0.4 * height)  # 0.95 for a face seen from the front

    @property
    def is_editable(self) -> bool:
        """Whether an edit of this face can look right; :func:`check_editable` says why not."""
        return not (self.is_tiny or self.is_profile)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y) of the box, pixels of the photo."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    def landmarks_or_estimate(self) -> np.ndarray:
        """Float (5, 2): the landmarks, or the eyes at their usual place where only the box is known."""
        if self.landmarks is not None:
            return self.landmarks
        left, top, right, bottom = self.box
        landmarks = np.full((5, 2), np.nan)
        landmarks[:2] = (left, top) + EYES_IN_BOX * (right - left, bottom - top)
        return landmarks

    def transformed(self, matrix: np.ndarray) -> "Face":
        """The face under a similarity (2, 3). The box stays upright and keeps its centre and relative size; a quarter
        turn swaps its sides."""
        left, top, right, bottom = self.box
        x, y = transform(np.array([self.centre]), matrix)[0].tolist()
        scale = math.hypot(matrix[0, 0], matrix[1, 0])
        width, height = scale * (right - left) / 2, scale * (bottom - top) / 2
        if abs(matrix[1, 0]) > abs(matrix[0, 0]):
            width, height = height, width
        landmarks = None if self.landmarks is None else transform(self.landmarks, matrix)
        return Face((x - width, y - height, x + width, y + height), landmarks, self.confidence)


def check_editable(face: Face) -> Face:
    """Return the face, or raise a FaceError if it is too small, or turned too far, for an edit to look right."""
    if face.is_tiny:
        raise FaceError(
            f"This face is only {face.size:.0f} pixels wide. At least {SMALLEST_FACE} are needed, and 100 look better. "
            "Use a photo with more pixels, or one taken from closer."
        )
    if face.is_profile:
        raise FaceError(
            "This face is seen from the side, and the model only knows faces from the front. Use a photo where both "
            "eyes are visible, or crop the face yourself and skip the face detection."
        )
    return face


def choose_face(faces: Sequence[Face], number: int | None = None) -> int:
    """Number of the face to edit: the requested one, counted from 0 at the left, or else the largest that is editable.

    Raises:
        FaceError: there is no face, none of that number, or it cannot be edited. If no face can be edited, the message
            is about the largest.
    """
    if not faces:
        raise FaceError(NO_FACE)
    if number is None:
        number = max(range(len(faces)), key=lambda each: (faces[each].is_editable, faces[each].size))
    if not -len(faces) <= number < len(faces):
        raise FaceError(f"There is no face number {number}: {len(faces)} were found, counted from 0 at the left.")
    check_editable(faces[number])
    return number
