"""Facial attributes: one table of what is known about them, and the label vectors that ask an editor for them.

A *label vector* holds one value per attribute, 1 where the face has it and 0 where it does not. An *edit* is a mapping
such as ``{"Eyeglasses": True}``.

An attribute needs no row in the table. Without one it excludes nothing, may change the whole image, and its name is its
caption. A row adds what is known about it; the rest of the package reads these facts from here.
"""

import difflib
import re
import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

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


class Ellipse(NamedTuple):
    """An ellipse in an aligned face. Its unit is the distance between the eyes, its origin the point between them."""

    x: float  # of the centre, to the right
    y: float  # of the centre, downwards
    across: float  # half axis
    down: float  # half axis


EYES = Ellipse(0.0, 0.05, 1.65, 0.7)
BROWS = Ellipse(0.0, -0.3, 1.0, 0.45)
UNDER_THE_EYES = Ellipse(0.0, 0.3, 1.2, 0.55)
NOSE = Ellipse(0.0, 0.45, 0.65, 0.7)
CHEEKS = Ellipse(0.0, 0.6, 1.4, 0.7)
UPPER_LIP = Ellipse(0.0, 1.0, 0.6, 0.36)
MOUTH = Ellipse(0.0, 1.2, 1.1, 0.95)
BEARD = Ellipse(0.0, 1.35, 1.25, 1.15)  # no wider than faces are, or the background would be stained
JAW = Ellipse(0.0, 1.35, 1.65, 1.1)
FACE = Ellipse(0.0, 0.4, 1.3, 1.85)
NECK = Ellipse(0.0, 2.2, 1.2, 1.0)
FOREHEAD = Ellipse(0.0, -1.05, 1.5, 1.25)
SCALP = Ellipse(0.0, -0.4, 1.4, 1.8)  # leaves hair at the sides of bald heads: what it hides is unknown
HEAD = Ellipse(0.0, 0.2, 1.4, 2.3)
HAIR = Ellipse(0.0, 1.2, 2.05, 3.6)  # down to the crop's border, where long hair ends
INNER_FACE = Ellipse(0.0, 0.8, 0.9, 1.0)  # eyes, nose and mouth
LEFT_CHEEK, RIGHT_CHEEK = (Ellipse(side * 0.72, 0.55, 0.32, 0.32) for side in (-1, 1))  # as seen in the image

Surface = Literal["person", "hair", "scalp", "skin"]


@dataclass(frozen=True)
class Place:
    """Where in an aligned face an attribute lives, so that an edit of it changes nothing else."""

    ellipses: tuple[Ellipse, ...]  # an edit may change their union ...
    except_in: Ellipse | None = None  # ... without this part
    # What a face parser narrows this down to: of a person, all but clothes within the ellipses; the hair or the skin,
    # wherever it is; of a scalp, the hair wherever it is, and the head within the ellipses.
    surface: Surface = "person"


@dataclass(frozen=True)
class Group:
    """Attributes of one kind."""

    title: str
    exclusive: bool  # a face has only one of them: setting one clears the others


HAIR_COLOUR = Group("Hair colour", exclusive=True)
HAIR_TEXTURE = Group("Hair texture", exclusive=True)
BEARD_STYLE = Group("Beard", exclusive=False)


@dataclass(frozen=True)
class Attribute:
    """What is known about one attribute. Exclusions and contradictions hold both ways and need one of the two rows."""

    name: str
    caption: str = ""  # by default the name in words: "Black hair" for Black_Hair
    opposite: str = ""  # caption of its absence; by default "No black hair"
    place: Place | None = None  # by default anywhere
    group: Group | None = None
    # Attributes that setting this one clears. Source: the conflict handling of the official code, in which Mustache and
    # No_Beard do not exclude each other.
    excludes: tuple[str, ...] = ()
    # Attributes, or groups of them, that cannot be true together with this one, though an edit of one leaves the label
    # of the other: a bald head has no hair colour, and CelebA counts a mustache as a beard. The paper's protocol keeps
    # the other label, so these are no exclusions.
    contradicts: tuple[str | Group, ...] = ()
    # Attributes that can take its place when an edit removes it, the nearest first: hair always has some colour.
    replacements: tuple[str, ...] = ()

    # What an edit makes of a face, where the captions would state what the face is: a comparison with the photo.
    more: str = ""  # by default the caption
    less: str = ""  # by default the opposite
    scale: str = ""  # name of a scale from less to more; by default the caption
    denies: bool = False  # its name denies something, so that people are shown the opposite: a beard, not "no beard"


_HAIR, _FOREHEAD = Place((HAIR,), INNER_FACE, surface="hair"), Place((FOREHEAD,))
_BEARD, _MOUTH = Place((BEARD,)), Place((MOUTH,))
_HEAD, _EYES, _BROWS, _NOSE = Place((HEAD, NECK)), Place((EYES,)), Place((BROWS,)), Place((NOSE,))

ATTRIBUTES: dict[str, Attribute] = {row.name: row for row in (
    Attribute("5_o_Clock_Shadow", "5 o'clock shadow", place=_BEARD, group=BEARD_STYLE),
    Attribute("Arched_Eyebrows", place=_BROWS),
    Attribute("Bags_Under_Eyes", place=Place((UNDER_THE_EYES,))),
    Attribute("Bald", place=Place((SCALP,), INNER_FACE, surface="scalp"), contradicts=(HAIR_COLOUR,)),
    Attribute("Bangs", place=_FOREHEAD, excludes=("Bald", "Receding_Hairline")),
    Attribute("Big_Lips", place=_MOUTH),
    Attribute("Big_Nose", place=_NOSE),
    Attribute("Black_Hair", place=_HAIR, group=HAIR_COLOUR, replacements=("Brown_Hair", "Gray_Hair", "Blond_Hair")),
    Attribute("Blond_Hair", place=_HAIR, group=HAIR_COLOUR, replacements=("Brown_Hair", "Gray_Hair", "Black_Hair")),
    Attribute("Brown_Hair", place=_HAIR, group=HAIR_COLOUR, replacements=("Black_Hair", "Blond_Hair", "Gray_Hair")),
    Attribute("Bushy_Eyebrows", place=_BROWS),
    Attribute("Double_Chin", place=Place((JAW, NECK))),
    Attribute("Eyeglasses", place=_EYES),
    Attribute("Goatee", place=_BEARD, group=BEARD_STYLE),
    Attribute("Gray_Hair", place=_HAIR, group=HAIR_COLOUR, replacements=("Black_Hair", "Brown_Hair", "Blond_Hair")),
    Attribute(
        "Male", opposite="Female", more="More masculine", less="More feminine", scale="Feminine – masculine",
        place=_HEAD,
    ),
    Attribute("Mouth_Slightly_Open", "Mouth open", "Mouth closed", place=_MOUTH),
    Attribute("Mustache", place=Place((UPPER_LIP,)), group=BEARD_STYLE),
    Attribute("Narrow_Eyes", place=_EYES),
    Attribute("No_Beard", opposite="Beard", denies=True, place=_BEARD, contradicts=(BEARD_STYLE,)),
    Attribute(
        "Pale_Skin", more="Paler skin", less="Darker skin", scale="Darker – paler skin",
        place=Place((FACE, NECK), surface="skin"),
    ),
    Attribute("Pointy_Nose", place=_NOSE),
    Attribute("Receding_Hairline", place=_FOREHEAD),
    Attribute("Rosy_Cheeks", place=Place((CHEEKS,))),
    Attribute("Sideburns", group=BEARD_STYLE),
    Attribute("Smiling", place=Place((CHEEKS, MOUTH))),
    Attribute("Straight_Hair", place=_HAIR, group=HAIR_TEXTURE, replacements=("Wavy_Hair",)),
    Attribute("Wavy_Hair", place=_HAIR, group=HAIR_TEXTURE, replacements=("Straight_Hair",)),
    Attribute("Wearing_Earrings", "Earrings"),
    Attribute("Wearing_Hat", "Hat"),
    Attribute("Wearing_Lipstick", "Lipstick", place=_MOUTH),
    Attribute("Wearing_Necklace", "Necklace"),
    Attribute("Wearing_Necktie", "Necktie"),
    Attribute("Young", opposite="Older", more="Younger", less="Older", scale="Older – younger", place=_HEAD),
)}  # fmt: skip
"""The table, by name."""


def facts_of(name: str) -> Attribute:
    """The attribute's row of the table, or an empty one."""
    return ATTRIBUTES.get(name) or Attribute(name)


def short_name(name: str) -> str:
    """Readable name: ``Black_Hair`` is "Black hair", ``Mouth_Slightly_Open`` "Mouth open"."""
    return facts_of(name).caption or name.replace("_", " ").strip().capitalize()


def caption(name: str, present: bool) -> str:
    """What an edit does, in words: ("Eyeglasses", False) is "No eyeglasses", ("Young", False) "Older"."""
    words = short_name(name)
    return words if present else facts_of(name).opposite or f"No {words[0].lower()}{words[1:]}"


def in_a_file_name(name: str) -> str:
    """The name with letters, digits and underscores alone: others lead to folders, or are none of a file somewhere."""
    return re.sub(r"\W", "_", name)


def change_in_words(name: str, increase: bool) -> str:
    """What more or less of an attribute makes of a face, without a verdict on the photo: ("Male", True) is "More
    masculine", ("Eyeglasses", False) "No eyeglasses"."""
    facts = facts_of(name)
    return (facts.more if increase else facts.less) or caption(name, increase)


def scale_in_words(name: str) -> str:
    """Name of a scale from less to more: "Eyeglasses", "Older – younger", and "Beard" for No_Beard, whose scale runs
    the other way."""
    facts = facts_of(name)
    return facts.opposite if facts.denies else facts.scale or short_name(name)


def excluded_by(name: str) -> tuple[str, ...]:
    """Attributes that setting ``name`` clears, because both cannot be true."""
    return _related(name, _excludes)


def _excludes(one: Attribute, other: Attribute) -> bool:
    return other.name in one.excludes or (one.group is not None and one.group.exclusive and one.group == other.group)


def contradicted_by(name: str) -> tuple[str, ...]:
    """Attributes that cannot be true together with ``name``, but whose label an edit of ``name`` leaves alone."""
    return _related(name, _contradicts)


def _contradicts(one: Attribute, other: Attribute) -> bool:
    return other.name in one.contradicts or other.group in one.contradicts


@lru_cache(maxsize=256)  # every edit asks for them a hundred times
def _related(name: str, relation: Callable[[Attribute, Attribute], bool]) -> tuple[str, ...]:
    """Names in the table that stand in a relation to ``name``, in either direction."""
    one, others = facts_of(name), [row for row in ATTRIBUTES.values() if row.name != name]
    return tuple(other.name for other in others if relation(one, other) or relation(other, one))


def exclusive_groups(names: Sequence[str]) -> list[list[str]]:
    """Those of the names that exclude one another, directly or through others, in lists and in the order of names."""
    groups: list[set[str]] = []
    for name in names:
        rivals = [group for group in groups if not group.isdisjoint(excluded_by(name))]
        groups = [group for group in groups if group not in rivals] + [{name}.union(*rivals)]
    return [[name for name in names if name in group] for group in groups if len(group) > 1]


def exclusion_matrix(attributes: Sequence[str]) -> Tensor:
    """Bool (A, A), symmetric: setting attribute i clears attribute j."""
    return _matrix(attributes, excluded_by)


def contradiction_matrix(attributes: Sequence[str]) -> Tensor:
    """Bool (A, A), symmetric: attributes i and j cannot both be true, though an edit of one keeps the other's label."""
    return _matrix(attributes, contradicted_by)


def replacement_matrix(attributes: Sequence[str]) -> Tensor:
    """Bool (A, A): attribute j is the nearest of these that can take the place of attribute i."""
    return _matrix(attributes, lambda name: [other for other in facts_of(name).replacements if other in attributes][:1])


def _matrix(attributes: Sequence[str], related: Callable[[str], Collection[str]]) -> Tensor:
    rows = [related(name) for name in attributes]
    return torch.tensor([[other in row for other in attributes] for row in rows], dtype=torch.bool)


def index_of(name: str, attributes: Sequence[str]) -> int:
    """Position of ``name`` in ``attributes``; a ValueError names the nearest known ones."""
    if name in attributes:
        return list(attributes).index(name)
    by_lower = {known.lower(): known for known in attributes}
    matches = difflib.get_close_matches(str(name).lower(), by_lower, n=3, cutoff=0.4)
    nearest = [by_lower[match] for match in matches]
    hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"Known are: {', '.join(attributes)}."
    raise ValueError(f"Unknown attribute {shown(name)}. {hint}")


def shown(value: Any) -> str:
    """A value as a message shows it: on one line, and of a long one only the beginning."""
    text = " ".join(_SHORT.repr(value).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 100
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxfrozenset = 20


def truth_of(value: Any) -> bool | None:
    """A label given as true or false, 0 or 1, -1 or 1, from Python, NumPy or torch; None for anything else."""
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool | int | float) and value in (-1, 0, 1):
        return value == 1
    return None


def as_labels(values: Any, attributes: Sequence[str]) -> dict[str, bool]:
    """An edit, or corrections to what a classifier sees, as attribute name to bool.

    Args:
        values: a mapping of attribute name to label, see :func:`truth_of`; or one name or several, which are then true.
        attributes: the known names.

    Raises:
        ValueError: a name is unknown, a value is no label, or it is neither a mapping nor names.
    """
    if isinstance(values, str):
        values = [values]
    if isinstance(values, Sequence | set | frozenset) and all(isinstance(name, str) for name in values):
        values = dict.fromkeys(values, True)
    if not isinstance(values, Mapping):
        raise ValueError(
            f"An edit must be attribute names with true or false, such as {{'Eyeglasses': True}}, not {shown(values)}."
        )
    labels = {}
    for name, value in values.items():
        index_of(name, attributes)
        truth = truth_of(value)
        if truth is None:
            raise ValueError(f"{name} is {shown(value)}: give True or False (or 1 and 0, or 1 and -1).")
        labels[name] = truth
    return labels


def edited_labels(source: Tensor, edit: Mapping[str, bool], attributes: Sequence[str]) -> Tensor:
    """Target labels, float (A,) in {0, 1}: ``source`` with ``edit`` applied and the exclusions of added attributes
    cleared.

    Args:
        source: float (A,) labels in {0, 1}.
        edit: see :func:`as_labels`. An attribute named here is never cleared by another one.
        attributes: the A names.

    Raises:
        ValueError: see :func:`as_labels`; or the edit asks for two attributes that exclude each other.
    """
    edit = as_labels(edit, attributes)
    wanted = source.clone()
    named = torch.zeros_like(source, dtype=torch.bool)
    for name, value in edit.items():
        position = index_of(name, attributes)
        wanted[position], named[position] = float(value), True
        clash = [other for other in excluded_by(name) if value and edit.get(other)]
        if clash:
            raise ValueError(f"{name} and {clash[0]} exclude each other: ask for one of them.")
    return _with_exclusions(source, wanted, named, exclusion_matrix(attributes))


def flipped_labels(source: Tensor, index: Tensor, exclusions: Tensor) -> Tensor:
    """Target labels with one attribute per row flipped; a flip to 1 clears what that attribute excludes.

    This is the editing protocol of the paper's evaluation, for a whole batch.

    Args:
        source: float (N, A) labels in {0, 1}.
        index: long (N,), the attribute to flip in each row.
        exclusions: bool (A, A) from :func:`exclusion_matrix`.
    """
    named = index[:, None] == torch.arange(source.shape[1], device=source.device)
    return _with_exclusions(source, 1 - source, named, exclusions)


def _with_exclusions(source: Tensor, wanted: Tensor, named: Tensor, exclusions: Tensor) -> Tensor:
    """Labels (..., A): as wanted where named, 0 where an added attribute excludes another, else as in the source."""
    added = named & (wanted > source)
    excluded = added.to(source.dtype) @ exclusions.to(source) > 0
    return torch.where(named, wanted, source.masked_fill(excluded, 0))


def labels_to_difference(source: Tensor, target: Tensor, intensity: float | Tensor = 1.0) -> Tensor:
    """att_diff of the paper: ``(target - source) * intensity`` for labels in {0, 1}, so -1, 0 or 1 at intensity 1.

    The published edit accuracies were measured at intensity 1.5 (the toggled target at twice its training value).
    """
    return (target - source) * intensity
