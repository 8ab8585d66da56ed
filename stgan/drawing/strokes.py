"""Short hairs drawn one by one: brows, mustaches and beards at the photo's own resolution.

A network draws such hair as a stain. The stain tells how dense the hair is; how hair grows is known.
"""

import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from stgan.drawing.white_hair import White
from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import as_3x3, extent
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import Matte, Silhouette, drawn, in_the_crop, warped, window

THINNEST = 0.002  # width of a hair in eye distances: about a tenth of a millimetre
VISIBLE = 0.28  # of a pixel of the photo; finer hairs could not be seen, so one stands for several
FINEST, COARSEST = 465, 116  # pixels of the drawing's grid between the eyes
OPACITIES = np.linspace(0.1, 0.9, 9)
FULL = 0.4  # density from which hairs are as opaque as can be; where hair is sparse it is fine
FAINTEST = 0.35  # opacity of the finest hairs, as a share of full ones
WIDTHS = (1.5, 1.2, 1.0, 0.8)  # of the layers' hairs, as a share of the usual: coarse hairs lie below fine ones
LENGTHS = (0.45, 1.4)  # of the usual length
LOCKS = 0.05  # eye distances over which neighbouring hairs lean alike
POINTS = 7  # of a hair
TAPER = ((POINTS, 0.3), (POINTS - 1, 0.6), (POINTS - 2, 0.85), (POINTS - 3, 1.0))  # points up to which how opaque
SHIFT = 4  # fractional bits of OpenCV's coordinates
STRANDS = 0.85  # of the density that single hairs make up ...
UNDER = 0.4  # ... and of it that their shade and the hairs below them do
DARKEST, SHADED = 25, 50  # percentiles of the photo's hair that give new hair its colour, and a beard
SKIN_HUE = 0.6  # share in the hue of new hair of light that skin reflected twice: hair lets some through
BEARD_HUE = (1.3, 0.5)  # powers of the hues of skin and hair in that of a beard
BRIGHTNESS = (0.14, 0.32, 0.48)  # of new hair, least and most, and of a beard at most, as a share of the skin's
FEWEST_PIXELS = 40
SEEN = 0.05  # logarithm of the share of light that brows leave: less would be noise
SCALES = (0.7, 1.4, 2.8)  # standard deviations, pixels of the photo: detail finer than each is as sharp as the photo's
FLAT = 1.0  # levels: hair that varies less tells nothing of the photo
GAINS = (0.03, 1.3)  # of the contrast of such detail, least and most
# On bare skin more than the usual would be as sharp as the photo's hair, but looks like brush strokes: a juror
# preferred less in six of seven pairs.
CALMEST = 0.7  # contrast of hairs in a photo whose own have next to none, as a share of the usual
# Over a dark base lit hairs and gaps are seen, as in real beards, and may be nearly as sharp as the photo's own hair.
CRISP = 0.9  # energy of the Laplacian of such hair, as a share of that of the photo's own
CRISPEST = 0.12  # standard deviation of what that takes, as a share of the brightness
THIN = 0.2  # density below which hair shows less of it
DARK = 16.0  # levels: differences among darker pixels are noise
LIGHT = 0.12  # eye distances over which new hair follows the light and shade of the skin
LIGHTS = (0.5, 1.25)  # of the light on new hair, least and most, as a share of its mean
PASSING = (0.02, 0.99)  # share of the light that hair leaves, least and most
HUES = (0.6, 1.5)  # of the light that a channel loses, least and most, as a share of the mean
COLOUR_GRID = 384  # side at which the photo's hair is sampled


@dataclass(frozen=True)
class Growth:
    """Short hair to be drawn into a crop."""

    density: np.ndarray  # float32 (S, S) in [0, 1), the share of a pixel that hair covers
    direction: np.ndarray  # float32 (S, S, 2), x and y, in which hair grows
    length: float  # of a hair, pixels of the crop
    spread: float  # standard deviation of a hair's direction, radians
    # Float32 (S, S) in [0, 1), the share that hairs too fine to be seen and shadows cover: hair over such a base gets
    # crisp. By default UNDER * density.
    shade: np.ndarray | None = None

    def thinned(self, share: float) -> "Growth":
        """A share of this hair."""
        shade = None if self.shade is None else self.shade * share
        return replace(self, density=self.density * share, shade=shade)


def draw_hairs(
    rgb: np.ndarray,
    alignment: Alignment,
    growth: Growth,
    colour: np.ndarray,
    share: np.ndarray,
    silhouette: Silhouette,
    *,
    light: Light = USUAL_LIGHT,
    white: White | None = None,
) -> np.ndarray:
    """The photo with short hair: uint8 (H, W, 3). No hair but white makes a pixel brighter.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of the crop.
        colour: (3,), levels of the hair in the networks' light.
        share: float (S, S) in [0, 1], where the crop may change.
        silhouette: the person, whom hair does not leave.
        light: of the photo.
        white: hair among the other. It lies over that, and throws no shade.
    """
    result, detail = rgb.copy(), 1 / alignment.scale
    density = (growth.density * share).astype(np.float32)
    shade = UNDER * density if growth.shade is None else (growth.shade * share).astype(np.float32)
    rows, columns = (np.nonzero((np.maximum(density, shade) > 0.005).any(axis=axis))[0] for axis in (1, 0))
    if len(rows) == 0:
        return result
    reach = growth.length + 1
    box = (columns[0] - reach, rows[0] - reach, columns[-1] + reach, rows[-1] + reach)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=1)
    part, corner = result[top:bottom, left:right], (left, top)
    bare, contrast = part.copy(), np.zeros(part.shape[:2], np.float32)
    distance = landmarks_in_crop(len(share))[1]  # of the eyes, pixels of the crop
    person = Matte.fitted(rgb, alignment, len(share), in_the_crop(silhouette.person), 1).of(part, corner)[0]
    maps = np.dstack([share.astype(np.float32), density, shade])
    free, dense, under = cv2.split(warped(maps, alignment.matrix, corner, part.shape))
    own = own_detail(rgb, alignment, len(share), silhouette, light)
    among = 0.0 if white is None else white.share
    kinds = [(1 - among, colour, False)] + ([(among, white.colour, True)] if white is not None and among > 0 else [])
    for some, tint, pale in kinds:
        hairs, to_grid = hair_map(STRANDS * some * density, growth, box, detail, distance, seed=int(pale))
        hairs = warped(hairs, to_grid @ as_3x3(alignment.matrix), corner, part.shape)
        contrast += hairs if pale else -hairs
        lit = light.normalised(part)
        hairs = _as_sharp(hairs, some * dense, np.abs(lit - tint), own)
        local = _light_on(lit.mean(axis=2), some * np.maximum(dense, under), LIGHT * distance * detail)
        cover = person * (1 - (1 - free * hairs.clip(0, 1)) * (1 - some * under * (not pale)))
        laid = tint.astype(np.float32) * local[..., None]
        change = cover[..., None] * (laid - lit) if pale else _darker(lit, laid, cover)
        # It rounds, so zero change stays zero.
        part[...] = cv2.add(part, light.restored(change).astype(np.float32), dtype=cv2.CV_8U)
    if growth.shade is not None and own is not None:
        change = person[..., None] * _crisper(light.normalised(part), contrast, dense, own.laplacian)
        crisp = cv2.add(part, light.restored(change).astype(np.float32), dtype=cv2.CV_8U)
        part[...] = crisp if among > 0 else np.minimum(crisp, bare)
    return result


def _darker(lit: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """The change (h, w, 3) of skin that hair of a colour (h, w, 3) covers in part, a share (h, w).

    It is as dark as a mixture of both, but in the hue of a thin layer of hair (Beer and Lambert's law): light reaches
    the skin between hairs through other hairs.
    """
    logs = np.log((colour / (lit + 1)).clip(*PASSING))
    hue = (logs / logs.mean(axis=2, keepdims=True)).clip(*HUES)
    mixed = np.log(1 - cover[..., None] * (1 - np.exp(logs))).mean(axis=2, keepdims=True)
    return lit * np.expm1(hue * mixed)


def _crisper(lit: np.ndarray, contrast: np.ndarray, density: np.ndarray, own: float) -> np.ndarray:
    """The change (h, w, 3) of hair of a density (h, w) that makes it nearly as sharp as the photo's ``own``.

    ``contrast``: (h, w), larger where hairs are lighter.
    """
    fine = contrast - cv2.GaussianBlur(contrast, (0, 0), SCALES[1])
    strength = crispness(lit.mean(axis=2), fine, density > FULL / 2, own)
    return (lit + DARK) * np.expm1(strength * (density / THIN).clip(0, 1) * fine)[..., None]


def crispness(grey: np.ndarray, fine: np.ndarray, where: np.ndarray, own: float) -> float:
    """By what to multiply ``fine`` detail (h, w) in the logarithm of a picture (h, w) that is to be nearly as sharp as
    the photo's ``own`` hair over the pixels ``where``."""
    if np.count_nonzero(where) < FEWEST_PIXELS:
        return 0.0
    shown, more = (cv2.Laplacian(each, cv2.CV_32F)[where] for each in (grey, fine))
    # Of this square equation in the strength of the detail the larger root is wanted.
    square, half, missing = (more**2).mean() + 1e-6, (shown * more).mean(), (CRISP * own) ** 2 - (shown**2).mean()
    strength = (np.sqrt(half**2 + square * missing) - half) / square if missing > 0 else 0.0
    return float(min(strength / (grey[where].mean() + DARK), CRISPEST / (fine[where].std() + 1e-6)))


def _light_on(grey: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """Float32 (h, w), the light on the pixels of weight (h, w), as a share of its mean."""
    weight = weight.astype(np.float32) + 1e-4
    local = cv2.GaussianBlur(grey * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)
    return (local / ((grey * weight).sum() / weight.sum() + 1e-3)).clip(*LIGHTS)


def bands(image: np.ndarray) -> list[np.ndarray]:
    """An image (h, w) as its detail between SCALES, fine to coarse, and what is coarser still."""
    blurred = [image, *(cv2.GaussianBlur(image, (0, 0), sigma) for sigma in SCALES)]
    return [fine - coarse for fine, coarse in itertools.pairwise(blurred)] + blurred[-1:]


def energies(bands: list[np.ndarray], where: np.ndarray) -> np.ndarray:
    """The root mean square of each band of detail over the pixels ``where``."""
    return np.array([np.sqrt((band[where] ** 2).mean()) for band in bands[:-1]]) + 1e-6


class Detail(NamedTuple):
    """How strong detail of hair is, in levels."""

    bands: np.ndarray  # as :func:`energies`
    laplacian: float  # root mean square


def _as_sharp(hairs: np.ndarray, density: np.ndarray, apart: np.ndarray, own: Detail | None) -> np.ndarray:
    """Hairs (h, w) of a density (h, w) with no finer detail than the photo's own; in soft photos their tufts remain.

    ``apart``: (h, w, 3), levels by which hairs are darker, or lighter, than what they cover.
    """
    where = density > FULL / 2
    if own is None or np.count_nonzero(where) < FEWEST_PIXELS:
        return hairs
    new = energies(bands(hairs - STRANDS * density), where)  # without the border
    gains = (own.bands / own.bands[-1] * new[-1] / new).clip(*GAINS)
    # In part, coarser detail shows instead.
    gains *= max(1.0, float(np.linalg.norm(new) / np.linalg.norm(gains * new))) ** 0.5
    contrast = np.linalg.norm(own.bands) / (np.linalg.norm(gains * new) * max(apart[where].mean(), 1))
    gains *= np.clip(contrast, CALMEST, 1)
    *details, slow = bands(hairs)
    return slow + sum(gain * detail for gain, detail in zip(gains, details, strict=True))


def own_detail(rgb: np.ndarray, alignment: Alignment, size: int, silhouette: Silhouette, light: Light) -> Detail | None:
    """How strong detail of the photo's own hair in the crop is: of the person if no hair shows. None if they are
    flat."""
    left, top, right, bottom = extent(alignment.matrix, (0, 0, size - 1, size - 1), rgb.shape, margin=0)
    part = light.normalised(rgb[top:bottom, left:right]).mean(axis=2)
    for share in (silhouette.hair, silhouette.person):
        to_map = window(alignment, size, 1, len(in_the_crop(share))).matrix
        shown = (warped(in_the_crop(share), to_map, (left, top), part.shape) > 0.9).astype(np.uint8)
        where = cv2.erode(shown, np.ones((3, 3))) > 0  # its border is no detail
        if np.count_nonzero(where) >= FEWEST_PIXELS:
            if part[where].std() < FLAT:
                return None
            laplacian = cv2.Laplacian(part, cv2.CV_32F)[where]
            return Detail(energies(bands(part), where), float(np.sqrt((laplacian**2).mean())))
    return None


def hair_colour(
    rgb: np.ndarray,
    alignment: Alignment,
    hair: np.ndarray,
    skin: np.ndarray,
    light: Light,
    brows: np.ndarray | None = None,
    *,
    beard: bool = False,
) -> np.ndarray:
    """The colour (3,) of new hair: that of the photo's own in the shade, but darker than the skin, and no greyer than
    the brows.

    Args:
        hair, skin, brows: (S, S) in [0, 1], where the crop shows them.
        beard: whether it covers the skin, in a hue between those of hair and skin.
    """
    side = COLOUR_GRID
    picture = light.normalised(drawn(rgb, window(alignment, len(hair), 1, side), side))
    hair, skin, brows = (
        cv2.resize(each.astype(np.float32), (side, side)) for each in (hair, skin, 0 * hair if brows is None else brows)
    )
    tone = np.median(picture[skin > 0.5 * skin.max()], axis=0) + 1
    pixels, own = picture[np.maximum(hair, brows) > 0.6], picture[brows > 0.6]
    if len(pixels) < FEWEST_PIXELS:
        return BRIGHTNESS[1] * tone
    means = pixels.mean(axis=1)
    dark = pixels[means <= np.percentile(means, SHADED if beard else DARKEST)].mean(axis=0) + 1
    level = np.clip(dark.mean(), *(share * tone.mean() for share in (BRIGHTNESS[0], BRIGHTNESS[1 + beard])))
    if beard:
        brown = np.minimum.accumulate(dark)  # hair absorbs blue most: other tints are of the light
        hue = tone ** BEARD_HUE[0] * brown ** BEARD_HUE[1]
        return level * hue / hue.mean()
    usual = (1 - SKIN_HUE) * dark / dark.mean() + SKIN_HUE * (tone / tone.mean()) ** 2
    hues = [usual / usual.mean(), _hue_of_cover(tone, own, level)]
    return level * max(hues, key=np.ptp)  # hair that is drawn sparsely over skin looks grey rather than too brown


def _hue_of_cover(tone: np.ndarray, brows: np.ndarray, level: float) -> np.ndarray:
    """The hue (3,), of mean 1, of hair that tints skin of a tone (3,) as brows (N, 3) do, where it is so dense that the
    skin has a level."""
    if len(brows) < FEWEST_PIXELS:
        return np.ones(3)
    means = brows.mean(axis=1)
    dense = brows[means <= np.median(means)].mean(axis=0) + 1
    lost = np.log(tone / dense).clip(SEEN)
    lost = np.maximum.accumulate(lost)  # hair absorbs blue most: other tints are of the light
    covered = tone * np.exp(lost / lost.mean() * np.log(level / tone.mean()))
    return covered / covered.mean()


def hair_map(
    density: np.ndarray,
    growth: Growth,
    box: tuple[float, float, float, float],
    detail: float,
    distance: float,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The share (h, w) of a grid over a box of the crop that hairs cover, and (2, 3) from the crop to the grid.

    ``detail``: pixels of the photo per pixel of the crop; ``distance``: of the eyes, in pixels of the crop.
    """
    left, top, right, bottom = box
    fine = float(np.clip(2 * detail, COARSEST / distance, FINEST / distance))
    to_grid = np.array([[fine, 0, -fine * left], [0, fine, -fine * top]])
    shape = (round((bottom - top) * fine), round((right - left) * fine))
    usual = max(THINNEST * distance, VISIBLE / detail)
    random = np.random.default_rng(seed)  # the same edit draws the same hairs
    lean = smooth_noise(density.shape, LOCKS * distance, random)
    bare = np.ones(shape, np.float32)
    for width in usual * np.array(WIDTHS):
        points, opacity = _hairs(density, growth, width, lean, random)
        bare *= 1 - _strokes(shape, points * fine + to_grid[:, 2], opacity, width * fine)
    return cv2.GaussianBlur(1 - bare, (0, 0), max(0.3, 0.4 * fine / detail)), to_grid


def smooth_noise(shape: tuple[int, ...], sigma: float, random: np.random.Generator) -> np.ndarray:
    """Noise float32 (h, w) of mean 0 and variance 1 that varies over ``sigma`` pixels."""
    noise = cv2.GaussianBlur(random.normal(size=shape).astype(np.float32), (0, 0), sigma)
    return (noise - noise.mean()) / noise.std()


def _hairs(
    density: np.ndarray, growth: Growth, width: float, lean: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One layer's hairs from root to tip, (N, P, 2) in pixels of the crop, and their opacities (N,)."""
    strength = np.clip(density / FULL, FAINTEST, 1)
    count = -np.log(1 - density) / (growth.length * width * strength * OPACITIES.mean() * len(WIDTHS))
    rows, columns = (np.repeat(each.ravel(), number) for number in [random.poisson(count).ravel()]
                     for each in np.indices(density.shape))  # fmt: skip
    opacity = strength[rows, columns] * random.uniform(OPACITIES[0], OPACITIES[-1], len(rows))
    middles = np.stack([columns, rows], axis=1) + random.uniform(-0.5, 0.5, (len(rows), 2))
    x, y = growth.direction[rows, columns].T
    angle = np.arctan2(y, x) + growth.spread * (lean[rows, columns] + random.normal(0, 1, len(rows))) / 2**0.5
    bend = random.normal(0, growth.spread, len(rows))
    lengths = growth.length * random.uniform(*LENGTHS, len(rows))
    along = np.linspace(-0.5, 0.5, POINTS)
    turned = angle[:, None] + bend[:, None] * along
    steps = np.stack([np.cos(turned), np.sin(turned)], axis=2) * (lengths / POINTS)[:, None, None]
    points = np.cumsum(steps, axis=1)
    return middles[:, None] + points - points.mean(axis=1, keepdims=True), opacity


def _strokes(shape: tuple[int, int], points: np.ndarray, opacity: np.ndarray, width: float) -> np.ndarray:
    """Tapered lines (N, P, 2) of a width in pixels, as float32 (h, w) in [0, 1]; later ones hide earlier ones."""
    image = np.zeros(shape, np.uint8)
    thickness = max(1, round(width))
    points = np.rint(points * 2**SHIFT).astype(np.int32)
    nearest = np.abs(opacity[:, None] - OPACITIES).argmin(axis=1)
    for number, value in enumerate(OPACITIES):
        lines = points[nearest == number]
        for end, dark in TAPER:
            level = round(255 * value * dark * width / thickness)
            cv2.polylines(image, list(lines[:, :end]), False, level, thickness, cv2.LINE_AA, SHIFT)
    return image.astype(np.float32) / 255
