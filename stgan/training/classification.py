"""How the attribute classifier is trained: supervised, on slightly displaced faces, since photos are never perfect."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from stgan import losses, metrics
from stgan.data import MemoryDataset, random_flip
from stgan.models import AttributeClassifier
from stgan.pixels import normalise
from stgan.training.config import TrainingConfig
from stgan.training.distributed import keep_own_buffers
from stgan.training.ema import ExponentialMovingAverage

Batch = tuple[Tensor, Tensor]
Terms = dict[str, Tensor]


class ClassificationObjective:
    """Classifier, optimizer and step. The same shape as :class:`stgan.training.editing.EditingObjective`."""

    batches_per_step = 1

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.plain_classifier = AttributeClassifier(attributes, config.image_size, config.classifier_width).to(
            memory_format=torch.channels_last
        )
        self.ema = (
            ExponentialMovingAverage(self.plain_classifier.to(accelerator.device), config.ema_half_life)
            if config.use_ema
            else None
        )
        if config.compile:
            self.plain_classifier.compile()
        optimizer = torch.optim.AdamW(
            self.plain_classifier.parameters(),
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.classifier, self.optimizer = accelerator.prepare(self.plain_classifier, optimizer)
        keep_own_buffers(self.classifier)

    @property
    def optimizers(self) -> dict[torch.optim.Optimizer, float]:
        """The optimizer with its learning rate before any schedule."""
        return {self.optimizer: self.config.learning_rate}

    @property
    def networks(self) -> list[nn.Module]:
        """Everything that is trained."""
        return [self.plain_classifier]

    @property
    def trained_model(self) -> AttributeClassifier:
        """What is measured and saved: the average where there is one."""
        return self.ema.model if self.ema else self.plain_classifier

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """One supervised step; arguments as in the editing objective's."""
        images, labels = draw()
        images = random_similarity(normalise(images), random)
        if self.config.random_flip:
            images = random_flip(images, random)
        loss = losses.attribute_loss(self.classifier(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.optimizer.step()
        return {"loss": loss.detach()}

    def update_average(self, images_seen: int, images_per_step: int) -> None:
        """Move the weights' average on, after a step."""
        if self.ema:
            self.ema.update(self.plain_classifier, images_seen, images_per_step)

    @torch.no_grad()
    def validate(self, data: MemoryDataset, classifier: AttributeClassifier | None) -> dict[str, float]:
        """Accuracy and balanced accuracy; the model's thresholds are set to what serves these images best."""
        model = self.trained_model.eval()
        device = self.accelerator.device
        probabilities = metrics.predict_probabilities(model, data.images, device=device)
        thresholds = metrics.calibrate_thresholds(probabilities, data.labels.cpu())
        for network in (model, self.plain_classifier):  # both, or the average would move them back
            network.thresholds.copy_(thresholds)
        report = metrics.classifier_report(model, data.images, data.labels, device=device)
        self.plain_classifier.train()
        return report.headline()

    def sample_grid(self, data: MemoryDataset) -> None:
        """A classifier has no samples to show."""


def random_similarity(
    images: Tensor,
    random: torch.Generator,
    rotation: float = 10.0,
    log_scale: float = 0.15,
    shift: float = 0.06,
) -> Tensor:
    """Rotate, scale and shift each image (N, 3, S, S) at random, as an imperfect alignment would.

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
