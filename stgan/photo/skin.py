"""Skin in another tone: light and colour change slowly over the face, and its shape and pores stay."""

import cv2
import numpy as np

DARK = 16.0  # levels: differences among darker pixels are noise
SMOOTH = 1 / 16  # of the crop's side, over which the tone may vary
MOST = 0.35  # logarithm of brightness by which a tone changes at most; networks turn dark skin into chalk
COLOUR = 0.6  # of the change of colour: pale skin is not grey
SHOULDER = 200.0  # level from which highlights are compressed
CHANGED = 6.0  # levels of change above which a pixel takes the new tone in full


def toned(before: np.ndarray, after: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """A crop whose skin has the tone, but not the drawing, of an edited one: float (S, S, 3) in [0, 255].

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the new tone.
        skin: (S, S) in [0, 1].
    """
    strength = np.abs(after - before).max(axis=2)
    weight = (skin * np.clip(2 * strength / CHANGED - 1, 0, 1)).astype(np.float32)
    if weight.max() < 0.1:
        return after
    change = np.log((after.clip(0) + DARK) / (before.clip(0) + DARK)).astype(np.float32)
    sigma = SMOOTH * len(before)
    slow = cv2.GaussianBlur(change * weight[..., None], (0, 0), sigma)
    slow /= np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)[..., None]
    bright = slow.mean(axis=2, keepdims=True)
    usual = abs(float((bright[..., 0] * weight).sum() / weight.sum()))
    slow = min(1.0, MOST / max(usual, 1e-3)) * (bright + COLOUR * (slow - bright))
    result = (before + DARK) * np.exp(slow) - DARK
    above = np.maximum(result - SHOULDER, 0)
    result += (255 - SHOULDER) * np.tanh(above / (255 - SHOULDER)) - above  # highlights keep their shape
    return before + np.clip(strength / CHANGED, 0, 1)[..., None] * (result - before)
