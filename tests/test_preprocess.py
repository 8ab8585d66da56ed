"""An image is cropped and resized as in the paper, labels are read in each notation, damaged images are skipped."""

import io

import numpy as np
import pytest
import torch
from numbered_data import encoded
from PIL import Image

from stgan.data import DataError, Preprocess, label_value, random_flip
from stgan.data.errors import MISSING, UNDECODABLE, Skipped
from stgan.data.preprocess import decode_row


@pytest.mark.parametrize("size", [32, 128, 170, 256])
def test_preprocessing_is_the_papers_crop_and_then_a_bicubic_resize(faces, size):
    for data in faces["test"].images[:3]:
        by_hand = Image.open(io.BytesIO(data)).convert("RGB").crop((3, 26, 173, 196))
        by_hand = np.asarray(by_hand.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        assert np.array_equal(Preprocess(size)(data), by_hand)


@pytest.mark.parametrize("size", [64, 256])
def test_nothing_outside_the_crop_is_seen(faces, size):
    image = np.asarray(Image.open(io.BytesIO(faces["test"].images[0])))
    other = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    other[26:196, 3:173] = image[26:196, 3:173]
    ours, theirs = (Preprocess(size).from_image(Image.fromarray(each)) for each in (image, other))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("crop", "size", "box"),
    [
        ("auto", (178, 218), (3, 26, 173, 196)),
        ("auto", (300, 200), (50, 0, 250, 200)),
        ("center", (178, 218), (0, 20, 178, 198)),
        ("none", (300, 200), (0, 0, 300, 200)),
        ("celeba", (200, 200), (3, 26, 173, 196)),
    ],
)
def test_each_crop_keeps_its_box(crop, size, box):
    assert Preprocess(32, crop).box(size) == box


def test_an_unknown_crop_names_the_known_ones():
    with pytest.raises(DataError, match="auto, celeba, celebahq, face, center, none"):
        Preprocess(32, "middle")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_images_of_every_colour_mode_become_rgb(mode):
    image = Image.new("RGB", (20, 20), (200, 10, 10)).convert(mode)
    assert Preprocess(8).from_image(image).shape == (3, 8, 8)


def test_a_random_flip_mirrors_about_half_of_the_images_and_changes_nothing_else():
    images = torch.rand(200, 3, 4, 4)
    flipped = random_flip(images, torch.Generator().manual_seed(0))
    same, mirrored = ((flipped == each).flatten(1).all(1) for each in (images, images.flip(-1)))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


@pytest.mark.parametrize("value", [True, 1, 1.0, np.True_, np.int8(1), np.float32(1)])
def test_a_label_that_is_there(value):
    assert label_value(value, "Male") == 1.0


@pytest.mark.parametrize("value", [False, 0, -1, -1.0, np.False_, np.int64(-1), np.int8(0)])
def test_a_label_that_is_not_there(value):
    assert label_value(value, "Male") == 0.0


@pytest.mark.parametrize("value", [7, 0.5, -2, "1", "yes", None, float("nan"), [1]])
def test_what_is_no_label_is_refused_with_its_column(value):
    with pytest.raises(DataError, match="'Male' holds .* true/false, 0/1 or -1/1"):
        label_value(value, "Male")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damaged_images_are_skipped_and_never_stop_a_run(kind):
    """Cut off or with bytes overwritten at random: each gives an image or its name, and no other error."""
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    whole = encoded(noise, kind)
    skipped = 0
    for _ in range(150):
        damaged = bytearray(whole[: random.integers(0, len(whole))] if random.random() < 0.4 else whole)
        for _ in range(random.integers(0, 30) if damaged else 0):
            damaged[random.integers(0, min(len(damaged), 200))] = random.integers(0, 256)
        cell = {"bytes": bytes(damaged), "path": "some.jpg"}
        decoded = decode_row(
            {"image": cell, "a": 1}, "row 0", column="image", attributes=("a",), preprocess=Preprocess(8)
        )
        skipped += decoded == Skipped("some.jpg", UNDECODABLE) if isinstance(decoded, Skipped) else 0
    assert skipped > 20


@pytest.mark.parametrize("cell", [None, {}, {"bytes": None, "path": None}, {"bytes": None, "path": "/nowhere.jpg"}])
def test_an_empty_cell_is_skipped(cell):
    skipped = decode_row({"image": cell, "a": 1}, "row 3", column="image", attributes=("a",), preprocess=Preprocess(8))
    assert skipped == (("/nowhere.jpg", MISSING) if cell and cell.get("path") else ("row 3", UNDECODABLE))
