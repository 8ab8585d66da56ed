"""The benchmark of training speed: what it counts, and that it measures the loop that train.py runs."""

import math

import pytest
import torch
from accelerate.state import AcceleratorState
from scripts import load_script

from stgan.training import TrainingConfig

throughput = load_script("benchmarks/throughput.py")


def test_operations_are_those_of_the_textbook_second_derivatives_included():
    count, inputs, outputs, kernel, side = 2, 3, 5, 4, 16
    convolution = torch.nn.Conv2d(inputs, outputs, kernel, stride=2, padding=1, bias=False)
    images = torch.randn(count, inputs, side, side, requires_grad=True)
    forward = 2 * count * outputs * inputs * kernel**2 * (side // 2) ** 2
    with throughput.OperationCounter() as counter:
        seen = convolution(images)
    assert counter.operations == forward
    with throughput.OperationCounter() as counter:
        (gradient,) = torch.autograd.grad(seen.square().sum(), images, create_graph=True)
    assert counter.operations == forward  # to the images alone
    with throughput.OperationCounter() as counter:
        gradient.square().sum().backward()
    assert counter.operations >= 3 * forward  # back through both passes, to the weights and the images


def test_the_loop_of_the_trainer_is_what_is_measured(monkeypatch):
    AcceleratorState._reset_state(reset_partial_state=True)
    config = TrainingConfig.from_flat(
        image_size=32, width=4, discriminator_width=4, batch_size=4, mixed_precision="no", report_to="none",
        penalty_interval=2, total_images=10**9,
    )  # fmt: skip
    steps = []
    monkeypatch.setattr(
        throughput.TimedTrainer, "_train_step", lambda self: steps.append(super(type(self), self)._train_step())
    )
    operations = throughput.measured(config, 0)["operations"]
    assert len(steps) == config.method.penalty_interval  # one of each kind
    assert operations > 1e6
    figures = throughput.measured(config, 0.2)
    assert all("g_attribute" in terms for terms in steps)
    assert figures["images"] == pytest.approx(config.schedule.batch_size / figures["step"])
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_way_that_there_is_not_is_named_before_anything_runs():
    with pytest.raises(SystemExit, match="--executions faster: choose from eager"):
        throughput.main(executions=("graphs", "faster"))
