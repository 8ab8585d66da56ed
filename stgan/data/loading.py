"""Labelled images: from the Hub, a Parquet folder or the original CelebA download; streamed or held in memory.

Any dataset with an image column and binary columns works. Images come out as uint8 (3, S, S), labels as 0 or 1.
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import torch
from datasets.distributed import split_dataset_by_node
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from stgan.attributes import index_of
from stgan.frame import CELEBA_CROP, CELEBA_SIZE

Batch = tuple[Tensor, Tensor]  # uint8 images (B, 3, S, S), float labels (B, A) in {0, 1}

CROPS = ("auto", "celeba", "center", "none")
SPLIT_ALIASES = {"val": "validation", "valid": "validation", "dev": "validation"}
SKIPPED_LIMIT = 0.01  # share of undecodable images that a run accepts
SKIPPED_GRACE = 1_000  # … counted over at least this many, since a stream's length is not known


class DataError(ValueError):
    """A dataset that cannot be trained on as it is. The message says what was found and what to do."""


class MissingSplitError(DataError):
    """A dataset has no split of the name that is wanted, nor of another name for it."""


# --------------------------------------------------------------------------------------------- images and labels


@dataclass(frozen=True)
class Preprocess:
    """Encoded image to uint8 (3, S, S): crop, then bicubic resize with antialiasing.

    Args:
        image_size: S, pixels.
        crop: ``celeba`` the 170x170 box of the paper, for 178x218 images; ``center`` the largest centred square;
            ``none`` the whole image; ``auto`` celeba for 178x218 images and center for all others.
    """

    image_size: int
    crop: str = "auto"

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise DataError(f"Unknown crop {self.crop!r}: use one of {', '.join(CROPS)}.")

    def __call__(self, encoded: bytes) -> np.ndarray:
        """Raises OSError, ValueError or SyntaxError where the bytes are no image."""
        with Image.open(io.BytesIO(encoded)) as opened:
            return self.from_image(opened)

    def from_image(self, image: Image.Image) -> np.ndarray:
        """The same for an opened image."""
        cropped = image.crop(self.box(image.size)).convert("RGB")  # resize(box=…) would look beyond the box's border
        resized = cropped.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part of an image of ``size`` (width, height) that is kept: left, top, right, bottom in pixels."""
        width, height = size
        crop = self.crop
        if crop == "auto":
            crop = "celeba" if size == CELEBA_SIZE else "center"
        if crop == "celeba":
            if width < CELEBA_CROP[2] or height < CELEBA_CROP[3]:
                raise ValueError(f"an image of {width}x{height} pixels is too small for the CelebA crop")
            return CELEBA_CROP
        if crop == "none":
            return (0, 0, width, height)
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return (left, top, left + side, top + side)


def label_value(value: Any, column: str) -> float:
    """One label as 0.0 or 1.0, from bool (Python's or NumPy's), 0/1 or -1/1."""
    if value == 1:
        return 1.0
    if value in (0, -1):
        return 0.0
    raise DataError(f"Column {column!r} holds {value!r}. Labels must be true/false, 0/1 or -1/1.")


@dataclass
class SkippedImages:
    """Counts images that could not be decoded and stops the run when there are too many."""

    seen: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, seen: int, names: Sequence[str]) -> None:
        """Count ``seen`` images, of which those named could not be decoded.

        Raises:
            DataError: more than 1 % of the images (at least of the first 1,000) could not be decoded.
        """
        self.seen += seen
        self.names.extend(names)
        if len(self.names) > SKIPPED_LIMIT * max(self.seen, SKIPPED_GRACE):
            self.fail()

    def check(self) -> None:
        """The same limit over what was seen in all, for a dataset that has come to its end."""
        if len(self.names) > SKIPPED_LIMIT * self.seen:
            self.fail()

    def fail(self) -> None:
        raise DataError(
            f"{len(self.names)} of {self.seen} images could not be decoded, more than {SKIPPED_LIMIT:.0%}. "
            f"The first: {', '.join(self.names[:5])}. Repair or remove them, or download the dataset again."
        )

    def __str__(self) -> str:
        first = f" (first: {', '.join(self.names[:5])})" if self.names else ""
        return f"{len(self.names)} of {self.seen} images skipped as undecodable{first}"


# ------------------------------------------------------------------------------------------------------- sources


def open_split(
    source: str | Path, split: str, *, streaming: bool = False, revision: str | None = None
) -> datasets.Dataset | datasets.IterableDataset:
    """Open one split of a dataset with its images left encoded.

    Args:
        source: a Hub id (``owner/name``), a folder of Parquet files, or the folder of the original CelebA download.
        split: ``train``, ``validation`` (also found as ``valid``, ``val`` or ``dev``) or ``test``.
        streaming: read as it is needed; nothing is copied to disk first.
        revision: of a Hub dataset.

    Raises:
        DataError: the source, the split or an image column is not there.
    """
    folder = Path(source)
    if (folder / "img_align_celeba").is_dir():
        dataset = _open_celeba(folder, split)
        dataset = dataset.to_iterable_dataset(num_shards=min(64, len(dataset))) if streaming else dataset
    elif folder.is_dir():
        dataset = _open_parquet(folder, split, streaming)
    elif folder.exists() or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise DataError(
            f"No dataset at {source}. Give a Hub id (owner/name), a folder with train-*.parquet and "
            "validation-*.parquet, or a folder with img_align_celeba/ and list_attr_celeba.txt."
        )
    else:
        dataset = _open_hub(str(source), split, streaming, revision)
    return dataset.cast_column(image_column(dataset), datasets.Image(decode=False))


def _open_hub(source: str, split: str, streaming: bool, revision: str | None) -> Any:
    try:
        builder = datasets.load_dataset_builder(source, revision=revision)
        if builder.name != "parquet":
            name = _find_split(split, datasets.get_dataset_split_names(source, revision=revision))
            return datasets.load_dataset(source, split=name, streaming=streaming, revision=revision)
        files = builder.config.data_files  # of one split alone: load_dataset by name would download all of them
        name = _find_split(split, list(files))
        return datasets.load_dataset(
            "parquet", data_files={name: files[name]}, split=name, features=builder.info.features, streaming=streaming
        )
    except (datasets.exceptions.DatasetNotFoundError, ConnectionError, OSError) as error:
        raise DataError(
            f"The Hub dataset {source!r} could not be opened ({error}). Check its name, your network and, for a gated "
            "dataset, that you are logged in (hf auth login). Without a network, give the folder to which hf download "
            "fetched it."
        ) from error


def _open_parquet(folder: Path, split: str, streaming: bool) -> Any:
    files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("*/*.parquet"))
    by_split: dict[str, list[str]] = {}
    for file in files:
        by_split.setdefault(file.name.removesuffix(".parquet").split("-")[0], []).append(str(file))
    if not by_split:
        raise DataError(f"{folder} has no Parquet files, nor an img_align_celeba folder.")
    name = _find_split(split, list(by_split))
    return datasets.load_dataset("parquet", data_files={name: by_split[name]}, split=name, streaming=streaming)


def _find_split(wanted: str, names: Sequence[str]) -> str:
    canonical = SPLIT_ALIASES.get(wanted, wanted)
    for name in names:
        if name == wanted or SPLIT_ALIASES.get(name, name) == canonical:
            return name
    raise MissingSplitError(f"There is no split {wanted!r}; the dataset has {', '.join(names)}.")


def _open_celeba(folder: Path, split: str) -> datasets.Dataset:
    """The original download: a folder of JPEG files and two text (or, from Kaggle, CSV) files beside or below it."""
    labels = _read_celeba_table(folder, "list_attr_celeba", skip_count_line=True)
    partition = _read_celeba_table(folder, "list_eval_partition", header=None).iloc[:, 0]
    name = _find_split(split, ["train", "validation", "test"])
    labels = labels.loc[partition.index[partition == ["train", "validation", "test"].index(name)]]
    nested = folder / "img_align_celeba" / "img_align_celeba"  # some archives unpack so
    images = nested if nested.is_dir() else folder / "img_align_celeba"
    columns = {"image": [str(images / file) for file in labels.index]}
    columns |= {column: (labels[column] > 0).tolist() for column in labels.columns}
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


def _read_celeba_table(
    folder: Path, name: str, *, skip_count_line: bool = False, header: int | None = 0
) -> pd.DataFrame:
    found = sorted([*folder.glob(f"{name}.*"), *folder.glob(f"*/{name}.*")])
    if not found:
        raise DataError(f"{folder} has img_align_celeba but no {name}.txt: it comes with the CelebA download.")
    if found[0].suffix == ".csv":
        return pd.read_csv(found[0], index_col=0)
    return pd.read_csv(
        found[0], sep=r"\s+", skiprows=1 if skip_count_line else 0, header=header,
        index_col=None if skip_count_line else 0,
    )  # fmt: skip


def image_column(dataset: datasets.Dataset | datasets.IterableDataset) -> str:
    """Name of the column that holds images: the first Image feature, or one called ``image``."""
    features = dataset.features or {}
    for name, feature in features.items():
        if isinstance(feature, datasets.Image):
            return name
    if "image" in features:
        return "image"
    raise DataError(f"The dataset has no image column; its columns are {', '.join(features) or 'not known'}.")


def check_attributes(dataset: datasets.Dataset | datasets.IterableDataset, attributes: Sequence[str]) -> None:
    """Raise a DataError naming the nearest columns where an attribute is not among the dataset's columns."""
    columns = [name for name in (dataset.features or {}) if name != image_column(dataset)]
    for name in attributes:
        try:
            index_of(name, columns)
        except ValueError as error:
            raise DataError(f"The dataset has no such column. {error}") from error


def check_labels(dataset: datasets.Dataset, attributes: Sequence[str]) -> None:
    """Raise a DataError where a column holds something else than labels, before any image is decoded."""
    for attribute in attributes:
        for value in dataset.unique(attribute):
            label_value(value, attribute)


# ------------------------------------------------------------------------------------------------- held in memory


@dataclass
class MemoryDataset:
    """A dataset decoded once: uint8 images (N, 3, S, S) and float labels (N, A) in {0, 1}."""

    images: Tensor
    labels: Tensor
    skipped: SkippedImages = field(default_factory=SkippedImages)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> "MemoryDataset":
        """The same on a device; augmentation and batching then need no copy from the host."""
        return MemoryDataset(self.images.to(device), self.labels.to(device), self.skipped)


def load_into_memory(
    source: str | Path,
    split: str,
    attributes: Sequence[str],
    image_size: int,
    *,
    max_samples: int | None = None,
    skip_samples: int = 0,
    crop: str = "auto",
    workers: int = 2,
    revision: str | None = None,
    progress: bool = False,
) -> MemoryDataset:
    """Decode a whole split into memory, in the dataset's order.

    Args:
        source, split, revision: see :func:`open_split`.
        attributes: the A columns to read as labels.
        image_size, crop: see :class:`Preprocess`.
        max_samples: stop after this many images.
        skip_samples: leave out this many images before them.
        workers: processes that decode.
        progress: show a bar.

    Returns:
        49,152 bytes an image at 128 px.

    Raises:
        DataError: see :func:`open_split`; an attribute or label is unknown; more than 1 % cannot be decoded.
    """
    dataset = open_split(source, split, revision=revision)
    check_attributes(dataset, attributes)
    last = len(dataset) if max_samples is None else min(skip_samples + max_samples, len(dataset))
    dataset = dataset.select(range(min(skip_samples, last), last))
    check_labels(dataset, attributes)
    rows = _DecodedRows(dataset.select_columns([image_column(dataset), *attributes]), attributes, image_size, crop)
    loader = torch.utils.data.DataLoader(rows, batch_size=256, num_workers=workers, collate_fn=_collate)
    images = torch.empty(len(dataset), 3, image_size, image_size, dtype=torch.uint8)
    labels = torch.empty(len(dataset), len(attributes))
    filled, skipped = 0, SkippedImages()
    for batch_images, batch_labels, names in tqdm(loader, desc=f"decoding {split}", disable=not progress):
        count = len(batch_images)
        skipped.add(count + len(names), names)
        if count:
            images[filled : filled + count] = batch_images
            labels[filled : filled + count] = batch_labels
            filled += count
    skipped.check()
    if not filled:
        raise DataError(f"The split {split!r} of {source} is empty.")
    return MemoryDataset(images[:filled], labels[:filled], skipped)


class _DecodedRows(torch.utils.data.Dataset):
    """Rows of a dataset as (image, labels), or the name of an image that could not be decoded."""

    def __init__(self, dataset: datasets.Dataset, attributes: Sequence[str], image_size: int, crop: str):
        self.dataset, self.attributes = dataset, attributes
        self.column = image_column(dataset)
        self.preprocess = Preprocess(image_size, crop)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray] | str:
        return decode_row(self.dataset[index], self.column, self.attributes, self.preprocess, f"row {index}")


def decode_row(
    row: Mapping[str, Any], column: str, attributes: Sequence[str], preprocess: Preprocess, name: str
) -> tuple[np.ndarray, np.ndarray] | str:
    """One row as (uint8 image (3, S, S), float32 labels (A,)), or the image's name where it cannot be decoded."""
    cell = row[column] or {}
    try:
        encoded = cell["bytes"] if cell.get("bytes") is not None else Path(cell["path"]).read_bytes()
        image = preprocess(encoded)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, Image.DecompressionBombError):
        return cell.get("path") or name
    return image, np.array([label_value(row[attribute], attribute) for attribute in attributes], np.float32)


def _collate(rows: Sequence[tuple[np.ndarray, np.ndarray] | str]) -> tuple[Tensor, Tensor, list[str]]:
    decoded = [row for row in rows if not isinstance(row, str)]
    names = [row for row in rows if isinstance(row, str)]
    if not decoded:
        return torch.empty(0, dtype=torch.uint8), torch.empty(0), names
    images = torch.from_numpy(np.stack([image for image, _ in decoded]))
    return images, torch.from_numpy(np.stack([labels for _, labels in decoded])), names


# ------------------------------------------------------------------------------------------------------- batches


class MemoryBatches:
    """Batches of a dataset in memory, by number: batch ``n`` is the same whenever it is asked for.

    Every epoch is a fresh permutation drawn from (seed, epoch); the ranks take disjoint slices of it. So a resumed
    run needs no sampler state, only the number of the next batch.

    Args:
        dataset: where it is kept.
        batch_size: per process.
        seed: of the permutations.
        device: where the batches are wanted; by default where the dataset is kept.
        rank, world_size: this process and how many there are.
        weights: float (N,) chance of each image to be drawn, with replacement; None draws each once an epoch.
    """

    def __init__(
        self,
        dataset: MemoryDataset,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        weights: Tensor | None = None,
        device: torch.device | str | None = None,
    ):
        self.batches_per_epoch = len(dataset) // (batch_size * world_size)
        if not self.batches_per_epoch:
            raise DataError(
                f"{len(dataset)} images are fewer than one batch of {batch_size} for {world_size} process(es): "
                "lower --batch_size or give more images."
            )
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.rank, self.world_size, self.weights = rank, world_size, weights
        self.device = dataset.images.device if device is None else torch.device(device)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def draw(self, number: int) -> Batch:
        """Batch ``number``, counted over epochs: uint8 (B, 3, S, S) and float labels (B, A)."""
        epoch, batch = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._draw_order(epoch).to(self.dataset.images.device)
        start = (batch * self.world_size + self.rank) * self.batch_size
        rows = self._order[start : start + self.batch_size]
        batch = self.dataset.images[rows], self.dataset.labels[rows]
        if self.device.type == "cuda" and rows.device.type == "cpu":  # else the step waits for each copy
            batch = tuple(part.pin_memory() for part in batch)
        return tuple(part.to(self.device, non_blocking=True) for part in batch)

    def _draw_order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        if self.weights is None:
            return torch.randperm(len(self.dataset), generator=generator)
        return torch.multinomial(self.weights, len(self.dataset), replacement=True, generator=generator)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore: the number of a batch says all."""


class StreamBatches:
    """Batches of a streamed dataset, in order; workers read and decode.

    Each epoch shuffles the shards and a buffer of examples from (seed, epoch). Resuming restores epoch and position
    and reads up to it again.

    Args:
        source, split, attributes, image_size, crop, revision: see :func:`load_into_memory`.
        batch_size: per process.
        seed: of the shuffling.
        rank, world_size: this process and how many there are; each reads its own share of the shards.
        workers: processes that read and decode; 0 decodes in this one.
        shuffle_buffer: examples shuffled among one another.
        max_samples: use only this many examples, the same in every epoch; they are shared out to the processes.
        device: where the batches are wanted.
    """

    def __init__(
        self,
        source: str | Path,
        split: str,
        attributes: Sequence[str],
        image_size: int,
        batch_size: int,
        seed: int,
        *,
        crop: str = "auto",
        rank: int = 0,
        world_size: int = 1,
        workers: int = 2,
        shuffle_buffer: int = 2_000,
        max_samples: int | None = None,
        revision: str | None = None,
        device: torch.device | str = "cpu",
    ):
        dataset = open_split(source, split, streaming=True, revision=revision)
        check_attributes(dataset, attributes)
        column = image_column(dataset)
        dataset = dataset.select_columns([column, *attributes])
        if dataset.num_shards < max(1, workers) * world_size:
            dataset = dataset.reshard()  # by row group, so that every worker of every rank has something to read
        if max_samples is not None:
            dataset = dataset.take(max_samples)  # before the shuffle, or every epoch would take others
        dataset = dataset.shuffle(seed=seed, buffer_size=shuffle_buffer)
        if world_size > 1:  # by shards even where some have one more: by examples, every rank would read all of them
            by = "shards" if dataset.num_shards >= world_size else "auto"
            dataset = split_dataset_by_node(dataset, rank, world_size, strategy=by)
        self.stream, self.batch_size = dataset, batch_size
        self.device, self.skipped = torch.device(device), SkippedImages()
        self.epoch, self.batch = 0, 0
        self._iterator: Iterator | None = None
        self.loader = torch.utils.data.DataLoader(
            _DecodedStream(dataset, column, attributes, Preprocess(image_size, crop), batch_size),
            batch_size=None,
            num_workers=min(workers, dataset.num_shards),
            worker_init_fn=_leave_process_group,
            pin_memory=self.device.type == "cuda",
        )

    def draw(self, number: int) -> Batch:
        """The next batch. ``number`` is for :class:`MemoryBatches` and is not looked at: a stream has one order."""
        if self._iterator is None:
            self._resume_epoch()
        batch = self._next_full_batch()
        while batch is None:
            self.skipped.check()
            if self.batch == 0:
                raise DataError(
                    f"{self.skipped.seen} images do not fill a batch of {self.batch_size} in any of "
                    f"{max(1, self.loader.num_workers)} worker(s): lower --batch_size or --dataloader_num_workers, "
                    "or give more images."
                )
            self.epoch, self.batch = self.epoch + 1, 0
            self._open_epoch()
            batch = self._next_full_batch()
        self.batch += 1
        return tuple(part.to(self.device, non_blocking=True) for part in batch)

    def _open_epoch(self) -> None:
        self.stream.set_epoch(self.epoch)
        self._iterator = iter(self.loader)

    def _next_full_batch(self) -> Batch | None:
        """None at the end of an epoch. What a worker has left over there is counted, but too little to train on."""
        for decoded in self._iterator:
            if isinstance(decoded, DataError):
                raise decoded
            images, labels, names = decoded
            self.skipped.add(len(images) + len(names), names)
            if len(images) == self.batch_size:
                return images, labels
        return None

    def _resume_epoch(self) -> None:
        """Read up to the batches that were already drawn, whose images are already counted."""
        counted, self.skipped = self.skipped, SkippedImages()
        self._open_epoch()
        for _ in range(self.batch):
            self._next_full_batch()
        self.skipped = counted

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is: epoch, batches taken from it, and the images counted until then."""
        return {"epoch": self.epoch, "batch": self.batch, "seen": self.skipped.seen, "skipped": self.skipped.names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where another stream was; the next draw reads up to there."""
        self.epoch, self.batch, self._iterator = state["epoch"], state["batch"], None
        self.skipped = SkippedImages(state["seen"], list(state["skipped"]))


def _leave_process_group(worker: int) -> None:
    """A signal that stops a whole process group must not take the workers from a trainer that ends its step first."""
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()


class _DecodedStream(torch.utils.data.IterableDataset):
    """Batches (images, labels, names of undecodable images) of a streamed dataset, as :func:`_collate` makes them.

    An undecodable image is reported at once, in a batch of its own; an epoch's last batch may be smaller. A DataError
    comes as the last item instead of being raised, since the loader would wrap a worker's trace around its message.
    """

    def __init__(self, stream: Any, column: str, attributes: Sequence[str], preprocess: Preprocess, batch_size: int):
        self.stream, self.column, self.attributes, self.preprocess = stream, column, attributes, preprocess
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, list[str]] | DataError]:
        try:
            yield from self._batches()
        except DataError as error:
            yield error

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, list[str]]]:
        rows: list[tuple[np.ndarray, np.ndarray]] = []
        for number, row in enumerate(self.stream):
            decoded = decode_row(row, self.column, self.attributes, self.preprocess, f"example {number}")
            if isinstance(decoded, str):
                yield _collate([decoded])
                continue
            rows.append(decoded)
            if len(rows) == self.batch_size:
                yield _collate(rows)
                rows = []
        yield _collate(rows)


# --------------------------------------------------------------------------------------------- on the device


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image (N, C, H, W) with a chance of one half."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)
