"""Eyeglasses: the frame that a network drew at a few pixels, redrawn as smooth curves at the photo's resolution.

The network's pixels are not pasted. They tell which of the usual shapes the rims have, where they run, how thick and
how dark they are, and whether the lenses are tinted. Eyes and skin behind the lenses stay those of the photo.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stgan.drawing.rims import ANGLES, Head, fitting_lens, sampled
from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import as_3x3, extent, smoothstep
from stgan.photo.light import USUAL_LIGHT, Light, luminance
from stgan.photo.matte import Matte, Silhouette, drawn, in_the_crop, warped, window
from stgan.photo.texture import Texture, blur_of

# Lengths are in eye distances unless stated otherwise.
RIM = 0.12  # on both sides of a rim, where its thickness is measured
THINNEST, THICKEST = 0.012, 0.02  # half the width of a rim
BLUR = 1.2  # pixels of the crop by which a network's lines are too wide
CRISP = 0.5  # width of a real frame over that of a drawn one, which is as dark on the whole
THICKER = 0.16  # by how much rims are thicker at the top, and thinner at the bottom
ARM = 0.3  # length of both arms of a face seen from the front
ARMS = 2.8  # by how much the nearer arm is longer, per shift of the nose
SHORTEST, LONGEST = 0.04, 0.85  # of the arms: ears are no farther
EAR = 0.56  # share of the bare skin beyond a hinge that lies before the ear
RISE = 0.02  # of an arm from its hinge to the ear
HINGE = 0.24  # height of the hinges below the upper edge of a lens, in heights of the lens
BRIDGE = (0.16, 0.42)  # likewise, the heights between which a bridge lies
FILLET = 0.06  # over which corners between bridge, arms and rims are filled
END = 0.06  # of an arm: its first part belongs to the front, which no hair hides
FAINT = (0.03, 0.21)  # logarithms of darkening at which a frame is absent and full
FIRM = 0.25  # power of that: a faint line is a fine and dark frame, as none is seen through
FINEST, DARKER = 0.5, 1.5  # share of its width that it has at least, and power by which it is darker
TINT = (0.25, 0.45)  # logarithms of darkening at which lenses are clear and tinted as the network drew them
DARKEST = 0.8  # the eyes stay visible
DARK = 16.0  # levels: differences among darker pixels are noise
SHADOWS = ((0.03, 0.022, 0.3), (0.065, 0.045, 0.15))  # on the skin: how far below a rim, how soft, share of the light
LAMP = np.array([-0.35, -0.7, 0.62])  # direction of the light on a frame: right, down and towards the camera
SHEEN = 95.0  # levels by which the upper edge of a frame is lighter
UNDER = 0.5  # share of its colour by which its lower edge is darker
GLOSS = 230.0  # levels by which a frame shines at most
GLARE = 40.0  # levels by which lenses reflect the surroundings at most
GRAIN = 0.4  # of the skin's fine detail, which a smooth frame shows
FINE = 4  # pixels of the drawing's grid per pixel of the crop
FAR = 4.0  # pixels of the crop: greater distances from a frame do not matter
STRIP_PIXELS = 1 << 17  # pixels changed at a time: floats of a strip stay in the processor's cache


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses in a crop. Points and widths are in its pixels; the left side of the image comes first."""

    rims: np.ndarray  # (2, N, 2), closed curves along the middle of the rims
    widths: np.ndarray  # (N,), half the rims' width
    bridge: np.ndarray  # (M, 2)
    arms: np.ndarray  # (2, K, 2), from the hinges outwards
    distance: float  # of the eyes
    colour: np.ndarray  # (3,), levels of the frame
    tint: np.ndarray  # (3,), logarithm by which each channel is darker behind the lenses

    @classmethod
    def read(cls, before: np.ndarray, after: np.ndarray, head: Head | None = None) -> "Glasses | None":
        """From a crop without and with the network's glasses, float (S, S, 3) in [0, 255]. None if it drew none.

        Both rims have one shape, of the usual ones that along which the drawing is darkest.

        Args:
            head: the rims lie along the line of its eyes and turn with it. None: the mean face.
        """
        head = head or Head.mean(len(before))
        darkening = np.log((luminance(before) + DARK) / (luminance(after) + DARK)).clip(0, 1.5).astype(np.float32)
        side = 2 * round(0.12 * head.distance) + 1  # wider than a rim, smaller than a lens
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        ridges = darkening - 0.7 * cv2.morphologyEx(darkening, cv2.MORPH_OPEN, kernel)
        lens = fitting_lens(head.seen(ridges), head.seen(darkening))
        rims = head.placed(lens)
        width, strength = _thickness(ridges, rims, head.distance)
        tint = _tint(before, after, rims)
        strength = max(strength, float(tint.mean()))  # on dark skin a frame is as bright as its tinted lenses
        full = float(np.clip((strength - FAINT[0]) / (FAINT[1] - FAINT[0]), 0, 1)) ** FIRM
        if full == 0:
            return None
        width *= max(full, FINEST)
        return cls(
            rims, width * (1 - THICKER * np.sin(ANGLES)), _bridge(darkening, lens, head), _arms(lens, head),
            head.distance, _frame_colour(after, ridges, rims) * full**DARKER, tint,
        )  # fmt: skip

    def reaching(self, bare: np.ndarray) -> "Glasses":
        """With arms that reach the ears where bare skin, (S, S) in [0, 1], shows them."""
        arms = []
        for arm in self.arms:
            along = (arm[-1] - arm[0]) / (length := np.hypot(*(arm[-1] - arm[0])))
            steps = np.arange(0, LONGEST / EAR, 0.02) * self.distance
            covered = sampled(bare, (arm[0] + steps[:, None] * along)[None])[0] < 0.5
            skin = steps[covered.argmax()] if covered.any() else steps[-1]
            arms.append(arm[0] + np.linspace(0, max(length, EAR * skin), len(arm))[:, None] * along)
        return replace(self, arms=np.stack(arms))


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
    glasses = glasses.reaching(in_the_crop(silhouette.person - silhouette.hair, size))
    drawing = _Drawing.of(glasses, blur_of(rgb, alignment, size, light) * alignment.scale)
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


def _thickness(ridges: np.ndarray, rims: np.ndarray, distance: float) -> tuple[float, float]:
    """Half the usual width of both rims (2, N, 2), in pixels, and their usual darkening."""
    across = np.linspace(-RIM, RIM, 25)
    centres = rims.mean(axis=1, keepdims=True)
    outwards = (rims - centres) / np.linalg.norm(rims - centres, axis=2, keepdims=True)
    points = rims[:, :, None] + distance * across[:, None] * outwards[:, :, None]
    profiles = np.mean([sampled(ridges, each) for each in points], axis=0).clip(0)
    peaks = profiles[:, 8:17].max(axis=1)
    strength = float(np.median(peaks))
    wide = np.median(profiles.mean(axis=1) / np.maximum(peaks, max(strength / 2, 1e-3))) * 2 * RIM * distance
    width = CRISP * np.sqrt(max(wide**2 - BLUR**2, 0)) / 2
    return float(np.clip(width, THINNEST * distance, THICKEST * distance)), strength


def _bridge(darkening: np.ndarray, lens: np.ndarray, head: Head) -> np.ndarray:
    """The bridge (M, 2): an arch from rim to rim at the height where the network drew one."""
    top, height = lens[:, 1].min(), np.ptp(lens[:, 1])
    levels = top + height * np.linspace(*BRIDGE, 15)
    seen = sampled(darkening, head.placed(np.dstack(np.meshgrid(np.linspace(0, 0.05, 3), levels))).reshape(2, -1, 2))
    level = levels[seen.reshape(2, len(levels), -1).mean(axis=(0, 2)).argmax()]
    end = lens[_at_height(lens, level + 0.05, outer=False)]
    share = np.linspace(-1, 1, 33)
    rise = min(0.0, level - end[1]) * (1 - share**4)
    left, right = head.placed(np.stack([end[0] * np.abs(share), end[1] + rise], axis=1))
    return np.where(share[:, None] < 0, left, right)


def _arms(lens: np.ndarray, head: Head) -> np.ndarray:
    """Both arms (2, K, 2) from the hinges outwards."""
    hinges = head.placed(lens[_at_height(lens, lens[:, 1].min() + HINGE * np.ptp(lens[:, 1]), outer=True)])
    share = np.linspace(0, 1, 33)[:, None]
    arms = []
    for hinge, side in zip(hinges, (-1, 1), strict=True):
        length = float(np.clip(ARM - ARMS * head.turn * side, SHORTEST, LONGEST))
        arms.append(hinge + share * (side * length * head.axis - RISE * head.down))
    return np.stack(arms)


def _at_height(lens: np.ndarray, height: float, outer: bool) -> int:
    """The number of the point of a lens (N, 2) at a height, on its outer side or the nose's."""
    beside = (lens[:, 0] > lens[:, 0].mean()) == outer
    return int(np.where(beside, np.abs(lens[:, 1] - height), np.inf).argmin())


def _frame_colour(after: np.ndarray, ridges: np.ndarray, rims: np.ndarray) -> np.ndarray:
    """(3,): the colour of the rims where they are clearest and darkest; lines of few pixels are blends with skin."""
    points = rims.reshape(-1, 1, 2)
    colours, clear = sampled(after, points)[:, 0], sampled(ridges, points)[:, 0]
    colours = colours[clear >= np.median(clear)]
    bright = luminance(colours[None])[0]
    return colours[bright <= np.median(bright)].mean(axis=0)


def _tint(before: np.ndarray, after: np.ndarray, rims: np.ndarray) -> np.ndarray:
    """(3,): the logarithm by which each channel is darker behind the lenses; zeros for clear ones."""
    inside = np.zeros(before.shape[:2], np.uint8)
    for rim in rims:
        cv2.fillPoly(inside, [np.rint(0.3 * rim.mean(axis=0) + 0.7 * rim).astype(np.int32)], 1)
    light, dim = (np.median(image[inside > 0], axis=0).clip(0, 255) + 1 for image in (before, after))
    tint = np.log(light / dim)
    mean = float(tint.mean())
    tint = (tint + 2 * mean) / 3  # lenses of small networks are too colourful
    sure = np.clip((mean - TINT[0]) / (TINT[1] - TINT[0]), 0, 1)
    return tint.clip(0) * min(sure, DARKEST / max(mean, DARKEST))


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
    maps: np.ndarray  # float32 (h, w, 7): distances to front and arms, how far arms show, tint, shadow, gloss, glare
    to_grid: np.ndarray  # (2, 3), pixels of the crop to pixels of the grid
    box: tuple[float, float, float, float]  # left, top, right, bottom in the crop
    softness: float  # width of edges, pixels of the crop

    @classmethod
    def of(cls, glasses: Glasses, blur: float) -> "_Drawing":
        """For a photo whose edges are this soft: a standard deviation in pixels of the crop."""
        distance, widths = glasses.distance, glasses.widths
        points = np.concatenate([glasses.rims.reshape(-1, 2), glasses.arms.reshape(-1, 2)])
        (left, top), (right, bottom) = points.min(axis=0) - 0.15 * distance, points.max(axis=0) + 0.2 * distance
        columns, rows = np.arange(left, right, 1 / FINE), np.arange(top, bottom, 1 / FINE)
        rims = [_edge(columns, rows, np.vstack([rim, rim[:1]]), np.append(widths, widths[0])) for rim in glasses.rims]
        bridge = _edge(columns, rows, glasses.bridge, np.full(len(glasses.bridge), 0.9 * widths.max()))
        front = _joined(np.minimum(*rims), bridge, FILLET * distance)
        taper = widths.max() * np.linspace(1.15, 0.7, glasses.arms.shape[1])
        arms = np.minimum(*(_edge(columns, rows, arm, taper) for arm in glasses.arms))
        arms = _joined(front, arms, FILLET * distance)
        beyond, shown = _along(columns, rows, glasses.arms)
        front = np.minimum(front, np.maximum(arms, beyond - END * distance))
        glare, tint = _lenses(columns, rows, glasses.rims, front)
        gloss = _gloss(arms, columns / distance, widths.mean(), glasses.colour.mean(), max(blur, 0.5 / FINE) * FINE)
        shadow = _shadow(arms, distance * FINE)
        maps = np.dstack([front, arms, shown, tint, shadow, gloss, glare])
        to_grid = np.array([[FINE, 0, -FINE * columns[0]], [0, FINE, -FINE * rows[0]]])
        softness = max(np.sqrt(2 * np.pi) * blur, 0.5 / FINE)  # a straight slope as steep as a blurred edge's middle
        return cls(glasses, maps.astype(np.float32), to_grid, (left, top, right, bottom), softness)

    def change(
        self, part: np.ndarray, maps: np.ndarray, free: np.ndarray, skin: np.ndarray, lit: np.ndarray, grain: np.ndarray
    ) -> np.ndarray:
        """What to add to a part float (h, w, 3) of the photo, given the maps (h, w, 7) there.

        The others are (h, w): where the photo may change, bare skin, its light around 1, and detail in levels.
        """
        front, arms, shown, tint, shadow, gloss, glare = cv2.split(maps)
        front, arms = (np.clip(0.5 - distance / self.softness, 0, 1) for distance in (front, arms))
        dim = np.exp(-tint[..., None] * self.glasses.tint) * (1 - shadow * skin)[..., None]
        glare *= GLARE * (1 + 1.5 * float(self.glasses.tint.mean())) * lit
        behind = free[..., None] * (part * (dim - 1) + glare[..., None])
        frame = self.glasses.colour * lit[..., None] + (gloss * lit + grain)[..., None]
        cover = free * np.maximum(front, arms * shown * skin)
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


def _along(columns: np.ndarray, rows: np.ndarray, arms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far beyond the nearer hinge of two arms (2, K, 2) a pixel lies, and how far arms show there: (h, w) each.

    Arms fade out where they reach the ears.
    """
    x, y = np.meshgrid(columns, rows)
    beyond, shown = np.full_like(x, -np.inf), np.ones_like(x)
    for arm in arms:
        along = arm[-1] - arm[0]
        length = np.hypot(*along)
        far = ((x - arm[0, 0]) * along[0] + (y - arm[0, 1]) * along[1]) / length
        beyond = np.maximum(beyond, far)
        shown *= 1 - smoothstep(far / length, 0.75, 1.0)
    return beyond, shown


def _lenses(
    columns: np.ndarray, rows: np.ndarray, rims: np.ndarray, front: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where lenses reflect light and how strong their tint is, darkest at the top: (h, w) each, around 1 and less."""
    glare, tint = np.zeros((2, len(rows), len(columns)))
    for rim in rims:
        inside = np.zeros(tint.shape, np.uint8)
        cv2.fillPoly(inside, [np.rint((rim - (columns[0], rows[0])) * FINE).astype(np.int32)], 1)
        (left, top), (right, bottom) = rim.min(axis=0), rim.max(axis=0)
        across = (2 * (columns - left) / (right - left) - 1)[None]
        down = (2 * (rows - top) / (bottom - top) - 1)[:, None]
        streak = np.clip(1 - ((0.5 * across + 0.86 * down + 0.66) / 0.28) ** 2, 0, None)
        bevel = np.exp(-((front / (0.03 * np.ptp(rim[:, 0]))) ** 2)) * np.clip(down, 0, 1) ** 2
        glare += inside * (streak * np.exp(-(((across + 0.15) / 0.5) ** 2)) + 0.5 * bevel)
        tint += inside * (1 - 0.72 * down)
    return glare, tint


def _shadow(shape: np.ndarray, distance: float) -> np.ndarray:
    """The share (h, w) of its light that skin loses below a shape (h, w), given as the distance to its edge.

    ``distance`` is the eyes', in pixels of the grid.
    """
    light, cover = np.ones_like(shape), np.clip(0.5 - FINE * shape, 0, 1)
    for down, soft, share in SHADOWS:
        blurred = cv2.GaussianBlur(cover, (0, 0), soft * distance)
        down = round(down * distance)
        light *= 1 - share * np.pad(blurred, ((down, 0), (0, 0)))[: len(cover)]
    return 1 - light


def _gloss(shape: np.ndarray, across: np.ndarray, width: float, bright: float, blur: float) -> np.ndarray:
    """Levels (h, w) by which round wires of a shape are lighter than their colour, under a lamp above.

    Args:
        shape: distance (h, w) to its edge.
        across: (w,) in eye distances.
        width: half the usual width of the wires.
        bright: levels of their colour.
        blur: standard deviation in pixels of the grid.
    """
    smooth = cv2.GaussianBlur(shape, (0, 0), 1.0)
    right, down = (cv2.Sobel(smooth, cv2.CV_64F, *order, ksize=3) / 8 * FINE for order in ((1, 0), (0, 1)))
    tilt = np.clip(1 + shape / width, 0, 1)  # 0 along the middle of a wire, 1 at its edges
    facing = np.dstack([tilt * right, tilt * down, np.sqrt(1 - tilt**2)])
    half = LAMP + (0, 0, np.linalg.norm(LAMP))  # between the lamp and the camera
    upwards = facing[..., :2] @ LAMP[:2] / np.linalg.norm(LAMP[:2])
    sheen = np.where(upwards > 0, SHEEN, -UNDER * bright) * upwards**2
    shine = np.clip(facing @ half / np.linalg.norm(half), 0, None) ** 16
    spots = (0.5 + 0.5 * np.sin(7.5 * across + 1)) ** 3  # lamps are small, surroundings uneven
    return cv2.GaussianBlur(sheen + GLOSS * shine * spots, (0, 0), 0.5 * blur)


def _shade(rgb: np.ndarray, alignment: Alignment, size: int, light: Light) -> np.ndarray:
    """Float32 (S, S) around 1: how the face's light falls, compared with the middle between the eyes."""
    grey = luminance(light.normalised(drawn(rgb, window(alignment, size, 1, size), size)))
    slow = cv2.GaussianBlur(grey, (0, 0), size / 10)
    x, y = landmarks_in_crop(size)[0][:2].mean(axis=0).astype(int)
    return np.clip(slow / max(float(slow[y, x]), 1.0), 0.7, 1.3)
