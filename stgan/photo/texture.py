"""Fine detail for what a small network draws: edges as steep as the photo's, and its grain.

A network draws new structure, such as glasses, at a few pixels of the photo per pixel of its own. What lies between is
made here, from the photo's own skin.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.attributes import LEFT_CHEEK, RIGHT_CHEEK
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import extent
from stgan.photo.light import Light

FINE = 0.7  # standard deviation, in pixels of the crop, below which detail is the photo's to give
SMALLEST = 12  # side of a sample in pixels of the photo
LARGEST = 384
SOFT = 0.52  # least standard deviation of an edge, in pixels of the photo
SLOPE = 0.4  # squared pixels by which a difference of pixels blurs an edge


@dataclass(frozen=True)
class Texture:
    """A sample of the skin's fine detail, repeated in mirror image over a plane."""

    skin: np.ndarray  # float32 (h, w), levels of luminance

    @classmethod
    def of(cls, rgb: np.ndarray, alignment: Alignment, size: int, light: Light) -> "Texture":
        """From a cheek, for crops of S = ``size`` pixels."""
        left, _, right, _ = CELEBA_CROP
        step = size / (right - left)
        distance = (MEAN_LANDMARKS[1, 0] - MEAN_LANDMARKS[0, 0]) * step
        middle = (MEAN_LANDMARKS[:2].mean(axis=0) - CELEBA_CROP[:2]) * step
        cheeks = [_fine(rgb, alignment, middle + distance * np.array([c.x, c.y]), 0.6 * c.across * distance, light)
                  for c in (LEFT_CHEEK, RIGHT_CHEEK)]  # fmt: skip
        return cls(min(cheeks, key=np.std))  # the smoother one is not covered

    def over(self, sample: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
        """A sample repeated over the part (h, w) of the photo with this upper left ``corner``."""
        indices = []
        for start, count, side in ((corner[1], shape[0], sample.shape[0]), (corner[0], shape[1], sample.shape[1])):
            place = np.arange(start, start + count) % (2 * side)
            indices.append(np.minimum(place, 2 * side - 1 - place))
        return sample[np.ix_(*indices)]


def _fine(rgb: np.ndarray, alignment: Alignment, centre: np.ndarray, radius: float, light: Light) -> np.ndarray:
    """The fine luminance of a square of the photo around a point of the crop."""
    radius = float(np.clip(radius, SMALLEST / 2 * alignment.scale, LARGEST / 2 * alignment.scale))
    box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=0)
    luminance = cv2.cvtColor(light.normalised(rgb[top:bottom, left:right]), cv2.COLOR_RGB2GRAY)
    return luminance - cv2.GaussianBlur(luminance, (0, 0), FINE / alignment.scale)


def blur_of(rgb: np.ndarray, alignment: Alignment, size: int, light: Light) -> float:
    """How soft a photo's sharpest edges around the eyes are: the standard deviation of a Gaussian, in its pixels.

    Another blur leaves the steeper an edge the less of its gradient (Zhuo and Sim, Pattern Recognition 2011, doi
    10.1016/j.patcog.2011.03.009).
    """
    landmarks, distance = landmarks_in_crop(size)
    (left, top), (right, bottom) = landmarks[0] - 0.4 * distance, landmarks[1] + 0.4 * distance
    left, top, right, bottom = extent(alignment.matrix, (left, top, right, bottom), rgb.shape, margin=0)
    grey = cv2.cvtColor(light.normalised(rgb[top:bottom, left:right]), cv2.COLOR_RGB2GRAY)
    once, twice = _slope(grey), _slope(cv2.GaussianBlur(grey, (0, 0), 1))
    sharp = once >= np.quantile(once, 0.98)
    ratio = float(np.median(once[sharp] / np.maximum(twice[sharp], 1e-3)))
    return max(SOFT, float(np.sqrt(max(1 / max(ratio**2 - 1, 0.05) - SLOPE, 0))))


def _slope(grey: np.ndarray) -> np.ndarray:
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def sharpened(image: np.ndarray, detail: float) -> np.ndarray:
    """An enlarged image float (G, G, 3) with edges as steep as if it had been drawn at this size.

    A shock filter: on each side of an edge a pixel moves towards the extreme of its neighbours (Osher and Rudin, SIAM
    Journal on Numerical Analysis 1990, doi 10.1137/0727053).

    Args:
        detail: how many times the image was enlarged.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    if detail <= 1:
        return image
    image = cv2.GaussianBlur(image, (0, 0), 0.35 * detail)  # the steps of the small image's pixels
    for _ in range(min(round(2 * detail), 6)):
        grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 0.8 * detail)
        bend = cv2.Laplacian(grey, cv2.CV_32F, ksize=3) * detail**2 / 8
        share = 0.5 * np.clip(np.abs(bend) / 12, 0, 1)[..., None]
        dark = cv2.merge([(bend > 0).astype(np.uint8)] * 3).astype(bool)
        extreme = cv2.dilate(image, cross)
        np.copyto(extreme, cv2.erode(image, cross), where=dark)
        image += share * (extreme - image)
    return image
