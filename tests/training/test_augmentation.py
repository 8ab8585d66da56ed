"""Augmentation for the discriminator, against cropping and mixing colours by hand."""

import pytest
import torch
from torch.nn import functional as F

from stgan.training.augmentation import BRIGHTNESS, CONTRAST, SATURATION, SHIFT, augment

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
