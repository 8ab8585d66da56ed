"""STGAN and AttGAN generators: an encoder, selective transfer units on the skip connections, and a decoder.

Source: STGAN, arXiv 1904.09709, section 3; AttGAN, arXiv 1711.10678; sizes as in the official TensorFlow code.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.models.generator import Generator
from stgan.models.layers import (
    LEAKY_SLOPE,
    batch_norm,
    concat_planes,
    downsample,
    layer_widths,
    norm_layer,
    upsample,
    xavier_initialise,
)

STU_STATES = ("stu", "gru", "direct")


class Features(NamedTuple):
    """What :meth:`EncoderDecoder.encode` returns: the features that all edits of an image share."""

    image: Tensor  # (N, 3, S, S) in [-1, 1]
    maps: tuple[Tensor, ...]  # layer l (from 0): (N, min(width * 2**l, max_width), S / 2**(l+1), S / 2**(l+1))


class SelectiveTransferUnit(nn.Module):
    """GRU-like cell that selects which part of an encoder feature reaches the decoder (section 3.3, equations 4 to 8).

    Args:
        channels: C of the encoder feature and of the upsampled state.
        state_channels: C' of the incoming hidden state, attribute planes included.
        kernel_size: of the gates and the candidate.
        norm: ``none`` (the paper) | ``bn`` | ``in`` on gates and candidate.
        state: what is passed to the next unit: ``stu`` the reset-gated state (the paper), ``gru`` the output,
            ``direct`` the upsampled state.
    """

    def __init__(
        self, channels: int, state_channels: int, kernel_size: int = 3, norm: str = "none", state: str = "stu"
    ):
        super().__init__()
        if state not in STU_STATES:
            raise ValueError(f"Unknown STU state {state!r}: use one of {', '.join(STU_STATES)}.")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"The kernel of a transfer unit must be odd, so that it has a centre, not {kernel_size}.")
        padding = kernel_size // 2
        self.state = state
        self.upsample = upsample(state_channels, channels, bias=True)
        self.gates = nn.Conv2d(2 * channels, 2 * channels, kernel_size, padding=padding)  # reset and update in one
        self.gates_norm = norm_layer(norm, 2 * channels)
        self.candidate = nn.Conv2d(2 * channels, channels, kernel_size, padding=padding)
        self.candidate_norm = norm_layer(norm, channels)

    def initialise(self) -> None:
        """Set the official code's initial weights, where each gate is a separate convolution with its own bound."""
        self.apply(xavier_initialise)
        for gate in self.gates.weight.data.chunk(2):
            nn.init.xavier_uniform_(gate)

    def forward(self, feature: Tensor, hidden_state: Tensor, att_diff: Tensor | None) -> tuple[Tensor, Tensor]:
        """Transfer one encoder feature.

        Args:
            feature: (N, C, H, W) f_l.
            hidden_state: (N, C'', H/2, W/2) s_{l+1}.
            att_diff: (N, A), or None where attributes are not injected at this unit.

        Returns:
            f_l' and the hidden state for the next unit, both (N, C, H, W).
        """
        state = self.upsample(concat_planes([hidden_state], att_diff))
        gates = torch.sigmoid(self.gates_norm(self.gates(torch.cat([feature, state], dim=1))))
        reset_gate, update_gate = gates.chunk(2, dim=1)
        reset_state = reset_gate * state
        candidate = torch.tanh(self.candidate_norm(self.candidate(torch.cat([feature, reset_state], dim=1))))
        transferred = torch.lerp(state, candidate, update_gate)  # (1 - z) o s^ + z o h
        next_state = {"stu": reset_state, "gru": transferred, "direct": state}[self.state]
        return transferred, next_state


class EncoderDecoder(Generator):
    """The common architecture; :class:`STGAN` and :class:`AttGAN` are settings of it. The defaults are STGAN's.

    Args:
        attributes: names of the A attributes it edits, in the order of att_diff.
        image_size: S, height and width of the images in pixels; a multiple of 2**layers.
        width: channels of the first encoder layer; each further layer has twice as many, up to ``max_width``.
        max_width: upper limit of channels.
        layers: stride-2 layers of encoder and decoder.
        stu_layers: skips with a selective transfer unit, counted from the innermost; with 0 all skips are plain.
        stu_kernel: kernel size of gates and candidate.
        stu_state: ``stu`` | ``gru`` | ``direct``, the state passed outward.
        stu_norm: ``none`` | ``bn`` | ``in`` in the units.
        skip_layers: decoder layers with a skip connection.
        inject_layers: layers after the first into which att_diff is injected again.
        label_mode: ``difference`` (the paper) or ``target``.
        norm_decay: share of BatchNorm's running statistics kept at a training step.
        soft_mask: a fourth output decides per pixel how much of the source is replaced (not in the paper).
        use_regions: an edit changes only the regions of its attributes, see
            :func:`stgan.models.regions.attribute_regions` (not in the paper); needs label_mode difference.
    """

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        image_size: int = 128,
        width: int = 64,
        max_width: int = 1024,
        layers: int = 5,
        stu_layers: int = 4,
        stu_kernel: int = 3,
        stu_state: str = "stu",
        stu_norm: str = "none",
        skip_layers: int = 4,
        inject_layers: int = 4,
        label_mode: str = "difference",
        norm_decay: float = 0.999,
        soft_mask: bool = False,
        use_regions: bool = False,
    ):
        super().__init__(attributes, image_size, label_mode, soft_mask, use_regions)
        widths = layer_widths(image_size, width, layers, max_width)
        if not 0 <= stu_layers < layers:
            raise ValueError(f"stu_layers must be between 0 and layers - 1 = {layers - 1}, not {stu_layers}.")
        if stu_layers and skip_layers < stu_layers:
            raise ValueError(
                f"skip_layers ({skip_layers}) must be at least stu_layers ({stu_layers}): "
                "a transfer unit feeds a skip connection."
            )
        self.skip_layers = min(skip_layers, layers - 1)
        self.inject_layers = min(inject_layers, layers - 1)
        attribute_count = len(self.attributes)

        self.encoder = nn.ModuleList(
            nn.Sequential(
                downsample(inputs, outputs), batch_norm(outputs, norm_decay), nn.LeakyReLU(LEAKY_SLOPE, inplace=True)
            )
            for inputs, outputs in zip([3, *widths], widths, strict=False)
        )
        self.transfer_units = nn.ModuleList()  # from the innermost to the outermost
        for unit in range(stu_layers):
            injected = attribute_count if unit <= self.inject_layers else 0
            channels, state_channels = widths[layers - 2 - unit], widths[layers - 1 - unit] + injected
            self.transfer_units.append(SelectiveTransferUnit(channels, state_channels, stu_kernel, stu_norm, stu_state))
        self.decoder = nn.ModuleList()  # from the innermost to the image
        inputs = widths[-1]
        for layer in range(layers - 1):
            outputs = widths[layers - 1 - layer]
            inputs += attribute_count if layer <= self.inject_layers else 0
            self.decoder.append(
                nn.Sequential(upsample(inputs, outputs), batch_norm(outputs, norm_decay), nn.ReLU(inplace=True))
            )
            inputs = outputs + (widths[layers - 2 - layer] if layer < self.skip_layers else 0)
        inputs += attribute_count if layers - 1 <= self.inject_layers else 0
        self.to_image = upsample(inputs, self.output_channels, bias=True)
        self.apply(xavier_initialise)
        for transfer_unit in self.transfer_units:
            cast(SelectiveTransferUnit, transfer_unit).initialise()
        self.open_mask(self.to_image)

    def condition_kernels(self) -> list[Tensor]:
        layers: list[Any] = [unit.upsample for unit in self.transfer_units[: self.inject_layers + 1]]
        layers += [cast(nn.Sequential, upsampling)[0] for upsampling in self.decoder[: self.inject_layers + 1]]
        layers += [self.to_image] if self.inject_layers > len(self.decoder) - 1 else []
        return [layer.weight[-len(self.attributes) :] for layer in layers]  # the planes come last

    def encode(self, image: Tensor) -> Features:
        """Features of images (N, 3, S, S) in [-1, 1], for any number of edits."""
        maps, feature = [], image
        for layer in self.encoder:
            feature = layer(feature)
            maps.append(feature)
        return Features(image, tuple(maps))

    def decode_outputs(self, features: Features, att_diff: Tensor) -> Tensor:
        features = Features(*_repeat_rows(features, att_diff.shape[0]))
        innermost = features.maps[-1]
        skips = list(features.maps[-2::-1])  # from the innermost to the outermost
        hidden_state = innermost
        for unit, transfer in enumerate(self.transfer_units):
            injected = att_diff if unit <= self.inject_layers else None
            skips[unit], hidden_state = transfer(skips[unit], hidden_state, injected)

        decoded = concat_planes([innermost], att_diff)
        for layer, upsampling in enumerate(self.decoder):
            decoded = upsampling(decoded)
            maps = [decoded, skips[layer]] if layer < self.skip_layers else [decoded]
            decoded = concat_planes(maps, att_diff if layer < self.inject_layers else None)
        return self.to_image(decoded)


class STGAN(EncoderDecoder):
    """STGAN's generator: attribute difference in, selective transfer units on the skips.

    At the defaults, the paper's settings for 128 px, it has 74,998,771 parameters. Arguments as in
    :class:`EncoderDecoder`.
    """


class AttGAN(EncoderDecoder):
    """AttGAN's generator: target attributes in, one plain skip, no constraint on the latent code.

    Source: arXiv 1711.10678, in the official STGAN code's sizes. Arguments as in :class:`EncoderDecoder`.
    """

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        image_size: int = 128,
        width: int = 64,
        max_width: int = 1024,
        layers: int = 5,
        skip_layers: int = 1,
        inject_layers: int = 1,
        label_mode: str = "target",
        norm_decay: float = 0.999,
        soft_mask: bool = False,
        use_regions: bool = False,
    ):
        super().__init__(
            attributes, image_size, width, max_width, layers, stu_layers=0, skip_layers=skip_layers,
            inject_layers=inject_layers, label_mode=label_mode, norm_decay=norm_decay, soft_mask=soft_mask,
            use_regions=use_regions,
        )  # fmt: skip


def _repeat_rows(features: Features, rows: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Features for ``rows`` edits; row i edits image i modulo N. Copied only where N is neither 1 nor rows."""
    count = features.image.shape[0]
    if rows == count:
        return features.image, features.maps
    if count == 1:  # one photo, many edits: an expanded view
        return (features.image.expand(rows, -1, -1, -1), tuple(m.expand(rows, -1, -1, -1) for m in features.maps))
    index = torch.arange(rows, device=features.image.device) % count
    return features.image[index], tuple(feature[index] for feature in features.maps)
