"""The data of a run: training batches, and validation images from a split of their own or held out of train."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from stgan.data import (
    DataError,
    FaceFrames,
    MemoryBatches,
    MemoryDataset,
    MissingSplitError,
    PairedBatches,
    Source,
    StreamBatches,
    load_into_memory,
    open_split,
)
from stgan.data.masks import load_masks, rare_class_weights
from stgan.data.memory import constant_labels
from stgan.data.parsed import with_classes
from stgan.editing.editor import default_model
from stgan.models import FaceParser
from stgan.training.config import SUPERVISED, TrainingConfig
from stgan.training.networks import load_companion_or_own
from stgan.training.options import split_revision

DEVICE_MEMORY_SHARE = 0.5  # of what is free, at most, for images that are kept on the GPU
MAX_HELD_OUT_SHARE = 0.1  # of the training split, where the dataset has no validation split


class Splits:
    """Loads the splits that a run needs, with the label columns ``attributes``."""

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        self.options, self.attributes, self.accelerator = config.data, attributes, accelerator
        self.batch_size, self.seed = config.schedule.batch_size, config.run.seed
        self.labels_are_masks = config.model == "parser"
        self.judges_realness = config.model not in SUPERVISED
        self.frames = FaceFrames.from_pretrained(default_model()) if config.data.crop == "face" else None
        self.region_parser = config.generator.region_parser if config.generator.use_regions else None
        self.cache = Path(config.run.output_dir)
        self.held_out = 0  # images at the start of the training split that are used for validation
        self.training_images: int | None = None  # unknown for a stream
        self.fingerprint = ""  # of the training data, wherever they lie

    def load_validation(self) -> MemoryDataset:
        """The validation split, or the first images of train, which are then held out of training.

        Raises:
            DataError: there is no validation split and the training split is streamed.
        """
        options = self.options
        try:
            return self.load("validation", max_samples=options.max_validation_samples)
        except MissingSplitError as error:
            if options.streaming:
                raise DataError(f"{error} Without --streaming, images of train are held out instead.") from error
        dataset, revision = options.source
        images = len(open_split(dataset, "train", revision=revision))
        self.held_out = min(options.max_validation_samples, math.ceil(MAX_HELD_OUT_SHARE * images))
        self.accelerator.print(f"No validation split: the first {self.held_out} images of train are held out for it.")
        return self.load("train", max_samples=self.held_out)

    def open_batches(self, count_labels: Callable[[Tensor], None]) -> MemoryBatches | PairedBatches | StreamBatches:
        """Training batches of this process, after :meth:`load_validation`.

        With an attribute dataset, those of an editor are sharp images followed by as many of both datasets.

        Args:
            count_labels: receives all training labels (N, A), unless they are streamed.
        """
        options, accelerator = self.options, self.accelerator
        device = accelerator.device
        dataset, revision = options.source
        ranks = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
        if options.streaming and self.region_parser:
            raise DataError("--region_parser needs images in memory: leave it out, or leave out --streaming.")
        if options.streaming:
            stream = StreamBatches(
                dataset, "train", self.attributes, options.image_size, self.batch_size, self.seed,
                crop=options.crop, workers=options.dataloader_num_workers, max_samples=options.max_train_samples,
                revision=revision, device=device, frames=self.frames, **ranks,
            )  # fmt: skip
            self.fingerprint = stream.fingerprint()
            return stream
        data = self.load(
            "train", options.attribute_dataset, max_samples=options.max_train_samples, skip_samples=self.held_out
        )
        accelerator.print(f"Data: {len(data)} images in memory; {data.skipped}.")
        self.training_images, self.fingerprint = len(data), data.fingerprint()
        if not self.labels_are_masks and self.attributes:
            shares = data.labels.mean(dim=0).tolist()
            if warning := constant_labels(shares, self.attributes, len(data)):
                accelerator.print(warning)
        if self.region_parser:
            data = self._with_classes(data, load_companion_or_own(self.region_parser, FaceParser, "region_parser"))
        count_labels(data.labels)
        rare_weights = rare_class_weights if self.labels_are_masks else rare_attribute_weights
        weights = rare_weights(data.labels, options.rare_attribute_power)
        if device.type == "cuda" and data.images.numel() < DEVICE_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
            data = data.to(device)
        settings: dict[str, Any] = {"weights": weights, "device": device} | ranks
        batches = MemoryBatches(data, self.batch_size, self.seed, **settings)
        if options.attribute_dataset is None or not self.judges_realness:
            return batches
        sharp = MemoryBatches(data, self.batch_size, self.seed, rows=data.sharp, **settings)
        return PairedBatches(sharp, batches)

    def _with_classes(self, data: MemoryDataset, parser: FaceParser) -> MemoryDataset:
        """The data with what each pixel shows. The main process finds out first and fills the cache for the others."""
        accelerator = self.accelerator
        with accelerator.main_process_first():
            return with_classes(
                data, parser, self.cache, accelerator.device,
                only_sharp=self.options.attribute_dataset is not None, progress=accelerator.is_main_process,
            )  # fmt: skip

    def load(self, split: str, attribute_dataset: str | None = None, **limits: Any) -> MemoryDataset:
        """A split in memory. The main process reads it first and fills the cache for the others."""
        options, accelerator = self.options, self.accelerator
        dataset, revision = options.source
        with accelerator.main_process_first():
            try:
                progress = accelerator.is_main_process and split == "train"
                settings: dict[str, Any] = {"workers": options.dataloader_num_workers, "progress": progress}
                if self.labels_are_masks:
                    settings |= {"crop": options.crop, "revision": revision}
                    return load_masks(dataset, split, options.image_size, **settings | limits)
                sources: tuple[Source, ...] = (Source(dataset, options.crop, revision=revision, **limits),)
                if attribute_dataset:
                    path, revision = split_revision(attribute_dataset)
                    sources += (Source(path, sharp=False, revision=revision),)
                return load_into_memory(
                    sources, split, self.attributes, options.image_size, frames=self.frames, **settings
                )
            except MissingSplitError as error:  # raised in here, it would leave the others waiting at a barrier
                missing = error
        raise missing


def rare_attribute_weights(labels: Tensor, power: float) -> Tensor | None:
    """Sampling weight of each image, so that rare attributes are drawn more often.

    Args:
        labels: float (N, A) in {0, 1}.
        power: 0 changes nothing (returns None). At 1, an image's weight is 0.5 / p, where p is the share of the data
            that has the rarest of its values.

    Returns:
        float (N,).
    """
    if power == 0:
        return None
    frequency = labels.mean(dim=0).clamp(1e-4, 1 - 1e-4)
    rarity = torch.where(labels > 0, 0.5 / frequency, 0.5 / (1 - frequency)).amax(dim=1)
    return rarity.clamp(min=1.0).pow(power)
