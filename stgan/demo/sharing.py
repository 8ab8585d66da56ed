"""What a visitor takes away: the edited photo, pictures and clips to share, several edited photos, and code."""

import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from stgan.demo.errors import RefusedError
from stgan.demo.layout import MOST_PHOTOS, Layout, Values
from stgan.demo.listeners import with_toasts
from stgan.demo.markup import address
from stgan.demo.pictures import save_animation, save_for_page, tile
from stgan.demo.request import EditRequest
from stgan.demo.session import EVERYONE, Shifts, Visit
from stgan.demo.studio import Studio
from stgan.photo.files import open_photo

CLIP_SIDE = 400  # pixels
CLIP_FRAMES = 12
TILE_SIDE = 540  # pixels, of each of the two pictures
PROGRESS = gr.Progress()  # a default of this kind makes Gradio show the progress
UNEDITED = "Nothing is changed yet: pick a look or move a slider first."


@dataclass(frozen=True, eq=False)
class Sharing:
    """The functions that Gradio calls for what leaves the page."""

    studio: Studio
    layout: Layout

    def offer(self, visit: Visit | None, file_format: str, request: gr.Request) -> Values:
        """What follows every edit: the edited photo as a file, the link and the code."""
        layout, studio = self.layout, self.studio
        if visit is None:
            return gr.skip()
        subject, edits = visit.subject, visit.edits
        note, path = studio.note(subject, edits), visit.file
        if file_format == "PNG" and edits:
            path = studio.save(studio.edited_photo(subject, edits), Path(path).with_suffix(".png").name, note)
        url, ready = _address_of(request, studio.files.blocks.root_path), studio.signed(path, note) if edits else None
        return {
            layout.download: gr.DownloadButton(value=ready, interactive=bool(edits)),
            layout.link: f"{url}/?{visit.query()}" if edits else "",
            layout.code: self._code(visit, url), layout.is_edited: bool(edits),
        }  # fmt: skip

    def enable(self, is_edited: bool) -> list[dict[str, Any]]:
        """Sharing is offered once there is something to share."""
        return [gr.update(interactive=is_edited) for _ in self.layout.share_buttons]

    @with_toasts
    def share(self, visit: Visit | None, kind: str) -> Values:
        """A picture or clip of this edit: its preview and its file."""
        if visit is None or not visit.edits:
            gr.Info(visit.language(UNEDITED) if visit else UNEDITED)
            return gr.skip()
        note = self.studio.note(visit.subject, visit.edits)
        if kind in ("tile", "grid"):
            picture = self._tile(visit) if kind == "tile" else self._grid(visit)
            path = save_for_page(picture, self.studio.files.new(f"{Path(visit.subject.name).stem}-{kind}.jpg"), note)
        else:
            path = self.studio.files.new(f"{Path(visit.subject.name).stem}-edit.{kind}")
            save_animation(self._frames(visit), path, note)
        path, alt = self.studio.signed(path, note), escape(visit.alt())
        preview = f'<img src="{escape(address(path))}" alt="{alt}">'
        if kind == "mp4":
            preview = f'<video src="{escape(address(path))}" aria-label="{alt}" controls loop autoplay muted></video>'
        return {self.layout.preview: preview, self.layout.share_file: gr.DownloadButton(value=path, interactive=True)}

    def _tile(self, visit: Visit) -> Image.Image:
        close = visit.chosen != EVERYONE
        files = (
            (visit.subject.close_before[visit.face], visit.close_file) if close else (visit.subject.before, visit.file)
        )
        captions = [visit.language("Before"), visit.language("After")]
        return tile(_opened(*files), captions, " · ".join(visit.words()), columns=2, side=TILE_SIDE)

    def _grid(self, visit: Visit) -> Image.Image:
        captions = [caption for _, caption in visit.thumbnails()]
        pictures = [version.thumbnail for version in visit.versions]
        columns = min(4, max(2, round(len(pictures) ** 0.5 + 0.3)))
        return tile(pictures, captions, "stgan", columns=columns, side=320)

    def _frames(self, visit: Visit) -> list[Image.Image]:
        """The chosen face, or if it is not edited the first one that is, on its way from the photo to the edit."""
        number = visit.face if visit.face in visit.edits else next(iter(visit.edits))
        edit = visit.subject.request(number, visit.edits[number])
        steps = [edit.scaled(step / (CLIP_FRAMES - 1)) for step in range(CLIP_FRAMES)]
        return self.studio.edit(visit.subject.prepared[number].close_up(CLIP_SIDE), *steps)

    @with_toasts
    def edit_photos(self, visit: Visit | None, files: list[dict] | None, progress: gr.Progress = PROGRESS) -> Values:
        """The edit on the page for several photos, as a ZIP."""
        if visit is None:
            raise RefusedError(UNEDITED)
        language = visit.language
        if not visit.edits or not files:
            raise RefusedError(language("Choose photos first." if visit.edits else UNEDITED))
        if len(files) > MOST_PHOTOS:
            gr.Info(language("Only the first {number} photos are edited.", number=MOST_PHOTOS))
        shifts: Shifts = visit.shifts or next(iter(visit.edits.values()))
        problems: list[str] = []
        archive = self.studio.files.new("edited-photos.zip")
        with zipfile.ZipFile(archive, "w") as target:  # pictures are compressed already
            for number, file in enumerate(progress.tqdm(files[:MOST_PHOTOS]), 1):
                name = Path(file["path"]).name
                try:
                    edited = self._edit_photo(self.studio.files.uploaded_path(file), shifts, visit)
                    target.write(edited, f"{number:02}-{Path(edited).name}")
                except (ValueError, RefusedError) as error:
                    problems.append(f"{name}: {getattr(error, 'message', error)}")
            if problems:
                target.writestr("problems.txt", "\n".join(problems) + "\n")
        if len(problems) == min(len(files), MOST_PHOTOS):
            raise RefusedError(f"{language('No photo could be edited.')} {problems[0]}")
        if problems:
            text = "{number} photos could not be edited; problems.txt in the ZIP says why."
            gr.Warning(language(text, number=len(problems)), title="")
        return {self.layout.batch: gr.DownloadButton(value=archive, interactive=True)}

    def _edit_photo(self, path: str, shifts, visit: Visit) -> str:
        _, _, prepared = self.studio.face(self.studio.photos.open(path))
        request = EditRequest.from_shifts(prepared.label_dict(), shifts)
        (edited,) = self.studio.edit(prepared, request)
        note = request.note(self.studio.model)
        written = self.studio.save(edited, f"{Path(path).stem}-edited.jpg", note)
        return self.studio.signed(written, note)

    def _code(self, visit: Visit, url: str) -> str:
        """This edit in Python and with curl, for each person after the other."""
        subject = visit.subject
        requests = {number: subject.request(number, shifts) for number, shifts in visit.edits.items()}
        name, many, aligned = subject.name, len(subject.faces) > 1, not subject.faces
        curl = []
        for place, (number, request) in enumerate(requests.items()):
            curl.append(request.as_curl(url, "edited.png" if place else name, number if many else None, aligned))
        python = EditRequest.as_python(requests, self.studio.model, name, many, aligned)
        install = "pip install -e '.[app]'  # in a checkout of stgan"
        return f"```shell\n{install}\n```\n```python\n{python}```\n```shell\n{''.join(curl)}```"


def _address_of(request: gr.Request, root_path: str) -> str:
    """Where the visitor's browser has the page, also behind a proxy that serves it under a path of its own."""
    if root_path.startswith(("http://", "https://")):
        return root_path.rstrip("/")
    origin = request.headers.get("origin") or f"http://{request.headers.get('host', '127.0.0.1:7860')}"
    return f"{origin}{root_path.rstrip('/')}"


def _opened(*files: str) -> list[Image.Image]:
    """Pictures as sRGB."""
    return [Image.fromarray(open_photo(file).rgb) for file in files]
