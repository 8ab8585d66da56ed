"""Generators frozen for inference on a CPU: the same edits as the generator's in less time.

BatchNorm is folded into the convolutions, and weights are prepared once. Encoding an image computes everything that its
edits share: the encoder features' part of each transfer unit, and all of the first layers but the attribute planes'
part. Edits pass the outer layers one by one, each only where its region lies: outside, the image stays as it is.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.models.convolutions import Convolution, Upsampling, can_prepare, folded
from stgan.models.encoder_decoder import STGAN, AttGAN, EncoderDecoder, SelectiveTransferUnit
from stgan.models.generator import Edit, Generator
from stgan.models.layers import LEAKY_SLOPE

OUTER_LAYERS = 3  # that edits pass one by one: maps of several would not stay in the processor's cache
GRID = 2 ** (OUTER_LAYERS + 1)  # pixels, to which boxes are extended: oneDNN takes some ms for each new size of maps

Box = tuple[slice, slice]  # rows and columns
WHOLE = slice(None), slice(None)


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
        self.minus_one = -torch.ones(())
        # How far the pixels are on which one depends: instance norm depends on all.
        self.reach = 2 * size if self.norms else 2 * padding
        norms = (nn.Identity(),) * 2 if self.norms else (unit.gates_norm, unit.candidate_norm)
        gates, gates_bias = folded(unit.gates, norms[0])
        candidate, candidate_bias = (
            values if self.norms else 2 * values for values in folded(unit.candidate, norms[1])
        )
        weight, bias = torch.cat([gates, candidate]), torch.cat([gates_bias, candidate_bias])
        self.select = Convolution(weight[:, : self.channels], bias, padding=padding)
        self.gates = Convolution(gates[:, self.channels :], padding=padding)
        self.candidate = Convolution(candidate[:, self.channels :], padding=padding)
        upsample, bias = folded(unit.upsample, nn.Identity())
        if first:
            self.state_shares = _planes_response(upsample, planes, size // 2)
            self.gates_shares = F.conv2d(self.state_shares, gates[:, self.channels :], padding=padding)
        else:
            self.upsample = Upsampling(upsample, bias, planes)

    def __call__(
        self, state: Tensor, selection: Tensor, out: Tensor, kept: Box = WHOLE, gates: Tensor | None = None
    ) -> Tensor:
        """Write the transferred feature (M, C, h, w) and return the next unit's state.

        Args:
            state: (M, C, H, W), upsampled.
            selection: (1 or M, 3 C, H, W), the feature's part of gates and candidate.
            out: takes the feature.
            kept: the part of the maps that both are needed for.
            gates: (M, 2 C, H, W), the state's part of them if it is known; overwritten.
        """
        gates = self.gates(state) if gates is None else gates
        gates += selection[:, : 2 * self.channels]
        reset_gate, update_gate = self._normed(0, gates).sigmoid_().chunk(2, dim=1)
        reset_state = reset_gate * state
        candidate = self.candidate(reset_state).add_(selection[:, 2 * self.channels :])
        state, candidate, update_gate, reset_state = (
            _part(each, kept) for each in (state, self._normed(1, candidate), update_gate, reset_state)
        )
        # tanh(x) = 2 sigmoid(2 x) - 1, and torch's sigmoid takes a third of its tanh's time. Without norms, the weights
        # give 2 x.
        candidate = (candidate.mul_(2) if self.norms else candidate).sigmoid_()
        candidate = torch.add(self.minus_one, candidate, alpha=2)
        torch.lerp(state, candidate, update_gate, out=out)
        return _channels_last({"stu": reset_state, "gru": out, "direct": state}[self.state])

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
            Convolution(*folded(layer[0], layer[1]), 2, 1, ("leaky_relu", [LEAKY_SLOPE])) for layer in encoder
        ]
        self._units = [
            FrozenUnit(unit, count * (number <= injected), self._size(layers - 1 - number), first=number == 0)
            for number, unit in enumerate(units)
        ]
        weights = [folded(layer[0], layer[1], transposed=True) for layer in decoder]
        weights.append(folded(generator.to_image, nn.Identity()))
        self._upsamplings = [
            Upsampling(weight, bias, count * (layer <= injected))
            for layer, (weight, bias) in enumerate(weights[1:], start=1)
        ]
        # The decoder's first layer and the first unit's upsampling have one input: they are one layer here.
        firsts = weights[:1] + [folded(unit.upsample, nn.Identity()) for unit in units[:1]]
        weight, bias = torch.cat([each[0] for each in firsts], dim=1), torch.cat([each[1] for each in firsts])
        self._inner = max(1, len(self._upsamplings) - OUTER_LAYERS)  # layers that all edits pass together
        self._first = Upsampling(weight[:-count], bias, 0)
        self._first_shares = _planes_response(weights[0][0], count, self._size(layers))

    def __reduce__(self) -> Any:
        return frozen, self._source

    def _size(self, layers: int) -> int:
        """Side of the maps after this many layers of the encoder."""
        return self.image_size >> layers

    @torch.no_grad()
    def encode(self, image: Tensor) -> FrozenFeatures:
        maps, feature = [], _channels_last(image)
        for layer in self._encoder:
            feature = layer(feature)
            maps.append(feature)
        selections = tuple(unit.select(skip) for unit, skip in zip(self._units, maps[-2::-1], strict=False))
        first, units = self._first(feature), self._units[:1]
        channels = [first.shape[1] - sum(unit.channels for unit in units), *(unit.channels for unit in units)]
        states = [_channels_last(part) for part in first.split(channels, dim=1)]
        states += [unit.gates(state) for unit, state in zip(units, states[1:], strict=True)]
        return FrozenFeatures(image.contiguous(), tuple(maps), selections, tuple(states))

    @torch.no_grad()
    def decode_outputs(self, features: FrozenFeatures, condition: Tensor) -> Tensor:
        whole = slice(0, self.image_size), slice(0, self.image_size)
        outputs = features.image.new_empty(len(condition), self.output_channels, self.image_size, self.image_size)
        for row, output in self._outputs(features, condition, [whole] * len(condition)):
            outputs[row] = output[0]
        return outputs

    @torch.no_grad()
    def decode_parts(self, features: FrozenFeatures, condition: Tensor, regions: Tensor | None = None) -> Edit:
        region = self.editable(features, condition, regions)
        if region is None:
            return super().decode_parts(features, condition)
        image = features.image[torch.arange(len(condition)) % len(features.image)]
        result = Edit(image, image.clone(), torch.zeros_like(region)) if self.soft_mask else Edit(image, image, None)
        boxes = [_box_around(each[0] > 0) for each in region]
        for row, outputs in self._outputs(features, condition, boxes):
            part = (slice(row, row + 1), slice(None), *boxes[row])
            for whole, within in zip(result, self.composed(outputs, image[part], region[part]), strict=True):
                if whole is not None and within is not None:
                    whole[part] = within
        return result

    def _outputs(
        self, features: FrozenFeatures, condition: Tensor, boxes: Sequence[Box]
    ) -> Iterator[tuple[int, Tensor]]:
        """The number of each edit (M, A), and its raw output (1, 3 or 4, h, w) within its box unless that is empty."""
        condition = condition.float()
        maps = self._first_joined(features, condition)
        for layer in range(1, self._inner):
            skip = self._skip(features, layer)
            maps = self._joined(layer, maps, condition, None if skip is None else _rows(skip, len(condition)))
        for row, box in enumerate(boxes):
            if box[0].start < box[0].stop:
                yield (
                    row,
                    self._output(features, row, [each[row : row + 1] for each in maps], condition[row, None], box),
                )

    def _output(
        self, features: FrozenFeatures, row: int, maps: Sequence[Tensor], condition: Tensor, box: Box
    ) -> Tensor:
        """The raw output of one edit within a box, given the maps of its inner layers."""
        parts = self._parts(box)
        maps = [_channels_last(_part(each, parts[0])) for each in maps]
        for layer, (part, kept) in enumerate(zip(parts, parts[1:], strict=False), start=self._inner):
            place = _doubled(part)
            skip = self._skip(features, layer)
            skip = None if skip is None else _part(skip[row % len(skip), None], place)
            maps = self._joined(layer, maps, condition, skip, _within(kept, place))
        return _part(self._upsamplings[-1](maps[0], condition), _within(box, _doubled(parts[-1])))

    def _parts(self, box: Box) -> list[Box]:
        """For each layer that edits pass one by one, the part of its input that a box of the image depends on."""
        parts = []
        for layer in range(len(self._upsamplings), self._inner - 1, -1):
            # Where a map is cut, its outermost pixels lack what is outside.
            margin = 1 + (self._units[layer].reach if layer < len(self._units) else 0)
            size = self._size(len(self._encoder) - layer)
            rows, columns = (
                slice(max(0, (side.start - margin) // 2), min(size, (side.stop + margin + 1) // 2)) for side in box
            )
            parts.append(box := (rows, columns))
        return parts[::-1]

    def _first_joined(self, features: FrozenFeatures, condition: Tensor) -> list[Tensor]:
        """As :meth:`_joined` for the first layer, of which the encoding has all but the planes' part."""
        skip = self._skip(features, 0)
        skip = None if skip is None else _rows(skip, len(condition))
        decoded, *states = (_rows(each, len(condition)) for each in features.states)
        decoded = _with_planes(decoded, condition, self._first_shares)
        if not self._units:
            return self._join(0, decoded, skip)
        responses = self._units[0].state_shares, self._units[0].gates_shares
        states = [_with_planes(each, condition, response) for each, response in zip(states, responses, strict=True)]
        return self._join(0, decoded, skip, WHOLE, *states)

    def _joined(
        self, layer: int, maps: Sequence[Tensor], condition: Tensor, skip: Tensor | None, kept: Box = WHOLE
    ) -> list[Tensor]:
        """The next layer's input, (M, C, H, W) in channels_last, and behind a unit its hidden state.

        Args:
            layer: counted from 0.
            maps: the same of the layer before.
            condition: (M, A).
            skip: what :meth:`_skip` has for these edits and these pixels.
            kept: the part of the maps that the next layer needs.
        """
        decoded = self._upsamplings[layer - 1](maps[0], condition)
        if layer >= len(self._units):
            return self._join(layer, decoded, skip, kept)
        return self._join(layer, decoded, skip, kept, self._units[layer].upsample(maps[1], condition))

    def _join(
        self, layer: int, decoded: Tensor, skip: Tensor | None, kept: Box = WHOLE, *states: Tensor
    ) -> list[Tensor]:
        count, channels, height, width = (decoded := _part(decoded, kept)).shape
        more = 0 if skip is None else self._units[layer].channels if states else skip.shape[1]
        joined = decoded.new_empty((count, height, width, channels + more)).permute(0, 3, 1, 2)
        torch.clamp_min(decoded, 0, out=joined[:, :channels])
        if skip is None:
            return [joined]
        if states:
            return [joined, self._units[layer](states[0], skip, joined[:, channels:], kept, *states[1:])]
        joined[:, channels:] = _part(skip, kept)
        return [joined]

    def _skip(self, features: FrozenFeatures, layer: int) -> Tensor | None:
        """What the encoding has for a layer: a unit's selections, an encoder's feature or nothing."""
        if layer < len(self._units):
            return features.selections[layer]
        return features.maps[-2 - layer] if layer < self._skips else None


def _box_around(area: Tensor) -> Box:
    """Rows and columns of an area, bool (S, S), extended to the grid; empty if the area is."""
    sides = []
    for axis in (1, 0):
        inside = area.any(dim=axis).nonzero()
        start, stop = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
        sides.append(slice(start // GRID * GRID, min(len(area), -(-stop // GRID) * GRID)))
    return sides[0], sides[1]


def _doubled(box: Box) -> Box:
    """The same box in maps of twice the size."""
    rows, columns = (slice(2 * side.start, 2 * side.stop) for side in box)
    return rows, columns


def _within(box: Box, place: Box) -> Box:
    """The box, counted from the corner of a place that contains it."""
    rows, columns = (
        slice(side.start - start.start, side.stop - start.start) for side, start in zip(box, place, strict=True)
    )
    return rows, columns


def _part(maps: Tensor, box: Box) -> Tensor:
    return maps[:, :, box[0], box[1]]


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)


def _planes_response(weight: Tensor, planes: int, size: int) -> Tensor:
    """The response (A, O, 2S, 2S) of a transposed convolution (C + A, O, 4, 4) to each of its planes alone."""
    ones = torch.eye(planes).to(weight)[:, :, None, None].expand(-1, -1, size, size)
    response = F.conv_transpose2d(ones, weight[len(weight) - planes :], stride=2, padding=1)
    return _channels_last(response)


def _with_planes(shared: Tensor, condition: Tensor, responses: Tensor) -> Tensor:
    """Shared maps (1 or M, C, H, W) and the share of planes (M, A), given the response to each, (A, C, H, W)."""
    flat = torch.addmm(shared.permute(0, 2, 3, 1).flatten(1), condition, responses.permute(0, 2, 3, 1).flatten(1))
    return flat.view(len(condition), *shared.permute(0, 2, 3, 1).shape[1:]).permute(0, 3, 1, 2)


def _rows(shared: Tensor, rows: int) -> Tensor:
    """Maps of N images for ``rows`` edits; row i edits image i modulo N. A single image stays one row."""
    if len(shared) in (1, rows):
        return shared
    return shared[torch.arange(rows, device=shared.device) % len(shared)]
