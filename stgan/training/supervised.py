"""The shared part of objectives that train one network: the network, its moving average and its optimizer."""

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stgan.models import PretrainedModel
from stgan.training.config import TrainingConfig
from stgan.training.distributed import keep_own_buffers
from stgan.training.ema import ExponentialMovingAverage


class SupervisedObjective:
    """One network with AdamW. A subclass with ``step``, ``validate`` and ``sample_grid`` is an objective.

    See :class:`stgan.training.objective.Objective`.

    Args:
        network: to train. ``plain_network`` is the same, ``network`` the same as prepared for this process.
        config, accelerator: of the run.
    """

    batches_per_step = 1
    records_steps = False  # as CUDA graphs

    def __init__(self, network: PretrainedModel, config: TrainingConfig, accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.plain_network = network.to(accelerator.device, memory_format=torch.channels_last)
        method = config.method
        self.ema = ExponentialMovingAverage(self.plain_network, method.ema_half_life) if method.use_ema else None
        if config.run.execution == "compiled":
            self.plain_network.compile()
        optimizer = torch.optim.AdamW(
            self.plain_network.parameters(),
            lr=config.schedule.learning_rate,
            betas=(method.adam_beta1, method.adam_beta2),
            weight_decay=method.weight_decay,
            fused=True,
        )
        self.network, self.optimizer = accelerator.prepare(self.plain_network, optimizer)
        keep_own_buffers(self.network)

    @property
    def optimizers(self) -> dict[torch.optim.Optimizer, float]:
        return {self.optimizer: self.config.schedule.learning_rate}

    @property
    def networks(self) -> list[nn.Module]:
        return [self.plain_network]

    @property
    def trained_model(self) -> PretrainedModel:
        return self.ema.model if self.ema else self.plain_network

    @property
    def companions(self) -> dict[str, PretrainedModel]:
        return {}

    def count_labels(self, labels: Tensor) -> None:
        """No statistics are needed."""

    def update_average(self, images_seen: int, images_per_step: int) -> None:
        """Update the moving average of the weights after a step."""
        if self.ema:
            self.ema.update(self.plain_network, images_seen, images_per_step)
