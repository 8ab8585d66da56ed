"""StarGAN's generator: one residual network for all domains, attribute planes beside the image.

Source: StarGAN, CVPR 2018, table 4 of its appendix.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.models.generator import Generator
from stgan.models.layers import downsample, instance_norm, upsample, xavier_initialise


class StarGANFeatures(NamedTuple):
    """What all edits of an image share: the image, and the first convolution's response to it."""

    image: Tensor  # (N, 3, S, S) in [-1, 1]
    response: Tensor  # (N, width, S, S)


class StarGANBlock(nn.Module):
    """Residual block with two 3x3 convolutions and InstanceNorm, without an activation after the sum."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), instance_norm(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), instance_norm(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class StarGAN(Generator):
    """StarGAN's generator.

    Args:
        attributes: names of the A attributes it edits.
        image_size: S, a multiple of 4.
        width: channels of the first layer.
        residual_blocks: blocks at a quarter of the resolution.
        label_mode: ``target`` (the paper) or ``difference``.
        soft_mask, use_regions: see :class:`stgan.models.EncoderDecoder`.
    """

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        image_size: int = 128,
        width: int = 64,
        residual_blocks: int = 6,
        label_mode: str = "target",
        soft_mask: bool = False,
        use_regions: bool = False,
    ):
        super().__init__(attributes, image_size, label_mode, soft_mask, use_regions)
        if image_size % 4 or image_size < 8:
            raise ValueError(f"image_size must be a multiple of 4 and at least 8, not {image_size}.")
        # The first convolution takes [image, planes]. It is stored whole, as in the paper, and applied in two parts.
        self.from_image = nn.Conv2d(3 + len(self.attributes), width, 7, padding=3, bias=False)
        self.body = nn.Sequential(
            instance_norm(width), nn.ReLU(inplace=True),
            downsample(width, 2 * width), instance_norm(2 * width), nn.ReLU(inplace=True),
            downsample(2 * width, 4 * width), instance_norm(4 * width), nn.ReLU(inplace=True),
            *(StarGANBlock(4 * width) for _ in range(residual_blocks)),
            upsample(4 * width, 2 * width), instance_norm(2 * width), nn.ReLU(inplace=True),
            upsample(2 * width, width), instance_norm(width), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.to_image = nn.Conv2d(width, self.output_channels, 7, padding=3, bias=soft_mask)
        self.apply(xavier_initialise)
        self.open_mask(self.to_image)

    def condition_kernels(self) -> list[Tensor]:
        return [self.from_image.weight[:, 3:].transpose(0, 1)]

    def encode(self, image: Tensor) -> StarGANFeatures:
        """The image's share of the first convolution; everything after it depends on the attributes."""
        return StarGANFeatures(image, F.conv2d(image, self.from_image.weight[:, :3], padding=3))

    def decode_outputs(self, features: StarGANFeatures, condition: Tensor) -> Tensor:
        response = features.response
        if response.shape[0] != condition.shape[0]:
            response = response[torch.arange(condition.shape[0], device=response.device) % response.shape[0]]
        return self.to_image(self.body(response + self._planes_response(condition, response)))

    def _planes_response(self, condition: Tensor, response: Tensor) -> Tensor:
        """The first convolution's response to constant planes, (M, width, S, S).

        It varies only in the 3 pixels next to each border. So a 7x7 plane is convolved and its middle row and column
        are repeated, which takes 1/300 of the work.
        """
        small = condition.to(response.dtype)[:, :, None, None].expand(-1, -1, 7, 7)
        pattern = F.conv2d(small, self.from_image.weight[:, 3:], padding=3)  # (M, width, 7, 7)
        places = (torch.arange(length, device=response.device) for length in response.shape[2:])
        rows, columns = (place.clamp(max=3) + (place - len(place) + 4).clamp(min=0) for place in places)
        return pattern[:, :, rows[:, None], columns[None, :]]
