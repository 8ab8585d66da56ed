"""Where a mustache and a full beard grow is known; other beards grow where a network darkens the skin."""

from dataclasses import replace

import cv2
import numpy as np

from stgan.drawing.strokes import Growth, smooth_noise
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import smoothstep
from stgan.photo.light import luminance

BARE, MOST = 0.1, 0.8  # density below which skin stays bare, and of the densest beard
SHOWN = 0.4  # certainty that a pixel shows the mouth
BORDER = 0.1  # of the crop's side, over which hair gets sparse towards its border
# Lengths are in eye distances.
SMOOTH = 0.045  # over which the density varies: wrinkles and lips that a network redraws are no hair
NEAR, CHANGED = 0.03, (6.0, 18.0)  # levels of change, within that length, that are no beard, and that surely are one
LENGTH = 0.09  # of a hair
SPREAD = 0.45  # radians
NOSE = (0.14, 0.2)  # below the nose's tip: no hair grows above the first, and all below the second
WING = (0.22, 0.32)  # half the width of the nose, likewise
UPPER = 0.12  # above the corners of the mouth, from where on hair grows as a mustache does
MUSTACHE = (0.48, 0.21)  # half its least width, and its height in the middle
BEYOND, DROOP = 0.14, 0.6  # how far it reaches beyond the corners of the mouth, and how steeply it falls there
FULLEST = 0.7  # density of a mustache ...
UPWARDS = 0.5  # ... up to this share of its height; it gets sparse above ...
THINNING = 0.2  # ... and over this length towards its ends
GROOVE = (0.35, 0.05)  # share of its hair that it lacks in the middle, and half the width of that
OVERHANG = 0.02  # how far it hangs over the upper lip
THROWN = (0.3, 0.04)  # darkness of its shadow on the lip, as a share of its own, and how far down that falls
SHADE = (0.9, 0.06)  # share of their density by which hairs too fine to be seen darken skin, and how soft that is
TUFT = (0.24, 0.03)  # how much the density of hair varies, and over which length
EDGE = 0.03  # over which its borders are soft
# Where a beard begins on the cheek: from the middle of the face, and below the corners of the mouth. It is sparse below
# the lip and climbs towards the ears.
CHEEK = ((0, 0.34), (0.12, 0.3), (0.26, 0.26), (0.4, 0.04), (0.5, 0.0), (0.68, -0.04), (0.85, -0.28), (1.1, -0.8))
CHEEK_EDGE, CHEEK_SOFT = 0.3, 0.06  # below that, over which it gets dense, and how soft its border is
RAGGED = (0.05, 0.12)  # how far its border strays, and over which length
FULL, CHEEKS = 0.78, 0.34  # density of a full beard where it is densest and where it is sparse
CHIN = (0.36, 0.25, 0.5)  # half the width of its densest part, and below the mouth, where that begins and is densest
JAW = (0.4, 0.1)  # from the edge of the face inwards, where the dense hair along the jaw begins and is densest
SIDEBURN = (-0.2, 0.25)  # below the mouth: it is sparse above the first, and as dense as the jaw below the second
PATCH = 0.1  # half the width of the dense hair below the middle of the lip ...
THIN = (0.45, 0.3, 0.3, 0.12)  # ... and how much less grows beside it, how far out and down that is, and how wide
STRIP = (0.08, 0.09, 0.12)  # hair that joins it to the mustache: beyond the corners, its width, and how far it goes up
SHARES = (0.8, 0.75)  # density of jaw and strip, as a share of the chin's
THROAT = 0.06  # how far it goes on below the jaw


def read_beard(
    before: np.ndarray, after: np.ndarray, colour: np.ndarray, skin: np.ndarray, mouth: np.ndarray
) -> Growth | None:
    """The hair of a drawn beard or mustache; None if there is none.

    Args:
        before, after: float (S, S, 3) in [0, 255], the network's crop without and with the beard.
        colour: (3,), levels of the hair.
        skin, mouth: (S, S) in [0, 1], what the crop shows. No hair grows on lips.
    """
    size = len(before)
    points, distance = landmarks_in_crop(size)
    place = _beside_the_lips(skin, mouth)
    cover = _cover(before, after, colour)
    sigma, weight = SMOOTH * distance, place + 1e-3
    cover = cv2.GaussianBlur(cover * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)
    density = ((cover - BARE) / (1 - 2 * BARE)).clip(0, MOST) * place * (1 - _nose(size)) * _inside(size)
    if density.max() < BARE:
        return None
    return Growth(density.astype(np.float32), _direction(points, distance, size), LENGTH * distance, SPREAD)


def drawn_beard(before: np.ndarray, after: np.ndarray, skin: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """Float32 (S, S) in [0, 1]: where a network drew a beard, of dark or of light hair. As :func:`read_beard`."""
    size = len(before)
    change = cv2.GaussianBlur(np.abs(luminance(after - before)), (0, 0), NEAR * landmarks_in_crop(size)[1])
    place = _beside_the_lips(skin, mouth) * (1 - _nose(size)) * _inside(size)
    return (smoothstep(change, *CHANGED) * place).astype(np.float32)


def _cover(before: np.ndarray, after: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(S, S) in [0, 1], the share of hair of this colour that darkens each pixel as much as a network did."""
    light, dark = luminance(before), luminance(after)
    return np.clip((light - dark) / np.maximum(light - colour.mean(), 20), 0, 1)


def _beside_the_lips(skin: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    lips = cv2.dilate((mouth > 0.3).astype(np.float32), np.ones((3, 3)))
    return skin.clip(0, 1).astype(np.float32) * (1 - cv2.GaussianBlur(lips, (0, 0), len(mouth) / 180))


def _nose(size: int) -> np.ndarray:
    """Float (S, S) in [0, 1]: the nose and the face above its tip."""
    points, distance = landmarks_in_crop(size)
    rows, columns = np.ogrid[:size, :size]
    across, below_nose = np.abs(columns - points[2, 0]) / distance, (rows - points[2, 1]) / distance
    return _ramp(across, *WING[::-1]) * _ramp(below_nose, *NOSE[::-1])


def _inside(size: int) -> np.ndarray:
    """Float (S, S) in [0, 1]: 0 at the crop's border, where hair would end too early, and 1 further inside."""
    rows, columns = np.mgrid[:size, :size]
    return (np.minimum.reduce([rows, columns, size - 1 - rows, size - 1 - columns]) / (BORDER * size)).clip(0, 1)


def full_beard(skin: np.ndarray, neck: np.ndarray, mouth: np.ndarray) -> Growth | None:
    """The hair of a short full beard with its mustache; None where no mouth shows.

    Args:
        skin, neck, mouth: (S, S) in [0, 1], what the crop shows. The beard ends with the jaw.
    """
    upper = mustache(skin, mouth)
    if upper is None:
        return None
    size, skin = len(mouth), skin.clip(0, 1).astype(np.float32)
    distance = landmarks_in_crop(size)[1]
    throat = 2 * cv2.GaussianBlur(skin, (0, 0), THROAT * distance)
    place = np.maximum(skin, neck.clip(0, 1) * throat.clip(0, 1)) * _beside_the_lips(np.ones_like(skin), mouth)
    face = (skin + mouth > 0.5).astype(np.uint8)
    density = place * (1 - _nose(size)) * _inside(size) * _thickness(mouth, cv2.distanceTransform(face, cv2.DIST_L2, 5))
    shade = SHADE[0] * cv2.GaussianBlur(density.astype(np.float32), (0, 0), SHADE[1] * distance)
    density = np.maximum(density * _tufts(size, distance), upper.density).clip(0, MOST)
    assert upper.shade is not None
    return replace(upper, density=density.astype(np.float32), shade=np.maximum(shade, upper.shade))


def _thickness(mouth: np.ndarray, inwards: np.ndarray) -> np.ndarray:
    """(S, S), how dense a full beard is: most on the chin and along the jaw, and least on the cheeks, which it leaves
    with a ragged border, and below the corners of the mouth.

    Args:
        mouth: (S, S) in [0, 1], what the crop shows.
        inwards: (S, S), pixels to the edge of the face.
    """
    size = len(mouth)
    distance = landmarks_in_crop(size)[1]
    across, below, corner = _from_the_mouth(mouth)
    ragged = RAGGED[0] * smooth_noise((size, size), RAGGED[1] * distance, np.random.default_rng(1))
    border = _ramp(below - np.interp(across, *np.transpose(CHEEK)) + ragged, 0, CHEEK_EDGE).astype(np.float32)
    cheek = cv2.GaussianBlur(border, (0, 0), CHEEK_SOFT * distance)
    strip = _bell(across - corner - STRIP[0], STRIP[1]) * _ramp(below, -STRIP[2], 0)
    chin = np.exp(-((across / CHIN[0]) ** 4)) * _ramp(below, *CHIN[1:])
    jaw = _ramp(inwards / distance, *JAW) * _ramp(below, *SIDEBURN)
    dense = np.maximum.reduce([chin, SHARES[0] * jaw, SHARES[1] * strip, _bell(across, PATCH)])
    thin = THIN[0] * _bell(across - THIN[1], THIN[3]) * _bell(below - THIN[2], THIN[3])
    return np.maximum(cheek, strip) * (CHEEKS + (FULL - CHEEKS) * dense) * (1 - thin)


def _from_the_mouth(mouth: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """How far pixels are from the middle of mouth and nose, and below the corners of the mouth, both (S, S), and half
    the width of the mouth. All are in eye distances."""
    points, distance = landmarks_in_crop(len(mouth))
    rows, columns = np.mgrid[: len(mouth), : len(mouth)]
    used = np.nonzero((mouth > SHOWN).any(axis=0))[0]
    middle = (used[0] + used[-1] + 2 * points[2, 0]) / 4
    corner = float(used[-1] - used[0]) / 2 / distance
    return np.abs(columns - middle) / distance, (rows - points[3:, 1].mean()) / distance, corner


def mustache(skin: np.ndarray, mouth: np.ndarray) -> Growth | None:
    """The hair of a mustache, and its shadow on the lip; None where no mouth shows.

    It follows the upper lip that the crop shows. Networks that have hardly seen mustaches but on men draw none on
    other faces, and destroy the mouth.

    Args:
        skin, mouth: (S, S) in [0, 1], what the crop shows.
    """
    size = len(mouth)
    points, distance = landmarks_in_crop(size)
    if np.count_nonzero((mouth > SHOWN).any(axis=0)) < 0.2 * distance:
        return None
    across, _, corner = _from_the_mouth(mouth)
    width = max(MUSTACHE[0], corner + BEYOND)
    above = _above_the_lip(mouth) + DROOP * (across - corner).clip(0)
    tall = MUSTACHE[1] * np.sqrt(np.clip(1 - (across / width) ** 3, 1e-4, 1))
    cover = _ramp(above, -EDGE, EDGE) * _ramp(above / tall, 1, UPWARDS) * _ramp(across, width, width - THINNING)
    lips = cv2.GaussianBlur(mouth.clip(0, 1).astype(np.float32), (0, 0), size / 180)
    free = _lower((skin + mouth).clip(0, 1) * (1 - lips), OVERHANG * distance)
    density = cover * (1 - _nose(size)) * (1 - GROOVE[0] * _bell(across, GROOVE[1])) * free
    density = (FULLEST * density * _tufts(size, distance)).clip(0, MOST).astype(np.float32)
    if density.max() < BARE:
        return None
    shade = np.maximum(density, THROWN[0] * _lower(density, THROWN[1] * distance))
    shade = SHADE[0] * cv2.GaussianBlur(shade, (0, 0), SHADE[1] * distance)
    return Growth(density, _direction(points, distance, size), LENGTH * distance, SPREAD, shade)


def _above_the_lip(mouth: np.ndarray) -> np.ndarray:
    """(S, S), how far pixels are above the upper lip, or the level of its ends, in eye distances."""
    distance, shown = landmarks_in_crop(len(mouth))[1], mouth > SHOWN
    used = np.nonzero(shown.any(axis=0))[0]
    lip = np.interp(np.arange(len(mouth)), used, shown[:, used].argmax(axis=0)).astype(np.float32)
    lip = cv2.GaussianBlur(lip[None], (0, 0), EDGE * distance)
    return (lip - np.arange(len(mouth))[:, None]) / distance


def _lower(image: np.ndarray, pixels: float) -> np.ndarray:
    """An image (S, S), moved down."""
    return cv2.warpAffine(image.astype(np.float32), np.array([[1, 0, 0], [0, 1, pixels]]), image.shape)


def _tufts(size: int, distance: float) -> np.ndarray:
    """(S, S) around 1: hair grows in tufts."""
    noise = smooth_noise((size, size), TUFT[1] * distance, np.random.default_rng(0))
    return np.clip(1 + TUFT[0] * noise, 0.2, 1.3)


def _bell(values: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((values / width) ** 2))


def _ramp(values: np.ndarray, zero: float, one: float) -> np.ndarray:
    return np.clip((values - zero) / (one - zero), 0, 1)


def _direction(points: np.ndarray, distance: float, size: int) -> np.ndarray:
    """(S, S, 2): hair grows downwards on chin and cheeks, and from the middle outwards on the upper lip."""
    rows, columns = np.ogrid[:size, :size]
    across, below = (columns - points[2, 0]) / distance, (rows - points[3:, 1].mean()) / distance
    upper = _ramp(below, UPPER / 2, -UPPER / 2) * _ramp(np.abs(across), 0.7, 0.4)
    mustache = np.radians(75 - 60 * np.clip(np.abs(across) / 0.4, 0, 1))
    beard = np.radians(90 - 25 * np.clip(np.abs(across) / 0.7, 0, 1))
    angle = upper * mustache + (1 - upper) * beard
    return np.stack([np.sign(across) * np.cos(angle), np.sin(angle)], axis=2).astype(np.float32)
