"""What an objective trains and how: the interface that the trainer relies on."""

from collections.abc import Callable
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from stgan.data import MemoryDataset
from stgan.models import PretrainedModel
from stgan.training.ema import ExponentialMovingAverage

Batch = tuple[Tensor, Tensor]  # images uint8 (B, 3, S, S), labels float (B, A) in {0, 1}
Terms = dict[str, Tensor]  # named loss terms: detached scalars on the device


class Objective(Protocol):
    """Networks, their optimizers and the step that trains them.

    It is built from ``(config, attributes, accelerator)``. A new objective is one class with these members and one
    row in :data:`stgan.training.trainer.OBJECTIVES`.
    """

    @property
    def batches_per_step(self) -> int:
        """Batches that one step may draw."""

    @property
    def records_steps(self) -> bool:
        """Whether steps are recorded as CUDA graphs."""

    @property
    def ema(self) -> ExponentialMovingAverage | None:
        """The moving average of the weights, saved in checkpoints; None without one."""

    @property
    def networks(self) -> list[nn.Module]:
        """Every network that is trained."""

    @property
    def optimizers(self) -> dict[torch.optim.Optimizer, float]:
        """Each optimizer with its learning rate before the schedule."""

    @property
    def trained_model(self) -> PretrainedModel:
        """The model to evaluate and save: the moving average, or the trained network without one."""

    @property
    def companions(self) -> dict[str, PretrainedModel]:
        """Networks to save in subfolders of the model folder, by folder name."""

    def count_labels(self, labels: Tensor) -> None:
        """Take statistics of all training labels (N, A). Streamed data are not counted."""

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """Train every network once.

        Args:
            draw: returns the next batch.
            random: source of every random number of the step, on the device.
            step: number of the step, from 0.
            progress: share of the run that is complete, in [0, 1).
        """

    def update_average(self, images_seen: int, images_per_step: int) -> None:
        """Update the moving average of the weights after a step."""

    def validate(self, data: MemoryDataset) -> dict[str, float]:
        """Figures of the trained model on validation images, by name."""

    def sample_grid(self, data: MemoryDataset) -> Image.Image | None:
        """A picture of results on validation images; None where there is nothing to show."""
