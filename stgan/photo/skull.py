"""The outline of the skull under a head of hair, and how light falls on it.

Measured on bald heads of CelebA-HQ's training images: above its widest place a skull is half an ellipse, 2.5 eye
distances wide and 1.3 high, and its sides are a third darker than the middle of the forehead.

Places are (x, y) in eye distances from the middle between the eyes; y is positive upwards.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.matte import WIDE, Silhouette

CENTRE = 0.45  # height of the widest place
ACROSS = (1.08, 1.26)  # half the width, from the narrowest to the widest skull
ABOVE, GROWTH = 1.27, 0.6  # height above the widest place of a skull of half width 1.2, and its growth with that
BELOW = 2.2  # likewise, below it: down to the chin
TEMPLE = 0.12  # by which it is wider than the cheeks on either side, at most: hair may be as thick as it likes
CHEEKS = 0.95  # from the widest place down to the cheeks
TURNED = 0.35  # from the middle between the eyes to that of the skull, at most; it grows as a head turns
FARTHER = 0.2  # by which it is farther at most, so that a skull does not overhang the far side of a turned face
FOREHEAD, WIDER = (0.5, 1.0), 0.12  # heights of a forehead, and by how much a skull is wider at most, to hold it
GAP = 0.3  # in a head, as a ribbon or a parting leaves it: it goes on above
HAIR = 0.07  # thickness of the shortest hair
LOBES = (-0.65, -0.3)  # heights
EAR_HEIGHT = -0.2  # of the middle of an ear
NARROWEST, WIDEST = 0.8, 0.85  # of a cheek in front of hair, and the quantile of its width that shows most of it
CHIN = -0.9  # heights over which the width of the cheeks is measured: from here to the ears
BROWS = ((0.1, 0.42), 0.75)  # heights, and half the width
MOST_HIDDEN = 0.3  # share of the brows that hair may hide
DARKER = (0.36, 0.24)  # logarithm of brightness by which the sides and the top are darker than the forehead
CHANNELS = np.array([1.0, 1.08, 1.25], np.float32)  # the same in red, green and blue
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
        heights = np.arange(CENTRE - 0.1, CENTRE + 0.45, 0.05)
        span = np.median([[seen.across(height, way) for way in (-1, 1)] for height in heights], axis=0)
        ends = [[bare.at(way * (seen.across(height, way) - HAIR), height) for way in (-1, 1)] for height in heights]
        hairy = np.mean(ends, axis=0) < 0.6
        rows = [[face.across(height, way) for way in (-1, 1)] for height in np.arange(CHIN, EAR_HEIGHT, 0.05)]
        cheeks = np.quantile(rows, WIDEST, axis=0)
        span = np.where(hairy, np.minimum(span - HAIR, np.maximum(cheeks, NARROWEST) + TEMPLE), span)
        span -= max(0.0, float(span.sum()) - 2 * ACROSS[1]) * hairy / max(int(hairy.sum()), 1)
        across = float(np.clip(span.mean(), *ACROSS))
        middle = float(np.clip((span[1] - span[0]) / 2, -TURNED, TURNED))
        beyond = across - abs(middle) - float(span[0] if middle > 0 else span[1])  # the far side, which the face ends
        middle += float(np.sign(middle) * np.clip(beyond, 0, FARTHER))
        top = np.median([seen.closed(GAP).up(middle + x, 0.5) for x in np.linspace(-0.3, 0.3, 7)])
        above = float(np.clip(ABOVE + GROWTH * (across - 1.2), 0.6, max(0.6, top - CENTRE - HAIR)))
        heights = np.arange(*FOREHEAD, 0.05)
        ends = across * np.sqrt((1 - ((heights - CENTRE) / above) ** 2).clip(0, 1))
        wider = [max(bare.across(height, way) - end - way * middle for height, end in zip(heights, ends, strict=True))
                 for way in (-1, 1)]  # fmt: skip
        wider = np.clip(wider, 0, WIDER)
        across, middle = across + float(wider.sum()) / 2, middle + float(wider[1] - wider[0]) / 2
        left, right = np.median(rows, axis=0)
        rows = [[bare.across(height, way) for way in (-1, 1)] for height in np.arange(*LOBES, 0.05)]
        return cls(middle, across, above, (float(left), float(right)), tuple(np.max(rows, axis=0).tolist()))

    def coordinates(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For places float32 (H, W): how far across and up they are, in half widths and heights, and the distance
        inside of the outline in eye distances."""
        height = np.where(y > CENTRE, self.above, BELOW).astype(np.float32)
        below = np.clip((CENTRE - y) / CHEEKS, 0, 1)
        usual = self.across * np.sqrt(1 - (CHEEKS / BELOW) ** 2)
        narrow = [np.clip((cheek + HAIR - way * self.middle) / usual, 0.7, 1)
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
    dark = DARKER[0] * np.abs(across.clip(-1, 1)) ** 2.2 + DARKER[1] * up.clip(0, 1) ** 4
    gloss = GLOSS * np.exp(-((across / 0.4) ** 2) - ((up - 0.5) / 0.22) ** 2)
    return (gloss[..., None] - dark[..., None] * CHANNELS).astype(np.float32)


def hides_the_brows(silhouette: Silhouette) -> bool:
    """Whether hair hangs over the brows, so that nobody knows how they look."""
    x, y = places(len(silhouette.hair))
    (lowest, highest), aside = BROWS
    return float(silhouette.hair[(np.abs(x) < aside) & (y > lowest) & (y < highest)].mean()) > MOST_HIDDEN


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
