"""A teacher writes masks for unlabelled faces, which the loader of labelled ones reads."""

import numpy as np
import pytest
import torch

from stgan.data import load_into_memory
from stgan.data.masks import UNKNOWN, load_masks, parser_classes
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, FaceParser
from stgan.training.teaching import Settings, averaged, celebamask_values, taught_masks, teach

EYEGLASSES = PARSER_CLASSES.index("eyeglasses")


def settings(parser, celeba, output, **changes):
    return Settings(
        parser, str(celeba), output, "valid", image_size=32, sizes=(32, 48), attributes=("Eyeglasses",), **changes
    )


def test_taught_faces_are_read_as_labelled_ones(parser_folder, celeba, tmp_path):
    output = tmp_path / "masks" / "train-taught.parquet"
    chosen = settings(parser_folder, celeba, output, confidence=0.11)
    assert teach(chosen) == 12
    read = load_masks(output.parent, "train", 32, workers=0)
    original = load_into_memory(celeba, "valid", ("Eyeglasses",), 32, workers=0)
    parser = FaceParser.from_pretrained(parser_folder)
    assert torch.equal(read.labels, taught_masks(parser, original.images, original.labels, chosen))
    pixels = [images.numpy().ravel() for images in (read.images, original.images)]
    assert np.corrcoef(*pixels)[0, 1] > 0.9  # WebP


def test_the_teacher_is_a_mean_over_sizes_and_mirror_images(parser_folder):
    parser = FaceParser.from_pretrained(parser_folder)
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(averaged(parser, image, (32,)), parser.parse(image))
        both = averaged(parser, image, (32, 48))
        torch.testing.assert_close(both, (averaged(parser, image, (32,)) + averaged(parser, image, (48,))) / 2)
    torch.testing.assert_close(both.sum(dim=1), torch.ones(2, 32, 32))


def test_labels_correct_the_teacher_and_doubt_stays_unknown(parser_folder, celeba, tmp_path):
    parser = FaceParser.from_pretrained(parser_folder)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    labels = torch.tensor([[0.0], [1.0]])
    chosen = settings(parser_folder, celeba, tmp_path / "m.parquet", confidence=0.0)
    masks = taught_masks(parser, images, labels, chosen)
    assert not (masks[0] == EYEGLASSES).any()
    with torch.no_grad():
        probabilities = averaged(parser, normalise(images), chosen.sizes)[1]
    probabilities[EYEGLASSES] *= 2
    assert torch.equal(masks[1].long(), probabilities.argmax(dim=0))
    chosen.confidence = 1.1
    assert (taught_masks(parser, images, labels, chosen) == UNKNOWN).all()


def test_values_of_celebamask_mean_the_same_classes():
    classes = np.arange(len(PARSER_CLASSES), dtype=np.uint8)[None]
    np.testing.assert_array_equal(parser_classes(celebamask_values(classes)), classes)
    assert parser_classes(celebamask_values(np.full((1, 1), UNKNOWN, np.uint8))) == UNKNOWN


def test_an_attribute_without_a_class_is_refused(parser_folder, celeba, tmp_path):
    chosen = settings(parser_folder, celeba, tmp_path / "m.parquet")
    chosen.attributes = ("Bald",)
    with pytest.raises(ValueError, match="No class belongs to Bald"):
        teach(chosen)
