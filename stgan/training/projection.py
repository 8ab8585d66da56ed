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
from stgan.training.launch import keep_own_buffers
from stgan.training.losses import frozen, hinge_discriminator_loss, hinge_generator_loss

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
        heads = self.plain_network.heads.parameters()
        self.network, self.optimizer = accelerator.prepare(
            self.plain_network, torch.optim.Adam(heads, **optimizer | {"betas": ADAM_BETAS})
        )
        keep_own_buffers(self.network)
        self.formed = False  # it has learned in an earlier run, so it judges as soon as the generator learns
        self.current_weight = torch.zeros((), device=accelerator.device)  # a tensor, so that a recorded step reads it

    def maps(self, real: Tensor, fake: Tensor, random: torch.Generator) -> Maps:
        """The maps of real images and of edits (B, 3, S, S), both augmented. Gradients reach the edits alone."""
        share = self.config.method.discriminator_augmentation
        real, fake = augment(torch.cat([real, fake.float()]), share, random).split([len(real), len(fake)])
        with self.accelerator.autocast():
            with torch.no_grad():
                seen = self.backbone(real)
            return Maps(seen, self.backbone(fake))

    def train(self, maps: Maps, labels: Tensor, target: Tensor) -> Tensor:
        """One step of the discriminator; returns its loss.

        Args:
            maps: see :meth:`maps`.
            labels, target: (B, A), of the real images and of their edits.
        """
        both = [torch.cat([real, fake.detach()]) for real, fake in zip(*maps, strict=True)]
        realness = self.network(both, torch.cat([labels, target]))
        loss = hinge_discriminator_loss(*realness.split([len(labels), len(target)]))
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.optimizer.step()
        return loss.detach()

    def judge(self, maps: Maps, target: Tensor) -> Tensor:
        """The generator's loss on edits with labels ``target`` (B, A), before its weight."""
        network: nn.Module = self.plain_network
        with frozen(network):
            return hinge_generator_loss(network(maps.fake, target))

    def begin_step(self, progress: float, head_start: float) -> bool:
        """Set the weight for a step, and tell whether this discriminator has begun.

        Args:
            progress: share of the run that is complete.
            head_start: share of the run in which only discriminators learn.
        """
        begin = 0.0 if self.formed else self.config.method.projected_start
        since = (progress - max(begin, head_start)) / RAMP
        share = float(since >= 0) if self.formed else min(1.0, max(0.0, since))
        self.current_weight.fill_(self.config.discriminator.projected_weight * share)
        return progress >= begin
