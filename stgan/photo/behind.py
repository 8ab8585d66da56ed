"""What lies behind a head: the photo's own surroundings, patch by patch.

Each patch of what is unknown is to look like one that shows (Wexler, Shechtman and Irani, TPAMI 2007, doi
10.1109/TPAMI.2007.60), from coarse to fine. Detail comes from the photo at its own resolution.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from stgan.photo.align import Alignment
from stgan.photo.filling import spread
from stgan.photo.geometry import smoothstep
from stgan.photo.matte import warped

SIZES = (64, 128)  # pixels across the window, from coarse to fine
ROUNDS = (8, 3)  # in which patches are chosen and averaged, at each
RADIUS = 2  # half the side of a patch in such pixels
SMOOTH = 0.03  # of the window, over which colours spread at first
DOUBT = 0.2  # weight of unknown pixels in the comparison of patches, far from what shows
AWAY = (1500.0, 6000.0)  # squared levels by which a patch is worse a window's width farther away, and a window's height
REACH = 0.2  # of the window's side, from the hole, within which patches are looked for
NEAR = 0.07  # of the window's side, within which it is no worse
FEWEST = 0.2  # patches that show for each that is wanted, below which a guess is better
CALM = 25.0  # levels by which patches are made to meet what is around them; what differs by more is another thing
STEPS = 0.6  # standard deviation, in the finest pixels, that hides their steps
SEAMS = (18.0, 3.0)  # levels and pixels over which patches are evened out where they meet
COHERENT = (0.3, 0.7)  # share of neighbours with the same move from which detail is a texture and no pattern
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
SHIFTS = tuple((x, y) for y in (-1, 0, 1) for x in (-1, 0, 1))


@dataclass(frozen=True)
class Backdrop:
    """What a window would show without a head. P is the last of :data:`SIZES`."""

    maps: np.ndarray  # float32 (P, P, 3), levels
    slow: np.ndarray  # likewise, of the photo itself
    moves: np.ndarray  # float32 (P, P, 2), from where detail comes, in x and y, pixels of the photo
    detail: np.ndarray  # float32 (P, P) in [0, 1], the share of that which is seen there
    placed: Alignment  # of these maps in the photo

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
        filled, origins = photo, None
        for size, rounds in zip(SIZES, ROUNDS, strict=True):
            slow, seen, wanted, walls = (_resized(each, size) for each in (photo, shows, hole, wall))
            level = _Level.of(slow, seen > 0.98, (wanted > 0.02) & (seen <= 0.98))
            if origins is None:
                guess = _guessed(slow, level.seen, walls)
            else:
                origins = _doubled(origins)
                guess = cv2.GaussianBlur(slow[origins[..., 1], origins[..., 0]] + level.light(origins), (0, 0), 1)
            filled = np.where(level.hole[..., None], guess, slow).astype(np.float32)
            if origins is None and len(level.sources) < max(1, FEWEST * len(level.targets)):
                continue
            for _ in range(rounds):
                found = level.alike(filled) if origins is None or size < SIZES[-1] else level.improved(filled, origins)
                filled, origins = level.joined(filled, *found)
        ratio = SIZES[-1] / len(photo)
        middle = np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2]])
        to_maps = Alignment(np.vstack([middle, (0, 0, 1)])[:2] @ np.vstack([placed.matrix, (0, 0, 1)]))
        if origins is None:
            origins = _places(SIZES[-1])
        moves = origins - _places(SIZES[-1])
        detail = level.hole * _alike_around(moves) * ((moves[..., 0] != 0) | (moves[..., 1] != 0))
        detail = cv2.GaussianBlur(detail.astype(np.float32), (0, 0), 1)
        filled = np.where(level.seen[..., None], filled, _without_seams(filled, level.seen | level.hole, detail))
        return cls(filled, slow, np.rint(moves @ to_maps.inverse[:, :2].T).astype(np.float32), detail, to_maps)

    def over(self, rgb: np.ndarray, corner: tuple[int, int], grain: np.ndarray) -> np.ndarray:
        """Levels (h, w, 3) of the part of the photo with this upper left ``corner``.

        Args:
            grain: (h, w, 3) levels, which stands in where the photo has no detail to give.
        """
        height, width = grain.shape[:2]
        matrix = self.placed.matrix
        to_maps = matrix @ np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        moves = cv2.warpAffine(self.moves, to_maps, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        x = np.clip(moves[..., 0] + (corner[0] + np.arange(width, dtype=np.float32)), 0, rgb.shape[1] - 1)
        y = np.clip(moves[..., 1] + (corner[1] + np.arange(height, dtype=np.float32))[:, None], 0, rgb.shape[0] - 1)
        there = rgb[y.astype(np.intp), x.astype(np.intp)].astype(np.float32)
        across, down = ((row[0] * x + row[1] * y + row[2]).astype(np.float32) for row in matrix)
        slow = cv2.remap(self.slow, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        share = warped(self.detail, matrix, corner, grain.shape)[..., None]
        fine = share * (there - slow) + np.sqrt(np.clip(1 - share**2, 0, 1)) * grain  # as strong, whatever the share
        result: np.ndarray = warped(self.maps, matrix, corner, grain.shape) + fine
        return result.clip(0, 255)


@dataclass(frozen=True)
class _Level:
    """A photo at one resolution: (H, H, ...)."""

    image: np.ndarray  # float32 levels
    seen: np.ndarray  # bool
    hole: np.ndarray  # bool
    weight: np.ndarray  # float32, how much a pixel counts in the comparison of patches
    targets: np.ndarray  # int (T, 2), rows and columns of the middles of patches that are to be filled
    sources: np.ndarray  # int (S, 2), likewise, of those that show

    @classmethod
    def of(cls, image: np.ndarray, seen: np.ndarray, hole: np.ndarray) -> "_Level":
        side = np.ones((2 * RADIUS + 1,) * 2, np.uint8)
        whole = cv2.erode(seen.astype(np.uint8), side, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        whole &= cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5) < REACH * len(image)
        near = cv2.dilate(hole.astype(np.uint8), side) > 0
        far = cv2.distanceTransform((~seen).astype(np.uint8), cv2.DIST_L2, 5) / (2 * RADIUS)
        weight = seen + hole * (DOUBT + (1 - DOUBT) * np.exp(-far))
        return cls(image, seen, hole, weight.astype(np.float32), np.argwhere(near & (seen | hole)), np.argwhere(whole))

    @cached_property
    def compared(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What does not change from round to round: the patches of sources, (S, 3 K); the weights of the pixels of
        targets, (T, K), and three times their sums; and the part (T, S) of how much both differ that has no target."""
        there = _patches(self.image, self.sources)
        weight = _patches(self.weight[..., None], self.targets, outside=True)
        total = 3 * weight.sum(axis=1)
        apart = weight @ np.square(there).reshape(len(there), 3, -1).sum(axis=1).T
        for axis, price in enumerate(AWAY[::-1]):
            steps = (self.targets[:, None, axis] - self.sources[None, :, axis]).astype(np.float32) / len(self.image)
            apart += (price * total)[:, None] * np.square(np.maximum(np.abs(steps) - NEAR, 0))
        return there, weight, total, apart

    def alike(self, filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The source (T, 2) most like each target, and how much they differ (T,): mean squared levels."""
        there, weight, total, apart = self.compared
        wanted = _patches(filled, self.targets)
        weighted = wanted * np.tile(weight, (1, 3))
        apart = apart - 2 * weighted @ there.T
        best = apart.argmin(axis=1)
        least = apart[np.arange(len(best)), best] + (wanted * weighted).sum(axis=1)
        return self.sources[best], np.maximum(least, 0) / total

    def improved(self, filled: np.ndarray, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`alike`, near the sources of places nearby, int (H, H, 2) in x and y."""
        wanted, weight = _patches(filled, self.targets), _patches(self.weight[..., None], self.targets, outside=True)
        total = 3 * weight.sum(axis=1)
        valid = np.zeros(self.seen.shape, bool)
        valid[tuple(self.sources.T)] = True
        limit, rows = len(valid) - 1, self.targets
        tried = [origins[tuple(rows.T)] + shift for shift in SHIFTS]
        for x, y in NEIGHBOURS:
            beside = np.clip(rows + (2 * y, 2 * x), 0, limit)
            tried.append(origins[tuple(beside.T)] - (beside - rows)[:, ::-1])
        found, best = np.zeros_like(rows), np.full(len(rows), np.inf, np.float32)
        for each in tried:
            at = np.clip(each[:, ::-1], 0, limit)
            apart = np.square(_patches(self.image, at) - wanted).reshape(len(at), 3, -1).sum(axis=1)
            apart = (apart * weight).sum(axis=1) / total + 1e6 * ~valid[tuple(at.T)]
            better = apart < best
            found[better], best[better] = at[better], apart[better]
        return found, best

    def joined(self, filled: np.ndarray, found: np.ndarray, apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What sources put in the places of targets show together, and from which pixel, (H, H, 2) in x and y."""
        trust = np.exp(-apart / (2 * np.quantile(apart, 0.5) + 1.0)).astype(np.float32) + 1e-6
        size, margin = len(self.image), RADIUS
        total = np.zeros((size + 2 * margin, size + 2 * margin, 4), np.float32)
        padded = np.pad(self.image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        padded = np.dstack([padded, np.ones(padded.shape[:2], np.float32)])
        for down in range(2 * margin + 1):
            for right in range(2 * margin + 1):
                step = (down, right)
                total[tuple((self.targets + step).T)] += trust[:, None] * padded[tuple((found + step).T)]
        total = total[margin:-margin, margin:-margin]
        shown = total[..., :3] / np.maximum(total[..., 3:], 1e-6)
        result = np.where(self.hole[..., None], shown, filled)
        origins = _places(size)
        origins[tuple(self.targets.T)] = found[:, ::-1]
        result += self.hole[..., None] * self.light(origins)
        return result.astype(np.float32), origins

    def light(self, origins: np.ndarray) -> np.ndarray:
        """What to add (H, H, 3) so that what fills the hole goes on from what is around it: light is uneven."""
        size = len(self.image)
        far, labels = cv2.distanceTransformWithLabels(
            (~self.hole).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        holes = np.zeros((labels.max() + 1, 2), int)
        holes[labels[self.hole]] = np.argwhere(self.hole)
        border = np.argwhere(self.seen & (far < 2.5))
        nearest = holes[labels[tuple(border.T)]]
        there = np.clip(origins[tuple(nearest.T)][:, ::-1] + border - nearest, 0, size - 1)
        apart = self.image[tuple(border.T)] - self.image[tuple(there.T)]
        alike = self.seen[tuple(there.T)] * np.exp(-np.square(apart / CALM).mean(axis=1))
        change, weight = np.zeros_like(self.image), np.zeros((size, size), np.float32)
        change[tuple(border.T)], weight[tuple(border.T)] = apart, alike
        return spread(change, weight, 1.0)


def _without_seams(filled: np.ndarray, known: np.ndarray, detail: np.ndarray) -> np.ndarray:
    """What is filled, float32 (P, P, 3), without steps of its pixels, and where patches from different places meet
    without slight differences. It goes on into what is not ``known``."""
    smooth = spread(filled, known.astype(np.float32), STEPS)
    even = cv2.bilateralFilter(smooth, 0, *SEAMS)
    return smooth + (1 - detail[..., None]) * (even - smooth)


def _guessed(image: np.ndarray, seen: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """The colours (H, H, 3) of what is seen nearest. Clothes do not climb above where they are seen."""
    walls, clothed = seen & (wall > 0.9), seen & (wall < 0.1)
    everything = _nearest(image, seen)
    if not clothed.any() or not walls.any():
        return everything
    top = np.quantile(np.nonzero(clothed)[0], 0.02)
    above = smoothstep(top - np.arange(len(image), dtype=np.float32), -1, 1)[:, None, None]
    return everything + above * (_nearest(image, walls) - everything)


def _nearest(image: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The colours (H, H, 3) of what is seen, each as far as it is nearest, with soft borders."""
    sigma = SMOOTH * len(image)
    slow = spread(image, seen.astype(np.float32), sigma)
    if not seen.any():
        return slow
    _, labels = cv2.distanceTransformWithLabels(
        (~seen).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((labels.max() + 1, 3), np.float32)
    colours[labels[seen]] = slow[seen]
    return cv2.GaussianBlur(colours[labels], (0, 0), sigma)


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)


def _places(size: int) -> np.ndarray:
    """Each pixel's own x and y, int (H, H, 2)."""
    return np.ascontiguousarray(np.indices((size, size))[::-1].transpose(1, 2, 0))


def _alike_around(moves: np.ndarray) -> np.ndarray:
    """The share (H, H) of the neighbours of each pixel that make the same move (H, H, 2)."""
    same = np.zeros(moves.shape[:2], np.float32)
    for x, y in NEIGHBOURS:
        beside = np.roll(moves, (y, x), axis=(0, 1))
        same += (beside[..., 0] == moves[..., 0]) & (beside[..., 1] == moves[..., 1])
    return smoothstep(same / len(NEIGHBOURS), *COHERENT).astype(np.float32)


def _doubled(origins: np.ndarray) -> np.ndarray:
    """The same at twice the resolution."""
    return 2 * origins.repeat(2, axis=0).repeat(2, axis=1) + _places(2 * len(origins)) % 2


def _patches(image: np.ndarray, middles: np.ndarray, outside: bool = False) -> np.ndarray:
    """The patches (N, C K) of an image (H, H, C) around pixels (N, 2): rows and columns. Beyond its borders it goes on,
    or is 0."""
    width = ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0))
    padded = np.pad(image, width) if outside else np.pad(image, width, mode="edge")
    windows = sliding_window_view(padded, (2 * RADIUS + 1,) * 2, axis=(0, 1))
    return windows[tuple(middles.T)].reshape(len(middles), -1)
