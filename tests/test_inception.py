"""FID and KID: the textbook formulas on a made-up extractor, and the answers that must come out at the ends."""

import numpy as np
import pytest
import torch
from torch import nn

from stgan.attributes import edited_labels
from stgan.evaluation.fidelity import to_uint8
from stgan.evaluation.inception import inception_distances
from stgan.models import STGAN

NAMES = ("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Young")


class Means(nn.Module):
    """Mean of each colour and the whole image's spread."""

    def forward(self, images):
        return torch.cat([images.float().mean((2, 3)), images.float().std((1, 2, 3))[:, None]], 1) / 32


@pytest.fixture
def people():
    random = torch.Generator().manual_seed(0)
    levels = torch.randint(40, 216, (40, 3, 1, 1), generator=random)
    images = (levels + torch.randint(-40, 40, (40, 3, 32, 32), generator=random)).to(torch.uint8)
    return images, (torch.rand(40, 5, generator=random) < 0.2).float() * torch.tensor([1, 0, 1, 0, 1.0])


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return STGAN(NAMES, image_size=32, width=4, layers=3, stu_layers=2).eval()


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def frechet(a, b):
    half = root(np.cov(a.T))
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(
        np.cov(a.T) + np.cov(b.T) - 2 * root(half @ np.cov(b.T) @ half)
    )


def polynomial_mmd(a, b):
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3  # noqa: E731
    count = len(a)
    within = sum((kernel(x, x).sum() - np.trace(kernel(x, x))) / (count * (count - 1)) for x in (a, b))
    return within - 2 * kernel(a, b).mean()


@torch.no_grad()
def test_figures_are_the_textbooks_of_edits_against_other_people(people, generator):
    images, labels = people
    found = inception_distances(generator, images, labels, intensity=1.5, extractor=Means(), batch_size=7)
    edited = []
    for i in range(20):
        att_diff = edited_labels(labels[i], {NAMES[i % 5]: not labels[i, i % 5]}, NAMES) - labels[i]
        edit = to_uint8(generator(images[i : i + 1] / 127.5 - 1, 1.5 * att_diff[None]))
        edited.append(torch.tensor(edit).permute(0, 3, 1, 2))
    extract = lambda each: Means()(each).double().numpy()  # noqa: E731
    after, before, real = extract(torch.cat(edited)), extract(images[:20]), extract(images[20:])
    assert (found.fid, found.real_fid) == pytest.approx((frechet(after, real), frechet(before, real)), rel=1e-3)
    # Subsets of all 20 images are the images themselves.
    expected = 1000 * polynomial_mmd(after, real), 1000 * polynomial_mmd(before, real)
    assert (found.kid, found.real_kid) == pytest.approx(expected, rel=1e-3, abs=1e-2)
    assert found.fid > found.real_fid  # an untrained network's pictures are not real
    assert f"{found.fid:.2f}" in found.to_markdown()
