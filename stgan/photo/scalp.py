"""A bald head: the skull, drawn where hair was, in skin that goes on from the forehead, before the photo's background.

No network draws a head at the photo's resolution. The outline of the skull and its shading are those of real bald
heads. The tone and the grain of its skin come from the face, and what lies behind it from beside the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.filling import continued, grain_of, repeated, spread
from stgan.photo.geometry import extent, smoothstep, transform
from stgan.photo.matte import WIDE, Silhouette, drawn, warped, window
from stgan.photo.skull import CHANNELS, Skull, eye_frame, hidden_ears, places, shading

MOST = 512  # pixels across the window at which slow colours are kept
STRIP_PIXELS = 1 << 17  # pixels changed at a time: floats of a strip stay in the processor's cache
DARK = 4.0  # levels: differences among darker pixels are noise
SHADE = (0.08, 0.18)  # logarithm of brightness by which skin in the shade of hair is darker than skin around
GRAIN = 0.75  # share of the grain of a face, which has pores
SOFT = 1.2  # pixels of the photo over which the outline changes
SHAVED = 0.5  # strength of an edit that leaves no hair outside of the skull; inside it is cropped
# Lengths are in eye distances.
SOFTEST = 0.012
FLUFF = 0.12  # around hair, where single strands and their shade show
CLOSE, CLOSER = 0.03, 0.08  # likewise, at ears that show, and on cheeks where hair hides the ear
FRINGE = 0.13  # from the hair, where skin has the shade of hair
SHADED = 0.5  # likewise, on the forehead, where such a shade goes with the hair
JOINED = 0.35  # from a cheek, where skin goes on from it
CHEEKS = (0.2, 0.5)  # heights above which it does so no more
NEARBY = 0.6  # from the hair, within which walls are told apart by their colours
NECK = 0.6  # half its width, where hair hides it
THICKNESS = (0.08, 0.16)  # of the hair at the sides of a head, which stays, outside of the skull
WREATH = ((0.2, 1.2), (0.8, 1.06))  # heights, and how far from the middle it begins there, in half widths of the skull
THIN = 0.12  # likewise, on both sides of where it begins, over which it grows denser
CROWN = (0.2, 0.9)  # heights over which it becomes shorter upwards
EARS = (-0.6, 0.6)  # heights
NAPE = (-0.75, -0.45)  # heights below which it ends
BORDER = 0.1  # difference of shares over which clothes, neck and wall meet


def draw_scalp(
    rgb: np.ndarray,
    alignment: Alignment,
    size: int,
    silhouette: Silhouette,
    skin: np.ndarray,
    features: np.ndarray,
    strength: float = 1.0,
    sides: bool = False,
    into: np.ndarray | None = None,
) -> np.ndarray:
    """The photo with a bald head: uint8 (H, W, 3).

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of crops of S = ``size`` pixels.
        silhouette: where the hair is.
        skin, features: float (W, W) in [0, 1], bare skin, and eyes, brows, mouth and glasses, in the same window.
        strength: from 1 on the head is bald. Below, hair is cropped ever less.
        sides: whether the hair at the sides stays, close to the skull, as on most men who are bald.
        into: the same pixels, which may be changed. None: they are copied.
    """
    view = _View.of(rgb, alignment, size, silhouette, skin, features, sides)
    head, result = _Head.of(rgb, view), rgb.copy() if into is None else into
    rows, columns = (np.nonzero((head.maps[..., -1] > 0).any(axis=axis))[0] for axis in (1, 0))
    if len(rows) == 0:
        return result
    box = (columns[0] - 1, rows[0] - 1, columns[-1] + 1, rows[-1] + 1)
    left, top, right, bottom = extent(head.placed.matrix, box, rgb.shape, margin=0)
    height = max(1, STRIP_PIXELS // (right - left))
    for row in range(top, bottom, height):
        strip = result[row : min(row + height, bottom), left:right]
        change = head.change(strip, (left, row), strength)
        strip[...] = cv2.add(strip, change, dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


@dataclass(frozen=True)
class _View:
    """The window around a head on a grid: float32 (G, G, ...) maps."""

    placed: Alignment
    photo: np.ndarray  # levels
    inside: np.ndarray  # 1 where the photo goes on
    x: np.ndarray  # places, as in :mod:`stgan.photo.skull`
    y: np.ndarray
    distance: float  # of the eyes, pixels of the grid
    hair: np.ndarray  # in [0, 1], as are the following
    person: np.ndarray
    own: np.ndarray
    clothes: np.ndarray
    skin: np.ndarray
    features: np.ndarray
    from_hair: np.ndarray  # distance in eye distances
    skull: Skull
    hidden: list[int]  # sides of hidden ears
    sides: bool  # whether hair stays there

    @classmethod
    def of(
        cls,
        rgb: np.ndarray,
        alignment: Alignment,
        size: int,
        silhouette: Silhouette,
        skin: np.ndarray,
        features: np.ndarray,
        sides: bool,
    ) -> "_View":
        side = WIDE * size / alignment.scale  # of the window, in pixels of the photo
        grid = int(np.clip(round(side), 64, MOST))
        placed, distance = window(alignment, size, WIDE, grid), eye_frame(grid)[1]
        clothes = np.zeros_like(silhouette.hair) if silhouette.clothes is None else silhouette.clothes
        hair, person, own, clothes, skin_map, features = (
            cv2.resize(each.astype(np.float32), (grid, grid), interpolation=cv2.INTER_LINEAR).clip(0, 1)
            for each in (silhouette.hair, silhouette.person, silhouette.own, clothes, skin, features)
        )
        x, y = places(grid)
        return cls(
            placed, drawn(rgb, placed, grid).astype(np.float32), _inside(rgb.shape, placed, grid), x, y, distance, hair,
            person, own, clothes, skin_map, features, _distances(hair, 0.3, distance), Skull.of(silhouette, skin),
            [] if sides else hidden_ears(silhouette, skin), sides,
        )  # fmt: skip

    def clean(self) -> np.ndarray:
        """Skin without shade of hair and without features."""
        from_features = _distances(self.features, 0.3, self.distance)
        far = np.clip(self.from_hair / FRINGE - 0.5, 0, 1) * np.clip(from_features / 0.08 - 0.5, 0, 1)
        return self.skin * self.inside * far

    def toned(self, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Skin (G, G, 3) all over the head: a skull's shading, and what the clean skin of the face adds to it nearby.

        The forehead counts most. Where bangs hide it, the cheeks do. Also returns how much skin is in the shade.
        """
        across, up, _ = self.skull.coordinates(self.x, self.y)
        usual, own = shading(across, up), np.log(self.photo + DARK)
        times = max(1, round(0.03 * self.distance))
        trust: np.ndarray = cv2.erode(np.clip(2 * clean - 1, 0, 1), np.ones((3, 3)), iterations=times)
        trust *= 0.01 + 0.99 * np.clip((self.y - 0.1) / 0.4, 0, 1)
        own -= usual
        aside = across.clip(-1, 1) - np.average(across, weights=trust + 1e-9)
        bright = own.mean(axis=2) - np.average(own.mean(axis=2), weights=trust + 1e-9)
        slope = (trust * aside * bright).sum() / ((trust * (aside**2 + 0.1)).sum() + 1e-9)  # of light from one side
        slope = (slope * aside)[..., None]
        shade = smoothstep((spread(own - slope, trust, 0.35 * self.distance) - own + slope).mean(axis=2), *SHADE)
        slow = spread(own - slope, trust * (1 - shade), 0.08 * self.distance)
        return np.exp(slow + usual + slope) - DARK, shade

    def joined(self, tone: np.ndarray, zone: np.ndarray) -> np.ndarray:
        """Skin (G, G, 3) as :meth:`toned` gives it, which beside the cheeks goes on from what stays of them.

        Cheeks are darker towards their border, so that other skin beside them would frame them like a mask.
        """
        stays = self.skin * self.inside * (1 - zone) * (1 - np.clip(2 * self.features, 0, 1))
        apart = np.log(np.maximum(self.photo, 0) + DARK) - np.log(np.maximum(tone, 0) + DARK)
        near = np.exp(-np.square(_distances(stays, 0.5, self.distance) / JOINED)) * (1 - smoothstep(self.y, *CHEEKS))
        change = spread(apart, stays, 0.03 * self.distance) * near[..., None]
        return (tone + DARK) * np.exp(change) - DARK

    def replaced(self, edge: np.ndarray, shade: np.ndarray) -> np.ndarray:
        """Where the photo gives way, in [0, 1]: hair with what is around it, but no features and no ears."""
        close = np.where(np.isin(np.sign(self.x), self.hidden), CLOSER, CLOSE)
        soft = np.maximum(np.clip((self.y + 0.1) / 0.5, 0, 1), 1 - np.clip(3 * self.skin, 0, 1))  # forehead or wall
        hair = 1 - smoothstep(self.from_hair / (close + soft * (FLUFF - close)), 0.5, 1.5)
        # A face that is turned goes on beyond the outline of a usual skull.
        face = self.skin * np.clip(-edge / 0.05, 0, 1) * np.clip(self.from_hair / CLOSE - 1, 0, 1)
        below = np.clip(2 - 2 * self.from_hair / SHADED, 0, 1) * np.clip((self.y - 0.42) / 0.1, 0, 1) * self.skin
        shade = cv2.GaussianBlur(shade * below, (0, 0), 0.04 * self.distance)
        both = np.maximum(hair * (1 - np.clip(2 * face, 0, 1)), np.clip(1.5 * shade, 0, 1))
        return both * (1 - np.clip(2 * self.features, 0, 1)) * self.own * (1 - self.wreath(edge))

    def to_the_ears(self, edge: np.ndarray) -> np.ndarray:
        """The distance inside of the skull (G, G), which reaches to the ears that show: hair was in between."""
        bridged = edge
        for way in (-1, 1):
            ear = (self.skin > 0.5) & (edge < 0) & (way * self.x > 0) & (self.y > EARS[0]) & (self.y < EARS[1])
            outwards = ear[:, ::-way]
            between = np.logical_or.accumulate(outwards, axis=1)[:, ::-way] & (edge < 0) & (way * self.x > 0)
            soft = cv2.GaussianBlur(between.astype(np.float32), (0, 0), 0.02 * self.distance)
            bridged = np.maximum(bridged, np.where(soft > 0, 4 * SOFTEST * (soft - 0.5), -np.inf))
        return bridged.astype(np.float32)

    def wreath(self, edge: np.ndarray) -> np.ndarray:
        """The share of the hair that stays at the sides, in [0, 1], given the distance inside of the skull."""
        if not self.sides:
            return np.zeros_like(edge)
        across, _, _ = self.skull.coordinates(self.x, self.y)
        dense = smoothstep(np.abs(across) - np.interp(self.y, *WREATH), -THIN, THIN)
        thin = 1 - 0.9 * smoothstep(self.y, *CROWN)
        return self.hair * dense * smoothstep(self.y, *NAPE) * (1 - smoothstep(-edge / thin, *THICKNESS))

    def behind(self, known: np.ndarray) -> np.ndarray:
        """What lies behind the hair, (G, G, 3): wall, clothes or neck, each in its colours up to a border.

        ``known``: in [0, 1], where no hair is near.
        """
        neck = self.person * (1 - np.clip(self.hair + self.skin + self.features, 0, 1)) * (self.y < -0.8)
        kinds = ((1 - self.person) * (1 - self.clothes), self.clothes, neck)
        wall, clothes, neck, x, photo = (  # at half the resolution: what nobody knows has no detail
            cv2.resize(each, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            for each in (*(known * np.clip(2 * each - 1, 0, 1) for each in kinds), self.x, self.photo)
        )
        distance = 0.5 * self.distance
        shares = spread(np.dstack([wall, clothes, neck]), np.maximum(wall + clothes + neck, 1e-6), 0.1 * distance)
        result = continued(photo, wall, 0.04 * distance, NEARBY * distance)
        narrow = smoothstep(NECK - np.abs(x - self.skull.middle), -0.02, 0.02)
        for part, number, most in ((clothes, 1, 1.0), (neck, 2, narrow)):
            if part.max() > 0.5:
                others = np.delete(shares, number, axis=2).max(axis=2)
                cover = most * smoothstep(shares[..., number] - others, -BORDER, BORDER)
                result = result + cover[..., None] * (spread(photo, part, 0.04 * distance) - result)
        return cv2.resize(result.astype(np.float32), self.hair.shape[::-1], interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class _Head:
    """A bald head and what lies behind it."""

    maps: np.ndarray  # float32 (G, G, 8): skin, background, distance inside the outline, where hair was
    placed: Alignment  # of the maps
    skin: np.ndarray  # grain, float32 (N, N, 3) in levels
    behind: np.ndarray  # likewise, of the background
    softness: float  # of the outline, eye distances

    @classmethod
    def of(cls, rgb: np.ndarray, view: _View) -> "_Head":
        _, _, edge = view.skull.coordinates(view.x, view.y)
        clean = view.clean()
        tone, shade = view.toned(clean)
        zone = view.replaced(edge, shade)
        tone = view.joined(tone, zone)
        edge = edge if view.sides else view.to_the_ears(edge)
        for way in view.hidden:
            inner, dark = view.skull.ear(view.x, view.y, way)
            tone = tone * np.exp(np.clip(0.5 + inner / SOFTEST, 0, 1)[..., None] * dark[..., None] * CHANNELS)
            edge = np.maximum(edge, inner)
        known = view.inside * np.clip(view.from_hair / FLUFF - 0.5, 0, 1)
        maps = np.dstack([tone, view.behind(known), edge, zone]).astype(np.float32)
        x, y, wall = view.x, view.y, known * (1 - view.person) * (view.y > 0)
        skin = _grain(
            rgb, view.placed, [clean * (y > 0.35), clean * (y < -0.2) * (x > 0.3), clean * (y < -0.2) * (x < -0.3)],
            0.03 * view.distance,
        )  # fmt: skip
        behind = _grain(
            rgb, view.placed, [wall * (x > 0.3), wall * (x < -0.3), wall * (np.abs(x) < 0.8)], 3 * view.placed.scale
        )
        return cls(maps, view.placed, skin, behind, max(SOFTEST, SOFT * view.placed.scale / view.distance))

    def change(self, part: np.ndarray, corner: tuple[int, int], strength: float) -> np.ndarray:
        """What to add to a part (h, w, 3) of the photo whose upper left pixel is ``corner``: float32."""
        maps = warped(self.maps, self.placed.matrix, corner, part.shape)
        skull = smoothstep(maps[..., 6], -self.softness, self.softness)
        share = maps[..., 7] * (skull * min(1.0, strength) + (1 - skull) * min(1.0, strength / SHAVED))
        skin, behind = (maps[..., first : first + 3] + repeated(grain, corner, part.shape)
                        for first, grain in ((0, GRAIN * self.skin), (3, self.behind)))  # fmt: skip
        change: np.ndarray = share[..., None] * (behind + skull[..., None] * (skin - behind) - part)
        return change.astype(np.float32)


def _inside(shape: Sequence[int], placed: Alignment, grid: int) -> np.ndarray:
    """Float32 (G, G), 1 where the photo goes on."""
    pixels = np.stack(np.meshgrid(*[np.arange(grid, dtype=float)] * 2), axis=-1).reshape(-1, 2)
    pixels = transform(pixels, placed.inverse)
    inside = ((pixels >= 0) & (pixels <= (shape[1] - 1, shape[0] - 1))).all(axis=1)
    return inside.reshape(grid, grid).astype(np.float32)


def _distances(share: np.ndarray, level: float, unit: float) -> np.ndarray:
    """Float32 (G, G): distance, in units of so many pixels, to the nearest pixel with more than a share."""
    return cv2.distanceTransform((share <= level).astype(np.uint8), cv2.DIST_L2, 5) / np.float32(unit)


def _grain(rgb: np.ndarray, placed: Alignment, areas: Sequence[np.ndarray], sigma: float) -> np.ndarray:
    """The faintest of the grains in the largest circles of some areas (G, G); ``sigma`` in pixels of the grid."""
    found = []
    for area in areas:
        depth = cv2.distanceTransform(np.pad((area > 0.8).astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        radius = min(0.7 * float(depth[row, column]), 128 * placed.scale)
        box = (column - radius, row - radius, column + radius, row + radius)
        left, top, right, bottom = extent(placed.matrix, box, rgb.shape, margin=0)
        found.append(grain_of(rgb[top:bottom, left:right], sigma / placed.scale))
    return min(found, key=lambda grain: (len(grain) == 1, float(grain.std())))
