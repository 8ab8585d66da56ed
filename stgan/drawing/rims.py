"""Where the rims of glasses run: one usual shape for both lenses, along the line of the eyes, turned with the head."""

from dataclasses import dataclass
from functools import cache
from itertools import product

import cv2
import numpy as np

from stgan.photo.crop import landmarks_in_crop

# Lengths are in eye distances.
ANGLES = np.linspace(-np.pi, np.pi, 96, endpoint=False)  # around a lens: 0 points outwards, pi/2 down
SHAPES = ((2.2, 0.04), (2.5, 0.1), (2.5, 0.2), (3.0, 0.08), (3.0, 0.18), (3.6, 0.1))
"""Exponent of the superellipse (2 is an ellipse, infinity a rectangle) and how much narrower the lower half is."""
RADII = np.arange(0.34, 0.49, 0.02), np.arange(0.24, 0.41, 0.02)  # of lenses, across and down
NARROWEST = 0.66  # height of a lens over its width
GAPS = np.arange(0.1, 0.21, 0.02)  # from the middle of the nose to a lens
LEVELS = np.arange(0.08, 0.24, 0.03)  # of a lens's centre, below the eyes
HEIGHTS = (-0.3, 0.26), (-0.1, 0.56)  # lowest and highest values of the upper and the lower edge, below the eyes
USUAL = (0.42, 0.32, 0.14, 0.13)  # radii, level and gap of most lenses
UNUSUAL = 2.0  # cost of the squared deviation from them, in logarithms of darkening
EDGE = 0.5  # weight of the step from dark to bright at a rim; rims of dark lenses show nothing else
BEYOND = 1.14  # distance from a lens's centre, as a multiple of a rim's, at which skin is seen
STEP = 0.02  # of the grid on which shapes are compared
FIELD = np.arange(0, 1.3, STEP), np.arange(-0.5, 0.8, STEP)  # outwards from the nose and down from the eyes
NEAR = 0.35  # of its usual place, where an eye is
VISIBLE = 0.012  # least area of an eye, in squared distances
TIP = 0.48  # how far the tip of the nose is before the eyes
TURNED = 0.4  # greatest shift of the nose's tip from the middle of the eyes; heads turned further are profiles
AWAY = 0.38  # likewise, above which bald heads were wrong in seven of nine photos
HALF_SEEN = 0.7  # likewise, above which glasses were wrong in three of four photos
ASIDE = (0.06, 0.12)  # likewise, between which the farther lens comes to be seen before what is behind the head
REACH = 0.4  # of that lens beyond the head's contour
AHEAD = 0.4  # how far a frame is before the eyes, as a share of that
WRAP = 0.35  # by how much the nearer lens is wider, per shift of the nose
NO_MAP = np.empty(0, np.float32)  # as OpenCV takes points in one array


def turn_of(landmarks: np.ndarray | None) -> float:
    """Shift of the nose's tip to the right of the middle of the eyes, in eye distances, by a detector's five landmarks
    (5, 2); 0 where it gives none."""
    if landmarks is None or np.isnan(landmarks[:3]).any():
        return 0.0
    axis = landmarks[1] - landmarks[0]  # its own: detectors underestimate tilt
    return float((landmarks[2] - landmarks[:2].mean(axis=0)) @ axis / (axis @ axis))


def is_turned_away(landmarks: np.ndarray | None, most: float = AWAY) -> bool:
    """Whether a head is turned so far that a skull as seen from the front does not fit it, or farther than ``most``."""
    return abs(turn_of(landmarks)) > most


@dataclass(frozen=True)
class Head:
    """How a head is held. Its points are (outwards from the nose, down from the eyes), the same on both sides."""

    middle: np.ndarray  # (2,), pixels of the crop, between the eyes
    axis: np.ndarray  # (2,), from the left eye of the image to its right one
    turn: float  # shift of the nose's tip to the right, in eye distances

    @classmethod
    def of(cls, eyes: np.ndarray, landmarks: np.ndarray | None) -> "Head":
        """From where the crop shows eyes, (S, S) in [0, 1], and a detector's five landmarks (5, 2).

        Eyes that are not seen are those of the mean face, which also looks straight ahead.
        """
        mean = cls.mean(len(eyes))
        left, right = (_eye(eyes, mean.middle + side * mean.axis / 2, mean.distance) for side in (-1, 1))
        turn = float(np.clip(turn_of(landmarks), -TURNED, TURNED))
        if left is None or right is None:
            return cls(mean.middle, mean.axis * np.cos(np.arctan(turn / TIP)), turn)
        return cls((left + right) / 2, right - left, turn)

    @classmethod
    def mean(cls, size: int) -> "Head":
        """The mean face's, in a crop of S = ``size`` pixels."""
        left, right = landmarks_in_crop(size)[0][:2]
        return cls((left + right) / 2, right - left, 0.0)

    @property
    def distance(self) -> float:
        return float(np.hypot(*self.axis))

    @property
    def down(self) -> np.ndarray:
        """(2,), from the eyes downwards; heads that turn lose no height."""
        return np.array([-self.axis[1], self.axis[0]]) * np.hypot(1, self.turn / TIP)

    def placed(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the head on the left and the right side of the image: (2, ..., 2), pixels of the crop."""
        ahead = self.middle + AHEAD * self.turn * self.axis
        nearer = [side * (1 - WRAP * self.turn * side) for side in (-1, 1)]
        return np.stack([ahead + side * points[..., :1] * self.axis + points[..., 1:] * self.down for side in nearer])

    def seen(self, image: np.ndarray) -> np.ndarray:
        """What an image (S, S) shows of :data:`FIELD`, on both sides: (2, rows, columns)."""
        return np.stack([sampled(image, each) for each in self.placed(np.dstack(np.meshgrid(*FIELD)))])


def beyond(person: np.ndarray, head: Head) -> np.ndarray:
    """Float32 (S, S) in [0, 1]: beside the contour of a turned head, before which its farther lens is seen.

    Args:
        person: (S, S) in [0, 1].
    """
    side = np.sign(head.turn)
    contour = np.greater(person, 0.5)[:, :: -1 if side < 0 else 1]
    last = len(person) - 1 - contour[:, ::-1].argmax(axis=1)  # of each row that shows the person
    columns = np.arange(len(person))[:: -1 if side < 0 else 1]
    far = (columns - last[:, None]) / head.distance
    turned = np.clip((abs(head.turn) - ASIDE[0]) / (ASIDE[1] - ASIDE[0]), 0, 1)
    return (turned * ((far > -0.1) & (far < REACH) & contour.max(axis=1, keepdims=True))).astype(np.float32)


def fitting_lens(ridges: np.ndarray, darkening: np.ndarray) -> np.ndarray:
    """The outline (N, 2) that both rims follow best, as points of the head, from what is seen on both sides."""
    centre = np.array([0.57, USUAL[2]])
    beyond = centre + BEYOND * (np.dstack(np.meshgrid(*FIELD)) - centre)
    indices = (beyond - (FIELD[0][0], FIELD[1][0])) / STEP
    score = np.zeros(ridges.shape[1:])
    for lines, dark in zip(ridges, darkening, strict=True):
        score += (lines + EDGE * (dark - sampled(dark, indices))).clip(0) / 2
    outlines, costs, places = _outlines()
    best = int((score.ravel()[places].mean(axis=1) - costs).argmax())
    return _outline(*outlines[best])


@cache
def _outlines() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The usual lenses: arguments (L, 6) for :func:`_outline`, costs (L,), and indices (L, N / 3) into a flat field."""
    places = np.array(list(product(GAPS, LEVELS)))
    lenses, indices = [], []
    for (squareness, taper), across, down in product(SHAPES, *RADII):
        edges = places[:, 1:] + (-down, down)
        fitting = places[((HEIGHTS[0] <= edges) & (edges <= HEIGHTS[1])).all(axis=1)]
        if down < NARROWEST * across or len(fitting) == 0:
            continue
        centres = fitting + (across, 0)
        lenses.append(np.hstack([np.tile([squareness, taper, across, down], (len(centres), 1)), centres]))
        points = centres[:, None] + _outline(squareness, taper, across, down, 0, 0)[::3]
        columns, rows = np.moveaxis(np.rint((points - (FIELD[0][0], FIELD[1][0])) / STEP).astype(np.int32), 2, 0)
        indices.append(rows * len(FIELD[0]) + columns)
    found = np.concatenate(lenses)
    size, level = np.log(found[:, 2:4] / USUAL[:2]), found[:, 5] - USUAL[2]
    gap = found[:, 4] - found[:, 2] - USUAL[3]
    unusual = (size**2).sum(axis=1) + (size[:, 0] - size[:, 1]) ** 2 + 4 * level**2 + 5 * gap**2
    return found, UNUSUAL * unusual, np.concatenate(indices)


def _outline(squareness: float, taper: float, across: float, down: float, out: float, level: float) -> np.ndarray:
    """A lens (N, 2) of given radii around (out, level)."""
    cos, sin = np.cos(ANGLES), np.sin(ANGLES)
    radii = (np.abs(cos) ** squareness + np.abs(sin) ** squareness) ** (-1 / squareness)
    narrower = 1 - taper * radii * sin
    return np.stack([out + across * radii * cos * narrower, level + down * radii * sin], axis=1)


def _eye(eyes: np.ndarray, usual: np.ndarray, distance: float) -> np.ndarray | None:
    """The centre (2,) of what a crop shows of an eye, (S, S) in [0, 1], near its usual place; None if it shows less."""
    rows, columns = np.indices(eyes.shape)
    near = np.maximum(np.abs(columns - usual[0]), np.abs(rows - usual[1])) < NEAR * distance
    share = eyes * (near & (eyes > 0.5))
    if share.sum() < VISIBLE * distance**2:
        return None
    return np.array([(columns * share).sum(), (rows * share).sum()]) / share.sum()


def sampled(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image (S, S) or (S, S, C) at points (N, K, 2)."""
    return cv2.remap(image.astype(np.float32), points.astype(np.float32), NO_MAP, cv2.INTER_LINEAR)
