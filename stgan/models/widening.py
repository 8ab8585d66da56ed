"""A wider generator that computes the same edits as a trained narrow one, to continue training with more capacity.

Source: Net2Net, arXiv 1511.05641, section 2.3 (Net2WiderNet).
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from stgan.models.encoder_decoder import EncoderDecoder

SPREAD = 1.0  # how much the shares of copies differ, in standard deviations of the kernel


class Layer(NamedTuple):
    """A convolution, its norm, and the channels it reads and writes."""

    name: str  # of its module
    norm: str | None  # name of the norm that follows
    transposed: bool
    inputs: tuple[int, ...]  # channels of each map that it reads, in order, attribute planes included
    outputs: tuple[int, ...]  # channels of each map that it writes


def widened(generator: EncoderDecoder, width: int) -> EncoderDecoder:
    """The same function with more channels: a generator of ``width`` with the same other settings, on the CPU.

    Channel c of a wide layer is a copy of the narrow layer's channel c modulo its width. The next layer divides the
    kernel of a channel among its copies, at random: equal shares would give all copies the same gradients, and they
    would never differ.

    Raises:
        ValueError: the width is smaller than the generator's own.
    """
    if width < generator.config["width"]:
        raise ValueError(f"A generator of width {generator.config['width']} cannot be widened to {width}.")
    wide = type(generator)(**{**generator.config, "width": width})
    narrow_state, state = generator.state_dict(), wide.state_dict()
    for narrow_layer, wide_layer in zip(_layers(generator), _layers(wide), strict=True):
        read, written = (
            _copied(getattr(narrow_layer, groups), getattr(wide_layer, groups)) for groups in ("inputs", "outputs")
        )
        input_axis = 0 if narrow_layer.transposed else 1
        for name in state:
            owner, _, _ = name.rpartition(".")
            if owner not in (narrow_layer.name, narrow_layer.norm):
                continue
            value = narrow_state[name].cpu()
            if value.ndim == 4:
                value = _shared(value.movedim(input_axis, 1)[written], read).movedim(1, input_axis)
            elif value.ndim == 1:
                value = value[written]
            state[name] = value
    wide.load_state_dict(state)
    return wide


def _layers(generator: EncoderDecoder) -> Iterator[Layer]:
    widths = [layer[0].out_channels for layer in cast(Iterable[Any], generator.encoder)]
    planes = (len(generator.attributes),)
    for index, (read, written) in enumerate(zip((3, *widths), widths, strict=False)):
        yield Layer(f"encoder.{index}.0", f"encoder.{index}.1", False, (read,), (written,))

    for index in range(len(generator.transfer_units)):
        unit, channels, state = f"transfer_units.{index}", widths[-2 - index], widths[-1 - index]
        injected = planes if index <= generator.inject_layers else ()
        yield Layer(f"{unit}.upsample", None, True, (state, *injected), (channels,))
        yield Layer(f"{unit}.gates", f"{unit}.gates_norm", False, (channels, channels), (channels, channels))
        yield Layer(f"{unit}.candidate", f"{unit}.candidate_norm", False, (channels, channels), (channels,))

    maps = (widths[-1],)
    for index in range(len(generator.decoder)):
        injected = planes if index <= generator.inject_layers else ()
        yield Layer(f"decoder.{index}.0", f"decoder.{index}.1", True, (*maps, *injected), (widths[-1 - index],))
        maps = (widths[-1 - index], *((widths[-2 - index],) if index < generator.skip_layers else ()))
    injected = planes if len(generator.decoder) <= generator.inject_layers else ()
    yield Layer("to_image", None, True, (*maps, *injected), (generator.output_channels,))


def _copied(narrow: tuple[int, ...], wide: tuple[int, ...]) -> Tensor:
    """Long (sum of wide,): the narrow channel that each wide one copies. Channels come in groups, one after another."""
    starts = [sum(narrow[:group]) for group in range(len(narrow))]
    return torch.cat([start + torch.arange(w) % n for start, n, w in zip(starts, narrow, wide, strict=True)])


def _shared(kernel: Tensor, read: Tensor) -> Tensor:
    """A kernel (outputs, narrow inputs, K, K) divided among the copies in ``read`` of each input; copies sum to it."""
    copies = torch.bincount(read)
    spread = torch.randn(kernel.shape[0], len(read), *kernel.shape[2:]) * kernel.std() * SPREAD
    spread *= (copies > 1)[read, None, None]  # a channel without copies keeps its kernel exactly
    sums = torch.zeros_like(kernel).index_add_(1, read, spread)
    return ((kernel - sums) / copies[:, None, None])[:, read] + spread
