"""What a run leaves on disk: full training states and the model folder, each written whole or not at all."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError

from stgan.bundle import save_in_half_precision
from stgan.card import TRAINING_FILE, remove_records, write_card
from stgan.data.errors import check_worker
from stgan.models import ModelFolderError, PretrainedModel
from stgan.models.pretrained import read_object
from stgan.training.config import SUPERVISED, TrainingConfig, current_names
from stgan.training.objective import Objective
from stgan.training.stopping import TrainingError

# Options that the tensors of a checkpoint or the order of its batches depend on. The method is the checkpoint's.
RESUME_SETTINGS = (
    "model", "dataset", "attributes", "crop", "image_size", "streaming", "max_train_samples", "batch_size", "seed",
    "width", "attribute_dataset",
)  # fmt: skip
# Further ones of editors.
EDITOR_RESUME_SETTINGS = (
    "layers", "stu_layers", "stu_state", "label_mode", "soft_mask", "discriminator_width",
)  # fmt: skip
SHARING = ("batch_size", "processes", "dataloader_num_workers")  # these may change with --resume_anyway
PLACES = ("dataset", "attribute_dataset")  # of these, another place of the same data will do
KEPT = 2  # checkpoints of a run: the newest, and the one before it
PREFIX = "checkpoint-"
PARTIAL_PREFIX = "partial-"
ABANDONED_PREFIX = "abandoned-"
PROGRESS_FILE = "progress.json"
PROGRESS = {"step": int, "next_batch": int, "images_seen": int, "batches": dict, "commands": list, "config": dict}
"""Entries of every progress file, and their types."""


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
    with explained(final, partial):
        accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        with explained(final, partial):
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


def read_progress(checkpoint: Path, expected: dict[str, Any], anyway: bool = False) -> dict[str, Any]:
    """The progress that :func:`save_checkpoint` wrote, if its networks and batches are those of a run.

    Args:
        expected: settings that must equal the checkpoint's, as :func:`resume_settings` returns them.
        anyway: those of :data:`SHARING` may differ. What differs is then in the progress, as ``changed``.

    Raises:
        CheckpointError: settings differ, and the message names each with both values; or the file is damaged.
    """
    try:
        progress = read_object(checkpoint / PROGRESS_FILE, "the progress of a run")
        wrong = [name for name, kind in PROGRESS.items() if not isinstance(progress.get(name), kind)]
        if wrong:
            raise ModelFolderError(f"its {PROGRESS_FILE} lacks {', '.join(wrong)}")
        saved = current_names(progress["config"])
        different = [name for name in _different(saved, expected) if name not in PLACES or "data" not in progress]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(checkpoint, error) from error
    if anyway and not set(different) - {*SHARING}:
        return progress | {"changed": _both(saved, expected, different)}
    if different:
        raise _other_settings(checkpoint, saved, expected, different)
    return progress


def rescaled(progress: dict[str, Any], images_per_step: int) -> dict[str, Any]:
    """The progress in steps and batches of another size: at most one step of images is drawn again.

    A rank that is new to the run gets the position of the first one.
    """
    images, steps = progress["images_seen"], max(1, progress["step"]) * images_per_step
    first = progress["batches"]["0"]
    batches = {
        rank: state | {"batch": state["batch"] * images // steps} if "batch" in state else state
        for rank, state in (progress["batches"] | {"first": first}).items()
    }
    step = images // images_per_step
    position = {"step": step, "images_seen": step * images_per_step}
    position["next_batch"] = progress["next_batch"] * images // steps
    return progress | position | {"batches": batches}


def load_checkpoint(accelerator: Accelerator, checkpoint: Path) -> None:
    """Restore the state that :func:`save_checkpoint` wrote.

    Raises:
        CheckpointError: a file is damaged, or holds anything but tensors and numbers. Accelerate would unpickle an
            average, which runs whatever a state from the Hub contains.
    """
    try:
        for file in checkpoint.glob("custom_checkpoint_*.pkl"):
            torch.load(file, map_location="cpu", weights_only=True)
        accelerator.load_state(str(checkpoint))
    except Exception as error:  # each library has its own
        raise _damaged(checkpoint, error) from error


def _damaged(checkpoint: Path, error: Exception) -> CheckpointError:
    """The error for a checkpoint that cannot be read, with the earlier one that can take its place."""
    earlier = [each.name for each in list_checkpoints(checkpoint.parent) if _step(each) < _step(checkpoint)]
    instead = f" with --resume_from_checkpoint {earlier[-1]}" if earlier else " from the beginning"
    return CheckpointError(f"{checkpoint} is damaged ({_first_line(error)}). Remove it and continue{instead}.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def explained(place: Path, *partial: Path) -> Iterator[None]:
    """Turn a failure to write a file or folder, such as a full disk, into a TrainingError that says what to do.

    Args:
        partial: what was written so far. It is removed, since it may be what fills the disk.
    """
    try:
        yield
    except TrainingError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's writer raises a RuntimeError
        if isinstance(error, RuntimeError):
            check_worker(error)
        for folder in partial:
            shutil.rmtree(folder, ignore_errors=True)
        saved = [each.name for each in list_checkpoints(place.parent)]
        state = f"The newest whole checkpoint is {saved[-1]}" if saved else "There is no checkpoint yet"
        raise TrainingError(
            f"{place} could not be written ({_first_line(error)}). {state}. Free some space, or allow writing to "
            f"{place.parent}; then continue with --resume_from_checkpoint latest."
        ) from error


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
    sharing = set(different) <= {*SHARING}
    return CheckpointError(
        f"{checkpoint} was made with other settings ({_both(saved, expected, different)}). Use the same settings, or "
        f"another --output_dir for a new run{'; or add --resume_anyway, which the record will say' if sharing else ''}."
    )


def _both(saved: dict[str, Any], expected: dict[str, Any], different: Sequence[str]) -> str:
    return "; ".join(f"{name}: {saved.get(name)!r} there, {expected[name]!r} now" for name in different)


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
    with explained(output_dir / folder, output_dir / f"{PARTIAL_PREFIX}{folder}"):
        return _write_snapshot(objective, output_dir, record, name, folder, companions, half)


def _write_snapshot(
    objective: Objective, output_dir: Path, record: dict[str, Any], name: str, folder: str, companions: bool, half: bool
) -> Path:
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
