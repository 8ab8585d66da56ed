"""The demo as one Gradio app: the layout, the listeners of its components, and the endpoints for programs."""

import os
from pathlib import Path

import gradio as gr
from gradio.events import Dependency

from stgan.demo.api import Endpoints
from stgan.demo.credentials import Credentials
from stgan.demo.editing import Editing
from stgan.demo.example import EXAMPLE, Example
from stgan.demo.files import DemoFiles
from stgan.demo.layout import Layout
from stgan.demo.model import datasets_of
from stgan.demo.opening import Opening
from stgan.demo.results import Results
from stgan.demo.studio import Studio
from stgan.editor import FaceEditor

# One edit at a time, first come, first served: on 2 cores with 8 visitors a picture takes 1.7 s, and 2.2 s with two.
MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
BY_MODEL = MODEL_QUEUE | {"api_visibility": "private"}
LATEST = BY_MODEL | {"trigger_mode": "always_last"}  # of the events that come while one runs, only the last is kept
AT_ONCE = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


def build_demo(
    editor: FaceEditor, model: str, *, notice: str = "", credentials: Credentials | None = None
) -> gr.Blocks:
    """Build the demo's page and endpoints. On ZeroGPU, do so before the launch.

    Args:
        editor: on the device that it is to run on.
        model: the editor's folder or Hub id. Files and code name it, and the page says what it was trained on.
        notice: sentence for the top of the page, or "".
        credentials: sign what visitors take away; None where no certificate is configured.
    """
    with gr.Blocks(title="STGAN: edit a face, tick a box", delete_cache=(600, 3600)) as blocks:
        name = os.path.relpath(model) if Path(model).is_dir() else model
        studio = Studio(editor, name, DemoFiles(blocks, credentials))
        layout = Layout(editor.names, datasets_of(model), notice, credentials is not None)
        _connect(blocks, studio, layout)
        endpoints = Endpoints(studio)
        for endpoint in (endpoints.attributes, endpoints.edit, endpoints.edit_all):
            gr.api(endpoint, **MODEL_QUEUE)
    return blocks


def _connect(blocks: gr.Blocks, studio: Studio, layout: Layout) -> None:
    example = Example(studio)
    results = Results(studio, layout, example)
    editing = _connect_controls(Editing(studio, layout), layout)
    openings = _connect_openings(blocks, Opening(studio, layout, example), layout)
    subject, history = layout.subject, layout.history
    for opening in openings:
        opening.success(results.all_edits, subject, layout.gallery, **LATEST)
        opening.success(
            results.replace_previous, [subject, layout.attribute, layout.strip_wanted],
            [layout.strip, layout.animation], **LATEST,
        )  # fmt: skip
    for after in (*(event.success for event in (*openings, editing)), layout.file_format.change):
        after(
            results.offer, [subject, history, layout.file_format],
            [layout.download, layout.python_code, layout.curl_code], **LATEST,
        )  # fmt: skip
    changes_strip = [layout.strip_tab.select, layout.attribute.change]
    gr.on(changes_strip, results.by_degrees, [subject, layout.attribute], layout.strip, **LATEST)
    layout.strip_tab.select(lambda: True, None, layout.strip_wanted, **AT_ONCE)
    layout.animate_button.click(results.animate, [subject, history], layout.animation, **BY_MODEL)


def _connect_openings(blocks: gr.Blocks, opening: Opening, layout: Layout) -> list[Dependency]:
    """Every way to put a face on the page."""
    photo_inputs = [layout.newest_path, layout.aligned, layout.view]
    face_inputs = [layout.page_key, layout.subject, layout.face_choice, layout.view]
    progress = {"show_progress_on": layout.result}
    openings = [
        blocks.load(opening.open_example, layout.view, layout.visit, **progress, **BY_MODEL),
        # Without preprocessing, in which Gradio would open the file and answer a bad one in its own words.
        layout.photo.input(
            opening.studio.files.new_photo, layout.photo, layout.newest_path, preprocess=False, **AT_ONCE
        ).success(opening.open_photo, photo_inputs, layout.visit, **progress, **LATEST),
        layout.example_button.click(opening.open_example, layout.view, layout.visit, **progress, **BY_MODEL),
        layout.aligned.input(opening.open_photo, photo_inputs, layout.visit, **progress, **BY_MODEL),
        layout.face_choice.input(opening.choose_face, face_inputs, layout.visit, **BY_MODEL),
        layout.photo.select(
            opening.click_face, [layout.page_key, layout.subject], layout.face_choice, **AT_ONCE
        ).success(opening.choose_face, face_inputs, layout.visit, **BY_MODEL),
    ]
    for each in openings:
        each.failure(opening.restore_photo, layout.subject, [layout.photo, layout.face_choice], **AT_ONCE)
    layout.example_button.click(
        lambda: (str(EXAMPLE), False), None, [layout.newest_path, layout.aligned], **AT_ONCE
    )  # fmt: skip
    return openings


def _connect_controls(editing: Editing, layout: Layout) -> Dependency:
    """The edit that follows the controls, and everything else that sets them."""
    show = gr.on(
        [control.change for control in layout.controls], editing.show,
        {layout.page_key, layout.subject, layout.history, layout.view, *layout.controls},
        [layout.resolved_ticks, *layout.pictures], show_progress="minimal", show_progress_on=layout.result, **LATEST,
    )  # fmt: skip
    layout.resolved_ticks.change(editing.untick, layout.resolved_ticks, list(layout.boxes), **AT_ONCE)
    layout.view.change(editing.look, [layout.subject, layout.history, layout.view], layout.result, **AT_ONCE)
    click_inputs = [layout.page_key, layout.subject, layout.history]
    layout.gallery.select(editing.apply_single, click_inputs, list(layout.boxes), **AT_ONCE)
    layout.strip.select(editing.apply_degree, {layout.attribute, *layout.shifts}, list(layout.shifts), **AT_ONCE)
    layout.versions.select(editing.go_back, click_inputs, layout.controls, **AT_ONCE)
    layout.reset_button.click(editing.reset, click_inputs, layout.controls, **AT_ONCE)
    return show
