"""What happens when a visitor opens a photo, chooses a person, moves a slider, or clicks a picture.

The visit on the server says everything about the work. A slider sends what it asks for; every other gesture changes
the visit, and the sliders follow. What goes wrong is told in a message and leaves the page as it was.
"""

import functools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from stgan.attributes import change_in_words, facts_of, scale_in_words
from stgan.demo.errors import RefusedError, log
from stgan.demo.files import DELETED
from stgan.demo.layout import Layout, Values, numbers_of_people, people_of, picture_of
from stgan.demo.looks import Look, looks_for, surprise
from stgan.demo.markup import Tile, tiles
from stgan.demo.pictures import data_uri
from stgan.demo.session import (
    EVERYONE,
    MOST_PEOPLE,
    Edits,
    Shifts,
    Visit,
    changed,
    check_remembered,
    in_order,
    parse_edit,
    tidy,
)
from stgan.demo.studio import Example, Studio
from stgan.demo.words import Language

DEGREES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # of one attribute, compared


def with_toasts(listener: Callable) -> Callable:
    """Tell a visitor's error in a message of one line, and change nothing on the page."""

    @functools.wraps(listener)
    def told(*arguments: Any) -> Any:
        try:
            return listener(*arguments)
        except (ValueError, RefusedError) as error:
            gr.Warning(log(error), title="", duration=10)
            return gr.skip()

    return told


@dataclass(frozen=True, eq=False)
class Listeners:
    """The functions that Gradio calls, each with the values of its inputs."""

    studio: Studio
    layout: Layout
    example: Example

    def load(self, stored: dict | None, whole: bool, request: gr.Request) -> Values:
        """The page as it opens: the stored work, or the example with the edit of the page's address."""
        language, link = Language.of(request), request.query_params.get("edit", "")
        attribute = gr.Dropdown(
            choices=[(language(scale_in_words(name)), name) for name in in_order(self.studio.names)]
        )
        return self.layout.visit_values(self._first_visit(stored, link, language), whole) | {
            self.layout.attribute: attribute
        }

    def _first_visit(self, stored: dict | None, link: str, language: Language) -> Visit:
        try:
            if stored:
                check_remembered(stored)
                if stored["link"] == link:
                    return self._restored(stored, language)
            if link:
                shifts = parse_edit(link, language, self.studio.names)
                visit = self.example.open(language, link=link)
                return self.studio.with_edits(visit, visit.with_shifts(shifts))
        except (ValueError, RefusedError) as error:
            gr.Info(log(error), duration=8)
        return self.example.edited(self.example.open(language, link=link))

    def _restored(self, stored: dict, language: Language) -> Visit:
        """The work that the browser remembers, if its photo is still here."""
        if stored["path"] is None:
            visit = self.example.open(language, link=stored["link"])
        else:
            path = self.studio.files.uploaded_path({"path": stored["path"]})
            visit = self._opened(path, stored["aligned"], language, stored["link"])
        names, people = self.studio.names, {*visit.subject.people}
        edits = {int(number): each for number, each in stored["edits"].items() if int(number) in people}
        edits = {number: {name: each[name] for name in each if name in names} for number, each in edits.items()}
        chosen = stored["chosen"] if stored["chosen"] in (EVERYONE, *people) else visit.chosen
        self.studio.add_faces(visit.subject, [chosen] if chosen != EVERYONE else [])
        return self.studio.with_edits(replace(visit, chosen=chosen), tidy(edits))

    def take_photo(self, file: dict | None) -> str | None:
        """Path of a photo that was just put into the box."""
        return None if file is None else self.studio.files.uploaded_path(file)

    def open_photo(self, path: str | None, aligned: bool, whole: bool, request: gr.Request) -> Values:
        """A new photo, shown unedited with its largest face chosen. The box to drop photos into becomes empty."""
        opened = gr.skip() if path is None else self._open_photo(path, aligned, whole, Language.of(request))
        return {self.layout.photo: None} | ({} if opened == gr.skip() else opened)

    @with_toasts
    def _open_photo(self, path: str, aligned: bool, whole: bool, language: Language) -> Values:
        return self.layout.visit_values(self._opened(path, aligned, language, ""), whole)

    def _opened(self, path: str, aligned: bool, language: Language, link: str) -> Visit:
        if not Path(path).exists():
            raise RefusedError(DELETED)
        subject = self.studio.open(Path(path).name, path, self.studio.photos.open(path), aligned)
        return self.studio.visit(subject, language, aligned=aligned, link=link)

    @with_toasts
    def reopen(self, visit: Visit | None, aligned: bool, whole: bool) -> Values:
        """The same photo with or without face detection."""
        if visit is None or visit.subject.path is None:
            return gr.skip()
        return self.layout.visit_values(self._opened(visit.subject.path, aligned, visit.language, visit.link), whole)

    def open_example(self, whole: bool, request: gr.Request) -> Values:
        """The first thing a visitor sees: a portrait, already edited."""
        return self.layout.visit_values(self.example.edited(self.example.open(Language.of(request))), whole)

    @with_toasts
    def choose_person(self, page_key: str, visit: Visit | None, whole: bool, event: gr.EventData) -> Values:
        """Another person of the photo, or everyone; all edits stay."""
        if visit is None or not visit.is_of(page_key):
            return gr.skip()
        chosen = numbers_of_people(visit)[event.index]
        if chosen == EVERYONE and len(visit.subject.people) > MOST_PEOPLE:
            gr.Info(visit.language("Only the {number} largest faces are edited together.", number=MOST_PEOPLE))
        chosen_visit = replace(visit, chosen=chosen, revision=visit.revision + 1)
        self.studio.add_faces(visit.subject, [chosen_visit.face])
        return self.layout.visit_values(chosen_visit.closer(self.studio.files.new), whole)

    @with_toasts
    def show(self, values: Values) -> Values:
        """The picture after sliders were moved; what a raised attribute excludes gives way."""
        layout = self.layout
        visit: Visit | None = values[layout.visit]
        if visit is None or not visit.is_of(values[layout.page_key]):
            return gr.skip()
        if values[layout.page_key] != visit.page_key:  # the sliders were set by another gesture in the meantime
            return {layout.resolved: (time.monotonic(), visit.shifts)}
        old, wanted = visit.shifts, layout.shifts_of(values)
        changes = {name: wanted.get(name, 0.0) for name in {*old, *wanted} if wanted.get(name, 0) != old.get(name, 0)}
        if not changes:
            return gr.skip()
        after = self.studio.with_edits(visit, visit.with_change(changes))
        answer = layout.picture_values(after, values[layout.whole])
        if after.edits.keys() != visit.edits.keys():
            answer[layout.people] = people_of(after)
        gone = [visit.language(scale_in_words(name)) for name in wanted if name not in after.shifts]
        if gone:
            text = "{one} gives way: it cannot be combined with your choice."
            gr.Info(visit.language(text, one=", ".join(gone)), duration=4)
            answer[layout.resolved] = (time.monotonic(), after.shifts)  # the time makes each a new value
        return answer

    def resolve(self, resolved: tuple[float, Shifts]) -> Values:
        """The sliders without what gave way."""
        return self.layout.slider_values(resolved[1])

    def look(self, visit: Visit | None, whole: bool) -> str | dict[str, Any]:
        """Before and after, in another view."""
        return gr.skip() if visit is None else picture_of(visit, whole)

    def apply_look(self, page_key: str, visit: Visit | None, whole: bool, event: gr.EventData) -> Values:
        """A click on a look: it takes the place of the chosen people's edits."""
        return self._edit(
            page_key, visit, whole, lambda visit: visit.with_shifts(self._looks(visit)[event.index].shifts)
        )

    def surprise(self, page_key: str, visit: Visit | None, whole: bool) -> Values:
        """Random edits of the chosen people."""
        return self._edit(
            page_key, visit, whole, lambda visit: visit.with_shifts(surprise(self.studio.names, random.Random()))
        )

    def apply_change(self, page_key: str, visit: Visit | None, whole: bool, event: gr.EventData) -> Values:
        """A click on one change: apply it, or undo it if it is applied already."""

        def edits(visit: Visit) -> Edits:
            name, shift = self._single_changes(visit)[event.index]
            return visit.with_change({name: 0.0 if visit.shifts.get(name, 0) * shift > 0 else shift})

        return self._edit(page_key, visit, whole, edits)

    def apply_strength(
        self, page_key: str, visit: Visit | None, whole: bool, attribute: str, event: gr.EventData
    ) -> Values:
        """A click on a strength: set that attribute's slider to it."""
        return self._edit(
            page_key, visit, whole, lambda visit: visit.with_change({attribute: self._degrees(attribute)[event.index]})
        )

    def go_back(self, page_key: str, visit: Visit | None, whole: bool, event: gr.EventData) -> Values:
        """A click on a version: everything as it was."""
        return self._edit(page_key, visit, whole, lambda visit: visit.versions[event.index].edits)

    def undo(self, page_key: str, visit: Visit | None, whole: bool) -> Values:
        """Everybody as in the photo."""
        return self._edit(page_key, visit, whole, lambda _: {})

    @with_toasts
    def _edit(self, page_key: str, visit: Visit | None, whole: bool, edits: Callable[[Visit], Edits]) -> Values:
        if visit is None or not visit.is_of(page_key):
            return gr.skip()
        after = self.studio.with_edits(visit, edits(visit))
        return self.layout.visit_values(replace(after, revision=visit.revision + 1), whole)

    def show_looks(self, visit: Visit | None) -> Values:
        """The looks on the chosen face; nothing of the face before stays on the page."""
        if visit is None:
            return gr.skip()
        looks = self._looks(visit)
        titles = [visit.language(look.title) for look in looks]
        percent = visit.subject.prepared[visit.face].probabilities
        rows = [(name, 1 - value if facts_of(name).denies else value) for name, value in percent.items()]
        lines = [
            f"<tr><td>{visit.language(scale_in_words(name))}</td><td>{value:.0%}</td></tr>"
            for name, value in rows
            if not facts_of(name).less  # such as gender: no verdict
        ]
        return {
            self.layout.looks: self._thumbnails(visit, [look.shifts for look in looks], titles),
            self.layout.strengths: "", self.layout.seen: f"<table>{''.join(lines)}</table>",
        }  # fmt: skip

    def show_changes(self, visit: Visit | None, wanted: bool) -> str:
        """Each change alone on the chosen face, from one encoding, if the visitor has opened their tab."""
        if visit is None or not wanted:
            return ""
        changes = self._single_changes(visit)
        captions = [visit.language(change_in_words(name, shift > 0)) for name, shift in changes]
        return self._thumbnails(visit, [{name: shift} for name, shift in changes], captions)

    def show_strengths(self, visit: Visit | None, attribute: str) -> str:
        """One attribute from less to more."""
        if visit is None:
            return ""
        degrees = self._degrees(attribute)
        captions = [f"{degree:+g}" if degree else "0" for degree in DEGREES]
        return self._thumbnails(visit, [{attribute: degree} for degree in degrees], captions)

    def _degrees(self, attribute: str) -> list[float]:
        return [-degree if facts_of(attribute).denies else degree for degree in DEGREES]

    def _looks(self, visit: Visit) -> list[Look]:
        return looks_for(self.studio.names, visit.subject.path is None)

    def _single_changes(self, visit: Visit) -> list[tuple[str, float]]:
        """Each attribute with its shift: the other way than the face is, or both ways where one would be a verdict."""
        labels = visit.subject.prepared[visit.face].label_dict()
        return [
            (name, shift)
            for name in in_order(self.studio.names)
            for shift in ((1.0, -1.0) if facts_of(name).less else (-1.0 if labels[name] else 1.0,))
        ]

    def _thumbnails(self, visit: Visit, edits: list[Shifts], captions: list[str]) -> str:
        """Small pictures of the chosen face with each of the edits; those of the example are made once."""
        subject, face = visit.subject, visit.face
        requests = [subject.request(face, changed({}, shifts)) for shifts in edits]
        known = self.example.thumbnails if subject.path is None else {}
        new = {repr(request): request for request in requests if repr(request) not in known}
        pictures = self.studio.edit(subject.small[face], *new.values()) if new else []
        known |= {key: data_uri(picture) for key, picture in zip(new, pictures, strict=True)}
        return tiles(Tile(known[repr(request)], text) for request, text in zip(requests, captions, strict=True))
