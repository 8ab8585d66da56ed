"""How well an editor does: reconstruction, edit accuracy and preservation, by the protocol of the published figures.

Protocol (STGAN, arXiv 1904.09709, section 4.2, and its official code): PSNR and SSIM of the reconstruction with
scikit-image's defaults on 8-bit RGB, mean over images. Edit accuracy by flipping one attribute at a time, hair colours
and bald/bangs made consistent, and asking a separately trained classifier whether the result shows what was asked for.

Not in the papers: the distance that an edit moves a face, in the form of LPIPS (arXiv 1801.03924) without its learned
weights, on the features of that same classifier: each stage's map scaled to unit length over channels, the squared
difference summed over channels, averaged over positions and summed over stages.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn
from tqdm.auto import tqdm

from stgan.attributes import DEFAULT_ATTRIBUTES, exclusion_matrix, flipped_labels
from stgan.frame import normalise, quantise
from stgan.models import AttributeClassifier, Generator, check_judge

PUBLISHED_INTENSITY = 1.5  # the official code doubles the toggled target: from -0.5 to +1, not to +0.5
PUBLISHED: dict[str, tuple[float, float, float]] = {
    "AttGAN, published": (24.07, 0.841, 0.65),
    "StarGAN, published": (22.80, 0.819, 0.67),
    "STGAN, published": (31.67, 0.948, 0.8605),
    "STGAN, best rerun of the official code": (34.15, 0.971, 0.8848),
}
"""PSNR in dB, SSIM and mean edit accuracy at that intensity, on CelebA's 19,962 test images at 128 px.

The first three are the STGAN paper's; their edit accuracies are read off its figure.
"""
PUBLISHED_EDIT_ACCURACY: dict[str, float] = dict(
    zip(
        DEFAULT_ATTRIBUTES,
        (0.60, 0.97, 0.93, 0.79, 0.90, 0.88, 0.995, 0.96, 0.995, 0.39, 0.93, 0.97, 0.86),
        strict=True,
    )
)
"""STGAN's, read off the paper's figure (±0.01), at intensity 1.5 on the same images, by the authors' classifier."""
GROUPING = ("Male", "Young", "Pale_Skin")  # labels whose people's results are also given apart


class Judge(Protocol):
    """What decides which attributes an image shows; :class:`stgan.models.AttributeClassifier` is one."""

    attributes: tuple[str, ...]
    thresholds: Tensor  # (A,) probabilities

    def __call__(self, image: Tensor) -> Tensor:
        """Logits (N, A) of images (N, 3, S, S) in [-1, 1]."""


# ------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True)
class ClassifierReport:
    """How often a classifier is right on real images, per attribute, shares in [0, 1].

    ``balanced_accuracy`` is the mean of the shares right among those with and those without the attribute: .5 for a
    constant answer, however rare the attribute is. Where only one of the two occurs, it is that one's share.

    ``flipped_accuracy`` is the edit accuracy that real photographs would have, were each flip answered by a photograph
    that does have the value asked for: the share right among those with the attribute, weighed by how many have it
    not, and the other way round. An edit that scores more is plainer than most real faces. Only attributes that some
    of the images have and others have not are in it.
    """

    accuracy: dict[str, float]
    balanced_accuracy: dict[str, float]
    flipped_accuracy: dict[str, float]

    @property
    def mean_accuracy(self) -> float:
        return _mean(self.accuracy)

    @property
    def mean_balanced_accuracy(self) -> float:
        return _mean(self.balanced_accuracy)

    @property
    def mean_flipped_accuracy(self) -> float | None:
        return _mean(self.flipped_accuracy) if self.flipped_accuracy else None

    def headline(self) -> dict[str, float]:
        """The means, for a log or tracker."""
        return {"accuracy": self.mean_accuracy, "balanced_accuracy": self.mean_balanced_accuracy}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return self.headline() | {
            "by_attribute": {
                name: {
                    "accuracy": self.accuracy[name],
                    "balanced_accuracy": self.balanced_accuracy[name],
                    "flipped_accuracy": self.flipped_accuracy.get(name),
                }
                for name in self.accuracy
            }
        }


@dataclass(frozen=True)
class EditScores:
    """What edits of one intensity achieved, per flipped attribute, shares in [0, 1].

    ``accuracy``: edited images that show the value asked for. ``preservation_error``: predictions of the other
    attributes that differ from those on the source image; those that had to change with the edit are not counted.
    ``distance``: how far the edit moves the face, as a share of the mean distance between two people: 0 leaves it as it
    is, 1 changes it as much as taking another person's photo. Empty where the judge shows no features.
    The standard errors are those of the two means, over people: how far other people's would lie from them, typically.
    None where there is but one image.
    """

    accuracy: dict[str, float]
    preservation_error: dict[str, float]
    distance: dict[str, float]
    accuracy_standard_error: float | None = None
    preservation_standard_error: float | None = None

    @property
    def mean_accuracy(self) -> float:
        return _mean(self.accuracy)

    @property
    def mean_preservation_error(self) -> float:
        return _mean(self.preservation_error)

    @property
    def mean_distance(self) -> float | None:
        return _mean(self.distance) if self.distance else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "mean_accuracy": self.mean_accuracy,
            "mean_preservation_error": self.mean_preservation_error,
            "mean_distance": self.mean_distance,
            "accuracy_standard_error": self.accuracy_standard_error,
            "preservation_standard_error": self.preservation_standard_error,
            "accuracy": self.accuracy,
            "preservation_error": self.preservation_error,
            "distance": self.distance,
        }


@dataclass(frozen=True)
class GroupScores:
    """Means over the people whose label says, or does not say, that they have an attribute. Shares in [0, 1]."""

    images: int
    classifier_accuracy: float
    edit_accuracy: dict[float, float]  # by intensity
    preservation_error: dict[float, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "images": self.images,
            "classifier_accuracy": self.classifier_accuracy,
            "edit_accuracy": {f"{intensity:g}": value for intensity, value in self.edit_accuracy.items()},
            "preservation_error": {f"{intensity:g}": value for intensity, value in self.preservation_error.items()},
        }


@dataclass(frozen=True)
class Evaluation:
    """Everything that :func:`evaluate` measures."""

    images: int  # how many were measured
    psnr: float  # dB, reconstruction at att_diff = 0, mean over images
    ssim: float  # at most 1, the same images
    edits: dict[float, EditScores]  # by intensity
    classifier: ClassifierReport  # the judge itself, on the real images
    seconds_per_thousand_images: float  # reconstruction, all edits, judging and scoring
    rgb_psnr: float | None = None  # of what a soft-mask model paints, before its mask puts the source back
    rgb_ssim: float | None = None
    groups: dict[str, GroupScores] = field(default_factory=dict)  # "Male", "not Male", …; none that has nobody in it

    def headline(self) -> dict[str, float]:
        """The means by name, for a log or tracker: ``psnr``, ``ssim``, ``edit_accuracy_1.5``, …"""
        values = {"psnr": self.psnr, "ssim": self.ssim}
        if self.rgb_psnr is not None and self.rgb_ssim is not None:
            values |= {"rgb_psnr": self.rgb_psnr, "rgb_ssim": self.rgb_ssim}
        for intensity, scores in self.edits.items():
            values[f"edit_accuracy_{intensity:g}"] = scores.mean_accuracy
            values[f"preservation_error_{intensity:g}"] = scores.mean_preservation_error
            if scores.mean_distance is not None:
                values[f"distance_{intensity:g}"] = scores.mean_distance
        return values | {"classifier_accuracy": self.classifier.mean_accuracy}

    def summary(self) -> str:
        """One line."""
        parts = [f"{self.images} images", f"PSNR {self.psnr:.2f} dB", f"SSIM {self.ssim:.3f}"]
        if self.rgb_psnr is not None:
            parts.append(f"painted colours alone {self.rgb_psnr:.2f} dB / {self.rgb_ssim:.3f}")
        for intensity, scores in self.edits.items():
            distance = "" if scores.mean_distance is None else f", distance {scores.mean_distance:.3f}"
            parts.append(
                f"edit accuracy ±{intensity:g} {scores.mean_accuracy:.3f} "
                f"(preservation error {scores.mean_preservation_error:.3f}{distance})"
            )
        return ", ".join([*parts, f"classifier {self.classifier.mean_accuracy:.3f}"])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: finite numbers, text keys, None where a figure does not apply."""
        return {
            "images": self.images,
            "psnr": self.psnr,
            "ssim": self.ssim,
            "rgb_psnr": self.rgb_psnr,
            "rgb_ssim": self.rgb_ssim,
            "edits": {f"{intensity:g}": scores.to_dict() for intensity, scores in self.edits.items()},
            "classifier": self.classifier.to_dict(),
            "groups": {name: scores.to_dict() for name, scores in self.groups.items()},
            "seconds_per_thousand_images": self.seconds_per_thousand_images,
        }

    def to_markdown(self, published: bool = True) -> str:
        """Tables for a model card: reconstruction, edits by attribute, and by who is edited.

        Args:
            published: put the paper's figures beside, for the attributes that it edits too.
        """
        return "\n".join(
            [
                *_reconstruction_table(self, published),
                "",
                *_edit_table(self, published),
                "",
                *_group_table(self),
                "",
                *_notes(self, published),
                "",
            ]
        )

    def comparison(self) -> str:
        """A small table for a project's front page: the means, and what was published before."""
        columns = ["", "PSNR, dB", "SSIM"]
        for quantity in ("edit accuracy", "preservation error"):
            columns += [f"{quantity} ±{intensity:g}" for intensity in self.edits]
        accuracies = [_cell(scores.mean_accuracy) for scores in self.edits.values()]
        errors = [_cell(scores.mean_preservation_error) for scores in self.edits.values()]
        rows = [[f"this model, {self.images:,} images", f"{self.psnr:.2f}", f"{self.ssim:.3f}", *accuracies, *errors]]
        if self.rgb_psnr is not None:  # painted colours alone compare with models that have no mask
            rows.append(["what it paints, without its soft mask", f"{self.rgb_psnr:.2f}", f"{self.rgb_ssim:.3f}"])
        for name, (psnr, ssim, accuracy) in PUBLISHED.items():
            published = [_cell(accuracy if intensity == PUBLISHED_INTENSITY else None) for intensity in self.edits]
            rows.append([f"{name}, 19,962 test images", f"{psnr:.2f}", f"{ssim:.3f}", *published])
        lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for row in rows:
            lines.append(f"| {' | '.join(row + ['–'] * (len(columns) - len(row)))} |")
        return "\n".join([*lines, ""])


# ---------------------------------------------------------------------------------------------------- evaluation


def evaluate(
    generator: Generator,
    classifier: Judge,
    images: Tensor,
    labels: Tensor,
    *,
    intensities: Sequence[float] = (1.0, 1.5),
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Evaluation:
    """Measure a generator by the published protocol; one encoding per image serves all its 1 + I * A decodings.

    Every result is rounded to 8 bits, as a saved PNG is, before it is compared or judged. Attribute k is flipped with
    att_diff ±intensity; what the flip excludes (another hair colour, bangs when bald) is cleared with ±1, as in the
    official code, which scales the toggled attribute alone.

    Args:
        generator: on ``device``.
        classifier: on ``device``, trained apart from the generator; knows at least the generator's attributes. It
            runs in full precision, and on images resized to its own ``image_size`` where that differs.
        images: uint8 (N, 3, S, S), on any device.
        labels: float (N, A) in {0, 1}, columns as ``generator.attributes``.
        intensities: of the edits; the published accuracies are for 1.5.
        batch_size: images per encoding, and per decoding.
        progress: show a bar.

    Raises:
        ValueError: the classifier does not know an attribute, shapes or types do not fit, or a network is elsewhere.
    """
    device = torch.device(device)
    check_measurement(intensities, batch_size)
    _check_inputs(generator, classifier, images, labels, device)
    tally = _EditTally(generator, classifier, intensities, device)
    fidelity, real = [], []
    started = time.perf_counter()
    with (
        measuring(generator, classifier),
        ThreadPoolExecutor(max_workers=1 if device.type == "cpu" else min(8, os.cpu_count() or 1)) as pool,
    ):
        for start in tqdm(range(0, len(images), batch_size), desc="evaluating", disable=not progress):
            rows = torch.arange(start, min(start + batch_size, len(images)))
            source = images[rows].to(device, non_blocking=True)
            given = labels[start : start + batch_size].to(device, torch.float32, non_blocking=True)
            features = generator.encode(normalise(source))
            reconstruction = generator.decode_parts(features, generator.condition(given, given))
            shown, maps = tally.judge(source)
            real.append(shown)
            if maps:
                stranger = images[(rows + 1) % len(images)].to(device, non_blocking=True)
                tally.add_strangers(maps, tally.judge(stranger)[1])
            tally.add(features, given, shown, maps)
            results = [reconstruction.image] + ([reconstruction.rgb] if generator.soft_mask else [])
            pixels = torch.stack([source, *map(quantise, results)]).cpu()  # the batch's only wait for the device
            fidelity.append(pool.submit(_fidelity, _channels_last(pixels)))
        scores = np.concatenate([future.result() for future in fidelity], axis=-1).mean(axis=-1)
        predicted, given = torch.cat(real).cpu(), labels.cpu() > 0.5
        classifier_scores = _report(predicted, given, generator.attributes)
        edits, groups = tally.scores(), tally.group_scores(predicted, given)
    seconds = time.perf_counter() - started
    psnr, ssim, rgb_psnr, rgb_ssim = [*map(float, scores.flat), None, None][:4]
    return Evaluation(
        len(images), psnr, ssim, edits, classifier_scores, 1000 * seconds / len(images), rgb_psnr, rgb_ssim, groups
    )


class _EditTally:
    """Flips every attribute at every intensity and counts, on the device, what a judge makes of it."""

    def __init__(self, generator: Generator, classifier: Judge, intensities: Sequence[float], device: torch.device):
        self.generator, self.classifier, self.intensities = generator, classifier, tuple(intensities)
        columns = [classifier.attributes.index(name) for name in generator.attributes]
        self.columns = torch.tensor(columns, device=device)  # of the classifier, in the generator's order
        self.thresholds = classifier.thresholds.to(device)[self.columns]
        self.exclusions = exclusion_matrix(generator.attributes).to(device)
        count = len(generator.attributes)
        flipped = torch.eye(count, dtype=torch.bool, device=device)
        # Row k of an intensity: that intensity for the flipped attribute, 1 for whatever it clears.
        self.strengths = [torch.where(flipped, float(value), 1.0) for value in self.intensities]
        # Of each batch (3, intensities, A, N): hits, changed predictions of others, predictions of others.
        self.counts: list[Tensor] = []
        self.distances = torch.zeros(len(self.intensities), count, dtype=torch.float32, device=device)  # sums
        self.between_people = torch.zeros((), dtype=torch.float32, device=device)

    def judge(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What uint8 images show, bool (N, A) in the generator's order, and the unit feature maps it is seen by."""
        size = getattr(self.classifier, "image_size", image.shape[-1])
        view = normalise(image)
        if size != image.shape[-1]:
            view = F.interpolate(view, (size, size), mode="bicubic", antialias=True, align_corners=False)
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

    def add(self, features: Any, labels: Tensor, shown: Tensor, maps: list[Tensor]) -> None:
        """Count the edits of encoded images, labels (N, A), for which :meth:`judge` gave ``shown`` and ``maps``."""
        counts = torch.zeros(
            3, len(self.intensities), labels.shape[1], len(labels), dtype=torch.int16, device=labels.device
        )
        for k in range(labels.shape[1]):
            target = flipped_labels(labels, torch.full((len(labels),), k, device=labels.device), self.exclusions)
            others = target == labels
            for i, strengths in enumerate(self.strengths):
                condition = self.generator.condition(labels, target, strengths[k])
                prediction, edited_maps = self.judge(quantise(self.generator.decode(features, condition)))
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
        """Shares by intensity. An editor of one attribute has no others, hence no error."""
        accuracy, error = self.shares(slice(None))
        standard_errors = self.standard_errors()
        between_people = float(self.between_people)  # zero for a single image, which has no stranger beside it
        distance = self.distances.cpu().double() / (between_people or torch.nan)

        def by_name(values: Tensor) -> dict[str, float]:
            return dict(zip(self.generator.attributes, values.tolist(), strict=True))

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
        """Means over those with and those without each attribute of :data:`GROUPING`, by their labels.

        Args:
            predicted: bool (N, A), what the classifier sees in the images, on the CPU.
            labels: bool (N, A), likewise.
        """
        right = (predicted == labels).double().mean(dim=1)
        found = {}
        for name in [name for name in GROUPING if name in self.generator.attributes]:
            has = labels[:, self.generator.attributes.index(name)]
            for group, rows in ((name, has), (f"not {name}", ~has)):
                if not rows.any():
                    continue
                accuracy, error = (share.mean(dim=1).tolist() for share in self.shares(rows))
                found[group] = GroupScores(
                    int(rows.sum()),
                    float(right[rows].mean()),
                    dict(zip(self.intensities, accuracy, strict=True)),
                    dict(zip(self.intensities, error, strict=True)),
                )
        return found


def _distance(maps: list[Tensor], others: list[Tensor]) -> Tensor:
    """(N,) distances of faces by their maps (N, C, H, W) of unit length over channels; see the module's docstring."""
    return torch.stack([(a - b).square().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(maps, others, strict=True)]).sum(
        dim=0
    )


def check_measurement(intensities: Sequence[float], batch_size: int) -> None:
    """Before the work: that images can be measured at these intensities, in batches of this size.

    Raises:
        ValueError: there is no intensity, one is not a positive number, two are the same, or the batches are empty.
    """
    usable = all(math.isfinite(value) and value > 0 for value in intensities)
    if not intensities or not usable or len(set(intensities)) < len(intensities):
        given = " ".join(map(str, intensities)) or "none"
        raise ValueError(f"Intensities must be different positive numbers, such as 1 and 1.5, not {given}.")
    if batch_size < 1:
        raise ValueError(f"The batch size must be at least 1, not {batch_size}.")


def _check_inputs(
    generator: Generator, classifier: Judge, images: Tensor, labels: Tensor, device: torch.device
) -> None:
    check_judge(generator, classifier)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(
            f"images must be uint8 of shape (N, 3, S, S) with N > 0, not {images.dtype} {tuple(images.shape)}."
        )
    if labels.shape != (len(images), len(generator.attributes)):
        raise ValueError(
            f"labels must have shape {(len(images), len(generator.attributes))}, one column per attribute of the "
            f"generator, not {tuple(labels.shape)}."
        )
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels must be 0 or 1; in CelebA's own file -1 stands for 0.")
    for name, network in (("generator", generator), ("classifier", classifier)):
        found = next((p.device for p in network.parameters()), device) if isinstance(network, nn.Module) else device
        if found.type != device.type:
            raise ValueError(
                f"The {name} is on {found}, the evaluation on {device}: move it, or pass device='{found}'."
            )


@contextlib.contextmanager
def measuring(*networks: Any) -> Iterator[None]:
    """Inference, in evaluation mode; afterwards every module is in the mode that it was in."""
    modules = [module for network in networks if isinstance(network, nn.Module) for module in network.modules()]
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        with torch.inference_mode():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


# -------------------------------------------------------------------------------------------------------- images


def to_uint8(images: Tensor) -> np.ndarray:
    """Float images (N, 3, S, S) in [-1, 1] to uint8 (N, S, S, 3), rounded, what lies outside clamped: as in a PNG."""
    return _channels_last(quantise(images).cpu())


def _channels_last(images: Tensor) -> np.ndarray:
    return np.ascontiguousarray(images.movedim(-3, -1).numpy())


def psnr_ssim(reference: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Peak signal-to-noise ratio and structural similarity of each image, with scikit-image's defaults.

    Where an image equals its reference, whose ratio is infinite, the value for the smallest visible difference is
    given instead, one level in one channel of one pixel (95.05 dB at 128 px), so that means stay finite.

    Args:
        reference, result: uint8 (N, S, S, 3), S at least 7, the side of the uniform window of SSIM.

    Returns:
        PSNR in dB and SSIM, both float64 (N,).
    """
    if reference.shape != result.shape or reference.dtype != np.uint8 or result.dtype != np.uint8:
        raise ValueError(
            f"Both must be uint8 of one shape, not {reference.dtype} {reference.shape} "
            f"and {result.dtype} {result.shape}."
        )
    best = 10 * math.log10(255**2 * math.prod(reference.shape[1:]))
    pairs = list(zip(reference, result, strict=True))
    psnr = [best if np.array_equal(*pair) else peak_signal_noise_ratio(*pair) for pair in pairs]
    ssim = [structural_similarity(*pair, channel_axis=-1) for pair in pairs]
    return np.array(psnr, dtype=np.float64), np.array(ssim, dtype=np.float64)


def _fidelity(pixels: np.ndarray) -> np.ndarray:
    """(R, 2, N): PSNR and SSIM of R results for N sources, from uint8 (1 + R, N, S, S, 3), sources first."""
    return np.stack([np.stack(psnr_ssim(pixels[0], result)) for result in pixels[1:]])


# ---------------------------------------------------------------------------------------------------- classifiers


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
    with measuring(classifier):
        probabilities = [torch.sigmoid(classifier(normalise(batch.to(device))).float()) for batch in batches]
    return torch.cat(probabilities).cpu().clone()  # a clone made out here is an ordinary tensor again


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
    """
    if labels.shape != (len(images), len(classifier.attributes)):
        raise ValueError(
            f"labels must have shape {(len(images), len(classifier.attributes))}, one column per attribute of the "
            f"classifier, not {tuple(labels.shape)}."
        )
    probabilities = predict_probabilities(classifier, images, batch_size=batch_size, device=device, progress=progress)
    return _report(probabilities > classifier.thresholds.cpu(), labels.cpu() > 0.5, classifier.attributes)


def _report(predicted: Tensor, labels: Tensor, attributes: Sequence[str]) -> ClassifierReport:
    """From bool (N, A) predictions and labels."""
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


def calibrate_thresholds(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Per attribute, the probability above which it counts as present.

    Maximises plain accuracy, the expected number of right tick boxes on a photo: a box ticked wrongly and one left
    empty wrongly cost the person the same click. Balanced accuracy would tick Bald or Mustache on many faces without
    them. A threshold leaves 0.5, where accuracy is best already if the probabilities are right, only as far as it is
    sure to gain: it must win more than the square root of the number of images it decides differently, one standard
    error of a coin toss for each. Else the few faces with a rare attribute would set it by chance.

    Args:
        probabilities: float (N, A) in [0, 1], of images that the classifier was not trained on.
        labels: float (N, A) in {0, 1}.

    Returns:
        float (A,).
    """
    if probabilities.shape != labels.shape or not len(labels):
        raise ValueError(
            f"Probabilities {tuple(probabilities.shape)} and labels {tuple(labels.shape)} must have one shape, "
            "and not be empty."
        )
    columns = zip(probabilities.detach().cpu().double().T, labels.detach().cpu().double().T, strict=True)
    return torch.tensor([_calibrated_threshold(column, truth) for column, truth in columns], dtype=probabilities.dtype)


def _calibrated_threshold(probabilities: Tensor, labels: Tensor) -> float:
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


# ------------------------------------------------------------------------------------------------------- markdown


def _reconstruction_table(evaluation: Evaluation, published: bool) -> list[str]:
    rows = ["| reconstruction (att_diff = 0) | PSNR, dB | SSIM |", "|---|---|---|"]
    rows.append(f"| this model | {evaluation.psnr:.2f} | {evaluation.ssim:.3f} |")
    if evaluation.rgb_psnr is not None:
        rows.append(f"| this model, painted colours alone | {evaluation.rgb_psnr:.2f} | {evaluation.rgb_ssim:.3f} |")
    if published:
        rows += [f"| {name} | {psnr:.2f} | {ssim:.3f} |" for name, (psnr, ssim, _) in PUBLISHED.items()]
    return rows


def _edit_table(evaluation: Evaluation, published: bool) -> list[str]:
    """Rows are attributes, columns accuracy and preservation error by intensity, the classifier's own, the paper's."""
    names = list(evaluation.classifier.accuracy)
    published = published and any(name in PUBLISHED_EDIT_ACCURACY for name in names)
    columns = {f"edit accuracy ±{i:g}": (s.accuracy, s.mean_accuracy) for i, s in evaluation.edits.items()}
    if published:
        # The paper's mean is for its own 13 attributes and no others.
        mean = PUBLISHED["STGAN, published"][2] if set(names) == set(PUBLISHED_EDIT_ACCURACY) else None
        columns[f"STGAN, paper, ±{PUBLISHED_INTENSITY:g}"] = (PUBLISHED_EDIT_ACCURACY, mean)
    report = evaluation.classifier
    columns["real faces"] = (report.flipped_accuracy, report.mean_flipped_accuracy)
    for intensity, scores in evaluation.edits.items():
        columns[f"preservation error ±{intensity:g}"] = (scores.preservation_error, scores.mean_preservation_error)
        if scores.distance:
            columns[f"distance ±{intensity:g}"] = (scores.distance, scores.mean_distance)
    columns["classifier accuracy"] = (report.accuracy, report.mean_accuracy)
    columns["classifier balanced"] = (report.balanced_accuracy, report.mean_balanced_accuracy)
    rows = [f"| attribute | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        rows.append(f"| {name} | {' | '.join(_cell(values.get(name)) for values, _ in columns.values())} |")
    return [*rows, f"| **mean** | {' | '.join(f'**{_cell(mean)}**' for _, mean in columns.values())} |"]


def _group_table(evaluation: Evaluation) -> list[str]:
    """Rows are groups of people by their labels, columns the means of their edits."""
    if not evaluation.groups:
        return []
    columns = [f"edit accuracy ±{i:g}" for i in evaluation.edits] + [
        f"preservation error ±{i:g}" for i in evaluation.edits
    ]
    rows = [
        f"| people labelled | images | {' | '.join(columns)} | classifier accuracy |",
        "|---" * (len(columns) + 3) + "|",
    ]
    for name, scores in evaluation.groups.items():
        values = [*scores.edit_accuracy.values(), *scores.preservation_error.values(), scores.classifier_accuracy]
        rows.append(f"| {name} | {scores.images:,} | {' | '.join(map(_cell, values))} |")
    return rows


def _notes(evaluation: Evaluation, published: bool) -> list[str]:
    lines = [
        f"Measured on {evaluation.images:,} images, 8-bit RGB, scikit-image defaults. Each attribute flipped on every "
        "image; ±1 is what the demo and the library call intensity 1. Edit accuracy: share of results in which a "
        "separately trained classifier sees the value asked for; real faces: in how many it would, were they "
        "photographs of people who do have that value. Preservation error: share of the other attributes' predictions "
        "that the edit changed. The classifier's own accuracy on the real images bounds how far either can be trusted.",
    ]
    of_accuracy = [scores.accuracy_standard_error for scores in evaluation.edits.values()]
    of_error = [scores.preservation_standard_error for scores in evaluation.edits.values()]
    if None not in [*of_accuracy, *of_error]:
        lines += [
            "",
            f"Standard errors, over these people: of mean edit accuracy {_listed(of_accuracy)}, of mean preservation "
            f"error {_listed(of_error)} ({_listed(evaluation.edits, '±{:g}')}).",
        ]
    if any(scores.distance for scores in evaluation.edits.values()):
        lines += [
            "",
            "Distance: how far the edit moves the face in the features of that classifier (LPIPS's form without its "
            "learned weights), as a share of the mean distance between two people: 0 is the source itself, 1 another "
            "person. The classifier was trained on attributes, not on identities, so a visible edit cannot be at 0.",
        ]
    if evaluation.rgb_psnr is not None:
        lines += [
            "",
            "This model copies the source through a soft mask wherever it does not paint, so its reconstruction can "
            "hardly miss and does not compare with a plain model's; the painted colours alone do.",
        ]
    if published:
        lines += [
            "",
            "Published figures are for the 19,962 test images of CelebA at 128 px, judged by the authors' classifier; "
            f"their edit accuracies are for ±{PUBLISHED_INTENSITY:g} and read off a figure (±0.01).",
        ]
    return lines


def _listed(values: Iterable[float], form: str = "{:.4f}") -> str:
    return " and ".join(form.format(value) for value in values)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)
