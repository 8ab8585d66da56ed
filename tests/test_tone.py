"""A new skin tone changes skin as light does: slowly over the face, and in proportion to what is there."""

import cv2
import numpy as np
import pytest
from frames import S
from skimage.color import rgb2lab

from stgan.drawing.skin import MOST, in_the_hue, shaded, toned, unstained, without_lipstick

ROWS, COLUMNS = np.mgrid[:S, :S]
SKIN = ((COLUMNS - 64) / 40) ** 2 + ((ROWS - 64) / 50) ** 2 < 1
PORES = 1 + 0.08 * np.random.default_rng(3).normal(0, 1, (S, S, 1))
BEFORE = np.where(SKIN[..., None], np.array([120.0, 85, 70]) * PORES, 40.0)


@pytest.mark.parametrize("gain", [1.25, 0.8])
def test_an_even_change_of_light_is_kept_as_it_is(gain):
    after = np.where(SKIN[..., None], (BEFORE + 16) * gain - 16, BEFORE)
    result = toned(BEFORE, after, SKIN.astype(np.float32), SKIN.astype(np.float32))
    assert np.abs(result - after).max() < 1


def test_chalk_becomes_skin_again():
    """A flat white face keeps its pores, and is no brighter than skin can become."""
    after = np.where(SKIN[..., None], 235.0, BEFORE)
    result = toned(BEFORE, after, SKIN.astype(np.float32), SKIN.astype(np.float32))
    gain = ((result + 16) / (BEFORE + 16))[SKIN]
    assert np.log(gain).mean() == pytest.approx(MOST, abs=0.02)
    for channel in range(3):
        assert np.corrcoef(result[SKIN][:, channel], BEFORE[SKIN][:, channel])[0, 1] > 0.9
    assert (result[SKIN][:, 0] > result[SKIN][:, 2]).all()  # not grey
    assert np.array_equal(result[~SKIN], BEFORE[~SKIN])


def test_shine_becomes_no_brighter_than_the_skin_around_it_does():
    before = BEFORE.copy()
    spot = np.s_[50:66, 56:72]
    before[spot] *= 1.7
    after = np.where(SKIN[..., None], (before + 16) * 1.3 - 16, before)
    gain = (toned(before, after, SKIN.astype(np.float32), SKIN.astype(np.float32)) + 16) / (before + 16)
    assert gain[np.s_[90:100, 56:72]].mean() == pytest.approx(1.3, abs=0.02)
    assert 1 < gain[np.s_[54:62, 60:68]].mean() < 1.12


def test_the_light_on_a_face_stays_where_half_of_it_becomes_paler():
    half = SKIN & (COLUMNS > 64)
    after = np.where(SKIN[..., None], (BEFORE + 16) * 1.1 - 16, BEFORE)
    after[half] = (BEFORE[half] + 16) * 1.5 - 16
    result = toned(BEFORE, after, SKIN.astype(np.float32), SKIN.astype(np.float32))
    left, right = (np.log((each[40:90, 84:94] + 16) / (each[40:90, 34:44] + 16)).mean() for each in (BEFORE, result))
    assert right - left < 0.17  # of log(1.5 / 1.1) = 0.31
    gain = np.log((result[SKIN] + 16) / (BEFORE[SKIN] + 16)).mean()
    assert gain == pytest.approx((np.log(1.1) + np.log(1.5)) / 2, abs=0.03)


def test_no_change_stays_none():
    assert np.array_equal(toned(BEFORE, BEFORE, SKIN.astype(np.float32), SKIN.astype(np.float32)), BEFORE)


def test_young_skin_has_no_stains_no_highlights_and_no_rims_around_the_eyes():
    skin, eyes = SKIN.astype(np.float32), np.zeros(SKIN.shape, np.float32)
    eyes[50:54, 44:56] = 1
    line, stain, rim, wall = np.s_[90:92, 50:70], np.s_[70:80, 60:76], np.s_[55:57, 44:56], np.s_[:10, :10]
    before, after = BEFORE.copy(), BEFORE.copy()
    before[line] *= 0.75
    after[stain] += (-30, 0, 30)
    after[rim] *= 0.4
    after[wall] += 9
    highlight = 40 * np.exp(-((COLUMNS - 64) ** 2 + (ROWS - 30) ** 2) / 2 / 5**2)
    after += highlight[..., None]
    assert SKIN[line].all()
    assert SKIN[stain].all()
    assert SKIN[rim].all()
    assert not SKIN[wall].any()
    change = shaded(before, after, skin, eyes) - before
    inside, top = np.s_[73:77, 64:72], np.s_[28:33, 62:67]
    assert np.abs(change[wall] - 9).max() < 1e-3
    assert change[line].mean() > 0.6 * (after - before)[line].mean()
    assert (change[inside][..., 2] - change[inside][..., 0]).mean() < 0.3 * 60
    assert change[rim].mean() > 0.5 * (after - before)[rim].mean()
    assert change[top].mean() < 0.55 * (after - before)[top].mean()
    shiny = before + highlight[..., None]  # its own shine stays
    assert np.abs(shaded(shiny, after, skin, eyes) - shiny)[top].max() < 1
    np.testing.assert_allclose(shaded(BEFORE, BEFORE, skin, eyes), BEFORE, atol=1e-3)


def test_young_skin_loses_lines_more_than_it_gains_them():
    skin, nothing = SKIN.astype(np.float32), np.zeros(SKIN.shape, np.float32)
    line = np.s_[90:92, 50:70]
    lined = BEFORE.copy()
    lined[line] *= 0.5
    gained, lost = (
        np.abs(np.log(shaded(*each, skin, nothing) + 16) - np.log(each[0] + 16))[line].mean()
        for each in ((BEFORE, lined), (lined, BEFORE))
    )
    assert lost > 1.3 * gained


def test_old_skin_has_its_lines_but_neither_coloured_nor_bright_spots():
    skin = SKIN.astype(np.float32)
    line, stain, spot, cheek = np.s_[90:92, 50:70], np.s_[70:76, 60:66], np.s_[40:44, 60:64], np.s_[60:110, 76:94]
    after = BEFORE.copy()
    after[line] *= 0.6
    after[stain] += (40, -20, -20)
    after[spot] *= 1.5
    after[cheek] *= 1.15
    change = unstained(BEFORE, after, skin) - BEFORE
    assert change[line].mean() == pytest.approx((after - BEFORE)[line].mean(), rel=0.1)
    middle = np.s_[72:74, 62:64]
    assert (change[middle][..., 0] - change[middle][..., 2]).mean() < 0.3 * 60
    assert change[spot].mean() < 0.4 * (after - BEFORE)[spot].mean()
    inside = np.s_[75:95, 82:88]  # an area that is brighter as a whole stays so
    assert change[inside].mean() == pytest.approx((after - BEFORE)[inside].mean(), rel=0.1)
    np.testing.assert_allclose(unstained(BEFORE, BEFORE, skin), BEFORE, atol=1e-3)


def test_skin_of_another_gender_has_no_dark_marks_but_may_be_darker_as_a_whole():
    skin = SKIN.astype(np.float32)
    mark, cheek = np.s_[44:47, 58:61], np.s_[60:110, 76:94]
    after = BEFORE.copy()
    after[mark] *= 0.6
    after[cheek] *= 0.85
    change, lined = (unstained(BEFORE, after, skin, lines=lines) - BEFORE for lines in (False, True))
    drawn = after - BEFORE
    assert change[mark].mean() > 0.5 * drawn[mark].mean()
    assert lined[mark].mean() == pytest.approx(drawn[mark].mean(), rel=0.1)
    inside = np.s_[75:95, 82:88]
    assert change[inside].mean() == pytest.approx(drawn[inside].mean(), rel=0.1)


def test_a_new_forehead_has_the_hue_of_the_face_and_its_own_light():
    before = np.full((64, 64, 3), (200.0, 150, 125), np.float32)
    before[:20] = (120, 90, 30)  # hair
    after = before.copy()
    after[:20] = (190, 150, 60)
    after[:20, :32] *= 0.8  # shade
    new = np.zeros((64, 64), np.float32)
    new[:20] = 1
    result = in_the_hue(after, before, new, 1 - new)
    face, shares = before[40, 40] / before[40, 40].sum(), result[:20] / result[:20].sum(axis=2, keepdims=True)
    drawn = after[0, 0] / after[0, 0].sum()
    assert np.abs(shares - face).max() < 0.3 * np.abs(drawn - face).max()
    np.testing.assert_allclose(result.mean(axis=2), after.mean(axis=2), rtol=1e-3)
    assert np.array_equal(result[20:], after[20:])
    assert in_the_hue(after, before, new, 0 * new) is after
    after[18:20] = (90, 65, 25)  # the hairline is no skin
    assert np.array_equal(in_the_hue(after, before, new, 1 - new)[18:20], after[18:20])


def test_lips_lose_their_lipstick_and_bare_ones_stay():
    skin = SKIN.astype(np.float32)
    mouth = np.zeros_like(skin)
    left, right = np.s_[92:100, 40:56], np.s_[92:100, 56:72]
    mouth[left] = mouth[right] = 1
    face = BEFORE.copy()
    tone = np.median(face[SKIN], axis=0)
    face[left], face[right] = tone + (6, -6, -3), tone + (20, -75, -60)
    bare = without_lipstick(face, mouth, skin * (1 - mouth))
    hue = [rgb2lab(np.uint8(each.clip(0, 255)))[..., 1:] for each in (face, bare)]
    skin_hue = np.median(hue[0][SKIN & (mouth == 0)], axis=0)
    painted, unpainted = (np.linalg.norm(each[94:98, 60:68] - skin_hue, axis=-1).mean() for each in hue)
    assert painted > 25
    assert unpainted < 14
    assert np.abs(bare - face)[94:98, 44:52].max() < 3
    away = cv2.dilate(mouth, np.ones((17, 17))) == 0
    assert np.array_equal(bare[away], face[away])
    assert np.array_equal(without_lipstick(face, mouth, 0 * skin), face)  # no skin to compare with


def test_what_was_dark_may_become_skin():
    """Such as the shadow below a jaw that becomes wider."""
    skin = SKIN.astype(np.float32)
    line = np.s_[90:92, 50:70]
    before = BEFORE.copy()
    before[line] *= 0.5
    change = unstained(before, BEFORE, skin) - before
    assert change[line].mean() == pytest.approx((BEFORE - before)[line].mean(), rel=0.15)
