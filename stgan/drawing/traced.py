"""The frame of worn glasses at the photo's own resolution, and what lies under it: the photo's own skin, hair and wall.

A parser sees a frame at some pixels of the crop. Here rims are closed curves around the lenses, bridge and arms have
their colour, and all else stays the photo's, also behind clear lenses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from stgan.drawing.filling import in_the_hues, spread
from stgan.drawing.morphology import closed, disk, grown, largest, opened, ridge, touching, without_holes
from stgan.drawing.rims import Head, sampled
from stgan.photo.align import Alignment
from stgan.photo.geometry import as_3x3, best_path, smoothstep
from stgan.photo.light import Light
from stgan.photo.matte import drawn, warped

# Lengths are in eye distances unless stated otherwise.
DETAIL = (2.0, 4.0)  # least and most pixels of the grid per pixel of the crop
MARGIN = 0.25  # around what may be glasses, from which skin, hair and wall are taken
SLOW = 0.08  # standard deviation of a circle within which skin has one colour
SAME = 25.0  # levels by which skin differs from that colour
LENS = 0.1  # least area of one that is seen, in squared distances
RING = (-0.1, 0.06)  # distance from the outline that a parser sees, where a rim may be: no skin is looked for there
SOFT = 0.008  # standard deviation of a circle in which noise is averaged
LINES = (0.05, 0.2)  # widths of a wire and of the thickest rim
ANGLES = np.linspace(0, 2 * np.pi, 180, endpoint=False)  # around a lens
STEP = 0.008
RADII = np.arange(0.12, 0.85, STEP)  # around the centre of a lens
CLEAREST = 60.0  # levels of difference that count at most: a reflection differs more than a frame
USUAL, FREE, FARTHEST = -0.02, 0.02, (-0.2, 0.14)  # distance of a rim from the outline; what costs nothing; limits
OFF, EYE, BEYOND = 12.0, 1.5, 9.0  # prices of a distance, of an eye and of a place beyond the limits
BEND, BENDS, STEEPEST = 0.05, 0.012, 4  # prices of a step and of its square, and the most steps per angle
HALF = 0.13  # most by which a rim reaches to either side of its path
LEAST, PART = 8.0, 0.35  # levels, and share of those of the path, from which a place belongs to the rim
PAST = (0.6, 1.3, 4.0)  # share of the path's levels below, and gain from there, from which another thing begins
STEADY = (1.25, 0.012)  # most that a rim is wider than around, and in addition
GROWN = 0.018  # of all that was found, as edges are soft
STRONGEST = 90.0  # levels that count at most for how much a frame differs
ALIKE = (0.3, 0.55)  # difference from the frame's colour as a share of that between it and skin: beside eyes, elsewhere
NEAR_EYES = 0.1
HINGE, BRIDGE, WITHIN = (12.0, 0.4), (9.0, 0.25), (16.0, 0.4)  # levels, and share of the rim's; the last in a lens
NOSE = 0.16  # from its middle to a lens
CLOSED = 0.045  # radius of the holes of ornaments
HOLE = 0.03  # area of what is frame too where a frame is all around it, in squared distances
GLARE, LOW = 38.0, 0.05  # levels by which a reflection is brighter than skin, and the lowest: lit cheeks look alike
LIDS = (0.05, 0.03)  # what stays around an eye: of all, and of what has the colour of the frame
NARROW = 0.012  # radius of what is noise
FINEST = 0.015  # standard deviation of the circle that goes on under a frame
LIKE_SKIN = 40.0  # levels by which skin differs from its slow colour; lashes differ more
TOUCH, CUT_BROW = 0.02, (0.2, 0.3)  # distance at which a frame touches a brow; share of it, from where it is drawn
SEEN_BROW = (0.012, 0.03)  # areas of a brow in squared distances, up to which it is drawn, and from which it is not
BRIGHTER = 30.0  # levels, the most by which a drawing is brighter than around: it loses shades, not brows
HUES = 6.0  # levels by which the colours of skin differ from the slow ones
OTHERS = ("hair", "background", "brows")
EASILY = (1.0, 1.0, 0.08)  # how far they go on: a frame mostly lies under a brow, not on it
ON_BROW = (0.035, 100.0)  # distance from the outline beyond which a brow is no frame unless it differs so much


@dataclass(frozen=True)
class Clues:
    """What a crop tells about the glasses in it. Maps are float32 (S, S), of a parser's classes in [0, 1]."""

    seen: Mapping[str, np.ndarray]
    near: np.ndarray  # where a frame may be
    outside: np.ndarray  # distance from the outline of the glasses in eye distances, negative within
    lenses: list[np.ndarray]  # uint8, 1 within each
    arms: np.ndarray
    crop: np.ndarray  # float32 (S, S, 3), levels in the networks' light

    @classmethod
    def of(
        cls,
        crop: np.ndarray,
        seen: Mapping[str, np.ndarray],
        near: np.ndarray,
        outside: np.ndarray,
        body: np.ndarray,
        arms: np.ndarray,
    ) -> "Clues | None":
        """From a crop float32 (S, S, 3), and bool (S, S): the lenses, and the arms beside them. None unless it shows
        two lenses."""
        mean = Head.mean(len(crop))
        columns = np.arange(len(crop)) < mean.middle[0]
        halves = [(body & side).astype(np.uint8) for side in (columns, ~columns)]
        if min(each.sum() for each in halves) < LENS * mean.distance**2:
            return None
        return cls(seen, near, outside.astype(np.float32), halves, arms.astype(np.float32), crop)

    def traced(
        self, rgb: np.ndarray, drawn: np.ndarray, alignment: Alignment, light: Light
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What replaces the frame in a photo uint8 (H, W, 3): a grid (h, w, 3) of levels in the networks' light, its
        share (h, w) in [0, 1], and the matrix (2, 3) from pixels of the photo to pixels of the grid.

        Args:
            drawn: what a network draws without glasses, (S, S, 3), from which brows come that a frame hides.
        """
        view = _View.of(self, rgb, alignment, light)
        pixel = max(1.0, float(np.hypot(*view.to_grid[0, :2])))
        frame = grown(view.frame(), GROWN * view.distance + 0.8 * pixel)
        share = np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.8))
        return view.without(frame, drawn), share, view.to_grid

    def skin(self) -> np.ndarray:
        """Slow colours of skin, float32 (S, S, 3)."""
        distance = Head.mean(len(self.crop)).distance
        other = sum(self.seen[name] for name in ("hair", "background", "eyes", "hat")) + 0.9 * self.seen["brows"]
        bare = cv2.erode((1 - other).clip(0, 1).astype(np.float32), disk(0.04 * distance))
        bare = bare * np.where((self.outside > RING[0]) & (self.outside < RING[1]), 0.03, 1)
        skin = spread(self.crop, bare + 1e-4, SLOW * distance)
        for _ in range(3):  # what differs from it is none
            same = np.exp(-((largest(np.abs(self.crop - skin)) / SAME) ** 2))
            skin = spread(self.crop, (bare + 1e-4) * same, SLOW * distance)
        return skin


@dataclass(frozen=True)
class _View:
    """A part of the photo with glasses, on a grid."""

    clues: Clues
    image: np.ndarray  # float32 (h, w, 3), levels in the networks' light
    skin: np.ndarray  # likewise, slow colours
    to_grid: np.ndarray  # (2, 3), from pixels of the photo
    from_crop: np.ndarray  # (2, 3), from pixels of the crop
    distance: float  # of the eyes, in pixels

    @classmethod
    def of(cls, clues: Clues, rgb: np.ndarray, alignment: Alignment, light: Light) -> "_View":
        size, detail = len(clues.near), float(np.clip(1 / alignment.scale, *DETAIL))
        distance = Head.mean(size).distance
        rows, columns = (np.nonzero((clues.near > 0).any(axis=axis))[0] for axis in (1, 0))
        margin = round(MARGIN * distance)
        left, top = max(0, columns[0] - margin), max(0, rows[0] - margin)
        right, bottom = min(size, columns[-1] + margin + 1), min(size, rows[-1] + margin + 1)
        corner = (0.5 - np.array([left, top])) * detail - 0.5
        from_crop = np.array([[detail, 0, corner[0]], [0, detail, corner[1]]])
        to_grid = (as_3x3(from_crop) @ as_3x3(alignment.matrix))[:2]
        height, width = round((bottom - top) * detail), round((right - left) * detail)
        image = drawn(rgb, Alignment(to_grid), max(height, width))[:height, :width]
        to_crop = cv2.invertAffineTransform(from_crop)
        skin = warped(np.asarray(clues.skin(), np.float32), to_crop, (0, 0), image.shape)
        return cls(clues, light.normalised(image), skin, to_grid, from_crop, detail * distance)

    def shown(self, crop_map: np.ndarray) -> np.ndarray:
        """A map of the crop on the grid."""
        to_crop = cv2.invertAffineTransform(self.from_crop)
        return warped(np.asarray(crop_map, np.float32), to_crop, (0, 0), self.image.shape)

    @property
    def middle(self) -> np.ndarray:
        """(2,), between the eyes."""
        return self.from_crop @ (*Head.mean(len(self.clues.near)).middle, 1)

    def frame(self) -> np.ndarray:
        """Float32 (h, w), 1 where a frame is or a reflection on a lens, else 0."""
        distance, outside = self.distance, self.shown(self.clues.outside)
        soft = cv2.GaussianBlur(self.image, (0, 0), max(0.6, SOFT * distance))
        skin = self.skin
        thin = ridge(soft, LINES[0] * distance)
        half = cv2.resize(soft, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)  # wide discs take long
        thick = cv2.resize(ridge(half, LINES[1] * distance / 2), soft.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        evidence = np.maximum(np.minimum(largest(cv2.absdiff(soft, skin)), 1.3 * thick), thin)
        eyes = self.shown(self.clues.seen["eyes"]) > 0.4
        lids, own = (grown(eyes, reach * distance) > 0 for reach in LIDS)
        brows = (self.shown(self.clues.seen["brows"]) > 0.4) & (outside > ON_BROW[0])
        rims, within = np.zeros((2, *eyes.shape), bool)
        for lens in self.clues.lenses:
            rim, inside = self._rim(lens, evidence, lids, brows, outside)
            rims, within = rims | rim, within | inside
        weight = (rims * np.minimum(evidence, STRONGEST) ** 2 / 1000 + 1e-6).astype(np.float32)
        around = spread(np.dstack([soft, np.minimum(evidence, STRONGEST)]), weight, 0.05 * distance)
        colour, level = around[..., :3], around[..., 3]
        found = self._beside(evidence, level, within, outside) & ~lids
        near_eyes = grown(eyes, NEAR_EYES * distance) > 0  # lashes are as dark as frames
        off = largest(cv2.absdiff(soft, colour)) / (largest(cv2.absdiff(colour, skin)) + 1)
        alike = (off < np.where(near_eyes, *ALIKE)) & (evidence > _least(level, *WITHIN)) & ~own
        dark = -largest(soft - skin) > _least(np.minimum(level, CLEAREST), *WITHIN)
        found |= (outside > FARTHEST[0]) & ((alike & (outside < 0.1)) | (dark & within & ~near_eyes))
        arms = grown(self.clues.arms, 0.02 * Head.mean(len(self.clues.near)).distance)
        found = (found & (~brows | ((off < ALIKE[0]) & (evidence > ON_BROW[1])))) | (self.shown(arms) > 0.5)
        found = touching(opened(found, NARROW * distance) | rims, rims, 10)
        found = closed(found, CLOSED * distance) | self._reflections(soft - skin, within & (outside < -0.02))
        free = ~own & (self.shown(self.clues.seen["hat"]) < 0.5)
        return (without_holes(found, HOLE * distance**2) & free).astype(np.float32)

    def _beside(self, evidence: np.ndarray, level: np.ndarray, within: np.ndarray, outside: np.ndarray) -> np.ndarray:
        """Bool (h, w): hinges and bridge, which differ from skin (h, w) nearly as much as the rims around (h, w)."""
        nose = np.abs(np.arange(level.shape[1]) - self.middle[0]) < NOSE * self.distance
        hinge = (evidence > _least(level, *HINGE)) & (~within | (outside > -0.08)) & (outside < 0.08)
        bridge = (evidence > _least(level, *BRIDGE)) & ~within & nose & (outside < 0.05)
        return (hinge | bridge) & (self.shown(self.clues.near) > 0.2)

    def _reflections(self, brighter: np.ndarray, lenses: np.ndarray) -> np.ndarray:
        """Bool (h, w): where lenses (h, w) are much brighter than skin, by (h, w, 3), and no cheek is lit."""
        high = np.arange(len(lenses))[:, None] < self.middle[1] + LOW * self.distance
        bright = opened((largest(-brighter) < -GLARE) & lenses & high, NARROW * self.distance)
        return grown(bright, 0.03 * self.distance) > 0

    def _rim(
        self, lens: np.ndarray, evidence: np.ndarray, lids: np.ndarray, brows: np.ndarray, outside: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bool (h, w) each: the rim of a lens (S, S), and what is within its middle line."""
        moments = cv2.moments(lens, True)
        centre = self.from_crop @ (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"], 1)
        rays = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=-1)[:, None] * RADII[:, None] * self.distance
        levels, eye, brow, far = (sampled(each, centre + rays) for each in (evidence, lids, brows, outside))
        path = _path(levels, EYE * eye, far)
        inwards, outwards = _reach(levels, eye > 0.5, brow > 0.5, path)
        columns, rows = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in evidence.shape[::-1]))
        radius, angle = cv2.cartToPolar(columns - np.float32(centre[0]), rows - np.float32(centre[1]))
        places, radius = angle * np.float32(len(ANGLES) / (2 * np.pi)), radius / np.float32(self.distance)
        inner, middle, outer = (
            cv2.remap(np.append(each, each[:2])[None].astype(np.float32), places, 0 * places, cv2.INTER_LINEAR)
            for each in (RADII[path] - inwards - NARROW, RADII[path], RADII[path] + outwards + NARROW)
        )
        return (inner < radius) & (radius < outer), radius < middle

    def without(self, frame: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The grid (h, w, 3) with what is around a frame, 1 where it is and 0 elsewhere, in its place."""
        seen, known = self.clues.seen, 1 - frame
        others = [self.shown(seen[name]).clip(0, 1) * known for name in OTHERS]
        others[-1] = others[-1] * (1 - grown(frame, NARROW * self.distance))  # brows that a frame darkens
        differs = self.image - self.skin
        darker = largest(-differs)
        differs = np.maximum(darker, -darker / 2)  # lit skin is skin
        skin = known * (1 - np.sum(others, axis=0)).clip(0, 1)
        kinds = [(skin * (np.exp(-((differs / LIKE_SKIN) ** 2)) + 0.02),) * 2]
        beside = grown(frame, 3) > 0
        kinds += [
            (easily * each, each) for easily, each in zip(EASILY, others, strict=True) if each[beside].max() > 0.5
        ]
        shares = (spread(np.dstack([share for share, _ in kinds]), known + 1e-6, 0.03 * self.distance) + 1e-3) ** 4
        shares = cv2.GaussianBlur(shares / shares.sum(axis=2, keepdims=True), (0, 0), NARROW * self.distance)
        shares = shares.reshape(*known.shape, -1)  # OpenCV drops a single channel
        sigma = max(1.2, FINEST * self.distance)
        drawn, hidden = self.shown(drawn), self._hidden(known)
        own = spread(np.dstack([self.image, drawn]), kinds[0][1] + 1e-6 * known, sigma)
        # As gradients are cloned: the drawing's structure on the photo's own skin.
        bare = own[..., :3] + hidden[..., None] * np.minimum(drawn - own[..., 3:], BRIGHTER)
        result = shares[..., :1] * in_the_hues(bare, self.skin, np.full(known.shape, HUES, np.float32))
        for index, (_, weight) in enumerate(kinds[1:], 1):
            result += shares[..., index : index + 1] * spread(self.image, weight + 1e-6 * known, sigma)
        return result

    def _hidden(self, known: np.ndarray) -> np.ndarray:
        """Float32 (h, w) in [0, 1]: on lenses and their rims, but not above eyes whose brow is seen whole."""
        x, y = self.middle
        rows, columns = (np.arange(n) for n in known.shape)
        brows = (self.shown(self.clues.seen["brows"]) > 0.5) * known * (rows < y)[:, None]
        touched = brows * grown(1 - known, TOUCH * self.distance)
        needed = []
        for side in (columns < x, columns >= x):
            area = brows[:, side].sum()
            cut = smoothstep(touched[:, side].sum() / max(1.0, area), *CUT_BROW)
            needed.append(max(cut, 1 - smoothstep(area / self.distance**2, *SEEN_BROW)))
        right = smoothstep((columns - x) / self.distance, -0.1, 0.1)
        above = 1 - smoothstep((rows - y) / self.distance, -0.12, 0.02)[:, None]
        before = 1 - smoothstep(self.shown(self.clues.outside), 0.0, 0.1)  # not beside lenses, where arms are
        return (before * (1 - above * (1 - needed[0] * (1 - right) - needed[1] * right))).astype(np.float32)


def _path(levels: np.ndarray, price: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The indices of radii (A,) along which the middle of a rim runs around a lens; all that is seen is (A, R)."""
    score = np.sqrt(np.minimum(levels, CLEAREST) / CLEAREST) - price
    score -= OFF * np.clip(np.abs(outside - USUAL) - FREE, 0, None) ** 1.5
    score -= BEYOND * ((outside < FARTHEST[0]) | (outside > FARTHEST[1]))
    steps = np.abs(np.subtract.outer(range(len(RADII)), range(len(RADII))))
    bends = np.where(steps <= STEEPEST, BEND * steps + BENDS * steps**2, BEYOND)
    overlap = len(ANGLES) // 4  # a rim closes
    return best_path(np.vstack([score[-overlap:], score, score[:overlap]]), bends)[overlap:-overlap]


def _least(level: np.ndarray, least: float, share: float) -> np.ndarray:
    return np.maximum(least, share * level)


def _reach(levels: np.ndarray, eye: np.ndarray, brow: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far (A,) a rim reaches inwards and outwards of its path (A,) through levels (A, R), in eye distances."""
    peaks = np.array([row[max(0, place - 1) : place + 2].max() for row, place in zip(levels, path, strict=True)])
    most = 1.5 * _median(peaks, 8)
    peaks = np.minimum(peaks, most)
    kept = eye | (brow & ((levels < ON_BROW[1]) | (levels > most[:, None])))  # a wire differs less than a dark brow
    widths = np.zeros((2, len(path)))
    for angle, (place, peak) in enumerate(zip(path, peaks, strict=True)):
        least = max(LEAST, PART * peak)
        for side, step in enumerate((-1, 1)):
            last, lowest = place, peak
            for there in range(place + step, place + step * round(HALF / STEP), step):
                if not 0 <= there < len(RADII) or abs(there - last) > 3:
                    break
                level = levels[angle, there]
                lowest = min(lowest, level)
                if lowest < PAST[0] * peak and level > PAST[1] * lowest + PAST[2]:
                    break
                if level > least and not kept[angle, there]:
                    last = there
            widths[side, angle] = abs(last - place) * STEP
    kernel = cv2.getGaussianKernel(9, 1.5)[:, 0]
    near, far = (np.minimum(_median(each, 2), STEADY[0] * _median(each, 10) + STEADY[1]) for each in widths)
    near, far = (np.convolve(np.pad(each, 4, mode="wrap"), kernel, "valid") for each in (near, far))
    return near, far


def _median(values: np.ndarray, reach: int) -> np.ndarray:
    """The running median (A,) around a circle."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, mode="wrap"), 2 * reach + 1)
    return np.median(windows, axis=1)
