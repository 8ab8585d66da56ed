"""What all visits share: the editor, run where the GPU is, its model's name, the demo's files, and the example."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import skimage.data
from PIL import Image

from stgan.demo.credentials import Credentials
from stgan.demo.files import DemoFiles
from stgan.demo.request import EditRequest
from stgan.demo.session import INTENSITY, THUMBNAIL, Controls, History, Subject, faces_to_edit
from stgan.editor import FaceEditor, PreparedFace
from stgan.photo.face import Face
from stgan.photo.files import Photo, open_photo, save_photo

EXAMPLE = Path(skimage.data.__file__).parent / "astronaut.png"  # public domain; ships with scikit-image
EXAMPLE_EDIT = {"Brown_Hair": True, "Bushy_Eyebrows": True}


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
        self.single_edits = on_gpu(self._single_edits)

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

    def _single_edits(self, face: PreparedFace, intensity: float) -> dict[str, Image.Image]:
        edits = self.editor.single_edits(face)
        return dict(zip(edits, self.editor.edit_each(face, list(edits.values()), intensity), strict=True))

    def edited_photo(self, face: PreparedFace, request: EditRequest) -> Image.Image:
        """The photo after one edit. The model is not run if nothing changes."""
        return self.edit(face, request)[0] if request.changes else face.photo.original

    def subject(self, name: str, photo: Photo, faces: list[Face], chosen: int) -> Subject:
        """A photo with its chosen face prepared.

        Raises:
            ValueError: that face cannot be edited.
        """
        prepared = self.prepare(photo, faces[chosen] if faces else None, not faces, faces)
        return Subject.with_files(name, photo, faces, chosen, prepared, self.files.new)

    def next_history(self, subject: Subject, history: History | None, controls: Controls) -> History:
        """The history with the edit that the controls ask for; None starts one."""
        edited = self.edited_photo(subject.prepared, subject.request(controls))
        return History.after(history, subject, controls, edited, self.model, self.files.new)

    def save(self, picture: Image.Image, name: str, request: EditRequest) -> str:
        """Write an edited picture whose metadata say so, and return its path."""
        path = self.files.new(name)
        save_photo(picture, path, description=request.note(self.model))
        return path

    def signed(self, path: str, request: EditRequest) -> str:
        """Path of the same picture as it goes out: with content credentials, where a certificate is configured."""
        if self.credentials is None:
            return path
        target = self.files.new(Path(path).name)
        self.credentials.sign(path, target, request.note(self.model))
        return target


def on_gpu(function: Callable) -> Callable:
    """Wrap a function that runs the model for ZeroGPU. Elsewhere it stays as it is."""
    try:
        from spaces import GPU
    except ImportError:
        return function
    return GPU(function)


class Example:
    """The portrait that a visitor sees first: edited once, and kept for every visitor.

    Each visit writes its own files, since Gradio deletes files when they are old.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        self._edited: Image.Image | None = None

    def open(self) -> tuple[Subject, History]:
        """The example as the subject of a new visit, already edited."""
        photo, faces, chosen, prepared = self._face
        studio = self.studio
        subject = Subject.with_files(EXAMPLE.name, photo, faces, chosen, prepared, studio.files.new)
        controls = subject.untouched(INTENSITY)
        history = studio.next_history(subject, None, controls)
        for name, present in EXAMPLE_EDIT.items():
            if name in studio.names:
                controls = controls.toggled(name, present)
        self._edited = self._edited or studio.edited_photo(prepared, subject.request(controls))
        return subject, History.after(history, subject, controls, self._edited, studio.model, studio.files.new)

    def is_subject(self, subject: Subject) -> bool:
        """Whether this is the example, and not a photo that was uploaded under its name."""
        return subject.name == EXAMPLE.name and subject.prepared is self._face[-1]

    @cached_property
    def single_edits(self) -> dict[str, Image.Image]:
        """Attribute name to a thumbnail with that attribute flipped."""
        return self.studio.single_edits(self._face[-1].close_up(THUMBNAIL), INTENSITY)

    @cached_property
    def _face(self) -> tuple[Photo, list[Face], int, PreparedFace]:
        photo = open_photo(EXAMPLE)
        faces, chosen = self.studio.find_faces(photo, False)
        return photo, faces, chosen, self.studio.prepare(photo, faces[chosen], False, faces)
