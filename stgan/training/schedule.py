"""The schedule of a run, counted in images: neither batch size nor number of processes changes it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from stgan.training.config import TrainingConfig
from stgan.training.objective import Objective


@dataclass(frozen=True)
class Schedule:
    """Steps, images and learning rate of a run whose processes together draw ``images_per_step`` images a step."""

    config: TrainingConfig
    images_per_step: int

    @property
    def total_steps(self) -> int:
        return math.ceil(self.config.schedule.total_images / self.images_per_step)

    def images(self, step: int) -> int:
        """Images drawn before a step."""
        return step * self.images_per_step

    def progress(self, step: int) -> float:
        """Share of the run that is complete before a step, in [0, 1)."""
        return step / self.total_steps

    def rate_factor(self, step: int) -> float:
        """Factor on every learning rate at a step."""
        method, decay_start, progress = self.config.method, self.config.schedule.decay_start, self.progress(step)
        images = self.images(step) + self.config.schedule.batch_size
        warmup = min(1.0, images / method.warmup_images) if method.warmup_images else 1.0
        if progress < decay_start:
            return warmup
        if method.lr_schedule == "drop":
            return warmup * 0.1
        share = (progress - decay_start) / (1 - decay_start)
        return warmup * (1 - share if method.lr_schedule == "linear" else (1 + math.cos(math.pi * share)) / 2)


def set_learning_rates(objective: Objective, factor: float, device: torch.device) -> None:
    """Set each optimizer's learning rate to ``factor`` times its own.

    CUDA graphs read the rate from device memory, so there it is a tensor that is written in place.
    """
    for optimizer, learning_rate in objective.optimizers.items():
        for group in optimizer.param_groups:
            rate: float | Tensor = factor * learning_rate
            if objective.records_steps:
                before = group["lr"]
                on_device = isinstance(before, Tensor) and before.device.type == device.type
                rate = before.fill_(rate) if on_device else torch.tensor(rate, device=device)
            group["lr"] = rate
