"""The losses of discriminator and generator, composed from :mod:`stgan.training.losses`.

Both functions return the loss to minimise and its terms by name, detached. They need neither optimizer nor
accelerator.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stgan.training import losses
from stgan.training.augmentation import augment
from stgan.training.config import TrainingConfig
from stgan.training.label_rules import LabelRules
from stgan.training.objective import Batch, Terms
from stgan.training.targets import Edits

DISCRIMINATOR_LOSSES = {
    "wgan": losses.wasserstein_discriminator_loss,
    "logistic": losses.logistic_discriminator_loss,
}
GENERATOR_LOSSES = {"wgan": losses.wasserstein_generator_loss, "logistic": losses.logistic_generator_loss}


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
) -> tuple[Tensor, Terms]:
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
        The loss; ``d_adversarial``, ``d_attribute`` and, where they are part of it, ``d_mismatch`` and ``d_penalty``.
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
    adversarial = DISCRIMINATOR_LOSSES[method.adversarial_loss](realness[:count], realness[count : 2 * count])
    given = labels if labelled is None else labelled[1]
    attribute_logits = attribute_logits[:count] if labelled is None else attribute_logits[2 * count :]
    attribute = losses.attribute_loss(attribute_logits, given, rules.label_weights(given))
    loss = adversarial + config.discriminator.discriminator_attribute_weight * attribute
    terms = {"d_adversarial": adversarial, "d_attribute": attribute}
    if method.mismatch_weight:
        mismatched = ((labels - target).abs() == 1).any(dim=1)
        terms["d_mismatch"] = losses.mismatch_loss(mismatched_realness[:count], mismatched)
        loss = loss + method.mismatch_weight * terms["d_mismatch"]
    if penalised is not None:
        real, fake = images[:count], images[count : 2 * count]  # augmented
        terms["d_penalty"] = _gradient_penalty(config, penalised, real, fake, labels, random)
        loss = loss + method.penalty_weight * method.penalty_interval * terms["d_penalty"]
    return loss, _detach(terms)


def _gradient_penalty(
    config: TrainingConfig, network: nn.Module, real: Tensor, fake: Tensor, labels: Tensor, random: torch.Generator
) -> Tensor:
    """Gradient penalty in float32, without compiled graphs: they have no second derivative."""

    def heads(images: Tensor) -> tuple[Tensor, Tensor]:
        return type(network).forward(network, images, labels)

    with torch.autocast(real.device.type, enabled=False):
        if config.method.adversarial_loss == "wgan":
            return losses.gradient_penalty(lambda images: heads(images)[0], real, fake.float(), random)
        return losses.r1_penalty(heads, real, config.discriminator.attribute_penalty_share, random) / 2


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

    Returns:
        The loss; ``g_adversarial``, ``g_attribute``, ``g_reconstruction`` and, with masks, ``g_mask``.
    """
    method, (labels, target, intensity) = config.method, edits
    target = rules.complete_targets(labels, target)
    weights = rules.edit_weights(
        labels, target, method.changed_attribute_weight, config.losses.never_shown_attribute_weight
    )
    with _frozen(discriminator):
        images = augment(fake, method.discriminator_augmentation, random)
        realness, attribute_logits = discriminator(images, rules.discriminator_targets(labels, target))
    margin = config.losses.attribute_margin + method.intensity_margin * (intensity - 1)
    attribute_logits = attribute_logits.float() - margin * (target - labels)  # unchanged attributes have no margin
    terms = {
        "g_adversarial": GENERATOR_LOSSES[method.adversarial_loss](realness),
        "g_attribute": losses.attribute_loss(attribute_logits, target, weights),
        "g_reconstruction": losses.reconstruction_loss(reconstruction, original),
    }
    loss = (
        terms["g_adversarial"]
        + config.losses.attribute_weight * terms["g_attribute"]
        + config.losses.reconstruction_weight * terms["g_reconstruction"]
    )
    if mask is not None:
        terms["g_mask"] = losses.mask_loss(mask, method.mask_concavity)
        loss = loss + mask_price * terms["g_mask"]
    return loss, _detach(terms)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """A context in which the network's weights receive no gradient."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _detach(terms: Terms) -> Terms:
    return {name: term.detach() for name, term in terms.items()}
