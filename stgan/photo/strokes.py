"""Short hairs drawn one by one: brows, mustaches and beards at the photo's own resolution.

A network draws such hair as a stain. The stain tells how dense the hair is; how hair grows is known.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import as_3x3, extent
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import Matte, Silhouette, drawn, in_the_crop, warped, window

THINNEST = 0.002  # width of a hair in eye distances: about a tenth of a millimetre
VISIBLE = 0.28  # of a pixel of the photo; finer hairs could not be seen, so one stands for several
FINEST, COARSEST = 465, 116  # pixels of the drawing's grid between the eyes
LAYERS = 4  # of hairs, one over the other
OPACITIES = np.linspace(0.1, 0.9, 9)
FULL = 0.4  # density from which hairs are as opaque as can be; where hair is sparse it is fine
FAINTEST = 0.35  # opacity of the finest hairs, as a share of full ones
LENGTHS = (0.6, 1.25)  # of the usual length
POINTS = 7  # of a hair
TAPER = ((POINTS, 0.3), (POINTS - 1, 0.6), (POINTS - 2, 0.85), (POINTS - 3, 1.0))  # points up to which how opaque
SHIFT = 4  # fractional bits of OpenCV's coordinates
STRANDS = 0.85  # of the density that single hairs make up ...
UNDER = 0.4  # ... and of it that their shade and the hairs below them do
DARKEST = 25  # percentile of the photo's hair that gives new hair its colour
SKIN_HUE = 0.6  # share in the hue of new hair of light that skin reflected twice: hair lets some through
BRIGHTNESS = (0.14, 0.32)  # of new hair, least and most, as a share of the skin's
FEWEST_PIXELS = 40
SLOW = 0.02  # eye distances: what varies more slowly is how dense the hair is
SHARP = 1.15  # sharpness of new hair over that of the photo; skin between hairs, which the figure covers too, is smooth
GAINS = (0.35, 2.5)  # of the contrast of single hairs, least and most
COLOUR_GRID = 384  # side at which the photo's hair is sampled


@dataclass(frozen=True)
class Growth:
    """Short hair to be drawn into a crop."""

    density: np.ndarray  # float32 (S, S) in [0, 1), the share of a pixel that hair covers
    direction: np.ndarray  # float32 (S, S, 2), x and y, in which hair grows
    length: float  # of a hair, pixels of the crop
    spread: float  # standard deviation of a hair's direction, radians


def draw_hairs(
    rgb: np.ndarray,
    alignment: Alignment,
    growth: Growth,
    colour: np.ndarray,
    share: np.ndarray,
    silhouette: Silhouette,
    *,
    light: Light = USUAL_LIGHT,
) -> np.ndarray:
    """The photo with short hair: uint8 (H, W, 3). Hair never makes a pixel brighter.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of the crop.
        colour: (3,), levels of the hair in the networks' light.
        share: float (S, S) in [0, 1], where the crop may change.
        silhouette: the person, whom hair does not leave.
        light: of the photo.
    """
    result, detail = rgb.copy(), 1 / alignment.scale
    density = (growth.density * share).astype(np.float32)
    rows, columns = (np.nonzero((density > 0.005).any(axis=axis))[0] for axis in (1, 0))
    if len(rows) == 0:
        return result
    reach = growth.length + 1
    box = (columns[0] - reach, rows[0] - reach, columns[-1] + reach, rows[-1] + reach)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=1)
    part, corner = result[top:bottom, left:right], (left, top)
    distance = landmarks_in_crop(len(share))[1]  # of the eyes, pixels of the crop
    hairs, to_grid = _drawn(STRANDS * density, growth, box, detail, distance)
    hairs = warped(hairs, to_grid @ as_3x3(alignment.matrix), corner, part.shape)
    person = Matte.fitted(rgb, alignment, len(share), in_the_crop(silhouette.person), 1).of(part, corner)[0]
    free, under = cv2.split(
        warped(np.dstack([share.astype(np.float32), density]), alignment.matrix, corner, part.shape)
    )
    lit = light.normalised(part)
    darker = np.minimum(colour.astype(np.float32) - lit, 0)
    slow = cv2.GaussianBlur(hairs, (0, 0), SLOW * distance * detail)
    sharp = SHARP * _hair_detail(rgb, alignment, len(share), silhouette, light)
    dense = under > FULL / 2
    rest = max(sharp**2 - _detail(lit.mean(axis=2), dense) ** 2, 0) ** 0.5  # which the skin does not have
    gain = rest / (_detail(hairs * darker.mean(axis=2), dense) + 1e-3)
    hairs = slow + np.clip(gain, *GAINS) * (hairs - slow)
    cover = person * (1 - (1 - free * hairs.clip(0, 1)) * (1 - UNDER * under))
    change = light.restored(cover[..., None] * darker).astype(np.float32)
    part[...] = cv2.add(part, change, dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


def _detail(image: np.ndarray, where: np.ndarray) -> float:
    """Root of the mean energy of the Laplacian of an image float32 (h, w) over the pixels ``where``."""
    return float(np.sqrt((cv2.Laplacian(image, cv2.CV_32F)[where] ** 2).mean())) if where.any() else 0.0


def _hair_detail(rgb: np.ndarray, alignment: Alignment, size: int, silhouette: Silhouette, light: Light) -> float:
    """How sharp the photo's own hair is within the crop."""
    left, top, right, bottom = extent(alignment.matrix, (0, 0, size - 1, size - 1), rgb.shape, margin=0)
    part = light.normalised(rgb[top:bottom, left:right]).mean(axis=2)
    hair = in_the_crop(silhouette.hair)
    to_map = window(alignment, size, 1, len(hair)).matrix
    return _detail(part, warped(hair, to_map, (left, top), part.shape) > 0.9)


def hair_colour(rgb: np.ndarray, alignment: Alignment, hair: np.ndarray, skin: np.ndarray, light: Light) -> np.ndarray:
    """The colour (3,) of new hair: that of the photo's own in the shade, but darker than the skin.

    Args:
        hair, skin: (S, S) in [0, 1], where the crop shows them.
    """
    side = COLOUR_GRID
    picture = light.normalised(drawn(rgb, window(alignment, len(hair), 1, side), side))
    hair, skin = (cv2.resize(each.astype(np.float32), (side, side)) for each in (hair, skin))
    tone = np.median(picture[skin > 0.5 * skin.max()], axis=0) + 1
    pixels = picture[hair > 0.6]
    if len(pixels) < FEWEST_PIXELS:
        return BRIGHTNESS[1] * tone
    means = pixels.mean(axis=1)
    dark = pixels[means <= np.percentile(means, DARKEST)].mean(axis=0) + 1
    hue = (1 - SKIN_HUE) * dark / dark.mean() + SKIN_HUE * (tone / tone.mean()) ** 2
    return hue * np.clip(dark.mean(), *(share * tone.mean() for share in BRIGHTNESS))


def brightness(image: np.ndarray) -> np.ndarray:
    """float32 (S, S) of an image (S, S, 3)."""
    return cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2GRAY)


def _drawn(
    density: np.ndarray, growth: Growth, box: tuple[float, float, float, float], detail: float, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """The share (h, w) of a grid over a box of the crop that hairs cover, and (2, 3) from the crop to the grid.

    ``detail``: pixels of the photo per pixel of the crop; ``distance``: of the eyes, in pixels of the crop.
    """
    left, top, right, bottom = box
    fine = float(np.clip(2 * detail, COARSEST / distance, FINEST / distance))
    to_grid = np.array([[fine, 0, -fine * left], [0, fine, -fine * top]])
    shape = (round((bottom - top) * fine), round((right - left) * fine))
    width = max(THINNEST * distance, VISIBLE / detail)
    random = np.random.default_rng(0)  # the same edit draws the same hairs
    bare = np.ones(shape, np.float32)
    for _ in range(LAYERS):
        points, opacity = _hairs(density, growth, width, random)
        bare *= 1 - _strokes(shape, points * fine + to_grid[:, 2], opacity, width * fine)
    return cv2.GaussianBlur(1 - bare, (0, 0), max(0.3, 0.4 * fine / detail)), to_grid


def _hairs(
    density: np.ndarray, growth: Growth, width: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One layer's hairs from root to tip, (N, P, 2) in pixels of the crop, and their opacities (N,)."""
    strength = np.clip(density / FULL, FAINTEST, 1)
    count = -np.log(1 - density) / (growth.length * width * strength * OPACITIES.mean() * LAYERS)
    rows, columns = (np.repeat(each.ravel(), number) for number in [random.poisson(count).ravel()]
                     for each in np.indices(density.shape))  # fmt: skip
    opacity = strength[rows, columns] * random.uniform(OPACITIES[0], OPACITIES[-1], len(rows))
    middles = np.stack([columns, rows], axis=1) + random.uniform(-0.5, 0.5, (len(rows), 2))
    x, y = growth.direction[rows, columns].T
    angle = np.arctan2(y, x) + random.normal(0, growth.spread, len(rows))
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
