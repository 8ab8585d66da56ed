"""Crops reach the networks in usual light, whatever the photo's."""

import cv2
import numpy as np
import pytest

from stgan.photo.light import Light


@pytest.fixture(scope="module")
def crop(astronaut):
    return cv2.resize(astronaut[20:200, 130:310], (128, 128), interpolation=cv2.INTER_AREA)


def test_in_good_light_a_crop_stays_as_it_is(crop):
    dark_skin = np.clip(crop * np.linspace(0.3, 1, 128)[:, None, None], 0, 255).astype(np.uint8)
    grey = np.repeat(crop[..., 1:2], 3, axis=2)
    for image in (crop, dark_skin, grey):
        light = Light.of(image)
        assert light.is_usual
        assert light.crop(image) is image


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_a_dim_crop_is_brightened_as_a_whole(share, crop):
    dim = np.round(crop * share).astype(np.uint8)
    light = Light.of(dim)
    assert len(set(np.round(light.gains, 3))) == 1  # it keeps its colours
    assert np.percentile(light.crop(dim), 99) > 0.75 * np.percentile(crop, 99)
    assert np.abs(light.restored(light.normalised(dim)) - dim).max() < 1e-3


@pytest.mark.parametrize("tint", [(1.0, 0.8, 0.45), (0.55, 0.75, 1.0)], ids=["tungsten", "blue"])
def test_a_strong_tint_is_taken_back(tint, crop):
    tinted = np.round(crop * np.array(tint)).astype(np.uint8)
    light = Light.of(tinted)

    def error(image):
        ratios = np.log((image.astype(float) + 5) / (image[..., 1:2] + 5.0))
        own = np.log((crop.astype(float) + 5) / (crop[..., 1:2] + 5.0))
        return np.abs(np.median(ratios - own, axis=(0, 1))).max()

    assert error(light.crop(tinted)) < 0.6 * error(tinted)
