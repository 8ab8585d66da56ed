"""Convolutions with weights prepared once, for inference on a CPU in float32.

oneDNN stores weights in blocks, which depend on the size of the maps. Prepared here, they are not reordered at every
call.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPERATORS = (
    "_convolution_pointwise", "_convolution_transpose_pointwise", "_reorder_convolution_transpose_weight",
    "_get_mkldnn_serialized_md",
)  # fmt: skip
MOST_SIZES = 64  # of maps, for which a layer keeps weights
FEW_OUTPUTS = 8  # channels; oneDNN fills whole vectors of them, so fewer are computed as four times as many


def can_prepare() -> bool:
    """Whether this build of torch has oneDNN's operators."""
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS)


Activation = tuple[str, list[float]]  # oneDNN's name and arguments
RELU: Activation = ("relu", [])
RELU6: Activation = ("hardtanh", [0.0, 6.0])


class Convolution:
    """A convolution of maps (N, C, H, W) in channels_last.

    Args:
        weight: (O, C / groups, K, K).
        bias: (O,), if any.
        activation: on the output, if any.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0,
        activation: Activation | None = None, groups: int = 1,
    ):  # fmt: skip
        geometry: list[Any] = [[padding] * 2, [stride] * 2, [1, 1], groups]
        plain, channels = weight.contiguous().to_mkldnn(), groups * weight.shape[1]
        self.weight = _prepared(
            lambda height, width: torch.ops.aten.mkldnn_reorder_conv2d_weight(
                plain, *geometry, [1, channels, height, width]
            )
        )
        self.settings = (bias, *geometry, *(activation or ("none", [])), "")

    def __call__(self, maps: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(maps, self.weight(*maps.shape[2:]), *self.settings)


class Upsampling:
    """A 4x4 transposed convolution with stride 2, of maps and constant planes: (N, C, H, W) to (N, O, 2H, 2W).

    The planes' share is constant but at the borders, where half of the kernel lies outside, and is computed for these
    places alone. A layer with few outputs is a 2x2 convolution to four times as many, which are interleaved.

    Args:
        weight: (C + A, O, 4, 4), the planes last.
        bias: (O,).
        planes: A.
    """

    def __init__(self, weight: Tensor, bias: Tensor, planes: int):
        maps = weight[: len(weight) - planes].contiguous()
        self.convolution = None
        self.shares = _border_shares(weight[len(weight) - planes :]) if planes else None  # (A, 16 O)
        if weight.shape[1] <= FEW_OUTPUTS:
            self.convolution = Convolution(_interleaved(maps), bias.repeat(4), padding=1)
            return
        geometry: list[Any] = [[1, 1], [0, 0], [2, 2], [1, 1], 1]
        self.weight = _prepared(
            lambda height, width: torch.ops.mkldnn._reorder_convolution_transpose_weight(
                maps, *geometry, [1, len(maps), height, width]
            )
        )
        self.settings = (bias, *geometry, "none", [], "")

    def __call__(self, maps: Tensor, vector: Tensor | None = None) -> Tensor:
        """Upsample maps in channels_last, with planes of the values (N, A) if the layer has planes.

        Few outputs come channel by channel in memory, more of them in channels_last.
        """
        shares = None if self.shares is None or vector is None else (vector @ self.shares).view(len(maps), 4, 2, 2, -1)
        if self.convolution is None:
            weight = self.weight(*maps.shape[2:])
            upsampled = torch.ops.mkldnn._convolution_transpose_pointwise(maps, weight, *self.settings)
            if shares is not None:
                pairs = upsampled.permute(0, 2, 3, 1).unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (N, H, 2, W, 2, O)
                pairs += shares[:, 0, None, :, None]
        else:
            parts = self.convolution(maps)
            if shares is not None:
                parts += shares[:, 0].flatten(1)[:, :, None, None]
            upsampled = _interleave(parts)
        if shares is not None:
            _add_borders(upsampled.permute(0, 2, 3, 1), shares[:, 1:])
        return upsampled


def _prepared(prepare: Callable[[int, int], Tensor]) -> Callable[[int, int], Tensor]:
    """The weights for maps of a height and width, stored when they are first needed, and once for each layout."""
    layouts: WeakValueDictionary[bytes, Tensor] = WeakValueDictionary()

    @lru_cache(MOST_SIZES)
    def weight(height: int, width: int) -> Tensor:
        prepared = prepare(height, width)
        layout = bytes(torch.ops.mkldnn._get_mkldnn_serialized_md(prepared).numpy())
        return layouts.setdefault(layout, prepared)

    return weight


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
    parts = maps.unflatten(1, (2, 2, outputs))
    pairs = maps.new_empty(count, outputs, height, 2, width, 2)
    for y in (0, 1):
        for x in (0, 1):
            pairs[:, :, :, y, :, x] = parts[:, y, x, :, y : y + height, x : x + width]
    return pairs.view(count, outputs, 2 * height, 2 * width)


def _add_borders(pixels: Tensor, shares: Tensor) -> None:
    """Add to maps (N, 2H, 2W, O) what :func:`_border_shares` has for their borders, (N, 3, 2, 2, O)."""
    rows, columns, corners = shares.unbind(1)
    for end in (0, 1):
        line = pixels[:, -end].unflatten(1, (-1, 2))  # (N, W, 2, O)
        line += rows[:, end, None]
        line = pixels[:, :, -end].unflatten(1, (-1, 2))
        line += columns[:, None, :, end]
    pixels[:, :: pixels.shape[1] - 1, :: pixels.shape[2] - 1] += corners


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
