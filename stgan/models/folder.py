"""A model folder: a generator at its root, what goes with it in ``classifier/`` and ``aligner/``.

Its ``discriminator/`` is for those who train on: nothing that edits photos downloads it.
"""

import os
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import snapshot_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from stgan.hub.errors import CONNECTION_ERRORS
from stgan.models.aligner import FaceAligner
from stgan.models.classifier import AttributeClassifier
from stgan.models.discriminators import Discriminator, PatchDiscriminator
from stgan.models.encoder_decoder import STGAN, AttGAN
from stgan.models.generator import Generator
from stgan.models.pretrained import ModelFolderError, PretrainedModel, read_config
from stgan.models.stargan import StarGAN

GENERATORS: dict[str, type[Generator]] = {"STGAN": STGAN, "AttGAN": AttGAN, "StarGAN": StarGAN}
DISCRIMINATORS: dict[str, type[Discriminator | PatchDiscriminator]] = {
    "Discriminator": Discriminator,
    "PatchDiscriminator": PatchDiscriminator,
}
Model = TypeVar("Model", bound=PretrainedModel)
CLASSIFIER_FOLDER = "classifier"
ALIGNER_FOLDER = "aligner"
DISCRIMINATOR_FOLDER = "discriminator"
EDITING_COMPANIONS = (CLASSIFIER_FOLDER, ALIGNER_FOLDER)


def fetch_model_folder(
    folder_or_hub_id: str | os.PathLike,
    *,
    companions: tuple[str, ...] = EDITING_COMPANIONS,
    records: tuple[str, ...] = (),
    **download: Any,
) -> Path:
    """A local folder as it is, or the part of a Hub repository that an editor needs, downloaded to the cache.

    Args:
        folder_or_hub_id: local folder or ``owner/name``.
        companions: folders in it that are needed too.
        records: names of other files that are.
        download: ``revision``, ``token``, ``cache_dir``, … of ``huggingface_hub.snapshot_download``.

    Raises:
        ModelFolderError: there is neither such a folder nor such a repository, or no network and nothing cached.
    """
    folder = Path(folder_or_hub_id)
    if folder.is_dir():
        return folder
    network = (CONFIG_NAME, SAFETENSORS_SINGLE_FILE)
    files = [*network, *records, *(f"{folder}/{name}" for folder in companions for name in network)]
    try:
        return Path(snapshot_download(str(folder_or_hub_id), allow_patterns=files, **download))
    except HFValidationError as error:
        raise ModelFolderError(
            f"{folder_or_hub_id} is neither a folder nor a Hub id of the form owner/name."
        ) from error
    except CONNECTION_ERRORS as error:
        refusal = next((each for each in (error, error.__cause__) if isinstance(each, HfHubHTTPError)), None)
        if refusal is None or refusal.response.status_code >= 500:
            raise ModelFolderError(
                f"{folder_or_hub_id} is not in the cache and the Hub cannot be reached: connect to the network, or "
                "name a local folder."
            ) from error
        raise ModelFolderError(
            f"{folder_or_hub_id} could not be downloaded ({str(refusal).splitlines()[0]}) Check its name, its revision "
            "and, if it is private, that you are logged in (hf auth login)."
        ) from error


def load_generator(folder_or_hub_id: str | os.PathLike, **download: Any) -> Generator:
    """Load whichever generator a model folder or Hub repository holds.

    Args:
        folder_or_hub_id: local folder or ``owner/name``.
        download: see :func:`fetch_model_folder`.

    Raises:
        ModelFolderError: there is no generator, or not one that this version knows.
    """
    folder = fetch_model_folder(folder_or_hub_id, companions=(), **download)
    return _architecture(folder, str(folder_or_hub_id), GENERATORS, "generator").from_pretrained(folder)


def load_companion_classifier(folder_or_hub_id: str | os.PathLike, **download: Any) -> AttributeClassifier:
    """Load the classifier that goes with a generator.

    Args:
        folder_or_hub_id: of the generator: local folder or ``owner/name``.
        download: see :func:`fetch_model_folder`.

    Raises:
        ModelFolderError: there is none, or it is damaged.
    """
    folder = fetch_model_folder(folder_or_hub_id, **download) / CLASSIFIER_FOLDER
    if not folder.is_dir():
        raise ModelFolderError(
            f"{folder_or_hub_id} has no {CLASSIFIER_FOLDER} folder, which tells what attributes a face already has and "
            f"judges edits. Train one with train.py --model classifier and save it to {CLASSIFIER_FOLDER}/."
        )
    return AttributeClassifier.from_pretrained(folder)


def load_companion_aligner(folder_or_hub_id: str | os.PathLike, **download: Any) -> FaceAligner | None:
    """Load the aligner that goes with a generator; None where the folder has none, which costs precision only.

    Arguments as those of :func:`load_companion_classifier`.

    Raises:
        ModelFolderError: there is no such folder or repository, or its aligner is damaged.
    """
    folder = fetch_model_folder(folder_or_hub_id, **download) / ALIGNER_FOLDER
    return FaceAligner.from_pretrained(folder) if folder.is_dir() else None


def load_companion_discriminator(
    folder_or_hub_id: str | os.PathLike, **download: Any
) -> Discriminator | PatchDiscriminator | None:
    """Load the discriminator that a generator was trained against; None where the folder has none.

    Arguments as those of :func:`load_companion_classifier`.

    Raises:
        ModelFolderError: there is no such folder or repository, or its discriminator is damaged.
    """
    folder = fetch_model_folder(folder_or_hub_id, companions=(DISCRIMINATOR_FOLDER,), **download) / DISCRIMINATOR_FOLDER
    if not folder.is_dir():
        return None
    return _architecture(folder, str(folder), DISCRIMINATORS, "discriminator").from_pretrained(folder)


def _architecture(folder: Path, name: str, known: dict[str, type[Model]], kind: str) -> type[Model]:
    """Which of the known classes a folder, called ``name`` in messages, holds."""
    architecture = read_config(folder).get("architecture")
    if architecture not in known:
        raise ModelFolderError(
            f"{name} holds {architecture or 'no named architecture'}, not a {kind} ({', '.join(known)})."
        )
    return known[architecture]
