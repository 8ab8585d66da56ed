"""Layers shared by generators and discriminators, with the official code's initialisation and norm constants."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAKY_SLOPE = 0.2
BATCH_NORM_EPS = 1e-3  # TensorFlow's default, not PyTorch's 1e-5
INSTANCE_NORM_EPS = 1e-6


def batch_norm(channels: int, decay: float = 0.999) -> nn.BatchNorm2d:
    """BatchNorm with TensorFlow's constants; ``decay`` is the share of the running statistics that is kept."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS, momentum=1 - decay)


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Affine InstanceNorm with TensorFlow's epsilon."""
    return nn.InstanceNorm2d(channels, eps=INSTANCE_NORM_EPS, affine=True)


def norm_layer(kind: str, channels: int) -> nn.Module:
    """``none`` | ``bn`` | ``in``, as the official code names them."""
    layers = {"none": lambda _: nn.Identity(), "bn": batch_norm, "in": instance_norm}
    if kind not in layers:
        raise ValueError(f"Unknown norm {kind!r}: use one of {', '.join(layers)}.")
    return layers[kind](channels)


def downsample(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.Conv2d:
    """4x4 convolution, stride 2: (N, in, H, W) to (N, out, H/2, W/2)."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)


def upsample(in_channels: int, out_channels: int, *, bias: bool = False) -> nn.ConvTranspose2d:
    """4x4 transposed convolution, stride 2: (N, in, H, W) to (N, out, 2H, 2W)."""
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias)


def xavier_initialise(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, TensorFlow's default. For use with ``Module.apply``."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def he_initialise(module: nn.Module) -> None:
    """He-normal weights for leaky ReLUs and zero biases, for networks without norms. For use with ``Module.apply``."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE, nonlinearity="leaky_relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def concat_planes(maps: list[Tensor], vector: Tensor | None = None) -> Tensor:
    """Concatenate feature maps (N, C, H, W) and, where given, a vector (N, A) as A constant planes.

    The planes are an expanded view until the one copy that the concatenation makes anyway.
    """
    if vector is not None:
        n, a = vector.shape
        planes = vector.to(maps[0].dtype)[:, :, None, None].expand(n, a, *maps[0].shape[2:])
        maps = [*maps, planes]
    return torch.cat(maps, dim=1)


def upsample_with_planes(layer: nn.ConvTranspose2d, state: Tensor, vector: Tensor | None) -> Tensor:
    """``layer(concat_planes([state], vector))`` without copying ``state`` or convolving constant planes.

    A constant plane answers a 4x4 stride-2 transposed convolution with one value per output parity, except in the
    outermost rows and columns, where one tap falls outside. All of these values already occur in the 4x4 answer to a
    2x2 plane, so that is computed and its inner rows and columns are repeated.

    Args:
        layer: transposed convolution made by :func:`upsample`, for C + A input channels.
        state: (N, C, H, W).
        vector: (N, A), or None where the layer takes the state alone.

    Returns:
        (N, out, 2H, 2W).
    """
    if vector is None:
        return layer(state)
    channels = state.shape[1]
    answer = F.conv_transpose2d(state, layer.weight[:channels], layer.bias, stride=2, padding=1)
    small = vector.to(state.dtype)[:, :, None, None].expand(-1, -1, 2, 2)
    pattern = F.conv_transpose2d(small, layer.weight[channels:], stride=2, padding=1)  # (N, out, 4, 4)
    rows = _border_pattern(answer.shape[2], answer.device)
    columns = _border_pattern(answer.shape[3], answer.device)
    return answer + pattern[:, :, rows[:, None], columns[None, :]].to(answer.dtype)


def _border_pattern(length: int, device: torch.device) -> Tensor:
    """Row of the 4-row pattern that each of ``length`` output rows repeats: 0, 1, 2, 1, 2, …, 1, 2, 3."""
    rows = 2 - torch.arange(length, device=device) % 2
    rows[0], rows[-1] = 0, 3
    return rows
