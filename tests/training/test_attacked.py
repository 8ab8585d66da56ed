"""Trainings under attack; ``make torture`` kills, starves and cuts off many more, in processes of their own."""

import errno
import os
import pickle
import shutil
from types import SimpleNamespace

import pytest
from hub_server import Failure
from runs import SAVE_ALL, assert_same_state, record, trained, trainer

from stgan.data import DataError
from stgan.data.errors import surviving_workers
from stgan.training import TrainingError, pushing
from stgan.training.checkpoints import CheckpointError, list_checkpoints, rescaled
from stgan.training.launch import surviving_processes


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.fixture
def stopped(uninterrupted, tmp_path):
    """A run with the checkpoints of steps 3 and 4."""
    for step in (3, 4):
        shutil.copytree(uninterrupted("stgan-fast") / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    return tmp_path


def test_no_code_in_a_training_state_is_run(stopped, celeba):
    (stopped / "checkpoint-4" / "custom_checkpoint_0.pkl").write_bytes(pickle.dumps({"average": Trap()}))
    with pytest.raises(CheckpointError, match=r"checkpoint-4 is damaged .* continue with .* checkpoint-3\."):
        trained(celeba, stopped, steps=6, resume_from_checkpoint="latest")


@pytest.mark.parametrize("file", ["progress.json", "model.safetensors", "optimizer.bin"])
def test_a_damaged_checkpoint_names_the_one_before(file, stopped, celeba):
    content = (stopped / "checkpoint-4" / file).read_bytes()
    (stopped / "checkpoint-4" / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"checkpoint-4 is damaged .* --resume_from_checkpoint checkpoint-3\."):
        trained(celeba, stopped, steps=6, resume_from_checkpoint="latest")


def test_a_full_disk_says_what_to_do_and_leaves_whole_checkpoints(uninterrupted, celeba, tmp_path):
    run = trainer(celeba, tmp_path, steps=6, **SAVE_ALL)
    save = run.accelerator.save_state

    def full_save(folder):
        save(folder)
        if run.step == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run.accelerator.save_state = full_save
    with pytest.raises(TrainingError, match=r"checkpoint-4 could .*No space left.*checkpoint-3.*Free some space"):
        run.train()
    assert not list(tmp_path.glob("partial-*"))
    trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **SAVE_ALL)
    assert_same_state(tmp_path / "checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")


def test_an_output_folder_that_cannot_be_made_is_a_sentence(celeba, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="could not be written .*allow writing to"):
        trained(celeba, tmp_path / "file" / "run", steps=1)


def test_a_hub_that_never_answers_delays_no_run(hub, celeba, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pushing, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(pushing, "LAST_SECONDS", 0.2)
    hub.failures.append(Failure("GET", "/api/whoami", stall=20, times=9))
    assert trained(celeba, tmp_path, steps=2, push_to_hub="mine").step == 2
    text = capsys.readouterr().out
    assert "Could not check mine on the Hub, which does not answer. Training continues." in text
    assert "mine did not get everything" in text
    assert "stgan publish" in text


def test_another_batch_size_is_refused_or_said_in_the_record(stopped, celeba):
    options = {"batch_size": 3, "total_images": 24, "resume_from_checkpoint": "latest", **SAVE_ALL}
    with pytest.raises(CheckpointError, match="batch_size: 4 there, 3 now.*or add --resume_anyway"):
        trained(celeba, stopped, **options)
    with pytest.raises(CheckpointError, match="width: 4 there, 8 now"):
        trained(celeba, stopped, resume_anyway=True, width=8, **options)
    run = trained(celeba, stopped, resume_anyway=True, **options)
    assert (run.step, run.next_batch) == (8, 8)  # from image 15 of step 5, since 16 are no whole steps
    assert record(stopped)["commands"][-1] == {
        "from_image": 15, "command": "train.py …", "changed": "batch_size: 4 there, 3 now",
    }  # fmt: skip
    assert "with other settings (batch_size: 4 there, 3 now)" in (stopped / "model" / "README.md").read_text()
    assert list_checkpoints(stopped)[-1].name == "checkpoint-8"
    assert trained(celeba, stopped, **options).step == 8  # the run is the new one now


def test_other_processes_go_on_where_the_former_were():
    progress = {"step": 6, "next_batch": 6, "images_seen": 48}
    progress["batches"] = {str(rank): {"epoch": 1, "batch": 2, "seen": 48} for rank in range(2)}
    one = rescaled(progress, images_per_step=4)
    assert (one["step"], one["next_batch"], one["batches"]["0"]["batch"]) == (12, 12, 4)
    four = rescaled(progress, images_per_step=16)
    assert (four["step"], four["next_batch"], four["batches"]["first"]) == (3, 3, {"epoch": 1, "batch": 1, "seen": 48})
    assert four["images_seen"] <= 48


def test_a_killed_partner_or_reader_is_named():
    def dies(text):
        raise RuntimeError(text)
        yield

    worker = "DataLoader worker (pid 1) is killed by signal: Killed."
    with pytest.raises(DataError, match="memory ran out: use fewer --dataloader_num_workers"):
        list(surviving_workers(dies(worker)))
    two = SimpleNamespace(num_processes=2)
    for text, kind, words in (
        (worker, DataError, "A process that reads images was killed"),
        ("[gloo/pair.cc:553] Connection closed by peer [127.0.0.1]:1", TrainingError, "Another process of this run"),
        ("shapes do not fit", RuntimeError, "^shapes do not fit$"),
    ):
        with pytest.raises(kind, match=words), surviving_processes(two):
            next(dies(text))
