"""Mouths closed or opened by moving the photo's own lips.

Lips that a network paints, at a few pixels, are soft and pale; the photo's own keep their colour, light and detail.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.drawing.lips import Lips, smoothed
from stgan.photo.align import Alignment
from stgan.photo.geometry import as_3x3, extent
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import warped

# Lengths are in eye distances.
CLEAR, CLEAREST = 0.012, 0.08  # that lips leave behind at least and most when they close: there teeth shine through
UPPER = 0.45  # of the way, which the upper lip goes when a mouth closes; the lower one goes the rest
RAISED = 0.2  # likewise when it opens
OPEN = 0.13  # between the lips of a mouth that was opened, in the middle
ROUND = 0.8  # exponent of the parabola of its edges
CHIN = 0.62  # below the lower lip, where the movement ends
LIP = 0.7  # slope of the movement at a lip's edge: 0 moves it as it is, 2 stretches nothing but the lip
SEAM, SEAM_HUE = (
    0.38,
    -0.5,
)  # share of their light that closed lips take from each other's edge, the least of their own hue
SEAM_WIDTH = 0.014
TOOTH, INCISOR = 0.075, 0.13  # length of teeth that show, and width of the largest
EDGES = INCISOR * np.array([0, 1.0, 1.78, 2.6])  # between teeth, from the middle of the mouth
ROUNDED = (0.012, 0.03)  # height and width of the rounded corners of teeth
SOFT = 0.012  # of the edges of teeth
GAP = (0.16, 0.007)  # share of their light that teeth lose where they meet, and over which width
WHITE = (1.15, 120.0, 205.0)  # brightness of teeth: that of the skin times the first, in levels at least and at most
WHITE_HUE, DARK_HUE = 0.6, 1.6  # exponents of the hue of the skin in teeth, and of the lips in the dark behind them
DARK = 0.33  # brightness of that, of the lips'
PIXEL = 1.2  # pixels of the photo over which a lip's edge changes
CLOSED = 0.04  # gap between lips: with a smaller one there is nothing to close
TOOTHY = 0.5  # certainty that teeth show, above which a mouth is open


@dataclass(frozen=True)
class Movement:
    """Lips that move in a crop, as smooth maps on a grid, in pixels of the crop."""

    maps: np.ndarray  # float32 (h, w, 5): how far each lip moves down, how far below their new edges, column
    to_grid: np.ndarray  # (2, 3), pixels of the crop to pixels of the grid
    box: tuple[float, float, float, float]  # left, top, right, bottom in the crop
    lips: Lips
    opens: bool

    @classmethod
    def closing(cls, lips: Lips, strength: float) -> "Movement | None":
        """The lips brought together by a share of the gap between them. None where there is none."""
        if lips.gap < CLOSED:
            return None
        above, below = CLEAR * lips.distance, np.clip(lips.rim, CLEAR * lips.distance, CLEAREST * lips.distance)
        gap = np.maximum(lips.lower - lips.upper, 0)
        taper = np.minimum(1, gap / (above + below))
        upper, lower = lips.upper - above * taper, lips.lower + below * taper
        way = min(strength, 1.0) * (lower - upper)
        return cls._of(lips, upper, lower, UPPER * way, (UPPER - 1) * way, opens=False)

    @classmethod
    def opening(cls, lips: Lips, strength: float) -> "Movement | None":
        """Closed lips moved apart, more or less than usual. None where teeth show already."""
        if lips.toothy > TOOTHY:
            return None
        half = np.ptp(lips.columns) / 2
        parabola = 1 - ((lips.columns - lips.columns.mean()) / half) ** 2
        way = OPEN * strength * lips.distance * np.clip(parabola, 0, 1) ** ROUND
        return cls._of(lips, lips.seam, lips.seam, -RAISED * way, (1 - RAISED) * way, opens=True)

    @classmethod
    def _of(
        cls, lips: Lips, upper: np.ndarray, lower: np.ndarray, down: np.ndarray, lower_down: np.ndarray, opens: bool
    ) -> "Movement":
        """Edges (N,) of both lips, which move down by so much."""
        distance, chin = lips.distance, float(lips.lower.max()) + CHIN * lips.distance
        margin = 0.2 * distance
        box = (lips.columns[0] - margin, lips.nose - 2, lips.columns[-1] + margin, chin + 2)
        fine = lips.fine
        columns, rows = np.arange(box[0], box[2], 1 / fine), np.arange(box[1], box[3], 1 / fine)[:, None]

        def along(values: np.ndarray, beyond: float | None = None) -> np.ndarray:
            values = np.interp(columns, lips.columns, values, left=beyond, right=beyond)
            return smoothed(values, 0.02 * distance * fine)

        edges = along(upper + down), along(lower + lower_down)
        above = np.clip((rows - lips.nose) / np.maximum(edges[0] - lips.nose, 1), 0, None)
        below = np.clip((chin - rows) / np.maximum(chin - edges[1], 1), 0, None)
        moved = along(down, 0.0) * _eased(above), along(lower_down, 0.0) * _eased(below)
        maps = np.dstack([*moved, rows - edges[0], rows - edges[1], np.broadcast_to(columns, moved[0].shape)])
        to_grid = np.array([[fine, 0, -fine * box[0]], [0, fine, -fine * box[1]]])
        return cls(maps.astype(np.float32), to_grid, box, lips, opens)


def move_lips(
    rgb: np.ndarray, alignment: Alignment, movement: Movement, share: np.ndarray, *, light: Light = USUAL_LIGHT
) -> np.ndarray:
    """The photo with its lips moved: uint8 (H, W, 3). Between them it stays, or shows what an open mouth does.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of the crop.
        share: float (S, S) in [0, 1], where the crop may change.
        light: of the photo.
    """
    result, distance = rgb.copy(), movement.lips.distance
    left, top, right, bottom = extent(alignment.matrix, movement.box, rgb.shape, margin=0)
    part, corner = result[top:bottom, left:right], (left, top)
    whole = np.pad(np.ones(np.subtract(movement.maps.shape[:2], 2), np.float32), 1)
    to_grid = movement.to_grid @ as_3x3(alignment.matrix)
    upper, lower, past_upper, past_lower, column, inside = cv2.split(
        warped(np.dstack([movement.maps, whole]), to_grid, corner, part.shape)
    )
    free = inside * warped(share.astype(np.float32), alignment.matrix, corner, part.shape)
    soft = PIXEL * alignment.scale
    source: np.ndarray = part.astype(np.float32)
    new: np.ndarray = source
    if movement.opens:
        new = light.restored(_inner_mouth(movement.lips, past_upper, column))
    rows, columns = np.mgrid[: part.shape[0], : part.shape[1]].astype(np.float32)
    down = alignment.inverse[:, 1].astype(np.float32)  # of the face, in pixels of the photo per pixel of the crop
    for moved, cover in ((upper, 0.5 - past_upper / soft), (lower, 0.5 + past_lower / soft)):
        origin = columns - moved * free * down[0], rows - moved * free * down[1]
        lip = cv2.remap(part, *origin, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        new = new + np.clip(cover, 0, 1)[..., None] * (lip - new)
    way = np.abs(upper) + np.abs(lower)
    if not movement.opens:
        line = np.exp(-(((past_upper + past_lower) / (2 * SEAM_WIDTH * distance)) ** 2))
        line *= np.clip(1 - (past_upper - past_lower) / (0.05 * distance), 0, 1)
        line *= free * np.clip(way / (0.08 * distance), 0, 1)
        lip = movement.lips.colour
        new = new * (1 - line[..., None] * SEAM * (lip / lip.mean()) ** SEAM_HUE).astype(np.float32)
    changed = way * free > 1e-3
    part[...] = cv2.add(part, ((new - source) * changed[..., None]).astype(np.float32), dtype=cv2.CV_8U)
    return result


def _eased(share: np.ndarray) -> np.ndarray:
    """A movement from 0 at the share 0, where it begins gently, to 1 at the share 1, a lip's edge."""
    inside = np.minimum(share, 1)
    return (3 - LIP) * inside**2 - (2 - LIP) * inside**3 + LIP * (share - inside)


def _inner_mouth(lips: Lips, below: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Upper teeth above the dark of a mouth, float32 (h, w, 3), at pixels (h, w) of a column of the crop and so far
    below the upper lip, both in pixels of the crop."""
    depth = below / lips.distance
    across = np.abs(column - lips.columns.mean()) / lips.distance
    side = np.clip(2 * across * lips.distance / np.ptp(lips.columns), 0, 1)
    lip, skin = lips.colour.mean(), lips.skin.mean()
    cavity = DARK * lip * (lips.colour / lip) ** DARK_HUE * (1 + 0.5 * np.clip(depth / OPEN, 0, 1))[..., None]
    beside = np.abs(across[..., None] - EDGES).min(axis=-1)
    length = TOOTH * (1 - 0.45 * side**2) - ROUNDED[0] * (1 - np.clip(beside / ROUNDED[1], 0, 1)) ** 2
    tooth = np.clip(0.5 - (depth - length) / SOFT, 0, 1)
    lit = (0.6 + 0.4 * np.clip(depth / 0.05, 0, 1)) * (1 - 0.75 * side**2)  # in the shade of the lip and of the cheeks
    lit = lit * (1 - GAP[0] * np.exp(-((beside / GAP[1]) ** 2)))
    white = np.clip(WHITE[0] * skin, *WHITE[1:]) * (lips.skin / skin) ** WHITE_HUE
    return (cavity + (tooth * lit)[..., None] * (white - cavity)).astype(np.float32)
