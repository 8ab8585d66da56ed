"""What a classifier sees in images, and how often it is right on real ones."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from tqdm.auto import tqdm

from stgan.evaluation.inference import evaluation_mode
from stgan.evaluation.results import ClassifierReport
from stgan.frame import normalise


class Judge(Protocol):
    """Decides which attributes an image shows; :class:`stgan.models.AttributeClassifier` is one."""

    attributes: tuple[str, ...]
    thresholds: Tensor  # (A,) probabilities

    def __call__(self, image: Tensor) -> Tensor:
        """Logits (N, A) of images (N, 3, S, S) in [-1, 1]."""


def predict_probabilities(
    classifier: Judge,
    images: Tensor,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Tensor:
    """Probabilities (N, A) on the CPU, float32, columns as ``classifier.attributes``, of uint8 images (N, 3, S, S)."""
    batches = tqdm(images.split(batch_size), desc="classifying", disable=not progress)
    with evaluation_mode(classifier):
        probabilities = [torch.sigmoid(classifier(normalise(batch.to(device))).float()) for batch in batches]
    return torch.cat(probabilities).cpu().clone()  # cloned outside of inference mode, so an ordinary tensor again


def predicted_labels(
    classifier: Judge, images: Tensor, attributes: Sequence[str], *, device: torch.device | str = "cpu"
) -> Tensor:
    """Labels float (N, A) in {0, 1} on the CPU, columns as ``attributes``, of uint8 images (N, 3, S, S)."""
    columns = [classifier.attributes.index(name) for name in attributes]
    shown = predict_probabilities(classifier, images, device=device) > classifier.thresholds.cpu()
    return shown[:, columns].float()


def classifier_report(
    classifier: Judge,
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> ClassifierReport:
    """Accuracy and balanced accuracy by the classifier's thresholds.

    Args:
        classifier: on ``device``.
        images: uint8 (N, 3, S, S).
        labels: float (N, A) in {0, 1}, columns as ``classifier.attributes``.

    Raises:
        ValueError: the labels do not have one row per image and one column per attribute.
    """
    if labels.shape != (len(images), len(classifier.attributes)):
        raise ValueError(
            f"labels must have shape {(len(images), len(classifier.attributes))}, one column per attribute of the "
            f"classifier, not {tuple(labels.shape)}."
        )
    probabilities = predict_probabilities(classifier, images, batch_size=batch_size, device=device, progress=progress)
    return report_of(probabilities > classifier.thresholds.cpu(), labels.cpu() > 0.5, classifier.attributes)


def report_of(predicted: Tensor, labels: Tensor, attributes: Sequence[str]) -> ClassifierReport:
    """The report on predictions, bool (N, A), whose labels are known, bool (N, A)."""
    right = (predicted == labels).double()
    shares = []  # right among those with the attribute, then among those without it
    for group in (labels, ~labels):
        size = group.sum(dim=0)
        share = (right * group).sum(dim=0) / size.clamp(min=1)
        shares.append(torch.where(size > 0, share, torch.nan))
    present, absent = shares
    balanced = torch.stack(shares).nanmean(dim=0)
    frequency = labels.double().mean(dim=0)
    flipped = (1 - frequency) * present + frequency * absent
    by_name = zip(attributes, flipped.tolist(), strict=True)
    return ClassifierReport(
        dict(zip(attributes, right.mean(dim=0).tolist(), strict=True)),
        dict(zip(attributes, balanced.tolist(), strict=True)),
        {name: value for name, value in by_name if not math.isnan(value)},
    )
