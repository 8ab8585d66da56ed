"""The demo as one Gradio app: the layout, the listeners of its components, and the endpoints for programs."""

from typing import Any

import gradio as gr

from stgan.demo.api import DemoBlocks, Endpoints, add_endpoint
from stgan.demo.credentials import Credentials
from stgan.demo.files import DemoFiles
from stgan.demo.layout import Layout
from stgan.demo.listeners import Listeners
from stgan.demo.model import datasets_of, short_name_of
from stgan.demo.sharing import Sharing
from stgan.demo.studio import Example, Studio
from stgan.editing.editor import FaceEditor

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
    with DemoBlocks(title="STGAN: edit a face", delete_cache=(600, 3600)) as blocks:
        studio = Studio(editor, short_name_of(model), DemoFiles(blocks), credentials)
        layout = Layout(editor.names, datasets_of(model), notice, credentials is not None)
        listeners = Listeners(studio, layout, Example(studio))
        _connect_openings(blocks, listeners)
        _connect_edits(listeners)
        _connect_galleries(listeners)
        _connect_sharing(layout, Sharing(studio, layout))
        endpoints = Endpoints(studio)
        for endpoint in (endpoints.attributes, endpoints.edit, endpoints.edit_all):
            add_endpoint(blocks, endpoint, **MODEL_QUEUE)
    return blocks


def _connect_openings(blocks: gr.Blocks, listeners: Listeners) -> None:
    layout, shown = listeners.layout, _shown_on(listeners.layout)
    blocks.load(listeners.load, [layout.stored, layout.whole], [*layout.page, layout.attribute], **shown, **BY_MODEL)
    # Without preprocessing, in which Gradio would open the file and answer a bad one in its own words.
    taken = layout.photo.input(
        listeners.take_photo, layout.photo, layout.newest_path, preprocess=False, **AT_ONCE
    )  # fmt: skip
    taken.success(
        listeners.open_photo, [layout.newest_path, layout.aligned, layout.whole], [*layout.page, layout.photo],
        **shown, **LATEST,
    )  # fmt: skip
    taken.failure(lambda: None, None, layout.photo, **AT_ONCE)
    layout.aligned.input(
        listeners.reopen, [layout.visit, layout.aligned, layout.whole], layout.page, **shown, **BY_MODEL
    )
    layout.example_button.click(listeners.open_example, layout.whole, layout.page, **shown, **BY_MODEL)


def _connect_edits(listeners: Listeners) -> None:
    layout, shown = listeners.layout, _shown_on(listeners.layout)
    gr.on(
        [slider.input for slider in layout.shifts], listeners.show,
        {layout.page_key, layout.visit, layout.whole, *layout.shifts},
        [*layout.after_edit, layout.people, layout.resolved], **shown, **LATEST,
    )  # fmt: skip
    layout.resolved.change(listeners.resolve, layout.resolved, list(layout.shifts), **AT_ONCE)
    layout.whole.input(listeners.look, [layout.visit, layout.whole], layout.result, **AT_ONCE)
    inputs: list[Any] = [layout.page_key, layout.visit, layout.whole]
    each = {"trigger_mode": "multiple", **shown, **BY_MODEL}
    layout.people.select(listeners.choose_person, inputs, layout.page, **each)
    layout.looks.select(listeners.apply_look, inputs, layout.page, **each)
    layout.changes.select(listeners.apply_change, inputs, layout.page, **each)
    layout.strengths.select(listeners.apply_strength, [*inputs, layout.attribute], layout.page, **each)
    layout.versions.select(listeners.go_back, inputs, layout.page, **each)
    layout.surprise_button.click(listeners.surprise, inputs, layout.page, **each)
    layout.undo_button.click(listeners.undo, inputs, layout.page, **each)


def _connect_galleries(listeners: Listeners) -> None:
    layout, hidden = listeners.layout, LATEST | {"show_progress": "hidden"}
    changes_inputs = [layout.visit, layout.changes_wanted]
    layout.face_key.change(
        listeners.show_looks, layout.visit, [layout.looks, layout.strengths, layout.seen], **hidden
    ).then(listeners.show_changes, changes_inputs, layout.changes, **hidden)
    layout.changes_tab.select(lambda: True, None, layout.changes_wanted, **AT_ONCE).then(
        listeners.show_changes, changes_inputs, layout.changes, **LATEST
    )
    layout.compare_button.click(listeners.show_strengths, [layout.visit, layout.attribute], layout.strengths, **LATEST)
    layout.attribute.input(lambda: "", None, layout.strengths, **AT_ONCE)


def _connect_sharing(layout: Layout, sharing: Sharing) -> None:
    gr.on(
        [layout.state_key.change, layout.file_format.input], sharing.offer, [layout.visit, layout.file_format],
        [layout.download, layout.link, layout.code, layout.is_edited],
        **LATEST | {"show_progress": "hidden", "concurrency_id": "offer"},  # a JPEG is there already
    )  # fmt: skip
    layout.is_edited.change(sharing.enable, layout.is_edited, list(layout.share_buttons.values()), **AT_ONCE)
    for kind, button in layout.share_buttons.items():
        button.click(sharing.share, [layout.visit, gr.State(kind)], layout.shared, **BY_MODEL)
    layout.batch_button.click(
        sharing.edit_photos, [layout.visit, layout.photos], layout.batch, preprocess=False, concurrency_id="batch",
        concurrency_limit=1, api_visibility="private",
    )  # fmt: skip


def _shown_on(layout: Layout) -> dict[str, Any]:
    """Progress is shown on the picture alone."""
    return {"show_progress": "minimal", "show_progress_on": layout.result}
