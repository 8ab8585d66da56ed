"""The demo as one Gradio app: the layout, the listeners of its components, and the endpoints for programs."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import Dependency

from stgan.demo.api import Endpoints
from stgan.demo.credentials import Credentials
from stgan.demo.files import DemoFiles
from stgan.demo.layout import Layout
from stgan.demo.listeners import Listeners
from stgan.demo.model import datasets_of, short_name_of
from stgan.demo.studio import EXAMPLE, Example, Studio
from stgan.editor import FaceEditor

# One edit at a time, first come, first served: on 2 cores with 8 visitors a picture takes 1.7 s, and 2.2 s with two.
MODEL_QUEUE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
BY_MODEL = MODEL_QUEUE | {"api_visibility": "private"}
LATEST = BY_MODEL | {"trigger_mode": "always_last"}  # of the events that come while one runs, only the last is kept
AT_ONCE: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}


def build_demo(
    editor: FaceEditor, model: str, *, notice: str = "", credentials: Credentials | None = None
) -> gr.Blocks:
    """Build the demo's page and endpoints. On ZeroGPU, do so before the launch.

    Args:
        editor: on the device that it is to run on.
        model: the editor's folder or Hub id. Files and code name it, and the page says what it was trained on.
        notice: sentence for the top of the page, or "".
        credentials: sign downloads; None if no certificate is configured.
    """
    with gr.Blocks(title="STGAN: edit a face, tick a box", delete_cache=(600, 3600)) as blocks:
        studio = Studio(editor, short_name_of(model), DemoFiles(blocks), credentials)
        layout = Layout(editor.names, datasets_of(model), notice, credentials is not None)
        _connect(blocks, Listeners(studio, layout, Example(studio)))
        endpoints = Endpoints(studio)
        for endpoint in (endpoints.attributes, endpoints.edit, endpoints.edit_all):
            gr.api(endpoint, **MODEL_QUEUE)
    return blocks


def _connect(blocks: gr.Blocks, listeners: Listeners) -> None:
    layout = listeners.layout
    editing, openings = _connect_controls(listeners), _connect_openings(blocks, listeners)
    subject, history = layout.subject, layout.history
    for opening in openings:
        opening.success(listeners.all_edits, subject, layout.gallery, **LATEST)
        opening.success(
            listeners.replace_previous, [subject, layout.attribute, layout.strip_wanted],
            [layout.strip, layout.animation], **LATEST,
        )  # fmt: skip
    changes_offer: list[Callable[..., Dependency]] = [event.success for event in (*openings, editing)]
    for listen in [*changes_offer, layout.file_format.change]:
        listen(
            listeners.offer, [subject, history, layout.file_format],
            [layout.download, layout.python_code, layout.curl_code], **LATEST,
        )  # fmt: skip
    changes_strip = [layout.strip_tab.select, layout.attribute.change]
    gr.on(changes_strip, listeners.by_degrees, [subject, layout.attribute], layout.strip, **LATEST)
    layout.strip_tab.select(lambda: True, None, layout.strip_wanted, **AT_ONCE)
    layout.animate_button.click(listeners.animate, [subject, history], layout.animation, **BY_MODEL)


def _connect_openings(blocks: gr.Blocks, listeners: Listeners) -> list[Dependency]:
    layout = listeners.layout
    photo_inputs = [layout.newest_path, layout.aligned, layout.view]
    face_inputs = [layout.page_key, layout.subject, layout.face_choice, layout.view]
    progress: dict[str, Any] = {"show_progress_on": layout.result}
    openings = [
        blocks.load(listeners.open_example, layout.view, layout.visit, **progress, **BY_MODEL),
        # Without preprocessing, in which Gradio would open the file and answer a bad one in its own words.
        layout.photo.input(
            listeners.studio.files.new_photo, layout.photo, layout.newest_path, preprocess=False, **AT_ONCE
        ).success(listeners.open_photo, photo_inputs, layout.visit, **progress, **LATEST),
        layout.example_button.click(listeners.open_example, layout.view, layout.visit, **progress, **BY_MODEL),
        layout.aligned.input(listeners.open_photo, photo_inputs, layout.visit, **progress, **BY_MODEL),
        layout.face_choice.input(listeners.choose_face, face_inputs, layout.visit, **BY_MODEL),
        layout.photo.select(
            listeners.click_face, [layout.page_key, layout.subject], layout.face_choice, **AT_ONCE
        ).success(listeners.choose_face, face_inputs, layout.visit, **BY_MODEL),
    ]
    for each in openings:
        each.failure(listeners.restore_photo, layout.subject, [layout.photo, layout.face_choice], **AT_ONCE)
    layout.example_button.click(lambda: (str(EXAMPLE), False), None, [layout.newest_path, layout.aligned], **AT_ONCE)
    return openings


def _connect_controls(listeners: Listeners) -> Dependency:
    layout = listeners.layout
    show = gr.on(
        [control.change for control in layout.controls], listeners.show,
        {layout.page_key, layout.subject, layout.history, layout.view, *layout.controls},
        [layout.resolved_ticks, *layout.pictures], show_progress="minimal", show_progress_on=layout.result, **LATEST,
    )  # fmt: skip
    layout.resolved_ticks.change(listeners.untick, layout.resolved_ticks, list(layout.boxes), **AT_ONCE)
    layout.view.change(listeners.look, [layout.subject, layout.history, layout.view], layout.result, **AT_ONCE)
    click_inputs = [layout.page_key, layout.subject, layout.history]
    layout.gallery.select(listeners.apply_single, click_inputs, list(layout.boxes), **AT_ONCE)
    layout.strip.select(listeners.apply_degree, {layout.attribute, *layout.shifts}, list(layout.shifts), **AT_ONCE)
    layout.versions.select(listeners.go_back, click_inputs, layout.controls, **AT_ONCE)
    layout.reset_button.click(listeners.reset, click_inputs, layout.controls, **AT_ONCE)
    return show
