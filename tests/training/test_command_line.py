"""Recipes and options of train.py, and its answers to mistakes."""

import sys
from dataclasses import asdict

import pytest
import torch
from runs import TINY, arguments, train_script, trained
from torch.nn import functional as F

from stgan.models import AttributeClassifier
from stgan.training import recipe_defaults
from stgan.training.checkpoints import list_checkpoints
from stgan.training.losses import attribute_loss
from stgan.training.schedule import learning_rate_factor


def test_a_judge_without_the_attributes_is_refused_before_training(celeba, tmp_path):
    AttributeClassifier(("Male",), 32, 4).save_pretrained(tmp_path / "judge")
    with pytest.raises(ValueError, match="Black_Hair"):
        trained(celeba, tmp_path / "run", classifier=tmp_path / "judge")
    assert not list_checkpoints(tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "/nowhere"}, "No dataset at /nowhere"),
        ({"attributes": ("Eyeglases",)}, "Did you mean Eyeglasses"),
        ({"image_size": 30}, "multiple of 8"),
        ({"batch_size": 0}, "batch_size and total_images must be positive"),
        ({"max_train_samples": 0}, "max_train_samples and max_validation_samples must be positive"),
        ({"discriminator_head_start": -1}, "discriminator_head_start must not be negative"),
        ({"initial_model": "/nowhere"}, "/nowhere"),
        ({"penalty_interval": 0}, "penalty_interval must be positive"),
        ({"checkpoints_total_limit": 0}, "checkpoints_total_limit must be positive"),
        ({"mask_ramp": (0.7, 0.3)}, "mask_ramp must rise"),
        ({"mask_concavity": 2}, "mask_concavity must be"),
        ({"painted_share": 1.5}, "painted_share must be"),
        ({"discriminator_augmentation": -0.1}, "discriminator_augmentation must be"),
        ({"weight_decay": 0.1}, "weight_decay is for classifier and aligner"),
        ({"model": "aligner", "batch_size": 1}, "set --batch_size to 2 or more"),
        ({"intensity_range": (1.5, 1.0)}, "intensity_range must be positive"),
        ({"single_flip_weights": {"Bald": 0.0}}, "single_flip_weights must be positive"),
        ({"single_flip_weights": {"Bald": float("nan")}}, "single_flip_weights must be positive"),
        ({"single_flip_weights": {"Bald": 2.0}, "single_flip_share": 0.0}, "single_flip_weights need"),
        ({"batch_size": 60, "total_images": 60}, "lower --batch_size"),
        ({"streaming": True, "rare_attribute_power": 0.5}, "rare_attribute_power"),
        ({"streaming": True, "label_plausibility": 0.1}, "label_plausibility"),
        ({"model": "gpt"}, "invalid choice"),
        ({"steps_per_day": 3}, "steps_per_day"),
        ({"report_to": "carrier_pigeon"}, "carrier_pigeon"),
        ({"classifier": "/nowhere"}, "/nowhere"),
        ({"resume_from_checkpoint": "checkpoint-9"}, "no checkpoint 'checkpoint-9'"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_a_mistake_ends_with_one_clear_sentence_and_no_trace(settings, message, celeba, tmp_path, monkeypatch, capsys):
    fixed = {"dataset": celeba, "output_dir": tmp_path, "total_images": 8}
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments(**fixed | TINY | settings)])
    with pytest.raises(SystemExit) as ending:
        train_script.main()
    printed = capsys.readouterr()
    text = f"{printed.out}{printed.err}{ending.value.code}"
    assert ending.value.code not in (0, None)
    assert message in " ".join(text.replace("│", " ").split())
    assert "Traceback" not in text


def test_the_papers_recipe_has_the_papers_numbers():
    config = recipe_defaults("stgan", "paper")
    steps = config.total_images / (config.batch_size * (config.critic_steps + 1))
    assert steps == 200 * 947 == 200 * (182_000 // (32 * 6))
    factors = [learning_rate_factor(config, 0, step / steps) for step in (0, 100 * 947 - 1, 100 * 947, steps - 1)]
    assert factors == [1, 1, 0.1, 0.1]
    numbers = (config.learning_rate, config.adam_beta1, config.adam_beta2, config.batch_size, config.critic_steps)
    assert numbers == (2e-4, 0.5, 0.999, 32, 5)
    weights = (config.penalty_weight, config.discriminator_attribute_weight)
    assert (*weights, config.attribute_weight, config.reconstruction_weight) == (10, 1, 10, 100)
    shape = (config.image_size, config.width, config.max_width, config.layers, config.stu_layers, config.stu_state)
    assert shape == (128, 64, 1024, 5, 4, "stu")
    off = (config.random_flip, config.use_ema, config.soft_mask, config.use_regions, config.single_flip_share)
    assert not any((*off, config.rare_attribute_power))
    assert (config.penalty_interval, config.norm_decay, config.mixed_precision) == (1, 0.999, "no")


def test_regions_need_labels_given_as_differences(capsys):
    fast = {model: recipe_defaults(model, "fast").use_regions for model in ("stgan", "attgan", "stargan")}
    assert fast == {"stgan": True, "attgan": False, "stargan": False}
    assert train_script.parse(arguments(model="attgan", recipe="fast", label_mode="difference", use_regions=True))
    for wrong in ({"model": "attgan", "use_regions": True}, {"model": "stgan", "label_mode": "target"}):
        with pytest.raises(SystemExit):
            train_script.parse(arguments(**wrong))
        assert "--no_use_regions" in capsys.readouterr().err


def test_an_option_overrides_its_recipe_and_nothing_else():
    for model in ("stgan", "attgan", "stargan", "classifier"):
        for recipe in ("fast", "paper"):
            defaults = recipe_defaults(model, recipe)
            chosen = train_script.parse(arguments(model=model, recipe=recipe, batch_size=7, attributes=("Male",)))
            different = {n for n in asdict(defaults) if getattr(chosen, n) != getattr(defaults, n)}
            assert different == {"batch_size", "attributes"}


def test_stargans_recipe_weighs_a_sum_over_attributes_as_its_paper_does():
    config = recipe_defaults("stargan", "paper")
    logits, labels = torch.randn(16, 13), torch.randint(0, 2, (16, 13)).float()
    original = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 16
    for weight in (config.attribute_weight, config.discriminator_attribute_weight):
        torch.testing.assert_close(weight * attribute_loss(logits, labels), original)
