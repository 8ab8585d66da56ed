"""Whether more intensity is more of an edit: what the classifier sees as one attribute's slider goes from end to end.

python benchmarks/slider.py --dataset flwrlabs/celeba
Writes docs/slider.md.
"""

from dataclasses import dataclass
from pathlib import Path

import side_by_side
import torch
from side_by_side import ROOT
from torch import Tensor
from tqdm import tqdm

from stgan.data import load_into_memory
from stgan.evaluation.inference import evaluation_mode
from stgan.frame import normalise, quantise
from stgan.models import AttributeClassifier, Generator, load_generator

SCRIPT = "benchmarks/slider.py"
INTENSITIES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


@dataclass
class Settings:
    """Measure an editor's slider on validation images."""

    # Hub id, folder of Parquet files, or folder of the original CelebA download.
    dataset: str = "flwrlabs/celeba"
    # Folder of the editor, with its classifier.
    model: Path = ROOT / "hub" / "stgan-celeba-128"
    # People.
    samples: int = 256
    # Where the table is written.
    table: Path = ROOT / "docs" / "slider.md"


def seen(generator: Generator, classifier: AttributeClassifier, images: Tensor, batch_size: int = 32) -> Tensor:
    """The classifier's logits (A, intensities, N) for each attribute as it alone is asked for at each intensity.

    Args:
        generator: asked by differences, of the classifier's image_size.
        classifier: knows at least the generator's attributes.
        images: uint8 (N, 3, S, S).
    """
    count = len(generator.attributes)
    columns = [classifier.attributes.index(name) for name in generator.attributes]
    found = []
    with evaluation_mode(generator, classifier):
        for batch in tqdm(images.split(batch_size), desc="sliding"):
            features = generator.encode(normalise(batch))
            logits = torch.empty(count, len(INTENSITIES), len(batch))
            for k in range(count):
                for position, intensity in enumerate(INTENSITIES):
                    att_diff = torch.zeros(len(batch), count)
                    att_diff[:, k] = intensity
                    edited = normalise(quantise(generator.decode(features, att_diff)))
                    logits[k, position] = classifier(edited)[:, columns[k]]
            found.append(logits)
    return torch.cat(found, dim=2)


def table(attributes: tuple[str, ...], logits: Tensor) -> str:
    """Mean probability at each intensity, and the share of steps between two of them at which a person's logit rises.

    Args:
        logits: (A, intensities, N), see :func:`seen`.
    """
    means = torch.sigmoid(logits).mean(dim=2)
    rises = (logits.diff(dim=1) > 0).float().mean(dim=(1, 2))
    columns = ["", *(f"{intensity:+g}" if intensity else "0" for intensity in INTENSITIES), "steps that rise"]
    rows = [
        [name, *(f"{value:.3f}" for value in mean), f"{share:.3f}"]
        for name, mean, share in zip(attributes, means.tolist(), rises.tolist(), strict=True)
    ]
    rows.append(["**mean**", *(f"{value:.3f}" for value in means.mean(dim=0).tolist()), f"{rises.mean():.3f}"])
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, *rows)]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]])


def main(settings: Settings) -> None:
    """Measure and write the table.

    Raises:
        ValueError: the model is asked for targets, lacks its classifier, or there are no such data.
    """
    generator = load_generator(settings.model)
    classifier = AttributeClassifier.from_pretrained(settings.model / "classifier")
    if generator.label_mode != "difference":
        raise ValueError(f"{settings.model} is asked for targets: a slider needs a model that is asked by differences.")
    data = load_into_memory(
        settings.dataset, "validation", generator.attributes, generator.image_size, max_samples=settings.samples
    )
    text = (
        "# From one end of the slider to the other\n\nThe classifier's mean probability of an attribute as it alone is "
        f"asked for, from taken away 1.5 times to added 1.5 times, over {len(data.images)} validation people, whether "
        "they have it or not; and the share of steps, over people and intensities, at which its logit rises. "
        f"Made by `{side_by_side.command(SCRIPT, settings)}`.\n\n"
        f"{table(generator.attributes, seen(generator, classifier, data.images))}\n"
    )
    settings.table.write_text(text, encoding="utf-8")
    print(settings.table)


if __name__ == "__main__":
    side_by_side.run(main, Settings)
