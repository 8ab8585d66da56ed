"""Aligned faces as photographs may show them, for training the aligner and the parser.

Views of the aligner show a face anywhere, or none, with made-up surroundings. Faces of the parser are tilted, small, in
other light, with glasses on and behind things, and their masks with them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.data.masks import UNKNOWN
from stgan.models.aligner import random_similarities, sample_views
from stgan.models.parser import PARSER_CLASSES

Similarity = tuple[Tensor, Tensor]
"""Complex (N,) a and b of z -> a z + b, from coordinates of a view to those of the crop; both in [-1, 1]."""

BACKGROUND, SKIN, EYEGLASSES, EYES, BROWS, HAT = (
    PARSER_CLASSES.index(name) for name in ("background", "skin", "eyeglasses", "eyes", "brows", "hat")
)
GLASSES_SHARE = 0.15  # of faces that are given glasses
HAT_SHARE = 0.1  # of faces that are given a hat
HAT_COLOUR_SHARE = 0.5  # of hats that take another colour
OBSTACLE_SHARE = 0.15  # of faces behind something
WIDE_SHARE = 0.25  # of views that show far more than the crop


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
    draws, size = _Draws(len(views), random, 4), views.shape[-1]
    for factor, share in ((2, 0.25), (4, 0.1)):
        blurred = F.interpolate(F.avg_pool2d(views, factor), size=size, mode="bilinear", align_corners=False)
        views = torch.where(draws.chance(share), blurred, views)
    views = torch.where(draws.chance(0.15), views.mean(dim=1, keepdim=True), views)
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    views = (views - mean) * torch.exp(draws.uniform(-0.4, 0.4)) + mean + draws.uniform(-0.4, 0.4)
    views = views + draws.colours(-0.1, 0.1)
    line = torch.linspace(-1, 1, size, device=views.device)
    views = views + draws.uniform(-0.3, 0.3) * line + draws.uniform(-0.3, 0.3) * line[:, None]  # light from one side
    noise = torch.randn(views.shape, generator=random, device=views.device)
    views = views + noise * draws.uniform(0, 1).pow(3) * 0.2
    x, y = (line - draws.uniform(-1, 1)).abs(), (line[:, None] - draws.uniform(-1, 1)).abs()
    hidden = (x < draws.uniform(0.1, 0.4)) & (y < draws.uniform(0.1, 0.4)) & draws.chance(0.2)
    return torch.where(hidden, draws.colours(-1, 1), views).clamp(-1, 1)


def shuffle_tiles(views: Tensor, random: torch.Generator, tiles: int = 4) -> Tensor:
    """Views (N, 3, S, S) cut into ``tiles`` x ``tiles`` parts in random order: the parts of a face, but no face."""
    count, _, size, _ = views.shape
    parts = F.unfold(views, size // tiles, stride=size // tiles)  # (N, 3 * tile * tile, tiles * tiles)
    order = torch.rand(count, 1, tiles * tiles, generator=random, device=views.device).argsort(dim=2)
    return F.fold(parts.gather(2, order.expand_as(parts)), size, size // tiles, stride=size // tiles)


def disturbed(images: Tensor, masks: Tensor, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces and their masks, changed together at random.

    Args:
        images: (N, 3, S, S) in [-1, 1].
        masks: uint8 (N, S, S), classes or :data:`stgan.data.masks.UNKNOWN`.
        size: of the results, pixels.
        random: on the images' device.

    Returns:
        Images (N, 3, size, size) in [-1, 1] and masks long (N, size, size).
    """
    images, masks = with_glasses(images, masks, random)
    images, masks = with_hats(images, masks, random)
    images, masks = with_obstacles(images, masks, random)
    images, masks = moved(images, masks, size, random)
    return in_other_light(blurred(images, random), random), masks


def moved(images: Tensor, masks: Tensor, size: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tilted, scaled, shifted, half of them mirrored. What lies around the crop is made up, and unknown in the mask."""
    draws = _Draws(len(images), random, 1)
    angle = torch.where(draws.chance(0.8), draws.uniform(-0.35, 0.35), draws.uniform(-0.8, 0.8))
    log_shown = torch.where(  # what a view shows, as a share of the crop
        draws.chance(WIDE_SHARE), draws.uniform(math.log(1.35), math.log(2.2)), draws.uniform(-0.35, 0.35)
    )
    a = torch.polar(torch.exp(log_shown), angle)
    b = a * torch.complex(draws.uniform(-0.25, 0.25), draws.uniform(-0.25, 0.25))
    mirrored = draws.chance(0.5)[:, None, None]
    images = torch.where(mirrored[..., None], images.flip(-1), images)
    masks = torch.where(mirrored, masks.flip(-1), masks)
    views, z = sample_views(images, a, b, size)
    grid = torch.view_as_real(z)
    outside = (grid.abs() > 1).any(dim=-1)
    known = F.grid_sample(
        (masks[:, None] + 1.0) * (masks != UNKNOWN)[:, None], grid, mode="nearest", align_corners=False
    )
    known = known[:, 0].long() - 1  # -1 where nobody knows
    reflected = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    other = F.grid_sample(images.roll(1, dims=0), grid / 3, padding_mode="border", align_corners=False)
    colour = draws.colours(-1, 1).expand_as(other)
    choice = draws.uniform(0, 1)[:, None, None, None]
    around = torch.where(choice < 0.5, reflected, torch.where(choice < 0.75, other, colour))
    return torch.where(outside[:, None], around, views), known.where((known >= 0) & ~outside, UNKNOWN)


def blurred(images: Tensor, random: torch.Generator) -> Tensor:
    """Some of lower resolution."""
    draws, size = _Draws(len(images), random, 4), images.shape[-1]
    for factor, share in ((2, 0.25), (3, 0.15), (4, 0.1)):
        coarse = F.interpolate(F.avg_pool2d(images, factor), size=size, mode="bilinear")
        images = torch.where(draws.chance(share), coarse, images)
    return images


def in_other_light(images: Tensor, random: torch.Generator) -> Tensor:
    """Grey, colourful, dark, pale, tinted or noisy."""
    draws = _Draws(len(images), random, 4)
    grey = images.mean(dim=1, keepdim=True)
    saturation = draws.uniform(0, 1.5) * ~draws.chance(0.15)
    images = ((grey + (images - grey) * saturation + 1) / 2).clamp(0, 1)
    gamma = torch.exp(draws.uniform(-0.7, 0.7) * draws.chance(0.5))
    tint = draws.colours(-0.06, 0.06)
    images = images.pow(gamma) * draws.uniform(0.5, 1.3) + draws.uniform(-0.125, 0.125) + tint
    noise = torch.randn(images.shape, generator=random, device=images.device)
    images = images + noise * draws.uniform(0.02, 0.07) * draws.chance(0.3)
    return images.clamp(0, 1) * 2 - 1


def with_obstacles(images: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some behind a rod or a disc of a plain colour, often one of their own skin: a hand, a microphone, a cup."""
    draws = _Draws(len(images), random, 3)
    y, x = _coordinates(masks)
    angle, across, along = draws.uniform(0, math.pi), draws.uniform(0.04, 0.4), draws.uniform(0.15, 0.8)
    x, y = x - draws.uniform(-0.8, 0.8), y - draws.uniform(-0.8, 0.8)
    u, v = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    distance = ((u / along).abs().pow(4) + (v / across).abs().pow(4)).pow(0.25)
    inside = (distance < 1) & draws.chance(OBSTACLE_SHARE)
    colour = draws.colours(-1, 1)
    skin = (masks == SKIN)[:, None]
    own = (images * skin).sum(dim=(2, 3), keepdim=True) / skin.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    colour = torch.where(draws.chance(0.5)[:, None], own, colour)
    shaded = colour - 0.5 * distance[:, None].clamp(max=1).pow(3) * draws.uniform(0, 1)[:, None]
    return torch.where(inside[:, None], shaded.clamp(-1, 1), images), masks.where(~inside, BACKGROUND)


def with_glasses(images: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some with drawn eyeglasses, often of thin rims, which few labelled faces wear. Eyes and brows stay labelled."""
    draws = _Draws(len(images), random, 3)
    u, v, pixel, found = _eye_coordinates(masks)
    across, power = draws.uniform(0.30, 0.46), draws.uniform(2, 5)
    down = torch.minimum(across, draws.uniform(0.2, 0.4))
    apart = torch.maximum(draws.uniform(0.46, 0.58), across + 0.06)
    v = v - draws.uniform(-0.02, 0.12)
    side = u.abs() - apart
    distance = ((side / across).abs().pow(power) + (v / down).abs().pow(power)).pow(1 / power)
    thickness = torch.exp(draws.uniform(math.log(0.014), math.log(0.1)))  # of the rims, in eye distances
    rim = ((thickness / 2 - (distance - 1).abs() * down) / pixel + 0.5).clamp(0, 1)
    bar = v - draws.uniform(-0.5, 0) * down  # bridge, and temples where there is skin
    bridge = (u.abs() < apart - across * 0.95) | ((side > across * 0.95) & (u.abs() < 1.3) & (masks == SKIN))
    rim = torch.maximum(rim, ((thickness / 2 - bar.abs()) / pixel + 0.5).clamp(0, 1) * bridge)
    lens = distance < 1
    worn = (
        draws.chance(GLASSES_SHARE) & found & ~(masks == EYEGLASSES).any(dim=2, keepdim=True).any(dim=1, keepdim=True)
    )
    kind = draws.uniform(0, 1)  # clear, tinted or dark
    tint = torch.where(
        kind < 0.62, 0.1 * kind, torch.where(kind < 0.82, draws.uniform(0.2, 0.7), draws.uniform(0.85, 1))
    )
    colours = draws.uniform(-1, 0.7, 2, len(images), 3, 1, 1)
    colours = torch.where(draws.chance(0.7)[:, None], colours.mean(dim=2, keepdim=True), colours)
    glazed = torch.lerp(images, colours[0] - 0.3, (tint * lens)[:, None]).clamp(-1, 1)
    framed = torch.lerp(glazed, colours[1].expand_as(glazed), rim[:, None])
    hidden = (tint > 0.7) & (masks == EYES)
    label = worn & (lens | (rim > 0.4)) & (hidden | ((masks != EYES) & (masks != BROWS))) & (masks != UNKNOWN)
    return torch.where(worn[:, None], framed, images), masks.where(~label, EYEGLASSES)


def with_hats(images: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some with the hat of another face of the batch, and hats in other colours, most of them dark.

    Few labelled faces wear a hat, and a dark one is easily taken for hair.
    """
    count = len(images)
    draws = _Draws(count, random, 3)
    hats = masks == HAT
    owners = (hats.float().mean(dim=(1, 2)) > 0.02).nonzero()[:, 0]
    if len(owners):
        owner = owners[torch.randint(len(owners), (count,), generator=random, device=random.device)]
        hat = hats[owner]
        above = hat.flip(1).cumsum(1).flip(1) > 0  # the hat is here or further down
        taken = above & (hat | (masks[owner] == BACKGROUND))
        taken &= draws.chance(HAT_SHARE) & ~hats.any(dim=2, keepdim=True).any(dim=1, keepdim=True)
        edge = F.avg_pool2d(taken[:, None].float(), 3, stride=1, padding=1, count_include_pad=False)
        images = torch.lerp(images, images[owner], edge)
        masks = torch.where(taken, masks[owner], masks)
        hats = masks == HAT
    size = hats.sum(dim=(1, 2))[:, None, None, None].clamp(min=1)
    mean = (images * hats[:, None]).sum(dim=(2, 3), keepdim=True) / size
    chosen, dark = draws.chance(HAT_COLOUR_SHARE), draws.chance(0.6)
    grey, hue = draws.uniform(-1, 1)[..., None], draws.colours(-0.2, 0.2)
    colour = torch.where(dark[..., None], -1 + 0.4 * (grey + 1) / 2 + 0.2 * hue, grey + hue)
    painted = (colour + (images - mean) * draws.uniform(0.2, 1)[..., None]).clamp(-1, 1)
    images = torch.where((hats & chosen)[:, None], painted, images)
    night = (masks == BACKGROUND) & chosen & dark & draws.chance(0.5)  # as dark as the hat, which is still one
    return torch.where(night[:, None], (images + 1) * draws.uniform(0, 0.3)[..., None] - 1, images), masks


def _eye_coordinates(masks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position of each pixel relative to the eyes, in units of the distance between them.

    Returns:
        To the right and down from between the eyes, (N, S, S) each; the side of a pixel, (N, 1, 1); and whether both
        eyes are seen, bool (N, 1, 1).
    """
    y, x = _coordinates(masks)
    eyes = masks == EYES
    halves = [eyes & (x < 0), eyes & (x >= 0)]
    counts = [half.sum(dim=(1, 2), keepdim=True) for half in halves]
    centres = [
        [(half * axis).sum(dim=(1, 2), keepdim=True) / count.clamp(min=1) for axis in (x, y)]
        for half, count in zip(halves, counts, strict=True)
    ]
    (left_x, left_y), (right_x, right_y) = centres
    across, down = right_x - left_x, right_y - left_y
    squared = (across.square() + down.square()).clamp(min=1e-4)
    x, y = x - (left_x + right_x) / 2, y - (left_y + right_y) / 2
    smallest = 4e-4 * masks[0].numel()  # pixels
    found = (counts[0] > smallest) & (counts[1] > smallest) & (squared > 0.06)
    pixel = 2 / masks.shape[-1] / squared.sqrt()
    return (x * across + y * down) / squared, (y * across - x * down) / squared, pixel, found


def _coordinates(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (S, 1) and columns (S,) of pixel centres, from -1 to 1."""
    size = masks.shape[-1]
    line = (torch.arange(size, device=masks.device) + 0.5) * (2 / size) - 1
    return line[:, None], line


class _Draws:
    """Random numbers for each of N images, with dimensions of size 1 that fit (N, C, S, S) or (N, S, S)."""

    def __init__(self, count: int, random: torch.Generator, dims: int):
        self.count, self.random, self.dims = count, random, dims

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        shape = shape or (self.count, *[1] * (self.dims - 1))
        return low + (high - low) * torch.rand(shape, generator=self.random, device=self.random.device)

    def colours(self, low: float, high: float) -> Tensor:
        """One colour (N, 3, 1, 1) for each image."""
        return self.uniform(low, high, self.count, 3, 1, 1)

    def chance(self, share: float) -> Tensor:
        return self.uniform(0, 1) < share
