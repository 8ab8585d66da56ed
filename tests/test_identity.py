"""Distances between face descriptors: which faces, which pairs, and dlib's own answer."""

import numpy as np
import pytest
import torch

from stgan.evaluation.identity import DlibRecognition, pair_distances, same_person_pairs, sampled_people


class MeanRecognition:
    """Describes a face by its mean colour; its place is its corner's first level."""

    def __init__(self):
        self.described = 0

    def locate(self, image):
        return int(image[0, 0, 0])

    def describe(self, image, place):
        self.described += 1
        return image.mean(axis=(0, 1)) / 255


def test_pairs_are_two_photos_of_one_person():
    identities = torch.tensor([5, 7, 5, 8, 7, 5, 9])
    assert same_person_pairs(identities).tolist() == [[0, 2], [1, 4]]
    assert same_person_pairs(torch.arange(3)).shape == (0, 2)
    assert len(same_person_pairs(torch.arange(40).repeat(2), people=8)) == 8


def test_people_are_sampled_evenly():
    assert sampled_people(1000, 5).tolist() == [0, 250, 500, 749, 999]
    assert sampled_people(3, 5).tolist() == [0, 1, 2]


def test_distances_are_euclidean_and_each_photo_is_described_once():
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    recognition = MeanRecognition()
    found = pair_distances(recognition, images, torch.tensor([[0, 1], [0, 2], [3, 3]]))
    means = images.double().mean(dim=(2, 3)) / 255
    expected = [(means[0] - means[1]).norm(), (means[0] - means[2]).norm(), 0]
    assert found.tolist() == pytest.approx([float(each) for each in expected])
    assert recognition.described == 4


def test_missing_packages_say_how_to_install_them(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(ModuleNotFoundError, match=r'dlib.*pip install -e "\.\[identity\]"'):
        DlibRecognition()


def test_dlib_finds_the_eyes_where_aligned_faces_have_them():
    pytest.importorskip("dlib")
    pytest.importorskip("face_recognition_models")
    from skimage.data import astronaut

    from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS

    # The astronaut's eyes and mouth lie such that this square is CelebA's crop.
    scale = 1.02
    left, top = 222 - scale * (88.5 - 3), 107 - scale * (111.2 - 26)
    box = [round(v) for v in (left, top, left + scale * 170, top + scale * 170)]
    face = np.ascontiguousarray(astronaut()[box[1] : box[3], box[0] : box[2]])
    recognition = DlibRecognition()
    place = recognition.locate(face)
    points = np.array([(point.x, point.y) for point in place.parts()]) / scale + CELEBA_CROP[:2]
    eyes = np.stack([points[2:4].mean(axis=0), points[:2].mean(axis=0)])
    assert np.abs(eyes - MEAN_LANDMARKS[:2]).max() < 8
    same = recognition.describe(face, place)
    darker = recognition.describe((face * 0.85).astype(np.uint8), place)
    assert 0 < np.linalg.norm(same - darker) < 0.3
    assert same.shape == (128,)
