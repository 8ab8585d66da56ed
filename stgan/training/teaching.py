"""Masks for unlabelled faces by a teacher, so that a parser learns from more faces than people have labelled.

python -m stgan.training.teaching --parser hub/stgan-celebahq-256/parser --dataset data/celeba-hq --crop celebahq
    --output data/masks/train-taught.parquet

The file has the columns ``image`` and ``mask`` of labelled faces. Put it beside theirs, ``train-*.parquet`` in one
folder, and ``train.py --model parser`` learns from both.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import torch
import torch.nn.functional as F
import tyro
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from stgan.data import load_into_memory
from stgan.data.masks import CELEBAMASK_CLASSES, MASK_COLUMN, UNKNOWN
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, FaceParser

CLASS_OF_ATTRIBUTE = {"Eyeglasses": "eyeglasses", "Wearing_Hat": "hat"}
"""Labels that say whether a class is in the picture at all."""
LABEL_TRUST = 2.0
"""Factor on the probability of a class that a label says is there."""


@dataclass
class Settings:
    """Write masks for the faces of a dataset."""

    # Folder of the parser that teaches.
    parser: Path
    # Dataset of faces: Hub id, folder of Parquet files, or folder of the original CelebA download.
    dataset: str
    # Parquet file to write.
    output: Path
    # Split to read.
    split: str = "train"
    # Crop of the images, as for train.py.
    crop: str = "auto"
    # Side of the images and masks in pixels.
    image_size: int = 256
    # Sizes at which the teacher looks at each face, in pixels; multiples of 16.
    sizes: tuple[int, ...] = (160, 192, 256)
    # Probability below which a pixel's class counts as unknown.
    confidence: float = 0.6
    # Label columns that correct the teacher: Eyeglasses, Wearing_Hat. Empty where the dataset has none.
    attributes: tuple[str, ...] = ("Eyeglasses", "Wearing_Hat")
    # Read at most this many faces.
    max_samples: int | None = None


def teach(settings: Settings) -> int:
    """Write the file and return how many faces it holds.

    Raises:
        DataError: the dataset cannot be read.
        ModelFolderError: the parser cannot be loaded.
        ValueError: an attribute is none that a class belongs to.
    """
    unknown = [name for name in settings.attributes if name not in CLASS_OF_ATTRIBUTE]
    if unknown:
        raise ValueError(f"No class belongs to {', '.join(unknown)}: use {', '.join(CLASS_OF_ATTRIBUTE)} or none.")
    parser = FaceParser.from_pretrained(settings.parser)
    data = load_into_memory(
        settings.dataset, settings.split, settings.attributes, settings.image_size, crop=settings.crop,
        max_samples=settings.max_samples, progress=True,
    )  # fmt: skip

    def rows() -> Iterator[dict]:
        batches = list(zip(data.images.split(8), data.labels.split(8), strict=True))
        for images, labels in tqdm(batches, "teaching"):
            masks = taught_masks(parser, images, labels, settings)
            for image, mask in zip(images.permute(0, 2, 3, 1).numpy(), masks.numpy(), strict=True):
                yield {"image": _encoded(image, "WEBP"), MASK_COLUMN: _encoded(celebamask_values(mask), "PNG")}

    features = datasets.Features({"image": datasets.Image(), MASK_COLUMN: datasets.Image()})
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(list(rows()), features=features).to_parquet(settings.output)
    return len(data)


@torch.inference_mode()
def taught_masks(parser: FaceParser, images: Tensor, labels: Tensor, settings: Settings) -> Tensor:
    """Masks uint8 (N, S, S) with the parser's classes, unknown where the teacher is not sure.

    Args:
        parser: the teacher; its answers are averaged over sizes and mirror images.
        images: uint8 (N, 3, S, S).
        labels: float (N, A) in {0, 1}, of ``settings.attributes``.
        settings: of the sizes, the attributes and the confidence.
    """
    probabilities = averaged(parser, normalise(images), settings.sizes)
    for name, present in zip(settings.attributes, labels.T, strict=True):
        trust = torch.where(present > 0, LABEL_TRUST, 0.0)[:, None, None]  # what the label denies is not there
        probabilities[:, PARSER_CLASSES.index(CLASS_OF_ATTRIBUTE[name])] *= trust
    probability, classes = (probabilities / probabilities.sum(dim=1, keepdim=True)).max(dim=1)
    return classes.to(torch.uint8).where(probability >= settings.confidence, UNKNOWN)


def averaged(parser: FaceParser, image: Tensor, sizes: Sequence[int]) -> Tensor:
    """Probabilities (N, 10, S, S) of images (N, 3, S, S), a mean over the sizes at which the parser sees them."""
    total = torch.zeros(())
    for size in sizes:
        view = F.interpolate(image, size=(size, size), mode="bilinear", antialias=True)
        plain, mirrored = (parser.logits(each).softmax(dim=1) for each in (view, view.flip(-1)))
        total = total + F.interpolate(plain + mirrored.flip(-1), size=image.shape[-2:], mode="bilinear")
    return total / (2 * len(sizes))


def celebamask_values(mask: np.ndarray) -> np.ndarray:
    """A mask uint8 (H, W) of the parser's classes with CelebAMask-HQ's values: the first that stands for each class."""
    values = np.full(256, UNKNOWN, np.uint8)
    for number, name in reversed(list(enumerate(CELEBAMASK_CLASSES.values()))):
        values[PARSER_CLASSES.index(name)] = number
    return values[mask]


def _encoded(pixels: np.ndarray, kind: str) -> dict:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=90)
    return {"bytes": file.getvalue(), "path": None}


if __name__ == "__main__":
    chosen = tyro.cli(Settings)
    print(f"{chosen.output}: {teach(chosen)} faces")
