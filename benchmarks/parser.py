"""How well the face parser knows what pixels show: intersection over union with the masks of labelled faces.

python benchmarks/parser.py --masks FOLDER [--parser hub/stgan-celebahq-256/parser] [--model hub/stgan-celebahq-256]
    [--yunet FILE] [--sheet parser.png] [--update_card]

FOLDER holds Parquet files with columns ``image`` and ``mask``, such as CelebAMask-HQ's. The faces are found by the
editor's detector and aligner and brought into its frame; those that it does not find are counted and left out.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from torch import Tensor
from tqdm.auto import tqdm

from stgan.card import EVALUATION_FILE, write_card
from stgan.data.faces import FaceLocator, Locate
from stgan.data.frames import to_crop
from stgan.data.masks import UNKNOWN, decode_masked, open_masks
from stgan.data.sources import image_column
from stgan.editing.editor import default_model
from stgan.evaluation.parsing import (
    by_class,
    class_scores,
    confusion_by_face,
    parsing_sheet,
    scores_without_one,
)
from stgan.evaluation.tables import table
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
    with torch.inference_mode():
        confusions = confusion_by_face(parser, images, masks)
    scores = by_class(class_scores(confusions.sum(dim=0)))
    milliseconds = 1000 * seconds_per_pass(parser)
    text = (
        f"{scores_table(scores, by_class(scores_without_one(confusions)))}\n\n{len(images)} faces at {settings.size} "
        f"px, in the editor's frame; answers averaged with those for the mirror images. Not found: {missed}."
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


def aligned_masks(
    locate: Locate, source: str | Path, split: str, image_size: int, *, progress: bool = False
) -> tuple[Tensor, Tensor, int]:
    """The faces of a labelled split, located as the editor locates them and brought into its frame, with their masks.

    Args:
        locate: such as a :class:`stgan.data.faces.FaceLocator`.
        source, split: see :func:`stgan.data.masks.open_masks`.
        image_size: S, pixels.
        progress: show a progress bar.

    Returns:
        Images uint8 (N, 3, S, S), mirrored beyond the photograph's border; masks uint8 (N, S, S), unknown there; and
        how many faces were not found.
    """
    dataset = open_masks(source, split)
    column, size = image_column(dataset), (image_size, image_size)
    images, masks = [], []
    for row in tqdm(dataset, desc="finding faces", disable=not progress):
        photo, mask = (np.array(each) for each in decode_masked(row, column))
        frame = locate(photo)
        if isinstance(frame, str):  # the reason why it cannot be used
            continue
        matrix = to_crop(frame, image_size)
        image = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
        images.append(torch.from_numpy(image).permute(2, 0, 1))
        mask = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderValue=UNKNOWN)
        masks.append(torch.from_numpy(mask))
    return torch.stack(images), torch.stack(masks), len(dataset) - len(images)


def scores_table(scores: Mapping[str, float], without_one: Mapping[str, float]) -> str:
    """Markdown."""
    heads = ["class", "intersection over union", "without the face that costs most"]
    return "\n".join(table(heads, [[name, f"{scores[name]:.3f}", f"{without_one[name]:.3f}"] for name in scores]))


def record_scores(
    folder: Path, scores: Mapping[str, float], *, data: str, split: str, images: int, text: str, command: str
) -> None:
    """Write a parser's scores into its folder, as ``evaluation.json``, and into its card.

    Args:
        folder: of the parser.
        scores: from :func:`stgan.evaluation.parsing.intersection_over_union`.
        data, split, images: what was measured on, and how many faces.
        text: Markdown for the card.
        command: that measured.
    """
    headline = {f"iou_{name}": score for name, score in scores.items()}
    record = {
        "headline": {name: round(value, 4) for name, value in headline.items()},
        "data": data, "split": split, "images": images, "markdown": text, "command": command,
    }  # fmt: skip
    (folder / EVALUATION_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    write_card(folder, os.path.relpath(folder.parent), companion=True)


@torch.inference_mode()
def seconds_per_pass(parser: FaceParser, repetitions: int = 30) -> float:
    """Median time of one pass over one image of the parser's own size, after a few passes to warm up."""
    image = torch.zeros(1, 3, parser.image_size, parser.image_size, device=next(parser.parameters()).device)
    times = []
    for _ in range(repetitions + 5):
        started = time.perf_counter()
        parser(image).sum().item()  # waits for the device
        times.append(time.perf_counter() - started)
    return float(np.median(times[5:]))


if __name__ == "__main__":
    main(tyro.cli(Settings))
