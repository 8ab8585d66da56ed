"""Measure a model folder on a dataset and record the results: what ``stgan evaluate`` runs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from stgan.card import EVALUATION_FILE, replace_section, split_section, write_card
from stgan.data import FaceFrames, load_into_memory
from stgan.devices import CHANNELS_LAST, chosen_device
from stgan.evaluation.checkpoint import FILE, Checkpoint
from stgan.evaluation.edits import Editing
from stgan.evaluation.faces import appearance_of_faces
from stgan.evaluation.figures import edit_sheet, varied_people
from stgan.evaluation.inception import check_enough, inception, inception_distances
from stgan.evaluation.protocol import check_measurement, evaluate
from stgan.evaluation.results import Evaluation
from stgan.evaluation.tables import appearance_line, appearance_tables, comparison_table, evaluation_tables
from stgan.models import AttributeClassifier, ModelFolderError, check_judge, load_companion, load_generator

FIGURE_PEOPLE = 6
INTENSITIES = (1.0, 1.5)
SECTION = "stgan evaluate"  # of a document: the means
TABLES = "stgan evaluate, tables"  # of a document: everything


@dataclass(frozen=True)
class Settings:
    """Measure a model: reconstruction, accuracy of edits, unwanted changes, and how the edits look."""

    # Hub id, folder of Parquet files, or folder of the CelebA download.
    data: Positional[str]
    # Model folder or Hub id. Default: STGAN_MODEL, or the bundled model.
    model: str = ""
    # train, validation or test.
    split: str = "validation"
    # Classifier that judges the edits: folder or Hub id. Default: the model's own.
    classifier: str | None = None
    # Measure only this many images.
    max_samples: int | None = None
    # Intensities of the edits; published accuracies use 1.5.
    intensities: tuple[float, ...] = INTENSITIES
    # Images at once.
    batch_size: int = 64
    # Crop of the images, such as celeba, celebahq or center; face finds the face in any photograph.
    crop: str = "auto"
    # Also measure how edits look: realism, identity and skin tone.
    appearance: bool = True
    # Dataset whose faces are edited to measure this, at most 1,000. Default: the first argument.
    faces: str | None = None
    # Dataset whose training split shows real faces to compare with. Default: that of --faces.
    real: str | None = None
    # Dataset with a column of masks, such as CelebAMask-HQ, to measure changes outside the edited region.
    masks: str | None = None
    # Crop of the images of --faces, --real and --masks. Default: that of --crop.
    faces_crop: str | None = None
    # Also measure FID and KID by Inception: needs the extra fid and a download.
    fid: bool = False
    # Folder for evaluation.json, evaluation.md and edits.png. The picture shows people of the dataset; pictures of
    # CelebA may not be published.
    output: Path | None = None
    # Write the figures into the model folder's card.
    update_card: bool = False
    # Markdown file to update: the means between its lines <!-- stgan evaluate --> and <!-- /stgan evaluate -->, or
    # all tables between those of "stgan evaluate, tables".
    document: Path | None = None
    # cpu, cuda, … Default: the GPU if there is one.
    device: str | None = None
    # Processes that decode images.
    workers: int = 2
    # Show progress bars.
    progress: bool = True


def evaluate_folder(settings: Settings) -> Evaluation:
    """Evaluate a model, print the result and write it where the settings say.

    Where something is to be written, an interrupted evaluation continues when it is started again in the same way.

    Raises:
        ModelFolderError: the model or its classifier cannot be loaded, or a card is to be updated on the Hub.
        stgan.data.DataError: a dataset, a split or a label column is missing.
        ValueError, OSError: a setting cannot be used. This is checked before the work.
    """
    _check(settings)
    device = chosen_device(settings.device)
    generator = load_generator(settings.model).to(device, **CHANNELS_LAST)
    named = settings.classifier
    judge = AttributeClassifier.from_pretrained(named) if named else load_companion(settings.model, "classifier")
    judge, parser = judge.to(device, **CHANNELS_LAST), load_companion(settings.model, "parser")
    parser = parser and parser.to(device, **CHANNELS_LAST)
    check_judge(generator, judge)  # before the dataset is decoded
    extractor = inception() if settings.fid else None
    if settings.output is not None:
        Path(settings.output).mkdir(parents=True, exist_ok=True)
    crops = (settings.crop, settings.faces_crop)
    frames = FaceFrames.from_pretrained(settings.model) if "face" in crops else None
    dataset = load_into_memory(
        str(settings.data), settings.split, generator.attributes, generator.image_size, crop=settings.crop,
        frames=frames, max_samples=settings.max_samples, workers=settings.workers, progress=settings.progress,
    )  # fmt: skip
    if settings.fid:
        check_enough(len(dataset.images))
    checkpoint = Checkpoint(_checkpoint_file(settings))
    how: dict[str, Any] = {
        "batch_size": settings.batch_size, "progress": settings.progress, "checkpoint": checkpoint
    }  # fmt: skip
    evaluation = evaluate(
        generator,
        judge,
        dataset.images,
        dataset.labels,
        parser=parser,
        intensities=settings.intensities,
        device=device,
        **how,
    )
    print(evaluation.summary())
    print(f"{evaluation.seconds_per_thousand_images:.1f} seconds per thousand images on {device}")
    record: dict[str, Any] = {"model": Path(settings.model).name, "data": str(settings.data), "split": settings.split}
    record |= {"device": str(device), "classifier": str(named or "classifier"), **evaluation.to_dict()}
    markdown, comparison = evaluation_tables(evaluation), comparison_table(evaluation)
    if settings.appearance:
        faces = settings.faces or settings.data
        appearance = appearance_of_faces(
            Editing(generator, parser), judge, str(faces), settings.split, real=str(settings.real or faces),
            masks=settings.masks, crop=settings.faces_crop or settings.crop, frames=frames,
            max_samples=settings.max_samples, workers=settings.workers, **how,
        )  # fmt: skip
        print(appearance_line(appearance))
        record["appearance"] = appearance.to_dict()
        markdown += f"\n{appearance_tables(appearance)}"
        comparison += f"\n{appearance_line(appearance)}\n"
    if settings.fid:
        distances = inception_distances(generator, dataset.images, dataset.labels, extractor=extractor, **how)
        print(distances.to_markdown())
        record["fid"] = asdict(distances)
        markdown += f"\n{distances.to_markdown()}"
    if settings.output is not None:
        people = varied_people(dataset.labels, FIGURE_PEOPLE)
        figure = edit_sheet(generator, dataset.images[people], dataset.labels[people], settings.intensities)
        figure.save(Path(settings.output) / "edits.png")
    record |= {"headline": evaluation.headline(), "markdown": markdown, "comparison": comparison}
    _write(settings, record)
    checkpoint.remove()
    return evaluation


def _check(settings: Settings) -> None:
    output, model = settings.output, Path(settings.model)
    if output is not None and Path(output).resolve().is_relative_to(model.resolve()):  # which publishing sends
        raise ValueError(
            f"--output {output} is in the model's own folder, which may be published, and the figure shows people: "
            "choose another."
        )
    check_measurement(settings.intensities, settings.batch_size)
    if settings.document is not None:
        _sections(Path(settings.document))
    if settings.update_card and not model.is_dir():
        raise ModelFolderError(f"{model} is not a local folder: download it to update its card.")


def _checkpoint_file(settings: Settings) -> Path | None:
    """Beside the first thing that is to be written; None where nothing is."""
    folders = [Path(settings.output)] if settings.output is not None else []
    folders += [Path(settings.model)] if settings.update_card else []
    folders += [Path(settings.document).parent] if settings.document is not None else []
    return next((folder / FILE for folder in folders), None)


def _sections(document: Path) -> list[str]:
    """Those of the two sections that a document has; the error is that of the first where it has none."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    sections = [name for name in (SECTION, TABLES) if f"<!-- {name} -->" in text] or [SECTION]
    for name in sections:
        split_section(document, name)
    return sections


def _write(settings: Settings, record: dict[str, Any]) -> None:
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
    defaults = Settings(settings.data)
    words = [f"stgan evaluate {settings.data} --model {settings.model} --split {settings.split}"]
    for_appearance = ("faces", "real", "masks", "faces_crop") if settings.appearance else ()
    for name in ("classifier", "max_samples", "intensities", "crop", *for_appearance):
        value = getattr(settings, name)
        if value != getattr(defaults, name):
            value = " ".join(map(str, value)) if name == "intensities" else value
            words.append(f"--{name.replace('_', '-')} {value}")
    words += [] if settings.appearance else ["--no-appearance"]
    return " ".join([*words, *(["--fid"] if settings.fid else [])])


def _write_json(file: Path, record: dict[str, Any]) -> None:
    file.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
