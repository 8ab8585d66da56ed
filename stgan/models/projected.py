"""A discriminator that judges realness and attributes by the features of a frozen network that knows photographs in
general.

Source: Projected GAN, NeurIPS 2021, arXiv 2111.01007; the attribute head is an addition.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.models.backbone import CHANNELS
from stgan.models.discriminators import conditional_realness
from stgan.models.layers import LEAKY_SLOPE
from stgan.models.pretrained import PretrainedModel

SMALLEST_SIDE = 64  # pixels of an image, so that the coarsest head has something to convolve
MIX = 0.7  # of two maps of equal variance, so that their sum has about the same
GRIDS = (4, 4)  # sides to which the attribute head averages the two coarsest maps: faces are aligned, so place tells
SPREAD = 0.1  # standard deviation of the features: there are thousands, and Adam's steps are as large for each weight
DROPPED = 0.5  # share of the features that the attribute head does not see in training


class ProjectedDiscriminator(PretrainedModel):
    """Heads on a :class:`stgan.models.backbone.Backbone`'s maps; the backbone is not a part of it.

    One head per stride judges realness. Frozen random convolutions mix the maps first: 1x1 across channels, then 3x3
    across scales, from coarse to fine. No head can then rely on a few channels alone.

    Another head tells attributes. The frozen features hardly respond to the patterns with which an edit can convince a
    network of attributes that no person sees.

    Args:
        attributes: names of the A attributes it is told.
        width: channels of the mixed maps and of the heads.
        conditional: judge the realness of an image *with its labels*, see
            :func:`stgan.models.discriminators.conditional_realness`.
        hidden: units of the attribute head.
    """

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        width: int = 64,
        conditional: bool = True,
        hidden: int = 128,
    ):
        super().__init__()
        outputs = 1 + conditional * len(attributes)
        self.across_channels = nn.ModuleList(_frozen_convolution(channels, width, 1) for channels in CHANNELS)
        self.across_scales = nn.ModuleList(_frozen_convolution(width, width, 3) for _ in CHANNELS)
        self.heads = nn.ModuleList(_head(width, max(1, 3 - scale), outputs) for scale in range(len(CHANNELS)))
        features = sum(channels * side**2 for channels, side in zip(CHANNELS[-len(GRIDS) :], GRIDS, strict=True))
        self.attribute_head = nn.Sequential(
            nn.Linear(features, hidden), nn.LeakyReLU(LEAKY_SLOPE), nn.Linear(hidden, len(attributes))
        )

    def requires_grad_(self, requires_grad: bool = True) -> "ProjectedDiscriminator":
        """As of any module, but the mixing convolutions stay frozen."""
        self.heads.requires_grad_(requires_grad)
        self.attribute_head.requires_grad_(requires_grad)
        return self

    def forward(
        self, maps: Sequence[Tensor], labels: Tensor | None = None, random: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Realness (N,), a mean over heads and positions, and attribute logits (N, A).

        Args:
            maps: of N images of at least :data:`SMALLEST_SIDE` pixels, from the backbone.
            labels: (N, A) in {0, 1}, for a conditional discriminator.
            random: on the maps' device; decides which features the attribute head does not see. None: it sees all.
        """
        logits = [head(each).float().mean(dim=(2, 3)) for head, each in zip(self.heads, self._mixed(maps), strict=True)]
        realness = torch.stack([conditional_realness(each, labels) for each in logits]).mean(dim=0)
        return realness, self.label(maps, random)

    def label(self, maps: Sequence[Tensor], random: torch.Generator | None = None) -> Tensor:
        """The attribute logits (N, A) alone, which leave the estimates of the weights' norms as they are. Arguments as
        in :meth:`forward`."""
        return self.attribute_head(self._features(maps, random)).float()

    def _features(self, maps: Sequence[Tensor], random: torch.Generator | None) -> Tensor:
        """What the attribute head sees: (N, F), with the same spread for each map."""
        coarse = zip(maps[-len(GRIDS) :], GRIDS, strict=True)
        averages = [F.adaptive_avg_pool2d(each, side).flatten(1).float() for each, side in coarse]
        features = SPREAD * torch.cat([F.layer_norm(each, each.shape[1:]) for each in averages], dim=1)
        if random is None:
            return features
        kept = torch.rand(features.shape, generator=random, device=features.device) >= DROPPED
        return features * kept / (1 - DROPPED)

    def _mixed(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps, finest first, mixed across channels and with all coarser ones."""
        mixed: list[Tensor] = []
        layers = list(zip(maps, self.across_channels, self.across_scales, strict=True))
        for each, across_channels, across_scales in reversed(layers):
            channels = across_channels(each)
            if mixed:
                coarser = F.interpolate(mixed[-1], size=channels.shape[-2:], mode="bilinear")
                channels = MIX * (channels + coarser)
            mixed.append(across_scales(channels))
        return mixed[::-1]


class SpectralConvolution(nn.Conv2d):
    """A convolution for :func:`torch.nn.utils.parametrizations.spectral_norm` in half precision.

    The weight's norm is estimated in float32: in bf16 the estimate would drift. Only the convolution is autocast.
    """

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            weight = self.weight
        return self._conv_forward(input, weight, self.bias)


def _frozen_convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return convolution.requires_grad_(False)


def _head(width: int, strided: int, outputs: int) -> nn.Sequential:
    layers: list[Any] = []
    for _ in range(strided):
        layers += [spectral_norm(SpectralConvolution(width, width, 4, stride=2, padding=1)), nn.LeakyReLU(LEAKY_SLOPE)]
    return nn.Sequential(*layers, spectral_norm(SpectralConvolution(width, outputs, 3, padding=1)))
