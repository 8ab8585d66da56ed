"""``app.py`` answers over HTTP what the library answers in Python, and importing it loads nothing."""

import functools
import importlib.util
import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from pictures import two_people
from PIL import Image
from scripts import ROOT, load_script

from stgan import FaceEditor
from stgan.demo.model import short_name_of
from stgan.demo.request import EditRequest
from stgan.demo.starting import import_gradio

if importlib.util.find_spec("gradio"):
    import_gradio()  # as the app does; it takes half the time
gradio = pytest.importorskip("gradio")
gradio_client = pytest.importorskip("gradio_client")
httpx = pytest.importorskip("httpx")  # its own
# Reading the certificates that a local server does not use takes longer than a request.
WEB = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture(scope="module")
def client(demo_address):
    return gradio_client.Client(demo_address, verbose=False, analytics_enabled=False, ssl_verify=False)


def request(client, photo, *arguments, api_name):
    return client.predict(gradio_client.handle_file(str(photo)), *arguments, api_name=api_name)


def call(address, endpoint, *data):
    """The raw answer of an endpoint to raw arguments, which Gradio's client would correct."""
    body = json.dumps({"data": data})  # httpx refuses to write NaN
    headers = {"Content-Type": "application/json"}
    event = WEB.post(f"{address}/gradio_api/call/{endpoint}", content=body, headers=headers).json()
    return WEB.get(f"{address}/gradio_api/call/{endpoint}/{event['event_id']}", timeout=60).text


@functools.cache
def config_of(address):
    """The page's components and listeners."""
    return WEB.get(f"{address}/config").json()


def listener_of(address, element, event):
    """The listener of an event of the component with this id."""
    config = config_of(address)
    part = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == element)
    return next(each for each in config["dependencies"] if [part, event] in each["targets"])


def open_on_the_page(address, value):
    """The answer of the page's own event to a new photo."""
    event = listener_of(address, "photo", "input")["id"]
    body = {"fn_index": event, "data": [value], "session_hash": "visitor"}
    return WEB.post(f"{address}/gradio_api/run/predict", json=body).text


def upload(address, photo):
    """Path on the server of a photo as the page and the curl commands send it."""
    with photo.open("rb") as file:
        return Path(WEB.post(f"{address}/gradio_api/upload", files={"files": (photo.name, file)}).json()[0])


def assert_same_picture(path, expected):
    difference = np.abs(np.asarray(Image.open(path)).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1  # another process may sum in another order


def test_attributes_answers_what_the_library_answers(client, photo, editor):
    assert request(client, photo, api_name="/attributes") == pytest.approx(editor.attributes(photo), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "intensity", "source", "eyeglasses"),
    [
        ({"Eyeglasses": True, "Young": False}, 1.2, None, 1.2),
        ({"Eyeglasses": True, "Male": True}, {"Eyeglasses": 0.5, "Male": 1.5}, {"Eyeglasses": False}, 0.5),
    ],
)
def test_edit_answers_what_the_library_answers(client, photo, editor, changes, intensity, source, eyeglasses):
    path = request(client, photo, changes, intensity, source, api_name="/edit")
    assert path.startswith(str(client.download_files))  # the photo is sent, not only its place on the server
    edited = editor.edit(photo, changes, intensity, source=source)
    assert_same_picture(path, edited)
    description = Image.open(path).text["Description"]
    assert all(words in description for words in ("edited", "stgan-tiny"))
    assert (f"+Eyeglasses {eyeglasses}" in description) == ("Eyeglasses" in edited.info["stgan"].changed)
    assert source is None or "+Eyeglasses" in description


def test_edit_all_answers_what_the_library_answers(client, photo, editor):
    Image.open(photo).resize((256, 256)).save(photo)
    answers = request(client, photo, 1.25, api_name="/edit_all")
    assert list(answers) == list(editor.names)
    labels = editor.prepare(photo).label_dict()
    for name, path in answers.items():
        assert_same_picture(path, editor.edit(photo, {name: not labels[name]}, 1.25))


def test_without_a_number_the_largest_face_is_meant(client, tmp_path, editor):
    two_people().save(tmp_path / "two.png")
    answers = [request(client, tmp_path / "two.png", *face, api_name="/attributes") for face in ((), (0,), (1,))]
    assert answers[0] == pytest.approx(editor.attributes(tmp_path / "two.png"), abs=1e-4)
    assert answers[0] == answers[2] != answers[1]


def test_an_aligned_photo_is_not_searched_for_a_face(client, tmp_path, editor):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    answer = request(client, tmp_path / "grey.png", None, True, api_name="/attributes")
    assert answer == pytest.approx(editor.attributes(tmp_path / "grey.png", aligned=True), abs=1e-4)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_commands_make_the_same_picture(demo_address, photo, editor):
    request = EditRequest({"Eyeglasses": True, "Young": False}, {"Eyeglasses": 1.25, "Young": 0.5}, {"Young": True})
    commands = request.as_curl(demo_address, photo.name)
    subprocess.run(["sh", "-ec", commands], cwd=photo.parent, check=True, timeout=120)
    assert_same_picture(photo.with_name("edited.png"), request.edit(editor, editor.prepare(photo)))


@pytest.mark.parametrize(
    ("endpoint", "arguments", "message"),
    [
        ("edit", ({"Glasses": True}, 1.0), "Eyeglasses"),
        ("edit", ({"Bald": True, "Bangs": True}, 1.0), "exclude"),
        ("edit", ({"Young": True}, 9.0), "out of range"),
        ("edit", (["Eyeglasses"], 1.0), "changes must be an object of attribute name"),
        ("edit", ({"Eyeglasses": "false"}, 1.0), 'Eyeglasses is "false": give true or false, without quotes'),
        ("edit", ({"Young": True, "Male": 0.5}, 1.0), "Male is 0.5: give true or false"),
        ("edit", ({"Male": True}, 1.0, {"Young": "true"}), 'source must be an object .* Young is "true"'),
        ("edit_all", (1.0, 7), "no face number 7"),
        ("attributes", ("1",), 'face must be a whole number, .* not "1"'),
        ("attributes", (True,), "face must be a whole number, .* not true"),
        ("attributes", (0.5,), "face must be a whole number, .* not 0.5"),
        ("attributes", (0, "false"), 'aligned must be true or false, without quotes; not "false"'),
    ],
)
def test_bad_arguments_are_answered_in_plain_words(client, photo, endpoint, arguments, message):
    with pytest.raises(Exception, match=message):
        request(client, photo, *arguments, api_name=f"/{endpoint}")


@pytest.mark.parametrize(
    ("intensity", "message"),
    [
        (None, "not null."),
        ([1], "not [1]."),
        ("1.2", 'not "1.2".'),
        (True, "not true."),
        (float("nan"), "not NaN."),
        ({"Young": None}, "Young is null."),
        ({"Male": 1, "Young": "1.2"}, 'Young is "1.2".'),
    ],
)
def test_an_intensity_that_is_no_number_is_answered_in_plain_words(demo_address, photo, intensity, message):
    file = {"path": str(upload(demo_address, photo))}
    for answer in (
        call(demo_address, "edit", file, {"Young": True}, intensity, None, None, False),
        call(demo_address, "edit_all", file, intensity, None, False),
    ):
        error = json.loads(answer.partition("data: ")[2])["error"]
        assert error == f"intensity must be a number, or an object of attribute name to number; {message}"


@pytest.mark.parametrize("value", [None, {}, [], "portrait.png", {"path": None}, {"path": 1}])
def test_a_photo_that_is_no_file_is_answered_in_plain_words(demo_address, value):
    for endpoint, *arguments in (("attributes",), ("edit", {"Young": True}, 1.0, None), ("edit_all", 1.0)):
        assert "photo must be a file uploaded" in call(demo_address, endpoint, value, *arguments, None, False)


def test_a_bad_photo_is_answered_in_plain_words(client, tmp_path):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    Image.new("L", (5200, 5000)).save(tmp_path / "large.png")
    few = "Request single edits from /edit, or send a photo of at most 25 megapixels"
    with pytest.raises(Exception, match="No face was found"):
        request(client, tmp_path / "grey.png", api_name="/attributes")
    with pytest.raises(Exception, match=r"^broken\.jpg is not a picture that can be read"):
        request(client, tmp_path / "broken.jpg", api_name="/attributes")
    with pytest.raises(Exception, match=few):
        request(client, tmp_path / "large.png", 1.0, None, True, api_name="/edit_all")


@pytest.mark.parametrize("place", ["portrait.png", "nothing.png", "", "\0"])
def test_no_other_file_of_the_server_is_served(demo_address, photo, place):
    """Gradio checks that a file was uploaded only if its ``meta`` says that it is a file."""
    path = {"path": str(photo.with_name(place)) if place.endswith(".png") else place}
    answers = [
        call(demo_address, "attributes", path, None, True),
        call(demo_address, "edit", path, {}, 1.0, None, None, True),
        call(demo_address, "edit_all", path, 1.0, None, True),
        open_on_the_page(demo_address, path),
    ]
    for answer in answers:
        assert "photo must be a file uploaded" in answer
        assert str(photo.parent) not in answer


def test_neither_a_link_nor_a_detour_leads_out_of_the_uploads(demo_address, photo):
    folder = upload(demo_address, photo).parent
    (folder / "link.png").symlink_to(photo)
    for path in (folder / "link.png", folder / os.path.relpath(photo, folder)):
        assert "photo must be a file uploaded" in call(demo_address, "attributes", {"path": str(path)}, None, True)


def test_an_upload_needs_no_more_than_its_path(demo_address, photo):
    path = {"path": str(upload(demo_address, photo))}
    assert "event: complete" in call(demo_address, "attributes", path, None, False)
    assert "error" not in open_on_the_page(demo_address, path)


def test_the_page_does_not_speak_of_celeba_where_nobody_knows(demo_address):
    components = config_of(demo_address)["components"]
    texts = " ".join(str(part["props"].get("value")) for part in components if part["type"] == "markdown")
    assert "like the data that its card names, on which the weights were trained" in texts
    assert "CelebA dataset" not in texts


def test_only_the_documented_endpoints_are_public_and_they_say_what_they_take(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/attributes", "/edit", "/edit_all"}
    for endpoint in endpoints.values():
        assert endpoint["description"]
        assert all(parameter["type"] for parameter in endpoint["parameters"])
        assert all(parameter["python_type"]["description"] for parameter in endpoint["parameters"])
    edit = {parameter["parameter_name"]: parameter for parameter in endpoints["/edit"]["parameters"]}
    intensity = (
        "1 is normal, 2 the maximum; above 1.5 faces look distorted. Or an object of attribute name to intensity."
    )
    assert edit["intensity"]["python_type"]["description"] == intensity
    assert edit["changes"]["example_input"] == {"Eyeglasses": True, "Young": False}


def test_a_post_with_fewer_arguments_uses_the_defaults(demo_address, photo):
    file = {"path": str(upload(demo_address, photo))}
    few, all_of_them = ((file, {"Young": True}), (file, {"Young": True}, 1.0, None, None, False))
    answers = [json.loads(call(demo_address, "edit", *each).partition("data: ")[2]) for each in (few, all_of_them)]
    pictures = [WEB.get(f"{demo_address}/gradio_api/file={each[0]['path']}").content for each in answers]
    assert pictures[0] == pictures[1]
    assert "event: complete" in call(demo_address, "attributes", file)
    assert "changes is missing" in call(demo_address, "edit", file)


def test_an_error_of_the_caller_is_one_line_in_the_log(demo_address, demo_log):
    before = demo_log.read_text()
    call(demo_address, "attributes", {"path": "nothing.png"})
    added = demo_log.read_text().removeprefix(before)
    assert added.count("Refused: photo must be a file uploaded") == 1
    assert "Traceback" not in added


def test_labels_may_be_numbers_and_an_edit_that_changes_nothing_claims_nothing(client, photo, editor):
    present = editor.prepare(photo).label_dict()
    path = request(client, photo, {"Young": int(not present["Young"]), "Male": present["Male"]}, 1.0, api_name="/edit")
    assert_same_picture(path, editor.edit(photo, {"Young": not present["Young"]}))
    described = Image.open(path).text["Description"]
    assert "Young" in described
    assert "Male" not in described
    path = request(client, photo, {"Young": -1 + 2 * present["Young"]}, 1.0, api_name="/edit")
    assert_same_picture(path, Image.open(photo))
    assert "Young" not in Image.open(path).text["Description"]


def test_a_photo_of_celebas_size_is_searched_for_its_face(client, astronaut, editor, tmp_path):
    Image.fromarray(astronaut[:436, 40:396]).resize((178, 218)).save(tmp_path / "small.png")
    answer = request(client, tmp_path / "small.png", api_name="/attributes")
    assert answer == pytest.approx(editor.attributes(tmp_path / "small.png"), abs=1e-4)
    assert answer != pytest.approx(editor.attributes(tmp_path / "small.png", aligned=True), abs=1e-4)


@pytest.fixture
def app(monkeypatch):
    for name in ("STGAN_PORT", "GRADIO_SERVER_PORT", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    app = load_script("app.py")
    monkeypatch.setattr(app, "_limit_memory", lambda: None)
    monkeypatch.setattr(app, "_load", lambda: pytest.fail("a model was loaded"))
    return app


def test_a_port_in_use_is_a_sentence_and_zero_takes_the_next_free_one(app, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        used = other.getsockname()[1]
        monkeypatch.setenv("STGAN_PORT", str(used))
        with pytest.raises(SystemExit, match=f"^app.py: Port {used} is in use.*STGAN_PORT=0 for the next free one"):
            app.main()
        monkeypatch.setattr(app, "FIRST_PORT", used)
        monkeypatch.setenv("STGAN_PORT", "0")
        assert used < app.chosen_port() < used + 200
    for wrong in ("http", "-1", "70000", "\N{ARABIC-INDIC DIGIT THREE}"):
        monkeypatch.setenv("STGAN_PORT", wrong)
        with pytest.raises(SystemExit, match=f"STGAN_PORT is '{wrong}': give a number"):
            app.main()


def test_an_address_that_is_not_here_and_a_port_of_the_system_are_not_called_in_use(app, monkeypatch):
    monkeypatch.setenv("STGAN_PORT", "7999")
    for elsewhere in ("192.0.2.1", "nowhere.invalid"):  # kept for documentation, and for no host
        monkeypatch.setenv("GRADIO_SERVER_NAME", elsewhere)
        with pytest.raises(SystemExit, match=f"^app.py: This computer has no address {elsewhere} .*GRADIO_SERVER_NAME"):
            app.main()
    monkeypatch.delenv("GRADIO_SERVER_NAME")
    monkeypatch.setattr(socket.socket, "bind", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(SystemExit, match="^app.py: Port 7999 is kept for the system. Choose another"):
        app.main()


def test_a_model_on_another_drive_keeps_its_full_path(tmp_path, monkeypatch):
    def relpath(path, start=None):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", relpath)
    assert short_name_of(str(tmp_path)) == str(tmp_path)
    assert short_name_of("owner/name") == "owner/name"


def test_importing_the_app_loads_no_model(monkeypatch):
    monkeypatch.setattr(FaceEditor, "__init__", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr(gradio.Blocks, "__init__", lambda *_, **__: pytest.fail("a page was built"))
    app = runpy.run_path(str(ROOT / "app.py"), run_name="app")
    assert callable(app["main"])


def test_the_app_imports_spaces_before_torch(tmp_path):
    (tmp_path / "spaces.py").write_text("import os, sys; os._exit(int('torch' in sys.modules))")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ended = subprocess.run(
        [sys.executable, "-c", "import app; print('imported')"], env=environment, capture_output=True
    )
    assert (ended.returncode, ended.stdout) == (0, b"")
