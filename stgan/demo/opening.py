"""What happens when a visitor opens a photo or chooses one of its faces."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from stgan.demo.example import Example
from stgan.demo.files import DELETED, FRAMED
from stgan.demo.layout import Layout, Values
from stgan.demo.pictures import save_for_page
from stgan.demo.session import INTENSITY, Subject, is_current
from stgan.demo.studio import Studio
from stgan.photo.files import open_photo


@dataclass(frozen=True, eq=False)
class Opening:
    """Listeners that put a face on the page."""

    studio: Studio
    layout: Layout
    example: Example

    def open_photo(self, path: str | None, aligned: bool, view: str) -> Values:
        """A new photo: find its faces, choose the largest, tick what it has, and show it unedited."""
        if path is None:
            return self.layout.empty_values()
        if not Path(path).exists():
            raise gr.Error(DELETED)
        try:
            photo = open_photo(path)
            subject = self.studio.subject(Path(path).name, photo, *self.studio.find_faces(photo, aligned))
            return self._unedited(subject, view)
        except ValueError as error:  # no usable face, or a broken or huge file: the message is for the visitor
            raise gr.Error(str(error), title="This photo cannot be edited") from error

    def choose_face(self, page_key: str, subject: Subject | None, number: int, view: str) -> Values:
        """Another face of the photo."""
        if not is_current(page_key, subject) or number == subject.chosen or number not in range(len(subject.faces)):
            return gr.skip()
        try:
            return self._unedited(self.studio.subject(subject.name, subject.photo, subject.faces, number), view)
        except ValueError as error:
            raise gr.Error(str(error), title="This face cannot be edited") from error

    def click_face(self, page_key: str, subject: Subject | None, event: gr.SelectData) -> int:
        """Number of the face under the pointer, or of the face being edited if there is none."""
        return subject.face_at(*event.index) if is_current(page_key, subject) else gr.skip()

    def restore_photo(self, subject: Subject | None) -> Values:
        """After a photo or face that did not open: the one that the page still holds."""
        if subject is None:
            return {self.layout.photo: None}
        return {self.layout.photo: self._framed(subject), self.layout.face_choice: subject.chosen}

    def open_example(self, view: str) -> Values:
        """The first thing a visitor sees: a portrait, already edited."""
        subject, history = self.example.open()
        return self.layout.visit_values(subject, self._framed(subject), history, view)

    def _unedited(self, subject: Subject, view: str) -> Values:
        history = self.studio.next_history(subject, None, subject.untouched(INTENSITY))
        return self.layout.visit_values(subject, self._framed(subject), history, view)

    def _framed(self, subject: Subject) -> str:
        return save_for_page(subject.framed(), self.studio.files.new(FRAMED))
