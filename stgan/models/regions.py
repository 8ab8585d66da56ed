"""Regions: which pixels of an aligned face an edit of an attribute may change.

A generator that may change any pixel changes the wrong ones: it tints the hair to convince a discriminator of a
mustache. Faces are aligned, so the place of most attributes is known; :mod:`stgan.attributes` has it. A face parser
narrows it down to what the image shows: this person's hair, not the wall behind it.
"""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.attributes import LEFT_CHEEK, RIGHT_CHEEK, Ellipse, Place, facts_of
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.models.parser import PARSER_CLASSES

FADE = 0.3  # eye distances over which an ellipse fades out along its shorter axis


REFERENCE_SIZE = 256  # side of the crop for which the widths of borders are given, pixels
DOUBT = (0.3, 0.7)  # probabilities between which a pixel counts as more and more certain to show something
FACE = ("skin", "eyeglasses", "eyes", "brows", "mouth")
HELD = ("skin", "brows", "eyes", "neck")  # keeps its colour where the cheeks do
CHEEKS = (LEFT_CHEEK, RIGHT_CHEEK)
FEWEST_CHEEK_PIXELS = 40  # at the reference size


def attribute_regions(attributes: Sequence[str], image_size: int) -> Tensor:
    """Float (A, S, S) in [0, 1]: 1 where an edit of each attribute may change an aligned face, 0 where it may not.

    An edit of an attribute without a known place may change the whole image.
    """
    return torch.stack([_region(name, image_size) for name in attributes])


def parsed_regions(probabilities: Tensor, attributes: Sequence[str]) -> Tensor:
    """As :func:`attribute_regions`, for what each image shows: float (N, A, S, S) in [0, 1].

    Hair colours change the hair; pale skin changes the skin; baldness the hair and the scalp, but not eyes, nose or
    mouth; everything else changes the person within its ellipses. Hats are never changed. All borders are a little wide
    and soft.

    Args:
        probabilities: (N, 10, S, S) from :class:`stgan.models.FaceParser`, or classes as zeros and ones.
    """
    size = probabilities.shape[-1]
    hair, face = shown(probabilities, "hair"), shown(probabilities, *FACE)
    head = torch.maximum(hair, face)
    person = around(torch.maximum(head, shown(probabilities, "neck")), 8, 6)
    surfaces = {
        "person": lambda ellipses: ellipses * person,
        "hair": lambda ellipses: around(hair, 4, 3),
        "scalp": lambda ellipses: torch.maximum(around(hair, 8, 5), ellipses * around(head, 8, 5)),
        "skin": lambda ellipses: (
            around(shown(probabilities, "skin", "brows", "mouth", "neck"), 1, 2)
            * (1 - around(shown(probabilities, "eyes", "eyeglasses"), 0, 1))
        ),
    }
    bare = 1 - around(shown(probabilities, "hat"), 0, 1)

    @functools.cache  # several attributes share a place
    def region(place: Place | None) -> Tensor:
        if place is None:
            return torch.ones_like(person)
        result = bare * surfaces[place.surface](_union_on(place.ellipses, size, person.device))
        if place.surface == "scalp" and place.except_in is not None:
            result = result * (1 - _union_on((place.except_in,), size, person.device))
        return result

    return torch.stack([region(facts_of(name).place) for name in attributes], dim=1)


def hold_skin(edited: Tensor, source: Tensor, probabilities: Tensor, share: Tensor) -> Tensor:
    """Edited faces (M, 3, S, S) whose skin keeps its colour: only edits of the skin itself may lighten or tint it.

    The median change of colour over the cheeks is taken back over skin, brows, eyes and neck.

    Args:
        edited: (M, 3, S, S) in [-1, 1].
        source: (M or 1, 3, S, S) in [-1, 1].
        probabilities: (M or 1, 10, S, S) from :class:`stgan.models.FaceParser` for the source.
        share: (M, 1, S, S) in [0, 1], how much of each pixel the edits may change: their region, times their mask if
            they have one. Where it is less than on the cheeks, less is taken back.
    """
    size = edited.shape[-1]
    rows, columns = _cheek_box(size)
    cheeks = cheek_pixels(probabilities)[:, None, rows, columns]
    enough = cheeks.sum(dim=(1, 2, 3)) >= FEWEST_CHEEK_PIXELS * (size / REFERENCE_SIZE) ** 2

    def on_the_cheeks(values: Tensor) -> Tensor:
        medians = values[:, :, rows, columns].float().masked_fill(~cheeks, torch.nan).flatten(2).nanmedian(dim=2).values
        return torch.where(enough[:, None], medians, 0)[:, :, None, None]

    held = around(shown(probabilities, *HELD), 1, 2)[:, None]
    held = held * (share / on_the_cheeks(share).clamp(min=1e-3)).clamp(max=1)
    return (edited - (on_the_cheeks(edited - source) * held).to(edited.dtype)).clamp(-1, 1)


def cheek_pixels(probabilities: Tensor) -> Tensor:
    """Bool (N, S, S): the skin of both cheeks, given the parser's probabilities (N, 10, S, S). It sets a face's skin
    colour."""
    ellipses = _union_on(CHEEKS, probabilities.shape[-1], probabilities.device)
    return (probabilities[:, PARSER_CLASSES.index("skin")] > 0.5) & (ellipses > 0.99)


@functools.cache
def _cheek_box(size: int) -> tuple[slice, slice]:
    """Rows and columns that contain both cheeks."""
    inside = _union(CHEEKS, size) > 0
    rows, columns = (inside.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def shown(probabilities: Tensor, *classes: str, more: Tensor | float = 0.0) -> Tensor:
    """(N, S, S): how certain it is that a pixel shows one of these, 0 for doubt and 1 for likely.

    ``more``, (N, S, S), counts as another of these classes.
    """
    # Slices, not a list of indices: that would be copied to the device, which a CUDA graph cannot record.
    share = torch.stack([probabilities[:, PARSER_CLASSES.index(name)] for name in classes]).sum(dim=0) + more
    low, high = DOUBT
    return ((share - low) / (high - low)).clamp(0, 1)


def around(area: Tensor, wider: int, softer: int) -> Tensor:
    """Areas (N, S, S) in [0, 1] grown by some pixels in every direction, then blurred over others."""
    scale = area.shape[-1] / REFERENCE_SIZE
    grown, blur = round(wider * scale), max(1, round(softer * scale))
    if area.device.type == "cpu" and not torch.compiler.is_exporting():
        return _blurred(_grown(area, grown), blur)
    area = area[:, None]
    if grown:
        for kernel, padding in (((2 * grown + 1, 1), (grown, 0)), ((1, 2 * grown + 1), (0, grown))):
            area = F.max_pool2d(area, kernel, stride=1, padding=padding)
    for kernel, padding in (((2 * blur + 1, 1), (blur, 0)), ((1, 2 * blur + 1), (0, blur))):
        area = F.avg_pool2d(area, kernel, stride=1, padding=padding, count_include_pad=False)
    return area[:, 0]


def _grown(area: Tensor, reach: int) -> Tensor:
    """As two max pools: on a CPU, shifted copies take a tenth of the time that pools of a single channel take."""
    for axis in (1, 2) if reach else ():
        area = functools.reduce(torch.maximum, _shifted(area, reach, axis))
    return area


def _blurred(area: Tensor, reach: int) -> Tensor:
    for axis in (1, 2):
        area = functools.reduce(torch.add, _shifted(area, reach, axis))
        line = torch.arange(area.shape[axis])
        inside = line.clamp(max=reach) + line.flip(0).clamp(max=reach) + 1  # pixels of the window in the image
        area = area / (inside[:, None] if axis == 1 else inside)
    return area


def _shifted(area: Tensor, reach: int, axis: int) -> list[Tensor]:
    """Areas (N, S, S) shifted along an axis by up to ``reach`` pixels either way, with zeros from outside."""
    padded = F.pad(area, (0, 0, reach, reach) if axis == 1 else (reach, reach))
    return [padded.narrow(axis, start, area.shape[axis]) for start in range(2 * reach + 1)]


def _region(name: str, size: int) -> Tensor:
    place = facts_of(name).place
    if place is None:
        return torch.ones(size, size)
    region = _union(place.ellipses, size)
    return region if place.except_in is None else region * (1 - _ellipse(place.except_in, size))


def _union(ellipses: Sequence[Ellipse], size: int) -> Tensor:
    """Float (S, S) in [0, 1], of all of them together."""
    return torch.stack([_ellipse(ellipse, size) for ellipse in ellipses]).amax(dim=0)


@functools.cache
def _union_on(ellipses: tuple[Ellipse, ...], size: int, device: torch.device) -> Tensor:
    """The same on a device, copied once: a CUDA graph that is being recorded cannot wait for a copy."""
    with torch.inference_mode(False):
        return _union(ellipses, size).to(device)


def _ellipse(ellipse: Ellipse, size: int) -> Tensor:
    """Float (S, S): 1 inside an ellipse, fading to 0 around it."""
    radius = squared_radius(ellipse, size).sqrt()
    share = ((1 - radius) * min(ellipse.across, ellipse.down) / FADE + 1).clamp(0, 1)
    return share * share * (3 - 2 * share)


def squared_radius(ellipse: Ellipse, size: int) -> Tensor:
    """Float (S, S): each pixel's squared distance from an ellipse's centre, 1 at its border."""
    left, top, right, _ = CELEBA_CROP
    (left_x, left_y), (right_x, right_y) = MEAN_LANDMARKS[:2]
    step = (right - left) / size  # pixels of the aligned frame per pixel of the crop
    pixels = (torch.arange(size) + 0.5) * step - 0.5
    distance = right_x - left_x
    columns = (pixels + left - (left_x + right_x) / 2) / distance - ellipse.x
    rows = (pixels + top - (left_y + right_y) / 2) / distance - ellipse.y
    return (columns / ellipse.across) ** 2 + (rows[:, None] / ellipse.down) ** 2
