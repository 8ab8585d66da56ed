"""The model folder for use, separate from the training state: averaged weights, configuration, card and record."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from stgan.card import TRAINING_FILE, remove_records, write_card
from stgan.training.checkpoints import PARTIAL_PREFIX
from stgan.training.objective import Objective


def write_snapshot(objective: Objective, output_dir: Path, record: dict[str, Any], name: str) -> Path:
    """Write ``output_dir/model``, with the objective's companions in subfolders.

    Each file is replaced whole, so that a run killed at any moment leaves no half-written file.

    Args:
        objective: whose model is written.
        output_dir: of the run.
        record: contents of the training record.
        name: Hub id or name of the model, for its card.

    Returns:
        The model folder.
    """
    final, partial = output_dir / "model", output_dir / f"{PARTIAL_PREFIX}model"
    objective.trained_model.save_pretrained(partial)
    (partial / TRAINING_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for folder, companion in objective.companions.items():
        companion.save_pretrained(partial / folder)
        (partial / folder / "README.md").unlink()  # the model's own card covers both
    remove_records(final)  # before the weights: a run killed here leaves too few records, never wrong ones
    write_card(partial, name)
    for file in [path for path in partial.rglob("*") if path.is_file()]:
        target = final / file.relative_to(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
    shutil.rmtree(partial)
    return final
