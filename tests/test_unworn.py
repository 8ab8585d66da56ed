"""Glasses that come off leave the face that was there before they were painted onto it."""

import cv2
import numpy as np
import pytest
from frames import S, centred
from test_glasses import CENTRES, DISTANCE, EYES, FRAME, RADII, painted

from stgan.drawing.rims import Head
from stgan.drawing.unworn import Bareness, take_off, where_to_draw
from stgan.models import PARSER_CLASSES
from stgan.photo.light import USUAL_LIGHT, Light

SKIN = np.array([205.0, 165, 145])
IRIS = np.array([60.0, 45, 40])


def ellipses(centres, radii):
    """Float (S, S) in [0, 1]: two ellipses, drawn large and averaged."""
    large = np.zeros((S * 8, S * 8), np.uint8)
    for centre in centres:
        where = [tuple(int(v) for v in np.rint(np.array(each) * 8)) for each in (centre + 0.5, radii)]
        cv2.ellipse(large, *where, 0, 0, 360, 255, -1)
    return cv2.resize(large, (S, S), interpolation=cv2.INTER_AREA) / 255


def eyes_of(radius, down=0.0):
    return ellipses(EYES + [0, down * DISTANCE], np.array([1.6, 1.0]) * radius * DISTANCE)


def face(tint=0.0, arms=False):
    """A bare face, the same with glasses, what a network draws without them, and what a parser sees."""
    light = 1 + 0.1 * np.linspace(-1, 1, S)[None, :, None]
    eyes = eyes_of(0.1)
    bare = SKIN * light + eyes[..., None] * (IRIS - SKIN * light)
    before, after = painted(SKIN, tint=tint)
    lens = ellipses(CENTRES, RADII)
    cover = np.abs(painted(SKIN)[1] - before).max(axis=2, keepdims=True) / np.abs(FRAME - SKIN).max()
    worn = bare * (1 - tint * lens[..., None])
    worn = worn + cover * (FRAME - worn)
    if arms:
        height = int(CENTRES[0, 1] - 0.1 * DISTANCE)
        ends = int(CENTRES[0, 0] - RADII[0]), int(CENTRES[0, 0] - RADII[0] - 0.3 * DISTANCE)
        worn[height - 1 : height + 2, ends[1] : ends[0]] = FRAME
    other = eyes_of(0.09, 0.03)[..., None]  # somebody else's, in another light
    drawn = (SKIN + other * (IRIS[::-1] - SKIN)) * 0.95
    seen = {name: np.zeros((S, S), np.float32) for name in PARSER_CLASSES}
    shown = (eyes > 0.5) * (tint < 0.3)
    glasses = (ellipses(CENTRES, RADII * 1.08) > 0.5) | (cover[..., 0] > 0.5)
    seen["eyes"][:] = shown
    seen["eyeglasses"][:] = glasses & ~shown
    seen["skin"][:] = ~glasses
    return bare, worn, drawn, seen


def bareness(worn, drawn, seen, mask=None):
    return Bareness.read(worn.astype(np.float32), drawn.astype(np.float32), mask, seen, Head.mean(S))


def without_glasses(worn, result, detail=3, **options):
    """The photo of a crop, ``detail`` times as large, before and after."""
    rgb = cv2.resize(worn.clip(0, 255).astype(np.uint8), (detail * S,) * 2, interpolation=cv2.INTER_CUBIC)
    alignment = centred((detail * S - 1) / 2, (detail * S - 1) / 2, 0, 1 / detail)
    return rgb, take_off(rgb, alignment, result, **options)


@pytest.mark.parametrize("arms", [False, True])
def test_clear_glasses_leave_the_bare_face_with_its_own_eyes(arms):
    bare, worn, drawn, seen = face(arms=arms)
    result = bareness(worn, drawn, seen)
    assert result.keeps_eyes
    rgb, after = without_glasses(worn, result)
    expected = cv2.resize(bare.astype(np.uint8), rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    off = np.abs(rgb.astype(int) - expected).max(axis=2)
    error = np.abs(after.astype(int) - expected).max(axis=2)
    assert off.max() > 100
    beside = cv2.resize(eyes_of(0.2), rgb.shape[1::-1]) == 0  # where rims touch an eye its lids are drawn
    assert np.quantile(error[(off > 30) & beside], 0.98) < 8  # where frame and arms were
    assert np.quantile(error[off > 30], 0.98) < 30
    pupils = cv2.resize(eyes_of(0.05), rgb.shape[1::-1]) > 0.9
    assert np.array_equal(after[pupils], rgb[pupils])


def test_dark_lenses_give_way_to_the_eyes_that_a_network_drew():
    bare, worn, drawn, seen = face(tint=0.6)
    result = bareness(worn, drawn, seen)
    assert not result.keeps_eyes
    assert (result.share[ellipses(CENTRES, RADII) > 0.5] > 0.95).all()
    behind = (ellipses(CENTRES, RADII * 0.8) > 0.5) & (eyes_of(0.16, 0.03) < 0.5)
    assert np.abs(result.fill[behind] - bare[behind]).max() < 25  # skin in the light of the face, not of the lenses
    pupils = eyes_of(0.06, 0.03) > 0.5
    assert result.fill[pupils].mean() < 80


def test_eyes_that_a_reflection_covers_are_not_kept():
    _, worn, drawn, seen = face()
    worn[eyes_of(0.12) > 0] = 250
    assert not bareness(worn, drawn, seen).keeps_eyes


def test_where_a_network_drew_nothing_skin_goes_on():
    bare, worn, _, seen = face()
    result = bareness(worn, worn, seen, np.zeros((S, S)))  # in its drawing the glasses are still there
    rims = (np.abs(worn - bare).max(axis=2) > 60) & (eyes_of(0.2) == 0)
    assert (result.share[rims] > 0.9).mean() > 0.95
    assert np.quantile(np.abs(result.fill[rims] - bare[rims]), 0.95) < 20


def test_nothing_changes_far_from_the_glasses_nor_at_no_strength_and_light_is_kept():
    _, worn, drawn, seen = face()
    result = bareness(worn, drawn, seen)
    rgb, after = without_glasses(worn, result)
    far = cv2.resize(where_to_draw(seen), rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST) == 0
    assert far.any()
    assert np.array_equal(after[far], rgb[far])
    assert np.array_equal(without_glasses(worn, result, strength=0.0)[1], rgb)
    half = without_glasses(worn, result, strength=0.5)[1].astype(int)
    assert np.abs(2 * half - rgb - after).max() <= 2
    dim = Light((2.0, 2.0, 2.0))
    dark, dark_after = without_glasses(worn / 2, result, light=dim)
    assert dim != USUAL_LIGHT
    assert np.abs(dark_after.astype(int) * 2 - after).max() <= 14  # levels of half the light
    assert dark.mean() < rgb.mean()
