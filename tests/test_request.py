"""An edit as asked for: from controls to arguments, to words, and to code that does the same again."""

import shutil
import subprocess

import numpy as np
import pytest
import torch
from pictures import two_people
from PIL import Image

from stgan.attributes import labels_to_difference
from stgan.demo.request import EditRequest

NAMES = ("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Eyeglasses", "Young")
LABELS = {name: name in ("Bangs", "Brown_Hair", "Young") for name in NAMES}


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ({"Eyeglasses": 1.25, "Young": -1.25}, EditRequest({"Eyeglasses": True, "Young": False}, 1.25)),
        ({"Blond_Hair": 0.4}, EditRequest({"Blond_Hair": True}, 0.4)),  # the editor clears Brown_Hair alike
        ({"Blond_Hair": 0.4, "Black_Hair": 0.9}, EditRequest({"Black_Hair": True}, 0.9)),
        ({"Eyeglasses": 0.0}, EditRequest()),
        ({}, EditRequest()),
    ],
)
def test_the_larger_shift_outweighs_what_it_excludes(shifts, expected):
    assert EditRequest.from_shifts(LABELS, shifts) == expected


def test_a_shift_moves_att_diff_by_its_value_whatever_the_face_has(editor, prepared):
    for name in ("Eyeglasses", "Young"):
        for shift in (-0.7, 0.4, 1.5):
            labels = prepared.label_dict()
            request = EditRequest.from_shifts(labels, {name: shift})
            source = torch.tensor([float((labels | request.source)[each]) for each in editor.names])
            target = torch.tensor([float((labels | request.changes)[each]) for each in editor.names])
            expected = torch.zeros(len(editor.names))
            expected[editor.names.index(name)] = shift
            torch.testing.assert_close(labels_to_difference(source, target, request.intensity), expected)
            features = editor.generator.encode(torch.from_numpy(prepared.crop).permute(2, 0, 1)[None] / 127.5 - 1)
            condition = editor.generator.condition(torch.zeros(1, len(expected)), expected[None].sign(), abs(shift))
            directly = editor.generator.decode(features, condition)[0]
            edited, _ = editor.edit_crops(prepared, [request.changes], request.intensity, request.source)
            torch.testing.assert_close(edited[0], directly, atol=1e-4, rtol=0)


def test_scaled_to_nothing_the_photo_stays(editor, prepared):
    changes = {"Eyeglasses": not prepared.label_dict()["Eyeglasses"]}
    for intensity in (1.2, {"Eyeglasses": 1.2}):
        unchanged = EditRequest(changes, intensity).scaled(0).edit(editor, prepared.close_up(96))
        assert np.abs(np.asarray(unchanged).astype(int) - prepared.close_up(96).photo.rgb).max() <= 1


def test_the_python_code_makes_the_same_picture(editor, prepared, model_folder, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    shifts = {"Eyeglasses": 1.25, "Young": -0.6, "Male": 0.8}
    request = EditRequest.from_shifts(prepared.label_dict(), shifts)
    exec(compile(EditRequest.as_python({0: request}, str(model_folder), photo.name), "snippet", "exec"), {})
    edited = Image.open("edited.png")
    assert np.array_equal(np.asarray(edited), np.asarray(request.edit(editor, prepared)))
    assert "Young 0.6" in edited.text["Description"]


def test_the_python_code_edits_several_people_as_the_page_does(editor, model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two_people().save("two.png")
    shifts = {0: {"Young": -0.6}, 1: {"Eyeglasses": 1.0, "Male": 0.8}}
    faces = [editor.prepare("two.png", face=number) for number in shifts]
    requests = {number: EditRequest.from_shifts(faces[number].label_dict(), shifts[number]) for number in shifts}
    code = EditRequest.as_python(requests, str(model_folder), "two.png", many=True)
    assert [line.split("{")[0] for line in code.splitlines() if "prepare" in line] == [
        f"    (editor.prepare(photo, face={number}), " for number in shifts
    ]  # fmt: skip
    exec(compile(code, "snippet", "exec"), {})
    edited, before = (np.asarray(Image.open(name)) for name in ("edited.png", "two.png"))
    alone = [np.asarray(requests[number].edit(editor, faces[number])) for number in shifts]
    assert np.array_equal(edited, np.where((alone[0] != before).any(axis=2, keepdims=True), alone[0], alone[1]))
    assert all((each != before).any() for each in alone)
    assert "Young 0.6; " in Image.open("edited.png").text["Description"]


def test_the_code_names_the_face_where_it_is_not_left_to_the_editor():
    request = EditRequest({"Young": True})
    assert "face" not in EditRequest.as_python({0: request}, "model", "me.png").split("editor.edit(")[1]
    assert "face=0" in EditRequest.as_python({0: request}, "model", "me.png", many=True)
    assert "null, false]" in request.as_curl("http://127.0.0.1", "me.png")
    assert "0, false]" in request.as_curl("http://127.0.0.1", "me.png", 0)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
@pytest.mark.parametrize("name", ["me, too;type=x.png", 'it\'s "me".png', "back\\slash $HOME.png"])
def test_the_curl_commands_find_a_photo_of_any_name(name, demo_address, photo, tmp_path):
    photo.rename(tmp_path / name)
    commands = EditRequest({"Eyeglasses": True}).as_curl(demo_address, name)
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True, timeout=120)
    assert Image.open(tmp_path / "edited.png").size == (512, 512)


def test_the_curl_commands_run_nothing_that_a_request_named_as_the_demo(tmp_path):
    commands = EditRequest({"Eyeglasses": True}).as_curl("http://127.0.0.1:9/$(touch owned); touch owned", "me.png")
    subprocess.run(["sh", "-c", commands], cwd=tmp_path, capture_output=True, timeout=120)
    assert not (tmp_path / "owned").exists()


@needs_curl
def test_the_curl_commands_say_that_nothing_came_and_write_no_file(demo_address, tmp_path):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    for address, name in ((demo_address, "grey.png"), (demo_address, "absent.png"), ("http://127.0.0.1:9", "grey.png")):
        commands = EditRequest({"Eyeglasses": True}).as_curl(address, name)
        result = subprocess.run(["sh", "-c", commands], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert result.returncode != 0
        assert "the demo sent no picture" in result.stderr
        assert not (tmp_path / "edited.png").exists()
