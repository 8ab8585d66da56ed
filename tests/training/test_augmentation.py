"""Augmentation for the discriminator, against cropping and mixing colours by hand."""

import pytest
import torch
from torch.nn import functional as F

from stgan.training.augmentation import BRIGHTNESS, CONTRAST, SATURATION, SHIFT, augment, vary_light

SIZE = 32
REACH = int(SHIFT * SIZE)


@pytest.fixture
def images():
    return torch.rand(64, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_augmentation_equals_its_steps_one_image_at_a_time(images):
    ours = augment(images, 0.7, torch.Generator().manual_seed(0))
    draws = torch.rand(6, len(images), generator=torch.Generator().manual_seed(0))
    assert 0.5 < (draws[0] < 0.7).float().mean() < 0.9
    for image, seen, (chance, *numbers) in zip(images, ours, draws.T.tolist(), strict=True):
        brightness, saturation, contrast, across, down = (2 * n - 1 if chance < 0.7 else 0.0 for n in numbers)
        grey = image.sum(dim=0) / 3
        picture = grey + (1 + SATURATION * saturation) * (image - grey)
        average = picture.mean()
        picture = average + (1 + CONTRAST * contrast) * (picture - average) + BRIGHTNESS * brightness
        padded = F.pad(picture[None], (REACH,) * 4, mode="replicate")[0]
        left, top = REACH + round(across * REACH), REACH + round(down * REACH)
        torch.testing.assert_close(seen, padded[:, top : top + SIZE, left : left + SIZE])


def test_without_a_share_nothing_changes_and_nothing_is_drawn(images):
    random = torch.Generator().manual_seed(0)
    before = random.get_state()
    assert augment(images, 0.0, random) is images
    assert torch.equal(random.get_state(), before)


def test_gradients_reach_every_visible_pixel(images):
    """A pixel at the border counts as often as it is repeated: in all, what comes out weighs what went in."""
    images.requires_grad_()
    seen = augment(images, 1.0, torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(seen.sum(), images)
    torch.testing.assert_close(gradient.sum(dim=(1, 2, 3)), torch.full((64,), 3.0 * SIZE**2), rtol=0.05, atol=0)
    assert seen.is_contiguous(memory_format=torch.channels_last)


def test_other_light_scales_colours_and_some_images_turn_grey():
    images = torch.rand(3000, 3, 2, 2) * 2 - 1
    shown = vary_light(images, 0.6, torch.Generator().manual_seed(0))
    same = (shown == images).flatten(1).all(dim=1)
    grey = (shown == shown[:, :1]).flatten(1).all(dim=1)
    assert same.float().mean() == pytest.approx(0.2, abs=0.03)
    assert grey.float().mean() == pytest.approx(0.2, abs=0.03)
    torch.testing.assert_close(shown[grey][:, 0], images[grey].mean(dim=1))
    lit = ~same & ~grey
    inside = lit[:, None, None, None] & (shown > -0.999) & (shown < 0.999)
    factors = ((shown + 1) / (images + 1).clamp(min=1e-6))[inside]  # of light, where nothing is overexposed
    assert 0.35 * 0.85 - 1e-3 <= factors.min() < 0.5
    assert 1.05 < factors.max() <= 1.05 * 1.15 + 1e-3
    by_channel = (shown[lit] + 1) / (images[lit] + 1)
    dim = (shown[lit] < 0.999).flatten(1).all(dim=1)
    torch.testing.assert_close(by_channel[dim].amax(dim=(2, 3)), by_channel[dim].amin(dim=(2, 3)), rtol=1e-2, atol=1e-2)


def test_without_other_light_no_random_number_is_drawn():
    random, images = torch.Generator().manual_seed(0), torch.rand(2, 3, 2, 2)
    state = random.get_state()
    assert vary_light(images, 0.0, random) is images
    assert torch.equal(random.get_state(), state)
