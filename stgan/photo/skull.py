"""The outline of the skull under a head of hair, and how light falls on it.

Measured on bald heads of CelebA-HQ's training images: above its widest place a skull is half an ellipse, 2.5 eye
distances wide and 1.3 high, and its sides are a third darker than the middle of the forehead.

Places are (x, y) in eye distances from the middle between the eyes; y is positive upwards.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.geometry import smoothstep
from stgan.photo.matte import WIDE, Silhouette

CENTRE = 0.45  # height of the widest place
ACROSS = (1.08, 1.26)  # half the width, from the narrowest to the widest skull
ABOVE, GROWTH = 1.27, 0.6  # height above the widest place of a skull of half width 1.2, and its growth with that
BELOW = 2.2  # likewise, below it: down to the chin
TEMPLE = 0.12  # by which it is wider than the cheeks on either side, at most: hair may be as thick as it likes
CHEEKS = 0.95  # from the widest place down to the cheeks
TURNED = 0.35  # from the middle between the eyes to that of the skull, at most; it grows as a head turns
GAP = 0.3  # in a head, as a ribbon or a parting leaves it: it goes on above
HAIR = 0.07  # thickness of the shortest hair
EAR_HEIGHT, EAR_ALONG, EAR_ACROSS = -0.22, 0.44, 0.135  # its middle, and half its length and its width
LOBES = (-0.65, -0.3)  # heights
EAR_TILT = np.deg2rad(10)
NARROWEST, WIDEST = 0.8, 0.85  # of a cheek in front of hair, and the quantile of its width that shows most of it
CHIN = -0.9  # heights over which the width of the cheeks is measured: from here to the ears
BROWS = ((0.1, 0.42), 0.75)  # heights, and half the width
MOST_HIDDEN = 0.3  # share of the brows that hair may hide
EAR_SHOWS, EAR_HIDES = 0.08, 0.09  # squared eye distances: of skin where an ear shows, and of hair that hides one
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
        top = np.median([seen.closed(GAP).up(middle + x, 0.5) for x in np.linspace(-0.3, 0.3, 7)])
        above = float(np.clip(ABOVE + GROWTH * (across - 1.2), 0.6, max(0.6, top - CENTRE - HAIR)))
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

    def width_of_ear(self, way: int) -> float:
        """The share of its width that an ear on the right (1) or on the left (-1) shows as the head turns."""
        return float(np.clip(1 + way * self.middle / 0.44, 0.25, 1.25))

    def ear(self, x: np.ndarray, y: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray]:
        """An ear on the right (1) or on the left (-1) of the image: the distance inside of its outline, float32 (H, W)
        in eye distances, and the logarithm of its brightness, compared with the skin beside it.

        It is as wide as a head that is turned shows it.
        """
        half = EAR_ACROSS * self.width_of_ear(way)
        steps = self.middle + way * np.linspace(0, 1.6, 161, dtype=np.float32)[None]
        _, _, edge = self.coordinates(steps, np.full_like(steps, EAR_HEIGHT))
        root = float(steps[0, np.abs(edge[0]).argmin()])
        lobe = self.lobes[way > 0] - way * root - 0.9 * half  # it may show that the ear sticks out
        aside, up = way * (x - root) - 0.45 * half - float(np.clip(lobe, 0, 0.15)), y - EAR_HEIGHT
        cos, sin = np.cos(EAR_TILT), np.sin(EAR_TILT)
        across, along = (cos * aside - sin * up) / half, (sin * aside + cos * up) / EAR_ALONG
        across = across / np.interp(along, (-1, -0.6, 0, 0.45, 1), (0.8, 0.75, 0.92, 1.0, 0.95))  # the lobe is narrow
        radius = np.hypot(across, along)
        shade, near = np.zeros_like(radius), np.argwhere(radius < 1.3)
        if len(near):
            box = tuple(slice(first, last + 1) for first, last in zip(near.min(axis=0), near.max(axis=0), strict=True))
            shade[box] = _relief(across[box], along[box], radius[box], abs(float(x[0, 1] - x[0, 0])))
        return ((1 - radius) * half).astype(np.float32), shade.astype(np.float32)


def _relief(across: np.ndarray, along: np.ndarray, radius: np.ndarray, step: float) -> np.ndarray:
    """The logarithm of the brightness of an ear lit from above and in front, given places on it from -1 to 1.

    ``step``: eye distances from one pixel to the next.
    """
    lobe = smoothstep(-along, 0.5, 0.8)
    rim = np.exp(-(((radius - 0.84) / 0.13) ** 2)) * (1 - lobe) * smoothstep(across, -0.9, -0.2)
    fold = np.exp(-(((np.hypot(across + 0.12, along - 0.05) - 0.5) / 0.15) ** 2)) * (1 - lobe)
    fold *= smoothstep(across, -0.35, 0.1)
    bowl = np.exp(-(((across + 0.2) / 0.32) ** 2) - ((along + 0.12) / 0.3) ** 2)
    tragus = np.exp(-(((across + 0.75) / 0.22) ** 2) - ((along + 0.15) / 0.18) ** 2)
    height = 0.05 * rim + 0.035 * fold - 0.05 * bowl + 0.03 * tragus + 0.02 * lobe * (1 - radius**2)
    height -= 0.06 * np.clip(radius - 0.9, 0, 0.2)  # it bends back
    down, right = np.gradient(cv2.GaussianBlur(height, (0, 0), 0.012 / step), step)
    light = (0.75 + 0.5 * down - 0.15 * np.abs(right)) / np.sqrt(1 + down**2 + right**2) / 0.75
    valley = np.exp(-(((radius - 0.66) / 0.1) ** 2)) * (1 - lobe)
    shade = 0.5 * np.log(light.clip(0.5, 1.4)) - 0.24 * bowl - 0.06 * valley
    result: np.ndarray = shade - 0.25 * smoothstep(-across, 0.7, 1.0)  # it grows out of the head
    return result


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


def hidden_ears(silhouette: Silhouette, skin: np.ndarray) -> list[int]:
    """The sides, -1 for the left of the image and 1 for its right, on which hair hides an ear."""
    (x, y), pixel = places(len(skin)), 1 / eye_frame(len(skin))[1] ** 2
    hidden = []
    for way in (-1, 1):
        shows = (skin > 0.5) & (way * x > 1.12) & (y > -0.3) & (y < 0.25)
        hides = silhouette.hair * ((way * x > 1) & (way * x < 1.4) & (y > -0.5) & (y < 0.2))
        if pixel * shows.sum() < EAR_SHOWS and pixel * hides.sum() > EAR_HIDES:
            hidden.append(way)
    return hidden


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
