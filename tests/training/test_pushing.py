"""Models and training states go to the Hub during a run, and runs continue from there."""

import json

import pytest
from hub_server import Failure, Repository, StoredFile
from runs import assert_same_state, last_checkpoint, trained

from stgan.hub.errors import HubError
from stgan.training.checkpoints import CheckpointError


def test_each_validation_pushes_the_model_with_its_card(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "face-editor", steps=4, validation_steps=2, push_to_hub="face-editor", hub_private=True)
    repository = hub.repositories["models/somebody/face-editor"]
    assert repository.private
    shown = [json.loads(files["training.json"].data)["images_seen"] for _, files in repository.commits[1:]]
    assert shown[-1] == 16
    there = hub.files("models/somebody/face-editor")
    assert {path: (tmp_path / "face-editor" / "model" / path).read_bytes() for path in there} == there
    opponent = {"discriminator/config.json", "discriminator/model.safetensors"}
    assert there.keys() == {"README.md", "config.json", "model.safetensors", "training.json"} | opponent
    assert not list((tmp_path / "face-editor").glob("partial-*"))


def test_a_pushed_card_names_its_repository_and_records_of_earlier_weights_go(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "face-editor", steps=2, push_to_hub="face-editor")
    repository = hub.repositories["models/somebody/face-editor"]
    stale = {name: StoredFile(b"of former weights", large=False) for name in ("onnx/decode.onnx", "evaluation.json")}
    repository.commit("main", dict(repository.commits[-1][1]) | stale)
    trained(celeba, tmp_path / "face-editor", steps=3, push_to_hub="face-editor")
    there = hub.files("models/somebody/face-editor")
    assert there.keys().isdisjoint(stale)
    assert b'from_pretrained("somebody/face-editor")' in there["README.md"]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"config.json": b'{"model_type": "bert"}', "model.safetensors": b"bert"}, {}, "taken by something else"),
        ({"weights.bin": b"work"}, {}, "taken by something else"),
        ({}, {"hub_private": True}, "already exists and is public"),
    ],
)
def test_a_run_that_would_push_into_a_foreign_repository_does_not_start(files, options, message, hub, celeba, tmp_path):
    repository = hub.repositories["models/somebody/mine"] = Repository(private=False)
    repository.commit("main", {name: StoredFile(data, large=False) for name, data in files.items()})
    with pytest.raises(HubError, match=message):
        trained(celeba, tmp_path, steps=1, push_to_hub="mine", **options)
    assert hub.files("models/somebody/mine") == files


def test_a_run_resumed_from_the_hub_equals_one_resumed_locally(hub, celeba, tmp_path):
    settings = {"checkpointing_steps": 2}
    trained(celeba, tmp_path / "first", steps=4, push_to_hub="mine", push_state_every=1, **settings)
    on_hub = hub.files("models/somebody/mine", "training-state")
    assert {path.split("/")[0] for path in on_hub if path.startswith("checkpoint-")} == {"checkpoint-4"}
    assert not any(path.startswith("checkpoint-") for path in hub.files("models/somebody/mine"))
    resumed = trained(
        celeba, tmp_path / "second", steps=8, resume_from_checkpoint="somebody/mine@training-state", **settings
    )
    assert resumed.step == 8
    straight = trained(celeba, tmp_path / "first", steps=8, resume_from_checkpoint="latest", **settings)
    assert straight.step == 8
    assert_same_state(last_checkpoint(tmp_path / "second"), last_checkpoint(tmp_path / "first"))


def test_a_hub_repository_without_a_state_is_refused(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "first", steps=2, push_to_hub="mine")
    with pytest.raises(CheckpointError, match="--push_state_every"):
        trained(celeba, tmp_path / "second", steps=2, resume_from_checkpoint="somebody/mine@main")
    with pytest.raises(HubError, match="Check the names"):
        trained(celeba, tmp_path / "second", steps=2, resume_from_checkpoint="somebody/other@main")


def test_a_failed_upload_is_reported_and_the_run_continues(hub, celeba, tmp_path, capsys):
    hub.failures.append(Failure("POST", "/commit/", times=10))
    assert trained(celeba, tmp_path, steps=2, push_to_hub="mine").step == 2
    text = capsys.readouterr().out
    assert "Could not push to somebody/mine: The connection to the Hub was lost" in text
    assert "Training continues" in text


def test_a_finished_run_sends_the_state_that_did_not_arrive_when_it_is_resumed(hub, celeba, tmp_path):
    """Such as one that was killed between its last checkpoint and the end of its upload."""
    settings = {"steps": 2, "push_to_hub": "face-editor", "push_state_every": 1}
    hub.failures.append(Failure("POST", "commit/training-state", 500, times=1000))
    trained(celeba, tmp_path, **settings)
    hub.failures.clear()
    trained(celeba, tmp_path, resume_from_checkpoint="latest", **settings)
    state = hub.files("models/somebody/face-editor", "training-state")
    newest = last_checkpoint(tmp_path)
    there = {path: content for path, content in state.items() if path.startswith("checkpoint-")}
    assert there == {
        f"{newest.name}/{file.relative_to(newest)}": file.read_bytes() for file in newest.rglob("*") if file.is_file()
    }
