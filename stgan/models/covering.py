"""How much of an attribute's place is covered: by a hat, or by a hand, sticker or microphone in front of the face."""

from collections.abc import Sequence

from torch import Tensor

from stgan.attributes import Ellipse, facts_of
from stgan.models.parser import PARSER_CLASSES
from stgan.models.regions import squared_radius

BARE_FACE = Ellipse(0.0, 0.45, 0.9, 1.35)  # from the brows to the chin: here a bare head shows nothing but itself
FEWEST_PIXELS = 8


def covered_shares(probabilities: Tensor, attributes: Sequence[str]) -> dict[str, float]:
    """Share in [0, 1] of each attribute's place that shows something in front of it.

    For the hair and the scalp that is a hat; for places in the face everything that is no part of a head.

    Args:
        probabilities: (1, 10, S, S) from :class:`stgan.models.FaceParser`.
        attributes: names; those without a known place count as uncovered.
    """
    shown = {name: probabilities[0, number].float() for number, name in enumerate(PARSER_CLASSES)}
    size = probabilities.shape[-1]
    shares = {}
    for name in attributes:
        place = facts_of(name).place
        if place is None:
            shares[name] = 0.0
        elif place.surface in ("hair", "scalp"):
            hat = float(shown["hat"].sum())
            shares[name] = hat / max(hat + float(shown["hair"].sum()), FEWEST_PIXELS)
        else:
            inside = sum((squared_radius(each, size) < 1).to(probabilities) for each in place.ellipses) > 0
            face = (squared_radius(BARE_FACE, size) < 1).to(inside.device)
            other = shown["hat"] * inside
            other = other + (shown["background"] + shown["clothes"]) * (inside & face)
            shares[name] = float(other.sum()) / max(float((inside & face).sum()), FEWEST_PIXELS)
    return {name: min(share, 1.0) for name, share in shares.items()}
