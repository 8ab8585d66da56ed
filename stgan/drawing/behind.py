"""What lies behind a head: its surroundings go on, each up to its own borders.

Borders go straight on (:mod:`stgan.drawing.borders`) and keep colours apart, as diffusion curves do (Orzan et al.,
SIGGRAPH 2008, doi 10.1145/1360612.1360691). Each piece between them takes its colours from what shows beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stgan.drawing.borders import SIDE, find_borders, lines_of
from stgan.drawing.filling import spread
from stgan.photo.align import Alignment
from stgan.photo.matte import warped

FINE = 2  # pixels of the maps across one of :data:`SIDE`, so that borders are sharp
BAND = 6  # pixels around a piece in which its colours are looked for
SMALLEST = 16  # pixels of a piece
# Clothes and other things beside a piece: the fewer do not count below this share of the more.
MINOR = 0.5
COARSE = 4  # pixels across one of those in which spots are looked for
SPOT, ODD = 16.0, 40.0  # standard deviation around a spot, and levels by which it differs from what is there
MANY = 0.15  # share of what is beside a piece that is no spot
# Share of what is beside a piece whose other colour does not count, and levels by which colours differ.
FEW, DIFFERENT = 0.42, 80.0
BETWEEN = (0.2, 0.13)  # share of those around their mean, in which no more than this has a colour if they are two
FADES = 4.0  # pixels over which colours that do not count go over into those that do
SOFT = 1.0  # standard deviation that makes borders smooth, in pixels
STEEP = 2.0  # and by how much less they are soft
SEAM = 1e-3  # share of the pieces on both sides where neither is


@dataclass(frozen=True)
class Backdrop:
    """What a window would show without a head."""

    maps: np.ndarray  # float32 (P, P, 3), levels
    placed: Alignment  # of the maps in the photo

    @classmethod
    def of(
        cls, photo: np.ndarray, shows: np.ndarray, hole: np.ndarray, wall: np.ndarray, placed: Alignment
    ) -> "Backdrop":
        """For a photo drawn on a grid, float32 (G, G, 3) levels.

        Args:
            shows: (G, G) in [0, 1], where what is behind the head shows.
            hole: likewise, where it is wanted.
            wall: likewise, where no clothes are.
            placed: of the grid in the photo.
        """
        image, shown, wanted, walls = (_resized(each, SIDE) for each in (photo, shows, hole, wall))
        seen = shown > 0.98
        empty = (wanted > 0.02) & ~seen
        lines, widths = lines_of(find_borders(image, seen, empty, 1 - walls), empty)
        filled = _softened(*_filled(image, seen, empty, lines, walls < 0.5), lines & (widths == 0), widths)
        ratio = FINE * SIDE / len(photo)
        middle = np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2]])
        return cls(filled, Alignment(middle @ np.vstack([placed.matrix, (0, 0, 1)])))

    def over(self, corner: tuple[int, int], grain: np.ndarray) -> np.ndarray:
        """Levels (h, w, 3) of the part of the photo with this upper left ``corner``, with this grain."""
        result: np.ndarray = warped(self.maps, self.placed.matrix, corner, grain.shape) + grain
        return result.clip(0, 255)


def _filled(
    image: np.ndarray, seen: np.ndarray, empty: np.ndarray, lines: np.ndarray, clothes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, H, 3) at :data:`FINE` times its size with what is empty filled, and a guess elsewhere; and the share
    (H, H, 1) of what is filled."""
    whole = (FINE * SIDE, FINE * SIDE)
    result = cv2.resize(_known(image, seen), whole, interpolation=cv2.INTER_LINEAR)
    total, shares = np.zeros_like(result), np.zeros(whole, np.float32)
    parts = ((part, _without_spots(image, kind), near) for inside, near in _pieces(seen, empty, lines, clothes)
             for part, kind in _nearest(inside, _colours(image, near)))  # fmt: skip
    for inside, beside, near in parts:
        colours = _faded(_known(image, beside), image, near & ~beside)
        soft = cv2.GaussianBlur((inside | beside).astype(np.float32), (0, 0), SOFT)
        soft = cv2.resize(soft, whole, interpolation=cv2.INTER_LINEAR)
        share = np.clip(STEEP * (soft - 0.5) + 0.5, 0, 1) + SEAM * soft
        total += share[..., None] * cv2.resize(colours, whole, interpolation=cv2.INTER_LINEAR)
        shares += share
    known = np.clip(shares / SEAM, 0, 1)[..., None]
    result = result + known * (total / np.maximum(shares, 1e-9)[..., None] - result)
    return result.astype(np.float32), known.astype(np.float32)


def _colours(image: np.ndarray, beside: np.ndarray) -> list[np.ndarray]:
    """What shows beside a piece, bool (H, H): apart, if it clearly has two colours, as a wall and a sign on it, of
    which a mean is neither; alone, if the other has few pixels."""
    colours = cv2.GaussianBlur(image, (0, 0), 1.0)[beside]
    if len(colours) < 2:
        return [beside]
    _, axes = np.linalg.eigh(np.cov(colours.T))
    along = (colours - colours.mean(axis=0)) @ axes[:, -1]
    level = 0.5 * float(along.min() + along.max())
    for _ in range(8):  # two means
        high = along > level
        if high.all() or not high.any():
            return [beside]
        level = 0.5 * float(along[high].mean() + along[~high].mean())
    high = along > level
    step = float(along[high].mean() - along[~high].mean())
    if step < DIFFERENT or (np.abs(along - level) < BETWEEN[0] * step).mean() > BETWEEN[1]:
        return [beside]
    kinds = []
    for each in (high, ~high):
        if each.mean() > FEW:
            kinds.append(np.zeros_like(beside))
            kinds[-1][beside] = each
    return kinds


def _nearest(inside: np.ndarray, kinds: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The part of a piece, bool (H, H), that is nearest to each kind of what shows beside it, and that kind."""
    if len(kinds) < 2:
        yield from ((inside, kind) for kind in kinds)
        return
    far = [cv2.distanceTransform((~kind).astype(np.uint8), cv2.DIST_L2, 5) for kind in kinds]
    nearest = np.argmin(far, axis=0)
    yield from ((inside & (nearest == index), kind) for index, kind in enumerate(kinds))


def _without_spots(image: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """What shows beside a piece, bool (H, H), without spots of another colour than all around, such as letters."""
    share = beside.astype(np.float32)
    small = _resized(np.dstack([image * share[..., None], share]), len(image) // COARSE)
    near = _resized(cv2.GaussianBlur(small, (0, 0), SPOT / COARSE), len(image))
    odd = np.abs(image - near[..., :3] / np.maximum(near[..., 3:], 1e-6)).max(axis=2) > ODD
    return beside & ~odd if (beside & odd).sum() < MANY * beside.sum() else beside


def _known(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The colours of an image (H, H, 3) spread from where it is known, at half its size."""
    share = _resized(where, SIDE // 2)
    half = _resized(image * where[..., None], SIDE // 2) / np.maximum(share, 1e-6)[..., None]
    return spread(half, share, 1.0)


def _faded(colours: np.ndarray, image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Colours, at half the size of an image (H, H, 3), that go over from those beside them, bool (H, H), which do not
    count: they end where hair began, in a ragged line."""
    if not other.any():
        return colours
    far = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, 5)
    share = _resized(np.exp(-np.square(far / FADES)), len(colours))[..., None]
    result: np.ndarray = colours + share * (_known(image, other) - colours)
    return result


def _softened(filled: np.ndarray, known: np.ndarray, sharp: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """What is filled (H, H, 3), with borders as soft, (H, H), as they are where they show, but for sharp ones."""
    side = filled.shape[1::-1]
    kept = cv2.dilate(sharp.astype(np.float32), np.ones((3, 3)), iterations=3)
    known = known * (1 - cv2.resize(cv2.GaussianBlur(kept, (0, 0), 1), side)[..., None])
    for width in np.unique(widths[widths > 0]).tolist():
        near = cv2.dilate((widths == width).astype(np.float32), np.ones((3, 3)), iterations=round(2 * width))
        near = cv2.resize(cv2.GaussianBlur(near, (0, 0), width), side)[..., None]
        soft = cv2.GaussianBlur(np.dstack([filled * known, known]), (0, 0), FINE * width)
        filled = filled + near * known * (soft[..., :3] / np.maximum(soft[..., 3:], 1e-3) - filled)
    return filled


def _pieces(
    seen: np.ndarray, empty: np.ndarray, lines: np.ndarray, clothes: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pieces, bool (H, H), of what is empty, and what shows beside each: clothes, or none."""
    _, pieces, sizes, _ = cv2.connectedComponentsWithStats((empty & ~lines).astype(np.uint8), connectivity=4)
    free = ((seen | empty) & ~lines).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))  # does not step over lines
    for piece in np.flatnonzero(sizes[1:, cv2.CC_STAT_AREA] >= SMALLEST) + 1:
        inside = pieces == piece
        beside = inside.astype(np.uint8)
        for _ in range(BAND):
            beside = cv2.dilate(beside, cross) & free
        kinds = [(beside > 0) & seen & kind for kind in (clothes, ~clothes)]
        most = max(int(kind.sum()) for kind in kinds)
        kinds = [kind for kind in kinds if kind.sum() > MINOR * most]
        yield from _nearest(inside, kinds)


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    way = cv2.INTER_AREA if size < len(image) else cv2.INTER_LINEAR
    return cv2.resize(image.astype(np.float32), (size, size), interpolation=way)
