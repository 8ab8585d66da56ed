"""What bf16 costs in quality: the same runs in float32 and in bf16, by several seeds, measured in one run.

python benchmarks/precision.py --dataset flwrlabs/celeba --total_images 100000 --image_size 64
Writes docs/precision.md. A difference between precisions says something only where it is greater than those between
seeds. All are measured in float32. A run that was stopped goes on where it was; one that is finished is only measured
again.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import side_by_side
import torch
import tyro
from side_by_side import ROOT, Budget, compare

SCRIPT = "benchmarks/precision.py"
PRECISIONS = {"no": "float32", "bf16": "bf16"}  # of --mixed_precision


@dataclass
class Settings(Budget):
    """Train and compare STGANs in float32 and bf16."""

    # Folder of the runs.
    output_dir: Path = Path("runs/precision")
    # Seeds of the runs, each once in every precision.
    seeds: tuple[int, ...] = (0, 1, 2)
    # The table, with the commands.
    table: Path = ROOT / "docs" / "precision.md"


def main(settings: Settings) -> None:
    """Train, measure, write the table."""
    write(settings, *compare(members(settings), settings))


def members(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Heading of a row to the model and its options."""
    return {
        f"{name}, seed {seed}": ("stgan", "--mixed_precision", precision, "--seed", str(seed))
        for precision, name in PRECISIONS.items()
        for seed in settings.seeds
    }


def with_means(figures: dict[str, list[float]]) -> dict[str, list[float]]:
    """The rows, and after them the mean of each precision's."""
    means = {
        f"**{name}, mean**": np.mean([row for key, row in figures.items() if key.startswith(f"{name},")], axis=0)
        for name in PRECISIONS.values()
    }
    return figures | {name: mean.tolist() for name, mean in means.items()}


def write(settings: Settings, figures: dict[str, list[float]], commands: list[str], images: int) -> None:
    """The document."""
    conditions = side_by_side.conditions(settings, images, f"width {settings.width}")
    table = side_by_side.table(
        f"{conditions}, in float32; milliseconds on {torch.get_num_threads()} CPU threads. "
        f"Made by `{side_by_side.command(SCRIPT, settings)}`.",
        with_means(figures),
    )
    settings.table.write_text(side_by_side.page("float32 and bf16, side by side", table, commands), encoding="utf-8")
    print(settings.table)


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except ValueError as error:
        sys.exit(f"precision.py: {error}")
