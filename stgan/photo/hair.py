"""Hair in another colour: the photo's own strands, light and dark, in the tones that the network chose.

The network's pixels are not pasted. They tell two things: which colour hair of each brightness takes, and how that
varies slowly across the head. Both are applied to the photo at its own resolution, wherever it shows the hair.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import WIDE, Matte, Silhouette, drawn, in_the_crop, warped, window

STRIP_PIXELS = 1 << 17  # pixels recoloured at a time: floats of a strip stay in the processor's cache
LEAST_HAIR = 0.002  # of the crop: with less hair there is nothing to learn the colour from
TONES = 8  # of the hair, by brightness, whose colours are learned
TOE = 8.0  # levels: what is darker than this differs by noise alone
POWERS = (0.45, 1.3)  # of brightness: strands stay visible, and noise does not become strands
DARKEST = 12.0  # least brightness of the middle tone: black hair is not a hole
SHOULDER = 190.0  # level from which highlights are compressed
HIGHLIGHTS = 0.35  # of the middle tone's brightness: room for them on lighter hair, where the network draws flat hair
EDGE_TRUST = 0.4  # how far a strand near the hair's border counts with its own colour
FINENESS = 4  # entries of the curve's table per level
MOST_GAIN = 3.0  # of the finest detail, in levels: beyond, noise would become strands
FINEST = 1.0  # standard deviation of that in pixels of the photo
DARKER_EDGE = 0.25  # share of its brightness that blond hair lacks at its border, where it is thin
THINNER_EDGE = 0.8  # what is added to the exponent of the share of blond hair: a bright rim on a wall is no hair
QUANTILES = (2, 10, 25, 50, 75, 90, 98)  # of brightness, percent
BLOND = (-1.17, -0.66, -0.31, 0.0, 0.2, 0.31, 0.4)  # logarithms of those of blond hair to its median
STEPS = (-0.85, -0.4, 0.0, 0.15, 0.28)  # likewise, to which belong the ratios of red and of blue to green
RED, BLUE = (1.55, 1.39, 1.29, 1.21, 1.15), (0.59, 0.65, 0.69, 0.74, 0.78)
BRIGHTEST = (190.0, 222.0)  # levels from which its highlights are compressed, and to which
STEEPEST = 1.4  # exponent of brightness where hair is as dark as noise
GRID = 96  # pixels across the window at which slow variation is kept


def recolour_hair(
    rgb: np.ndarray,
    alignment: Alignment,
    reconstruction: np.ndarray,
    edited: np.ndarray,
    mask: np.ndarray | None,
    silhouette: Silhouette,
    now: Silhouette | None = None,
    *,
    light: Light = USUAL_LIGHT,
    blond: float = 0.0,
) -> np.ndarray:
    """The photo with its hair in the colour of ``edited``: uint8 (H, W, 3). Pixels without hair stay as they are.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: the one that made the model's input.
        reconstruction, edited: float (S, S, 3) in [0, 255], the model's output for no change and for the new colour.
        mask: float (S, S) in [0, 1], the soft mask of the edit, if the model has one.
        silhouette: where the hair is in the reconstruction.
        now: where it is in the photo, if that was edited before.
        light: of the photo; the model's output is in the networks' light.
        blond: share in [0, 1] of the tones of blond hair in those of ``edited``.
    """
    size = len(edited)
    now = now or silhouette
    hair = in_the_crop(silhouette.hair, size)
    sure = cv2.erode(np.clip(3 * hair - 2, 0, 1), np.ones((3, 3)), iterations=max(1, size // 128))
    weight = sure * (1.0 if mask is None else np.asarray(mask, np.float32))
    result = rgb.copy()
    matte = Matte.fitted(rgb, alignment, size, now.hair)
    box = matte.box(rgb.shape)
    if weight.mean() < LEAST_HAIR or box is None or np.array_equal(reconstruction, edited):
        return result
    colour = _HairColour.fitted(rgb, alignment, reconstruction, edited, weight, now.hair, light, blond)
    left, top, right, bottom = box
    height = max(1, STRIP_PIXELS // (right - left))
    for y in range(top, bottom, height):
        strip = result[y : min(y + height, bottom), left:right]
        share, inside = matte.of(strip, (left, y))
        if share.any():
            change = light.restored(colour.change(light.normalised(strip), share, inside, (left, y)))
            strip[...] = cv2.add(strip, change, dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


@dataclass(frozen=True)
class _HairColour:
    """What hair of each brightness turns into, and how that varies across the head."""

    table: np.ndarray  # float32 (256 * FINENESS, 3), levels by the luminance of a strand
    fields: np.ndarray  # float32 (GRID, GRID, 6): the hair's mean colour nearby, and what to add to the table's colour
    to_grid: np.ndarray  # (2, 3), pixels of the photo to pixels of the fields
    blond: float  # as in :func:`recolour_hair`

    @classmethod
    def fitted(
        cls,
        rgb: np.ndarray,
        alignment: Alignment,
        reconstruction: np.ndarray,
        edited: np.ndarray,
        weight: np.ndarray,
        hair: np.ndarray,
        light: Light,
        blond: float,
    ) -> "_HairColour":
        size = len(edited)
        reconstruction, edited = (np.asarray(image, np.float32) for image in (reconstruction, edited))
        before = _luminance(reconstruction)
        table = _tone_table(before, edited, weight)
        if blond:
            table = table + blond * (_blond_table(before, edited, weight) - table)
        placed = window(alignment, size, WIDE, GRID)
        photo = light.normalised(drawn(rgb, placed, GRID))
        hair = cv2.resize(hair, (GRID, GRID), interpolation=cv2.INTER_AREA)
        nearby = _spread(photo, np.clip(2 * hair - 1, 0, 1) + 1e-4, GRID / 48)
        inner = round(GRID / WIDE)
        margin = (GRID - inner) // 2
        square = np.s_[margin : margin + inner, margin : margin + inner]
        rest = np.zeros((GRID, GRID, 4), np.float32)
        rest[square] = cv2.resize(
            np.dstack([(edited - _looked_up(table, before)) * weight[..., None], weight]), (inner, inner),
            interpolation=cv2.INTER_AREA,
        )  # fmt: skip
        slow = _spread(rest[..., :3] / np.maximum(rest[..., 3:], 1e-3), rest[..., 3], inner / 10)
        slow += blond * (0.5 * slow.mean(axis=2, keepdims=True) - slow)  # networks turn hair green far from the face
        return cls(table, np.dstack([nearby, slow]), placed.matrix, blond)

    def change(self, part: np.ndarray, share: np.ndarray, inside: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """What to add to a part float (h, w, 3) of the photo whose shares (h, w) are hair; ``inside`` as in a matte.

        Where a pixel is hair in part, the hair's own colour in it is unknown, and that of hair nearby takes its place:
        a wall that shines through would be taken for bright strands.
        """
        nearby, slow = np.split(warped(self.fields, self.to_grid, corner, part.shape), 2, axis=2)
        known = share * (EDGE_TRUST + (1 - EDGE_TRUST) * inside)
        bright, usual = _luminance(part), _luminance(nearby)
        known = np.where(bright < usual, np.maximum(known, self.blond * share), known)  # no wall shines through there
        share = share ** (1 + THINNER_EDGE * self.blond)
        strand = nearby + known[..., None] * (part - nearby)
        bright = _luminance(strand)
        base = cv2.GaussianBlur(bright, (0, 0), FINEST)
        steepness = _looked_up(np.gradient(_luminance(self.table[None])[0]) * FINENESS, base)
        bright = base + np.minimum(1, MOST_GAIN / np.maximum(steepness, 1e-3)) * (bright - base)
        new = _looked_up(self.table, bright) * (1 - DARKER_EDGE * self.blond * (1 - inside))[..., None]
        return share[..., None] * (new + slow - strand)


def _luminance(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2GRAY)


def _looked_up(table: np.ndarray, luminance: np.ndarray) -> np.ndarray:
    return table[np.clip(luminance * FINENESS, 0, len(table) - 1).astype(np.int32)]


def _tone_table(before: np.ndarray, edited: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Float32 (256 * FINENESS, 3): the colour of edited hair (S, S, 3) for each luminance (S, S) of hair before.

    Brightness after is a power of the brightness before, so that light and shade keep their order and their shape far
    beyond the few tones of a small image. Its colour is that of edited hair of this brightness.
    """
    chosen = weight > 0.3 * weight.max()
    before, colours = before[chosen], edited[chosen]
    after = _luminance(colours[None])[0]
    logs = [np.log(each + TOE) for each in (before, after)]
    middle = max(DARKEST, float(np.median(after)))
    # Networks draw hair softer than it is: strands keep their contrast in levels where hair becomes lighter, and in
    # proportion to its brightness where it becomes darker.
    least = np.clip(np.median(before) / middle, POWERS[0], 1)
    power = np.clip(logs[1].std() / max(logs[0].std(), 1e-3), least, POWERS[1])
    levels = np.arange(256 * FINENESS) / FINENESS
    curve = middle * np.exp(power * (np.log(levels + TOE) - np.median(logs[0])))
    shoulder, room = SHOULDER, 255 - SHOULDER
    if np.median(before) < middle:  # what shines a little on black hair is not white on blond hair
        shoulder = min(shoulder, float(np.percentile(after, 75)))
        room = min(255 - shoulder, max(float(np.percentile(after, 98)) - shoulder, HIGHLIGHTS * middle))
    above = np.maximum(curve - shoulder, 0)
    curve += room * np.tanh(above / room) - above  # highlights keep their shape

    order = np.argsort(after)
    ends = np.linspace(0.02, 0.98, TONES + 1) * len(order)  # without stray pixels
    bins = [order[int(first) : int(last) + 1] for first, last in zip(ends[:-1], ends[1:], strict=True)]
    tones = np.array([colours[each].mean(axis=0) for each in bins])  # (TONES, 3), from dark to light
    bright = _luminance(tones[None])[0] + 1e-3 * np.arange(TONES)  # increases
    painted = np.stack([np.interp(curve, bright, tones[:, channel]) for channel in range(3)], axis=1)
    # Beyond the tones that the network drew, colour stays in proportion to brightness.
    painted *= (curve / np.maximum(np.interp(curve, bright, bright), 1))[:, None]
    return painted.astype(np.float32)


def _blond_table(before: np.ndarray, edited: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """As :func:`_tone_table`, with the tones of blond hair, of which networks draw only the middle.

    Hair that turns blond keeps its order from dark to bright. The distribution of its brightness, and its colour at
    each brightness, are those of blond hair in 110 of CelebA-HQ's images, a little warmer.
    """
    chosen = weight > 0.3 * weight.max()
    logs = np.log(np.percentile(before[chosen], QUANTILES) + TOE) + 1e-4 * np.arange(len(QUANTILES))  # increases
    rises = np.minimum(np.diff(BLOND), STEEPEST * np.diff(logs))
    tones = np.concatenate([[0], rises.cumsum()])
    tones -= tones[len(tones) // 2]
    levels = np.log(np.arange(256 * FINENESS) / FINENESS + TOE)
    tone = np.interp(levels, logs, tones)
    tone += 0.4 * np.minimum(levels - logs[0], 0) + 0.3 * np.maximum(levels - logs[-1], 0)
    curve = float(np.median(_luminance(edited[chosen][None]))) * np.exp(tone)
    above, room = np.maximum(curve - BRIGHTEST[0], 0), BRIGHTEST[1] - BRIGHTEST[0]
    curve += room * np.tanh(above / room) - above
    red, blue = (np.interp(tone, STEPS, ratios) for ratios in (RED, BLUE))
    green = curve / (0.299 * red + 0.587 + 0.114 * blue)
    return np.stack([red * green, green, blue * green], axis=1).astype(np.float32)


def _spread(image: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """The weighted mean (G, G, C) of an image around each pixel. Where nothing has weight nearby, of a wider circle."""
    size = len(image)
    result = np.zeros_like(image, dtype=np.float32)
    left = np.ones((size, size, 1), np.float32)
    while True:
        blurred = cv2.GaussianBlur(np.dstack([image * weight[..., None], weight]).astype(np.float32), (0, 0), sigma)
        known = np.clip(blurred[..., 3:] * 8, 0, 1)
        result += left * known * blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-6)
        left *= 1 - known
        sigma *= 2
        if sigma > 2 * size:
            total = max(float(weight.sum()), 1e-6)
            return result + left * (image * weight[..., None]).sum(axis=(0, 1)) / total
