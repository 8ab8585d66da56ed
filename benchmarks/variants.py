"""What changes of the recipe give: each measured alone on one budget, by several seeds, in one run.

python benchmarks/variants.py --dataset flwrlabs/celeba --total_images 100000 --image_size 64 \
    --variants "as it is:" "batches of 32: --batch_size 32" "no flips: --no_random_flip"
Writes docs/variants.md. A difference between variants says something only where it is greater than those between
seeds. All are measured in float32. A run that was stopped goes on where it was; one that is finished is only measured
again.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import side_by_side
import torch
from side_by_side import ROOT, Budget, compare

SCRIPT = "benchmarks/variants.py"


@dataclass
class Settings(Budget):
    """Train and compare STGANs that differ in a few settings."""

    ALWAYS: ClassVar[tuple[str, ...]] = ()

    # Folder of the runs.
    output_dir: Path = Path("runs/variants")
    # What is compared, as "name: options of train.py".
    variants: tuple[str, ...] = ("float32: --mixed_precision no", "bf16: --mixed_precision bf16")
    # Seeds of the runs, each once with every variant.
    seeds: tuple[int, ...] = (0, 1, 2)
    # Heading of the table's page.
    title: str = "Variants, side by side"
    # The table, with the commands.
    table: Path = ROOT / "docs" / "variants.md"

    def run_name(self, member: Sequence[str]) -> str:
        """The folder of a member's run, by its options and their values."""
        return "-".join(word.removeprefix("--").replace("/", "-") for word in member[1:])


def main(settings: Settings) -> None:
    """Train, measure, write the table.

    Raises:
        ValueError: a variant has no name, or two have the same.
    """
    write(settings, *compare(members(settings), settings))


def options(settings: Settings) -> dict[str, list[str]]:
    """Name of a variant to its options."""
    found = {}
    for variant in settings.variants:
        name, colon, words = variant.partition(":")
        if not colon or not name.strip() or name.strip() in found:
            raise ValueError(
                f'--variants "{variant}": give each a name of its own, as in "bf16: --mixed_precision bf16".'
            )
        found[name.strip()] = shlex.split(words)
    return found


def members(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Heading of a row to the model and its options."""
    return {
        _row(name, seed): ("stgan", *words, "--seed", str(seed))
        for name, words in options(settings).items()
        for seed in settings.seeds
    }


def _row(name: str, seed: int) -> str:
    return f"{name}, seed {seed}"


def with_means(settings: Settings, figures: dict[str, list[float]]) -> dict[str, list[float]]:
    """The means of each variant's rows, then all rows."""
    means = {
        f"**{name}**": np.mean([figures[_row(name, seed)] for seed in settings.seeds], axis=0).tolist()
        for name in options(settings)
    }
    return means | figures


def write(settings: Settings, figures: dict[str, list[float]], commands: list[str], images: int) -> None:
    """The document."""
    conditions = side_by_side.conditions(settings, images, f"width {settings.width}")
    table = side_by_side.table(
        f"{conditions}; means over {len(settings.seeds)} seeds, then each; milliseconds on {torch.get_num_threads()} "
        f"CPU threads. Made by `{side_by_side.command(SCRIPT, settings)}`.",
        with_means(settings, figures),
    )
    settings.table.write_text(side_by_side.page(settings.title, table, commands), encoding="utf-8")
    print(settings.table)


if __name__ == "__main__":
    side_by_side.run(main, Settings)
