"""The probability above which a classifier's attribute counts as present."""

import torch
from torch import Tensor


def calibrate_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Per attribute, the threshold that gives the best accuracy.

    Plain accuracy is the expected number of right tick boxes on a photo: a box ticked wrongly and one left empty
    wrongly cost a person the same click. Balanced accuracy would tick Bald or Mustache on many faces without them.

    With exact probabilities .5 is best. A threshold leaves .5 only as far as the gain is not chance: it must win more
    than the square root of the number of images it decides differently, one standard error of as many coin tosses.
    Otherwise the few faces with a rare attribute would set it.

    Args:
        probabilities: float (N, A) in [0, 1], of images that the classifier was not trained on.
        labels: float (N, A) in {0, 1}.

    Returns:
        float (A,).

    Raises:
        ValueError: the shapes differ, or there are no images.
    """
    if probabilities.shape != labels.shape or not len(labels):
        raise ValueError(
            f"Probabilities {tuple(probabilities.shape)} and labels {tuple(labels.shape)} must have one shape, "
            "and not be empty."
        )
    columns = zip(probabilities.detach().cpu().double().T, labels.detach().cpu().double().T, strict=True)
    return torch.tensor([_threshold(column, truth) for column, truth in columns], dtype=probabilities.dtype)


def _threshold(probabilities: Tensor, labels: Tensor) -> float:
    """For one attribute, both (N,). Cut c calls the c least probable images absent and the others present."""
    ordered, order = probabilities.sort()
    truth = torch.cat([labels.new_zeros(1), labels[order].cumsum(0)])  # present among the first c
    cuts = torch.arange(len(truth), dtype=torch.float64)
    right = (cuts - truth) + (truth[-1] - truth)
    default = int((ordered <= 0.5).sum())
    score = right - (cuts - default).abs().sqrt()
    edges = torch.cat([ordered.new_zeros(1), ordered, ordered.new_ones(1)])
    score[edges[1:] <= edges[:-1]] = -torch.inf  # equal probabilities cannot be told apart
    score[default] = right[default]
    best = int(score.argmax())
    # A first maximum can tie with the default; nothing is gained then.
    return 0.5 if score[best] <= score[default] else float(edges[best : best + 2].mean())
