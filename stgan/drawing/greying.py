"""Hair that goes grey with age: strand by strand, at the temples first."""

import cv2
import numpy as np

from stgan.drawing.skull import eye_frame, places
from stgan.photo.align import Alignment
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.light import USUAL_LIGHT, Light, luminance
from stgan.photo.matte import WIDE, Matte, Silhouette, drawn, warped, window

STRIP_PIXELS = 1 << 17  # pixels changed at a time: floats of a strip stay in the processor's cache
GRID = 256  # pixels across the window at which slow variation is kept
TOE = 8.0  # levels: what is darker than this differs by noise alone
GREY = 0.68  # brightness of grey hair over that of the skin, median of 50 of CelebA-HQ's images
WARM = np.array([1.12, 1.0, 0.91])  # likewise, its colour over its green
WARM /= WARM @ (0.299, 0.587, 0.114)
CROWN, TEMPLES = 0.45, 0.9  # share of the strands that are grey, at most
# Lengths are in eye distances.
TEMPLE = ((0.95, 0.4), (0.35, 0.6))  # where it is and how far it reaches: from the middle of the face, over the eyes
LOCK = 0.06  # over which the brightness of strands is compared
COARSE = (58.0, 116.0)  # pixels of the photo between the eyes: no strands are seen, and all are
STAYS, TURNS = -0.6, 0.7  # logarithm of a strand's brightness to its lock's: it keeps its colour, and it is grey
SHADE = 0.6  # exponent of the brightness of a lock: grey hair in the shade is dark too
STRANDS = 0.6  # likewise, of a strand
LIFT = 0.85  # share of the way from a lock's brightness to that of grey hair


def grey_hair(
    rgb: np.ndarray,
    alignment: Alignment,
    size: int,
    silhouette: Silhouette,
    skin: np.ndarray,
    share: float,
    *,
    light: Light = USUAL_LIGHT,
) -> np.ndarray:
    """The photo with hair that goes grey: uint8 (H, W, 3). Hair that is brighter than grey only loses its colour.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of crops of S = ``size`` pixels.
        silhouette: where the hair is.
        skin: float (W, W) in [0, 1], in the same window.
        share: of the greying; 1 is that of an edit of intensity 1.
    """
    result, matte = rgb.copy(), Matte.fitted(rgb, alignment, size, silhouette.hair)
    placed, box = window(alignment, size, WIDE, GRID), matte.box(rgb.shape)
    locks = _locks(light.normalised(drawn(rgb, placed, GRID)), silhouette.hair, skin)
    if box is None or locks is None:
        return result
    maps = np.dstack([*locks, share * _most()]).astype(np.float32)
    between = landmarks_in_crop(size)[1] / alignment.scale  # the eyes, pixels of the photo
    fine = float(np.clip((between - COARSE[0]) / (COARSE[1] - COARSE[0]), 0, 1))
    left, top, right, bottom = box
    height = max(1, STRIP_PIXELS // (right - left))
    for row in range(top, bottom, height):
        strip, corner = result[row : min(row + height, bottom), left:right], (left, row)
        lock, grey, most = cv2.split(warped(maps, placed.matrix, corner, strip.shape))
        part = light.normalised(strip)
        cover, inside = matte.of(strip, corner)
        strand = np.log((luminance(part) + TOE) / (lock + TOE))
        strand = np.minimum(strand, strand * inside)  # at the border skin that shines through is no bright strand
        chosen = np.clip((strand - STAYS) / (TURNS - STAYS), 0, 1)
        turned = np.clip(2 * fine * most * chosen, 0, 1)
        level = grey * np.exp(STRANDS * strand.clip(-1, 1))
        skin = (1 - inside) * np.clip(luminance(part) / level - 1, 0, 1)
        change = (turned * cover * (1 - skin))[..., None] * (level[..., None] * WARM - part)
        # It rounds, so zero change stays zero.
        strip[...] = cv2.add(strip, light.restored(change.astype(np.float32)), dtype=cv2.CV_8U)
    return result


def _locks(photo: np.ndarray, hair: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """How bright each lock is, and how bright if it were grey, (GRID, GRID) each. None without hair or skin."""
    hair, skin = (cv2.resize(each.astype(np.float32), (GRID, GRID)) for each in (hair, skin))
    bright = luminance(photo)
    if not (hair > 0.8).any() or not (skin > 0.8).any():
        return None
    weight, sigma = np.clip(2 * hair - 1, 0, 1) + 1e-3, LOCK * eye_frame(GRID)[1]
    lock = cv2.GaussianBlur(bright * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)
    usual = float(np.median(bright[hair > 0.8]))
    grey = max(usual, GREY * float(np.median(bright[skin > 0.8]))) * ((lock + TOE) / (usual + TOE)) ** SHADE
    return lock, np.maximum(lock, lock + LIFT * (grey - lock))


def _most() -> np.ndarray:
    """Share of the strands that turn grey at each place, (GRID, GRID)."""
    x, y = places(GRID)
    (aside, wide), (up, tall) = TEMPLE
    return CROWN + (TEMPLES - CROWN) * np.exp(-(((np.abs(x) - aside) / wide) ** 2) - ((y - up) / tall) ** 2)
