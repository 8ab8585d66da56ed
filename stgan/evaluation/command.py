"""Measure a model folder on a dataset and record the results: what ``stgan evaluate`` runs."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stgan.card import EVALUATION_FILE, replace_section, split_section, write_card
from stgan.data import MemoryDataset, load_into_memory
from stgan.devices import CHANNELS_LAST, chosen_device
from stgan.evaluation.edits import Editing
from stgan.evaluation.faces import FaceSets, appearance_of_faces
from stgan.evaluation.figures import edit_sheet, varied_people
from stgan.evaluation.inception import check_enough, inception, inception_distances
from stgan.evaluation.protocol import check_measurement, evaluate
from stgan.evaluation.results import Evaluation
from stgan.evaluation.tables import appearance_line, appearance_tables, comparison_table, evaluation_tables
from stgan.models import (
    AttributeClassifier,
    ModelFolderError,
    check_judge,
    load_companion,
    load_generator,
)

FIGURE_PEOPLE = 6
INTENSITIES = (1.0, 1.5)
SECTION = "stgan evaluate"  # of a document: the means
TABLES = "stgan evaluate, tables"  # of a document: everything


@dataclass(frozen=True)
class Settings:
    """What to evaluate, and where the results go.

    Attributes:
        model: folder or Hub id of a generator.
        data: Hub id, folder of Parquet files, or folder of the original CelebA download.
        split: ``train``, ``validation`` or ``test``.
        classifier: folder or Hub id of the judge; by default the one that comes with the model.
        max_samples: measure only this many images.
        intensities: of the edits; the published accuracies are for 1.5.
        batch_size: images at once.
        crop: of the images, see :class:`stgan.data.Preprocess`.
        appearance: also measure how edits look.
        faces: the datasets for that; by default ``data``.
        fid: also measure FID and KID by Inception, which need the extra ``fid`` and download a network.
        output: folder for ``evaluation.json``, ``evaluation.md`` and ``edits.png``, which shows people of the dataset:
            CelebA's may not be published. None writes nothing.
        update_card: put the figures into the model folder's card, as text and as ``model-index``.
        document: Markdown file with the marks ``<!-- stgan evaluate -->`` and ``<!-- /stgan evaluate -->``, between
            which the means are put, or with those of ``stgan evaluate, tables``, between which all tables are put.
        device: by default the GPU where there is one.
        workers: processes that decode images.
        progress: show bars.
    """

    model: str | os.PathLike
    data: str | os.PathLike
    split: str = "validation"
    classifier: str | os.PathLike | None = None
    max_samples: int | None = None
    intensities: Sequence[float] = INTENSITIES
    batch_size: int = 64
    crop: str = "auto"
    appearance: bool = True
    faces: FaceSets = FaceSets()
    fid: bool = False
    output: str | os.PathLike | None = None
    update_card: bool = False
    document: str | os.PathLike | None = None
    device: str | torch.device | None = None
    workers: int = 2
    progress: bool = True


def evaluate_folder(settings: Settings) -> Evaluation:
    """Evaluate a model, print the result and write it where the settings say.

    Raises:
        ModelFolderError: the model or its classifier cannot be loaded, or a card is to be updated on the Hub.
        stgan.data.DataError: a dataset, a split or a label column is missing.
        ValueError: the classifier does not know an attribute that the model edits, the document lacks the marks, or
            ``output`` is in the model folder; intensities, batch size or device cannot be used; for ``fid`` the extra
            is not installed or there are too few images. All this is checked before the work.
        OSError: ``output`` cannot be a folder.
    """
    _check(settings)
    device = chosen_device(settings.device)
    generator = load_generator(settings.model).to(device, **CHANNELS_LAST)
    named = settings.classifier
    judge = AttributeClassifier.from_pretrained(named) if named else load_companion(settings.model, "classifier")
    judge = judge.to(device, **CHANNELS_LAST)
    parser = load_companion(settings.model, "parser")
    if parser is not None:
        parser = parser.to(device, **CHANNELS_LAST)
    check_judge(generator, judge)  # before the dataset is decoded
    extractor = inception() if settings.fid else None
    if settings.output is not None:
        Path(settings.output).mkdir(parents=True, exist_ok=True)
    dataset = load_into_memory(
        str(settings.data), settings.split, generator.attributes, generator.image_size,
        max_samples=settings.max_samples, crop=settings.crop, workers=settings.workers, progress=settings.progress,
    )  # fmt: skip
    if settings.fid:
        check_enough(len(dataset.images))
    how: dict[str, Any] = {"batch_size": settings.batch_size, "device": device, "progress": settings.progress}
    evaluation = evaluate(generator, judge, *_images(dataset), parser=parser, intensities=settings.intensities, **how)
    print(evaluation.summary())
    print(f"{evaluation.seconds_per_thousand_images:.1f} seconds per thousand images on {device}")
    record: dict[str, Any] = {"model": Path(settings.model).name, "data": str(settings.data), "split": settings.split}
    record |= {"device": str(device), "classifier": str(named or "classifier"), **evaluation.to_dict()}
    markdown, comparison = evaluation_tables(evaluation), comparison_table(evaluation)
    if settings.appearance:
        sets = settings.faces.with_defaults(str(settings.data), settings.crop)
        appearance = appearance_of_faces(
            Editing(generator, parser),
            judge,
            sets,
            settings.split,
            max_samples=settings.max_samples,
            workers=settings.workers,
            **how,
        )
        print(appearance_line(appearance))
        record["appearance"] = appearance.to_dict()
        markdown += f"\n{appearance_tables(appearance)}"
        comparison += f"\n{appearance_line(appearance)}\n"
    if settings.fid:
        distances = inception_distances(generator, *_images(dataset), extractor=extractor, **how)
        print(distances.to_markdown())
        record["fid"] = distances.to_dict()
        markdown += f"\n{distances.to_markdown()}"
    if settings.output is not None:
        people = varied_people(dataset.labels, FIGURE_PEOPLE)
        figure = edit_sheet(generator, dataset.images[people], dataset.labels[people], settings.intensities)
        figure.save(Path(settings.output) / "edits.png")
    record |= {"headline": evaluation.headline(), "markdown": markdown, "comparison": comparison}
    _write(settings, record)
    return evaluation


def _check(settings: Settings) -> None:
    """Whatever is wrong with the settings, before the work."""
    output, model = settings.output, Path(settings.model)
    if output is not None and Path(output).resolve().is_relative_to(model.resolve()):  # which publishing sends
        raise ValueError(f"--output {output} is in the model's own folder, and the figure shows people: name another.")
    check_measurement(settings.intensities, settings.batch_size)
    if settings.document is not None:
        _sections(Path(settings.document))
    if settings.update_card and not model.is_dir():
        raise ModelFolderError(f"{model} is not a local folder: download it to update its card.")


def _sections(document: Path) -> list[str]:
    """Those of the two sections that a document has; the error is that of the first where it has none."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    sections = [name for name in (SECTION, TABLES) if f"<!-- {name} -->" in text] or [SECTION]
    for name in sections:
        split_section(document, name)
    return sections


def _write(settings: Settings, record: dict[str, Any]) -> None:
    """Results into the output folder, the document and the card."""
    if settings.output is not None:
        folder = Path(settings.output)
        _write_json(folder / EVALUATION_FILE, record)
        (folder / "evaluation.md").write_text(record["markdown"], encoding="utf-8")
        print(f"Written to {folder}: {EVALUATION_FILE}, evaluation.md, edits.png")
    if settings.document is not None:
        for name in _sections(Path(settings.document)):
            text = record["comparison" if name == SECTION else "markdown"]
            replace_section(Path(settings.document), name, text)
        print(f"Updated {settings.document}")
    if settings.update_card:
        _write_json(Path(settings.model) / EVALUATION_FILE, record | {"command": _command(settings)})
        write_card(Path(settings.model), str(settings.model))
        print(f"Updated the card of {settings.model}")


def _command(settings: Settings) -> str:
    """The command line that gives these results again."""
    defaults = Settings(settings.model, settings.data)
    words = [f"stgan evaluate {settings.data} --model {settings.model} --split {settings.split}"]
    for name in ("classifier", "max_samples", "intensities", "crop"):
        value = getattr(settings, name)
        if value != getattr(defaults, name):
            value = " ".join(map(str, value)) if name == "intensities" else value
            words.append(f"--{name.replace('_', '-')} {value}")
    words += settings.faces.options() if settings.appearance else ["--no-appearance"]
    return " ".join([*words, *(["--fid"] if settings.fid else [])])


def _images(dataset: MemoryDataset) -> tuple[Tensor, Tensor]:
    return dataset.images, dataset.labels


def _write_json(file: Path, record: dict[str, Any]) -> None:
    file.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
