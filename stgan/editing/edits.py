"""What a caller asks an editor for, checked before the work starts: edits, corrections, intensities, a face."""

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from stgan.attributes import BEARD_STYLE, HAIR_COLOUR, as_labels, edited_labels, facts_of, index_of, shown, truth_of
from stgan.editing.outcome import COVERED, FaceOutcome
from stgan.editing.prepared import PreparedFace

MAX_INTENSITY = 2.0
SHAVEN = 0.9  # probability of no beard and of no mustache, from which a face has neither

Intensity = float | Mapping[str, float]
Labels = Mapping[str, bool] | Collection[str] | str
"""Attribute name to wanted value, or names that are all to be added. See :func:`stgan.attributes.as_labels`."""
FaceChoice = int | Literal["all"] | None


def read_edits(edits: Any, names: Sequence[str]) -> list[dict[str, bool]]:
    """Several edits as :func:`stgan.attributes.as_labels` reads each.

    Raises:
        ValueError: they are no list of edits, or one asks for attributes that exclude each other.
    """
    if isinstance(edits, str | Mapping) or not isinstance(edits, Sequence):
        raise ValueError(f"Several edits must be a list, such as [{{'Eyeglasses': True}}], not {shown(edits)}.")
    edits = [as_labels(edit, names) for edit in edits]
    for edit in edits:
        edited_labels(torch.zeros(len(names)), edit, names)  # refuses what excludes itself
    return edits


def read_intensities(intensity: Intensity, names: Sequence[str]) -> Tensor:
    """The intensity of each attribute, float (A,).

    Raises:
        ValueError: it is no number or mapping of names to numbers, or lies outside of 0 to :data:`MAX_INTENSITY`.
    """
    by_name = intensity if isinstance(intensity, Mapping) else dict.fromkeys(names, intensity)
    for name, value in by_name.items():
        index_of(name, names)
        if isinstance(value, bool) or not isinstance(value, Real | np.generic | Tensor) or np.size(value) != 1:
            raise ValueError(
                f"Intensity must be a number, or a mapping of attribute name to number, not {shown(value)}."
            )
    values = [_as_float(by_name.get(name, 1.0)) for name in names]
    for value in values:
        if not 0 <= value <= MAX_INTENSITY:  # as nothing compares with NaN, NaN is refused too
            raise ValueError(f"Intensity {value:g} is out of range: use values between 0 and {MAX_INTENSITY:g}.")
    return torch.tensor(values)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def read_flag(name: str, value: Any) -> bool | None:
    """A switch that is on, off or left out; a ValueError for anything else: the text "no" would count as on."""
    truth = truth_of(value)
    if truth is None and value is not None:
        raise ValueError(f"{name} must be True or False, not {shown(value)}.")
    return truth


def read_face_number(face: Any) -> Any:
    """The number of one face, or None; a ValueError if it is neither."""
    if face is not None and (isinstance(face, bool) or not hasattr(face, "__index__")):
        raise ValueError(
            f"face must be a whole number, counted from 0 at the left, not {shown(face)}. To edit everyone use "
            "face='all' with edit or edit_each."
        )
    return face


def source_and_target(
    prepared: PreparedFace, edits: Sequence[Mapping[str, bool]], source: Labels | None = None, force: bool = False
) -> tuple[Tensor, Tensor]:
    """Labels that the face counts as having and labels that K edits ask for: float (K, A) each, on the CPU.

    Args:
        source: corrections to what the classifier sees.
        force: the face counts as having the opposite of what each edit asks for.
    """
    names = list(prepared.probabilities)
    labels, targets = prepared.labels.cpu().repeat(len(edits), 1), []
    for name, value in ({} if source is None else as_labels(source, names)).items():
        labels[:, names.index(name)] = float(value)
    for row, edit in zip(labels, edits, strict=True):
        for name, value in edit.items() if force else ():
            row[names.index(name)] = float(not value)
        targets.append(edited_labels(row, edit, names))
    return labels, torch.stack(targets) if targets else labels


def condition_parts(condition: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Parts of a condition (K, A), which add up to it but for hair that a bald head has no more, by what they change.

    Args:
        names: of the A attributes.
    """

    def part(of: Tensor, kept: Collection[str]) -> Tensor:
        return of * torch.tensor([name in kept for name in names], device=of.device)

    added, removed = condition.clamp(min=0), condition.clamp(max=0)
    colours = [name for name in names if facts_of(name).group == HAIR_COLOUR]
    beards = [name for name in names if facts_of(name).group == BEARD_STYLE and name != "Mustache"]
    bald = part(added, ["Bald"])
    condition = condition - part(removed, ["Bangs", *colours]) * (bald.amax(dim=1, keepdim=True) > 0)
    removed = condition.clamp(max=0)
    parts = {
        "tone": part(condition, ["Pale_Skin"]),
        "bare forehead": part(removed, ["Bangs"]),
        "bald": bald,
        "beard": part(added, beards) + part(removed, ["No_Beard"]),
        "shaven": part(added, ["No_Beard"]) + part(removed, [*beards, "Mustache"]),
        "mustache": part(added, ["Mustache"]),
        "bushier": part(added, ["Bushy_Eyebrows"]),
        "thinner": part(removed, ["Bushy_Eyebrows"]),
        "opened": part(added, ["Mouth_Slightly_Open"]),
        "closed": part(removed, ["Mouth_Slightly_Open"]),
        "colour": part(condition, colours),
        "bangs": part(added, ["Bangs"]),
        "glasses": part(added, ["Eyeglasses"]),
        "bare eyes": part(removed, ["Eyeglasses"]),
    }
    aged = part(condition, ["Male", "Young"])
    dyed = aged * (parts["colour"] > 0).any(dim=1, keepdim=True)  # such hair does not go grey
    rest = condition - aged - torch.stack(list(parts.values())).sum(dim=0)
    return parts | {"dyed age": dyed, "age": aged - dyed, "rest": rest}


def in_the_way(prepared: PreparedFace, condition: Tensor) -> dict[int, Tensor]:
    """For those of K edits (K, A) that something is in the way of, by row: the edit (A,) that takes it away first.

    Those are beards of a man who becomes a woman, and the glasses of somebody who is to wear others or none.
    """
    first = beards_in_the_way(prepared, condition)
    names = list(prepared.probabilities)
    if "Eyeglasses" not in names or not prepared.wears_glasses:
        return first
    glasses = names.index("Eyeglasses")
    for row, change in enumerate(condition):
        if change[glasses] > 0 or change[glasses] < 0 and (change != 0).sum() > 1:
            first[row] = first.get(row, torch.zeros_like(change))
            first[row][glasses] = change[glasses].clamp(max=0) or -1.0
    return first


def beards_in_the_way(prepared: PreparedFace, condition: Tensor) -> dict[int, Tensor]:
    """For those of K edits (K, A) that make a woman of a man with a beard or stubble, by row: the edit (A,) that takes
    it away first. Networks that do both at once leave half of it."""
    names = list(prepared.probabilities)
    if not {"Male", "No_Beard", "Mustache"} <= set(names) or prepared.silhouette is None:
        return {}
    male, none, mustache = map(names.index, ("Male", "No_Beard", "Mustache"))
    shaven = prepared.probabilities["No_Beard"]
    if shaven == 1 and not prepared.labels[mustache]:  # so certain only because the caller says so
        return {}
    if min(shaven, 1 - prepared.probabilities["Mustache"]) >= SHAVEN:
        return {}
    beards = {}
    for row, change in enumerate(condition):
        if change[male] < 0 and change[none] >= 0 and change[mustache] <= 0:  # and no beard is asked for
            beards[row] = torch.zeros_like(change)
            beards[row][none] = -change[male].clamp(min=-1)
            beards[row][mustache] = -beards[row][none] * prepared.labels[mustache]
    return beards


def face_outcome(
    prepared: PreparedFace, edit: Mapping[str, bool], labels: Tensor, target: Tensor, intensity: Intensity
) -> FaceOutcome:
    """What an edit from labels to a target, float (A,), changes."""
    names = list(prepared.probabilities)
    strengths = dict(zip(names, read_intensities(intensity, names).tolist(), strict=True))
    wanted = dict(zip(names, (target > 0.5).tolist(), strict=True))
    differs = [name for name, differ in zip(names, (labels != target).tolist(), strict=True) if differ]
    changed = sorted((name for name in differs if strengths[name]), key=lambda name: (name not in edit, name))
    held = {name: prepared.covered[name] for name in changed if prepared.covered.get(name, 0) > COVERED}
    changed = [name for name in changed if held.get(name) != 1]
    seen = {name: prepared.probabilities[name] for name in edit if name not in differs}
    return FaceOutcome(
        changed={name: wanted[name] for name in changed},
        already={name: (edit[name], share if edit[name] else 1 - share) for name, share in seen.items()},
        held_back=held,
        turned_away=prepared.is_turned_away,
        intensity=strengths,
    )
