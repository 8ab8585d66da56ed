"""Measure a model folder on a dataset and write down what was found: what ``stgan evaluate`` runs."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from stgan.card import EVALUATION_FILE, replace_section, split_section, write_card
from stgan.data import load_into_memory
from stgan.devices import chosen_device
from stgan.evaluation.figures import edit_sheet, varied_people
from stgan.evaluation.protocol import check_measurement, evaluate
from stgan.evaluation.realism import check_enough, inception
from stgan.evaluation.realism import realism as measure_realism
from stgan.evaluation.results import Evaluation
from stgan.evaluation.tables import comparison_table, evaluation_tables
from stgan.models import (
    AttributeClassifier,
    ModelFolderError,
    check_judge,
    load_companion,
    load_generator,
)

FIGURE_PEOPLE = 6
INTENSITIES = (1.0, 1.5)
SECTION = "stgan evaluate"  # of a document


def evaluate_folder(
    model: str | os.PathLike,
    data: str | os.PathLike,
    split: str = "validation",
    classifier: str | os.PathLike | None = None,
    max_samples: int | None = None,
    intensities: Sequence[float] = INTENSITIES,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    output: str | os.PathLike | None = None,
    *,
    update_card: bool = False,
    document: str | os.PathLike | None = None,
    crop: str = "auto",
    realism: bool = False,
    workers: int = 2,
    progress: bool = True,
) -> Evaluation:
    """Evaluate a model and print the result.

    Args:
        model: folder or Hub id of a generator.
        data: Hub id, folder of Parquet files, or folder of the original CelebA download.
        split: ``train``, ``validation`` or ``test``.
        classifier: folder or Hub id of the judge; by default the one that comes with the model.
        max_samples: measure only this many images.
        intensities: of the edits; the published accuracies are for 1.5.
        batch_size: images at once.
        device: by default the GPU where there is one.
        output: folder for ``evaluation.json``, ``evaluation.md`` and ``edits.png`` (which shows people of the dataset:
            CelebA's may not be published); None writes nothing.
        update_card: put the figures into the model folder's card, as text and as ``model-index``.
        document: Markdown file in which the means, beside the published ones, replace what is between the lines
            ``<!-- stgan evaluate -->`` and ``<!-- /stgan evaluate -->``.
        crop: of the images, see :class:`stgan.data.Preprocess`.
        realism: also measure FID and KID, which need the extra ``realism`` and download an Inception network.
        workers: processes that decode images.
        progress: show bars.

    Raises:
        ModelFolderError: the model or its classifier cannot be loaded, or a card is to be updated on the Hub.
        stgan.data.DataError: the dataset, the split or a label column is not there.
        ValueError: the classifier does not know an attribute that the model edits, the document lacks those lines, or
            ``output`` is in the model folder; intensities, batch size or device cannot be used; for ``realism`` the
            extra is not installed or there are too few images. All this is found out before the work.
        OSError: ``output`` cannot be a folder.
    """
    if output is not None and Path(output).resolve().is_relative_to(Path(model).resolve()):  # which publishing sends
        raise ValueError(f"--output {output} is in the model's own folder, and the figure shows people: name another.")
    check_measurement(intensities, batch_size)
    if document is not None:  # before the work
        split_section(Path(document), SECTION)
    if update_card and not Path(model).is_dir():
        raise ModelFolderError(f"{model} is not a local folder: download it to update its card.")
    device = chosen_device(device)
    generator = load_generator(model).to(device, memory_format=torch.channels_last)
    judge = AttributeClassifier.from_pretrained(classifier) if classifier else load_companion(model, "classifier")
    judge = judge.to(device, memory_format=torch.channels_last)
    check_judge(generator, judge)  # before the dataset is decoded
    extractor = inception() if realism else None
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
    dataset = load_into_memory(
        str(data), split, generator.attributes, generator.image_size,
        max_samples=max_samples, crop=crop, workers=workers, progress=progress,
    )  # fmt: skip
    if realism:
        check_enough(len(dataset.images))
    evaluation = evaluate(
        generator, judge, dataset.images, dataset.labels,
        intensities=intensities, batch_size=batch_size, device=device, progress=progress,
    )  # fmt: skip
    print(evaluation.summary())
    print(f"{evaluation.seconds_per_thousand_images:.1f} seconds per thousand images on {device}")
    record = {"model": Path(model).name, "data": str(data), "split": split, "device": str(device)}
    record |= {"classifier": str(classifier or "classifier"), **evaluation.to_dict()}
    markdown = evaluation_tables(evaluation)
    if realism:
        found = measure_realism(
            generator, dataset.images, dataset.labels,
            extractor=extractor, batch_size=batch_size, device=device, progress=progress,
        )  # fmt: skip
        print(found.to_markdown())
        record["realism"] = found.to_dict()
        markdown += f"\n{found.to_markdown()}"
    if output is not None:
        people = varied_people(dataset.labels, FIGURE_PEOPLE)
        figure = edit_sheet(generator, dataset.images[people], dataset.labels[people], intensities)
        folder = Path(output)
        _write_json(folder / EVALUATION_FILE, record)
        (folder / "evaluation.md").write_text(markdown, encoding="utf-8")
        figure.save(folder / "edits.png")
        print(f"Written to {folder}: {EVALUATION_FILE}, evaluation.md, edits.png")
    if document is not None:
        replace_section(Path(document), SECTION, comparison_table(evaluation))
        print(f"Updated {document}")
    if update_card:
        record |= {"headline": evaluation.headline(), "markdown": markdown, "comparison": comparison_table(evaluation)}
        options = "" if classifier is None else f" --classifier {classifier}"
        options += "" if max_samples is None else f" --max-samples {max_samples}"
        options += "" if tuple(intensities) == INTENSITIES else f" --intensities {' '.join(map(str, intensities))}"
        options += "" if crop == "auto" else f" --crop {crop}"
        options += " --realism" if realism else ""
        record["command"] = f"stgan evaluate {data} --model {model} --split {split}{options}"
        _write_json(Path(model) / EVALUATION_FILE, record)
        write_card(Path(model), str(model))
        print(f"Updated the card of {model}")
    return evaluation


def _write_json(file: Path, record: dict[str, Any]) -> None:
    file.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
