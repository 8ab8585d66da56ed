"""Put a trained editor and the networks that go with it together into one model folder, in half precision, to ship.

python hub/bundle.py --model runs/stgan/model --classifier runs/classifier/model --aligner runs/aligner/model \\
    --output hub/stgan-celeba-128
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from safetensors.torch import load_file, save_file

from stgan.card import TRAINING_FILE, write_card
from stgan.models import (
    ALIGNER_FOLDER,
    CLASSIFIER_FOLDER,
    DISCRIMINATOR_FOLDER,
    AttributeClassifier,
    FaceAligner,
    PretrainedModel,
    check_judge,
    load_companion_discriminator,
    load_generator,
)

WEIGHTS = "model.safetensors"


@dataclass
class Settings:
    """Assemble a model folder."""

    # Folder of the generator, as the trainer wrote it.
    model: Path
    # Folder of the classifier, as the trainer wrote it.
    classifier: Path
    # Folder to write.
    output: Path
    # Folder of the aligner, as the trainer wrote it. Without one faces are aligned by the detector's landmarks.
    aligner: Path | None = None
    # Another editor of the same settings, such as the one that this one went on from: the mean of both's weights is
    # bundled. Two ends of one run, averaged, edit with less noise than either.
    average_with: Path | None = None
    # Also bundle the discriminator, so that others can train on from the model.
    discriminator: bool = True
    # Name that the card's usage lines show; the output folder by default.
    name: str = ""


def bundle(settings: Settings) -> None:
    """Write the folder.

    Raises:
        ModelFolderError, ValueError: a part does not load, or the classifier does not know the generator's attributes.
    """
    generator, classifier = load_generator(settings.model), AttributeClassifier.from_pretrained(settings.classifier)
    check_judge(generator, classifier)
    if settings.average_with is not None:
        average(generator, load_generator(settings.average_with))
    parts = [(classifier, settings.classifier, settings.output / CLASSIFIER_FOLDER)]
    if settings.aligner is not None:
        aligner = FaceAligner.from_pretrained(settings.aligner)
        parts.append((aligner, settings.aligner, settings.output / ALIGNER_FOLDER))
    discriminator = load_companion_discriminator(settings.model) if settings.discriminator else None
    if discriminator is not None:
        save_in_half_precision(discriminator, settings.output / DISCRIMINATOR_FOLDER)
        (settings.output / DISCRIMINATOR_FOLDER / "README.md").unlink()  # the editor's card speaks for it
    for model, source, folder in [*parts, (generator, settings.model, settings.output)]:
        save_in_half_precision(model, folder)
        if (source / TRAINING_FILE).is_file():
            shutil.copy(source / TRAINING_FILE, folder / TRAINING_FILE)
        write_card(folder, settings.name or str(folder))
    size = sum(file.stat().st_size for file in settings.output.rglob("*") if file.is_file())
    print(f"{settings.output}: {size / 1e6:.1f} MB")


def average(model: PretrainedModel, other: PretrainedModel) -> None:
    """Move a model's weights and statistics to the middle between them and another's (arXiv 2203.05482).

    Raises:
        ValueError: they are not of one kind and configuration.
    """
    if type(model) is not type(other) or model.config != other.config:
        raise ValueError("--average_with needs an editor of the same architecture and settings as --model.")
    theirs = other.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], 0.5)


def save_in_half_precision(model: PretrainedModel, folder: Path) -> None:
    """Save a model with its kernels as float16. Norms, biases and thresholds are few and stay as they are."""
    model.save_pretrained(folder)
    tensors = load_file(folder / WEIGHTS)
    halved = {name: tensor.half() if tensor.ndim >= 2 else tensor for name, tensor in tensors.items()}
    save_file(halved, folder / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    try:
        bundle(tyro.cli(Settings))
    except ValueError as error:
        sys.exit(f"bundle.py: {error}")
