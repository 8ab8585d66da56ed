"""Convolutions with weights prepared once, for inference on a CPU in float32.

oneDNN stores weights in blocks. Prepared here, they are not reordered at every call.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPERATORS = ("_convolution_pointwise", "_convolution_transpose_pointwise", "_reorder_convolution_transpose_weight")
FEW_OUTPUTS = 8  # channels; oneDNN fills whole vectors of them, so fewer are computed as four times as many


def can_prepare() -> bool:
    """Whether this build of torch has oneDNN's operators."""
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS)


class Convolution:
    """A convolution of maps (N, C, H, W) in channels_last.

    Args:
        weight: (O, C, K, K).
        bias: (O,), if any.
        size: H and W, for which the weights are stored; other sizes are slower.
        slope: of a leaky ReLU on the output; None for no activation.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *,
        size: int, stride: int = 1, padding: int = 0, slope: float | None = None,
    ):  # fmt: skip
        geometry: list[Any] = [[padding] * 2, [stride] * 2, [1, 1], 1]
        # Without the shape, oneDNN may choose another layout, and reorder the weights at every call.
        shape = [1, weight.shape[1], size, size]
        self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.contiguous().to_mkldnn(), *geometry, shape)
        activation = ("none", []) if slope is None else ("leaky_relu", [slope])
        self.settings = (bias, *geometry, *activation, "")

    def __call__(self, maps: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(maps, self.weight, *self.settings)


class Upsampling:
    """A 4x4 transposed convolution with stride 2, of maps and constant planes: (N, C, H, W) to (N, O, 2H, 2W).

    The planes' share is constant but at the borders, where half of the kernel lies outside, and is computed for these
    places alone. A layer with few outputs is a 2x2 convolution to four times as many, which are interleaved.

    Args:
        weight: (C + A, O, 4, 4), the planes last.
        bias: (O,).
        planes: A.
        size: H and W, for which the weights are stored.
    """

    def __init__(self, weight: Tensor, bias: Tensor, planes: int, size: int):
        maps = weight[: len(weight) - planes].contiguous()
        self.convolution = None
        self.shares = _border_shares(weight[len(weight) - planes :]) if planes else None  # (A, 16 O)
        if weight.shape[1] <= FEW_OUTPUTS:
            self.convolution = Convolution(_interleaved(maps), bias.repeat(4), size=size, padding=1)
            return
        geometry: list[Any] = [[1, 1], [0, 0], [2, 2], [1, 1], 1]
        shape = [1, len(maps), size, size]  # without it, oneDNN may choose a layout a hundred times slower
        self.weight = torch.ops.mkldnn._reorder_convolution_transpose_weight(maps, *geometry, shape)
        self.settings = (bias, *geometry, "none", [], "")

    def __call__(self, maps: Tensor, vector: Tensor | None = None) -> Tensor:
        """Upsample maps in channels_last, with planes of the values (N, A) if the layer has planes."""
        if self.convolution is None:
            upsampled = torch.ops.mkldnn._convolution_transpose_pointwise(maps, self.weight, *self.settings)
        else:
            upsampled = _interleave(self.convolution(maps))
        if self.shares is not None and vector is not None:
            _add_shares(upsampled, vector @ self.shares)
        return upsampled


def folded(convolution: nn.Module, norm: nn.Module, *, transposed: bool = False) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that includes the BatchNorm after it, with its running statistics."""
    assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
    weight = convolution.weight
    bias = weight.new_zeros(convolution.out_channels) if convolution.bias is None else convolution.bias
    if isinstance(norm, nn.Identity):
        return weight.detach(), bias.detach()
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shape = (1, -1, 1, 1) if transposed else (-1, 1, 1, 1)
    shifted = norm.bias + (bias - norm.running_mean) * scale
    return (weight * scale.float().view(shape)).detach(), shifted.float().detach()


def _interleaved(weight: Tensor) -> Tensor:
    """The 2x2 kernels (4 O, C, 2, 2) of a transposed convolution (C, O, 4, 4) for even and odd rows and columns.

    At position i of a map that is padded by 1, the even ones give pixel 2i and the odd ones pixel 2i - 1.
    """
    taps = (3, 1), (2, 0)
    kernels = [weight[:, :, rows][:, :, :, columns] for rows in taps for columns in taps]
    return torch.cat([kernel.transpose(0, 1) for kernel in kernels])


def _interleave(maps: Tensor) -> Tensor:
    """Maps (N, 4 O, H + 1, W + 1) of :func:`_interleaved` kernels to (N, O, 2H, 2W)."""
    count, outputs, height, width = maps.shape[0], maps.shape[1] // 4, maps.shape[2] - 1, maps.shape[3] - 1
    parts = maps.permute(0, 2, 3, 1).unflatten(3, (2, 2, outputs))
    pairs = maps.new_empty(count, height, 2, width, 2, outputs)
    for y in (0, 1):
        for x in (0, 1):
            pairs[:, :, y, :, x] = parts[:, y : y + height, x : x + width, y, x]
    return pairs.view(count, 2 * height, 2 * width, outputs).permute(0, 3, 1, 2)


def _add_shares(maps: Tensor, shares: Tensor) -> None:
    """Add what :func:`_border_shares` tells apart, (N, 16 O), to maps (N, O, 2H, 2W) in channels_last."""
    inside, rows, columns, corners = shares.view(len(maps), 4, 2, 2, -1).unbind(1)
    pixels = maps.permute(0, 2, 3, 1)
    pairs = pixels.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (N, H, 2, W, 2, O)
    pairs += inside[:, None, :, None]
    for end in (0, 1):
        pairs[:, -end, end] += rows[:, end, None]
        pairs[:, :, :, -end, end] += columns[:, None, :, end]
    pixels[:, :: maps.shape[2] - 1, :: maps.shape[3] - 1] += corners


def _border_shares(planes: Tensor) -> Tensor:
    """The responses to planes of ones, (A, 4 * 2 * 2 * O): inside, and what first and last rows, columns and corners
    have more. The inside has even and odd rows and columns."""
    ones = torch.eye(len(planes)).to(planes)[:, :, None, None].expand(-1, -1, 3, 3)
    response = F.conv_transpose2d(ones, planes, stride=2, padding=1).permute(0, 2, 3, 1)  # (A, 6, 6, O)
    middle, ends = [2, 1], [0, 5]

    def at(rows: Sequence[int], columns: Sequence[int]) -> Tensor:
        return response[:, rows][:, :, columns]

    inside = at(middle, middle)
    rows, columns = at(ends, middle) - inside, at(middle, ends) - inside
    corners = at(ends, ends) - inside - rows - columns
    return torch.stack([inside, rows, columns, corners], dim=1).flatten(1)
