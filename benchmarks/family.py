"""The family side by side: every model and ablation, trained by one recipe on one budget and measured in one run.

python benchmarks/family.py --dataset flwrlabs/celeba --total_images 100000 --image_size 128

Writes the table into docs/results.md and into the bundled model's card, and draws each model's edits of one portrait.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import side_by_side
import skimage
import torch
from PIL import Image
from side_by_side import ROOT, Budget, compare

from stgan import FaceEditor
from stgan.card import FAMILY_FILE, split_section, write_card
from stgan.evaluation.figures import comparison_grid
from stgan.models import AttributeClassifier, FaceAligner, load_generator
from stgan.photo.files import open_photo

SECTION = "benchmarks/family.py"  # of docs/results.md
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
class Settings(Budget):
    """Train and compare the family."""

    # Model folder whose card gets the table.
    card: Path = ROOT / "hub" / "stgan-celebahq-256"
    # Photo of one person for the figure. Default: the astronaut of scikit-image.
    photo: Path | None = None
    # Figure to write.
    figure: Path = ROOT / "docs" / "family.jpg"
    # Train only these members (names in the table). Their rows are printed, and no document changes.
    only: tuple[str, ...] = tuple(FAMILY)


def main(settings: Settings) -> None:
    """Train, measure, write the table.

    Raises:
        ValueError: there is no such member, the document lacks the section, or the photo cannot be opened.
    """
    unknown = [name for name in settings.only if name not in FAMILY]
    if unknown:
        raise ValueError(f"--only {', '.join(unknown)}: the family is {'; '.join(FAMILY)}.")
    split_section(settings.document, SECTION)  # before the work
    if settings.photo is not None:
        open_photo(settings.photo)
    figures, images = compare({name: FAMILY[name] for name in settings.only}, settings)
    if set(settings.only) < set(FAMILY):
        print(side_by_side.table("", figures).strip())
    else:
        write(settings, figures, images)
        draw(settings).save(settings.figure, quality=80)


def draw(settings: Settings) -> Image.Image:
    """Every edit of the photo's face crop at intensity 1, one row for each member.

    Raises:
        PhotoError, FaceError: the photo cannot be used.
    """
    folders = {name: settings.output_dir / settings.run_name(FAMILY[name]) / "model" for name in settings.only}
    generators = {name: load_generator(folder).eval() for name, folder in folders.items()}
    judge = AttributeClassifier.from_pretrained(settings.classifier)
    aligner = FaceAligner.from_pretrained(settings.card / "aligner")
    editor = FaceEditor(next(iter(generators.values())), judge, device="cpu", aligner=aligner)
    face = editor.prepare(settings.photo or skimage.data.astronaut())
    return comparison_grid(generators, torch.from_numpy(face.crop).permute(2, 0, 1), face.labels)


def write(settings: Settings, figures: dict[str, list[float]], images: int) -> None:
    """Write the table into the document and the card."""
    table = side_by_side.table(
        f"{side_by_side.conditions(settings, images, f'width {settings.width}')}; milliseconds on "
        f"{torch.get_num_threads()} CPU threads. Made by `{side_by_side.command(SECTION, settings)}`.",
        figures,
    )
    side_by_side.write(settings.document, SECTION, table)
    (settings.card / FAMILY_FILE).write_text(json.dumps({"markdown": table}, indent=2) + "\n", encoding="utf-8")
    write_card(settings.card, _name_in_card(settings.card))


def _name_in_card(folder: Path) -> str:
    """The model's name in the card's usage lines: its path within this checkout, or else its folder's name."""
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else folder.name


if __name__ == "__main__":
    side_by_side.run(main, Settings)
