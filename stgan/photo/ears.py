"""Ears of a bald head: drawn where hair hides them, and whole where it hides their tops.

Places are (x, y) in eye distances from the middle between the eyes; y is positive upwards. Sides are -1 for the left of
the image and 1 for its right.
"""

import cv2
import numpy as np

from stgan.photo.geometry import smoothstep
from stgan.photo.matte import Silhouette
from stgan.photo.skull import EAR_HEIGHT, Skull, eye_frame, places

ALONG, ACROSS = 0.41, 0.125  # half the length and the width of an ear
ATTACHED = (-0.6, 0.15)  # heights over which it follows the head
TILT = np.deg2rad([4.0, 20.0])  # by which it does so
SHOWS, HIDES = 0.08, 0.09  # squared eye distances: of skin where an ear shows, and of hair that hides one
SHOWS_BELOW, LOWEST = 0.055, -0.6  # likewise, beside a skull, and the height down to which that counts
WIDE_OPEN = 0.44  # turn of a head at which it shows an ear from its side
LEAST = 0.04  # width of an ear beside a head, in whose place there is a top to draw
UNDER = 0.06  # below the highest place that shows of an ear, down to which its top is drawn
ROUND = 1.3  # height of that, in widths
TOP = (0.08, 0.3)  # likewise, in eye distances
HIGHEST = 0.4
COVERED = 0.4  # share of hair above an ear that covers its top


def hidden_ears(skull: Skull, silhouette: Silhouette, skin: np.ndarray) -> list[int]:
    """The sides on which hair hides an ear."""
    (x, y), pixel = places(len(skin)), 1 / eye_frame(len(skin))[1] ** 2
    _, _, edge = skull.coordinates(x, y)
    hidden = []
    for way in (-1, 1):
        shows = (skin > 0.5) & (way * x > 1.12) & (y > -0.3) & (y < 0.25)
        lower = (skin > 0.5) & (way * x > 0) & (y > LOWEST) & (y < 0.25) & (edge < -0.02) & (edge > -0.5)
        hides = silhouette.hair * ((way * x > 1) & (way * x < 1.4) & (y > -0.5) & (y < 0.2))
        if pixel * shows.sum() < SHOWS and pixel * lower.sum() < SHOWS_BELOW and pixel * hides.sum() > HIDES:
            hidden.append(way)
    return hidden


def width_of_ear(skull: Skull, way: int) -> float:
    """The share of its width that an ear shows as the head turns."""
    return float(np.clip(1 + way * skull.middle / WIDE_OPEN, 0.25, 1.25))


def draw_ear(skull: Skull, x: np.ndarray, y: np.ndarray, edge: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray]:
    """An ear on one side: the distance inside of its outline, float32 (H, W) in eye distances, and the logarithm of its
    brightness, compared with the skin beside it.

    Args:
        x, y: places, float32 (H, W).
        edge: the distance inside of the head there.

    It is as wide as a head that is turned shows it, and leans as the side of the head does.
    """
    half = ACROSS * width_of_ear(skull, way)
    root, lean = _side(skull, x, y, edge, way)
    lobe = skull.lobes[way > 0] - root - 0.9 * half  # it may show that the ear sticks out
    aside, up = way * x - root - 0.45 * half - float(np.clip(lobe, 0, 0.15)), y - EAR_HEIGHT
    cos, sin = np.cos(lean), np.sin(lean)
    across, along = (cos * aside - sin * up) / half, (sin * aside + cos * up) / ALONG
    across = across / np.interp(along, (-1, -0.6, 0, 0.45, 1), (0.8, 0.75, 0.92, 1.0, 0.95))  # the lobe is narrow
    radius = np.hypot(across, along)
    shade, near = np.zeros_like(radius), np.argwhere(radius < 1.3)
    if len(near):
        box = tuple(slice(first, last + 1) for first, last in zip(near.min(axis=0), near.max(axis=0), strict=True))
        shade[box] = _relief(across[box], along[box], radius[box], abs(float(x[0, 1] - x[0, 0])))
    return ((1 - radius) * half).astype(np.float32), shade.astype(np.float32)


def top_of_ear(
    x: np.ndarray, y: np.ndarray, edge: np.ndarray, ear: np.ndarray, hair: np.ndarray, way: int
) -> np.ndarray:
    """The distance inside of the top of an ear (H, W) that hair covers, given what shows of it, bool (H, W), and hair
    (H, W) in [0, 1]. Far below 0 everywhere if none is covered."""
    none = np.full(x.shape, -np.inf, np.float32)
    if not ear.any():
        return none
    highest = float(np.quantile(y[ear], 0.97))
    upper = ear & (y > highest - 0.15)
    outer = float(np.quantile(way * x[upper], 0.95))
    row = np.abs(y[:, 0] - highest).argmin()
    inner = float(np.max(way * x[row], where=edge[row] > 0, initial=-9.0))
    width = outer - inner
    above = (np.abs(y - highest - 0.08) < 0.06) & (way * x > inner) & (way * x < outer)
    if width < LEAST or not above.any() or hair[above].mean() < COVERED:
        return none
    high = min(float(np.clip(ROUND * width, *TOP)), HIGHEST - highest) + UNDER
    if high <= UNDER:
        return none
    aside, up = np.maximum(way * x - inner, 0) / width, (y - highest + UNDER) / high
    there = (1 - np.hypot(aside, up)) * min(width, high)
    return np.where((up > 0) & (way * x > inner - 0.1), there, -np.inf).astype(np.float32)


def _side(skull: Skull, x: np.ndarray, y: np.ndarray, edge: np.ndarray, way: int) -> tuple[float, float]:
    """How far from the middle a head ends at the height of its ears, and by which angle it leans there."""
    heights = y[:, 0]
    ends = np.max(way * x, axis=1, where=edge > 0, initial=-9.0)
    rows = (heights > ATTACHED[0]) & (heights < ATTACHED[1]) & (ends > -9)
    if rows.sum() < 3:
        return skull.across, float(TILT[0])
    slope, root = np.polyfit(heights[rows] - EAR_HEIGHT, ends[rows], 1)
    return float(root), float(np.clip(np.arctan(slope), *TILT))


def _relief(across: np.ndarray, along: np.ndarray, radius: np.ndarray, step: float) -> np.ndarray:
    """The logarithm of the brightness of an ear lit from above and in front, given places on it from -1 to 1.

    ``step``: eye distances from one pixel to the next.
    """
    lobe = smoothstep(-along, 0.5, 0.8)
    rim = np.exp(-(((radius - 0.84) / 0.13) ** 2)) * (1 - lobe) * smoothstep(across, -0.9, -0.2)
    fold = np.exp(-(((np.hypot(across + 0.12, along - 0.05) - 0.5) / 0.15) ** 2)) * (1 - lobe)
    fold *= smoothstep(across, -0.35, 0.1)
    bowl = np.exp(-(((across + 0.2) / 0.32) ** 2) - ((along + 0.12) / 0.3) ** 2)
    tragus = np.exp(-(((across + 0.75) / 0.22) ** 2) - ((along + 0.15) / 0.18) ** 2)
    height = 0.05 * rim + 0.035 * fold - 0.05 * bowl + 0.03 * tragus + 0.02 * lobe * (1 - radius**2)
    height -= 0.06 * np.clip(radius - 0.9, 0, 0.2)  # it bends back
    down, right = np.gradient(cv2.GaussianBlur(height, (0, 0), 0.012 / step), step)
    light = (0.75 + 0.5 * down - 0.15 * np.abs(right)) / np.sqrt(1 + down**2 + right**2) / 0.75
    valley = np.exp(-(((radius - 0.66) / 0.1) ** 2)) * (1 - lobe)
    shade = 0.65 * np.log(light.clip(0.5, 1.4)) - 0.36 * bowl - 0.08 * valley
    result: np.ndarray = shade - 0.25 * smoothstep(-across, 0.7, 1.0)  # it grows out of the head
    return result
