"""The command line gives what the library gives, and answers mistakes with one sentence."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from stgan import FaceEditor, cli
from stgan.faces import FaceDetector

ROOT = Path(__file__).parent.parent


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "portrait.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


@pytest.fixture
def stgan(monkeypatch, model_folder, capsys):
    """Runs ``stgan`` with arguments and returns what it printed."""
    monkeypatch.setenv("STGAN_MODEL", str(model_folder))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["stgan", *map(str, arguments)])
        cli.main()
        return capsys.readouterr().out

    return run


def test_edit_writes_what_the_library_returns(stgan, photo, model_folder):
    written = stgan("edit", photo, "--add", "Eyeglasses", "Bangs", "--remove", "Young", "--intensity", 1.3).strip()
    assert written.endswith("portrait-edited.png")
    editor = FaceEditor.from_pretrained(model_folder, detector=FaceDetector())
    expected = editor.edit(photo, {"Eyeglasses": True, "Bangs": True, "Young": False}, 1.3)
    assert np.array_equal(np.asarray(Image.open(written)), np.asarray(expected))


def test_an_edited_file_says_that_it_was_edited(stgan, photo, tmp_path):
    stgan("edit", photo, "--add", "Eyeglasses", "--out", tmp_path / "out.png")
    assert "+Eyeglasses" in str(Image.open(tmp_path / "out.png").info)


def test_attributes_prints_what_the_library_says(stgan, photo, model_folder):
    printed = json.loads(stgan("attributes", photo, "--json"))
    expected = FaceEditor.from_pretrained(model_folder, detector=FaceDetector()).attributes(photo)
    assert printed == pytest.approx(expected, abs=1e-6)


def test_attributes_lists_every_name_for_people(stgan, photo):
    lines = stgan("attributes", photo).splitlines()
    assert len(lines) == 13
    assert all("%" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("edit", "absent.png", "--add", "Male"), "absent.png"),
        (("edit", "{photo}"), "Nothing to do"),
        (("edit", "{photo}", "--add", "Male", "Bald", "--remove", "Bald"), "Bald: named with --add and with --remove"),
        (("edit", "{photo}", "--add", "Glasses"), "Did you mean Eyeglasses"),
        (("edit", "{photo}", "--add", "Male", "--model", "nowhere/nothing/at-all"), "nowhere/nothing/at-all"),
        (("evaluate", "{photo}"), "No dataset at"),
    ],
)
def test_a_mistake_is_one_sentence(stgan, photo, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        stgan(*(str(argument).format(photo=photo) for argument in arguments))
    assert message in str(stopped.value)
    assert "Traceback" not in str(stopped.value)


COMMANDS = [[command.__name__] for command in cli.COMMANDS if command is not cli.publish]


@pytest.mark.parametrize("command", [*COMMANDS, ["publish", "model"], ["publish", "space"]], ids=" ".join)
def test_help_explains_every_option(stgan, capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        stgan(*command, "--help")
    assert stopped.value.code == 0
    explained, name = {}, ""
    for line in capsys.readouterr().out.splitlines():
        text = line.strip("│ ")  # of a box, which is drawn where the encoding has one
        if re.match(r"[│ ] (--?[a-z]|[A-Z]+  )", line):
            name, _, explained[name] = text.partition("  ")
        elif explained and re.match(r"[│ ] {8,}\S", line):
            explained[name] += f" {text}"
    assert len(explained) > 2
    assert [name for name, text in explained.items() if not re.sub(r"\((default|required).*", "", text).strip()] == []


def test_a_photo_that_cannot_be_written_as_it_was_read_becomes_a_png(stgan, photo):
    for suffix in (".bmp", ".GIF"):
        Image.open(photo).save(photo.with_suffix(suffix))
        written = stgan("edit", photo.with_suffix(suffix), "--add", "Eyeglasses").strip()
        assert written.endswith("portrait-edited.png")
        assert Image.open(written).size == Image.open(photo).size


@pytest.mark.parametrize("command", [("edit", "--add", "Eyeglasses"), ("sheet",)])
@pytest.mark.parametrize(
    ("out", "message"), [("out.bmp", "out.bmp ends in none of"), ("absent/out.png", "There is no folder")]
)
def test_a_file_that_cannot_be_written_is_named_before_the_work(stgan, photo, monkeypatch, command, out, message):
    monkeypatch.setattr(cli, "_editor", lambda *_: pytest.fail("it began to work"))
    with pytest.raises(SystemExit, match=message):
        stgan(command[0], photo, *command[1:], "--out", photo.parent / out)


@pytest.mark.parametrize("arguments", [("--columns", 0), ("--columns", -1), ("--side", 0)])
def test_a_sheet_without_columns_or_pictures_is_refused(stgan, photo, arguments):
    with pytest.raises(SystemExit, match="A sheet needs --columns 1 or more"):
        stgan("sheet", photo, *arguments)


@pytest.mark.parametrize(("flags", "wanted"), [((), None), (("--aligned",), True), (("--no-aligned",), False)])
@pytest.mark.parametrize("command", [("edit", "--add", "Eyeglasses"), ("attributes",), ("sheet",)])
def test_aligned_is_said_denied_or_left_open(stgan, photo, monkeypatch, command, flags, wanted):
    asked = []

    def prepare(self, photo, *, aligned=None, **_):
        asked.append(aligned)
        raise ValueError("stopped here")

    monkeypatch.setattr(FaceEditor, "prepare", prepare)
    with pytest.raises(SystemExit, match="stopped here"):
        stgan(command[0], photo, *command[1:], *flags)
    assert asked == [wanted]


def test_sheet_shows_the_photo_and_every_single_edit(stgan, photo, tmp_path):
    stgan("sheet", photo, "--out", tmp_path / "sheet.png", "--columns", 7, "--side", 48)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    pictures = sheet[:, :].min(axis=0) < 128  # columns of the sheet that hold ink or a picture
    assert sheet.shape[1] > 7 * 48
    assert pictures.sum() >= 7 * 40


def test_a_sheet_of_a_deep_grey_photo_is_that_of_a_plain_one(stgan, tmp_path):
    grey = np.asarray(Image.fromarray(skimage.data.astronaut()).convert("L"))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    sheets = []
    for name in ("grey", "deep"):
        stgan("sheet", tmp_path / f"{name}.png", "--out", tmp_path / f"{name}-sheet.png", "--side", 48)
        sheets.append(np.asarray(Image.open(tmp_path / f"{name}-sheet.png")))
    assert np.array_equal(*sheets)
    assert (sheets[0] == 255).all(axis=2).mean() < 0.6  # the rest is pictures


@pytest.mark.parametrize("command", ["stgan", "train.py"])
def test_without_the_training_packages_a_command_says_what_to_install(command):
    """A module of this name that cannot be imported stands for one that is not there."""
    block = "import sys; sys.modules['datasets'] = None; "
    run = {
        "stgan": "sys.argv = ['stgan', 'evaluate', 'nowhere']; from stgan import cli; cli.main()",
        "train.py": "import runpy; sys.argv = ['train.py']; runpy.run_path('train.py', run_name='__main__')",
    }[command]
    ran = subprocess.run([sys.executable, "-c", block + run], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.strip() == f"{command}: datasets is not installed: pip install -e '.[train]'"
