"""Two processes train one model."""

import os
import shutil
import signal
import sys
from types import SimpleNamespace

import pytest
import torch
from runs import assert_same_state, command, last_checkpoint, only_train, start, wait_for

from stgan.models import load_generator
from stgan.training.launch import check_processes


@pytest.mark.parametrize(("started", "known"), [("2", 1), ("2", 2), (None, 1)])
def test_unconnected_processes_are_refused(started, known, monkeypatch):
    """As ``accelerate launch --multi_gpu`` starts them on a machine without GPUs."""
    monkeypatch.setenv("WORLD_SIZE", started) if started else monkeypatch.delenv("WORLD_SIZE", raising=False)
    accelerator = SimpleNamespace(num_processes=known)
    if (started, known) != ("2", 1):
        check_processes(accelerator)
        return
    with pytest.raises(ValueError, match="ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2"):
        check_processes(accelerator)


WORKER = """
import sys
from pathlib import Path
import torch
from stgan.training import Trainer, checkpoints
from stgan.training.command import parse

checkpoints.KEPT = 100
trainer = Trainer(parse(sys.argv[2:]))
trainer.objective_terms, trainer.seeds, trainer.drawn = [], [], []
finish, step, draw = trainer._finish, trainer._train_step, trainer._draw

def recorded_draw():
    images, labels = draw()
    trainer.drawn.append(images.float().mean(dim=(1, 2, 3)).tolist())
    return images, labels

def recorded_step():
    terms = step()
    trainer.objective_terms.append({name: value.item() for name, value in terms.items()})
    trainer.seeds.append(trainer.random.initial_seed())
    return terms

def recorded_finish():
    accelerator = trainer.accelerator
    networks = [dict(network.named_parameters()) for network in trainer.objective.networks]
    networks = [{name: p.detach().clone() for name, p in each.items()} for each in networks]
    record = {"networks": networks, "terms": trainer.objective_terms, "processes": accelerator.num_processes}
    record |= {"seeds": trainer.seeds, "drawn": trainer.drawn}
    record["shared_buffers"] = trainer.objective.generator.broadcast_buffers
    torch.save(record, Path(sys.argv[1]) / f"rank-{accelerator.process_index}.pt")
    return finish()

trainer._train_step, trainer._finish, trainer._draw = recorded_step, recorded_finish, recorded_draw
trainer.train()
"""


def launch(launcher, words, folder, stop=None):
    """Run the worker in two processes on the CPU; returns what each rank recorded, and the output.

    Args:
        stop: a signal, and the step of the checkpoint after which launcher and processes get it at once, as from
            Ctrl-C in a terminal: each process hears it twice, once from the launcher.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    environment = {"ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1"}
    process = start([folder, *words], launcher, cwd=folder, env=environment, script=folder / "worker.py")
    if stop:
        number, step = stop
        wait_for(folder, step, process)
        os.killpg(process.pid, number)
    text, _ = process.communicate(timeout=240)
    assert stop or process.returncode == 0, text
    return [torch.load(folder / f"rank-{rank}.pt") for rank in range(2)], text


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]

ACCELERATE = [
    sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
]  # fmt: skip


def assert_ranks_agree(ranks):
    first, second = ranks
    assert first["processes"] == second["processes"] == 2
    assert not first["shared_buffers"]
    for ours, theirs in zip(first["networks"], second["networks"], strict=True):
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name
    assert first["terms"] != second["terms"]
    assert set(first["seeds"]).isdisjoint(second["seeds"])  # each has random numbers of its own
    for ours, theirs in zip(first["drawn"], second["drawn"], strict=True):
        assert ours != theirs  # and images


def test_two_processes_agree_save_at_a_signal_and_resume_exactly(celeba, tmp_path):
    """One run from the beginning and one from its second step, both stopped by a signal."""
    settings = {"steps": 100_000, "checkpointing_steps": 2, "validation_steps": 100_000, "streaming": True}
    settings |= {"dataloader_num_workers": 1, "resume_from_checkpoint": "latest"}
    ranks = {}
    for name, number in (("whole", signal.SIGTERM), ("resumed", signal.SIGINT)):
        if name == "resumed":
            shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
        words = command(celeba, tmp_path / name, **settings)
        ranks[name], text = launch(TORCHRUN, words, tmp_path / name, stop=(number, 4))
        assert_ranks_agree(ranks[name])
        assert "FutureWarning" not in text
        assert "Everything is saved: continue with --resume_from_checkpoint latest." in text, text
        stopped_at = int(text.split("Stopped after step ")[1].split()[0])
        assert last_checkpoint(tmp_path / name).name == f"checkpoint-{stopped_at}"
    assert_same_state(tmp_path / "resumed" / "checkpoint-4", tmp_path / "whole" / "checkpoint-4")
    for resumed, whole in zip(ranks["resumed"], ranks["whole"], strict=True):
        assert resumed["terms"][:2] == whole["terms"][2:4]


def test_accelerate_launch_starts_two_processes_that_hold_the_same_images_out(celeba, tmp_path):
    """The paper's recipe on the CPU. Neither process waits for the other where there is no validation split."""
    words = command(only_train(celeba, tmp_path), tmp_path / "run", "stgan-paper", steps=1, total_images=2 * 2 * 6 * 4)
    ranks, text = launch(ACCELERATE, words, tmp_path / "run")
    assert_ranks_agree(ranks)
    assert len(ranks[0]["terms"]) == 2
    assert text.count("images of train are held out") == 1
    load_generator(tmp_path / "run" / "model")
