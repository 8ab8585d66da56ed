"""Mattes: the share of each pixel of a photo that belongs to a person, or to their hair, at the photo's own resolution.

A parser sees a face at a few hundred pixels. A matte follows its map along the photo's own edges, down to strands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from stgan.models.parser import PARSER_CLASSES
from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import as_3x3, box_to_square, extent, smoothstep

WIDE = 2  # side of the window around a face that is parsed for its surroundings, in sides of the crop
# Eye distances to the side of and above the eyes, up to which hair stands out: of 119 people's at most 2.7 and 2.4.
STANDS_OUT = (3.2, 3.0)
PERSON = ("skin", "eyeglasses", "eyes", "brows", "mouth", "hair", "neck")


@dataclass(frozen=True)
class Silhouette:
    """What a face parser sees around a face, in a window with the centre of the crop and :data:`WIDE` times its side.

    All maps are float32 (W, W) in [0, 1]; ``own`` is 0 where a pixel belongs to another face.
    """

    hair: np.ndarray
    person: np.ndarray  # hair, face and neck, not clothes or a hat
    own: np.ndarray
    clothes: np.ndarray | None = None  # None: nobody has looked

    @classmethod
    def of(cls, close: np.ndarray, wide: np.ndarray) -> "Silhouette":
        """From the parser's classes in the crop (10, W / WIDE, W / WIDE) and in the window (10, W, W)."""
        kinds = (("hair",), PERSON, ("clothes",))
        hair, person, clothes = _joined(*(np.stack([_share(view, kind) for kind in kinds]) for view in (close, wide)))
        return cls(_of_the_head(hair), person, np.ones_like(hair), clothes)

    def within(self, own: np.ndarray) -> "Silhouette":
        """Without the pixels (W, W) of other faces."""
        own = cv2.blur(own.astype(np.float32), (5, 5)) * own  # a cut at a straight line would show in the hair
        return replace(self, hair=self.hair * own, person=self.person * own, own=self.own * own)

    def with_view(self, close: np.ndarray) -> "Silhouette":
        """After an edit that may have changed where hair is: with the parser's new classes in the crop."""
        hair = _joined(_share(close, ("hair",))[None], self.hair[None])[0]
        return replace(self, hair=hair * self.own)


def in_the_crop(share: np.ndarray, size: int | None = None) -> np.ndarray:
    """The part (S, S) of a map (W, W) of the window that the crop shows; by default at the map's own resolution."""
    margin = round(len(share) * (1 - 1 / WIDE) / 2)
    inner = share[margin : len(share) - margin, margin : len(share) - margin]
    return inner if size is None else cv2.resize(inner, (size, size), interpolation=cv2.INTER_AREA)


def in_the_window(share: np.ndarray, pixels: int) -> np.ndarray:
    """A map (S, S) of the crop as one of the window, float32 (W, W) with W = ``pixels``; 0 outside of the crop."""
    margin = round(pixels * (1 - 1 / WIDE) / 2)
    inner = pixels - 2 * margin
    return np.pad(cv2.resize(share.astype(np.float32), (inner, inner), interpolation=cv2.INTER_LINEAR), margin)


def window(alignment: Alignment, size: int, reach: float, pixels: int) -> Alignment:
    """The alignment for a window ``reach`` times as wide as a crop of S = ``size`` pixels, drawn at W = ``pixels``."""
    side = size * reach
    corner = (size - side) / 2 - 0.5
    return Alignment((box_to_square(corner, corner, side, pixels) @ as_3x3(alignment.matrix))[:2])


def _share(classes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    return classes[[PARSER_CLASSES.index(name) for name in names]].sum(axis=0)


def _joined(close: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """Maps (C, W, W) of the window, with those of the crop in its middle: there the parser sees the face best."""
    size, inner = wide.shape[-1], close.shape[-1]
    margin = (size - inner) // 2
    ramp = np.clip(np.minimum(np.arange(inner), np.arange(inner)[::-1]) / (0.08 * inner), 0, 1)
    trust = np.minimum(ramp[:, None], ramp[None, :])
    joined = wide.astype(np.float32)
    middle = joined[:, margin : margin + inner, margin : margin + inner]
    middle += trust * (close - middle)
    return joined


def _of_the_head(hair: np.ndarray) -> np.ndarray:
    """A map of hair (W, W) without what is not connected with hair in the middle of the crop, or further above and
    beside a head than hair stands: other heads, walls."""
    size = len(hair)
    hair = hair * _near_the_head(size)
    count, pieces = cv2.connectedComponents((hair > 0.4).astype(np.uint8))
    margin = round(size * (1 - 0.8 / WIDE) / 2)
    middle = pieces[margin : size - margin, margin : size - margin]
    kept = np.bincount(middle.ravel(), minlength=count) > (size / 100) ** 2
    kept[0] = False
    near = cv2.dilate(kept[pieces].astype(np.float32), np.ones((3, 3)), iterations=max(1, size // 50))
    return hair * cv2.blur(near, (5, 5))


@cache
def _near_the_head(size: int) -> np.ndarray:
    """Float32 (W, W) in [0, 1] for W = ``size``: where hair may stand out, or hang down."""
    points, distance = landmarks_in_crop(size // WIDE)
    x, y = points[:2].mean(axis=0) + size * (1 - 1 / WIDE) / 2
    rows, columns = np.mgrid[:size, :size]
    above = np.minimum(rows - y, 0)  # below the eyes only the distance to the side counts
    far = np.hypot((columns - x) / STANDS_OUT[0], above / STANDS_OUT[1]) / distance
    return (1 - smoothstep(far.astype(np.float32), 0.9, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class Matte:
    """A share linear in the pixel's colour, ``gain * p + offset``, between two bounds; all stored at a moderate size.

    That a matte is linear in colour within a small window holds where foreground and background have few colours each
    (colour lines; Levin, Lischinski and Weiss, TPAMI 2008, doi 10.1109/TPAMI.2007.1177).
    """

    coefficients: np.ndarray  # float32 (G, G, 4): gain of red, green and blue per level, offset
    bounds: np.ndarray  # float32 (G, G, 2): lowest and highest share
    to_grid: np.ndarray  # (2, 3), pixels of the photo to pixels of the grid

    MOST = 512  # largest G in pixels
    RADIUS = 0.03  # of the guided filter, in sides of the crop
    BAND = 0.05  # of the zone around borders that the photo's colours decide, in sides of the crop
    EPSILON = 30.0  # squared levels: smaller differences of colour are noise
    CERTAIN = (0.3, 0.8)  # shares taken as 0 and 1

    @classmethod
    def fitted(
        cls, rgb: np.ndarray, alignment: Alignment, size: int, share: np.ndarray, reach: float = WIDE
    ) -> "Matte":
        """The matte of a photo uint8 (H, W, 3) from a map of shares (N, N), such as one of a
        :class:`Silhouette`.

        Args:
            alignment: of crops of S = ``size`` pixels.
            reach: side of the map's window, in sides of the crop.
        """
        side = reach * size / alignment.scale  # of the window, in pixels of the photo
        grid = int(np.clip(round(side), 64, round(cls.MOST * reach / WIDE)))
        placed = window(alignment, size, reach, grid)
        guide = drawn(rgb, placed, grid).astype(np.float32)
        share = cv2.resize(share.astype(np.float32), (grid, grid), interpolation=cv2.INTER_LINEAR).clip(0, 1)
        radius, band = (max(1, round(part * grid / reach)) for part in (cls.RADIUS, cls.BAND))
        coefficients = colour_guided_filter(guide, share, radius, cls.EPSILON)
        low, high = cls.CERTAIN
        coefficients /= high - low
        coefficients[..., 3] -= low / (high - low)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
        lowest, highest = cv2.erode(share, kernel), cv2.dilate(share, kernel)
        bounds = [cv2.blur(np.clip((each - low) / (high - low), 0, 1), (band, band)) for each in (lowest, highest)]
        return cls(coefficients, np.dstack(bounds), placed.matrix)

    def box(self, photo_shape: Sequence[int]) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom of the photo's pixels where the share may be positive; None if nowhere."""
        rows, columns = (np.nonzero((self.bounds[..., 1] > 0).any(axis=axis))[0] for axis in (1, 0))
        if len(rows) == 0:
            return None
        return extent(self.to_grid, (columns[0] - 1, rows[0] - 1, columns[-1] + 1, rows[-1] + 1), photo_shape, 0)

    def of(self, part: np.ndarray, corner: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Shares float32 (h, w) in [0, 1] of a part (h, w, 3) of the photo whose upper left pixel is ``corner``.

        Also returns the least shares (h, w), which are 1 well inside and 0 in the zone around borders.
        """
        linear = warped(self.coefficients, self.to_grid, corner, part.shape)
        lowest, highest = cv2.split(warped(self.bounds, self.to_grid, corner, part.shape))
        share = cv2.transform(cv2.multiply(linear[..., :3], part.astype(np.float32)), np.ones((1, 3)))
        return np.clip(share.reshape(lowest.shape) + linear[..., 3], lowest, highest), lowest


def drawn(rgb: np.ndarray, alignment: Alignment, pixels: int) -> np.ndarray:
    """As :func:`stgan.photo.crop.crop_face`, uint8 (P, P, 3), but faster and a little softer: no network sees it."""
    left, top, right, bottom = extent(alignment.matrix, (-0.5, -0.5, pixels - 0.5, pixels - 0.5), rgb.shape, margin=3)
    part, factor = rgb[top:bottom, left:right], max(1.0, 1 / alignment.scale)
    small = cv2.resize(part, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    across, down = part.shape[1] / small.shape[1], part.shape[0] / small.shape[0]
    to_photo = np.array([[across, 0, left + (across - 1) / 2], [0, down, top + (down - 1) / 2], [0, 0, 1]])
    return cv2.warpAffine(
        small, alignment.matrix @ to_photo, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def warped(image: np.ndarray, matrix: np.ndarray, corner: tuple[int, int], shape: Sequence[int]) -> np.ndarray:
    """What an image shows of a part of the photo: (h, w) or (h, w, C).

    Args:
        matrix: (2, 3), pixels of the photo to pixels of the image.
        corner: (x, y) of the part's upper left pixel in the photo.
        shape: of the part, (h, w, ...).
    """
    to_image = matrix @ np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP  # the matrix maps the result to the source
    return cv2.warpAffine(image, to_image, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def colour_guided_filter(guide: np.ndarray, share: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Coefficients (H, W, 4) such that gain * guide + offset is the share (H, W) with the edges of the guide (H, W, 3).

    Source: He, Sun and Tang, TPAMI 2013 (doi 10.1109/TPAMI.2012.213), equations 14 and 15. Its coefficients may be
    applied to a guide of a higher resolution (arXiv 1505.00996).
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT_101)

    guide_mean, share_mean = mean(guide), mean(share)
    covariance = mean(guide * share[..., None]) - guide_mean * share_mean[..., None]
    (r, g, b), (mr, mg, mb) = cv2.split(guide), cv2.split(guide_mean)
    rr, gg, bb = (mean(x * x) - m * m + epsilon for x, m in ((r, mr), (g, mg), (b, mb)))
    rg, rb, gb = (mean(x * y) - m * n for x, y, m, n in ((r, g, mr, mg), (r, b, mr, mb), (g, b, mg, mb)))
    # The inverse of a symmetric 3 x 3 matrix by its cofactors.
    crr, cgg, cbb = gg * bb - gb * gb, rr * bb - rb * rb, rr * gg - rg * rg
    crg, crb, cgb = rb * gb - rg * bb, rg * gb - rb * gg, rg * rb - rr * gb
    determinant = rr * crr + rg * crg + rb * crb
    x, y, z = cv2.split(covariance)
    gain = np.dstack([crr * x + crg * y + crb * z, crg * x + cgg * y + cgb * z, crb * x + cgb * y + cbb * z])
    gain /= determinant[..., None]
    offset = share_mean - (gain * guide_mean).sum(axis=2)
    return mean(np.dstack([gain, offset]))
