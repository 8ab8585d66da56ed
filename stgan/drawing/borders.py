"""Where borders in a photo go on behind something: straight, in the direction that they have where they show."""

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 256  # of the window, in pixels: the unit of the lengths that follow
AWAY = 4  # from the hole, where borders are looked for
BESIDE = ((1, 5), (2, 8), (5, 14))  # along the hole, over which the two sides of a border have their colours
# Back along a border, and to both sides, where its sides differ by a share of what they do farther away; and the
# standard deviation of a step that differs by such a share (that of an error function, smoothed over a pixel).
WHERE, CLOSE, FAR = (0, 3, 6, 9, 13), 2.0, 7.0
WIDTHS = ((0.26, 0.34, 0.47, 0.73, 0.86), (6.0, 4.5, 3.0, 1.5, 0.0))
STEADY, UNSTEADY = 0.65, 4.5  # share of that which stays all along a border, and the deviation of one that varies more
STEP, CLEAR = 18.0, 2.0  # levels by which they differ, and how many times more than each of them varies
APART = 7  # from one border to the next, along the hole
AROUND = 5.0  # standard deviation of the circle in which a border has its direction
STRAIGHT = 0.5  # coherence of that
BACK = 7  # by which a border keeps colours apart where they show
FOLLOWED, EITHER, ALIKE = (5, 9, 13), 4, 0.4  # back along a border, and to both sides, where it still parts colours
MOST = 24  # borders
GARMENT = 1000.0  # by how much the border of clothes matters more than others, levels
BENDS = 0.35  # share of the way to a collar, after which a shoulder bends to it
STEEPEST = 0.6  # slope of a shoulder, where no collar tells it
TOUCHING = 5  # from clothes, within which a border is theirs


@dataclass(frozen=True)
class Border:
    """A border that meets a hole."""

    start: np.ndarray  # (2,), x and y
    way: np.ndarray  # (2,), a unit vector into the hole
    step: float  # levels by which it shows
    width: float  # standard deviation over which it does
    aim: np.ndarray | None = None  # (2,), a place that it bends to

    def path(self) -> np.ndarray:
        """Places (N, 2) along which it goes on, half a pixel from one to the next."""
        if self.aim is None:
            return self.start + np.arange(0, 2 * SIDE, 0.5)[:, None] * self.way
        far = float(np.hypot(*(self.aim - self.start)))
        bend = self.start + BENDS * far * self.way
        share = np.linspace(0, 1, max(2, round(2 * far)))[:, None]
        bent = (1 - share) ** 2 * self.start + 2 * share * (1 - share) * bend + share**2 * self.aim
        on = (self.aim - bend) / max(float(np.hypot(*(self.aim - bend))), 1e-6)
        return np.concatenate([bent, self.aim + np.arange(0.5, SIDE, 0.5)[:, None] * on])


def find_borders(image: np.ndarray, seen: np.ndarray, hole: np.ndarray, clothes: np.ndarray) -> list[Border]:
    """The borders that meet a hole, the clearest first. Those of clothes come before others.

    Args:
        image: float32 (P, P, 3) levels, P = :data:`SIDE`.
        seen, hole: bool (P, P), what shows, and what is wanted.
        clothes: float32 (P, P) in [0, 1].
    """
    far = cv2.distanceTransform(seen.astype(np.uint8), cv2.DIST_L2, 5)
    contours, _ = cv2.findContours((far < AWAY).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    around = _Surroundings.of(image, seen, hole, clothes, cv2.erode((far > 2).astype(np.float32), np.ones((3, 3))))
    found = [border for contour in contours for border in around.met_by(contour[:, 0])]
    return sorted(found, key=lambda border: -border.step)[:MOST]


def lines_of(borders: list[Border], hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixels, bool (P, P), along which borders go on through a hole, to its end or to a clearer border. Also their
    widths, float32 (P, P), 0 elsewhere."""
    lines, widths = np.zeros(hole.shape, np.uint8), np.zeros(hole.shape, np.float32)
    for border in borders:
        steps = border.path()
        steps = steps[np.logical_and.accumulate(((steps > 0) & (steps < SIDE - 1)).all(axis=1))]
        x, y = np.rint(steps).astype(int).T
        inside = hole[y, x]
        if not inside[: 6 * AWAY].any():
            continue
        entry = int(inside.argmax())
        ends = np.flatnonzero(~inside[entry:] | (lines[y, x][entry:] > 0))
        length = entry + int(ends[0]) + 2 if len(ends) else len(steps)
        tail = border.start - BACK * border.way
        drawn = np.rint(np.concatenate([tail[None], steps[: length + 1]])).astype(np.int32)
        cv2.polylines(lines, [drawn], False, 1)
        cv2.polylines(widths, [drawn], False, border.width)
    return lines > 0, widths


@dataclass(frozen=True)
class _Surroundings:
    """What shows around a hole: (P, P, ...)."""

    image: np.ndarray  # float32 levels, without noise
    seen: np.ndarray  # bool
    hole: np.ndarray  # bool
    near: np.ndarray  # float32, distance from the hole
    worn: np.ndarray  # bool, clothes
    beside_worn: np.ndarray  # bool
    tensor: np.ndarray  # float32, structure of the image
    worn_tensor: np.ndarray  # likewise, of the clothes

    @classmethod
    def of(
        cls, image: np.ndarray, seen: np.ndarray, hole: np.ndarray, clothes: np.ndarray, share: np.ndarray
    ) -> "_Surroundings":
        """With a structure of what counts, (P, P) in [0, 1]."""
        image, worn = cv2.GaussianBlur(image, (0, 0), 1.0), cv2.GaussianBlur(255 * clothes, (0, 0), 1.0)
        beside = cv2.dilate((seen & (clothes > 0.5)).astype(np.uint8), np.ones((2 * TOUCHING + 1,) * 2)) > 0
        near = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5)
        tensors = _tensor(image, share), _tensor(worn, share)
        return cls(image, seen, hole, near, clothes > 0.5, beside, *tensors)

    def met_by(self, points: np.ndarray) -> list[Border]:
        """The borders that a closed line of pixels (N, 2) around the hole meets."""
        if len(points) < 4 * BESIDE[0][1]:
            return []
        x, y = points.T
        inner = (np.minimum(x, y) > 2) & (np.maximum(x, y) < SIDE - 3)
        usable = self.seen[y, x] & (self.near[y, x] < AWAY + 3) & inner
        garment = usable & (self.worn[y, x] != np.roll(self.worn[y, x], 1)) & np.roll(usable, 1)
        pairs = [_steps(self.image[y, x], usable, *beside) for beside in BESIDE]
        steps, clear = (np.stack(each) for each in zip(*pairs, strict=True))
        free, found = garment | (clear > 0).any(axis=0), []
        # What shows over a short way tells best where it is.
        first = np.where(garment, len(BESIDE) + 1, ((clear > 0) * np.arange(len(BESIDE), 0, -1)[:, None]).max(axis=0))
        for index in np.lexsort((-steps.max(axis=0), -first)):
            if not free[index]:
                continue
            free[np.arange(index - APART, index + APART + 1) % len(free)] = False
            way, aim = self.way_at(points[index], bool(garment[index]))
            if way is not None:
                most = float(steps[:, index].max())
                width = 0.0 if garment[index] else self.width_of(points[index], way)
                strength = most + GARMENT * bool(garment[index])
                found.append(Border(points[index].astype(float), way, strength, width, aim))
        return found

    def way_at(self, point: np.ndarray, garment: bool) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The direction (2,) into the hole of a border at a place, None where it has none, or ends at once; and the
        place (2,) that it bends to, if there is one."""
        a, b, c = (self.worn_tensor if garment else self.tensor)[point[1], point[0]]
        if a + c <= 0 or np.hypot(a - c, 2 * b) < STRAIGHT * (a + c):
            return None, None
        angle = 0.5 * np.arctan2(2 * b, a - c) + np.pi / 2
        way = np.array([np.cos(angle), np.sin(angle)])
        steps = np.arange(AWAY, 4 * AWAY)[:, None] * way
        into = [_looked_up(self.hole, point + sign * steps).sum() for sign in (1, -1)]
        way = way if into[0] >= into[1] else -way
        if max(into) < 3 or not garment and not self.goes_back(point, way):
            return None, None
        return self.of_a_shoulder(point, way) if self.beside_worn[point[1], point[0]] else (way, None)

    def width_of(self, point: np.ndarray, way: np.ndarray) -> float:
        """The standard deviation over which a border shows."""
        places = point - np.array(WHERE)[:, None] * way
        aside = np.array([-way[1], way[0]])
        steps = [_looked_up(self.image, places + off * aside) - _looked_up(self.image, places - off * aside)
                 for off in (CLOSE, FAR)]  # fmt: skip
        near, far = np.linalg.norm(steps, axis=2)
        width = float(np.interp(np.median(near / np.maximum(far, 1)), *WIDTHS))
        width = width if far.min() > STEADY * far.max() else max(width, UNSTEADY)
        return 1.5 * round(width / 1.5)  # of few kinds, each of which is drawn at once

    def goes_back(self, point: np.ndarray, way: np.ndarray) -> bool:
        """Whether a border shows farther from the hole, too: what ends at once is a spot."""
        places = point - np.array((0, *FOLLOWED))[:, None] * way
        sides = [places + sign * EITHER * np.array([-way[1], way[0]]) for sign in (1, -1)]
        shows = np.all(
            [_looked_up(self.seen, side) & ((side >= 0) & (side < SIDE)).all(axis=1) for side in sides], axis=0
        )
        apart = np.subtract(*(_looked_up(self.image, side) for side in sides))
        alike = apart @ apart[0] > ALIKE * apart[0] @ apart[0]
        return bool(shows[1:].any() and alike[1:][shows[1:]].all())

    def of_a_shoulder(self, point: np.ndarray, way: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As :meth:`way_at`, of a border of clothes: a shoulder rises no higher than the collar beside the neck."""
        middle = (SIDE - 1) / 2
        inward = np.sign(middle - point[0])
        if way[0] * inward <= 0:
            return way, None
        rows, columns = np.nonzero(self.worn & self.seen & (self.near < 2 * AWAY))
        inside = (inward * (columns - point[0]) > 4 * AWAY) & (inward * (columns - middle) < 0)
        inside &= rows < point[1] + 2 * AWAY  # a collar that hair hides, too, tells nothing
        collar = None
        if inside.any():
            top = rows[inside].argmin()
            collar = np.array([columns[inside][top], rows[inside][top]], float)
        steepest = np.array([inward, -STEEPEST]) if collar is None else collar - point
        if way[1] / abs(way[0]) > steepest[1] / abs(steepest[0]):
            return way, None
        return (steepest / np.hypot(*steepest), None) if collar is None else (way, collar)


def _looked_up(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The values of an image (P, P, ...) at places (N, 2), or at its border beside them."""
    x, y = np.rint(places).astype(int).clip(0, SIDE - 1).T
    found: np.ndarray = image[y, x]
    return found


def _steps(colours: np.ndarray, usable: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """By how much colours (N, 3) change along a closed line, (N,), and the same where it is at once, and more than
    nearby; 0 elsewhere."""
    sides = []
    for way in (-1, 1):
        there = np.stack([np.roll(colours, -way * k, axis=0) for k in range(first, last + 1)])
        good = np.all([np.roll(usable, -way * k) for k in range(last + 1)], axis=0)
        sides.append((there.mean(axis=0), np.square(there.std(axis=0)).mean(axis=1), good))
    (one, vary, good), (other, varies, fine) = sides
    step = np.sqrt(np.square(one - other).mean(axis=1)) * (good & fine)
    clear = step * ((step > STEP) & (step > CLEAR * np.sqrt(np.maximum(vary, varies))))
    highest = np.max([np.roll(clear, k) for k in range(-last // 2, last // 2 + 1)], axis=0)
    return step, clear * (clear == highest)


def _tensor(image: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The structure tensor (P, P, 3) of an image around each pixel, of what counts."""
    across, down = (cv2.Sobel(image, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
    across, down = (each.reshape(*share.shape, -1) for each in (across, down))
    parts = [(one * other).sum(axis=2) * share for one, other in ((across, across), (across, down), (down, down))]
    return cv2.GaussianBlur(np.dstack(parts), (0, 0), AROUND)
