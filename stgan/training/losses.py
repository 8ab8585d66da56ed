"""The losses, one function each. Each computes in float32 and averages over all its elements."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def wasserstein_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Critic's estimate of the Wasserstein distance, negated: E[D(fake)] - E[D(real)]."""
    return fake_logits.float().mean() - real_logits.float().mean()


def wasserstein_generator_loss(fake_logits: Tensor) -> Tensor:
    """-E[D(fake)]."""
    return -fake_logits.float().mean()


def logistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross-entropy of real against edited images (Goodfellow et al. 2014)."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def mismatch_loss(mismatched_logits: Tensor, mismatched: Tensor) -> Tensor:
    """Real images with wrong labels count as fakes (GAN-CLS, arXiv 1605.05396).

    Without this loss, an edit that changes nothing looks as real to the discriminator as its source.

    Args:
        mismatched_logits: realness (N,) of real images with the targets of their edits.
        mismatched: bool (N,), whether those targets differ from the images' labels; other images do not count.
    """
    return (F.softplus(mismatched_logits.float()) * mismatched).mean()


def logistic_generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating: -E[log D(fake)]."""
    return F.softplus(-fake_logits.float()).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """WGAN-GP: mean squared distance of the gradient's norm from 1 at one random point per sample between the two.

    Source: arXiv 1704.00028. Call it outside autocast: half precision makes the norm inaccurate.

    Args:
        critic: images to realness logits (N,).
        real, fake: float32 images (N, 3, S, S).
        random: on the images' device.
    """
    share = torch.rand(len(real), 1, 1, 1, generator=random, device=real.device)
    point = torch.lerp(real, fake.detach(), share).requires_grad_()
    norm = _input_gradient(critic, point).flatten(1).norm(dim=1)
    return (norm - 1).square().mean()


def r1_penalty(
    heads: Callable[[Tensor], tuple[Tensor, Tensor]], real: Tensor, attribute_share: float, random: torch.Generator
) -> Tensor:
    """R1: mean squared norm of D's gradient at real images (Mescheder et al. 2018, arXiv 1801.04406).

    Call it outside autocast. With an ``attribute_share`` above 0 the attribute logits are penalised too. One gradient
    is enough: realness plus the logits with random signs has, in expectation, the sum of all squared norms.

    Args:
        heads: images to realness logits (N,) and attribute logits (N, A).
        real: float32 images (N, 3, S, S).
        attribute_share: weight of each attribute's squared norm, where realness's is 1.
        random: on the images' device.
    """

    def critic(images: Tensor) -> Tensor:
        realness, attributes = heads(images)
        if attribute_share == 0:
            return realness
        coins = torch.rand(attributes.shape, generator=random, device=attributes.device) < 0.5
        return realness + attribute_share**0.5 * torch.where(coins, attributes, -attributes).sum(dim=1)

    point = real.detach().requires_grad_()
    return _input_gradient(critic, point).flatten(1).square().sum(dim=1).mean()


def _input_gradient(critic: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(critic(point).float().sum(), point, create_graph=True)
    return gradient


def attribute_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of attribute logits (N, A) with labels in [0, 1], mean over samples *and* attributes.

    ``weights`` (N, A) multiply the terms; the mean still divides by N * A.
    """
    return F.binary_cross_entropy_with_logits(logits.float(), labels, weights)


def reconstruction_loss(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of images in [-1, 1]."""
    return F.l1_loss(reconstruction.float(), image)


def mask_loss(mask: Tensor, concavity: float = 0.0) -> Tensor:
    """Mean of m + concavity * m * (1 - m) over soft masks m in [0, 1]; at a concavity of 0, their mean openness.

    A concavity above 0 raises the loss of half-open masks and leaves that of open and closed ones as it is.
    """
    mask = mask.float()
    return (mask + concavity * mask * (1 - mask)).mean()
