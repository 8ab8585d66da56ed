"""Brows: bushier ones are the photo's own, drawn apart, with new hairs between theirs; thinner ones are its own, drawn
together."""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.drawing.strokes import Growth
from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import extent
from stgan.photo.light import luminance
from stgan.photo.matte import warped

SHOWN = 0.5  # certainty that a pixel shows a brow
NOISE = 16.0  # levels: darkness of less light than that is noise
# Share of the light on skin that bushy brows take: .45 in the median of 87 photos. Other brows take .3.
TARGET = 0.55
BUSHIER = 1.5  # thickness of a brow, as a multiple of its own, and ...
UPWARDS = 0.4  # ... where it stays, in half thicknesses below its middle: it grows upwards more than towards the eye
DARKEST, GREYER = 0.3, 0.35  # least light left by denser hair, as a share, and loss of colour per loss of light
DEEPER = 0.6  # of their own darkness that brows gain at most: more would show noise instead of hair
MOST = 0.8  # density of the densest brows
# Lengths are in eye distances.
LENGTH = 0.15  # of a hair
SPREAD = 0.22  # radians
EVEN = 0.06  # over which it is seen how dense brows are
# Degrees above the brow's line in which hairs grow: at its inner end, in addition to the usual, and towards its edge.
INNER, USUAL, EDGE = 70.0, 12.0, 26.0
# Brows that a network drew, to which the photo's own may be moved: eye distances by which they move at most, share of
# their length beside which both must be seen, and their thickness as a multiple of its own. Brows of men are 1.25 times
# as thick as those of women, in the mean of 176 photos.
FARTHEST, ALONGSIDE, THICKER = 0.07, 0.4, (1.2, 1.4)
MANLY = 0.5  # share of the light that brows of men take
THINNER = 0.42  # of its thickness and darkness that a brow loses at most
NARROWEST = 4  # pixels of the crop: what is narrower is no brow
REACH = 2.4, 3.2  # half thicknesses within which the photo moves where brows get thinner, and bushier
AROUND = 0.2  # side of the surroundings in which skin beside a brow is found


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

    @classmethod
    def both(cls, brows: np.ndarray) -> "list[_Brow]":
        """Those that a map (S, S) of the photo's brows shows, at most two."""
        points, _ = landmarks_in_crop(len(brows))
        return [brow for side in (-1, 1) if (brow := cls.of(brows, side, points)) is not None]

    def half(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """This half of a crop, bool (S, S), and of all pixels their distance from the middle of the face and row."""
        rows, columns = np.mgrid[:size, :size]
        across = self.side * (columns - self.middle)
        return across > 0, across, rows

    def towards(self, other: "_Brow | None", farthest: float) -> tuple[np.ndarray, float]:
        """How far below it another brow is, pixels as a polynomial (2,) in the distance from the middle of the face, at
        most ``farthest``, and how many times as thick it becomes; it stays where they are not beside each other."""
        inner, outer = (0.0, 0.0) if other is None else np.sort([self.ends, other.ends], axis=0)[[1, 0], [0, 1]]
        if other is None or outer - inner < ALONGSIDE * (self.ends[1] - self.ends[0]):
            return np.zeros(2), THICKER[0]
        x = np.linspace(inner, outer, 9)
        apart = np.polyval(other.curve, x) - np.polyval(self.curve, x)
        ends = np.polyval(np.polyfit(x, apart, 1), self.ends).clip(-farthest, farthest)
        return np.polyfit(self.ends, ends, 1), float(np.clip(other.thickness / self.thickness, *THICKER))

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
class Reshaping:
    """Thinner or bushier brows in a crop; lengths are in its pixels."""

    moved: np.ndarray  # float32 (S, S), how far below each pixel the photo shows what it is to show
    lighter: np.ndarray  # float32 (S, S), the share of their darkness that brows lose; below 0 they gain it
    thickness: float  # of the photo's brows
    farthest: float  # that brows which lose most would move

    @classmethod
    def thinner(cls, before: np.ndarray, after: np.ndarray, brows: np.ndarray, strength: float) -> "Reshaping | None":
        """From a crop without and with a network's thinner brows, float (S, S, 3) in [0, 255], and the photo's own,
        (S, S) in [0, 1]. None if it thinned none. ``strength``: of the edit, up to 1."""
        own, (_, distance) = brows.astype(np.float32), landmarks_in_crop(len(before))
        old, new = luminance(before), luminance(after)
        skin = _skin(old, distance)
        parts = _Brow.both(own)
        if not parts or (lost := float(((new - old) * own).sum() / max(((skin - old) * own).sum(), 1))) < 0.05:
            return None
        loss = THINNER * min(1.0, lost) * min(1.0, strength)
        moved, most = (_moved([(brow, np.zeros(1), 1 - share) for brow in parts], len(own), REACH[0])
                       for share in (loss, THINNER))  # fmt: skip
        thickness = 2 * max(brow.thickness for brow in parts)
        return cls(moved, loss * _on_brows(own), thickness, float(np.abs(most).max()))

    @classmethod
    def bushier(
        cls, crop: np.ndarray, brows: np.ndarray, colour: np.ndarray, strength: float, like: np.ndarray | None = None
    ) -> "tuple[Reshaping, Growth] | None":
        """The photo's brows drawn apart, and new hair as dense as bushy brows lack it then. None where it shows none.

        Args:
            crop: (S, S, 3), levels of the photo's crop.
            brows: (S, S) in [0, 1], the photo's own.
            colour: (3,), levels of new hair.
            strength: of the edit, 1 as in training.
            like: (S, S) in [0, 1], brows of a man that a network drew: brows get as thick, and lie there instead.
        """
        size, own = len(crop), brows.astype(np.float32)
        (_, distance), old, parts = landmarks_in_crop(size), luminance(crop), _Brow.both(own)
        if not parts:
            return None
        if like is None:
            target, ways = TARGET, [(np.array([-UPWARDS * (BUSHIER - 1) * brow.thickness]), BUSHIER) for brow in parts]
        else:
            others = {brow.side: brow for brow in _Brow.both(like.astype(np.float32))}
            target, ways = MANLY, [brow.towards(others.get(brow.side), FARTHEST * distance) for brow in parts]
        moves = [(brow, strength * line, 1 + (times - 1) * strength)
                 for brow, (line, times) in zip(parts, ways, strict=True)]  # fmt: skip
        moved = _moved(moves, size, REACH[1])
        skin = _skin(old, distance)
        columns, rows = np.meshgrid(*2 * [np.arange(size, dtype=np.float32)])
        taken = _around((skin - old) / (skin + NOISE), own, EVEN * distance)
        wider, taken = (cv2.remap(each, columns, rows + moved, cv2.INTER_LINEAR) for each in (own, taken))
        whole = min(1.0, strength)
        gain = whole * np.clip(target / np.maximum(taken, 1e-3) - 1, 0, DEEPER)
        thickness = 2 * max(times * brow.thickness for brow, _, times in moves)
        shape = cls(moved, -gain * _on_brows(wider), thickness, float(np.abs(moved).max()))
        darkest = 1 - (float(np.mean(colour)) + NOISE) / (skin + NOISE)  # what dense hair takes
        dense = whole * ((target - taken * (1 + gain)) / np.maximum(darkest, 0.2)).clip(0, MOST)
        direction = np.zeros((size, size, 2), np.float32)
        for brow in parts:
            half, across, below = brow.half(size)
            direction[half] = brow.direction(across, below)[half]
        density = dense * wider * (direction != 0).any(axis=2)
        return shape, Growth(density.astype(np.float32), direction, LENGTH * distance, SPREAD)


def _skin(bright: np.ndarray, distance: float) -> np.ndarray:
    """The brightness (S, S) of the skin around brows."""
    side = 2 * round(AROUND * distance) + 1
    return cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((side, side)))


def _around(values: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """The mean of values (S, S) around each pixel, over ``sigma`` pixels."""
    mean = cv2.GaussianBlur((values * weight).astype(np.float32), (0, 0), sigma)
    return mean / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-3)


def _on_brows(brows: np.ndarray) -> np.ndarray:
    """A map (S, S) of brows with a soft border."""
    return cv2.GaussianBlur(cv2.dilate(brows, np.ones((3, 3))), (0, 0), 1.0)


def _moved(moves: list[tuple[_Brow, np.ndarray, float]], size: int, reach: float) -> np.ndarray:
    """Float32 (S, S), how far below each pixel a crop shows what it is to show, if brows move.

    Args:
        moves: brows, the polynomials by which they move down (pixels, by distance from the middle of the face), and how
            many times as thick they get.
        reach: half thicknesses of a brow from its line, within which the crop moves.
    """
    moved = np.zeros((size, size), np.float32)
    for brow, line, times in moves:
        half, across, rows = brow.half(size)
        down = np.polyval(line, across.clip(*brow.ends))
        below = -brow.above(across, rows) - down / brow.thickness
        fade = np.clip(1 - (np.abs(below) / (reach + np.abs(down) / brow.thickness)) ** 2, 0, 1) ** 2
        beyond = np.maximum(brow.ends[0] - across, across - brow.ends[1]) / (2 * brow.thickness)
        whole = -down - below * brow.thickness * (1 - 1 / times)
        moved[half] = (whole * fade * np.clip(1 - beyond, 0, 1))[half]
    return moved


def reshape_brows(rgb: np.ndarray, alignment: Alignment, shape: Reshaping, share: np.ndarray) -> np.ndarray:
    """The photo with thinner or bushier brows: uint8 (H, W, 3).

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of the crop.
        share: float (S, S) in [0, 1], where the crop may change.
    """
    result, reach = rgb.copy(), shape.farthest + 2 * shape.thickness
    changing = (shape.lighter != 0) | (shape.moved != 0)
    rows, columns = (np.nonzero(changing.any(axis=axis))[0] for axis in (1, 0))
    sides = (columns[0] - reach, rows[0] - reach, columns[-1] + reach, rows[-1] + reach)
    left, top, right, bottom = extent(alignment.matrix, sides, rgb.shape, margin=2)
    part = result[top:bottom, left:right]
    side = 2 * int(np.ceil(shape.farthest)) + 1
    near = cv2.blur(cv2.erode(share.astype(np.float32), np.ones((side, side))), (3, 3))  # nor is an eye drawn upwards
    maps = np.dstack([shape.moved * near, shape.lighter * near]).astype(np.float32)
    moved, lighter = cv2.split(warped(maps, alignment.matrix, (left, top), part.shape))
    changed = (np.abs(moved) > 1e-3) | (np.abs(lighter) > 1e-3)
    side = 2 * round(0.7 * shape.thickness / alignment.scale) + 1
    box = _box(changed, margin=2 * side)  # as far as the filters below reach
    moved, lighter, changed, old = moved[box], lighter[box], changed[box], part[box]
    down = alignment.inverse[:, 1].astype(np.float32)  # of the face, in pixels of the photo per pixel of the crop
    y, x = np.mgrid[box].astype(np.float32)
    origin = x + moved * down[0], y + moved * down[1]
    brows = cv2.remap(part, *origin, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    skin = cv2.morphologyEx(brows, cv2.MORPH_CLOSE, np.ones((side, side)))
    skin = cv2.GaussianBlur(skin, (0, 0), side / 6)
    drawn = brows + np.maximum(lighter, 0)[..., None] * np.maximum(skin - brows, 0)
    change = (_denser(drawn, skin, -lighter) - old) * changed[..., None]
    old[...] = cv2.add(old, change, dtype=cv2.CV_8U)
    return result


def _denser(image: np.ndarray, skin: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Brows (h, w, 3) of which pixels gain a share (h, w) of their darkness beside the skin (h, w, 3).

    They keep their hue and get greyer, as more hairs lie over each other: taken from each channel, darkness leaves red.
    """
    grey = luminance(image)
    left = 1 - gain.clip(0) * (luminance(skin) - grey).clip(0) / grey.clip(1)
    left = left.clip(DARKEST, 1)[..., None]
    return left * (grey[..., None] + (1 - GREYER * (1 - left)) * (image - grey[..., None]))


def _box(where: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rows and columns around the pixels (h, w) where something is so, at least one."""
    ranges = []
    for axis, size in ((1, where.shape[0]), (0, where.shape[1])):
        found = np.flatnonzero(where.any(axis=axis))
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, 0)
        ranges.append(slice(max(0, first - margin), min(size, last + 1 + margin)))
    return ranges[0], ranges[1]
