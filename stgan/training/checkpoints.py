"""Full training states on disk: written whole or not at all, found again, and thinned out."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

PREFIX = "checkpoint-"
PARTIAL_PREFIX = "partial-"
ABANDONED_PREFIX = "abandoned-"
PROGRESS_FILE = "progress.json"


class CheckpointError(ValueError):
    """A checkpoint that is not there or does not fit the run. The message says what to do."""


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    found = [
        path
        for path in output_dir.glob(f"{PREFIX}*")
        if re.fullmatch(rf"{PREFIX}\d+", path.name) and (path / PROGRESS_FILE).is_file()
    ]
    return sorted(found, key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def find_checkpoint(output_dir: Path, wanted: str) -> Path | None:
    """The checkpoint that ``--resume_from_checkpoint`` names; None where ``latest`` finds nothing yet.

    Raises:
        CheckpointError: a checkpoint named explicitly does not exist.
    """
    checkpoints = list_checkpoints(output_dir)
    if wanted == "latest":
        return checkpoints[-1] if checkpoints else None
    path = output_dir / Path(wanted).name
    if path not in checkpoints:
        there = ", ".join(checkpoint.name for checkpoint in checkpoints) or "none"
        raise CheckpointError(f"There is no checkpoint {wanted!r} in {output_dir}; there are: {there}.")
    return path


def save_checkpoint(accelerator: Accelerator, output_dir: Path, progress: dict[str, Any], limit: int | None) -> Path:
    """Write networks, optimizers, averages and progress; then remove the oldest beyond ``limit``.

    Later ones, of a course that was left by going back to an earlier one, are kept under another name: ``latest`` is
    the newest of the course that goes on.

    The state is written beside its final place and renamed, so that a run killed at any moment leaves only whole
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
                left = later.with_name(f"{ABANDONED_PREFIX}{later.name}")
                shutil.rmtree(left, ignore_errors=True)
                later.rename(left)
                accelerator.print(f"{later.name} is later than this one, and of another course: it is {left.name} now.")
        if limit is not None:
            others = [checkpoint for checkpoint in list_checkpoints(output_dir) if checkpoint != final]
            for old in others[: max(0, len(others) - limit + 1)]:
                _remove(old)
    accelerator.wait_for_everyone()
    return final


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint; it loses its name first, so that half of one is never taken for a whole."""
    if checkpoint.exists():
        doomed = checkpoint.with_name(f"{PARTIAL_PREFIX}removed-{checkpoint.name}")
        shutil.rmtree(doomed, ignore_errors=True)
        checkpoint.rename(doomed)
        shutil.rmtree(doomed)


def load_checkpoint(accelerator: Accelerator, checkpoint: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """Restore what :func:`save_checkpoint` wrote and return its progress.

    Args:
        expected: settings that must be the same for the state to fit.

    Raises:
        CheckpointError: settings differ; each is named with both values.
    """
    progress = json.loads((checkpoint / PROGRESS_FILE).read_text(encoding="utf-8"))
    saved = progress["config"]
    different = [
        f"{name}: {saved.get(name)!r} there, {value!r} now"
        for name, value in expected.items()
        if saved.get(name, value) != value  # a setting newer than the checkpoint is left as it is
    ]
    if different:
        raise CheckpointError(
            f"{checkpoint} was made with other settings ({'; '.join(different)}). Use the same ones, or another "
            "--output_dir for a new run."
        )
    accelerator.load_state(str(checkpoint))
    return progress
