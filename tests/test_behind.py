"""What lies behind a head goes on as its surroundings do, each colour up to its border."""

import cv2
import numpy as np
import pytest

from stgan.drawing.behind import Backdrop, _colours, _faded
from stgan.drawing.borders import SIDE, Border, find_borders, lines_of
from stgan.photo.align import Alignment

G, DETAIL = 512, 2  # pixels of the grid, and of the photo for each of them
Y, X = np.mgrid[:G, :G]
HEAD = (X - 256) ** 2 + (Y - 250) ** 2 < 60**2
HOLE = ((X - 256) ** 2 + (Y - 250) ** 2 < 100**2) & ~HEAD
RED, WHITE, BLUE = (190.0, 40, 50), (225.0, 220, 215), (20.0, 60, 200)
WALL = np.stack([60 + 0.2 * X, 90 + 0.1 * Y, 200 - 0.2 * X], axis=-1)


def stripes(angle, width=48):
    across = X * np.cos(np.deg2rad(angle)) + Y * np.sin(np.deg2rad(angle))
    return np.where((across // width % 2)[..., None] == 0, RED, WHITE)


def backdrop_of(truth, clothes=False, seen=True):
    """Of a photo of this truth (G, G, 3) with hair in the hole."""
    hidden = np.where((HOLE | HEAD)[..., None], (40.0, 30, 25), truth).astype(np.float32)
    placed = Alignment(np.array([[1 / DETAIL, 0, (1 / DETAIL - 1) / 2], [0, 1 / DETAIL, (1 / DETAIL - 1) / 2]]))
    return Backdrop.of(hidden, seen & ~HOLE & ~HEAD, HOLE, np.full((G, G), True) & ~np.asarray(clothes), placed)


def filled(truth, clothes=False, seen=True):
    """The backdrop at the photo's resolution, drawn on the grid."""
    shown = backdrop_of(truth, clothes, seen).over((0, 0), np.zeros((G * DETAIL, G * DETAIL, 3), np.float32))
    return cv2.resize(shown, (G, G), interpolation=cv2.INTER_AREA)


def apart(result, truth, where=HOLE):
    return np.abs(result - truth)[where].mean(axis=1)


def test_light_goes_on():
    assert apart(filled(WALL), WALL).mean() < 3


@pytest.mark.parametrize("angle", [0, 35, 60, 110])
def test_stripes_go_on_in_their_own_direction(angle):
    truth = stripes(angle)
    error = apart(filled(truth), truth)
    assert error.mean() < 18  # the mean of both stripes is 90 levels from each
    assert np.median(error) < 3


@pytest.mark.parametrize("angle", [20, 70])
def test_a_border_is_found_where_it_is_drawn_and_ends_behind_the_head(angle):
    way = np.array([np.sin(np.deg2rad(angle)), -np.cos(np.deg2rad(angle))])  # along it
    across = (X - 256) * np.cos(np.deg2rad(angle)) + (Y - 250) * np.sin(np.deg2rad(angle))
    truth = np.where((across > 0)[..., None], RED, WHITE).astype(np.float32)
    image = cv2.resize(truth, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    head, hole = (cv2.resize(each.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0
                  for each in (HEAD, HOLE))  # fmt: skip
    borders = find_borders(image, ~head & ~hole, hole, np.zeros((SIDE, SIDE), np.float32))
    assert len(borders) == 2
    for border in borders:
        assert abs(border.way @ way) > np.cos(np.deg2rad(3))
        offset = (border.start + 0.5) * (G / SIDE) - (256, 250)
        assert abs(offset @ (way[1], -way[0])) < 4  # pixels of the grid
        assert border.width == 0
    lines, _ = lines_of(borders, hole)
    assert (lines & hole).any()
    deep = cv2.erode(head.astype(np.uint8), np.ones((9, 9))) > 0
    assert not (lines & deep).any()


@pytest.mark.parametrize("softness", [0.0, 1.5, 3.0])
def test_a_border_is_as_soft_as_it_is_away_from_the_hair(softness):
    """Hair that hangs out of the hole and its shade cannot make it softer."""
    share = (np.arange(SIDE) > 128).astype(np.float32)[None].repeat(SIDE, axis=0)
    share = (cv2.GaussianBlur(share, (0, 0), softness) if softness else share)[..., None]
    image = (WHITE + share * (np.array(RED) - WHITE)).astype(np.float32)
    y, x = np.mgrid[:SIDE, :SIDE]
    far = np.hypot(x - 128, y - 125)
    near = np.exp(-np.square((far - 50) / 3))[..., None] * (far > 50)[..., None]
    image += near * (cv2.GaussianBlur(image, (0, 0), 4) - image)
    borders = find_borders(image, far > 50, (far <= 50) & (far > 30), np.zeros((SIDE, SIDE), np.float32))
    assert len(borders) == 2
    assert [border.width for border in borders] == pytest.approx([softness] * 2, abs=1.5 * (softness > 0))


def test_soft_borders_stay_soft_and_sharp_ones_sharp():
    slopes = []
    for softness in (0.5, 9):
        share = cv2.GaussianBlur((X + 0.2 * Y > 306).astype(np.float32), (0, 0), softness)[..., None]
        row = filled(WHITE + share * (np.array(RED) - WHITE))[170, :, 1]  # in the hole, above the head
        slopes.append(np.abs(np.diff(row)).max())
    assert slopes[0] > 40
    assert slopes[1] < 15


def test_a_spot_beside_the_hole_is_no_border_and_does_not_shine_into_it():
    truth = np.where((np.hypot(X - 256 - 112, Y - 250) < 9)[..., None], RED, WALL)
    assert apart(filled(truth), WALL, HOLE & (X < 340)).max() < 10


@pytest.mark.parametrize("share", [0.15, 0.25, 0.48])
def test_a_wall_and_a_sign_beside_a_piece_are_kept_apart(share):
    """OpenCV's two means find the same. A small sign does not count, and colours that go over into one another are not
    parted."""
    beside, noise = np.zeros((64, 64), bool), np.random.default_rng(3).normal(0, 6, (64, 64, 3))
    beside[8:56, 20:26] = True
    sign = np.zeros_like(beside)
    sign[: 8 + round(share * 48)] = True
    image = (np.where(sign[..., None], WHITE, BLUE) + noise).astype(np.float32)
    kinds = _colours(image, beside)
    _, labels, _ = cv2.kmeans(image[beside], 2, None, (cv2.TERM_CRITERIA_COUNT, 20, 0), 3, cv2.KMEANS_PP_CENTERS)
    counts = np.bincount(labels.ravel())
    assert len(kinds) == 1 + (share > 0.4)
    for kind in kinds:
        clusters = [beside.copy(), beside.copy()]
        for index, cluster in enumerate(clusters):
            cluster[beside] = labels.ravel() == index
        differs = [int((kind != cluster).sum()) for cluster in clusters]
        assert min(differs) < 0.05 * beside.sum()  # it is smoothed first
        assert share > 0.4 or np.argmin(differs) == counts.argmax()
    smooth = (np.linspace(0, 1, 64)[:, None, None] * (np.array(WHITE) - BLUE) + BLUE + noise).astype(np.float32)
    (kind,) = _colours(smooth, beside)
    np.testing.assert_array_equal(kind, beside)


def test_a_sign_that_does_not_count_fades_out_where_hair_began():
    """Its colour goes over into the wall's within a few pixels, everywhere on the way from one to the other."""
    y, x = np.mgrid[:SIDE, :SIDE]
    sign = (x < 60) & (np.abs(y - 128) < 40)
    image = np.where(sign[..., None], RED, BLUE).astype(np.float32)
    wall = np.full((SIDE // 2, SIDE // 2, 3), BLUE, np.float32)
    row = _faded(wall, image, sign & (x > 54))[64, :, 0]  # red
    assert row[29] == pytest.approx(RED[0], abs=20)
    np.testing.assert_allclose(row[40:], BLUE[0], atol=3)
    assert (np.diff(row[29:]) <= 0).all()
    np.testing.assert_array_equal(_faded(wall, image, 0 * sign > 0), wall)


def test_a_wall_of_two_colours_without_a_clear_border_is_not_mixed():
    """Its border is wavy and soft, so that no line goes on from it."""
    share = cv2.GaussianBlur((X + 60 * np.sin(Y / 12) > 256).astype(np.float32), (0, 0), 6)[..., None]
    result = filled(WHITE + share * (np.array(RED) - WHITE))
    between = np.minimum(*(np.abs(result - colour).mean(axis=2) for colour in (RED, WHITE)))
    assert np.mean(between[HOLE] < 25) > 0.9


def test_shoulders_go_on_in_a_line_and_no_higher_than_the_collar():
    """Also where they are as steep as a collar."""
    for slope in (0.1, 0.4, 1.2):
        clothes = 300 + slope * np.maximum(np.abs(X - 256) - 60, 0) < Y
        truth = np.where(clothes[..., None], BLUE, (90.0, 120, 90))
        result = filled(truth, clothes)
        blue = (np.abs(result - BLUE).mean(axis=2) < 40) & HOLE
        assert (
            apart(result, truth, HOLE & (np.abs(Y - 300 - slope * np.maximum(np.abs(X - 256) - 60, 0)) > 20)).mean()
            < 12
        )
        assert np.nonzero(blue)[0].min() > 275


def test_a_steep_shoulder_bends_to_the_collar():
    """It leaves in its own direction, reaches the collar, and goes on as it came there, without a corner."""
    start, way, aim = np.array([40.0, 160]), np.array([0.6, -0.8]), np.array([90.0, 140])
    path = Border(start, way, 100.0, 0.0, aim).path()
    steps = np.diff(path, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    assert steps[0] @ way > 0.999
    assert np.linalg.norm(path - aim, axis=1).min() < 0.3
    assert (steps[1:] * steps[:-1]).sum(axis=1).min() > 0.98
    turn = steps[1:, 0] * steps[:-1, 1] - steps[1:, 1] * steps[:-1, 0]
    assert turn.max() < 1e-6  # to one side alone
    straight = Border(start, way, 100.0, 0.0).path()
    assert np.abs((straight - start) @ (0.8, 0.6)).max() < 1e-9


def test_colours_of_clothes_do_not_bleed_into_the_wall():
    clothes = Y > 320
    truth = np.where(clothes[..., None], BLUE, (90.0, 120, 90))
    result = filled(truth, clothes)
    assert apart(result, truth, HOLE & (np.abs(Y - 320) > 12)).max() < 12


def test_where_nothing_shows_there_is_a_guess():
    assert np.isfinite(filled(WALL, seen=False)).all()
    corner = filled(WALL, seen=(X < 12) & (Y < 12))
    assert np.abs(corner - WALL[:12, :12].mean(axis=(0, 1)))[HOLE].max() < 5


def test_parts_of_a_photo_join():
    """A part of the photo shows the same as all of it, and the grain that it is given."""
    grain = np.random.default_rng(0).normal(0, 6, (G * DETAIL, G * DETAIL, 3)).astype(np.float32)
    backdrop = backdrop_of(stripes(35))
    whole, part = backdrop.over((0, 0), grain), backdrop.over((300, 200), grain[200:350, 300:480])
    np.testing.assert_allclose(part, whole[200:350, 300:480], atol=0.1)
    plain = backdrop.over((300, 200), 0 * grain[200:350, 300:480])
    inner = (plain > 40) & (plain < 215)
    np.testing.assert_allclose((part - plain)[inner], grain[200:350, 300:480][inner], atol=1e-3)
