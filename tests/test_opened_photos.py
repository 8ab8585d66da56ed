"""The demo opens a photo once, however often its bytes arrive, and forgets it in time."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import two_people
from PIL import Image

from stgan import FaceEditor
from stgan.photo.face import FaceError

pytest.importorskip("gradio")

from stgan.demo import photos  # noqa: E402
from stgan.demo.photos import PhotoCache  # noqa: E402
from stgan.demo.studio import Studio  # noqa: E402


@pytest.fixture
def studio(editor):
    return Studio(editor, "tiny", files=None)


@pytest.fixture
def counted(monkeypatch):
    """How often each costly step was taken."""
    counts = {"open_photo": 0, "find_faces": 0, "prepare": 0}

    def count(owner, name):
        function = getattr(owner, name)

        def counting(*arguments, **named):
            counts[name] += 1
            return function(*arguments, **named)

        monkeypatch.setattr(owner, name, counting)

    count(photos, "open_photo")
    count(FaceEditor, "find_faces")
    count(FaceEditor, "prepare")
    return counts


def test_the_same_bytes_are_searched_once_and_answer_what_the_library_answers(studio, editor, tmp_path, counted):
    content = io.BytesIO()
    two_people().save(content, "PNG")
    files = [tmp_path / name for name in ("mine.png", "yours.png", "other.png")]
    for file in files:
        file.write_bytes(content.getvalue())
    files[2].write_bytes(content.getvalue() + b"\0")  # looks the same, and is another file
    together = threading.Barrier(8)

    def visit(number):
        opened = studio.photos.open(files[number % 2])
        together.wait(timeout=60)
        return opened, *studio.face(opened)

    with ThreadPoolExecutor(8) as at_once:
        visits = list(at_once.map(visit, range(8)))
    assert (counted["find_faces"], counted["prepare"]) == (1, 1)
    assert counted["open_photo"] <= 8  # those that came at the same moment
    opened, faces, largest, prepared = visits[0]
    assert all(each[0] is opened and each[3] is prepared for each in visits)
    assert prepared.photo is opened.photo

    for number in (0, 1, 0, 1):
        assert studio.face(opened, number)[2].probabilities == editor.prepare(files[0], face=number).probabilities
    assert prepared.probabilities == editor.prepare(files[0]).probabilities
    assert largest == 1
    assert studio.face(opened, aligned=True)[0] == []
    assert studio.face(opened, aligned=True)[2].probabilities == editor.prepare(files[0], aligned=True).probabilities
    assert studio.face(opened)[:2] == (faces, 1)  # taking it as aligned has changed nothing
    with pytest.raises(FaceError, match="no face number 2: 2 were found"):
        studio.face(opened, 2)
    with pytest.raises(ValueError, match="leave out face, or leave out aligned"):
        studio.face(opened, 0, aligned=True)

    other = studio.photos.open(files[2])
    assert other is not opened
    assert other.faces == {}


def test_a_face_crop_is_searched_only_for_a_face_with_a_number(studio, editor, astronaut, monkeypatch):
    monkeypatch.setattr(FaceEditor, "is_aligned", lambda *_: True)
    opened = photos.OpenedPhoto(photos.open_photo(astronaut))
    assert studio.face(opened)[0] == studio.face(opened)[0] == []
    assert studio.face(opened)[2].face is None
    assert studio.face(opened, 0)[2].face is not None
    assert studio.face(opened)[2].face is None


def test_photos_are_forgotten_by_number_by_size_and_by_age(tmp_path, monkeypatch):
    clock, timers = SimpleNamespace(now=0.0), []
    timer = SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(photos.threading, "Timer", lambda *arguments: timers.append(arguments) or timer)
    monkeypatch.setattr(photos.time, "monotonic", lambda: clock.now)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((20, 10, 3), number, np.uint8)).save(path)
    cache = PhotoCache(most=2)
    first, second = cache.open(paths[0]), cache.open(paths[1])
    assert first.nbytes == 2 * 20 * 10 * 3
    assert cache.open(paths[0]) is first  # the one opened last
    cache.open(paths[2])
    assert cache.open(paths[0]) is first
    assert cache.open(paths[1]) is not second

    small = PhotoCache(most_bytes=2 * first.nbytes)
    known = [small.open(path) for path in paths[:3]]
    assert [small.open(path) is each for path, each in zip(paths[2:0:-1], known[2:0:-1], strict=True)] == [True, True]
    assert small.open(paths[0]) is not known[0]
    tiny = PhotoCache(most_bytes=first.nbytes - 1)
    assert tiny.open(paths[0]) is not tiny.open(paths[0])  # too large to be kept at all

    timers.clear()
    hour = PhotoCache()
    old = hour.open(paths[0])
    clock.now = photos.SECONDS - 1
    young = hour.open(paths[1])
    assert hour.open(paths[0]) is old
    ((seconds, ended),) = timers
    clock.now += 1
    assert clock.now == seconds == photos.SECONDS
    ended()
    assert list(hour._photos.values()) == [young]
    assert [seconds for seconds, _ in timers[1:]] == [photos.SECONDS - 1]  # for the young one
    assert hour.open(paths[0]) is not old
    assert hour.open(paths[1]) is young
    clock.now = 2 * photos.SECONDS  # before any timer
    assert hour.open(paths[1]) is not young


def test_a_file_that_is_no_photo_is_refused_by_its_name(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^broken\.jpg is not a picture that can be read"):
            PhotoCache().open(tmp_path / "broken.jpg")
