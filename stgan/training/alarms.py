"""Signs that training has failed: losses or weights that are not finite, a discriminator that overfits."""

import math

import torch
from torch import nn

OVERFITTING_RATIO = 0.6  # discriminator's attribute loss on training images over that on validation images


class TrainingError(RuntimeError):
    """Training cannot continue. The message says why, and how to resume."""


def check_losses(losses: dict[str, float], step: int) -> None:
    """Raise a :class:`TrainingError` that names the losses that are not finite."""
    _check_finite([name for name, value in losses.items() if not math.isfinite(value)], step)


def check_weights(networks: list[nn.Module], step: int) -> None:
    """Raise a :class:`TrainingError` if any weight is not finite."""
    _check_finite([] if all_finite(networks) else ["weights"], step)


def _check_finite(broken: list[str], step: int) -> None:
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
