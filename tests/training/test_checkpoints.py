"""Checkpoints are written whole or not at all, found again and limited in number."""

import shutil
from pathlib import Path

import pytest
from runs import SAVE_ALL, assert_same_state, trained, trainer

from stgan.training import checkpoints
from stgan.training.checkpoints import CheckpointError, list_checkpoints


def test_a_missing_checkpoint_is_answered_with_the_existing_ones(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    with pytest.raises(CheckpointError, match="no checkpoint 'checkpoint-5'.*there are: checkpoint-6"):
        trained(celeba, tmp_path, resume_from_checkpoint="checkpoint-5")


def test_half_a_checkpoint_is_removed_and_never_resumed_from(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-4", tmp_path / "checkpoint-4")
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-5", tmp_path / "partial-checkpoint-5")
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    (tmp_path / "checkpoint-6" / "progress.json").unlink()  # as an older version, killed while removing, left it
    resumed = trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **SAVE_ALL)
    assert resumed.step == 6
    assert not list(tmp_path.glob("partial-*"))
    assert_same_state(tmp_path / "checkpoint-5", uninterrupted("stgan-fast") / "checkpoint-5")


class Killed(BaseException):
    """Stands for a kill at a chosen moment: nothing catches it."""


@pytest.mark.parametrize("moment", ["writing", "removing"])
def test_a_save_killed_at_its_worst_moment_loses_nothing(moment, uninterrupted, celeba, tmp_path, monkeypatch):
    run = trainer(celeba, tmp_path, steps=6, checkpointing_steps=1, validation_steps=2)
    monkeypatch.setattr(checkpoints, "KEPT", 1)
    save_state, removed = run.accelerator.save_state, []

    def half_save(folder):
        save_state(folder)
        if run.step == 4:
            (Path(folder) / "model.safetensors").unlink()
            raise Killed

    def half_remove(folder, **options):
        if "removed-checkpoint" in folder.name and folder.exists():
            removed.append(folder)
            if len(removed) == 2:
                next(folder.glob("*.safetensors")).unlink()
                raise Killed
        rmtree(folder, **options)

    rmtree = shutil.rmtree
    if moment == "writing":
        run.accelerator.save_state = half_save
    else:
        monkeypatch.setattr("stgan.training.checkpoints.shutil.rmtree", half_remove)
    with pytest.raises(Killed):
        run.train()
    monkeypatch.undo()
    left = [path.name for path in list_checkpoints(tmp_path)]
    assert len(left) == 1
    trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **SAVE_ALL)
    assert_same_state(tmp_path / "checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")


def test_a_run_that_goes_back_to_a_checkpoint_continues_from_it(uninterrupted, celeba, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "KEPT", 2)
    for step in (2, 5, 6):
        shutil.copytree(uninterrupted("stgan-fast") / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    trained(celeba, tmp_path, steps=3, resume_from_checkpoint="checkpoint-2", learning_rate=1e-5)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-3"]
    assert_same_state(tmp_path / "abandoned-checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")  # not lost
    trained(celeba, tmp_path, steps=4, resume_from_checkpoint="latest", learning_rate=1e-5)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-4"]
