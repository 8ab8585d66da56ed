"""The family side by side: every model and ablation trained by one recipe, on one budget, measured in one run.

python benchmarks/family.py --dataset flwrlabs/celeba --total_images 100000 --image_size 128
Writes docs/family.md, and the table into the README and the bundled model's card, and draws the edits of one portrait
by each. A run that was stopped goes on where it was; one that is finished is only measured again.
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
from stgan.card import FAMILY_FILE, replace_section, split_section, write_card
from stgan.evaluation.figures import comparison_grid
from stgan.models import AttributeClassifier, FaceAligner, load_generator
from stgan.photo.files import open_photo

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
class Settings(Budget):
    """Train and compare the family."""

    # The table, with the commands.
    table: Path = ROOT / "docs" / "family.md"
    # Markdown file that gets the table between its lines <!-- benchmarks/family.py --> and
    # <!-- /benchmarks/family.py -->.
    readme: Path = ROOT / "README.md"
    # Model folder whose card gets it.
    card: Path = ROOT / "hub" / "stgan-celeba-128"
    # Photo of one person whose edits by each of them are drawn; the astronaut that scikit-image brings by default.
    photo: Path | None = None
    # That picture.
    figure: Path = ROOT / "docs" / "family.jpg"
    # Train only these (names of the table); their rows are printed and no document is touched.
    only: tuple[str, ...] = tuple(FAMILY)


def main(settings: Settings) -> None:
    """Train, measure, write the table.

    Raises:
        ValueError: a name is none of the family, the README lacks the lines that the table goes between, or the photo
            cannot be opened.
    """
    unknown = [name for name in settings.only if name not in FAMILY]
    if unknown:
        raise ValueError(f"--only {', '.join(unknown)}: the family is {'; '.join(FAMILY)}.")
    split_section(settings.readme, SECTION)  # before the work, as is the photo
    if settings.photo is not None:
        open_photo(settings.photo)
    figures, commands, images = compare({name: FAMILY[name] for name in settings.only}, settings)
    if set(settings.only) < set(FAMILY):
        print(side_by_side.table("", figures).strip())
    else:
        write(settings, figures, commands, images)
        draw(settings).save(settings.figure, quality=80)


def draw(settings: Settings) -> Image.Image:
    """Every edit of the photo at an intensity of 1, a row for each member, as the networks make them.

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


def write(settings: Settings, figures: dict[str, list[float]], commands: list[str], images: int) -> None:
    """The documents: the table alone into README and card, with its commands into a file of its own."""
    table = side_by_side.table(
        f"{side_by_side.conditions(settings, images, f'width {settings.width}')}; milliseconds on "
        f"{torch.get_num_threads()} CPU threads. Made by `{side_by_side.command(SECTION, settings)}`.",
        figures,
    )
    picture = f"![One portrait's edits by each]({settings.figure.name})"
    page = side_by_side.page("The family, side by side", f"{table}\n\n{picture}", commands)
    settings.table.write_text(page, encoding="utf-8")
    replace_section(settings.readme, SECTION, table)
    (settings.card / FAMILY_FILE).write_text(json.dumps({"markdown": table}, indent=2) + "\n", encoding="utf-8")
    write_card(settings.card, _name_in_card(settings.card))
    print(settings.table, settings.readme, settings.card, sep="\n")


def _name_in_card(folder: Path) -> str:
    """How a card's usage lines call the model: by its path from here, where it lies below."""
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else folder.name


if __name__ == "__main__":
    side_by_side.run(main, Settings)
