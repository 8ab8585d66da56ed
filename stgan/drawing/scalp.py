"""A bald head: the skull, drawn where hair was, in skin that goes on from the forehead, before the photo's background.

No network draws a head at the photo's resolution. The outline of the skull and its shading are those of real bald
heads. The tone and the grain of its skin come from the face, and what lies behind it from beside the head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from stgan.drawing.behind import Backdrop
from stgan.drawing.ears import Ear, hidden_ears, width_of_ear
from stgan.drawing.filling import TILE, fine_of, grain_like, repeated, spread
from stgan.drawing.skull import CHANNELS, Skull, eye_frame, places, shading
from stgan.photo.align import Alignment
from stgan.photo.geometry import extent, smoothstep, transform
from stgan.photo.matte import WIDE, Silhouette, drawn, warped, window

MOST = 512  # pixels across the window at which slow colours are kept
STRIP_PIXELS = 1 << 17  # pixels changed at a time: floats of a strip stay in the processor's cache
DARK = 4.0  # levels: differences among darker pixels are noise
FEWEST = 50  # pixels of a forehead that tell how it shines
# Logarithm of brightness by which the brightest skin differs where none shines, and at most.
DULL, SHINIEST = 0.08, 0.22
SHINES = 0.45  # from the middle to the shine, at most, in half widths of the skull
WHITE = np.array([0.8, 1.0, 1.2], np.float32)  # the same in red, green and blue
SHADE = (0.08, 0.18)  # logarithm of brightness by which skin in the shade of hair is darker than skin around
GRAIN = 0.75  # share of the grain of a face, which has pores
COARSEST = 1.5  # grain of a wall as a multiple of the skin's, at most
LETTERS = (2.0, 0.6)  # multiple from which it is letters, or strands, and that of the grain of most walls, at most
SOFT = 1.2  # pixels of the photo over which the outline changes
SHAVED = 0.5  # strength of an edit that leaves no hair outside of the skull; inside it is cropped
# Lengths are in eye distances.
SOFTEST = 0.012
FLUFF = 0.12  # around hair, where single strands and their shade show
DOWN = 0.08  # more than that on the forehead, where short hair grows
CLOSE, CLOSER = 0.03, 0.08  # likewise, at ears that show, and on cheeks where hair hides the ear
FRINGE = 0.13  # from the hair, where skin has the shade of hair
TOUCHED = (0.02, 0.09)  # from the hair, within which brows are parts of strands
SHADED = 0.5  # likewise, on the forehead, where such a shade goes with the hair
OWN_TONE = 0.5  # likewise, within which a scalp has the tone of the skin next to it; beyond it is that of the face
LOOSE = (-1.2, 0.5)  # height above which, and distance from the hair within which ears may show between strands
TEMPLE = (0.93, 0.1)  # half widths of the skull, and height, from where a face goes down to what shows of it
CORNERS = (0.45, 0.65)  # heights
FACE = (1.02, 0.95)  # half its width, in half widths of the skull, where hair hides the ear, and where it shows
JAW, TAPER = (0.3, 1.2), 0.2  # depths below the eyes over which a face becomes narrower than a skull, and by how much
DARKEST = ((-0.3, 0.1), (-0.7, -0.2))  # heights, and the logarithm of brightness down to which skin goes on from there
HUE = 0.15  # likewise, by which its channels may differ from their mean
HAIRLINE = ((0.0, 0.4, 0.62, 0.8, 0.93, 1.0), (1.05, 1.02, 1.0, 0.5, 0.1, -0.1))  # heights, from middle to side
WAVY = 0.05  # by which it varies
STUBBLE = 0.2  # logarithm of brightness that a scalp loses to the roots of hair that is much darker
DARK_HAIR = 1.4  # logarithm of brightness by which such hair is darker
COOL = np.array([1.15, 1.0, 0.8], np.float32)  # what the channels lose of that in fair skin
FAIR = (125.0, 185.0)  # mean levels from which skin is fairer than brown, and fair
BROWN = 0.4  # share of the shadow that shows on brown skin, all channels alike
MOTTLE = ((0.01, 0.03), (0.011, 0.07), (0.018, 0.2))  # logarithm of brightness by which skin varies, and over what
DOT, DOTS, FINE = 0.005, 0.25, 150  # size of a root, its strength, and pixels of an eye distance that show all of it
FAR_EAR = 0.5  # share of its width that a head shows as it turns, below which it hides an ear
EAR_TONE = np.array([0.1, 0.05, 0.06], np.float32)  # logarithm of brightness; an ear faces the light
AROUND, SHADOW = 0.2, (0.14, 0.3)  # around a place, and logarithm of brightness by which shade of hair is darker
JOINED = 0.35  # from a cheek, where skin goes on from it
CHEEKS = (-0.1, 0.35)  # heights above which it does so no more
NECK, FLARE = 0.74, 0.2  # half its width, where hair hides it, and by how much it is wider at the shoulders
THROAT = (0.8, 1.0)  # depths below the eyes from which a neck may show
SHOULDERS = (-2.55, -1.75)  # heights over which it becomes so
EARS = (-1.0, 0.35)  # heights
REACH = ((-0.6, -0.2), (0.2, 0.5))  # heights, and how far beside the skull skin is an ear
BORDER = 0.1  # difference of shares over which clothes, neck and wall meet


def draw_scalp(
    rgb: np.ndarray,
    alignment: Alignment,
    size: int,
    silhouette: Silhouette,
    skin: np.ndarray,
    features: np.ndarray,
    strength: float = 1.0,
    into: np.ndarray | None = None,
) -> np.ndarray:
    """The photo with a bald head: uint8 (H, W, 3).

    Args:
        rgb: uint8 (H, W, 3).
        alignment: of crops of S = ``size`` pixels.
        silhouette: where the hair is.
        skin, features: float (W, W) in [0, 1], bare skin, and eyes, brows, mouth and glasses, in the same window.
        strength: from 1 on the head is bald. Below, hair is cropped ever less.
        into: the same pixels, which may be changed. None: they are copied.
    """
    view = _View.of(rgb, alignment, size, silhouette, skin, features)
    head, result = _Head.of(rgb, view), rgb.copy() if into is None else into
    rows, columns = (np.nonzero((head.maps[..., 7] > 0).any(axis=axis))[0] for axis in (1, 0))
    if len(rows) == 0:
        return result
    box = (columns[0] - 1, rows[0] - 1, columns[-1] + 1, rows[-1] + 1)
    left, top, right, bottom = extent(head.placed.matrix, box, rgb.shape, margin=0)
    height = max(1, STRIP_PIXELS // (right - left))
    for row in range(top, bottom, height):
        strip = result[row : min(row + height, bottom), left:right]
        change = head.change(rgb, strip, (left, row), strength)
        strip[...] = cv2.add(strip, change, dtype=cv2.CV_8U)  # rounds, so zero change stays zero
    return result


def apart_from_hair(brows: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Brows (W, W) without ends that hair (W, W) hangs over, in the same window: they would stay as spots."""
    return brows * smoothstep(_distances(hair, 0.3, eye_frame(len(hair))[1]), *TOUCHED)


@dataclass(frozen=True)
class _View:
    """The window around a head on a grid: float32 (G, G, ...) maps."""

    placed: Alignment
    photo: np.ndarray  # levels
    inside: np.ndarray  # 1 where the photo goes on
    x: np.ndarray  # places, as in :mod:`stgan.drawing.skull`
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

    @classmethod
    def of(
        cls,
        rgb: np.ndarray,
        alignment: Alignment,
        size: int,
        silhouette: Silhouette,
        skin: np.ndarray,
        features: np.ndarray,
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
        skull = Skull.of(silhouette, skin)
        return cls(
            placed, drawn(rgb, placed, grid).astype(np.float32), _inside(rgb.shape, placed, grid), x, y, distance, hair,
            person, own, clothes, skin_map, features, _distances(hair, 0.3, distance), skull,
            hidden_ears(skull, silhouette, skin),
        )  # fmt: skip

    @cached_property
    def on_the_skull(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As :meth:`Skull.coordinates`."""
        return self.skull.coordinates(self.x, self.y)

    def clean(self) -> np.ndarray:
        """Skin without shade of hair and without features."""
        from_features = _distances(self.features, 0.3, self.distance)
        far = np.clip(self.from_hair / FRINGE - 0.5, 0, 1) * np.clip(from_features / 0.08 - 0.5, 0, 1)
        return self.skin * self.inside * far

    def toned(self, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Skin (G, G, 3) all over the head: a skull's shading, and what the clean skin of the face adds to it nearby.

        The forehead counts most. Where bangs hide it, the cheeks do. Also returns how much skin is in the shade.
        """
        across, up, _ = self.on_the_skull
        usual, own = shading(across, up), np.log(self.photo + DARK)
        times = max(1, round(0.03 * self.distance))
        trust: np.ndarray = cv2.erode(np.clip(2 * clean - 1, 0, 1), np.ones((3, 3)), iterations=times)
        everywhere = trust * (0.25 + 0.75 * np.clip((self.y + 0.1) / 0.4, 0, 1)) + 1e-9
        trust *= 0.01 + 0.99 * np.clip((self.y - 0.1) / 0.4, 0, 1)
        own -= usual
        aside = across.clip(-1, 1) - np.average(across, weights=trust + 1e-9)
        bright = _grey(own) - np.average(_grey(own), weights=trust + 1e-9)
        slope = (trust * aside * bright).sum() / ((trust * (aside**2 + 0.1)).sum() + 1e-9)  # of light from one side
        slope = (slope * aside)[..., None]
        shade = smoothstep(_grey(spread(own - slope, trust, 0.35 * self.distance) - own + slope), *SHADE)
        trust = trust * (1 - shade)
        slow = spread(own - slope, trust, 0.08 * self.distance)
        face = np.average((own - slope).reshape(-1, 3), axis=0, weights=everywhere.ravel()).astype(np.float32)
        near = np.exp(-_distances(trust, 0.3, self.distance) / OWN_TONE)[..., None]
        shine = self.shine(clean, across, up)[..., None] * WHITE
        return np.exp(face + near * (slow - face) + usual + slope + shine) - DARK, shade

    def shine(self, clean: np.ndarray, across: np.ndarray, up: np.ndarray) -> np.ndarray:
        """Logarithm of the brightness (G, G) that a scalp has above a forehead that shines, on the same side."""
        forehead = (clean > 0.5) & (self.y > 0.25)
        if forehead.sum() < FEWEST:
            return np.zeros_like(across)
        bright = np.log(np.maximum(_grey(self.photo), 0) + DARK)
        usual, brightest = np.quantile(bright[forehead], (0.5, 0.97))
        aside = float(np.clip(np.median(across[forehead & (bright >= brightest)]), -SHINES, SHINES))
        amount = float(np.clip(brightest - usual - DULL, 0, SHINIEST))
        return amount * np.exp(-(((across - aside) / 0.3) ** 2) - ((up - 0.56) / 0.17) ** 2)

    def joined(self, tone: np.ndarray, zone: np.ndarray, ears: np.ndarray) -> np.ndarray:
        """Skin (G, G, 3) as :meth:`toned` gives it, which goes on from what stays of it beside the cheeks, and in the
        share (G, G) that is ears.

        Cheeks are darker towards their border, so that other skin beside them would frame them like a mask.
        """
        stays = self.skin * self.inside * (1 - zone) * (1 - np.clip(2 * self.features, 0, 1))
        apart = np.log(np.maximum(self.photo, 0) + DARK) - np.log(np.maximum(tone, 0) + DARK)
        level = _grey(apart)[..., None]
        around = spread(level, stays, AROUND * self.distance)
        stays = stays * (1 - smoothstep(around - level, *SHADOW))[..., 0]
        darkest = np.interp(self.y, *DARKEST)[..., None].astype(np.float32)
        apart = np.maximum(level, darkest) + (apart - level).clip(-HUE, HUE)  # of skin; the shade of hair is darker
        near = np.exp(-np.square(_distances(stays, 0.5, self.distance) / JOINED))
        near = near * np.maximum(1 - smoothstep(self.y, *CHEEKS), ears)
        change = spread(apart, stays, 0.03 * self.distance) * near[..., None]
        return (tone + DARK) * np.exp(change) - DARK

    def stubble(self, clean: np.ndarray, zone: np.ndarray) -> np.ndarray:
        """Logarithm of the brightness (G, G, 3) that skin loses where hair grew: cropped hair shows through it."""
        across, _, _ = self.on_the_skull
        hair = (self.hair > 0.9) & (self.from_hair <= 0) & (self.inside > 0)
        if not hair.any() or not (clean > 0.5).any():
            return np.zeros_like(self.photo)
        grey = _grey(self.photo)
        contrast = np.log(np.median(grey[clean > 0.5]) + DARK) - np.log(np.median(grey[hair]) + DARK)
        line = np.interp(np.abs(across), *HAIRLINE) + WAVY * self.noise(np.random.default_rng(1), 0.09)
        grown = smoothstep(self.y - line, -0.16, 0.2) * cv2.GaussianBlur(zone, (0, 0), 0.07 * self.distance)
        amount = STUBBLE * float(np.clip(contrast / DARK_HAIR, 0, 1))
        fair = float(smoothstep(np.median(grey[clean > 0.5]), *FAIR))
        return -amount * (BROWN + (1 - BROWN) * fair) * grown[..., None] * (1 + fair * (COOL - 1))

    def mottle(self) -> np.ndarray:
        """Logarithm of brightness (G, G, 3) by which skin varies from place to place."""
        random, result = np.random.default_rng(0), np.zeros_like(self.photo)
        for share, size in MOTTLE:
            for colour in ((1.0, 1.0, 1.0), (0.3, -0.4, -0.3)):
                result += share * self.noise(random, size)[..., None] * np.array(colour, np.float32)
        return result

    def noise(self, random: np.random.Generator, size: float) -> np.ndarray:
        """Numbers (G, G) with a deviation of about 1 that vary over so many eye distances; 0 if pixels are too few."""
        if size * self.distance < 1.5:
            return np.zeros_like(self.x)
        across = max(4, round(len(self.x) / (2 * size * self.distance)))
        coarse = random.normal(size=(across, across)).astype(np.float32)
        return cv2.resize(coarse, self.x.shape[::-1], interpolation=cv2.INTER_CUBIC)

    def replaced(self, edge: np.ndarray, shade: np.ndarray) -> np.ndarray:
        """Where the photo gives way, in [0, 1]: hair with what is around it, but no features and no ears."""
        beside_hidden = np.isin(np.sign(self.x), self.hidden)
        close = np.where(beside_hidden, CLOSER, CLOSE)
        soft = np.maximum(np.clip((self.y + 0.1) / 0.5, 0, 1), 1 - np.clip(3 * self.skin, 0, 1))  # forehead or wall
        around = close + soft * (FLUFF - close) + DOWN * self.skin * smoothstep(self.y, 0.4, 0.7)
        hair = 1 - smoothstep(self.from_hair / around, 0.5, 1.5)
        # A face that is turned goes on beyond the outline of a usual skull.
        face = self.skin * np.clip(-edge / 0.05, 0, 1) * np.clip(self.from_hair / CLOSE - 1, 0, 1)
        below = np.clip(2 - 2 * self.from_hair / SHADED, 0, 1) * np.clip((self.y - 0.42) / 0.1, 0, 1) * self.skin
        shade = cv2.GaussianBlur(shade * below, (0, 0), 0.04 * self.distance)
        both = np.maximum(hair * (1 - np.clip(2 * face, 0, 1)), np.clip(1.5 * shade, 0, 1))
        # What shows of an ear between strands goes with them: it is drawn anew.
        loose = self.skin * beside_hidden * (self.y > LOOSE[0]) * (self.from_hair < LOOSE[1])
        both = np.maximum(both, np.clip(2 * loose, 0, 1) * smoothstep(-edge, 0, 0.03))
        corner = self.skin * smoothstep(-edge, 0, 0.03) * smoothstep(self.y, *CORNERS)  # of a forehead beyond the skull
        return np.maximum(both, corner) * (1 - np.clip(2 * self.features, 0, 1)) * self.own

    def face(self) -> np.ndarray:
        """The distance inside of the face (G, G) without ears, in eye distances: it bulges where strands hide it."""
        widest = self.skull.across * np.where(np.isin(np.sign(self.x), self.hidden), *FACE)
        shape = (
            (self.skin + self.features > 0.5)
            & (np.abs(self.x - self.skull.middle) < widest)
            & (self.y < 0.6)
            & (self.y > -2)
        )
        count, pieces, sizes, _ = cv2.connectedComponentsWithStats(shape.astype(np.uint8))
        result = np.full(shape.shape, -np.inf, np.float32)
        if count < 2:
            return result
        rows, columns = np.nonzero(pieces == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax())
        temples = [(self.skull.middle + way * TEMPLE[0] * self.skull.across, TEMPLE[1]) for way in self.hidden]
        places = [((x - self.x[0, 0]) * self.distance, (self.y[0, 0] - y) * self.distance) for x, y in temples]
        points = np.concatenate([np.stack([columns, rows], axis=1), np.reshape(places, (-1, 2))])
        hull = cv2.convexHull(np.rint(points).astype(np.int32))
        inside = cv2.fillConvexPoly(np.zeros(shape.shape, np.uint8), hull, 1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        return cv2.GaussianBlur(depth, (0, 0), 0.03 * self.distance) / np.float32(self.distance)

    def to_the_ears(self, edge: np.ndarray) -> np.ndarray:
        """The distance inside of what joins the skull and the ears that show (G, G): hair was in between, and above."""
        joint = np.full_like(edge, -np.inf)
        for way in {-1, 1} - set(self.hidden):
            joint = np.maximum(joint, self.reaching(edge, self.ear(edge, way), way))
        return joint

    def ear(self, edge: np.ndarray, way: int) -> np.ndarray:
        """What shows of an ear beside a head, bool (G, G)."""
        ear = (self.skin > 0.5) & (edge < 0) & (edge > -np.interp(self.y, *REACH)) & (way * self.x > 0)
        return ear & (self.y > EARS[0]) & (self.y < EARS[1])

    def ears(self, edge: np.ndarray) -> list[Ear]:
        """Those that hair hides, wholly or in part, beside a head."""
        hidden = [Ear.hidden(self.skull, self.x, self.y, edge, way)
                  for way in self.hidden if width_of_ear(self.skull, way) > FAR_EAR]  # fmt: skip
        parts = [Ear.under_hair(self.skull, self.x, self.y, edge, self.ear(edge, way), self.hair, way)
                 for way in {-1, 1} - set(self.hidden)]  # fmt: skip
        return hidden + [ear for ear in parts if ear is not None]

    def reaching(self, edge: np.ndarray, ear: np.ndarray, way: int) -> np.ndarray:
        """The distance inside of what lies between a skull and an ear, bool (G, G), on the right (1) or the left."""
        beside = np.logical_or.accumulate(ear[:, ::-way], axis=1)[:, ::-way]
        between = (beside & (edge < 0.04) & (way * self.x > 0)).astype(np.float32)
        soft = cv2.GaussianBlur(between, (0, 0), 0.02 * self.distance)
        return np.where(soft > 0, 4 * SOFTEST * (soft - 0.5), -np.inf)

    def hole(self, zone: np.ndarray, edge: np.ndarray) -> np.ndarray:
        """Where a backdrop is wanted, bool (G, G): in the place of hair, and beside it, but not of a head or a neck."""
        bare = self.person - self.hair > 0.5
        return (_distances(zone, 0.02, self.distance) < 3 * FLUFF) & (edge < 0.03) & (~bare | (zone > 0.02))

    def neck(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The neck behind the hair, (G, G, 3), and its share (G, G) against wall and clothes."""
        neck = self.person * (1 - np.clip(self.hair + self.skin + self.features, 0, 1)) * (self.y < -0.8)
        kinds = ((1 - self.person) * (1 - self.clothes), self.clothes, neck)
        wall, clothes, neck = (known * np.clip(2 * each - 1, 0, 1) for each in kinds)
        shares = spread(np.dstack([wall, clothes, neck]), np.maximum(wall + clothes + neck, 1e-6), 0.1 * self.distance)
        aside = np.abs(self.x - self.skull.middle) / (
            NECK + FLARE * np.clip((SHOULDERS[1] - self.y) / (SHOULDERS[1] - SHOULDERS[0]), 0, 1) ** 2
        )
        narrow = smoothstep(1 - aside, -0.05, 0.05) * smoothstep(-self.y, *THROAT)
        cover = narrow * smoothstep(shares[..., 2] - shares[..., 1], -BORDER, BORDER) * float(neck.max() > 0.5)
        return spread(self.photo, neck, 0.04 * self.distance), cover


@dataclass(frozen=True)
class _Head:
    """A bald head and what lies behind it."""

    maps: np.ndarray  # float32 (G, G, 8): skin, background, distance inside the outline, where hair was
    placed: Alignment  # of the maps
    skin: np.ndarray  # grain, float32 (N, N, 3) in levels
    dots: np.ndarray  # float32 (N, N), of cropped hair
    behind: Backdrop
    wall: np.ndarray  # grain, likewise
    softness: float  # of the outline, eye distances

    @classmethod
    def of(cls, rgb: np.ndarray, view: _View) -> "_Head":
        _, _, edge = view.on_the_skull
        edge = np.maximum(edge - TAPER * smoothstep(-view.y, *JAW), view.face())
        clean = view.clean()
        tone, shade = view.toned(clean)
        zone = view.replaced(edge, shade)
        joint, drawn_ears = view.to_the_ears(edge), view.ears(edge)
        ears = smoothstep(joint, -SOFTEST, SOFTEST) * smoothstep(-edge, -0.05, 0.05)
        tone = view.joined(tone, zone, ears)
        edge = np.maximum(edge, joint)
        stubble = view.stubble(clean, zone) * (1 - ears[..., None])
        for ear in drawn_ears:
            inner, there, dark = ear.draw(view.x, view.y)
            stubble = stubble * (1 - there[..., None])
            tone = tone * np.exp(there[..., None] * (dark[..., None] * CHANNELS + EAR_TONE))
            edge = np.maximum(inner, edge)
        tone = (tone + DARK) * np.exp(stubble + view.mottle()) - DARK
        known = view.inside * np.clip(view.from_hair / FLUFF - 0.5, 0, 1)
        neck, cover = view.neck(known)
        shows = known * (view.person < 0.3)
        backdrop = Backdrop.of(view.photo, shows, view.hole(zone, edge), 1 - view.clothes, view.placed)
        maps = np.dstack([tone, neck, edge, zone, cover, -_grey(stubble)]).astype(np.float32)
        x, y = view.x, view.y
        skin = _grain(
            rgb, view.placed, [clean * (y > 0.35), clean * (y < -0.2) * (x > 0.3), clean * (y < -0.2) * (x < -0.3)],
            0.03 * view.distance,
        )  # fmt: skip
        wall = shows * (y > 0)
        wall = _grain(
            rgb, view.placed, [wall * (x > 0.3), wall * (x < -0.3), wall * (np.abs(x) < 0.8)], 3 * view.placed.scale
        )
        times = float(wall.std()) / max(float(skin.std()), 1e-6)
        wall *= (COARSEST if times < LETTERS[0] else LETTERS[1]) / max(times, COARSEST)
        dots = _dots(view.distance / view.placed.scale)
        return cls(
            maps, view.placed, skin, dots, backdrop, wall, max(SOFTEST, SOFT * view.placed.scale / view.distance)
        )

    def change(self, rgb: np.ndarray, part: np.ndarray, corner: tuple[int, int], strength: float) -> np.ndarray:
        """What to add to a part (h, w, 3) of the photo whose upper left pixel is ``corner``: float32."""
        maps = warped(self.maps, self.placed.matrix, corner, part.shape)
        skull = smoothstep(maps[..., 6], -self.softness, self.softness)
        share = maps[..., 7] * (skull * min(1.0, strength) + (1 - skull) * min(1.0, strength / SHAVED))
        grain = repeated(GRAIN * self.skin, corner, part.shape)
        behind = self.behind.over(corner, repeated(self.wall, corner, part.shape))
        behind += maps[..., 8:9] * (maps[..., 3:6] + grain - behind)
        dots = np.exp(maps[..., 9] * repeated(self.dots, corner, part.shape))
        skin = maps[..., :3] * dots[..., None] + grain
        change: np.ndarray = share[..., None] * (behind + skull[..., None] * (skin - behind) - part)
        return change.astype(np.float32)


def _inside(shape: Sequence[int], placed: Alignment, grid: int) -> np.ndarray:
    """Float32 (G, G), 1 where the photo goes on."""
    pixels = np.stack(np.meshgrid(*[np.arange(grid, dtype=float)] * 2), axis=-1).reshape(-1, 2)
    pixels = transform(pixels, placed.inverse)
    inside = ((pixels >= 0) & (pixels <= (shape[1] - 1, shape[0] - 1))).all(axis=1)
    return inside.reshape(grid, grid).astype(np.float32)


def _dots(distance: float) -> np.ndarray:
    """Noise float32 (N, N) like the ends of cropped hair, for eyes so many pixels of the photo apart: in small photos
    they are finer than pixels."""
    noise = cv2.GaussianBlur(np.random.default_rng(2).normal(size=(TILE, TILE)), (0, 0), max(0.6, DOT * distance))
    dots: np.ndarray = (DOTS * min(1.0, distance / FINE) / noise.std()) * noise
    return dots.astype(np.float32)


def _grey(image: np.ndarray) -> np.ndarray:
    """The mean of the channels of an image (G, G, 3)."""
    mean: np.ndarray = image @ np.full(3, 1 / 3, np.float32)
    return mean


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
        found.append(fine_of(rgb[top:bottom, left:right], sigma / placed.scale))
    return grain_like(min(found, key=lambda fine: (len(fine) == 1, float(fine.std()))))
