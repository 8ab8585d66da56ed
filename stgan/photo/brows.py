"""Brows: new hairs are drawn into the photo's own, as many as a network's brows are darker; thinner brows are the
photo's own, drawn together."""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import extent
from stgan.photo.matte import warped
from stgan.photo.strokes import Growth, brightness

LEAST = 8.0  # levels of change: less is no edit
FAINT, MOST = 0.14, 0.8  # density that is no hair yet, and that of the densest brows
# Lengths are in eye distances.
ABOVE, BELOW = 0.13, 0.1  # how far bushy brows grow beyond the photo's own
LENGTH = 0.17  # of a hair
SPREAD = 0.22  # radians
# Degrees above the brow's line in which hairs grow: at its inner end, in addition to the usual, and towards its edge.
INNER, USUAL, EDGE = 70.0, 12.0, 26.0
THINNER = 0.42  # of its thickness and darkness that a brow loses at most
NARROWEST = 4  # pixels of the crop: what is narrower is no brow
REACH = 2.4  # half thicknesses of a brow from its middle, within which the photo moves


def read_bushy(before: np.ndarray, after: np.ndarray, brows: np.ndarray) -> Growth | None:
    """The hair that bushier brows need in addition; None if they are not drawn, or the photo shows no brows.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's crop without and with bushy brows.
        brows: (S, S) in [0, 1], the photo's own.
    """
    size, own = len(before), brows.astype(np.float32)
    points, distance = landmarks_in_crop(size)
    light, dark = brightness(before), brightness(after)
    above, below = round(ABOVE * distance), round(BELOW * distance)
    kernel = np.ones((above + below + 1, 2 * below + 1), np.uint8)
    near = cv2.dilate((own > 0.3).astype(np.float32), kernel, anchor=(below, below))
    darker = np.clip(light - dark, 0, None) * cv2.GaussianBlur(near, (0, 0), 0.03 * distance)
    if darker.max() < LEAST:
        return None
    hair = np.percentile(dark[darker > darker.max() / 2], 25)
    cover = np.clip(darker / np.maximum(light - hair + 15, 20), 0, 1)
    density = MOST * np.clip((cover - FAINT) / (0.87 - FAINT), 0, 1) ** 1.15
    direction = np.zeros((size, size, 2), np.float32)
    for side in (-1, 1):
        brow = _Brow.of(density + own, side, points)
        if brow is not None:
            half, across, rows = brow.half(size)
            direction[half] = brow.direction(across, rows)[half]
    density *= (direction != 0).any(axis=2)
    if density.max() < FAINT:
        return None
    return Growth(density.astype(np.float32), direction, LENGTH * distance, SPREAD)


@dataclass(frozen=True)
class _Brow:
    """One brow: a parabola along its middle, and its ends and thickness in pixels of the crop."""

    curve: np.ndarray  # (3,), row as a polynomial in the distance from the middle of the face
    ends: tuple[float, float]  # distances from the middle of the face
    thickness: float  # half of it
    side: int  # -1 on the left of the image, 1 on its right
    middle: float  # column

    @classmethod
    def of(cls, weight: np.ndarray, side: int, points: np.ndarray) -> "_Brow | None":
        """From weights (S, S) and landmarks (5, 2). None where there are next to none."""
        rows, columns = np.mgrid[: len(weight), : len(weight)]
        middle = float(points[:2, 0].mean())
        across = side * (columns - middle)
        inside = (across > 0) & (weight > 0.15)
        if np.count_nonzero(inside.any(axis=0)) < NARROWEST:
            return None
        x, y, share = across[inside], rows[inside], weight[inside]
        curve = np.polyfit(x, y, 2, w=np.sqrt(share))
        first, last = np.percentile(x, (2, 98))
        spread = np.sqrt(np.average((y - np.polyval(curve, x)) ** 2, weights=share))
        return cls(
            curve, (float(first), max(float(last), float(first) + 1)), max(1.0, 1.7 * float(spread)), side, middle
        )

    def half(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """This half of a crop, bool (S, S), and of all pixels their distance from the middle of the face and row."""
        rows, columns = np.mgrid[:size, :size]
        across = self.side * (columns - self.middle)
        return across > 0, across, rows

    def above(self, across: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """How far pixels are above the brow's middle, in half thicknesses."""
        return (np.polyval(self.curve, across.clip(*self.ends)) - rows) / self.thickness

    def direction(self, across: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(..., 2): hairs rise at the inner end, lie along the brow further out, and meet at its middle."""
        share = np.clip((across - self.ends[0]) / (self.ends[1] - self.ends[0]), 0, 1)
        rise = np.arctan(-np.polyval(np.polyder(self.curve), across.clip(*self.ends)))
        lean = (
            INNER * (1 - share) ** 2.5 + USUAL - EDGE * self.above(across, rows).clip(-1, 1) * np.minimum(1, 3 * share)
        )
        angle = rise + np.radians(lean)
        return np.stack([self.side * np.cos(angle), -np.sin(angle)], axis=-1)


@dataclass(frozen=True)
class Thinning:
    """Thinner brows in a crop; lengths are in its pixels."""

    moved: np.ndarray  # float32 (S, S), how far below each pixel the photo shows what it is to show
    lighter: np.ndarray  # float32 (S, S) in [0, 1], the share of their darkness that brows lose
    thickness: float  # of the photo's brows
    farthest: float  # that brows which lose most would move

    @classmethod
    def read(cls, before: np.ndarray, after: np.ndarray, brows: np.ndarray, strength: float) -> "Thinning | None":
        """From a crop without and with a network's thinner brows, float (S, S, 3) in [0, 255], and the photo's own,
        (S, S) in [0, 1]. None if it thinned none. ``strength``: of the edit, up to 1."""
        size, own = len(before), brows.astype(np.float32)
        points, distance = landmarks_in_crop(size)
        old, new = brightness(before), brightness(after)
        side = 2 * round(0.2 * distance) + 1
        skin = cv2.morphologyEx(old, cv2.MORPH_CLOSE, np.ones((side, side)))
        parts = [brow for side in (-1, 1) if (brow := _Brow.of(own, side, points)) is not None]
        if not parts or (lost := float(((new - old) * own).sum() / max(((skin - old) * own).sum(), 1))) < 0.05:
            return None
        loss = THINNER * min(1.0, lost) * min(1.0, strength)
        pull = np.zeros((size, size), np.float32)
        for brow in parts:
            half, across, rows = brow.half(size)
            below = -brow.above(across, rows)
            fade = np.clip(1 - (np.abs(below) / REACH) ** 2, 0, 1) ** 2
            beyond = np.maximum(brow.ends[0] - across, across - brow.ends[1]) / (2 * brow.thickness)
            pull[half] = (below * brow.thickness * fade * np.clip(1 - beyond, 0, 1))[half]
        lighter = loss * cv2.GaussianBlur(cv2.dilate(own, np.ones((3, 3))), (0, 0), 1.0)
        farthest = float(np.abs(pull).max()) * THINNER / (1 - THINNER)
        return cls(pull * loss / (1 - loss), lighter, 2 * max(brow.thickness for brow in parts), farthest)


def thin_brows(rgb: np.ndarray, alignment: Alignment, thinning: Thinning, share: np.ndarray) -> np.ndarray:
    """The photo with thinner brows: uint8 (H, W, 3).

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of the crop.
        share: float (S, S) in [0, 1], where the crop may change.
    """
    result, reach = rgb.copy(), thinning.farthest + 2 * thinning.thickness
    rows, columns = (np.nonzero((thinning.lighter > 0).any(axis=axis))[0] for axis in (1, 0))
    sides = (columns[0] - reach, rows[0] - reach, columns[-1] + reach, rows[-1] + reach)
    left, top, right, bottom = extent(alignment.matrix, sides, rgb.shape, margin=2)
    part = result[top:bottom, left:right]
    side = 2 * int(np.ceil(thinning.farthest)) + 1
    near = cv2.blur(cv2.erode(share.astype(np.float32), np.ones((side, side))), (3, 3))  # nor is an eye drawn upwards
    maps = np.dstack([thinning.moved * near, thinning.lighter * near]).astype(np.float32)
    moved, lighter = cv2.split(warped(maps, alignment.matrix, (left, top), part.shape))
    changed = (np.abs(moved) > 1e-3) | (lighter > 1e-3)
    side = 2 * round(0.7 * thinning.thickness / alignment.scale) + 1
    box = _box(changed, margin=2 * side)  # as far as the filters below reach
    moved, lighter, changed, old = moved[box], lighter[box], changed[box], part[box]
    down = alignment.inverse[:, 1].astype(np.float32)  # of the face, in pixels of the photo per pixel of the crop
    y, x = np.mgrid[box].astype(np.float32)
    origin = x + moved * down[0], y + moved * down[1]
    thin = cv2.remap(part, *origin, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    skin = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, np.ones((side, side)))
    skin = cv2.GaussianBlur(skin, (0, 0), side / 6)
    change = (thin - old + lighter[..., None] * np.maximum(skin - thin, 0)) * changed[..., None]
    old[...] = cv2.add(old, change, dtype=cv2.CV_8U)
    return result


def _box(where: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rows and columns around the pixels (h, w) where something is so, at least one."""
    ranges = []
    for axis, size in ((1, where.shape[0]), (0, where.shape[1])):
        found = np.flatnonzero(where.any(axis=axis))
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, 0)
        ranges.append(slice(max(0, first - margin), min(size, last + 1 + margin)))
    return ranges[0], ranges[1]
