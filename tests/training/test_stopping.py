"""Signals, kills and broken losses stop a run without losing work; an overfitting discriminator is reported."""

import math
import os
import signal
import time

import pytest
import torch
from runs import SAVE_ALL, assert_same_state, command, fork, last_checkpoint, record, start, trained, trainer, wait_for
from safetensors.torch import load_file
from torch import nn

from stgan.models import load_generator
from stgan.training import TrainingError
from stgan.training.checkpoints import list_checkpoints
from stgan.training.editing import EditingObjective
from stgan.training.stopping import all_finite


def signal_in(run, numbers, owner, method):
    """Let a run get signals while it calls a method after its third step."""
    inner = getattr(owner, method)

    def signalled(*words):
        for number in numbers if run.step >= 3 else ():
            os.kill(os.getpid(), number)
        return inner(*words)

    setattr(owner, method, signalled)


SIGNALS = [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("numbers", SIGNALS, ids=lambda numbers: "+".join(number.name for number in numbers))
def test_a_signal_saves_after_the_step_and_the_resumed_run_equals_the_uninterrupted_one(
    numbers, uninterrupted, celeba, tmp_path, capsys
):
    """Two at once are one that a launcher has passed on; a repeated one does not stop the saving."""
    run = trainer(celeba, tmp_path, steps=6, checkpointing_steps=100, validation_steps=2)
    for owner, method in ((run, "_train_step"), (run.accelerator, "save_state")):
        signal_in(run, numbers, owner, method)
    run.train()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-4"]
    assert "Stopped after step 4 of 6" in capsys.readouterr().out
    load_generator(tmp_path / "model")
    trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **SAVE_ALL)
    assert_same_state(tmp_path / "checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")


def test_a_later_second_signal_stops_at_once(celeba, tmp_path, monkeypatch):
    monkeypatch.setattr("stgan.training.stopping.SECOND_SIGNAL_SECONDS", 0.05)
    run = trainer(celeba, tmp_path, steps=6, checkpointing_steps=100, validation_steps=2)

    def stuck_step():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal was not heard")

    run._train_step = stuck_step
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
    try:
        with pytest.raises(KeyboardInterrupt):
            run.train()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list_checkpoints(tmp_path)


def test_signal_handlers_are_restored(celeba, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    trained(celeba, tmp_path, steps=1)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_run_killed_at_any_moment_resumes_as_if_it_had_not_been(celeba, tmp_path):
    """kill -9 while it trains and saves; what it leaves half-written is never used."""
    settings = {"steps": 12, "checkpointing_steps": 1}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = fork(command(celeba, killed, **settings), tmp_path)
    wait_for(killed, 3, process)
    time.sleep(0.03)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert int(last_checkpoint(killed).name.removeprefix("checkpoint-")) < 12
    settings["checkpointing_steps"] = 100
    resumed = trained(celeba, killed, resume_from_checkpoint="latest", **settings)
    assert resumed.step == 12
    assert not list(killed.glob("partial-*"))
    trained(celeba, whole, **settings)
    assert_same_state(last_checkpoint(killed), last_checkpoint(whole))


def test_sigterm_to_the_whole_group_saves_and_exits_cleanly_with_a_worker_and_without_a_hub(celeba, tmp_path):
    output = tmp_path / "run"
    words = command(
        celeba, output, steps=100_000, streaming=True, dataloader_num_workers=1, checkpointing_steps=2,
        validation_steps=2, push_to_hub="nobody/nothing",
    )  # fmt: skip
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_none"}
    process = start(words, tmp_path, unreachable)
    wait_for(output, 4, process)
    os.killpg(process.pid, signal.SIGTERM)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert "Everything is saved: continue with --resume_from_checkpoint latest." in text
    stopped_at = int(text.split("Stopped after step ")[1].split()[0])
    assert last_checkpoint(output).name == f"checkpoint-{stopped_at}"
    assert not list(output.glob("partial-*"))
    load_generator(output / "model")
    assert "Could not push to nobody/nothing" in text
    assert "Training continues" in text


def break_weights(run, at, **terms):
    """Let a weight become not a number in one step of a run, and its terms what is given."""
    step = run._train_step

    def diverging_step():
        sound = step()
        if run.step != at:
            return sound
        with torch.no_grad():
            (next(run.objective.plain_generator.parameters())[0]).fill_(math.nan)
        return sound | terms

    run._train_step = diverging_step


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_a_run_that_diverges_stops_and_keeps_its_last_sound_checkpoint(broken, celeba, tmp_path, monkeypatch):
    monkeypatch.setattr("stgan.training.checkpoints.KEPT", 1)
    run = trainer(celeba, tmp_path, steps=9, checkpointing_steps=2, logging_steps=5 if broken == "loss" else 100)
    break_weights(run, 5, **({"g_adversarial": torch.tensor(math.nan)} if broken == "loss" else {}))
    with pytest.raises(TrainingError, match="became infinite or not a number.*resume_from_checkpoint latest"):
        run.train()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-4"]
    assert all(value.isfinite().all() for value in load_file(tmp_path / "checkpoint-4" / "model.safetensors").values())


def test_a_diverged_model_does_not_replace_a_sound_one(celeba, tmp_path):
    run = trainer(celeba, tmp_path, steps=9, validation_steps=2, checkpointing_steps=2, logging_steps=100)
    break_weights(run, at=4)
    with pytest.raises(TrainingError, match="weights became infinite"):
        run.train()
    assert record(tmp_path)["steps"] == 2
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
