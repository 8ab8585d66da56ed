"""Two processes train one model."""

import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from runs import ROOT, assert_same_state, command, last_checkpoint, only_train, start, wait_for

from stgan.models import load_generator
from stgan.training.distributed import check_processes


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
from stgan.training import Trainer
from stgan.training.command import parse

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


def launch(launcher, words, folder):
    """Run the worker in two processes on the CPU; returns what each rank recorded."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [*launcher, str(folder / "worker.py"), str(folder), *words],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [torch.load(folder / f"rank-{rank}.pt") for rank in range(2)], done.stdout + done.stderr


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


def test_two_processes_end_with_the_same_weights_and_resume_exactly(celeba, tmp_path):
    settings = {"steps": 4, "checkpointing_steps": 2, "streaming": True}
    settings |= {"total_images": 2 * 4 * 4, "dataloader_num_workers": 1}
    whole, text = launch(TORCHRUN, command(celeba, tmp_path / "whole", **settings), tmp_path / "whole")
    assert_ranks_agree(whole)
    assert "FutureWarning" not in text
    assert [len(rank["terms"]) for rank in whole] == [4, 4]
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
    words = command(celeba, tmp_path / "resumed", resume_from_checkpoint="latest", **settings)
    resumed, _ = launch(TORCHRUN, words, tmp_path / "resumed")
    assert_ranks_agree(resumed)
    assert_same_state(tmp_path / "resumed" / "checkpoint-4", tmp_path / "whole" / "checkpoint-4")
    for ours, theirs in zip(resumed, whole, strict=True):
        assert ours["terms"] == theirs["terms"][2:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_launcher_and_processes_at_once_saves_everything(number, celeba, tmp_path):
    """As Ctrl-C in a terminal: each process hears it twice, once from the launcher."""
    output = tmp_path / "run"
    words = command(celeba, output, steps=100_000, checkpointing_steps=2, validation_steps=100_000)
    process = start(words, TORCHRUN, cwd=tmp_path, env={"MASTER_ADDR": "127.0.0.1"})
    wait_for(output, 2, process)
    os.killpg(process.pid, number)
    text, _ = process.communicate(timeout=120)
    assert "Everything is saved: continue with --resume_from_checkpoint latest." in text, text
    stopped_at = int(text.split("Stopped after step ")[1].split()[0])
    assert last_checkpoint(output).name == f"checkpoint-{stopped_at}"


def test_accelerate_launch_starts_two_processes_that_hold_the_same_images_out(celeba, tmp_path):
    """The paper's recipe on the CPU. Neither process waits for the other where there is no validation split."""
    words = command(only_train(celeba, tmp_path), tmp_path / "run", "stgan-paper", steps=1, total_images=2 * 2 * 6 * 4)
    ranks, text = launch(ACCELERATE, words, tmp_path / "run")
    assert_ranks_agree(ranks)
    assert len(ranks[0]["terms"]) == 2
    assert text.count("images of train are held out") == 1
    load_generator(tmp_path / "run" / "model")
