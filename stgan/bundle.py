"""Put a trained editor and the networks that go with it together into one model folder, in half precision, to ship.

python hub/bundle.py --model runs/stgan/model --classifier runs/classifier/model --aligner runs/aligner/model \\
    --output hub/stgan-celeba-128
"""

import json
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from safetensors.torch import load_file, save_file

from stgan.attributes import index_of
from stgan.card import TRAINING_FILE, remove_records, write_card
from stgan.data import load_into_memory
from stgan.evaluation.protocol import evaluate
from stgan.models import (
    ALIGNER_FOLDER,
    CLASSIFIER_FOLDER,
    DISCRIMINATOR_FOLDER,
    AttributeClassifier,
    FaceAligner,
    Generator,
    PretrainedModel,
    check_judge,
    load_companion_discriminator,
    load_generator,
    settings_differences,
)

WEIGHTS = "model.safetensors"
COMMAND = "python hub/bundle.py"
MAX_INTENSITY = 1.5  # that anyone asks for
INTENSITIES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.65, 1.8, 1.95, 2.1, 2.25)  # at which the strength of edits is measured


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
    # Share of those other weights in the mean.
    average_share: float = 0.5
    # Data set whose training images decide how strong edits of intensity 1 should be (a folder, file or Hub id): for
    # each attribute, from training's own 1 to --max_strength, as strong as is worth its price.
    strengthen_on: str | None = None
    # Points of edit accuracy that a point of preservation error is worth: how much plainer an edit must become for what
    # else it disturbs.
    preservation_price: float = 3.0
    # No attribute's edits become more than this times as strong.
    max_strength: float = 1.5
    # The same for single attributes, as NAME LIMIT pairs: what a classifier rewards is not always a better picture,
    # such as ever whiter skin.
    strength_limits: dict[str, float] = field(default_factory=dict)
    # Training images to measure on.
    strength_samples: int = 256
    # Also bundle the discriminator, so that others can train on from the model.
    discriminator: bool = True
    # Name that the card's usage lines show; the output folder by default.
    name: str = ""


def bundle(settings: Settings) -> None:
    """Write the folder; what is in it of former weights (an evaluation, other networks) goes.

    Raises:
        ModelFolderError, ValueError: a part does not load, the classifier does not know the generator's attributes, or
            the folder is one of those that the parts come from, average_share is not one.
    """
    if not 0 < settings.average_share < 1:
        raise ValueError(f"--average_share must be between 0 and 1, not {settings.average_share:g}.")
    written = {(settings.output / part).resolve() for part in ("", CLASSIFIER_FOLDER, ALIGNER_FOLDER)}
    for source in (settings.model, settings.classifier, settings.aligner):
        if source is not None and source.resolve() in written:
            raise ValueError(f"{source} would be written over, in half precision: name another --output.")
    generator, classifier = load_generator(settings.model), AttributeClassifier.from_pretrained(settings.classifier)
    check_judge(generator, classifier)
    if settings.average_with is not None:
        average(generator, load_generator(settings.average_with), settings.average_share)
    strengths = None
    if settings.strengthen_on is not None:
        strengths = measured_strengths(generator, classifier, settings)
        generator.strengthen(torch.tensor(list(strengths.values())))
    aligner = None if settings.aligner is None else FaceAligner.from_pretrained(settings.aligner)
    discriminator = load_companion_discriminator(settings.model) if settings.discriminator else None
    remove_records(settings.output)
    for name, network in ((ALIGNER_FOLDER, aligner), (DISCRIMINATOR_FOLDER, discriminator)):
        if network is None:
            shutil.rmtree(settings.output / name, ignore_errors=True)
    parts = [(classifier, settings.classifier, settings.output / CLASSIFIER_FOLDER)]
    if aligner is not None:
        parts.append((aligner, settings.aligner, settings.output / ALIGNER_FOLDER))
    if discriminator is not None:
        save_in_half_precision(discriminator, settings.output / DISCRIMINATOR_FOLDER)
        (settings.output / DISCRIMINATOR_FOLDER / "README.md").unlink()  # the editor's card speaks for it
    for model, source, folder in [*parts, (generator, settings.model, settings.output)]:
        save_in_half_precision(model, folder)
        if (source / TRAINING_FILE).is_file():
            shutil.copy(source / TRAINING_FILE, folder / TRAINING_FILE)
        else:
            (folder / TRAINING_FILE).unlink(missing_ok=True)  # of former weights
        if model is generator and (strengths or settings.average_with):
            record_changes(folder, strengths)
        write_card(folder, settings.name or str(settings.output), companion=model is not generator)
    size = sum(file.stat().st_size for file in settings.output.rglob("*") if file.is_file())
    print(f"{settings.output}: {size / 1e6:.1f} MB")


def average(model: PretrainedModel, other: PretrainedModel, share: float) -> None:
    """Move a model's weights and statistics by a share of the way to another's (arXiv 2203.05482).

    Raises:
        ValueError: they are not of one kind and configuration; the message names what differs.
    """
    differences = settings_differences(model, other)
    if differences:
        raise ValueError(f"--average_with needs the settings of --model, but it has {differences}.")
    theirs = other.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], share)


def measured_strengths(generator: Generator, classifier: AttributeClassifier, settings: Settings) -> dict[str, float]:
    """How strong each attribute's edits should be, by attribute, from 1 on.

    Raises:
        DataError, ValueError: no such data; or they, or a limit, cannot be used.
    """
    limit = INTENSITIES[-1] / MAX_INTENSITY
    if not 1 <= settings.max_strength <= limit:
        raise ValueError(f"--max_strength must be between 1 and {limit:g}, not {settings.max_strength}.")
    for name, value in settings.strength_limits.items():
        index_of(name, generator.attributes)
        if not 1 <= value <= settings.max_strength:
            raise ValueError(f"--strength_limits {name} must be between 1 and --max_strength, not {value:g}.")
    data = load_into_memory(
        settings.strengthen_on,
        "train",
        generator.attributes,
        generator.image_size,
        max_samples=settings.strength_samples,
    )
    scores = evaluate(generator.eval(), classifier.eval(), data.images, data.labels, intensities=INTENSITIES).edits
    measured = [scores[value] for value in INTENSITIES]
    strengths = {
        name: strength_for(
            settings.preservation_price,
            settings.strength_limits.get(name, settings.max_strength),
            [each.accuracy[name] for each in measured],
            [each.preservation_error[name] for each in measured],
        )
        for name in generator.attributes
    }
    print("Strengths: " + ", ".join(f"{name} {value:g}" for name, value in strengths.items()))
    return strengths


def strength_for(price: float, highest: float, accuracies: list[float], errors: list[float]) -> float:
    """The strength from 1 on whose edits are worth most: edit accuracy less ``price`` times preservation error.

    Both are means over an edit at intensity 1 and one at :data:`MAX_INTENSITY`, the furthest that anyone can ask for,
    where an edit of more strength may be seen less again.

    Args:
        price: points of edit accuracy that a point of preservation error is worth.
        highest: strength allowed.
        accuracies, errors: at each of :data:`INTENSITIES`.
    """
    strengths = np.arange(100, round(100 * highest) + 1) / 100
    worth = [
        np.interp(strengths * asked, INTENSITIES, accuracies)
        - price * np.interp(strengths * asked, INTENSITIES, errors)
        for asked in (1.0, MAX_INTENSITY)
    ]
    return float(strengths[np.sum(worth, axis=0).argmax()])  # the weakest of several


def record_changes(folder: Path, strengths: dict[str, float] | None) -> None:
    """Write into the record of the training that the weights are no longer those that it ended with."""
    file = folder / TRAINING_FILE
    record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    entry = {"from_image": record.get("images_seen", 0), "command": f"{COMMAND} {shlex.join(sys.argv[1:])}"}
    record["commands"] = [*record.get("commands", []), entry]
    if strengths:
        record["strengths"] = strengths
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def save_in_half_precision(model: PretrainedModel, folder: Path) -> None:
    """Save a model with its kernels as float16. Norms, biases and thresholds are few and stay as they are."""
    model.save_pretrained(folder)
    tensors = load_file(folder / WEIGHTS)
    halved = {name: tensor.half() if tensor.ndim >= 2 else tensor for name, tensor in tensors.items()}
    save_file(halved, folder / WEIGHTS, metadata={"format": "pt"})


def main() -> None:
    """The script's entry point; bad input ends with one sentence instead of a trace."""
    try:
        bundle(tyro.cli(Settings))
    except ValueError as error:
        sys.exit(f"bundle.py: {error}")
