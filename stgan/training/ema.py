"""Exponential moving average of a model, buffers included."""

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class ExponentialMovingAverage:
    """Moving average of a model's weights and running statistics over the images it was trained on.

    BatchNorm's running statistics are averaged like the weights they belong to; counters are copied. The half-life is
    counted in images, as in EDM (arXiv 2206.00364), so it does not depend on the batch size. It grows with the run, so
    that early averages do not consist of the initial weights.

    Args:
        model: is copied; ``self.model`` is the average, in evaluation mode.
        half_life: images after which a weight's share has halved.
        ramp: the half-life is at most this share of the images seen so far.
    """

    def __init__(self, model: nn.Module, half_life: int, ramp: float = 0.1):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.half_life, self.ramp = half_life, ramp

    @torch.no_grad()
    def update(self, model: nn.Module, images_seen: int, images_per_step: int) -> None:
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
