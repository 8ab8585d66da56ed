"""What the pixels of training images show, as a fourth channel beside their colours: parsed once, and kept on disk."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from stgan.data.memory import MemoryDataset
from stgan.frame import normalise
from stgan.models import FaceParser


def with_classes(
    data: MemoryDataset, parser: FaceParser, cache: Path, device: torch.device, *, progress: bool = False
) -> MemoryDataset:
    """The same data with images uint8 (N, 4, S, S): the fourth channel is the class of each pixel.

    Args:
        data: images (N, 3, S, S).
        parser: sees the classes, each image averaged with its mirror image. It runs on ``device``.
        cache: folder for the file that keeps them for the next run on the same images with the same parser.
    """
    file = cache / f"classes-{_fingerprint(data, parser)}.npz"
    if file.is_file():
        with np.load(file) as stored:
            classes = torch.from_numpy(stored["classes"])
    else:
        classes = _parse(data, parser.to(device), device, progress)
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial.npz")
        np.savez_compressed(partial, classes=classes.numpy())
        partial.replace(file)
    images = torch.cat([data.images, classes[:, None].to(data.images.device)], dim=1)
    return MemoryDataset(images, data.labels, data.skipped, data.sharp)


@torch.inference_mode()
def _parse(data: MemoryDataset, parser: FaceParser, device: torch.device, progress: bool) -> torch.Tensor:
    batches = data.images.split(64)
    return torch.cat([
        parser.parse(normalise(batch.to(device))).argmax(dim=1).to(torch.uint8).cpu()
        for batch in tqdm(batches, "parsing faces", disable=not progress)
    ])  # fmt: skip


def _fingerprint(data: MemoryDataset, parser: FaceParser) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(parser.state_dict().items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    digest.update(str(tuple(data.images.shape)).encode())
    for images in data.images.split(256):
        digest.update(images.sum(dim=(1, 2, 3), dtype=torch.int64).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
