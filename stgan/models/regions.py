"""Where in an aligned face an attribute lives, so that an edit of it can be kept from everything else.

A generator that may change any pixel finds the cheapest ones: hair of another tint convinces a discriminator of a
mustache. Faces are aligned, so the place of most attributes is known beforehand.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS

Ellipse = tuple[float, float, float, float]  # middle and half axes (x, y, across, down), see _ellipse

EYES: Ellipse = (0.0, 0.05, 1.65, 0.7)
BROWS: Ellipse = (0.0, -0.3, 1.0, 0.45)
UNDER_THE_EYES: Ellipse = (0.0, 0.3, 1.2, 0.55)
NOSE: Ellipse = (0.0, 0.45, 0.65, 0.7)
CHEEKS: Ellipse = (0.0, 0.6, 1.4, 0.7)
UPPER_LIP: Ellipse = (0.0, 1.0, 0.6, 0.36)
MOUTH: Ellipse = (0.0, 1.2, 1.1, 0.95)
BEARD: Ellipse = (0.0, 1.35, 1.25, 1.15)  # no wider than faces are: what lies beside them would be stained
JAW: Ellipse = (0.0, 1.35, 1.65, 1.1)
FACE: Ellipse = (0.0, 0.4, 1.3, 1.85)
NECK: Ellipse = (0.0, 2.2, 1.2, 1.0)
FOREHEAD: Ellipse = (0.0, -1.05, 1.5, 1.25)
SCALP: Ellipse = (0.0, -0.4, 1.4, 1.8)  # bald heads keep their hair at the sides: what is behind it nobody knows
HEAD: Ellipse = (0.0, 0.2, 1.4, 2.3)
HAIR: Ellipse = (0.0, 1.2, 2.05, 3.6)  # down to the crop's border, where long hair leaves it
INNER_FACE: Ellipse = (0.0, 0.8, 0.9, 1.0)  # eyes, nose and mouth

PLACES: dict[str, tuple[Ellipse, ...]] = {
    "5_o_Clock_Shadow": (BEARD,), "Arched_Eyebrows": (BROWS,), "Bags_Under_Eyes": (UNDER_THE_EYES,), "Bald": (SCALP,),
    "Bangs": (FOREHEAD,), "Big_Lips": (MOUTH,), "Big_Nose": (NOSE,), "Black_Hair": (HAIR,), "Blond_Hair": (HAIR,),
    "Brown_Hair": (HAIR,), "Bushy_Eyebrows": (BROWS,), "Double_Chin": (JAW, NECK), "Eyeglasses": (EYES,),
    "Goatee": (BEARD,), "Gray_Hair": (HAIR,), "Male": (HEAD, NECK), "Mouth_Slightly_Open": (MOUTH,),
    "Mustache": (UPPER_LIP,), "Narrow_Eyes": (EYES,), "No_Beard": (BEARD,), "Pale_Skin": (FACE, NECK),
    "Pointy_Nose": (NOSE,), "Receding_Hairline": (FOREHEAD,), "Rosy_Cheeks": (CHEEKS,), "Smiling": (CHEEKS, MOUTH),
    "Straight_Hair": (HAIR,), "Wavy_Hair": (HAIR,), "Wearing_Lipstick": (MOUTH,), "Young": (HEAD, NECK),
}  # fmt: skip
"""Ellipses that hold an attribute of CelebA; what has none here may be anywhere."""

AROUND_THE_FACE: tuple[str, ...] = (
    "Bald", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Straight_Hair", "Wavy_Hair",
)  # fmt: skip
"""Attributes of the hair, which is not on eyes, nose and mouth."""

FADE = 0.3  # eye distances over which a region ends above and below, or beside it where it is narrower than high


def attribute_regions(attributes: Sequence[str], image_size: int) -> Tensor:
    """Float (A, S, S) in [0, 1]: 1 where an edit of each attribute may change an aligned face, 0 where it may not.

    Args:
        attributes: A names; one that is not CelebA's may be anywhere.
        image_size: S, pixels of the crop's side.
    """
    return torch.stack([_region(name, image_size) for name in attributes])


def _region(name: str, size: int) -> Tensor:
    if name not in PLACES:
        return torch.ones(size, size)
    region = torch.stack([_ellipse(place, size) for place in PLACES[name]]).amax(dim=0)
    return region * (1 - _ellipse(INNER_FACE, size)) if name in AROUND_THE_FACE else region


def _ellipse(ellipse: Ellipse, size: int) -> Tensor:
    """Float (S, S): 1 within an ellipse, fading to 0 around it. Its units are eye distances from between the eyes."""
    x, y, across, down = ellipse
    left, top, right, _ = CELEBA_CROP
    (left_x, left_y), (right_x, right_y) = MEAN_LANDMARKS[:2]
    step = (right - left) / size  # pixels of the aligned frame per pixel of the crop
    pixels = (torch.arange(size) + 0.5) * step - 0.5
    distance = right_x - left_x
    columns = (pixels + left - (left_x + right_x) / 2) / distance - x
    rows = (pixels + top - (left_y + right_y) / 2) / distance - y
    inside = 1 - ((columns / across) ** 2 + (rows[:, None] / down) ** 2).sqrt()  # 1 in the middle, 0 at its border
    share = (inside * min(across, down) / FADE + 1).clamp(0, 1)
    return share * share * (3 - 2 * share)
