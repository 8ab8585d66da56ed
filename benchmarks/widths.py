"""How wide an STGAN should be: quality against the time of an edit, on one budget, measured in one run.

python benchmarks/widths.py --dataset flwrlabs/celeba --total_images 100000 --image_size 64

Writes the table into docs/results.md. All discriminators have the same width, so that only the generator varies.
"""

from dataclasses import dataclass
from pathlib import Path

import side_by_side
import torch
from side_by_side import Budget, compare

from stgan.card import split_section
from stgan.models import Generator

SECTION = "benchmarks/widths.py"  # of docs/results.md
TIMED_SIZE = 128  # pixels: edits are timed at one size, whatever size was trained


@dataclass
class Settings(Budget):
    """Train and compare STGANs of several widths."""

    # Folder of the runs.
    output_dir: Path = Path("runs/widths")
    # Channels of the generators' first layers; --width is the discriminators'.
    widths: tuple[int, ...] = (8, 16, 24, 32)


def main(settings: Settings) -> None:
    """Train, measure, write the table."""
    split_section(settings.document, SECTION)  # before the work
    write(settings, *compare(members(settings), settings, full_size))


def members(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Title of a row to the model and its options."""
    return {f"width {width}": ("stgan", "--width", str(width)) for width in settings.widths}


def full_size(generator: Generator) -> Generator:
    """The generator for images of :data:`TIMED_SIZE`: it is convolutional, so its weights fit."""
    resized = type(generator)(**{**generator.config, "image_size": TIMED_SIZE})
    resized.load_state_dict(generator.state_dict())
    return resized.eval().to(memory_format=torch.channels_last)


def write(settings: Settings, figures: dict[str, list[float]], images: int) -> None:
    """Write the table into the document."""
    conditions = side_by_side.conditions(settings, images, f"discriminators of width {settings.width}")
    table = side_by_side.table(
        f"{conditions}; milliseconds of an edit of {TIMED_SIZE} px on "
        f"{torch.get_num_threads()} CPU threads. Made by `{side_by_side.command(SECTION, settings)}`.",
        figures,
    )
    side_by_side.write(settings.document, SECTION, table)


if __name__ == "__main__":
    side_by_side.run(main, Settings)
