"""Whether more intensity means more of an edit: the classifier's answer at each position of an attribute's slider.

python benchmarks/slider.py --dataset flwrlabs/celeba

Writes the table into docs/results.md.
"""

from dataclasses import dataclass
from pathlib import Path

import side_by_side
import torch
from side_by_side import RESULTS, ROOT
from torch import Tensor
from tqdm import tqdm

from stgan.card import split_section
from stgan.data import load_into_memory
from stgan.evaluation.inference import evaluation_mode
from stgan.frame import normalise, quantise
from stgan.models import AttributeClassifier, Generator, load_generator

SECTION = "benchmarks/slider.py"  # of docs/results.md
INTENSITIES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


@dataclass
class Settings:
    """Measure an editor's slider on validation images."""

    # Hub id, folder of Parquet files, or folder of the original CelebA download.
    dataset: str = "flwrlabs/celeba"
    # Folder of the editor, with its classifier.
    model: Path = ROOT / "hub" / "stgan-celebahq-256"
    # Number of people.
    samples: int = 256
    # Markdown file with the section that the table replaces.
    document: Path = RESULTS


def judged(generator: Generator, classifier: AttributeClassifier, images: Tensor, batch_size: int = 32) -> Tensor:
    """The classifier's logits (A, intensities, N) for each attribute edited alone at each intensity.

    Args:
        generator: conditioned on attribute differences, with the classifier's image_size.
        classifier: knows at least the generator's attributes.
        images: uint8 (N, 3, S, S).
    """
    count = len(generator.attributes)
    columns = [classifier.attributes.index(name) for name in generator.attributes]
    batches = []
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
            batches.append(logits)
    return torch.cat(batches, dim=2)


def table(attributes: tuple[str, ...], logits: Tensor) -> str:
    """Mean probability at each intensity, and the share of steps between neighbouring ones that raise a logit.

    Args:
        logits: (A, intensities, N), see :func:`judged`.
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
        ValueError: the model is conditioned on targets, its classifier or the data are missing, or the document lacks
            the section.
    """
    split_section(settings.document, SECTION)  # before the work
    generator = load_generator(settings.model)
    classifier = AttributeClassifier.from_pretrained(settings.model / "classifier")
    if generator.label_mode != "difference":
        raise ValueError(
            f"{settings.model} takes target attributes and has no intensity: choose a model of attribute differences."
        )
    data = load_into_memory(
        settings.dataset, "validation", generator.attributes, generator.image_size, max_samples=settings.samples
    )
    logits = judged(generator, classifier, data.images)
    introduction = (
        "The classifier's mean probability of an attribute when that attribute alone is edited, from removed at 1.5 to "
        f"added at 1.5, over {len(data.images)} validation people, whether they have it or not. Last column: share of "
        "steps, over people and intensities, at which the classifier's logit rises. Made by "
        f"`{side_by_side.command(SECTION, settings)}`."
    )
    side_by_side.write(settings.document, SECTION, f"{introduction}\n\n{table(generator.attributes, logits)}")


if __name__ == "__main__":
    side_by_side.run(main, Settings)
