"""A dataset decoded once and held in memory, and its batches."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from stgan.data.errors import DataError, SkippedImages
from stgan.data.preprocess import Batch, Preprocess, collate, decode_row
from stgan.data.sources import check_attributes, check_labels, image_column, open_split


@dataclass
class MemoryDataset:
    """A dataset decoded once: uint8 images (N, 3, S, S) and float labels (N, A) in {0, 1}."""

    images: Tensor
    labels: Tensor
    skipped: SkippedImages = field(default_factory=SkippedImages)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> "MemoryDataset":
        """The same dataset on a device. Batches then need no copy from the host."""
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
        max_samples: read at most this many images.
        skip_samples: leave out this many images at the start.
        workers: processes that decode; 0 decodes in this one.
        progress: show a progress bar.

    Returns:
        The dataset, on the CPU. An image takes 49,152 bytes at 128 px.

    Raises:
        DataError: see :func:`open_split`; or an attribute is not a column, a column holds something other than labels,
            or more than 1 % of the images cannot be decoded.
    """
    dataset = open_split(source, split, revision=revision)
    check_attributes(dataset, attributes)
    last = len(dataset) if max_samples is None else min(skip_samples + max_samples, len(dataset))
    dataset = dataset.select(range(min(skip_samples, last), last))
    check_labels(dataset, attributes)
    rows = _DecodedRows(dataset.select_columns([image_column(dataset), *attributes]), attributes, image_size, crop)
    loader = torch.utils.data.DataLoader(rows, batch_size=256, num_workers=workers, collate_fn=collate)
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
    """Rows of a dataset as :func:`decode_row` returns them."""

    def __init__(self, dataset: datasets.Dataset, attributes: Sequence[str], image_size: int, crop: str):
        self.dataset, self.attributes = dataset, attributes
        self.column = image_column(dataset)
        self.preprocess = Preprocess(image_size, crop)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray] | str:
        return decode_row(self.dataset[index], self.column, self.attributes, self.preprocess, f"row {index}")


class MemoryBatches:
    """Batches of a dataset in memory, by number: batch ``n`` is always the same.

    Every epoch is a new permutation, drawn from (seed, epoch). The processes take disjoint slices of it. A resumed run
    therefore needs no sampler state, only the number of the next batch.

    Args:
        dataset: what to draw from.
        batch_size: images per process.
        seed: of the permutations.
        rank, world_size: number of this process, and of all processes.
        weights: float (N,), relative probability of each image, drawn with replacement. None draws each image once an
            epoch.
        device: where batches are delivered; by default the dataset's own device.

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
        """Batch ``number``, counted across epochs: uint8 (B, 3, S, S) and float labels (B, A)."""
        epoch, batch = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._draw_order(epoch).to(self.dataset.images.device)
        start = (batch * self.world_size + self.rank) * self.batch_size
        rows = self._order[start : start + self.batch_size]
        batch = self.dataset.images[rows], self.dataset.labels[rows]
        if self.device.type == "cuda" and rows.device.type == "cpu":  # otherwise the step waits for each copy
            batch = tuple(part.pin_memory() for part in batch)
        return tuple(part.to(self.device, non_blocking=True) for part in batch)

    def _draw_order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        if self.weights is None:
            return torch.randperm(len(self.dataset), generator=generator)
        return torch.multinomial(self.weights, len(self.dataset), replacement=True, generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Empty: the number of the next batch is enough to resume."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
