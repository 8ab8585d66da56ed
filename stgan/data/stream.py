"""Batches of a dataset that is read during training: nothing is copied to disk or held in memory."""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets.distributed import split_dataset_by_node
from torch import Tensor

from stgan.data.errors import GRACE, DataError, DataWarning, Skipped, SkippedImages, surviving_workers
from stgan.data.faces import FaceFrames, opencv_without_threads
from stgan.data.memory import constant_labels
from stgan.data.preprocess import Batch, DecodedBatch, Preprocess, Sample, collate, decode_row
from stgan.data.sources import check_attributes, image_column, open_split, unreadable


class StreamBatches:
    """Batches of a streamed dataset, in order. Worker processes read and decode.

    Each epoch shuffles the shards and a buffer of examples from (seed, epoch). A resumed stream reads the epoch again
    up to the batch where it stopped.

    Args:
        source, split, attributes, image_size, crop, revision, frames: see :func:`stgan.data.load_into_memory`.
        batch_size: images per process.
        rank, world_size: number of this process, and of all processes. Each reads its own share of the shards.
        workers: processes that read and decode; 0 decodes in this one.
        shuffle_buffer: examples in the buffer that is shuffled.
        max_samples: use only this many examples, the same in every epoch; the processes share them.
        device: where batches are delivered.

    Raises:
        DataError: see :func:`stgan.data.open_split`; or an attribute is no column, or there are several datasets.
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
        frames: FaceFrames | None = None,
    ):
        if not isinstance(source, str | Path):
            raise DataError("Only one dataset can be streamed: leave out --streaming or the other datasets.")
        dataset = open_split(source, split, streaming=True, revision=revision)
        check_attributes(dataset, attributes)
        column = image_column(dataset)
        dataset = dataset.select_columns([column, *attributes])
        if dataset.num_shards < max(1, workers) * world_size:
            dataset = dataset.reshard()  # by row group, so that every worker of every rank has rows to read
        if max_samples is not None:
            dataset = dataset.take(max_samples)  # before the shuffle, or every epoch would take different ones
        self.source, self._unshuffled, self._column = source, dataset, column
        dataset = dataset.shuffle(seed=seed, buffer_size=shuffle_buffer)
        if world_size > 1:  # by shards, even if uneven: split by examples, every rank would read all of them
            by = "shards" if dataset.num_shards >= world_size else "auto"
            dataset = split_dataset_by_node(dataset, rank, world_size, strategy=by)
        self.stream, self.batch_size, self.attributes = dataset, batch_size, tuple(attributes)
        self._true, self._counted = torch.zeros(len(attributes)), 0  # labels of the first images
        self.device, self.skipped = torch.device(device), SkippedImages()
        self.epoch, self.batch = 0, 0
        self._iterator: Iterator[DecodedBatch | DataError] | None = None
        preprocess = Preprocess(image_size, crop, frames)
        decode = partial(decode_row, column=column, attributes=attributes, preprocess=preprocess)
        self.loader = torch.utils.data.DataLoader(
            _DecodedStream(dataset, decode, batch_size, source),
            batch_size=None,
            num_workers=min(workers, dataset.num_shards),
            worker_init_fn=_leave_process_group,
            pin_memory=self.device.type == "cuda",
        )

    def draw(self, number: int) -> Batch:
        """The next batch. ``number`` is ignored, since a stream has one order; ``MemoryBatches`` needs it.

        Raises:
            DataError: too many images cannot be decoded, a label is invalid, or an epoch does not fill one batch.
        """
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
        images, labels = batch
        self._count(labels)
        return images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def _count(self, labels: Tensor) -> None:
        """Warn once, after the first :data:`GRACE` images or the first epoch, of labels that are always the same.

        A run that is resumed later has been warned.
        """
        if self._counted < 0:
            return
        if self._counted < GRACE and self.epoch == 0:
            self._true, self._counted = self._true + labels.sum(dim=0), self._counted + len(labels)
            return
        if self._counted:
            shares = (self._true / self._counted).tolist()
            if message := constant_labels(shares, self.attributes, self._counted):
                warnings.warn(message.replace("in all of the", "in each of the first"), DataWarning, stacklevel=3)
        self._counted = -1

    def fingerprint(self, samples: int = 8) -> str:
        """Content of the first images and labels as text: the same for another copy of the same data."""
        digest = hashlib.blake2b(digest_size=8)
        for row in _rows(self._unshuffled.take(samples), self.source):
            cell = row[self._column] or {}
            encoded = cell["bytes"] if cell.get("bytes") is not None else Path(cell["path"]).read_bytes()
            digest.update(encoded + str([row[name] for name in self.attributes]).encode())
        return f"a stream, {digest.hexdigest()}"

    def _open_epoch(self) -> None:
        self.stream.set_epoch(self.epoch)
        with opencv_without_threads():
            self._iterator = iter(self.loader)

    def _next_full_batch(self) -> Batch | None:
        """The next batch, or None at the end of an epoch. A worker's last, smaller batch is counted and dropped."""
        for decoded in () if self._iterator is None else surviving_workers(self._iterator):
            if isinstance(decoded, DataError):
                raise decoded
            self.skipped.add(decoded.rows, decoded.skipped)
            if len(decoded.images) == self.batch_size:
                return decoded.images, decoded.labels
        return None

    def _resume_epoch(self) -> None:
        """Read past the batches that were already drawn, without counting their images again."""
        counted, self.skipped = self.skipped, SkippedImages()
        self._open_epoch()
        for _ in range(self.batch):
            self._next_full_batch()
        self.skipped = counted

    def state_dict(self) -> dict[str, Any]:
        """Position of the stream: the epoch, the batches drawn from it, and the images counted so far."""
        counts = self.skipped
        state = {"epoch": self.epoch, "batch": self.batch, "seen": counts.seen, "skipped": counts.names}
        return state | {"rejected": counts.rejected, "examples": counts.examples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the position of another stream. The next draw reads up to it."""
        self.epoch, self.batch, self._iterator = state["epoch"], state["batch"], None
        rejections = dict(state.get("rejected", {})), deepcopy(state.get("examples", {}))  # new in checkpoints
        self.skipped = SkippedImages(state["seen"], list(state["skipped"]), *rejections)


def _leave_process_group(worker: int) -> None:
    """Keep a signal to the process group from ending the workers while the trainer still finishes its step."""
    if hasattr(os, "setsid"):  # not on Windows
        os.setsid()


class _DecodedStream(torch.utils.data.IterableDataset):
    """Batches of a streamed dataset, as :func:`collate` returns them.

    An image that is left out is reported at once, in a batch of its own. The last batch of an epoch may be smaller. A
    DataError is the last item and is not raised: the loader would wrap its message in a traceback.
    """

    def __init__(self, stream: Any, decode: Callable[..., Sample | Skipped], batch_size: int, source: str | Path):
        self.stream, self.decode, self.batch_size, self.source = stream, decode, batch_size, source

    def __iter__(self) -> Iterator[DecodedBatch | DataError]:
        try:
            yield from self._batches()
        except DataError as error:
            yield error

    def _batches(self) -> Iterator[DecodedBatch]:
        rows: list[Sample] = []
        for number, row in enumerate(_rows(self.stream, self.source)):
            decoded = self.decode(row, f"example {number}")
            if isinstance(decoded, Skipped):
                yield collate([decoded])
                continue
            rows.append(decoded)
            if len(rows) == self.batch_size:
                yield collate(rows)
                rows = []
        yield collate(rows)


def _rows(stream: Any, source: str | Path) -> Iterator[Any]:
    """The rows of a stream; a DataError says where it reads no further."""
    rows = iter(stream)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # pyarrow and the network fail in many ways
            raise unreadable(source, error) from error
        yield row
