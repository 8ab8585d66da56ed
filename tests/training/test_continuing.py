"""A run that continues another one from what it left: the average and both discriminators."""

import copy

import pytest
import torch
from runs import objective, trained
from test_projection import SETTINGS, batch

from stgan.models import load_generator
from stgan.models.backbone import Backbone
from stgan.models.efficientnet import EfficientNetLite0
from stgan.training.checkpoints import write_snapshot

OPTIONS = SETTINGS | {"total_images": 100, "learning_rate": 1e-3, "mask_concavity": 0.2}


@pytest.fixture(autouse=True)
def _one_backbone(monkeypatch):
    network = EfficientNetLite0()
    monkeypatch.setattr("stgan.training.projection.pretrained_backbone", lambda: copy.deepcopy(Backbone(network)))


def steps(editing, numbers, progress):
    """Steps with the same images and random numbers for every objective; their terms."""
    terms = []
    for number in numbers:
        random = torch.Generator().manual_seed(number)
        terms.append(editing.step(batch, random, number, progress))
        editing.update_average(10_000 + 4 * number, 4)
    return terms


def without_moments(editing):
    """The same objective as if its run had just begun from its average, with fresh optimizers."""
    editing.plain_generator.load_state_dict(editing.ema.model.state_dict())
    for optimizer in editing.optimizers:
        optimizer.state.clear()
    return editing


@pytest.mark.parametrize("half", [False, True])
def test_a_continuation_loses_nothing_but_adams_moments(half, tmp_path):
    first = objective(tmp_path, **OPTIONS)
    steps(first, range(4), 0.9)
    folder = write_snapshot(first, tmp_path, {}, "model", half=half)
    second = objective(tmp_path, initial_model=folder, **OPTIONS)
    second.head_start = 0
    first = without_moments(first)
    first.projection.formed = True
    progress = 0.0  # of the new run
    first.continues = True
    ours, theirs = (steps(each, range(8, 11), progress) for each in (second, first))
    assert ours[0].keys() == theirs[0].keys()
    assert {"g_projected", "d_projected", "g_mask", "d_mismatch"} <= ours[0].keys()
    tolerance = {"rtol": 0.05, "atol": 5e-3} if half else {"rtol": 1e-4, "atol": 1e-6}
    for mine, expected in zip(ours, theirs, strict=True):
        for name, value in mine.items():
            torch.testing.assert_close(value, expected[name], **tolerance)
    for mine, expected in zip(
        (*second.networks, second.ema.model), (*first.networks, first.ema.model), strict=True
    ):  # fmt: skip
        for name, value in mine.state_dict().items():
            if not half:
                torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=1e-5, msg=name)


def test_half_precision_rounds_kernels_and_leaves_the_rest(tmp_path):
    first = objective(tmp_path, **OPTIONS)
    steps(first, range(2), 0.9)
    saved = load_generator(write_snapshot(first, tmp_path, {}, "model", half=True)).state_dict()
    for name, value in first.trained_model.state_dict().items():
        expected = value.half().float() if value.ndim >= 2 else value
        assert torch.equal(saved[name], expected), name


def test_fresh_optimizers_let_the_discriminators_learn_alone_at_first(tmp_path, capsys):
    first = objective(tmp_path, **OPTIONS)
    folder = write_snapshot(first, tmp_path, {}, "model")
    second = objective(tmp_path, initial_model=folder, **OPTIONS | {"discriminator_head_start": 40})
    assert "starts from that of" in capsys.readouterr().out
    assert second.head_start == 10
    assert second.projection.formed
    (early,), (late,) = steps(second, [0], 0.05), steps(second, [1], 0.1)
    assert {"d_adversarial", "d_projected"} <= early.keys()
    assert not any(name.startswith("g_") for name in early)
    assert {"g_adversarial", "g_projected"} <= late.keys()


def test_the_average_of_a_continued_run_counts_the_images_of_the_first(celeba, tmp_path):
    trained(celeba, tmp_path / "first", steps=3)
    seen = []
    run = trained(celeba, tmp_path / "second", steps=1, initial_model=tmp_path / "first" / "model")
    run.objective.update_average = lambda images, per_step: seen.append((images, per_step))
    run._train_step()  # one more, by hand
    assert seen == [(3 * 4 + 2 * 4, 4)]
