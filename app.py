"""The demo: upload a photo, tick attributes, get the same photo back with the face changed.

Run it with ``python app.py``. The model is ``STGAN_MODEL`` (a folder or Hub id), or the one that the
Space's card names, or the one bundled with the project.

How it hangs together: the tick boxes and sliders are all there is to say about an edit. Whatever sets them (a click on
a box, in a gallery, on an earlier version) sets only them, and one listener, :func:`show`, makes the picture follow.
What a visit holds, and what comes of it next, is :mod:`stgan.demo.session`; here are the page, its events and the
endpoints.
"""

import ctypes
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

try:
    import spaces  # ZeroGPU: imported before torch, which it patches

    on_gpu = spaces.GPU
except ImportError:

    def on_gpu(function):
        return function


import gradio as gr
import skimage.data
from PIL import Image

from stgan.attributes import caption, short_name
from stgan.card import is_celeba
from stgan.demo.credentials import Credentials
from stgan.demo.model import datasets_of, open_editor
from stgan.demo.request import EditRequest
from stgan.demo.session import THUMBNAIL, Controls, History, Subject, faces_to_edit, grouped
from stgan.editor import PreparedFace
from stgan.evaluation.figures import save_animation
from stgan.photo.align import looks_aligned
from stgan.photo.face import Face
from stgan.photo.files import Photo, save_photo
from stgan.photo.files import open_photo as read_photo

MAX_UPLOAD = "50mb"
EXAMPLE = Path(skimage.data.__file__).parent / "astronaut.png"  # public domain; ships with scikit-image
EXAMPLE_EDIT = {"Brown_Hair": True, "Bushy_Eyebrows": True}
INTENSITY = 1.0  # what the weights are bundled for: edits as strong as they are worth what else they disturb
DEGREES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
ANIMATION_SIDE = 400  # pixels
ANIMATION_FRAMES = 12
FACE_VIEW, PHOTO_VIEW = "Face", "Whole photo"
FRAMED = "stgan-framed-faces.jpg"  # the file of what the page shows as the photo
GONE = "Photos are kept for about an hour, and this one is gone: please open it again."
OURS = "stgan-"  # how the folder of a file begins that the demo wrote; an upload's is hexadecimal
NOT_UPLOADED = (
    "photo must be a file that was uploaded to this demo: open it on the page, or upload it and give its path."
)
M_ARENA_MAX = -8  # of malloc.h
MOST_FOR_ALL = 25_000_000  # pixels of a photo whose edits are made all at once: it keeps others waiting meanwhile
CONCURRENCY = 1  # edits at once; measured on 2 cores with 8 users: with 2 a picture took 2.2 s, with 1 it took 1.7 s

INTRODUCTION = """
# Edit a face, tick a box

Drop in a photo. The boxes show what the model sees in the face; tick or untick one, and only that part of the photo
changes, at its full size.
"""

NOTES = """
**Please edit only people who agree to it**, and say that a picture is edited where you show it; its file says so too.

- **Kept:** for about an hour. Uploads and results stay on this machine and are then deleted; nothing is flagged or
  logged.
"""

OF_CELEBA = """
- **Weak:** baldness, most of all on women; pale skin on dark faces and at full strength; blond hair, which can spill
  onto the shoulders; profiles, hats and hands over the face; faces below 100 pixels.
- **Biased:** attributes and their names come from the CelebA dataset: binary gender, "pale skin", what annotators
  took for young. Its people are mostly young and light-skinned celebrities, and edits are less reliable on others.
- **Licence:** the weights were trained on CelebA and are for non-commercial research only; the code is MIT.
"""

OF_OTHERS = """
- **Weak:** what {data} shows seldom; profiles, hats and hands over the face; faces below 100 pixels.
- **Biased and licensed:** as {data}, which the weights were trained on. The model's card says more; the code is MIT.
"""

CSS = """
.gradio-container { width: 100%; max-width: 1240px !important; margin: auto; }
.gradio-container { overflow: clip !important; }  /* hidden, as it is, would keep the picture from sticking */
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

with suppress(OSError, AttributeError):  # only glibc gives each thread a heap of its own …
    ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 1)  # … that keeps what its largest edit took: memory would creep up
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")  # else ten thousand, all counted again after each event

editor, model_name, notice = open_editor()
model_data = datasets_of(model_name)
detector = editor.detector  # here and now: one that a call on ZeroGPU looks for is lost with that call's process
credentials = Credentials.from_environment()
model_name = os.path.relpath(model_name) if Path(model_name).is_dir() else model_name


# ------------------------------------------------------------------------------------------- the model and its files


@on_gpu
def _find_faces(photo: Photo, aligned: bool) -> tuple[list[Face], int]:
    return faces_to_edit(editor, photo, aligned)  # the aligner has a say in it


@on_gpu
def _prepare(photo: Photo, face: int | Face | None, aligned: bool) -> PreparedFace:
    return editor.prepare(photo, face=face, aligned=aligned).to("cpu")  # a session waits, and holds no GPU memory


@on_gpu
def _edit(face: PreparedFace, *requests: EditRequest) -> list[Image.Image]:
    return [request.edit(editor, face) for request in requests]


@on_gpu
def _edit_one_by_one(face: PreparedFace, *requests: EditRequest) -> Iterator[Image.Image]:
    for request in requests:
        yield request.edit(editor, face)


@on_gpu
def _single_edits(face: PreparedFace, intensity: float) -> dict[str, Image.Image]:
    edits = editor.single_edits(face)
    return dict(zip(edits, editor.edit_each(face, list(edits.values()), intensity), strict=True))


def _edited_photo(face: PreparedFace, request: EditRequest) -> Image.Image:
    """The photo after one edit; where nothing changes, without the model."""
    return _edit(face, request)[0] if request.changes else face.photo.original


def _file(name: str) -> str:
    """Path of a file to be written that Gradio serves, and deletes when it is old."""
    Path(demo.GRADIO_CACHE).mkdir(parents=True, exist_ok=True)
    path = str(Path(tempfile.mkdtemp(prefix=OURS, dir=demo.GRADIO_CACHE)) / name)
    demo.upload_file_set.add(path)  # of what `delete_cache` deletes, also where no page ever shows it
    return path


def _signed(path: str, request: EditRequest) -> str:
    """The file that goes out: with content credentials, where this demo has a certificate."""
    if credentials is None:
        return path
    signed = _file(Path(path).name)
    credentials.sign(path, signed, request.note(model_name))
    return signed


# ----------------------------------------------------------------------------------------------------- opening a photo


def uploaded(file: dict | None) -> str | None:
    """Path of a new photo as it was sent; None after a click on the cross, which may still send what it took away."""
    path = None if file is None else _uploaded_path(file)
    return None if path is None or _is_framed(Path(path)) else path


def _is_framed(path: Path) -> bool:
    """Whether the demo wrote this as the photo on the page; saved from there and sent again it is a photo like any."""
    return path.name == FRAMED and path.parent.name.startswith(OURS)


def _uploaded_path(photo: object) -> str:
    """Path of what a visitor uploaded.

    Gradio looks whether a file was uploaded only where the object that names it has its ``meta``: without this check
    any picture on the server could be had. One elsewhere is refused alike whether it is there or not.
    """
    path = photo.get("path") if isinstance(photo, dict) else None
    with suppress(ValueError):  # no path at all, such as one with a null byte
        path = Path(os.path.realpath(path)) if isinstance(path, str) else None
    if not isinstance(path, Path) or not path.is_relative_to(os.path.realpath(demo.GRADIO_CACHE)):
        raise gr.Error(NOT_UPLOADED)
    if not os.path.isfile(path):
        raise gr.Error(GONE)
    return str(path)


def open_photo(path: str | None, aligned: bool, view: str):
    """A new photo: find its faces, choose the largest, tick what it has, and show it unedited."""
    if path is None:
        return _closed()
    if not Path(path).exists():
        raise gr.Error(GONE)
    try:
        photo = read_photo(path)
        return _opened(_subject(Path(path).name, photo, *_find_faces(photo, aligned)), view)
    except ValueError as error:  # no usable face, broken or huge file: the message is for the person
        raise gr.Error(str(error), title="This photo cannot be edited") from error


def choose_face(meant: str, subject: Subject | None, number: int, view: str):
    """Another face of the photo."""
    if subject is None or meant != _key(subject) or number == subject.chosen or number not in range(len(subject.faces)):
        return [gr.skip()] * len(opened)
    try:
        return _opened(_subject(subject.name, subject.photo, subject.faces, number), view)
    except ValueError as error:
        raise gr.Error(str(error), title="This face cannot be edited") from error


def click_face(meant: str, subject: Subject | None, event: gr.SelectData) -> int:
    """Number of the face under the pointer, or else of the one being edited."""
    return gr.skip() if subject is None or meant != _key(subject) else subject.face_at(*event.index)


def put_back(subject: Subject | None):
    """After a photo or face that could not be opened: the one that the page still holds."""
    if subject is None:
        return None, gr.skip()
    return _framed(subject), subject.chosen


def open_example(view: str):
    """The page's first sight: a portrait already edited."""
    subject = _subject(EXAMPLE.name, *_example())
    said = subject.untouched(INTENSITY)
    unedited = _edited(subject, None, said)
    for name, wanted in EXAMPLE_EDIT.items():
        if name in editor.names:
            said = said.toggled(name, wanted)
    edited = _example_edit(said.ticks)
    return _opened(subject, view, History.after(unedited, subject, said, edited, model_name, _file))


@cache  # what is slow, and no file, since files are deleted
def _example() -> tuple[Photo, list[Face], int, PreparedFace]:
    photo = read_photo(EXAMPLE)
    faces, chosen = _find_faces(photo, False)
    return photo, faces, chosen, _prepare(photo, faces[chosen], False)


@cache
def _example_edit(ticks: frozenset[str]) -> Image.Image:
    *_, prepared = _example()
    return _edited_photo(prepared, EditRequest.from_controls(prepared.label_dict(), ticks, INTENSITY))


@cache
def _example_single_edits() -> dict[str, Image.Image]:
    *_, prepared = _example()
    return _single_edits(prepared.close_up(THUMBNAIL), INTENSITY)


def _subject(name: str, photo: Photo, faces: list[Face], chosen: int, prepared: PreparedFace | None = None) -> Subject:
    prepared = prepared or _prepare(photo, faces[chosen] if faces else None, not faces)
    return Subject.opened(name, photo, faces, chosen, prepared, _file)


def _key(subject: Subject | None) -> str:
    """What tells a subject from every other one: the folder of a file that only it has.

    The page sends it as it was at the click, where :class:`gr.State` is what it is when the job's turn comes.
    """
    return "" if subject is None else Path(subject.before).parent.name


def _edited(subject: Subject, history: History | None, said: Controls) -> History:
    edited = _edited_photo(subject.prepared, subject.request(said))
    return History.after(history, subject, said, edited, model_name, _file)


def _opened(subject: Subject, view: str, history: History | None = None):
    """Values of :data:`opened` for a photo just opened."""
    history = history or _edited(subject, None, subject.untouched(INTENSITY))
    names = [(f"Face {number + 1}", number) for number in range(len(subject.faces))]
    now = history.now.controls
    return [
        subject,
        _key(subject),
        _framed(subject),
        gr.Radio(choices=names, value=subject.chosen, visible=len(names) > 1),
        now.intensity,
        *[
            gr.CheckboxGroup(choices=_with_confidence(subject, group), value=ticked, interactive=True)
            for group, ticked in zip(groups, _by_group(now.ticks), strict=True)
        ],
        *_sliders(now),
        *_shown(subject, history, view),
    ]


def _framed(subject: Subject) -> str:
    path = _file(FRAMED)
    save_photo(subject.framed(), path)
    return path


def _closed():
    """Values of :data:`opened` without a photo; the photo's own place is left alone: the next one may be there."""
    empty = [gr.CheckboxGroup(choices=_without_confidence(group), value=[], interactive=False) for group in groups]
    shifts = [0.0] * len(fine)
    nothing_shown = [(None, None), None, gr.Gallery(value=[])]
    return [None, _key(None), gr.skip(), gr.Radio(visible=False), INTENSITY, *empty, *shifts, *nothing_shown]


def _with_confidence(subject: Subject, group: list[str]) -> list[tuple[str, str]]:
    return [(f"{short_name(name)}  {subject.prepared.probabilities[name]:.0%}", name) for name in group]


def _without_confidence(group: list[str]) -> list[tuple[str, str]]:
    return [(short_name(name), name) for name in group]


# ------------------------------------------------------------------------------------------------------------- editing


def show(meant: str, subject: Subject | None, history: History | None, view: str, intensity: float, *values):
    """The picture follows the controls: one tick clears what it excludes, the rest is edited."""
    ticked = [name for group in values[: len(groups)] for name in group]
    if subject is not None and meant != _key(subject):  # a click while this one opened, on the boxes of the one before
        return [gr.skip()] * (1 + len(pictures))
    if subject is None or history is None:
        if ticked:
            raise gr.Error(GONE)
        return [gr.skip()] * (1 + len(pictures))
    shifts = {name: shift for name, shift in zip(editor.names, values[len(groups) :], strict=True) if shift}
    now = history.now.controls
    said = replace(now.with_ticks(ticked), intensity=intensity, shifts=shifts)
    gone = [short_name(name) for name in ticked if name not in said.ticks]
    if gone:
        gr.Info(f"{' and '.join(gone)} gave way: one excludes the other.", duration=4)
    settled = (time.monotonic(), _by_group(said.ticks)) if gone else gr.skip()  # the time: each is another one
    if said == now:
        return [settled, *[gr.skip()] * len(pictures)]
    return [settled, *_shown(subject, _edited(subject, history, said), view)]


def settle(settled: tuple[float, list[list[str]]]):
    """Untick what gave way."""
    return settled[1]


def _shown(subject: Subject, history: History, view: str):
    """Values of :data:`pictures`."""
    strip = gr.Gallery(value=history.thumbnails(), selected_index=history.current)
    return [look(subject, history, view), history, strip]


def look(subject: Subject | None, history: History | None, view: str):
    """Before and after."""
    if subject is None or history is None:
        return gr.skip()
    if view == FACE_VIEW:
        return subject.close_before, history.close_file
    return subject.before, history.file


def _values(said: Controls) -> list:
    """Values of :data:`controls`."""
    return [said.intensity, *_by_group(said.ticks), *_sliders(said)]


def _by_group(ticks: Collection[str]) -> list[list[str]]:
    return [[name for name in group if name in ticks] for group in groups]


def _sliders(said: Controls) -> list[float]:
    return [said.shifts.get(name, 0.0) for name in editor.names]


def apply_single(meant: str, subject: Subject | None, history: History | None, event: gr.SelectData):
    """A picture of the gallery was clicked: tick or untick its attribute, unless it is changed already."""
    if history is None or meant != _key(subject):  # or clicked on the page of the photo before this one
        return [gr.skip()] * len(groups)
    name = editor.names[event.index]
    wanted = name not in history.unedited.controls.ticks
    return _by_group(history.now.controls.toggled(name, wanted).ticks)


def apply_degree(attribute: str, event: gr.SelectData, *shifts: float):
    """A picture of the strip was clicked: set that attribute's own slider."""
    return [DEGREES[event.index] if name == attribute else v for name, v in zip(editor.names, shifts, strict=True)]


def go_back(meant: str, subject: Subject | None, history: History | None, event: gr.SelectData):
    """A version was clicked: set every control as it was."""
    if history is None or meant != _key(subject):  # the photo before this one may have had more of them
        return [gr.skip()] * len(controls)
    return _values(history.versions[event.index].controls)


def reset(meant: str, subject: Subject | None, history: History | None):
    """Everything as in the photo."""
    if history is None or meant != _key(subject):
        return [gr.skip()] * len(controls)
    return _values(history.unedited.controls)


# --------------------------------------------------------------------------------------------------- looking and taking


def all_edits(subject: Subject | None):
    """Every single edit of this face, from one encoding."""
    if subject is None:
        return []
    of_example = subject.name == EXAMPLE.name and subject.prepared is _example()[-1]
    edited = _example_single_edits() if of_example else _single_edits(subject.small, INTENSITY)
    return [(picture, caption(name, not subject.labels[name])) for name, picture in edited.items()]


def by_degrees(subject: Subject | None, attribute: str):
    """One attribute from less to more."""
    if subject is None:
        return []
    untouched = subject.untouched(1.0)
    requests = [subject.request(replace(untouched, shifts={attribute: value})) for value in DEGREES]
    pictures = _edit(subject.small, *requests)
    return [(picture, f"{v:+g}" if v else "0") for v, picture in zip(DEGREES, pictures, strict=True)]


def renewed(subject: Subject | None, attribute: str, looked_at: bool):
    """The strip and the animation after another face came onto the page, or none: neither shows the one before."""
    return by_degrees(subject, attribute) if looked_at else [], None


def animate(subject: Subject | None, history: History | None):
    """From the photo to the edit and back."""
    if subject is None or history is None:
        raise gr.Error("Upload a photo first.")
    if not history.now.request.changes:
        raise gr.Error("Nothing is changed yet: tick a box first.")
    steps = [history.now.request.scaled(number / (ANIMATION_FRAMES - 1)) for number in range(ANIMATION_FRAMES)]
    path = _file("edit.webp")
    frames = _edit(subject.prepared.close_up(ANIMATION_SIDE), *steps)
    save_animation(frames, path, history.now.request.note(model_name))
    return _signed(path, history.now.request)


def take_away(subject: Subject | None, history: History | None, file_format: str, request: gr.Request):
    """The edited photo as a file, and the code that makes it again."""
    if subject is None or history is None:
        return gr.DownloadButton(interactive=False), "", ""
    edit = history.now.request
    path = history.file
    if file_format == "PNG":
        edited = _edited_photo(subject.prepared, edit)
        path = _file(Path(path).with_suffix(".png").name)
        save_photo(edited, path, description=edit.note(model_name))
    url = request.headers.get("origin") or f"http://{request.headers.get('host', '127.0.0.1:7860')}"
    face, aligned = subject.chosen if len(subject.faces) > 1 else None, not subject.faces
    return (
        gr.DownloadButton(value=_signed(path, edit), interactive=True),
        edit.as_python(model_name, subject.name, face, aligned),
        edit.as_curl(url, subject.name, face, aligned),
    )


# ------------------------------------------------------------------------------------------ for programs: HTTP and MCP


def attributes(photo: gr.FileData, face: int | None = None, aligned: bool = False) -> dict[str, float]:
    """Tell which facial attributes the model sees in a photo: the probability of each one that can be edited.

    Args:
        photo: image file (JPEG, PNG, WebP, TIFF or BMP, up to 50 MB).
        face: which face, counted from 0 at the left; without it the largest one that can be edited.
        aligned: take the whole photo as a face crop like CelebA's instead of looking for faces.
    """
    return _prepared(photo, face, aligned).probabilities


def edit(
    photo: gr.FileData,
    changes: dict[str, bool],
    intensity: float | dict[str, float] = 1.0,
    source: dict[str, bool] | None = None,
    face: int | None = None,
    aligned: bool = False,
) -> gr.FileData:
    """Edit a face in a photo and return the edited photo as a PNG file of the same size.

    Args:
        photo: image file (JPEG, PNG, WebP, TIFF or BMP, up to 50 MB).
        changes: attribute name to wanted value, such as {"Eyeglasses": true, "Young": false}.
        intensity: 1 is a plain edit, more is stronger, up to 2; past 1.5 faces suffer. Or an object of attribute name
            to intensity.
        source: corrections to what the model sees in the photo, attribute name to value.
        face: which face, counted from 0 at the left; without it the largest one that can be edited.
        aligned: take the whole photo as a face crop like CelebA's instead of looking for faces.
    """
    for name, given in {"changes": changes, "source": source or {}}.items():
        _check_labels(name, given)
    _check_intensity(intensity)
    request = EditRequest(changes, intensity, source or {})
    return _answer(_tried(_edit, _prepared(photo, face, aligned), request)[0], request, "edited.png")


def edit_all(
    photo: gr.FileData, intensity: float = 1.0, face: int | None = None, aligned: bool = False
) -> dict[str, gr.FileData]:
    """Flip each attribute of a face by itself: one edited photo per attribute, added where it lacks and else removed.

    Args:
        photo: image file (JPEG, PNG, WebP, TIFF or BMP, up to 50 MB and 25 megapixels).
        intensity: 1 is a plain edit, more is stronger, up to 2; past 1.5 faces suffer.
        face: which face, counted from 0 at the left; without it the largest one that can be edited.
        aligned: take the whole photo as a face crop like CelebA's instead of looking for faces.
    """
    _check_intensity(intensity)
    prepared = _prepared(photo, face, aligned, MOST_FOR_ALL)
    requests = {name: EditRequest(changes, intensity) for name, changes in editor.single_edits(prepared).items()}
    photos = _edit_one_by_one(prepared, *requests.values())  # together they would be a photo for each in memory
    return _tried(lambda: {name: _answer(next(photos), request, f"{name}.png") for name, request in requests.items()})


def _check_labels(name: str, given: object) -> None:
    """Refuse what is no object of true and false: no schema is enforced on what arrives, and "false" would be true."""
    wanted = f'{name} must be an object of attribute name to true or false, such as {{"Eyeglasses": true}}'
    if not isinstance(given, dict):
        raise gr.Error(f"{wanted}.")
    for attribute, value in given.items():
        if not isinstance(value, bool):
            raise gr.Error(f"{wanted}; {attribute} is {json.dumps(value)}: give true or false, without quotes.")


def _check_intensity(given: object) -> None:
    """Refuse what is no number before the work: true would be 1, and "1.2" would fail once the edit is made."""
    wanted = "intensity must be a number, or an object of attribute name to number"
    if not isinstance(given, dict) and not _is_number(given):
        raise gr.Error(f"{wanted}; not {json.dumps(given)}.")
    for attribute, value in given.items() if isinstance(given, dict) else ():
        if not _is_number(value):
            raise gr.Error(f"{wanted}; {attribute} is {json.dumps(value)}.")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # false for NaN, and for a whole number that no float holds


def _prepared(photo: gr.FileData, face: int | None, aligned: bool, most: int | None = None) -> PreparedFace:
    if isinstance(face, bool) or not isinstance(face, int | None):  # no schema is enforced here either
        raise gr.Error(f"face must be a whole number, counted from 0 at the left, or null; not {json.dumps(face)}.")
    if not isinstance(aligned, bool):
        raise gr.Error(f"aligned must be true or false, without quotes; not {json.dumps(aligned)}.")
    opened_photo = _tried(read_photo, _uploaded_path(photo))
    height, width = opened_photo.rgb.shape[:2]
    if most is not None and height * width > most:
        raise gr.Error(
            f"All edits of a photo of {width}x{height} pixels would take minutes: ask /edit for those that you want, "
            f"or send a photo of {most // 1_000_000} megapixels at most."
        )
    return _tried(_prepare, opened_photo, face, aligned or looks_aligned(opened_photo.rgb.shape))


def _tried(function, *arguments):
    """The function's answer; what it says about bad input reaches the person."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise gr.Error(str(error)) from error


def _answer(edited: Image.Image, request: EditRequest, name: str) -> dict:
    path = _file(name)
    save_photo(edited, path, description=request.note(model_name))
    return {
        "path": _signed(path, request),
        "orig_name": name,
        "mime_type": "image/png",
        "meta": {"_type": "gradio.FileData"},
    }


# ------------------------------------------------------------------------------------------------------------ the page


headings = grouped(editor.names)
groups = list(headings.values())

thumbnails = {
    "elem_classes": "thumbnails",
    "show_label": False,
    "allow_preview": False,
    "interactive": False,
    "buttons": [],
    "object_fit": "cover",
    "fit_columns": False,
    "height": "auto",
    "format": "jpeg",
}

with gr.Blocks(title="STGAN: edit a face, tick a box", delete_cache=(600, 3600)) as demo:
    subject_state, history_state = gr.State(time_to_live=3600), gr.State(time_to_live=3600)
    # What a click made give way. Not the boxes themselves: Gradio keeps a copy of a component each time it is skipped.
    settled_state = gr.State()
    key_box = gr.Textbox(visible=False)  # of the subject that the page shows
    path_state = gr.State(str(EXAMPLE))  # of the newest upload, also of one that could not be opened; None: removed
    looked_state = gr.State(False)  # whether degrees have been looked at: only then are they made for the next face
    gr.Markdown(INTRODUCTION)
    if notice:
        gr.Markdown(f"**{notice}**")
    with gr.Row(elem_id="editor"):
        with gr.Column(elem_id="pick", min_width=0):
            photo = gr.Image(
                label="Photo", show_label=False, type="filepath", image_mode=None, height=280, format="jpeg",
                sources=["upload", "webcam", "clipboard"], buttons=["fullscreen"], elem_id="photo",
            )  # fmt: skip
            example_button = gr.Button("Open the example", size="sm")
            face_choice = gr.Radio([], label="Which face", info="Or click it in the photo.", visible=False)
        with gr.Column(elem_id="see", min_width=0):
            slider = gr.ImageSlider(
                label="Before and after", type="filepath", interactive=False, height=520, max_height=520,
                buttons=["fullscreen"], elem_id="result",
            )  # fmt: skip
            view = gr.Radio([FACE_VIEW, PHOTO_VIEW], value=FACE_VIEW, label="View", show_label=False, container=False)
        with gr.Column(elem_id="say", min_width=0):
            gr.Markdown(
                "The percentages say how sure the model is of each in the photo; they do not change with your edits."
            )
            boxes = [
                gr.CheckboxGroup(_without_confidence(group), label=heading, interactive=False)
                for heading, group in headings.items()
            ]
            strength = gr.Slider(
                0.0, 1.5, value=INTENSITY, step=0.05, label="Intensity", info="1 is plain, 1.5 is strong."
            )
            reset_button = gr.Button("Reset: as in the photo", size="sm")
            with gr.Accordion("Each attribute by itself", open=False):
                gr.Markdown("0 leaves it to its box; above 0 more of it, below 0 less.")
                fine = [gr.Slider(-1.5, 1.5, value=0.0, step=0.05, label=short_name(name)) for name in editor.names]
            aligned_box = gr.Checkbox(
                label="Already aligned", info="The photo is a face crop like CelebA's: do not look for a face in it."
            )
        with gr.Column(elem_id="more", min_width=0):
            gr.Markdown("Versions: click one to go back to it.")
            versions = gr.Gallery(label="Versions", elem_id="versions", **thumbnails)
            with gr.Row(elem_id="take"):
                download = gr.DownloadButton("Download the edited photo", interactive=False, variant="primary", scale=3)
                file_format = gr.Radio(
                    ["PNG", "JPEG"], value="JPEG", label="File", show_label=False, container=False, min_width=190
                )
            with gr.Tabs():
                with gr.Tab("All edits at a glance"):
                    gr.Markdown("Each attribute changed alone. Click one to apply it, again to take it back.")
                    gallery = gr.Gallery(label="All edits", elem_id="all-edits", **thumbnails)
                with gr.Tab("One edit by degrees") as degrees_tab:
                    attribute = gr.Dropdown(
                        [(short_name(name), name) for name in editor.names], value=editor.names[-1], label="Attribute",
                        info="Less of it to the left, more to the right. Click one to apply it.",
                    )  # fmt: skip
                    strip = gr.Gallery(label="Degrees", elem_id="degrees", **thumbnails)
                with gr.Tab("Animation"):
                    animate_button = gr.Button("Animate this edit", size="sm")
                    animation = gr.Image(
                        label="Photo to edit and back (WebP)", type="filepath", interactive=False, height=400,
                        buttons=["download"], format="webp", elem_id="animation",
                    )  # fmt: skip
                with gr.Tab("In code"):
                    python_code = gr.Code(label="This edit in Python", language="python", interactive=False)
                    curl_code = gr.Code(label="This edit by curl, from this demo", language="shell", interactive=False)
    of_data = OF_CELEBA if any(map(is_celeba, model_data)) else OF_OTHERS
    gr.Markdown(NOTES + of_data.format(data=" and ".join(model_data) or "the data that its card names").lstrip("\n"))
    if credentials:
        gr.Markdown("Downloads carry signed content credentials (C2PA).")

    controls = [strength, *boxes, *fine]
    pictures = [slider, history_state, versions]
    opened = [subject_state, key_box, photo, face_choice, *controls, *pictures]
    private = {"api_visibility": "private"}
    by_model = private | {"concurrency_id": "model", "concurrency_limit": CONCURRENCY}  # first come, first served
    latest = by_model | {"trigger_mode": "always_last"}  # while one runs, of those that follow only the last waits
    at_once = private | {"queue": False, "show_progress": "hidden"}

    editing = gr.on(
        [control.change for control in controls], show, [key_box, subject_state, history_state, view, *controls],
        [settled_state, *pictures], show_progress="minimal", show_progress_on=slider, **latest,
    )  # fmt: skip
    settled_state.change(settle, settled_state, boxes, **at_once)
    loading = demo.load(open_example, view, opened, show_progress_on=slider, **by_model)
    openings = [
        loading,
        # Not preprocessed: Gradio would open the file itself, and say in its own words what is wrong with a bad one.
        photo.input(uploaded, photo, path_state, preprocess=False, **at_once).success(
            open_photo, [path_state, aligned_box, view], opened, show_progress_on=slider, **latest
        ),
        example_button.click(open_example, view, opened, show_progress_on=slider, **by_model),
        aligned_box.input(open_photo, [path_state, aligned_box, view], opened, show_progress_on=slider, **by_model),
        face_choice.input(choose_face, [key_box, subject_state, face_choice, view], opened, **by_model),
        photo.select(click_face, [key_box, subject_state], face_choice, **at_once).success(
            choose_face, [key_box, subject_state, face_choice, view], opened, **by_model
        ),
    ]
    example_button.click(lambda: (str(EXAMPLE), False), None, [path_state, aligned_box], **at_once)
    for opening in openings:
        opening.failure(put_back, subject_state, [photo, face_choice], **at_once)
        opening.success(all_edits, subject_state, gallery, **latest)
        opening.success(renewed, [subject_state, attribute, looked_state], [strip, animation], **latest)
    for after in (*(event.success for event in (*openings, editing)), file_format.change):
        after(take_away, [subject_state, history_state, file_format], [download, python_code, curl_code], **latest)
    gr.on([degrees_tab.select, attribute.change], by_degrees, [subject_state, attribute], strip, **latest)
    degrees_tab.select(lambda: True, None, looked_state, **at_once)
    view.change(look, [subject_state, history_state, view], slider, **at_once)
    clicked = [key_box, subject_state, history_state]
    gallery.select(apply_single, clicked, boxes, **at_once)
    strip.select(apply_degree, [attribute, *fine], fine, **at_once)
    versions.select(go_back, clicked, controls, **at_once)
    reset_button.click(reset, clicked, controls, **at_once)
    animate_button.click(animate, [subject_state, history_state], animation, **by_model)
    for function in (attributes, edit, edit_all):
        gr.api(function, concurrency_id="model", concurrency_limit=CONCURRENCY)


if __name__ == "__main__":
    demo.queue(max_size=32).launch(
        server_port=int(os.environ.get("STGAN_PORT", os.environ.get("GRADIO_SERVER_PORT", 7860))),
        theme=gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=CSS,
        max_file_size=MAX_UPLOAD,
        state_session_capacity=64,  # visitors whose photos are in memory, about 10 MB each per megapixel
        mcp_server=importlib.util.find_spec("mcp") is not None,
        show_error=True,
    )
