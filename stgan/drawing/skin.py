"""Skin in another tone or of another age: what a network draws, kept to what skin does."""

import cv2
import numpy as np

from stgan.drawing.morphology import grown
from stgan.photo.geometry import slowly, smoothstep

DARK = 16.0  # levels: differences among darker pixels are noise
SMOOTH = 1 / 16  # of the crop's side, over which the tone may vary
MOST = 0.3  # logarithm of brightness by which a tone changes at most; networks turn dark skin into chalk
UNEVEN = 0.08  # logarithm by which it differs from place to place at most: networks lighten half of a forehead
COLOUR = 0.6  # of the change of colour: pale skin is not grey
SHINE = (0.06, 0.27)  # logarithm of brightness beyond that of skin, from which and over which the tone fades
PORE = 1 / 100  # of the crop's side: finer detail takes the tone of what is around it
SHOULDER = 200.0  # level from which highlights are compressed
CHANGED = 6.0  # levels of change above which a pixel takes the new tone in full


def toned(before: np.ndarray, after: np.ndarray, skin: np.ndarray, share: np.ndarray) -> np.ndarray:
    """A crop whose skin has the tone, but not the drawing, of an edited one: float (S, S, 3) in [0, 255].

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the new tone.
        skin: (S, S) in [0, 1].
        share: (S, S) in [0, 1], how much of the tone each pixel takes, also where the network changes none.
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
    mean = (slow * weight[..., None]).sum(axis=(0, 1)) / weight.sum()
    slow = mean + UNEVEN * np.tanh((slow - mean) / UNEVEN)
    bright = slow.mean(axis=2, keepdims=True)
    slow = min(1.0, MOST / max(usual, 1e-3)) * (bright + COLOUR * (slow - bright))
    own = cv2.GaussianBlur(np.log(before.clip(0) + DARK).mean(axis=2), (0, 0), PORE * len(before))
    shine = np.maximum(own - np.median(own[weight > 0.5 * weight.max()]) - SHINE[0], 0)
    result = (before + DARK) * np.exp(slow * np.exp(-shine / SHINE[1])[..., None]) - DARK
    above = np.maximum(result - SHOULDER, 0)
    result += (255 - SHOULDER) * np.tanh(above / (255 - SHOULDER)) - above  # highlights keep their shape
    return before + share[..., None] * (result - before)


SAME_HUE = 0.8  # share of the way from a drawn forehead's hue to that of the face
AS_BRIGHT = (0.5, 0.65)  # brightness as a share of the skin's, between which hair becomes skin


def in_the_hue(after: np.ndarray, before: np.ndarray, new: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """An edited crop whose new skin has the hue of the skin that was there before: float (S, S, 3) in [0, 255].

    A network gives the forehead under fair bangs their hue. What is darker than the skin is the hairline.

    Args:
        after, before: float (S, S, 3) in [0, 255], with and without the edit.
        new, skin: (S, S) in [0, 1], where skin appears, and where it was.
    """
    sure = skin > 0.8
    if not sure.any():
        return after
    hue = np.median(before[sure] / np.maximum(before[sure].mean(axis=1, keepdims=True), 1), axis=0)
    bright = after.mean(axis=2, keepdims=True)
    new = new.clip(0, 1)[..., None] * smoothstep(bright / max(float(np.median(before[sure])), 1), *AS_BRIGHT)
    return after + SAME_HUE * new * (bright * hue - after)


LIKELY = (-0.27, 0.45)  # logarithm of brightness by which skin becomes darker and brighter at most: it loses lines
TINT = 1 / 6  # of the crop's side, over which the tint may vary
STAIN = 0.02  # logarithm, by which the colour of a spot may differ from the skin around it, beside what it did before
SPOT, SHINING = 0.05, 0.08  # logarithm, by which a spot and a highlight may stand out more than before
MARK = 0.06  # likewise, by which a dark spot may, where skin gets no lines
BROW = (-0.35, -0.1)  # logarithm of brightness to that of what is around it, of a brow and of skin
SPOTS, SHINE_SIZE = 1 / 40, 1 / 12  # of the crop's side, the size of such spots, and of highlights
LIPS, PAINTED = 9.0, 0.08  # a*b* by which bare lips differ from skin, and the share of a larger difference that stays
LINER = 0.7  # share of darker rims of eyes and hair that is left out


def shaded(before: np.ndarray, after: np.ndarray, skin: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """A crop whose skin is as young, but not as stained, as that of an edited one: float (S, S, 3) in [0, 255].

    It loses lines and shadows. Its tint varies slowly, no highlight is drawn where none was, and no dark rims around
    eyes or along hair.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the edit.
        skin, edges: (S, S) in [0, 1]; edges: eyes and hair, around which little becomes darker.
    """
    size = len(before)
    (own, own_colour), (drawn, drawn_colour) = _taken_apart(before), _taken_apart(after)
    low, high = LIKELY
    bright = drawn - own
    bright = np.where(bright < 0, low * np.tanh(bright / low), high * np.tanh(bright / high))
    near = cv2.GaussianBlur(grown(edges, size / 24), (0, 0), size / 48)
    bright = own + np.where(bright < 0, bright * (1 - LINER * near), bright)
    bright = _without_spots(own, bright, skin, SHINE_SIZE, SHINING)
    result = np.exp(bright[..., None] + _tint(own_colour, drawn_colour, skin)) - DARK
    return _on(skin, after, result)


def unstained(
    before: np.ndarray, after: np.ndarray, skin: np.ndarray, *, lines: bool | np.ndarray = True
) -> np.ndarray:
    """An edited crop whose skin has no coloured and no bright spots: float (S, S, 3) in [0, 255].

    What is dark may become skin, and with ``lines`` they may become deeper. Nothing stands out from the skin around it
    brighter than before.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the edit.
        skin: (S, S) in [0, 1].
        lines: also as (S, S) in [0, 1], where they may.
    """
    (own, own_colour), (drawn, drawn_colour) = _taken_apart(before), _taken_apart(after)
    bright = _without_spots(own, drawn, skin, SPOTS, SPOT)
    if lines is not True:
        even = -_without_spots(-own, -bright, skin, SPOTS, MARK)
        bright = even + lines * (bright - even)
    result = np.exp(bright[..., None] + _tint(own_colour, drawn_colour, skin)) - DARK
    return _on(skin, after, result)


def _without_spots(own: np.ndarray, drawn: np.ndarray, skin: np.ndarray, size: float, most: float) -> np.ndarray:
    """The brightness (S, S) drawn for skin, without spots of a size that stand out more than before by ``most``."""
    weight = np.maximum(skin, 0.05).astype(np.float32)
    sigma = size * len(own)

    def around(level: np.ndarray, weight: np.ndarray) -> np.ndarray:
        total: np.ndarray = cv2.GaussianBlur(weight, (0, 0), sigma)
        return cv2.GaussianBlur(level * weight, (0, 0), sigma) / total

    own_around, drawn_around = around(own, weight), around(drawn, weight)
    # What is drawn as dark as a brow is no shade of the skin beside it.
    drawn_around = around(drawn, weight * (0.02 + smoothstep(drawn - drawn_around, *BROW)))
    return np.minimum(drawn, drawn_around + np.maximum(own - own_around, 0) + most)


def without_lipstick(image: np.ndarray, mouth: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """A crop whose lips differ in colour from the skin as far as lips without lipstick do: float (S, S, 3) in [0, 255].

    Args:
        image: float (S, S, 3) in [0, 255].
        mouth, skin: (S, S) in [0, 1].
    """
    sure = skin > 0.8
    if not sure.any():
        return image
    lab = cv2.cvtColor(image.clip(0, 255).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    apart = lab[..., 1:] - np.median(lab[sure][:, 1:], axis=0)
    size = np.linalg.norm(apart, axis=2, keepdims=True)
    kept = np.minimum(size, LIPS + PAINTED * np.maximum(size - LIPS, 0))
    bare = np.dstack([lab[..., :1], lab[..., 1:] + apart * (kept / np.maximum(size, 1e-3) - 1)]).astype(np.float32)
    return _on(mouth, image, 255 * cv2.cvtColor(bare, cv2.COLOR_LAB2RGB))


def _tint(before: np.ndarray, after: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """The colours (S, S, 3) after an edit, as logarithms, without spots that differ more from the skin around them than
    before. Highlights are less coloured than the skin around them, lips are more."""
    sigma, skin = TINT * len(before), skin.astype(np.float32)
    weight = np.maximum(slowly(skin, sigma), 0.05)[..., None]
    around = [slowly(each * skin[..., None], sigma) / weight for each in (before, after)]
    own = np.abs(before - around[0]) + STAIN
    return around[1] + np.clip(after - around[1], -own, own)


def _on(skin: np.ndarray, image: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """An image with another one on its skin."""
    return image + cv2.GaussianBlur(skin, (0, 0), 1)[..., None] * (changed - image)


def _taken_apart(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness (S, S) and colour (S, S, 3), whose sum is the logarithm of an image."""
    logarithm = np.log(image.clip(0) + DARK).astype(np.float32)
    brightness = logarithm.mean(axis=2)
    return brightness, logarithm - brightness[..., None]
