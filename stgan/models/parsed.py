"""Edits of faces whose pixels are parsed: each keeps to the regions of its own image and leaves the skin its colour."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from stgan.models.generator import Edit, Generator
from stgan.models.regions import hold_skin

# Attributes whose edits may change the colour of the cheeks: they are of the skin itself, or cover it. Large lenses
# lie on the cheeks, and would fade if their shade were taken back as a tint of the skin.
ON_THE_CHEEKS = ("Pale_Skin", "Eyeglasses")


class FaceParts(NamedTuple):
    """What the pixels of N aligned faces show, and where their edits may change them."""

    classes: Tensor  # (N, 10, S, S) in [0, 1], probabilities by the parser
    regions: Tensor  # (N, A, S, S) in [0, 1]


def decode_faces(
    generator: Generator, features: Any, condition: Tensor, parts: FaceParts | None, reconstruction: Tensor
) -> Edit:
    """Edits as the editor shows them: within each face's regions, with the skin's colour unless they lie on it.

    Args:
        generator: with regions, if there are parts.
        features, parts: of N images; without parts, the generator alone edits.
        condition: (M, A); row i edits image i modulo N.
        reconstruction: (N, 3, S, S) in [-1, 1], the answer to an empty edit.
    """
    if parts is None:
        return generator.decode_parts(features, condition)
    edited = generator.decode_parts(features, condition, parts.regions)
    rows = torch.arange(len(condition), device=condition.device) % len(reconstruction)
    share = generator.region(condition, parts.regions)
    share = share if edited.mask is None else share * edited.mask
    source = reconstruction if edited.mask is None else features.image
    held = hold_skin(edited.image, source[rows], parts.classes[rows], share)
    on_the_cheeks = torch.tensor([name in ON_THE_CHEEKS for name in generator.attributes], device=condition.device)
    free = ((condition != 0) & on_the_cheeks).any(dim=1)
    return edited._replace(image=torch.where(free[:, None, None, None], edited.image, held))
