"""The light of a photo: networks see a crop in the light of their training images, and edits return to the photo's."""

from dataclasses import dataclass

import cv2
import numpy as np

WHITE = 99.0  # percentile of a channel over the crop that stands for white
DIM = (130.0, 165.0)  # levels of white: below the first the crop is brightened fully, above the second not at all
BRIGHT = 220.0  # levels, white of a brightened crop
MOST_GAIN = 12.0
TINTS = np.array([(-0.1, 0.36), (-0.3, 0.2)])
"""Usual logarithms of white's red and blue to its green: 98 % of CelebA's validation crops lie within."""


@dataclass(frozen=True)
class Light:
    """Gains (red, green, blue) from the photo's levels to those that the networks know. Ones for usual light."""

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def of(cls, crop: np.ndarray) -> "Light":
        """The light of a crop uint8 (S, S, 3): dim, tinted, or as usual.

        Brightness follows from the brightest pixels, not from the mean: dark skin in good light is no dim photo.
        """
        white = np.percentile(crop.reshape(-1, 3), WHITE, axis=0) + 1
        tint = np.log(white / white[1])[[0, 2]]
        # Twice what exceeds the usual range, but not beyond its middle: a tint is the larger the farther out it shows.
        excess = tint - tint.clip(*TINTS.T)
        taken = np.sign(excess) * np.minimum(2 * np.abs(excess), np.abs(tint - TINTS.mean(axis=1)))
        gains = np.exp([-taken[0], 0.0, -taken[1]])
        gains *= white.max() / (white * gains).max()  # what is white stays as bright
        dimness = np.clip((DIM[1] - white.max()) / (DIM[1] - DIM[0]), 0, 1)
        gains *= min(max(BRIGHT / white.max(), 1.0), MOST_GAIN) ** dimness
        return cls(tuple(gains.tolist()))

    @property
    def is_usual(self) -> bool:
        return self.gains == (1.0, 1.0, 1.0)

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """Float (..., 3) in the light that the networks know, of levels (..., 3) of the photo. It may exceed 255."""
        image = image.astype(np.float32)
        return image if self.is_usual else image * np.array(self.gains, np.float32)

    def restored(self, change: np.ndarray) -> np.ndarray:
        """A change (..., 3) of levels in the networks' light, as levels of the photo."""
        return change if self.is_usual else change / np.array(self.gains, np.float32)

    def crop(self, crop: np.ndarray) -> np.ndarray:
        """A crop uint8 (S, S, 3) in the light that the networks know, uint8."""
        return crop if self.is_usual else np.clip(np.round(self.normalised(crop)), 0, 255).astype(np.uint8)


USUAL_LIGHT = Light()


def luminance(image: np.ndarray) -> np.ndarray:
    """Float32 (H, W), the levels of an image (H, W, 3) as a grey one."""
    return cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2GRAY)
