"""Lips: where they end and teeth begin, followed at a finer resolution than a parser sees."""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import best_path
from stgan.photo.light import Light
from stgan.photo.matte import drawn, window

GRID = 384  # pixels of the grid across the crop, which the other counts of pixels are for
STEPS = 48  # rows of a straightened mouth
SMALLEST = 0.02  # of a mouth, in squared eye distances
NARROWEST = 15  # likewise, in pixels of the grid
MIDDLE = slice(0.25, 0.65)  # rows of a straightened mouth between which lips meet
HINT = (0.3, 15.0)  # weight of what a network painted over, and the levels of its change that count as certain
USUAL = (0.5, 0.45)  # weight of the usual place of teeth, and its middle
MIRROR = 0.35  # weight of the other half of the face
SMOOTH = 0.065  # of a lip's edge, in eye distances
STIFFNESS = 0.6  # cost of a step of a lip's edge
RIM = 10  # rows of the grid below a lower lip's edge, in which teeth may show
NOSE = 0.16  # from the nose's tip down to the upper lip's beginning, in eye distances


@dataclass(frozen=True)
class Lips:
    """A mouth in a crop; lengths are in its pixels."""

    columns: np.ndarray  # (N,), from corner to corner
    upper: np.ndarray  # (N,), rows where the upper lip ends
    lower: np.ndarray  # (N,), rows where the lower lip begins
    seam: np.ndarray  # (N,), rows where closed lips meet
    nose: float  # row at which the upper lip begins
    distance: float  # of the eyes
    colour: np.ndarray  # (3,), levels of the lips in the networks' light
    skin: np.ndarray  # (3,), levels of the skin around them
    toothy: float  # in [0, 1], how certain it is that teeth show
    rim: float  # how far teeth still show below the lower lip's edge
    fine: float  # pixels of the grid per pixel of the crop

    @classmethod
    def find(
        cls, rgb: np.ndarray, alignment: Alignment, mouth: np.ndarray, light: Light, painted_over: np.ndarray
    ) -> "Lips | None":
        """The lips of a photo uint8 (H, W, 3); None if the mouth is too small.

        Args:
            alignment: of the crop.
            mouth: (S, S) in [0, 1], lips and what is between them, by a parser.
            painted_over: (S, S), by how many levels a network darkened the crop to close the mouth.
        """
        size = len(mouth)
        points, distance = landmarks_in_crop(size)
        side, fine = GRID, GRID / size
        borders = _borders(cv2.resize(mouth.astype(np.float32), (side, side)), SMALLEST * (fine * distance) ** 2)
        if borders is None:
            return None
        first, top, bottom = borders
        smooth = SMOOTH * distance * fine
        top, bottom = smoothed(top, smooth), smoothed(bottom, smooth)
        picture = light.normalised(drawn(rgb, window(alignment, size, 1, side), side))
        share = (np.arange(STEPS, dtype=np.float32)[:, None] + 0.5) / STEPS
        rows = (top + share * (bottom - top)).astype(np.float32)
        columns = np.broadcast_to(np.arange(first, first + len(top), dtype=np.float32), rows.shape)
        straight = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR)
        score, toothy = _inner(straight)
        hint = cv2.resize(painted_over.astype(np.float32), (side, side))
        score = score + HINT[0] * np.clip(cv2.remap(hint, columns, rows, cv2.INTER_LINEAR) / HINT[1], -1, 1)
        edges = _edges(score, share)
        upper, lower, seam = (
            (smoothed(top + each / STEPS * (bottom - top), smooth) + 0.5) / fine - 0.5
            for each in (*edges, _seam(straight))
        )
        lips = np.median(straight[score < 0] if (score < 0).any() else straight.reshape(-1, 3), axis=0)
        below = int(bottom.max()) + round(0.1 * distance * fine)
        around = picture[below : int(bottom.max() + 0.3 * distance * fine), first : first + len(top)]
        skin = np.median(around.reshape(-1, 3), axis=0) if around.size else lips
        rim = _rim(picture, columns[0], fine * (lower + 0.5) - 0.5) / fine
        columns = (columns[0] + 0.5) / fine - 0.5
        return cls(
            columns, upper, lower, seam, float(points[2, 1]) + NOSE * distance, distance, lips, skin, toothy, rim, fine
        )

    @property
    def gap(self) -> float:
        """How far the lips are apart in the middle, in eye distances."""
        third = len(self.columns) // 3
        return float((self.lower - self.upper)[third:-third].mean()) / self.distance


def smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values (N,) along a line, smooth; the first and the last stay."""
    values = np.asarray(values, np.float32)
    straight = np.linspace(values[0], values[-1], len(values), dtype=np.float32)
    odd = (values - straight)[None]
    odd = np.concatenate([-odd[:, ::-1], odd, -odd[:, ::-1]], axis=1)
    return straight + cv2.GaussianBlur(odd, (0, 0), sigma)[0, len(values) : 2 * len(values)]


def _borders(shown: np.ndarray, smallest: float) -> tuple[int, np.ndarray, np.ndarray] | None:
    """The first column of a mouth shown (P, P) in [0, 1], and per column its first row and the one after its last."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats((shown > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if len(areas) == 0 or areas.max() < smallest:
        return None
    inside = pieces == 1 + areas.argmax()
    used = np.nonzero(inside.any(axis=0))[0]
    if len(used) < NARROWEST:
        return None
    inside = inside[:, used[0] : used[-1] + 1]
    return int(used[0]), inside.argmax(axis=0), len(inside) - inside[::-1].argmax(axis=0)


def _inner(mouth: np.ndarray) -> tuple[np.ndarray, float]:
    """Scores (h, w) of a straightened mouth (h, w, 3), positive where teeth or the dark between lips show, and how
    certain teeth are.

    The colours of the lips are those at the outer borders. Teeth are the brightest in the middle.
    """
    part = cv2.GaussianBlur(mouth, (0, 0), 0.6)
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    red = np.log((part[..., 0] + 10) / (part[..., 1] + 10))
    height, width = grey.shape
    lips, middle = np.zeros(grey.shape, bool), np.zeros(grey.shape, bool)
    centre = slice(round(0.2 * width), round(0.8 * width))
    for first, last in ((0.06, 0.16), (0.78, 0.94)):
        lips[round(first * height) : round(last * height), centre] = True
    middle[round(MIDDLE.start * height) : round(MIDDLE.stop * height), centre] = True
    teeth = middle & (grey >= np.percentile(grey[middle], 80))
    whiter = np.zeros_like(grey)
    for each, sign, noise in ((grey, 1, 6.0), (red, -1, 0.03)):
        lip = np.median(each[lips])
        difference = max(0.0, sign * float(np.median(each[teeth]) - lip))
        whiter += sign * difference / float(each[lips].std() + noise) ** 2 * (each - lip)  # a linear discriminant
    whole = float(np.median(whiter[teeth]))
    toothy = float(np.clip((whole - 2) / 6, 0, 1))
    white = 4 * (whiter / max(whole, 1e-3) - 0.55)
    dark = 2 * (np.median(grey[lips]) - grey) / (0.3 * np.median(grey[lips]) + 1) - 2
    return np.clip(np.maximum(toothy * white - 2 * (1 - toothy), dark), -2, 2), toothy


def _edges(score: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (w,) of a straightened mouth between which its scores (h, w) add up to most, along smooth lines."""
    score = (1 - MIRROR) * score + MIRROR * score[:, ::-1]
    score = cv2.GaussianBlur(score, (0, 0), 1.0) + USUAL[0] * (0.25 - np.abs(share - USUAL[1]))
    middle = _path(cv2.blur(score, (7, 7)), STIFFNESS) + 0.5
    total = np.vstack([np.zeros_like(score[:1]), np.cumsum(score, axis=0)])
    row = np.arange(len(total))[:, None]
    return (
        _path(np.where(row <= middle, -total, -1e6), STIFFNESS), _path(np.where(row >= middle, total, -1e6), STIFFNESS)
    )  # fmt: skip


def _rim(picture: np.ndarray, columns: np.ndarray, lower: np.ndarray) -> float:
    """How many rows below the lower lip's edge (N,) a picture (P, P, 3) still shows the detail of teeth, not a lip."""
    fifth = len(columns) // 5
    columns, rows = columns[fifth:-fifth], lower[fifth:-fifth] + np.arange(RIM)[:, None]
    lines = cv2.remap(
        picture, np.broadcast_to(columns, rows.shape).astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR
    )
    lines = cv2.cvtColor(lines, cv2.COLOR_RGB2GRAY)
    detail = np.abs(lines - np.stack([cv2.GaussianBlur(line[None], (0, 0), 4.0)[0] for line in lines])).mean(axis=1)
    most = int(detail[: RIM // 2 + 1].argmax())
    least = detail.min() + 0.3 * (detail[most] - detail.min())
    return float(most + (detail[most:] <= least).argmax())


def _seam(mouth: np.ndarray) -> np.ndarray:
    """Rows (w,) of a straightened mouth (h, w, 3) along which it is darker than above and below."""
    grey = cv2.GaussianBlur(cv2.cvtColor(mouth, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    line = np.log((cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((15, 1))) + 10) / (grey + 10))
    share = (np.arange(len(grey))[:, None] + 0.5) / len(grey)
    line = 10 * line - 3 * (np.abs(share - USUAL[1]) / 0.2) ** 2
    return _path(line.astype(np.float32), STIFFNESS) + 0.5


def _path(score: np.ndarray, stiffness: float) -> np.ndarray:
    """Rows (w,) of the path from left to right along which a score (h, w) is highest."""
    steps = np.arange(len(score))
    bends = stiffness * np.abs(steps[:, None] - steps[None, :]) ** 1.5
    return best_path(score.T, bends)
