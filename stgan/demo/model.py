"""Which model the demo shows: the one that its Space names, or the bundled one if that does not load."""

import logging
import os
from pathlib import Path

from huggingface_hub import metadata_load

from stgan.card import TRAINING_FILE, training_datasets, training_record
from stgan.editing.editor import BUNDLED, FaceEditor, default_model
from stgan.models import ModelFolderError, fetch_model_folder

ROOT = Path(__file__).resolve().parent.parent.parent

logger = logging.getLogger(__name__)


def open_editor() -> tuple[FaceEditor, str, str]:
    """The editor that the demo shows.

    Returns:
        The editor; its model's folder or Hub id; and a notice for the page if that is not the model asked for, else "".

    Raises:
        ModelFolderError: the bundled model does not load either.
    """
    model = wanted_model()
    try:
        return FaceEditor.from_pretrained(model), model, ""
    except ModelFolderError as error:
        if model == str(BUNDLED) or not BUNDLED.is_dir():
            raise
        logger.warning("%s", error)
    notice = f"The model {model} could not be loaded. This page uses the small model that comes with the demo."
    return FaceEditor.from_pretrained(BUNDLED), str(BUNDLED), notice


def short_name_of(model: str) -> str:
    """A Hub id as it is, a folder as seen from the current one where that is possible: Windows has several drives."""
    if not Path(model).is_dir():
        return model
    try:
        return os.path.relpath(model)
    except ValueError:
        return os.path.abspath(model)


def datasets_of(model: str) -> list[str]:
    """Names of the datasets that a model was trained on, from its training record; none if there is no record."""
    try:
        folder = fetch_model_folder(model, companions=(), records=(TRAINING_FILE,))
        record = training_record(folder)
        if not record:
            raise ModelFolderError(f"{folder} has no {TRAINING_FILE}.")
        return training_datasets(record)
    except (ValueError, OSError, LookupError, TypeError, AttributeError) as error:  # no record, or another format
        logger.warning("What %s was trained on is not known: %s", model, error)
        return []


def wanted_model() -> str:
    """``STGAN_MODEL`` (folder or Hub id), else the first model that the Space's card names, else the default one.

    Raises:
        ModelFolderError: no model is named and none comes with the package.
    """
    card = ROOT / "README.md"  # a Space's has metadata, a checkout's has none
    if not os.environ.get("STGAN_MODEL") and card.is_file():
        models = (metadata_load(card) or {}).get("models")
        if models:
            return models[0]
    return default_model()
