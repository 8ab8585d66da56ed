"""STGAN as its paper writes it down, without any attention to speed: what the benchmarks compare with.

Two convolutions for the two gates, attribute planes tiled and concatenated, NCHW in memory, one whole pass for each
edit, and a training step with separate passes for everything.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.models import STGAN, Discriminator


def tiled(vector: Tensor, maps: Tensor) -> Tensor:
    """Values (N, A) as constant planes of the maps' size."""
    return vector[:, :, None, None].repeat(1, 1, *maps.shape[2:])


class TextbookUnit(nn.Module):
    """A selective transfer unit with the weights of another."""

    def __init__(self, unit: nn.Module):
        super().__init__()
        self.upsample, self.candidate = unit.upsample, unit.candidate
        channels = unit.candidate.out_channels
        self.reset, self.update = (nn.Conv2d(2 * channels, channels, 3, padding=1) for _ in range(2))
        weights, biases = unit.gates.weight.chunk(2), unit.gates.bias.chunk(2)
        for gate, weight, bias in zip((self.reset, self.update), weights, biases, strict=True):
            gate.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, feature: Tensor, hidden_state: Tensor, att_diff: Tensor) -> tuple[Tensor, Tensor]:
        state = self.upsample(torch.cat([hidden_state, tiled(att_diff, hidden_state)], dim=1))
        reset_gate = torch.sigmoid(self.reset(torch.cat([feature, state], dim=1)))
        update_gate = torch.sigmoid(self.update(torch.cat([feature, state], dim=1)))
        reset_state = reset_gate * state
        candidate = torch.tanh(self.candidate(torch.cat([feature, reset_state], dim=1)))
        return (1 - update_gate) * state + update_gate * candidate, reset_state


class TextbookSTGAN(nn.Module):
    """The function of an STGAN with the paper's settings, with a soft mask or without."""

    def __init__(self, generator: STGAN):
        super().__init__()
        generator = copy.deepcopy(generator).to(memory_format=torch.contiguous_format)
        self.soft_mask = generator.soft_mask
        self.encoder, self.decoder, self.to_image = generator.encoder, generator.decoder, generator.to_image
        self.units = nn.ModuleList(map(TextbookUnit, generator.transfer_units))

    def forward(self, image: Tensor, att_diff: Tensor) -> Tensor:
        """Edited images (N, 3, S, S) before regions."""
        features, feature = [], image
        for layer in self.encoder:
            feature = layer(feature)
            features.append(feature)
        skips, hidden_state = [], feature
        for unit, skip in zip(self.units, features[-2::-1], strict=True):
            transferred, hidden_state = unit(skip, hidden_state, att_diff)
            skips.append(transferred)
        decoded = torch.cat([feature, tiled(att_diff, feature)], dim=1)
        for layer, skip in zip(self.decoder, skips, strict=True):
            decoded = layer(decoded)
            decoded = torch.cat([decoded, skip, tiled(att_diff, decoded)], dim=1)
        outputs = self.to_image(decoded)
        rgb = torch.tanh(outputs[:, :3])
        if not self.soft_mask:
            return rgb
        mask = torch.sigmoid(outputs[:, 3:])
        return mask * rgb + (1 - mask) * image


class TextbookTraining:
    """The paper's loop: WGAN-GP with the penalty at each discriminator step, and a pass for each term.

    Source: arXiv 1904.09709, section 3.4.
    """

    def __init__(self, attributes: tuple[str, ...], image_size: int, width: int, discriminator_width: int):
        self.generator = TextbookSTGAN(STGAN(attributes, image_size, width)).train()
        self.discriminator = Discriminator(attributes, image_size, discriminator_width)
        networks = self.generator, self.discriminator
        self.optimizers = [torch.optim.Adam(each.parameters(), lr=2e-4, betas=(0.5, 0.999)) for each in networks]

    def discriminator_step(self, images: Tensor, labels: Tensor) -> None:
        target = labels[torch.randperm(len(labels))]
        with torch.no_grad():
            fake = self.generator(images, target - labels)
        real_score, real_labels = self.discriminator(images)
        fake_score, _ = self.discriminator(fake)
        share = torch.rand(len(images), 1, 1, 1)
        point = (images + share * (fake - images)).requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(point)[0].sum(), point, create_graph=True)
        penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        attributes = F.binary_cross_entropy_with_logits(real_labels, labels)
        self._descend(1, fake_score.mean() - real_score.mean() + 10 * penalty + attributes)

    def generator_step(self, images: Tensor, labels: Tensor) -> None:
        target = labels[torch.randperm(len(labels))]
        score, found = self.discriminator(self.generator(images, target - labels))
        reconstruction = self.generator(images, torch.zeros_like(labels))
        attributes = F.binary_cross_entropy_with_logits(found, target)
        self._descend(0, 100 * F.l1_loss(reconstruction, images) + 10 * attributes - score.mean())

    def _descend(self, network: int, loss: Tensor) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        self.optimizers[network].step()
