"""A run that diverges stops, and a discriminator that overfits is reported."""

import json
import math

import pytest
import torch
from runs import trained, trainer
from safetensors.torch import load_file
from torch import nn

from stgan.training import TrainingError
from stgan.training.alarms import all_finite
from stgan.training.checkpoints import list_checkpoints
from stgan.training.editing import EditingObjective


def break_weights(run, at):
    """Let a weight become not a number in one step of a run."""
    step = run._train_step

    def diverging_step():
        terms = step()
        if run.step == at:
            with torch.no_grad():
                (next(run.objective.plain_generator.parameters())[0]).fill_(math.nan)
        return terms

    run._train_step = diverging_step


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_a_run_that_diverges_stops_and_keeps_its_last_sound_checkpoint(broken, celeba, tmp_path, monkeypatch):
    monkeypatch.setattr("stgan.training.checkpoints.KEPT", 1)
    logging_steps = 5 if broken == "loss" else 100
    run = trainer(celeba, tmp_path, steps=9, checkpointing_steps=2, logging_steps=logging_steps)
    break_weights(run, at=5)
    step = run._train_step
    if broken == "loss":
        run._train_step = lambda: step() | ({"g_adversarial": torch.tensor(math.nan)} if run.step == 5 else {})
    with pytest.raises(TrainingError, match="became infinite or not a number.*resume_from_checkpoint latest"):
        run.train()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-4"]
    assert all(value.isfinite().all() for value in load_file(tmp_path / "checkpoint-4" / "model.safetensors").values())


def test_a_diverged_model_does_not_replace_a_sound_one(celeba, tmp_path):
    run = trainer(celeba, tmp_path, steps=9, validation_steps=2, checkpointing_steps=2, logging_steps=100)
    break_weights(run, at=4)
    with pytest.raises(TrainingError, match="weights became infinite"):
        run.train()
    assert json.loads((tmp_path / "model" / "training.json").read_text(encoding="utf-8"))["steps"] == 2
    assert all(value.isfinite().all() for value in load_file(tmp_path / "model" / "model.safetensors").values())


def test_weights_are_finite_only_if_all_are():
    networks = [nn.Linear(3, 3), nn.Linear(2, 2)]
    assert all_finite(networks)
    for value in (math.nan, math.inf):
        with torch.no_grad():
            networks[1].bias[1] = value
        assert not all_finite(networks)


@pytest.mark.parametrize(("training_loss", "warning"), [(0.1, True), (0.19, False)])
def test_a_run_warns_when_its_discriminator_overfits(training_loss, warning, celeba, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(EditingObjective, "validate", lambda *_: {"d_attribute": 0.3})
    step = EditingObjective._shared_step
    loss = torch.tensor(training_loss)
    monkeypatch.setattr(EditingObjective, "_shared_step", lambda *given: step(*given) | {"d_attribute": loss})
    trained(celeba, tmp_path, steps=2)
    message = "The discriminator is overfitting: its attribute loss is 0.1 on training images and 0.3 on validation"
    assert (message in capsys.readouterr().out) == warning
