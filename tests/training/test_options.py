"""The options: defaults, recipes, the command line and its answers to mistakes, and records of earlier versions."""

import json
import re
from dataclasses import fields, is_dataclass

import pytest
import torch
from runs import TINY, arguments, trained
from torch.nn import functional as F

from stgan.editing.editor import BUNDLED
from stgan.models import AttributeClassifier
from stgan.models.registry import trainable
from stgan.training.checkpoints import list_checkpoints
from stgan.training.command import ESSENTIAL, main, parse
from stgan.training.config import GROUPS, METHOD, TrainingConfig, current_names, r1_weight, recipe_defaults
from stgan.training.losses import attribute_loss
from stgan.training.schedule import Schedule

MODELS = tuple(trainable())
# A value of each option that is no recipe's, in the words of the command line.
OTHERS = {
    "model": "attgan", "recipe": "paper", "dataset": "me/faces@v2", "attributes": "Male Young", "crop": "none",
    "attribute_dataset": "me/more",
    "image_size": "96", "streaming": True, "max_train_samples": "7", "max_validation_samples": "9",
    "dataloader_num_workers": "3", "random_flip": False, "rare_attribute_power": "0.3", "output_dir": "runs/other",
    "initial_model": "me/editor", "seed": "5", "mixed_precision": "bf16", "execution": "compiled",
    "total_images": "1234", "batch_size": "6", "learning_rate": "0.5", "decay_start": "0.1", "width": "12",
    "layers": "3", "stu_layers": "2", "stu_state": "gru", "label_mode": "difference", "soft_mask": False,
    "use_regions": False, "region_parser": "me/parser",
    "discriminator_width": "10", "discriminator_attribute_weight": "3.5",
    "attribute_penalty_share": "0.15", "projected_weight": "0.5", "cheek_weight": "3.5", "max_flips": "3",
    "varied_light": "0.2", "least_accuracy": "0.7", "attribute_weight": "11.5", "never_shown_attribute_weight": "2.5",
    "attribute_margin": "0.7", "intensity_range": "1.0 1.7", "reconstruction_weight": "30.5", "mask_weight": "0.5",
    "single_flip_weights": "Bald 2.0 Male 3.0", "validation_steps": "11", "classifier": "me/judge",
    "logging_steps": "13", "report_to": "none", "checkpointing_steps": "17", "resume_from_checkpoint": "latest",
    "resume_anyway": True, "push_to_hub": "me/pushed", "push_state_every": "4", "hub_private": True,
}  # fmt: skip


NOT_FOR_STREAMS = ("rare_attribute_power", "attribute_dataset")


def flag(name, value):
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no_{name}"]
    return [f"--{name}", *value.split()]


@pytest.mark.parametrize("recipe", ["fast", "paper"])
@pytest.mark.parametrize("model", MODELS)
def test_a_configuration_is_the_same_after_it_was_flat(model, recipe):
    config = recipe_defaults(model, recipe)
    assert TrainingConfig.from_flat(**config.flat()) == config
    record = json.loads(json.dumps(config.record()))
    again = TrainingConfig.from_record(record)
    assert (again.flat(), again.method) == (config.flat(), config.method)
    assert TrainingConfig.from_flat(model=model, recipe=recipe) == config


def test_options_without_a_recipe_are_those_of_the_default_recipe():
    assert TrainingConfig() == recipe_defaults("stgan", "fast") == parse([])


def test_there_are_few_options_and_each_has_a_flat_name_of_its_own():
    parts = [(field.name, getattr(TrainingConfig(), field.name)) for field in fields(TrainingConfig)]
    names = [name for own, part in parts for name in ([f.name for f in fields(part)] if is_dataclass(part) else [own])]
    names.remove("overrides")
    assert sorted(names) == sorted(GROUPS) == sorted(OTHERS)
    assert len(set(names)) == len(names) <= 55
    assert not set(names) & METHOD


@pytest.mark.parametrize("name", OTHERS)
def test_every_flag_sets_its_option_and_nothing_else(name):
    words = flag(name, OTHERS[name]) if name != "streaming" else ["--streaming"]
    config = parse(words)
    starts = {each: OTHERS[each] for each in ("model", "recipe", "streaming") if each == name}
    before = TrainingConfig.from_flat(**starts).flat()
    changed = {each for each, value in config.flat().items() if value != before[each]}
    assert changed == (set() if starts else {name})
    if name in starts:
        assert config.flat()[name] == OTHERS[name]


def test_a_record_of_an_impossible_method_is_refused():
    with pytest.raises(ValueError, match="critic_steps must be 0"):
        TrainingConfig.from_flat(critic_steps=-1)


def test_all_flags_together_become_their_values():
    words = [word for name, value in OTHERS.items() if name not in NOT_FOR_STREAMS for word in flag(name, value)]
    words += ["--rare_attribute_power", "0", "--recipe", "fast"]
    flat = parse(words).flat()
    assert (flat["attributes"], flat["intensity_range"]) == (("Male", "Young"), (1.0, 1.7))
    assert flat["single_flip_weights"] == {"Bald": 2.0, "Male": 3.0}
    assert (flat["soft_mask"], flat["hub_private"], flat["learning_rate"]) == (False, True, 0.5)
    assert TrainingConfig.from_flat(**flat).flat() == flat


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--help"], ESSENTIAL), (["-h", "--model", "attgan"], ESSENTIAL), (["--help-all"], tuple(GROUPS))],
)
def test_help_shows_the_dozen_options_that_matter_and_help_all_the_rest(words, expected, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    text = capsys.readouterr().out
    shown = set(re.findall(r"^\W*--(\w+)", text, re.MULTILINE)) & GROUPS.keys()
    assert shown == set(expected)
    assert len(ESSENTIAL) <= 14
    assert "--help-all" in text
    assert "Height and width of the training images" in " ".join(re.sub("[│|]", " ", text).split())


@pytest.mark.parametrize("words", [["--stu_kernel", "5"], ["--hub_model_id", "me/x"], ["--no_such_option"]])
def test_a_flag_that_is_not_there_is_named(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert f"Unrecognized options: {words[0]}" in capsys.readouterr().err


def test_a_setting_that_is_not_there_is_named():
    with pytest.raises(TypeError, match="no training option weight_dekay"):
        TrainingConfig.from_flat(weight_dekay=0.1)


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
    expected = {
        "learning_rate": 2e-4, "adam_beta1": 0.5, "adam_beta2": 0.999, "batch_size": 32, "critic_steps": 5,
        "penalty_weight": 10, "penalty_interval": 1, "discriminator_attribute_weight": 1, "attribute_weight": 10,
        "reconstruction_weight": 100, "image_size": 128, "width": 64, "max_width": 1024, "discriminator_width": 64,
        "discriminator_hidden": 1024, "layers": 5, "stu_layers": 4, "stu_state": "stu", "stu_kernel": 3,
        "adversarial_loss": "wgan", "discriminator_norm": "in", "norm_decay": 0.999, "mixed_precision": "no",
    }  # fmt: skip
    record = config.record()
    assert {name: record[name] for name in expected} == expected
    off = ("random_flip", "rare_attribute_power", "soft_mask", "use_regions", "use_ema", "single_flip_share")
    assert not any(record[name] for name in (*off, "label_plausibility", "discriminator_conditional"))
    schedule = Schedule(config, 32 * 6)
    assert schedule.total_steps == record["total_images"] / (32 * 6) == 200 * 947 == 200 * (182_000 // (32 * 6))
    assert [schedule.rate_factor(step) for step in (0, 100 * 947 - 1, 100 * 947, 200 * 947 - 1)] == [1, 1, 0.1, 0.1]


def test_regions_need_labels_given_as_differences(capsys):
    fast = {model: recipe_defaults(model, "fast").generator.use_regions for model in ("stgan", "attgan", "stargan")}
    assert fast == {"stgan": True, "attgan": False, "stargan": False}
    assert parse(arguments(model="attgan", recipe="fast", label_mode="difference", use_regions=True))
    for wrong in ({"model": "attgan", "use_regions": True}, {"model": "stgan", "label_mode": "target"}):
        with pytest.raises(SystemExit):
            parse(arguments(**wrong))
        assert "--no_use_regions" in capsys.readouterr().err


def test_stargans_recipe_weighs_a_sum_over_attributes_as_its_paper_does():
    config = recipe_defaults("stargan", "paper")
    logits, labels = torch.randn(16, 13), torch.randint(0, 2, (16, 13)).float()
    original = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 16
    for weight in (config.losses.attribute_weight, config.discriminator.discriminator_attribute_weight):
        torch.testing.assert_close(weight * attribute_loss(logits, labels), original)


def test_the_method_follows_from_recipe_and_options():
    method = {run: TrainingConfig.from_flat(model=run[0], recipe=run[1]).method for run in [
        ("stgan", "fast"), ("stgan", "paper"), ("stargan", "paper"), ("classifier", "fast"),
    ]}  # fmt: skip
    assert {run: each.lr_schedule for run, each in method.items()} == {
        ("stgan", "fast"): "linear", ("stgan", "paper"): "drop", ("stargan", "paper"): "linear",
        ("classifier", "fast"): "cosine",
    }  # fmt: skip
    assert method["stgan", "paper"].penalty_weight == 10
    assert method["classifier", "fast"].warmup_images == 5_000
    # The widths that the official code and the bundled model's commands put together.
    hidden = {width: TrainingConfig.from_flat(discriminator_width=width).method.discriminator_hidden
              for width in (64, 48, 32, 24)}  # fmt: skip
    assert hidden == {64: 1024, 48: 512, 32: 512, 24: 256}
    assert TrainingConfig.from_flat(streaming=True).method.label_plausibility == 0
    continued = TrainingConfig.from_flat(initial_model="me/editor", total_images=60_000).method
    assert (continued.mask_ramp, continued.discriminator_head_start) == ((0.0, 0.1), 10_000)


def test_r1_weighs_what_the_recipe_was_chosen_with():
    assert r1_weight(128, 32) == pytest.approx(0.2)
    assert r1_weight(256, 128) == r1_weight(128, 32) == TrainingConfig().method.penalty_weight
    assert TrainingConfig().for_processes(2).method.penalty_weight == r1_weight(128, 64)
    paper = recipe_defaults("stgan", "paper")
    assert paper.for_processes(2) == paper


PAST_RECORD = {  # of the 128 px model of 26 November 2026, in part; options have gone since, or have other defaults
    "model": "stgan", "recipe": "fast", "dataset": "data/celeba", "dataset_revision": None, "device_data_share": 0.5,
    "output_dir": "runs/stgan-3", "total_images": 63000, "batch_size": 8, "compile": False, "cuda_graphs": True,
    "initial_model": "runs/mean-2", "width": 24, "max_width": 1024, "layers": 5, "stu_layers": 4, "stu_kernel": 3,
    "inject_layers": -1, "discriminator_width": 24, "discriminator_hidden": 256, "classifier_width": 24,
    "penalty_weight": 0.2, "mask_ramp": [0.0, 0.1], "intensity_range": [1.0, 1.7], "checkpoints_total_limit": 2,
    "single_flip_weights": {"Bald": 2.0, "Pale_Skin": 2.0}, "push_to_hub": False, "hub_model_id": None,
}  # fmt: skip


def test_a_record_with_options_that_are_gone_still_loads():
    config = TrainingConfig.from_record(PAST_RECORD)
    assert (config.generator.width, config.discriminator.discriminator_width) == (24, 24)
    assert (config.method.discriminator_hidden, config.method.penalty_weight) == (256, 0.2)
    assert config.method.mask_ramp == (0.0, 0.1)
    assert config.losses.single_flip_weights["Bald"] == 2
    again = json.loads(json.dumps(config.record()))
    changed = {name for name in again.keys() & PAST_RECORD if again[name] != PAST_RECORD[name]}
    assert changed == {"inject_layers", "push_to_hub"}
    assert (again["inject_layers"], again["push_to_hub"], again["execution"]) == (4, None, "graphs")


def test_the_bundled_models_record_is_read_without_loss():
    record = json.loads((BUNDLED / "training.json").read_text(encoding="utf-8"))["config"]
    again = json.loads(json.dumps(TrainingConfig.from_record(record).record()))
    assert {name: again[name] for name in record} == record


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"dataset": "me/faces", "dataset_revision": "v2"}, {"dataset": "me/faces@v2"}),
        ({"dataset": "me/faces", "dataset_revision": None}, {"dataset": "me/faces"}),
        (
            {"model": "classifier", "width": 64, "classifier_width": 4, "aligner_width": 28},
            {"width": 4},
        ),
        ({"model": "aligner", "width": 64, "classifier_width": 24, "aligner_width": 5}, {"width": 5}),
        ({"compile": False, "cuda_graphs": True}, {"execution": "graphs"}),
        ({"compile": True, "cuda_graphs": True}, {"execution": "compiled"}),
        ({"compile": False, "cuda_graphs": False}, {"execution": "eager"}),
        ({"push_to_hub": True, "hub_model_id": "me/x", "output_dir": "runs/y"}, {"push_to_hub": "me/x"}),
        ({"push_to_hub": True, "hub_model_id": None, "output_dir": "runs/y"}, {"push_to_hub": "y"}),
        ({"push_to_hub": False, "hub_model_id": "me/x", "output_dir": "runs/y"}, {"push_to_hub": None}),
        ({"model": "stgan", "inject_layers": -1}, {"inject_layers": 4}),
        ({"model": "attgan", "inject_layers": -1}, {"inject_layers": None}),
        ({"attributes": ["Male"], "mask_ramp": [0.1, 0.6]}, {"attributes": ("Male",), "mask_ramp": (0.1, 0.6)}),
    ],
)
def test_options_of_earlier_versions_have_their_names_of_today(old, new):
    current = current_names(old)
    assert {name: current[name] for name in new} == new


def test_a_run_that_goes_on_keeps_the_method_of_its_checkpoint():
    old = {"discriminator_hidden": 8, "stu_kernel": 5, "max_width": 16, "learning_rate": 1.0, "gone": 1}
    config = TrainingConfig.from_flat(learning_rate=2e-4).continuing(old)
    method = config.method
    assert (method.discriminator_hidden, method.stu_kernel, method.max_width) == (8, 5, 16)
    assert config.schedule.learning_rate == 2e-4
    assert method.discriminator_norm == TrainingConfig().method.discriminator_norm
    assert config.changed(width=8).method.stu_kernel == 5


@pytest.mark.parametrize(
    ("dataset", "source"),
    [("me/faces", ("me/faces", None)), ("me/faces@v2", ("me/faces", "v2")), ("folder@home", ("folder@home", None))],
)
def test_a_dataset_may_name_its_revision(dataset, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder@home").mkdir()
    assert TrainingConfig.from_flat(dataset=dataset).data.source == source
