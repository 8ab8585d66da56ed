"""Edit the attributes of a face in a photograph: STGAN, AttGAN and StarGAN, trained, published and used."""

from stgan.editor import FaceEditor
from stgan.models import STGAN, AttGAN, AttributeClassifier, StarGAN

__version__ = "0.1.0"

__all__ = ["STGAN", "AttGAN", "AttributeClassifier", "FaceEditor", "StarGAN", "__version__"]
