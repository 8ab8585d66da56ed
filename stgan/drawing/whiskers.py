"""What a network's beard lacks beside the photo's own hair: contrast in its finest detail, and single hairs.

A network that learned from soft images draws soft hair, and at a few pixels of the photo per pixel of its own.
"""

from dataclasses import replace

import cv2
import numpy as np

from stgan.drawing.combing import FINE, fine_detail
from stgan.drawing.strokes import DARK, Growth, bands, crispness, energies, hair_map, own_detail
from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import as_3x3, extent
from stgan.photo.light import USUAL_LIGHT, Light, luminance
from stgan.photo.matte import Matte, Silhouette, in_the_crop, warped

SURE, FEWEST_PIXELS = 0.9, 60  # share of hair of the pixels that tell how it looks, and how many of them do
BEARD = 0.6  # likewise, of a beard
CRISPER = 1.3  # most gain of the two finest bands of detail: more would show the network's pattern
SPARSE, SHORT = 0.5, 0.8  # density of the single hairs, and their length as a share of the usual
GAPS = 0.7  # skin between hairs gets lighter by that share of what hairs get darker


def crisper(before: np.ndarray, after: np.ndarray, beard: np.ndarray, crop: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """The crop ``after`` an edit, with fine detail in its beard that has nearly the contrast of the photo's own hair.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's crop without and with the beard.
        crop: (S, S, 3), the photo's own.
        beard, hair: (S, S) in [0, 1], in ``after`` and in ``crop``.
    """
    own, new = cv2.erode(hair, np.ones((5, 5))) > SURE, beard > BEARD
    if min(np.count_nonzero(own), np.count_nonzero(new)) < FEWEST_PIXELS:
        return after
    wanted, shown = (energies(bands(_log(image)), where)[:2] for image, where in ((crop, own), (after, new)))
    gains = (wanted / shown).clip(1, CRISPER)
    missing = sum((gain - 1) * band for gain, band in zip(gains, bands(luminance(after - before)), strict=False))
    return after + (beard * missing)[..., None].astype(np.float32)


def softness(after: np.ndarray, beard: np.ndarray, crop: np.ndarray, hair: np.ndarray) -> float:
    """How many times sharper the photo's own hair is than a drawn beard, both as in :func:`crisper`; 1 if unknown."""
    own, new = cv2.erode(hair, np.ones((3, 3))) > SURE, beard > BEARD
    if min(np.count_nonzero(own), np.count_nonzero(new)) < FEWEST_PIXELS:
        return 1.0
    return float(energies(bands(luminance(crop)), own)[0] / energies(bands(luminance(after)), new)[0])


def single_hairs(
    rgb: np.ndarray,
    alignment: Alignment,
    growth: Growth,
    beard: np.ndarray,
    silhouette: Silhouette,
    before: np.ndarray,
    *,
    light: Light = USUAL_LIGHT,
) -> np.ndarray:
    """A photo uint8 (H, W, 3) with a beard in which hairs are nearly as sharp as in the photo ``before``. They are no
    lighter than its skin, unless the beard is.

    Args:
        growth: of the beard, as read from its crop.
        beard: float (S, S) in [0, 1], where it is drawn.
    """
    detail, (_, distance) = 1 / alignment.scale, landmarks_in_crop(len(beard))
    rows, columns = (np.nonzero((beard > 0.02).any(axis=axis))[0] for axis in (1, 0))
    own = own_detail(before, alignment, len(beard), silhouette, light)
    if own is None or len(rows) == 0:
        return rgb
    sparse = replace(growth, density=SPARSE * (beard > 0.05).astype(np.float32), length=SHORT * growth.length)
    reach = sparse.length + 1
    box = (columns[0] - reach, rows[0] - reach, columns[-1] + reach, rows[-1] + reach)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=1)
    result, corner = rgb.copy(), (left, top)
    part = result[top:bottom, left:right]
    hairs, to_grid = hair_map(sparse.density, sparse, box, detail, distance)
    hairs = fine_detail(warped(hairs, to_grid @ as_3x3(alignment.matrix), corner, part.shape), FINE * detail)
    where = warped(beard.astype(np.float32), alignment.matrix, corner, part.shape)
    lit = light.normalised(part)
    strength = crispness(lit.mean(axis=2), -hairs, where > BEARD, own.laplacian)
    person = Matte.fitted(rgb, alignment, len(beard), in_the_crop(silhouette.person), 1).of(part, corner)[0]
    darker = strength * where * person * np.where(hairs < 0, GAPS, 1) * hairs
    change = light.restored(((lit + DARK) * np.expm1(-darker)[..., None]).astype(np.float32))
    crisp = cv2.add(part, change, dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    part[...] = np.minimum(crisp, np.maximum(part, before[top:bottom, left:right]))
    return result


def _log(image: np.ndarray) -> np.ndarray:
    return np.log(luminance(image).clip(0) + DARK)
