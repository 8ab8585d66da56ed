"""The faces on which the look of edits is measured, and whatever measures it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from stgan.data import FaceFrames, MissingSplitError, load_into_memory, open_split
from stgan.data.masks import load_masks
from stgan.devices import CHANNELS_LAST
from stgan.evaluation.appearance import Instruments, measure_appearance
from stgan.evaluation.checkpoint import NOTHING_KEPT, Checkpoint
from stgan.evaluation.classifier import Judge
from stgan.evaluation.edits import Editing
from stgan.evaluation.flips import State, flips_of, states_of
from stgan.evaluation.identity import DlibRecognition
from stgan.evaluation.leak import measure_leak
from stgan.evaluation.realism import load_real_faces
from stgan.evaluation.results import Appearance
from stgan.models import Generator
from stgan.models.backbone import pretrained_backbone

FACES = 1000
"""Faces that are edited to measure how edits look, at most."""
IDENTITY_COLUMN = "celeb_id"  # who a photo shows, in CelebA's datasets
REAL_SPLIT = "train"


def appearance_of_faces(
    editing: Editing,
    classifier: Judge,
    faces: str,
    split: str,
    *,
    real: str,
    masks: str | None,
    crop: str,
    frames: FaceFrames | None = None,
    max_samples: int | None = None,
    batch_size: int = 64,
    workers: int = 2,
    progress: bool = False,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Appearance:
    """Measure how edits look, as far as packages and datasets allow. What is left out is printed with the reason.

    Args:
        editing, classifier: on one device.
        faces: dataset to edit, at most :data:`FACES` or ``max_samples`` images of ``split``.
        real: dataset whose split ``train`` shows what real faces look like.
        masks: dataset of faces with masks drawn by people, as CelebAMask-HQ has them. None: no leak is measured.
        crop, frames: of all three, see :class:`stgan.data.Preprocess`.
        checkpoint: keeps what an interrupted evaluation has measured.

    Raises:
        DataError: a dataset, or a column that is needed, is missing.
    """
    count = min(max_samples or FACES, FACES)
    size, names = editing.generator.image_size, editing.attributes
    masked = None
    if masks is not None:
        masked = load_masks(masks, split, size, crop=crop, workers=workers, progress=progress)
    instruments = available_instruments(editing.generator, real, crop, frames, progress=progress, checkpoint=checkpoint)
    data = load_into_memory(
        faces, split, names, size, max_samples=count, crop=crop, frames=frames, workers=workers, progress=progress
    )
    appearance = measure_appearance(
        editing, classifier, data.images, data.labels, instruments,
        identities=_identities(faces, split, count, len(data)) if instruments.recognition else None,
        batch_size=batch_size, progress=progress, checkpoint=checkpoint,
    )  # fmt: skip
    if masked is None:
        return appearance
    leak = measure_leak(editing, classifier, masked.images, masked.labels, batch_size=batch_size, checkpoint=checkpoint)
    return appearance.with_leak(leak, len(masked))


def available_instruments(
    generator: Generator,
    source: str,
    crop: str,
    frames: FaceFrames | None = None,
    *,
    progress: bool = False,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Instruments:
    """Instruments whose packages and datasets are there. A line is printed for each that is not.

    ``source`` is a dataset of real faces, ``crop`` and ``frames`` as for :class:`stgan.data.Preprocess`.
    """
    instruments, device = Instruments(), Editing(generator).device
    try:
        backbone = pretrained_backbone().to(device, **CHANNELS_LAST)
        real = load_real_faces(
            source, REAL_SPLIT, generator.attributes, edited_states(generator.attributes), generator.image_size,
            backbone, crop=crop, frames=frames, device=device, progress=progress, checkpoint=checkpoint,
        )  # fmt: skip
        instruments = replace(instruments, backbone=backbone, real=real)
    except (ModuleNotFoundError, MissingSplitError) as error:
        print(f"Realism is not measured. {error}")
    try:
        instruments = replace(instruments, recognition=DlibRecognition())
    except ModuleNotFoundError as error:
        print(f"Identity is not measured. {error}")
    return instruments


def edited_states(attributes: Sequence[str]) -> list[State]:
    """All combinations of values that edits can ask for."""
    return [state for flip in flips_of(attributes) for state in states_of(flip)]


def _identities(source: str, split: str, count: int, kept: int) -> Tensor | None:
    """Who the first ``count`` images of a split show, long (count,).

    None without a column that says so, or where images were left out: it is not known which.
    """
    dataset = open_split(source, split)
    if IDENTITY_COLUMN not in dataset.column_names or kept < min(count, len(dataset)):
        return None
    return torch.tensor(dataset.select(range(kept))[IDENTITY_COLUMN])
