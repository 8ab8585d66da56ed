"""What an edit of a photo really changed: an edit that the face has already, or that is covered, claims nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from stgan.photo.files import OUTCOME

COVERED = 0.2
"""Share of an attribute's place that something covers, above which its edit counts as held back."""


@dataclass(frozen=True)
class FaceOutcome:
    """What an edit did to one face."""

    changed: Mapping[str, bool] = field(default_factory=dict)  # attribute to its new value, exclusions included
    already: Mapping[str, tuple[bool, float]] = field(default_factory=dict)  # had the value; its probability
    held_back: Mapping[str, float] = field(
        default_factory=dict
    )  # changed, but for the share of its place that is covered; not changed at all if that is 1
    turned_away: bool = False  # the head, so that some edits are held back
    unseen: Sequence[str] = ()  # asked for, but no pixel changed
    intensity: Mapping[str, float] = field(default_factory=dict)

    def without_effect(self) -> "FaceOutcome":
        """The same where no pixel of the photo changed."""
        return replace(self, changed={}, unseen=tuple(self.changed))

    def claims(self) -> list[str]:
        """The changes in words, such as "+Eyeglasses 1.2"."""
        return [f"{'+' if value else '-'}{name} {self.intensity[name]:g}" for name, value in self.changed.items()]

    def notes(self) -> list[str]:
        """A sentence for each attribute that was not changed, or not everywhere."""
        notes = [
            f"{name}: already {'present' if value else 'absent'} (p = {probability:.2f}), nothing changed"
            for name, (value, probability) in self.already.items()
        ]
        for name, share in self.held_back.items():
            part = f"where something covers the face or hair ({share:.0%} of its place)"
            why = "the head is turned away" if self.turned_away else "hair or a hat hides its place"
            notes.append(f"{name}: held back {part if share < 1 else f'altogether, for {why}'}")
        notes += [f"{name}: no pixel changed, for the model found nothing to change here" for name in self.unseen]
        return notes


@dataclass(frozen=True)
class Outcome:
    """What an edit did to a photo. An edited image carries it as ``image.info["stgan"]``."""

    faces: Sequence[FaceOutcome]  # those that were to be edited, from left to right
    skipped: Mapping[int, str] = field(default_factory=dict)  # number of each other face, and why; "" if found twice
    before: str = ""  # description of earlier edits of the same photo
    turn: int = 0  # degrees clockwise that would set the photo upright, where its faces lie on their side

    @property
    def changed(self) -> dict[str, bool]:
        """Attribute to new value, over all faces."""
        return {name: value for face in self.faces for name, value in face.changed.items()}

    @property
    def description(self) -> str | None:
        """What the metadata of the photo may claim; None if nothing was changed."""
        claims = list(dict.fromkeys(claim for face in self.faces for claim in face.claims()))
        if not claims:
            return self.before or None
        several = f" on {sum(bool(face.changed) for face in self.faces)} faces" if len(self.faces) > 1 else ""
        done = f"Edited with stgan: {', '.join(claims)}{several}"
        return f"{self.before}; {done}" if self.before else done

    def notes(self) -> list[str]:
        """Sentences about what was not changed; faces are numbered where there are several."""
        total = len(self.faces) + len(self.skipped)
        numbers = [number for number in range(total) if number not in self.skipped]
        notes = [
            f"Face {number}: {note}" if total > 1 else note
            for number, face in zip(numbers, self.faces, strict=True)
            for note in face.notes()
        ]
        notes += [f"Face {number} stays as it is: {reason}" for number, reason in self.skipped.items() if reason]
        if self.turn:
            notes.append(f"The photo is not upright and was edited as it is: --turn {self.turn} turns it clockwise")
        return notes


def earlier_claims(info: Mapping) -> str:
    """The description of the edits that made a Pillow image with this ``info``; empty if there are none."""
    outcome = info.get(OUTCOME)
    return (outcome.description or "") if isinstance(outcome, Outcome) else ""
