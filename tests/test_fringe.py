"""Bangs are the photo's own hair, drawn down over the forehead as far as the network drew them."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.drawing.fringe import Fringe, draw_fringe
from stgan.photo.matte import WIDE, Silhouette

DETAIL = 4  # pixels of the photo per pixel of the crop
HAIRLINE, LENGTH = 24, 16  # rows of the crop; the eyes are in row 64, and the brows end 12 rows above them
MIDDLE = np.s_[52:76]  # columns


@pytest.fixture(scope="module")
def scene():
    """A photo of dark strands over bare skin, its alignment, silhouette and hair in the crop."""
    side = DETAIL * S
    strands = np.random.default_rng(1).normal(0, 8, (1, side, 1))
    rgb = np.empty((side, side, 3))
    rgb[:] = (205, 165, 145)
    rgb[: HAIRLINE * DETAIL] = np.array([70.0, 50, 40]) + strands
    hair = np.zeros((WIDE * S, WIDE * S), np.float32)
    hair[: S // 2 + HAIRLINE] = 1
    alignment = centred((side - 1) / 2, (side - 1) / 2, 0, 1 / DETAIL)
    silhouette = Silhouette(hair, np.ones_like(hair), np.ones_like(hair))
    return (
        np.clip(rgb, 0, 255).round().astype(np.uint8),
        alignment,
        silhouette,
        hair[S // 2 : -S // 2, S // 2 : -S // 2],
    )


def bangs(hair, length=LENGTH):
    """A crop without and with a fringe of plain dark pixels, (S, S, 3)."""
    before = np.where(hair[..., None] > 0, 50.0, 170.0) * np.ones(3)
    after = before.copy()
    after[HAIRLINE : HAIRLINE + length, 40:89] = 60
    return before, after


def test_the_fringe_is_as_long_as_drawn_and_made_of_the_photos_strands(scene):
    rgb, alignment, silhouette, hair = scene
    fringe = Fringe.read(*bangs(hair), hair)
    result = draw_fringe(rgb, alignment, fringe, np.ones((S, S)), silhouette)
    dark = (result[..., 0] < 140).sum(axis=0) / DETAIL  # rows of hair per column
    columns = np.s_[MIDDLE.start * DETAIL : MIDDLE.stop * DETAIL]
    assert np.abs(dark[columns] - HAIRLINE - LENGTH).max() < 2.5
    new = result[(HAIRLINE + 4) * DETAIL : (HAIRLINE + LENGTH - 4) * DETAIL, columns].astype(float).mean(axis=2)
    old = rgb[0, columns].astype(float).mean(axis=1)
    assert np.corrcoef(new.mean(axis=0), old)[0, 1] > 0.95
    assert new.std() > 0.8 * old.std()  # as much contrast between strands


def test_the_face_below_and_the_sides_stay_as_they_are(scene):
    rgb, alignment, silhouette, hair = scene
    result = draw_fringe(rgb, alignment, Fringe.read(*bangs(hair), hair), np.ones((S, S)), silhouette)
    changed = np.abs(result.astype(int) - rgb).max(axis=2)
    assert changed[60 * DETAIL :].max() == 0
    assert changed[:, : 25 * DETAIL].max() == changed[:, 104 * DETAIL :].max() == 0
    nowhere = draw_fringe(rgb, alignment, Fringe.read(*bangs(hair), hair), np.zeros((S, S)), silhouette)
    assert np.array_equal(nowhere, rgb)


def test_without_a_drawing_or_without_hair_there_is_no_fringe(scene):
    *_, hair = scene
    before, after = bangs(hair)
    assert Fringe.read(before, before, hair) is None
    assert Fringe.read(before, after, 0 * hair) is None
    thin = hair * (np.arange(S)[:, None] >= HAIRLINE - 3)  # below a hat, say
    assert Fringe.read(before, after, thin) is None
    short = hair * (np.arange(S)[:, None] >= HAIRLINE - 12)
    assert Fringe.read(*bangs(short, LENGTH), short) is None
    assert Fringe.read(*bangs(short, 8), short) is not None
    shorter = Fringe.read(*bangs(hair, LENGTH // 2), hair)
    assert shorter.moved.max() == pytest.approx(LENGTH / 2, abs=1)


def test_a_fringe_turns_with_the_face(scene):
    rgb, alignment, silhouette, hair = scene
    fringe = Fringe.read(*bangs(hair), hair)
    upright = draw_fringe(rgb, alignment, fringe, np.ones((S, S)), silhouette)
    turned = np.ascontiguousarray(np.rot90(rgb))  # counterclockwise: right is up
    middle = (DETAIL * S - 1) / 2
    lying = draw_fringe(turned, centred(middle, middle, 90, 1 / DETAIL), fringe, np.ones((S, S)), silhouette)
    difference = cv2.absdiff(np.ascontiguousarray(np.rot90(lying, -1)), upright)
    assert difference.max() <= 2
