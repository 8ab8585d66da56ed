"""What all visits share: the editor, run where the GPU is, its model's name, the demo's files, and the example."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image

from stgan.demo.credentials import Credentials
from stgan.demo.files import DemoFiles
from stgan.demo.looks import EXAMPLE_LOOKS
from stgan.demo.photos import OpenedPhoto, PhotoCache
from stgan.demo.pictures import save_for_page
from stgan.demo.request import EditRequest
from stgan.demo.session import Edits, Subject, Visit, faces_to_edit, tidy
from stgan.demo.words import Language
from stgan.editing.editor import FaceEditor, PreparedFace
from stgan.photo.face import Face, choose_face
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
        self.names, self.photos = editor.names, PhotoCache()
        editor.detector  # noqa: B018  # loaded now: what a call on ZeroGPU loads is lost when its process ends
        # ZeroGPU sends a call's arguments to another process, but not the object that a method is bound to.
        self.prepare = on_gpu(self._prepare)
        self.edit = on_gpu(self._edit)
        self.edit_one_by_one = on_gpu(self._edit_one_by_one)
        self.edit_people = on_gpu(self._edit_people)

    def _prepare(
        self, photo: Photo, number: int | None, aligned: bool, faces: list[Face] | None = None
    ) -> tuple[list[Face], int, PreparedFace]:
        """One call on the GPU for all that :meth:`face` answers; ``faces`` if they are known already."""
        if faces is None:
            faces, _ = faces_to_edit(self.editor, photo, aligned)  # the aligner is a network too
        if faces:
            number = choose_face(faces, number)
            prepared = self.editor.prepare(photo, face=faces[number], others=faces)
        else:  # a face crop, unless a number says that it is to be searched
            prepared = self.editor.prepare(photo, face=number, aligned=number is None or aligned)
        return faces, number or 0, prepared.to("cpu")  # an idle visit holds no GPU memory

    def _edit(self, face: PreparedFace, *requests: EditRequest) -> list[Image.Image]:
        return [request.edit(self.editor, face) for request in requests]

    def _edit_one_by_one(self, face: PreparedFace, *requests: EditRequest) -> Iterator[Image.Image]:
        for request in requests:
            yield request.edit(self.editor, face)

    def _edit_people(self, *people: tuple[PreparedFace, EditRequest]) -> Image.Image:
        """One photo with all its people edited."""
        return self.editor.edit_people([(face, each.changes, each.intensity, each.source) for face, each in people])

    def face(
        self, opened: OpenedPhoto, number: int | None = None, aligned: bool = False
    ) -> tuple[list[Face], int, PreparedFace]:
        """All faces of a photo, from left to right; the number of one, by default the largest; and that one prepared.

        There are no faces if the whole photo is one face crop: because ``aligned`` says so, or because it looks like
        one and no number is given. What is known of the photo is not computed again.

        Raises:
            ValueError: there is no such face, or it cannot be edited.
        """
        with opened.lock:
            faces, may_be_crop = opened.faces.get(aligned), number is None
            if faces or (faces is not None and may_be_crop):
                place = choose_face(faces, number) if faces else None
                if place in opened.prepared:
                    return faces, place or 0, opened.prepared[place]
            faces, chosen, prepared = self.prepare(opened.photo, number, aligned, faces)
            prepared = replace(prepared, photo=opened.photo)  # ZeroGPU sends back a copy
            if faces or may_be_crop:
                opened.faces[aligned], opened.prepared[chosen if faces else None] = faces, prepared
            return faces, chosen, prepared

    def add_faces(self, subject: Subject, numbers: Sequence[int]) -> None:
        """Prepare those of the faces that are not yet prepared.

        Raises:
            ValueError: one cannot be edited.
        """
        for number in numbers:
            if number not in subject.prepared:
                _, _, prepared = self.face(subject.opened, number if subject.faces else None, not subject.faces)
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

    def open(self, name: str, path: str | None, opened: OpenedPhoto, aligned: bool = False) -> Subject:
        """A photo as the subject of a new visit, with its largest face prepared."""
        faces, largest, prepared = self.face(opened, aligned=aligned)
        before = save_for_page(opened.photo.original, self.files.new("before.jpg"))  # converted as an edited photo is
        subject = Subject(name, path, opened, faces, largest, before)
        subject.add(largest, prepared, self.files.new)
        return subject

    def save(self, picture: Image.Image, name: str, note: str) -> str:
        """Write an edited picture whose metadata say so, with a visible mark if ``STGAN_MARK`` is set, and return its
        path."""
        path = self.files.new(name)
        save_photo(picture, path, description=note, mark=bool(os.environ.get("STGAN_MARK")), fast=True)
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
        self._opened = OpenedPhoto(open_photo(EXAMPLE))  # not in the cache, which forgets
        self.thumbnails: dict[str, str] = {}  # of its galleries, filled by the listeners

    def open(self, language: Language, **more: Any) -> Visit:
        """A new visit to the example, not edited."""
        return self.studio.visit(self.studio.open(EXAMPLE.name, None, self._opened), language, **more)

    def edited(self, visit: Visit) -> Visit:
        """The visit with the example's first look, as far as the model can do it."""
        shifts = EXAMPLE_LOOKS[0].shifts
        edits = tidy({visit.face: {name: value for name, value in shifts.items() if name in self.studio.names}})
        self._edited = self._edited or self.studio.edited_photo(visit.subject, edits)
        return self.studio.with_edits(visit, edits, self._edited)
