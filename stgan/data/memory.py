"""A dataset decoded once and held in memory, and its batches."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from stgan.data.errors import DataError, SkippedImages, surviving_workers, total
from stgan.data.faces import FaceFrames, opencv_without_threads
from stgan.data.preprocess import Batch, DecodedRows, Preprocess, collate, decode_row
from stgan.data.sources import MAX_ENLARGEMENT, Source, check_attributes, check_labels, image_column, open_split


@dataclass
class MemoryDataset:
    """Decoded images with their labels.

    Attributes:
        images: uint8 (N, 3, S, S).
        labels: float (N, A) in {0, 1}.
        skipped: counts of the images that were left out.
        sharp: bool (N,), which images losses that judge realness may be shown as real. By default all.
    """

    images: Tensor
    labels: Tensor
    skipped: SkippedImages = field(default_factory=SkippedImages)
    sharp: Tensor = field(default_factory=lambda: torch.tensor(True))

    def __post_init__(self) -> None:
        self.sharp = self.sharp.to(self.images.device).expand(len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self, samples: int = 64) -> str:
        """Count and content as text: the same for another copy of the same data, whatever its place.

        It covers all labels and some of the images, evenly spread.
        """
        digest = hashlib.blake2b(self.labels.cpu().contiguous().numpy().tobytes(), digest_size=8)
        rows = torch.linspace(0, len(self) - 1, min(samples, len(self))).long().unique()
        digest.update(self.images[rows.to(self.images.device)].cpu().contiguous().numpy().tobytes())
        return f"{len(self)} images, {digest.hexdigest()}"

    def to(self, device: torch.device | str) -> "MemoryDataset":
        """The same dataset on a device. Batches then need no copy from the host."""
        return MemoryDataset(self.images.to(device), self.labels.to(device), self.skipped, self.sharp.to(device))


def constant_labels(shares: Sequence[float], attributes: Sequence[str], images: int) -> str:
    """A sentence about attributes that are true or false in every row; empty if there are none.

    Args:
        shares: share of the rows in which each attribute is true.
        images: number of rows.
    """
    never, always = ([name for name, share in zip(attributes, shares, strict=True) if share == x] for x in (0, 1))
    found = [f"{', '.join(names)} {what}" for names, what in ((never, "false"), (always, "true")) if names]
    if not found:
        return ""
    return (
        f"Warning: in all of the {images} training images, {' and '.join(found)}: nothing can be learned about that. "
        "Leave it out of --attributes, or check the labels."
    )


def load_into_memory(
    source: str | Path | Source | Sequence[Source],
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
    frames: FaceFrames | None = None,
) -> MemoryDataset:
    """Decode a whole split of one or several datasets into memory, in their order.

    Args:
        source: a dataset as in :func:`open_split`, or one or several :class:`Source`.
        attributes: the A columns to read as labels.
        image_size: S, pixels. All images are resampled to it.
        max_samples, skip_samples, crop, revision: of ``source`` if it is not a :class:`Source`.
        workers: processes that decode; 0 decodes in this one.
        frames: locates faces for the crop ``face``.

    Returns:
        The dataset, on the CPU. An image takes 49,152 bytes at 128 px.

    Raises:
        DataError: see :func:`open_split`; or an attribute is no column, a column holds something other than labels,
            more than 1 % of the images cannot be decoded, or more than half do not suit the crop.
    """
    if isinstance(source, str | Path):
        source = Source(source, crop, None, revision, max_samples, skip_samples)
    sources = [source] if isinstance(source, Source) else list(source)
    opened = _open_all(sources, split, attributes, image_size, frames)  # all, so that mistakes show at once
    count = sum(map(len, opened))
    images = torch.empty(count, 3, image_size, image_size, dtype=torch.uint8)
    labels, sharp = torch.empty(count, len(attributes)), torch.empty(count, dtype=torch.bool)
    filled, counts = 0, []
    for each, rows in zip(sources, opened, strict=True):
        start, skipped = filled, SkippedImages()
        loader = torch.utils.data.DataLoader(rows, batch_size=256, num_workers=workers, collate_fn=collate)
        with opencv_without_threads():
            batches = iter(loader)
        for batch in tqdm(surviving_workers(batches), f"decoding {split}", len(loader), disable=not progress):
            skipped.add(batch.rows, batch.skipped)
            end = filled + len(batch.images)
            if end > filled:
                images[filled:end], labels[filled:end] = batch.images, batch.labels
                sharp[filled:end] = batch.enlargements <= MAX_ENLARGEMENT if each.sharp is None else each.sharp
            filled = end
        skipped.check()
        if filled == start:
            raise DataError(f"The split {split!r} of {each.path} is empty.")
        counts.append(skipped)
    return MemoryDataset(images[:filled], labels[:filled], total(counts), sharp[:filled])


def _open_all(sources: Sequence[Source], *arguments: Any) -> list[DecodedRows]:
    opened = []
    for source in sources:
        try:
            opened.append(_open_rows(source, *arguments))
        except DataError as error:
            if len(sources) == 1:
                raise
            raise type(error)(f"{source.path}: {error}") from error
    return opened


def _open_rows(
    source: Source, split: str, attributes: Sequence[str], image_size: int, frames: FaceFrames | None
) -> DecodedRows:
    dataset = open_split(source.path, split, revision=source.revision)
    check_attributes(dataset, attributes)
    last = len(dataset) if source.max_samples is None else source.skip_samples + source.max_samples
    dataset = dataset.select(range(min(source.skip_samples, len(dataset)), min(last, len(dataset))))
    check_labels(dataset, attributes)
    column = image_column(dataset)
    preprocess = Preprocess(image_size, source.crop, frames)
    decode = partial(decode_row, column=column, attributes=attributes, preprocess=preprocess)
    return DecodedRows(dataset.select_columns([column, *attributes]), decode)


class MemoryBatches:
    """Batches of a dataset in memory, by number: batch ``n`` is always the same.

    Every epoch is a new permutation, drawn from (seed, epoch). The processes take disjoint slices of it. A resumed run
    therefore needs no sampler state, only the number of the next batch.

    Args:
        batch_size: images per process.
        rank, world_size: number of this process, and of all processes.
        weights: float (N,), relative probability of each image, drawn with replacement. None draws each image once an
            epoch.
        device: where batches are delivered; by default the dataset's own device.
        rows: bool (N,) or whole numbers (M,), the images to draw from, such as the dataset's ``sharp``; by default all.

    Raises:
        DataError: the dataset does not fill one batch.
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
        rows: Tensor | None = None,
    ):
        if rows is not None:
            rows = (rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows).to(dataset.images.device)
            weights = None if weights is None else weights.cpu()[rows.cpu()]  # orders are drawn on the CPU
        self.rows, self.count = rows, len(dataset) if rows is None else len(rows)
        self.batches_per_epoch = self.count // (batch_size * world_size)
        if not self.batches_per_epoch:
            raise DataError(
                f"{self.count} images are fewer than one batch of {batch_size} for {world_size} process(es): "
                "lower --batch_size or give more images."
            )
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.rank, self.world_size, self.weights = rank, world_size, weights
        self.device = dataset.images.device if device is None else torch.device(device)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def draw(self, number: int) -> Batch:
        """Batch ``number``, counted across epochs: uint8 (B, 3, S, S) and float labels (B, A)."""
        epoch, place = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._draw_order(epoch).to(self.dataset.images.device)
        start = (place * self.world_size + self.rank) * self.batch_size
        rows = self._order[start : start + self.batch_size]
        rows = rows if self.rows is None else self.rows[rows]
        images, labels = self.dataset.images[rows], self.dataset.labels[rows]
        if self.device.type == "cuda" and rows.device.type == "cpu":  # otherwise the step waits for each copy
            images, labels = images.pin_memory(), labels.pin_memory()
        return images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def _draw_order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        if self.weights is None:
            return torch.randperm(self.count, generator=generator)
        return torch.multinomial(self.weights, self.count, replacement=True, generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Empty: the number of the next batch is enough to resume."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class PairedBatches:
    """Batches of two kinds side by side: the rows of one, followed by the rows of the other."""

    def __init__(self, first: MemoryBatches, second: MemoryBatches):
        self.first, self.second = first, second

    def draw(self, number: int) -> Batch:
        """Batch ``number``: uint8 (B1 + B2, 3, S, S) and float labels (B1 + B2, A)."""
        (images, labels), (more_images, more_labels) = self.first.draw(number), self.second.draw(number)
        return torch.cat([images, more_images]), torch.cat([labels, more_labels])

    def state_dict(self) -> dict[str, Any]:
        """Empty, as for each of the two."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
