"""A face parser frozen for inference on a CPU: the same maps as the parser's in less time.

BatchNorm and activations are part of the convolutions, whose weights are prepared once. An image and its mirror image
are resized and enlarged together.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.models.convolutions import RELU, RELU6, Activation, Convolution, can_prepare, folded
from stgan.models.efficientnet import ConvNorm, InvertedResidual
from stgan.models.parser import FaceParser, resized


def frozen_parser(parser: FaceParser) -> FaceParser:
    """A parser in evaluation mode as it sees fastest on a CPU in float32; itself where nothing is faster.

    Later changes of its weights do not reach the frozen form.
    """
    return FrozenParser(parser) if type(parser) is FaceParser and can_prepare() else parser


class FrozenParser(FaceParser):
    """The frozen form of :class:`stgan.models.FaceParser`. Pickled as its parser."""

    @torch.no_grad()
    def __init__(self, parser: FaceParser):
        nn.Module.__init__(self)
        self._source = (parser.eval(),)  # in a tuple, so that its weights are not a part of this one
        self.image_size, self.classes = parser.image_size, parser.classes
        self._stem = _layer(parser.encoder.stem, RELU6)
        self._blocks = [_Residual(cast(InvertedResidual, block)) for block in parser.encoder.blocks]
        self._bottleneck = _convolution(parser.bottleneck)
        self._decoder = [[_convolution(layer) for layer in cast(Any, layers)] for layers in parser.decoder]
        self._head = Convolution(*folded(parser.head, nn.Identity()))

    def __reduce__(self) -> Any:
        return frozen_parser, self._source

    @torch.no_grad()
    def parse(self, image: Tensor, reach: int = 1) -> Tensor:
        size, own = image.shape[-2:], reach * self.image_size
        image = resized(image, own)
        plain, mirrored = (self.logits(each).contiguous().softmax(dim=1) for each in (image, image.flip(-1)))
        probabilities = plain.add_(mirrored.flip(-1)).div_(2)
        if tuple(size) == (own, own):
            return probabilities
        return F.interpolate(probabilities, size=size, mode="bilinear")

    @torch.no_grad()
    def logits(self, image: Tensor) -> Tensor:
        image = image.contiguous(memory_format=torch.channels_last)
        feature, maps = self._stem(image), [image]
        for block in self._blocks:
            feature = block(feature)
            if len(maps) > 1 and maps[-1].shape[-1] == feature.shape[-1]:
                maps.pop()
            maps.append(feature)
        feature = self._bottleneck(maps.pop())
        for layers, skip in zip(self._decoder, reversed(maps), strict=True):
            feature = F.interpolate(feature, size=skip.shape[-2:], mode="bilinear")
            feature = torch.cat([feature, skip], dim=1)
            for layer in layers:
                feature = layer(feature)
        return self._head(feature)


class _Residual:
    """An :class:`InvertedResidual`."""

    def __init__(self, block: InvertedResidual):
        self.adds_input = block.adds_input
        wide = [_layer(layer, RELU6) for layer in (block.expand, block.depthwise) if layer is not None]
        self.layers = [*wide, _layer(block.project)]

    def __call__(self, maps: Tensor) -> Tensor:
        feature = maps
        for layer in self.layers:
            feature = layer(feature)
        return feature.add_(maps) if self.adds_input else feature


def _layer(layer: ConvNorm, activation: Activation | None = None) -> Convolution:
    """A convolution, its norm and the activation after it."""
    convolution = layer.convolution
    weight, bias = folded(convolution, layer.norm)
    padding = int(convolution.padding[0])
    if layer.padding is not None:  # one pixel more behind than before, as if the kernel began with zeros
        weight, padding = F.pad(weight, (1, 0, 1, 0)), layer.padding[0] + 1
    return Convolution(weight, bias, convolution.stride[0], padding, activation, convolution.groups)


def _convolution(layers: nn.Module) -> Convolution:
    """A convolution, its norm and its ReLU."""
    convolution, norm, _ = cast(list[Any], list(layers.children()))
    return Convolution(*folded(convolution, norm), 1, int(convolution.padding[0]), RELU)
