"""Attacks on the demo's functions without a server: what arrives there comes from anyone."""

import math
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import gradio as gr

from attacks.cage import Attempt
from attacks.mutate import TEXTS, hostile, mutated_value
from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.demo.api import Endpoints, _check_intensity, _labels
from stgan.demo.errors import RefusedError
from stgan.demo.files import DemoFiles
from stgan.demo.listeners import Listeners
from stgan.demo.session import parse_edit
from stgan.demo.studio import Studio
from stgan.demo.words import Language


def endpoint_arguments(draw: Any) -> Attempt:
    """Labels, intensities and files of the endpoints, and links."""
    files = DemoFiles(gr.Blocks())

    def attempt(number: int) -> str | None:
        random = draw(number)
        changes = {random.choice(DEFAULT_ATTRIBUTES): True for _ in range(2)}
        value = mutated_value(changes, random) if random.random() < 0.5 else hostile(random)
        try:
            action = number % 4
            if action == 0:
                _labels("changes", value)
            elif action == 1:
                _check_intensity(random.choice((value, 1.0, math.nan, {"Young": value})))
            elif action == 2:
                files.uploaded_path(random.choice((value, {"path": value}, {"path": random.choice(TEXTS)})))
            else:
                parse_edit(_link(random), Language(), DEFAULT_ATTRIBUTES)
        except (RefusedError, ValueError) as error:
            return getattr(error, "message", str(error))
        return None

    return attempt


def _link(random: Random) -> str:
    parts = (*DEFAULT_ATTRIBUTES, *TEXTS, "Young:1", "Young:nan", "Young:1e400", "Young:--1", "::", "Young:٣")
    return random.choice((",", ":", ",,", ";")).join(random.choice(parts) for _ in range(random.randrange(5)))


def remembered_visits(folder: Path, draw: Any) -> Attempt:
    """What a browser says it remembers. The photo is a stand-in: only what is read from the browser is attacked."""
    blocks = gr.Blocks()
    subject = SimpleNamespace(people=[0, 1])
    visit = SimpleNamespace(subject=subject, chosen=0, with_shifts=lambda shifts: shifts)
    studio = SimpleNamespace(
        names=DEFAULT_ATTRIBUTES, files=DemoFiles(blocks), add_faces=lambda *_: None, with_edits=lambda *_: visit
    )
    example = SimpleNamespace(open=lambda *_, **__: visit, edited=lambda _: "the example")
    listeners = Listeners(studio, SimpleNamespace(), example)
    stored = {"path": None, "aligned": False, "chosen": 0, "link": "", "edits": {"0": {"Young": 1.0}, "1": {}}}

    def attempt(number: int) -> str | None:
        random = draw(number)
        value = mutated_value(stored, random) if random.random() < 0.8 else hostile(random)
        with patch.multiple("stgan.demo.listeners", gr=SimpleNamespace(Info=lambda *_, **__: None), replace=_replace):
            shown = listeners._first_visit(value, random.choice(("", "", _link(random))), Language())
        return "the example is shown" if shown == "the example" else None

    return attempt


def _replace(visit: Any, **values: Any) -> Any:
    return SimpleNamespace(**vars(visit) | values)


def demo_routes(editor: Any, folder: Path) -> dict[str, Any]:
    """The endpoint for an edit, and what the page does with a photo that is dropped into it."""
    blocks = gr.Blocks()
    blocks.GRADIO_CACHE = str(folder)
    studio = Studio(editor, "a model", DemoFiles(blocks))
    endpoints = Endpoints(studio)
    listeners = Listeners(studio, SimpleNamespace(), SimpleNamespace())

    def refused(function: Any, *arguments: Any) -> str | None:
        try:
            function(*arguments)
        except (RefusedError, ValueError) as error:
            return getattr(error, "message", str(error))
        return None

    return {
        "endpoint": lambda file: refused(
            endpoints.edit, {"path": str(file)}, {"Eyeglasses": True}, 1.0, {"Eyeglasses": False}
        ),
        "page": lambda file: refused(listeners._opened, str(file), False, Language(), ""),
    }
