"""Models go to the Hub and come back, with its real client and a server on this machine that speaks its protocol."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import EXPIRED_TOKEN, MODEL, READ_TOKEN, TOKEN, Failure, Repository, StoredFile
from huggingface_hub import ModelCard, constants, metadata_load
from scripts import in_a_fork

from stgan import FaceEditor, cli
from stgan.export import weights_sha256
from stgan.hub.errors import HubError
from stgan.models import Discriminator, FaceAligner, ModelFolderError, load_companion, load_generator
from stgan.publish import ROOT, PublishModel, PublishSpace, publish


def change_weights(folder):
    model = load_generator(folder)
    with torch.no_grad():
        model.to_image.bias += 1
    model.save_pretrained(folder)


def test_a_pushed_model_comes_back_as_it_was(hub, folder, tmp_path):
    publish(PublishModel(MODEL, folder=folder))
    there = hub.files(f"models/{MODEL}")
    kept = [path for path in there if not path.endswith(".md")]
    assert all(there[path] == (folder / path).read_bytes() for path in kept)
    assert {"config.json", "model.safetensors", "classifier/model.safetensors", "README.md"} <= there.keys()

    image, condition = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randn(2, 13)
    back, original = FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "cache"), FaceEditor.from_pretrained(folder)
    with torch.no_grad():
        assert torch.equal(back.generator(image, condition), original.generator(image, condition))
        assert torch.equal(back.classifier(image), original.classifier(image))


def test_the_command_does_the_same_in_a_process_of_its_own(hub, folder, tmp_path, monkeypatch):
    (folder / "onnx").mkdir()
    for name in ("encode", "decode"):
        (folder / "onnx" / f"{name}.onnx").write_bytes(b"a graph")
    record = {"weights_sha256": weights_sha256(folder)}
    (folder / "onnx" / "export.json").write_text(json.dumps(record), encoding="utf-8")
    settings = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    monkeypatch.setattr(sys, "argv", ["stgan", "publish", "model", "stgan-tiny", "--folder", str(folder), "--private"])

    def published():
        os.environ |= settings
        runpy.run_module("stgan.cli", run_name="__main__")

    in_a_fork(published, "stgan", "huggingface_hub")
    assert hub.repositories[f"models/{MODEL}"].private
    assert hub.files(f"models/{MODEL}")["onnx/encode.onnx"] == b"a graph"
    assert b"the requested labels minus the current ones" in hub.files(f"models/{MODEL}")["README.md"]
    fetch = [Path(sys.executable).with_name("hf"), "download", MODEL, "--local-dir", str(tmp_path / "fetched")]
    subprocess.run(fetch, env=os.environ | settings, cwd=ROOT, capture_output=True, check=True)
    assert FaceEditor.from_pretrained(tmp_path / "fetched").generator.image_size == 64

    monkeypatch.setenv("HF_TOKEN", EXPIRED_TOKEN)
    with pytest.raises(SystemExit, match="stgan: The Hub does not accept your token"):
        cli.main()


def test_the_published_card_names_the_repository(hub, folder):
    publish(PublishModel(MODEL, folder=folder))
    there = hub.files(f"models/{MODEL}")
    card = ModelCard(there["README.md"].decode())
    assert card.data.library_name == "stgan"
    assert f'FaceEditor.from_pretrained("{MODEL}")' in card.text
    assert "onnx" not in card.text
    assert "--initial_model" not in card.text
    assert f'load_companion("{MODEL}", "classifier")' in there["classifier/README.md"].decode()


def test_a_name_of_ones_own_account_is_named_in_full(hub, folder, tmp_path):
    publish(PublishModel("stgan-tiny", folder=folder))
    assert f'FaceEditor.from_pretrained("{MODEL}")' in hub.files(f"models/{MODEL}")["README.md"].decode()
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
    publish(PublishModel(MODEL, folder=folder))
    card = hub.files(f"models/{MODEL}")["aligner/README.md"].decode()
    assert f'load_companion("{MODEL}", "aligner")' in card
    back, view = FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "cache").aligner, torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(back(view).logit, FaceAligner.from_pretrained(folder / "aligner")(view).logit)
    publish(PublishModel("somebody/aligner", folder=folder / "aligner"))
    assert "FaceAligner.from_pretrained" in hub.files("models/somebody/aligner")["README.md"].decode()
    (folder / "aligner" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelFolderError, match="damaged"):
        publish(PublishModel(MODEL, folder=folder))


def test_a_discriminator_goes_to_the_hub_and_only_those_who_train_fetch_it(hub, folder, tmp_path):
    Discriminator(["Male"], 32, 4, layers=3, hidden=8).save_pretrained(folder / "discriminator")
    publish(PublishModel(MODEL, folder=folder))
    assert f"--initial_model {MODEL}" in hub.files(f"models/{MODEL}")["README.md"].decode()
    FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("discriminator*"))
    back = load_companion(MODEL, "discriminator", cache_dir=tmp_path / "cache")
    ours = Discriminator.from_pretrained(folder / "discriminator").state_dict()
    assert all(value.equal(ours[name]) for name, value in back.state_dict().items())
    (folder / "discriminator" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelFolderError, match="damaged"):
        publish(PublishModel(MODEL, folder=folder))


def test_only_what_changed_is_sent_again(hub, folder, capsys):
    publish(PublishModel(MODEL, folder=folder))
    commits = len(hub.repositories[f"models/{MODEL}"].commits)
    publish(PublishModel(MODEL, folder=folder))
    assert len(hub.repositories[f"models/{MODEL}"].commits) == commits
    assert "nothing to send" in capsys.readouterr().out

    uploads = hub.asked("PUT", "/large/")
    change_weights(folder)
    publish(PublishModel(MODEL, folder=folder))
    assert hub.asked("PUT", "/large/") == uploads + 1
    assert "Sending 1 of" in capsys.readouterr().out
    assert hub.files(f"models/{MODEL}")["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_what_a_model_folder_no_longer_has_goes_from_the_hub_too(hub, folder, tmp_path):
    FaceAligner(32, 4).save_pretrained(folder / "aligner")
    (folder / "evaluation.json").write_text(json.dumps({"images": 1, "split": "test", "headline": {}}))
    publish(PublishModel(MODEL, folder=folder))
    assert FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "before").aligner is not None
    repository = hub.repositories[f"models/{MODEL}"]
    repository.commit("main", dict(repository.commits[-1][1]) | {"notes.txt": StoredFile(b"mine", large=False)})
    shutil.rmtree(folder / "aligner")
    (folder / "evaluation.json").unlink()
    publish(PublishModel(MODEL, folder=folder))
    assert FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "after").aligner is None
    there = hub.files(f"models/{MODEL}")
    assert "evaluation.json" not in there
    assert there["notes.txt"] == b"mine"  # nothing of ours


def test_a_dry_run_lists_every_file_with_its_size_and_sends_nothing(hub, folder, capsys):
    assert publish(PublishModel(MODEL, folder=folder, dry_run=True)) is None
    printed = capsys.readouterr().out
    lines = {path: int(size.replace(",", "")) for size, path in (line.split() for line in printed.splitlines()[:-1])}
    assert lines["model.safetensors"] == (folder / "model.safetensors").stat().st_size
    assert not hub.requests
    publish(PublishModel(MODEL, folder=folder))
    assert lines == {path: len(data) for path, data in hub.files(f"models/{MODEL}").items()}


def test_what_could_run_code_stays_at_home(hub, folder):
    (folder / "optimizer.pt").write_bytes(b"a pickle")
    (folder / ".git").mkdir()
    (folder / ".git" / "config.json").write_text("{}")
    publish(PublishModel(MODEL, folder=folder))
    assert not {"optimizer.pt", ".git/config.json"} & hub.files(f"models/{MODEL}").keys()


@pytest.mark.parametrize("place", ["runs/../stgan-tiny", "linked/.cache/stgan-tiny"])
def test_dots_above_the_folder_keep_no_file_at_home(hub, folder, tmp_path, place):
    (tmp_path / "runs").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".cache").symlink_to(tmp_path)
    publish(PublishModel(MODEL, folder=tmp_path / place))
    assert {"config.json", "model.safetensors", "classifier/model.safetensors"} <= hub.files(f"models/{MODEL}").keys()


def test_private_branch_and_pull_request(hub, folder):
    publish(PublishModel(MODEL, private=True, revision="trial", folder=folder))
    repository = hub.repositories[f"models/{MODEL}"]
    assert repository.private
    assert "config.json" in hub.files(f"models/{MODEL}", "trial")
    assert "config.json" not in hub.files(f"models/{MODEL}")
    address = publish(PublishModel(MODEL, create_pr=True, folder=folder))
    assert address.endswith("/discussions/1")
    assert "config.json" not in hub.files(f"models/{MODEL}")
    with pytest.raises(HubError, match="leave out --revision"):
        publish(PublishModel(MODEL, revision="trial", create_pr=True, folder=folder))


def test_a_public_repository_is_not_taken_for_a_private_one(hub, folder):
    publish(PublishModel(MODEL, folder=folder))
    with pytest.raises(HubError, match="already exists and is public"):
        publish(PublishModel(MODEL, private=True, folder=folder))


@pytest.mark.parametrize(
    ("token", "repo", "failure", "message"),
    [
        (None, MODEL, None, "not logged in"),
        (EXPIRED_TOKEN, MODEL, None, "may have expired"),
        (READ_TOKEN, MODEL, None, "may not write"),
        (TOKEN, "another/stgan-tiny", None, "may not write"),
        (TOKEN, MODEL, Failure("POST", "/commit/", 404), "Check the names"),
        (TOKEN, MODEL, Failure("POST", "/commit/", 409), "at the same time"),
        (TOKEN, MODEL, Failure("POST", "/commit/", 500), r"could not answer \(500\)"),
        (TOKEN, MODEL, Failure("POST", "/api/repos/create", 0), "connection to the Hub was lost"),
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
    repository = hub.repositories[f"models/{MODEL}"] = Repository(private=False)
    repository.commit("main", {name: StoredFile(data, large=False) for name, data in files.items()})
    with pytest.raises(HubError, match=rf"taken by something else \({', '.join(sorted(files))}\)"):
        publish(PublishModel(MODEL, folder=folder))
    assert hub.files(f"models/{MODEL}") == files


def test_a_push_cut_off_half_way_goes_on_where_it_was(hub, folder):
    hub.failures.append(Failure("POST", "/commit/", 0))
    with pytest.raises(HubError, match="Run the same command again"):
        publish(PublishModel(MODEL, folder=folder))
    arrived = hub.asked("PUT", "/large/")
    assert arrived == 2  # both weights, before the line went dead
    assert "config.json" not in hub.files(f"models/{MODEL}")
    publish(PublishModel(MODEL, folder=folder))
    assert hub.asked("PUT", "/large/") == arrived
    assert hub.files(f"models/{MODEL}")["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_nothing_is_pushed_that_does_not_load(hub, folder):
    (folder / "model.safetensors").write_bytes(b"half of it")
    with pytest.raises(ModelFolderError, match="damaged"):
        publish(PublishModel(MODEL, folder=folder))
    assert not hub.requests


# --------------------------------------------------------------------------------------------------- downloads


def test_a_download_cut_off_half_way_goes_on_where_it_was(hub, folder, tmp_path):
    publish(PublishModel(MODEL, folder=folder))
    size = (folder / "model.safetensors").stat().st_size
    hub.failures.append(Failure("GET", "resolve/.*/model.safetensors$", 0, after=size // 2))
    generator = load_generator(MODEL, cache_dir=tmp_path / "cache")
    expected = load_generator(folder)
    assert all(torch.equal(a, b) for a, b in zip(generator.parameters(), expected.parameters(), strict=True))


def test_a_revision_and_the_cache_without_a_network(hub, folder, tmp_path, monkeypatch):
    publish(PublishModel(MODEL, folder=folder))
    first = hub.repositories[f"models/{MODEL}"].commits[-1][0]
    before = load_generator(folder).to_image.bias.detach().clone()
    change_weights(folder)
    publish(PublishModel(MODEL, folder=folder))
    cache = {"cache_dir": tmp_path / "cache"}
    assert torch.equal(FaceEditor.from_pretrained(MODEL, revision=first, **cache).generator.to_image.bias, before)
    assert torch.equal(FaceEditor.from_pretrained(MODEL, **cache).generator.to_image.bias, before + 1)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert torch.equal(FaceEditor.from_pretrained(MODEL, **cache).generator.to_image.bias, before + 1)
    assert len(hub.requests) == asked
    with pytest.raises(ModelFolderError, match="not in the cache"):
        FaceEditor.from_pretrained("somebody/other", **cache)


def test_an_editor_fetches_only_what_it_uses(hub, folder, tmp_path):
    publish(PublishModel(MODEL, folder=folder))
    repository = hub.repositories[f"models/{MODEL}"]
    pickled = {name: StoredFile(b"code", large=True) for name in ("pytorch_model.bin", "classifier/model.pt")}
    repository.commit("main", repository.revisions["main"] | pickled)
    FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "cache")
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
    publish(PublishModel(MODEL, folder=folder))
    hub.failures.append(failure)
    with pytest.raises(ModelFolderError, match=f"{MODEL}.*{message}"):
        FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "cache")


def test_an_unknown_model_is_named(hub, tmp_path):
    with pytest.raises(ModelFolderError, match="somebody/absent"):
        FaceEditor.from_pretrained("somebody/absent", cache_dir=tmp_path)
