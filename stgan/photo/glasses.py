"""Eyeglasses: the frame that a network drew at a few pixels, redrawn as smooth curves at the photo's resolution.

The network's pixels are not pasted. They tell where the rims run, how thick and how dark they are, and whether the
lenses are tinted. Eyes and skin behind the lenses stay those of the photo.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import as_3x3, best_path, extent
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import Matte, Silhouette, drawn, in_the_crop, warped, window
from stgan.photo.texture import Texture

# Lengths are in eye distances unless stated otherwise.
LENS_CENTRE = (0.08, 0.14)  # of a usual lens, outwards and down from the eye
LENS_RADII = (0.39, 0.285)  # across and down
SQUARENESS = 2.7  # exponent of the superellipse: 2 is an ellipse, infinity a rectangle
ANGLES = np.linspace(-np.pi, np.pi, 96, endpoint=False)  # around a lens: 0 points to the nose, pi/2 down
SCALES = np.linspace(0.72, 1.48, 41)  # of a usual lens, where a rim is looked for
UNUSUAL = 1.5  # cost of the squared deviation from the usual scale, in logarithms of darkening
EDGE = 0.5  # weight of the step from dark to bright at a rim; rims of dark lenses show nothing else
BEND = 0.012  # likewise, of a bend of the rim by one step of scale
MIRROR = 0.5  # weight of the other rim's drawing: frames are symmetrical
HARMONICS = 4  # of a rim's radius; a real frame has no finer bends
RIM = 0.12  # on both sides of a rim, where its thickness is measured
THINNEST, THICKEST = 0.018, 0.036  # half the width of a rim
BLUR = 1.2  # pixels of the crop by which a network's lines are too wide
CRISP = 0.66  # width of a real frame over that of a drawn one, which is as dark on the whole
ARM = (0.34, -0.03)  # an arm's end, outwards and down from its hinge
HINGE = 0.28  # height of the hinges below the upper edge of a lens, in heights of the lens
FAINT = (0.08, 0.3)  # logarithms of darkening at which a frame is absent and opaque
TINT = (0.25, 0.45)  # logarithms of darkening at which lenses are clear and tinted as the network drew them
DARK = 16.0  # levels: differences among darker pixels are noise
SHADOW = 0.3  # of the light, which a frame takes from the skin beside it
GLOSS = 120.0  # levels by which a frame shines at most
GRAIN = 0.4  # of the skin's fine detail, which a smooth frame shows
SOFT = 1.3  # pixels of the photo over which an edge changes
FINE = 4  # pixels of the drawing's grid per pixel of the crop
FAR = 4.0  # pixels of the crop: greater distances from a frame do not matter
NO_MAP = np.empty(0, np.float32)  # as OpenCV takes points in one array
STRIP_PIXELS = 1 << 17  # pixels changed at a time: floats of a strip stay in the processor's cache


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses in a crop. Points and widths are in its pixels; the left side of the image comes first."""

    rims: np.ndarray  # (2, N, 2), closed curves along the middle of the rims
    widths: np.ndarray  # (N,), half the rims' width
    bridge: np.ndarray  # (M, 2)
    arms: np.ndarray  # (2, K, 2), from the hinges outwards
    opacity: float
    colour: np.ndarray  # (3,), levels of the frame
    tint: np.ndarray  # (3,), logarithm by which each channel is darker behind the lenses

    @classmethod
    def read(cls, before: np.ndarray, after: np.ndarray) -> "Glasses | None":
        """From a crop without and with the network's glasses, float (S, S, 3) in [0, 255]. None if it drew none.

        Around each lens dynamic programming finds the closed curve along which the drawing is darkest.
        """
        eyes, distance = _eyes(len(before))
        darkening = np.log((_grey(before) + DARK) / (_grey(after) + DARK)).clip(0, 1.5).astype(np.float32)
        side = 2 * round(0.12 * distance) + 1  # wider than a rim, smaller than a lens
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        ridges = darkening - 0.7 * cv2.morphologyEx(darkening, cv2.MORPH_OPEN, kernel)
        lenses = _Lens.both(eyes, distance)
        seen = [lens.sampled(ridges, SCALES) + EDGE * lens.steps(darkening) for lens in lenses]
        scales = np.array([_darkest_curve(own + MIRROR * other) for own, other in (seen, seen[::-1])])
        scales = _smooth(0.6 * scales + 0.4 * scales[::-1])
        widths, strength = _thickness(ridges, lenses, scales, distance)
        rims = np.stack([lens.convex(lens.points(each)) for lens, each in zip(lenses, scales, strict=True)])
        tint = _tint(before, after, rims)
        strength = max(strength, float(tint.mean()))  # on dark skin a frame is as bright as its tinted lenses
        opacity = float(np.clip((strength - FAINT[0]) / (FAINT[1] - FAINT[0]), 0, 1))
        if opacity == 0:
            return None
        return cls(
            rims, widths, _bridge(darkening, rims, eyes, distance), _arms(rims, distance), opacity,
            _frame_colour(after, ridges, rims), tint,
        )  # fmt: skip


def wear(
    rgb: np.ndarray,
    alignment: Alignment,
    glasses: Glasses,
    share: np.ndarray,
    silhouette: Silhouette,
    *,
    light: Light = USUAL_LIGHT,
) -> np.ndarray:
    """The photo with glasses: uint8 (H, W, 3).

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of the crop that the glasses are in.
        share: float (S, S) in [0, 1], where the crop may change.
        silhouette: the person. Arms run under the hair, and neither arms nor shadows leave the person.
        light: of the photo; the colours of the glasses are in the networks' light.
    """
    size, result = len(share), rgb.copy()
    drawing = _Drawing.of(glasses, size, 1 / alignment.scale)
    left, top, right, bottom = extent(alignment.matrix, drawing.box, rgb.shape, margin=0)
    if right <= left or bottom <= top:
        return result
    hair = Matte.fitted(rgb, alignment, size, silhouette.hair)
    person = Matte.fitted(rgb, alignment, size, in_the_crop(silhouette.person), 1)
    texture = Texture.of(rgb, alignment, size, light)
    shade = _shade(rgb, alignment, size, light)
    height = max(1, STRIP_PIXELS // (right - left))
    for y in range(top, bottom, height):
        strip, corner = result[y : min(y + height, bottom), left:right], (left, y)
        free, lit = cv2.split(warped(np.dstack([share, shade]), alignment.matrix, corner, strip.shape))
        skin = person.of(strip, corner)[0] * (1 - hair.of(strip, corner)[0])
        grain = GRAIN * texture.over(texture.skin, corner, strip.shape[:2])
        maps = warped(drawing.maps, drawing.to_grid @ as_3x3(alignment.matrix), corner, strip.shape)
        change = drawing.change(light.normalised(strip), maps, free, skin, lit, grain)
        strip[...] = cv2.add(strip, light.restored(change), dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


@dataclass(frozen=True)
class _Lens:
    """The usual place of a lens."""

    centre: np.ndarray  # (2,), pixels of the crop
    distance: float  # of the eyes, pixels
    nose: int  # 1 where the nose is on the right of the lens, -1 where it is on its left

    @classmethod
    def both(cls, eyes: np.ndarray, distance: float) -> "list[_Lens]":
        offset = np.array(LENS_CENTRE) * distance
        return [cls(eye + offset * (-nose, 1), distance, nose) for eye, nose in zip(eyes, (1, -1), strict=True)]

    def points(self, scales: np.ndarray) -> np.ndarray:
        """The points of the usual outline at one scale per angle (N,), or at some per angle (N, K): (..., 2)."""
        cos, sin = np.cos(ANGLES), np.sin(ANGLES)
        across, down = (np.abs(part) / radius for part, radius in zip((cos, sin), LENS_RADII, strict=True))
        radii = self.distance * (across**SQUARENESS + down**SQUARENESS) ** (-1 / SQUARENESS)
        outline = np.stack([self.nose * radii * cos, radii * sin], axis=1)
        return self.centre + scales[..., None] * (outline if scales.ndim == 1 else outline[:, None])

    def sampled(self, image: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """An image float32 (S, S) at scales (N, K) or (K,) of the outline: (N, K)."""
        return _sampled(image, self.points(np.broadcast_to(scales, (len(ANGLES), scales.shape[-1]))))

    def steps(self, darkening: np.ndarray) -> np.ndarray:
        """How much darker each scale is than what lies outside of it: (N, number of scales)."""
        return (self.sampled(darkening, SCALES) - self.sampled(darkening, SCALES + 0.14)).clip(0)

    def convex(self, rim: np.ndarray) -> np.ndarray:
        """A rim (N, 2) around this lens without dents."""
        hull = cv2.convexHull(rim.astype(np.float32))[:, 0].astype(float)
        hull = (_finer(np.vstack([hull, hull[:1]]), 16) - self.centre) * (self.nose, 1)
        angles = np.arctan2(hull[:, 1], hull[:, 0])
        radii = np.interp(ANGLES, angles[order := angles.argsort()], np.hypot(*hull.T)[order], period=2 * np.pi)
        return self.centre + radii[:, None] * np.stack([self.nose * np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def _eyes(size: int) -> tuple[np.ndarray, float]:
    """Both eyes in a crop of S = ``size`` pixels, (2, 2), and their distance."""
    landmarks, distance = landmarks_in_crop(size)
    return landmarks[:2], distance


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2GRAY)


def _sampled(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image (S, S) or (S, S, C) at points (N, K, 2)."""
    return cv2.remap(image.astype(np.float32), points.astype(np.float32), NO_MAP, cv2.INTER_LINEAR)


def _darkest_curve(score: np.ndarray) -> np.ndarray:
    """The scale per angle, (N,), of the smooth closed curve along which a score (N, K) is highest."""
    steps, count = np.arange(len(SCALES)), len(score)
    bends = BEND * (steps[:, None] - steps[None, :]) ** 2.0
    score = score - UNUSUAL * (SCALES - 1) ** 2
    laps = np.concatenate([score, score])  # in the middle of two laps it no longer matters where they start
    middle = best_path(laps, bends)[count // 2 : count // 2 + count]
    return SCALES[np.roll(middle, count // 2)]


def _smooth(curves: np.ndarray) -> np.ndarray:
    """Closed curves (K, N) with fine bends faded out."""
    waves = np.fft.rfft(curves, axis=1)
    waves *= np.clip(1 - (np.arange(waves.shape[1]) - 2) / (HARMONICS - 1), 0, 1)
    return np.fft.irfft(waves, n=curves.shape[1], axis=1)


def _thickness(
    ridges: np.ndarray, lenses: list[_Lens], scales: np.ndarray, distance: float
) -> tuple[np.ndarray, float]:
    """Half the width (N,) of both rims, in pixels, and their usual darkening."""
    across = np.linspace(-RIM, RIM, 25)
    profiles = np.mean(
        [lens.sampled(ridges, each[:, None] * (1 + across / LENS_RADII[1]))
         for lens, each in zip(lenses, scales, strict=True)], axis=0,
    ).clip(0)  # fmt: skip
    peaks = profiles[:, 8:17].max(axis=1)
    strength = float(np.median(peaks))
    wide = profiles.mean(axis=1) / np.maximum(peaks, max(strength / 2, 1e-3)) * 2 * RIM * distance
    widths = CRISP * np.sqrt(np.clip(wide**2 - BLUR**2, 0, None)) / 2
    return _smooth(widths[None])[0].clip(THINNEST * distance, THICKEST * distance), strength


def _bridge(darkening: np.ndarray, rims: np.ndarray, eyes: np.ndarray, distance: float) -> np.ndarray:
    """The bridge (M, 2): an arch from rim to rim at the height where the network drew one."""
    middle = (rims[0, :, 0].max() + rims[1, :, 0].min()) / 2
    heights = eyes[:, 1].mean() + np.arange(-0.2, 0.22, 0.01) * distance
    columns = middle + np.linspace(-0.05, 0.05, 5) * distance
    seen = _sampled(darkening, np.dstack(np.meshgrid(columns, heights))).mean(axis=1)
    top = heights[int((seen - 0.1 * np.abs(heights - eyes[:, 1].mean()) / distance).argmax())]
    first, last = (_at_height(rim, top + 0.05 * distance, side) for rim, side in zip(rims, (1, -1), strict=True))
    share = np.linspace(0, 1, 33)[:, None]
    rise = min(0.0, top - (first[1] + last[1]) / 2)
    return first + share * (last - first) + 4 * share * (1 - share) * (0, rise)


def _arms(rims: np.ndarray, distance: float) -> np.ndarray:
    """Both arms (2, K, 2) from the hinges outwards."""
    share = np.linspace(0, 1, 25)[:, None]
    hinges = [_at_height(rim, rim[:, 1].min() + HINGE * np.ptp(rim[:, 1]), side)
              for rim, side in zip(rims, (-1, 1), strict=True)]  # fmt: skip
    return np.stack([hinge + share * distance * ARM * (side, 1) for hinge, side in zip(hinges, (-1, 1), strict=True)])


def _at_height(rim: np.ndarray, height: float, side: int) -> np.ndarray:
    """The point of a rim (N, 2) at a height, on its right side (1) or its left one (-1)."""
    beside = rim[side * (rim[:, 0] - rim[:, 0].mean()) > 0.15 * np.ptp(rim[:, 0])]
    return beside[np.abs(beside[:, 1] - height).argmin()]


def _frame_colour(after: np.ndarray, ridges: np.ndarray, rims: np.ndarray) -> np.ndarray:
    """(3,): the colour of the rims where they are clearest and darkest; lines of few pixels are blends with skin."""
    points = rims.reshape(-1, 1, 2)
    colours, clear = _sampled(after, points)[:, 0], _sampled(ridges, points)[:, 0]
    colours = colours[clear >= np.median(clear)]
    bright = _grey(colours[None])[0]
    return colours[bright <= np.median(bright)].mean(axis=0)


def _tint(before: np.ndarray, after: np.ndarray, rims: np.ndarray) -> np.ndarray:
    """(3,): the logarithm by which each channel is darker behind the lenses; zeros for clear ones."""
    inside = np.zeros(before.shape[:2], np.uint8)
    for rim in rims:
        cv2.fillPoly(inside, [np.rint(0.3 * rim.mean(axis=0) + 0.7 * rim).astype(np.int32)], 1)
    light, dim = (np.median(image[inside > 0], axis=0).clip(0, 255) + 1 for image in (before, after))
    tint = np.log(light / dim)
    tint = (tint + tint.mean()) / 2  # lenses of small networks are too colourful
    return np.clip(tint, 0, 1.2) * np.clip((tint.mean() - TINT[0]) / (TINT[1] - TINT[0]), 0, 1)


def _finer(points: np.ndarray, times: int = 3) -> np.ndarray:
    """Points (N, ...) along a curve with others between them."""
    here = np.arange((len(points) - 1) * times + 1) / times
    first = np.minimum(here.astype(int), len(points) - 2)
    share = (here - first).reshape(-1, *(1,) * (points.ndim - 1))
    return points[first] + share * (points[first + 1] - points[first])


@dataclass(frozen=True)
class _Drawing:
    """Glasses as maps on a grid. Distances to edges are smooth, so edges stay sharp when the maps are enlarged."""

    glasses: Glasses
    maps: np.ndarray  # float32 (h, w, 6): distances to front and arms, how far arms show, tint, shadow, gloss
    to_grid: np.ndarray  # (2, 3), pixels of the crop to pixels of the grid
    box: tuple[float, float, float, float]  # left, top, right, bottom in the crop
    softness: float  # of edges, pixels of the crop

    @classmethod
    def of(cls, glasses: Glasses, size: int, detail: float) -> "_Drawing":
        """For crops of S = ``size`` pixels, each of which covers ``detail`` pixels of the photo."""
        _, distance = _eyes(size)
        points = np.concatenate([glasses.rims.reshape(-1, 2), glasses.arms.reshape(-1, 2)])
        (left, top), (right, bottom) = points.min(axis=0) - 0.15 * distance, points.max(axis=0) + 0.15 * distance
        box = (left, top, right, bottom)
        columns, rows = np.arange(box[0], box[2], 1 / FINE), np.arange(box[1], box[3], 1 / FINE)
        widest = glasses.widths.max()
        rims = [np.vstack([rim, rim[:1]]) for rim in glasses.rims]
        rims = [_edge(columns, rows, rim, np.append(glasses.widths, glasses.widths[0])) for rim in rims]
        bridge = _edge(columns, rows, glasses.bridge, np.full(len(glasses.bridge), 0.95 * widest))
        front = _joined(np.minimum(*rims), bridge, 0.05 * distance)
        taper = widest * np.linspace(0.9, 0.6, glasses.arms.shape[1])
        arms = np.minimum(*(_edge(columns, rows, arm, taper) for arm in glasses.arms))
        hinges = glasses.arms[:, 0, 0]
        beyond = np.abs(columns - hinges.mean()) - np.ptp(hinges) / 2
        shown = np.broadcast_to(np.clip(1.15 - beyond / (ARM[0] * distance), 0, 1), front.shape)
        down = round(0.05 * distance * FINE)
        shadow = cv2.GaussianBlur(np.clip(0.5 - FINE * front, 0, 1), (0, 0), 0.045 * distance * FINE)
        shadow = np.pad(shadow, ((down, 0), (0, 0)))[: len(rows)]
        gloss = _gloss(front, columns / distance, glasses.widths.mean())
        maps = np.dstack([front, arms, shown, _lens_tint(columns, rows, glasses.rims), shadow, gloss])
        to_grid = np.array([[FINE, 0, -FINE * columns[0]], [0, FINE, -FINE * rows[0]]])
        return cls(glasses, maps.astype(np.float32), to_grid, box, max(SOFT / detail, 0.5 / FINE))

    def change(
        self, part: np.ndarray, maps: np.ndarray, free: np.ndarray, skin: np.ndarray, lit: np.ndarray, grain: np.ndarray
    ) -> np.ndarray:
        """What to add to a part float (h, w, 3) of the photo, given the maps (h, w, 6) there.

        The others are (h, w): where the photo may change, bare skin, its light around 1, and detail in levels.
        """
        front, arms, shown, tint, shadow, gloss = cv2.split(maps)
        opacity = self.glasses.opacity * free
        front, arms = (np.clip(0.5 - distance / self.softness, 0, 1) for distance in (front, arms))
        dim = np.exp(-tint[..., None] * self.glasses.tint) * (1 - SHADOW * shadow * skin)[..., None]
        behind = part * (opacity[..., None] * (dim - 1))
        frame = self.glasses.colour * lit[..., None] + (GLOSS * gloss * lit + grain)[..., None]
        cover = opacity * np.maximum(front, arms * shown * skin)
        return (behind + cover[..., None] * (frame - part - behind)).astype(np.float32)


def _edge(columns: np.ndarray, rows: np.ndarray, curve: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Distance (h, w) to the border of a line of half these widths (N,) along a curve (N, 2); negative inside.

    Far from the line it is :data:`FAR`.
    """
    result = np.full((len(rows), len(columns)), FAR)
    for (x, y), width in zip(_finer(curve), _finer(widths), strict=True):
        across, down = (slice(*np.searchsorted(axis, (at - width - FAR, at + width + FAR)))
                        for axis, at in ((columns, x), (rows, y)))  # fmt: skip
        near = np.hypot(columns[None, across] - x, rows[down, None] - y) - width
        np.minimum(result[down, across], near, out=result[down, across])
    return result


def _joined(one: np.ndarray, other: np.ndarray, width: float) -> np.ndarray:
    """The distance to the border of two shapes together, with the corners between them filled over some width."""
    near = np.clip(width - np.abs(one - other), 0, None) / width
    return np.minimum(one, other) - near**2 * width / 4


def _lens_tint(columns: np.ndarray, rows: np.ndarray, rims: np.ndarray) -> np.ndarray:
    """Strength (h, w) of the lenses' tint, which is darkest at the top."""
    lens = np.zeros((len(rows), len(columns)), np.uint8)
    for rim in rims:
        cv2.fillPoly(lens, [np.rint((rim - (columns[0], rows[0])) * FINE).astype(np.int32)], 1)
    top, bottom = rims[..., 1].min(), rims[..., 1].max()
    return lens * (1.25 - 0.6 * np.clip((rows - top) / (bottom - top), 0, 1))[:, None]


def _gloss(front: np.ndarray, across: np.ndarray, width: float) -> np.ndarray:
    """Where a frame lit from above shines, and where it lies in its own shade: (h, w) in [-1, 1].

    Args:
        front: distance (h, w) to the frame's edge.
        across: (w,) in eye distances.
        width: half the usual width of the frame.
    """
    facing = -cv2.Sobel(cv2.GaussianBlur(front, (0, 0), 1.5), cv2.CV_64F, 0, 1, ksize=3) / 8 * FINE  # 1 is upwards
    line = np.exp(-(((front / width + 0.6) / 0.28) ** 2))
    spots = 0.25 + 0.75 * (0.5 + 0.5 * np.sin(7.5 * across + 1)) ** 3
    return line * np.where(facing > 0, facing**2 * spots, -0.25 * facing**2)


def _shade(rgb: np.ndarray, alignment: Alignment, size: int, light: Light) -> np.ndarray:
    """Float32 (S, S) around 1: how the face's light falls, compared with the middle between the eyes."""
    grey = _grey(light.normalised(drawn(rgb, window(alignment, size, 1, size), size)))
    slow = cv2.GaussianBlur(grey, (0, 0), size / 10)
    x, y = _eyes(size)[0].mean(axis=0).astype(int)
    return np.clip(slow / max(float(slow[y, x]), 1.0), 0.7, 1.3)
