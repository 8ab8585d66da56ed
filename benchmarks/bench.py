"""All timings on a CPU in one run of a few minutes: prints the tables and writes them into docs/performance.md.

python benchmarks/bench.py [--threads 1] [--only edits data] [--yunet FILE]
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import data_speed
import edit_speed
import graphs
import torch
import training_speed
import tyro
from timing import conditions

from stgan.card import replace_section, split_section

SCRIPT = "benchmarks/bench.py"


@dataclass
class Settings(edit_speed.Settings):
    """Time everything that runs on a CPU."""

    # Tables to make; the others stay as they are in the document.
    only: tuple[str, ...] = ("edits", "photos", "training", "data", "graphs")
    # Page that gets the tables, between its marks.
    document: Path = Path(__file__).parent.parent / "docs" / "performance.md"


TABLES: dict[str, Callable[[Settings], str]] = {
    "edits": edit_speed.networks,
    "photos": edit_speed.photos,
    "training": lambda settings: training_speed.steps(),
    "data": lambda settings: data_speed.decoding(),
    "graphs": lambda settings: graphs.inference(settings.model, settings.rounds),
}
"""What makes each table. The server's is made by demo_load.py, which needs a running demo."""


def main(settings: Settings) -> None:
    """Print the tables and write each into its section.

    Raises:
        ValueError: there is no such table, or the document lacks its section.
        RuntimeError: two ways do not agree, so that their times mean nothing.
    """
    if unknown := set(settings.only) - set(TABLES):
        raise ValueError(f"--only {', '.join(sorted(unknown))}: choose from {', '.join(TABLES)}.")
    for name in settings.only:
        split_section(settings.document, f"{SCRIPT} {name}")  # before the work
    torch.set_num_threads(settings.threads)
    cv2.setNumThreads(settings.threads)
    for name in settings.only:
        machine, began = conditions(), time.perf_counter()
        text = f"{TABLES[name](settings)}\n\n{machine}."
        print(f"## {name}, {time.perf_counter() - began:.0f} s\n\n{text}\n", flush=True)
        replace_section(settings.document, f"{SCRIPT} {name}", text)


if __name__ == "__main__":
    main(tyro.cli(Settings))
