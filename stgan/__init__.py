"""Edit the attributes of a face in a photograph: STGAN, AttGAN and StarGAN, trained, published and used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stgan.editing.editor import FaceEditor, PreparedFace
    from stgan.models import STGAN, AttGAN, AttributeClassifier, StarGAN
    from stgan.photo.files import save_photo

__version__ = "0.1.0"

__all__ = [
    "STGAN",
    "AttGAN",
    "AttributeClassifier",
    "FaceEditor",
    "PreparedFace",
    "StarGAN",
    "__version__",
    "save_photo",
]

_MODULES = {
    "FaceEditor": "stgan.editing.editor",
    "PreparedFace": "stgan.editing.editor",
    "save_photo": "stgan.photo.files",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that ``stgan --help`` does not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "stgan.models")), name)
