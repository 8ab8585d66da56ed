"""The portrait that a visitor sees first: edited once, and kept for every visitor."""

from functools import cached_property
from pathlib import Path

import skimage.data
from PIL import Image

from stgan.demo.session import INTENSITY, THUMBNAIL, History, Subject
from stgan.demo.studio import Studio
from stgan.editor import PreparedFace
from stgan.photo.face import Face
from stgan.photo.files import Photo, open_photo

EXAMPLE = Path(skimage.data.__file__).parent / "astronaut.png"  # public domain; ships with scikit-image
EXAMPLE_EDIT = {"Brown_Hair": True, "Bushy_Eyebrows": True}


class Example:
    """What is slow about the example. Each visit writes its own files, since Gradio deletes files when they are old."""

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
        return photo, faces, chosen, self.studio.prepare(photo, faces[chosen], False)
