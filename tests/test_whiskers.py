"""A network's beard is pasted with all its hairs and gets the photo's own sharpness; grey hair makes a grey beard."""

import cv2
import numpy as np
import pytest
from frames import S, centred
from scipy.ndimage import gaussian_filter, laplace, map_coordinates

from stgan.drawing.beard import drawn_beard
from stgan.drawing.strokes import CRISP, STRANDS, Growth, draw_hairs
from stgan.drawing.whiskers import CRISPER, GAPS, crisper, single_hairs, softness
from stgan.drawing.white_hair import ALL, GLOW, White
from stgan.photo.matte import WIDE, Silhouette
from stgan.photo.paste import paste_edit

SKIN = np.array([200.0, 160, 140])
CHIN = np.s_[84:112, 44:84]  # of the crop
OWN = np.s_[:30]  # rows of the crop with hair
RANDOM = np.random.default_rng(0)


def alignment(detail):
    return centred((S * detail - 1) / 2, (S * detail - 1) / 2, 0, 1 / detail)


def mask(place):
    where = np.zeros((S, S), np.float32)
    where[place] = 1
    return where


def hairy(contrast, level=60.0, sigma=0.5):
    """A face of plain skin under hair of this contrast, (S, S, 3)."""
    image = np.broadcast_to(SKIN, (S, S, 3)).copy()
    noise = cv2.GaussianBlur(RANDOM.normal(size=(S, S)), (0, 0), sigma)
    image[OWN] = level * (1 + contrast * noise / noise.std())[OWN][..., None]
    return image.clip(0, 255)


def bearded(before, contrast):
    noise = gaussian_filter(RANDOM.normal(size=(S, S)), 0.7)
    after = before.copy()
    after[76:120, 36:92] = 100 + (contrast * noise / noise.std())[76:120, 36:92, None]  # its border lies outside CHIN
    return after


def silhouette(hair):
    wide = np.zeros((WIDE * S, WIDE * S), np.float32)
    start = (WIDE * S - S) // 2
    wide[start : start + S, start : start + S] = hair
    return Silhouette(wide, np.ones_like(wide), np.ones_like(wide))


def fine(image, sigma):
    grey = np.log(image.astype(float).mean(axis=2) + 16)
    return grey - gaussian_filter(grey, sigma)


def test_pasted_hair_is_the_enlarged_change_and_skin_shines_through():
    detail = 2
    rgb = np.clip(SKIN + RANDOM.normal(0, 6, (S * detail, S * detail, 1)), 0, 255).astype(np.uint8)
    before = np.broadcast_to(SKIN, (S, S, 3)).astype(np.float32)
    after = before + gaussian_filter(RANDOM.normal(-20, 60, (S, S)), 1.0)[..., None].astype(np.float32)
    person = silhouette(mask(OWN))
    hair, other = (
        paste_edit(rgb, alignment(detail), before, after, mask(CHIN), silhouette=person, hair=each)
        for each in (True, False)
    )
    rows, columns = np.mgrid[176:214, 96:160]
    places = np.array([rows, columns]) / detail - (1 - 1 / detail) / 2
    expected = map_coordinates((after - before)[..., 0], places, order=3)
    change = [(each[176:214, 96:160].astype(float) - rgb[176:214, 96:160]).mean(axis=2) for each in (hair, other)]
    assert np.abs(change[0] - expected).mean() < 0.7
    assert np.abs(change[1] - expected).mean() > 2  # which follows edges of the photo that hair does not have
    assert np.array_equal(hair[:150], rgb[:150])


@pytest.mark.parametrize("contrast", [1.0, 4.0, 20.0])
def test_a_crisper_beard_has_the_contrast_of_the_photos_hair_but_never_less_and_not_much_more(contrast):
    before = hairy(0.08)
    after, hair, beard = bearded(before, contrast), mask(OWN), mask(CHIN)
    result = crisper(before, after, beard, before, hair)
    own = fine(before, 0.7)[5:25].std()
    inner = np.s_[90:106, 50:78]
    old, new = (fine(image, 0.7)[inner].std() for image in (after, result))
    expected = old * np.clip(own / old, 1, CRISPER)
    assert new == pytest.approx(expected, rel=0.1)
    assert np.array_equal(result[: CHIN[0].start], after[: CHIN[0].start])
    assert np.abs(result[inner].mean() - after[inner].mean()) < 0.5
    assert np.array_equal(crisper(before, after, beard, before, 0 * hair), after)


def test_softness_is_the_ratio_of_fine_contrasts_and_one_where_nothing_is_known():
    before = hairy(0.1)
    after = bearded(before, 3.0)
    own, drawn = ((image.mean(axis=2) - gaussian_filter(image.mean(axis=2), 0.7)) for image in (before, after))
    expected = own[3:27].std() / drawn[88:108, 48:80].std()
    assert softness(after, mask(CHIN), before, mask(OWN)) == pytest.approx(expected, rel=0.15)
    assert softness(after, mask(CHIN), before, 0 * mask(OWN)) == 1
    assert softness(after, 0 * mask(CHIN), before, mask(OWN)) == 1


def fine_photo(detail, contrast, level=60.0):
    side = S * detail
    rgb = np.broadcast_to(SKIN, (side, side, 3)).copy()
    noise = gaussian_filter(RANDOM.normal(size=(side, side)), 0.6)
    rgb[: 30 * detail] = level * (1 + contrast * noise / noise.std())[: 30 * detail, :, None]
    pasted = rgb.copy()
    pasted[76 * detail : 120 * detail, 36 * detail : 92 * detail] = 100  # the border lies outside CHIN
    return rgb.clip(0, 255).astype(np.uint8), pasted.clip(0, 255).astype(np.uint8)


def growth(density=0.5):
    direction = np.broadcast_to(np.float32([0.2, 0.98]), (S, S, 2))
    return Growth(density * mask(CHIN), direction, 4.0, 0.2)


def sharpness(image):
    return np.sqrt((laplace(image.astype(float).mean(axis=2)) ** 2).mean())


@pytest.mark.parametrize("detail", [1, 3])
@pytest.mark.parametrize("contrast", [0.03, 0.08])
def test_single_hairs_are_nearly_as_sharp_as_the_photos_own_and_change_no_tone(contrast, detail):
    rgb, pasted = fine_photo(detail, contrast)
    result = single_hairs(pasted, alignment(detail), growth(), mask(CHIN), silhouette(mask(OWN)), rgb)
    inner = np.s_[detail * 90 : detail * 106, detail * 50 : detail * 78]
    own, new = sharpness(rgb[detail : 28 * detail]), sharpness(result[inner])
    assert GAPS * CRISP * own < new < 1.02 * CRISP * own  # gaps between hairs get lighter by less
    assert abs(result[inner].mean() - pasted[inner].mean()) < 3
    outside = np.ones(rgb.shape[:2], bool)
    outside[detail * 83 : detail * 113, detail * 43 : detail * 85] = False
    assert np.array_equal(result[outside], pasted[outside])
    grey = result[inner].astype(float).mean(axis=2)
    assert np.abs(np.diff(grey, axis=1)).mean() > 1.3 * np.abs(np.diff(grey, axis=0)).mean()  # they grow downwards


def test_no_single_hairs_are_added_where_the_beard_is_sharp_or_the_photos_hair_is_soft():
    rgb, pasted = fine_photo(3, 0.08)
    smooth, _ = fine_photo(3, 0.0)
    sharp = np.clip(pasted + RANDOM.normal(0, 12, (3 * S, 3 * S, 1)), 0, 255).astype(np.uint8)
    for beard, photo in ((pasted, smooth), (sharp, rgb)):
        result = single_hairs(beard, alignment(3), growth(), mask(CHIN), silhouette(mask(OWN)), photo)
        assert np.array_equal(result, beard)
    bare = single_hairs(pasted, alignment(3), growth(), 0 * mask(CHIN), silhouette(mask(OWN)), rgb)
    assert np.array_equal(bare, pasted)


def test_single_hairs_are_no_lighter_than_the_photos_skin_unless_the_beard_is():
    rgb, pasted = fine_photo(3, 0.15)
    pasted[250:336, 108:276] = SKIN - 2
    pasted[250:336, 180:276] = 230
    result = single_hairs(pasted, alignment(3), growth(), mask(CHIN), silhouette(mask(OWN)), rgb)
    assert (result <= np.maximum(pasted, rgb)).all()
    for columns in (slice(150, 176), slice(190, 230)):
        assert result[270:320, columns].std(axis=(0, 1)).min() > 2


def test_a_drawn_beard_is_seen_whether_it_darkens_skin_or_lightens_it():
    before, skin, mouth = hairy(0.0), np.ones((S, S)), mask(np.s_[88:94, 50:78])
    for level in (40.0, -40.0):
        after = before.copy()
        after[96:110, 48:80] -= level
        seen = drawn_beard(before, after, skin, mouth)
        assert seen[100:106, 54:74].min() > 0.9
        assert seen[:70].max() == 0
    assert drawn_beard(before, before, skin, mouth).max() == 0


def white_hair(share, level=230.0, skin=SKIN):
    """Skin (S, S, 3) below hair of which a share of the strands is white, and the rest black."""
    crop = np.broadcast_to(skin, (S, S, 3)).copy()
    crop[:30] = np.where(RANDOM.random(S) < share, level, 40.0)[None, :, None]
    return White.of(crop.astype(np.uint8), mask(OWN), mask(np.s_[40:]))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_as_much_of_a_beard_is_white_as_of_the_hair(share):
    white = white_hair(share)
    assert white.share == (pytest.approx(ALL * share, abs=0.1) if share > 0.2 else 0)
    assert white_hair(share, level=100.0).share == 0  # less than BRIGHT


def test_white_hair_is_no_brighter_than_its_light_and_partly_dark_on_skin_as_light():
    dark = white_hair(0.95, skin=SKIN / 3)
    assert dark.colour.mean() == pytest.approx(1.9 * SKIN.mean() / 3, rel=0.02)
    hue = (1 - GLOW) + GLOW * SKIN / SKIN.mean()
    assert dark.colour / dark.colour.mean() == pytest.approx(hue, rel=0.02)
    assert white_hair(0.95, level=150.0).share == pytest.approx(dark.share / 2, rel=0.15)
    assert white_hair(0.95, skin=np.full(3, 150.0)).share == pytest.approx(dark.share, rel=0.1)  # of a grey photo
    blond = np.broadcast_to(SKIN, (S, S, 3)).copy()
    blond[:30] = (220, 180, 110)
    assert White.of(blond.astype(np.uint8), mask(OWN), mask(np.s_[40:])).share == 0
    assert White.of(blond.astype(np.uint8), 0 * mask(OWN), mask(np.s_[40:])).share == 0


@pytest.mark.parametrize("among", [0.5, 1.0])
def test_white_hairs_cover_their_share_of_the_skin_and_lie_between_the_dark_ones(among):
    detail, density, skin = 4, 0.4, SKIN / 2
    rgb = np.broadcast_to(skin.astype(np.uint8), (S * detail, S * detail, 3)).copy()
    everywhere = np.ones((WIDE * S, WIDE * S), np.float32)
    person = Silhouette(0 * everywhere, everywhere, everywhere)
    share, white = np.ones((S, S)), White(among, np.full(3, 180.0))
    both, dark = (
        draw_hairs(rgb, alignment(detail), hair, SKIN / 8, share, person, white=each)
        for hair, each in ((growth(density), white), (growth(density).thinned(1 - among), None))
    )
    inner = np.s_[detail * 90 : detail * 106, detail * 50 : detail * 78]
    lighter = both[inner].astype(float) - dark[inner]
    assert (lighter >= 0).all()
    covered = (lighter / (180 - dark[inner].astype(float)).clip(1)).mean()
    assert covered == pytest.approx(STRANDS * density * among, abs=0.06)
    if among < 1:
        darker = (rgb[inner].astype(float) - dark[inner]).mean(axis=2)
        assert abs(np.corrcoef(lighter.mean(axis=2).ravel(), darker.ravel())[0, 1]) < 0.15
    else:
        assert np.array_equal(dark, rgb)
