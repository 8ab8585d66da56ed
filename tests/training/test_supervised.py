"""The classifier and the aligner learn, and the classifier is calibrated."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from runs import NAMES, configured, trained
from safetensors.torch import load_file
from torch.nn import functional as F

from stgan.models import STGAN, AttributeClassifier, FaceAligner, ModelFolderError
from stgan.training.classification import random_similarity
from stgan.training.trainer import OBJECTIVES


def test_a_classifier_learns_visible_attributes(celeba, tmp_path):
    finished = trained(
        celeba, tmp_path, "classifier-fast", steps=90, batch_size=16, attributes=("Eyeglasses", "Pale_Skin"),
        max_validation_samples=12, warmup_images=160, logging_steps=50, checkpointing_steps=1_000, ema_half_life=160,
    )  # fmt: skip
    assert finished.objective.validate(finished.validation_data)["accuracy"] > 0.9


def supervised(model, tmp_path, **settings):
    AcceleratorState._reset_state(reset_partial_state=True)
    return OBJECTIVES[model](configured("none", tmp_path, f"{model}-fast", **settings), NAMES, Accelerator())


@pytest.fixture
def saved_editor(tmp_path):
    STGAN(NAMES, 32, 4, layers=3, stu_layers=2).save_pretrained(tmp_path / "editor")
    AttributeClassifier(NAMES, 32, 4).save_pretrained(tmp_path / "editor" / "classifier")
    return tmp_path / "editor"


@pytest.mark.parametrize("folder", [".", "classifier"])
def test_a_classifier_continues_from_its_own_folder_or_an_editors(folder, saved_editor, tmp_path):
    new = supervised("classifier", tmp_path, initial_model=saved_editor / folder).plain_network.state_dict()
    saved = load_file(saved_editor / "classifier" / "model.safetensors")
    assert new.keys() == saved.keys()
    assert all(torch.equal(value, saved[name]) for name, value in new.items())
    with pytest.raises(ModelFolderError, match="has width 4 instead of 8: train with its settings"):
        supervised("classifier", tmp_path, initial_model=saved_editor / folder, width=8)


@pytest.mark.parametrize("model", ["aligner", "parser"])
def test_a_run_refuses_to_start_from_a_model_of_another_kind(model, saved_editor, tmp_path):
    with pytest.raises(ModelFolderError, match=f"--initial_model .*editor is no {model} and has none in {model}/"):
        supervised(model, tmp_path, initial_model=saved_editor)


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
    run = trained(celeba, tmp_path, "classifier-fast", steps=4, validation_steps=2, use_ema=use_ema)
    saved = AttributeClassifier.from_pretrained(tmp_path / "model").thresholds
    assert not torch.equal(saved, torch.full((4,), 0.5))
    run.objective.update_average(100, 4)
    assert torch.equal(run.objective.trained_model.thresholds, saved)
