"""Counts what a judge sees in every edit: the inside of the published protocol."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.attributes import exclusion_matrix, flipped_labels
from stgan.evaluation.classifier import Judge
from stgan.evaluation.edits import Editing, Encoding
from stgan.evaluation.results import EditScores, GroupScores
from stgan.frame import normalise
from stgan.models import AttributeClassifier

GROUPING = ("Male", "Young", "Pale_Skin")  # attributes whose people are also scored apart


class EditTally:
    """Flips every attribute at every intensity and counts, on ``device``, what a judge sees there."""

    def __init__(self, editing: Editing, classifier: Judge, intensities: Sequence[float], device: torch.device):
        self.editing, self.classifier, self.intensities = editing, classifier, tuple(intensities)
        attributes = editing.attributes
        columns = [classifier.attributes.index(name) for name in attributes]
        self.columns = torch.tensor(columns, device=device)  # of the classifier, in the generator's order
        self.thresholds = classifier.thresholds.to(device)[self.columns]
        self.exclusions = exclusion_matrix(attributes).to(device)
        count = len(attributes)
        flipped = torch.eye(count, dtype=torch.bool, device=device)
        # Row k of an intensity: that intensity for the flipped attribute, 1 for whatever it clears.
        self.strengths = [torch.where(flipped, float(value), 1.0) for value in self.intensities]
        # Of each batch (3, intensities, A, N): hits, changed predictions of others, predictions of others.
        self.counts: list[Tensor] = []
        self.distances = torch.zeros(len(self.intensities), count, dtype=torch.float32, device=device)  # sums
        self.between_people = torch.zeros((), dtype=torch.float32, device=device)

    def state(self) -> dict[str, Tensor]:
        """What has been counted so far, for :meth:`restore`."""
        counts = torch.cat(self.counts, dim=3)
        return {"counts": counts, "distances": self.distances, "between_people": self.between_people}

    def restore(self, state: dict[str, Tensor]) -> None:
        counts, self.distances, self.between_people = (
            state[name].to(self.distances.device) for name in ("counts", "distances", "between_people")
        )
        self.counts = [counts]

    def judge(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What uint8 images show, bool (N, A) in the generator's order, and the unit feature maps behind it."""
        view = normalise(image)
        with torch.autocast(image.device.type, enabled=False):
            if isinstance(self.classifier, AttributeClassifier):
                maps = self.classifier.feature_maps(view)
                logits = self.classifier.logits(maps[-1])
            else:
                maps, logits = [], self.classifier(view).float()
        return torch.sigmoid(logits[:, self.columns]) > self.thresholds, [F.normalize(each, dim=1) for each in maps]

    def add_strangers(self, maps: list[Tensor], others: list[Tensor]) -> None:
        """Count the distance of each image to that of another person."""
        self.between_people += _distance(maps, others).sum()

    def add(self, encoding: Encoding, labels: Tensor, shown: Tensor, maps: list[Tensor]) -> None:
        """Count the edits of N encoded images.

        Args:
            labels: float (N, A) in {0, 1}.
            shown, maps: what :meth:`judge` returns for the images.
        """
        counts = torch.zeros(
            3, len(self.intensities), labels.shape[1], len(labels), dtype=torch.int16, device=labels.device
        )
        for k in range(labels.shape[1]):
            target = flipped_labels(labels, torch.full((len(labels),), k, device=labels.device), self.exclusions)
            others = target == labels
            for i, strengths in enumerate(self.strengths):
                condition = self.editing.generator.condition(labels, target, strengths[k])
                prediction, edited_maps = self.judge(self.editing.decode(encoding, condition))
                changed = (prediction != shown) & others
                hit = prediction[:, k] == (target[:, k] > 0.5)
                counts[:, i, k] = torch.stack([hit, changed.sum(dim=1), others.sum(dim=1)])
                if maps:
                    self.distances[i, k] += _distance(maps, edited_maps).sum()
        self.counts.append(counts)

    def shares(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Accuracy and preservation error (intensities, A) of some of the images."""
        counts = torch.cat(self.counts, dim=3).cpu()[..., rows].double()
        hits, changed, others = counts.sum(dim=3)
        return hits / counts.shape[3], changed / others.clamp(min=1)

    def standard_errors(self) -> list[list[float | None]]:
        """Of the means of accuracy and preservation error over attributes: two for each intensity."""
        hits, changed, others = torch.cat(self.counts, dim=3).cpu().double()
        people = torch.stack([hits, changed / others.clamp(min=1)], dim=1).mean(dim=2)  # (intensities, 2, N)
        count = people.shape[-1]
        if count == 1:
            return [[None, None] for _ in self.intensities]
        return (people.std(dim=-1) / math.sqrt(count)).tolist()

    def scores(self) -> dict[float, EditScores]:
        """Shares by intensity. An editor of one attribute has no others, hence no preservation error."""
        accuracy, error = self.shares(slice(None))
        standard_errors = self.standard_errors()
        between_people = float(self.between_people)  # zero for a single image, which has no stranger beside it
        distance = self.distances.cpu().double() / (between_people or torch.nan)

        def by_name(values: Tensor) -> dict[str, float]:
            return dict(zip(self.editing.attributes, values.tolist(), strict=True))

        return {
            intensity: EditScores(
                by_name(accuracy[i]),
                by_name(error[i]),
                by_name(distance[i]) if between_people else {},
                *standard_errors[i],
            )
            for i, intensity in enumerate(self.intensities)
        }

    def group_scores(self, predicted: Tensor, labels: Tensor) -> dict[str, GroupScores]:
        """Means over people with and people without each attribute of :data:`GROUPING`, by their labels.

        Both are bool (N, A) on the CPU; ``predicted`` is what the classifier sees in the images.
        """
        right = (predicted == labels).double().mean(dim=1)
        groups = {}
        for name in [name for name in GROUPING if name in self.editing.attributes]:
            has = labels[:, self.editing.attributes.index(name)]
            for group, rows in ((name, has), (f"not {name}", ~has)):
                if not rows.any():
                    continue
                accuracy, error = (share.mean(dim=1).tolist() for share in self.shares(rows))
                groups[group] = GroupScores(
                    int(rows.sum()),
                    float(right[rows].mean()),
                    dict(zip(self.intensities, accuracy, strict=True)),
                    dict(zip(self.intensities, error, strict=True)),
                )
        return groups


def _distance(maps: list[Tensor], others: list[Tensor]) -> Tensor:
    """(N,) distances of faces by their maps (N, C, H, W) of unit length over channels: LPIPS's form, unweighted."""
    squares = [(a - b).square().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(maps, others, strict=True)]
    return torch.stack(squares).sum(dim=0)
