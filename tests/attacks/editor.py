"""A small untrained editor, which finds faces and edits them as a large one does."""

from pathlib import Path

from stgan import FaceEditor
from stgan.models import STGAN, AttributeClassifier
from stgan.photo.detect import FaceDetector


def small_editor(folder: Path) -> FaceEditor:
    """Save one in a folder and load it."""
    STGAN(image_size=64, width=8, soft_mask=True, use_regions=True).save_pretrained(folder)
    AttributeClassifier(image_size=64, width=8).save_pretrained(folder / "classifier")
    return FaceEditor.from_pretrained(folder, detector=FaceDetector())
