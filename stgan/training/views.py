"""The views that the aligner trains on: random similarities, made-up surroundings and the flaws of photos."""

import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.models.aligner import random_similarities, sample_views

Similarity = tuple[Tensor, Tensor]
"""Complex (N,) a and b of z -> a z + b, from coordinates of a view to those of the crop; both in [-1, 1]."""


def faceless_similarities(count: int, random: torch.Generator) -> Similarity:
    """Views without an alignable face: too close, upside down, beside the face or too far away."""
    a, b = random_similarities(count, random, shift=0.1)
    draws = torch.rand(4, count, generator=random, device=random.device)
    kind = torch.randint(4, (count,), generator=random, device=random.device)
    sign = torch.where(draws[3] < 0.5, -1.0, 1.0)
    close_a = a / a.abs() * (0.08 + 0.2 * draws[0])
    close_b = torch.complex(2 * draws[1] - 1, 2 * draws[2] - 1)
    upside_down = a * torch.polar(torch.ones_like(sign), torch.pi * (1 + 0.33 * (2 * draws[0] - 1)))
    direction = torch.polar(1.5 + draws[0], 2 * torch.pi * draws[1])
    small = a / a.abs() * (3 + 3 * draws[0])
    a = torch.where(kind == 0, close_a, torch.where(kind == 1, upside_down, torch.where(kind == 3, small, a)))
    b = torch.where(kind == 0, close_b, torch.where(kind == 2, b + a * direction, b))
    return a, b


def views_with_surroundings(images: Tensor, a: Tensor, b: Tensor, size: int, random: torch.Generator) -> Tensor:
    """Views of crops with made-up surroundings, so that the crop's border does not reveal where the frame is.

    A photo continues around the crop. Here a random part of the crop's rim is cut off. Around the rest, its border
    is repeated or another picture of the batch begins.

    Args:
        images: (N, 3, S, S).
        a, b: complex (N,), similarities from the views to the crops.
        size: of the views, pixels.

    Returns:
        (N, 3, size, size).
    """
    count, device = len(images), images.device
    views, z = sample_views(images, a, b, size)
    rims = 1 - 0.25 * torch.rand(4, count, 1, 1, generator=random, device=device)  # at most an eighth of the side
    inside = (z.real > -rims[0]) & (z.real < rims[1]) & (z.imag > -rims[2]) & (z.imag < rims[3])
    other_a, other_b = random_similarities(count, random, rotation=180, scale=2.5, shift=0.5)
    backgrounds, _ = sample_views(images.roll(1, dims=0), other_a / 2, other_b, size, oversampling=1)
    repeated = torch.rand(count, 1, 1, generator=random, device=device) < 0.4
    return torch.where((inside | repeated)[:, None], views, backgrounds)


def degrade(views: Tensor, random: torch.Generator) -> Tensor:
    """Views (N, 3, S, S) in [-1, 1] with random light, blur, loss of colour, noise and occlusion, as photos have."""
    count, _, size, _ = views.shape
    device = views.device

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, channels, 1, 1, generator=random, device=device)

    def chance(share: float) -> Tensor:
        return draw(0, 1) < share

    for factor, share in ((2, 0.25), (4, 0.1)):
        blurred = F.interpolate(F.avg_pool2d(views, factor), size=size, mode="bilinear", align_corners=False)
        views = torch.where(chance(share), blurred, views)
    views = torch.where(chance(0.15), views.mean(dim=1, keepdim=True), views)
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    views = (views - mean) * torch.exp(draw(-0.4, 0.4)) + mean + draw(-0.4, 0.4) + draw(-0.1, 0.1, channels=3)
    line = torch.linspace(-1, 1, size, device=device)
    views = views + draw(-0.3, 0.3) * line + draw(-0.3, 0.3) * line[:, None]  # light from one side
    noise = torch.randn(views.shape, generator=random, device=device)
    views = views + noise * draw(0, 1).pow(3) * 0.2
    x, y = (line - draw(-1, 1)).abs(), (line[:, None] - draw(-1, 1)).abs()
    hidden = (x < draw(0.1, 0.4)) & (y < draw(0.1, 0.4)) & chance(0.2)
    return torch.where(hidden, draw(-1, 1, channels=3), views).clamp(-1, 1)


def shuffle_tiles(views: Tensor, random: torch.Generator, tiles: int = 4) -> Tensor:
    """Views (N, 3, S, S) cut into ``tiles`` x ``tiles`` parts in random order: the parts of a face, but no face."""
    count, _, size, _ = views.shape
    parts = F.unfold(views, size // tiles, stride=size // tiles)  # (N, 3 * tile * tile, tiles * tiles)
    order = torch.rand(count, 1, tiles * tiles, generator=random, device=views.device).argsort(dim=2)
    return F.fold(parts.gather(2, order.expand_as(parts)), size, size // tiles, stride=size // tiles)
