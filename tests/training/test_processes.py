"""Two processes train one model."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from runs import arguments, assert_same_state, fork, last_checkpoint, only_train, tiny, wait_for

from stgan.models import load_generator
from stgan.training.launch import check_processes


@pytest.mark.parametrize(("started", "known"), [("2", 1), ("2", 2), (None, 1)])
def test_unconnected_processes_are_refused(started, known, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", started) if started else monkeypatch.delenv("WORLD_SIZE", raising=False)
    accelerator = SimpleNamespace(num_processes=known)
    if (started, known) != ("2", 1):
        check_processes(accelerator)
        return
    with pytest.raises(ValueError, match="ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2"):
        check_processes(accelerator)


WORKER = """
import json, os, shutil, signal, sys
from pathlib import Path
import torch
from accelerate.state import AcceleratorState, PartialState
from stgan.training import Trainer, checkpoints
from stgan.training.command import parse

checkpoints.KEPT = 100
end_processes, PartialState.destroy_process_group = PartialState.destroy_process_group, lambda *_: None

def train(words, interrupted_at, start):
    config = parse(words)
    output = Path(config.run.output_dir)
    AcceleratorState._reset_state()
    if start:
        if os.environ["RANK"] == "0":
            shutil.copytree(start, output / Path(start).name)
        PartialState().wait_for_everyone()
    trainer = Trainer(config)
    terms, seeds, drawn = [], [], []
    finish, step, draw = trainer._finish, trainer._train_step, trainer._draw

    def recorded_draw():
        images, labels = draw()
        drawn.append(images.float().mean(dim=(1, 2, 3)).tolist())
        return images, labels

    def recorded_step():
        answer = step()
        terms.append({name: value.item() for name, value in answer.items()})
        seeds.append(trainer.random.initial_seed())
        if trainer.step == interrupted_at and trainer.accelerator.process_index == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return answer

    def recorded_finish():
        accelerator = trainer.accelerator
        networks = [dict(network.named_parameters()) for network in trainer.objective.networks]
        networks = [{name: p.detach().clone() for name, p in each.items()} for each in networks]
        record = {"networks": networks, "terms": terms, "processes": accelerator.num_processes}
        record |= {"seeds": seeds, "drawn": drawn}
        record["shared_buffers"] = trainer.objective.generator.broadcast_buffers
        torch.save(record, output / f"rank-{accelerator.process_index}.pt")
        return finish()

    trainer._train_step, trainer._finish, trainer._draw = recorded_step, recorded_finish, recorded_draw
    trainer.train()

*runs, last = json.loads(sys.argv[1])
for run in runs:
    train(*run)
PartialState.destroy_process_group = end_processes
train(*last)
"""


def launch(folder, *runs, stop):
    """Train in two processes on the CPU, one run after the other, by ``accelerate launch``.

    Returns what each rank recorded, and the output.

    Args:
        runs: options, the step after which only the second process gets a SIGINT, and a checkpoint to resume from.
        stop: a step of the last run, after whose checkpoint launcher and processes get a SIGTERM at once, so that each
            process hears it twice, once from the launcher.
    """
    outputs = [Path(words["output_dir"]) for words, *_ in runs]
    words = json.dumps([(arguments(**words), *more) for words, *more in runs], default=str)
    (folder / "worker.py").write_text(WORKER)
    (folder / "launch.py").write_text(LAUNCHER)
    words = [*ACCELERATE, str(folder / "worker.py"), words]
    environment = {"ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1"}
    process = fork(words, folder, folder / "launch.py", **environment)
    wait_for(outputs[-1], stop, process)
    os.killpg(process.pid, signal.SIGTERM)
    text, _ = process.communicate(timeout=240)
    return [[torch.load(output / f"rank-{rank}.pt") for rank in range(2)] for output in outputs], text


LAUNCHER = """
from accelerate.commands.launch import main
from forks import COPIES, Forked
from torch.distributed.elastic.multiprocessing.subprocess_handler import SubprocessHandler

# Instead of `python -u worker.py …`, which would import torch anew.
SubprocessHandler._popen = lambda self, words, environment: Forked(words[2], words[3:], environment, of=COPIES)
main()
"""

ACCELERATE = (
    "--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
    "--main_process_port", "0",
)  # fmt: skip


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
    """Three runs of one launch: the paper's recipe without a validation split, for which neither process waits, a run
    from the beginning, of which one process hears a signal, and one from its second step."""
    held_out = tiny(
        only_train(celeba, tmp_path), tmp_path / "paper", "stgan-paper", steps=1, total_images=2 * 2 * 6 * 4
    )
    settings = {"steps": 100_000, "checkpointing_steps": 2, "validation_steps": 100_000, "streaming": True}
    settings |= {"dataloader_num_workers": 1, "resume_from_checkpoint": "latest"}
    whole, resumed = (tmp_path / name for name in ("whole", "resumed"))
    runs = (tiny(celeba, whole, **settings), 4, None), (tiny(celeba, resumed, **settings), None, whole / "checkpoint-2")
    (paper, *records), text = launch(tmp_path, (held_out, None, None), *runs, stop=4)
    for ranks in (paper, *records):
        assert_ranks_agree(ranks)
    assert len(paper[0]["terms"]) == 2
    assert text.count("images of train are held out") == 1
    load_generator(tmp_path / "paper" / "model")
    assert "FutureWarning" not in text
    assert text.count("Everything is saved: continue with --resume_from_checkpoint latest.") == 2, text
    stopped_at = [int(end.split()[0]) for end in text.split("Stopped after step ")[1:]]
    assert [last_checkpoint(output).name for output in (whole, resumed)] == [f"checkpoint-{n}" for n in stopped_at]
    assert stopped_at[0] == 4
    assert_same_state(resumed / "checkpoint-4", whole / "checkpoint-4")
    for all_terms, later_terms in zip(*([rank["terms"] for rank in ranks] for ranks in records), strict=True):
        assert later_terms[:2] == all_terms[2:4]
