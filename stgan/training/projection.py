"""The projected discriminator of a run, beside the editor's own: one pass of its frozen backbone serves both steps."""

from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stgan.devices import CHANNELS_LAST
from stgan.models import ProjectedDiscriminator
from stgan.models.backbone import Backbone, pretrained_backbone
from stgan.training.augmentation import augment
from stgan.training.config import TrainingConfig
from stgan.training.edits import LabelRules
from stgan.training.launch import keep_own_buffers
from stgan.training.losses import (
    Opinion,
    attribute_loss,
    frozen,
    hinge_discriminator_loss,
    hinge_generator_loss,
    sum_logits,
)
from stgan.training.objective import Terms

RAMP = 0.05  # share of the run over which its weight in the generator's loss rises
ADAM_BETAS = (0.0, 0.99)  # no momentum: the hinge loss is flat where the discriminator is sure


class Maps(NamedTuple):
    """The backbone's maps of real images and of their edits, finest first."""

    real: list[Tensor]  # without gradient
    fake: list[Tensor]


class Projection:
    """A projected discriminator with its backbone, its optimizer and its losses.

    ``plain_network`` is the discriminator itself, ``network`` the same as prepared for this process.

    Raises:
        ValueError: the package with the backbone's weights is not installed; the message says what to do.
    """

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator, optimizer: dict):
        self.config, self.accelerator = config, accelerator
        try:
            self.backbone: Backbone = pretrained_backbone().to(accelerator.device, **CHANNELS_LAST)
        except ModuleNotFoundError as error:
            raise ValueError(f"{error}, or leave out --projected_weight.") from error
        if config.run.execution == "compiled":
            self.backbone.compile()
        conditional = config.method.discriminator_conditional
        self.plain_network = ProjectedDiscriminator(attributes, conditional=conditional).to(**CHANNELS_LAST)
        heads = [*self.plain_network.heads.parameters(), *self.plain_network.attribute_head.parameters()]
        self.network, self.optimizer = accelerator.prepare(
            self.plain_network, torch.optim.Adam(heads, **optimizer | {"betas": ADAM_BETAS})
        )
        keep_own_buffers(self.network)
        self.formed = False  # it has learned in an earlier run, so it judges as soon as the generator learns
        self.current_share = torch.zeros((), device=accelerator.device)  # of its weight; a recorded step reads it

    def maps(self, real: Tensor, fake: Tensor, random: torch.Generator) -> Maps:
        """The maps of real images and of edits (B, 3, S, S), both augmented. Gradients reach the edits alone."""
        share = self.config.method.discriminator_augmentation
        real, fake = augment(torch.cat([real, fake.float()]), share, random).split([len(real), len(fake)])
        with self.accelerator.autocast():
            with torch.no_grad():
                seen = self.backbone(real)
            return Maps(seen, self.backbone(fake))

    def train(
        self, maps: Maps, labels: Tensor, target: Tensor, rules: LabelRules, random: torch.Generator
    ) -> tuple[Terms, Tensor]:
        """One step of the discriminator.

        Args:
            maps: see :meth:`maps`.
            labels, target: (B, A), of the real images and of their edits.
            rules: decide which labels of real images count.
            random: source of its random numbers.

        Returns:
            Its losses, and the :func:`stgan.training.losses.sum_logits` of its attribute head.
        """
        both = [torch.cat([real, fake.detach()]) for real, fake in zip(*maps, strict=True)]
        realness, logits = self.network(both, torch.cat([labels, target]), random)
        realness = hinge_discriminator_loss(*realness.split([len(labels), len(target)]))
        logits = logits[: len(labels)]  # edits teach nothing about attributes
        attribute = attribute_loss(logits, labels, rules.label_weights(labels))
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(realness + attribute)
        self.optimizer.step()
        terms = {"d_projected": realness.detach(), "d_projected_attribute": attribute.detach()}
        return terms, sum_logits(logits, labels, rules)

    def judge(
        self, maps: Maps, target: Tensor, typical: Tensor | None, random: torch.Generator
    ) -> tuple[Tensor, Opinion]:
        """The generator's loss on edits with labels ``target`` (B, A), unweighted, and what the attribute head says.

        ``typical``: see :func:`stgan.training.losses.edit_attribute_loss`.
        """
        network: nn.Module = self.plain_network
        with frozen(network):
            realness, logits = network(maps.fake, target, random)
        return hinge_generator_loss(realness), Opinion(logits, typical, self.current_share)

    def label(self, images: Tensor) -> Tensor:
        """The attribute head's logits (N, A) of images (N, 3, S, S) in [-1, 1]."""
        return self.plain_network.label(self.backbone(images.to(**CHANNELS_LAST)))

    def begin_step(self, progress: float, head_start: float) -> bool:
        """Set its share in the generator's loss for a step, and tell whether this discriminator has begun.

        Args:
            progress: share of the run that is complete.
            head_start: share of the run in which only discriminators learn.
        """
        begin = 0.0 if self.formed else self.config.method.projected_start
        since = (progress - max(begin, head_start)) / RAMP
        share = float(since >= 0) if self.formed else min(1.0, max(0.0, since))
        self.current_share.fill_(share)
        return progress >= begin
