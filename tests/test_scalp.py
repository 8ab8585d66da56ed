"""A bald head is a skull in the forehead's skin, before the photo's own background."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.drawing.filling import grain_of, spread
from stgan.drawing.scalp import GRAIN, LETTERS, _Head, _View, apart_from_hair, draw_scalp
from stgan.drawing.skull import CENTRE, Skull, hides_the_brows, places, shading
from stgan.photo.matte import WIDE, Silhouette, in_the_crop, in_the_window

DETAIL = 2  # pixels of the photo per pixel of the crop
WALL, SKIN, HAIR, FAIR = (90, 120, 160), (205, 160, 140), (50, 40, 35), (225, 190, 90)
X, Y = places(WIDE * S)
HEAD = (X / 1.2) ** 2 + ((Y - CENTRE) / np.where(Y > CENTRE, 1.5, 2.0)) ** 2 < 1
FACE = HEAD & (Y < 1.0 - 0.3 * X**2)
CAP = ((X / 1.35) ** 2 + ((Y - CENTRE) / 1.7) ** 2 < 1) & (Y > 0.3) & ~FACE


def silhouette_of(hair, face=FACE):
    ones = np.ones(hair.shape, np.float32)
    return Silhouette(hair.astype(np.float32), (hair | face).astype(np.float32), ones)


@pytest.fixture(scope="module")
def scene():
    """A photo, its alignment, silhouette and skin, of a head with short dark hair before a wall."""
    rgb = np.empty((*HEAD.shape, 3), np.uint8)
    rgb[:], rgb[FACE], rgb[CAP] = WALL, SKIN, HAIR
    rgb = cv2.resize(rgb, None, fx=DETAIL, fy=DETAIL, interpolation=cv2.INTER_NEAREST)
    middle = (len(rgb) - 1) / 2
    return rgb, centred(middle, middle, 0, 1 / DETAIL), silhouette_of(CAP), FACE.astype(np.float32)


def fair(scene):
    """The same with hair as bright as the skin, which leaves no shadow on a bald head."""
    rgb, *rest = scene
    return (np.where((rgb == HAIR).all(axis=2, keepdims=True), np.array(FAIR, np.uint8), rgb), *rest)


def bald(scene, strength=1.0):
    rgb, alignment, silhouette, skin = scene
    return draw_scalp(rgb, alignment, S, silhouette, skin, np.zeros_like(skin), strength)


def test_the_skull_lies_within_the_hair(scene):
    *_, silhouette, skin = scene
    skull = Skull.of(silhouette, skin)
    assert abs(skull.middle) < 0.05
    assert skull.across == pytest.approx(1.24, abs=0.06)
    assert 1.15 < skull.above < 1.5 - 0.05
    angles = np.linspace(0, np.pi, 9)
    across, up, edge = skull.coordinates(
        (skull.middle + skull.across * np.cos(angles))[None].astype(np.float32),
        (CENTRE + skull.above * np.sin(angles))[None].astype(np.float32),
    )
    np.testing.assert_allclose(np.hypot(across, up), 1, atol=1e-5)
    np.testing.assert_allclose(edge, 0, atol=1e-5)


@pytest.mark.parametrize("half", [0.95, 1.1])
def test_a_skull_under_thick_hair_is_as_wide_as_the_face_tells(half):
    """However far the hair stands out, the skull is at most a sixth wider than the face, and not narrower."""
    face = ((X / half) ** 2 + ((Y - CENTRE) / np.where(Y > CENTRE, 1.5, 2.3)) ** 2 < 1) & (Y < 0.9)
    widths = []
    for thick in (0.35, 0.6, 0.9):
        hair = ((X / (half + thick)) ** 2 + ((Y - CENTRE) / (1.6 + thick)) ** 2 < 1) & (Y > -0.2) & ~face
        widths.append(Skull.of(silhouette_of(hair, face), face.astype(np.float32)).across)
    np.testing.assert_allclose(widths, widths[0], atol=0.02)
    assert half < widths[0] < 1.17 * max(half, 1.0)


def test_a_skull_is_as_wide_at_each_height_as_real_ones_are():
    """Medians of the outlines of 67 bald heads whose crown is 1.73 above the eyes, against their width at .4."""
    skull = Skull(0.0, 1.2, 1.73 - CENTRE, (1.08, 1.08), (0.0, 0.0))
    heights = np.array([0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.5])
    x, y = np.meshgrid(np.linspace(0, 1.5, 1501), heights)
    _, _, edge = skull.coordinates(x.astype(np.float32), y.astype(np.float32))
    widths = (edge > 0).sum(axis=1)
    np.testing.assert_allclose(widths / widths[0], [1.0, 0.97, 0.93, 0.86, 0.78, 0.63, 0.55], atol=0.04)


def test_the_sides_and_the_top_of_a_skull_are_as_dark_as_those_of_real_ones():
    """Medians of the logarithm of brightness over the same heads, against the middle of the forehead."""
    sides, top = np.array([0.29, 0.39, 0.49, 0.58, 0.68, 0.78]), np.array([0.4, 0.65, 0.73, 0.81, 0.89])
    middle = shading(np.zeros(1, np.float32), np.full(1, 0.3, np.float32)).mean()
    for way in (-1, 1):
        aside = shading((way * sides).astype(np.float32), np.full(6, 0.3, np.float32)).mean(axis=1) - middle
        np.testing.assert_allclose(aside, [-0.06, -0.12, -0.18, -0.25, -0.30, -0.34], atol=0.09)
    above = shading(np.zeros(5, np.float32), top.astype(np.float32)).mean(axis=1) - middle
    np.testing.assert_allclose(above, [0.01, -0.1, -0.17, -0.24, -0.33], atol=0.09)


def test_a_skull_goes_on_above_a_ribbon(scene):
    *_, silhouette, skin = scene
    ribbon = (Y > 0.8) & (Y < 0.95)
    cut = Silhouette(*(np.where(ribbon, 0, each).astype(np.float32) for each in (silhouette.hair, silhouette.person)),
                     silhouette.own)  # fmt: skip
    skin = np.where(ribbon, 0, skin)
    assert Skull.of(cut, skin).above == pytest.approx(Skull.of(silhouette, skin).above, abs=0.05)
    shorter = Y > 1.2  # a head that ends there does end there
    low = Silhouette(*(np.where(shorter, 0, each).astype(np.float32) for each in (silhouette.hair, silhouette.person)),
                     silhouette.own)  # fmt: skip
    assert Skull.of(low, skin).above < 1.2 - CENTRE


def test_the_forehead_that_shows_lies_within_the_skull(scene):
    """Its corners do not stick out, and the far side of a turned head does not overhang the face."""
    *_, silhouette, skin = scene
    corner = (X > -1.3) & (X < -0.8) & (Y > 0.4) & (Y < 0.9)
    wide = Silhouette(silhouette.hair * ~corner, np.maximum(silhouette.person, corner), silhouette.own)
    usual, wider = (Skull.of(silhouette, skin), Skull.of(wide, np.maximum(skin, corner)))
    (_, _, narrow), (_, _, edge) = (skull.coordinates(X, Y) for skull in (usual, wider))
    inside = corner & (X > -1.26) & (Y < 0.85)
    assert narrow[inside].min() < -0.03
    assert edge[inside].min() > -0.03
    far = X < -0.75
    turned = Silhouette(silhouette.hair * ~far, silhouette.person * ~far, silhouette.own)
    _, _, edge = Skull.of(turned, skin * ~far).coordinates(X, Y)
    assert edge[(np.abs(Y - CENTRE) < 0.05) & (X < -0.85)].max() < 0


def test_a_bald_head_is_the_same_in_a_copy_and_in_the_photo_itself(scene):
    rgb, alignment, silhouette, skin = scene
    expected, own = bald(scene), rgb.copy()
    assert draw_scalp(own, alignment, S, silhouette, skin, np.zeros_like(skin), into=own) is own
    assert np.array_equal(own, expected)


def test_inside_the_skull_is_the_foreheads_skin_and_outside_the_wall(scene):
    rgb, *_, silhouette, skin = scene = fair(scene)
    result = bald(scene)
    across, up, edge = Skull.of(silhouette, skin).coordinates(X, Y)
    hair = cv2.erode(CAP.astype(np.uint8), np.ones((3, 3))) > 0
    small = cv2.resize(result, CAP.shape, interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(small[hair & (edge < -0.05)] - WALL).max() < 2
    inside = hair & (edge > 0.05)
    # An even face has the shading of none, so that the forehead's middle sets the tone for the rest.
    ratio = np.log(small[inside].mean(axis=1) / np.mean(SKIN)) - shading(across, up).mean(axis=2)[inside]
    assert np.ptp(ratio) < 0.25
    assert abs(np.median(ratio)) < 0.15
    assert np.array_equal(result[Y.shape[0] * DETAIL * 3 // 4 :], rgb[Y.shape[0] * DETAIL * 3 // 4 :])


def test_skin_beside_the_cheeks_goes_on_from_them(scene):
    """Light from the front: cheeks darken towards the hair that hides their sides."""
    rgb, *_, skin = scene
    rgb = cv2.resize(rgb, CAP.shape, interpolation=cv2.INTER_AREA)
    curtain = CAP | ((np.abs(X) > 0.75) & (np.abs(X) < 1.5) & (Y < 0.6) & (Y > -1.2))
    dark = np.exp(-0.5 * np.abs(X) ** 2)[..., None]
    rgb[FACE] = (np.array(SKIN) * dark)[FACE].astype(np.uint8)
    rgb[curtain] = HAIR
    alignment = centred((len(rgb) - 1) / 2, (len(rgb) - 1) / 2, 0, 1)
    scene = rgb, alignment, silhouette_of(curtain, FACE | curtain), skin * ~curtain
    result = bald(scene)[np.abs(Y[:, 0] + 0.5).argmin()].astype(float).mean(axis=1)
    for way in (-1, 1):
        cheek, beside = (result[np.abs(X[0] - way * place).argmin()] for place in (0.68, 0.82))
        assert beside == pytest.approx(cheek, rel=0.1)


def behind_a_curtain(neck=0.3):
    """A photo of a head with long hair over its ears and beside a strip of its neck, and what :func:`draw_scalp` needs
    to know of it."""
    face = ((X / 1.1) ** 2 + ((Y - CENTRE) / np.where(Y > CENTRE, 1.5, 2.3)) ** 2 < 1) & (Y < 0.9)
    curtain = (np.abs(X) < 1.5) & (Y < 1.6) & (Y > -2.8) & (~face | ((np.abs(X) > 0.75) & (Y > -0.7)))
    throat = (np.abs(X) < neck) & (Y < -1.2) & ~face
    hair, face = curtain & ~throat, face & ~curtain
    rgb = np.full((*X.shape, 3), WALL, np.uint8)
    rgb[face | throat], rgb[hair] = SKIN, HAIR
    ones = np.ones(X.shape, np.float32)
    silhouette = Silhouette(hair.astype(np.float32), (hair | face | throat).astype(np.float32), ones)
    return rgb, centred((len(rgb) - 1) / 2, (len(rgb) - 1) / 2, 0, 1), silhouette, face.astype(np.float32)


@pytest.mark.parametrize("neck", [0.2, 0.4])
def test_a_neck_behind_hair_is_as_wide_as_those_of_people(neck):
    """Whatever shows of it: half of 435 women whose masks show it have necks between 1.0 and 2.1 eye distances wide."""
    result = bald(behind_a_curtain(neck)).astype(float)
    row = result[np.abs(Y[:, 0] + 2.2).argmin()]
    skin = np.abs(row - SKIN).mean(axis=1) < np.abs(row - WALL).mean(axis=1)
    width = skin[np.abs(X[0]) < 1.6].sum() * float(X[0, 1] - X[0, 0])
    assert 1.3 < width < 1.7
    assert not skin[(np.abs(X[0]) > 1.0) & (np.abs(X[0]) < 1.4)].any()


def test_a_face_goes_from_the_temples_to_the_jaw_without_a_notch():
    """Hair hides it in between; its outline lies outside of the straight line."""
    scene = behind_a_curtain()
    view = _View.of(*scene[:2], S, *scene[2:], 0 * scene[3])
    jaw = float(np.abs(X[(scene[3] > 0) & (np.abs(Y + 0.8) < 0.05)]).max())
    inside, heights = view.face(), np.linspace(0.0, -0.7, 8)
    for way in (-1, 1):
        for share, height in zip(np.linspace(0, 1, 8), heights, strict=True):
            aside = way * ((1 - share) * 0.9 * view.skull.across + share * jaw - 0.06)
            assert inside[np.abs(view.y[:, 0] - height).argmin(), np.abs(view.x[0] - aside).argmin()] > -0.02


@pytest.mark.parametrize("way", [-1, 1])
def test_the_shade_of_a_lock_on_a_cheek_does_not_go_on_beside_it(way):
    """The drawn skin beside it is as bright as that on the other side, where there is no shade."""
    rgb, *rest = behind_a_curtain()
    shade = (way * X > 0.66) & (way * X < 0.75) & (np.abs(Y + 0.4) < 0.1)
    rgb[shade] = (0.6 * np.array(SKIN)).astype(np.uint8)
    row = bald((rgb, *rest)).astype(float).mean(axis=2)[np.abs(Y[:, 0] + 0.4).argmin()]
    shaded, other = (row[np.abs(X[0] - side * 0.86).argmin()] for side in (way, -way))
    assert shaded == pytest.approx(other, rel=0.1)


def test_the_stronger_the_edit_the_less_hair(scene):
    rgb = scene[0]
    hair = cv2.resize(CAP.astype(np.uint8), rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    far = [np.abs(bald(scene, strength).astype(float) - rgb)[hair].mean() for strength in (0, 0.25, 0.5, 0.75, 1, 1.5)]
    assert far[0] == 0
    assert (np.diff(far[:5]) > 1).all()
    assert far[5] == far[4]


def shadow_of(scene):
    """Logarithm of the brightness (3,) that dark hair takes from the crown and from the forehead."""
    places = (((np.abs(X) < 0.5) & (np.abs(Y - height) < 0.1)) for height in (1.4, 0.6))
    dark, light = (
        cv2.resize(bald(each), CAP.shape, interpolation=cv2.INTER_AREA).astype(float) for each in (scene, fair(scene))
    )
    return [np.log(light[place].mean(axis=0) / dark[place].mean(axis=0)) for place in places]


def test_dark_hair_leaves_a_cool_shadow_where_it_grew(scene):
    crown, forehead = shadow_of(scene)
    assert (crown > 0.1).all()
    assert crown[0] > crown[2] + 0.02  # red goes first
    assert np.abs(forehead).max() < 0.01


def test_on_brown_skin_the_shadow_is_faint_and_brown(scene):
    rgb, *rest = scene
    brown = (120, 80, 58)
    crown, _ = shadow_of((np.where((rgb == SKIN).all(axis=2, keepdims=True), np.array(brown, np.uint8), rgb), *rest))
    assert (crown > 0.02).all()
    assert crown.max() < 0.6 * shadow_of(scene)[0].min()
    assert np.ptp(crown) < 0.02


@pytest.mark.parametrize("way", [-1, 1])
def test_a_scalp_shines_on_the_side_on_which_the_forehead_does(scene, way):
    rgb, *_, skin = scene = fair(scene)
    rgb = cv2.resize(rgb, CAP.shape, interpolation=cv2.INTER_AREA)
    bright = 1 + 0.3 * np.exp(-(((X - 0.35 * way) / 0.15) ** 2) - ((Y - 0.4) / 0.15) ** 2)
    rgb[FACE] = (np.array((150, 105, 85)) * bright[..., None])[FACE].astype(np.uint8)
    alignment = centred((len(rgb) - 1) / 2, (len(rgb) - 1) / 2, 0, 1)
    result = bald((rgb, alignment, *scene[2:])).astype(float).mean(axis=2)
    there, other, above = (result[(np.abs(X - x) < 0.1) & (np.abs(Y - y) < 0.1)].mean()
                           for x, y in ((0.4 * way, 1.1), (-0.4 * way, 1.1), (0.4 * way, 1.5)))  # fmt: skip
    assert there > 1.06 * other
    assert there > 1.06 * above


def test_a_strand_over_a_cheek_gives_way_to_skin(scene):
    rgb, *_, skin = scene
    rgb = cv2.resize(rgb, CAP.shape, interpolation=cv2.INTER_AREA)
    strand = (np.abs(X - 0.7) < 0.07) & (Y < 0.5) & (Y > -1.1) & FACE
    rgb[strand] = HAIR
    alignment = centred((len(rgb) - 1) / 2, (len(rgb) - 1) / 2, 0, 1)
    silhouette = silhouette_of(CAP | strand, FACE & ~strand)
    result = draw_scalp(rgb, alignment, S, silhouette, skin * ~strand, 0 * skin).astype(int)
    assert np.abs(result[strand & (Y < 0) & (Y > -0.9)] - SKIN).max() < 30  # the wall differs by 115, and hair by 155


def test_the_end_of_a_brow_goes_with_the_hair_over_it(scene):
    """Else a dark spot stays in the new skin. The rest of the brow does not change."""
    rgb, *_, skin = scene
    rgb = cv2.resize(rgb, CAP.shape, interpolation=cv2.INTER_AREA)
    curtain = CAP | ((X > 0.75) & (X < 1.5) & (Y < 0.6) & (Y > -1.2))
    brow = ((np.abs(Y - 0.25) < 0.06) & (X > 0.2) & (X < 0.85)).astype(np.float32)
    rgb[curtain] = HAIR
    rgb[brow > 0] = (70, 50, 45)
    hair = curtain & (brow == 0)
    brows = apart_from_hair(brow, hair.astype(np.float32))
    end, rest = (brow > 0) & (X > 0.8), (brow > 0) & (X < 0.6)
    assert brows[end].max() < 0.3
    np.testing.assert_array_equal(brows[rest], brow[rest])
    alignment = centred((len(rgb) - 1) / 2, (len(rgb) - 1) / 2, 0, 1)
    silhouette = silhouette_of(hair, FACE | curtain)
    left, gone = (draw_scalp(rgb, alignment, S, silhouette, skin * ~curtain * (brow == 0), each).astype(int)
                  for each in (brow, brows))  # fmt: skip
    assert np.abs(left - rgb)[rest].max() == 0
    assert np.abs(gone - rgb)[rest].max() == 0
    assert left[end].mean() < 80
    above = (np.abs(Y - 0.42) < 0.04) & (X > 0.8) & (X < 0.85)  # skin at the same distance from the middle
    assert gone[end].mean() > 0.85 * gone[above].mean()


def test_a_bald_head_turns_with_the_photo(scene):
    rgb, _, silhouette, skin = scene
    middle = (len(rgb) - 1) / 2
    lying = (np.ascontiguousarray(np.rot90(rgb)), centred(middle, middle, 90, 1 / DETAIL), silhouette, skin)
    difference = cv2.absdiff(np.ascontiguousarray(np.rot90(bald(lying), -1)), bald(scene))
    assert np.percentile(difference, 99) <= 3


def test_other_heads_keep_their_hair(scene):
    rgb, alignment, silhouette, skin = scene
    own = (X < 0).astype(np.float32)
    result = bald((rgb, alignment, silhouette.within(own), skin))
    right = cv2.resize((X > 0.05).astype(np.uint8), rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    assert np.array_equal(result[right], rgb[right])
    assert not np.array_equal(result, rgb)


def test_behind_long_hair_clothes_and_wall_meet_at_a_border(scene):
    shirt = (0, 90, 200)
    long = CAP | ((np.abs(X) > 0.9) & (np.abs(X) < 1.8) & (Y < 0.6) & (Y > -3.5) & ~FACE)
    clothes = (Y < -2.6) & ~long
    rgb = np.full((*HEAD.shape, 3), WALL, np.uint8)
    rgb[clothes], rgb[FACE], rgb[long] = shirt, SKIN, HAIR
    silhouette = replace(silhouette_of(long), clothes=clothes.astype(np.float32))
    alignment = centred((len(rgb) - 1) / 2, (len(rgb) - 1) / 2, 0, 1)
    result = draw_scalp(rgb, alignment, S, silhouette, FACE * (1.0 - long), 0.0 * FACE)
    column = result[:, int(np.abs(X[0] - 1.35).argmin())].astype(int)
    height = Y[:, 0]
    assert np.abs(column[(height < -1.2) & (height > -2.3)] - WALL).max() < 6
    assert np.abs(column[(height < -2.9) & (height > -3.3)] - shirt).max() < 6


def test_hair_over_the_brows_is_known():
    assert not hides_the_brows(silhouette_of(CAP))
    assert hides_the_brows(silhouette_of(CAP | ((np.abs(X) < 0.8) & (Y > 0.2))))


def test_slow_colours_spread_from_what_is_known():
    image = np.random.default_rng(0).random((60, 80, 3))
    near = spread(image, np.ones((60, 80)), 2.0)
    assert np.abs(near - cv2.GaussianBlur(image, (0, 0), 2.0)).max() < 1e-5
    known = np.zeros((60, 80))
    known[20:40, :10] = 1
    for channels in (1, 3):
        np.testing.assert_allclose(spread(np.full((60, 80, channels), 7.0), known, 2.0), 7, atol=1e-3)
    np.testing.assert_allclose(spread(image[..., :1], known, 2.0), spread(image, known, 2.0)[..., :1], rtol=1e-5)


def test_grain_is_as_strong_as_the_photos_and_has_its_fineness():
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 30, (96, 96)), (0, 0), 1.0)
    patch = np.clip(128 + noise, 0, 255).round().astype(np.uint8)[..., None].repeat(3, axis=2)
    grain = grain_of(patch, 6.0)[..., 1]
    assert grain.std() == pytest.approx(noise.std(), rel=0.1)
    neighbours = [np.corrcoef(each[:, 1:].ravel(), each[:, :-1].ravel())[0, 1] for each in (grain, noise)]
    assert neighbours[0] == pytest.approx(neighbours[1], abs=0.05)
    assert not grain_of(patch[:8, :8], 6.0).any()


def test_new_skin_and_new_wall_are_as_grainy_as_those_of_the_photo(scene):
    rgb, alignment, silhouette, skin = fair(scene)
    noise = cv2.GaussianBlur(np.random.default_rng(1).normal(0, (9.0, 6, 12), rgb.shape), (0, 0), 0.8)
    result = bald((np.clip(rgb + noise, 0, 255).round().astype(np.uint8), alignment, silhouette, skin))
    fine = result - cv2.GaussianBlur(result.astype(np.float32), (0, 0), 2)
    _, _, edge = Skull.of(silhouette, skin).coordinates(X, Y)
    hair = cv2.erode(CAP.astype(np.uint8), np.ones((7, 7))) > 0
    new_wall, new_skin, wall, face = (
        fine[cv2.resize(each.astype(np.uint8), rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0].std(axis=0)
        for each in (
            hair & (edge < -0.06),
            hair & (edge > 0.06),
            (np.abs(X) > 1.8) & (Y > 0),
            FACE & (np.hypot(X, Y) < 0.6),
        )
    )
    np.testing.assert_allclose(new_wall, wall, rtol=0.3)
    np.testing.assert_allclose(new_skin, GRAIN * face, rtol=0.2)


def test_letters_on_a_wall_are_no_grain(scene):
    rgb, alignment, silhouette, skin = fair(scene)
    noise = np.random.default_rng(1).normal(0, 2, rgb.shape)
    letters = 60 * (np.indices(rgb.shape[:2]).sum(axis=0) // 3 % 2)[..., None]
    on_the_wall = (rgb == WALL).all(axis=2, keepdims=True)
    photo = np.clip(rgb + noise + on_the_wall * letters, 0, 255).round().astype(np.uint8)
    head = _Head.of(photo, _View.of(photo, alignment, S, silhouette, skin, np.zeros_like(skin)))
    assert head.skin.std() > 1
    assert head.wall.std() == pytest.approx(LETTERS[1] * head.skin.std(), rel=1e-3)


def test_grain_has_the_colours_of_the_photos():
    rng = np.random.default_rng(2)
    mixed = rng.normal(size=(96, 96, 3)) @ np.array([[3.0, 0, 0], [2, 2, 0], [1, 0, 4]]).T
    grain = grain_of(np.clip(128 + mixed, 0, 255).round().astype(np.uint8), 6.0)
    wanted, found = (np.cov(each.reshape(-1, 3).T) for each in (mixed, grain))
    np.testing.assert_allclose(found, wanted, atol=0.08 * np.diag(wanted).max())


def test_a_map_of_the_crop_returns_from_the_window():
    share = np.random.default_rng(0).random((S, S)).astype(np.float32)
    np.testing.assert_allclose(in_the_crop(in_the_window(share, WIDE * S)), share, atol=1e-6)
