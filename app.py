"""The demo: upload a photo, tick attributes, get the same photo back with the face changed.

Run it with ``python app.py``. The model is ``STGAN_MODEL`` (a folder or Hub id), or the one bundled with the project.
"""

import os
import tempfile
from pathlib import Path

import gradio as gr
import skimage.data
from PIL import Image

from stgan import FaceEditor
from stgan.attributes import resolve_ticks
from stgan.editor import PreparedFace, default_model
from stgan.figures import short_name
from stgan.photos import save_photo

MAX_UPLOAD = "50mb"
EXAMPLE = Path(skimage.data.__file__).parent / "astronaut.png"  # public domain; ships with scikit-image
EXAMPLE_EDIT = {"Brown_Hair": True}
INTENSITY = 1.25  # a little more than the model was trained for: plainly visible, still the same person

INTRODUCTION = """
# Edit a face, tick a box

Upload a photo of a face. The boxes show what the model sees in it: tick or untick one and the photo changes, at its
full size, and only there.
"""

NOTES = """
**Please edit only people who agree to it.** Uploads stay on this machine and are deleted within the hour. The names of
the attributes, binary gender among them, are those of the CelebA dataset, and so are its biases: mostly young, mostly
light-skinned celebrities. Edits are weaker and less reliable on other faces, on profiles, and under hats or hands.
The weights are for non-commercial research only.
"""

CSS = """
.gradio-container { max-width: 1180px !important; margin: auto; }
#attributes .wrap { gap: 8px; }
"""

editor = FaceEditor.from_pretrained(default_model())
choices = [(short_name(name), name) for name in editor.names]


def open_photo(path: str | None):
    """A new photo: find its face, tick what it has, and show it unedited."""
    if path is None:
        return None, gr.CheckboxGroup(value=[], interactive=False), [], None, gr.DownloadButton(interactive=False)
    face = _prepare(path)
    ticks = [name for name, present in face.label_dict().items() if present]
    return (
        face,
        gr.CheckboxGroup(choices=_with_confidence(face), value=ticks, interactive=True),
        ticks,
        *_show(face, ticks, INTENSITY),
    )


def open_example():
    """The page's first sight: a portrait already edited."""
    face, boxes, ticks, _, _ = open_photo(str(EXAMPLE))
    edited = resolve_ticks(ticks, [*(name for name in ticks if EXAMPLE_EDIT.get(name, True)), *_added(ticks)])
    boxes = gr.CheckboxGroup(choices=_with_confidence(face), value=edited, interactive=True)
    return str(EXAMPLE), face, boxes, edited, *_show(face, edited, INTENSITY)


def change_ticks(face: PreparedFace | None, previous: list[str], ticked: list[str], intensity: float):
    """A box was ticked or unticked: clear what it excludes, edit, show."""
    if face is None:
        raise gr.Error("Upload a photo first.")
    ticks = resolve_ticks(previous, ticked)
    return ticks, ticks, *_show(face, ticks, intensity)


def change_intensity(face: PreparedFace | None, ticks: list[str], intensity: float):
    """The slider was moved: the same edit, stronger or weaker."""
    return _show(face, ticks, intensity) if face else (None, gr.DownloadButton(interactive=False))


def attributes(photo: gr.FileData) -> dict[str, float]:
    """Probability of each editable attribute in the photo's first face from the left.

    Args:
        photo: image file.
    """
    return _prepare(photo["path"]).probabilities


def edit(photo: gr.FileData, changes: dict[str, bool], intensity: float = 1.0) -> str:
    """Edit the photo's first face from the left and return the edited file, at the photo's own size.

    Args:
        photo: image file.
        changes: attribute name to wanted value, such as {"Eyeglasses": true}.
        intensity: 1 is as trained, up to 1.5 is stronger.
    """
    face = _prepare(photo["path"])
    try:
        return _save(face, editor.edit(face, changes, intensity), changes, intensity)
    except ValueError as error:
        raise gr.Error(str(error)) from error


def _prepare(path: str) -> PreparedFace:
    try:
        return editor.prepare(path)
    except ValueError as error:  # no face, broken or huge file: the message is for the person
        raise gr.Error(str(error)) from error


def _show(
    face: PreparedFace, ticks: list[str], intensity: float
) -> tuple[tuple[Image.Image, Image.Image], gr.DownloadButton]:
    """Before and after, and the file to take away."""
    changes = {name: name in ticks for name, present in face.label_dict().items() if present != (name in ticks)}
    edited = editor.edit(face, changes, intensity)
    path = _save(face, edited, changes, intensity)
    before = Image.fromarray(face.photo.rgb)
    return (before, edited.convert("RGB")), gr.DownloadButton(value=path, interactive=True)


def _save(face: PreparedFace, edited: Image.Image, changes: dict[str, bool], intensity: float) -> str:
    """A file whose metadata says what was done to it."""
    asked = ", ".join(f"{'+' if value else '-'}{name}" for name, value in changes.items()) or "unchanged"
    path = Path(tempfile.mkdtemp()) / "edited.png"
    save_photo(edited, path, description=f"Edited with stgan: {asked}; intensity {intensity:g}")
    return str(path)


def _with_confidence(face: PreparedFace) -> list[tuple[str, str]]:
    return [(f"{short_name(name)}  {share:.0%}", name) for name, share in face.probabilities.items()]


def _added(ticks: list[str]) -> list[str]:
    return [name for name, value in EXAMPLE_EDIT.items() if value and name not in ticks]


with gr.Blocks(title="STGAN: edit a face, tick a box", delete_cache=(600, 3600)) as demo:
    face_state, ticks_state = gr.State(time_to_live=3600), gr.State([])
    gr.Markdown(INTRODUCTION)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            photo = gr.Image(
                label="Photo", type="filepath", sources=["upload", "webcam", "clipboard"], height=300, format="png"
            )
            boxes = gr.CheckboxGroup(
                choices, label="Attributes", info="How sure the model is that the photo has it.", elem_id="attributes",
                interactive=False,
            )  # fmt: skip
            strength = gr.Slider(
                0.0, 1.5, value=INTENSITY, step=0.05, label="Intensity", info="1 is what the model was trained for."
            )
        with gr.Column(scale=3, min_width=320):
            slider = gr.ImageSlider(label="Before and after", type="pil", interactive=False, height=560, max_height=560)
            download = gr.DownloadButton("Download the edited photo", interactive=False)
    gr.Markdown(NOTES)

    shown = [slider, download]
    newest = {"trigger_mode": "always_last", "api_visibility": "private"}  # the latest click wins
    demo.load(open_example, None, [photo, face_state, boxes, ticks_state, *shown], api_visibility="private")
    photo.input(open_photo, photo, [face_state, boxes, ticks_state, *shown], api_visibility="private")
    boxes.input(change_ticks, [face_state, ticks_state, boxes, strength], [boxes, ticks_state, *shown], **newest)
    strength.input(change_intensity, [face_state, ticks_state, strength], shown, show_progress="minimal", **newest)
    gr.api(attributes, api_name="attributes")
    gr.api(edit, api_name="edit")


if __name__ == "__main__":
    demo.queue(default_concurrency_limit=1, max_size=32).launch(
        server_port=int(os.environ.get("STGAN_PORT", os.environ.get("GRADIO_SERVER_PORT", 7860))),
        theme=gr.themes.Soft(primary_hue="indigo"),
        css=CSS,
        max_file_size=MAX_UPLOAD,
        allowed_paths=[str(EXAMPLE)],
        show_error=True,
    )
