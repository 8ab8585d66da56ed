"""The demo's editor: the model that its Space names, or the bundled one where that cannot be had."""

import logging
import os
from pathlib import Path

from huggingface_hub import metadata_load

from stgan.editor import BUNDLED, FaceEditor
from stgan.models import ModelFolderError

ROOT = Path(__file__).resolve().parent.parent

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


def wanted_model() -> str:
    """``STGAN_MODEL`` (folder or Hub id), else the first model that the Space's card names, else the bundled one."""
    chosen = os.environ.get("STGAN_MODEL")
    card = ROOT / "README.md"  # of a Space; a checkout's has no metadata
    if not chosen and card.is_file():
        chosen = next(iter((metadata_load(card) or {}).get("models") or ()), None)
    return chosen or str(BUNDLED)
