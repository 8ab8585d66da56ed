"""What happens when a visitor sets a control: the picture follows.

The tick boxes and sliders say everything about an edit. A click on a gallery or an earlier version sets only them, and
:meth:`Editing.show` alone makes the picture.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace

import gradio as gr

from stgan.attributes import short_name
from stgan.demo.files import DELETED
from stgan.demo.layout import Layout, Values, before_and_after
from stgan.demo.session import History, Subject, is_current
from stgan.demo.studio import Studio

DEGREES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # of one attribute, in the strip


@dataclass(frozen=True, eq=False)
class Editing:
    """Listeners that set the controls, and the one that edits."""

    studio: Studio
    layout: Layout

    def show(self, values: Values) -> Values:
        """The picture after a change of the controls; a new tick clears what it excludes.

        Args:
            values: of ``page_key``, ``subject``, ``history``, ``view`` and every control of the layout.
        """
        layout = self.layout
        subject, history, ticks = values[layout.subject], values[layout.history], layout.ticks_of(values)
        if subject is not None and not is_current(values[layout.page_key], subject):
            return gr.skip()  # a click on the boxes of the photo before this one
        if subject is None or history is None:
            if ticks:
                raise gr.Error(DELETED)
            return gr.skip()
        current = history.now.controls
        controls = replace(
            current.with_ticks(ticks), intensity=values[layout.intensity], shifts=layout.shifts_of(values)
        )
        answer: Values = {}
        cleared = [short_name(name) for name in ticks if name not in controls.ticks]
        if cleared:
            gr.Info(f"{' and '.join(cleared)} gave way: one excludes the other.", duration=4)
            answer[layout.resolved_ticks] = (time.monotonic(), controls.ticks)  # the time makes each a new value
        if controls != current:
            history = self.studio.next_history(subject, history, controls)
            answer |= layout.picture_values(subject, history, values[layout.view])
        return answer or gr.skip()

    def untick(self, resolved_ticks: tuple[float, Collection[str]]) -> Values:
        """The boxes without what gave way."""
        return self.layout.box_values(resolved_ticks[1])

    def look(self, subject: Subject | None, history: History | None, view: str) -> tuple[str, str]:
        """Before and after, in another view."""
        if subject is None or history is None:
            return gr.skip()
        return before_and_after(subject, history, view)

    def apply_single(
        self, page_key: str, subject: Subject | None, history: History | None, event: gr.SelectData
    ) -> Values:
        """A click in the gallery: change its attribute, or change it back if it is changed already."""
        if history is None or not is_current(page_key, subject):
            return gr.skip()
        name = self.studio.names[event.index]
        present = name not in history.unedited.controls.ticks
        return self.layout.box_values(history.now.controls.toggled(name, present).ticks)

    def apply_degree(self, values: Values, event: gr.SelectData) -> Values:
        """A click in the strip: set its attribute's own slider.

        Args:
            values: of ``attribute`` and every slider of ``shifts``.
        """
        chosen = values[self.layout.attribute]
        shifts = self.layout.shifts.items()
        return {slider: DEGREES[event.index] if name == chosen else values[slider] for slider, name in shifts}

    def go_back(self, page_key: str, subject: Subject | None, history: History | None, event: gr.SelectData) -> Values:
        """A click on a version: set every control as it was."""
        if history is None or not is_current(page_key, subject):  # the photo before this one may have had more versions
            return gr.skip()
        return self.layout.control_values(history.versions[event.index].controls)

    def reset(self, page_key: str, subject: Subject | None, history: History | None) -> Values:
        """Set every control as in the photo."""
        if history is None or not is_current(page_key, subject):
            return gr.skip()
        return self.layout.control_values(history.unedited.controls)
