"""The command line gives what the library gives, and answers mistakes with one sentence."""

import json
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

from stgan import FaceEditor, cli
from stgan.faces import FaceDetector


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


@pytest.mark.parametrize("command", ["edit", "attributes", "evaluate"])
def test_help_explains_every_option(stgan, capsys, command):
    with pytest.raises(SystemExit) as stopped:
        stgan(command, "--help")
    assert stopped.value.code == 0
    assert "Model folder or Hub id" in capsys.readouterr().out


def test_sheet_shows_the_photo_and_every_single_edit(stgan, photo, tmp_path):
    stgan("sheet", photo, "--out", tmp_path / "sheet.png", "--columns", 7, "--side", 48)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    pictures = sheet[:, :].min(axis=0) < 128  # columns of the sheet that hold ink or a picture
    assert sheet.shape[1] > 7 * 48
    assert pictures.sum() >= 7 * 40
