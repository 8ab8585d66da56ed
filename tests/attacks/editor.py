"""The editors that are attacked: a small untrained one, which finds faces and edits them as a large one does, and the
bundled one."""

from pathlib import Path

from stgan import FaceEditor
from stgan.editing.editor import BUNDLED
from stgan.models import STGAN, AttributeClassifier
from stgan.photo.detect import FaceDetector


def small_editor(folder: Path) -> FaceEditor:
    """Save one in a folder and load it."""
    STGAN(image_size=64, width=8, soft_mask=True, use_regions=True).save_pretrained(folder)
    AttributeClassifier(image_size=64, width=8).save_pretrained(folder / "classifier")
    return FaceEditor.from_pretrained(folder, detector=FaceDetector())


def bundled_editor() -> FaceEditor:
    """The bundled one, with the cascades: they are slower than YuNet in large photos."""
    return FaceEditor.from_pretrained(BUNDLED, detector=FaceDetector())
