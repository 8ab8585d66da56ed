"""Beards grow where and as densely as a network darkened the skin; where a mustache grows is known."""

import cv2
import numpy as np

from stgan.photo.crop import landmarks_in_crop
from stgan.photo.strokes import Growth, brightness

BARE, MOST = 0.1, 0.8  # density below which skin stays bare, and of the densest beard
BORDER = 0.1  # of the crop's side, over which hair gets sparse towards its border
# Lengths are in eye distances.
SMOOTH = 0.045  # over which the density varies: wrinkles and lips that a network redraws are no hair
LENGTH = 0.11  # of a hair
SPREAD = 0.3  # radians
NOSE = (0.14, 0.2)  # below the nose's tip: no hair grows above the first, and all below the second
WING = (0.22, 0.32)  # half the width of the nose, likewise
UPPER = 0.12  # above the corners of the mouth, from where on hair grows as a mustache does
MUSTACHE = (0.47, 0.17)  # half its width, and its height in the middle
FULLEST = 0.72  # density of a mustache
EDGE = 0.025  # over which its borders are soft


def read_beard(
    before: np.ndarray, after: np.ndarray, colour: np.ndarray, skin: np.ndarray, mouth: np.ndarray
) -> Growth | None:
    """The hair of a drawn beard or mustache; None if there is none.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's crop without and with the beard.
        colour: (3,), levels of the hair.
        skin, mouth: (S, S) in [0, 1], what the crop shows. No hair grows on lips.
    """
    size = len(before)
    points, distance = landmarks_in_crop(size)
    light, dark = brightness(before), brightness(after)
    lips = cv2.GaussianBlur(cv2.dilate((mouth > 0.3).astype(np.float32), np.ones((3, 3))), (0, 0), size / 180)
    place = skin.clip(0, 1).astype(np.float32) * (1 - lips)
    cover = np.clip((light - dark) / np.maximum(light - colour.mean(), 20), 0, 1)
    sigma, weight = SMOOTH * distance, place + 1e-3
    cover = cv2.GaussianBlur(cover * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)
    rows, columns = np.mgrid[:size, :size]
    across, below_nose = np.abs(columns - points[2, 0]) / distance, (rows - points[2, 1]) / distance
    nose = _ramp(across, *WING[::-1]) * _ramp(below_nose, *NOSE[::-1])
    inside = np.minimum.reduce([rows, columns, size - 1 - rows, size - 1 - columns]) / (BORDER * size)
    density = ((cover - BARE) / (1 - 2 * BARE)).clip(0, MOST) * place * (1 - nose) * inside.clip(0, 1)
    if density.max() < BARE:
        return None
    return Growth(density.astype(np.float32), _direction(points, distance, size), LENGTH * distance, SPREAD)


def mustache(skin: np.ndarray, mouth: np.ndarray) -> Growth | None:
    """The hair of a mustache; None where no mouth shows.

    It follows the upper lip that the crop shows. Networks that have hardly seen mustaches but on men draw none on
    other faces, and destroy the mouth.

    Args:
        skin, mouth: (S, S) in [0, 1], what the crop shows.
    """
    size = len(mouth)
    points, distance = landmarks_in_crop(size)
    shown = mouth > 0.4
    used = np.nonzero(shown.any(axis=0))[0]
    if len(used) < 0.2 * distance:
        return None
    lip = np.interp(np.arange(size), used, shown[:, used].argmax(axis=0)).astype(np.float32)
    lip = cv2.GaussianBlur(lip[None], (0, 0), EDGE * distance)[0]
    rows, columns = np.mgrid[:size, :size]
    middle = (used[0] + used[-1] + 2 * points[2, 0]) / 4  # of mouth and nose
    across = (columns - middle) / distance
    width, height = MUSTACHE
    above = (lip[None] - rows) / distance
    tall = height * np.sqrt(np.clip(1 - (across / width) ** 2, 0, 1))
    below_nose = (rows - points[2, 1]) / distance
    cover = _ramp(above, -EDGE, EDGE) * _ramp(tall - above, -EDGE, EDGE) * _ramp(width - np.abs(across), 0, 3 * EDGE)
    cover *= 1 - _ramp(np.abs(across), *WING[::-1]) * _ramp(below_nose, *NOSE[::-1])
    lips = cv2.GaussianBlur(mouth.clip(0, 1).astype(np.float32), (0, 0), size / 180)
    density = FULLEST * cover * skin.clip(0, 1) * (1 - lips)
    if density.max() < BARE:
        return None
    return Growth(density.astype(np.float32), _direction(points, distance, size), LENGTH * distance, SPREAD)


def _ramp(values: np.ndarray, zero: float, one: float) -> np.ndarray:
    return np.clip((values - zero) / (one - zero), 0, 1)


def _direction(points: np.ndarray, distance: float, size: int) -> np.ndarray:
    """(S, S, 2): hair grows downwards on chin and cheeks, and from the middle outwards on the upper lip."""
    rows, columns = np.mgrid[:size, :size]
    across, below = (columns - points[2, 0]) / distance, (rows - points[3:, 1].mean()) / distance
    upper = _ramp(below, UPPER / 2, -UPPER / 2) * _ramp(np.abs(across), 0.7, 0.4)
    mustache = np.radians(75 - 60 * np.clip(np.abs(across) / 0.4, 0, 1))
    beard = np.radians(90 - 25 * np.clip(np.abs(across) / 0.7, 0, 1))
    angle = upper * mustache + (1 - upper) * beard
    return np.stack([np.sign(across) * np.cos(angle), np.sin(angle)], axis=2).astype(np.float32)
