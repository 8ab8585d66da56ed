"""The demo for programs: typed endpoints over HTTP, which are also tools for agents (MCP).

No schema is enforced on what arrives, so each endpoint checks its arguments before the work starts.
"""

import inspect
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like, traverse
from PIL import Image
from starlette.middleware import Middleware

from stgan.attributes import in_a_file_name, truth_of
from stgan.demo.errors import RefusedError, log
from stgan.demo.files import NOT_UPLOADED
from stgan.demo.guard import Guard
from stgan.demo.request import EditRequest
from stgan.demo.studio import Studio
from stgan.demo.tools import Tools
from stgan.demo.turns import take_turns
from stgan.editing.editor import PreparedFace

MOST_FOR_ALL = 25_000_000  # pixels of a photo for `edit_all`, which keeps other visitors waiting
EXAMPLES = {
    "photo": {"path": "me.jpg", "url": "me.jpg", "meta": {"_type": "gradio.FileData"}},
    "changes": {"Eyeglasses": True, "Young": False}, "intensity": 1.0, "source": None, "face": None, "aligned": False,
}  # fmt: skip
"""What the API page shows for each argument."""


class DemoBlocks(gr.Blocks):
    """Blocks whose public endpoints take fewer than all arguments, which log errors in one line and serve in turn."""

    def queue(self, *arguments: Any, **named: Any) -> "DemoBlocks":
        """As in Gradio, but clients take turns."""
        super().queue(*arguments, **named)
        take_turns(self._queue, self.fns.values())
        return self

    def launch(self, *arguments: Any, **named: Any) -> Any:
        """As in Gradio, behind a :class:`stgan.demo.guard.Guard` and with our own server of tools."""
        options = named.get("app_kwargs") or {}
        middleware = [*options.get("middleware", []), Middleware(Guard, self.GRADIO_CACHE)]
        named["app_kwargs"] = options | {"middleware": middleware}
        named.setdefault("enable_monitoring", False)  # it tells everybody how much the demo is used
        return super().launch(*arguments, **named)

    @property  # type: ignore[override]
    def mcp_server_obj(self) -> Tools | None:
        """The server of tools for agents: ours, whenever Gradio sets its own."""
        return self._tools

    @mcp_server_obj.setter
    def mcp_server_obj(self, server: object) -> None:
        self._tools = None if server is None else Tools(self)

    async def process_api(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """As in Gradio; an error of the caller is logged before it is answered."""
        try:
            return await super().process_api(*arguments, **named)
        except RefusedError as error:
            log(error)
            raise

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Append the defaults of missing arguments to ``inputs`` before Gradio counts them, and fetches files."""
        traverse(inputs, _refuse, _is_elsewhere)
        if block_fn.api_visibility == "public":
            parameters = [*inspect.signature(block_fn.fn).parameters.values()][len(inputs) :]
            missing = [each.name for each in parameters if each.default is inspect.Parameter.empty]
            if missing:
                raise RefusedError(f"{missing[0]} is missing. The API page lists the arguments.")
            inputs += [each.default for each in parameters]
        super().validate_inputs(block_fn, inputs)


def _is_elsewhere(value: object) -> bool:
    """Whether it is a file by its address, which Gradio would download."""
    return isinstance(value, dict) and is_http_url_like(value.get("path"))


def _refuse(_: object) -> None:
    raise RefusedError(NOT_UPLOADED)


def add_endpoint(blocks: gr.Blocks, function: Callable, **options: Any) -> None:
    """Make a public endpoint of a function; the API page describes each argument and gives a real example."""
    gr.api(function, **options)
    components: Sequence[Any] = [*blocks.fns.values()][-1].inputs
    for component, (name, text) in zip(components, argument_descriptions(function).items(), strict=True):
        component._api_info = component._api_info | {"additional_description": text}
        component.example_payload = lambda example=EXAMPLES[name]: example


def argument_descriptions(function: Callable) -> dict[str, str]:
    """Argument to its description in the docstring's section "Args", which Gradio reads only to the end of a line."""
    lines = (inspect.getdoc(function) or "").partition("Args:\n")[2].splitlines()
    descriptions: dict[str, str] = {}
    for line in lines:
        if line.startswith(" " * 8):  # goes on
            descriptions[[*descriptions][-1]] += f" {line.strip()}"
        elif line.strip():
            name, _, text = line.strip().partition(": ")
            descriptions[name] = text
    return descriptions


@dataclass(frozen=True, eq=False)
class Endpoints:
    """The public functions; the name of a method is the name of its endpoint and its docstring the description."""

    studio: Studio

    def attributes(self, photo: gr.FileData, face: int | None = None, aligned: bool = False) -> dict[str, float]:
        """Return the probability of each facial attribute in a photo, for all attributes that can be edited.

        Args:
            photo: image file (JPEG, PNG, WebP, TIFF or BMP, up to 50 MB).
            face: number of the face, counted from 0 at the left. Default: the largest that can be edited.
            aligned: treat the whole photo as a face crop like CelebA's, without detecting a face.
        """
        return self._prepared(photo, face, aligned).probabilities

    def edit(
        self,
        photo: gr.FileData,
        changes: dict[str, bool],
        intensity: float | dict[str, float] = 1.0,
        source: dict[str, bool] | None = None,
        face: int | None = None,
        aligned: bool = False,
    ) -> gr.FileData:
        """Edit a face in a photo and return the edited photo as a PNG file of the same size.

        Args:
            photo: image file (JPEG, PNG, WebP, TIFF or BMP, up to 50 MB).
            changes: object of attribute name to requested value, such as {"Eyeglasses": true, "Young": false}.
            intensity: 1 is normal, 2 the maximum; above 1.5 faces look distorted. Or an object of attribute name to
                intensity.
            source: corrections to what the model sees in the photo: object of attribute name to true value.
            face: number of the face, counted from 0 at the left. Default: the largest that can be edited.
            aligned: treat the whole photo as a face crop like CelebA's, without detecting a face.
        """
        changes, source = _labels("changes", changes), _labels("source", source or {})
        _check_intensity(intensity)
        request = EditRequest(changes, intensity, source)
        prepared = self._prepared(photo, face, aligned)
        with _shown_to_caller():
            (edited,) = self.studio.edit(prepared, request)
        changed = edited.info["stgan"].changed
        done = {name: value for name, value in changes.items() if name in changed}  # it claims no more than that
        return self._answer(edited, EditRequest(done, intensity, source), "edited.png")

    def edit_all(
        self, photo: gr.FileData, intensity: float = 1.0, face: int | None = None, aligned: bool = False
    ) -> dict[str, gr.FileData]:
        """Edit each attribute of a face alone, and return one photo for each: added if the face lacks it, else removed.

        Args:
            photo: image file (JPEG, PNG, WebP, TIFF or BMP, up to 50 MB and 25 megapixels).
            intensity: 1 is normal, 2 the maximum; above 1.5 faces look distorted.
            face: number of the face, counted from 0 at the left. Default: the largest that can be edited.
            aligned: treat the whole photo as a face crop like CelebA's, without detecting a face.
        """
        _check_intensity(intensity)
        prepared = self._prepared(photo, face, aligned, MOST_FOR_ALL)
        edits = self.studio.editor.single_edits(prepared)
        requests = {name: EditRequest(changes, intensity) for name, changes in edits.items()}
        photos = self.studio.edit_one_by_one(prepared, *requests.values())  # holds one edited photo in memory at a time
        with _shown_to_caller():
            return {
                name: self._answer(next(photos), request, f"{in_a_file_name(name)}.png")
                for name, request in requests.items()
            }

    def _prepared(self, photo: object, face: object, aligned: object, most_pixels: int | None = None) -> PreparedFace:
        if isinstance(face, bool) or not isinstance(face, int | None):
            raise RefusedError(f"face must be a whole number, counted from 0 at the left, or null; not {_json(face)}.")
        if not isinstance(aligned, bool):
            raise RefusedError(f"aligned must be true or false, without quotes; not {_json(aligned)}.")
        path = self.studio.files.uploaded_path(photo)
        with _shown_to_caller():
            opened = self.studio.photos.open(path)
            height, width = opened.photo.rgb.shape[:2]
            if most_pixels is not None and height * width > most_pixels:
                raise RefusedError(
                    f"Editing every attribute of a photo of {width}x{height} pixels would take minutes. Request single "
                    f"edits from /edit, or send a photo of at most {most_pixels // 1_000_000} megapixels."
                )
            return self.studio.face(opened, face, aligned)[2]

    def _answer(self, edited: Image.Image, request: EditRequest, name: str) -> Any:
        note = request.note(self.studio.model)
        return {
            "path": self.studio.signed(self.studio.save(edited, name, note), note),
            "orig_name": name,
            "mime_type": "image/png",
            "meta": {"_type": "gradio.FileData"},
        }


@contextmanager
def _shown_to_caller() -> Iterator[None]:
    """Bad input is answered with the message of its error."""
    try:
        yield
    except ValueError as error:
        raise RefusedError(str(error)) from error


def _json(value: object) -> str:
    """A value as its caller wrote it; of a long one only the beginning."""
    return _cut(json.dumps(value))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def _labels(argument: str, labels: object) -> dict[str, bool]:
    """An object of true and false; everything else is refused: the text "false" would count as true."""
    rule = f'{argument} must be an object of attribute name to true or false, such as {{"Eyeglasses": true}}'
    if not isinstance(labels, dict):
        raise RefusedError(f"{rule}.")
    for attribute, value in labels.items():
        if truth_of(value) is None:
            raise RefusedError(f"{rule}; {_cut(attribute)} is {_json(value)}: give true or false, without quotes.")
    return {attribute: bool(truth_of(value)) for attribute, value in labels.items()}


def _check_intensity(intensity: object) -> None:
    """Refuse what is not a number: true would count as 1, and "1.2" would fail only after the edit."""
    rule = "intensity must be a number, or an object of attribute name to number"
    for attribute, value in intensity.items() if isinstance(intensity, dict) else [("", intensity)]:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if not abs(number) <= sys.float_info.max:  # no number, NaN, or a whole number too large for a float
            what = f"{_cut(attribute)} is" if isinstance(intensity, dict) else "not"
            raise RefusedError(f"{rule}; {what} {_json(value)}.")
