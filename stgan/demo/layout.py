"""The page: its texts and components, and the values that they show."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from PIL import Image

from stgan.attributes import facts_of, scale_in_words
from stgan.card import is_celeba
from stgan.demo.markup import COMPARE_JS, REPAIRS_JS, TILES_JS, Tile, compare, tiles
from stgan.demo.pictures import data_uri, face_thumbnail
from stgan.demo.session import EVERYONE, MOST_PEOPLE, STRONGEST, THUMBNAIL, Shifts, Visit, in_order
from stgan.demo.words import I18N as t

INTRODUCTION = "Change hair, glasses, beard or age in your photo. Everything else stays, at full size."
SCALE = "From less on the left to more on the right. 0: as it is, 1: normal, 1.5: strong (may look unnatural)."
MOST_PHOTOS = 20  # edited at once; the hint beside them says so too

CONSENT = (
    "**Please edit only people who agree to it.** Photos are processed on this server and deleted after about an hour."
)

NOTES = """
- **How:** [STGAN](https://arxiv.org/abs/1904.09709) redraws the face, and only the change is put into your photo.
- **Honesty:** where you show an edited picture, say that it is edited; its file says so too.
- **Privacy:** photos are not logged. Your browser remembers the last edit, so that a reload keeps it.
- **Limits:** files up to 50 MB and 100 megapixels; {photos} photos at once; the {people} largest faces together.
"""

OF_CELEBA = """
- **Weak:** bald heads where hair is long; bangs over curls; blond hair, which can spill onto the shoulders; profiles,
  hats and hands over the face; faces below 100 pixels.
- **Biased:** attributes and their names come from the CelebA dataset: binary gender, "pale skin", and "young" as its
  annotators saw it. Its people are mostly young and light-skinned celebrities, and edits are less reliable on others.
- **Licence:** the weights were trained on CelebA and are for non-commercial research only; the code is MIT.
"""

OF_OTHERS = """
- **Weak:** what is rare in {data}; profiles, hats and hands over the face; faces below 100 pixels.
- **Biased and licensed:** like {data}, on which the weights were trained. The model's card says more; the code is MIT.
"""

SHARE_KINDS = {
    "tile": "Before and after", "grid": "Grid of versions", "webp": "Animation (WebP)", "gif": "Animation (GIF)",
    "mp4": "Video (MP4)",
}  # fmt: skip
"""Button to the word on it."""

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
        gr.Markdown(t("# Edit a face"), elem_id="title")
        gr.Markdown(t(INTRODUCTION), elem_id="intro")
        if notice:
            gr.Markdown(f"**{notice}**")
        with gr.Row(elem_id="editor"):
            with gr.Column(elem_id="left"):
                self._add_result()
            with gr.Column(elem_id="say"):
                self._add_photo()
                with gr.Tabs():
                    self._add_edit_tab(names)
                    self._add_changes_tab(names)
                    self._add_share_tab()
                    self._add_more_tab()
        self._add_notes(datasets, signed)
        self.after_edit = [self.visit, self.state_key, self.stored, self.result, self.versions, *self.shared]
        """What follows every edit."""
        self.page = [*self.after_edit, self.page_key, self.face_key, self.people, *self.shifts]
        """Everything that an opened photo or an edit may set."""

    def _add_states(self) -> None:
        self.visit = gr.State(time_to_live=3600)
        self.page_key = gr.Textbox(visible=False)  # `Visit.page_key` of what the page shows
        # The galleries, the files and the stored work follow these keys, and only when they change.
        self.face_key, self.state_key = gr.State(), gr.State()
        # Shifts after some gave way. `show` does not return the sliders themselves: Gradio keeps a copy of a component
        # each time it is skipped.
        self.resolved = gr.State()
        self.newest_path = gr.State()  # of the newest upload
        self.is_edited = gr.State(False)
        self.changes_wanted = gr.State(False)  # whether the visitor has opened that tab: only then is it filled
        self.stored = gr.BrowserState(None, storage_key="stgan-work")

    def _add_result(self) -> None:
        with gr.Column(elem_id="see"):
            self.result = gr.HTML(elem_id="result", js_on_load=COMPARE_JS + REPAIRS_JS)
            self.whole = gr.Checkbox(label=t("Show the whole photo"), container=False)
        with gr.Column(elem_id="keep"):
            gr.Markdown(t("Versions: click one to return to it."), elem_classes="hint")
            self.versions = gr.HTML(elem_id="versions", elem_classes=["tiles", "strip"], js_on_load=TILES_JS)
            with gr.Row(elem_id="take"):
                title = t("Download the edited photo")
                self.download = _download_button(title, scale=3)
                self.file_format = gr.Radio(
                    ["JPEG", "PNG"], value="JPEG", label=t("File"), show_label=False, container=False, scale=1
                )

    def _add_photo(self) -> None:
        with gr.Row(elem_id="start"):
            self.photo = gr.Image(
                label=t("Open a photo"), show_label=False, type="filepath", image_mode=None, height=112, format="jpeg",
                sources=["upload", "webcam", "clipboard"], buttons=[], elem_id="photo",
                placeholder=t("Choose a photo, or drop it here"),  # type: ignore[arg-type]  # Gradio translates it all the same
            )  # fmt: skip
        self.people = gr.HTML(elem_id="people", elem_classes=["tiles", "strip"], js_on_load=TILES_JS)

    def _add_edit_tab(self, names: Sequence[str]) -> None:
        with gr.Tab(t("Edit")):
            gr.Markdown(t("Looks: several edits with one click."), elem_classes="hint")
            self.looks = gr.HTML(elem_id="looks", elem_classes=["tiles", "strip"], js_on_load=TILES_JS)
            with gr.Row(elem_id="gestures"):
                self.surprise_button = gr.Button(t("Surprise me"), size="sm", variant="primary", min_width=100)
                self.undo_button = gr.Button(t("Undo all edits"), size="sm", min_width=100)
                self.example_button = gr.Button(t("Open the example"), size="sm", min_width=100)
            gr.Markdown(t(SCALE), elem_classes="hint")
            with gr.Group(elem_id="sliders"):
                self.shifts = {
                    gr.Slider(-STRONGEST, STRONGEST, value=0.0, step=0.05, label=t(scale_in_words(name))): name
                    for name in in_order(names)
                }

    def _add_changes_tab(self, names: Sequence[str]) -> None:
        with gr.Tab(t("Every change")) as self.changes_tab:
            hint = "Each picture changes one thing. Click one to apply the change, and again to undo it."
            gr.Markdown(t(hint), elem_classes="hint")
            self.changes = gr.HTML(elem_id="all-edits", elem_classes="tiles", js_on_load=TILES_JS)
            with gr.Accordion(t("Compare strengths"), open=False):
                choices = [(scale_in_words(name), name) for name in in_order(names)]
                self.attribute = gr.Dropdown(choices, value=names[-1], label=t("Attribute"), filterable=False)
                self.compare_button = gr.Button(t("Show"), size="sm")
                self.strengths = gr.HTML(elem_id="strengths", elem_classes="tiles", js_on_load=TILES_JS)
            with gr.Accordion(t("What the model sees"), open=False):
                self.seen = gr.HTML(elem_id="seen")

    def _add_share_tab(self) -> None:
        with gr.Tab(t("Share")):
            gr.Markdown(t("A picture or a clip to send, with what was changed."), elem_classes="hint")
            with gr.Row(elem_id="kinds"):
                self.share_buttons = {
                    kind: gr.Button(t(word), size="sm", interactive=False, min_width=100)
                    for kind, word in SHARE_KINDS.items()
                }
            self.preview = gr.HTML(elem_id="shared")
            self.share_file = _download_button(t("Download the file"))
            self.link = gr.Textbox(
                label=t("Link to this edit (without the photo)"), interactive=False, buttons=["copy"], elem_id="link"
            )
        self.shared = [self.preview, self.share_file]

    def _add_more_tab(self) -> None:
        with gr.Tab(t("More")):
            with gr.Accordion(t("Several photos"), open=False):
                hint = f"Up to {MOST_PHOTOS} photos get the edit that is on the page, on the largest face of each."
                gr.Markdown(t(hint), elem_classes="hint")
                self.photos = gr.File(
                    label=t("Photos"), file_count="multiple", file_types=["image"], height=140, elem_id="photos"
                )
                self.batch_button = gr.Button(t("Edit them all"), size="sm")
                self.batch = _download_button(t("Edited photos (ZIP)"))
            with gr.Accordion(t("In code"), open=False):
                self.code = gr.Markdown(elem_id="code")
            with gr.Accordion(t("Advanced"), open=False):
                label = "Skip face detection (the photo is already a tight face crop)"
                self.aligned = gr.Checkbox(label=t(label), container=False)

    def _add_notes(self, datasets: Sequence[str], signed: bool) -> None:
        gr.Markdown(t(CONSENT), elem_classes="hint")
        with gr.Accordion(t("About"), open=False):
            about_data = OF_CELEBA if any(map(is_celeba, datasets)) else OF_OTHERS
            data = " and ".join(datasets) or "the data that its card names"
            gr.Markdown(
                NOTES.format(photos=MOST_PHOTOS, people=MOST_PEOPLE) + about_data.format(data=data).lstrip("\n")
            )
            if signed:
                gr.Markdown("Downloads carry signed content credentials (C2PA).")

    def shifts_of(self, values: Values) -> dict[str, float]:
        """Attribute to the shift that its slider asks for, where that is not 0."""
        return {name: _sign(name) * values[slider] for slider, name in self.shifts.items() if values[slider]}

    def slider_values(self, shifts: Shifts) -> Values:
        """Values of the sliders that show these shifts."""
        return {slider: _sign(name) * shifts.get(name, 0.0) + 0.0 for slider, name in self.shifts.items()}

    def picture_values(self, visit: Visit, whole: bool) -> Values:
        """Values that follow every edit."""
        pressed = visit.current
        rows = [Tile(*each, number == pressed) for number, each in enumerate(visit.thumbnails())]
        return {
            self.visit: visit, self.state_key: visit.state_key, self.result: picture_of(visit, whole),
            self.versions: tiles(rows), self.stored: visit.remembered(), self.preview: "",
            self.share_file: gr.DownloadButton(value=None, interactive=False),
        }  # fmt: skip

    def visit_values(self, visit: Visit, whole: bool) -> Values:
        """Values that follow an opened photo, another face, and an edit by anything but a slider."""
        return self.picture_values(visit, whole) | self.slider_values(visit.shifts) | {
            self.page_key: visit.page_key, self.face_key: f"{visit.subject.key} {visit.chosen}",
            self.people: people_of(visit),
        }  # fmt: skip


def picture_of(visit: Visit, whole: bool) -> str:
    """The picture before and after, of the chosen face or of the whole photo."""
    language, close = visit.language, not (whole or visit.chosen == EVERYONE)
    before = visit.subject.close_before[visit.face] if close else visit.subject.before
    after = visit.close_file if close else visit.file
    divider = language("Before and after: position of the divider")
    return compare(before, after, language("Before"), visit.alt(), divider, language("Full screen"))


def people_of(visit: Visit) -> str:
    """The faces to choose from, where there are several; the first button is for everyone."""
    subject, language = visit.subject, visit.language
    if len(subject.people) < 2:
        return ""
    rgb, together = subject.photo.rgb, subject.together
    group = Image.fromarray(rgb)
    group.thumbnail((THUMBNAIL, THUMBNAIL))
    rows = [Tile(data_uri(group), f"{language('Everyone')} ({len(together)})", visit.chosen == EVERYONE)]
    for place, number in enumerate(subject.people, 1):
        edited = " ✓" if visit.edits.get(number) else ""
        picture = data_uri(face_thumbnail(rgb, subject.faces[number], THUMBNAIL))
        caption = language("Person {number}", number=place) + edited
        rows.append(Tile(picture, caption, number in visit.numbers and visit.chosen != EVERYONE))
    return tiles(rows)


def numbers_of_people(visit: Visit) -> list[int]:
    """What the buttons of :func:`people_of` choose."""
    return [EVERYONE, *visit.subject.people]


def _sign(name: str) -> int:
    return -1 if facts_of(name).denies else 1


def _download_button(title: Any, scale: int | None = None) -> gr.DownloadButton:
    """One that offers nothing yet. Gradio's types know only plain text as its title."""
    return gr.DownloadButton(title, interactive=False, variant="primary", scale=scale)
