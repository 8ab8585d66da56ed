"""Mutated inputs of every kind: model folders, records, labels, datasets, requests and photos.

Each target makes attack number n from the seed and n alone. An attack ends with a result, or with an error of the
classes that promise a sentence; everything else is a fault.
"""

import io
import json
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import datasets
import numpy as np
import torch
from numbered_data import BITS, encoded, numbered_dataset
from pictures import every_mode, small_portrait
from PIL import Image
from small_models import MODELS, SMALL

from attacks.cage import Attempt, Honest, Report, attack
from attacks.honest import folder_size, photo_size
from attacks.mutate import TEXTS, Unchanged, as_json, hostile, mutated, mutated_value
from stgan.attributes import DEFAULT_ATTRIBUTES, as_labels, edited_labels
from stgan.card import write_card
from stgan.cli import _changes, _corrections
from stgan.data import DataError, Preprocess, StreamBatches, open_split
from stgan.data.errors import Skipped
from stgan.data.preprocess import decode_row
from stgan.editing.edits import read_edits, read_face_number, read_intensities
from stgan.models import ARCHITECTURES, FaceAligner, ModelFolderError, ProjectedDiscriminator, load_network
from stgan.photo.files import PhotoError, open_photo
from stgan.training.checkpoints import CheckpointError, read_progress
from stgan.training.config import TrainingConfig
from stgan.training.history import History

datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0  # five seconds after each stream

SHARES = {  # of all attacks
    "photos": 0.40, "attributes": 0.15, "requests": 0.13, "rows": 0.12, "config": 0.06, "weights": 0.05, "page": 0.03,
    "labels": 0.02, "options": 0.02, "records": 0.01, "parquet": 0.01,
}  # fmt: skip
OF_THE_DEMO = {"requests", "page"}  # they import Gradio


def sentence(
    refusals: type[Exception] | tuple[type[Exception], ...], function: Callable, *arguments: Any
) -> str | None:
    """The message of a refusal, or None where the function returns."""
    try:
        function(*arguments)
    except refusals as error:
        return getattr(error, "message", str(error))
    return None


def run(count: int, seed: int, folder: Path, only: str = "") -> list[Report]:
    """About ``count`` attacks on all targets, or as many on one of them."""
    reports = []
    for name, share in SHARES.items():
        if only in ("", name):
            number = count if only else round(count * share)
            reports.append(attack(name, number, TARGETS[name](folder, partial(_random, seed, name)), warm=WARM))
    return reports


WARM = 20


def _random(seed: int, name: str, number: int) -> Random:
    return (Random if number >= 0 else Unchanged)(f"{seed} {name} {number}")


Draw = Callable[[int], Random]


def networks(folder: Path) -> list[tuple[Path, str]]:
    """A small saved network of each architecture, with its kind."""
    made = {name: make() for name, make in MODELS.items()}
    made["FaceAligner"] = FaceAligner(16, width=4, blocks=1, hidden=8)
    made["ProjectedDiscriminator"] = ProjectedDiscriminator(SMALL["attributes"], width=4)
    for name, network in made.items():
        network.save_pretrained(folder / name)
    return [(folder / name, ARCHITECTURES[name].kind) for name in made]


def config(folder: Path, draw: Draw) -> Attempt:
    """``config.json`` of every architecture."""
    made = networks(folder / "config")
    saved = [(path, kind, json.loads((path / "config.json").read_text()), folder_size(path)) for path, kind in made]

    def attempt(number: int) -> str | None:
        random = draw(number)
        path, kind, settings, Honest.size = random.choice(saved)
        content = as_json(mutated_value(settings, random), random)
        if random.random() < 0.3:
            content = mutated(json.dumps(settings).encode(), random, [content])
        (path / "config.json").write_bytes(content)
        return _short(sentence(ModelFolderError, load_network, path, kind))

    return attempt


def weights(folder: Path, draw: Draw) -> Attempt:
    """``model.safetensors``: its header as JSON, the header's length, and bytes anywhere."""
    saved = [(path, kind, (path / "model.safetensors").read_bytes()) for path, kind in networks(folder / "weights")]

    def attempt(number: int) -> str | None:
        random = draw(number)
        path, kind, content = random.choice(saved)
        Honest.size = len(content)
        size = struct.unpack("<Q", content[:8])[0]
        if random.random() < 0.6:
            header = as_json(mutated_value(json.loads(content[8 : 8 + size]), random), random)
            size = len(header) if random.random() < 0.9 else random.choice((0, 1, len(content), 2**31, 2**63))
            content = struct.pack("<Q", size) + header + content[8 + struct.unpack("<Q", content[:8])[0] :]
        else:
            content = mutated(content, random, [content[:2000]])
        (path / "model.safetensors").write_bytes(content)
        return _short(sentence(ModelFolderError, load_network, path, kind))

    return attempt


def _short(text: str | None) -> str | None:
    """A sentence may be followed by torch's list of the weights that do not fit, which is as long as the network."""
    return text and text[:500]


PROGRESS = {
    "step": 3, "next_batch": 9, "images_seen": 12, "initial_images": 0, "initial_steps": 0, "minutes": 0.1,
    "devices": "CPU", "commands": [{"from_image": 0, "command": "train.py --dataset faces"}], "best_snapshot": None,
    "held_out": 0, "data": "48 images, 0123", "batches": {"0": {}},
}  # fmt: skip
TRAINING = {
    "commands": PROGRESS["commands"], "images_seen": 12, "steps": 3, "minutes": 0.1, "device": "CPU",
    "training_images": 48, "parameters": 1000, "validation": {"psnr": 20.0}, "strengths": {"Young": 1.2},
    "license": "mit",
}  # fmt: skip


def records(folder: Path, draw: Draw) -> Attempt:
    """``progress.json`` of a checkpoint, ``training.json`` of a model: read to resume, to continue, for a card."""
    model, checkpoint = folder / "records", folder / "checkpoint-3"
    MODELS["STGAN"]().save_pretrained(model)
    size = folder_size(model)
    checkpoint.mkdir()
    options = TrainingConfig().record()
    expected = {"model": "stgan", "width": options["width"], "processes": 1}

    def attempt(number: int) -> str | None:
        random, Honest.size = draw(number), size
        if number % 2:
            value = mutated_value(PROGRESS | {"config": options | {"processes": 1}}, random)
            (checkpoint / "progress.json").write_bytes(as_json(value, random))
            return _short(sentence(CheckpointError, read_progress, checkpoint, expected))
        value = mutated_value(TRAINING | {"config": options}, random)
        (model / "training.json").write_bytes(as_json(value, random))
        if random.random() < 0.5:
            return _short(sentence(ModelFolderError, write_card, model, "owner/name"))
        return _short(sentence(ModelFolderError, History, "stgan", str(model), "train.py", "CPU"))

    return attempt


def labels(folder: Path, draw: Draw) -> Attempt:
    """The two tables of the original CelebA download."""
    source = folder / "download"
    (source / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(1, 5)]
    for name in names:
        (source / "img_align_celeba" / name).write_bytes(encoded(small_portrait(), "JPEG"))
    table = "4\nBald Bangs Young\n" + "".join(f"{name}  1 -1 {n % 2}\n" for n, name in enumerate(names))
    files = {
        source / "list_attr_celeba.txt": table.encode(),
        source / "list_eval_partition.txt": "".join(f"{name} {n % 3}\n" for n, name in enumerate(names)).encode(),
    }

    def attempt(number: int) -> str | None:
        random = draw(number)
        for file, content in files.items():
            file.write_bytes(content)
        Honest.size = folder_size(source)
        file = random.choice(list(files))
        file.write_bytes(
            mutated(files[file], random, [*files.values(), *(text.encode("utf-8", "replace") for text in TEXTS)])
        )
        return sentence(DataError, lambda: list(open_split(source, random.choice(("train", "valid", "test")))))

    return attempt


def rows(folder: Path, draw: Draw) -> Attempt:
    """Rows of a dataset: broken images, labels of any type, missing cells."""
    photos = _photos()
    preprocess = [Preprocess(16, crop) for crop in ("auto", "center", "none", "celebahq", "celeba")]

    def attempt(number: int) -> str | None:
        random = draw(number)
        cell: Any = {"bytes": random.choice(photos), "path": "a.jpg"}
        row = {"image": cell, "Young": random.choice((True, 0, -1, 1.0)), "Bald": False}
        if random.random() < 0.7:
            cell["bytes"] = mutated(cell["bytes"], random, photos)
        Honest.size = photo_size(cell["bytes"])
        if random.random() < 0.4:
            row[random.choice(("Young", "Bald"))] = hostile(random)
        if random.random() < 0.2:
            row["image"] = random.choice((None, {}, {"path": hostile(random)}, {"bytes": None, "path": "/etc/passwd"}))
        read = partial(
            decode_row, row, f"row {number}", column="image", attributes=("Young", "Bald"),
            preprocess=random.choice(preprocess),
        )  # fmt: skip
        try:
            decoded = read()
        except DataError as error:
            return str(error)
        return decoded.reason if isinstance(decoded, Skipped) else None

    return attempt


def parquet(folder: Path, draw: Draw) -> Attempt:
    """Parquet files, streamed."""
    source = numbered_dataset_in(folder / "parquet")
    file = next(source.glob("*.parquet"))
    content = file.read_bytes()

    def attempt(number: int) -> str | None:
        random = draw(number)
        file.write_bytes(mutated(content, random, [content]))
        Honest.size = len(content)

        def read() -> None:
            StreamBatches(source, "train", BITS[:2], 8, 4, seed=0, workers=0, shuffle_buffer=4).draw(0)

        return sentence(DataError, read)

    return attempt


def numbered_dataset_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return numbered_dataset(folder, 12, shards=1)


def attributes(folder: Path, draw: Draw) -> Attempt:
    """Attribute names, edits, intensities and numbers of faces as a program passes them."""
    names = DEFAULT_ATTRIBUTES

    def attempt(number: int) -> str | None:
        random = draw(number)
        known = {random.choice(names): random.choice((True, False, 0, 1, -1)) for _ in range(random.randrange(4))}
        value = mutated_value(known, random) if random.random() < 0.6 else hostile(random)
        value = random.choice((value, value, [value], tuple(known), set(known), np.array(3), torch.zeros(2)))
        action = random.randrange(5)
        if action == 0:
            return sentence(ValueError, as_labels, value, names)
        if action == 1:
            return sentence(ValueError, lambda: edited_labels(torch.zeros(len(names)), value, names))
        if action == 2:
            return sentence(ValueError, read_intensities, value, names)
        if action == 3:
            return sentence(ValueError, read_face_number, value)
        return sentence(ValueError, read_edits, value, names)

    return attempt


def requests(folder: Path, draw: Draw) -> Attempt:
    """Arguments of the demo's endpoints, and links that open it. Without Gradio there is nothing to attack."""
    with suppress(ImportError):
        from attacks.endpoints import endpoint_arguments

        return endpoint_arguments(draw)
    return lambda number: None


def page(folder: Path, draw: Draw) -> Attempt:
    """What a browser says it remembers of an earlier visit, and the page's other inputs."""
    with suppress(ImportError):
        from attacks.endpoints import remembered_visits

        return remembered_visits(folder, draw)
    return lambda number: None


def options(folder: Path, draw: Draw) -> Attempt:
    """Arguments of ``stgan edit``, and the options that a record of a run names."""
    record = TrainingConfig().record()

    def attempt(number: int) -> str | None:
        random = draw(number)
        words = [random.choice((*DEFAULT_ATTRIBUTES, *TEXTS, "Young=1", "Young=x", "=", "=1")) for _ in range(3)]
        if number % 3 == 0:
            return _short(sentence(ValueError, _changes, words[:1], words[1:], random.random() < 0.2))
        if number % 3 == 1:
            return _short(sentence(ValueError, _corrections, words))  # people know what they typed themselves
        value = mutated_value(record, random)
        return sentence(ValueError, TrainingConfig.from_record, value if isinstance(value, dict) else record)

    return attempt


def photos(folder: Path, draw: Draw) -> Attempt:
    """Bytes of every format that is read, and what an edit and a save make of what is still read."""
    contents = _photos()
    target = folder / "out.png"

    def attempt(number: int) -> str | None:
        random = draw(number)
        content = mutated(random.choice(contents), random, contents)
        Honest.size = photo_size(content)
        try:
            photo = open_photo(content)
        except PhotoError as error:
            return str(error)
        if number % 4 == 0:
            Honest.size *= 2  # the edit and its file are another photo
            edited = photo.rgb.copy()
            edited[: len(edited) // 2] //= 2
            from stgan.photo.files import save_photo

            suffix = random.choice((".png", ".jpg", ".webp", ".tif"))
            return sentence(PhotoError, save_photo, photo.with_rgb(edited), target.with_suffix(suffix))
        return None

    return attempt


@cache
def _photos() -> list[bytes]:
    """A small photo in every format and mode that Pillow writes, some with EXIF data, a profile and several frames."""
    from PIL import ImageCms

    images = every_mode(small_portrait())
    exif = Image.Exif()
    exif[274], exif[33432] = 6, "a photographer"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = {"exif": exif, "icc_profile": profile}
    formats: dict[str, dict] = {
        "JPEG": metadata | {"progressive": True},
        "PNG": metadata,
        "WEBP": metadata,
        "TIFF": {"compression": "tiff_lzw"},
        "AVIF": {"exif": exif},
    } | {kind: {} for kind in ("BMP", "GIF", "HEIF", "JPEG2000", "PPM", "ICO", "TGA", "PCX", "SGI")}
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    contents = []
    for kind, settings in formats.items():
        for mode, image in images.items():
            if kind in ("AVIF", "HEIF") and mode not in ("RGB", "RGBA", "L"):  # they take long to write
                continue
            for options in [{}, settings] if settings else [{}]:
                file = io.BytesIO()
                with suppress(Exception):  # the format does not hold this mode
                    image.save(file, kind, **options)
                    contents.append(file.getvalue())
    frames = [images["RGB"], images["RGB"].rotate(90)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF", "MPO", "AVIF"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        contents.append(file.getvalue())
    return contents


TARGETS: dict[str, Callable[[Path, Draw], Attempt]] = {
    "photos": photos, "attributes": attributes, "requests": requests, "rows": rows, "config": config,
    "weights": weights, "page": page, "labels": labels, "options": options, "records": records, "parquet": parquet,
}  # fmt: skip


def clean(folder: Path) -> None:
    """Remove what the targets wrote."""
    shutil.rmtree(folder, ignore_errors=True)
