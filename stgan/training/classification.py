"""Training of the attribute classifier: supervised, on slightly displaced faces, as imperfect alignment gives them."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from stgan.data import Batch, MemoryDataset, random_flip
from stgan.evaluation.calibration import calibrate_thresholds
from stgan.evaluation.classifier import classifier_report, predict_probabilities
from stgan.frame import normalise
from stgan.models import AttributeClassifier
from stgan.training.config import TrainingConfig
from stgan.training.losses import attribute_loss
from stgan.training.networks import load_initial_network
from stgan.training.objective import SupervisedObjective, Terms


class ClassificationObjective(SupervisedObjective[AttributeClassifier]):
    """The classifier and its training step."""

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        classifier = AttributeClassifier(attributes, config.data.image_size, config.generator.width)
        if config.run.initial_model:
            load_initial_network(classifier, config.run.initial_model)
        super().__init__(classifier, config, accelerator)

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """One step on randomly displaced images."""
        images, labels = draw()
        images = random_similarity(normalise(images), random)
        if self.config.data.random_flip:
            images = random_flip(images, random)
        loss = attribute_loss(self.network(images), labels)
        self.descend(loss)
        return {"loss": loss.detach()}

    @torch.no_grad()
    def validate(self, data: MemoryDataset) -> dict[str, float]:
        """Accuracy and balanced accuracy. First the model's thresholds are calibrated on these images."""
        model = self.trained_model.eval()
        device = self.accelerator.device
        probabilities = predict_probabilities(model, data.images, device=device)
        thresholds = calibrate_thresholds(probabilities, data.labels.cpu())
        for network in (model, self.plain_network):  # both, or the next average would undo it
            network.thresholds.copy_(thresholds)
        report = classifier_report(model, data.images, data.labels, device=device)
        self.plain_network.train()
        return report.headline()

    def sample_grid(self, data: MemoryDataset) -> None:
        """None: a classifier makes no pictures."""


def random_similarity(
    images: Tensor, random: torch.Generator, rotation: float = 10.0, log_scale: float = 0.15, shift: float = 0.06
) -> Tensor:
    """Images (N, 3, S, S), each rotated, scaled and shifted at random.

    Args:
        rotation: largest angle, degrees.
        log_scale: largest change of scale, natural logarithm.
        shift: largest displacement, share of the image's side.
    """
    draws = torch.rand(4, len(images), generator=random, device=images.device) * 2 - 1
    angle, scale = draws[0] * math.radians(rotation), torch.exp(draws[1] * log_scale)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [torch.stack([cosine, -sine, 2 * shift * draws[2]], 1), torch.stack([sine, cosine, 2 * shift * draws[3]], 1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)
