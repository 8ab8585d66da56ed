"""Edits to start from: looks of several changes, and a random one.

The values were chosen by looking at many portraits edited by the earlier model of 128 px. They are shifts as of
:meth:`stgan.demo.request.EditRequest.from_shifts`: above 0 more of an attribute, below 0 less.
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stgan.attributes import excluded_by


@dataclass(frozen=True)
class Look:
    """Several edits under one name."""

    title: str  # a key of :mod:`stgan.demo.words`
    shifts: Mapping[str, float]


LOOKS = (
    Look("Movie star", {"Brown_Hair": 0.7, "Bangs": -0.6, "Young": 0.5}),
    Look("Grandparent", {"Young": -0.9, "Eyeglasses": 1.0, "Bangs": -0.3}),
    Look("Rock star", {"Brown_Hair": 0.8, "No_Beard": -0.7, "Young": 0.3}),
    Look("Professor", {"Eyeglasses": 1.0, "Brown_Hair": 0.6, "Bangs": -0.5}),
)
EXAMPLE_LOOKS = (  # flawless on the example's face
    Look("New style", {"Brown_Hair": 0.6, "Eyeglasses": 1.0}),
    Look("Chestnut hair", {"Brown_Hair": 0.6}),
    Look("Swept back", {"Bangs": -1.0}),
)
SURPRISES = {
    "Bangs": (-0.8, 0.5), "Black_Hair": (0.5, 0.7), "Blond_Hair": (0.3, 0.5), "Brown_Hair": (0.6, 0.9),
    "Eyeglasses": (0.9, 1.2), "Male": (-0.7, 0.7), "No_Beard": (-0.8, -0.4), "Young": (-0.9, 0.7),
}  # fmt: skip
"""Attribute to the range of its shift in a surprise."""


def looks_for(names: Collection[str], is_example: bool) -> list[Look]:
    """The looks that a model of these attributes can do; on the example first those made for it."""
    looks = (*EXAMPLE_LOOKS, *LOOKS) if is_example else LOOKS
    return [look for look in looks if look.shifts.keys() <= set(names)]


def title_of(shifts: Mapping[str, float]) -> str:
    """Title of the look that asks for exactly these edits, or "" if none does or there is only one edit."""
    looks = (look for look in (*EXAMPLE_LOOKS, *LOOKS) if len(shifts) > 1 and look.shifts == shifts)
    return next((look.title for look in looks), "")


def surprise(names: Collection[str], chance: random.Random) -> dict[str, float]:
    """Three random edits, or fewer of a model of few attributes, that do not exclude one another."""
    shifts: dict[str, float] = {}
    for name in chance.sample(sorted(SURPRISES.keys() & set(names)), k=len(SURPRISES.keys() & set(names))):
        if len(shifts) < 3 and not shifts.keys() & set(excluded_by(name)):
            low, high = SURPRISES[name]
            strength = round(chance.uniform(low, high) * 20) / 20  # a step of a slider
            if abs(strength) >= 0.3:  # less would not show
                shifts[name] = strength
    return shifts
