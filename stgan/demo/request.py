"""One edit of a face as a visitor asks for it: built from sliders, run by an editor, written in words and in code."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from stgan.attributes import excluded_by
from stgan.editing.editor import FaceEditor, Intensity, PreparedFace


@dataclass(frozen=True)
class EditRequest:
    """The arguments of :meth:`stgan.FaceEditor.edit` that describe the change."""

    changes: dict[str, bool] = field(default_factory=dict)
    intensity: Intensity = 1.0
    source: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def from_shifts(cls, labels: Mapping[str, bool], shifts: Mapping[str, float]) -> "EditRequest":
        """What the sliders ask for.

        Args:
            labels: attribute name to whether the face has it.
            shifts: attribute name to att_diff: above 0 more of it, below 0 less, whether the face has it or not. A
                shift above 0 reduces what the attribute excludes by the same amount. If two such shifts exclude each
                other, the larger wins.
        """
        shifts = {name: value for name, value in shifts.items() if value}
        for name in sorted(shifts, key=shifts.__getitem__):  # the smaller first
            if any(shifts.get(other, 0) >= shifts[name] > 0 for other in excluded_by(name)):
                del shifts[name]
        strengths, changes, source = {}, {}, {}
        for name, shift in shifts.items():
            changes[name], strengths[name] = shift > 0, abs(shift)
            if labels[name] == changes[name]:  # more of what the face has, or less of what it lacks
                source[name] = not changes[name]
            for other in excluded_by(name) if shift > 0 else ():
                if other not in shifts:
                    strengths[other] = shift  # the editor clears it
        by_name = {name: round(strengths[name], 2) for name in strengths if name in changes or labels.get(name)}
        same = len(set(by_name.values())) <= 1
        return cls(changes, next(iter(by_name.values()), 1.0) if same else by_name, source)

    def edit(self, editor: FaceEditor, prepared: PreparedFace) -> Image.Image:
        """The photo, edited."""
        return editor.edit(prepared, self.changes, self.intensity, source=self.source)

    def scaled(self, factor: float) -> "EditRequest":
        """The same edit with its intensity multiplied by a factor."""
        if isinstance(self.intensity, Mapping):
            return EditRequest(self.changes, {name: factor * v for name, v in self.intensity.items()}, self.source)
        return EditRequest(self.changes, factor * self.intensity, self.source)

    def note(self, model: str) -> str:
        """The description in an edited file's metadata, with changes such as "+Eyeglasses 1.25, -Young 0.5"."""
        return self.joint_note(model, [self])

    @staticmethod
    def joint_note(model: str, requests: Sequence["EditRequest"]) -> str:
        """The same of a photo with edits of several people, in any number."""
        words = "; ".join(filter(None, (request._words() for request in requests)))
        return f"This photo was edited by software (stgan, model {model}): {words or 'unchanged'}"

    def _words(self) -> str:
        by_name = self.intensity if isinstance(self.intensity, Mapping) else dict.fromkeys(self.changes, self.intensity)
        return ", ".join(
            f"{'+' if wanted else '-'}{name} {by_name.get(name, 1):g}" for name, wanted in self.changes.items()
        )

    @staticmethod
    def as_python(
        requests: Mapping[int, "EditRequest"], model: str, photo: str, many: bool = False, aligned: bool = False
    ) -> str:
        """A script that does these edits of a file.

        Args:
            requests: number of a face to its edit.
            many: the photo has several faces, so that the code must name each.
            aligned: as in :meth:`stgan.FaceEditor.edit`.
        """
        place, opening = json.dumps(photo), ""
        if len(requests) > 1:
            opening, arguments = f"from stgan.photo.files import open_photo\n\nphoto = open_photo({place})", []
            for number, each in requests.items():
                face = f"editor.prepare(photo, face={number})"
                arguments.append(f"({face}, {each.changes!r}, {each.intensity!r}, {each.source!r})")
            call = _call("edited = editor.edit_people([", arguments, "])")
        else:
            number, request = next(iter(requests.items()), (0, EditRequest()))
            arguments = [place, repr(request.changes), f"intensity={request.intensity!r}"]
            arguments += [f"source={request.source!r}"] if request.source else []
            arguments += [f"face={number}"] if many else []
            arguments += ["aligned=True"] if aligned else []
            call = _call("edited = editor.edit(", arguments, ")")
        note = json.dumps(EditRequest.joint_note(model, list(requests.values())))
        return (
            f"from stgan import FaceEditor, save_photo\n{opening}\n"
            f"editor = FaceEditor.from_pretrained({json.dumps(model)})\n{call}\n"
            f'save_photo(edited, "edited.png", description={note})\n'
        )

    def as_curl(self, url: str, photo: str, face: int | None = None, aligned: bool = False) -> str:
        """Shell commands that request this edit from a running demo; ``face`` and ``aligned`` as in
        :meth:`stgan.FaceEditor.edit`."""
        arguments = json.dumps([self.changes, self.intensity, self.source, face, aligned])[1:-1]
        name = photo.replace("\\", "\\\\").replace('"', '\\"')  # quoted for curl: a bare comma or semicolon ends a name
        form = f'files=@"{name}"'.replace("'", "'\\''")
        return (
            f"API={shlex.quote(url.rstrip('/'))}/gradio_api\n"
            f"""PHOTO=$(curl -sSf -F '{form}' $API/upload | cut -d '"' -f 2)\n"""
            f"""DATA='{{"data": [{{"path": "'$PHOTO'", "meta": {{"_type": "gradio.FileData"}}}}, {arguments}]}}'\n"""
            """EVENT=$(curl -sSf $API/call/edit -H 'Content-Type: application/json' -d "$DATA" | cut -d '"' -f 4)\n"""
            """FILE=$(curl -sSfN $API/call/edit/$EVENT | sed -n 's/.*"path": "\\([^"]*\\)".*/\\1/p')\n"""
            """curl -sSf "$API/file=${FILE:?the demo sent no picture}" -o edited.png\n"""
        )


def _call(opening: str, arguments: list[str], end: str) -> str:
    """A call in Python, on one line if it fits."""
    line = f"{opening}{', '.join(arguments)}{end}"
    return line if len(line) <= 97 else f"{opening}\n    " + ",\n    ".join(arguments) + f",\n{end}"
