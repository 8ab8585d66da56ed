"""Edit the attributes of a face in a photograph: STGAN, AttGAN and StarGAN, trained, published and used."""

from stgan.editor import FaceEditor, PreparedFace
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
