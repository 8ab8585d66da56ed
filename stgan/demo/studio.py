"""What all visits share: the editor, run where the GPU is, the name of its model, and the demo's files."""

from collections.abc import Callable, Iterator

from PIL import Image

from stgan.demo.files import DemoFiles
from stgan.demo.request import EditRequest
from stgan.demo.session import Controls, History, Subject, faces_to_edit
from stgan.editor import FaceEditor, PreparedFace
from stgan.photo.face import Face
from stgan.photo.files import Photo, save_photo


class Studio:
    """The object that every callback and endpoint works with.

    Args:
        editor: on the device that it is to run on.
        model: its folder or Hub id, as files and code name it.
        files: where pictures are written.
    """

    def __init__(self, editor: FaceEditor, model: str, files: DemoFiles):
        self.editor, self.model, self.files = editor, model, files
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

    def _prepare(self, photo: Photo, face: int | Face | None, aligned: bool) -> PreparedFace:
        return self.editor.prepare(photo, face=face, aligned=aligned).to("cpu")  # an idle visit holds no GPU memory

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
        prepared = self.prepare(photo, faces[chosen] if faces else None, not faces)
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
        return self.files.signed(path, request.note(self.model))


def on_gpu(function: Callable) -> Callable:
    """Wrap a function that runs the model for ZeroGPU. Elsewhere it stays as it is."""
    try:
        from spaces import GPU
    except ImportError:
        return function
    return GPU(function)
