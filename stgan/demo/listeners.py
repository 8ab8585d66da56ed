"""What happens when a visitor opens a photo, sets a control, or asks for a gallery, an animation or a file.

The tick boxes and sliders say everything about an edit. A click on a gallery or an earlier version sets only them, and
:meth:`Listeners.show` alone makes the picture.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from stgan.attributes import caption, short_name
from stgan.demo.files import DELETED, FRAMED
from stgan.demo.layout import Layout, Values, before_and_after
from stgan.demo.pictures import save_animation, save_for_page
from stgan.demo.session import INTENSITY, History, Subject, is_current
from stgan.demo.studio import Example, Studio
from stgan.photo.files import open_photo

DEGREES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # of one attribute, in the strip
ANIMATION_SIDE = 400  # pixels
ANIMATION_FRAMES = 12

Captioned = list[tuple[Image.Image, str]]


@dataclass(frozen=True, eq=False)
class Listeners:
    """The functions that Gradio calls, each with the values of its inputs."""

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
        if not is_current(subject, page_key) or number == subject.chosen or number not in range(len(subject.faces)):
            return gr.skip()
        try:
            return self._unedited(self.studio.subject(subject.name, subject.photo, subject.faces, number), view)
        except ValueError as error:
            raise gr.Error(str(error), title="This face cannot be edited") from error

    def click_face(self, page_key: str, subject: Subject | None, event: gr.SelectData) -> int | dict[str, Any]:
        """Number of the face under the pointer, or of the face being edited if there is none."""
        return subject.face_at(*event.index) if is_current(subject, page_key) else gr.skip()

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

    def show(self, values: Values) -> Values:
        """The picture after a change of the controls; a new tick clears what it excludes."""
        layout = self.layout
        subject, history, ticks = values[layout.subject], values[layout.history], layout.ticks_of(values)
        if subject is not None and not is_current(subject, values[layout.page_key]):
            return gr.skip()  # a click on the boxes of the photo before this one
        if subject is None or history is None:
            if ticks:
                raise gr.Error(DELETED)
            return gr.skip()
        current = history.now.controls
        sliders = {"intensity": values[layout.intensity], "shifts": layout.shifts_of(values)}
        controls = replace(current.with_ticks(ticks), **sliders)
        answer: Values = {}
        cleared = [short_name(name) for name in ticks if name not in controls.ticks]
        if cleared:
            gr.Info(f"Unticked {' and '.join(cleared)}: it cannot be combined with your choice.", duration=4)
            answer[layout.resolved_ticks] = (time.monotonic(), controls.ticks)  # the time makes each a new value
        if controls != current:
            history = self.studio.next_history(subject, history, controls)
            answer |= layout.picture_values(subject, history, values[layout.view])
        return answer or gr.skip()

    def untick(self, resolved_ticks: tuple[float, Collection[str]]) -> Values:
        """The boxes without what gave way."""
        return self.layout.box_values(resolved_ticks[1])

    def look(self, subject: Subject | None, history: History | None, view: str) -> tuple[str, str] | dict[str, Any]:
        """Before and after, in another view."""
        return gr.skip() if subject is None or history is None else before_and_after(subject, history, view)

    def apply_single(
        self, page_key: str, subject: Subject | None, history: History | None, event: gr.SelectData
    ) -> Values:
        """A click in the gallery: change its attribute, or change it back if it is changed already."""
        if history is None or not is_current(subject, page_key):
            return gr.skip()
        name = self.studio.names[event.index]
        present = name not in history.unedited.controls.ticks
        return self.layout.box_values(history.now.controls.toggled(name, present).ticks)

    def apply_degree(self, values: Values, event: gr.SelectData) -> Values:
        """A click in the strip: set its attribute's own slider."""
        chosen = values[self.layout.attribute]
        shifts = self.layout.shifts.items()
        return {slider: DEGREES[event.index] if name == chosen else values[slider] for slider, name in shifts}

    def go_back(self, page_key: str, subject: Subject | None, history: History | None, event: gr.SelectData) -> Values:
        """A click on a version: set every control as it was."""
        if history is None or not is_current(subject, page_key):  # the photo before this one may have had more versions
            return gr.skip()
        return self.layout.control_values(history.versions[event.index].controls)

    def reset(self, page_key: str, subject: Subject | None, history: History | None) -> Values:
        """Set every control as in the photo."""
        if history is None or not is_current(subject, page_key):
            return gr.skip()
        return self.layout.control_values(history.unedited.controls)

    def all_edits(self, subject: Subject | None) -> Captioned:
        """Every single edit of this face, from one encoding."""
        if subject is None:
            return []
        is_example = self.example.is_subject(subject)
        edits = self.example.single_edits if is_example else self.studio.single_edits(subject.small, INTENSITY)
        return [(picture, caption(name, not subject.labels[name])) for name, picture in edits.items()]

    def by_degrees(self, subject: Subject | None, attribute: str) -> Captioned:
        """One attribute from less to more."""
        if subject is None:
            return []
        untouched = subject.untouched(1.0)
        requests = [subject.request(replace(untouched, shifts={attribute: degree})) for degree in DEGREES]
        pictures = self.studio.edit(subject.small, *requests)
        return [(picture, f"{degree:+g}" if degree else "0") for degree, picture in zip(DEGREES, pictures, strict=True)]

    def replace_previous(self, subject: Subject | None, attribute: str, strip_wanted: bool) -> Values:
        """The strip and the animation of a new subject: neither shows the one before."""
        strip = self.by_degrees(subject, attribute) if strip_wanted else []
        return {self.layout.strip: strip, self.layout.animation: None}

    def animate(self, subject: Subject | None, history: History | None) -> str:
        """An animation from the photo to the edit and back."""
        if subject is None or history is None:
            raise gr.Error("Upload a photo first.")
        edit = history.now.request
        if not edit.changes:
            raise gr.Error("There is no edit to animate yet: tick a box first.")
        steps = [edit.scaled(number / (ANIMATION_FRAMES - 1)) for number in range(ANIMATION_FRAMES)]
        path = self.studio.files.new("edit.webp")
        frames = self.studio.edit(subject.prepared.close_up(ANIMATION_SIDE), *steps)
        save_animation(frames, path, edit.note(self.studio.model))
        return self.studio.signed(path, edit)

    def offer(self, subject: Subject | None, history: History | None, file_format: str, request: gr.Request) -> Values:
        """The edited photo as a file, and the code that makes it again."""
        layout, studio = self.layout, self.studio
        if subject is None or history is None:
            return {layout.download: gr.DownloadButton(interactive=False), layout.python_code: "", layout.curl_code: ""}
        edit, path = history.now.request, history.file
        if file_format == "PNG":
            edited = studio.edited_photo(subject.prepared, edit)
            path = studio.save(edited, Path(path).with_suffix(".png").name, edit)
        url = request.headers.get("origin") or f"http://{request.headers.get('host', '127.0.0.1:7860')}"
        place = subject.chosen if len(subject.faces) > 1 else None, not subject.faces
        return {
            layout.download: gr.DownloadButton(value=studio.signed(path, edit), interactive=True),
            layout.python_code: edit.as_python(studio.model, subject.name, *place),
            layout.curl_code: edit.as_curl(url, subject.name, *place),
        }
