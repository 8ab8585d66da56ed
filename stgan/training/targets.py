"""The edits that training asks for: target labels and intensities, drawn at random."""

from typing import NamedTuple

import torch
from torch import Tensor

from stgan.attributes import exclusion_matrix, flipped_labels
from stgan.training.config import TrainingConfig


class Edits(NamedTuple):
    """The labels of a batch of edits."""

    source: Tensor  # (B, A) in {0, 1}: labels of the images
    target: Tensor  # (B, A) in {0, 1}: labels that the edited images should have
    intensity: Tensor  # (B, 1): 1 goes exactly to the target, more goes beyond it


class TargetSampler:
    """Draws targets and intensities for the labels of a batch.

    Args:
        config: of the run.
        attributes: names of the A attributes.
        device: of the labels.

    Raises:
        ValueError: ``single_flip_weights`` name an attribute that is not trained.
    """

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], device: torch.device):
        self.config = config
        self.exclusions = exclusion_matrix(attributes).to(device)
        self.flip_weights = single_flip_weights(config, attributes).to(device)

    def draw(self, labels: Tensor, random: torch.Generator) -> Edits:
        """Edits of images with ``labels`` (B, A) in {0, 1}."""
        return Edits(labels, self.draw_targets(labels, random), self.draw_intensities(labels, random))

    def draw_targets(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Targets (B, A): a permutation of the batch's labels, or the labels with one attribute flipped."""
        device = labels.device
        target = labels[torch.randperm(len(labels), generator=random, device=device)]
        if self.config.method.single_flip_share == 0:
            return target
        if self.config.losses.single_flip_weights:
            index = self.flip_weights.multinomial(len(labels), replacement=True, generator=random)
        else:  # without weights, so that runs without them keep their random numbers
            index = torch.randint(labels.shape[1], (len(labels),), generator=random, device=device)
        single = torch.rand(len(labels), 1, generator=random, device=device) < self.config.method.single_flip_share
        return torch.where(single, flipped_labels(labels, index, self.exclusions), target)

    def draw_intensities(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Intensities (B, 1), uniform in the configured range."""
        low, high = self.config.losses.intensity_range
        if low == high:  # no draw, so that runs without a range keep their random numbers
            return torch.full((len(labels), 1), low, device=labels.device)
        return low + (high - low) * torch.rand(len(labels), 1, generator=random, device=labels.device)


def single_flip_weights(config: TrainingConfig, attributes: tuple[str, ...]) -> Tensor:
    """Float (A,): relative frequency with which a single-flip target flips each attribute."""
    unknown = sorted(set(config.losses.single_flip_weights) - set(attributes))
    if unknown:
        raise ValueError(f"--single_flip_weights name {', '.join(unknown)}; trained are {', '.join(attributes)}.")
    return torch.tensor([config.losses.single_flip_weights.get(name, 1.0) for name in attributes])
