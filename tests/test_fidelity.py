"""PSNR, SSIM and 8-bit images, each computed a second way."""

import numpy as np
import pytest
import torch
from editors import SIZE, people

from stgan.evaluation.fidelity import psnr_ssim, to_uint8
from stgan.frame import normalise


def test_psnr_is_the_formula_and_ssim_is_one_for_equal_images():
    reference = people(3)[0].permute(0, 2, 3, 1).numpy()
    result = reference.copy()
    result[0] ^= 1  # one level everywhere
    result[1, :8] = 0
    psnr, ssim = psnr_ssim(reference, result)
    for image in range(2):
        error = np.mean((reference[image].astype(float) - result[image].astype(float)) ** 2)
        assert psnr[image] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-9)
    assert psnr[0] == pytest.approx(48.13, abs=0.01)
    assert ssim[2] == 1
    assert ssim[1] < ssim[0] < 1


def test_ssim_is_the_textbook_uniform_window():
    reference = people(1)[0].permute(0, 2, 3, 1).numpy()
    result = np.clip(reference.astype(int) + np.random.default_rng(0).integers(-30, 30, reference.shape), 0, 255)
    result = result.astype(np.uint8)
    values = []
    for channel in range(3):
        for y in range(SIZE - 6):
            for x in range(SIZE - 6):
                a = reference[0, y : y + 7, x : x + 7, channel].astype(float).ravel()
                b = result[0, y : y + 7, x : x + 7, channel].astype(float).ravel()
                covariance = np.cov(a, b)  # sample covariance, 48 degrees of freedom
                c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
                luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
                values.append(luminance * (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2))
    assert psnr_ssim(reference, result)[1][0] == pytest.approx(np.mean(values), abs=1e-9)


def test_equal_images_get_the_ratio_of_the_smallest_difference():
    reference = people(1)[0].permute(0, 2, 3, 1).numpy()
    smallest = reference.copy()
    smallest[0, 3, 4, 1] ^= 1
    same, almost = psnr_ssim(reference, reference)[0], psnr_ssim(reference, smallest)[0]
    assert np.isfinite(same).all()
    assert same == pytest.approx(almost, abs=1e-9)


def test_images_of_two_shapes_are_refused():
    reference = people(2)[0].permute(0, 2, 3, 1).numpy()
    with pytest.raises(ValueError, match="uint8 of one shape"):
        psnr_ssim(reference, reference[:1])
    with pytest.raises(ValueError, match="float"):
        psnr_ssim(reference, reference.astype(np.float32))


def test_8_bit_images_survive_the_way_to_floats_and_back():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert normalise(levels).aminmax() == (-1, 1)
    back = to_uint8(normalise(levels))
    assert back.shape == (1, 16, 16, 3)
    assert (back == levels.permute(0, 2, 3, 1).numpy()).all()
    outside = torch.tensor([-3.0, -1.001, 1.2, 0.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert to_uint8(outside)[0, :, :, 0].tolist() == [[0, 0], [255, 128]]
