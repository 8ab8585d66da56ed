"""Tiny training runs, started in this process or in their own, and comparisons of their checkpoints."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from forks import Forked
from safetensors.torch import load_file
from torch.utils._pytree import keystr, tree_flatten_with_path

from stgan.training import Trainer, TrainingConfig
from stgan.training.checkpoints import list_checkpoints
from stgan.training.editing import EditingObjective

ROOT = Path(__file__).parents[2]

NAMES = ("Black_Hair", "Blond_Hair", "Eyeglasses", "Male")

TINY = {
    "attributes": NAMES, "image_size": 32, "width": 4, "layers": 3, "stu_layers": 2, "discriminator_width": 4,
    "batch_size": 4,
    "dataloader_num_workers": 0, "max_validation_samples": 6, "mixed_precision": "no", "report_to": "none",
    "logging_steps": 1,
}  # fmt: skip
TINY_ALIGNER = {"aligner_blocks": 1, "aligner_view": 24}


def arguments(**settings):
    words = []
    for name, value in settings.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no_{name}")
            continue
        value = sum(value.items(), ()) if isinstance(value, dict) else value
        words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return words


def tiny(dataset, output, run="stgan-fast", steps=4, **settings):
    """Options of a few steps of a tiny model, by name."""
    model, recipe = run.split("-")
    critic_steps = settings.get("critic_steps", 5 if recipe == "paper" else 0)
    images = steps * settings.get("batch_size", TINY["batch_size"]) * (critic_steps + 1)
    fixed = {"model": model, "recipe": recipe, "dataset": dataset, "output_dir": output, "total_images": images}
    return fixed | TINY | settings


def command(*run, **settings):
    return arguments(**tiny(*run, **settings))


def configured(*run, **settings):
    """The configuration of :func:`tiny`; ``settings`` may be the method's as well, which has no flags."""
    settings = tiny(*run, **TINY_ALIGNER | settings)
    return TrainingConfig.from_flat(
        **{name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    )


def trainer(*run, **settings):
    AcceleratorState._reset_state(reset_partial_state=True)
    return Trainer(configured(*run, **settings), "train.py …")


def trained(*run, **settings):
    started = trainer(*run, **settings)
    started.train()
    return started


def record(output):
    return json.loads((output / "model" / "training.json").read_text(encoding="utf-8"))


def watch(owner, method):
    """The calls of a method from now on: its arguments and what it returned."""
    calls, inner = [], getattr(owner, method)

    def watched(*words, **more):
        calls.append((words, inner(*words, **more)))
        return calls[-1][1]

    setattr(owner, method, watched)
    return calls


def random_batch(count):
    """Images uint8 (count, 3, 32, 32) and labels (count, 4)."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=random)
    return images, torch.randint(0, 2, (count, 4), generator=random).float()


def take_step(objective, images, labels, step=0, progress=0.5):
    return objective.step(lambda: (images, labels), torch.Generator().manual_seed(0), step, progress)


def objective(tmp_path, **options):
    AcceleratorState._reset_state(reset_partial_state=True)
    return EditingObjective(configured("none", tmp_path, **options), NAMES, Accelerator())


def only_train(dataset, folder):
    """A copy of a dataset without its other splits."""
    only = folder / "only-train"
    only.mkdir()
    for file in Path(dataset).rglob("train-*.parquet"):
        shutil.copy(file, only)
    return only


def tensors_of(checkpoint):
    """Every tensor and number of a full state: weights, running statistics, averages, optimizers."""
    leaves = {}
    for file in sorted(checkpoint.iterdir()):
        if file.suffix == ".safetensors":
            content = load_file(file)
        elif file.suffix in (".bin", ".pkl") and not file.name.startswith("random_states"):
            content = torch.load(file, weights_only=False)  # in a third of the time
        else:
            continue
        leaves |= {f"{file.name}{keystr(path)}": leaf for path, leaf in tree_flatten_with_path(content)[0]}
    return leaves


def assert_same_state(ours, theirs):
    ours, theirs = tensors_of(ours), tensors_of(theirs)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 20
    for name, value in ours.items():
        same = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
        assert same, name


def last_checkpoint(output):
    return list_checkpoints(Path(output))[-1]


SAVE_ALL = {"checkpointing_steps": 1, "validation_steps": 2}


def start(words, folder, environment):
    """``python train.py …`` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words], cwd=folder, env=os.environ | environment,
        start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def fork(words, folder, script=ROOT / "train.py", **environment):
    """The same, or another script, in a tenth of the time: its libraries are imported already."""
    return Forked(script, words, environment, folder, folder / "output.txt")


def wait_for(output, step, process):
    """Until a checkpoint of that step, or of a later one, is there."""
    deadline = time.monotonic() + 180
    while not any(int(path.name.removeprefix("checkpoint-")) >= step for path in list_checkpoints(output)):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no checkpoint of step {step}:\n{process.communicate()[0]}")
        time.sleep(0.02)
