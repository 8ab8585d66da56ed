"""Bangs: the photo's own hair drawn down over the forehead, as far as a network drew a fringe.

Painted at a few pixels, a fringe is a soft stain. Hair that is stretched downwards keeps its strands, its light and the
tips of its own border.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import extent
from stgan.photo.matte import Matte, Silhouette, warped

DRAWN = (12.0, 40.0)  # levels of change, below and above which a network did not draw hair and did
# Lengths are in eye distances.
BROWS = 0.4  # height of the brows over the eyes; no fringe hangs lower
SIDE = 0.95  # from the middle of the face to the sides, where no fringe grows
LEAST = 0.06  # length of the longest fringe that is none
THINNEST = 0.2  # depth of hair over the forehead that is enough to draw from
DEEPEST = 1.1  # of the hair that moves
LONGEST = 1.2  # mean length of a fringe over the depth of its hair: short hair that is stretched further becomes smears
SMOOTH = 0.13  # over which the fringe's length varies
BELOW = 0.5  # over which the movement ends below the fringe; what moves there is skin, and not shown
SLACK = 1.5  # exponent of the movement from the top of the hair to its border: hair at the top hardly moves
# Share of the light that a fringe takes from the skin below it, how far down, and how softly.
SHADE = (0.25, 0.05, 0.06)
SHARPER = 0.8  # share of their fine detail that is added to strands, which lose some when they are stretched


@dataclass(frozen=True)
class Fringe:
    """A fringe in a crop: how far its hair moves down, float32 (S, S) in pixels of the crop."""

    moved: np.ndarray
    distance: float  # of the eyes, pixels of the crop
    stretch: float  # its mean length over the depth of its hair

    @classmethod
    def read(cls, before: np.ndarray, after: np.ndarray, hair: np.ndarray) -> "Fringe | None":
        """From a crop without and with drawn bangs, float (S, S, 3) in [0, 255], and its hair, (S, S) in [0, 1].

        None if no bangs were drawn, or there is too little hair over the forehead for a fringe as long as drawn.
        """
        size = len(hair)
        landmarks, distance = landmarks_in_crop(size)
        middle = landmarks[:2].mean(axis=0)
        drawn = np.clip((np.abs(after - before).max(axis=2) - DRAWN[0]) / (DRAWN[1] - DRAWN[0]), 0, 1)
        lowest = int(middle[1] - BROWS * distance)
        border, depth = _border(hair, lowest)
        rows = np.arange(size)[:, None]
        length = (drawn * (rows > border) * (rows <= lowest)).sum(axis=0)
        inside = np.abs(np.arange(size) - middle[0]) < SIDE * distance
        length *= inside & (depth > THINNEST * distance)
        depth = np.minimum(depth, DEEPEST * distance)
        length, border, depth = (_blurred(each, SMOOTH * distance) for each in (length, border, depth))
        length = np.minimum(length, np.maximum(lowest - border, 0))
        stretch = (length**2).sum() / max((length * depth).sum(), 1e-6)
        if length.max() < LEAST * distance or stretch > LONGEST:
            return None
        share = np.clip((rows - border + depth) / np.maximum(depth + length, 1e-3), 0, 1)
        ends = np.clip(1 - (rows - border - length) / (BELOW * distance), 0, 1)
        return cls((length * share**SLACK * ends).astype(np.float32), distance, float(stretch))


def draw_fringe(
    rgb: np.ndarray, alignment: Alignment, fringe: Fringe, share: np.ndarray, silhouette: Silhouette
) -> np.ndarray:
    """The photo with a fringe: uint8 (H, W, 3).

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of the crop that the fringe is in.
        share: float (S, S) in [0, 1], where the crop may change.
        silhouette: where the hair is.
    """
    size, result = len(share), rgb.copy()
    rows, columns = (np.nonzero(fringe.moved.max(axis=axis) > 0)[0] for axis in (1, 0))
    reach = float(fringe.moved.max()) + 2
    box = (columns[0] - 1.0, rows[0] - reach, columns[-1] + 1.0, rows[-1] + reach)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=2)
    part = result[top:bottom, left:right]
    hair = Matte.fitted(rgb, alignment, size, silhouette.hair).of(part, (left, top))[0]
    moved, free = cv2.split(
        warped(np.dstack([fringe.moved, share.astype(np.float32)]), alignment.matrix, (left, top), part.shape)
    )
    down = alignment.inverse[:, 1].astype(np.float32)  # of the face, in pixels of the photo per pixel of the crop
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]].astype(np.float32)
    origin = columns - moved * down[0], rows - moved * down[1]
    strands = cv2.remap(part, *origin, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    strands += SHARPER * np.clip(moved, 0, 1)[..., None] * (strands - cv2.GaussianBlur(strands, (0, 0), 1.0))
    cover = free * cv2.remap(hair, *origin, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light = 1 - free * _shade(hair, cover, fringe.distance * down)
    skin = part * light[..., None]
    changed = ((moved > 1e-3) & (cover > 0)) | (light < 1)
    change = (skin - part + cover[..., None] * (strands - skin)) * changed[..., None]
    part[...] = cv2.add(part, change.astype(np.float32), dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


def _border(hair: np.ndarray, lowest: int) -> tuple[np.ndarray, np.ndarray]:
    """For each column of a crop the row where the hair over the forehead ends, and the hair's depth there, (S,) each.

    It ends at the row ``lowest`` at most. Without hair the row is -1 and the depth 0.
    """
    size = len(hair)
    rows = np.arange(size)[:, None]
    is_hair = (hair > 0.5) & (rows <= lowest)
    border = np.where(is_hair.any(axis=0), size - 1 - is_hair[::-1].argmax(axis=0), -1)
    gap = ~is_hair & (rows < border)
    top = np.where(gap.any(axis=0), size - 1 - gap[::-1].argmax(axis=0), -1)
    return border, border - top


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(values[None].astype(np.float32), (0, 0), sigma)[0]


def _shade(hair: np.ndarray, cover: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Share (h, w) of the light that a fringe takes, given hair (h, w) before and after and ``down``, (2,): an eye
    distance along the face, pixels."""
    strength, shift, softness = SHADE
    new = cv2.GaussianBlur(np.clip(cover - hair, 0, 1), (0, 0), softness * float(np.hypot(*down)))
    shifted = np.array([[1, 0, shift * down[0]], [0, 1, shift * down[1]]])
    return strength * cv2.warpAffine(new, shifted, new.shape[::-1])
