"""Brows and beards are drawn hair by hair, as densely and in the direction asked for, and only where they grow."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from frames import S, centred
from scipy.ndimage import laplace

from stgan.drawing.beard import full_beard, mustache, read_beard
from stgan.drawing.brows import TARGET, Reshaping, reshape_brows
from stgan.drawing.strokes import BEARD_HUE, CALMEST, CRISP, STRANDS, UNDER, Growth, draw_hairs, hair_colour
from stgan.drawing.white_hair import White
from stgan.editing.barber import Barber
from stgan.editing.prepared import EditedCrop
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.light import USUAL_LIGHT
from stgan.photo.matte import WIDE, Silhouette

DETAIL = 4  # pixels of the photo per pixel of the crop
SIDE = DETAIL * S
SKIN, HAIR = np.array([200.0, 160, 140]), np.array([50.0, 35, 25])
ALIGNMENT = centred((SIDE - 1) / 2, (SIDE - 1) / 2, 0, 1 / DETAIL)
PERSON = Silhouette(*[np.ones((WIDE * S, WIDE * S), np.float32)] * 3)
PLACE = np.s_[40:90, 30:100]  # of the crop
BROW = np.s_[48:53, 32:56], np.s_[48:53, 72:96]  # the eyes are in row 64, their middle in column 64


def photo():
    return np.broadcast_to(SKIN.astype(np.uint8), (SIDE, SIDE, 3)).copy()


def growth(density, degrees=60.0):
    place = np.zeros((S, S), np.float32)
    place[PLACE] = density
    angle = np.radians(degrees)
    direction = np.broadcast_to(np.float32([np.cos(angle), np.sin(angle)]), (S, S, 2))
    return Growth(place, direction, 4.0, 0.05)


def drawn(density, degrees=60.0, share=1.0):
    return draw_hairs(photo(), ALIGNMENT, growth(density, degrees), HAIR, np.full((S, S), share), PERSON)


def well_inside(image):
    return image[PLACE][8:-8, 8:-8] if len(image) == S else image[DETAIL * 48 : DETAIL * 82, DETAIL * 38 : DETAIL * 92]


@pytest.mark.parametrize("density", [0.15, 0.4, 0.7])
def test_hairs_cover_as_much_as_asked_for_and_darken_only(density):
    result = drawn(density).astype(float)
    cover = ((SKIN - well_inside(result)) / (SKIN - HAIR)).mean()
    assert cover == pytest.approx(1 - (1 - STRANDS * density) * (1 - UNDER * density), abs=0.06)
    assert (result <= photo()).all()
    outside = np.ones((SIDE, SIDE), bool)
    outside[DETAIL * 34 : DETAIL * 96, DETAIL * 24 : DETAIL * 106] = False
    assert (result == photo())[outside].all()
    assert np.array_equal(drawn(density, share=0.0), photo())


@pytest.mark.parametrize("degrees", [0, 35, 90, 140])
def test_hairs_lie_in_the_direction_in_which_they_grow(degrees):
    grey = cv2.cvtColor(well_inside(drawn(0.4, degrees)), cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    steepest = np.arctan2(2 * (across * down).mean(), (across**2 - down**2).mean()) / 2  # of the structure tensor
    error = (np.degrees(steepest) + 90 - degrees + 90) % 180 - 90
    assert abs(error) < 6


def test_hairs_turn_with_the_face_and_keep_grey_photos_grey():
    upright = drawn(0.4)
    turned = centred((SIDE - 1) / 2, (SIDE - 1) / 2, 90, 1 / DETAIL)
    lying = draw_hairs(np.rot90(photo()).copy(), turned, growth(0.4), HAIR, np.ones((S, S)), PERSON)
    assert cv2.absdiff(np.rot90(lying, -1).copy(), upright).max() <= 3
    grey = np.full((SIDE, SIDE, 3), 150, np.uint8)
    grey[: SIDE // 4] = 40
    hair = np.zeros((S, S))
    hair[: S // 4] = 1
    colour = hair_colour(grey, ALIGNMENT, hair, 1 - hair, USUAL_LIGHT)
    assert np.ptp(colour) < 1e-3
    assert 20 < colour[0] < 60
    assert np.ptp(draw_hairs(grey, ALIGNMENT, growth(0.4), colour, np.ones((S, S)), PERSON), axis=2).max() == 0


def test_new_hair_is_no_greyer_than_the_brows():
    """Brown brows that let skin shine through show the brown, and new hairs that cover skin in part do not grey it."""
    brown, cover = np.array([70.0, 36, 20]), 0.45
    own = SKIN * (brown / SKIN) ** cover
    rgb, hair, brow = photo(), np.zeros((S, S)), np.zeros((S, S))
    hair[: S // 4], brow[PLACE] = 1, 1
    rgb[: SIDE // 4] = brown.mean()  # black hair has no hue
    rgb[np.repeat(np.repeat(brow > 0, DETAIL, 0), DETAIL, 1)] = own
    skin = (1 - hair) * (1 - brow)
    without, colour = (hair_colour(rgb, ALIGNMENT, hair, skin, USUAL_LIGHT, each) for each in (None, brow))
    assert np.ptp(colour) > 1.05 * np.ptp(without)
    assert colour == pytest.approx(brown, rel=0.1)
    grown = draw_hairs(photo(), ALIGNMENT, growth(0.42), colour, np.ones((S, S)), PERSON)
    seen = well_inside(grown).reshape(-1, 3).mean(axis=0)
    share = (SKIN - seen).sum() / (SKIN - colour).sum()
    mixed = SKIN + share * (colour - SKIN)
    assert seen[0] / seen[2] > 1.03 * mixed[0] / mixed[2]


@pytest.mark.parametrize("own", [(60, 60, 60), (70, 50, 30), (40, 20, 20), (160, 120, 80)])
def test_a_beard_has_the_hue_of_skin_and_hair_but_not_of_blue_light_on_that(own):
    rgb, hair = photo(), np.zeros((S, S))
    hair[: S // 4], rgb[: SIDE // 4] = 1, own
    colour = hair_colour(rgb, ALIGNMENT, hair, 1 - hair, USUAL_LIGHT, beard=True)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        ratios = [each[first] / each[second] for each in (colour, SKIN, own)]
        assert np.log(ratios[0]) == pytest.approx(BEARD_HUE @ np.log(ratios[1:]), abs=0.03)
    rgb[: SIDE // 4] = own[::-1]
    blue = hair_colour(rgb, ALIGNMENT, hair, 1 - hair, USUAL_LIGHT, beard=True)
    assert blue / blue.mean() == pytest.approx(SKIN ** BEARD_HUE[0] / (SKIN ** BEARD_HUE[0]).mean(), abs=0.03)
    assert colour.mean() == pytest.approx(min(np.mean(own), 0.48 * SKIN.mean()), abs=1.5)


def test_hair_follows_the_light_and_shade_of_the_skin():
    lamp = np.where(np.arange(SIDE) < SIDE / 2, 0.65, 1.0)[:, None]
    rgb = (photo() * lamp[..., None]).astype(np.uint8)
    result = draw_hairs(rgb, ALIGNMENT, growth(0.5), HAIR, np.ones((S, S)), PERSON)
    shaded, lit = (slice(DETAIL * first, DETAIL * first + 30) for first in (46, 76))
    left = [result[rows, DETAIL * 40 : DETAIL * 90].mean() / rgb[rows, DETAIL * 40 : DETAIL * 90].mean()
            for rows in (shaded, lit)]  # fmt: skip
    assert left[0] == pytest.approx(left[1], abs=0.04)  # one colour would leave more of the shaded skin


@pytest.mark.parametrize("blur", [0.6, 2.0])
def test_hair_is_as_sharp_as_the_photos_own_and_never_flat(blur):
    def detail(image, where):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return [(grey - cv2.GaussianBlur(grey, (0, 0), sigma))[where].std() for sigma in (1, 4)]

    rgb = photo()
    texture = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (SIDE // 4, SIDE)), (0, 0), blur)
    rgb[: SIDE // 4] = (60 + 12 * texture / texture.std()).clip(0, 255)[..., None]
    hair = np.zeros((WIDE * S, WIDE * S), np.float32)
    hair[: WIDE * S // 4 + S // 4] = 1
    silhouette = Silhouette(hair, np.ones_like(hair), np.ones_like(hair))
    result = draw_hairs(rgb, ALIGNMENT, growth(0.4), HAIR, np.ones((S, S)), silhouette)
    inside = np.s_[DETAIL * 48 : DETAIL * 82, DETAIL * 38 : DETAIL * 92]
    own, new = detail(rgb, np.s_[10 : SIDE // 4 - 10]), detail(result, inside)
    assert new[0] / new[1] == pytest.approx(own[0] / own[1], abs=0.2)
    assert new[1] > 5


def test_hair_has_the_usual_contrast_at_most_and_a_share_of_it_at_least():
    hair = np.zeros((WIDE * S, WIDE * S), np.float32)
    hair[: WIDE * S // 4 + S // 4] = 1
    silhouette = Silhouette(hair, np.ones_like(hair), np.ones_like(hair))
    noise, inside = np.random.default_rng(0).normal(0, 1, (SIDE // 4, SIDE)), np.s_[192:328, 152:368]

    def contrast(blur, levels):
        rgb, texture = photo(), cv2.GaussianBlur(noise, (0, 0), blur)
        rgb[: SIDE // 4] = (100 + levels * texture / texture.std()).clip(0, 255)[..., None]
        grey = draw_hairs(rgb, ALIGNMENT, growth(0.4), HAIR, np.ones((S, S)), silhouette)[inside].mean(axis=2)
        return (grey - cv2.GaussianBlur(grey, (0, 0), 2)).std()

    for blur in (0.4, 2):
        calm, some, strong = (contrast(blur, levels) for levels in (8, 20, 45))
        assert calm <= some <= strong
        assert 1.2 < strong / calm < 1 / CALMEST + 0.05


def sharpness(image):
    return np.sqrt((laplace(image.astype(float).mean(axis=2)) ** 2).mean())


@pytest.mark.parametrize("levels", [2.0, 18.0, 24.0, 200.0])
def test_hair_over_a_dark_base_is_nearly_as_sharp_as_the_photos_own(levels):
    hair = np.zeros((WIDE * S, WIDE * S), np.float32)
    hair[: WIDE * S // 4 + S // 4] = 1
    silhouette = Silhouette(hair, np.ones_like(hair), np.ones_like(hair))
    rgb, noise = photo(), cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (SIDE // 4, SIDE)), (0, 0), 0.8)
    rgb[: SIDE // 4] = (110 + levels * noise / noise.std()).clip(0, 255)[..., None]
    usual = growth(0.6)
    dark = replace(usual, shade=0.6 * (usual.density > 0).astype(np.float32))
    plain, based = (draw_hairs(rgb, ALIGNMENT, each, HAIR, np.ones((S, S)), silhouette) for each in (usual, dark))
    own, new, bare = (sharpness(each) for each in (rgb[8 : SIDE // 4 - 8], well_inside(based), well_inside(plain)))
    if levels < 10:
        assert new < bare  # it covers what would show contrast
    elif levels < 100:
        assert new == pytest.approx(CRISP * own, rel=0.06)
    else:
        assert new < 0.7 * own  # CRISPEST
    assert (based <= rgb).all()


def crop(*places, level=60.0):
    image = np.full((S, S, 3), 170.0)
    for place in places:
        image[place] = level
    return image


def brows(thickness=0):
    shown = np.zeros((S, S))
    for rows, columns in BROW:
        shown[rows.start - thickness : rows.stop + thickness, columns] = 1
    return shown


def photo_with_brows():
    rgb = photo()
    for rows, columns in BROW:
        rgb[DETAIL * rows.start : DETAIL * rows.stop, DETAIL * columns.start : DETAIL * columns.stop] = 40
    return rgb


def test_bushier_brows_are_the_photos_own_drawn_apart_upwards_first():
    rgb, kept = photo_with_brows(), np.ones((S, S))
    kept[60:] = 0  # the eyes
    shape, _ = Reshaping.bushier(crop(*BROW), brows(), HAIR, 1.0)
    result = reshape_brows(rgb, ALIGNMENT, shape, kept)
    old, new = (np.flatnonzero(image[: DETAIL * 60, DETAIL * 44].mean(axis=1) < 110) for image in (rgb, result))
    assert 1.2 < len(new) / len(old) < 1.6
    assert old[0] - new[0] > new[-1] - old[-1] > 0
    assert np.array_equal(result[DETAIL * 61 :], rgb[DETAIL * 61 :])
    weaker, _ = Reshaping.bushier(crop(*BROW), brows(), HAIR, 0.5)
    assert 0 < np.abs(weaker.moved).max() < np.abs(shape.moved).max()


def test_brows_get_as_much_new_hair_as_bushy_ones_take_more_light():
    inside = brows(-2) > 0
    dense, faint, faintest = (
        Reshaping.bushier(crop(*BROW, level=level), brows(), HAIR, 1.0) for level in (60.0, 120.0, 150.0)
    )
    for (shape, growth), level in zip((dense, faint, faintest), (60, 120, 150), strict=True):
        deeper = 170 - (170 - level) * (1 - shape.lighter)  # as reshape_brows draws them
        covered = deeper - growth.density * (170 - HAIR.mean())
        taken = (1 - covered[inside] / 170).mean()
        assert taken == pytest.approx(max(TARGET, 1 - level / 170), abs=0.1)
    assert growth.density[brows(5) == 0].max() == 0
    assert dense[1].density.max() < 0.01 < faint[1].density.max() < faintest[1].density.max()
    assert Reshaping.bushier(crop(*BROW), 0 * brows(), HAIR, 1.0) is None


@pytest.mark.parametrize(("lower", "moved"), [(2, 2), (-1, -1), (20, 0)])
def test_brows_move_to_those_that_a_network_drew_if_these_are_near(lower, moved):
    rgb, kept = photo_with_brows(), np.ones((S, S))
    like = np.roll(brows(), lower, axis=0)
    if not moved:
        like = np.roll(like, 40, axis=1)  # beside nothing
    shape, _ = Reshaping.bushier(crop(*BROW), brows(), HAIR, 1.0, like)
    result = reshape_brows(rgb, ALIGNMENT, shape, kept)
    old, new = (np.flatnonzero(image[:, DETAIL * 44].mean(axis=1) < 110) for image in (rgb, result))
    assert new.mean() - old.mean() == pytest.approx(DETAIL * moved, abs=2.5)
    assert 1.05 < len(new) / len(old) < 1.4


def test_denser_brows_keep_their_hue_and_get_greyer():
    brown, rgb = np.array([110, 70, 50]), photo()
    rgb[np.repeat(np.repeat(brows() > 0, DETAIL, 0), DETAIL, 1)] = brown
    crop_of_it = np.where(brows()[..., None] > 0, brown, SKIN)
    shape, _ = Reshaping.bushier(crop_of_it, brows(), HAIR, 1.0)
    brow = reshape_brows(rgb, ALIGNMENT, shape, np.ones((S, S)))[DETAIL * 50, DETAIL * 44].astype(float)
    assert brow.mean() < 0.9 * brown.mean()
    old, new = (np.ptp(each) / each.mean() for each in (brown, brow))
    assert 0.6 * old < new < old
    order = np.argsort(brow)
    assert np.array_equal(order, np.argsort(brown))


def test_hairs_of_brows_rise_at_their_inner_end_and_lie_further_out():
    _, growth = Reshaping.bushier(crop(*BROW, level=120.0), brows(), HAIR, 1.0)
    x, y = growth.direction[50, 40]
    assert x < 0  # towards the temple
    inner, outer = growth.direction[50, 74], growth.direction[50, 90]
    assert inner[1] < outer[1] < 0.5


def test_thinner_brows_are_the_photos_own_and_leave_what_is_kept():
    rgb = photo_with_brows()
    before, gone = crop(*BROW), crop()
    thinning = Reshaping.thinner(before, gone, brows(), 1.0)
    kept = np.ones((S, S))
    kept[60:] = 0  # the eyes
    result = reshape_brows(rgb, ALIGNMENT, thinning, kept)
    middle = DETAIL * 44
    old, new = ((image[: DETAIL * 60, middle].mean(axis=1) < 110).sum() for image in (rgb, result))
    assert 0.4 * old < new < 0.8 * old
    assert np.array_equal(result[DETAIL * 61 :], rgb[DETAIL * 61 :])
    weaker = Reshaping.thinner(before, (before + gone) / 2, brows(), 1.0)
    assert 0 < np.abs(weaker.moved).max() < np.abs(thinning.moved).max()
    assert Reshaping.thinner(before, before, brows(), 1.0) is None


def test_thinner_brows_do_not_depend_on_how_much_of_the_photo_is_filtered(monkeypatch):
    rgb = photo_with_brows()
    thinning = Reshaping.thinner(crop(*BROW), crop(), brows(), 1.0)
    result = reshape_brows(rgb, ALIGNMENT, thinning, np.ones((S, S)))
    monkeypatch.setattr("stgan.drawing.brows._box", lambda where, margin: tuple(map(slice, where.shape)))
    assert np.array_equal(reshape_brows(rgb, ALIGNMENT, thinning, np.ones((S, S))), result)


def test_a_beard_grows_on_darkened_skin_but_not_on_lips_or_nose():
    skin, mouth = np.ones((S, S)), np.zeros((S, S))
    mouth[92:100, 50:78] = 1
    before, after = crop(), crop(np.s_[70:125, 30:100])
    growth = read_beard(before, after, HAIR, skin - mouth, mouth)
    assert growth.density[92:100, 50:78].max() < 0.1
    assert growth.density[108:112, 50:78].min() > 0.5
    assert growth.density[:66].max() == 0
    assert growth.density[70:82, 60:68].max() == 0  # the nose
    assert growth.density[-1].max() == 0
    chin, upper_lip = growth.direction[110, 64], growth.direction[87, 74]
    assert chin[1] > 0.9 > upper_lip[1] > 0.3
    assert upper_lip[0] > 0.3 > -0.3 > growth.direction[87, 54][0]
    assert read_beard(before, before, HAIR, skin, mouth) is None


def test_a_photo_gets_the_same_hair_from_a_network_of_twice_the_size():
    fine = growth(0.4)
    twice = Growth(*(cv2.resize(each, (2 * S, 2 * S)) for each in (fine.density, fine.direction)), 8.0, 0.05)
    alignment = centred((SIDE - 1) / 2, (SIDE - 1) / 2, 0, 2 / DETAIL, size=2 * S)
    person = Silhouette(*[np.ones((2 * WIDE * S, 2 * WIDE * S), np.float32)] * 3)
    large = draw_hairs(photo(), alignment, twice, HAIR, np.ones((2 * S, 2 * S)), person)
    ours, theirs = (well_inside(each).astype(float) for each in (large, drawn(0.4)))
    assert ours.mean() == pytest.approx(theirs.mean(), abs=3)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.15)


def test_a_full_beard_covers_jaw_and_chin_and_meets_the_mustache():
    points, distance = landmarks_in_crop(S)
    rows, columns = np.mgrid[:S, :S]
    corners = points[3:, 1].mean()
    x, y = (columns - points[2, 0]) / distance, (rows - corners) / distance
    mouth = ((np.abs(x) < 0.4) & (np.abs(y) < 0.1)).astype(float)
    skin = ((x / 1.1) ** 2 + (y / 0.75) ** 2 < 1) * (1 - mouth)
    neck = (y > 0.5) * (1 - skin - mouth).clip(0, 1)
    beard = full_beard(skin, neck, mouth).density
    assert beard[(np.abs(x) < 0.3) & (y > 0.55) & (y < 0.62)].mean() > 0.25  # the chin
    assert beard[(np.abs(np.abs(x) - 0.7) < 0.03) & (np.abs(y - 0.2) < 0.05)].mean() > 0.25  # the jaw
    assert (beard >= mustache(skin, mouth).density).all()
    assert beard[mouth > 0].max() < 0.35
    assert beard[(rows < points[2, 1]) & (np.abs(x) < 0.6)].max() < 0.02  # nose and cheeks
    assert beard[y > 1.0].max() < 0.02  # the neck
    assert full_beard(skin, neck, 0 * mouth) is None
    cheeks = (np.abs(np.abs(x) - 0.62) < 0.06) & (np.abs(y - 0.1) < 0.05)
    corners = (np.abs(np.abs(x) - 0.3) < 0.06) & (np.abs(y - 0.3) < 0.05)
    chin = (np.abs(x) < 0.2) & (np.abs(y - 0.56) < 0.06)
    assert beard[chin].mean() > 1.5 * max(beard[cheeks].mean(), beard[corners].mean())
    border = np.array([np.argmax(column > 0.1) for column in beard[:, np.abs(x[0]) < 0.95].T])
    assert not np.array_equal(border, border[::-1])  # ragged


def test_a_mustache_thins_towards_its_ends_parts_in_the_middle_and_shades_the_lip():
    points, distance = landmarks_in_crop(2 * S)
    rows, columns = np.mgrid[: 2 * S, : 2 * S]
    x, y = np.abs(columns - points[2, 0]) / distance, (rows - points[3:, 1].mean()) / distance
    mouth = ((x < 0.4) & (y > -0.1) & (y < 0.15)).astype(float)
    hair = mustache(1 - mouth, mouth)
    middle, flanks, ends = (
        hair.density[(low <= x) & (x < high) & (np.abs(y + 0.14) < 0.03)].mean()
        for low, high in [(0, 0.03), (0.12, 0.3), (0.44, 0.52)]
    )
    assert middle < 0.85 * flanks
    assert 0.02 < ends < 0.6 * flanks
    lip = (x < 0.25) & (np.abs(y + 0.04) < 0.02)
    assert hair.density[lip].max() < 0.05
    assert 0.02 < hair.shade[lip].mean() < 0.2
    assert hair.shade[y > 0.1].max() < 0.01
    half = hair.thinned(0.5)
    assert np.allclose([half.density.sum(), half.shade.sum()], [hair.density.sum() / 2, hair.shade.sum() / 2])


def test_a_mustache_lies_between_lip_and_nose_whatever_the_mouth_does():
    points, distance = landmarks_in_crop(S)
    rows, columns = np.mgrid[:S, :S]
    for tilt in (-0.15, 0.0, 0.15):
        lip = points[3:, 1].mean() - 0.1 * distance + tilt * (columns - points[2, 0])
        mouth = ((np.abs(columns - points[2, 0]) < 0.4 * distance) & (rows > lip) & (rows < lip + 12)).astype(float)
        hair = mustache(np.ones((S, S)) - mouth, mouth).density
        height = (lip - rows) / distance  # above the lip
        inside = (height > 0.02) & (height < 0.08) & (np.abs(columns - points[2, 0]) < 0.3 * distance)
        assert hair[inside].min() > 0.2
        assert hair[inside].mean() > 0.4
        assert hair[mouth > 0].max() < 0.4
        assert hair[(height > 0.25) | (height < -0.3)].max() < 0.02
        assert hair[rows < points[2, 1]].max() < 0.02
    assert mustache(np.ones((S, S)), np.zeros((S, S))) is None


@pytest.mark.parametrize(
    ("changes", "reader"), [({"No_Beard": -1.0}, "full_beard"), ({"No_Beard": -1.0, "Goatee": 1.0}, "read_beard")]
)
def test_a_named_style_is_not_drawn_as_a_full_beard(changes, reader, monkeypatch):
    asked, hair = [], {"full_beard": 0.4, "read_beard": 0.6}
    for name, density in hair.items():
        monkeypatch.setattr(f"stgan.editing.barber.{name}", lambda *_, n=name, d=density: asked.append(n) or growth(d))
    for name in ("_shown", "_hair_colour", "_free", "_white_hair"):
        monkeypatch.setattr(Barber, name, lambda *_, **__: np.zeros((S, S)))
    grown = []
    monkeypatch.setattr(Barber, "_grow", lambda *arguments: grown.append(arguments[3]))
    monkeypatch.setattr(Barber, "_is_drawn_well", lambda *_: False)
    Barber().grow_beard(EditedCrop(None, crop(), crop(), None, changes), photo())
    assert asked[-1] == reader
    assert [each.density.max() for each in grown] == [hair[reader]]


@pytest.mark.parametrize(
    ("man", "detail", "sketched", "white", "soft", "well"),
    [
        (1.0, 1.2, 0.6, 0.0, 1.0, True),
        (0.2, 1.2, 0.6, 0.0, 1.0, False),
        (0.7, 1.2, 0.6, 0.0, 1.0, False),  # who may be a woman
        (1.0, 5.0, 0.6, 0.0, 1.0, False),
        (1.0, 2.0, 0.6, 0.0, 1.0, True),
        (1.0, 2.0, 0.02, 0.0, 1.0, False),  # next to nothing is drawn where each hair shows
        (1.0, 1.2, 0.02, 0.0, 1.0, True),
        (1.0, 1.2, 0.6, 0.7, 1.0, True),
        (1.0, 1.2, 0.6, 0.7, 1.6, False),  # white hair that is far sharper than the drawing
        (1.0, 2.0, 0.6, 0.7, 1.0, False),
    ],
)
def test_the_networks_own_beard_is_pasted_where_it_has_learned_them(
    man, detail, sketched, white, soft, well, monkeypatch
):
    face = SimpleNamespace(probabilities={"Male": man}, alignment=SimpleNamespace(scale=1 / detail))
    monkeypatch.setattr("stgan.editing.barber.full_beard", lambda *_: growth(0.4))
    monkeypatch.setattr("stgan.editing.barber.softness", lambda *_: soft)
    for drawn in (growth(0.4 * sketched), None):
        monkeypatch.setattr("stgan.editing.barber.read_beard", lambda *_, drawn=drawn: drawn)
        for name in ("_shown", "_hair_colour", "_free", "_own_hair"):
            monkeypatch.setattr(Barber, name, lambda *_, **__: np.zeros((S, S)))
        monkeypatch.setattr(Barber, "_white_hair", lambda *_: White(white, SKIN))
        monkeypatch.setattr(Barber, "_grow", lambda *_: "grown")
        monkeypatch.setattr(Barber, "_paste_beard", lambda *_: "pasted")
        edited = EditedCrop(face, crop(), crop(), None, {"No_Beard": -1.0})
        expected = "pasted" if well and drawn is not None else "grown"
        assert Barber().grow_beard(edited, photo()) == expected
