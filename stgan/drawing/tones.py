"""Which colour hair of each brightness takes, as tables: as a network drew it, or as hair of that colour has it."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stgan.photo.light import luminance

FINENESS = 4  # entries of the curve's table per level
TONES = 8  # of the hair, by brightness, whose colours are learned
TOE = 8.0  # levels: what is darker than this differs by noise alone
POWERS = (0.45, 1.3)  # of brightness: strands stay visible, and noise does not become strands
DARKEST = 12.0  # least brightness of the middle tone: black hair is not a hole
SHOULDER = 190.0  # level from which highlights are compressed
HIGHLIGHTS = 0.35  # of the middle tone's brightness: room for them on lighter hair, where the network draws flat hair
QUANTILES = (2, 10, 25, 50, 75, 90, 98)  # of brightness, percent
STEEPEST = (2.0, 1.4, 4.0)  # exponent of brightness at most: where hair becomes lighter, and least and most elsewhere
BRIGHTEST = (190.0, 222.0)  # levels from which highlights of known tones are compressed, and to which


@dataclass(frozen=True)
class Tones:
    """The tones of a colour of hair: medians of CelebA-HQ's images. Networks draw little but their middle.

    Brightness is a logarithm, compared with the hair's median. Colours are ratios to green.
    """

    quantiles: tuple[float, ...]  # brightness at each of :data:`QUANTILES`
    steps: tuple[float, ...]  # brightness to which the colours belong
    red: tuple[float, ...]
    blue: tuple[float, ...]
    darkest: float  # least level of the median
    vivid: float = 0.0  # what is added to the exponent of the ratios where the median is as dark as CARAMEL[0]

    def table(self, before: np.ndarray, edited: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """As :func:`drawn_tones`. Hair keeps its order from dark to bright and has the tones' distribution."""
        chosen = weight > 0.3 * weight.max()
        middle = max(self.darkest, float(np.median(luminance(edited[chosen][None]))))
        logs = np.log(np.percentile(before[chosen], QUANTILES) + TOE) + 1e-4 * np.arange(len(QUANTILES))  # increases
        darker = np.exp(logs[len(logs) // 2]) / middle
        steepest = STEEPEST[0] if darker < 1 else np.clip(darker, *STEEPEST[1:])  # then no noise gains, in levels
        rises = np.minimum(np.diff(self.quantiles), steepest * np.diff(logs))
        marks = np.concatenate([[0], rises.cumsum()])
        marks -= marks[len(marks) // 2]
        levels = np.log(np.arange(256 * FINENESS) / FINENESS + TOE)
        tone = np.interp(levels, logs, marks)
        tone += 0.4 * np.minimum(levels - logs[0], 0) + 0.3 * np.maximum(levels - logs[-1], 0)
        curve = middle * np.exp(tone)
        above, room = np.maximum(curve - BRIGHTEST[0], 0), BRIGHTEST[1] - BRIGHTEST[0]
        curve += room * np.tanh(above / room) - above
        red, blue = self._ratios(tone, middle)
        green = curve / (0.299 * red + 0.587 + 0.114 * blue)
        return np.stack([red * green, green, blue * green], axis=1).astype(np.float32)

    def _ratios(self, tone: np.ndarray, middle: float) -> list[np.ndarray]:
        """Red and blue to green at each brightness, a logarithm to the ``middle`` level of the hair."""
        warmth = 1 + self.vivid * np.clip((CARAMEL[1] - middle) / (CARAMEL[1] - CARAMEL[0]), 0, 1)
        return [np.interp(tone, self.steps, ratios) ** warmth for ratios in (self.red, self.blue)]

    def lit(self, skin: np.ndarray) -> "Tones":
        """These tones in the light that gives the skin this colour, (3,): in warm light blond hair is golden, and it is
        nearly as bright as the skin."""
        red, blue = np.clip(skin[[0, 2]] / max(float(skin[1]), 1.0), *LIT)
        warmer, bluer = (red / USUAL_SKIN[0]) ** FOLLOWS[0], (blue / USUAL_SKIN[1]) ** FOLLOWS[1]
        ratios = np.array([self.red, self.blue]) * [[warmer], [bluer]]
        middle = np.array([np.interp(0, self.steps, each) for each in ratios])
        vivid = np.linspace(1, 0, 101)
        shown = np.stack([1 + vivid * (middle[0] - 1), np.ones(101), 1 + vivid * (middle[1] - 1)], axis=1)
        shown *= MIDDLE / (shown @ (0.299, 0.587, 0.114))[:, None]
        chroma = np.linalg.norm(
            cv2.cvtColor((shown[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0, :, 1:], axis=1
        )
        red, blue = 1 + vivid[np.argmax(chroma <= MOST_VIVID)] * (ratios - 1)
        around = float(skin @ (0.299, 0.587, 0.114))
        darkest = max(self.darkest, float(np.clip(DARK_BLOND, OF_SKIN[0] * around, OF_SKIN[1] * around)))
        return replace(self, red=tuple(red.tolist()), blue=tuple(blue.tolist()), darkest=darkest)

    def weakened(self, image: np.ndarray, hair: np.ndarray, share: float) -> "Tones":
        """These tones for an edit that is not whole: their least level is a share of the way from that of the hair.

        ``hair``: (S, S) in [0, 1], where it is in a crop float (S, S, 3).
        """
        if share >= 1 or not (hair > 0.5).any():
            return self
        now = float(np.median(luminance(image)[hair > 0.5]))
        return replace(self, darkest=min(self.darkest, now + share * (self.darkest - now)))

    def hued(self, image: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """A crop float (S, S, 3) in [0, 255] with mostly the hue of these tones where ``weight`` (S, S) is.

        Networks draw skin that shone through dark strands in pink, and some strands green.
        """
        chosen = weight > 0.5
        if not chosen.any():
            return image
        bright = luminance(image)
        middle = float(np.median(bright[chosen]))
        red, blue = self._ratios(np.log((bright.clip(0) + TOE) / (middle + TOE)), middle)
        hue = np.dstack([red, np.ones_like(red), blue]) * (bright / (0.299 * red + 0.587 + 0.114 * blue))[..., None]
        return image + (CALM * weight)[..., None] * (hue - image)


# Of blond people in CelebA-HQ's training images.
USUAL_SKIN = (1.31, 0.84)  # red and blue as ratios to green
DARK_BLOND = 120.0  # level of their hair that three in four exceed
OF_SKIN = (0.8, 0.92)  # brightness of their hair over that of the skin, median, and what three in ten exceed
FOLLOWS = (0.32, 1.0)  # exponents by which those of hair follow them
LIT = ((1.2, 0.75), (1.5, 0.95))  # least and most of both: other skin tells nothing about the light
CALM = 0.7  # share of other hues that drawn hair loses
MIDDLE, MOST_VIVID = 150.0, 33.0  # level, and chroma that tones have there at most: reddish skin is no warm light
BLONDEST = 30.0  # chroma of the median of blond hair: that of nine in ten people is below it

CARAMEL = (100.0, 160.0)  # levels of the median, between which blond hair is ever less vivid: dark and pale it is khaki

MEASURED = {
    # A little warmer than the median, which is taken in flashlight.
    "Blond_Hair": Tones(
        (-0.97, -0.54, -0.25, 0.0, 0.18, 0.3, 0.4), (-0.75, -0.4, 0.0, 0.15, 0.28),
        (1.55, 1.39, 1.29, 1.21, 1.15), (0.59, 0.65, 0.69, 0.74, 0.78), 90.0, 0.3,
    ),
    "Black_Hair": Tones(
        (-1.01, -0.65, -0.37, 0.0, 0.44, 0.72, 1.11), (-0.5, 0.0, 0.3, 0.6, 1.1),
        (1.19, 1.17, 1.15, 1.13, 1.1), (0.84, 0.86, 0.88, 0.91, 0.93), 24.0,
    ),
}  # fmt: skip


def drawn_tones(before: np.ndarray, edited: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Float32 (256 * FINENESS, 3): the colour of edited hair (S, S, 3) for each luminance (S, S) of hair before.

    Brightness after is a power of the brightness before, so that light and shade keep their order and their shape far
    beyond the few tones of a small image. Its colour is that of edited hair of this brightness.
    """
    chosen = weight > 0.3 * weight.max()
    before, colours = before[chosen], edited[chosen]
    after = luminance(colours[None])[0]
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
    bright = luminance(tones[None])[0] + 1e-3 * np.arange(TONES)  # increases
    painted = np.stack([np.interp(curve, bright, tones[:, channel]) for channel in range(3)], axis=1)
    # Beyond the tones that the network drew, colour stays in proportion to brightness.
    painted *= (curve / np.maximum(np.interp(curve, bright, bright), 1))[:, None]
    return painted.astype(np.float32)


def no_more_vivid(image: np.ndarray, weight: np.ndarray, most: float) -> np.ndarray:
    """A crop float (S, S, 3) in [0, 255] whose colours, where ``weight`` (S, S) is, are at most so vivid in the median.

    ``most``: chroma in CIELAB.
    """
    chosen = weight > 0.5
    if not chosen.any():
        return image
    lab = cv2.cvtColor(image.clip(0, 255).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    vivid = float(np.median(np.linalg.norm(lab[chosen][:, 1:], axis=1)))
    if vivid <= most:
        return image
    calm = np.dstack([lab[..., :1], lab[..., 1:] * (most / vivid)]).astype(np.float32)
    return image + weight[..., None] * (255 * cv2.cvtColor(calm, cv2.COLOR_LAB2RGB) - image)


def looked_up(table: np.ndarray, luminance: np.ndarray) -> np.ndarray:
    return table.take((luminance * FINENESS).astype(np.int32), axis=0, mode="clip")  # faster than an index
