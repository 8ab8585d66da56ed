"""Eyeglasses that come off: skin takes the place of the frame, and eyes stay the photo's where lenses show them.

A network that takes off glasses draws the eyes of somebody else, and asked for no more than in training it leaves a
pale outline of the frame. So it is asked for more, and its drawing is used only where the frame, the arms and what
lenses hide have been found, in the light of what is around them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from stgan.drawing.filling import grain_of, in_the_hues, repeated, spread
from stgan.drawing.morphology import disk, grown, largest, ridge
from stgan.drawing.rims import Head
from stgan.drawing.traced import Clues
from stgan.photo.align import Alignment
from stgan.photo.geometry import extent, smoothstep
from stgan.photo.light import USUAL_LIGHT, Light, luminance
from stgan.photo.matte import warped, window
from stgan.photo.texture import sharpened

STRENGTH = 1.8
"""Of the network's edit. At 1 its drawing shows a pale frame on more than half of 30 faces, at 1.8 on two. More changes
hair and skin."""
# Lengths are in eye distances unless stated otherwise.
MARGIN = 0.5  # around glasses, within which the network draws
BODY = 0.1  # radius of the narrowest lens; what is narrower is an arm
PIECE = 0.15  # least area of a piece of glasses, as a share of the largest
RIM = (0.07, 0.035)  # reach of a rim to the inside and the outside of what a parser sees of the glasses
BAND = (0.16, 0.12)  # likewise, where a rim may be that differs from the drawing
DIFFERENT = (12.0, 24.0)  # levels of difference between photo and drawing that are none, and a rim
AGREED = 35.0  # levels of difference above which photo and drawing show different things
LID = 0.05  # what stays with an eye, around it
EYES = (0.009, 0.015)  # least areas that are seen of the less and of the more visible eye, in squared distances
THICKEST, WIRE = 0.2, 0.08  # rim, and one that a parser may miss
DARKER = (105.0, 135.0)  # levels of difference of a brow, and of a rim on it
LASHES = 0.12  # above an eye, where its lid ends and its brow may begin
BROW = 0.01  # area of a brow beside a frame, from which it tells how dark the rest is
BESIDE = 0.42  # an eye, where its brow ends
TINTED = 0.3  # logarithm by which lenses are darker than the drawing, from which the eyes behind them are not kept
GLARE = 0.62  # brightness of the darkest parts of an eye, as a share of that of skin, likewise
HUES = (8.0, 16.0)  # levels by which a drawing's colours differ from those around: beside own eyes, and with new ones
SURE = (0.8, 0.98)  # of a network's soft mask, where the drawing is not used and where it is complete
BESIDE_SKIN = ("hair", "background")
OTHER_HUES = (12.0, 255.0)  # levels by which colours may differ more beside each of them
GOES_ON = (0.5, 0.8)  # share of one of these around, where it goes on
WITHIN = (-0.2, -0.05)  # distance from the outline of glasses, where it does not, as too little of it is seen
# Arms run straight from a lens to the ear.
LENGTH = (0.42, 3.4, 1.08)  # of an arm seen from the front, its gain per shift of the nose, and the most
SLOPES = np.linspace(-0.4, 0.25, 27)
USUAL_SLOPE = -0.05
WIDEST = 0.26  # of an arm
CONTRAST = (14.0, 40.0)  # levels by which an arm differs from what is above and below: least, and most that counts
STEEP, IN_HAIR, OUTSIDE = 8.0, 6.0, 30.0  # levels that speak against an arm
GAP = (0.42, 3)  # contrast as a share of the usual, and pixels of that, where an arm has ended
CLEAR = (40.0, 8.0)  # levels that speak for one, in all and on average
STRIP_PIXELS = 1 << 17  # pixels changed at a time: floats of a strip stay in the processor's cache
LARGEST = 128  # radius of a sample of skin in pixels of the photo
FINE = (0.7, 0.9)  # standard deviation in pixels of the crop below which a drawing has no detail, and a traced frame
FINER = 1.3  # pixels of the photo per pixel of the crop above which it shows a frame better than the crop
MOST_DETAIL = 4  # pixels of a drawing per pixel of the crop


@dataclass(frozen=True)
class Bareness:
    """What a crop shows without glasses."""

    fill: np.ndarray  # float32 (S, S, 3), levels in the networks' light
    share: np.ndarray  # float32 (S, S) in [0, 1], of the photo that it replaces
    skin: np.ndarray  # float32 (S, S) in [0, 1], which shows in the photo
    keeps_eyes: bool  # of the photo
    clues: Clues | None = None  # where they are kept: the photo tells all else too

    @classmethod
    def read(
        cls, crop: np.ndarray, after: np.ndarray, mask: np.ndarray | None, seen: Mapping[str, np.ndarray], head: Head
    ) -> "Bareness":
        """From a crop float32 (S, S, 3) and a network's drawing without glasses.

        Args:
            mask: (S, S) in [0, 1], how much of it the network drew; None for all.
            seen: the parser's classes by name, (S, S) in [0, 1] each.
        """
        distance = Head.mean(len(crop)).distance
        worn = _worn(seen)
        outside = _outside(worn) / distance
        change = crop - after
        slow = spread(change, (1 - grown(worn, 0.1 * distance)) * _agreement(change) + 1e-3, 0.12 * distance)
        differs = change - slow
        behind = (outside < -BAND[0]) & (seen["eyes"] < 0.2) & (seen["brows"] < 0.3)
        keeps = _shows_eyes(crop, after, seen["eyes"] * (outside < LID), behind, seen["skin"] > 0.9)
        body = cv2.morphologyEx(worn.astype(np.uint8), cv2.MORPH_OPEN, disk(BODY * distance)) > 0
        arms = _arms(crop, body, seen, head.turn, distance) | (worn & (grown(body, 0.03 * distance) == 0))
        share = _hidden(crop, differs, seen, outside, arms, keeps)
        known = np.clip(1 - 1.5 * grown(share, len(crop) / 256), 0, 1)
        drawn = _calm(after, crop, seen["brows"] * known, distance) if keeps else after
        trust = known * (_agreement(differs) + 1e-3) + 1e-6
        drawn = drawn + spread(crop - drawn, trust, 0.03 * distance)
        fill = _filled(crop, drawn, mask, seen, known, outside, HUES[0 if keeps else 1])
        clues = Clues.of(crop, seen, share, outside, body, arms) if keeps else None
        return cls(fill.clip(0, 255).astype(np.float32), share, seen["skin"] * (share == 0), keeps, clues)


def where_to_draw(seen: Mapping[str, np.ndarray]) -> np.ndarray:
    """Float32 (S, S), 1 where a network has to draw so that glasses can come off, else 0."""
    worn = _worn(seen)
    result = np.zeros(worn.shape, np.float32)
    if worn.any():
        margin = round(MARGIN * Head.mean(len(worn)).distance)
        rows, columns = (np.nonzero(worn.any(axis=axis))[0] for axis in (1, 0))
        result[max(0, rows[0] - margin) : rows[-1] + margin, max(0, columns[0] - margin) : columns[-1] + margin] = 1
    return result


def take_off(
    rgb: np.ndarray, alignment: Alignment, bareness: Bareness, *, light: Light = USUAL_LIGHT, strength: float = 1.0
) -> np.ndarray:
    """The photo without glasses, uint8 (H, W, 3).

    Args:
        alignment: of the crop that shows them.
        light: of the photo.
        strength: in [0, 1], less leaves a part.
    """
    size, result = len(bareness.share), rgb.copy()
    rows, columns = (np.nonzero(bareness.share.any(axis=axis))[0] for axis in (1, 0))
    if len(rows) == 0 or strength <= 0:
        return result
    clues = bareness.clues if 1 / alignment.scale > FINER else None
    if clues is not None:
        fill, shares, to_grid = clues.traced(rgb, bareness.fill, alignment, light)
        to_shares = to_grid
    else:
        detail = float(np.clip(1 / alignment.scale, 1, MOST_DETAIL))  # pixels of the drawing per pixel of the crop
        grid = round(size * detail)
        fill = sharpened(cv2.resize(bareness.fill, (grid, grid), interpolation=cv2.INTER_CUBIC), detail)
        to_grid = window(alignment, size, 1, grid).matrix
        shares, to_shares = bareness.share, alignment.matrix
    grain = _grain(rgb, alignment, bareness, light, FINE[clues is not None])
    box = (columns[0] - 1.0, rows[0] - 1.0, columns[-1] + 1.0, rows[-1] + 1.0)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=0)
    height = max(1, STRIP_PIXELS // max(1, right - left))
    for y in range(top, bottom, height):
        strip = result[y : min(y + height, bottom), left:right]
        share = strength * warped(shares, to_shares, (left, y), strip.shape)
        bare = warped(fill, to_grid, (left, y), strip.shape)
        bare += repeated(grain, (left, y), strip.shape)
        change = light.restored((bare - light.normalised(strip)) * share[..., None])
        strip[...] = cv2.add(strip, change, dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


def _grain(rgb: np.ndarray, alignment: Alignment, bareness: Bareness, light: Light, fine: float) -> np.ndarray:
    """The fine detail of skin, float32 (N, N, 3), where the crop shows most of it."""
    depth = cv2.distanceTransform((bareness.skin > 0.9).astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    radius = min(float(depth.max()) * 0.7, LARGEST * alignment.scale)
    box = (column - radius, row - radius, column + radius, row + radius)
    left, top, right, bottom = extent(alignment.matrix, box, rgb.shape, margin=0)
    grain = grain_of(rgb[top:bottom, left:right], fine / alignment.scale)
    return smoothstep(np.float32(1 / alignment.scale), 1.0, 2.0) * grain * np.array(light.gains, np.float32)


def _worn(seen: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bool (S, S): the glasses with all that their lenses show."""
    shown = (seen["eyeglasses"] > 0.4) | (seen["eyeglasses"] + seen["eyes"] > 0.5)
    outlines, _ = cv2.findContours(shown.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    result = np.zeros(shown.shape, np.uint8)
    least = PIECE * max(map(cv2.contourArea, outlines), default=0)
    cv2.drawContours(result, [each for each in outlines if cv2.contourArea(each) > least], -1, 1, cv2.FILLED)
    return result > 0


def _outside(worn: np.ndarray) -> np.ndarray:
    """The distance (S, S) from glasses in pixels, negative within them."""
    near, within = (cv2.distanceTransform(each.astype(np.uint8), cv2.DIST_L2, 5) for each in (~worn, worn))
    return near - within


def _hidden(
    crop: np.ndarray,
    differs: np.ndarray,
    seen: Mapping[str, np.ndarray],
    outside: np.ndarray,
    arms: np.ndarray,
    keeps: bool,
) -> np.ndarray:
    """Float32 (S, S) in [0, 1]: what glasses hide, which are lenses too unless the photo keeps its eyes.

    Args:
        differs: how the photo differs from the drawing, (S, S, 3).
        outside: distance from the glasses.
        arms: bool (S, S).
    """
    size, distance = len(crop), Head.mean(len(crop)).distance
    share = _frame(crop, differs, outside, distance, seen)
    if keeps:
        lids = grown(seen["eyes"] > 0.4, LID * distance)
        share *= 1 - cv2.GaussianBlur(lids, (0, 0), size / 210)
    else:
        share = np.maximum(share, np.clip(1.5 - (outside - 0.06) * distance, 0, 1))
    share = grown(np.maximum(share, grown(arms, 0.03 * distance)), size / 170)
    return (cv2.GaussianBlur(share, (0, 0), size / 320) * (1 - seen["hat"])).astype(np.float32)


def _filled(
    crop: np.ndarray,
    drawn: np.ndarray,
    mask: np.ndarray | None,
    seen: Mapping[str, np.ndarray],
    known: np.ndarray,
    outside: np.ndarray,
    hues: float,
) -> np.ndarray:
    """The crop (S, S, 3) where it is known, (S, S) in [0, 1], and elsewhere a drawing in its hues, and its hair."""
    distance = Head.mean(len(crop)).distance
    beside = np.dstack([seen[name] for name in BESIDE_SKIN])
    around = spread(np.dstack([crop, beside]), known + 1e-6, 0.02 * distance)
    around, shares = around[..., :3], around[..., 3:]
    free = smoothstep(shares, 0.02, 0.2) @ np.array(OTHER_HUES, np.float32)
    drawn = in_the_hues(drawn, around, hues + free)
    fill = around + (1.0 if mask is None else smoothstep(mask, *SURE)[..., None]) * (drawn - around)
    near = smoothstep(outside, *WITHIN)
    for kind, share in zip(cv2.split(beside), cv2.split(shares), strict=True):  # a network draws skin instead
        own = spread(crop, known * smoothstep(kind, 0.5, 0.9) + 1e-6 * known, 0.03 * distance)
        fill = fill + (near * smoothstep(share, *GOES_ON))[..., None] * (own - fill)
    return fill


def _shows_eyes(crop: np.ndarray, after: np.ndarray, eyes: np.ndarray, behind: np.ndarray, skin: np.ndarray) -> bool:
    """Whether lenses show both eyes as they are.

    Args:
        eyes: where lenses show eyes, (S, S) in [0, 1].
        behind: bool (S, S), skin that they show.
        skin: bool (S, S), other skin.
    """
    grey, half = luminance(crop), len(crop) // 2
    dimming = np.log((luminance(after) + 16) / (grey + 16))
    bright = float(np.median(grey[skin])) if skin.any() else 255.0
    areas, tints = [], []
    for side in (np.s_[:, :half], np.s_[:, half:]):
        eye = eyes[side] > 0.5
        if not eye.any() or np.quantile(grey[side][eye], 0.1) > GLARE * bright:
            return False
        areas.append(float(eyes[side][eye].sum()) / Head.mean(len(crop)).distance ** 2)
        tints.append(float(np.median(dimming[side][behind[side]])) if behind[side].any() else 0.0)
    return min(areas) > EYES[0] and max(areas) > EYES[1] and max(tints) < TINTED


def _frame(
    crop: np.ndarray, difference: np.ndarray, outside: np.ndarray, distance: float, seen: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Float (S, S) in [0, 1]: rims and bridge, along the outline and where the photo (S, S, 3) differs from skin."""
    inside, beyond = RIM
    line = np.clip((inside + beyond) / 2 * distance + 1 - np.abs(outside + (inside - beyond) / 2) * distance, 0, 1)
    thick, thin = (ridge(crop, width * distance) for width in (THICKEST, WIRE))
    difference = np.minimum(largest(np.abs(difference)), 1.3 * thick)
    strength = cv2.GaussianBlur(difference, (0, 0), len(outside) / 366)
    near = (outside > -BAND[0]) & (outside < BAND[1])
    # The photo's own brows.
    brow = smoothstep(seen["brows"], 0.4, 0.7) * (outside > beyond) * (1 - smoothstep(strength, *DARKER))
    share = np.maximum(line, near * smoothstep(strength, *DIFFERENT) * (1 - brow))
    wall = smoothstep(seen["background"], 0.7, 0.95) * smoothstep(outside, 0.0, 0.04)  # shows wires at most
    return share * (1 - wall * (1 - smoothstep(thin, *DIFFERENT)))


def _calm(after: np.ndarray, crop: np.ndarray, brows: np.ndarray, distance: float) -> np.ndarray:
    """A drawing (S, S, 3) without specks, and with brows no darker than those (S, S) that the photo shows itself."""
    after = cv2.medianBlur(after.clip(0, 255).astype(np.uint8), 5).astype(np.float32)
    grey, least, mean = luminance(crop), np.zeros(brows.shape, np.float32), Head.mean(len(brows))
    places, dark = [], []
    for side in (-1, 1):
        x, y = mean.middle + side * mean.axis / 2
        places.append(
            np.s_[: round(y - LASHES * distance), round(x - BESIDE * distance) : round(x + BESIDE * distance)]
        )
        own = brows[places[-1]] > 0.6
        if own.sum() > BROW * distance**2:
            dark.append(float(np.quantile(grey[places[-1]][own], 0.5)))
    for place, level in zip(places, dark * (2 // max(1, len(dark))), strict=False):  # brows are a pair
        least[place] = level
    least = np.asarray(cv2.GaussianBlur(least, (0, 0), 0.03 * distance))
    return after + cv2.GaussianBlur(np.clip(least - luminance(after), 0, None), (0, 0), 0.02 * distance)[..., None]


def _arms(
    crop: np.ndarray, body: np.ndarray, seen: Mapping[str, np.ndarray], turn: float, distance: float
) -> np.ndarray:
    """Bool (S, S): the arms between the lenses (S, S) and the ears, dark or bright lines over skin and hair."""
    smooth = cv2.GaussianBlur(luminance(crop), (0, 0), len(crop) / 427)
    kernel = np.ones((round(WIDEST * distance) | 1, 1), np.uint8)
    ridges = (
        cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, kernel) - smooth,
        smooth - cv2.morphologyEx(smooth, cv2.MORPH_OPEN, kernel),
    )
    person = sum(seen[name] for name in ("skin", "eyeglasses", "eyes", "brows", "mouth", "hair"))
    against = OUTSIDE * (person < 0.5) + IN_HAIR * (seen["hair"] > 0.5)
    result, half = np.zeros(body.shape, bool), len(crop) // 2
    for side in (-1, 1):
        lens = body.copy()
        lens[:, half:] &= side > 0
        lens[:, :half] &= side < 0
        rows, columns = np.nonzero(lens)
        length = distance * (0.06 + float(np.clip(LENGTH[0] - LENGTH[1] * turn * side, 0.05, LENGTH[2])))
        if len(rows) == 0:
            continue
        first = int((columns * side).max() * side) - side * round(0.06 * distance)
        along = first + side * np.arange(round(length))
        along = along[(along >= 0) & (along < len(crop))]
        starts = np.arange(int(rows.min() - 0.1 * distance), int(rows.min() + 0.5 * np.ptp(rows)) + 1)
        lines = [_line(ridge, against, along, starts) for ridge in ridges]
        (score, line), ridge = max(zip(lines, ridges, strict=True), key=lambda each: each[0][0])
        if score > max(CLEAR[0], CLEAR[1] * len(line)):
            _mark(result, ridge, line, along, 0.12 * distance)
    return result


def _line(ridge: np.ndarray, against: np.ndarray, along: np.ndarray, starts: np.ndarray) -> tuple[float, np.ndarray]:
    """How much speaks for the clearest straight line along a ridge (S, S), and its rows, for the first of the columns
    ``along``."""
    if len(along) == 0:
        return 0.0, starts[:0]
    rows = starts[:, None, None] + SLOPES[:, None] * np.arange(len(along))
    rows = np.rint(rows).astype(int).clip(0, len(ridge) - 1)
    clear = cv2.dilate(np.minimum(ridge, CONTRAST[1]), np.ones((3, 1))) - CONTRAST[0] - against
    speaks = (clear[rows, along] - STEEP * np.abs(SLOPES - USUAL_SLOPE)[:, None]).cumsum(axis=2)
    start, slope, end = np.unravel_index(speaks.argmax(), speaks.shape)
    return float(speaks[start, slope, end]), rows[start, slope, : end + 1]


def _mark(where: np.ndarray, ridge: np.ndarray, line: np.ndarray, along: np.ndarray, most: float) -> None:
    """Mark the pixels (S, S) of a ridge around a line, as far as it is clear and at most so many pixels up and down."""
    peaks = []
    for row, column in zip(line, along, strict=False):
        near = np.arange(max(0, row - 2), min(len(ridge), row + 3))
        peaks.append((int(near[ridge[near, column].argmax()]), column))
    heights = np.array([ridge[peak] for peak in peaks])
    middle = float(np.median(heights))
    gaps = np.convolve(heights < GAP[0] * middle, np.ones(GAP[1]), "valid") == GAP[1]
    begun = int((heights > middle).argmax())
    end = begun + int(gaps[begun:].argmax()) if gaps[begun:].any() else len(peaks)  # what follows is an ear
    least = max(6.0, 0.3 * middle)
    for row, column in peaks[:end]:
        where[row, column] = True
        for step in (-1, 1):
            there = row
            while 0 <= there < len(ridge) and abs(there - row) < most and ridge[there, column] > least:
                where[there, column] = True
                there += step


def _agreement(change: np.ndarray) -> np.ndarray:
    """Float (S, S) in [0, 1]: how likely a drawing shows the same as the photo, given their difference (S, S, 3)."""
    return np.exp(-((largest(np.abs(change)) / AGREED) ** 2))
