"""What objectives share that train one network on its own: the network, its average, its optimizer."""

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stgan.models import PretrainedModel
from stgan.training.config import TrainingConfig
from stgan.training.distributed import keep_own_buffers
from stgan.training.ema import ExponentialMovingAverage


class SupervisedObjective:
    """One network with AdamW. Subclasses add ``step``, ``validate`` and ``sample_grid``.

    The same shape as :class:`stgan.training.editing.EditingObjective`.

    Args:
        network: what is trained; ``self.network`` is the same as prepared for this process.
        config, accelerator: of the run.
    """

    batches_per_step = 1
    records_steps = False  # as CUDA graphs

    def __init__(self, network: PretrainedModel, config: TrainingConfig, accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.plain_network = network.to(accelerator.device, memory_format=torch.channels_last)
        self.ema = ExponentialMovingAverage(self.plain_network, config.ema_half_life) if config.use_ema else None
        if config.compile:
            self.plain_network.compile()
        optimizer = torch.optim.AdamW(
            self.plain_network.parameters(),
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.network, self.optimizer = accelerator.prepare(self.plain_network, optimizer)
        keep_own_buffers(self.network)

    @property
    def optimizers(self) -> dict[torch.optim.Optimizer, float]:
        """The optimizer with its learning rate before any schedule."""
        return {self.optimizer: self.config.learning_rate}

    @property
    def networks(self) -> list[nn.Module]:
        """Everything that is trained."""
        return [self.plain_network]

    @property
    def trained_model(self) -> PretrainedModel:
        """What is measured and saved: the average where there is one."""
        return self.ema.model if self.ema else self.plain_network

    @property
    def companions(self) -> dict[str, PretrainedModel]:
        """What is saved in folders beside it."""
        return {}

    def count_labels(self, labels: Tensor) -> None:
        """Nothing here depends on how often labels are."""

    def update_average(self, images_seen: int, images_per_step: int) -> None:
        """Move the weights' average on, after a step."""
        if self.ema:
            self.ema.update(self.plain_network, images_seen, images_per_step)
