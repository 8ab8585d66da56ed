"""Where a mustache and a full beard grow is known; other beards grow where a network darkens the skin."""

from dataclasses import replace

import cv2
import numpy as np

from stgan.photo.crop import landmarks_in_crop
from stgan.photo.strokes import Growth, brightness

BARE, MOST = 0.1, 0.8  # density below which skin stays bare, and of the densest beard
SHOWN = 0.4  # certainty that a pixel shows the mouth
BORDER = 0.1  # of the crop's side, over which hair gets sparse towards its border
# Lengths are in eye distances.
SMOOTH = 0.045  # over which the density varies: wrinkles and lips that a network redraws are no hair
LENGTH = 0.11  # of a hair
SPREAD = 0.3  # radians
NOSE = (0.14, 0.2)  # below the nose's tip: no hair grows above the first, and all below the second
WING = (0.22, 0.32)  # half the width of the nose, likewise
UPPER = 0.12  # above the corners of the mouth, from where on hair grows as a mustache does
MUSTACHE = (0.48, 0.15)  # half its least width, and its height in the middle
WIDER = 1.12  # half its width, as a share of half the mouth's
FULLEST = 0.66  # density of a mustache
GROOVE = (0.35, 0.06)  # share of its hair that it lacks in the middle, and half the width of that
TUFT = (0.22, 0.03)  # how much the density of hair varies, and over which length
EDGE = 0.03  # over which its borders are soft
# Where a beard begins on the cheek: from the middle of the face, and below the corners of the mouth. It is sparse below
# the lip, meets the mustache beside the mouth and climbs towards the ears.
CHEEK = ((0, 0.34), (0.12, 0.3), (0.26, 0.26), (0.4, 0.04), (0.5, 0.0), (0.68, -0.04), (0.85, -0.28), (1.1, -0.8))
CHEEK_EDGE = 0.2  # over which it gets dense there
FULL = 0.3  # density of a full beard
THROAT = 0.06  # how far it goes on below the jaw


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
    place = _beside_the_lips(skin, mouth)
    cover = _cover(before, after, colour)
    sigma, weight = SMOOTH * distance, place + 1e-3
    cover = cv2.GaussianBlur(cover * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)
    density = ((cover - BARE) / (1 - 2 * BARE)).clip(0, MOST) * place * (1 - _nose(size)) * _inside(size)
    if density.max() < BARE:
        return None
    return Growth(density.astype(np.float32), _direction(points, distance, size), LENGTH * distance, SPREAD)


def _cover(before: np.ndarray, after: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(S, S) in [0, 1], the share of hair of this colour that darkens each pixel as much as a network did."""
    light, dark = brightness(before), brightness(after)
    return np.clip((light - dark) / np.maximum(light - colour.mean(), 20), 0, 1)


def _beside_the_lips(skin: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    lips = cv2.dilate((mouth > 0.3).astype(np.float32), np.ones((3, 3)))
    return skin.clip(0, 1).astype(np.float32) * (1 - cv2.GaussianBlur(lips, (0, 0), len(mouth) / 180))


def _nose(size: int) -> np.ndarray:
    """Float (S, S) in [0, 1]: the nose and the face above its tip."""
    points, distance = landmarks_in_crop(size)
    rows, columns = np.mgrid[:size, :size]
    across, below_nose = np.abs(columns - points[2, 0]) / distance, (rows - points[2, 1]) / distance
    return _ramp(across, *WING[::-1]) * _ramp(below_nose, *NOSE[::-1])


def _inside(size: int) -> np.ndarray:
    """Float (S, S) in [0, 1]: 0 at the crop's border, where hair would end too early, and 1 further inside."""
    rows, columns = np.mgrid[:size, :size]
    return (np.minimum.reduce([rows, columns, size - 1 - rows, size - 1 - columns]) / (BORDER * size)).clip(0, 1)


def full_beard(skin: np.ndarray, neck: np.ndarray, mouth: np.ndarray) -> Growth | None:
    """The hair of a short full beard with its mustache; None where no mouth shows.

    Args:
        skin, neck, mouth: (S, S) in [0, 1], what the crop shows. The beard ends with the jaw.
    """
    upper = mustache(skin, mouth)
    if upper is None:
        return None
    size = len(mouth)
    points, distance = landmarks_in_crop(size)
    rows = np.arange(size)[:, None]
    middle, corners = _middle(mouth, points), points[3:, 1].mean()
    begin = np.interp(np.abs(np.arange(size) - middle) / distance, *np.transpose(CHEEK))
    begin = cv2.GaussianBlur(begin[None].astype(np.float32), (0, 0), EDGE * distance)
    below = (rows - corners) / distance - begin
    jaw = cv2.GaussianBlur(skin.clip(0, 1).astype(np.float32), (0, 0), THROAT * distance) * 2
    place = np.maximum(skin.clip(0, 1), neck.clip(0, 1) * jaw.clip(0, 1)) * _beside_the_lips(np.ones_like(skin), mouth)
    place = place * (1 - _nose(size)) * _inside(size)
    density = FULL * _tufts(size, distance) * _ramp(below, 0, CHEEK_EDGE) * place
    return replace(upper, density=np.maximum(density, upper.density).astype(np.float32))


def _middle(mouth: np.ndarray, points: np.ndarray) -> float:
    """The column of the middle of mouth and nose."""
    used = np.nonzero((mouth > SHOWN).any(axis=0))[0]
    return float((used[0] + used[-1] + 2 * points[2, 0]) / 4)


def mustache(skin: np.ndarray, mouth: np.ndarray) -> Growth | None:
    """The hair of a mustache; None where no mouth shows.

    It follows the upper lip that the crop shows. Networks that have hardly seen mustaches but on men draw none on
    other faces, and destroy the mouth.

    Args:
        skin, mouth: (S, S) in [0, 1], what the crop shows.
    """
    size = len(mouth)
    points, distance = landmarks_in_crop(size)
    shown = mouth > SHOWN
    used = np.nonzero(shown.any(axis=0))[0]
    if len(used) < 0.2 * distance:
        return None
    lip = np.interp(np.arange(size), used, shown[:, used].argmax(axis=0)).astype(np.float32)
    lip = cv2.GaussianBlur(lip[None], (0, 0), EDGE * distance)[0]
    rows, columns = np.mgrid[:size, :size]
    across = (columns - _middle(mouth, points)) / distance
    width, height = max(MUSTACHE[0], WIDER * (used[-1] - used[0]) / 2 / distance), MUSTACHE[1]
    above = (lip[None] - rows) / distance
    tall = height * np.sqrt(np.clip(1 - (across / width) ** 4, 0, 1))
    cover = _ramp(above, -EDGE, EDGE) * _ramp(tall - above, -EDGE, EDGE) * _ramp(width - np.abs(across), 0, 3 * EDGE)
    cover *= 1 - _nose(size)
    lips = cv2.GaussianBlur(mouth.clip(0, 1).astype(np.float32), (0, 0), size / 180)
    groove = GROOVE[0] * np.exp(-((across / GROOVE[1]) ** 2))  # below the nose
    density = FULLEST * cover * (1 - groove) * _tufts(size, distance) * skin.clip(0, 1) * (1 - lips)
    if density.max() < BARE:
        return None
    return Growth(density.astype(np.float32), _direction(points, distance, size), LENGTH * distance, SPREAD)


def _tufts(size: int, distance: float) -> np.ndarray:
    """(S, S) around 1: hair grows in tufts."""
    random = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    noise = cv2.GaussianBlur(random, (0, 0), TUFT[1] * distance)
    return np.clip(1 + TUFT[0] * noise / noise.std(), 0.2, 1.3)


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
