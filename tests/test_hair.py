"""Hair takes another colour strand by strand, and nothing beside it does."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.photo.crop import crop_face
from stgan.photo.hair import recolour_hair
from stgan.photo.light import Light
from stgan.photo.matte import WIDE, Silhouette, window
from stgan.photo.tones import MEASURED

W = 2 * S * WIDE
BLOND = np.array([205.0, 170, 110])


@pytest.fixture(scope="module")
def scene():
    """A dark head of strands before a light wall, 1024 pixels wide, with hair that runs on below the crop; where it is
    (bool); and its silhouette as a parser draws it, at a quarter of the resolution and a little soft."""
    rng = np.random.default_rng(4)
    strands = cv2.GaussianBlur(rng.normal(0, 1, (1024, 1024)), (0, 0), sigmaX=1.5, sigmaY=20)
    wall = np.array([150, 175, 205]) + rng.normal(0, 2, (1024, 1024, 3))
    where = cv2.ellipse(np.zeros((1024, 1024), np.uint8), (512, 560), (190, 330), 0, 0, 360, 1, -1) > 0
    brightness = 1 + 0.35 * strands / strands.std()
    hair = np.array([52.0, 38, 30]) * np.clip(brightness, 0.2, 2.2)[..., None]
    rgb = np.clip(np.where(where[..., None], hair, wall), 0, 255).round().astype(np.uint8)
    alignment = centred(511.5, 511.5, 0, 1 / 4)
    seen = crop_face(np.repeat(where[..., None], 3, axis=2).astype(np.uint8) * 255, window(alignment, S, WIDE, W), W)
    hair_map = cv2.GaussianBlur(seen[..., 0].astype(np.float32) / 255, (0, 0), 4)
    return rgb, where, alignment, Silhouette(hair_map, hair_map, np.ones_like(hair_map))


def dyed(scene, change=lambda crop: BLOND * np.clip(crop.mean(axis=2, keepdims=True) / 40, 0, 1.2), **more):
    rgb, where, alignment, silhouette = scene
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    is_hair = (crop.mean(axis=2) < 110)[..., None]
    edited = np.where(is_hair, np.clip(change(crop), 0, 255), crop)
    return recolour_hair(rgb, alignment, crop, edited, is_hair[..., 0].astype(np.float32), silhouette, **more)


def eroded(where, pixels):
    return cv2.erode(where.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)) > 0


def detail(image):
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey - cv2.GaussianBlur(grey, (0, 0), 6)


def test_hair_has_the_new_colour_to_its_end_and_the_wall_keeps_its_own(scene):
    rgb, where, *_ = scene
    result = dyed(scene).astype(int)
    below = eroded(where, 12) & (np.indices(where.shape)[0] > 512 + 4 * S // 2 + 20)  # below the crop
    inside = eroded(where, 12)
    assert below.sum() > 10_000
    for part in (inside, below):
        assert np.abs(result[part].mean(axis=0) - BLOND).max() < 20
    assert np.array_equal(result[~(cv2.dilate(where.astype(np.uint8), np.ones((81, 81))) > 0)],
                          rgb[~(cv2.dilate(where.astype(np.uint8), np.ones((81, 81))) > 0)])  # fmt: skip
    rim = ~where & ~eroded(~where, 10) & ~(cv2.dilate(where.astype(np.uint8), np.ones((5, 5))) > 0)
    assert np.abs(result - rgb)[rim].mean() < 5  # no halo


def test_strands_stay_where_they_were(scene):
    rgb, where, *_ = scene
    inside = eroded(where, 30)  # outside the zone in which hair and wall may mix
    for change in (None, lambda crop: 0.3 * crop, lambda crop: np.full_like(crop, 1.0) * BLOND):  # also none drawn
        result = dyed(scene) if change is None else dyed(scene, change)
        before, after = detail(rgb)[inside], detail(result)[inside]
        assert np.corrcoef(before, after)[0, 1] > 0.95
        relative = [each.std() / image[inside].mean() for each, image in ((before, rgb), (after, result))]
        assert relative[1] > 0.3 * relative[0]


def test_dark_hair_that_turns_blond_keeps_dark_strands_in_brown_and_bright_ones_in_gold(scene):
    rgb, where, *_ = scene
    inside = eroded(where, 30)
    flat, blond = (
        dyed(scene, lambda crop: np.full_like(crop, 1.0) * BLOND, tones=MEASURED["Blond_Hair"], share=share)
        for share in (0.0, 1.0)
    )
    grey, before = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[inside].astype(float) for image in (blond, rgb))
    assert np.median(grey) == pytest.approx(BLOND @ (0.299, 0.587, 0.114), rel=0.1)
    spread = [np.ptp(np.log(np.percentile(each, (10, 90)))) for each in (grey, flat[inside].mean(axis=1))]
    assert spread[0] == pytest.approx(0.31 + 0.66, abs=0.2)
    assert spread[0] > 1.5 * spread[1]
    assert np.corrcoef(grey, before)[0, 1] > 0.9
    red, green, blue = blond[inside].astype(float).T
    dark, bright = (grey < np.percentile(grey, 20)), (grey > np.percentile(grey, 80))
    assert 1.3 < np.median(red[dark] / green[dark]) < 1.6
    assert 1.1 < np.median(red[bright] / green[bright]) < 1.25
    assert np.median(blue[dark] / green[dark]) < np.median(blue[bright] / green[bright]) < 0.85
    rim = ~where & ~eroded(~where, 10) & ~(cv2.dilate(where.astype(np.uint8), np.ones((5, 5))) > 0)
    assert np.abs(blond.astype(int) - rgb)[rim].mean() < 4  # no halo


def test_no_change_and_no_hair_leave_every_pixel(scene):
    rgb, _, alignment, silhouette = scene
    assert np.array_equal(dyed(scene, lambda crop: crop), rgb)
    bald = Silhouette(np.zeros((W, W), np.float32), silhouette.person, silhouette.own)
    assert np.array_equal(dyed((rgb, None, alignment, bald)), rgb)


def test_in_dim_light_the_new_colour_is_as_dim(scene):
    rgb, where, alignment, silhouette = scene
    bright, light = dyed(scene), Light((4.0, 4.0, 4.0))
    dim = np.round(rgb / 4).astype(np.uint8)
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    is_hair = (crop.mean(axis=2) < 110)[..., None]
    edited = np.where(is_hair, BLOND * np.clip(crop.mean(axis=2, keepdims=True) / 40, 0, 1.2), crop).clip(0, 255)
    result = recolour_hair(dim, alignment, crop, edited, is_hair[..., 0] * 1.0, silhouette, light=light)
    inside = eroded(where, 12)
    assert np.abs(4.0 * result[inside].mean(axis=0) - bright[inside].mean(axis=0)).max() < 8
