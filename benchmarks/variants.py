"""What single options change: each variant trained on one budget with several seeds and measured in one run.

python benchmarks/variants.py --dataset flwrlabs/celeba --total_images 100000 --image_size 64 \
    --variants "as it is:" "batches of 32: --batch_size 32" "no flips: --no_random_flip"

Writes the table into a section of docs/results.md. A difference between variants means something only if it is larger
than the differences between seeds. All variants are measured in float32.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import side_by_side
import torch
from side_by_side import Budget, compare

from stgan.card import split_section

SCRIPT = "benchmarks/variants.py"


@dataclass
class Settings(Budget):
    """Train and compare STGANs that differ in a few settings."""

    ALWAYS: ClassVar[tuple[str, ...]] = ()

    # Folder of the runs.
    output_dir: Path = Path("runs/variants")
    # The variants, as "name: options of train.py".
    variants: tuple[str, ...] = ("float32: --mixed_precision no", "bf16: --mixed_precision bf16")
    # Every variant is trained once with each of these seeds.
    seeds: tuple[int, ...] = (0, 1, 2)
    # Name of the section: the table goes between <!-- benchmarks/variants.py NAME --> and its closing mark.
    section: str = "precision"

    def run_name(self, member: Sequence[str]) -> str:
        """The folder of a member's run, by its options and their values."""
        return "-".join(word.removeprefix("--").replace("/", "-") for word in member[1:])


def main(settings: Settings) -> None:
    """Train, measure, write the table.

    Raises:
        ValueError: a variant has no name, two have the same one, or the document lacks the section.
    """
    split_section(settings.document, f"{SCRIPT} {settings.section}")  # before the work
    write(settings, *compare(members(settings), settings))


def options(settings: Settings) -> dict[str, list[str]]:
    """Name of a variant to its options."""
    variants = {}
    for variant in settings.variants:
        name, colon, words = variant.partition(":")
        if not colon or not name.strip() or name.strip() in variants:
            raise ValueError(
                f'--variants "{variant}": give each variant its own name, as in "bf16: --mixed_precision bf16".'
            )
        variants[name.strip()] = shlex.split(words)
    return variants


def members(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Title of a row to the model and its options."""
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


def write(settings: Settings, figures: dict[str, list[float]], images: int) -> None:
    """Write the table into the document."""
    conditions = side_by_side.conditions(settings, images, f"width {settings.width}")
    table = side_by_side.table(
        f"{conditions}; means over {len(settings.seeds)} seeds, then each; milliseconds on {torch.get_num_threads()} "
        f"CPU threads. Made by `{side_by_side.command(SCRIPT, settings)}`.",
        with_means(settings, figures),
    )
    side_by_side.write(settings.document, f"{SCRIPT} {settings.section}", table)


if __name__ == "__main__":
    side_by_side.run(main, Settings)
