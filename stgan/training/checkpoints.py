"""What a run leaves on disk: full training states and the model folder, each written whole or not at all."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from stgan.bundle import save_in_half_precision
from stgan.card import TRAINING_FILE, remove_records, write_card
from stgan.models import PretrainedModel
from stgan.training.config import SUPERVISED, TrainingConfig, current_names
from stgan.training.objective import Objective

# Options that the tensors of a checkpoint or the order of its batches depend on. The method is the checkpoint's.
RESUME_SETTINGS = (
    "model", "dataset", "attributes", "crop", "image_size", "streaming", "max_train_samples", "batch_size", "seed",
    "width", "attribute_dataset",
)  # fmt: skip
# Further ones of editors.
EDITOR_RESUME_SETTINGS = (
    "layers", "stu_layers", "stu_state", "label_mode", "soft_mask", "discriminator_width", "critic_steps",
)  # fmt: skip
PLACES = ("dataset", "attribute_dataset")  # of these, another place of the same data will do
KEPT = 2  # checkpoints of a run: the newest, and the one before it
PREFIX = "checkpoint-"
PARTIAL_PREFIX = "partial-"
ABANDONED_PREFIX = "abandoned-"
PROGRESS_FILE = "progress.json"


class CheckpointError(ValueError):
    """A checkpoint does not exist or does not fit the run. The message says what to do."""


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    complete = [
        path
        for path in output_dir.glob(f"{PREFIX}*")
        if re.fullmatch(rf"{PREFIX}\d+", path.name) and (path / PROGRESS_FILE).is_file()
    ]
    return sorted(complete, key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def find_checkpoint(output_dir: Path, wanted: str) -> Path | None:
    """The checkpoint that ``--resume_from_checkpoint`` names; None for ``latest`` if there is none yet.

    Raises:
        CheckpointError: a checkpoint named explicitly does not exist.
    """
    checkpoints = list_checkpoints(output_dir)
    if wanted == "latest":
        return checkpoints[-1] if checkpoints else None
    path = output_dir / Path(wanted).name
    if path not in checkpoints:
        available = ", ".join(checkpoint.name for checkpoint in checkpoints) or "none"
        raise CheckpointError(f"There is no checkpoint {wanted!r} in {output_dir}; there are: {available}.")
    return path


def save_checkpoint(accelerator: Accelerator, output_dir: Path, progress: dict[str, Any]) -> Path:
    """Write networks, optimizers, averages and progress; then remove all but the newest :data:`KEPT` checkpoints.

    A run that went back to an earlier checkpoint keeps later ones under another name, so that ``latest`` is its own.

    The state is written to a partial folder and renamed, so that a run killed at any moment leaves only whole
    checkpoints behind.
    """
    final = output_dir / f"{PREFIX}{progress['step']}"
    partial = output_dir / f"{PARTIAL_PREFIX}{final.name}"
    if accelerator.is_main_process and partial.exists():
        shutil.rmtree(partial)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (partial / PROGRESS_FILE).write_text(json.dumps(progress, indent=2), encoding="utf-8")
        _remove(final)
        partial.rename(final)
        for later in list_checkpoints(output_dir):
            if _step(later) > progress["step"]:
                abandoned = later.with_name(f"{ABANDONED_PREFIX}{later.name}")
                shutil.rmtree(abandoned, ignore_errors=True)
                later.rename(abandoned)
                accelerator.print(f"{later.name} belongs to an abandoned continuation: it is now {abandoned.name}.")
        others = [checkpoint for checkpoint in list_checkpoints(output_dir) if checkpoint != final]
        for old in others[: max(0, len(others) - KEPT + 1)]:
            _remove(old)
    accelerator.wait_for_everyone()
    return final


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint. It is renamed first, so that a half-removed one never counts as complete."""
    if checkpoint.exists():
        doomed = checkpoint.with_name(f"{PARTIAL_PREFIX}removed-{checkpoint.name}")
        shutil.rmtree(doomed, ignore_errors=True)
        checkpoint.rename(doomed)
        shutil.rmtree(doomed)


def read_progress(checkpoint: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """The progress that :func:`save_checkpoint` wrote, if its networks and batches are those of a run.

    Args:
        expected: settings that must equal the checkpoint's, as :func:`resume_settings` returns them.

    Raises:
        CheckpointError: settings differ; the message names each with both values.
    """
    progress = json.loads((checkpoint / PROGRESS_FILE).read_text(encoding="utf-8"))
    saved = current_names(progress["config"])
    different = [name for name in _different(saved, expected) if name not in PLACES or "data" not in progress]
    if different:
        raise _other_settings(checkpoint, saved, expected, different)
    return progress


def check_data(checkpoint: Path, progress: dict[str, Any], expected: dict[str, Any], fingerprint: str) -> None:
    """Raise a CheckpointError if a run's data lie elsewhere than the checkpoint's and are not the same.

    Args:
        progress, expected: see :func:`read_progress`.
        fingerprint: of the run's training data; the checkpoint's is in ``progress["data"]``.
    """
    saved = current_names(progress["config"])
    different = [name for name in _different(saved, expected) if name in PLACES]
    if different and progress.get("data") != fingerprint:
        raise _other_settings(
            checkpoint, saved | {"data": progress["data"]}, expected | {"data": fingerprint}, [*different, "data"]
        )


def _different(saved: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names of settings that differ. One that is newer than the checkpoint is not compared."""
    return [
        name
        for name, value in expected.items()
        if saved.get(name, value) != value and not (name in PLACES and _same_place(saved[name], value))
    ]


def _same_place(one: str | None, other: str | None) -> bool:
    """Whether two datasets are one folder, however their paths are written."""
    return bool(one and other) and len({Path(path).expanduser().resolve() for path in (one, other) if path}) == 1


def _other_settings(
    checkpoint: Path, saved: dict[str, Any], expected: dict[str, Any], different: Sequence[str]
) -> CheckpointError:
    both = "; ".join(f"{name}: {saved.get(name)!r} there, {expected[name]!r} now" for name in different)
    return CheckpointError(
        f"{checkpoint} was made with other settings ({both}). Use the same settings, or another --output_dir for a new "
        "run."
    )


def resume_settings(config: TrainingConfig, processes: int) -> dict[str, Any]:
    """Settings that must not change between two parts of a run."""
    options, names = config.flat(), [*RESUME_SETTINGS]
    if config.model not in SUPERVISED:
        names += EDITOR_RESUME_SETTINGS
    if config.data.streaming:  # each worker reads its own files
        names.append("dataloader_num_workers")
    return {name: options[name] for name in names} | {"processes": processes}


def write_snapshot(
    objective: Objective,
    output_dir: Path,
    record: dict[str, Any],
    name: str,
    *,
    folder: str = "model",
    companions: bool = True,
    half: bool = False,
) -> Path:
    """Write a model folder, with the objective's companions in subfolders.

    It is for use, apart from the training state. Each file is replaced whole, so that a run killed at any moment leaves
    no half-written file.

    Args:
        record: contents of the training record.
        name: Hub id or name of the model, for its card.
        folder: of the snapshot, in ``output_dir``.
        companions: also write these; else remove those of an earlier snapshot.
        half: store kernels as float16.
    """
    final, partial = output_dir / folder, output_dir / f"{PARTIAL_PREFIX}{folder}"
    save = save_in_half_precision if half else PretrainedModel.save_pretrained
    save(objective.trained_model, partial)
    (partial / TRAINING_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for kind, companion in objective.companions.items():
        if companions:
            save(companion, partial / kind)
            (partial / kind / "README.md").unlink()  # the model's own card covers both
        else:
            shutil.rmtree(final / kind, ignore_errors=True)
    remove_records(final)  # before the weights: a run killed here leaves too few records, never wrong ones
    write_card(partial, name)
    for file in [path for path in partial.rglob("*") if path.is_file()]:
        target = final / file.relative_to(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
    shutil.rmtree(partial)
    return final
