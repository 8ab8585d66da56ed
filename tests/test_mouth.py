"""Mouths are opened and closed by moving the photo's own lips, which are found in the photo."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.drawing.lips import Lips
from stgan.drawing.mouth import OPEN, Movement, move_lips
from stgan.photo.light import USUAL_LIGHT

DETAIL = 4  # pixels of the photo per pixel of the crop
SIDE = DETAIL * S
ALIGNMENT = centred((SIDE - 1) / 2, (SIDE - 1) / 2, 0, 1 / DETAIL)
SKIN, LIP, TOOTH = (200, 160, 140), (160, 80, 80), (230, 225, 210)
MIDDLE, HALF = 64.0, 17.0  # column of the mouth's middle, and half its width, pixels of the crop
CORNERS, TOP, BOTTOM = 95.0, 4.0, 9.0  # row of its corners, and how far its borders are above and below them
UPPER, LOWER = 1.0, 4.0  # likewise, of the lips' inner edges
GAP = UPPER + LOWER
NOWHERE = np.zeros((S, S))


def lens(above, below, side=SIDE):
    """The area between two parabolas through the corners of the mouth, bool (side, side)."""
    columns, rows = np.meshgrid(*[(np.arange(side) + 0.5) * S / side - 0.5] * 2)
    share = 1 - ((columns - MIDDLE) / HALF) ** 2
    return (rows > CORNERS - above * share) & (rows < CORNERS + below * share) & (share > 0)


def photo(gap=True, grey=False):
    """A face uint8 (H, W, 3) with reddish lips, and teeth or a dark line between them."""
    rgb = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    rgb[lens(TOP, BOTTOM)] = LIP
    if gap:
        rgb[lens(UPPER, LOWER)] = TOOTH
    else:
        rgb[lens(0.2, 0.3)] = (70, 30, 30)
    noise = np.random.default_rng(0).normal(0, 2, (SIDE, SIDE, 1))
    rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    return np.repeat(rgb[..., 1:2], 3, axis=2) if grey else rgb


def found(rgb):
    mouth = cv2.resize(lens(TOP, BOTTOM).astype(np.float32), (S, S), interpolation=cv2.INTER_AREA)
    return Lips.find(rgb, ALIGNMENT, mouth, USUAL_LIGHT, NOWHERE)


def moved(rgb, movement, share=1.0):
    return move_lips(rgb, ALIGNMENT, movement, np.full((S, S), share))


def teeth(rgb):
    """Rows of the crop with teeth in the middle of the mouth."""
    return (rgb[DETAIL * 80 : DETAIL * 110, round(DETAIL * MIDDLE)].min(axis=1) > 180).sum() / DETAIL


@pytest.mark.parametrize("grey", [False, True])
def test_lips_are_found_where_they_were_drawn(grey):
    lips = found(photo(grey=grey))
    share = (1 - ((lips.columns - MIDDLE) / HALF) ** 2).clip(0)
    inner = share > 0.4
    assert np.abs(lips.upper - CORNERS + UPPER * share)[inner].max() < 1.2
    assert np.abs(lips.lower - CORNERS - LOWER * share)[inner].max() < 1.2
    assert lips.toothy == 1
    closed = found(photo(gap=False, grey=grey))
    assert closed.toothy < 0.5
    assert np.abs(closed.seam - CORNERS)[5:-5].max() < 1


@pytest.mark.parametrize("grey", [False, True])
def test_closing_covers_as_many_teeth_as_asked_for(grey):
    rgb = photo(grey=grey)
    lips = found(rgb)
    seen = [teeth(moved(rgb, Movement.closing(lips, strength))) if strength else teeth(rgb)
            for strength in (0, 0.5, 1.0, 1.5)]  # fmt: skip
    assert seen[0] == pytest.approx(GAP, abs=0.3)
    assert seen[1] == pytest.approx(GAP / 2, abs=1)
    assert seen[2] == seen[3] == 0
    result = moved(rgb, Movement.closing(lips, 1.0))
    assert not grey or np.ptp(result, axis=2).max() == 0
    assert np.array_equal(result[: DETAIL * 80], rgb[: DETAIL * 80])
    assert np.array_equal(result[:, : DETAIL * 40], rgb[:, : DETAIL * 40])
    # The lips keep their size or grow: they cover what the teeth did.
    lip = np.abs(result.astype(int) - LIP).max(axis=2) < 40
    assert grey or lip[:, round(DETAIL * MIDDLE)].sum() / DETAIL > TOP + BOTTOM - GAP


def test_opening_moves_the_lips_apart_by_the_usual_gap():
    rgb = photo(gap=False)
    lips = found(rgb)
    heights = []
    for strength in (0.5, 1.0, 1.5):
        result = moved(rgb, Movement.opening(lips, strength))
        column = result[DETAIL * 85 : DETAIL * 115, round(DETAIL * MIDDLE)].astype(int)
        far = np.abs(column - LIP).max(axis=1) > 25
        lip_rows = np.nonzero(np.abs(column - LIP).max(axis=1) < 15)[0]
        heights.append(far[lip_rows[0] : lip_rows[-1]].sum() / DETAIL)
        assert np.array_equal(result[: DETAIL * 80], rgb[: DETAIL * 80])
    assert heights == pytest.approx([strength * OPEN * lips.distance for strength in (0.5, 1.0, 1.5)], abs=1.5)
    assert heights == sorted(heights)


def test_what_cannot_be_done_is_left_to_the_network():
    assert Movement.closing(found(photo(gap=False)), 1.0) is None
    assert Movement.opening(found(photo()), 1.0) is None
    assert Lips.find(photo(), ALIGNMENT, NOWHERE, USUAL_LIGHT, NOWHERE) is None


def test_lips_turn_with_the_face_and_stay_where_nothing_may_change():
    rgb = photo()
    movement = Movement.closing(found(rgb), 1.0)
    assert np.array_equal(moved(rgb, movement, share=0.0), rgb)
    turned = centred((SIDE - 1) / 2, (SIDE - 1) / 2, 90, 1 / DETAIL)
    lying = move_lips(np.rot90(rgb).copy(), turned, movement, np.ones((S, S)))
    assert cv2.absdiff(np.rot90(lying, -1).copy(), moved(rgb, movement)).max() <= 2
