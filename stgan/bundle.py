"""Assemble a trained editor and its companions into one model folder, in half precision.

stgan bundle --model runs/stgan/model --classifier runs/classifier/model --aligner runs/aligner/model \\
    --output hub/stgan-celebahq-256
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from stgan.card import TRAINING_FILE, remove_records, training_record, write_card
from stgan.evaluation.strength import MAX_STRENGTH, Prices, measured_strengths
from stgan.models import (
    Generator,
    PretrainedModel,
    check_judge,
    load_companion,
    load_generator,
    load_network,
    settings_differences,
)  # fmt: skip
from stgan.models.registry import companions

WEIGHTS = "model.safetensors"


@dataclass
class Settings:
    """Assemble a model folder from trained networks."""

    # Folder of the editor, as the trainer wrote it.
    model: Path
    # Folder of the classifier, as the trainer wrote it.
    classifier: Path
    # Folder to write.
    output: Path
    # Folder of the aligner, as the trainer wrote it. Without one, the detector's landmarks alone align faces.
    aligner: Path | None = None
    # Folder of the face parser, as the trainer wrote it. Without one, edits keep to the regions of an average
    # face.
    parser: Path | None = None
    # Another editor with the same settings, such as the model that training started from. The bundle gets the average
    # of both models' weights, which edits with less noise than either.
    average_with: Path | None = None
    # Weight of that other editor in the average.
    average_share: float = 0.5
    # Dataset (folder, file or Hub id) on whose training images the strength of edits is tuned. An attribute's strength
    # rises, up to --max_strength, if the accuracy gained outweighs unwanted changes.
    strengthen_on: str | None = None
    # Crop of that dataset's images.
    strengthen_crop: str = "auto"
    # Points of edit accuracy that outweigh one point of preservation error.
    preservation_price: float = 3.0
    # Points of edit accuracy that outweigh ten points of realism (KID x 1000), if its package is installed.
    realism_price: float = 1.0
    # Points of edit accuracy that outweigh .01 of identity distance, if its packages are installed.
    identity_price: float = 1.0
    # Upper limit of every attribute's strength, at most 1.15.
    max_strength: float = MAX_STRENGTH
    # Smaller upper limits for single attributes, as NAME LIMIT pairs. The classifier may reward worse pictures, such as
    # ever paler skin.
    strength_limits: dict[str, float] = field(default_factory=dict)
    # Number of training images to measure on.
    strength_samples: int = 256
    # Also bundle the discriminators, so that others can continue the training.
    discriminator: bool = True
    # Name of the model in the card's code. Default: the output folder.
    name: str = ""


def bundle(settings: Settings, command: str = "stgan bundle") -> None:
    """Write the folder. Records and networks of earlier weights in it are removed.

    ``command`` is this run's command line; it is recorded if it changes the editor's weights.

    Raises:
        ModelFolderError: a part cannot be loaded.
        ValueError: the classifier does not know the editor's attributes, the output would replace one of the parts, or
            a setting is out of range.
    """
    if not 0 < settings.average_share < 1:
        raise ValueError(f"--average_share must be between 0 and 1, not {settings.average_share:g}.")
    sources = companion_folders(settings)
    check_output(settings.output, [settings.model, *sources.values()])
    generator = load_generator(settings.model)
    networks = {kind: load_network(folder, kind) for kind, folder in sources.items()}
    check_judge(generator, networks["classifier"])
    for kind in companions("training") if settings.discriminator else ():
        if discriminator := load_companion(settings.model, kind):
            networks[kind] = discriminator
    if settings.average_with is not None:
        average(generator, load_generator(settings.average_with), settings.average_share)
    strengths = strengths_for(generator, networks, settings)
    if strengths:
        generator.strengthen(torch.tensor(list(strengths.values())))

    parts = {"": settings.model, **sources}  # "" is the output folder itself, which holds the editor
    write_networks(settings.output, {"": generator, **networks})
    copy_records(settings.output, parts)
    if strengths or settings.average_with:
        record_changes(settings.output, strengths, command)
    for part in parts:
        write_card(settings.output / part, settings.name or str(settings.output), companion=part != "")
    size = sum(file.stat().st_size for file in settings.output.rglob("*") if file.is_file())
    print(f"{settings.output}: {size / 1e6:.1f} MB")


def companion_folders(settings: Settings) -> dict[str, Path]:
    """The folder of each companion that editing uses, by kind; those that are not to be bundled are left out."""
    folders = {kind: getattr(settings, kind, None) for kind in companions("editing")}
    return {kind: folder for kind, folder in folders.items() if folder is not None}


def check_output(output: Path, sources: list[Path]) -> None:
    """Raise a ValueError where the output would replace one of the parts, which have full precision."""
    written = {(output / part).resolve() for part in ("", *companions("editing"))}
    for source in sources:
        if source.resolve() in written:
            raise ValueError(f"{source} would be overwritten in half precision: choose another --output.")


def average(model: PretrainedModel, other: PretrainedModel, share: float) -> None:
    """Move a model's weights and statistics by a share of the way to another's (arXiv 2203.05482).

    A ValueError names the settings in which they differ.
    """
    differences = settings_differences(model, other)
    if differences:
        raise ValueError(f"--average_with needs a model with the settings of --model, but this one has {differences}.")
    theirs = other.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], share)


def strengths_for(generator: Generator, networks: dict[str, Any], settings: Settings) -> dict[str, float]:
    """How strong each attribute's edits should be, 1 or more; empty without a dataset to measure on."""
    if settings.strengthen_on is None:
        return {}
    prices = Prices(settings.preservation_price, settings.realism_price / 1000, settings.identity_price)
    strengths = measured_strengths(
        generator, networks["classifier"], settings.strengthen_on, parser=networks.get("parser"),
        crop=settings.strengthen_crop, samples=settings.strength_samples, prices=prices,
        highest=settings.max_strength, limits=settings.strength_limits,
    )  # fmt: skip
    print("Strengths: " + ", ".join(f"{name} {value:g}" for name, value in strengths.items()))
    return strengths


def write_networks(folder: Path, networks: dict[str, PretrainedModel]) -> None:
    """Save networks by their place in a model folder, and remove the records and other networks that are there."""
    remove_records(folder)
    for kind in companions():
        if kind not in networks:
            shutil.rmtree(folder / kind, ignore_errors=True)
    for part, network in networks.items():
        save_in_half_precision(network, folder / part)
    for kind in companions("training"):  # the editor's card describes them
        (folder / kind / "README.md").unlink(missing_ok=True)


def save_in_half_precision(model: PretrainedModel, folder: Path) -> None:
    """Save a model with its kernels as float16. Norms, biases and thresholds are few and keep their precision."""
    model.save_pretrained(folder)
    tensors = load_file(folder / WEIGHTS)
    halved = {name: tensor.half() if tensor.ndim >= 2 else tensor for name, tensor in tensors.items()}
    save_file(halved, folder / WEIGHTS, metadata={"format": "pt"})


def copy_records(folder: Path, parts: dict[str, Path]) -> None:
    for part, source in parts.items():
        if (source / TRAINING_FILE).is_file():
            shutil.copy(source / TRAINING_FILE, folder / part / TRAINING_FILE)
        else:
            (folder / part / TRAINING_FILE).unlink(missing_ok=True)


def record_changes(folder: Path, strengths: dict[str, float], command: str) -> None:
    """Add this command to the editor's training record, since the weights are no longer those of the run's end."""
    file = folder / TRAINING_FILE
    record = training_record(folder)
    entry = {"from_image": record.get("images_seen", 0), "command": command}
    record["commands"] = [*record.get("commands", []), entry]
    if strengths:
        record["strengths"] = strengths
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
