"""A small network that says of each pixel of a face what it shows: skin, hair, eyeglasses and so on."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.models.efficientnet import EfficientNetLite0
from stgan.models.pretrained import PretrainedModel

PARSER_CLASSES = ("background", "skin", "eyeglasses", "eyes", "brows", "mouth", "hair", "hat", "neck", "clothes")
"""What a pixel shows, in the order of the parser's channels. Nose and ears are skin; lips and teeth are mouth."""


class FaceParser(PretrainedModel, pipeline_tag="image-segmentation"):
    """U-Net on the first eleven blocks of EfficientNet-lite0: 0.88 M parameters, for faces roughly in the editor's
    frame.

    Args:
        image_size: side S in pixels at which the network itself sees an image, a multiple of 16. Images of any other
            size are resized, and so are its maps.
    """

    def __init__(self, image_size: int = 192):
        super().__init__()
        if image_size % 16:
            raise ValueError(f"image_size must be a multiple of 16, not {image_size}.")
        self.image_size = image_size
        self.classes = PARSER_CLASSES
        self.encoder = EfficientNetLite0(blocks=11, momentum=0.05)
        self.bottleneck = _convolution(112, 64, kernel=1)
        self.decoder = nn.ModuleList(
            nn.Sequential(*layers)
            for layers in (
                (_convolution(64 + 40, 64), _convolution(64, 64)),  # stride 8
                (_convolution(64 + 24, 40), _convolution(40, 40)),  # stride 4
                (_convolution(40 + 16, 32), _convolution(32, 32)),  # stride 2
                (_convolution(32 + 3, 16),),  # stride 1, beside the image itself
            )
        )
        self.head = nn.Conv2d(16, len(PARSER_CLASSES), 1)

    def forward(self, image: Tensor, reach: int = 1) -> Tensor:
        """Probabilities (N, 10, H, W) of the classes in images (N, 3, H, W) in [-1, 1].

        ``reach``: how many times the editor's frame the images are wide. The network then sees them as many times
        larger, so that faces have the size that it knows.
        """
        size, own = image.shape[-2:], reach * self.image_size
        probabilities = self.logits(resized(image, own)).softmax(dim=1)
        if tuple(size) == (own, own):
            return probabilities
        return F.interpolate(probabilities, size=size, mode="bilinear")

    def parse(self, image: Tensor, reach: int = 1) -> Tensor:
        """As :meth:`forward`, averaged over the image and its mirror image, so that errors to one side cancel."""
        return (self(image, reach) + self(image.flip(-1), reach).flip(-1)) / 2

    def logits(self, image: Tensor) -> Tensor:
        """Logits (N, 10, S, S) of images (N, 3, S, S) in [-1, 1] at the network's own size, or any multiple of 16."""
        maps: list[Tensor] = [image, *self.encoder(image)]
        *finer, coarsest = maps
        feature = self.bottleneck(coarsest)
        for layer, skip in zip(self.decoder, reversed(finer), strict=True):
            feature = F.interpolate(feature, size=skip.shape[-2:], mode="bilinear")
            feature = layer(torch.cat([feature, skip], dim=1))
        return self.head(feature)


def resized(image: Tensor, size: int) -> Tensor:
    """Images (N, C, H, W) at size x size pixels, antialiased; as they are where they have that size."""
    if tuple(image.shape[-2:]) == (size, size):
        return image
    return F.interpolate(image, size=(size, size), mode="bilinear", antialias=True)


def _convolution(in_channels: int, channels: int, kernel: int = 3) -> nn.Sequential:
    layers: dict[str, nn.Module] = {
        "convolution": nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False),
        "norm": nn.BatchNorm2d(channels),
        "activation": nn.ReLU(inplace=True),
    }
    return nn.Sequential(OrderedDict(layers))
