"""The demo answers over HTTP what the library answers in Python."""

import json
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
from stgan.demo.request import EditRequest
from stgan.demo.session import grouped
from stgan.models import FaceAligner, load_generator
from stgan.photo.detect import FaceDetector

gradio_client = pytest.importorskip("gradio_client")
httpx = pytest.importorskip("httpx")  # its own


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


def called(address, endpoint, *data):
    """All that an endpoint says to arguments sent as they are: Gradio's client would set them right."""
    body = json.dumps({"data": data})  # not by httpx, which refuses to write NaN
    headers = {"Content-Type": "application/json"}
    begun = httpx.post(f"{address}/gradio_api/call/{endpoint}", content=body, headers=headers).json()
    return httpx.get(f"{address}/gradio_api/call/{endpoint}/{begun['event_id']}", timeout=60).text


def opened_on_the_page(address, value):
    """What the page's own event says to a new photo."""
    config = httpx.get(f"{address}/config").json()
    photo = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == "photo")
    event = next(each["id"] for each in config["dependencies"] if [photo, "input"] in each["targets"])
    body = {"fn_index": event, "data": [value], "session_hash": "visitor"}
    return httpx.post(f"{address}/gradio_api/run/predict", json=body).text


def uploaded(address, photo):
    """Path on the server of a photo as the page and the curl commands send it."""
    with photo.open("rb") as file:
        return Path(httpx.post(f"{address}/gradio_api/upload", files={"files": (photo.name, file)}).json()[0])


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


def test_without_a_number_the_largest_face_is_meant(client, tmp_path, editor):
    astronaut = Image.fromarray(skimage.data.astronaut())
    two = Image.new("RGB", (900, 512), "grey")
    two.paste(astronaut.resize((384, 384)).crop((60, 0, 300, 384)), (0, 64))
    two.paste(astronaut, (388, 0))
    two.save(tmp_path / "two.png")
    answers = [asked(client, tmp_path / "two.png", *face, api_name="/attributes") for face in ((), (0,), (1,))]
    assert answers[0] == pytest.approx(editor.attributes(tmp_path / "two.png"), abs=1e-4)
    assert answers[0] == answers[2] != answers[1]


def test_all_edits_of_a_very_large_photo_are_refused(client, tmp_path):
    Image.new("L", (5200, 5000)).save(tmp_path / "large.png")
    with pytest.raises(Exception, match="ask /edit for those that you want, or send a photo of 25 megapixels at most"):
        asked(client, tmp_path / "large.png", 1.0, None, True, api_name="/edit_all")


def test_an_aligned_photo_is_not_searched_for_a_face(client, tmp_path, editor):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    answer = asked(client, tmp_path / "grey.png", None, True, api_name="/attributes")
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
        ({"Eyeglasses": "false"}, 1.0, 'Eyeglasses is "false": give true or false, without quotes'),
        ({"Young": True, "Male": 0}, 1.0, "Male is 0: give true or false"),
    ],
)
def test_a_bad_edit_is_answered_in_plain_words(client, photo, changes, intensity, message):
    with pytest.raises(Exception, match=message):
        asked(client, photo, changes, intensity, api_name="/edit")


def test_a_correction_that_is_neither_true_nor_false_is_answered_in_plain_words(client, photo):
    with pytest.raises(Exception, match='source must be an object .* Young is "true"'):
        asked(client, photo, {"Male": True}, 1.0, {"Young": "true"}, api_name="/edit")


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
    file = {"path": str(uploaded(demo_address, photo))}
    for answer in (
        called(demo_address, "edit", file, {"Young": True}, intensity, None, None, False),
        called(demo_address, "edit_all", file, intensity, None, False),
    ):
        said = json.loads(answer.partition("data: ")[2])["error"]
        assert said == f"intensity must be a number, or an object of attribute name to number; {message}"


@pytest.mark.parametrize("value", [None, {}, [], "portrait.png", {"path": None}, {"path": 1}])
def test_a_photo_that_is_no_file_is_answered_in_plain_words(demo_address, value):
    for endpoint, *arguments in (("attributes",), ("edit", {"Young": True}, 1.0, None), ("edit_all", 1.0)):
        assert "photo must be a file that was" in called(demo_address, endpoint, value, *arguments, None, False)


def test_a_face_that_is_not_there_is_answered_in_plain_words(client, photo):
    with pytest.raises(Exception, match="no face number 7"):
        asked(client, photo, 1.0, 7, api_name="/edit_all")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("1",), 'face must be a whole number, .* not "1"'),
        ((True,), "face must be a whole number, .* not true"),
        ((0.5,), "face must be a whole number, .* not 0.5"),
        ((0, "false"), 'aligned must be true or false, without quotes; not "false"'),
    ],
)
def test_a_place_of_another_type_is_answered_in_plain_words(client, photo, place, message):
    with pytest.raises(Exception, match=message):
        asked(client, photo, *place, api_name="/attributes")


def test_a_photo_without_a_face_is_answered_in_plain_words(client, tmp_path):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    with pytest.raises(Exception, match="No face was found"):
        asked(client, tmp_path / "grey.png", api_name="/attributes")


def test_a_broken_file_is_answered_in_plain_words(client, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(Exception, match=r"^broken\.jpg is not a picture that can be read"):
        asked(client, tmp_path / "broken.jpg", api_name="/attributes")


@pytest.mark.parametrize("place", ["portrait.png", "nothing.png", "", "\0"])
def test_no_file_of_the_server_is_to_be_had(demo_address, photo, place):
    """Gradio looks whether a file was uploaded only where ``meta`` says that it is one."""
    path = {"path": str(photo.with_name(place)) if place.endswith(".png") else place}
    answers = [
        called(demo_address, "attributes", path, None, True),
        called(demo_address, "edit", path, {}, 1.0, None, None, True),
        called(demo_address, "edit_all", path, 1.0, None, True),
        opened_on_the_page(demo_address, path),
    ]
    for answer in answers:
        assert "photo must be a file that was uploaded" in answer
        assert str(photo.parent) not in answer


def test_neither_a_link_nor_a_detour_leads_out_of_the_uploads(demo_address, photo):
    folder = uploaded(demo_address, photo).parent
    (folder / "link.png").symlink_to(photo)
    for path in (folder / "link.png", folder / os.path.relpath(photo, folder)):
        assert "photo must be a file that was uploaded" in called(
            demo_address, "attributes", {"path": str(path)}, None, True
        )


def test_an_upload_needs_no_more_than_its_path(demo_address, photo):
    path = {"path": str(uploaded(demo_address, photo))}
    assert "event: complete" in called(demo_address, "attributes", path, None, False)
    assert "error" not in opened_on_the_page(demo_address, path)


def test_the_edited_photo_is_sent_and_not_only_its_place_on_the_server(client, photo):
    kept = client.download_files
    assert asked(client, photo, {"Young": True}, api_name="/edit").startswith(str(kept))


def test_the_page_does_not_speak_of_celeba_where_nobody_knows(demo_address):
    components = httpx.get(f"{demo_address}/config").json()["components"]
    said = " ".join(str(part["props"].get("value")) for part in components if part["type"] == "markdown")
    assert "as the data that its card names, which the weights were trained on" in said
    assert "CelebA dataset" not in said


def test_only_the_documented_endpoints_are_public_and_they_say_what_they_take(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/attributes", "/edit", "/edit_all"}
    for endpoint in endpoints.values():
        assert endpoint["description"]
        assert all(parameter["type"] for parameter in endpoint["parameters"])


SPACES = """
import contextlib
import functools
import inspect
import itertools

calls, inside = [], False


@contextlib.contextmanager
def lent():
    global inside
    inside = True
    try:
        yield
    finally:
        inside = False


def GPU(function):
    @functools.wraps(function)
    def on_gpu(*arguments):
        calls.append(function.__name__)
        if inspect.isgeneratorfunction(function):
            return one_by_one(function(*arguments))
        with lent():
            return function(*arguments)

    return on_gpu


def one_by_one(answers):
    while True:
        with lent():
            answer = [*itertools.islice(answers, 1)]
        if not answer:
            return
        yield answer.pop()
"""
VISIT = """
import shutil
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import spaces

assert "torch" not in sys.modules
import app
from torch.nn.modules.module import register_module_forward_pre_hook


def only_on_the_gpu(module, inputs):
    assert spaces.inside, f"{type(module).__name__} runs outside of spaces.GPU"


register_module_forward_pre_hook(only_on_the_gpu)


def calls(function, *arguments):
    spaces.calls.clear()
    answer = function(*arguments)
    print(function.__name__, *spaces.calls)
    return answer


def counted(photo, rgb):
    global most
    edited = with_rgb(photo, rgb)
    held.append(weakref.ref(edited))
    most = max(most, sum(each() is not None for each in held))
    return edited


for _ in range(2):
    subject, *_, history, _ = calls(app.open_example, app.FACE_VIEW)
    calls(app.all_edits, subject)
calls(app.by_degrees, subject, "Young")
calls(app.animate, subject, history)
calls(app.take_away, subject, history, "PNG", SimpleNamespace(headers={}))
before = app._key(subject)
subject, *_, history, _ = calls(app.open_photo, sys.argv[1], False, app.FACE_VIEW)
for key in (before, app._key(subject)):
    click = (key, subject, history, SimpleNamespace(index=0))
    answers = [*app.apply_single(*click), *app.go_back(*click), *app.reset(*click[:3])]
    print("clicks that do nothing:", answers.count(app.gr.skip()), "of", len(answers))
calls(app.all_edits, subject)
calls(app.take_away, subject, history, "PNG", SimpleNamespace(headers={}))
photo = {"path": str(Path(app.demo.GRADIO_CACHE) / "upload" / "portrait.png")}
Path(photo["path"]).parent.mkdir()
shutil.copy(sys.argv[1], photo["path"])
calls(app.attributes, photo)
calls(app.edit, photo, {"Young": False, "Eyeglasses": True})
held, most = [], 0
app.Photo.with_rgb, with_rgb = counted, app.Photo.with_rgb
calls(app.edit_all, photo)
print("photos held at once:", most)
written = {str(path) for path in Path(app.demo.GRADIO_CACHE).glob(f"{app.OURS}*/*")}
assert written
print("never deleted:", *written - app.demo.upload_file_set)
"""


def test_the_model_runs_on_zerogpu_where_there_is_one(tmp_path, model_folder, photo):
    """With a stand-in for the package that such a Space has: no network runs outside of it, and it is asked for as
    seldom as can be. On the way, that every file that was written is one of those that Gradio deletes, and that what
    was clicked on the page of one photo does nothing to the next.
    """
    model = shutil.copytree(model_folder, tmp_path / "model")
    aligner = FaceAligner(32, 4, hidden=8)
    aligner.threshold.fill_(-99.0)  # all that the cascades find is a face
    aligner.save_pretrained(model / "aligner")
    (tmp_path / "spaces.py").write_text(SPACES)
    root = Path(__file__).parent.parent
    environment = os.environ | {"STGAN_MODEL": str(model), "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    environment |= {"GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    command = [sys.executable, "-c", VISIT, str(photo)]
    names = load_generator(model).attributes
    boxes = len(grouped(names))
    clicks = boxes + 2 * (1 + boxes + len(names))  # of the gallery; of a version and of the reset
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert said.stdout.splitlines() == [
        "open_example _find_faces _prepare _edit",
        "all_edits _single_edits",
        "open_example",  # the next visitor's
        "all_edits",
        "by_degrees _edit",
        "animate _edit",
        "take_away _edit",
        "open_photo _find_faces _prepare",
        f"clicks that do nothing: {clicks} of {clicks}",  # the key of the photo before
        f"clicks that do nothing: 0 of {clicks}",
        "all_edits _single_edits",
        "take_away",  # of a photo that is not edited yet
        "attributes _prepare",
        "edit _prepare _edit",
        "edit_all _prepare _edit_one_by_one",  # see below
        "photos held at once: 1",
        "never deleted:",
    ], said.stderr
