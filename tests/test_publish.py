"""Publishing, with the real client of the Hub against a server on this machine that speaks the Hub's protocol."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import gradio_client
import numpy as np
import pytest
import skimage.data
import torch
from hub_server import EXPIRED_TOKEN, READ_TOKEN, TOKEN, Failure, Repository, StoredFile
from huggingface_hub import ModelCard, constants, metadata_load
from PIL import Image

from stgan import FaceEditor, cli
from stgan.card import CELEBA
from stgan.demo import model as demo
from stgan.editor import BUNDLED
from stgan.export import weights_sha256
from stgan.hub.errors import HubError
from stgan.models import Discriminator, FaceAligner, ModelFolderError, load_companion_discriminator, load_generator
from stgan.photo.detect import FaceDetector
from stgan.publish import ROOT, PublishModel, PublishSpace, assemble_space, publish

NAME = "somebody/stgan-tiny"


@pytest.fixture
def folder(model_folder, tmp_path):
    """A model folder that a test may change."""
    return shutil.copytree(model_folder, tmp_path / "stgan-tiny")


def test_a_pushed_model_comes_back_as_it_was(hub, folder, tmp_path):
    publish(PublishModel(NAME, folder=folder))
    there = hub.files(f"models/{NAME}")
    kept = [path for path in there if not path.endswith(".md")]
    assert all(there[path] == (folder / path).read_bytes() for path in kept)
    assert {"config.json", "model.safetensors", "classifier/model.safetensors", "README.md"} <= there.keys()

    image, condition = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randn(2, 13)
    back, original = FaceEditor.from_pretrained(NAME, cache_dir=tmp_path / "cache"), FaceEditor.from_pretrained(folder)
    with torch.no_grad():
        assert torch.equal(back.generator(image, condition), original.generator(image, condition))
        assert torch.equal(back.classifier(image), original.classifier(image))


def test_the_command_does_the_same_in_a_process_of_its_own(hub, folder, tmp_path, monkeypatch):
    (folder / "onnx").mkdir()
    for name in ("encode", "decode"):
        (folder / "onnx" / f"{name}.onnx").write_bytes(b"a graph")
    record = {"weights_sha256": weights_sha256(folder)}
    (folder / "onnx" / "export.json").write_text(json.dumps(record), encoding="utf-8")
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    words = [sys.executable, "-m", "stgan.cli", "publish", "model", "stgan-tiny", "--folder", str(folder), "--private"]
    ran = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert hub.repositories[f"models/{NAME}"].private
    assert hub.files(f"models/{NAME}")["onnx/encode.onnx"] == b"a graph"
    assert b"what is wanted minus what is there" in hub.files(f"models/{NAME}")["README.md"]
    fetch = [Path(sys.executable).with_name("hf"), "download", NAME, "--local-dir", str(tmp_path / "fetched")]
    subprocess.run(fetch, env=environment, cwd=ROOT, capture_output=True, check=True)
    assert FaceEditor.from_pretrained(tmp_path / "fetched").generator.image_size == 64

    monkeypatch.setenv("HF_TOKEN", EXPIRED_TOKEN)
    monkeypatch.setattr(sys, "argv", ["stgan", *words[3:]])
    with pytest.raises(SystemExit, match="stgan: The Hub does not accept your token"):
        cli.main()


def test_the_published_card_names_the_repository(hub, folder):
    publish(PublishModel(NAME, folder=folder))
    there = hub.files(f"models/{NAME}")
    card = ModelCard(there["README.md"].decode())
    assert card.data.library_name == "stgan"
    assert f'FaceEditor.from_pretrained("{NAME}")' in card.text
    assert "onnx" not in card.text
    assert "--initial_model" not in card.text
    assert f'load_companion_classifier("{NAME}")' in there["classifier/README.md"].decode()


def test_a_name_of_ones_own_account_is_named_in_full(hub, folder, tmp_path):
    publish(PublishModel("stgan-tiny", folder=folder))
    assert f'FaceEditor.from_pretrained("{NAME}")' in hub.files(f"models/{NAME}")["README.md"].decode()
    publish(PublishSpace("faces", folder=tmp_path / "space", dry_run=True))
    assert "/spaces/somebody/faces/" in metadata_load(tmp_path / "space" / "README.md")["thumbnail"]


def test_a_dry_run_without_a_token_keeps_the_bare_name(hub, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    publish(PublishModel("stgan-tiny", folder=folder, dry_run=True))
    assert "model.safetensors" in capsys.readouterr().out
    publish(PublishSpace("faces", folder=tmp_path / "space", dry_run=True))
    assert "/spaces/faces/" in metadata_load(tmp_path / "space" / "README.md")["thumbnail"]


def test_an_aligner_goes_to_the_hub_with_its_editor_and_comes_back(hub, folder, tmp_path):
    FaceAligner(32, 4).save_pretrained(folder / "aligner")
    publish(PublishModel(NAME, folder=folder))
    card = hub.files(f"models/{NAME}")["aligner/README.md"].decode()
    assert f'load_companion_aligner("{NAME}")' in card
    back, view = FaceEditor.from_pretrained(NAME, cache_dir=tmp_path / "cache").aligner, torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(back(view).logit, FaceAligner.from_pretrained(folder / "aligner")(view).logit)
    publish(PublishModel("somebody/aligner", folder=folder / "aligner"))
    assert "FaceAligner.from_pretrained" in hub.files("models/somebody/aligner")["README.md"].decode()
    (folder / "aligner" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelFolderError, match="damaged"):
        publish(PublishModel(NAME, folder=folder))


def test_a_discriminator_goes_to_the_hub_and_only_those_who_train_fetch_it(hub, folder, tmp_path):
    Discriminator(["Male"], 32, 4, layers=3, hidden=8).save_pretrained(folder / "discriminator")
    publish(PublishModel(NAME, folder=folder))
    assert f"--initial_model {NAME}" in hub.files(f"models/{NAME}")["README.md"].decode()
    FaceEditor.from_pretrained(NAME, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("discriminator*"))
    back = load_companion_discriminator(NAME, cache_dir=tmp_path / "cache")
    ours = Discriminator.from_pretrained(folder / "discriminator").state_dict()
    assert all(value.equal(ours[name]) for name, value in back.state_dict().items())
    (folder / "discriminator" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelFolderError, match="damaged"):
        publish(PublishModel(NAME, folder=folder))


def test_only_what_changed_is_sent_again(hub, folder, capsys):
    publish(PublishModel(NAME, folder=folder))
    commits = len(hub.repositories[f"models/{NAME}"].commits)
    publish(PublishModel(NAME, folder=folder))
    assert len(hub.repositories[f"models/{NAME}"].commits) == commits
    assert "nothing to send" in capsys.readouterr().out

    uploads = hub.asked("PUT", "/large/")
    model = load_generator(folder)
    with torch.no_grad():
        model.to_image.bias += 1
    model.save_pretrained(folder)
    publish(PublishModel(NAME, folder=folder))
    assert hub.asked("PUT", "/large/") == uploads + 1
    assert "Sending 1 of" in capsys.readouterr().out
    assert hub.files(f"models/{NAME}")["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_what_a_model_folder_no_longer_has_goes_from_the_hub_too(hub, folder, tmp_path):
    FaceAligner(32, 4).save_pretrained(folder / "aligner")
    (folder / "evaluation.json").write_text(json.dumps({"images": 1, "split": "test", "headline": {}}))
    publish(PublishModel(NAME, folder=folder))
    assert FaceEditor.from_pretrained(NAME, cache_dir=tmp_path / "before").aligner is not None
    repository = hub.repositories[f"models/{NAME}"]
    repository.commit("main", dict(repository.commits[-1][1]) | {"notes.txt": StoredFile(b"mine", large=False)})
    shutil.rmtree(folder / "aligner")
    (folder / "evaluation.json").unlink()
    publish(PublishModel(NAME, folder=folder))
    assert FaceEditor.from_pretrained(NAME, cache_dir=tmp_path / "after").aligner is None
    there = hub.files(f"models/{NAME}")
    assert "evaluation.json" not in there
    assert there["notes.txt"] == b"mine"  # nothing of ours


def test_a_dry_run_lists_every_file_with_its_size_and_sends_nothing(hub, folder, capsys):
    assert publish(PublishModel(NAME, folder=folder, dry_run=True)) is None
    printed = capsys.readouterr().out
    lines = {path: int(size.replace(",", "")) for size, path in (line.split() for line in printed.splitlines()[:-1])}
    assert lines["model.safetensors"] == (folder / "model.safetensors").stat().st_size
    assert not hub.requests
    publish(PublishModel(NAME, folder=folder))
    assert lines == {path: len(data) for path, data in hub.files(f"models/{NAME}").items()}


def test_what_could_run_code_stays_at_home(hub, folder):
    (folder / "optimizer.pt").write_bytes(b"a pickle")
    (folder / ".git").mkdir()
    (folder / ".git" / "config.json").write_text("{}")
    publish(PublishModel(NAME, folder=folder))
    assert not {"optimizer.pt", ".git/config.json"} & hub.files(f"models/{NAME}").keys()


@pytest.mark.parametrize("place", ["runs/../stgan-tiny", "linked/.cache/stgan-tiny"])
def test_dots_above_the_folder_keep_no_file_at_home(hub, folder, tmp_path, place):
    (tmp_path / "runs").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".cache").symlink_to(tmp_path)
    publish(PublishModel(NAME, folder=tmp_path / place))
    assert {"config.json", "model.safetensors", "classifier/model.safetensors"} <= hub.files(f"models/{NAME}").keys()


def test_private_branch_and_pull_request(hub, folder):
    publish(PublishModel(NAME, private=True, revision="trial", folder=folder))
    repository = hub.repositories[f"models/{NAME}"]
    assert repository.private
    assert "config.json" in hub.files(f"models/{NAME}", "trial")
    assert "config.json" not in hub.files(f"models/{NAME}")
    address = publish(PublishModel(NAME, create_pr=True, folder=folder))
    assert address.endswith("/discussions/1")
    assert "config.json" not in hub.files(f"models/{NAME}")
    with pytest.raises(HubError, match="leave out --revision"):
        publish(PublishModel(NAME, revision="trial", create_pr=True, folder=folder))


def test_a_public_repository_is_not_taken_for_a_private_one(hub, folder):
    publish(PublishModel(NAME, folder=folder))
    with pytest.raises(HubError, match="already and public"):
        publish(PublishModel(NAME, private=True, folder=folder))


@pytest.mark.parametrize(
    ("token", "repo", "failure", "message"),
    [
        (None, NAME, None, "not logged in"),
        (EXPIRED_TOKEN, NAME, None, "may have expired"),
        (READ_TOKEN, NAME, None, "may not write"),
        (TOKEN, "another/stgan-tiny", None, "may not write"),
        (TOKEN, NAME, Failure("POST", "/commit/", 404), "check the names"),
        (TOKEN, NAME, Failure("POST", "/commit/", 409), "at the same moment"),
        (TOKEN, NAME, Failure("POST", "/commit/", 500), r"cannot answer just now \(500\)"),
        (TOKEN, NAME, Failure("POST", "/api/repos/create", 0), "connection to the Hub was lost"),
        (TOKEN, "not/a/name", None, "not/a/name"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(hub, folder, monkeypatch, token, repo, failure, message):
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.failures += [failure] if failure else []
    with pytest.raises(HubError, match=message):
        publish(PublishModel(repo, folder=folder))


@pytest.mark.parametrize(
    "files", [{"weights.bin": b"somebody's work"}, {"config.json": b'{"model_type": "bert"}', "vocab.txt": b"a b c"}]
)
def test_a_name_that_something_else_has_is_left_alone(files, hub, folder):
    repository = hub.repositories[f"models/{NAME}"] = Repository(private=False)
    repository.commit("main", {name: StoredFile(data, large=False) for name, data in files.items()})
    with pytest.raises(HubError, match=rf"taken by something else \({', '.join(sorted(files))}\)"):
        publish(PublishModel(NAME, folder=folder))
    assert hub.files(f"models/{NAME}") == files


def test_a_push_cut_off_half_way_goes_on_where_it_was(hub, folder):
    hub.failures.append(Failure("POST", "/commit/", 0))
    with pytest.raises(HubError, match="Run the same command again"):
        publish(PublishModel(NAME, folder=folder))
    arrived = hub.asked("PUT", "/large/")
    assert arrived == 2  # both weights, before the line went dead
    assert "config.json" not in hub.files(f"models/{NAME}")
    publish(PublishModel(NAME, folder=folder))
    assert hub.asked("PUT", "/large/") == arrived
    assert hub.files(f"models/{NAME}")["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_nothing_is_pushed_that_does_not_load(hub, folder):
    (folder / "model.safetensors").write_bytes(b"half of it")
    with pytest.raises(ModelFolderError, match="damaged"):
        publish(PublishModel(NAME, folder=folder))
    assert not hub.requests


# --------------------------------------------------------------------------------------------------------- downloading


def test_a_download_cut_off_half_way_goes_on_where_it_was(hub, folder, tmp_path):
    publish(PublishModel(NAME, folder=folder))
    size = (folder / "model.safetensors").stat().st_size
    hub.failures.append(Failure("GET", "resolve/.*/model.safetensors$", 0, after=size // 2))
    generator = load_generator(NAME, cache_dir=tmp_path / "cache")
    expected = load_generator(folder)
    assert all(torch.equal(a, b) for a, b in zip(generator.parameters(), expected.parameters(), strict=True))


def test_a_revision_and_the_cache_without_a_network(hub, folder, tmp_path, monkeypatch):
    publish(PublishModel(NAME, folder=folder))
    first = hub.repositories[f"models/{NAME}"].commits[-1][0]
    before = load_generator(folder).to_image.bias.detach().clone()
    model = load_generator(folder)
    with torch.no_grad():
        model.to_image.bias += 1
    model.save_pretrained(folder)
    publish(PublishModel(NAME, folder=folder))
    cache = {"cache_dir": tmp_path / "cache"}
    assert torch.equal(FaceEditor.from_pretrained(NAME, revision=first, **cache).generator.to_image.bias, before)
    assert torch.equal(FaceEditor.from_pretrained(NAME, **cache).generator.to_image.bias, before + 1)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert torch.equal(FaceEditor.from_pretrained(NAME, **cache).generator.to_image.bias, before + 1)
    assert len(hub.requests) == asked
    with pytest.raises(ModelFolderError, match="not in the cache"):
        FaceEditor.from_pretrained("somebody/other", **cache)


def test_an_editor_fetches_only_what_it_uses(hub, folder, tmp_path):
    publish(PublishModel(NAME, folder=folder))
    repository = hub.repositories[f"models/{NAME}"]
    pickled = {name: StoredFile(b"code", large=True) for name in ("pytorch_model.bin", "classifier/model.pt")}
    repository.commit("main", repository.revisions["main"] | pickled)
    FaceEditor.from_pretrained(NAME, cache_dir=tmp_path / "cache")
    fetched = {path.split("/", 5)[-1] for method, path in hub.requests if method == "GET" and "/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors", "classifier/config.json", "classifier/model.safetensors"}


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Failure("GET", "/api/models/", 401), "logged in"),
        (Failure("GET", "/api/models/", 403), "logged in"),
        (Failure("GET", "/api/models/", 500, times=10), "cannot be reached"),
        (Failure("GET", "/api/models/", 0), "cannot be reached"),
        (Failure("HEAD", "model.safetensors", 0, times=10), "cannot be reached"),
        (Failure("GET", "resolve/.*/model.safetensors", 403, times=10), "logged in"),
    ],
)
def test_a_download_that_fails_says_what_to_do(hub, folder, tmp_path, failure, message):
    publish(PublishModel(NAME, folder=folder))
    hub.failures.append(failure)
    with pytest.raises(ModelFolderError, match=f"{NAME}.*{message}"):
        FaceEditor.from_pretrained(NAME, cache_dir=tmp_path / "cache")


def test_an_unknown_model_is_named(hub, tmp_path):
    with pytest.raises(ModelFolderError, match="somebody/absent"):
        FaceEditor.from_pretrained("somebody/absent", cache_dir=tmp_path)


# ----------------------------------------------------------------------------------------------------------- the Space


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    assemble_space(folder, "somebody/faces", NAME)
    return folder


def test_a_space_holds_what_the_app_imports_and_no_more(space):
    modules = {path.relative_to(space / "stgan").as_posix() for path in (space / "stgan").rglob("*.py")}
    assert {"__init__.py", "editor.py", "demo/model.py", "models/encoder_decoder.py"} <= modules
    assert not {"cli.py", "bundle.py", "publish.py", "training/trainer.py", "training/losses.py"} & modules
    assert (space / "app.py").is_file()
    assert not (space / "tests").exists()


def test_the_card_of_a_space_is_its_whole_configuration(space):
    data = metadata_load(space / "README.md")
    pins = dict(line.split("==") for line in (space / "requirements.txt").read_text().split())
    assert data["sdk"] == "gradio"
    assert data["sdk_version"] == pins["gradio"]
    assert data["app_file"] == "app.py"
    assert data["models"] == [NAME]
    assert (
        f"{NAME} config.json,model.safetensors,classifier/config.json,classifier/model.safetensors"
        in (data["preload_from_hub"])
    )
    assert len(data["short_description"]) <= 60
    assert (space / data["thumbnail"].rsplit("/", 1)[-1]).is_file()
    wanted = {"title", "emoji", "colorFrom", "colorTo", "python_version", "datasets", "tags", "license"}
    assert wanted <= data.keys()


def test_the_card_of_a_space_speaks_for_the_weights_in_it_and_not_for_others(space):
    text = ModelCard.load(space / "README.md").text
    assert "the weights in this repository were trained on CelebA" in text
    assert f"The terms of [{NAME}](https://huggingface.co/{NAME}) are on its own card." in text


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
    assert there["hub/stgan-celeba-128/model.safetensors"] == (BUNDLED / "model.safetensors").read_bytes()


def test_files_are_not_mixed_with_others(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(HubError, match="new or empty folder"):
        assemble_space(tmp_path, "somebody/faces")


@pytest.fixture
def started(space, tmp_path):
    """The assembled folder's own app, started as a Space starts it; the Hub's model is out of reach."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{(port := free.getsockname()[1])}"
    gone = {"STGAN_MODEL", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    environment |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    log = (tmp_path / "log.txt").open("w+")
    app = subprocess.Popen([sys.executable, "app.py"], cwd=space, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(240):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/config") as answer:
                yield address, json.load(answer)
                break
            assert app.poll() is None, (tmp_path / "log.txt").read_text()
            time.sleep(0.5)
        else:
            pytest.fail("the Space's app did not answer within two minutes")
    finally:
        app.terminate()
        app.wait(timeout=20)
        log.close()


def test_an_assembled_space_starts_says_that_its_model_is_missing_and_edits(started, tmp_path):
    address, page = started
    texts = [str(part["props"].get("value")) for part in page["components"] if part["type"] == "markdown"]
    assert any(NAME in text and "could not be loaded" in text for text in texts)  # it runs on its own package and card
    assert any("weights were trained on CelebA" in text for text in texts)  # of the bundled model, as its record says
    client = gradio_client.Client(address, verbose=False, analytics_enabled=False)
    photo = tmp_path / "portrait.png"
    Image.fromarray(skimage.data.astronaut()).save(photo)
    path = client.predict(gradio_client.handle_file(str(photo)), {"Eyeglasses": True}, 1.0, api_name="/edit")
    expected = FaceEditor.from_pretrained(BUNDLED, detector=FaceDetector()).edit(photo, {"Eyeglasses": True})
    difference = np.abs(np.asarray(Image.open(path)).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1  # another process may sum in another order


# ------------------------------------------------------------------------------------------------- the demo's own model


def test_the_demo_shows_the_model_that_its_space_names(hub, folder, space, tmp_path, monkeypatch):
    publish(PublishModel(NAME, folder=folder))
    monkeypatch.delenv("STGAN_MODEL", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "ROOT", space)
    editor, model, notice = demo.open_editor()
    assert (model, notice) == (NAME, "")
    assert editor.generator.image_size == 64


def test_without_that_model_the_demo_shows_the_bundled_one_and_says_so(hub, space, tmp_path, monkeypatch):
    monkeypatch.delenv("STGAN_MODEL", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "ROOT", space)
    editor, model, notice = demo.open_editor()
    assert model == str(BUNDLED)
    assert NAME in notice
    assert editor.generator.image_size == 128


def test_the_demo_knows_what_its_model_was_trained_on(hub, folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    commands = [{"from_image": 0, "command": "accelerate launch train.py --dataset someone/faces"}]
    record = {"config": {"dataset": "someone/others"}, "commands": commands}
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    publish(PublishModel(NAME, folder=folder))
    assert demo.datasets_of(NAME) == ["someone/others", "someone/faces"]
    assert demo.datasets_of(str(BUNDLED)) == [CELEBA]
    (folder / "training.json").write_text("broken")
    for unknown in (str(folder), "nobody/nothing"):
        assert demo.datasets_of(unknown) == []
        assert f"What {unknown} was trained on is not known" in caplog.text


def test_a_checkout_shows_the_bundled_model_unless_told_otherwise(monkeypatch, model_folder):
    monkeypatch.delenv("STGAN_MODEL", raising=False)
    assert demo.wanted_model() == str(BUNDLED)
    monkeypatch.setenv("STGAN_MODEL", str(model_folder))
    assert demo.wanted_model() == str(model_folder)
