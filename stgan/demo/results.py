"""What a visitor looks at and takes away: galleries, an animation, the edited photo and the code for it."""

from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
from PIL import Image

from stgan.attributes import caption
from stgan.demo.editing import DEGREES
from stgan.demo.example import Example
from stgan.demo.layout import Layout, Values
from stgan.demo.pictures import save_animation
from stgan.demo.session import INTENSITY, History, Subject
from stgan.demo.studio import Studio

ANIMATION_SIDE = 400  # pixels
ANIMATION_FRAMES = 12

Captioned = list[tuple[Image.Image, str]]


@dataclass(frozen=True, eq=False)
class Results:
    """Listeners that fill the galleries, the animation and the download."""

    studio: Studio
    layout: Layout
    example: Example

    def all_edits(self, subject: Subject | None) -> Captioned:
        """Every single edit of this face, from one encoding."""
        if subject is None:
            return []
        if self.example.is_subject(subject):
            edits = self.example.single_edits
        else:
            edits = self.studio.single_edits(subject.small, INTENSITY)
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
            raise gr.Error("Nothing is changed yet: tick a box first.")
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
