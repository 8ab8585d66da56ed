"""How well the face parser knows what pixels show: intersection over union with the masks of labelled faces.

python benchmarks/parser.py --masks FOLDER [--parser hub/stgan-celeba-128/parser] [--model hub/stgan-celeba-128]
    [--yunet FILE] [--sheet parser.png] [--update_card]

FOLDER holds Parquet files with columns ``image`` and ``mask``, such as CelebAMask-HQ's. The faces are found by the
editor's detector and aligner and brought into its frame; those that it does not find are counted and left out.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from stgan.data.faces import FaceLocator
from stgan.editor import default_model
from stgan.evaluation.parsing import (
    aligned_masks,
    intersection_over_union,
    parsing_sheet,
    record_scores,
    scores_table,
    seconds_per_pass,
)
from stgan.frame import normalise
from stgan.models import FaceParser, load_companion
from stgan.photo.detect import yunet_path


@dataclass
class Settings:
    """Measure a face parser."""

    # Hub id or folder of Parquet files with columns image and mask.
    masks: str
    # Its split.
    split: str = "validation"
    # Model folder whose detector and aligner find the faces; by default the bundled one.
    model: str | None = None
    # Folder of the parser; by default the one in the model folder.
    parser: str | None = None
    # YuNet file; by default the one of the Hub's cache.
    yunet: str | None = None
    # Side of the images and masks that are compared, in pixels.
    size: int = 256
    # Name of the data in the card; by default that of the folder.
    data_name: str | None = None
    # Write the scores into the parser's folder and its card. The folder lies in that of its editor.
    update_card: bool = False
    # Picture to write, with the first faces, what the parser sees in them, and the truth.
    sheet: Path | None = None
    # Processor cores used.
    threads: int = 2


def main(settings: Settings) -> None:
    """Print the table."""
    torch.set_num_threads(settings.threads)
    model = settings.model or default_model()
    folder = Path(settings.parser or Path(model) / "parser")
    parser = FaceParser.from_pretrained(folder).to(memory_format=torch.channels_last)
    locate = FaceLocator(load_companion(model, "aligner"), settings.yunet or yunet_path())
    images, masks, missed = aligned_masks(locate, settings.masks, settings.split, settings.size, progress=True)
    scores = intersection_over_union(parser, images, masks)
    milliseconds = 1000 * seconds_per_pass(parser)
    text = (
        f"{scores_table(scores)}\n\n{len(images)} faces at {settings.size} px, in the editor's frame; answers averaged "
        f"with those for the mirror images. Not found: {missed}."
    )
    print(text)
    print(f"\n{parser.parameter_count():,} parameters; {milliseconds:.1f} ms a pass at {parser.image_size} px")
    if settings.update_card:
        name = settings.data_name or Path(settings.masks).name
        command = f"python benchmarks/parser.py --masks {name} --split {settings.split} --size {settings.size}"
        record_scores(folder, scores, data=name, split=settings.split, images=len(images), text=text, command=command)
    if settings.sheet:
        with torch.inference_mode():
            predicted = parser.parse(normalise(images[:24])).argmax(dim=1)
        parsing_sheet(images[:24], {"Parser": predicted, "Truth": masks[:24]}).save(settings.sheet)
        print(settings.sheet)


if __name__ == "__main__":
    main(tyro.cli(Settings))
