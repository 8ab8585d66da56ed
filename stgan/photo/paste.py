"""Put an edit back into the photograph it came from, at the photograph's own resolution.

The *change* that the model made is pasted, fitted to the photo's own edges, not the edited crop itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import check_photo, crop_face
from stgan.photo.geometry import extent, smoothstep, transform
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import Matte, Silhouette, in_the_crop, warped, window
from stgan.photo.texture import Texture, sharpened


def paste_edit(
    rgb: np.ndarray,
    alignment: Alignment,
    reconstruction: np.ndarray,
    edited: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    silhouette: Silhouette | None = None,
    light: Light = USUAL_LIGHT,
    hair: bool = False,
) -> np.ndarray:
    """The photo with the change that the model made, at the photo's own resolution: uint8 (H, W, 3).

    The change is ``edited - reconstruction``, so details that the model cannot draw stay in the photo. Where the change
    follows the photo's luminance (skin, light and shade), a guided filter fits it to the photo's edges. Where it has a
    structure of its own (glasses, a fringe, a bald head), the edited image replaces the photo's detail. In a photo
    finer than the crop the colour of the change is smoothed, its luminance is not: small models leave coloured fringes
    that are invisible in the crop. The change fades out towards the crop's border, except along the photo's own border.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: the one that made the model's input.
        reconstruction, edited: float (S, S, 3) in [0, 255], the model's output for no change and for the edit.
        mask: float (S, S) in [0, 1], the soft mask that ``edited`` was composed with. Where it is 0 the photo stays.
            None: the change is pasted where edited and reconstruction differ by more than noise.
        silhouette: the person, whom the change does not leave. None: it ends where the mask does.
        light: of the photo; the model's output is in the networks' light.
        hair: whether the change is hair on skin. It has a structure of its own everywhere, and lets skin shine through.

    Source: guided filter, He, Sun and Tang, TPAMI 2013 (doi 10.1109/TPAMI.2012.213), applied at a smaller size as in
    arXiv 1505.00996.
    """
    check_photo(rgb)
    if edited.shape != reconstruction.shape or edited.ndim != 3 or edited.shape[0] != edited.shape[1]:
        raise ValueError(f"reconstruction {reconstruction.shape} and edited {edited.shape} must both be (S, S, 3).")
    reconstruction, edited = (np.asarray(image, np.float32) for image in (reconstruction, edited))
    edited = reconstruction + _calm_colours(edited - reconstruction, reconstruction, 1 / alignment.scale)
    result = rgb.copy()
    size = edited.shape[0]
    support = _support(edited - reconstruction, mask) * border_fade(rgb.shape, alignment, size)
    rows, columns = np.nonzero(support.any(axis=1))[0], np.nonzero(support.any(axis=0))[0]
    if len(rows) == 0:
        return result
    # Without a parser nobody knows what is skin and what is hair.
    texture = None if silhouette is None else Texture.of(rgb, alignment, size, light)
    change = _Change.fitted(rgb, alignment, reconstruction, edited, texture, light, hair)
    matte = None if silhouette is None else Matte.fitted(rgb, alignment, size, in_the_crop(silhouette.person), 1)
    box = (columns[0] - 1.0, rows[0] - 1.0, columns[-1] + 1.0, rows[-1] + 1.0)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=0)
    height = max(1, STRIP_PIXELS // (right - left))
    for y in range(top, bottom, height):
        strip = result[y : min(y + height, bottom), left:right]
        share = warped(support, alignment.matrix, (left, y), strip.shape)
        if matte is not None:
            share *= matte.of(strip, (left, y))[0]
        delta = light.restored(change.of(light.normalised(strip), (left, y)) * share[..., None])
        strip[...] = cv2.add(strip, delta, dtype=cv2.CV_8U)  # rounds to the nearest level, so zero change stays zero
    return result


STRIP_PIXELS = 1 << 17  # pixels pasted at a time: floats of a strip stay in the processor's cache
NOISE = (1.5, 6.0)  # levels: changes below the first are the model's noise, changes above the second are the edit
FADE = 0.1  # of the crop's side, over which the change fades out at each border
ROUNDNESS = 4  # exponent of the superellipse it fades along: 2 is a circle, infinity a square


def _calm_colours(delta: np.ndarray, reconstruction: np.ndarray, detail: float) -> np.ndarray:
    """The change (S, S, 3) with its colour, not its luminance, smoothed between the edges of the reconstruction.

    ``detail`` is pixels of the photo per pixel of the crop; up to 1 nothing is smoothed.
    """
    strength = float(smoothstep(np.float32(detail), 1.0, 1.1))
    if strength == 0:
        return delta
    luminance = cv2.cvtColor(delta, cv2.COLOR_RGB2GRAY)[..., None]
    colour = delta - luminance
    guide = cv2.cvtColor(reconstruction, cv2.COLOR_RGB2GRAY)
    gain, offset = _guided_filter(guide, colour, radius=max(1, len(delta) // 32))
    smooth = gain * guide[..., None] + offset
    return luminance + colour + strength * (smooth - colour)


def _support(delta: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Float (S, S) in [0, 1]: where the change is pasted."""
    size = delta.shape[0]
    if mask is not None:
        mask = np.asarray(mask, np.float32).reshape(size, size)
        return smoothstep(mask, 0.0, 0.2) * (np.abs(delta).max(axis=2) > 0).any()
    return smoothstep(cv2.GaussianBlur(np.abs(delta).max(axis=2), (0, 0), size / 64), *NOISE)


def border_fade(photo_shape: Sequence[int], alignment: Alignment, size: int) -> np.ndarray:
    """Float (S, S): 1 inside, falling to 0 at the sides of the crop beyond which the photo continues."""
    corners = transform(np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * size - 0.5, alignment.inverse)
    farthest = np.array([photo_shape[1], photo_shape[0]]) - 0.5
    reach = np.abs(np.arange(size) - (size - 1) / 2) / ((size - 1) / 2)  # 0 in the middle, 1 at the outermost pixels
    across, down = reach.copy(), reach.copy()
    first, last = slice(0, size // 2), slice(size // 2, size)
    sides = ((down, first), (across, last), (down, last), (across, first))  # top, right, bottom, left
    for index, (axis, half) in enumerate(sides):
        ends = corners[[index, (index + 1) % 4]]
        if ((ends < 0.25).all(axis=0) | (ends > farthest - 0.75).all(axis=0)).any():
            axis[half] = 0.0  # this side lies on or outside the photo's border, where no edge could show
    # Rounded corners: a tinted square is more visible than a shape without straight edges.
    distance = (down[:, None] ** ROUNDNESS + across[None, :] ** ROUNDNESS) ** (1 / ROUNDNESS)
    return 1 - smoothstep(distance, 1 - 2 * FADE, 1.0).astype(np.float32)


@dataclass(frozen=True)
class _Change:
    """A change of the photo, linear in its luminance Y and its pixels p, stored at a moderate size G:

    ``p' = p + share * (gain * Y + offset - replaced * p)``
    """

    gain: np.ndarray  # (G, G, 3)
    offset: np.ndarray  # (G, G, 3), levels
    replaced: np.ndarray  # (G, G), the share of the photo's own pixels that the edited image replaces
    texture: Texture | None
    grain: float  # in [0, 1], the share of the photo's grain that the network cannot draw
    to_grid: np.ndarray  # (2, 3), pixels of the photo to pixels of the grid

    MOST_DETAIL = 4  # G is at most this times S: gain and offset have no finer detail

    @classmethod
    def fitted(
        cls,
        rgb: np.ndarray,
        alignment: Alignment,
        reconstruction: np.ndarray,
        edited: np.ndarray,
        texture: Texture | None,
        light: Light,
        hair: bool,
    ) -> "_Change":
        """The change from reconstruction to edited, float (S, S, 3), fitted to the photo within the crop."""
        size = edited.shape[0]
        detail = min(1 / alignment.scale, cls.MOST_DETAIL)  # pixels of the grid per pixel of the crop
        grid = max(8, round(size * detail))
        placed = window(alignment, size, 1, grid)
        photo = light.normalised(crop_face(rgb, placed, grid))
        luminance = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        delta = _resized(edited - reconstruction, grid)
        if hair:
            return cls(np.zeros_like(delta), delta, np.zeros((grid, grid), np.float32), None, 0.0, placed.matrix)
        gain, offset = _guided_filter(luminance, delta, radius=max(1, round(1.5 * detail)))
        own = _own_structure(delta - gain * luminance[..., None] - offset, detail)
        gain *= 1 - own
        offset += own * (delta - offset)
        replaced = _replaced(delta, own[..., 0], reconstruction, edited)
        error = _resized(photo, size) - reconstruction
        slow_error = cv2.GaussianBlur(error, (0, 0), size / 16)
        # Matches the colour of the photo around it.
        target = _resized(edited + slow_error, grid)
        rows, columns = (np.nonzero((replaced > 0.05).any(axis=axis))[0] for axis in (1, 0))
        if len(rows):
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            target[part] = sharpened(target[part], detail)
        gain *= 1 - replaced[..., None]
        offset += replaced[..., None] * (target - offset)
        grain = float(smoothstep(np.float32(detail), 1.0, 2.0))
        return cls(gain, offset, replaced, texture, grain, placed.matrix)

    def of(self, photo: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """What to add to a part float (h, w, 3) of the photo whose upper left pixel in it is ``corner``."""
        luminance = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        change: np.ndarray = cv2.multiply(
            warped(self.gain, self.to_grid, corner, photo.shape), cv2.merge([luminance] * 3)
        )
        change += warped(self.offset, self.to_grid, corner, photo.shape)
        if self.replaced.any():
            replaced = warped(self.replaced, self.to_grid, corner, photo.shape)
            change -= cv2.multiply(cv2.merge([replaced] * 3), photo)
            if self.texture is None:
                return change
            grain = self.grain * replaced * self.texture.over(self.texture.skin, corner, photo.shape[:2])
            change += grain[..., None]
        return change


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    """Float (S, S, C) at another size, smooth when enlarged, averaged when shrunk."""
    if size == len(image):
        return image.copy()
    shrinks = size < len(image)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _guided_filter(
    guide: np.ndarray, image: np.ndarray, radius: int, epsilon: float = 36.0
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (H, W, C) such that gain * guide + offset is the image with the guide's edges."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT_101)

    guide_mean, image_mean = mean(guide), mean(image)
    variance = mean(guide * guide) - guide_mean**2
    covariance = mean(image * guide[..., None]) - image_mean * guide_mean[..., None]
    gain = np.clip(covariance / (variance + epsilon)[..., None], -1.0, 1.0)
    offset = image_mean - gain * guide_mean[..., None]
    return mean(gain), mean(offset)


def _own_structure(unexplained: np.ndarray, detail: float) -> np.ndarray:
    """Float (G, G, 1) in [0, 1]: where the photo's luminance does not explain the change."""
    smooth = cv2.GaussianBlur(unexplained, (0, 0), 0.6 * detail)
    near = 2 * max(1, round(1.5 * detail)) + 1
    strength = cv2.blur(np.abs(smooth).max(axis=2), (near, near))
    own = smoothstep(strength, 4.0, 12.0)[..., None]
    # At the crop's own resolution there is no finer edge to follow: the change is used as it is.
    return own + (1 - own) * (1 - smoothstep(np.float32(detail), 1.0, 1.5))


def _replaced(delta: np.ndarray, own: np.ndarray, reconstruction: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """Float (G, G) in [0, 1]: where the edited image replaces the photo, including its detail."""
    grid, size = len(delta), len(edited)
    strength = cv2.GaussianBlur(np.abs(delta).max(axis=2), (0, 0), grid / size)

    def texture(image: np.ndarray) -> np.ndarray:
        grey = image.mean(axis=2)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), size / 64)
        return np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), size / 50))

    # Where the edit removes texture (hair from a bald head), the paste must remove it too. Adding one level keeps the
    # ratio stable in flat areas.
    smoother = 1 - smoothstep((texture(edited) + 1) / (texture(reconstruction) + 1), 0.35, 0.8)
    smoother = np.clip(_resized(smoother, grid), 0, 1)
    return np.maximum(own * smoothstep(strength, 25.0, 70.0), smoother * smoothstep(strength, 12.0, 35.0))
