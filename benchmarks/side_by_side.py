"""What the comparisons in this folder share: editors trained by one recipe, on one budget, and measured in one run.

Each comparison writes its table into its own section of docs/results.md. An interrupted comparison continues where it
stopped; finished runs are only measured again.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import torch
import tyro
from torch.utils.benchmark import Timer

from stgan.card import TRAINING_FILE, replace_section
from stgan.data import load_into_memory
from stgan.devices import chosen_device
from stgan.evaluation.protocol import evaluate
from stgan.evaluation.results import Evaluation
from stgan.models import AttributeClassifier, Generator, load_generator

ROOT = Path(__file__).parent.parent
COLUMNS = {
    "PSNR, dB": ".2f", "SSIM": ".3f", "edit accuracy ±1": ".3f", "edit accuracy ±1.5": ".3f",
    "preservation error ±1": ".3f", "preservation error ±1.5": ".3f", "distance ±1.5": ".3f",
    "parameters, M": ".2f", "ms per edit": ".1f",
}  # fmt: skip
"""Measurements of each member, and their formats."""
RESULTS = ROOT / "docs" / "results.md"
PLACES = ("document", "card", "figure")  # settings that say where results are written


@dataclass
class Budget:
    """What all members of a comparison share."""

    # Options of train.py. No member's paper has a soft mask or regions, and on a small budget a mask closes before
    # edits form.
    ALWAYS: ClassVar[tuple[str, ...]] = ("--no_soft_mask", "--no_use_regions")

    # Hub id, folder of Parquet files, or folder of the original CelebA download.
    dataset: str = "flwrlabs/celeba"
    # Classifier that judges the edits: folder or Hub id.
    classifier: str = str(ROOT / "hub" / "stgan-celebahq-256" / "classifier")
    # Folder of the runs.
    output_dir: Path = Path("runs/family")
    # Options of train.py for all members, as one string: --options='--seed 1'.
    options: str = ""
    # Training images of each member.
    total_images: int = 100_000
    # Pixels.
    image_size: int = 64
    # Channels of the first layer, of generators and discriminators.
    width: int = 16
    # Images per step.
    batch_size: int = 16
    # Validation images to measure on.
    samples: int = 1000
    # Markdown file with the section that the table replaces.
    document: Path = RESULTS

    def run_name(self, member: Sequence[str]) -> str:
        """The folder of a member's run: its model and the values of its options, which differ between members."""
        model, *options = member
        return "-".join([model, *(word for word in options if word[0] != "-")])


def run(main: Callable[[Any], None], settings: type) -> None:
    """Run a benchmark as a script. Mistakes in its settings end with one sentence."""
    try:
        main(tyro.cli(settings))
    except ValueError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def train(member: Sequence[str], budget: Budget) -> Path:
    """Train one member, or continue its run.

    Args:
        member: the model's name, then its own options of train.py.

    Returns:
        The model folder.

    Raises:
        ValueError: the folder has a finished run with other settings.
    """
    folder, words = budget.output_dir / budget.run_name(member), training_words(member, budget)
    record = folder / "model" / TRAINING_FILE
    if record.is_file():
        trained = json.loads(record.read_text(encoding="utf-8"))
        earlier = trained["commands"][-1]["command"]
        if earlier != f"accelerate launch {shlex.join(words)}":
            raise ValueError(f"{folder} was trained with other settings ({earlier}). Choose another --output_dir.")
        if trained["images_seen"] >= budget.total_images:
            return folder / "model"
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    return folder / "model"


def training_words(member: Sequence[str], budget: Budget) -> list[str]:
    """train.py and its arguments for one member; see :func:`train`."""
    model, *options = member
    words = [
        "train.py", "--model", model, "--dataset", budget.dataset, "--image_size", budget.image_size,
        "--width", budget.width, "--discriminator_width", budget.width, "--batch_size", budget.batch_size,
        "--total_images", budget.total_images, "--output_dir", budget.output_dir / budget.run_name(member),
        "--validation_steps", 10**9, "--max_validation_samples", 16,  # validation is not needed
        "--resume_from_checkpoint", "latest", "--report_to", "none",
        *budget.ALWAYS,
        *shlex.split(budget.options),
        *options,
    ]  # fmt: skip
    return [str(word) for word in words]


def compare(
    members: Mapping[str, Sequence[str]], budget: Budget, timed: Callable[[Generator], Generator] = lambda model: model
) -> tuple[dict[str, list[float]], int]:
    """Train and measure each member.

    Args:
        members: title of a row to the member that :func:`train` takes.
        timed: takes the trained generator; returns the one whose edits are timed, on the CPU.

    Returns:
        The measurements of each member, in the order of :data:`COLUMNS`, and the number of images measured.
    """
    device = chosen_device(None)
    judge = AttributeClassifier.from_pretrained(budget.classifier).to(device)
    figures, data = {}, None
    for name, member in members.items():
        started = time.perf_counter()
        generator = load_generator(train(member, budget)).to(device, memory_format=torch.channels_last)
        data = data or load_into_memory(
            budget.dataset, "validation", generator.attributes, budget.image_size, max_samples=budget.samples
        )
        evaluation = evaluate(generator, judge, data.images, data.labels, device=device, progress=True)
        print(f"{name}: {evaluation.summary()}; {(time.perf_counter() - started) / 60:.0f} minutes")
        figures[name] = measured(generator, evaluation, milliseconds(timed(generator.cpu())))
    return figures, len(data.images)


def milliseconds(generator: Generator) -> float:
    """Time of one edit of one image, with its encoding: the median over a second."""
    size = generator.image_size
    image, edit = torch.zeros(1, 3, size, size), torch.ones(1, len(generator.attributes))
    image = image.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        timer = Timer(
            "generator(image, edit)",
            globals={"generator": generator, "image": image, "edit": edit},
            num_threads=torch.get_num_threads(),
        )
        return 1000 * timer.blocked_autorange(min_run_time=1).median


def measured(generator: Generator, evaluation: Evaluation, edit_milliseconds: float) -> list[float]:
    """The measurements of one member, in the order of :data:`COLUMNS`."""
    once, more = evaluation.edits.values()
    return [
        evaluation.psnr, evaluation.ssim, once.mean_accuracy, more.mean_accuracy,
        once.mean_preservation_error, more.mean_preservation_error, more.mean_distance,
        generator.parameter_count() / 1e6, edit_milliseconds,
    ]  # fmt: skip


def table(introduction: str, figures: Mapping[str, Sequence[float]]) -> str:
    """The introduction, then a table with a row for each member."""
    rows = [
        [name, *(format(value, form) for value, form in zip(values, COLUMNS.values(), strict=True))]
        for name, values in figures.items()
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (["", *COLUMNS], *rows)]
    return "\n".join([introduction, "", lines[0], "|---" * (1 + len(COLUMNS)) + "|", *lines[1:]])


def conditions(budget: Budget, images: int, *same: str) -> str:
    """How the members were trained and measured, with other facts that hold for all of them (``same``)."""
    without = [
        f"no {option.removeprefix('--no_use_').removeprefix('--no_').replace('_', ' ')}" for option in budget.ALWAYS
    ]
    shared = ", ".join([f"{budget.total_images:,} images of {budget.image_size} px", *same, *without])
    return f"One recipe and budget for all: {shared}; measured on {images:,} validation images by one classifier"


def command(script: str, settings: Any) -> str:
    """The command that repeats a measurement: every setting that differs from its default, except for places."""
    words = ["python", script]
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if setting.name in PLACES or value == setting.default:
            continue
        if isinstance(value, tuple):
            words += [f"--{setting.name}", *map(str, value)]
        elif str(value).startswith("-"):  # it would be taken for an option
            words.append(f"--{setting.name}={value}")
        else:
            words += [f"--{setting.name}", str(value)]
    return shlex.join(words)


def write(document: Path, section: str, text: str) -> None:
    """Replace a section of a document."""
    replace_section(document, section, text)
    print(document)
