"""The demo answers over HTTP what the library answers in Python."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from stgan import FaceEditor
from stgan.faces import FaceDetector

gradio_client = pytest.importorskip("gradio_client")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def client(model_folder, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "STGAN_MODEL": str(model_folder),
        "STGAN_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio")),
        "HF_HUB_OFFLINE": "1",
    }
    log = (tmp_path_factory.mktemp("app") / "log.txt").open("w+")
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _connect(app, f"http://127.0.0.1:{port}", log)
    finally:
        app.terminate()
        app.wait(timeout=20)
        log.close()


def _connect(app, address, log):
    for _ in range(240):
        if app.poll() is not None:
            log.seek(0)
            pytest.fail(f"app.py ended:\n{log.read()}")
        try:
            return gradio_client.Client(address, verbose=False, analytics_enabled=False)
        except Exception:  # not listening yet
            time.sleep(0.5)
    pytest.fail("app.py did not answer within two minutes")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "portrait.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


def test_attributes_answers_what_the_library_answers(client, photo, model_folder):
    answer = client.predict(gradio_client.handle_file(str(photo)), api_name="/attributes")
    expected = FaceEditor.from_pretrained(model_folder, detector=FaceDetector()).attributes(photo)
    assert answer == pytest.approx(expected, abs=1e-4)


def test_edit_answers_what_the_library_answers(client, photo, model_folder):
    changes = {"Eyeglasses": True, "Young": False}
    path = client.predict(gradio_client.handle_file(str(photo)), changes, 1.2, api_name="/edit")
    expected = FaceEditor.from_pretrained(model_folder, detector=FaceDetector()).edit(photo, changes, 1.2)
    difference = np.abs(np.asarray(Image.open(path)).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1  # another process may sum in another order


@pytest.mark.parametrize(
    ("changes", "message"), [({"Glasses": True}, "Eyeglasses"), ({"Bald": True, "Bangs": True}, "exclude")]
)
def test_a_bad_edit_is_answered_in_plain_words(client, photo, changes, message):
    with pytest.raises(Exception, match=message):
        client.predict(gradio_client.handle_file(str(photo)), changes, 1.0, api_name="/edit")


def test_a_photo_without_a_face_is_answered_in_plain_words(client, tmp_path):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    with pytest.raises(Exception, match="No face was found"):
        client.predict(gradio_client.handle_file(str(tmp_path / "grey.png")), api_name="/attributes")


def test_only_the_documented_endpoints_are_public(client):
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/attributes", "/edit"}
