"""A small network that estimates how a face lies in a rough crop, and whether there is a face at all."""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.models.layers import residual_stages, xavier_initialise
from stgan.models.pretrained import PretrainedModel

VIEW_SHARE = 0.82
"""Side of an upright view, as a share of the side of the crop that the editor sees (139 of CelebA's 170 pixels)."""
VIEW_CENTRE = 0.011 + 0.22j
"""The nose: centre of an upright view in the crop, whose centre is 0 and whose lower right corner is 1 + 1j. CelebA's
mean face lies one of the crop's 170 pixels right of the middle."""
UPRIGHT = (complex(VIEW_SHARE), VIEW_CENTRE)
"""The similarity z -> a z + b from an upright view to the crop, as (a, b)."""


class Similarities(NamedTuple):
    """The aligner's output for N views: the similarity z -> a z + b from each view to the editor's crop.

    Views and crops are squares of the complex plane from -1 - 1j (upper left) to 1 + 1j (lower right).
    """

    a: Tensor  # complex (N,): rotation and scale
    b: Tensor  # complex (N,): shift
    logit: Tensor  # (N,): there is a face where it exceeds the aligner's threshold


class FaceAligner(PretrainedModel, pipeline_tag="image-feature-extraction"):
    """Small residual network: from a square view of a face to the similarity that brings it into the editor's frame.

    It is trained without landmarks, on aligned faces that are rotated, scaled and shifted at random.

    Args:
        image_size: side S of its views in pixels, a multiple of 8.
        width: channels of the stem; the two stages have 2 and 4 times as many.
        blocks: residual blocks in each stage.
        hidden: units of the hidden layer.
    """

    threshold: Tensor

    def __init__(self, image_size: int = 64, width: int = 28, blocks: int = 2, hidden: int = 128):
        super().__init__()
        if image_size % 8:
            raise ValueError(f"image_size must be a multiple of 8, not {image_size}.")
        self.image_size = image_size
        self.features = residual_stages(width, blocks, stages=2)
        self.head = nn.Sequential(  # flattened, not averaged: the answer is about positions
            nn.Conv2d(4 * width, 32, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(32 * (image_size // 8) ** 2, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 5),
        )
        # A view shows a face where its logit exceeds this; calibrated on validation images after training.
        self.register_buffer("threshold", torch.zeros(()))
        self.apply(xavier_initialise)
        nn.init.zeros_(cast(nn.Linear, self.head[-1]).weight)  # untrained, it calls every view upright

    def forward(self, view: Tensor) -> Similarities:
        """Views (N, 3, S, S) in [-1, 1]."""
        log_scale, angle, x, y, logit = self.head(self.features(view)).float().unbind(dim=1)
        a = torch.polar(VIEW_SHARE * torch.exp(log_scale.clamp(-2, 2)), angle)
        return Similarities(a, torch.complex(x, y) + VIEW_CENTRE, logit)

    def align(self, view: Tensor) -> Similarities:
        """Like :meth:`forward`, averaged over each view and its mirror image, so that errors to one side cancel."""
        plain, mirrored = (
            Similarities(*parts)
            for parts in zip(*(each.chunk(2) for each in self(torch.cat([view, view.flip(-1)]))), strict=True)
        )
        a, b = mirror(mirrored.a, mirrored.b)
        a = plain.a * torch.sqrt(a / plain.a)  # geometric mean of the scales; mean of the angles, also across ±180°
        return Similarities(a, (plain.b + b) / 2, (plain.logit + mirrored.logit) / 2)


def mirror(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity from a view to the crop, complex (N,) each, after both are mirrored.

    A view is mirrored about its middle, z -> -conj(z), the crop about the nose.
    """
    return a.conj(), 2 * VIEW_CENTRE.real - b.conj()


def frame_error(a: Tensor, b: Tensor, points: Tensor) -> Tensor:
    """Mean distance (N,) by which the similarity z -> a z + b moves points.

    Args:
        a, b: complex (N,), from the estimated frame to the true one; the identity if the estimate is right.
        points: complex (P,), in the true frame.
    """
    moved = a[:, None] * points + b[:, None] - points
    return torch.sqrt(moved.real.square() + moved.imag.square() + 1e-8).mean(dim=1)


def sample_views(images: Tensor, a: Tensor, b: Tensor, size: int, *, oversampling: int = 2) -> tuple[Tensor, Tensor]:
    """Sample one square view of each crop (N, 3, S, S), whose border is repeated beyond it.

    Args:
        a, b: complex (N,), z -> a z + b from the view to the crop.
        size: side of the views, pixels.
        oversampling: samples per pixel in each direction; they are averaged.

    Returns:
        Views (N, 3, size, size), and the position of each pixel in the crop, complex (N, size, size).
    """
    fine = size * oversampling
    line = (torch.arange(fine, device=images.device) + 0.5) * (2 / fine) - 1
    z = torch.complex(*torch.meshgrid(line, line, indexing="xy"))  # (fine, fine)
    z = a[:, None, None] * z + b[:, None, None]
    views = F.grid_sample(images, torch.view_as_real(z), padding_mode="border", align_corners=False)
    if oversampling > 1:
        views = F.avg_pool2d(views, oversampling)
        z = torch.complex(*(F.avg_pool2d(part[:, None], oversampling)[:, 0] for part in (z.real, z.imag)))
    return views, z


def random_similarities(
    count: int, random: torch.Generator, *, rotation: float = 40.0, scale: float = 1.65, shift: float = 0.25
) -> tuple[Tensor, Tensor]:
    """Random similarities from views to the crop, complex (N,) each.

    Args:
        rotation: largest angle in degrees.
        scale: largest factor by which a view is enlarged or shrunk.
        shift: largest shift in each direction, as a share of the view's side.
    """
    draws = torch.rand(4, count, generator=random, device=random.device) * 2 - 1
    a = torch.polar(VIEW_SHARE * torch.exp(math.log(scale) * draws[0]), math.radians(rotation) * draws[1])
    return a, VIEW_CENTRE + 2 * shift * a * torch.complex(draws[2], draws[3])
