"""A bald head: the skull, drawn where hair was, in skin that goes on from the forehead, before the photo's background.

No network draws a head at the photo's resolution. The outline of the skull and its shading are those of real bald
heads. The tone and the grain of its skin come from the face, and what lies behind it from beside the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.filling import grain_of, repeated, spread
from stgan.photo.geometry import extent, transform
from stgan.photo.matte import WIDE, Silhouette, drawn, warped, window
from stgan.photo.skull import Skull, eye_frame, places, shading

MOST = 512  # pixels across the window at which slow colours are kept
STRIP_PIXELS = 1 << 17  # pixels changed at a time: floats of a strip stay in the processor's cache
DARK = 4.0  # levels: differences among darker pixels are noise
SHADE = (0.1, 0.22)  # logarithm of brightness by which skin in the shade of hair is darker than skin around
GRAIN = 0.75  # share of the grain of a face, which has pores
SOFT = 1.2  # pixels of the photo over which the outline changes
SHAVED = 0.5  # strength of an edit that leaves no hair outside of the skull; inside it is cropped
# Lengths are in eye distances.
SOFTEST = 0.012
FLUFF = 0.12  # around hair, where single strands and their shade show
CLOSE = 0.03  # likewise, at ears and clothes, which must not be lost
SHADED = 0.35  # likewise, on the forehead
FRINGE = 0.13  # from the hair, where skin has the shade of hair


def draw_scalp(
    rgb: np.ndarray,
    alignment: Alignment,
    size: int,
    silhouette: Silhouette,
    skin: np.ndarray,
    features: np.ndarray,
    strength: float = 1.0,
) -> np.ndarray:
    """The photo with a bald head: uint8 (H, W, 3).

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of crops of S = ``size`` pixels.
        silhouette: where the hair is.
        skin, features: float (W, W) in [0, 1], bare skin, and eyes, brows, mouth and glasses, in the same window.
        strength: from 1 on the head is bald. Below, hair is cropped ever less.
    """
    result, head = rgb.copy(), _Head.of(rgb, alignment, size, silhouette, skin, features)
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
class _Head:
    """A bald head and what lies behind it."""

    maps: np.ndarray  # float32 (G, G, 8): skin, background, distance inside the outline, where hair was
    placed: Alignment  # of the maps
    skin: np.ndarray  # grain, float32 (N, N) in levels
    behind: np.ndarray  # likewise, of the background
    softness: float  # of the outline, eye distances

    @classmethod
    def of(
        cls,
        rgb: np.ndarray,
        alignment: Alignment,
        size: int,
        silhouette: Silhouette,
        skin: np.ndarray,
        features: np.ndarray,
    ) -> "_Head":
        side = WIDE * size / alignment.scale  # of the window, in pixels of the photo
        grid = int(np.clip(round(side), 64, MOST))
        placed = window(alignment, size, WIDE, grid)
        photo, inside = drawn(rgb, placed, grid).astype(np.float32), _inside(rgb.shape, placed, grid)
        (x, y), distance = places(grid), eye_frame(grid)[1]
        hair, person, own, bare, features = (
            cv2.resize(each.astype(np.float32), (grid, grid), interpolation=cv2.INTER_LINEAR).clip(0, 1)
            for each in (silhouette.hair, silhouette.person, silhouette.own, skin, features)
        )
        across, up, edge = Skull.of(silhouette, skin).coordinates(x, y)
        from_hair, from_person, from_features = (
            _distances(share, level, distance) for share, level in ((hair, 0.3), (person, 0.1), (features, 0.3))
        )
        high = np.clip((y + 0.1) / 0.5, 0, 1)
        zone = 1 - _smoothstep(from_hair / (CLOSE + high * (FLUFF - CLOSE)), 0.5, 1.5)
        # A face that is turned goes on beyond the outline of a usual skull.
        zone *= 1 - np.clip(2 * bare * np.clip(-edge / 0.05, 0, 1) * np.clip(from_hair / CLOSE - 1, 0, 1), 0, 1)
        known = inside * np.clip(from_person / FLUFF - 0.5, 0, 1)
        clean = bare * inside * np.clip(from_hair / FRINGE - 0.5, 0, 1) * np.clip(from_features / 0.08 - 0.5, 0, 1)
        tone, shade = _toned(photo, clean, (across, up, y), distance)
        below_hair = np.clip(2 - 2 * from_hair / SHADED, 0, 1) * np.clip((y - 0.5) / 0.2, 0, 1)
        shade = cv2.GaussianBlur(shade * below_hair * bare, (0, 0), 0.04 * distance)
        zone = np.maximum(zone, np.clip(1.5 * shade, 0, 1)) * (1 - np.clip(2 * features, 0, 1)) * own
        maps = np.dstack([tone, spread(photo, known, 0.04 * distance), edge, zone]).astype(np.float32)
        skins = [clean * (y > 0.35), *(clean * (y < -0.2) * (way * x > 0.3) for way in (-1, 1))]
        walls = [known * (y > 0) * part for part in (x > 0.3, x < -0.3, np.abs(x) < 0.8)]
        skin_grain = _grain(rgb, placed, skins, 0.03 * distance)
        wall_grain = _grain(rgb, placed, walls, 1.5 * placed.scale)
        return cls(maps, placed, skin_grain, wall_grain, max(SOFTEST, SOFT * placed.scale / distance))

    def change(self, part: np.ndarray, corner: tuple[int, int], strength: float) -> np.ndarray:
        """What to add to a part (h, w, 3) of the photo whose upper left pixel is ``corner``: float32."""
        maps = warped(self.maps, self.placed.matrix, corner, part.shape)
        skull = _smoothstep(maps[..., 6], -self.softness, self.softness)
        share = maps[..., 7] * (skull * min(1.0, strength) + (1 - skull) * min(1.0, strength / SHAVED))
        skin, behind = (maps[..., first : first + 3] + repeated(grain, corner, part.shape)[..., None]
                        for first, grain in ((0, GRAIN * self.skin), (3, self.behind)))  # fmt: skip
        change: np.ndarray = share[..., None] * (behind + skull[..., None] * (skin - behind) - part)
        return change.astype(np.float32)


def _inside(shape: Sequence[int], placed: Alignment, grid: int) -> np.ndarray:
    """Float32 (G, G), 1 where the photo goes on."""
    pixels = np.stack(np.meshgrid(*[np.arange(grid, dtype=float)] * 2), axis=-1).reshape(-1, 2)
    pixels = transform(pixels, placed.inverse)
    inside = ((pixels >= 0) & (pixels <= (shape[1] - 1, shape[0] - 1))).all(axis=1)
    return inside.reshape(grid, grid).astype(np.float32)


def _toned(
    photo: np.ndarray, clean: np.ndarray, place: tuple[np.ndarray, np.ndarray, np.ndarray], distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Skin (G, G, 3) all over the head: a skull's shading, and what the clean skin of the face adds to it nearby.

    The forehead counts most. Where bangs hide it, the cheeks do. Also returns how much skin is in the shade, (G, G).
    """
    across, up, y = place
    usual = shading(across, up)
    sure = cv2.erode(np.clip(2 * clean - 1, 0, 1), np.ones((3, 3)), iterations=max(1, round(0.03 * distance)))
    trust = sure * (0.01 + 0.99 * np.clip((y - 0.1) / 0.4, 0, 1))
    own = np.log(photo + DARK) - usual
    aside = across.clip(-1, 1) - np.average(across, weights=trust + 1e-9)
    bright = own.mean(axis=2) - np.average(own.mean(axis=2), weights=trust + 1e-9)
    slope = (trust * aside * bright).sum() / ((trust * (aside**2 + 0.1)).sum() + 1e-9)  # of light from one side
    usual = usual + (slope * aside)[..., None]
    own -= (slope * aside)[..., None]
    shade = _smoothstep((spread(own, trust, 0.35 * distance) - own).mean(axis=2), *SHADE)
    return np.exp(spread(own, trust * (1 - shade), 0.08 * distance) + usual) - DARK, shade


def _distances(share: np.ndarray, level: float, unit: float) -> np.ndarray:
    """Float32 (G, G): distance, in units of so many pixels, to the nearest pixel with more than a share."""
    return cv2.distanceTransform((share <= level).astype(np.uint8), cv2.DIST_L2, 5) / np.float32(unit)


def _smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


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
    return min(found, key=lambda grain: (grain.size == 1, float(grain.std())))
