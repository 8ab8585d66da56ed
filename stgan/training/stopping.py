"""What ends a run early: Ctrl-C and SIGTERM, without losing work, and losses or weights that are not finite."""

import math
import signal
import time
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

NUMBERS = (signal.SIGINT, signal.SIGTERM)
# A launcher passes on the signals that its processes also receive directly: repeats within this time are one request.
SECOND_SIGNAL_SECONDS = 5.0
CHECK_INTERVAL = 10  # steps on GPUs between two exchanges among the processes
OVERFITTING_RATIO = 0.6  # discriminator's attribute loss on training images over that on validation images


class StopSignals:
    """While this context is active, a signal requests a stop after the current step.

    A second signal, at least :data:`SECOND_SIGNAL_SECONDS` later, has its usual effect at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self.requested_at = 0.0

    def __enter__(self) -> "StopSignals":
        self.previous = {number: signal.getsignal(number) for number in NUMBERS}
        for number in NUMBERS:
            signal.signal(number, self._request)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: Any) -> None:
        if not self.requested:
            self.requested, self.requested_at = True, time.monotonic()
        elif time.monotonic() - self.requested_at >= SECOND_SIGNAL_SECONDS:
            self.__exit__()
            signal.raise_signal(number)

    def must_stop(self, accelerator: Accelerator, step: int) -> bool:
        """Whether any process wants to stop before this step. All processes call it and get the same answer."""
        if accelerator.num_processes == 1:
            return self.requested
        if accelerator.device.type != "cpu" and step % CHECK_INTERVAL:  # a step on the CPU takes long
            return False
        if self.requested:
            accelerator.set_trigger()
        return accelerator.check_trigger()


class TrainingError(RuntimeError):
    """Training cannot continue. The message says why, and how to resume."""


def check_finite(step: int, losses: dict[str, float], networks: list[nn.Module]) -> None:
    """Raise a :class:`TrainingError` that names the losses that are not finite, or says that some weights are not."""
    broken = [name for name, value in losses.items() if not math.isfinite(value)]
    if networks and not all_finite(networks):
        broken.append("weights")
    if broken:
        raise TrainingError(
            f"{', '.join(broken)} became infinite or not a number near step {step}. Nothing was saved since the last "
            "checkpoint: continue with --resume_from_checkpoint latest and a lower --learning_rate."
        )


def all_finite(networks: list[nn.Module]) -> bool:
    """Whether every weight is finite. Waits for the device once, not once per weight."""
    sums = [parameter.detach().sum() for network in networks for parameter in network.parameters()]
    return bool(torch.stack(sums).isfinite().all())


def overfitting_warning(training_loss: float, validation_loss: float) -> str | None:
    """A warning if the discriminator overfits, else None.

    Args:
        training_loss, validation_loss: its attribute loss on training and on validation images; NaN where there is
            none.
    """
    if training_loss < OVERFITTING_RATIO * validation_loss:
        return (
            f"The discriminator is overfitting: its attribute loss is {training_loss:.3g} on training images and "
            f"{validation_loss:.3g} on validation images. Edits will not improve further. Use fewer --total_images, "
            "more training images or a smaller --discriminator_attribute_weight. Or start a second run with a new "
            "discriminator: pass a bundle of this model, made with --no_discriminator, as --initial_model."
        )
    return None
