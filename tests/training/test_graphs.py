"""Recorded steps against the same steps launched one by one. Most need a GPU: a CPU has no graphs."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from runs import watch

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.data import MemoryDataset
from stgan.training import TrainingConfig
from stgan.training.graphs import EAGER_STEPS, GraphRecorder, RecordingError
from stgan.training.networks import build_generator
from stgan.training.splits import Splits
from stgan.training.trainer import Trainer

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture
def gpu(monkeypatch):
    """Runs of this process on the GPU, which the other tests leave alone."""
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    AcceleratorState._reset_state(reset_partial_state=True)


@on_a_gpu
def test_a_replayed_step_uses_its_own_batch_and_random_numbers():
    random = torch.Generator("cuda")
    recorder = GraphRecorder(random)
    total = torch.zeros((), device="cuda")

    def step(draw):
        images, labels = draw()
        noise = torch.rand(images.shape, generator=random, device="cuda")
        total.add_(1)
        return {"sum": (images * noise).sum(), "labels": labels.sum()}

    for number in range(EAGER_STEPS + 4):
        batch = torch.full((5, 3), float(number + 1), device="cuda"), torch.full((5,), float(number), device="cuda")
        random.manual_seed(number)
        terms = recorder.run("kind", [batch], step)
        noise = torch.rand(5, 3, generator=torch.Generator("cuda").manual_seed(number), device="cuda")
        torch.testing.assert_close(terms["sum"], (batch[0] * noise).sum())
        assert terms["labels"] == 5 * number
    assert total == EAGER_STEPS + 4
    assert list(recorder.recorded) == ["kind"]


@on_a_gpu
@pytest.mark.parametrize("critic_steps", [0, 2])
def test_a_run_with_recorded_steps_ends_where_one_without_does(critic_steps, gpu, tmp_path, monkeypatch):
    """Head start, steps with and without penalty, a mask price and a learning rate that change all the while."""
    labels = (torch.rand(64, 13, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(Splits, "load", lambda *_, **__: MemoryDataset(images, labels))
    monkeypatch.setattr(Trainer, "_validate", lambda self: self._write_model({}))
    ends, losses = [], []
    initial = TrainingConfig.from_flat(image_size=32, width=8)
    build_generator(initial, DEFAULT_ATTRIBUTES).save_pretrained(tmp_path / "initial")  # hence the head start
    for execution in ("eager", "graphs"):
        config = TrainingConfig.from_flat(
            image_size=32, width=8, discriminator_width=8, discriminator_hidden=16, batch_size=8,
            total_images=8 * 40 * (critic_steps + 1), discriminator_head_start=8 * 6, penalty_interval=4,
            critic_steps=critic_steps, mixed_precision="no", lr_schedule="linear", decay_start=0.2,
            learning_rate=1e-4, execution=execution, report_to="none", logging_steps=10,
            output_dir=str(tmp_path / execution), single_flip_weights={"Bald": 2.0},
            initial_model=str(tmp_path / "initial"),
        )  # fmt: skip
        trainer = Trainer(config)
        logged = watch(trainer, "_log")
        trainer.train()
        assert (trainer.objective.recorder is not None) == (execution == "graphs")
        if execution == "graphs":
            assert len(trainer.objective.recorder.recorded) >= 2  # with and without penalty
        ends.append(trainer.objective.ema.model.state_dict())
        losses.append([terms for (terms,), _ in logged])
    for plain, recorded in zip(*losses, strict=True):
        assert plain == pytest.approx(recorded, rel=0.05, abs=0.01)
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name].float(), tensor.float(), rtol=0.05, atol=3e-3)


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (RuntimeError("not permitted when stream is capturing"), RecordingError, "not permitted.*--execution eager"),
        (torch.OutOfMemoryError("out of memory"), torch.OutOfMemoryError, "out of memory"),  # needs another cure
    ],
)
def test_a_step_that_cannot_be_recorded_is_refused_with_a_remedy(error, expected, message, monkeypatch):
    stream = SimpleNamespace(wait_stream=lambda other: None)
    graph = SimpleNamespace(register_generator_state=lambda generator: None)

    class Refusing(nullcontext):
        def __exit__(self, *_):
            raise error

    for name, value in {
        "Stream": lambda device: stream, "current_stream": lambda device: stream, "stream": lambda _: nullcontext(),
        "graph_pool_handle": lambda: None, "CUDAGraph": lambda: graph, "graph": lambda *_, **__: Refusing(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    recorder = GraphRecorder(torch.Generator())
    batch = torch.ones(2), torch.zeros(2)
    for number in range(EAGER_STEPS):
        terms = recorder.run("kind", [batch], lambda draw: {"sum": draw()[0].sum()})
        assert terms["sum"] == 2, number
    with pytest.raises(expected, match=message):
        recorder.run("kind", [batch], lambda draw: {"sum": draw()[0].sum()})
