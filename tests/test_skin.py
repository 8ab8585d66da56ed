"""L* of the cheeks, against scikit-image and circles drawn by hand."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from stgan.evaluation.skin import cheek_area, cheek_lightness, lightness, tone_thirds


@pytest.fixture
def images():
    return torch.randint(0, 256, (3, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_lightness_is_that_of_scikit_image(images):
    expected = rgb2lab(images.permute(0, 2, 3, 1).numpy())[..., 0]
    np.testing.assert_allclose(lightness(images).numpy(), expected, atol=0.01)
    grey = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    np.testing.assert_allclose(lightness(grey)[0], rgb2lab(grey[0].permute(1, 2, 0).numpy())[..., 0], atol=0.01)


@pytest.mark.parametrize("size", [128, 256])
def test_cheeks_lie_below_the_eyes_and_beside_the_nose(size):
    area = cheek_area(size)
    scale = size / 170  # pixels of the crop per pixel of the aligned frame, whose crop begins at (3, 26)
    expected = np.zeros((size, size), bool)
    for x in (88.45 - 0.72 * 38.7, 88.45 + 0.72 * 38.7):
        for row in range(size):
            for column in range(size):
                across = (column + 0.5) / scale - 0.5 + 3 - x
                down = (row + 0.5) / scale - 0.5 + 26 - (111.25 + 0.55 * 38.7)
                expected[row, column] |= across**2 + down**2 <= (0.32 * 38.7) ** 2
    assert (area.numpy() == expected).all()
    assert 0.02 < area.float().mean() < 0.06


def lower_median(values):
    return np.sort(values)[(len(values) - 1) // 2]


def test_the_median_is_taken_over_the_cheeks(images):
    area, lab = cheek_area(128).numpy(), rgb2lab(images.permute(0, 2, 3, 1).numpy())[..., 0]
    assert cheek_lightness(images).numpy() == pytest.approx([lower_median(each[area]) for each in lab], abs=0.01)


def test_thirds_are_as_equal_as_can_be():
    tones = tone_thirds(torch.tensor([50.0, 10, 90, 30, 70, 20, 60]))
    assert tones.tolist() == [1, 0, 2, 0, 2, 0, 1]
