"""Many photos in one command: which are meant, where results go, and what is said about them."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image
from scripts import ROOT

from stgan import FaceEditor, cli
from stgan.batch import Results, photos_of
from stgan.photo.files import PhotoWarning


@pytest.fixture
def edit(monkeypatch, model_folder, capsys):
    """Runs ``stgan edit`` with arguments: exit status, what it printed, and what it said beside."""
    monkeypatch.setenv("STGAN_MODEL", str(model_folder))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    opened = []
    monkeypatch.setattr(FaceEditor, "from_pretrained", _counted(FaceEditor.from_pretrained, opened))

    def edit(*arguments):
        status = 0
        try:
            cli.main(["edit", *map(str, arguments)])
        except SystemExit as stopped:
            status = stopped.code
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err

    edit.models = opened
    return edit


def _counted(function, calls):
    def counted(*arguments, **options):
        calls.append(arguments)
        return function(*arguments, **options)

    return counted


@pytest.fixture
def album(tmp_path, astronaut):
    """A folder of two portraits, a file without a face, and one that is no picture."""
    folder = tmp_path / "album"
    folder.mkdir()
    portrait = Image.fromarray(astronaut[:256, 96:352])
    portrait.save(folder / "a.png")
    portrait.save(folder / "b.jpg")
    Image.new("RGB", (90, 90), "grey").save(folder / "c.png")
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def test_files_folders_and_patterns_are_edited_with_one_model_and_failures_come_last(edit, album, tmp_path, editor):
    out = tmp_path / "edited"
    status, printed, said = edit(album, album / "*.png", album / "a.png", "--add", "Bangs", "--force", "--out-dir", out)
    assert status == 1
    assert len(edit.models) == 1
    assert printed == [str(out / "a.png"), str(out / "b.jpg")]  # each photo once
    assert said.rstrip().splitlines()[-2] == "stgan: 1 of 3 photos could not be edited:"
    assert f"{album / 'c.png'}: No face was found" in said
    assert "3/3" in said  # the progress bar
    expected = editor.edit(album / "a.png", ["Bangs"], force=True)
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), np.asarray(expected))
    assert sorted(path.name for path in album.iterdir()) == [".hidden.png", "a.png", "b.jpg", "c.png", "notes.txt"]


def test_results_replace_neither_photos_nor_earlier_results_unasked(edit, album):
    photo = album / "a.png"
    before = photo.read_bytes()
    assert edit(photo, "--add", "Bangs")[:2] == (0, [str(album / "a-edited.png")])
    first = (album / "a-edited.png").read_bytes()
    edit.models.clear()
    status, _, _ = edit(photo, "--remove", "Bangs", "--force")
    assert "a-edited.png exists already: add --overwrite" in status
    assert edit.models == []  # before the work
    assert (album / "a-edited.png").read_bytes() == first
    status, printed, said = edit(photo, "--remove", "Bangs", "--force", "--overwrite")
    assert (status, printed) == (0, [str(album / "a-edited.png")])
    assert "a-edited.png was replaced" in said
    assert (album / "a-edited.png").read_bytes() != first
    for options in (("--out", photo), ("--out-dir", album), ("--out-dir", album, "--overwrite")):
        assert "is the photo itself" in edit(photo, "--add", "Bangs", *options)[0]
    assert photo.read_bytes() == before
    assert photos_of([album]) == [album / "a.png", album / "b.jpg", album / "c.png"]  # not the result


def test_two_photos_of_one_name_do_not_share_a_result(tmp_path):
    photos = [tmp_path / "one" / "me.png", tmp_path / "two" / "me.png"]
    results = Results(photos, out_dir=tmp_path / "out")
    assert results.path(photos[0]) == tmp_path / "out" / "me.png"
    with pytest.raises(ValueError, match=r"is the result of .*one.*me\.png already"):
        results.path(photos[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{a}", "{b}", "--add", "Bangs", "--out", "{out}.png"), "--out names one file, but there are 2 photos"),
        (("{a}", "--add", "Bangs", "--out", "{out}.png", "--out-dir", "{out}"), "not both"),
        (("{a}", "--add", "Bangs", "--out", "{folder}"), "is a folder: use --out-dir"),
        (("{a}", "--add", "Bangs", "--out-dir", "{b}"), "is a file: name a folder"),
        (("{folder}/*.bmp", "--add", "Bangs"), "No file fits"),
        (("{folder}/..", "--add", "Bangs"), "holds no picture"),
        (("{folder}", "--add", "Glasses"), "Did you mean Eyeglasses"),
        (("{folder}", "--add", "Bald", "Bangs"), "exclude each other"),
        (("{folder}", "--add", "Bangs", "--intensity", 3), "out of range"),
        (("{folder}", "--add", "Bangs", "--source", "Young"), "write NAME=1"),
        (("{folder}", "--add", "Bangs", "--source", "Young=maybe"), "write NAME=1"),
        (("{folder}", "--add", "Bangs", "--source", "Yung=1"), "Did you mean Young"),
        (("{folder}", "--all-edits", "--add", "Bangs"), "leave out --add and --remove"),
        (("{folder}", "--all-edits", "--face", "all"), "--all-edits writes several files of one face"),
    ],
)
def test_mistakes_end_before_the_first_photo(arguments, message, edit, album, tmp_path):
    places = {"a": album / "a.png", "b": album / "b.jpg", "folder": album, "out": tmp_path / "out"}
    status, printed, _ = edit(*(str(argument).format(**places) for argument in arguments))
    assert message in status
    assert printed == []


def test_what_the_face_has_already_is_said_and_corrected(edit, album, editor):
    photo, out = album / "a.png", album / "out.png"
    prepared = editor.prepare(photo)
    has = next(name for name, present in prepared.label_dict().items() if present)
    status, _, said = edit(photo, "--add", has, "--out", out)
    assert status == 0
    assert said == f"stgan: {has}: already present (p = {prepared.probabilities[has]:.2f}), nothing changed.\n"
    assert "Description" not in Image.open(out).text
    assert np.array_equal(np.asarray(Image.open(out)), prepared.photo.rgb)
    expected = np.asarray(editor.edit(prepared, {has: True}, source={has: False}))
    for option in (("--source", f"{has}=0"), ("--force",)):
        _, _, said = edit(photo, "--add", has, *option, "--out", out)
        assert said == f"stgan: {out} was replaced.\n"
        assert np.array_equal(np.asarray(Image.open(out)), expected)
        assert f"+{has}" in Image.open(out).text["Description"]


def test_all_edits_are_a_file_each(edit, album, editor, tmp_path):
    status, printed, _ = edit(album / "b.jpg", "--all-edits", "--out-dir", tmp_path / "out")
    present = editor.prepare(album / "b.jpg").label_dict()
    names = [f"b-{'remove' if has else 'add'}-{name}.jpg" for name, has in present.items()]
    assert (status, printed) == (0, [str(tmp_path / "out" / name) for name in names])
    assert Image.open(tmp_path / "out" / names[0]).size == (256, 256)


def test_what_a_photo_loses_is_said_in_one_line(edit, tmp_path, astronaut):
    frames = [Image.fromarray(astronaut[:256, 96:352]), Image.new("RGB", (256, 256))]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("always", PhotoWarning)
        _, printed, said = edit(tmp_path / "moving.webp", "--add", "Bangs")
    assert said.splitlines()[0] == "stgan: moving.webp is an animation of 2 frames: only the first one is read."
    assert printed == [str(tmp_path / "moving-edited.webp")]


def test_names_of_files_do_not_command_the_terminal(edit, tmp_path):
    for name in ("a\x1b[2J.jpg", "b\r\x9b31m.jpg"):
        (tmp_path / name).write_bytes(b"nothing")
    status, _, said = edit(tmp_path, "--add", "Young")
    failures = said.split("could not be edited:")[1]
    assert status == 1
    assert "a\N{REPLACEMENT CHARACTER}[2J.jpg" in failures
    assert not {"\x1b", "\x9b", "\r"} & set(failures)


@pytest.mark.parametrize("photos", [".", "a.png"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to get 4 bytes"), "not enough memory"),
        (KeyboardInterrupt(), "stopped"),
    ],
)
def test_want_of_memory_and_an_interrupt_end_with_a_sentence(photos, error, message, edit, album, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("stgan.photo.files.open_photo", fail)
    status, _, said = edit(album / photos, "--add", "Young")
    assert status != 0
    assert message in f"{status} {said}"
    assert "Traceback" not in said


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no folder that somebody is in")
@pytest.mark.parametrize("program", ["stgan/cli.py", "app.py", "train.py"])
def test_a_folder_that_was_deleted_ends_with_a_sentence_before_torch_is_imported(program, tmp_path):
    code = (
        "import atexit, os, runpy, sys\n"
        "os.rmdir(os.getcwd())\n"
        "atexit.register(lambda: print('torch' in sys.modules))\n"
        f"sys.argv = [{program!r}, 'edit', 'me.jpg']\n"
        f"runpy.run_path({str(ROOT / program)!r}, run_name='__main__')\n"
    )
    (tmp_path / "here").mkdir()
    (tmp_path / "start.py").write_text(code)  # with -c Python 3.13 itself fails: it looks for modules in the folder
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "start.py")], cwd=tmp_path / "here", env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stdout == "False\n"
    (sentence,) = ended.stderr.splitlines()
    assert "deleted" in sentence
    assert "cd to another one" in sentence
