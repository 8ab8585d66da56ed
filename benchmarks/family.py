"""The family side by side: every model and ablation trained by one recipe, on one budget, measured in one run.

python benchmarks/family.py --dataset flwrlabs/celeba --total_images 100000 --image_size 64
Writes docs/family.md, and the table into the README and the bundled model's card. A run that was stopped goes on where
it was; one that is finished is only measured again.
"""

import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch.utils.benchmark import Timer

from stgan.card import FAMILY_FILE, TRAINING_FILE, replace_section, split_section, write_card
from stgan.data import load_into_memory
from stgan.metrics import Evaluation, evaluate
from stgan.models import AttributeClassifier, Generator, load_generator

ROOT = Path(__file__).parent.parent
SECTION = "benchmarks/family.py"  # of the README
FAMILY = {
    "STGAN": ("stgan",),
    "STGAN, target vector instead of difference": ("stgan", "--label_mode", "target"),
    "STGAN, plain skips instead of transfer units": ("stgan", "--stu_layers", "0"),
    "STGAN, GRU state": ("stgan", "--stu_state", "gru"),
    "STGAN, direct state": ("stgan", "--stu_state", "direct"),
    "AttGAN": ("attgan",),
    "StarGAN": ("stargan",),
}


@dataclass
class Settings:
    """Train and compare the family."""

    # Hub id, folder of Parquet files, or folder of the original CelebA download.
    dataset: str = "flwrlabs/celeba"
    # Judge of the edits: folder or Hub id.
    classifier: str = str(ROOT / "hub" / "stgan-celeba-128" / "classifier")
    # Folder of the runs.
    output_dir: Path = Path("runs/family")
    # The table, with the commands.
    table: Path = ROOT / "docs" / "family.md"
    # Markdown file that gets the table between its lines <!-- benchmarks/family.py --> and
    # <!-- /benchmarks/family.py -->.
    readme: Path = ROOT / "README.md"
    # Model folder whose card gets it.
    card: Path = ROOT / "hub" / "stgan-celeba-128"
    # Options of train.py for all of them, as one string: --options='--seed 1'.
    options: str = ""
    # Images that each model is shown.
    total_images: int = 100_000
    # Pixels.
    image_size: int = 64
    # Channels of the first layer, of generators and discriminators.
    width: int = 16
    # Images per step.
    batch_size: int = 16
    # Validation images that are measured.
    samples: int = 1000
    # Train only these (names of the table).
    only: tuple[str, ...] = tuple(FAMILY)


def train(name: str, settings: Settings) -> tuple[Path, str]:
    """Train one member, or go on with it; its model folder and the command."""
    model, *options = FAMILY[name]
    folder = settings.output_dir / "-".join([model, *(word for word in options if word[0] != "-")])
    words = [
        "train.py", "--model", model, "--dataset", settings.dataset, "--image_size", settings.image_size,
        "--width", settings.width, "--discriminator_width", settings.width, "--batch_size", settings.batch_size,
        "--total_images", settings.total_images, "--output_dir", folder, "--validation_steps", 10**9,
        "--max_validation_samples", 16,  # only looked at by the way
        "--resume_from_checkpoint", "latest", "--report_to", "none",
        # No member's paper has either, and at a small budget a mask closes before an edit begins.
        "--no_soft_mask", "--no_use_regions",
        *shlex.split(settings.options),
        *options,
    ]  # fmt: skip
    words = [str(word) for word in words]
    command = " ".join(words)
    record = folder / "model" / TRAINING_FILE
    if record.is_file():  # a run that is over is only measured again, by whatever it was trained with
        trained = json.loads(record.read_text(encoding="utf-8"))["commands"][-1]["command"]
        if trained != f"accelerate launch {shlex.join(words)}":
            raise ValueError(f"{folder} was trained by other settings ({trained}): name another --output_dir.")
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    return folder / "model", f"python {command}"


def row(name: str, generator: Generator, evaluation: Evaluation) -> str:
    """One line of the table; milliseconds for one edit of one image, encoding included."""
    image, edit = (
        torch.zeros(1, 3, generator.image_size, generator.image_size),
        torch.ones(1, len(generator.attributes)),
    )
    image = image.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        timer = Timer(
            "generator(image, edit)",
            globals={"generator": generator, "image": image, "edit": edit},
            num_threads=torch.get_num_threads(),
        )
        milliseconds = 1000 * timer.blocked_autorange(min_run_time=1).median
    once, more = evaluation.edits.values()
    cells = [
        name, f"{evaluation.psnr:.2f}", f"{evaluation.ssim:.3f}",
        f"{once.mean_accuracy:.3f}", f"{more.mean_accuracy:.3f}",
        f"{once.mean_preservation_error:.3f}", f"{more.mean_preservation_error:.3f}", f"{more.mean_distance:.3f}",
        f"{generator.parameter_count() / 1e6:.2f}", f"{milliseconds:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main(settings: Settings) -> None:
    """Train, measure, write the table.

    Raises:
        ValueError: the README lacks the lines that the table goes between.
    """
    split_section(settings.readme, SECTION)  # before the work
    judge = AttributeClassifier.from_pretrained(settings.classifier)
    rows, commands, data = [], [], None
    for name in settings.only:
        started = time.perf_counter()
        folder, command = train(name, settings)
        generator = load_generator(folder).to(memory_format=torch.channels_last)
        data = data or load_into_memory(
            settings.dataset, "validation", generator.attributes, settings.image_size, max_samples=settings.samples
        )
        evaluation = evaluate(generator, judge, data.images, data.labels, progress=True)
        print(f"{name}: {evaluation.summary()}; {(time.perf_counter() - started) / 60:.0f} minutes")
        rows.append(row(name, generator, evaluation))
        commands.append(command)
    write(settings, rows, commands, len(data.images))


def write(settings: Settings, rows: list[str], commands: list[str], images: int) -> None:
    """The documents: the table alone into README and card, with its commands into a file of its own."""
    columns = [
        "", "PSNR, dB", "SSIM", "edit accuracy ±1", "±1.5", "preservation error ±1", "±1.5", "distance ±1.5",
        "parameters, M", "ms per edit",
    ]  # fmt: skip
    options = f" --options={shlex.quote(settings.options)}" if settings.options else ""
    lines = [
        f"One recipe and budget for all: {settings.total_images:,} images of {settings.image_size} px, width "
        f"{settings.width}, no soft mask, no regions; measured on {images:,} validation images by one classifier; "
        f"milliseconds on {torch.get_num_threads()} CPU threads. "
        f"Made by `python benchmarks/family.py --dataset {settings.dataset} --total_images {settings.total_images} "
        f"--image_size {settings.image_size} --samples {settings.samples}{options}`.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *rows,
    ]
    table = "\n".join(lines)
    page = ["# The family, side by side", "", table, "", "```bash", *commands, "```", ""]
    settings.table.write_text("\n".join(page), encoding="utf-8")
    replace_section(settings.readme, SECTION, table)
    (settings.card / FAMILY_FILE).write_text(json.dumps({"markdown": table}, indent=2) + "\n", encoding="utf-8")
    write_card(settings.card, _name_in_card(settings.card))
    print(settings.table, settings.readme, settings.card, sep="\n")


def _name_in_card(folder: Path) -> str:
    """How a card's usage lines call the model: by its path from here, where it lies below."""
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else folder.name


if __name__ == "__main__":
    main(tyro.cli(Settings))
