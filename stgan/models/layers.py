"""Layers that the networks share, with the official code's initialisation and norm constants."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

LEAKY_SLOPE = 0.2
BATCH_NORM_EPS = 1e-3  # TensorFlow's default, not PyTorch's 1e-5
INSTANCE_NORM_EPS = 1e-6


def batch_norm(channels: int, decay: float = 0.999) -> nn.BatchNorm2d:
    """BatchNorm with TensorFlow's constants; ``decay`` is the share of the running statistics kept at each step."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS, momentum=1 - decay)


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Affine InstanceNorm with TensorFlow's epsilon."""
    return nn.InstanceNorm2d(channels, eps=INSTANCE_NORM_EPS, affine=True)


def norm_layer(kind: str, channels: int) -> nn.Module:
    """``none`` | ``bn`` | ``in``, as the official code names them."""
    layers: dict[str, Callable[[int], nn.Module]] = {"none": nn.Identity, "bn": batch_norm, "in": instance_norm}
    if kind not in layers:
        raise ValueError(f"Unknown norm {kind!r}: use one of {', '.join(layers)}.")
    return layers[kind](channels)


def layer_widths(image_size: int, width: int, layers: int, max_width: int | None = None) -> list[int]:
    """Channels of stride-2 layers, doubled from one to the next up to ``max_width``.

    Raises a ValueError if the image's side is no multiple of 2**layers, or without any layer.
    """
    if layers < 1:
        raise ValueError(f"layers must be at least 1, not {layers}.")
    if image_size % 2**layers:
        raise ValueError(f"image_size must be a multiple of {2**layers} for {layers} layers, not {image_size}.")
    return [min(width * 2**layer, max_width or width * 2**layer) for layer in range(layers)]


def downsample(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.Conv2d:
    """4x4 convolution, stride 2: (N, in, H, W) to (N, out, H/2, W/2)."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)


def upsample(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    """4x4 transposed convolution, stride 2: (N, in, H, W) to (N, out, 2H, 2W)."""
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)


class ResidualBlock(nn.Module):
    """Residual block with two 3x3 convolutions and BatchNorm: (N, C, H, W) to the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(conv_norm(channels, channels), nn.ReLU(inplace=True), conv_norm(channels, channels))
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.body(x))


def residual_stages(width: int, blocks: int, stages: int) -> nn.Sequential:
    """A strided convolution to ``width`` channels, then stages that halve the side and double the channels."""
    layers: list[nn.Module] = [conv_norm(3, width, stride=2), nn.ReLU(inplace=True)]
    for channels in (width << stage for stage in range(1, stages + 1)):
        layers += [conv_norm(channels // 2, channels, stride=2), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(channels) for _ in range(blocks)]
    return nn.Sequential(*layers)


def conv_norm(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and BatchNorm with PyTorch's defaults, for networks that the official code does not have."""
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


def xavier_initialise(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, TensorFlow's default; for ``Module.apply``."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def he_initialise(module: nn.Module) -> None:
    """He-normal weights for leaky ReLUs and zero biases, for networks without norms; for ``Module.apply``."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE, nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def concat_planes(maps: list[Tensor], vector: Tensor | None = None) -> Tensor:
    """Concatenate feature maps (N, C, H, W) and, if given, a vector (N, A) as A constant planes.

    The planes are made channels_last: an expanded view would make ``torch.cat`` leave that memory format, and each
    later convolution copy its input.
    """
    if vector is not None:
        n, a = vector.shape
        planes = vector.to(maps[0].dtype)[:, :, None, None].expand(n, a, *maps[0].shape[2:])
        maps = [*maps, planes.contiguous(memory_format=torch.channels_last)]
    return torch.cat(maps, dim=1)
