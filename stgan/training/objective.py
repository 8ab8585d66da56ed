"""What an objective trains and how: the interface that the trainer relies on, and the base of supervised objectives."""

import copy
import itertools
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from stgan.data import Batch, MemoryDataset
from stgan.devices import CHANNELS_LAST
from stgan.models import PretrainedModel
from stgan.training.config import TrainingConfig
from stgan.training.launch import keep_own_buffers

Network = TypeVar("Network", bound=PretrainedModel)
Terms = dict[str, Tensor]  # named loss terms: detached scalars on the device


class Objective(Protocol):
    """Networks, their optimizers and the step that trains them.

    It is built from ``(config, attributes, accelerator)``. A new objective is one class with these members and one
    row in :data:`stgan.training.trainer.OBJECTIVES`.
    """

    batches_per_step: int  # that one step may draw
    records_steps: bool  # as CUDA graphs
    networks: list[nn.Module]  # every network that is trained
    optimizers: dict[torch.optim.Optimizer, float]  # each with its learning rate before the schedule
    companions: dict[str, PretrainedModel]  # networks to save in subfolders of the model folder, by folder name

    @property
    def ema(self) -> "ExponentialMovingAverage | None":
        """The moving average of the weights, saved in checkpoints; None without one."""

    @property
    def trained_model(self) -> PretrainedModel:
        """The model to evaluate and save: the moving average, or the trained network without one."""

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


class SupervisedObjective(Generic[Network]):
    """One network with AdamW. A subclass with ``step``, ``validate`` and ``sample_grid`` is an :class:`Objective`.

    ``plain_network`` is the network itself, ``network`` the same as prepared for this process.
    """

    batches_per_step = 1
    records_steps = False

    def __init__(self, network: Network, config: TrainingConfig, accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.plain_network = network.to(accelerator.device, **CHANNELS_LAST)
        method = config.method
        self.ema = ExponentialMovingAverage(self.plain_network, method.ema_half_life) if method.use_ema else None
        if config.run.execution == "compiled":
            self.plain_network.compile()
        rate, betas = config.schedule.learning_rate, (method.adam_beta1, method.adam_beta2)
        optimizer = torch.optim.AdamW(
            self.plain_network.parameters(), rate, betas, weight_decay=method.weight_decay, fused=True
        )
        self.network, self.optimizer = accelerator.prepare(self.plain_network, optimizer)
        keep_own_buffers(self.network)
        self.networks: list[nn.Module] = [self.plain_network]
        self.optimizers: dict[torch.optim.Optimizer, float] = {self.optimizer: rate}
        self.companions: dict[str, PretrainedModel] = {}

    def descend(self, loss: Tensor, largest_gradient: float | None = None) -> None:
        """One step of the optimizer, with the gradient's norm limited where a limit is given."""
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if largest_gradient is not None:
            self.accelerator.clip_grad_norm_(self.network.parameters(), largest_gradient)
        self.optimizer.step()

    @property
    def trained_model(self) -> Network:
        return self.ema.model if self.ema else self.plain_network

    def count_labels(self, labels: Tensor) -> None:
        """No statistics are needed."""

    def update_average(self, images_seen: int, images_per_step: int) -> None:
        """Update the moving average of the weights after a step."""
        if self.ema:
            self.ema.update(self.plain_network, images_seen, images_per_step)


class ExponentialMovingAverage(Generic[Network]):
    """Moving average of a model's weights and running statistics over the images it was trained on.

    BatchNorm's running statistics are averaged like the weights they belong to; counters are copied. The half-life is
    counted in images, as in EDM (arXiv 2206.00364), so it does not depend on the batch size. It grows with the run, so
    that early averages do not consist of the initial weights.

    Args:
        model: is copied; ``self.model`` is the average, in evaluation mode.
        half_life: images after which a weight's share has halved.
        ramp: the half-life is at most this share of the images seen so far.
    """

    def __init__(self, model: Network, half_life: int, ramp: float = 0.1):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.half_life, self.ramp = half_life, ramp

    @torch.no_grad()
    def update(self, model: Network, images_seen: int, images_per_step: int) -> None:
        """Update the average after a step of ``images_per_step`` images."""
        half_life = max(1.0, min(self.half_life, images_seen * self.ramp))
        average = get_ema_multi_avg_fn(0.5 ** (images_per_step / half_life))
        pairs = [(ours, theirs.detach()) for ours, theirs in zip(_tensors(self.model), _tensors(model), strict=True)]
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        average(*map(list, zip(*floating, strict=True)), None)
        for ours, theirs in pairs:
            if not ours.is_floating_point():
                ours.copy_(theirs)

    def state_dict(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.model.load_state_dict(state)


def _tensors(model: nn.Module) -> itertools.chain:
    return itertools.chain(model.parameters(), model.buffers())
