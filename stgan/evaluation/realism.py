"""How much edits look like photographs: KID in the features of a network that saw neither editor nor faces.

Kernel distance of Bińkowski et al., arXiv 1801.01401: the unbiased squared maximum mean discrepancy of two sets of
images under the kernel (x.y / d + 1)^3, mean over random subsets. In place of Inception's, which need a download, the
features are those of EfficientNet-lite0 on images of 128 px, averaged over positions. Channels of all four strides are
used and standardised over the real faces: the unscaled ones of the last stride are so dominated by who is shown that
visible artefacts hardly count.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from stgan.data import DataError, FaceFrames, Preprocess, label_value, open_split
from stgan.data.errors import RejectedImage
from stgan.data.sources import image_column
from stgan.evaluation.checkpoint import NOTHING_KEPT, Checkpoint
from stgan.evaluation.flips import State, rows_of
from stgan.evaluation.inference import evaluation_mode
from stgan.evaluation.results import Realism
from stgan.frame import normalise

FEATURE_SIZE = 128  # pixels
SUBSETS, SUBSET_SIZE = 50, 200
REAL_PER_STATE = 500
"""Real faces of each combination of attribute values, at most."""
LEAST = 20
"""Images on either side below which there is no figure."""


@dataclass(frozen=True)
class RealFaces:
    """What edits are compared with: features (M, F) of photographs, and their labels (M, A) in {0, 1}."""

    attributes: tuple[str, ...]
    features: Tensor
    labels: Tensor

    def rows(self, state: State) -> Tensor:
        """Long (K,), the rows of all who have these values."""
        return rows_of(state, self.labels, self.attributes)

    def distance(self, features: Tensor, state: State) -> Realism | None:
        """Of edits by their features (N, F) to real faces of a state; None where either are too few."""
        real = self.features[self.rows(state)[:REAL_PER_STATE]]
        return kernel_distance(self._standardised(features), self._standardised(real))

    def own_distance(self, state: State) -> Realism | None:
        """Between two halves of the real faces of a state: what a perfect editor would get."""
        real = self.features[self.rows(state)[:REAL_PER_STATE]]
        return kernel_distance(self._standardised(real[::2]), self._standardised(real[1::2]))

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self.features.mean(dim=0)) / self.features.std(dim=0).clamp(min=1e-6)


def kernel_distance(features: Tensor, others: Tensor) -> Realism | None:
    """KID between features (N, F) and (M, F), over subsets of at most :data:`SUBSET_SIZE` images of each.

    None if one has fewer than :data:`LEAST` images.
    """
    size = min(SUBSET_SIZE, len(features), len(others))
    if size < LEAST:
        return None
    x, y = features.double(), others.double()
    within_x, within_y, between = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    random = torch.Generator().manual_seed(0)
    values = []
    for _ in range(SUBSETS):
        i = torch.randperm(len(x), generator=random)[:size]
        j = torch.randperm(len(y), generator=random)[:size]
        inner = sum(part.sum() - part.diagonal().sum() for part in (within_x[i][:, i], within_y[j][:, j]))
        values.append(inner / (size * (size - 1)) - 2 * between[i][:, j].mean())
    kid = 1000 * torch.stack(values)
    return Realism(len(features), float(kid.mean()), float(kid.std()))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def pooled_features(backbone: nn.Module, images: Tensor) -> Tensor:
    """Features float (N, F) of uint8 images (N, 3, S, S), seen at :data:`FEATURE_SIZE` pixels."""
    view = normalise(images)
    if view.shape[-1] != FEATURE_SIZE:
        view = F.interpolate(view, (FEATURE_SIZE, FEATURE_SIZE), mode="bicubic", antialias=True)
    return torch.cat([each.mean(dim=(2, 3)) for each in backbone(view)], dim=1)


def load_real_faces(
    source: str,
    split: str,
    attributes: tuple[str, ...],
    states: Iterable[State],
    image_size: int,
    backbone: nn.Module,
    *,
    crop: str = "auto",
    frames: FaceFrames | None = None,
    device: torch.device | str = "cpu",
    progress: bool = False,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> RealFaces:
    """Read up to :data:`REAL_PER_STATE` faces of each state from a dataset, and compute their features.

    Images are first brought to the editor's size, as the edits are, so that sharpness does not tell them apart.

    Args:
        source, split: see :func:`stgan.data.open_split`.
        attributes: label columns.
        states: of the edits that will be compared.
        image_size, crop, frames: see :class:`stgan.data.Preprocess`. Photographs without a usable
            face are left out.
        backbone: on ``device``.
        checkpoint: keeps the features for the case that the evaluation is interrupted later.

    Raises:
        DataError: no such dataset, split or column; or an image cannot be decoded.
    """
    dataset = open_split(source, split)
    missing = [name for name in attributes if name not in dataset.column_names]
    if missing:
        raise DataError(
            f"{source} has no column {missing[0]!r}; realism compares edits with faces of known attributes."
        )
    columns = [[label_value(value, name) for value in dataset[name]] for name in attributes]
    labels = torch.tensor(columns).T
    rows = _chosen_rows(RealFaces(attributes, labels, labels), states)
    preprocess, column = Preprocess(image_size, crop, frames), image_column(dataset)

    def encoded(rows: Tensor) -> Iterator[bytes]:
        for cell in dataset.select(rows.tolist())[column]:
            yield cell["bytes"] or Path(cell["path"]).read_bytes()

    located = frames and frames.file.name
    files = (each for some in rows.split(64) for each in encoded(some))
    part = checkpoint.part("real faces", backbone, rows, files, image_size, crop, located, torch.device(device))
    if known := part.load():
        return RealFaces(attributes, known["features"], labels[known["rows"]])
    features, kept = [], []
    with evaluation_mode(backbone):
        for some in tqdm(rows.split(64), desc="real faces", disable=not progress):
            images = []
            for row, image in zip(some.tolist(), encoded(some), strict=True):
                try:
                    images.append(preprocess(image))
                    kept.append(row)
                except RejectedImage:  # no usable face
                    continue
            if images:
                batch = torch.from_numpy(np.stack(images)).to(device)
                features.append(pooled_features(backbone, batch).cpu())
    if not kept:
        raise DataError(f"None of the images of {source} suits the crop {crop}.")
    found = torch.cat(features).clone()
    part.save(lambda: {"features": found, "rows": torch.tensor(kept)}, finished=True)
    return RealFaces(attributes, found, labels[kept])


def _chosen_rows(faces: RealFaces, states: Iterable[State]) -> Tensor:
    """Rows with enough faces of every state, few in all: rare states choose first, common ones use what is chosen."""
    order = torch.randperm(len(faces.labels), generator=torch.Generator().manual_seed(0))
    shuffled = RealFaces(faces.attributes, faces.features, faces.labels[order])
    chosen = torch.zeros(len(order), dtype=torch.bool)
    for rows in sorted(map(shuffled.rows, states), key=len):
        lacking = REAL_PER_STATE - int(chosen[rows].sum())
        chosen[rows[~chosen[rows]][: max(0, lacking)]] = True
    return order[chosen].sort().values
