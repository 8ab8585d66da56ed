"""Hair in another colour: the photo's own strands, light and dark, in the tones that the network chose.

The network's pixels tell two things: which colour hair of each brightness takes, and how that varies slowly across the
head. Both are applied to the photo at its own resolution, wherever it shows the hair. Dark hair that turns blond
and shows few strands, or is straight in a small photo, takes those that the network drew in the crop.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stgan.drawing.combing import curliness
from stgan.drawing.tones import TOE, Tones, drawn_tones, looked_up
from stgan.photo.align import Alignment
from stgan.photo.crop import crop_face
from stgan.photo.geometry import extent, smoothstep
from stgan.photo.light import USUAL_LIGHT, Light, luminance
from stgan.photo.matte import WIDE, Matte, Silhouette, drawn, in_the_crop, warped, window
from stgan.photo.paste import border_fade

STRIP_PIXELS = 1 << 18  # pixels recoloured at a time: floats of a strip stay in the processor's cache
LEAST_HAIR = 0.002  # of the crop: with less hair there is nothing to learn the colour from
# How far a strand near the hair's border counts with its own colour, in dark hair and in blond: a wall that shines
# through looks like a bright strand.
EDGE_TRUST = (0.4, 0.8)
MOST_GAIN = 3.0  # of the finest detail, in levels: beyond, noise would become strands
FINEST = 2.0  # standard deviation of that in pixels of the photo
# Share of its contrast that this keeps at least, in proportion to brightness, and levels of hair between which it keeps
# ever more: highlights would be flat.
KEPT, NO_NOISE = 0.5, (60.0, 140.0)
DARKER_EDGE = 0.25  # share of its brightness that thin hair lacks at its border
THINNER_EDGE = 0.8  # likewise, what is added to the exponent of its share: a bright rim on a wall is no hair
# Share of the brightness that hair gains, which it lacks where it grows from skin, and how much redder it is there, as
# a share of what it lacks.
ROOTS, REDDER = 0.55, 0.2
# Pixels of the photo per pixel of the crop, between which strands of the photo count ever more, and those of the
# network ever less.
COARSE, FINE = (1.2, 2.2), (5.0, 10.0)
MIRRORED = (0.03, 0.08)  # of the crop, from the top: photos end there in training, so strands are drawn mirrored
LEAST_KEPT = 0.5  # of strands finer than the crop's pixels, which drawn ones may cross
MOST_DETAIL = 4  # times that drawn strands are enlarged smoothly
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
    tones: Tones | None = None,
    share: float = 1.0,
    thin: float = 0.0,
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
        tones: those of the new colour, if they are known; then ``edited`` tells how bright it is.
        share: in [0, 1], of these in the tones drawn.
        thin: in [0, 1], how much darker and thinner the hair looks at its border, as blond hair does.
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
    colour = _HairColour.fitted(rgb, alignment, reconstruction, edited, weight, now, light, (tones, share), thin)
    left, top, right, bottom = box
    height, margin = max(1, STRIP_PIXELS // (right - left)), round(4 * FINEST)
    for y in range(top, bottom, height):
        first, last = max(0, y - margin), min(y + height, bottom)
        part, corner = rgb[first : last + margin, left:right], (left, first)
        cover, inside = matte.of(part, corner)
        if cover.any():
            change = light.restored(colour.change(light.normalised(part), cover, inside, corner))
            strip, rows = result[y:last, left:right], slice(y - first, last - first)
            strip[...] = cv2.add(strip, change[rows], dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


def lay_strands(
    rgb: np.ndarray,
    alignment: Alignment,
    edited: np.ndarray,
    share: np.ndarray,
    silhouette: Silhouette,
    *,
    light: Light = USUAL_LIGHT,
) -> np.ndarray:
    """The photo with the strands that a network drew: uint8 (H, W, 3). Finer strands are those of the photo.

    Args:
        rgb: uint8 (H, W, 3), whose hair has about the same colour already: drawn strands end with the crop.
        alignment: the one that made the model's input.
        edited: float (S, S, 3) in [0, 255], the model's output.
        share: float (S, S) in [0, 1], where it drew the person's hair.
        silhouette: the person, whom the strands do not leave.
        light: of the photo; the model's output is in the networks' light.
    """
    size, result, detail = len(edited), rgb.copy(), 1 / alignment.scale
    coarse, fine = (float(smoothstep(np.float32(detail), *ends)) for ends in (COARSE, FINE))
    below = smoothstep(np.arange(size, dtype=np.float32) / size, *MIRRORED)[:, None]
    share = (share * border_fade(rgb.shape, alignment, size) * below * (1 - fine)).astype(np.float32)
    rows, columns = (np.nonzero((share > 0).any(axis=axis))[0] for axis in (1, 0))
    if len(rows) == 0:
        return result
    replaced = (1 - LEAST_KEPT) * (1 - coarse)
    times = int(np.clip(np.ceil(detail), 1, MOST_DETAIL))
    crop = light.normalised(crop_face(rgb, alignment, size))
    small = np.asarray(edited - (1 - replaced) * crop, np.float32)
    change = cv2.resize(small, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    to_change = window(alignment, size, 1, size * times).matrix
    matte = Matte.fitted(rgb, alignment, size, in_the_crop(silhouette.person), 1)
    box = (columns[0] - 1.0, rows[0] - 1.0, columns[-1] + 1.0, rows[-1] + 1.0)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=0)
    height = max(1, STRIP_PIXELS // max(1, right - left))
    for y in range(top, bottom, height):
        strip, corner = result[y : min(y + height, bottom), left:right], (left, y)
        cover = warped(share, alignment.matrix, corner, strip.shape) * matte.of(strip, corner)[0]
        new = warped(change, to_change, corner, strip.shape) - replaced * light.normalised(strip)
        strip[...] = cv2.add(strip, light.restored(new * cover[..., None]), dtype=cv2.CV_8U)  # rounds: zero stays zero
    return result


@dataclass(frozen=True)
class _HairColour:
    """What hair of each brightness turns into, and how that varies across the head."""

    table: np.ndarray  # float32 (256 * FINENESS, 3), levels by the luminance of a strand
    levels: np.ndarray  # float32 (256 * FINENESS,), and luminance
    fields: np.ndarray  # float32 (GRID, GRID, 7): the hair's mean colour nearby, what to add to the table's colour, and
    # whether its border nearby is one to a wall, not to skin
    to_grid: np.ndarray  # (2, 3), pixels of the photo to pixels of the fields
    thin: float  # how much darker and thinner the hair looks at its border

    @classmethod
    def fitted(
        cls,
        rgb: np.ndarray,
        alignment: Alignment,
        reconstruction: np.ndarray,
        edited: np.ndarray,
        weight: np.ndarray,
        now: Silhouette,
        light: Light,
        known: tuple[Tones | None, float],
        thin: float,
    ) -> "_HairColour":
        size = len(edited)
        reconstruction, edited = (np.asarray(image, np.float32) for image in (reconstruction, edited))
        before = luminance(reconstruction)
        table = drawn_tones(before, edited, weight)
        tones, share = known
        if tones is not None:
            table = table + share * (tones.table(before, edited, weight) - table)
        placed = window(alignment, size, WIDE, GRID)
        photo = light.normalised(drawn(rgb, placed, GRID))
        hair = cv2.resize(now.hair, (GRID, GRID), interpolation=cv2.INTER_AREA)
        nearby = _spread(photo, np.clip(2 * hair - 1, 0, 1) + 1e-4, GRID / 48)
        bare = np.clip(1 - 3 * hair, 0, 1) + 1e-4
        person = cv2.resize(now.person, (GRID, GRID), interpolation=cv2.INTER_AREA)
        wall = 1 - _spread(person[..., None], bare, GRID / 48)
        inner = round(GRID / WIDE)
        margin = (GRID - inner) // 2
        square = np.s_[margin : margin + inner, margin : margin + inner]
        rest = np.zeros((GRID, GRID, 4), np.float32)
        rest[square] = cv2.resize(
            np.dstack([(edited - looked_up(table, before)) * weight[..., None], weight]), (inner, inner),
            interpolation=cv2.INTER_AREA,
        )  # fmt: skip
        slow = _spread(rest[..., :3] / np.maximum(rest[..., 3:], 1e-3), rest[..., 3], inner / 10)
        if tones is not None:  # networks tint hair far from the face
            slow += share * (0.5 * slow.mean(axis=2, keepdims=True) - slow)
        return cls(table, luminance(table[None])[0], np.dstack([nearby, slow, wall]), placed.matrix, thin)

    def change(self, part: np.ndarray, share: np.ndarray, inside: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """What to add to a part float (h, w, 3) of the photo whose shares (h, w) are hair; ``inside`` as in a matte.

        Where a pixel is hair in part, the hair's own colour in it is unknown, and that of hair nearby takes its place:
        a wall that shines through would be taken for bright strands.
        """
        fields = warped(self.fields, self.to_grid, corner, part.shape)
        nearby, slow, wall = fields[..., :3], fields[..., 3:6], fields[..., 6]
        thin, border, was = self.thin * wall, 1 - inside, luminance(part)
        usual = luminance(nearby)
        trust = EDGE_TRUST[0] + self.thin * (EDGE_TRUST[1] - EDGE_TRUST[0])
        known = share * (1 - (1 - trust) * border) * (1 - self.thin * (1 - share))
        # No wall shines through where it is darker.
        known = np.where(was < usual, np.maximum(known, thin * share), known)
        strand = nearby + _times(part - nearby, known)
        bright = luminance(strand)
        new = self._dyed(bright)
        if self.thin:
            share = share ** (1 + THINNER_EDGE * thin)
            new = _times(new, 1 - DARKER_EDGE * thin * border)
        new += slow
        lit = luminance(new)
        if self.thin:
            shade = self._shade_of_roots((self.thin - thin) * border, usual, bright / np.maximum(lit, 1))
            redder = REDDER * (1 - shade)
            new *= cv2.merge([shade * (1 + redder), shade, shade * (1 - redder)])
            lit *= shade
        after = part + _times(new - strand, share)
        # Skin that is taken for hair in part would shine.
        return _times(after, np.minimum(1, (np.maximum(was, lit) + 1) / (luminance(after).clip(0) + 1))) - part

    def _dyed(self, bright: np.ndarray) -> np.ndarray:
        """The colour (h, w, 3) of strands of this luminance (h, w), without more noise and without flat highlights."""
        base = cv2.GaussianBlur(bright, (0, 0), FINEST)
        middle, detail = looked_up(self.levels, base), bright - base
        new, most = looked_up(self.table, bright), MOST_GAIN * np.abs(detail)
        drawn = looked_up(self.levels, bright)
        change = np.clip(drawn - middle, -most, most)
        kept = KEPT + (1 - KEPT) * smoothstep(base, *NO_NOISE)
        kept = np.clip(kept * detail * middle / (base + TOE), -most, most)
        change = np.where(np.abs(kept) > np.abs(change), kept, change)
        return _times(new, (middle + change).clip(0) / np.maximum(drawn, 1))

    def _shade_of_roots(self, roots: np.ndarray, usual: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Factors (h, w) of new hair that is lighter than the photo's, where its ``roots`` (h, w) show.

        Args:
            usual: (h, w), the luminance of the photo's hair nearby.
            before: (h, w), that of each strand as a share of its new one.
        """
        lighter = 2 * (1 - usual / np.maximum(looked_up(self.levels, usual), 1))
        return 1 - ROOTS * roots * lighter.clip(0, 1) * (1 - before).clip(0, 1)


def _times(image: np.ndarray, share: np.ndarray) -> np.ndarray:
    """An image (h, w, 3) times a share (h, w), three times as fast as by broadcasting."""
    return cv2.multiply(image, cv2.merge([share.astype(np.float32, copy=False)] * 3))


def _spread(image: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """The weighted mean (G, G, C) of an image around each pixel. Where nothing has weight nearby, of a wider circle."""
    size = len(image)
    result = np.zeros_like(image, dtype=np.float32)
    left = np.ones((size, size, 1), np.float32)
    while True:
        blurred = cv2.GaussianBlur(np.dstack([image * weight[..., None], weight]).astype(np.float32), (0, 0), sigma)
        known = np.clip(blurred[..., -1:] * 8, 0, 1)
        result += left * known * blurred[..., :-1] / np.maximum(blurred[..., -1:], 1e-6)
        left *= 1 - known
        sigma *= 2
        if sigma > 2 * size:
            total = max(float(weight.sum()), 1e-6)
            return result + left * (image * weight[..., None]).sum(axis=(0, 1)) / total


DARK = 16.0  # levels: differences among darker pixels are noise
NEAR = 1 / 10  # of the crop's side: hair this far away has the same light
CALM, DENSE = 0.7, (0.5, 1.0)  # share of stains of colour that new hair loses, and where
LIGHTER, DARKER = 0.7, 1.2  # logarithms, by which drawn hair may change to become of the photo's colour


def crispness(image: np.ndarray, area: np.ndarray) -> float:
    """Mean contrast between a strand and its surroundings, as a logarithm of brightness, where ``area`` (S, S) is
    certain; 0 where nothing is. ``image``: float (S, S, 3) in [0, 255]."""
    sure = cv2.erode((area > 0.6).astype(np.uint8), np.ones((3, 3))) > 0
    logarithm = np.log(luminance(image).clip(0) + DARK).astype(np.float32)
    return float(np.abs(logarithm - cv2.GaussianBlur(logarithm, (0, 0), 1))[sure].mean()) if sure.any() else 0.0


DARK_HAIR = 0.6  # brightness of hair, as a share of the skin's, below which strands that are drawn may look better
STRAIGHT, FEW = 0.4, 3.2  # how little strands run in parallel, up to which they are straight, and levels of few
COILED = 0.29  # how parallel the strands of a head run in the median, below which it shows none
COIL = (3.0, 4.0)  # pixels of a crop of 256: what is larger is shade, and over how many strands are compared
STRANDLESS = (22.0, 3.75)  # levels of hair and of its detail, below which it shows no strands that a colour could have
STRAND = 1.5  # pixels of the crop: finer detail is strands


def needs_strands(
    before: np.ndarray, after: np.ndarray, hair: np.ndarray, skin: np.ndarray, *, blond: bool, detailed: bool
) -> bool:
    """Whether a new colour needs other strands than the photo's: on hair that is so dark that it shows none, unless it
    is coiled, and blond on dark hair that shows few, or is straight: networks draw that best.

    Args:
        before, after: float (S, S, 3) in [0, 255], without and with the new colour.
        hair, skin: (S, S) in [0, 1], of the crop without it.
        blond: whether that is the new colour.
        detailed: whether the photo shows more than the crop. Where it does, its own straight strands look better.
    """
    sure, skin = hair > 0.8, skin > 0.8
    if not sure.any():
        return False
    grey = before.mean(axis=2)
    brightness = float(np.median(grey[sure]))
    detail = float(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), STRAND))[sure].mean())
    coiled = is_coiled(before, hair)
    dark = blond and bool(skin.any()) and brightness < DARK_HAIR * float(np.median(grey[skin]))
    if dark and (detail < FEW or not (detailed or coiled or curliness(before, hair) > STRAIGHT)):
        return True
    lighter = np.median(after.mean(axis=2)[sure]) > brightness
    return bool(brightness < STRANDLESS[0] and detail < STRANDLESS[1] and lighter and not coiled)


def is_coiled(image: np.ndarray, hair: np.ndarray) -> bool:
    """Whether the hair (S, S) in [0, 1] of a crop float (S, S, 3) is so tightly curled that no strands run in parallel.

    Networks, which have seen little of it, turn it into straight hair.
    """
    shade, near = (sigma * len(image) / 256 for sigma in COIL)
    sure = cv2.erode((hair > 0.8).astype(np.uint8), np.ones((2 * round(near) + 1,) * 2)) > 0
    if not sure.any():
        return False
    logarithm = np.log(image.mean(axis=2).clip(0) + DARK).astype(np.float32)
    detail = logarithm - cv2.GaussianBlur(logarithm, (0, 0), shade)
    across, down = (cv2.Sobel(detail, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.GaussianBlur(each, (0, 0), near) for each in (across**2, down**2, across * down))
    return float(np.median((np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-6))[sure])) < COILED


def in_the_colour(after: np.ndarray, now: np.ndarray, new: np.ndarray, hair: np.ndarray) -> np.ndarray | None:
    """An edited crop whose new hair has the colour of the photo's: float (S, S, 3) in [0, 255].

    None where they differ so much that the new hair would lose its strands.

    Args:
        after, now: float (S, S, 3) in [0, 255], the edited crop, and the photo's.
        new, hair: (S, S) in [0, 1], where hair appears, and where it is.
    """
    near = hair * cv2.GaussianBlur(new.astype(np.float32), (0, 0), NEAR * len(new))  # the light varies over a head
    own, drawn = (area * (area > 0.3 * area.max()) for area in (near, new))
    if own.max() < 0.01 or drawn.max() < 0.5:
        return None
    levels = [np.log(image.clip(0) + DARK) for image in (now, after)]
    change = np.subtract(*[np.average(level[area > 0], axis=0, weights=area[area > 0])
                           for level, area in zip(levels, (own, drawn), strict=True)])  # fmt: skip
    if change.max() > LIGHTER or change.min() < -DARKER:
        return None
    return after + new.clip(0, 1)[..., None] * ((after + DARK) * np.exp(change) - DARK - after)


def without_stains(after: np.ndarray, now: np.ndarray, new: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """A crop with new hair whose hue is mostly that of the photo's hair, where it is dense. Arguments as above."""
    near = hair * cv2.GaussianBlur(new.astype(np.float32), (0, 0), NEAR * len(new))
    colour = (now * near[..., None]).sum(axis=(0, 1)) / max(float(near.sum()), 1e-6)
    bright = luminance(after)[..., None] / max(float(luminance(colour[None, None])[0, 0]), 1)
    return after + (CALM * smoothstep(new, *DENSE))[..., None] * (bright * colour - after)
