"""How much of the hair in a photo is white: a beard is as grey as the hair."""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.geometry import smoothstep

SURE, FEWEST_PIXELS = 0.9, 60  # share of hair of the pixels that tell how it looks, and how many of them do
DARK = 16.0  # levels: the saturation of darker pixels is noise
BRIGHT, NEUTRAL = 0.7, (0.5, 0.02)  # least brightness of white hair, and most saturation, beside that of the skin
FEW, ALL = 0.25, 0.8  # share of white hair in the photo's, below which it may be highlights, and in a white beard
HIDDEN, LIGHTER = 0.5, (0.9, 1.3)  # share that stays dark on skin as light as white hair, and brightness beside skin
GLOW = 0.25  # share in the hue of white hair of light that the skin below it reflects
WHITEST = 1.9  # brightness of white hair in the shade of a face, beside that of the skin, at most
STRANDS = 75  # percentile of the brightness of hair from which strands are white


@dataclass(frozen=True)
class White:
    """White hairs among others."""

    share: float
    colour: np.ndarray  # (3,), levels in the networks' light

    @classmethod
    def of(cls, crop: np.ndarray, hair: np.ndarray, skin: np.ndarray) -> "White":
        """Of the hair in a crop (S, S, 3); ``hair``, ``skin``: (S, S) in [0, 1]."""
        own = crop[cv2.erode(hair, np.ones((3, 3))) > SURE].astype(np.float32)
        face = crop[skin > SURE].astype(np.float32)
        if min(len(own), len(face)) < FEWEST_PIXELS:
            return cls(0.0, np.full(3, 255.0))
        tone, levels = np.median(face, axis=0), own.mean(axis=1)
        most = NEUTRAL[0] * np.median(_saturation(face)) + NEUTRAL[1]
        share = float(((levels > BRIGHT * tone.mean()) & (_saturation(own) < most)).mean())
        colour = own[levels >= np.percentile(levels, STRANDS)].mean(axis=0)
        share *= ALL * (share > FEW) * (1 - HIDDEN * (1 - float(smoothstep(colour.mean() / tone.mean(), *LIGHTER))))
        hue = (1 - GLOW) * colour / colour.mean() + GLOW * tone / tone.mean()
        colour = hue * min(colour.mean(), WHITEST * tone.mean())
        return cls(share, colour)


def _saturation(pixels: np.ndarray) -> np.ndarray:
    """(N,) in [0, 1], of pixels (N, 3)."""
    return np.ptp(pixels, axis=1) / (pixels.max(axis=1) + DARK)
