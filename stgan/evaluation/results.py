"""What an evaluation measured, as plain numbers that turn into JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any


def mean_of(values: Mapping[str, float]) -> float:
    """Mean over attributes; there is at least one."""
    return sum(values.values()) / len(values)


@dataclass(frozen=True)
class ClassifierReport:
    """How often a classifier is right on real images, per attribute, shares in [0, 1].

    ``balanced_accuracy`` is the mean of the shares right among those with and those without the attribute: .5 for a
    constant answer, however rare the attribute is. Where only one of the two occurs, it is that one's share.

    ``flipped_accuracy`` is the edit accuracy of real photographs, as if each flip were answered by a photograph of
    somebody who has the requested value: the share right among those with the attribute, weighted by how many lack it,
    and the other way round. An edit with a higher score is plainer than most real faces. It holds only attributes that
    some of the images have and others lack.
    """

    accuracy: dict[str, float]
    balanced_accuracy: dict[str, float]
    flipped_accuracy: dict[str, float]

    @property
    def mean_accuracy(self) -> float:
        return mean_of(self.accuracy)

    @property
    def mean_balanced_accuracy(self) -> float:
        return mean_of(self.balanced_accuracy)

    @property
    def mean_flipped_accuracy(self) -> float | None:
        return mean_of(self.flipped_accuracy) if self.flipped_accuracy else None

    def headline(self) -> dict[str, float]:
        """The means, for a log or tracker."""
        return {"accuracy": self.mean_accuracy, "balanced_accuracy": self.mean_balanced_accuracy}

    def to_dict(self) -> dict[str, Any]:
        figures = asdict(self).items()
        by_attribute = {name: {figure: values.get(name) for figure, values in figures} for name in self.accuracy}
        return self.headline() | {"by_attribute": by_attribute}


@dataclass(frozen=True)
class EditScores:
    """What edits of one intensity achieve, per flipped attribute, shares in [0, 1].

    ``accuracy``: edited images that show the requested value. ``preservation_error``: predictions of the other
    attributes that differ from those on the source image; attributes that the edit has to change do not count.
    ``distance``: how far the edit moves the face, as a share of the mean distance between two people: 0 leaves it as it
    is, 1 changes it as much as another person's photo would. Empty where the judge shows no features.
    The standard errors are those of the two means over people: the typical deviation for other people of the same
    number. None where there is only one image.
    """

    accuracy: dict[str, float]
    preservation_error: dict[str, float]
    distance: dict[str, float]
    accuracy_standard_error: float | None = None
    preservation_standard_error: float | None = None

    @property
    def mean_accuracy(self) -> float:
        return mean_of(self.accuracy)

    @property
    def mean_preservation_error(self) -> float:
        return mean_of(self.preservation_error)

    @property
    def mean_distance(self) -> float | None:
        return mean_of(self.distance) if self.distance else None

    def to_dict(self) -> dict[str, Any]:
        means = ("mean_accuracy", "mean_preservation_error", "mean_distance")
        return {name: getattr(self, name) for name in means} | asdict(self)


@dataclass(frozen=True)
class GroupScores:
    """Means over the people who have an attribute by their label, or over those who lack it. Shares in [0, 1]."""

    images: int
    classifier_accuracy: float
    edit_accuracy: dict[float, float]  # by intensity
    preservation_error: dict[float, float]

    def to_dict(self) -> dict[str, Any]:
        by_intensity = {name: _text_keys(getattr(self, name)) for name in ("edit_accuracy", "preservation_error")}
        return asdict(self) | by_intensity


def _text_keys(by_intensity: Mapping[float, Any]) -> dict[str, Any]:
    return {f"{intensity:g}": value for intensity, value in by_intensity.items()}


@dataclass(frozen=True)
class Evaluation:
    """Everything that :func:`stgan.evaluation.protocol.evaluate` measures."""

    images: int
    psnr: float  # dB, reconstruction at att_diff = 0, mean over images
    ssim: float  # at most 1, the same images
    edits: dict[float, EditScores]  # by intensity
    classifier: ClassifierReport  # of the judge itself, on the real images
    seconds_per_thousand_images: float  # reconstruction, all edits, judging and scoring
    rgb_psnr: float | None = None  # of what a soft-mask model paints, before its mask puts the source back
    rgb_ssim: float | None = None
    groups: dict[str, GroupScores] = field(default_factory=dict)  # "Male", "not Male", …; empty groups are left out

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
        edits = {intensity: scores.to_dict() for intensity, scores in self.edits.items()}
        groups = {name: scores.to_dict() for name, scores in self.groups.items()}
        return asdict(self) | {"edits": _text_keys(edits), "classifier": self.classifier.to_dict(), "groups": groups}


@dataclass(frozen=True)
class Realism:
    """KID times 1000 between edits and real faces that have the values asked for: lower is more real.

    ``spread`` is its standard deviation over the random subsets that KID is averaged over.
    """

    images: int  # edits
    kid: float
    spread: float


@dataclass(frozen=True)
class FlipScores:
    """How one edit looks at intensity 1, mean over people. None where it was not measured.

    ``accuracy``: share of edits in which the classifier sees every value asked for.
    ``realism``: by the values asked for (``+Eyeglasses``), of those with enough edits and real faces.
    ``real``: the same between two halves of those real faces.
    ``identity``: distance between face descriptors of source and edit; ``same_person``: share of people below the
    distance at which two photos count as one person's.
    ``skin``: mean change of the cheeks' L* for the people whose own is in the dark, medium and light third.
    ``leak``: mean absolute change, in 8-bit levels, of the pixels that have nothing to do with the edit.
    """

    accuracy: float
    realism: dict[str, Realism] = field(default_factory=dict)
    real: dict[str, Realism] = field(default_factory=dict)
    identity: float | None = None
    same_person: float | None = None
    skin: tuple[float, ...] | None = None
    leak: float | None = None

    @property
    def mean_realism(self) -> float | None:
        """Mean over the edits, each direction weighted by its number of images."""
        return _weighted(self.realism, "kid")

    @property
    def mean_spread(self) -> float | None:
        return _weighted(self.realism, "spread")

    @property
    def mean_real(self) -> float | None:
        return _weighted(self.real, "kid")


def _weighted(parts: Mapping[str, Realism], figure: str) -> float | None:
    images = sum(part.images for part in parts.values())
    return sum(part.images * getattr(part, figure) for part in parts.values()) / images if images else None


@dataclass(frozen=True)
class GroupAppearance:
    """Means over single edits of the people of a group."""

    images: int
    accuracy: float
    identity: float | None
    lightness: float | None  # mean absolute change of the cheeks' L* but for edits of Pale_Skin


@dataclass(frozen=True)
class Appearance:
    """How edits look to people: what :func:`stgan.evaluation.appearance.measure_appearance` measures."""

    images: int
    intensity: float
    edits: dict[str, FlipScores]  # by attribute
    pairs: dict[str, FlipScores]  # by "Male, Young"
    groups: dict[str, GroupAppearance]
    real_accuracy: float | None  # of the classifier, were each flip answered by a real photograph
    real_identity: float | None = None  # between two photos of one person
    real_same_person: float | None = None
    identity_people: int = 0  # sampled for identity
    masked_images: int = 0  # measured for leak

    def with_leak(self, leak: Mapping[str, float], images: int) -> "Appearance":
        """The same with the leak of each edit, measured on that many images."""
        scores = (self.edits, self.pairs)
        edits, pairs = ({name: replace(each, leak=leak.get(name)) for name, each in part.items()} for part in scores)
        return replace(self, edits=edits, pairs=pairs, masked_images=images)

    def mean(self, figure: str) -> float | None:
        """Mean of a figure of :class:`FlipScores` over the attributes that have it."""
        values = [value for scores in self.edits.values() if (value := getattr(scores, figure)) is not None]
        return sum(values) / len(values) if values else None

    def mean_skin(self) -> tuple[float, ...] | None:
        """Mean absolute change of L*, by tone, over the attributes but Pale_Skin."""
        rows = [scores.skin for name, scores in self.edits.items() if name != "Pale_Skin" and scores.skin is not None]
        return tuple(sum(map(abs, column)) / len(column) for column in zip(*rows, strict=True)) if rows else None

    def headline(self) -> dict[str, float]:
        """The means by name, for a log or tracker."""
        skin = self.mean_skin()
        values = {
            "realism": self.mean("mean_realism"), "identity_distance": self.mean("identity"),
            "same_person": self.mean("same_person"), "leak": self.mean("leak"),
            "dark_skin_change": skin[0] if skin else None,
        }  # fmt: skip
        return {name: value for name, value in values.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"means": self.headline()}
