"""What the pixels of training images show, as a fourth channel beside their colours: parsed once, and kept on disk."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from stgan.data.memory import MemoryDataset
from stgan.frame import normalise
from stgan.models import FaceParser


def with_classes(
    data: MemoryDataset,
    parser: FaceParser,
    cache: Path,
    device: torch.device,
    *,
    only_sharp: bool = False,
    progress: bool = False,
) -> MemoryDataset:
    """The same data with images uint8 (N, 4, S, S): the fourth channel is the class of each pixel.

    Args:
        data: images (N, 3, S, S).
        parser: sees the classes, each image averaged with its mirror image. It runs on ``device``.
        cache: folder for the file that keeps them for the next run on the same images with the same parser.
        only_sharp: leave out images that are not sharp, from which no edit starts; their classes are 0.
    """
    rows = (data.sharp if only_sharp else torch.ones_like(data.sharp)).nonzero()[:, 0]
    file = cache / f"classes-{_fingerprint(data, parser, rows)}.npy.gz"
    if file.is_file():
        with gzip.open(file) as stored:
            parsed = torch.from_numpy(np.load(stored))
    else:
        parsed = _parse(data, parser.to(device), device, rows, progress)
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        with gzip.open(partial, "wb", compresslevel=1) as stored:  # maps compress well; a higher level takes minutes
            np.save(stored, parsed.numpy())
        partial.replace(file)
    count, colours, height, width = data.images.shape
    images = torch.zeros(count, colours + 1, height, width, dtype=torch.uint8, device=data.images.device)
    images[:, :colours] = data.images
    images[rows, colours] = parsed.to(images.device)
    return MemoryDataset(images, data.labels, data.skipped, data.sharp)


@torch.inference_mode()
def _parse(
    data: MemoryDataset, parser: FaceParser, device: torch.device, rows: torch.Tensor, progress: bool
) -> torch.Tensor:
    """Classes uint8 (M, S, S) of the images in these M rows."""
    classes = torch.empty(len(rows), *data.images.shape[2:], dtype=torch.uint8)
    parts = tqdm(rows.split(64), "parsing faces", disable=not progress)
    for part, parsed in zip(parts, classes.split(64), strict=True):
        parsed.copy_(parser.parse(normalise(data.images[part].to(device))).argmax(dim=1))
    return classes


def _fingerprint(data: MemoryDataset, parser: FaceParser, rows: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(parser.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    shape = (len(rows), *data.images.shape[2:])  # of the file's array
    digest.update(str((shape, len(data))).encode() + rows.cpu().numpy().tobytes())
    for images in data.images.split(256):
        digest.update(images.sum(dim=(1, 2, 3), dtype=torch.int64).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
