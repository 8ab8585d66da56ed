"""From a folder of faces with a table of labels to an editor of your own, and a photo edited by it.

python examples/train_on_your_faces.py --faces my-faces --photo me.jpg --attributes Smiling Wearing_Hat

The folder holds images and ``labels.csv``: its column ``file_name`` names an image, its others hold labels (0 or 1).
"""

from pathlib import Path

import pandas as pd
import tyro
from datasets import Dataset, Image

from stgan import FaceEditor, save_photo
from stgan.bundle import Settings, bundle
from stgan.training import TrainingConfig, train


def main(
    faces: Path, photo: Path, attributes: tuple[str, ...], out: Path = Path("runs/mine"),
    crop: str = "face", image_size: int = 128, width: int = 24, images: int = 500_000, batch_size: int = 32,
) -> None:  # fmt: skip
    """Train a classifier and an editor, bundle them, and edit the photo. The crop "auto" is for aligned faces."""
    table = pd.read_csv(faces / "labels.csv")
    columns = {"image": [{"path": name, "bytes": (faces / name).read_bytes()} for name in table["file_name"]]}
    data = Dataset.from_dict(columns | {name: table[name].tolist() for name in attributes})
    (out / "data").mkdir(parents=True)
    data.cast_column("image", Image()).to_parquet(out / "data" / "train-00000-of-00001.parquet")

    shared = {"dataset": str(out / "data"), "attributes": attributes, "crop": crop, "image_size": image_size}
    shared |= {"width": width, "total_images": images, "batch_size": batch_size, "mixed_precision": "auto"}
    options = {"model": "classifier", "output_dir": str(out / "classifier")}
    classifier = train(TrainingConfig.from_flat(**options, **shared))
    options = {"model": "stgan", "output_dir": str(out / "stgan"), "classifier": str(classifier)}
    model = train(TrainingConfig.from_flat(**options, discriminator_width=width, **shared))

    bundle(Settings(model, classifier, out / "editor"), "examples/train_on_your_faces.py")
    editor = FaceEditor.from_pretrained(out / "editor")
    edited = editor.edit(photo, {attributes[0]: not editor.prepare(photo).label_dict()[attributes[0]]})
    save_photo(edited, out / "edited.png")


if __name__ == "__main__":
    tyro.cli(main)
