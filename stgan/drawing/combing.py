"""Strands finer than a network draws: lines along the hair that it drew, with the contrast of the photo's own hair.

A network draws hair at a few pixels of the photo per pixel of its own, so it is soft beside the hair around it. Noise
that is averaged along the strands becomes lines (line integral convolution; Cabral and Leedom, SIGGRAPH 1993, doi
10.1145/166117.166151).
"""

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.geometry import extent, smoothstep
from stgan.photo.light import USUAL_LIGHT, Light, luminance
from stgan.photo.matte import Silhouette, in_the_crop, warped

COARSE = (0.7, 1.1)  # pixels of the photo per pixel of the crop, up to which a network's own strands are fine enough
FLOW = 6.0  # pixels of the crop over which strands run in parallel
PARALLEL = (0.3, 0.6)  # how much they do, below which lines would be wrong, and above which not
LENGTH = 7.0  # of a line on each side of its middle, pixels of the crop
MOST_STEPS = 24
FINE = 0.8  # standard deviation, in pixels of the crop, below which a network draws nothing
DARK = 16.0  # levels: differences among darker pixels are noise
MOST = 0.12  # logarithm of brightness by which lines differ at most, in the mean
CONTRAST = 1.2  # of lines, as a multiple of the hair's: they are smoother than strands
SURE = 0.6  # share of hair that a pixel has at least, to count for how strands look


def comb(
    rgb: np.ndarray,
    alignment: Alignment,
    drawn: np.ndarray,
    new: np.ndarray,
    hair: np.ndarray,
    silhouette: Silhouette,
    *,
    before: np.ndarray | None = None,
    light: Light = USUAL_LIGHT,
) -> np.ndarray:
    """A photo uint8 (H, W, 3) whose new hair has strands as fine as the hair that was there.

    Args:
        alignment: of the crop.
        drawn: float (S, S, 3) in [0, 255], the crop with the hair that a network drew.
        new, hair: float (S, S) in [0, 1], where it drew hair, and where the photo had some.
        silhouette: the person, whom the strands do not leave: a network draws hair on walls, too.
        before: the photo whose hair shows how fine strands are, if the new hair has another colour.
    """
    detail = 1 / alignment.scale
    new = new * in_the_crop(silhouette.person, len(new))
    share = (new * smoothstep(np.float32(detail), *COARSE)).astype(np.float32)
    rows, columns = (np.nonzero((share > 0.02).any(axis=axis))[0] for axis in (1, 0))
    if len(rows) == 0:
        return rgb
    margin = len(new) / 12  # around new hair, within which the photo's own tells how strands look
    box = (columns[0] - margin, rows[0] - margin, columns[-1] + margin, rows[-1] + margin)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=1)
    result = rgb.copy()
    part = result[top:bottom, left:right]
    cos, sin, contrast = _flow(drawn)
    share = share * smoothstep(_parallel(cos, sin, contrast), *PARALLEL)
    maps = np.dstack([share, hair, cos, sin]).astype(np.float32)
    share, hair, cos, sin = cv2.split(warped(maps, alignment.matrix, (left, top), part.shape))
    photo = light.normalised(part)
    bright = luminance(photo).clip(0) + DARK
    fine = fine_detail(np.log(bright), FINE * detail)
    soft = _contrast(fine, share)
    if before is None:
        own = _contrast(fine, hair * (1 - share))
    else:
        levels = luminance(light.normalised(before[top:bottom, left:right]))
        own = _contrast(fine_detail(levels, FINE * detail), hair * share) / float(
            np.average(bright, weights=share + 1e-6)
        )
    missing = min(MOST, float(np.sqrt(max((CONTRAST * own) ** 2 - soft**2, 0))))
    # Twice the angle: a strand has no direction. In the photo the crop may be turned.
    angle = np.arctan2(sin, cos) / 2 + np.arctan2(alignment.inverse[1, 0], alignment.inverse[0, 0])
    lines = fine_detail(_lines(angle, min(MOST_STEPS, round(LENGTH * detail))), FINE * detail)
    lines *= missing / max(float(np.abs(lines).mean()), 1e-6)
    change = (photo + DARK) * (np.exp(lines * share) - 1)[..., None]
    part[...] = cv2.add(part, light.restored(change.astype(np.float32)), dtype=cv2.CV_8U)  # rounds: zero stays zero
    return result


def curliness(image: np.ndarray, area: np.ndarray) -> float:
    """How little strands of a crop float (S, S, 3) run in parallel where ``area`` (S, S) is certain: from 0 to 1."""
    sure = cv2.erode((area > SURE).astype(np.uint8), np.ones((5, 5))) > 0
    return 1 - float(_parallel(*_flow(image))[sure].mean()) if sure.any() else 0.0


def fine_detail(grey: np.ndarray, sigma: float) -> np.ndarray:
    """What an image (h, w) shows that is finer than a standard deviation in pixels."""
    return grey - cv2.GaussianBlur(grey, (0, 0), sigma)


def _flow(image: np.ndarray) -> list[np.ndarray]:
    """Cosine and sine of twice the angle at which strands run in a crop, (S, S) each, times the third: their contrast.

    Strands run at right angles to the strongest gradient of a structure tensor.
    """
    grey = cv2.GaussianBlur(np.log(luminance(image).clip(0) + DARK), (0, 0), 0.7)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    products = (down**2 - across**2, -2 * across * down, down**2 + across**2)
    return [cv2.GaussianBlur(each, (0, 0), FLOW) for each in products]


def _parallel(cos: np.ndarray, sin: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    return np.hypot(cos, sin) / (contrast + 1e-6)


def _contrast(fine: np.ndarray, area: np.ndarray) -> float:
    """The mean size of differences where ``area`` is certain; 0 where nothing is."""
    return float(np.abs(fine[area > SURE]).mean()) if (area > SURE).any() else 0.0


def _lines(angle: np.ndarray, steps: int) -> np.ndarray:
    """Noise (h, w) averaged along lines of so many pixels to both sides at an angle (h, w)."""
    noise = np.random.default_rng(0).normal(size=angle.shape).astype(np.float32)
    total = noise.copy()
    field = cv2.merge([np.cos(2 * angle), np.sin(2 * angle)]).astype(np.float32)
    rows, columns = np.mgrid[: angle.shape[0], : angle.shape[1]].astype(np.float32)
    for way in (-1, 1):
        x, y = columns.copy(), rows.copy()
        ahead = way * np.cos(angle), way * np.sin(angle)
        for _ in range(steps):
            x, y = x + ahead[0].astype(np.float32), y + ahead[1].astype(np.float32)
            total += cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            cos, sin = cv2.split(cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
            turned = np.arctan2(sin, cos) / 2
            step = np.cos(turned), np.sin(turned)
            back = np.where(step[0] * ahead[0] + step[1] * ahead[1] < 0, -1, 1)
            ahead = back * step[0], back * step[1]
    return total
