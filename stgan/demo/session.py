"""What the demo keeps of a visit: a photo and its face, what the controls said, and the versions made of it.

Nothing here draws a page or runs the model: :mod:`app` does both, and asks this module what comes next.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stgan.attributes import caption, exclusive_groups, facts_of, resolve_ticks, short_name
from stgan.demo.request import EditRequest
from stgan.editor import FaceEditor, PreparedFace
from stgan.evaluation.figures import framed_faces
from stgan.photo.align import looks_aligned
from stgan.photo.face import Face, choose_face
from stgan.photo.files import Photo, open_photo, save_photo

THUMBNAIL = 160  # pixels
FRAMED_SIDE = 1024  # pixels, of the photo with its faces framed
MOST_VERSIONS = 24
SAME_GESTURE = 3.0  # seconds: a slider on its way is one version, not twenty

NewFile = Callable[[str], str]
"""Name to the path of a file that may be written, and that the page can show."""


@dataclass(frozen=True)
class Controls:
    """What tick boxes and sliders say: all there is to say about an edit."""

    ticks: frozenset[str]  # attributes that the face is to have
    intensity: float  # of every change that a tick asks for
    shifts: dict[str, float]  # attribute to att_diff, where its own slider is not at 0; as in EditRequest.from_controls

    def with_ticks(self, ticked: Collection[str]) -> "Controls":
        """The same after a click: what a newly ticked attribute excludes loses its tick."""
        return Controls(frozenset(resolve_ticks(self.ticks, ticked)), self.intensity, self.shifts)

    def toggled(self, name: str, present: bool) -> "Controls":
        """The same with one attribute ticked or not."""
        return self.with_ticks([*(self.ticks - {name}), *([name] if present else [])])


@dataclass(frozen=True, eq=False)
class Subject:
    """The photo on the page and the face of it that is edited."""

    name: str  # of the file
    photo: Photo
    faces: list[Face]  # from left to right; empty where the photo is taken as aligned
    chosen: int
    prepared: PreparedFace
    small: PreparedFace  # for thumbnails
    before: str  # file that the browser can show
    close_before: str  # the same of its surroundings only

    @classmethod
    def opened(
        cls, name: str, photo: Photo, faces: list[Face], chosen: int, prepared: PreparedFace, new_file: NewFile
    ) -> "Subject":
        """A photo whose chosen face is prepared, with the files that show it unedited."""
        picture = photo.original  # as after an edit, so that colours and transparency become the same in both files
        close_before = quick_file(picture.crop(surroundings(prepared)), new_file("before-face.jpg"))
        before = quick_file(picture, new_file("before.jpg"))
        return cls(name, photo, faces, chosen, prepared, prepared.close_up(THUMBNAIL), before, close_before)

    @property
    def labels(self) -> dict[str, bool]:
        """Attribute to whether the face has it, as the model sees it."""
        return self.prepared.label_dict()

    def untouched(self, intensity: float) -> Controls:
        """The controls as the photo sets them."""
        return Controls(frozenset(name for name, present in self.labels.items() if present), intensity, {})

    def request(self, controls: Controls) -> EditRequest:
        """The edit that the controls ask for."""
        return EditRequest.from_controls(self.labels, controls.ticks, controls.intensity, controls.shifts)

    def framed(self) -> Image.Image:
        """The photo with its faces framed, no longer than :data:`FRAMED_SIDE`."""
        return framed_faces(self.photo.rgb, self.faces, self.chosen, FRAMED_SIDE)

    def face_at(self, x: float, y: float) -> int:
        """Number of the face at a place, pixels of :meth:`framed`, or else of the one being edited."""
        scale = max(1.0, max(self.photo.rgb.shape[:2]) / FRAMED_SIDE)
        for number, face in enumerate(self.faces):
            left, top, right, bottom = face.box
            if left <= scale * x <= right and top <= scale * y <= bottom:
                return number
        return self.chosen


@dataclass(frozen=True, eq=False)
class Version:
    """What the controls said, and the thumbnail of what came of it."""

    controls: Controls
    request: EditRequest
    thumbnail: Image.Image
    made: float  # seconds

    def same_controls(self, other: "Version") -> bool:
        if not (self.request.changes or other.request.changes):
            return True  # an intensity of nothing is none
        return (self.controls.ticks, self.request) == (other.controls.ticks, other.request)

    def heading(self, before: EditRequest) -> str:
        """What the version before had not."""
        changes = self.request.changes
        if not changes:
            return "Original"
        new = [caption(name, wanted) for name, wanted in changes.items() if before.changes.get(name) != wanted]
        undone = [caption(name, not wanted) for name, wanted in before.changes.items() if name not in changes]
        return ", ".join([*new, *undone]) or "By another degree"


@dataclass(frozen=True, eq=False)
class History:
    """Every version of a subject, the first one unedited, and which of them is on the page."""

    versions: list[Version]
    current: int
    file: str  # the edited photo as the page shows it
    close_file: str  # the same of the face's surroundings only

    @classmethod
    def after(
        cls,
        history: "History | None",
        subject: Subject,
        controls: Controls,
        edited: Image.Image,
        model: str,
        new_file: NewFile,
    ) -> "History":
        """The history after an edit, or at its beginning.

        Args:
            history: so far; None for a subject just opened.
            edited: the subject's photo after ``subject.request(controls)``.
            model: folder or Hub id, for the file's metadata.
        """
        request = subject.request(controls)
        file = quick_file(edited, new_file(f"{Path(subject.name).stem}-edited.jpg"), request.note(model))
        close_file = quick_file(edited.crop(surroundings(subject.prepared)), new_file("edited-face.jpg"))
        thumbnail = Image.fromarray(open_photo(close_file).rgb)  # no colour profile goes with it
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


def faces_to_edit(editor: FaceEditor, photo: Photo, aligned: bool) -> tuple[list[Face], int]:
    """The faces of a photo, from left to right, and the number of the largest that is editable.

    Args:
        aligned: take the whole photo as a crop like CelebA's; then, and where it has its size, there are none.

    Raises:
        FaceError: none was found, or none is editable.
    """
    if aligned or looks_aligned(photo.rgb.shape):
        return [], 0
    faces = editor.find_faces(photo)
    return faces, choose_face(faces)


def surroundings(prepared: PreparedFace) -> tuple[int, int, int, int]:
    """The face with its hair and shoulders, as far as the photo goes: left, top, right, bottom in pixels."""
    height, width = prepared.photo.rgb.shape[:2]
    left, top, right, bottom = prepared.window()
    more = (right - left) // 4
    return max(0, left - more), max(0, top - more), min(width, right + more), min(height, bottom + more)


def quick_file(picture: Image.Image, path: str, description: str | None = None) -> str:
    """Write what the page shows, as JPEG: large photos take seconds as PNG, and hundredths as JPEG."""
    save_photo(picture, path, description=description)
    return path


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Attributes under their headings: groups of one kind, then others that exclude one another, then the rest."""
    groups, others = {}, {}
    for rivals in exclusive_groups(names):
        kinds = {facts_of(name).group for name in rivals}
        if len(kinds) == 1 and None not in kinds:
            groups[f"{kinds.pop().title}, one at a time"] = rivals
        else:
            others[" or ".join(map(short_name, rivals)).capitalize()] = rivals
    groups |= others
    return groups | {"Face": [name for name in names if not any(name in group for group in groups.values())]}
