"""A frozen network that knows photographs in general: it measures realism and serves losses that need such features."""

import copy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stgan.models.efficientnet import ConvNorm, EfficientNetLite0

STRIDES = (4, 8, 16, 32)
CHANNELS = (24, 40, 112, 320)


class Backbone(nn.Module):
    """EfficientNet-lite0 with frozen weights, always in evaluation mode. Gradients flow to its images.

    The norms become part of the convolutions, so that fewer maps are read and written.
    ``strides`` (pixels of the image) and ``channels`` describe the maps that :meth:`forward` returns.
    """

    def __init__(self, network: EfficientNetLite0):
        super().__init__()
        self.network = copy.deepcopy(network)
        self.strides, self.channels = STRIDES, CHANNELS
        self.eval()
        for layer in self.network.modules():
            if isinstance(layer, ConvNorm) and isinstance(layer.norm, nn.BatchNorm2d):
                layer.convolution, layer.norm = fuse_conv_bn_eval(layer.convolution, layer.norm), nn.Identity()
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode: the statistics of the norms are frozen too."""
        return super().train(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps (N, C, S/stride, S/stride), one per stride, finest first, of images (N, 3, S, S) in [-1, 1], S a
        multiple of 32."""
        return self.network(image)[-len(STRIDES) :]


def pretrained_backbone() -> Backbone:
    """The backbone with its ImageNet weights, on the CPU. Without their package, a ModuleNotFoundError says what to
    install."""
    network = EfficientNetLite0()
    network.load_imagenet_weights()
    return Backbone(network)
