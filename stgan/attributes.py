"""Facial attributes: CelebA's names, which of them exclude one another, and the vectors an editor is asked with.

A *label vector* holds one value per attribute, 1 where the face has it and 0 where it has not. An *edit* is a mapping
such as ``{"Eyeglasses": True}``. Everything else in the package speaks in these two.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

CELEBA_ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""All 40 CelebA attributes, in the order of ``list_attr_celeba.txt``."""

DEFAULT_ATTRIBUTES: tuple[str, ...] = (
    "Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male",
    "Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young",
)  # fmt: skip
"""The 13 attributes that STGAN edits, in the paper's order (arXiv 1904.09709, section 4)."""

HAIR_COLOURS: tuple[str, ...] = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
HAIR_TEXTURES: tuple[str, ...] = ("Straight_Hair", "Wavy_Hair")
BEARDS: tuple[str, ...] = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")


def excluded_by(name: str) -> tuple[str, ...]:
    """Attributes that cannot hold together with ``name``; setting ``name`` clears them.

    Source: the conflict handling of the official code. Mustache and No_Beard do not exclude each other there.
    """
    for group in (HAIR_COLOURS, HAIR_TEXTURES):
        if name in group:
            return tuple(other for other in group if other != name)
    if name == "Bangs":
        return ("Bald", "Receding_Hairline")
    if name in ("Bald", "Receding_Hairline"):
        return ("Bangs",)
    return ()


def index_of(name: str, attributes: Sequence[str]) -> int:
    """Position of ``name`` in ``attributes``; a ValueError names the nearest known ones."""
    if name in attributes:
        return list(attributes).index(name)
    by_lower = {known.lower(): known for known in attributes}
    nearest = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.4)]
    hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"Known are: {', '.join(attributes)}."
    raise ValueError(f"Unknown attribute {name!r}. {hint}")


def exclusion_matrix(attributes: Sequence[str]) -> Tensor:
    """Bool (A, A): entry [i, j] says that setting attribute i clears attribute j."""
    matrix = torch.zeros(len(attributes), len(attributes), dtype=torch.bool)
    for i, name in enumerate(attributes):
        for other in excluded_by(name):
            if other in attributes:
                matrix[i, list(attributes).index(other)] = True
    return matrix


def contradiction_matrix(attributes: Sequence[str]) -> Tensor:
    """Bool (A, A), symmetric: two attributes that cannot both be true, though an edit to one keeps the other's label.

    A bald head has no hair colour, and CelebA counts a mustache as a beard. The paper's protocol asks for one and
    leaves the other as it was, so these are apart from :func:`exclusion_matrix`.
    """
    pairs = [{"Bald", colour} for colour in HAIR_COLOURS] + [{"No_Beard", beard} for beard in BEARDS]
    return torch.tensor([[{one, other} in pairs for other in attributes] for one in attributes])


def replaced_by(name: str) -> tuple[str, ...]:
    """Attributes that can come in the place of ``name`` when an edit takes it away, the nearest first.

    Hair always has some colour: black gives way to brown, brown to black, blond to brown.
    """
    return {
        "Black_Hair": ("Brown_Hair", "Gray_Hair", "Blond_Hair"),
        "Blond_Hair": ("Brown_Hair", "Gray_Hair", "Black_Hair"),
        "Brown_Hair": ("Black_Hair", "Blond_Hair", "Gray_Hair"),
        "Gray_Hair": ("Black_Hair", "Brown_Hair", "Blond_Hair"),
        "Straight_Hair": ("Wavy_Hair",),
        "Wavy_Hair": ("Straight_Hair",),
    }.get(name, ())


def replacement_matrix(attributes: Sequence[str]) -> Tensor:
    """Bool (A, A): entry [i, j] says that attribute j, the nearest there is, takes the place of attribute i."""
    matrix = torch.zeros(len(attributes), len(attributes), dtype=torch.bool)
    for i, name in enumerate(attributes):
        nearest = [other for other in replaced_by(name) if other in attributes]
        if nearest:
            matrix[i, list(attributes).index(nearest[0])] = True
    return matrix


def edited_labels(source: Tensor, edit: Mapping[str, bool], attributes: Sequence[str]) -> Tensor:
    """Target labels: ``source`` with the ticks of ``edit`` applied and whatever they exclude cleared.

    Args:
        source: float (A,) labels in {0, 1}.
        edit: attribute name to wanted value. An entry that the edit itself asks for is never cleared by another one.
        attributes: the A names.

    Returns:
        float (A,) labels in {0, 1}.

    Raises:
        ValueError: a name is unknown, or the edit asks for two attributes that exclude each other.
    """
    wanted = {name: bool(value) for name, value in edit.items()}
    positions = {name: index_of(name, attributes) for name in wanted}
    for name in (name for name, value in wanted.items() if value):
        clash = [other for other in excluded_by(name) if wanted.get(other)]
        if clash:
            raise ValueError(f"{name} and {clash[0]} exclude each other: ask for one of them.")
    target = source.clone()
    for name, value in wanted.items():
        if value and not source[positions[name]]:
            for other in excluded_by(name):
                if other in attributes:
                    target[list(attributes).index(other)] = 0
    for name, value in wanted.items():
        target[positions[name]] = float(value)
    return target


def resolve_ticks(previous: Collection[str], ticked: Collection[str]) -> list[str]:
    """Ticked names after clicks: what a newly ticked one excludes loses its tick.

    Args:
        previous: names that were ticked before.
        ticked: names that are ticked now, in the order of the clicks: of two new ones the later holds.
    """
    kept: list[str] = []
    for name in sorted(ticked, key=lambda name: name not in previous):  # the new ones last; the order is kept
        if name not in previous:
            kept = [other for other in kept if other not in excluded_by(name)]
        kept.append(name)
    return [name for name in ticked if name in kept]


def flipped_labels(source: Tensor, index: Tensor, exclusions: Tensor) -> Tensor:
    """Target labels with one attribute per row flipped; a flip to 1 clears what that attribute excludes.

    This is the editing protocol of the paper's evaluation, for a whole batch and without a loop.

    Args:
        source: float (N, A) labels in {0, 1}.
        index: long (N,) the attribute to flip in each row.
        exclusions: bool (A, A) from :func:`exclusion_matrix`.
    """
    rows = torch.arange(source.shape[0], device=source.device)
    turned_on = source[rows, index] == 0
    target = source.masked_fill(exclusions[index] & turned_on[:, None], 0)
    target[rows, index] = turned_on.to(source.dtype)
    return target


def labels_to_difference(source: Tensor, target: Tensor, intensity: float | Tensor = 1.0) -> Tensor:
    """att_diff of the paper: ``(target - source) * intensity`` for labels in {0, 1}, so -1, 0 or 1 at intensity 1.

    The published edit accuracies were measured at intensity 1.5 (the toggled target at twice its training value).
    """
    return (target - source) * intensity
