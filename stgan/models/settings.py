"""Checks of a model folder before its network is built: a config.json of a few bytes can ask for terabytes."""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from stgan.attributes import shown

LARGEST_NUMBER = 65_536  # of channels, layers, …
LARGEST_IMAGE = 1024  # pixels
LARGEST_REGIONS = 2**26  # values in the regions of all attributes
MOST_NAMES, LONGEST_NAME = 1000, 100
MOST_TENSORS = 1_000  # of a network; layers without channels would pass every other limit
SLACK = 2**20  # weights; a network that is only slightly too large is refused with the names of its weights


def check_settings(model: type[nn.Module], settings: Mapping[str, Any]) -> None:
    """Check settings against the annotations of a model's constructor, and refuse absurd sizes.

    Raises:
        ValueError: a setting has another type or is out of range; the message names it.
    """
    hints = get_type_hints(model.__init__)
    for name, value in settings.items():
        if problem := _problem(hints.get(name), value):
            raise ValueError(f"{name} must be {problem}, not {shown(value)}.")
    size, names = settings.get("image_size", 1), settings.get("attributes", ())
    if not 1 <= size <= LARGEST_IMAGE:
        raise ValueError(f"image_size must be from 1 to {LARGEST_IMAGE} pixels, not {size}.")
    if size**2 * len(names) > LARGEST_REGIONS:
        raise ValueError(f"{len(names)} attributes of images of {size} pixels are too many: use smaller images.")


def _problem(hint: Any, value: Any) -> str:
    """What a value should be, where it is not that."""
    if hint is bool and not isinstance(value, bool):
        return "true or false"
    if hint is int and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_NUMBER):
        return f"a whole number from 0 to {LARGEST_NUMBER}"
    if hint is float and (isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value)):
        return "a number"
    if hint is str and not isinstance(value, str):
        return "a text"
    if get_origin(hint) is not None and get_args(hint) == (str,) and not _are_names(value):
        return f"1 to {MOST_NAMES} names of 1 to {LONGEST_NAME} characters"
    return ""


def _is_finite(value: float) -> bool:
    return -1e30 < value < 1e30 and not math.isnan(value)


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and 1 <= len(value) <= MOST_NAMES
        and all(isinstance(name, str) and 1 <= len(name) <= LONGEST_NAME and name.isprintable() for name in value)
    )


@contextmanager
def limited_by(weights: Path) -> Iterator[None]:
    """While active, a network of this thread may have no more weights than a file can hold in half precision.

    A parameter is refused when it is registered, which is before it is initialised: its memory is not touched.

    Raises:
        ValueError: the network has more.
    """
    limit, thread = weights.stat().st_size // 2 + SLACK, threading.get_ident()
    count, tensors = 0, 0

    def add(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count, tensors
        if parameter is not None and threading.get_ident() == thread:
            count, tensors = count + parameter.numel(), tensors + 1
            if tensors > MOST_TENSORS:
                raise ValueError(f"it asks for more than {MOST_TENSORS} tensors of weights, as no network has.")
            if count > limit:
                size = 2 * (limit - SLACK)
                raise ValueError(
                    f"it asks for more weights than {weights.name} of {size} bytes holds: one of the files is damaged."
                )

    handle = register_module_parameter_registration_hook(add)
    try:
        yield
    finally:
        handle.remove()
