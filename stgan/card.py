"""The model card of a model folder, written from the folder's own records and from nothing else."""

import json
import platform
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData

TRAINING_FILE = "training.json"  # written by the trainer
EVALUATION_FILE = "evaluation.json"  # written by the evaluation, with its Markdown and command
FAMILY_FILE = "family.json"  # where there is one: the family's table, written by ``benchmarks/family.py``
PICTURE_FILE = "edits.png"  # where there is one: made by ``stgan sheet``
OF_THE_WEIGHTS = (EVALUATION_FILE, PICTURE_FILE, "onnx/")  # true of the weights beside them, and of no others
TEMPLATE = Path(__file__).parent / "model_card.md"
CELEBA = "flwrlabs/celeba"  # on the Hub
CELEBA_TERMS = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
PAPERS = {"STGAN": "1904.09709", "AttGAN": "1711.10678", "StarGAN": "1711.09020"}

USAGE = {
    "editor": "from stgan import FaceEditor, save_photo\n\n"
    'editor = FaceEditor.from_pretrained("{name}")\nprint(editor.attributes("me.jpg"))\n'
    'save_photo(editor.edit("me.jpg", {{"{attribute}": True}}), "edited.png")',
    "model": "from stgan import {architecture}\n\n"
    'model = {architecture}.from_pretrained("{name}")  # images (N, 3, {size}, {size}) in [-1, 1]',
    "companion aligner": "from stgan.models import load_companion_aligner\n\n"
    'aligner = load_companion_aligner("{name}")  # views (N, 3, {size}, {size}) in [-1, 1]',
    "aligner": "from stgan.models import FaceAligner\n\n"
    'aligner = FaceAligner.from_pretrained("{name}")  # views (N, 3, {size}, {size}) in [-1, 1]',
    "companion": "from stgan.models import load_companion_classifier\n\n"
    'classifier = load_companion_classifier("{name}")  # images (N, 3, {size}, {size}) in [-1, 1]',
}


def remove_records(folder: Path) -> None:
    """Remove what a model folder says of weights that are replaced: evaluation, picture and exported graphs."""
    for name in OF_THE_WEIGHTS:
        if name.endswith("/"):
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)


def device_name(device: torch.device) -> str:
    """What a run ran on, for its record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()})"


def write_card(folder: Path, name: str = "", *, companion: bool = False) -> ModelCard:
    """Write ``README.md`` of a model folder from its ``config.json`` and its records.

    Arguments as those of :func:`model_card`; returns the card as written.
    """
    card = model_card(folder, name, companion=companion)
    card.save(folder / "README.md")
    return card


def model_card(folder: Path, name: str = "", *, companion: bool = False) -> ModelCard:
    """The card of a model folder.

    Args:
        folder: of the model; without an ``evaluation.json`` the card says that it was not measured yet.
        name: Hub id or path that the usage lines show; the folder's name by default.
        companion: it is the classifier or aligner in the folder of the editor called ``name``.
    """
    config = _read(folder / "config.json")
    training = _read(folder / TRAINING_FILE)
    evaluation = _read(folder / EVALUATION_FILE)
    architecture = config["architecture"]
    is_editor = architecture in PAPERS
    whole = is_editor and (folder / "classifier").is_dir()
    is_aligner = architecture == "FaceAligner"
    kind = "companion" if companion else "editor" if whole else "model"
    if is_aligner:
        kind = "companion aligner" if companion else "aligner"
    usage = f"```python\n{USAGE[kind]}\n```"
    data = training_datasets(training)
    return ModelCard.from_template(
        card_data=_card_data(architecture, data, training.get("license"), evaluation),
        template_path=str(TEMPLATE),
        name=name or folder.name,
        discriminator=is_editor and (folder / "discriminator").is_dir(),
        title=f"{architecture}, {config['image_size']} px",
        description=_description(architecture, config),
        celeba=any(map(is_celeba, data)),
        data=" and ".join(data),
        license=training.get("license"),
        usage=usage.format(
            name=name or folder.name,
            architecture=architecture,
            size=config["image_size"],
            attribute=_shown(config.get("attributes", ())),
        ),
        images_seen=f"{training.get('images_seen', 0):,}",
        steps=f"{training.get('steps', 0):,}",
        parameters=f"{training.get('parameters', 0):,}",
        device=training.get("device", "not recorded"),
        minutes=training.get("minutes"),
        training_images=f"{training['training_images']:,}" if training.get("training_images") else None,
        command=_commands(training.get("commands", [])[-1:]),
        earlier_commands=_commands(training.get("commands", [])[:-1]),
        strengths=_strengths(training.get("strengths", {})),
        evaluation=evaluation.get("markdown"),
        evaluation_command=evaluation.get("command"),
        family=_read(folder / FAMILY_FILE).get("markdown"),
        groups=bool(evaluation.get("groups")),
        validation=", ".join(f"{key} {value:.4g}" for key, value in training.get("validation", {}).items()) or "none",
        measure="benchmarks/alignment.py" if is_aligner else "stgan evaluate",
        image_size=config["image_size"],
        picture=(folder / PICTURE_FILE).is_file(),
        onnx=(folder / "onnx" / "decode.onnx").is_file(),
        difference=config.get("label_mode") == "difference",
        attribute_count=len(config.get("attributes", ())),
    )


def replace_section(document: Path, name: str, text: str) -> None:
    """Replace what a Markdown document says between ``<!-- name -->`` and ``<!-- /name -->``, which stay.

    Args:
        document: file that has both marks, each once.
        name: of the command that makes this section.
        text: Markdown.

    Raises:
        ValueError: there is no such file, or it does not have the marks.
    """
    before, _, after = split_section(document, name)
    document.write_text(f"{before}\n{text.strip()}\n{after}", encoding="utf-8")


def split_section(document: Path, name: str) -> tuple[str, str, str]:
    """A document up to and with a section's first mark, the section, and the rest. As :func:`replace_section`."""
    text = document.read_text(encoding="utf-8") if document.is_file() else ""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{document} needs {begin} and, below it, {end}: what is between them is replaced.")
    before, rest = text.split(begin)
    section, after = rest.split(end)
    return before + begin, section.strip(), end + after


def _description(architecture: str, config: dict[str, Any]) -> str:
    if architecture == "FaceAligner":
        return (
            "Sees how a face lies in a roughly cropped square view, and whether there is one: answers the similarity "
            "that brings it into the frame of CelebA's aligned images. Learned without landmarks."
        )
    attributes = ", ".join(config["attributes"])
    if architecture == "AttributeClassifier":
        return f"Tells which of {len(config['attributes'])} attributes an aligned face has: {attributes}."
    masked = " A soft mask decides per pixel what is replaced." if config.get("soft_mask") else ""
    confined = (
        " An edit changes nothing outside of where its attributes live in a face." if config.get("use_regions") else ""
    )
    return f"Edits {len(config['attributes'])} attributes of a face in a photograph: {attributes}.{masked}{confined}"


def _shown(attributes: Sequence[str]) -> str:
    """The attribute that the usage lines edit."""
    return next((name for name in attributes if name == "Eyeglasses"), next(iter(attributes), ""))


def _strengths(strengths: dict[str, float]) -> str:
    """Those of a bundle whose edits were made stronger, or nothing."""
    return ", ".join(f"{value:g} ({name})" for name, value in strengths.items() if value != 1)


def _commands(entries: list[dict[str, Any]]) -> str:
    """Lines of shell: commands of a run, and from which image on each of them went on with it."""
    lines = []
    for entry in entries:
        lines += [f"# from image {entry['from_image']:,} on"] if entry["from_image"] else []
        lines.append(entry["command"])
    return "\n".join(lines)


def training_datasets(training: dict[str, Any]) -> list[str]:
    """Names of what the weights have seen, the run's own dataset first, then those of the models it went on from.

    Args:
        training: what :data:`TRAINING_FILE` says. Where it says nothing, it is CelebA, the trainer's default.
    """
    sources = [training.get("config", {}).get("dataset", CELEBA)]
    for entry in training.get("commands", []):
        words = [part for word in shlex.split(entry["command"]) for part in _option_and_value(word)]
        if "train.py" in words:
            sources.append(words[words.index("--dataset") + 1] if "--dataset" in words else CELEBA)
    return list(dict.fromkeys(map(_dataset_name, sources)))


def _option_and_value(word: str) -> list[str]:
    """``--option=value`` as the two words that it stands for, any other as it is."""
    return word.split("=", 1) if word.startswith("--") else [word]


def _dataset_name(source: str) -> str:
    """What a card calls a dataset: its Hub id, or a folder's name, which has no slash; CelebA's id for its download."""
    folder = Path(source)
    if folder.name.lower() == "celeba" or (folder / "img_align_celeba").is_dir():
        return CELEBA
    on_hub = source.count("/") == 1 and not source.startswith((".", "/", "~")) and not folder.is_dir()
    return source if on_hub else folder.resolve().name


def is_celeba(name: str) -> bool:
    """Whether a dataset's pictures are CelebA's, by its name: those of CelebA-HQ and CelebAMask-HQ are, too."""
    return "celeba" in name.rpartition("/")[2].lower()


def _card_data(architecture: str, data: list[str], licence: str | None, evaluation: dict[str, Any]) -> ModelCardData:
    is_editor, is_aligner = architecture in PAPERS, architecture == "FaceAligner"
    tags = ["face-editing", "attribute-editing", "gan"] if is_editor else ["face-attributes"]
    tags = ["face-alignment"] if is_aligner else tags
    celeba = any(map(is_celeba, data))
    tags += [f"arxiv:{PAPERS[architecture]}"] if architecture in PAPERS else []
    return ModelCardData(
        library_name="stgan",
        pipeline_tag="image-to-image" if is_editor else None if is_aligner else "image-classification",
        # CelebA's terms hold whatever else the weights have seen.
        license="other" if celeba else licence or "unknown",
        license_name="celeba-non-commercial-research" if celeba else None,
        license_link=CELEBA_TERMS if celeba else None,
        datasets=[name for name in data if "/" in name] or None,
        tags=tags,
        metrics=["psnr", "ssim", "accuracy"] if is_editor else None if is_aligner else ["accuracy"],
        model_name=architecture,
        eval_results=_eval_results(evaluation),
    )


def _eval_results(evaluation: dict[str, Any]) -> list[EvalResult] | None:
    """The ``model-index`` of the card: one result per headline figure."""
    if not evaluation:
        return None
    data = _dataset_name(evaluation.get("data", CELEBA))
    common = {
        "task_type": "image-to-image",
        "dataset_type": data,
        "dataset_name": f"{'CelebA' if data == CELEBA else data} ({evaluation['images']} images)",
        "dataset_split": evaluation["split"],
    }
    figures = evaluation["headline"]
    first = [name for name in figures if name.startswith("rgb_")]  # through a mask, any model rebuilds well
    return [
        EvalResult(
            metric_type=_metric_type(name),
            metric_name=_metric_name(name, masked=bool(first)),
            metric_value=round(figures[name], 4),
            **common,
        )  # fmt: skip
        for name in [*first, *(name for name in figures if name not in first)]
    ]


def _metric_name(name: str, masked: bool) -> str:
    """In words: ``rgb_psnr`` is "PSNR, painted colours alone", ``edit_accuracy_1.5`` "edit accuracy ±1.5"."""
    kind = name.removeprefix("rgb_")
    if kind in ("psnr", "ssim"):
        part = ", painted colours alone" if kind != name else " through the soft mask" if masked else ""
        return kind.upper() + part
    words, _, intensity = name.rpartition("_")
    return f"{words.replace('_', ' ')} ±{intensity}" if words and intensity[0].isdigit() else name.replace("_", " ")


def _metric_type(name: str) -> str:
    """The general kind that a named figure is of: ``rgb_psnr`` is a ``psnr``, ``edit_accuracy_1.5`` an ``accuracy``."""
    return next((kind for kind in ("psnr", "ssim", "accuracy") if kind in name), name)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
