"""One edit as a visitor asks for it: built from the controls, run by an editor, written in words and in code."""

import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from PIL import Image

from stgan.attributes import excluded_by
from stgan.editor import FaceEditor, Intensity, PreparedFace


@dataclass(frozen=True)
class EditRequest:
    """The arguments of :meth:`stgan.FaceEditor.edit` that describe the change."""

    changes: dict[str, bool] = field(default_factory=dict)
    intensity: Intensity = 1.0
    source: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def from_controls(
        cls, labels: Mapping[str, bool], ticks: Collection[str], intensity: float = 1.0,
        shifts: Mapping[str, float] = MappingProxyType({}),
    ) -> "EditRequest":  # fmt: skip
        """What tick boxes and sliders ask for.

        Args:
            labels: attribute name to whether the face has it.
            ticks: names of the attributes that the face is to have.
            intensity: of every change that a tick asks for.
            shifts: attribute name to att_diff by its own slider: above 0 more of it, below 0 less, whether the face has
                it or not. Zero leaves the attribute to its tick. A shift above 0 reduces what the attribute excludes by
                the same amount. If two such shifts exclude each other, the larger wins.
        """
        shifts = {name: value for name, value in shifts.items() if value}
        for name in sorted(shifts, key=shifts.__getitem__):  # the smaller first
            if any(shifts.get(other, 0) >= shifts[name] > 0 for other in excluded_by(name)):
                del shifts[name]
        strengths, changes, source = {}, {}, {}
        for name, present in labels.items():
            if name not in shifts and present != (name in ticks):
                changes[name], strengths[name] = name in ticks, intensity
        for name, shift in shifts.items():
            changes[name], strengths[name] = shift > 0, abs(shift)
            if labels[name] == changes[name]:  # more of what the face has, or less of what it lacks
                source[name] = not changes[name]
            for other in excluded_by(name) if shift > 0 else ():
                if other not in shifts:
                    changes.pop(other, None)
                    strengths[other] = shift  # the editor clears it
        by_name = {name: round(strengths[name], 2) for name in strengths if name in changes or labels.get(name)}
        same = len(set(by_name.values())) <= 1
        return cls(changes, next(iter(by_name.values()), intensity) if same else by_name, source)

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
        by_name = self.intensity if isinstance(self.intensity, Mapping) else dict.fromkeys(self.changes, self.intensity)
        words = [f"{'+' if wanted else '-'}{name} {by_name.get(name, 1):g}" for name, wanted in self.changes.items()]
        return f"This photo was edited by software (stgan, model {model}): {', '.join(words) or 'unchanged'}"

    def as_python(self, model: str, photo: str, face: int | None = None, aligned: bool = False) -> str:
        """A script that does this edit of a file; ``face`` and ``aligned`` as in :meth:`stgan.FaceEditor.edit`."""
        arguments = [json.dumps(photo), repr(self.changes), f"intensity={self.intensity!r}"]
        arguments += [f"source={self.source!r}"] if self.source else []
        arguments += [] if face is None else [f"face={face}"]
        arguments += ["aligned=True"] if aligned else []
        call = f"editor.edit({', '.join(arguments)})"
        if len(call) > 88:
            call = "editor.edit(\n    " + ",\n    ".join(arguments) + ",\n)"
        return (
            "from stgan import FaceEditor, save_photo\n\n"
            f"editor = FaceEditor.from_pretrained({json.dumps(model)})\n"
            f"edited = {call}\n"
            f'save_photo(edited, "edited.png", description={json.dumps(self.note(model))})\n'
        )

    def as_curl(self, url: str, photo: str, face: int | None = None, aligned: bool = False) -> str:
        """Shell commands that request this edit from a running demo; arguments as for :meth:`as_python`."""
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
