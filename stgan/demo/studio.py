"""What all visits share: the editor, run where the GPU is, its model's name, the demo's files, and the example."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image

from stgan.demo.credentials import Credentials
from stgan.demo.files import DemoFiles
from stgan.demo.looks import EXAMPLE_LOOKS
from stgan.demo.pictures import save_for_page
from stgan.demo.request import EditRequest
from stgan.demo.session import Edits, Subject, Visit, faces_to_edit, tidy
from stgan.demo.words import Language
from stgan.editor import FaceEditor, PreparedFace
from stgan.photo.face import Face
from stgan.photo.files import Photo, open_photo, save_photo

EXAMPLE = Path(skimage.data.__file__).parent / "astronaut.png"  # public domain; ships with scikit-image


class Studio:
    """The object that every callback and endpoint works with.

    Args:
        editor: on the device that it is to run on.
        model: its folder or Hub id, as files and code name it.
        files: where pictures are written.
        credentials: sign what a visitor takes away; None where no certificate is configured.
    """

    def __init__(self, editor: FaceEditor, model: str, files: DemoFiles, credentials: Credentials | None = None):
        self.editor, self.model, self.files, self.credentials = editor, model, files, credentials
        self.names = editor.names
        editor.detector  # noqa: B018  # loaded now: what a call on ZeroGPU loads is lost when its process ends
        # ZeroGPU sends a call's arguments to another process, but not the object that a method is bound to.
        self.find_faces = on_gpu(self._find_faces)
        self.prepare = on_gpu(self._prepare)
        self.edit = on_gpu(self._edit)
        self.edit_one_by_one = on_gpu(self._edit_one_by_one)
        self.edit_people = on_gpu(self._edit_people)

    def _find_faces(self, photo: Photo, aligned: bool) -> tuple[list[Face], int]:
        return faces_to_edit(self.editor, photo, aligned)  # the aligner is a network too

    def _prepare(
        self, photo: Photo, face: int | Face | None, aligned: bool | None, others: Sequence[Face] = ()
    ) -> PreparedFace:
        prepared = self.editor.prepare(photo, face=face, others=others, aligned=aligned)
        return prepared.to("cpu")  # an idle visit holds no GPU memory

    def _edit(self, face: PreparedFace, *requests: EditRequest) -> list[Image.Image]:
        return [request.edit(self.editor, face) for request in requests]

    def _edit_one_by_one(self, face: PreparedFace, *requests: EditRequest) -> Iterator[Image.Image]:
        for request in requests:
            yield request.edit(self.editor, face)

    def _edit_people(self, *people: tuple[PreparedFace, EditRequest]) -> Image.Image:
        """One photo with all its people edited: each edit starts from the picture that the one before made."""
        (prepared, request), *others = people
        picture = request.edit(self.editor, prepared)
        for prepared, request in others:
            picture = request.edit(self.editor, replace(prepared, photo=open_photo(picture)))
        return picture

    def add_faces(self, subject: Subject, numbers: Sequence[int]) -> None:
        """Prepare those of the faces that are not yet prepared.

        Raises:
            ValueError: one cannot be edited.
        """
        for number in numbers:
            if number not in subject.prepared:
                face = subject.faces[number] if subject.faces else None
                prepared = self.prepare(subject.photo, face, face is None, subject.faces)
                subject.add(number, prepared, self.files.new)

    def edited_photo(self, subject: Subject, edits: Edits) -> Image.Image:
        """The photo after the edits of everyone. The model is not run if nothing changes."""
        people = [(subject.prepared[number], subject.request(number, shifts)) for number, shifts in edits.items()]
        return self.edit_people(*people) if people else subject.photo.original

    def note(self, subject: Subject, edits: Edits) -> str:
        """The description in the file of an edited photo."""
        return EditRequest.joint_note(self.model, [subject.request(key, each) for key, each in edits.items()])

    def visit(self, subject: Subject, language: Language, **more: Any) -> Visit:
        """A new visit to a photo, whose largest face is prepared and not edited."""
        self.add_faces(subject, [subject.largest])
        begun = Visit(subject, subject.largest, (), 0, "", "", language=language, **more)
        return self.with_edits(begun, {})

    def with_edits(self, visit: Visit, edits: Edits, edited: Image.Image | None = None) -> Visit:
        """The visit after new edits; ``edited`` is their picture where it is known."""
        subject = visit.subject
        self.add_faces(subject, [*edits, visit.face])
        edited = edited or self.edited_photo(subject, edits)
        return visit.after(edits, edited, self.note(subject, edits), self.files.new)

    def open(self, name: str, path: str | None, photo: Photo, faces: list[Face], largest: int) -> Subject:
        """A photo as the subject of a new visit."""
        before = save_for_page(photo.original, self.files.new("before.jpg"))  # converted as an edited photo is
        return Subject(name, path, photo, faces, largest, before)

    def save(self, picture: Image.Image, name: str, note: str) -> str:
        """Write an edited picture whose metadata say so, and return its path."""
        path = self.files.new(name)
        save_photo(picture, path, description=note)
        return path

    def signed(self, path: str, note: str) -> str:
        """Path of the same picture as it goes out: with content credentials, where a certificate is configured."""
        if self.credentials is None or not self.credentials.can_sign(path):
            return path
        target = self.files.new(Path(path).name)
        self.credentials.sign(path, target, note)
        return target


def on_gpu(function: Callable) -> Callable:
    """Wrap a function that runs the model for ZeroGPU. Elsewhere it stays as it is."""
    try:
        from spaces import GPU
    except ImportError:
        return function
    return GPU(function)


class Example:
    """The portrait that a visitor sees first: prepared and edited once, and kept for every visitor.

    Each visit writes its own files, since Gradio deletes files when they are old.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        self._edited: Image.Image | None = None
        self.thumbnails: dict[str, str] = {}  # of its galleries, filled by the listeners

    @property
    def edits(self) -> Edits:
        """The first of its looks, as far as the model can do it."""
        shifts = EXAMPLE_LOOKS[0].shifts
        return tidy({self._face[2]: {name: value for name, value in shifts.items() if name in self.studio.names}})

    def open(self, language: Language, **more: Any) -> Visit:
        """A new visit to the example, not edited."""
        photo, faces, largest, prepared = self._face
        subject = self.studio.open(EXAMPLE.name, None, photo, faces, largest)
        subject.add(largest, prepared, self.studio.files.new)
        return self.studio.visit(subject, language, **more)

    def edited(self, visit: Visit) -> Visit:
        """The visit with the example's first look."""
        self._edited = self._edited or self.studio.edited_photo(visit.subject, self.edits)
        return self.studio.with_edits(visit, self.edits, self._edited)

    @cached_property
    def _face(self) -> tuple[Photo, list[Face], int, PreparedFace]:
        photo = open_photo(EXAMPLE)
        faces, largest = self.studio.find_faces(photo, False)
        return photo, faces, largest, self.studio.prepare(photo, faces[largest], False, faces)
