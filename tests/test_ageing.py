"""Another age or gender changes skin as it does in photos: softly, alike on both sides, within the same outline."""

import cv2
import numpy as np
import pytest
from frames import S

from stgan.drawing.ageing import DARK, MAKE_UP, STROKES, evenly_made_up, of_another_age, settled, weathered
from stgan.drawing.skin import unstained
from stgan.photo.crop import landmarks_in_crop
from stgan.photo.geometry import slowly

ROWS, COLUMNS = np.mgrid[:S, :S].astype(np.float32)
FACE = ((((COLUMNS - 64) / 36) ** 2 + ((ROWS - 64) / 42) ** 2) < 1).astype(np.float32)
NECK = ((np.abs(COLUMNS - 64) < 24) & (ROWS > 64) & (FACE == 0)).astype(np.float32)
NOTHING = np.zeros((S, S), np.float32)
MARKS, DISTANCE = landmarks_in_crop(S)
EYES = NOTHING.copy()
for mark in MARKS[:2]:
    cv2.ellipse(EYES, (round(float(mark[0])), round(float(mark[1]))), (5, 2), 0, 0, 360, 1.0, -1)
PHOTO = np.full((S, S, 3), (150.0, 115, 95)) * (1 - 0.3 * NECK - 0.6 * (1 - FACE - NECK).clip(0, 1))[..., None]


def darker(image: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """An image whose brightness is less by an amount (S, S), as a logarithm."""
    return (image + DARK) * np.exp(-amount)[..., None] - DARK


def change_of(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The change of brightness (S, S), as a logarithm."""
    return np.log((after + DARK) / (before + DARK)).mean(axis=2)


def test_a_tone_changes_up_to_the_chin_and_a_chin_drawn_elsewhere_does_not():
    moved = darker(PHOTO, 0.5 * np.exp(-((ROWS - 109) ** 2) / 2 / 1.5**2))  # a line below the chin's own
    paler = darker(PHOTO, np.full((S, S), -0.2))
    both = (moved + DARK) * (paler + DARK) / (PHOTO + DARK) - DARK
    line, chin = np.s_[106:112, 60:68], np.s_[98:112, 60:68]
    assert np.abs(change_of(settled(PHOTO, moved, FACE), PHOTO))[line].max() < 0.05
    assert change_of(settled(PHOTO, paler, FACE), PHOTO)[chin] == pytest.approx(0.2, abs=0.02)
    # One after the other they are the same as both at once: changes are logarithms.
    once = settled(PHOTO, both, FACE)
    twice = change_of(settled(PHOTO, moved, FACE), PHOTO) + change_of(settled(PHOTO, paler, FACE), PHOTO)
    np.testing.assert_allclose(change_of(once, PHOTO), twice, atol=1e-4)


def test_lines_of_an_older_neck_stay_but_for_those_along_the_chin():
    drawn = darker(PHOTO, 0.4 * np.exp(-((ROWS - 120) ** 2) / 2 / 1.5**2))
    line = np.s_[119:122, 60:68]
    kept = change_of(settled(PHOTO, drawn, FACE, NECK), PHOTO)[line]
    assert kept == pytest.approx(change_of(drawn, PHOTO)[line], rel=0.1)
    assert np.abs(change_of(settled(PHOTO, drawn, FACE), PHOTO)[line]).max() < 0.02


def test_lips_stay_where_they_are_and_the_middle_of_the_face_takes_the_whole_change():
    lips = ((np.abs(COLUMNS - 64) < 12) & (np.abs(ROWS - 88) < 4)).astype(np.float32)
    spots = darker(PHOTO, 0.3 * np.random.default_rng(5).uniform(-1, 1, (S, S)))
    result = settled(PHOTO, spots, FACE, NECK, lips)
    np.testing.assert_allclose(result[50:75, 45:83], spots[50:75, 45:83], atol=0.01)
    assert np.abs(change_of(result, PHOTO)[86:91, 55:73]).max() < 0.05


def test_a_fold_of_ones_own_gets_deeper_and_a_scratch_no_deeper_than_a_line():
    fold = darker(PHOTO, 0.15 * np.exp(-((COLUMNS - 64) ** 2) / 2 / 1.5**2) * FACE)
    deeper = change_of(weathered(fold, fold, FACE, NOTHING), fold)
    assert deeper[60:70, 64].max() < -0.05
    np.testing.assert_allclose(weathered(PHOTO, PHOTO, FACE, NOTHING)[40:90, 45:83], PHOTO[40:90, 45:83], atol=0.1)

    def depth(amount: float) -> float:
        drawn = darker(PHOTO, amount * np.exp(-((COLUMNS - 64) ** 2) / 2) * FACE)
        return float(-change_of(weathered(PHOTO, drawn, FACE, NOTHING), PHOTO)[64, 64])

    assert depth(0.05) > 0.7 * 0.05
    assert 2 * STROKES[0][1] < depth(0.6) < 0.6 / 2
    assert depth(0.1) < depth(0.3) < depth(0.6)


def test_eyes_are_made_up_as_the_paler_one_on_whichever_side_it_is():
    """The same picture in a mirror has the mirrored result."""

    def around(mark: np.ndarray) -> np.ndarray:
        return np.exp(-(((COLUMNS - mark[0]) / 7) ** 2) - ((ROWS - mark[1]) / 4) ** 2) * (1 - EYES)

    def mirrored(image: np.ndarray) -> np.ndarray:
        middle = float(MARKS[:2, 0].mean())
        flip = np.array([[-1, 0, 2 * middle], [0, 1, 0]])
        return cv2.warpAffine(image.astype(np.float32), flip, (S, S), borderMode=cv2.BORDER_REPLICATE)

    uneven = darker(PHOTO, 0.15 * around(MARKS[0]) + 0.6 * around(MARKS[1]))
    result = evenly_made_up(PHOTO, uneven, EYES)
    left, right = (-(change_of(result, PHOTO) * around(mark)).sum() for mark in MARKS[:2])
    assert left < right < 2.5 * left  # of 4 times
    other = evenly_made_up(mirrored(PHOTO), mirrored(uneven), mirrored(EYES))
    np.testing.assert_allclose(other[40:80, 30:98], mirrored(result)[40:80, 30:98], atol=1.5)
    even = darker(PHOTO, 0.2 * (around(MARKS[0]) + around(MARKS[1])))
    kept = change_of(evenly_made_up(PHOTO, even, EYES), PHOTO)
    np.testing.assert_allclose(kept, change_of(even, PHOTO), atol=0.02)
    black = change_of(evenly_made_up(PHOTO, darker(PHOTO, 3 * (around(MARKS[0]) + around(MARKS[1]))), EYES), PHOTO)
    assert black[round(float(MARKS[0, 1])) + 4, round(float(MARKS[0, 0]))] > -1.2 * MAKE_UP


def test_a_new_brow_leaves_no_shade_on_the_skin_beside_it():
    """The skin is as it is when no brow is drawn, as far as it is none."""
    brow = ((np.abs(COLUMNS - 64) < 12) & (np.abs(ROWS - 50) < 3)).astype(np.float32)
    drawn = darker(PHOTO, 1.0 * brow)
    change = change_of(unstained(PHOTO, drawn, FACE), PHOTO)
    beside = (cv2.dilate(brow, np.ones((11, 11))) > 0) & (cv2.dilate(brow, np.ones((3, 3))) == 0)
    assert np.abs(change[beside]).max() < 0.05
    assert change[50, 64] == pytest.approx(-1.0, abs=0.05)


@pytest.mark.parametrize("changes", [{"Young": -1.0}, {"Young": 1.0}, {"Male": -1.0}, {"Male": 1.0}])
def test_nothing_drawn_is_nothing_changed_on_even_skin(changes):
    seen = {"skin": FACE * (1 - EYES), "eyes": EYES, "neck": NECK}
    photo = PHOTO.astype(np.float32)
    result = of_another_age(photo, photo, changes, lambda *names: sum((seen.get(n, NOTHING) for n in names), NOTHING))
    assert np.abs(result - photo)[45:90, 50:78].max() < 0.5


@pytest.mark.parametrize("sigma", [2.0, S / 16, S / 6])
def test_a_wide_blur_found_at_a_smaller_size_is_the_same_blur(sigma):
    image = np.dstack([FACE, np.random.default_rng(2).uniform(0, 1, (S, S)).astype(np.float32)])[:, 3:]
    np.testing.assert_allclose(slowly(image, sigma), cv2.GaussianBlur(image, (0, 0), sigma), atol=0.02)
