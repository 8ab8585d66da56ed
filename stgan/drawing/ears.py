"""Ears of a bald head: drawn where hair hides them, and whole where it hides their tops.

Their outline and their place are the median of 53 ears that show beside heads seen from the front (CelebAMask-HQ's
masks of training images): .92 eye distances high and a quarter as wide, narrow at the lobe and widest in the upper
third, where they stand out from the head.

Places are (x, y) in eye distances from the middle between the eyes; y is positive upwards. Sides are -1 for the left of
the image and 1 for its right.
"""

from dataclasses import dataclass, replace

import numpy as np

from stgan.drawing.skull import Skull, eye_frame, places
from stgan.photo.geometry import smoothstep
from stgan.photo.matte import Silhouette

LOWEST, HEIGHT = -0.76, 0.88  # of an ear that is hidden
PART = 0.82  # height of what stands out from the head
# Places along its border, from the lobe over the top to where it grows out of the head: how far it stands out from the
# head, and the share of its height.
BORDER = np.array([
    (-0.25, 0.0), (0.03, 0.0), (0.07, 0.02), (0.105, 0.06), (0.14, 0.12), (0.165, 0.2), (0.185, 0.32), (0.205, 0.46),
    (0.22, 0.6), (0.226, 0.7), (0.222, 0.8), (0.207, 0.88), (0.18, 0.945), (0.145, 0.985), (0.11, 1.0), (0.075, 0.985),
    (0.045, 0.945), (0.02, 0.89), (-0.02, 0.84), (-0.25, 0.75),
])  # fmt: skip
TURNS = 14  # of them, the first that leads inwards
USUAL = 1.35  # half the width of a skull that has such ears
LEANS = 0.05  # by which its top is farther out than the head there
ATTACHED = (-0.6, 0.15)  # heights over which it follows the head
STEEPEST = (0.03, 0.3)  # by how much a head is wider for each height there
LOBE, STICKS_OUT = 0.17, 1.3  # by which a usual lobe stands out, and how many times as much it does at most
SHOWS, HIDES = 0.08, 0.09  # squared eye distances: of skin where an ear shows, and of hair that hides one
SHOWS_BELOW, SHOWS_FROM = 0.055, -0.6  # likewise, beside a skull, and the height down to which that counts
WITHIN = 0.4  # share of the turn of a head by which the ear is within its outline
WIDE_OPEN = 0.44  # turn of a head at which it shows an ear from its side
LEAST = 0.04  # width of an ear beside a head, in whose place there is a top to draw
COVERED = 0.4  # share of hair above an ear that covers its top
SOFT = 0.012  # eye distances over which its border changes
MEASURED = 0.08  # how far a usual ear stands out where one that shows in part is compared with it
SCALE = (0.5, 2.2)  # of its width
HIGHEST, RISES = 0.4, 0.12  # of its top, and by how much it is at least above what shows


def hidden_ears(skull: Skull, silhouette: Silhouette, skin: np.ndarray) -> list[int]:
    """The sides on which hair hides an ear."""
    (x, y), pixel = places(len(skin)), 1 / eye_frame(len(skin))[1] ** 2
    _, _, edge = skull.coordinates(x, y)
    hidden = []
    for way in (-1, 1):
        nearer = max(way * skull.middle, 0.0)  # a head that is turned shows more of this side
        shows = (skin > 0.5) & (way * x - nearer > 1.12) & (y > -0.3) & (y < 0.25)
        lower = (skin > 0.5) & (way * x > 0) & (y > SHOWS_FROM) & (y < 0.25) & (edge < -0.02) & (edge > -0.5)
        hides = silhouette.hair * ((way * x - nearer > 1) & (way * x - nearer < 1.4) & (y > -0.5) & (y < 0.2))
        if pixel * shows.sum() < SHOWS and pixel * lower.sum() < SHOWS_BELOW and pixel * hides.sum() > HIDES:
            hidden.append(way)
    return hidden


def width_of_ear(skull: Skull, way: int) -> float:
    """The share of its width that an ear shows as the head turns."""
    return float(np.clip(1 + way * skull.middle / WIDE_OPEN, 0.25, 1.25))


@dataclass(frozen=True)
class Ear:
    """An ear beside a head."""

    way: int
    lowest: float
    height: float
    root: float  # how far from x = 0 it begins at its lowest place
    slope: float  # and by how much farther for each height above
    scale: float  # of its width

    @classmethod
    def hidden(cls, skull: Skull, x: np.ndarray, y: np.ndarray, edge: np.ndarray, way: int) -> "Ear":
        """Under hair beside a head, given places (H, W) and the distance inside of the head there.

        It is as wide as a head that is turned shows it, and leans as the side of the head does.
        """
        root, slope = _side(skull, x, y, edge, way, LOWEST)
        root -= WITHIN * max(way * skull.middle, 0.0)
        usual = skull.across / USUAL * width_of_ear(skull, way)
        lobe = (skull.lobes[way > 0] - root) / LOBE  # it may show that the ear sticks out
        return cls(way, LOWEST, HEIGHT, root, slope, max(usual, min(lobe, STICKS_OUT * usual)))

    @classmethod
    def under_hair(
        cls, skull: Skull, x: np.ndarray, y: np.ndarray, edge: np.ndarray, ear: np.ndarray, hair: np.ndarray, way: int
    ) -> "Ear | None":
        """One of which hair (H, W) in [0, 1] covers the top, given what shows of it, bool (H, W). None if it does
        not."""
        if not ear.any():
            return None
        heights = y[:, 0]
        lowest, highest = (float(np.quantile(y[ear], share)) for share in (0.03, 0.97))
        outer = float(np.quantile(way * x[ear & (y > highest - 0.15)], 0.95))
        row = np.abs(heights - highest).argmin()
        inner = float(np.max(way * x[row], where=edge[row] > 0, initial=-9.0))
        above = (np.abs(y - highest - 0.08) < 0.06) & (way * x > inner) & (way * x < outer)
        if outer - inner < LEAST or not above.any() or hair[above].mean() < COVERED:
            return None
        height = min(max(PART, highest + RISES - lowest), HIGHEST - lowest)
        if lowest + height < highest:
            return None
        root, slope = _side(skull, x, y, edge, way, lowest)
        usual, rows = cls(way, lowest, height, root, slope, 1.0), ear.any(axis=1)
        ends = np.max(way * x[rows], axis=1, where=ear[rows], initial=-9.0)
        out, shows = usual.out(heights[rows]), ends - usual.begins(heights[rows])
        scale = float(np.median(shows[out > MEASURED] / out[out > MEASURED])) if (out > MEASURED).any() else 1.0
        return replace(usual, scale=float(np.clip(scale, *SCALE)))

    def out(self, heights: np.ndarray) -> np.ndarray:
        """How far it stands out at some heights."""
        out, along = BORDER[1 : TURNS + 1].T
        return self.scale * np.interp((heights - self.lowest) / self.height, along, out, 0.0, 0.0)

    def begins(self, heights: np.ndarray) -> np.ndarray:
        """How far from x = 0 the head ends there."""
        return self.root + self.slope * (heights - self.lowest)

    def draw(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The distance inside of its outline, float32 (H, W) in eye distances; how much a place shows of it, in [0, 1];
        and the logarithm of its brightness, compared with the skin beside it."""
        heights = self.lowest + self.height * BORDER[:, 1]
        line = np.stack([self.begins(heights) + self.scale * BORDER[:, 0], heights], axis=1)
        inside, share, shade = np.full(x.shape, -np.inf, np.float32), *np.zeros((2, *x.shape), np.float32)
        low, high = line.min(axis=0) - 0.1, line.max(axis=0) + 0.1
        near = np.argwhere((self.way * x > low[0]) & (self.way * x < high[0]) & (y > low[1]) & (y < high[1]))
        if not len(near):
            return inside, share, shade
        box = tuple(slice(first, last + 1) for first, last in zip(near.min(axis=0), near.max(axis=0), strict=True))
        aside, up = self.way * x[box], y[box]
        inside[box] = _distance_inside(line, aside, up)
        across = (aside - self.begins(up)) / np.maximum(self.out(up), 0.03)
        share[box] = smoothstep(across, -0.1, 0.2) * np.clip(0.5 + inside[box] / SOFT, 0, 1)
        shade[box] = _relief(across, (up - self.lowest) / self.height)
        return inside, share, shade


def _distance_inside(line: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The distance (H, W) inside of a closed line (N, 2), but for its last piece, which closes it."""
    far, inside = np.full(x.shape, np.inf), np.zeros(x.shape, bool)
    for index, (start, end) in enumerate(zip(line, np.roll(line, -1, axis=0), strict=True)):
        way = end - start
        crosses = (start[1] > y) != (end[1] > y)
        inside ^= crosses & (x < start[0] + (y - start[1]) * way[0] / (way[1] if way[1] else 1.0))
        if index < len(line) - 1:
            share = (((x - start[0]) * way[0] + (y - start[1]) * way[1]) / max(way @ way, 1e-12)).clip(0, 1)
            far = np.minimum(far, np.hypot(x - start[0] - share * way[0], y - start[1] - share * way[1]))
    return np.where(inside, far, -far)


def _side(skull: Skull, x: np.ndarray, y: np.ndarray, edge: np.ndarray, way: int, lowest: float) -> tuple[float, float]:
    """How far from the middle a head ends at a height, and by how much farther for each height above."""
    heights = y[:, 0]
    ends = np.max(way * x, axis=1, where=edge > 0, initial=-9.0)
    rows = (heights > ATTACHED[0]) & (heights < ATTACHED[1]) & (ends > -9)
    if rows.sum() < 3:
        return skull.across, STEEPEST[0]
    middle = float(heights[rows].mean())
    slope, root = np.polyfit(heights[rows] - middle, ends[rows], 1)
    slope = float(np.clip(slope, *STEEPEST)) + LEANS
    return float(root) - slope * (middle - lowest), slope


def _relief(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The logarithm of the brightness of an ear lit from above and in front, given places on it: 0 where it begins to 1
    at its border, and 0 at the lobe to 1 at the top."""

    def spot(x: float, width: float, y: float, height: float) -> np.ndarray:
        result: np.ndarray = np.exp(-(((across - x) / width) ** 2) - ((along - y) / height) ** 2)
        return result

    upper = smoothstep(along, 0.22, 0.5)
    bend = 0.6 - 0.25 * np.abs(along - 0.6)  # of the fold, which runs along the rim
    fold = np.exp(-(((across - bend + 0.1) / 0.13) ** 2)) * upper * smoothstep(-along, -0.86, -0.7)
    valley = np.exp(-(((across - bend - 0.12) / 0.11) ** 2)) * smoothstep(along, 0.4, 0.62)
    rim = np.exp(-(((across - 0.9) / 0.12) ** 2)) * upper
    crease = np.exp(-((across / 0.13) ** 2)) * smoothstep(along, 0.15, 0.45)
    bowl, tragus = spot(0.24, 0.2, 0.45, 0.13), spot(0.06, 0.12, 0.4, 0.07)
    shade = 0.1 * rim + 0.08 * fold + 0.1 * tragus - 0.2 * valley - 0.3 * bowl - 0.16 * crease
    shade += 0.06 * smoothstep(along, 0.8, 0.95) - 0.15 * smoothstep(-along, -0.12, 0.0)
    result: np.ndarray = shade - 0.22 * smoothstep(across, 0.9, 1.1)  # it bends back
    return result
