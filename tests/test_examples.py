"""The scripts in examples/ run from beginning to end."""

import csv

import numpy as np
from PIL import Image
from scripts import load_script
from skimage import data

from stgan.models import load_generator


def test_every_face_of_a_photo_is_edited_and_its_neighbour_stays_as_it_was(astronaut, tmp_path):
    before = np.hstack([astronaut[:, :450], astronaut[:, :450]]).astype(int)
    Image.fromarray(before.astype(np.uint8)).save(tmp_path / "two.png")
    script = load_script("examples/edit_photo.py")
    script.main(tmp_path / "two.png", tmp_path / "edits")
    for number, own in enumerate((np.s_[:, :450], np.s_[:, 450:])):
        for name, edit in script.EDITS.items():
            with Image.open(tmp_path / "edits" / f"face-{number}-{name}.png") as picture:
                assert picture.info["Description"] == f"Edited with stgan: {edit}"
                change = np.abs(np.asarray(picture.convert("RGB")) - before)
            assert change[own].sum() == change.sum() > 0


def test_a_strip_goes_from_removed_to_added_with_the_photo_in_the_middle(model_folder, tmp_path):
    script = load_script("examples/compare_strengths.py")
    script.main(attribute="Eyeglasses", model=str(model_folder), out=tmp_path / "strip.png")
    strip = np.asarray(Image.open(tmp_path / "strip.png").convert("RGB")).astype(int)
    pictures = np.array_split(strip, len(script.STRENGTHS), axis=1)
    size = min(picture.shape[1] for picture in pictures)
    middle, *others = [pictures[i][:, :size] for i in (3, 0, 2, 4, 6)]
    changes = [np.abs(other[60:] - middle[60:]).mean() for other in others]
    assert changes[0] > changes[1] > 0
    assert changes[3] > changes[2] > 0


def test_a_folder_of_faces_and_a_table_become_an_editor_and_an_edited_photo(faces, tmp_path):
    names, images = ("Eyeglasses", "Mustache"), tmp_path / "faces"
    images.mkdir()
    train = faces["train"]
    for number, encoded in enumerate(train.images):
        (images / f"{number}.jpg").write_bytes(encoded)
    with (images / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", *names])
        rows.writerows([f"{i}.jpg", *(int(labels[name]) for name in names)] for i, labels in enumerate(train.labels))
    script = load_script("examples/train_on_your_faces.py")
    small = {"image_size": 32, "width": 4, "images": 8, "batch_size": 4}
    Image.fromarray(data.astronaut()).save(tmp_path / "me.png")
    script.main(images, tmp_path / "me.png", names, tmp_path / "out", crop="auto", **small)
    assert load_generator(tmp_path / "out" / "editor").attributes == names
    assert Image.open(tmp_path / "out" / "edited.png").size == (512, 512)
