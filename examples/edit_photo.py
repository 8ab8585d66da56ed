"""Make several edits of every face in a photo.

python examples/edit_photo.py --photo group.jpg --out edits
"""

from pathlib import Path

import skimage.data
import tyro

from stgan import FaceEditor, save_photo
from stgan.editing.editor import default_model

EDITS = {
    "eyeglasses": {"Eyeglasses": True},
    "black-hair": {"Black_Hair": True},
    "blond": {"Blond_Hair": True, "Bushy_Eyebrows": True},
}


def main(photo: Path | None = None, out: Path = Path("edits"), model: str | None = None) -> None:
    """Write one picture for each edit of each face. Without a photo, edit the portrait of scikit-image."""
    editor = FaceEditor.from_pretrained(model or default_model())
    picture = photo or skimage.data.astronaut()
    out.mkdir(parents=True, exist_ok=True)
    faces = editor.find_faces(picture)
    print(f"Faces found: {len(faces)}")
    for number, face in enumerate(faces):
        if not face.is_editable:
            print(f"Face {number} is too small or turned away.")
            continue
        prepared = editor.prepare(picture, face=face, others=faces)  # once for all edits of this face
        print(f"Face {number} has:", [name for name, present in prepared.label_dict().items() if present])
        for name, edited in zip(EDITS, editor.edit_each(prepared, list(EDITS.values())), strict=True):
            save_photo(edited, out / f"face-{number}-{name}.png", description=f"Edited with stgan: {EDITS[name]}")


if __name__ == "__main__":
    tyro.cli(main)
