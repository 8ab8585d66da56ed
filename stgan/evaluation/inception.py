"""FID and KID of edited faces against real ones, by torchmetrics and its Inception network (the extra ``fid``).

Heusel et al., arXiv 1706.08500; Bińkowski et al., arXiv 1801.01401. The first half of the images is edited and compared
with the second half, which is never edited. The unedited first half is measured as well: both figures depend on the
number of images, and an editor that changes nothing scores what the unedited half scores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from stgan.attributes import exclusion_matrix, flipped_labels
from stgan.evaluation.checkpoint import NOTHING_KEPT, Checkpoint
from stgan.evaluation.inference import evaluation_mode
from stgan.evaluation.tables import cell, table
from stgan.frame import normalise, quantise
from stgan.models import Generator

KID_SUBSET = 1000  # images in each of the 100 draws that KID averages over, as in its paper


@dataclass(frozen=True)
class InceptionDistances:
    """Distances between distributions of images: lower is more real. KID times 1000, as it is usually given."""

    images: int  # on each side
    intensity: float  # of the edits
    fid: float
    kid: float
    real_fid: float  # of the same images before the edit
    real_kid: float

    def to_markdown(self) -> str:
        edited = [f"one attribute flipped, ±{self.intensity:g}", cell(self.fid, 2), cell(self.kid, 2)]
        before = ["the same images before the edit", cell(self.real_fid, 2), cell(self.real_kid, 2)]
        columns = [f"{self.images:,} images against {self.images:,} others", "FID", "KID x 1000"]
        return "\n".join([*table(columns, [edited, before]), ""])


def inception() -> nn.Module:
    """FID's Inception network, which torch-fidelity downloads at its first use: uint8 images to features.

    Raises:
        ValueError: the extra is not installed.
    """
    with _extra():
        from torchmetrics.image.fid import FrechetInceptionDistance

        return FrechetInceptionDistance().inception


def check_enough(images: int) -> None:
    """Raise a ValueError if there are too few images for two halves."""
    if images < 4:
        raise ValueError(f"FID and KID need at least 4 images, not {images}.")


def inception_distances(
    generator: Generator,
    images: Tensor,
    labels: Tensor,
    *,
    intensity: float = 1.0,
    extractor: nn.Module | None = None,
    batch_size: int = 64,
    progress: bool = False,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> InceptionDistances:
    """Measure how real single edits look to Inception; attribute i modulo A of image i is flipped.

    Args:
        images: uint8 (N, 3, S, S), N at least 4. Only with thousands of images can the figures be compared.
        labels: float (N, A) in {0, 1}, columns as ``generator.attributes``.
        extractor: uint8 (N, 3, S, S) to features (N, F); :func:`inception` by default.
        checkpoint: keeps what an interrupted evaluation has measured.

    Raises:
        ValueError: the extra is not installed, or there are too few images.
    """
    check_enough(len(images))
    half = len(images) // 2
    device = next(generator.parameters()).device
    extractor = (extractor or inception()).to(device)
    with _extra():
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.kid import KernelInceptionDistance
    exclusions = exclusion_matrix(generator.attributes).to(device)
    part = checkpoint.part("FID", generator, extractor, images, labels, intensity, batch_size, device)
    kept = part.load().get("features", [images.new_empty(0, 0)] * 3)
    features = [[each.to(device)] * bool(len(each)) for each in kept]
    of_real, of_before, of_after = features  # in batches

    def state() -> dict[str, Any]:
        return {"features": [torch.cat(each) for each in features]}

    batches = torch.arange(half).split(batch_size)[-(-len(kept[0]) // batch_size) :]
    with evaluation_mode(generator, extractor):
        for rows in tqdm(batches, desc="FID", disable=not progress):
            source, given = images[rows].to(device), labels[rows].to(device, torch.float32)
            flipped = (rows % len(generator.attributes)).to(device)
            target = flipped_labels(given, flipped, exclusions)
            edited = quantise(generator(normalise(source), generator.condition(given, target, intensity)))
            of_real.append(extractor(images[half + rows].to(device)))
            of_before.append(extractor(source))
            of_after.append(extractor(edited))
            part.save(state, finished=int(rows[-1]) == half - 1)
    real, before, after = (torch.cat(each).double().cpu().clone() for each in features)

    def distances(features: Tensor) -> tuple[float, float]:
        given: Any = nn.Identity()  # FID and KID share features that were extracted once
        given.num_features = features.shape[1]
        fid = FrechetInceptionDistance(feature=given).set_dtype(torch.float64)
        kid = KernelInceptionDistance(feature=given, subset_size=min(KID_SUBSET, half))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of KID's draws
            for metric in (fid, kid):
                metric.update(real, real=True)
                metric.update(features, real=False)
            return float(fid.compute()), 1000 * float(kid.compute()[0])

    return InceptionDistances(half, intensity, *distances(after), *distances(before))


@contextmanager
def _extra() -> Iterator[None]:
    """Say what to install where a package of the extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f'FID and KID need further packages: pip install -e ".[fid]" ({error.name or error}).'
        ) from error
