"""Draw one attribute of a face from strongly removed to strongly added, as a strip of pictures.

python examples/compare_strengths.py --photo me.jpg --attribute Young --out young.png
"""

from pathlib import Path

import skimage.data
import tyro

from stgan import FaceEditor, save_photo
from stgan.editing.editor import default_model
from stgan.evaluation.figures import contact_sheet

STRENGTHS = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


def main(
    photo: Path | None = None, attribute: str = "Young", out: Path = Path("strip.png"), model: str | None = None
) -> None:
    """Write the strip. Without a photo, edit the portrait of scikit-image."""
    editor = FaceEditor.from_pretrained(model or default_model())
    face = editor.prepare(photo or skimage.data.astronaut()).close_up(224)
    pictures = [
        # With the opposite as its source, an edit has its full effect whether or not the face has the attribute.
        editor.edit(face, {attribute: strength > 0}, abs(strength), source={attribute: strength <= 0})
        for strength in STRENGTHS
    ]
    save_photo(contact_sheet(pictures, [f"{strength:+g}" for strength in STRENGTHS], len(pictures), 224), out)
    print(out)


if __name__ == "__main__":
    tyro.cli(main)
