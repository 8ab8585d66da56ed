"""What the demo keeps of a visit: a photo and its face, the controls, and the versions made with them.

Nothing here draws the page or runs the generator.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from PIL import Image

from stgan.attributes import caption, exclusive_groups, facts_of, resolve_ticks, short_name
from stgan.demo.pictures import framed_faces, save_for_page, surroundings
from stgan.demo.request import EditRequest
from stgan.editor import FaceEditor, PreparedFace
from stgan.photo.face import Face, choose_face
from stgan.photo.files import Photo, open_photo

INTENSITY = 1.0  # at which the bundled weights balance the strength of an edit against unwanted changes
THUMBNAIL = 160  # pixels
FRAMED_SIDE = 1024  # pixels, of the photo with its faces framed
MOST_VERSIONS = 24
SAME_GESTURE = 3.0  # seconds: the drag of a slider is one version, not twenty

NewFile = Callable[[str], str]
"""Name to the path of a new file that the page can show."""


@dataclass(frozen=True)
class Controls:
    """What the tick boxes and sliders are set to. They describe an edit completely."""

    ticks: frozenset[str]  # attributes that the face is to have
    intensity: float  # of every change that a tick asks for
    shifts: dict[str, float]  # attribute to att_diff, where its own slider is not at 0; as in EditRequest.from_controls

    def with_ticks(self, ticked: Collection[str]) -> "Controls":
        """The same after clicks, in their order: whatever a newly ticked attribute excludes loses its tick."""
        return Controls(frozenset(resolve_ticks(self.ticks, ticked)), self.intensity, self.shifts)

    def toggled(self, name: str, present: bool) -> "Controls":
        """The same with one attribute ticked or not."""
        return self.with_ticks([*(self.ticks - {name}), *([name] if present else [])])


@dataclass(frozen=True, eq=False)
class Subject:
    """The photo on the page and its face that is edited."""

    name: str  # of the file
    photo: Photo
    faces: list[Face]  # from left to right; empty where the photo is taken as aligned
    chosen: int
    prepared: PreparedFace
    small: PreparedFace  # for thumbnails
    before: str  # file of the unedited photo that the browser can show
    close_before: str  # the same of the face's surroundings only

    @classmethod
    def with_files(
        cls, name: str, photo: Photo, faces: list[Face], chosen: int, prepared: PreparedFace, new_file: NewFile
    ) -> "Subject":
        """A photo whose chosen face is prepared, with the files that show it unedited."""
        picture = photo.original  # as after an edit, so that colours and transparency are converted in the same way
        close_before = save_for_page(picture.crop(surroundings(prepared)), new_file("before-face.jpg"))
        before = save_for_page(picture, new_file("before.jpg"))
        return cls(name, photo, faces, chosen, prepared, prepared.close_up(THUMBNAIL), before, close_before)

    @property
    def key(self) -> str:
        """What tells this subject from every other one: the folder of a file that it alone has."""
        return Path(self.before).parent.name

    @property
    def labels(self) -> dict[str, bool]:
        """Whether the face has each attribute, as the model sees it."""
        return self.prepared.label_dict()

    def untouched(self, intensity: float) -> Controls:
        """The controls at which the photo stays as it is."""
        return Controls(frozenset(name for name, present in self.labels.items() if present), intensity, {})

    def request(self, controls: Controls) -> EditRequest:
        """The edit that the controls ask for."""
        return EditRequest.from_controls(self.labels, controls.ticks, controls.intensity, controls.shifts)

    def framed(self) -> Image.Image:
        """The photo with its faces framed, no longer than :data:`FRAMED_SIDE`."""
        return framed_faces(self.photo.rgb, self.faces, self.chosen, FRAMED_SIDE)

    def face_at(self, x: float, y: float) -> int:
        """Number of the face at a point, in pixels of :meth:`framed`, or of the one being edited if none is there."""
        scale = max(1.0, max(self.photo.rgb.shape[:2]) / FRAMED_SIDE)
        for number, face in enumerate(self.faces):
            left, top, right, bottom = face.box
            if left <= scale * x <= right and top <= scale * y <= bottom:
                return number
        return self.chosen


@dataclass(frozen=True, eq=False)
class Version:
    """A setting of the controls and a thumbnail of its result."""

    controls: Controls
    request: EditRequest
    thumbnail: Image.Image
    made: float  # seconds

    def same_controls(self, other: "Version") -> bool:
        if not (self.request.changes or other.request.changes):
            return True  # without a change the intensity does not matter
        return (self.controls.ticks, self.request) == (other.controls.ticks, other.request)

    def heading(self, before: EditRequest) -> str:
        """What changed since the version before."""
        changes = self.request.changes
        if not changes:
            return "Original"
        new = [caption(name, wanted) for name, wanted in changes.items() if before.changes.get(name) != wanted]
        undone = [caption(name, not wanted) for name, wanted in before.changes.items() if name not in changes]
        return ", ".join([*new, *undone]) or "Another intensity"


@dataclass(frozen=True, eq=False)
class History:
    """Every version of a subject, the first one unedited, and which one is on the page."""

    versions: list[Version]
    current: int
    file: str  # the edited photo as the page shows it
    close_file: str  # the same of the face's surroundings only

    @classmethod
    def after(
        cls, history: "History | None", subject: Subject, controls: Controls, edited: Image.Image, model: str,
        new_file: NewFile,
    ) -> "History":  # fmt: skip
        """The history after an edit, or a new one; ``edited`` is the photo after ``subject.request(controls)``."""
        request = subject.request(controls)
        file = save_for_page(edited, new_file(f"{Path(subject.name).stem}-edited.jpg"), request.note(model))
        close_file = save_for_page(edited.crop(surroundings(subject.prepared)), new_file("edited-face.jpg"))
        thumbnail = Image.fromarray(open_photo(close_file).rgb)  # in sRGB, since it goes without its colour profile
        thumbnail.thumbnail((THUMBNAIL, THUMBNAIL))
        version = Version(controls, request, thumbnail, time.monotonic())
        versions, current = ([version], 0) if history is None else history._with(version)
        return cls(versions, current, file, close_file)

    @property
    def now(self) -> Version:
        """The version on the page."""
        return self.versions[self.current]

    @property
    def unedited(self) -> Version:
        """As in the photo."""
        return self.versions[0]

    def thumbnails(self) -> list[tuple[Image.Image, str]]:
        """Each version's picture and heading."""
        before = [EditRequest(), *(version.request for version in self.versions)]
        return [(each.thumbnail, each.heading(last)) for each, last in zip(self.versions, before, strict=False)]

    def _with(self, version: Version) -> tuple[list[Version], int]:
        for position, known in enumerate(self.versions):
            if known.same_controls(version):
                return [*self.versions[:position], version, *self.versions[position + 1 :]], position
        kept, last = list(self.versions), self.versions[-1].controls
        moved = last.ticks == version.controls.ticks and last.shifts.keys() == version.controls.shifts.keys()
        if len(kept) > 1 and moved and version.made - kept[-1].made < SAME_GESTURE:
            kept.pop()
        kept = [*kept[:1], *kept[1:][-(MOST_VERSIONS - 2) :], version]
        return kept, len(kept) - 1


def is_current(subject: Subject | None, page_key: str) -> TypeGuard[Subject]:
    """Whether a click was made on the page of this subject: ``page_key`` is the page's key at the click.

    ``gr.State`` holds the subject from when the job's turn comes.
    """
    return subject is not None and page_key == subject.key


def faces_to_edit(editor: FaceEditor, photo: Photo, aligned: bool) -> tuple[list[Face], int]:
    """The faces of a photo, from left to right, and the number of the largest that is editable.

    There are none if the whole photo is an aligned crop. A FaceError says if no face is found or can be edited.
    """
    if aligned or editor.is_aligned(photo):
        return [], 0
    faces = editor.find_faces(photo)
    return faces, choose_face(faces)


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Heading to attributes: groups of one kind, then others that exclude one another, then the rest."""
    groups, others = {}, {}
    for rivals in exclusive_groups(names):
        kind = facts_of(rivals[0]).group
        if kind is not None and all(facts_of(name).group == kind for name in rivals):
            groups[f"{kind.title}, one at a time"] = rivals
        else:
            others[" or ".join(map(short_name, rivals)).capitalize()] = rivals
    groups |= others
    return groups | {"Face": [name for name in names if not any(name in group for group in groups.values())]}
