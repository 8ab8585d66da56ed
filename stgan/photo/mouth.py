"""Mouths closed or opened by moving the photo's own lips.

A network says how far. Lips that it paints anew at a few pixels are soft and pale; the photo's own keep their colour,
their light and their detail.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import as_3x3, extent
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import drawn, warped, window

STEPS = 48
HINT = 0.3
PRIOR = 0.5
FINE = 3  # pixels of the grid per pixel of the crop


@dataclass(frozen=True)
class Lips:
    """Where a mouth is in a crop. All lengths are in its pixels."""

    columns: np.ndarray  # (N,), from corner to corner
    upper: np.ndarray  # (N,), row where the upper lip ends
    lower: np.ndarray  # (N,), row where the lower lip begins
    nose: float  # row below which the upper lip moves
    chin: float  # row above which the lower lip moves
    distance: float  # of the eyes
    lip: np.ndarray

    @classmethod
    def find(cls, rgb: np.ndarray, alignment: Alignment, mouth: np.ndarray, light: Light, closed: np.ndarray | None = None) -> "Lips | None":
        size = len(mouth)
        points, distance = landmarks_in_crop(size)
        side = FINE * size
        picture = light.normalised(drawn(rgb, window(alignment, size, 1, side), side))
        shown = cv2.resize(mouth.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
        inside = shown > 0.5
        if inside.sum() < 0.02 * (FINE * distance) ** 2:
            return None
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
        inside = pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
        used = np.nonzero(inside.any(axis=0))[0]
        first, last = used[0], used[-1] + 1
        top = inside[:, first:last].argmax(axis=0)
        bottom = side - inside[::-1, first:last].argmax(axis=0)
        smooth = 0.05 * distance * FINE
        top, bottom = (_smoothed(each, smooth) for each in (top, bottom))
        # The mouth is straightened: rows are shares of the way from its upper to its lower border.
        share = (np.arange(STEPS) + 0.5) / STEPS
        rows = top + share[:, None] * (bottom - top)
        columns = np.broadcast_to(np.arange(first, last, dtype=np.float32), rows.shape)
        straight = cv2.remap(picture, columns, rows.astype(np.float32), cv2.INTER_LINEAR)
        score = _inner(straight)
        if closed is not None:
            hint = cv2.resize(closed.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
            score = score + HINT * np.clip(cv2.remap(hint, columns, rows.astype(np.float32), cv2.INTER_LINEAR) / 15, -1, 1)
        score = 0.65 * score + 0.35 * score[:, ::-1]
        score = cv2.GaussianBlur(score, (0, 0), 1.0) + PRIOR * (0.25 - np.abs(share - 0.45))[:, None]
        middle = _path(cv2.blur(score, (7, 7)), 0.5)
        below = np.vstack([np.zeros_like(score[:1]), np.cumsum(score, axis=0)])
        row = np.arange(len(below))[:, None]
        upper = _path(np.where(row <= middle + 0.5, -below, -1e6), 0.6)
        lower = _path(np.where(row >= middle + 0.5, below, -1e6), 0.6)
        upper, lower = (_smoothed(top + each / STEPS * (bottom - top), smooth) for each in (upper, lower))
        to_crop = lambda values: (values + 0.5) / FINE - 0.5
        colour = np.median(straight[score < 0], axis=0) if (score < 0).any() else np.median(straight, axis=(0, 1))
        return cls(
            to_crop(np.arange(first, last)), to_crop(upper), to_crop(lower),
            float(points[2, 1] + 0.16 * distance), 0.0, distance, colour,
        )

    @property
    def gap(self) -> float:
        """How far the lips are apart in the middle, in eye distances."""
        n = len(self.columns)
        return float(np.mean((self.lower - self.upper)[n // 3 : n - n // 3])) / self.distance


def _smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    values = np.asarray(values, np.float32)
    ends = np.linspace(values[0], values[-1], len(values), dtype=np.float32)  # which stay where they are
    mirrored = np.concatenate([-(values - ends)[::-1], values - ends, -(values - ends)[::-1]])
    return ends + cv2.GaussianBlur(mirrored[None], (0, 0), sigma)[0, len(values) : 2 * len(values)]


def _inner(mouth: np.ndarray) -> np.ndarray:
    """Scores (h, w) of a straightened mouth (h, w, 3): positive where teeth or the dark behind lips show."""
    part = cv2.GaussianBlur(mouth, (0, 0), 0.6)
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    red = np.log((part[..., 0] + 10) / (part[..., 1] + 10))
    height, width = grey.shape
    lips, middle = np.zeros(grey.shape, bool), np.zeros(grey.shape, bool)
    centre = slice(round(0.2 * width), round(0.8 * width))
    for first, last in ((0.06, 0.16), (0.78, 0.94)):
        lips[round(first * height) : round(last * height), centre] = True
    middle[round(0.25 * height) : round(0.65 * height), centre] = True
    teeth = middle & (grey >= np.percentile(grey[middle], 80))
    lip_grey, lip_red = np.median(grey[lips]), np.median(red[lips])
    weights = [max(0.0, float(sign * (np.median(each[teeth]) - np.median(each[lips])))) / (each[lips].std() + least) ** 2
               for each, sign, least in ((grey, 1, 6.0), (red, -1, 0.03))]  # fmt: skip
    whiter = weights[0] * (grey - lip_grey) + weights[1] * (lip_red - red)
    whole = np.median(whiter[teeth])
    separate = np.clip((whole - 2) / 6, 0, 1)
    white = 4 * (whiter / max(whole, 1e-3) - 0.55)
    dark = 2 * ((lip_grey - grey) / lip_grey / 0.3 - 1)
    return np.clip(np.maximum(separate * white - 2 * (1 - separate), dark), -2, 2).astype(np.float32)


def _path(score: np.ndarray, stiffness: float) -> np.ndarray:
    """Rows (w,) of the smooth path from left to right along which a score (h, w) is highest."""
    height, width = score.shape
    steps = np.arange(height)
    bends = stiffness * np.abs(steps[:, None] - steps[None, :]).astype(np.float32) ** 1.5
    total, origins = score[:, 0].astype(np.float32), []
    for column in range(1, width):
        reached = total[:, None] - bends
        origins.append(reached.argmax(axis=0))
        total = reached.max(axis=0) + score[:, column]
    path = [int(total.argmax())]
    for origin in origins[::-1]:
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])


CLEAR = 0.012
UPPER = 0.45
REST = 0.7
CHIN = 0.62
SEAM = (0.5, 0.02)


@dataclass(frozen=True)
class Moved:
    """Maps on a grid: how far the upper and the lower lip move down, and how far a pixel lies below their new edges."""

    maps: np.ndarray  # float32 (h, w, 4) pixels of the crop
    to_grid: np.ndarray
    box: tuple


def closing(lips: Lips, share: float) -> Moved:
    """The lips brought together by a share of the gap between them."""
    clear = CLEAR * lips.distance
    gap = np.maximum(lips.lower - lips.upper, 0)
    taper = np.minimum(1, gap / (2 * clear))
    upper, lower = lips.upper - clear * taper, lips.lower + clear * taper
    gap = lower - upper
    return _moved(lips, upper, lower, UPPER * share * gap, -(1 - UPPER) * share * gap)


def _moved(lips: Lips, upper: np.ndarray, lower: np.ndarray, down: np.ndarray, up: np.ndarray) -> Moved:
    """Upper and lower edges (N,) move down by down and up (N,)."""
    d = lips.distance
    pad = 0.25 * d
    left, right = lips.columns[0] - pad, lips.columns[-1] + pad
    top, bottom = lips.nose - 2, lips.lower.max() + CHIN * d + 2
    columns, rows = np.arange(left, right, 1 / FINE), np.arange(top, bottom, 1 / FINE)[:, None]
    at = lambda values, out=None: _smoothed(np.interp(columns, lips.columns, values, left=out, right=out), 0.02 * d * FINE)
    # beyond the corners lips end, and the movement does
    new_upper, new_lower = at(upper + down), at(lower + up)
    down, up = at(down, 0.0), at(up, 0.0)
    above = np.clip((rows - lips.nose) / np.maximum(new_upper - lips.nose, 1), 0, None)
    chin = lips.lower.max() + CHIN * d
    below = np.clip((chin - rows) / np.maximum(chin - new_lower, 1), 0, None)
    maps = np.dstack([down * _eased(above), up * _eased(below), rows - new_upper, rows - new_lower]).astype(np.float32)
    to_grid = np.array([[FINE, 0, -FINE * columns[0]], [0, FINE, -FINE * rows[0, 0]]])
    return Moved(maps, to_grid, (left, top, right, bottom))


def _eased(share: np.ndarray) -> np.ndarray:
    inside = np.minimum(share, 1)
    return (3 - REST) * inside**2 - (2 - REST) * inside**3 + REST * (share - inside)


def move_lips(rgb: np.ndarray, alignment: Alignment, moved: Moved, share: np.ndarray, distance: float, inner=None, light: Light = USUAL_LIGHT) -> np.ndarray:
    result = rgb.copy()
    left, top, right, bottom = extent(alignment.matrix, moved.box, rgb.shape, margin=1)
    part = result[top:bottom, left:right]
    maps = warped(moved.maps, moved.to_grid @ as_3x3(alignment.matrix), (left, top), part.shape)
    free = warped(share.astype(np.float32), alignment.matrix, (left, top), part.shape)
    upper, lower, past_upper, past_lower = cv2.split(maps)
    inside = _inside_box(moved, alignment, (left, top), part.shape)
    free = free * inside
    axis = alignment.inverse[:, 1].astype(np.float32)
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]].astype(np.float32)
    soft = 1.2 * alignment.scale
    source = part.astype(np.float32)
    result_part = source if inner is None else inner
    for shift, cover in ((upper, np.clip(0.5 - past_upper / soft, 0, 1)), (lower, np.clip(0.5 + past_lower / soft, 0, 1))):
        origin = columns - shift * free * axis[0], rows - shift * free * axis[1]
        lip = cv2.remap(part, *origin, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        result_part = result_part + cover[..., None] * (lip - result_part)
    gap = np.clip(past_upper - past_lower, 0, None)
    depth, width = SEAM
    moving = np.clip((np.abs(upper) + np.abs(lower)) / (0.02 * distance), 0, 1) * free
    seam = depth * np.exp(-((0.5 * (past_upper + past_lower) / (width * distance)) ** 2)) * np.clip(1 - gap / (0.05 * distance), 0, 1) * moving
    result_part = result_part * (1 - seam[..., None])
    changed = (np.abs(upper) + np.abs(lower)) * free > 1e-3
    part[...] = cv2.add(part, ((result_part - source) * changed[..., None]).astype(np.float32), dtype=cv2.CV_8U)
    return result


def _inside_box(moved, alignment, corner, shape):
    inner = np.zeros(moved.maps.shape[:2], np.float32)
    inner[1:-1, 1:-1] = 1
    to_image = moved.to_grid @ as_3x3(alignment.matrix) @ np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
    return cv2.warpAffine(inner, to_image, (shape[1], shape[0]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
