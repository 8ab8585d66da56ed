"""Whether more intensity is more of an edit: what the classifier sees as one attribute's slider goes from end to end.

python benchmarks/slider.py --dataset flwrlabs/celeba
Writes docs/slider.md.
"""

import shlex
import sys
from pathlib import Path

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from stgan.data import load_into_memory
from stgan.metrics import measuring
from stgan.models import CLASSIFIER_FOLDER, AttributeClassifier, Generator, load_generator
from stgan.pixels import normalise, quantise

ROOT = Path(__file__).parent.parent
INTENSITIES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


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
    with measuring(generator, classifier):
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


def main(
    dataset: str = "flwrlabs/celeba",
    model: str = str(ROOT / "hub" / "stgan-celeba-128"),
    samples: int = 256,
    document: Path = ROOT / "docs" / "slider.md",
) -> None:
    """Measure on validation images and write the table.

    Args:
        dataset: Hub id, folder of Parquet files, or folder of the original CelebA download.
        model: folder with the generator and its classifier.
        samples: people.
        document: to write.

    Raises:
        ValueError: the model is asked for targets, lacks its classifier, or there are no such data.
    """
    generator = load_generator(model)
    classifier = AttributeClassifier.from_pretrained(Path(model) / CLASSIFIER_FOLDER)
    if generator.label_mode != "difference":
        raise ValueError(f"{model} is asked for targets: a slider needs a model that is asked by differences.")
    data = load_into_memory(dataset, "validation", generator.attributes, generator.image_size, max_samples=samples)
    words = shlex.join(["python", "benchmarks/slider.py", *sys.argv[1:]])
    text = (
        "# From one end of the slider to the other\n\nThe classifier's mean probability of an attribute as it alone is "
        f"asked for, from taken away 1.5 times to added 1.5 times, over {len(data.images)} validation people, whether "
        "they have it or not; and the share of steps, over people and intensities, at which its logit rises. "
        f"Made by `{words}`.\n\n{table(generator.attributes, seen(generator, classifier, data.images))}\n"
    )
    document.write_text(text, encoding="utf-8")
    print(document)


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except ValueError as error:
        sys.exit(f"slider.py: {error}")
