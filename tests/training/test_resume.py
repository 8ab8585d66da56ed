"""A resumed run ends as one that never stopped."""

import json
import shutil

import pytest
import torch
from runs import SAVE_ALL, assert_same_state, record, trained
from safetensors.torch import load_file

from stgan.models import load_generator
from stgan.training.checkpoints import CheckpointError


@pytest.mark.parametrize("run", ["stgan-fast", "stgan-paper", "stargan-fast", "classifier-fast", "aligner-fast"])
@pytest.mark.parametrize("step", [2, 3])
def test_a_run_resumed_from_a_checkpoint_ends_as_one_that_never_stopped(run, step, uninterrupted, celeba, tmp_path):
    whole = uninterrupted(run)
    shutil.copytree(whole / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    resumed = trained(celeba, tmp_path, run, steps=6, resume_from_checkpoint="latest", **SAVE_ALL)
    assert resumed.step == 6
    for later in range(step + 1, 7):
        assert_same_state(tmp_path / f"checkpoint-{later}", whole / f"checkpoint-{later}")
    ours, theirs = (load_file(output / "model" / "model.safetensors") for output in (tmp_path, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_checkpoint_of_recorded_steps_resumes_where_none_are_recorded(uninterrupted, celeba, tmp_path):
    """Recorded steps keep the learning rate in a tensor and make Adam capturable, which a CPU refuses."""
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-3", tmp_path / "checkpoint-3")
    optimizers = list((tmp_path / "checkpoint-3").glob("optimizer*.bin"))
    assert len(optimizers) == 2
    for file in optimizers:
        state = torch.load(file, weights_only=True)
        for group in state["param_groups"]:
            group |= {"capturable": True, "lr": torch.tensor(group["lr"])}
        torch.save(state, file)
    trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **SAVE_ALL)
    assert_same_state(tmp_path / "checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_streamed_run_resumes_exactly_too(workers, celeba, tmp_path):
    settings = {"streaming": True, "steps": 12, "dataloader_num_workers": workers, "batch_size": 5}
    settings |= {"checkpointing_steps": 7}
    trained(celeba, tmp_path / "whole", **settings)
    shutil.copytree(tmp_path / "whole" / "checkpoint-7", tmp_path / "resumed" / "checkpoint-7")
    resumed = trained(celeba, tmp_path / "resumed", resume_from_checkpoint="latest", **settings)
    assert resumed.batches.epoch > 0
    with pytest.raises(CheckpointError, match=f"dataloader_num_workers: {workers} there, {workers + 1} now"):
        trained(
            celeba, tmp_path / "whole", resume_from_checkpoint="latest",
            **settings | {"dataloader_num_workers": workers + 1},
        )  # fmt: skip
    assert_same_state(tmp_path / "resumed" / "checkpoint-12", tmp_path / "whole" / "checkpoint-12")


def test_resuming_a_finished_run_changes_nothing(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast"), tmp_path / "again")
    before = (tmp_path / "again" / "checkpoint-6" / "progress.json").stat().st_mtime_ns
    trained_by = record(tmp_path / "again")
    others = {"attribute_weight": 1.0, "resume_from_checkpoint": "latest", **SAVE_ALL}
    trained(celeba, tmp_path / "again", steps=4, **others)
    assert (tmp_path / "again" / "checkpoint-6" / "progress.json").stat().st_mtime_ns == before
    load_generator(tmp_path / "again" / "model")
    after = record(tmp_path / "again")
    assert (after["config"], after["commands"]) == (trained_by["config"], trained_by["commands"])


def test_resuming_without_a_checkpoint_starts_from_the_beginning(celeba, tmp_path, capsys):
    assert trained(celeba, tmp_path, steps=1, resume_from_checkpoint="latest").step == 1
    assert "starting from the beginning" in capsys.readouterr().out


def test_resuming_with_other_settings_names_the_differences(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    with pytest.raises(CheckpointError, match="width: 4 there, 8 now; .*seed: 0 there, 5 now|seed.*width") as refusal:
        trained(celeba, tmp_path, steps=8, resume_from_checkpoint="latest", width=8, seed=5)
    assert "another --output_dir" in str(refusal.value)


def test_a_learning_rate_may_change_between_two_parts_of_a_run(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    settings = {"learning_rate": 1e-5, "decay_start": 1.0}
    resumed = trained(celeba, tmp_path, steps=7, resume_from_checkpoint="latest", **settings)
    rates = [group["lr"] for group in resumed.objective.generator_optimizer.param_groups]
    assert rates == [1e-5]


def test_a_checkpoint_of_an_earlier_version_resumes_with_its_own_networks(celeba, tmp_path):
    """Its record has options that are gone; those that shaped the networks still hold, and the others are ignored."""
    gone = {"discriminator_hidden": 8, "max_width": 8, "stu_kernel": 1}
    trained(celeba, tmp_path / "whole", steps=4, checkpointing_steps=2, **gone)
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
    file = tmp_path / "resumed" / "checkpoint-2" / "progress.json"
    progress = json.loads(file.read_text(encoding="utf-8"))
    del progress["config"]["execution"]
    progress["config"] |= {"compile": False, "cuda_graphs": True, "dataset_revision": None, "device_data_share": 0.5}
    progress["config"] |= {"push_to_hub": False, "hub_model_id": None, "classifier_width": 24, "inject_layers": -1}
    file.write_text(json.dumps(progress), encoding="utf-8")
    trained(celeba, tmp_path / "resumed", steps=4, checkpointing_steps=2, resume_from_checkpoint="latest")
    assert_same_state(tmp_path / "resumed" / "checkpoint-4", tmp_path / "whole" / "checkpoint-4")
    trained(celeba, tmp_path / "further", steps=1, initial_model=tmp_path / "whole" / "model")


def test_another_path_to_the_same_data_resumes_and_other_data_do_not(celeba, tmp_path, monkeypatch):
    settings = {"checkpointing_steps": 2, "resume_from_checkpoint": "latest"}
    trained(celeba, tmp_path / "run", steps=2, **settings)
    monkeypatch.chdir(celeba.parent)
    trained(f"{celeba.name}/", tmp_path / "run", steps=3, **settings)  # the same folder
    moved = shutil.copytree(celeba, tmp_path / "moved")
    assert trained(moved, tmp_path / "run", steps=4, **settings).step == 4
    changed = shutil.copytree(celeba, tmp_path / "changed")
    sorted((changed / "img_align+identity+attr").glob("train-*"))[0].unlink()
    with pytest.raises(CheckpointError, match=r"dataset: .*data: '48 images, \w+' there, '24 images, \w+' now"):
        trained(changed, tmp_path / "run", steps=6, **settings)
    file = tmp_path / "run" / "checkpoint-4" / "progress.json"
    progress = json.loads(file.read_text(encoding="utf-8"))
    del progress["data"]  # of an earlier version: nobody knows what it was trained on
    file.write_text(json.dumps(progress), encoding="utf-8")
    with pytest.raises(CheckpointError, match="dataset: "):
        trained(celeba, tmp_path / "run", steps=6, **settings)


def test_a_stream_of_the_same_data_elsewhere_resumes_too(celeba, celeba_signed, tmp_path):
    settings = {"streaming": True, "checkpointing_steps": 2, "resume_from_checkpoint": "latest"}
    trained(celeba, tmp_path / "run", steps=2, **settings)
    moved = shutil.copytree(celeba, tmp_path / "moved")
    assert trained(moved, tmp_path / "run", steps=4, **settings).step == 4
    with pytest.raises(CheckpointError, match=r"dataset: .*data: 'a stream, \w+' there"):
        trained(celeba_signed, tmp_path / "run", steps=6, **settings)
