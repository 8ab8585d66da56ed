"""Faces of another age or gender: of what a network draws, what looks like a photo."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from stgan.drawing.morphology import disk, grown
from stgan.drawing.skin import shaded, unstained, without_lipstick
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import slowly, smoothstep

DARK = 16.0  # levels: differences among darker pixels are noise
IN_THE_FACE = ("skin", "brows", "eyes", "eyeglasses", "mouth")
FEATURES = ("brows", "eyes", "eyeglasses", "mouth")
OLDER = 1.3  # times the change that a network draws: it makes people hardly older
MADE_UP = 1 / 25  # of the crop's side, from eyes and brows, within which a woman may have darker lines


def of_another_age(
    before: np.ndarray, after: np.ndarray, changes: Mapping[str, float], seen: Callable[..., np.ndarray]
) -> np.ndarray:
    """An edited crop of another age or gender as it is pasted: float (S, S, 3) in [0, 255].

    Younger skin loses lines and gains no shades. Older skin gets soft lines, and its own become deeper. A woman gets no
    lines but those around her eyes, which are made up alike, a man no lipstick. Chin and jaw stay where they are.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the edit.
        changes: by attribute; 1 adds it, -1 takes it away.
        seen: where the crop shows any of the parser's classes, (S, S) in [0, 1].
    """
    age, male = changes.get("Young", 0.0), changes.get("Male", 0.0)
    skin, older = seen("skin"), age < 0
    if older and not male:
        after = before + OLDER * (after - before)
    if age > 0:
        after = shaded(before, after, skin, seen("eyes", "hair"))
    else:
        after = unstained(before, after, skin, lines=older or (_around(seen("eyes", "brows")) if male < 0 else False))
    if older:
        after = weathered(before, after, skin, seen(*FEATURES))
    if male < 0:
        after = evenly_made_up(before, after, seen("eyes"))
    if male > 0:
        after = without_lipstick(after, seen("mouth"), skin)
    elif male < 0 or older:
        # Networks draw hair over a woman's neck, and lines on an older one.
        parts = (seen("neck"), seen("mouth")) if older else (None, None)
        after = settled(before, after, seen(*IN_THE_FACE), *parts)
    return after


def _around(part: np.ndarray) -> np.ndarray:
    size = len(part)
    return _softly_grown(part, MADE_UP * size, size / 50)


FOLDS = (1 / 160, 1 / 40)  # of the crop's side, between which folds are wide
DEEPER, FOLD = 1.0, 0.1  # times as much again is a fold, and the logarithm of brightness by which it deepens at most
RIDGE = 0.25  # as a share of that, by how much what is beside a fold becomes brighter
STROKES = ((1 / 100, 0.05), (1 / 40, 0.1), (1 / 18, 0.12))


def weathered(before: np.ndarray, after: np.ndarray, skin: np.ndarray, features: np.ndarray) -> np.ndarray:
    """An edited crop whose own folds are deeper, and whose new lines are soft: float (S, S, 3) in [0, 255].

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the edit.
        skin, features: (S, S) in [0, 1]; features, such as eyes, are no folds.
    """
    size = len(before)
    own, drawn = (_logarithm(each).mean(axis=2) for each in (before, after))
    free = 1 - _softly_grown(np.maximum(features, 1 - skin), size / 64, size / 96)
    fine, around = (_average(own, np.maximum(free, 0.01), width * size) for width in FOLDS)
    folds = FOLD * np.tanh(DEEPER * (fine - around) / FOLD)
    change = free * np.where(folds > 0, RIDGE * folds, folds)
    for width, most in STROKES:
        depths = [np.maximum(cv2.GaussianBlur(each, (0, 0), width * size) - each, 0) for each in (own, drawn)]
        deeper = np.maximum(depths[1] - depths[0], 0)
        softer = deeper - most * np.tanh(deeper / most)
        drawn, change = drawn + softer, change + softer
    change *= cv2.GaussianBlur(skin, (0, 0), 1)
    return (after.clip(0) + DARK) * np.exp(change)[..., None] - DARK


AROUND, SOFT = 0.22, 1 / 12  # in eye distances, how far make-up reaches from an eye, and over which it ends
UNEVEN = 0.03  # logarithm of brightness, by which one eye may be made up darker than the other, on the average
MAKE_UP = 0.7  # logarithm of brightness by which make-up is darker than skin at most


def evenly_made_up(before: np.ndarray, after: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """An edited crop with make-up around both eyes as dark as around the paler one: float (S, S, 3) in [0, 255].

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the edit.
        eyes: (S, S) in [0, 1].
    """
    marks, distance = landmarks_in_crop(len(before))
    own = _logarithm(before)
    change = _logarithm(after) - own
    left = (np.arange(len(before)) < marks[:2, 0].mean())[None]
    places = [_softly_grown(eyes * side > 0.5, AROUND * distance, SOFT * distance) for side in (left, ~left)]
    if min(float(place.sum()) for place in places) > 0:
        darker = np.maximum(-change, 0).mean(axis=2) * (1 - eyes)
        amounts = [float((darker * place).sum() / place.sum()) for place in places]
        for place, amount in zip(places, amounts, strict=True):
            kept = min(1.0, (min(amounts) + UNEVEN) / max(amount, 1e-3))
            change *= np.where(change < 0, 1 - (1 - kept) * place[..., None], 1)
    paler = MAKE_UP * np.tanh(np.minimum(change, 0) / MAKE_UP) - np.minimum(change, 0)
    change += np.maximum(*places)[..., None] * paler
    return np.exp(own + change) - DARK


NEAR, NEAR_LIPS = 1 / 36, 1 / 100  # of the crop's side, from the border of a face and from lips
JAW = (0.1, 0.5)  # in eye distances below the eyes, where the border of a face becomes that of its jaw
SLOW = 1 / 16  # of the crop's side, over which a change of tone may vary


def settled(
    before: np.ndarray,
    after: np.ndarray,
    face: np.ndarray,
    neck: np.ndarray | None = None,
    lips: np.ndarray | None = None,
) -> np.ndarray:
    """An edited crop whose chin and jaw stay where they are: float (S, S, 3) in [0, 255].

    Networks draw them in another place, which shows them twice. Along them only the tone changes, as that of the face
    beside them does.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's output for no change and for the edit.
        face: (S, S) in [0, 1], the face with all that is in it.
        neck: likewise, if it may change apart from its border.
        lips: likewise, if they stay too.
    """
    size = len(before)
    inside = (face > 0.5).astype(np.float32)
    own_neck = np.zeros_like(inside) if neck is None else (neck > 0.5).astype(np.float32)
    disc = disk(NEAR * size)
    border = cv2.dilate(own_neck, disc) * cv2.dilate(inside, disc)
    border = np.maximum(border, cv2.dilate(1 - np.maximum(inside, own_neck), disc))
    share = cv2.GaussianBlur(border, (0, 0), NEAR * size / 2)
    marks, distance = landmarks_in_crop(size)
    below = (np.arange(size, dtype=np.float32) - np.float32(marks[:2, 1].mean())) / np.float32(distance)
    share *= smoothstep(below, *JAW)[:, None]
    if lips is not None:
        share = np.maximum(share, _softly_grown(lips, NEAR_LIPS * size, NEAR_LIPS * size / 2))
    own = _logarithm(before)
    change = _logarithm(after) - own
    weight = inside * (1 - share)
    total = np.maximum(slowly(weight, SLOW * size), 0.05)
    slow = slowly(change * weight[..., None], SLOW * size) / total[..., None]
    return np.exp(own + change + share[..., None] * (slow - change)) - DARK


def _average(level: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    total: np.ndarray = cv2.GaussianBlur(weight, (0, 0), sigma)
    return cv2.GaussianBlur(level * weight, (0, 0), sigma) / total


def _logarithm(image: np.ndarray) -> np.ndarray:
    return np.log(image.clip(0) + DARK).astype(np.float32)


def _softly_grown(part: np.ndarray, reach: float, soft: float) -> np.ndarray:
    """A part (S, S) in [0, 1] and what is near it, in pixels."""
    result: np.ndarray = cv2.GaussianBlur(grown(part, reach), (0, 0), soft)
    return result
