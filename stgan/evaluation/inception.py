"""FID and KID of edited faces against real ones, by torchmetrics and its Inception network (the extra ``fid``).

Heusel et al., arXiv 1706.08500; Bińkowski et al., arXiv 1801.01401. The first half of the images is edited and compared
with the second half, which is never edited. The unedited first half is measured as well: both figures depend on the
number of images, and an editor that changes nothing scores what the unedited half scores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from stgan.attributes import exclusion_matrix, flipped_labels
from stgan.evaluation.inference import evaluation_mode
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

    def to_dict(self) -> dict[str, float]:
        """JSON-ready."""
        return asdict(self)

    def to_markdown(self) -> str:
        """A table for a model card."""
        return "\n".join(
            [
                f"| {self.images:,} images against {self.images:,} others | FID | KID x 1000 |",
                "|---|---|---|",
                f"| one attribute flipped, ±{self.intensity:g} | {self.fid:.2f} | {self.kid:.2f} |",
                f"| the same images before the edit | {self.real_fid:.2f} | {self.real_kid:.2f} |",
                "",
            ]
        )


def inception() -> nn.Module:
    """FID's Inception network, which torch-fidelity downloads at its first use: uint8 images to features.

    Raises:
        ValueError: the extra is not installed.
    """
    with _extra():
        from torchmetrics.image.fid import FrechetInceptionDistance

        return FrechetInceptionDistance().inception


def check_enough(images: int) -> None:
    """Raises ValueError where there are too few images for two halves."""
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
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> InceptionDistances:
    """Measure how real single edits look to Inception; attribute i modulo A of image i is flipped.

    Args:
        generator: on ``device``.
        images: uint8 (N, 3, S, S), N at least 4. Thousands are needed for figures that compare.
        labels: float (N, A) in {0, 1}, columns as ``generator.attributes``.
        intensity: of the edits.
        extractor: uint8 (N, 3, S, S) to features (N, F); :func:`inception` by default.
        batch_size: images at once.
        device: of all networks.
        progress: show a bar.

    Raises:
        ValueError: the extra is not installed, or there are too few images.
    """
    check_enough(len(images))
    half = len(images) // 2
    extractor = (extractor or inception()).to(device)
    with _extra():
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.kid import KernelInceptionDistance
    exclusions = exclusion_matrix(generator.attributes).to(device)
    of_real, of_before, of_after = [], [], []  # batches of features
    with evaluation_mode(generator, extractor):
        for rows in tqdm(torch.arange(half).split(batch_size), desc="FID", disable=not progress):
            source, given = images[rows].to(device), labels[rows].to(device, torch.float32)
            flipped = (rows % len(generator.attributes)).to(device)
            target = flipped_labels(given, flipped, exclusions)
            edited = quantise(generator(normalise(source), generator.condition(given, target, intensity)))
            of_real.append(extractor(images[half + rows].to(device)))
            of_before.append(extractor(source))
            of_after.append(extractor(edited))
    real, before, after = (torch.cat(part).double().cpu().clone() for part in (of_real, of_before, of_after))

    def distances(features: Tensor) -> tuple[float, float]:
        given = _Given(features.shape[1])
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


class _Given(nn.Module):
    """Passes features on, so that FID and KID share those that were extracted once."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
