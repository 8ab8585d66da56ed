"""Training of the face parser on labelled faces: tilted, in other light, behind glasses and other things."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from stgan.data import MemoryDataset
from stgan.data.masks import UNKNOWN
from stgan.evaluation import parsing
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, FaceParser
from stgan.training.config import TrainingConfig
from stgan.training.networks import load_companion_or_own
from stgan.training.objective import SupervisedObjective, Terms
from stgan.training.views import disturbed

Batch = tuple[Tensor, Tensor]  # images uint8 (B, 3, S, S), masks uint8 (B, S, S) with the parser's classes

CLASS_WEIGHTS = {"eyeglasses": 2.0, "eyes": 1.5, "brows": 2.0, "hat": 1.5}
"""Of the cross-entropy where a class is small or rare; 1 for all others."""
DICE_WEIGHT = 0.5
DICE_SMOOTHING = 50.0  # pixels, so that a class of a few pixels in a batch counts little
LARGEST_GRADIENT = 5.0


class ParsingObjective(SupervisedObjective[FaceParser]):
    """The parser and its training step.

    Without ``initial_model`` the encoder starts from ImageNet's weights.

    Raises:
        ValueError: the package with these weights is not installed; the message says how to install it.
    """

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        if config.run.initial_model:
            parser = load_companion_or_own(config.run.initial_model, FaceParser, "initial_model").train()
        else:
            parser = FaceParser()
            try:
                parser.encoder.load_imagenet_weights()
            except ModuleNotFoundError as error:
                raise ValueError(f"{error}, or continue from a parser with --initial_model.") from error
        super().__init__(parser, config, accelerator)
        weights = torch.tensor([CLASS_WEIGHTS.get(name, 1.0) for name in PARSER_CLASSES])
        self.class_weights = weights.to(accelerator.device)

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """One step on disturbed faces."""
        images, masks = draw()
        images, masks = disturbed(normalise(images), masks, self.plain_network.image_size, random)
        logits = self.network.logits(images.contiguous(memory_format=torch.channels_last)).float()
        cross_entropy = F.cross_entropy(logits, masks, weight=self.class_weights, ignore_index=UNKNOWN)
        dice = dice_loss(logits, masks)
        self.descend(cross_entropy + DICE_WEIGHT * dice, LARGEST_GRADIENT)
        return {"cross_entropy": cross_entropy.detach(), "dice": dice.detach()}

    @torch.no_grad()
    def validate(self, data: MemoryDataset) -> dict[str, float]:
        """Intersection over union of each class that occurs, and their mean, averaged with the mirror image."""
        scores = parsing.intersection_over_union(self.trained_model.eval(), data.images, data.labels)
        self.plain_network.train()
        scores = {name: score for name, score in scores.items() if not math.isnan(score)}
        return {"iou": sum(scores.values()) / len(scores)} | {f"iou_{name}": each for name, each in scores.items()}

    @torch.no_grad()
    def sample_grid(self, data: MemoryDataset, people: int = 12) -> Image.Image:
        """Faces, what the parser sees in them, and the truth."""
        model = self.trained_model.eval()
        images, masks = data.images[:people], data.labels[:people]
        predicted = model.parse(normalise(images.to(self.accelerator.device))).argmax(dim=1)
        self.plain_network.train()
        return parsing.parsing_sheet(images, {"Parser": predicted, "Truth": masks})


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """One minus the Dice coefficient of each class that the batch holds, on average.

    Args:
        logits: (N, C, S, S).
        masks: long (N, S, S), classes or :data:`stgan.data.masks.UNKNOWN`.
    """
    known = (masks != UNKNOWN)[:, None]
    truth = F.one_hot(masks.where(masks != UNKNOWN, 0), logits.shape[1]).permute(0, 3, 1, 2) * known
    probabilities = logits.softmax(dim=1) * known
    common = (probabilities * truth).sum(dim=(0, 2, 3))
    both = (probabilities + truth).sum(dim=(0, 2, 3))
    missing = 1 - (2 * common + DICE_SMOOTHING) / (both + DICE_SMOOTHING)
    present = truth.sum(dim=(0, 2, 3)) > 0
    return missing[present].mean() if present.any() else missing.sum() * 0
