"""The demo's editor: the model that its Space names, or the bundled one where that cannot be had."""

import json
import logging
import os
from pathlib import Path

from huggingface_hub import metadata_load

from stgan.card import TRAINING_FILE, training_datasets
from stgan.editor import BUNDLED, FaceEditor
from stgan.models import ModelFolderError, fetch_model_folder

ROOT = Path(__file__).resolve().parent.parent.parent

logger = logging.getLogger(__name__)


def open_editor() -> tuple[FaceEditor, str, str]:
    """The editor that the demo shows.

    Returns:
        The editor; its model's folder or Hub id; and a notice for the page where that is not the model wanted, else "".

    Raises:
        ModelFolderError: not even the bundled model loads.
    """
    wanted = wanted_model()
    try:
        return FaceEditor.from_pretrained(wanted), wanted, ""
    except ModelFolderError as error:
        if wanted == str(BUNDLED) or not BUNDLED.is_dir():
            raise
        logger.warning("%s", error)
    notice = f"The model {wanted} cannot be had just now. This is the small one that comes with the demo."
    return FaceEditor.from_pretrained(BUNDLED), str(BUNDLED), notice


def datasets_of(model: str) -> list[str]:
    """Names of what a model's weights have seen, as its own record says; none where there is no record."""
    try:
        file = fetch_model_folder(model, companions=(), records=(TRAINING_FILE,)) / TRAINING_FILE
        return training_datasets(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, OSError, LookupError, TypeError, AttributeError) as error:  # no model, no file, another form
        logger.warning("What %s was trained on is not known: %s", model, error)
        return []


def wanted_model() -> str:
    """``STGAN_MODEL`` (folder or Hub id), else the first model that the Space's card names, else the bundled one."""
    chosen = os.environ.get("STGAN_MODEL")
    card = ROOT / "README.md"  # of a Space; a checkout's has no metadata
    if not chosen and card.is_file():
        chosen = next(iter((metadata_load(card) or {}).get("models") or ()), None)
    return chosen or str(BUNDLED)
