"""What the demo keeps of a visit: a photo and its people, the edits of each, and the versions made with them.

Nothing here draws the page or runs the generator.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image

from stgan.attributes import change_in_words, excluded_by, exclusive_groups, shown
from stgan.demo.looks import title_of
from stgan.demo.photos import OpenedPhoto
from stgan.demo.pictures import data_uri, save_for_page, surroundings
from stgan.demo.request import EditRequest
from stgan.demo.words import Language
from stgan.editing.editor import FaceEditor, PreparedFace
from stgan.photo.face import Face, choose_face
from stgan.photo.files import Photo, open_photo

THUMBNAIL = 160  # pixels
VERSION_SIDE = 320  # pixels, of a version as the grid of versions shows it
STRONGEST = 1.5  # of a slider, either way
MOST_VERSIONS = 24
MOST_PEOPLE = 12  # that are edited together
SAME_GESTURE = 3.0  # seconds: the drag of a slider is one version, not twenty
EVERYONE = -1  # in place of a face's number
BEST_FIRST = (  # as jurors judged edits; what excludes one another comes together
    "Mouth_Slightly_Open", "Bushy_Eyebrows", "Brown_Hair", "Black_Hair", "Blond_Hair", "Young", "Eyeglasses",
    "Mustache", "No_Beard", "Pale_Skin", "Male", "Bangs", "Bald",
)  # fmt: skip

Shifts = Mapping[str, float]
"""Attribute to att_diff as its slider sets it; 0 and a missing name leave it as it is in the photo."""
Edits = Mapping[int, Shifts]
"""Number of a face to its shifts."""
NewFile = Callable[[str], str]
"""Name to the path of a new file that the page can show."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The photo on the page and its people."""

    name: str  # of the file
    path: str | None  # of the upload; None for the example
    opened: OpenedPhoto
    faces: list[Face]  # from left to right; empty where the photo is taken as aligned
    largest: int  # number of the largest face that is editable
    before: str  # file of the unedited photo that the browser can show
    # Filled as faces are chosen: what their edits share, the same for thumbnails, and the file of their surroundings.
    prepared: dict[int, PreparedFace] = field(default_factory=dict)
    small: dict[int, PreparedFace] = field(default_factory=dict)
    close_before: dict[int, str] = field(default_factory=dict)

    @property
    def photo(self) -> Photo:
        """The photo itself."""
        return self.opened.photo

    @property
    def key(self) -> str:
        """What tells this subject from every other one: the folder of a file that it alone has."""
        return Path(self.before).parent.name

    @property
    def people(self) -> list[int]:
        """Numbers of the faces that can be edited."""
        return [number for number, face in enumerate(self.faces) if face.is_editable] or [self.largest]

    @property
    def together(self) -> list[int]:
        """Those of them that are edited together: the :data:`MOST_PEOPLE` largest."""
        largest_first = sorted(self.people, key=lambda number: -self.faces[number].size) if self.faces else self.people
        return sorted(largest_first[:MOST_PEOPLE])

    def add(self, number: int, prepared: PreparedFace, new_file: NewFile) -> None:
        """Keep a prepared face, with the file that shows it unedited."""
        picture = self.photo.original.crop(surroundings(prepared))
        self.close_before[number] = save_for_page(picture, new_file("before-face.jpg"))
        self.prepared[number], self.small[number] = prepared, prepared.close_up(THUMBNAIL)

    def request(self, number: int, shifts: Shifts) -> EditRequest:
        """The edit of one prepared face."""
        return EditRequest.from_shifts(self.prepared[number].label_dict(), shifts)


@dataclass(frozen=True, eq=False)
class Version:
    """The edits of everyone in the photo, and a thumbnail of the result."""

    edits: Edits
    thumbnail: Image.Image
    made: float  # seconds

    def heading(self, before: "Version | None", language: Language) -> str:
        """The look, or what changed since the version before."""
        if not self.edits:
            return language("Original")
        titles = {title_of(shifts) for shifts in self.edits.values()}
        if len(titles) == 1 and "" not in titles:
            return language(titles.pop())
        old = {} if before is None else before.edits
        new = {
            change_in_words(name, shift > 0): None
            for number, shifts in self.edits.items()
            for name, shift in shifts.items()
            if shift * old.get(number, {}).get(name, 0) <= 0
        }
        undone = {
            change_in_words(name, shift < 0): None
            for number, shifts in old.items()
            for name, shift in shifts.items()
            if not self.edits.get(number, {}).get(name)
        }
        return ", ".join(map(language, [*new] or [*undone])) or language("Another strength")


@dataclass(frozen=True, eq=False)
class Visit:
    """A photo, who of it is edited, and every version; the first one is unedited."""

    subject: Subject
    chosen: int  # number of a face, or EVERYONE
    versions: Sequence[Version]
    current: int
    file: str  # the edited photo as the page shows it
    close_file: str  # the same of the chosen face's surroundings only
    revision: int = 0  # rises when the sliders are set by anything but themselves
    language: Language = Language()
    aligned: bool = False
    link: str = ""  # the edit in the page's address when the visit began

    @property
    def edits(self) -> Edits:
        """Those of the version on the page."""
        return self.versions[self.current].edits

    @property
    def numbers(self) -> list[int]:
        """Numbers of the faces that the sliders edit."""
        return self.subject.together if self.chosen == EVERYONE else [self.chosen]

    @property
    def face(self) -> int:
        """The face of the galleries: the chosen one, or the largest of everyone."""
        return self.subject.largest if self.chosen == EVERYONE else self.chosen

    @property
    def shifts(self) -> dict[str, float]:
        """What the sliders show: the shifts that all the chosen faces share."""
        first, *others = (self.edits.get(number, {}) for number in self.numbers)
        return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}

    @property
    def page_key(self) -> str:
        """What the page sends with a gesture, so that a late one does not reach another photo or state."""
        return f"{self.subject.key} {self.revision}"

    @property
    def state_key(self) -> str:
        """What tells one state of the work from another."""
        return json.dumps([self.subject.key, self.chosen, {key: dict(value) for key, value in self.edits.items()}])

    def is_of(self, page_key: str) -> bool:
        """Whether a click was made on the page of this photo."""
        return page_key.split(" ")[0] == self.subject.key

    def with_shifts(self, shifts: Shifts) -> dict[int, Shifts]:
        """The edits after the chosen faces get exactly these shifts."""
        return tidy({**self.edits, **dict.fromkeys(self.numbers, shifts)})

    def with_change(self, changes: Shifts) -> dict[int, Shifts]:
        """The edits after some shifts of the chosen faces; whatever a raised attribute excludes gives way."""
        return tidy({**self.edits, **{number: changed(self.edits.get(number, {}), changes) for number in self.numbers}})

    def words(self) -> list[str]:
        """What is changed, once for everybody."""
        by_person = (change_in_words(name, value > 0) for each in self.edits.values() for name, value in each.items())
        return [self.language(text) for text in dict.fromkeys(by_person)]

    def alt(self) -> str:
        """The picture in words: "photo with: blond hair, eyeglasses"."""
        words = ", ".join(self.words())
        words = words.lower() if self.language.code == "en" else words
        return self.language("photo with: {words}", words=words) if words else self.language("photo without edits")

    def query(self) -> str:
        """This edit as a page address's query; of several people, that of the chosen one."""
        shifts: Shifts = self.shifts or next(iter(self.edits.values()), {})
        return urlencode({"edit": ",".join(f"{name}:{value:g}" for name, value in shifts.items())}, safe=":,")

    def remembered(self) -> dict[str, Any]:
        """What the browser stores, so that a reload keeps the work: no picture, only where it was and its edits."""
        return {
            "path": self.subject.path, "aligned": self.aligned, "chosen": self.chosen, "link": self.link,
            "edits": {str(number): dict(shifts) for number, shifts in self.edits.items()},
        }  # fmt: skip

    def after(self, edits: Edits, edited: Image.Image, note: str, new_file: NewFile) -> "Visit":
        """The visit with a version of these edits on the page; ``edited`` is the photo after them."""
        file = save_for_page(edited, new_file(f"{Path(self.subject.name).stem}-edited.jpg"), note)
        box = surroundings(self.subject.prepared[self.face])
        close_file = save_for_page(edited.crop(box), new_file("edited-face.jpg"))
        thumbnail = Image.fromarray(open_photo(close_file).rgb)  # in sRGB, since it goes without its colour profile
        thumbnail.thumbnail((VERSION_SIDE, VERSION_SIDE))
        versions, current = _with_version(self.versions, Version(edits, thumbnail, time.monotonic()))
        return replace(self, versions=versions, current=current, file=file, close_file=close_file)

    def closer(self, new_file: NewFile) -> "Visit":
        """The visit with the surroundings of another chosen face."""
        with Image.open(self.file) as edited:
            box = surroundings(self.subject.prepared[self.face])
            return replace(self, close_file=save_for_page(edited.crop(box), new_file("edited-face.jpg")))

    def thumbnails(self) -> list[tuple[str, str]]:
        """Each version's picture, as an address, and heading."""
        before = [None, *self.versions]
        return [
            (data_uri(each.thumbnail), each.heading(last, self.language))
            for each, last in zip(self.versions, before, strict=False)
        ]


def check_remembered(stored: Any) -> None:
    """Raise a ValueError unless what a browser sends has the form of :meth:`Visit.remembered`: anyone can send it."""
    edits = stored.get("edits") if isinstance(stored, dict) else None
    if not (
        isinstance(edits, dict)
        and all(str(number).isdecimal() and len(str(number)) < 6 for number in edits)
        and all(isinstance(shifts, dict) and all(map(_is_shift, shifts.values())) for shifts in edits.values())
        and isinstance(stored.get("path", 0), str | None)
        and isinstance(stored.get("aligned"), bool)
        and isinstance(stored.get("link"), str)
        and isinstance(stored.get("chosen"), int)
    ):
        raise ValueError("What the browser remembers of the last edit cannot be read.")


def _is_shift(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= STRONGEST  # not NaN


def tidy(edits: Edits) -> dict[int, Shifts]:
    """The edits without what changes nothing."""
    shifts = {number: {name: value for name, value in each.items() if value} for number, each in edits.items()}
    return {number: shifts[number] for number in sorted(shifts) if shifts[number]}


def changed(shifts: Shifts, changes: Shifts) -> dict[str, float]:
    """Shifts after changes: whatever a raised attribute excludes gives way, unless it is changed too."""
    raised = {name for name, value in changes.items() if value > shifts.get(name, 0) and value > 0}
    gone = {other for name in raised for other in excluded_by(name) if shifts.get(other, 0) > 0} - changes.keys()
    return {name: value for name, value in {**shifts, **changes}.items() if value and name not in gone}


def parse_edit(text: str, language: Language, names: Sequence[str]) -> dict[str, float]:
    """The shifts of a page address, such as ``Eyeglasses:1,Young:-0.5``.

    Raises:
        ValueError: it names an attribute that the model cannot edit, or no number.
    """
    shifts = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.partition(":")
        if name not in names:
            raise ValueError(language("The link asks for {name}, which this model cannot edit.", name=shown(name)))
        value = _number_in(number or "1")
        if not abs(value) <= STRONGEST:  # NaN too
            raise ValueError(f"{shown(part)} is out of range: use values between -{STRONGEST} and {STRONGEST}.")
        shifts[name] = value
    return changed({}, shifts)


def _number_in(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def faces_to_edit(editor: FaceEditor, photo: Photo, aligned: bool) -> tuple[list[Face], int]:
    """The faces of a photo, from left to right, and the number of the largest that is editable.

    There are none if the whole photo is an aligned crop. A FaceError says if no face is found or can be edited.
    """
    if aligned or editor.is_aligned(photo):
        return [], 0
    faces = editor.find_faces(photo)
    return faces, choose_face(faces)


def in_order(names: Sequence[str]) -> list[str]:
    """Attributes as the page lists them: the best edits first, and those that exclude one another together."""
    ranks = {name: rank for rank, name in enumerate(BEST_FIRST)}
    ranked = sorted(names, key=lambda name: ranks.get(name, len(ranks)))
    groups = {name: group for group in exclusive_groups(ranked) for name in group}
    return list(dict.fromkeys(member for name in ranked for member in groups.get(name, [name])))


def _with_version(versions: Sequence[Version], version: Version) -> tuple[list[Version], int]:
    """The versions with one more, or with it in place of one of the same edits; and its position."""
    for position, known in enumerate(versions):
        if known.edits == version.edits:
            return [*versions[:position], version, *versions[position + 1 :]], position
    kept = list(versions)
    if len(kept) > 1 and _same_gesture(kept[-1], version):
        kept.pop()
    kept = [*kept[:1], *kept[1:][-(MOST_VERSIONS - 2) :], version]
    return kept, len(kept) - 1


def _same_gesture(one: Version, other: Version) -> bool:
    """Whether two versions differ only in strength and followed each other at once."""
    signs = [{(key, name) for key, each in version.edits.items() for name in each} for version in (one, other)]
    return signs[0] == signs[1] and other.made - one.made < SAME_GESTURE
