"""The demo answers over HTTP what the library answers in Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from stgan import FaceEditor
from stgan.faces import FaceDetector
from stgan.request import EditRequest

gradio_client = pytest.importorskip("gradio_client")


@pytest.fixture(scope="module")
def client(demo_address):
    return gradio_client.Client(demo_address, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def editor(model_folder):
    return FaceEditor.from_pretrained(model_folder, detector=FaceDetector())


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "portrait.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


def asked(client, photo, *arguments, api_name):
    return client.predict(gradio_client.handle_file(str(photo)), *arguments, api_name=api_name)


def assert_same_picture(path, expected):
    difference = np.abs(np.asarray(Image.open(path)).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1  # another process may sum in another order


def test_attributes_answers_what_the_library_answers(client, photo, editor):
    assert asked(client, photo, api_name="/attributes") == pytest.approx(editor.attributes(photo), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "intensity", "source"),
    [
        ({"Eyeglasses": True, "Young": False}, 1.2, None),
        ({"Eyeglasses": True, "Male": True}, {"Eyeglasses": 0.5, "Male": 1.5}, {"Eyeglasses": False}),
    ],
)
def test_edit_answers_what_the_library_answers(client, photo, editor, changes, intensity, source):
    path = asked(client, photo, changes, intensity, source, api_name="/edit")
    assert_same_picture(path, editor.edit(photo, changes, intensity, source=source))


def test_edit_all_answers_what_the_library_answers(client, photo, editor):
    answers = asked(client, photo, 1.25, api_name="/edit_all")
    assert list(answers) == list(editor.names)
    labels = editor.prepare(photo).label_dict()
    for name, path in answers.items():
        assert_same_picture(path, editor.edit(photo, {name: not labels[name]}, 1.25))


def test_an_aligned_photo_is_not_searched_for_a_face(client, tmp_path, editor):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    answer = asked(client, tmp_path / "grey.png", 0, True, api_name="/attributes")
    assert answer == pytest.approx(editor.attributes(tmp_path / "grey.png", aligned=True), abs=1e-4)


def test_the_file_says_that_and_how_it_was_edited(client, photo):
    text = Image.open(asked(client, photo, {"Mustache": True}, 1.5, api_name="/edit")).text
    assert "edited" in text["Description"]
    assert "stgan-tiny" in text["Description"]
    assert "+Mustache 1.5" in text["Description"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_commands_make_the_same_picture(demo_address, photo, editor):
    request = EditRequest({"Eyeglasses": True, "Young": False}, {"Eyeglasses": 1.25, "Young": 0.5}, {"Young": True})
    commands = request.as_curl(demo_address, photo.name)
    subprocess.run(["sh", "-ec", commands], cwd=photo.parent, check=True, timeout=120)
    assert_same_picture(photo.with_name("edited.png"), request.edit(editor, editor.prepare(photo)))


@pytest.mark.parametrize(
    ("changes", "intensity", "message"),
    [
        ({"Glasses": True}, 1.0, "Eyeglasses"),
        ({"Bald": True, "Bangs": True}, 1.0, "exclude"),
        ({"Young": True}, 9.0, "out of range"),
        (["Eyeglasses"], 1.0, "changes must be an object of attribute name"),
    ],
)
def test_a_bad_edit_is_answered_in_plain_words(client, photo, changes, intensity, message):
    with pytest.raises(Exception, match=message):
        asked(client, photo, changes, intensity, api_name="/edit")


def test_a_face_that_is_not_there_is_answered_in_plain_words(client, photo):
    with pytest.raises(Exception, match="no face number 7"):
        asked(client, photo, 1.0, 7, api_name="/edit_all")


def test_a_photo_without_a_face_is_answered_in_plain_words(client, tmp_path):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    with pytest.raises(Exception, match="No face was found"):
        asked(client, tmp_path / "grey.png", api_name="/attributes")


def test_a_broken_file_is_answered_in_plain_words(client, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(Exception, match="no picture that can be read"):
        asked(client, tmp_path / "broken.jpg", api_name="/attributes")


def test_the_edited_photo_is_sent_and_not_only_its_place_on_the_server(client, photo):
    kept = client.download_files
    assert asked(client, photo, {"Young": True}, api_name="/edit").startswith(str(kept))


def test_only_the_documented_endpoints_are_public_and_they_say_what_they_take(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/attributes", "/edit", "/edit_all"}
    for endpoint in endpoints.values():
        assert endpoint["description"]
        assert all(parameter["type"] for parameter in endpoint["parameters"])


def test_the_model_runs_on_zerogpu_where_there_is_one(tmp_path, model_folder):
    """With a stand-in for the package that such a Space has: what uses the model is wrapped, nothing else."""
    (tmp_path / "spaces.py").write_text("wrapped = []\ndef GPU(f):\n    wrapped.append(f.__name__)\n    return f\n")
    root = Path(__file__).parent.parent
    environment = os.environ | {"STGAN_MODEL": str(model_folder), "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    command = "import sys, spaces; assert 'torch' not in sys.modules; import app; print(*spaces.wrapped)"
    said = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, timeout=120)
    assert said.stdout.split() == ["_prepare", "_edit", "_single_edits"], said.stderr
