"""The learning rate and the moving average, against their formulas."""

import copy
import math

import pytest
import torch
from torch import nn

from stgan.training import TrainingConfig
from stgan.training.objective import ExponentialMovingAverage
from stgan.training.schedule import Schedule


@pytest.mark.parametrize(
    ("schedule", "expected", "last"),
    [("drop", [1, 1, 0.1, 0.1], 0.1), ("linear", [1, 1, 1, 0.5], 0), ("cosine", [1, 1, 1, 0.5], 0)],
)
def test_learning_rate_schedules(schedule, expected, last):
    config = TrainingConfig.from_flat(lr_schedule=schedule, decay_start=0.5, total_images=1_000_000)
    factor = Schedule(config, 1).rate_factor
    assert [factor(image) for image in (0, 490_000, 500_000, 750_000)] == pytest.approx(expected)
    assert factor(999_999) == pytest.approx(last, abs=1e-5)
    constant = Schedule(config.changed(decay_start=1.0), 1)
    assert [constant.rate_factor(image) for image in (0, 500_000, 999_999)] == [1, 1, 1]


def test_the_learning_rate_rises_over_the_first_images():
    schedule = Schedule(TrainingConfig.from_flat(warmup_images=320, batch_size=32), 1)
    factors = [schedule.rate_factor(image) for image in (0, 32, 288, 320, 9_999)]
    assert factors == pytest.approx([0.1, 0.2, 1, 1, 1])


def test_the_average_is_the_weighted_sum_of_all_earlier_weights():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = ExponentialMovingAverage(model, half_life=50, ramp=0.5)
    history, decays = [copy.deepcopy(model.state_dict())], []
    for step in range(1, 30):
        with torch.no_grad():
            for value in model.state_dict().values():
                value.add_(1) if not value.is_floating_point() else value.normal_()
        average.update(model, images_seen=8 * step, images_per_step=8)
        history.append(copy.deepcopy(model.state_dict()))
        decays.append(0.5 ** (8 / max(1, min(50, 0.5 * 8 * step))))
    for name, value in average.model.state_dict().items():
        if not value.is_floating_point():
            assert torch.equal(value, history[-1][name])
            continue
        expected = history[0][name] * math.prod(decays)
        for k in range(1, 30):
            expected = expected + history[k][name] * (1 - decays[k - 1]) * math.prod(decays[k:])
        torch.testing.assert_close(value, expected)
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())
