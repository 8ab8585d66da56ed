"""Regions: which pixels of an aligned face an edit of an attribute may change.

A generator that may change any pixel changes the wrong ones: it tints the hair to convince a discriminator of a
mustache. Faces are aligned, so the place of most attributes is known; :mod:`stgan.attributes` has it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from stgan.attributes import Ellipse, facts_of
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS

FADE = 0.3  # eye distances over which an ellipse fades out along its shorter axis


def attribute_regions(attributes: Sequence[str], image_size: int) -> Tensor:
    """Float (A, S, S) in [0, 1]: 1 where an edit of each attribute may change an aligned face, 0 where it may not.

    Args:
        attributes: A names; an edit of one without a known place may change the whole image.
        image_size: S, pixels of the crop's side.
    """
    return torch.stack([_region(name, image_size) for name in attributes])


def _region(name: str, size: int) -> Tensor:
    place = facts_of(name).place
    if place is None:
        return torch.ones(size, size)
    region = torch.stack([_ellipse(ellipse, size) for ellipse in place.ellipses]).amax(dim=0)
    return region if place.except_in is None else region * (1 - _ellipse(place.except_in, size))


def _ellipse(ellipse: Ellipse, size: int) -> Tensor:
    """Float (S, S): 1 inside an ellipse, fading to 0 around it."""
    left, top, right, _ = CELEBA_CROP
    (left_x, left_y), (right_x, right_y) = MEAN_LANDMARKS[:2]
    step = (right - left) / size  # pixels of the aligned frame per pixel of the crop
    pixels = (torch.arange(size) + 0.5) * step - 0.5
    distance = right_x - left_x
    columns = (pixels + left - (left_x + right_x) / 2) / distance - ellipse.x
    rows = (pixels + top - (left_y + right_y) / 2) / distance - ellipse.y
    radius = ((columns / ellipse.across) ** 2 + (rows[:, None] / ellipse.down) ** 2).sqrt()  # 1 at the ellipse's border
    share = ((1 - radius) * min(ellipse.across, ellipse.down) / FADE + 1).clamp(0, 1)
    return share * share * (3 - 2 * share)
