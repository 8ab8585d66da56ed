"""Frames that come off a fine photo take nothing else with them, and what they hid goes on from both sides."""

import cv2
import numpy as np
import pytest
from frames import S, centred
from test_glasses import CENTRES, DISTANCE, EYES, RADII
from test_unworn import bareness, ellipses, face

from stgan.drawing.morphology import closed, grown, largest, opened, ridge, touching, without_holes
from stgan.drawing.unworn import take_off

DETAIL = 3
WALL = np.array([60.0, 90, 160])


def enlarged(image):
    return cv2.resize(image.astype(np.float32), (DETAIL * S,) * 2, interpolation=cv2.INTER_CUBIC)


def wrinkled(image):
    """A fine photo of a crop, with lines and pores that only it shows."""
    rows, columns = np.indices((DETAIL * S,) * 2)
    pores = np.random.default_rng(1).normal(0, 2, (DETAIL * S,) * 2)
    lines = 5 * np.sin(rows / 2.5) * (np.sin(columns / 9) > 0.8)
    return np.rint(enlarged(image) + (pores + lines)[..., None]).clip(0, 255).astype(np.uint8)


def taken_off(worn, drawn, seen):
    """The fine photo of a crop with glasses, before and after."""
    middle = (DETAIL * S - 1) / 2
    rgb = wrinkled(worn)
    return rgb, take_off(rgb, centred(middle, middle, 0, 1 / DETAIL), bareness(worn, drawn, seen))


def from_outlines():
    """Distance (H, W) in eye distances from the nearer of the ellipses along which rims were painted."""
    clear = np.ones((DETAIL * S,) * 2, np.uint8)
    around = np.linspace(0, 2 * np.pi, 400)
    for centre in CENTRES:
        points = centre + RADII * np.stack([np.cos(around), np.sin(around)], axis=-1)
        columns, rows = np.rint((points + 0.5) * DETAIL - 0.5).astype(int).T
        clear[rows, columns] = 0
    return cv2.distanceTransform(clear, cv2.DIST_L2, 5) / DETAIL / DISTANCE


def test_a_photo_keeps_its_skin_to_the_pixel_outside_the_rims_and_behind_clear_lenses():
    bare, worn, drawn, seen = face()
    rgb, after = taken_off(worn, drawn, seen)
    far = from_outlines()
    level = (np.arange(DETAIL * S) + 0.5) / DETAIL - 0.5 - CENTRES[0, 1]
    beside_bridge = np.abs(level / DISTANCE + 0.12) > 0.15
    kept = (far > 0.14) & beside_bridge[:, None]
    assert (after[kept] == rgb[kept]).mean() > 0.99
    rims = far < 0.03
    assert np.quantile(np.abs(after[rims].astype(float) - wrinkled(bare)[rims]), 0.95) < 14
    assert np.abs(rgb[rims].astype(float) - wrinkled(bare)[rims]).max() > 80


def test_a_drawing_in_other_colours_does_not_tint_the_skin():
    _, worn, drawn, seen = face()
    rims = from_outlines() < 0.03
    plain, tinted = (taken_off(worn, each, seen)[1].astype(float) for each in (drawn, drawn + [20, -5, -30]))
    hues = [each[rims] - each[rims].mean(axis=1, keepdims=True) for each in (plain, tinted)]
    assert np.abs(hues[0].mean(axis=0) - hues[1].mean(axis=0)).max() < 4


@pytest.mark.parametrize("visible", [True, False])
def test_a_brow_is_drawn_where_the_photo_shows_none(visible):
    _, worn, drawn, seen = face()
    hair, under = np.array([70.0, 50, 40]), ellipses(CENTRES - [0, RADII[1]], np.array([0.25, 0.035]) * DISTANCE)
    if visible:
        own = ellipses(EYES - [0, 0.45 * DISTANCE], np.array([0.3, 0.05]) * DISTANCE)
        worn = worn + own[..., None] * (hair - worn)
        seen["brows"][:], seen["skin"][:] = own > 0.5, seen["skin"] * (own <= 0.5)
    without = taken_off(worn, drawn, seen)[1].astype(float)
    after = taken_off(worn, drawn + under[..., None] * (hair - drawn), seen)[1]
    darker = (without - after)[enlarged(under) > 0.9].mean()
    assert abs(darker) < 2 if visible else darker > 15


def test_a_wall_goes_on_to_the_edge_of_the_face_where_a_rim_crosses_it():
    bare, worn, drawn, seen = face()
    cover = (np.abs(worn - bare).max(axis=2, keepdims=True) / np.abs(worn - bare).max()).clip(0, 1)
    edge = round(CENTRES[0, 0] - 0.75 * RADII[0])
    wall = np.arange(S) < edge
    worn[:, wall] = (WALL + cover * (worn - WALL))[:, wall]
    drawn[:, wall] = WALL
    seen["background"][:] = wall & (seen["eyeglasses"] == 0)
    seen["skin"][:] *= ~wall
    rgb, after = (each.astype(float) for each in taken_off(worn, drawn, seen))
    columns = slice(round((edge - 0.2 * DISTANCE) * DETAIL), round((edge + 0.2 * DISTANCE) * DETAIL))
    bluer = (after[..., 2] - after[..., 0] > 0)[:, columns]  # as the wall is, but not skin
    offsets = bluer.sum(axis=1) - 0.2 * DISTANCE * DETAIL
    assert np.quantile(np.abs(offsets), 0.98) < 0.08 * DISTANCE * DETAIL
    darkest = [float(np.quantile(each[:, columns].max(axis=2), 0.01)) for each in (rgb, after)]
    assert darkest[0] < 70
    assert darkest[1] > 120  # no frame is left


def test_shapes_are_what_their_definitions_say():
    random = np.random.default_rng(0)
    image = random.normal(size=(20, 30, 3)).astype(np.float32)
    assert np.array_equal(largest(image), image.max(axis=2))
    line = np.full((40, 40, 3), 100.0, np.float32)
    line[20:23] -= [10.0, 30.0, 20.0]
    line[5:20, 5:20] += 15  # wider than the lines asked for
    assert ridge(line, 8)[21, 30] == 30
    assert ridge(line, 8)[12, 12] == 0
    square = np.zeros((40, 40), bool)
    square[10:30, 10:30] = True
    speck = square.copy()
    speck[2, 2] = True
    assert np.array_equal(touching(speck, square, 10), square)
    assert not opened(speck, 2)[2, 2]
    ring = square.copy()
    ring[15:25, 15:25] = False
    assert np.array_equal(without_holes(ring, 101), square)
    assert np.array_equal(without_holes(ring, 100), ring)
    split = square.copy()
    split[:, 19:21] = False
    assert closed(split, 3)[20, 20]
    assert grown(square, 3).sum() > square.sum()
