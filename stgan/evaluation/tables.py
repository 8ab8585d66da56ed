"""An evaluation as Markdown tables, beside the published figures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.evaluation.results import Appearance, Evaluation, FlipScores

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
_PAPER = (0.60, 0.97, 0.93, 0.79, 0.90, 0.88, 0.995, 0.96, 0.995, 0.39, 0.93, 0.97, 0.86)
PUBLISHED_EDIT_ACCURACY: dict[str, float] = dict(zip(DEFAULT_ATTRIBUTES, _PAPER, strict=True))
"""STGAN's, read off the paper's figure (±0.01), at intensity 1.5 on the same images, by the authors' classifier."""


def evaluation_tables(evaluation: Evaluation) -> str:
    """Tables for a model card: reconstruction, edits by attribute, and by who is edited, beside the paper's figures."""
    tables = [_reconstruction_table(evaluation), _edit_table(evaluation)]
    tables += [_group_table(evaluation)] if evaluation.groups else []
    return "\n\n".join([*map("\n".join, tables), *_notes(evaluation)]) + "\n"


def comparison_table(evaluation: Evaluation) -> str:
    """A small table for a project's front page: the means beside the published ones."""
    columns = ["", "PSNR, dB", "SSIM", *_by_intensity(evaluation)]
    accuracies = [cell(scores.mean_accuracy) for scores in evaluation.edits.values()]
    errors = [cell(scores.mean_preservation_error) for scores in evaluation.edits.values()]
    fidelity = [f"{evaluation.psnr:.2f}", f"{evaluation.ssim:.3f}"]
    rows = [[f"this model, {evaluation.images:,} images", *fidelity, *accuracies, *errors]]
    if evaluation.rgb_psnr is not None:  # painted colours alone compare with models that have no mask
        rows.append(
            ["what it paints, without its soft mask", f"{evaluation.rgb_psnr:.2f}", f"{evaluation.rgb_ssim:.3f}"]
        )
    for name, (psnr, ssim, accuracy) in PUBLISHED.items():
        published = [cell(accuracy if intensity == PUBLISHED_INTENSITY else None) for intensity in evaluation.edits]
        rows.append([f"{name}, 19,962 test images", f"{psnr:.2f}", f"{ssim:.3f}", *published])
    return "\n".join([*table(columns, rows), ""])


def appearance_tables(appearance: Appearance) -> str:
    """Tables of how edits look: by attribute, for pairs of attributes, and by who is edited."""
    tables = [_appearance_table("attribute", appearance.edits, _mean_rows(appearance))]
    tables += [_appearance_table("both flipped", appearance.pairs)] if appearance.pairs else []
    tables.append(_appearance_groups(appearance))
    return "\n\n".join([*map("\n".join, tables), _appearance_notes(appearance)]) + "\n"


def appearance_line(appearance: Appearance) -> str:
    """The means of how edits look in one sentence, beside those of real faces."""
    parts = []
    realism, identity, leak = (appearance.mean(figure) for figure in ("mean_realism", "identity", "leak"))
    if realism is not None:
        real = appearance.mean("mean_real")
        parts.append(f"realism {realism:.0f} (KID x 1000 against real faces, between which it is {real:.0f})")
    if identity is not None:
        usual = cell(appearance.real_identity)
        parts.append(f"identity {identity:.3f} (descriptor distance; between two photos of one person {usual})")
    if skin := appearance.mean_skin():
        parts.append(f"change of L* on the darkest third of cheeks {skin[0]:.1f}")
    parts += [] if leak is None else [f"leak {leak:.2f} levels"]
    figures = ", ".join(parts) or "not measured"
    return f"How edits of intensity {appearance.intensity:g} look, {appearance.images:,} images: {figures}."


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; cells that a row lacks are dashes."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join([*row, *['–'] * (len(columns) - len(row))])} |" for row in rows]


def cell(value: float | None, digits: int = 3) -> str:
    """A figure with that many decimals, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def _by_intensity(evaluation: Evaluation) -> list[str]:
    """Headings of the two figures that are given for each intensity."""
    return [f"{figure} ±{i:g}" for figure in ("edit accuracy", "preservation error") for i in evaluation.edits]


def _reconstruction_table(evaluation: Evaluation) -> list[str]:
    rows = [["this model", f"{evaluation.psnr:.2f}", f"{evaluation.ssim:.3f}"]]
    if evaluation.rgb_psnr is not None:
        rows.append(["this model, painted colours alone", f"{evaluation.rgb_psnr:.2f}", f"{evaluation.rgb_ssim:.3f}"])
    rows += [[name, f"{psnr:.2f}", f"{ssim:.3f}"] for name, (psnr, ssim, _) in PUBLISHED.items()]
    return table(["reconstruction (att_diff = 0)", "PSNR, dB", "SSIM"], rows)


def _edit_table(evaluation: Evaluation) -> list[str]:
    """Rows are attributes, columns accuracy and preservation error by intensity, the classifier's own, the paper's."""
    names = list(evaluation.classifier.accuracy)
    columns: dict[str, tuple[Mapping[str, float], float | None]] = {
        f"edit accuracy ±{i:g}": (s.accuracy, s.mean_accuracy) for i, s in evaluation.edits.items()
    }
    if any(name in PUBLISHED_EDIT_ACCURACY for name in names):
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
    rows = [[name, *(cell(values.get(name)) for values, _ in columns.values())] for name in names]
    rows.append(["**mean**", *(f"**{cell(mean)}**" for _, mean in columns.values())])
    return table(["attribute", *columns], rows)


def _group_table(evaluation: Evaluation) -> list[str]:
    columns = ["people labelled", "images", *_by_intensity(evaluation)]
    rows = []
    for name, scores in evaluation.groups.items():
        values = [*scores.edit_accuracy.values(), *scores.preservation_error.values(), scores.classifier_accuracy]
        rows.append([name, f"{scores.images:,}", *map(cell, values)])
    return table([*columns, "classifier accuracy"], rows)


def _notes(evaluation: Evaluation) -> list[str]:
    notes = [
        f"Measured on {evaluation.images:,} images, 8-bit RGB, scikit-image defaults. Each attribute is flipped on "
        "every image; ±1 is intensity 1 of the demo and the library. Edit accuracy: share of results in which a "
        "separately trained classifier sees the requested value. Real faces: the same share for photographs of people "
        "who do have that value. Preservation error: share of the other attributes' predictions that the edit changed. "
        "The classifier's own accuracy on the real images bounds how far either can be trusted."
    ]
    scores = evaluation.edits.values()
    of_accuracy = [each.accuracy_standard_error for each in scores]
    of_error = [each.preservation_standard_error for each in scores]
    if None not in [*of_accuracy, *of_error]:
        accuracies, errors = (" and ".join(cell(value, 4) for value in values) for values in (of_accuracy, of_error))
        notes.append(
            f"Standard errors, over these people: of mean edit accuracy {accuracies}, of mean preservation error "
            f"{errors} ({' and '.join(f'±{intensity:g}' for intensity in evaluation.edits)})."
        )
    if any(each.distance for each in scores):
        notes.append(
            "Distance: how far the edit moves the face in the features of that classifier (LPIPS's form without its "
            "learned weights), as a share of the mean distance between two people: 0 is the source itself, 1 another "
            "person. The classifier was trained on attributes, not on identities, so a visible edit cannot be at 0."
        )
    if evaluation.rgb_psnr is not None:
        notes.append(
            "This model copies the source through a soft mask wherever it does not paint, which makes its "
            "reconstruction nearly exact. Only the painted colours alone compare with a plain model's."
        )
    notes.append(
        "Published figures are for the 19,962 test images of CelebA at 128 px, judged by the authors' classifier; "
        f"their edit accuracies are for ±{PUBLISHED_INTENSITY:g} and read off a figure (±0.01)."
    )
    return notes


APPEARANCE_COLUMNS = (
    "edit accuracy", "realism", "identity", "same person", "L* dark", "L* medium", "L* light", "leak",
)  # fmt: skip


def _appearance_table(heading: str, edits: Mapping[str, FlipScores], more: Iterable[list[str]] = ()) -> list[str]:
    rows = [[name, *_appearance_cells(scores)] for name, scores in edits.items()]
    return table([heading, *APPEARANCE_COLUMNS], [*rows, *more])


def _appearance_cells(scores: FlipScores) -> list[str]:
    spread = "" if scores.mean_spread is None else f" ± {scores.mean_spread:.0f}"
    skin = ["–"] * 3 if scores.skin is None else [f"{change:+.1f}" for change in scores.skin]
    realism = cell(scores.mean_realism, 0) + spread
    identity = [cell(scores.identity), cell(scores.same_person)]
    return [cell(scores.accuracy), realism, *identity, *skin, cell(scores.leak, 2)]


def _mean_rows(appearance: Appearance) -> Iterator[list[str]]:
    """The mean over attributes, and what real photographs get."""
    skin = (cell(change, 1) for change in appearance.mean_skin() or (None,) * 3)
    realism, identity = cell(appearance.mean("mean_realism"), 0), cell(appearance.mean("identity"))
    means = [cell(appearance.mean("accuracy")), realism, identity, cell(appearance.mean("same_person")), *skin]
    yield ["**mean**", *(f"**{value}**" for value in [*means, cell(appearance.mean("leak"), 2)])]
    real = [appearance.real_identity, appearance.real_same_person]
    yield ["real faces", cell(appearance.real_accuracy), cell(appearance.mean("mean_real"), 0), *map(cell, real)]


def _appearance_groups(appearance: Appearance) -> list[str]:
    rows = [
        [name, f"{group.images:,}", cell(group.accuracy), cell(group.identity), cell(group.lightness, 1)]
        for name, group in appearance.groups.items()
    ]
    return table(["people", "images", "edit accuracy", "identity", "change of L*"], rows)


def _appearance_notes(appearance: Appearance) -> str:
    notes = (
        f"How edits of intensity {appearance.intensity:g} look, on {appearance.images:,} images. Realism: KID x 1000 "
        "between the edits and real training faces that have the values asked for, in EfficientNet-lite0's features "
        "of images of 128 px, ± its standard deviation over random subsets; lower is better. L*: mean change of the "
        "cheeks' median lightness (CIELAB) for the third of people with the darkest, medium and lightest cheeks; its "
        "mean is that of the absolute changes, without Pale_Skin."
    )
    if appearance.identity_people:
        notes += (
            " Identity: mean distance between dlib's face descriptors of source and edit, "
            f"{appearance.identity_people} people; same person: share below .6, the distance up to which two photos "
            "count as one person's."
        )
    if appearance.masked_images:
        notes += (
            f" Leak: mean absolute change, in 8-bit levels, outside of what the edit is about, by hand-drawn masks of "
            f"{appearance.masked_images:,} images."
        )
    return notes + (
        " Real faces: accuracy were each flip answered by a real photograph, realism between two halves of the real "
        "faces, identity between two photos of one person."
    )
