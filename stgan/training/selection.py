"""Which snapshot of a run ships: the one whose edits look most like photographs, not the last one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stgan.evaluation.appearance import Instruments, measure_appearance
from stgan.evaluation.classifier import Judge
from stgan.evaluation.edits import Editing
from stgan.evaluation.inference import evaluation_mode
from stgan.evaluation.realism import RealFaces, pooled_features

ACCURACY, REALISM = "edit_accuracy_1", "realism"  # names of the figures


@dataclass
class Selection:
    """Compares the snapshots of a run on validation images.

    A discriminator that has learned its images by heart no longer guides the generator, and pictures become worse while
    every loss falls. Real validation images tell.

    Attributes:
        least_accuracy: asked of edits. Below it the more accurate snapshot is better; from there on the more realistic.
        best: the key of the best snapshot so far.
    """

    least_accuracy: float
    best: list[float] | None = None

    def improves(self, figures: dict[str, float]) -> bool:
        """Whether a snapshot with these figures is the best so far; always where its realism was not measured."""
        if REALISM not in figures:
            return True
        key = [min(figures[ACCURACY], self.least_accuracy), -figures[REALISM]]
        if self.best is not None and key <= self.best:
            return False
        self.best = key
        return True


class AppearanceProbe:
    """Measures how edits of validation images look: realism against the real ones, and the skin of dark faces.

    Args:
        backbone: on the images' later device.
        images: uint8 (N, 3, S, S).
        labels: float (N, A) in {0, 1}.
        attributes: the A names.
    """

    def __init__(self, backbone: nn.Module, images: Tensor, labels: Tensor, attributes: tuple[str, ...]):
        self.images, self.labels, self.attributes = images, labels, attributes
        device = next(backbone.parameters()).device
        with evaluation_mode(backbone):
            features = [pooled_features(backbone, part.to(device)).float().cpu() for part in images.split(64)]
        self.instruments = Instruments(backbone, RealFaces(attributes, torch.cat(features).clone(), labels.cpu()))

    def figures(self, editing: Editing, judge: Judge) -> dict[str, float]:
        """The means over single edits at intensity 1, by name."""
        singles = [(name,) for name in self.attributes]
        appearance = measure_appearance(editing, judge, self.images, self.labels, self.instruments, flips=singles)
        return appearance.headline()
