"""How much memory an input has a right to: what it holds by its own account, if that is allowed at all."""

import io
from pathlib import Path

from PIL import Image

from stgan.photo.files import MAX_PIXELS, READABLE

BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Of a pixel in Pillow's memory; 4 in all other modes."""
SRGB = 3  # bytes of a pixel in which faces are found


def photo_size(content: bytes) -> int:
    """Of a photo: its file and, where its header claims no more pixels than are allowed, these pixels as they are held,
    in their own depth and as sRGB."""
    try:
        with Image.open(io.BytesIO(content), formats=[name for name in READABLE if name in Image.OPEN]) as image:
            count = image.width * image.height
            return len(content) + count * (BYTES.get(image.mode, 4) + SRGB) * (count <= MAX_PIXELS)
    except Exception:  # it is no photo
        return len(content)


def folder_size(folder: Path) -> int:
    """Of a model or a dataset: all its files, before any of them is changed."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
