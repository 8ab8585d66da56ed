"""The model card of a model folder, written only from the folder's own records."""

import platform
import re
import shlex
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from stgan.models.pretrained import ModelFolderError, read_object
from stgan.models.registry import ARCHITECTURES, KINDS, companions

TRAINING_FILE = "training.json"  # written by the trainer
EVALUATION_FILE = "evaluation.json"  # written by the evaluation, with its Markdown and command
FAMILY_FILE = "family.json"  # optional: the table of the whole family, written by ``benchmarks/family.py``
PICTURE_FILE = "edits.png"  # optional: made by ``stgan sheet``
OF_THE_WEIGHTS = (EVALUATION_FILE, PICTURE_FILE, "onnx/")  # describe the present weights, and no later ones
TEMPLATE = Path(__file__).parent / "model_card.md"
TRAINING = re.compile(r"(^|[\s/])(train\.py|stgan(\.cli)? train)(\s|$)")  # a command that trains
CELEBA = "flwrlabs/celeba"  # on the Hub
CELEBA_TERMS = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"

USAGE = {
    "editor": "from stgan import FaceEditor, save_photo\n\n"
    'editor = FaceEditor.from_pretrained("{name}")\nprint(editor.attributes("me.jpg"))\n'
    'save_photo(editor.edit("me.jpg", {{"{attribute}": True}}), "edited.png")',
    "model": "from stgan.models import {architecture}\n\n"
    'model = {architecture}.from_pretrained("{name}")  # images (N, 3, {size}, {size}) in [-1, 1]',
    "companion": "from stgan.models import load_companion\n\n"
    '{kind} = load_companion("{name}", "{kind}")  # images (N, 3, {size}, {size}) in [-1, 1]',
}


def remove_records(folder: Path) -> None:
    """Remove the records of weights that are about to be replaced: evaluation, picture and exported graphs."""
    for name in OF_THE_WEIGHTS:
        if name.endswith("/"):
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)


def device_name(device: torch.device) -> str:
    """The hardware of a run, for its record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()})"


def write_card(folder: Path, name: str = "", *, companion: bool = False) -> ModelCard:
    """Write ``README.md`` of a model folder and return it. Arguments as for :func:`model_card`."""
    card = model_card(folder, name, companion=companion)
    card.save(folder / "README.md")
    return card


def model_card(folder: Path, name: str = "", *, companion: bool = False) -> ModelCard:
    """The card of a model folder, from its ``config.json`` and its records.

    Args:
        folder: of the model. Without an ``evaluation.json`` the card says that the model is not measured yet.
        name: Hub id or path that the usage lines show; by default the folder's name.
        companion: the folder lies in that of the editor called ``name``.

    Raises:
        ModelFolderError: one of the records is damaged or not of this project.
    """
    try:
        return _model_card(folder, name, companion)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, ModelFolderError):
            raise
        raise ModelFolderError(
            f"No card can be written of the records in {folder} ({type(error).__name__}: {error}). One of them is "
            "damaged or of another version: copy them again, or delete the damaged one."
        ) from error


def _model_card(folder: Path, name: str, companion: bool) -> ModelCard:
    config = _read(folder / "config.json")
    training = training_record(folder)
    evaluation = _read(folder / EVALUATION_FILE)
    architecture = config["architecture"]
    kind = ARCHITECTURES[architecture].kind
    data = training_datasets(training)
    text = _template().render(
        card_data=_card_data(architecture, data, training.get("license"), evaluation).to_yaml(),
        name=name or folder.name,
        discriminator=kind == "editor" and (folder / "discriminator").is_dir(),
        title=f"{architecture}, {config['image_size']} px",
        description=_description(kind, config),
        celeba=any(map(is_celeba, data)),
        data=" and ".join(data),
        usage=_usage(folder, name or folder.name, config, companion),
        training=training,
        commands=_commands(training.get("commands", [])),
        strengths=", ".join(f"{value:g} ({key})" for key, value in training.get("strengths", {}).items() if value != 1),
        evaluation=evaluation,
        family=_read(folder / FAMILY_FILE).get("markdown"),
        validation=", ".join(f"{key} {value:.4g}" for key, value in training.get("validation", {}).items()) or "none",
        measure=KINDS[kind].measure,
        config=config,
        picture=(folder / PICTURE_FILE).is_file(),
        onnx={graph.stem for graph in (folder / "onnx").glob("*.onnx")},
    )
    return ModelCard(text)


@cache  # compiled once, for a run writes a card at each validation
def _template() -> jinja2.Template:
    return jinja2.Template(TEMPLATE.read_text(encoding="utf-8"))


def replace_section(document: Path, name: str, text: str) -> None:
    """Replace the text between ``<!-- name -->`` and ``<!-- /name -->`` in a Markdown document.

    A ValueError says so if there is no such file, or it does not have both marks once.
    """
    before, _, after = split_section(document, name)
    document.write_text(f"{before}\n{text.strip()}\n{after}", encoding="utf-8")


def split_section(document: Path, name: str) -> tuple[str, str, str]:
    """A document's text up to and including a section's first mark, the section, and the rest; errors as above."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{document} needs {begin} and, below it, {end}. The text between them is replaced.")
    before, rest = text.split(begin)
    section, after = rest.split(end)
    return before + begin, section.strip(), end + after


def _description(kind: str, config: dict[str, Any]) -> str:
    names = config.get("attributes", ())
    sentences = [KINDS[kind].description.format(count=len(names), attributes=", ".join(names))]
    if config.get("soft_mask"):
        sentences.append("A soft mask decides for each pixel how much of it is replaced.")
    if config.get("use_regions"):
        sentences.append("An edit changes only the regions of the face that its attributes belong to.")
    return " ".join(sentences)


def _usage(folder: Path, name: str, config: dict[str, Any], companion: bool) -> str:
    architecture, attributes = config["architecture"], config.get("attributes", ())
    kind = ARCHITECTURES[architecture].kind
    whole = kind == "editor" and all((folder / part).is_dir() for part in companions("editing") if KINDS[part].missing)
    code = USAGE["companion" if companion else "editor" if whole else "model"].format(
        name=name, kind=kind, architecture=architecture, size=config["image_size"],
        attribute="Eyeglasses" if "Eyeglasses" in attributes else next(iter(attributes), ""),
    )  # fmt: skip
    return f"```python\n{code}\n```"


def _commands(entries: list[dict[str, Any]]) -> list[str]:
    """A run's commands as lines of shell, each with the image that it continued from."""
    changes = [f", with other settings ({entry['changed']})" if entry.get("changed") else "" for entry in entries]
    starts = [
        f"# from image {entry['from_image']:,} on{change}\n" if entry["from_image"] else ""
        for entry, change in zip(entries, changes, strict=True)
    ]
    return [start + entry["command"] for start, entry in zip(starts, entries, strict=True)]


def training_datasets(training: dict[str, Any]) -> list[str]:
    """Names of the datasets that the weights were trained on: the run's own first, then those of its initial models.

    ``training`` is the content of :data:`TRAINING_FILE`. If it names none, it is CelebA, the trainer's default.
    """
    sources = [training.get("config", {}).get("dataset", CELEBA)]
    for entry in training.get("commands", []):
        if TRAINING.search(entry["command"]):
            words = []  # with --option=value as two
            for word in shlex.split(entry["command"]):
                words += word.split("=", 1) if word.startswith("--") else [word]
            sources.append(words[words.index("--dataset") + 1] if "--dataset" in words else CELEBA)
    return list(dict.fromkeys(map(_dataset_name, sources)))


def _dataset_name(source: str) -> str:
    """The name of a dataset in a card: its Hub id, the name of its folder, or CelebA's Hub id for CelebA's download.

    ``data/faces`` is a folder: a card is the same where that folder is not there.
    """
    folder = Path(source)
    if not folder.is_dir():
        source = source.partition("@")[0]  # a Hub dataset may name its revision
    if folder.name.lower() == "celeba" or (folder / "img_align_celeba").is_dir():
        return CELEBA
    on_hub = source.count("/") == 1 and not source.startswith((".", "/", "~", "data/")) and not folder.is_dir()
    return source if on_hub else folder.resolve().name


def is_celeba(name: str) -> bool:
    """Whether a dataset's pictures are CelebA's, judged by its name; CelebA-HQ and CelebAMask-HQ count too."""
    return "celeba" in name.rpartition("/")[2].lower()


def _card_data(architecture: str, data: list[str], licence: str | None, evaluation: dict[str, Any]) -> ModelCardData:
    entry = ARCHITECTURES[architecture]
    kind = KINDS[entry.kind]
    celeba = any(map(is_celeba, data))
    return ModelCardData(
        library_name="stgan",
        pipeline_tag=kind.pipeline_tag,
        # CelebA's terms apply, whatever other data the weights were trained on.
        license="other" if celeba else licence or "unknown",
        license_name="celeba-non-commercial-research" if celeba else None,
        license_link=CELEBA_TERMS if celeba else None,
        datasets=[name for name in data if "/" in name] or None,
        tags=[*kind.tags, *([f"arxiv:{entry.paper}"] if entry.paper else [])],
        metrics=list(kind.metrics) if kind.metrics else None,
        model_name=architecture,
        eval_results=_eval_results(evaluation, kind.pipeline_tag or "image-to-image"),
    )


def _eval_results(evaluation: dict[str, Any], task: str) -> list[EvalResult] | None:
    """The ``model-index`` of the card: one result of this task per headline figure."""
    if not evaluation:
        return None
    data = _dataset_name(evaluation.get("data", CELEBA))
    title = f"{'CelebA' if data == CELEBA else data} ({evaluation['images']} images)"
    figures = evaluation["headline"]
    first = [name for name in figures if name.startswith("rgb_")]  # a mask lets any model reconstruct well
    return [
        EvalResult(
            task_type=task,
            dataset_type=data,
            dataset_name=title,
            dataset_split=evaluation["split"],
            metric_type=next((kind for kind in ("psnr", "ssim", "accuracy") if kind in name), name),
            metric_name=_metric_name(name, masked=bool(first)),
            metric_value=round(figures[name], 4),
        )  # fmt: skip
        for name in [*first, *(name for name in figures if name not in first)]
    ]


def _metric_name(name: str, masked: bool) -> str:
    """A figure's name in words: ``edit_accuracy_1.5`` becomes "edit accuracy ±1.5"."""
    kind = name.removeprefix("rgb_")
    if kind in ("psnr", "ssim"):
        part = ", painted colours alone" if kind != name else " through the soft mask" if masked else ""
        return kind.upper() + part
    words, _, intensity = name.rpartition("_")
    return f"{words.replace('_', ' ')} ±{intensity}" if words and intensity[0].isdigit() else name.replace("_", " ")


RECORD: dict[str, Any] = {
    "commands": list, "images_seen": int, "steps": int, "minutes": (int, float), "device": str, "config": dict,
    "validation": dict, "strengths": dict,
}  # fmt: skip
"""Entries of :data:`TRAINING_FILE` and their types; none of them must be there."""


def training_record(folder: Path) -> dict[str, Any]:
    """The training record of a model folder, empty where it has none. A ModelFolderError says if it is damaged."""
    record = _read(folder / TRAINING_FILE)
    wrong = [name for name, kind in RECORD.items() if name in record and not isinstance(record[name], kind)]
    for entry in () if "commands" in wrong else record.get("commands", []):
        if not isinstance(entry, dict) or [*map(type, map(entry.get, ("from_image", "command")))] != [int, str]:
            wrong = ["commands"]
    if wrong:
        raise ModelFolderError(
            f"{folder / TRAINING_FILE} is damaged: its {', '.join(wrong)} cannot be read. Copy it again or delete it."
        )
    return record


def _read(file: Path) -> dict[str, Any]:
    return read_object(file, "a record of a model") if file.is_file() else {}
