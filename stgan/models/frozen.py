"""Generators frozen for inference on a CPU: the same edits as the generator's in less time.

BatchNorm is folded into the convolutions, and weights are prepared once. Encoding an image computes everything that its
edits share: the encoder features' part of each transfer unit, and all of the first layers but the attribute planes'
part.
"""

from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.models.convolutions import Convolution, Upsampling, can_prepare, folded
from stgan.models.encoder_decoder import STGAN, AttGAN, EncoderDecoder, SelectiveTransferUnit
from stgan.models.generator import Generator
from stgan.models.layers import LEAKY_SLOPE


def frozen(generator: Generator) -> Generator:
    """A generator in evaluation mode as it edits fastest on a CPU in float32; itself where nothing is faster.

    Later changes of its weights do not reach the frozen form.
    """
    if type(generator) in (STGAN, AttGAN) and can_prepare():
        return FrozenEncoderDecoder(cast(EncoderDecoder, generator))
    return generator


class FrozenFeatures(NamedTuple):
    """What all edits of N images share; the generator itself decodes it too."""

    image: Tensor  # (N, 3, S, S) in [-1, 1]
    maps: tuple[Tensor, ...]  # as in :class:`stgan.models.encoder_decoder.Features`
    selections: tuple[Tensor, ...]  # (N, 3 C, H, W) of each unit: the feature's part of gates and candidate
    states: tuple[Tensor, ...]  # without planes: the first decoder layer, the first unit's upsampled state, its gates


class FrozenUnit:
    """A selective transfer unit. The first one's state depends on an edit only by planes.

    Args:
        planes: attributes that are injected here.
        size: side of its feature in pixels.
    """

    def __init__(self, unit: SelectiveTransferUnit, planes: int, size: int, first: bool):
        self.channels, self.state = unit.candidate.out_channels, unit.state
        padding = unit.candidate.kernel_size[0] // 2
        self.norms = [norm for norm in (unit.gates_norm, unit.candidate_norm) if isinstance(norm, nn.InstanceNorm2d)]
        norms = (nn.Identity(),) * 2 if self.norms else (unit.gates_norm, unit.candidate_norm)
        gates, gates_bias = folded(unit.gates, norms[0])
        candidate, candidate_bias = folded(unit.candidate, norms[1])
        weight, bias = torch.cat([gates, candidate]), torch.cat([gates_bias, candidate_bias])
        self.select = Convolution(weight[:, : self.channels], bias, size=size, padding=padding)
        self.gates = Convolution(gates[:, self.channels :], size=size, padding=padding)
        self.candidate = Convolution(candidate[:, self.channels :], size=size, padding=padding)
        upsample, bias = folded(unit.upsample, nn.Identity())
        if first:
            self.state_shares = _planes_response(upsample, planes, size // 2)
            self.gates_shares = F.conv2d(self.state_shares, gates[:, self.channels :], padding=padding)
        else:
            self.upsample = Upsampling(upsample, bias, planes, size // 2)

    def __call__(self, state: Tensor, gates: Tensor, selection: Tensor, out: Tensor) -> Tensor:
        """Write the transferred feature (M, C, H, W) and return the next unit's state.

        Args:
            state: (M, C, H, W), upsampled.
            gates: (M, 2 C, H, W), the state's part of them; overwritten.
            selection: (1 or M, 3 C, H, W), the feature's part of gates and candidate.
        """
        gates += selection[:, : 2 * self.channels]
        reset_gate, update_gate = self._normed(0, gates).sigmoid_().chunk(2, dim=1)
        reset_state = reset_gate * state
        candidate = self.candidate(reset_state).add_(selection[:, 2 * self.channels :])
        # tanh(x) = 2 sigmoid(2 x) - 1, and torch's sigmoid takes a third of its tanh's time.
        candidate = self._normed(1, candidate).mul_(2).sigmoid_().mul_(2).sub_(1)
        torch.lerp(state, candidate, update_gate, out=out)
        return {"stu": reset_state, "gru": out, "direct": state}[self.state]

    def _normed(self, number: int, maps: Tensor) -> Tensor:
        return self.norms[number](maps) if self.norms else maps


class FrozenEncoderDecoder(Generator):
    """The frozen form of :class:`stgan.models.STGAN` and :class:`stgan.models.AttGAN`. Pickled as its generator."""

    @torch.no_grad()
    def __init__(self, generator: EncoderDecoder):
        super().__init__(
            generator.attributes, generator.image_size, generator.label_mode, generator.soft_mask,
            generator.regions is not None,
        )  # fmt: skip
        self._source = (generator.eval(),)  # in a tuple, so that its weights are not a part of this one
        encoder, units, decoder = (
            cast(list[Any], list(layers)) for layers in (generator.encoder, generator.transfer_units, generator.decoder)
        )
        layers, count, injected = len(encoder), len(self.attributes), generator.inject_layers
        self._skips = generator.skip_layers
        self._encoder = [
            Convolution(*folded(layer[0], layer[1]), size=self._size(number), stride=2, padding=1, slope=LEAKY_SLOPE)
            for number, layer in enumerate(encoder)
        ]
        self._units = [
            FrozenUnit(unit, count * (number <= injected), self._size(layers - 1 - number), first=number == 0)
            for number, unit in enumerate(units)
        ]
        weights = [folded(layer[0], layer[1], transposed=True) for layer in decoder]
        weights.append(folded(generator.to_image, nn.Identity()))
        self._upsamplings = [
            Upsampling(weight, bias, count * (layer <= injected), self._size(layers - layer))
            for layer, (weight, bias) in enumerate(weights[1:], start=1)
        ]
        # The decoder's first layer and the first unit's upsampling have one input: they are one layer here.
        firsts = weights[:1] + [folded(unit.upsample, nn.Identity()) for unit in units[:1]]
        weight, bias = torch.cat([each[0] for each in firsts], dim=1), torch.cat([each[1] for each in firsts])
        self._first = Upsampling(weight[:-count], bias, 0, self._size(layers))
        self._first_shares = _planes_response(weights[0][0], count, self._size(layers))

    def __reduce__(self) -> Any:
        return frozen, self._source

    def _size(self, layers: int) -> int:
        """Side of the maps after this many layers of the encoder."""
        return self.image_size >> layers

    @torch.no_grad()
    def encode(self, image: Tensor) -> FrozenFeatures:
        maps, feature = [], image.contiguous(memory_format=torch.channels_last)
        for layer in self._encoder:
            feature = layer(feature)
            maps.append(feature)
        selections = tuple(unit.select(skip) for unit, skip in zip(self._units, maps[-2::-1], strict=False))
        first, units = self._first(feature), self._units[:1]
        channels = [first.shape[1] - sum(unit.channels for unit in units), *(unit.channels for unit in units)]
        states = [part.contiguous(memory_format=torch.channels_last) for part in first.split(channels, dim=1)]
        states += [unit.gates(state) for unit, state in zip(units, states[1:], strict=True)]
        return FrozenFeatures(image, tuple(maps), selections, tuple(states))

    @torch.no_grad()
    def decode_outputs(self, features: FrozenFeatures, condition: Tensor) -> Tensor:
        condition = condition.float()
        selections, states, skips = (
            tuple(_rows(each, len(condition)) for each in maps)
            for maps in (features.selections, features.states, features.maps[-2::-1])
        )
        decoded = hidden_state = _with_planes(states[0], condition, self._first_shares)
        for layer, upsampling in enumerate(self._upsamplings):
            count, channels, height, width = decoded.shape
            skip = skips[layer].shape[1] if layer < self._skips else 0
            joined = decoded.new_empty((count, height, width, channels + skip)).permute(0, 3, 1, 2)
            torch.clamp_min(decoded, 0, out=joined[:, :channels])
            if layer < len(self._units):
                unit = self._units[layer]
                if layer == 0:
                    state = _with_planes(states[1], condition, unit.state_shares)
                    gates = _with_planes(states[2], condition, unit.gates_shares)
                else:
                    state = unit.upsample(hidden_state, condition)
                    gates = unit.gates(state)
                hidden_state = unit(state, gates, selections[layer], joined[:, channels:])
            elif skip:
                joined[:, channels:] = skips[layer]
            decoded = upsampling(joined, condition)
        return decoded


def _planes_response(weight: Tensor, planes: int, size: int) -> Tensor:
    """The response (A, O, 2S, 2S) of a transposed convolution (C + A, O, 4, 4) to each of its planes alone."""
    ones = torch.eye(planes).to(weight)[:, :, None, None].expand(-1, -1, size, size)
    response = F.conv_transpose2d(ones, weight[len(weight) - planes :], stride=2, padding=1)
    return response.contiguous(memory_format=torch.channels_last)


def _with_planes(shared: Tensor, condition: Tensor, responses: Tensor) -> Tensor:
    """Shared maps (1 or M, C, H, W) and the share of planes (M, A), given the response to each, (A, C, H, W)."""
    flat = torch.addmm(shared.permute(0, 2, 3, 1).flatten(1), condition, responses.permute(0, 2, 3, 1).flatten(1))
    return flat.view(len(condition), *shared.permute(0, 2, 3, 1).shape[1:]).permute(0, 3, 1, 2)


def _rows(shared: Tensor, rows: int) -> Tensor:
    """Maps of N images for ``rows`` edits; row i edits image i modulo N. A single image stays one row."""
    if len(shared) in (1, rows):
        return shared
    return shared[torch.arange(rows, device=shared.device) % len(shared)]
