"""The outline of the skull under a head of hair, and how light falls on it.

Measured on 94 bald heads of CelebA-HQ's training images: above its widest place, which is at the tops of the ears, a
skull is half an ellipse, 2.4 eye distances wide and 1.5 high. The jaw tells its width, a tenth more than that of the
cheeks. Its sides and its top are a third darker than the middle of the forehead.

Places are (x, y) in eye distances from the middle between the eyes; y is positive upwards.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.geometry import smoothstep
from stgan.photo.matte import WIDE, Silhouette

STEP = 0.05  # from one height that is measured to the next
CENTRE = 0.33  # height of the widest place
NARROWEST_SKULL = 1.05  # half the width
# Half the width, as a share of half the width of the jaw, by as much as the head is turned, and on top of that.
OF_THE_JAW, OF_A_TURN, BESIDES = 0.37, 0.06, 0.81
JAW = (-1.2, -0.9)  # heights
ABOVE = 1.16  # height above the widest place, in half widths
BELOW = 2.08  # likewise, below it: down to the chin
TEMPLE = 0.12  # by which it is wider than the cheeks on either side, at most: hair may be as thick as it likes
# Share of the width of half an ellipse that cheeks have where they are narrow, and where hair or ears beside them show.
NARROW = (0.7, 0.97)
CHEEKS = 0.83  # from the widest place down to the cheeks
TURNED = 0.35  # from the middle between the eyes to that of the skull, at most; it grows as a head turns
FARTHER = 0.2  # by which it is farther at most, so that a skull does not overhang the far side of a turned face
FOREHEAD, WIDER = (0.4, 1.25), 0.16  # heights of a forehead, and by how much a skull is wider at most, to hold it
MOSTLY = 0.75  # share of the heights at which a skull lies within the hair
GAP = 0.3  # in a head, as a ribbon or a parting leaves it: it goes on above
TEMPLES = (0.35, 0.9)  # heights over which hair and temples are measured
HAIR = 0.07  # thickness of the shortest hair
LOBES = (-0.65, -0.3)  # heights
EARS, STANDS_OUT = (-0.5, 0.15), 0.18  # heights, and by how much an ear is farther out than a skull at most
EAR_HEIGHT = -0.2  # above which ears stand out most
NARROWEST, WIDEST = 0.8, 0.85  # of a cheek in front of hair, and the quantile of its width that shows most of it
CHIN = -0.9  # heights over which the width of the cheeks is measured: from here to the ears
BROWS = ((0.1, 0.42), 0.75)  # heights, and half the width
MOST_HIDDEN = 0.3  # share of the brows that hair may hide
# Logarithm of brightness by which the sides and the top are darker than the forehead, and the shares of the way there
# between which they become so: the median of 67 bald heads.
DARKER = ((0.38, 0.1, 0.92), (0.36, 0.42, 1.05))
CHANNELS = np.array([1.0, 1.1, 1.3], np.float32)  # the same in red, green and blue
GLOSS = 0.1  # logarithm of brightness of the shine above the forehead


@dataclass(frozen=True)
class Skull:
    """A skull in places."""

    middle: float
    across: float  # half the width
    above: float  # height above the widest place
    cheeks: tuple[float, float]  # from x = 0 to the border of the face on the left and on the right of the image
    lobes: tuple[float, float]  # likewise, to the end of what shows of the lobes of the ears

    @classmethod
    def of(cls, silhouette: Silhouette, skin: np.ndarray) -> "Skull":
        """Under the hair of a silhouette, given the skin (W, W) in [0, 1] in the same window.

        On a side where the skin itself is the outline, because the head is turned, so it is on the skull.
        """
        seen = _Measured.of(silhouette.person > 0.5)
        bare = _Measured.of(skin > 0.5)
        face = _Measured.of((silhouette.person > 0.5) & (silhouette.hair < 0.5))
        rows = face.ends(CHIN, EAR_HEIGHT)
        cheeks = np.quantile(rows, WIDEST, axis=0)
        ends = _under_hair(seen, bare, cheeks, float(np.median(face.ends(*JAW), axis=0).mean()))
        middle = float(ends[1] - ends[0]) / 2
        top = np.median([seen.closed(GAP).up(middle + x, 0.5) for x in np.linspace(-0.3, 0.3, 7)])
        above = float(np.clip(ABOVE * ends.mean(), 0.6, max(0.6, top - CENTRE - HAIR)))
        ends += np.clip(_beyond(bare, ends, above, FOREHEAD).max(axis=0), 0, WIDER)
        ends += np.clip(bare.ends(*EARS).max(axis=0) - STANDS_OUT - ends, 0, WIDER)
        ends -= np.clip(-np.quantile(_beyond(seen, ends, above, TEMPLES), 1 - MOSTLY, axis=0), 0, FARTHER)
        left, right = np.median(rows, axis=0).tolist()
        lobes = bare.ends(*LOBES).max(axis=0)
        return cls(float(ends[1] - ends[0]) / 2, float(ends.mean()), above, (left, right), tuple(lobes.tolist()))

    def coordinates(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For places float32 (H, W): how far across and up they are, in half widths and heights, and the distance
        inside of the outline in eye distances."""
        height = np.where(y > CENTRE, self.above, BELOW).astype(np.float32)
        below = np.clip((CENTRE - y) / CHEEKS, 0, 1)
        usual = self.across * np.sqrt(1 - (CHEEKS / BELOW) ** 2)
        narrow = [np.clip((cheek + HAIR - way * self.middle) / usual, *NARROW)
                  for way, cheek in zip((-1, 1), self.cheeks, strict=True)]  # fmt: skip
        width = self.across * (1 - (1 - np.where(x < self.middle, *narrow)) * below)
        across, up = ((x - self.middle) / width).astype(np.float32), (y - CENTRE) / height
        radius = np.hypot(across, up)
        slope = np.hypot(across / width, up / height)
        return across, up, ((1 - radius) * radius / np.maximum(slope, 1e-3)).astype(np.float32)


def eye_frame(pixels: int) -> tuple[np.ndarray, float]:
    """The middle between the eyes in a window of W = ``pixels``, (2,), and the eye distance, both in pixels."""
    step = pixels / WIDE / (CELEBA_CROP[2] - CELEBA_CROP[0])
    eyes = (MEAN_LANDMARKS[:2] - CELEBA_CROP[:2] + 0.5) * step + pixels * (1 - 1 / WIDE) / 2 - 0.5
    return eyes.mean(axis=0), float(eyes[1, 0] - eyes[0, 0])


def places(pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The places x and y, float32 (W, W) each, of the pixels of a window of W = ``pixels``."""
    origin, distance = eye_frame(pixels)
    steps = np.arange(pixels, dtype=np.float32)
    x, y = np.meshgrid((steps - origin[0]) / distance, (origin[1] - steps) / distance)
    return x.astype(np.float32), y.astype(np.float32)


def shading(across: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Logarithm of brightness, float32 (H, W, 3), over a skull, compared with the middle of the forehead.

    Arguments as :meth:`Skull.coordinates` returns them.
    """
    aside, above = (amount * smoothstep(place, *ends)
                    for place, (amount, *ends) in zip((np.abs(across), up), DARKER, strict=True))  # fmt: skip
    dark = np.hypot(aside, above)
    gloss = GLOSS * np.exp(-((across / 0.4) ** 2) - ((up - 0.56) / 0.19) ** 2)
    return (gloss[..., None] - dark[..., None] * CHANNELS).astype(np.float32)


def hides_the_brows(silhouette: Silhouette) -> bool:
    """Whether hair hangs over the brows, so that nobody knows how they look."""
    x, y = places(len(silhouette.hair))
    (lowest, highest), aside = BROWS
    return float(silhouette.hair[(np.abs(x) < aside) & (y > lowest) & (y < highest)].mean()) > MOST_HIDDEN


def _under_hair(seen: "_Measured", bare: "_Measured", cheeks: np.ndarray, jaw: float) -> np.ndarray:
    """How far a skull goes to the left and to the right, (2,), under hair that may be thick, given the widths of the
    cheeks, (2,), and half that of the jaw."""
    heights, sides = np.arange(*TEMPLES, STEP), seen.ends(*TEMPLES)
    ends = np.median(sides, axis=0)
    skin = [[bare.at(way * (end - HAIR), height) for way, end in zip((-1, 1), both, strict=True)]
            for height, both in zip(heights, sides, strict=True)]  # fmt: skip
    hairy = np.mean(skin, axis=0) < 0.6
    ends = np.where(hairy, np.minimum(ends - HAIR, np.maximum(cheeks, NARROWEST) + TEMPLE), ends)
    turned = min(abs(float(ends[1] - ends[0])) / 2, TURNED)
    widest = max(BESIDES + OF_THE_JAW * jaw + OF_A_TURN * turned, NARROWEST_SKULL)
    ends = ends - max(0.0, float(ends.mean()) - widest) * 2 * hairy / max(int(hairy.sum()), 1)
    across = float(np.clip(ends.mean(), NARROWEST_SKULL, widest))
    middle = float(np.clip((ends[1] - ends[0]) / 2, -TURNED, TURNED))
    far = across - abs(middle) - float(ends.min())  # beyond the far side, where the face ends
    middle += float(np.sign(middle) * np.clip(far, 0, FARTHER))
    return np.array([across - middle, across + middle])


def _beyond(measured: "_Measured", ends: np.ndarray, above: float, heights: tuple[float, float]) -> np.ndarray:
    """By how much farther a skull had to go to the left and to the right to reach the end of a shape, (N, 2), at some
    heights."""
    share = np.sqrt((1 - ((np.arange(*heights, STEP) - CENTRE) / above) ** 2).clip(0, 1))[:, None]
    there = share * ends.mean() + (ends - ends[::-1]) / 2
    return (measured.ends(*heights) - there) * 2 / (1 + share)


@dataclass(frozen=True)
class _Measured:
    """A shape, bool (W, W), measured in places."""

    shape: np.ndarray
    origin: np.ndarray
    distance: float

    @classmethod
    def of(cls, shape: np.ndarray) -> "_Measured":
        return cls(shape, *eye_frame(len(shape)))

    def closed(self, gap: float) -> "_Measured":
        """Without gaps as narrow as that."""
        side = round(gap * self.distance)
        if side < 2:
            return self
        wide = np.pad(self.shape.astype(np.uint8), side, mode="edge")
        closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((side, side)))[side:-side, side:-side]
        return replace(self, shape=closed > 0)

    def at(self, x: float, y: float) -> bool:
        column, row = np.rint(self.origin + self.distance * np.array([x, -y])).astype(int)
        return bool(self.shape[np.clip(row, 0, len(self.shape) - 1), np.clip(column, 0, len(self.shape) - 1)])

    def ends(self, lowest: float, highest: float) -> np.ndarray:
        """From x = 0 to the ends of the shape on the left and on the right, (N, 2), at the heights in between."""
        return np.array([[self.across(y, way) for way in (-1, 1)] for y in np.arange(lowest, highest, STEP)])

    def across(self, y: float, way: int) -> float:
        """From x = 0 to the end of the shape at a height, to the right (1) or to the left (-1)."""
        row = self.shape[round(self.origin[1] - y * self.distance)]
        return self._run(row[round(self.origin[0]) :] if way > 0 else row[round(self.origin[0]) :: -1])

    def up(self, x: float, start: float) -> float:
        """The height at which the shape ends above a height."""
        column = self.shape[:, round(self.origin[0] + x * self.distance)]
        return start + self._run(column[round(self.origin[1] - start * self.distance) :: -1])

    def _run(self, line: np.ndarray) -> float:
        return float(np.argmin(np.append(line, False))) / self.distance
