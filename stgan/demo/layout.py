"""The page: its texts and components, and the values that they show."""

from collections.abc import Collection, Sequence
from typing import Any

import gradio as gr

from stgan.attributes import short_name
from stgan.card import is_celeba
from stgan.demo.session import INTENSITY, Controls, History, Subject, grouped
from stgan.demo.studio import EXAMPLE

FACE_VIEW, PHOTO_VIEW = "Face", "Whole photo"

INTRODUCTION = """
# Edit a face, tick a box

Drop in a photo. The boxes show what the model sees in the face. Tick or untick one to change only that part of the
photo, at full size.
"""

NOTES = """
**Please edit only people who agree to it.** Where you show an edited picture, say that it is edited; its file says so
too.

- **Privacy:** uploads and results stay on this machine and are deleted after about an hour. Nothing is logged.
"""

OF_CELEBA = """
- **Weak:** baldness, most of all on women; pale skin on dark faces and at full strength; blond hair, which can spill
  onto the shoulders; profiles, hats and hands over the face; faces below 100 pixels.
- **Biased:** attributes and their names come from the CelebA dataset: binary gender, "pale skin", and "young" as its
  annotators saw it. Its people are mostly young and light-skinned celebrities, and edits are less reliable on others.
- **Licence:** the weights were trained on CelebA and are for non-commercial research only; the code is MIT.
"""

OF_OTHERS = """
- **Weak:** what is rare in {data}; profiles, hats and hands over the face; faces below 100 pixels.
- **Biased and licensed:** like {data}, on which the weights were trained. The model's card says more; the code is MIT.
"""

CSS = """
.gradio-container { width: 100%; max-width: 1240px !important; margin: auto; }
.gradio-container { overflow: clip !important; }  /* Gradio hides it, which would keep the picture from sticking */
#editor { display: grid; grid-template: "pick see" auto "say see" auto "say more" 1fr / 2fr 3fr; align-items: start; }
#pick { grid-area: pick; } #see { grid-area: see; } #say { grid-area: say; } #more { grid-area: more; }
#see { background: var(--body-background-fill); }
@media (max-width: 720px) {  /* one column, and the picture stays in sight of the boxes that change it */
  #editor { display: flex; flex-direction: column; flex-wrap: nowrap; align-items: stretch; }
  #see { position: sticky; top: 0; z-index: 100; padding-bottom: 6px; }
  #result { height: 36vh !important; }
}
.thumbnails .grid-wrap { max-height: none; min-height: 0; }
.thumbnails .grid-container { grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)) !important; }
.thumbnails .caption-label { font-size: var(--text-xs); padding: 1px 5px; right: 4px; bottom: 4px; }
.thumbnails .caption-label { max-width: calc(100% - 8px); }
#take { align-items: center; }
"""

THUMBNAILS: dict[str, Any] = {
    "elem_classes": "thumbnails", "show_label": False, "allow_preview": False, "interactive": False, "buttons": [],
    "object_fit": "cover", "fit_columns": False, "height": "auto", "format": "jpeg",
}  # fmt: skip

Values = dict[Any, Any]
"""Component to its new value; a listener leaves alone what it does not name."""


class Layout:
    """The components of the page, made inside a ``gr.Blocks``.

    Args:
        datasets: what the model was trained on; empty if it is not known.
        notice: for the top of the page, or "".
        signed: downloads carry content credentials.
    """

    def __init__(self, names: Sequence[str], datasets: Sequence[str], notice: str = "", signed: bool = False):
        self._add_states()
        gr.Markdown(INTRODUCTION)
        if notice:
            gr.Markdown(f"**{notice}**")
        with gr.Row(elem_id="editor"):
            with gr.Column(elem_id="pick", min_width=0):
                self._add_photo()
            with gr.Column(elem_id="see", min_width=0):
                self._add_result()
            with gr.Column(elem_id="say", min_width=0):
                self._add_controls(names)
            with gr.Column(elem_id="more", min_width=0):
                self._add_versions()
                with gr.Tabs():
                    self._add_tabs(names)
        about_data = OF_CELEBA if any(map(is_celeba, datasets)) else OF_OTHERS
        data = " and ".join(datasets) or "the data that its card names"
        gr.Markdown(NOTES + about_data.format(data=data).lstrip("\n"))
        if signed:
            gr.Markdown("Downloads carry signed content credentials (C2PA).")
        self.controls: list[gr.Slider | gr.CheckboxGroup] = [self.intensity, *self.boxes, *self.shifts]
        self.pictures = [self.result, self.history, self.versions]
        self.visit = [self.subject, self.page_key, self.photo, self.face_choice, *self.controls, *self.pictures]

    def _add_states(self) -> None:
        self.subject, self.history = gr.State(time_to_live=3600), gr.State(time_to_live=3600)
        # Ticks without those that a click excluded. `show` does not return the boxes themselves: Gradio keeps a copy of
        # a component each time it is skipped.
        self.resolved_ticks = gr.State()
        self.page_key = gr.Textbox(visible=False)  # `Subject.key` of what the page shows
        self.newest_path = gr.State(str(EXAMPLE))  # of the newest upload, even if it did not open; None: taken off
        self.strip_wanted = gr.State(False)  # whether the visitor has opened that tab: only then is it kept up to date

    def _add_photo(self) -> None:
        self.photo = gr.Image(
            label="Photo", show_label=False, type="filepath", image_mode=None, height=280, format="jpeg",
            sources=["upload", "webcam", "clipboard"], buttons=["fullscreen"], elem_id="photo",
        )  # fmt: skip
        self.example_button = gr.Button("Open the example", size="sm")
        self.face_choice = gr.Radio([], label="Which face", info="Or click it in the photo.", visible=False)

    def _add_result(self) -> None:
        self.result = gr.ImageSlider(
            label="Before and after", type="filepath", interactive=False, height=520, max_height=520,
            buttons=["fullscreen"], elem_id="result",
        )  # fmt: skip
        self.view = gr.Radio([FACE_VIEW, PHOTO_VIEW], value=FACE_VIEW, label="View", show_label=False, container=False)

    def _add_controls(self, names: Sequence[str]) -> None:
        gr.Markdown(
            "The percentages show how sure the model is that the photo has an attribute. Editing does not change them."
        )
        self.boxes = {
            gr.CheckboxGroup(_choices(group), label=heading, interactive=False): group
            for heading, group in grouped(names).items()
        }
        info = "1 is normal, 1.5 is strong."
        self.intensity = gr.Slider(0.0, 1.5, value=INTENSITY, step=0.05, label="Intensity", info=info)
        self.reset_button = gr.Button("Reset to the original", size="sm")
        with gr.Accordion("One slider per attribute", open=False):
            gr.Markdown("At 0 the box decides. Above 0 the face gets more of the attribute, below 0 less.")
            sliders = [gr.Slider(-1.5, 1.5, value=0.0, step=0.05, label=short_name(name)) for name in names]
            self.shifts = dict(zip(sliders, names, strict=True))
        info = "Treat the whole photo as a face crop like CelebA's, without detecting a face."
        self.aligned = gr.Checkbox(label="Already aligned", info=info)

    def _add_versions(self) -> None:
        gr.Markdown("Versions: click one to return to it.")
        self.versions = gr.Gallery(label="Versions", elem_id="versions", **THUMBNAILS)
        with gr.Row(elem_id="take"):
            look: dict[str, Any] = {"show_label": False, "container": False, "min_width": 190}
            title = "Download the edited photo"
            self.download = gr.DownloadButton(title, interactive=False, variant="primary", scale=3)
            self.file_format = gr.Radio(["PNG", "JPEG"], value="JPEG", label="File", **look)

    def _add_tabs(self, names: Sequence[str]) -> None:
        with gr.Tab("All edits at a glance"):
            gr.Markdown("Each picture changes one attribute. Click one to apply the change, and again to undo it.")
            self.gallery = gr.Gallery(label="All edits", elem_id="all-edits", **THUMBNAILS)
        with gr.Tab("One attribute in steps") as self.strip_tab:
            self.attribute = gr.Dropdown(
                _choices(names), value=names[-1], label="Attribute",
                info="Less on the left, more on the right. Click a picture to apply it.",
            )  # fmt: skip
            self.strip = gr.Gallery(label="Steps", elem_id="degrees", **THUMBNAILS)
        with gr.Tab("Animation"):
            self.animate_button = gr.Button("Animate this edit", size="sm")
            self.animation = gr.Image(
                label="From the photo to the edit and back (WebP)", type="filepath", interactive=False, height=400,
                buttons=["download"], format="webp", elem_id="animation",
            )  # fmt: skip
        with gr.Tab("In code"):
            self.python_code = gr.Code(label="This edit in Python", language="python", interactive=False)
            self.curl_code = gr.Code(label="This edit with curl, using this demo", language="shell", interactive=False)

    def ticks_of(self, values: Values) -> list[str]:
        """Attributes whose boxes are ticked, in each group in the order of the clicks."""
        return [name for box in self.boxes for name in values[box]]

    def shifts_of(self, values: Values) -> dict[str, float]:
        """Attribute to the value of its own slider, where that is not 0."""
        return {name: values[slider] for slider, name in self.shifts.items() if values[slider]}

    def control_values(self, controls: Controls) -> Values:
        sliders = {slider: controls.shifts.get(name, 0.0) for slider, name in self.shifts.items()}
        return {self.intensity: controls.intensity} | self.box_values(controls.ticks) | sliders

    def box_values(self, ticks: Collection[str]) -> Values:
        return {box: [name for name in group if name in ticks] for box, group in self.boxes.items()}

    def picture_values(self, subject: Subject, history: History, view: str) -> Values:
        versions = gr.Gallery(value=history.thumbnails(), selected_index=history.current)
        return {self.result: before_and_after(subject, history, view), self.history: history, self.versions: versions}

    def visit_values(self, subject: Subject, framed: str, history: History, view: str) -> Values:
        """Values of :attr:`visit` for a photo that was just opened; ``framed`` is its file with the faces framed."""
        faces = [(f"Face {number + 1}", number) for number in range(len(subject.faces))]
        ticks, probabilities = self.box_values(history.now.controls.ticks), subject.prepared.probabilities
        boxes = {
            box: gr.CheckboxGroup(choices=_choices(group, probabilities), value=ticks[box], interactive=True)
            for box, group in self.boxes.items()
        }
        return {
            self.subject: subject, self.page_key: subject.key, self.photo: framed,
            self.face_choice: gr.Radio(choices=faces, value=subject.chosen, visible=len(faces) > 1),
            **self.control_values(history.now.controls), **boxes, **self.picture_values(subject, history, view),
        }  # fmt: skip

    def empty_values(self) -> Values:
        """Values of :attr:`visit` without a photo. The photo's own component stays: it may hold the next one."""
        emptied: dict[str, Any] = {"value": [], "interactive": False}
        boxes = {box: gr.CheckboxGroup(choices=_choices(group), **emptied) for box, group in self.boxes.items()}
        return {
            self.subject: None, self.page_key: "", self.face_choice: gr.Radio(visible=False),
            **self.control_values(Controls(frozenset(), INTENSITY, {})), **boxes,
            self.result: (None, None), self.history: None, self.versions: gr.Gallery(value=[]),
        }  # fmt: skip


def before_and_after(subject: Subject, history: History, view: str) -> tuple[str, str]:
    """Files of the unedited and the edited picture, of the face or of the whole photo."""
    if view == FACE_VIEW:
        return subject.close_before, history.close_file
    return subject.before, history.file


def _choices(names: Sequence[str], probabilities: dict[str, float] | None = None) -> list[tuple[str, str]]:
    confidence = {name: f"  {value:.0%}" for name, value in (probabilities or {}).items()}
    return [(short_name(name) + confidence.get(name, ""), name) for name in names]
