"""Every loss against its formula, written out by hand."""

import math

import pytest
import torch
from torch import nn

from stgan.training import losses


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


@pytest.fixture
def critic():
    """A small critic with curvature: its gradient depends on where it is taken."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1))
    return network, lambda images: network(images).squeeze(1)


def pictures(count):
    return torch.rand(count, 3, 2, 2) * 2 - 1


def gradient_by_hand(network, images):
    """d/dx of w2 . tanh(W1 x + b1): W1^T (w2 * (1 - tanh^2)), without autograd."""
    first, second = network[1], network[3]
    hidden = torch.tanh(images.flatten(1) @ first.weight.T + first.bias)
    return (second.weight * (1 - hidden.square())) @ first.weight


def test_the_gradient_penalty_is_that_of_one_random_point_per_sample_between_real_and_fake(critic):
    network, realness = critic
    real, fake = pictures(5), pictures(5)
    penalty = losses.gradient_penalty(realness, real, fake, torch.Generator().manual_seed(3))
    share = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(3))
    point = real + share * (fake - real)
    norms = gradient_by_hand(network, point).square().sum(1).sqrt()
    assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean().item(), rel=1e-5)


def test_the_gradient_penalty_trains_the_critic_but_not_the_generator(critic):
    network, realness = critic
    real, fake = pictures(5), pictures(5).requires_grad_()
    losses.gradient_penalty(realness, real, fake, torch.Generator().manual_seed(3)).backward()
    assert fake.grad is None
    by_autograd = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    share = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(3))
    point = real + share * (fake.detach() - real)
    ((gradient_by_hand(network, point).square().sum(1).sqrt() - 1) ** 2).mean().backward()
    by_hand = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(by_hand) == 3  # the last bias has no share in the gradient
    for a, b in zip([g for g in by_autograd if g.any()], by_hand, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_r1_is_the_mean_squared_norm_of_the_gradient_at_real_images(critic):
    network, realness = critic
    real = pictures(5)
    expected = gradient_by_hand(network, real).square().sum(1).mean()
    assert losses.r1_penalty(lambda x: (realness(x), None), real, 0, torch.Generator()).item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    assert not real.requires_grad  # the batch itself stays as it was


def test_r1_with_random_signs_is_in_the_mean_the_sum_of_the_logits_own_penalties(critic):
    network, realness = critic
    attributes, share, real = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Softplus()), 0.3, pictures(5)

    def squared_norm(logits):
        point = real.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(logits(point).sum(), point)
        return gradient.flatten(1).square().sum(1).mean().item()

    single = [squared_norm(lambda images, k=k: attributes(images)[:, k]) for k in range(3)]
    random = torch.Generator().manual_seed(0)
    often = real.repeat(2_000, 1, 1, 1)  # each with signs of its own
    penalty = losses.r1_penalty(lambda images: (realness(images), attributes(images)), often, share, random)
    assert penalty.item() == pytest.approx(squared_norm(realness) + share * sum(single), rel=0.05)


def test_a_flat_critic_has_a_finite_penalty(critic):
    network, realness = critic
    nn.init.zeros_(network[3].weight)
    penalty = losses.gradient_penalty(realness, pictures(3), pictures(3), torch.Generator())
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0)
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_the_wasserstein_losses_pull_real_up_and_edited_down():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 5.0])
    assert losses.wasserstein_discriminator_loss(real, fake).item() == 2.5 - 2.0
    assert losses.wasserstein_generator_loss(fake).item() == -2.5


def test_the_logistic_losses_are_cross_entropies():
    real, fake = torch.tensor([1.0, -3.0]), torch.tensor([0.5, 2.0])
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    expected = -sum(math.log(sigmoid(x)) for x in (1, -3)) / 2 - sum(math.log(1 - sigmoid(x)) for x in (0.5, 2)) / 2
    assert losses.logistic_discriminator_loss(real, fake).item() == pytest.approx(expected)
    expected = -sum(math.log(sigmoid(x)) for x in (0.5, 2)) / 2
    assert losses.logistic_generator_loss(fake).item() == pytest.approx(expected)


def test_the_mismatch_loss_is_that_of_fakes_on_the_rows_that_mismatch():
    logits, mismatched = torch.tensor([0.5, 2.0, -1.0, 7.0]), torch.tensor([True, True, True, False])
    expected = sum(math.log(1 + math.exp(x)) for x in (0.5, 2, -1)) / 4
    assert losses.mismatch_loss(logits, mismatched).item() == pytest.approx(expected)
    assert losses.mismatch_loss(logits, ~mismatched[:1].expand(4)).item() == 0


def test_the_attribute_loss_is_a_mean_over_attributes_not_a_sum():
    logits, labels = torch.randn(4, 13), torch.randint(0, 2, (4, 13)).float()
    probabilities = torch.sigmoid(logits)
    entropy = -(labels * probabilities.log() + (1 - labels) * (1 - probabilities).log())
    assert losses.attribute_loss(logits, labels).item() == pytest.approx(entropy.sum().item() / (4 * 13), rel=1e-5)
    weights = torch.rand(4, 13) * 5
    weighted = losses.attribute_loss(logits, labels, weights)
    assert weighted.item() == pytest.approx((weights * entropy).sum().item() / (4 * 13), rel=1e-5)
    repeated = losses.attribute_loss(logits.repeat(1, 3), labels.repeat(1, 3))
    assert repeated.item() == pytest.approx(losses.attribute_loss(logits, labels).item())


def test_the_reconstruction_loss_is_the_mean_absolute_error():
    image, other = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    assert losses.reconstruction_loss(other, image).item() == pytest.approx((image - other).abs().mean().item())


@pytest.mark.parametrize("concavity", [0.0, 0.4, 1.0])
def test_a_concave_mask_loss_makes_the_first_openness_expensive_and_the_last_cheap(concavity):
    masks = [torch.full((2, 1, 3, 3), openness) for openness in (0.0, 0.01, 0.5, 0.99, 1.0)]
    closed, hardly, half, nearly, fully = (losses.mask_loss(mask, concavity).item() for mask in masks)
    assert (closed, fully) == (0, 1)
    assert half == pytest.approx(0.5 + concavity / 4)
    assert hardly / 0.01 == pytest.approx(1 + concavity, abs=0.02)
    assert (fully - nearly) / 0.01 == pytest.approx(1 - concavity, abs=0.02)
    assert losses.mask_loss(torch.cat([masks[0], masks[2]]), concavity).item() == pytest.approx(half / 2)


@pytest.mark.parametrize(
    "loss",
    [
        lambda logits: losses.wasserstein_discriminator_loss(logits, logits / 2),
        losses.wasserstein_generator_loss,
        lambda logits: losses.logistic_discriminator_loss(logits, logits / 2),
        losses.logistic_generator_loss,
        lambda logits: losses.attribute_loss(logits[:, None], torch.ones(len(logits), 1)),
        lambda logits: losses.reconstruction_loss(logits, torch.zeros(len(logits))),
        lambda logits: losses.mask_loss(logits, 0.5),
    ],
)
def test_losses_of_half_precision_logits_are_computed_in_full(loss):
    logits = torch.linspace(-6, 6, 301).bfloat16()
    assert loss(logits).dtype == torch.float32
    assert loss(logits).item() == pytest.approx(loss(logits.float()).item(), rel=1e-6)
