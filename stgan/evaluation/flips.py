"""The edits that are measured: each attribute flipped alone, and pairs flipped together."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stgan.attributes import exclusion_matrix, flipped_labels
from stgan.evaluation.edits import Editing

Flip = tuple[str, ...]  # attributes that are flipped together
State = tuple[tuple[str, bool], ...]  # values of the same attributes

PAIRS: tuple[Flip, ...] = (
    ("Bald", "Eyeglasses"), ("Bangs", "Mouth_Slightly_Open"), ("Black_Hair", "Eyeglasses"), ("Blond_Hair", "Bangs"),
    ("Brown_Hair", "Mouth_Slightly_Open"), ("Eyeglasses", "Mustache"), ("Male", "No_Beard"), ("Male", "Young"),
    ("No_Beard", "Pale_Skin"), ("Young", "Bushy_Eyebrows"),
)  # fmt: skip
"""Ten pairs of attributes that do not exclude each other."""


def flips_of(attributes: Sequence[str]) -> list[Flip]:
    """Every attribute alone, then the pairs of :data:`PAIRS` whose attributes are all known."""
    return [(name,) for name in attributes] + [pair for pair in PAIRS if set(pair) <= set(attributes)]


def flip_name(flip: Flip) -> str:
    """``Male`` or ``Male, Young``."""
    return ", ".join(flip)


def state_name(state: State) -> str:
    """``+Eyeglasses -Young``."""
    return " ".join(f"{'+' if present else '-'}{name}" for name, present in state)


def target_labels(labels: Tensor, flip: Flip, attributes: Sequence[str]) -> Tensor:
    """Labels (N, A) in {0, 1} with the attributes of a flip inverted, and what that excludes cleared."""
    exclusions = exclusion_matrix(attributes).to(labels.device)
    for name in flip:
        index = torch.full((len(labels),), list(attributes).index(name), device=labels.device)
        labels = flipped_labels(labels, index, exclusions)
    return labels


def states_of(flip: Flip) -> list[State]:
    """All combinations of values of a flip's attributes."""
    return [tuple(zip(flip, values, strict=True)) for values in itertools.product((False, True), repeat=len(flip))]


def rows_of(state: State, labels: Tensor, attributes: Sequence[str]) -> Tensor:
    """Long (K,): the rows of labels (N, A) that have these values."""
    columns = labels[:, [list(attributes).index(name) for name, _ in state]] > 0.5
    return (columns == torch.tensor([present for _, present in state])).all(dim=1).nonzero()[:, 0]


@dataclass(frozen=True)
class EditedBatch:
    """One flip of B of the images."""

    rows: Tensor  # long (B,), of the images
    source: Tensor  # uint8 (B, 3, S, S)
    flip: Flip
    labels: Tensor  # float (B, A) of the source
    target: Tensor  # float (B, A)
    image: Tensor  # uint8 (B, 3, S, S), the edit, rounded as a saved PNG is


def edited_batches(
    editing: Editing,
    images: Tensor,
    labels: Tensor,
    flips: Sequence[Flip],
    *,
    intensity: float = 1.0,
    batch_size: int = 64,
    first: int = 0,
) -> Iterator[EditedBatch]:
    """Every flip of every image, batch by batch. One encoding of an image serves all its flips.

    Args:
        editing: in evaluation mode.
        images: uint8 (N, 3, S, S).
        labels: float (N, A) in {0, 1}, columns as ``editing.attributes``.
        intensity: of every edit. What a flip clears is cleared with 1, as in the published protocol.
        first: image to begin with, a multiple of ``batch_size`` or the end.
    """
    for rows in torch.arange(len(images)).split(batch_size)[-(-first // batch_size) :]:
        source, given = images[rows].to(editing.device), labels[rows].to(editing.device, torch.float32)
        encoding = editing.encode(source, given)
        for flip in flips:
            target = target_labels(given, flip, editing.attributes)
            strengths = [intensity if name in flip else 1.0 for name in editing.attributes]
            condition = editing.generator.condition(given, target, torch.tensor(strengths, device=given.device))
            yield EditedBatch(rows, source, flip, given, target, editing.decode(encoding, condition))
