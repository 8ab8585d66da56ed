"""Recipes and options of train.py, and its answers to mistakes."""

import pytest
import torch
from runs import TINY, arguments, trained
from torch.nn import functional as F

from stgan.models import AttributeClassifier
from stgan.training import recipe_defaults
from stgan.training.checkpoints import list_checkpoints
from stgan.training.command import main, parse
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
        ({"initial_model": "/nowhere"}, "/nowhere"),
        ({"decay_start": 1.5}, "decay_start must be in [0, 1]"),
        ({"critic_steps": -1}, "critic_steps must be 0"),
        ({"logging_steps": 0}, "logging_steps, checkpointing_steps and validation_steps must be positive"),
        ({"model": "aligner", "batch_size": 1}, "an aligner needs a batch_size of at least 2"),
        ({"intensity_range": (1.5, 1.0)}, "intensity_range must be positive"),
        ({"single_flip_weights": {"Bald": 0.0}}, "single_flip_weights must be positive"),
        ({"single_flip_weights": {"Bald": float("nan")}}, "single_flip_weights must be positive"),
        ({"single_flip_weights": {"Bald": 2.0}, "recipe": "paper"}, "single_flip_weights need"),
        ({"batch_size": 60, "total_images": 60}, "lower --batch_size"),
        ({"streaming": True, "rare_attribute_power": 0.5}, "rare_attribute_power"),
        ({"model": "gpt"}, "invalid choice"),
        ({"steps_per_day": 3}, "steps_per_day"),
        ({"report_to": "carrier_pigeon"}, "carrier_pigeon"),
        ({"classifier": "/nowhere"}, "/nowhere"),
        ({"resume_from_checkpoint": "checkpoint-9"}, "no checkpoint 'checkpoint-9'"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_a_mistake_ends_with_one_clear_sentence_and_no_trace(settings, message, celeba, tmp_path, capsys):
    fixed = {"dataset": celeba, "output_dir": tmp_path, "total_images": 8}
    with pytest.raises(SystemExit) as ending:
        main(arguments(**fixed | TINY | settings), "train.py")
    printed = capsys.readouterr()
    text = f"{printed.out}{printed.err}{ending.value.code}"
    assert ending.value.code not in (0, None)
    assert message in " ".join(text.replace("│", " ").split())
    assert "Traceback" not in text


def test_the_papers_recipe_has_the_papers_numbers():
    config = recipe_defaults("stgan", "paper")
    schedule, losses, generator, method = config.schedule, config.losses, config.generator, config.method
    critic_steps = config.discriminator.critic_steps
    steps = schedule.total_images / (schedule.batch_size * (critic_steps + 1))
    assert steps == 200 * 947 == 200 * (182_000 // (32 * 6))
    factors = [learning_rate_factor(config, 0, step / steps) for step in (0, 100 * 947 - 1, 100 * 947, steps - 1)]
    assert factors == [1, 1, 0.1, 0.1]
    numbers = (schedule.learning_rate, method.adam_beta1, method.adam_beta2, schedule.batch_size, critic_steps)
    assert numbers == (2e-4, 0.5, 0.999, 32, 5)
    weights = (method.penalty_weight, config.discriminator.discriminator_attribute_weight)
    assert (*weights, losses.attribute_weight, losses.reconstruction_weight) == (10, 1, 10, 100)
    widths = (config.data.image_size, generator.width, method.max_width, config.discriminator.discriminator_width)
    assert (*widths, method.discriminator_hidden) == (128, 64, 1024, 64, 1024)
    assert (generator.layers, generator.stu_layers, generator.stu_state, method.stu_kernel) == (5, 4, "stu", 3)
    off = (config.data.random_flip, config.data.rare_attribute_power, generator.soft_mask, generator.use_regions)
    assert not any((*off, method.use_ema, method.single_flip_share, method.label_plausibility))
    assert (method.adversarial_loss, method.discriminator_norm, method.discriminator_conditional) == (
        "wgan",
        "in",
        False,
    )
    assert (method.penalty_interval, method.norm_decay, config.run.mixed_precision) == (1, 0.999, "no")


def test_regions_need_labels_given_as_differences(capsys):
    fast = {model: recipe_defaults(model, "fast").generator.use_regions for model in ("stgan", "attgan", "stargan")}
    assert fast == {"stgan": True, "attgan": False, "stargan": False}
    assert parse(arguments(model="attgan", recipe="fast", label_mode="difference", use_regions=True))
    for wrong in ({"model": "attgan", "use_regions": True}, {"model": "stgan", "label_mode": "target"}):
        with pytest.raises(SystemExit):
            parse(arguments(**wrong))
        assert "--no_use_regions" in capsys.readouterr().err


def test_an_option_overrides_its_recipe_and_nothing_else():
    for model in ("stgan", "attgan", "stargan", "classifier"):
        for recipe in ("fast", "paper"):
            defaults = recipe_defaults(model, recipe)
            chosen = parse(arguments(model=model, recipe=recipe, batch_size=7, attributes=("Male",)))
            different = {name for name, value in chosen.flat().items() if value != defaults.flat()[name]}
            assert different == {"batch_size", "attributes"}


def test_stargans_recipe_weighs_a_sum_over_attributes_as_its_paper_does():
    config = recipe_defaults("stargan", "paper")
    logits, labels = torch.randn(16, 13), torch.randint(0, 2, (16, 13)).float()
    original = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 16
    for weight in (config.losses.attribute_weight, config.discriminator.discriminator_attribute_weight):
        torch.testing.assert_close(weight * attribute_loss(logits, labels), original)
