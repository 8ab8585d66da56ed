"""The losses of discriminator and generator, and their terms, one function each.

:func:`compute_discriminator_loss` and :func:`compute_generator_loss` return the loss to minimise and its terms by name,
detached. They need neither optimizer nor accelerator. Each term is computed in float32 and averaged over all elements.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.data import Batch
from stgan.training.augmentation import augment
from stgan.training.config import TrainingConfig
from stgan.training.edits import Edits, LabelRules
from stgan.training.objective import Terms


class Opinion(NamedTuple):
    """What a second attribute head says of edits."""

    logits: Tensor  # (B, A)
    typical: Tensor | None  # (2, A), see typical_logits
    share: Tensor | float  # in [0, 1]: 1 once it weighs as much as the first


def compute_discriminator_loss(
    config: TrainingConfig,
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    edits: Edits,
    rules: LabelRules,
    random: torch.Generator,
    penalised: nn.Module | None = None,
    labelled: Batch | None = None,
) -> tuple[Tensor, Terms, Tensor]:
    """Loss of the discriminator on real images and their edits.

    Args:
        config: loss and weights.
        discriminator: images and labels to realness logits and attribute logits (B, A).
        real: images (B, 3, S, S) in [-1, 1].
        fake: the edited images, without gradient to the generator.
        edits: labels of both.
        rules: decide which labels count.
        random: for augmentation and penalty.
        penalised: the discriminator without wrappers where the step has a gradient penalty, else None.
        labelled: images and labels that serve the attribute loss in place of ``real``, and nothing else.

    Returns:
        The loss; ``d_adversarial``, ``d_attribute`` and, where they are part of it, ``d_mismatch`` and ``d_penalty``;
        the :func:`sum_logits` of the real images.
    """
    method, count, labels = config.method, len(real), edits.source
    target = rules.discriminator_targets(labels, rules.complete_targets(labels, edits.target))
    more_images, more_labels = ([], []) if labelled is None else ([part] for part in labelled)
    conditions = torch.cat([labels, target, *more_labels])
    if method.mismatch_weight:  # one pass answers for the images' own labels and for the wrong ones
        conditions = torch.stack([conditions, torch.cat([target, labels, *more_labels])], dim=1)
    images = augment(torch.cat([real, fake, *more_images]), method.discriminator_augmentation, random)
    realness, attribute_logits = discriminator(images, conditions)
    if method.mismatch_weight:
        realness, mismatched_realness = realness.unbind(dim=1)
    adversarial = ADVERSARIAL_LOSSES[method.adversarial_loss][0](realness[:count], realness[count : 2 * count])
    given = labels if labelled is None else labelled[1]
    attribute_logits = attribute_logits[:count] if labelled is None else attribute_logits[2 * count :]
    attribute = attribute_loss(attribute_logits, given, rules.label_weights(given))
    loss = adversarial + config.discriminator.discriminator_attribute_weight * attribute
    terms = {"d_adversarial": adversarial, "d_attribute": attribute}
    if method.mismatch_weight:
        mismatched = ((labels - target).abs() == 1).any(dim=1)
        terms["d_mismatch"] = mismatch_loss(mismatched_realness[:count], mismatched)
        loss = loss + method.mismatch_weight * terms["d_mismatch"]
    if penalised is not None:
        real, fake = images[:count], images[count : 2 * count]  # augmented
        terms["d_penalty"] = _gradient_penalty(config, penalised, real, fake, labels, random)
        loss = loss + method.penalty_weight * method.penalty_interval * terms["d_penalty"]
    return loss, _detach(terms), sum_logits(attribute_logits, given, rules)


def _gradient_penalty(
    config: TrainingConfig, network: nn.Module, real: Tensor, fake: Tensor, labels: Tensor, random: torch.Generator
) -> Tensor:
    """Gradient penalty in float32, without compiled graphs: they have no second derivative."""

    def heads(images: Tensor) -> tuple[Tensor, Tensor]:
        return type(network).forward(network, images, labels)

    with torch.autocast(real.device.type, enabled=False):
        if config.method.adversarial_loss == "wgan":
            return gradient_penalty(lambda images: heads(images)[0], real, fake.float(), random)
        return r1_penalty(heads, real, config.discriminator.attribute_penalty_share, random) / 2


def compute_generator_loss(
    config: TrainingConfig,
    discriminator: nn.Module,
    fake: Tensor,
    mask: Tensor | None,
    reconstruction: Tensor,
    original: Tensor,
    edits: Edits,
    rules: LabelRules,
    random: torch.Generator,
    mask_price: Tensor | float = 0.0,
    typical: Tensor | None = None,
    second: Opinion | None = None,
) -> tuple[Tensor, Terms]:
    """Loss of the generator on its edits and reconstructions.

    Args:
        config: loss and weights.
        discriminator: as in :func:`compute_discriminator_loss`; its weights receive no gradient.
        fake: edited images (B, 3, S, S) that the discriminator judges.
        mask: soft masks (B, 1, S, S) of the edits in [0, 1]; None without them.
        reconstruction, original: images (R, 3, S, S) in [-1, 1].
        edits: labels of the edits.
        rules: decide which labels count.
        random: for augmentation.
        mask_price: weight of the masks' openness.
        typical: of the discriminator's attribute head, limits the attribute loss; see :func:`edit_attribute_loss`.
        second: of another attribute head, which then has half of the attribute loss.

    Returns:
        The loss; ``g_adversarial``, ``g_attribute``, ``g_reconstruction``, with masks ``g_mask`` and with a second
        head its ``g_projected_attribute``.
    """
    method, labels, target = config.method, edits.source, rules.complete_targets(edits.source, edits.target)
    with frozen(discriminator):
        images = augment(fake, method.discriminator_augmentation, random)
        realness, attribute_logits = discriminator(images, rules.discriminator_targets(labels, target))
    attribute = edit_attribute_loss(config, attribute_logits, edits, rules, typical)
    terms = {
        "g_adversarial": ADVERSARIAL_LOSSES[method.adversarial_loss][1](realness),
        "g_attribute": attribute,
        "g_reconstruction": reconstruction_loss(reconstruction, original),
    }
    if second is not None:
        terms["g_projected_attribute"] = edit_attribute_loss(config, second.logits, edits, rules, second.typical)
        attribute = torch.lerp(attribute, terms["g_projected_attribute"], 0.5 * second.share)
    loss = (
        terms["g_adversarial"]
        + config.losses.attribute_weight * attribute
        + config.losses.reconstruction_weight * terms["g_reconstruction"]
    )
    if mask is not None:
        terms["g_mask"] = mask_loss(mask, method.mask_concavity)
        loss = loss + mask_price * terms["g_mask"]
    return loss, _detach(terms)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """A context in which the network's weights receive no gradient."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _detach(terms: Terms) -> Terms:
    return {name: term.detach() for name, term in terms.items()}


def wasserstein_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Critic's estimate of the Wasserstein distance, negated: E[D(fake)] - E[D(real)]."""
    return fake_logits.float().mean() - real_logits.float().mean()


def wasserstein_generator_loss(fake_logits: Tensor) -> Tensor:
    """-E[D(fake)]."""
    return -fake_logits.float().mean()


def logistic_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross-entropy of real against edited images (Goodfellow et al. 2014)."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def logistic_generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating: -E[log D(fake)]."""
    return F.softplus(-fake_logits.float()).mean()


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Real above 1 and edited below -1 cost nothing (arXiv 1705.02894)."""
    return F.relu(1 - real_logits.float()).mean() + F.relu(1 + fake_logits.float()).mean()


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """-E[D(fake)]."""
    return -fake_logits.float().mean()


# Of the discriminator and of the generator, by name in the method.
ADVERSARIAL_LOSSES = {
    "wgan": (wasserstein_discriminator_loss, wasserstein_generator_loss),
    "logistic": (logistic_discriminator_loss, logistic_generator_loss),
}


def mismatch_loss(mismatched_logits: Tensor, mismatched: Tensor) -> Tensor:
    """Real images with wrong labels count as fakes (GAN-CLS, arXiv 1605.05396).

    Without this loss, an edit that changes nothing looks as real to the discriminator as its source.

    Args:
        mismatched_logits: realness (N,) of real images with the targets of their edits.
        mismatched: bool (N,), whether those targets differ from the images' labels; other images do not count.
    """
    return (F.softplus(mismatched_logits.float()) * mismatched).mean()


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


def edit_attribute_loss(
    config: TrainingConfig, logits: Tensor, edits: Edits, rules: LabelRules, typical: Tensor | None
) -> Tensor:
    """Attribute loss of edits with logits (B, A), for the generator.

    It asks for no more than real faces show: where a head is as sure of an edit as it is of real faces on average, the
    attribute costs nothing more. Otherwise an edit goes on beyond them, to chalk for pale skin, or finds patterns that
    no person takes for the attribute. Changed attributes have to exceed that average by the margin.

    Args:
        config: weights and margins.
        logits: (B, A) of the edits.
        edits: their labels.
        rules: decide which labels count.
        typical: (2, A) from :func:`typical_logits`; None for no limit.
    """
    method, labels, target = config.method, edits.source, rules.complete_targets(edits.source, edits.target)
    weights = rules.edit_weights(
        labels, target, method.changed_attribute_weight, config.losses.never_shown_attribute_weight
    )
    margin = config.losses.attribute_margin + method.intensity_margin * (edits.intensity - 1)
    logits = logits.float() - margin * (target - labels)  # unchanged attributes have no margin
    if typical is not None:
        absent, present = typical
        weights = weights.masked_fill(torch.where(target > 0.5, logits >= present, logits <= absent), 0.0)
    return attribute_loss(logits, target, weights)


@torch.no_grad()
def sum_logits(logits: Tensor, labels: Tensor, rules: LabelRules) -> Tensor:
    """Sums of the attribute logits of real faces, and their number: (2, 2, A), without and with each attribute.

    Processes add up theirs before :func:`typical_logits`.

    Args:
        logits, labels: (N, A) of real images.
        rules: labels that do not count are left out.
    """
    shown = torch.stack([1 - labels, labels]) * rules.label_weights(labels)
    return torch.stack([(shown * logits.float()).sum(dim=1), shown.sum(dim=1)])


def typical_logits(sums: Tensor) -> Tensor:
    """Mean attribute logits of real faces without and with each attribute: (2, A), from :func:`sum_logits`; infinite
    where there are none."""
    logits, count = sums
    beyond = torch.stack([torch.full_like(logits[0], sign * torch.inf) for sign in (-1, 1)])
    return torch.where(count > 0, logits / count.clamp(min=1), beyond)


def reconstruction_loss(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of images in [-1, 1]."""
    return F.l1_loss(reconstruction.float(), image)


def cheek_loss(painted: Tensor, source: Tensor, cheeks: Tensor, counted: Tensor) -> Tensor:
    """Mean absolute change of the mean colour over the cheeks.

    Args:
        painted, source: images (B, 3, S, S) in [-1, 1], before the soft mask and before the edit.
        cheeks: bool (B, S, S); a face without visible cheeks adds nothing.
        counted: bool (B,), the edits that should leave the skin its colour.
    """
    area = cheeks[:, None].float()
    change = ((painted.float() - source.float()) * area).sum(dim=(2, 3)) / area.sum(dim=(2, 3)).clamp(min=1)
    return (change.abs().mean(dim=1) * counted).mean()


def mask_loss(mask: Tensor, concavity: float = 0.0) -> Tensor:
    """Mean of m + concavity * m * (1 - m) over soft masks m in [0, 1]; at a concavity of 0, their mean openness.

    A concavity above 0 raises the loss of half-open masks and leaves that of open and closed ones as it is.
    """
    mask = mask.float()
    return (mask + concavity * mask * (1 - mask)).mean()
