"""With age hair turns grey strand by strand, at the temples first."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.drawing.greying import GREY, grey_hair
from stgan.drawing.skull import places
from stgan.photo.light import Light
from stgan.photo.matte import WIDE, Silhouette

DETAIL = 4  # pixels of the photo per pixel of the crop
SKIN = (205, 160, 140)
X, Y = places(WIDE * S)
CAP = ((X / 1.35) ** 2 + ((Y - 0.45) / 1.5) ** 2 < 1) & ((Y > 1.0) | (np.abs(X) > 0.7)) & (Y > -0.5)
SILHOUETTE = Silhouette(CAP.astype(np.float32), np.ones(CAP.shape, np.float32), np.ones(CAP.shape, np.float32))
ALIGNMENT = centred((CAP.shape[0] * DETAIL - 1) / 2, (CAP.shape[0] * DETAIL - 1) / 2, 0, 1 / DETAIL)
LARGE = tuple(cv2.resize(each.astype(np.float32), None, fx=DETAIL, fy=DETAIL) for each in (CAP, X, Y))
INSIDE = cv2.erode((LARGE[0] > 0.99).astype(np.uint8), np.ones((49, 49))) > 0


def photo(colour):
    """A face with strands of hair around this colour, uint8 (H, W, 3)."""
    rng = np.random.default_rng(3)
    strands = cv2.GaussianBlur(rng.normal(0, 1, LARGE[0].shape), (0, 0), sigmaX=2.4, sigmaY=18)
    hair = np.array(colour) * (1 + 0.3 * strands / strands.std()).clip(0.2, 2)[..., None]
    return np.where(LARGE[0][..., None] > 0.5, hair, SKIN).clip(0, 255).round().astype(np.uint8)


def aged(rgb, share=1.0, **more):
    return grey_hair(rgb, ALIGNMENT, S, SILHOUETTE, (~CAP).astype(np.float32), share, **more)


def luminance(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(float)


def test_bright_strands_turn_grey_most_at_the_temples_and_dark_ones_least():
    rgb = photo((70, 45, 30))
    result, before = aged(rgb), luminance(rgb)
    redness = [each[..., 0] / each.mean(axis=2).clip(1) for each in (rgb.astype(float), result.astype(float))]
    lost = redness[0] - redness[1]
    dark, bright = (INSIDE & side for side in (before < 38, before > 62))
    assert lost[bright].mean() > 1.2 * lost[dark].mean()
    temples, crown = (bright & part for part in (np.abs(LARGE[1]) > 0.7, LARGE[2] > 1.2))
    assert lost[temples & (LARGE[2] < 0.8)].mean() > 1.2 * lost[crown].mean()
    grey = luminance(result)[bright].mean()
    assert before[bright].mean() + 25 < grey < 1.2 * GREY * np.dot(SKIN, (0.299, 0.587, 0.114))
    far = cv2.dilate((LARGE[0] > 0).astype(np.uint8), np.ones((81, 81))) == 0
    assert np.array_equal(result[far], rgb[far])


def test_a_photo_too_coarse_for_strands_keeps_its_hair():
    """Single pixels that turn grey are speckles, and all of them a film."""
    small = cv2.resize(photo((70, 45, 30)), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    alignment = centred((len(small) - 1) / 2, (len(small) - 1) / 2, 0, 1)
    assert np.array_equal(grey_hair(small, alignment, S, SILHOUETTE, (~CAP).astype(np.float32), 1.0), small)


def test_the_older_the_greyer():
    rgb = photo((70, 45, 30))
    means = [luminance(aged(rgb, share))[INSIDE].mean() for share in (0, 0.5, 1, 1.5)]
    assert np.array_equal(aged(rgb, 0), rgb)
    assert (np.diff(means) > 2).all()


def test_blond_hair_loses_colour_and_not_its_light():
    rgb = photo((200, 160, 100))
    result = aged(rgb)
    assert luminance(result)[INSIDE].mean() == pytest.approx(luminance(rgb)[INSIDE].mean(), rel=0.08)
    chroma = [np.ptp(each[INSIDE].astype(float), axis=1).mean() for each in (rgb, result)]
    assert chroma[1] < 0.8 * chroma[0]


def test_dim_light_stays_dim_and_a_head_without_hair_as_it_is():
    rgb, light = photo((70, 45, 30)), Light((3.0, 3.0, 3.0))
    dim = (rgb / 3).round().astype(np.uint8)
    assert np.abs(3.0 * aged(dim, light=light)[INSIDE] - aged(rgb)[INSIDE]).mean() < 4
    bald = Silhouette(0 * SILHOUETTE.hair, SILHOUETTE.person, SILHOUETTE.own)
    assert np.array_equal(grey_hair(rgb, ALIGNMENT, S, bald, (~CAP).astype(np.float32), 1.0), rgb)
