"""What lies in front of a head: a hat, or a hand, sticker or microphone. Edits leave it as it is."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from stgan.attributes import BEARD, BROWS, EYES, HEAD, MOUTH, Ellipse, Place, facts_of
from stgan.models.parser import PARSER_CLASSES
from stgan.models.regions import around, parsed_regions, shown, squared_radius

BARE_FACE = Ellipse(0.0, 0.45, 0.9, 1.35)  # from the brows to the chin: here a bare head shows nothing but itself
CHEEKBONES = Ellipse(0.0, 0.2, 0.95, 0.5)  # no beard grows between the eyes and the tip of the nose
LIPS = Ellipse(0.0, 1.12, 0.62, 0.36)  # a mouth that opens moves the chin too, which a network draws twice
ABOVE_THE_EYES = Ellipse(0.0, -100.0, 100.0, 100.0)
# Share of a crop: the hats of 32 faces cover more than .03 of it, and most that a parser sees by mistake less than .01.
SMALLEST_HAT = 0.01
SURELY_A_HAT = (0.6, 0.8)  # probabilities up to which a parser half sees a hat, and from which it surely does
FEWEST_PIXELS = 8


def editable_regions(probabilities: Tensor, attributes: Sequence[str]) -> Tensor:
    """As :func:`stgan.models.regions.parsed_regions`, without what covers the head or what a network would only blur:
    float (N, A, S, S) in [0, 1].

    Edits of the whole head, such as age, leave hair, eyes and mouth as they are, brows leave the eyes, beards and skin
    tones leave the mouth, edits of the mouth leave the chin, and all edits but those of the eyes leave glasses.
    """
    regions = uncovered(parsed_regions(probabilities, attributes), probabilities)
    size = probabilities.shape[-1]
    head, eyes, lips = (
        1 - around(shown(probabilities, *names), 0, 1) for names in (("hair", "eyes", "mouth"), ("eyes",), ("mouth",))
    )
    glasses = 1 - around(shown(probabilities, "eyeglasses"), 1, 1)
    cheekbones = (squared_radius(CHEEKBONES, size).sqrt() * 3 - 2).clamp(0, 1).to(regions)
    mouth = (3 - squared_radius(LIPS, size).sqrt() * 2).clamp(0, 1).to(regions)

    @cache  # several attributes share a place
    def kept(place: Place | None) -> Tensor:
        result = torch.ones_like(head)
        if place is None:
            return result
        if HEAD in place.ellipses:
            result = result * head
        if EYES not in place.ellipses:
            result = result * glasses
        if place.ellipses == (BROWS,):
            result = result * eyes
        if BEARD in place.ellipses:
            result = result * cheekbones * lips
        if place.surface == "skin":
            result = result * lips
        if place.ellipses == (MOUTH,):
            result = result * mouth
        return result

    return regions * torch.stack([kept(facts_of(name).place) for name in attributes], dim=1)


def wears_a_hat(probabilities: Tensor) -> bool:
    """Whether a crop, seen by the parser as (1, 10, S, S), shows a hat: above the eyes, and not too small for one."""
    above = _inside(ABOVE_THE_EYES, probabilities.shape[-1]).to(probabilities.device)
    hat = probabilities.argmax(dim=1) == PARSER_CLASSES.index("hat")
    return bool((hat & above).float().mean() > SMALLEST_HAT)


def bareheaded(probabilities: Tensor) -> Tensor:
    """The parser's probabilities (N, 10, S, S), given that nobody wears a hat.

    What it half took for one is hair or wall. What it surely took for one is neither: it stays.
    """
    hat = torch.tensor([name == "hat" for name in PARSER_CLASSES], device=probabilities.device)[:, None, None]
    others, low_high = probabilities * ~hat, SURELY_A_HAT
    half = ((low_high[1] - probabilities[:, PARSER_CLASSES.index("hat")]) / (low_high[1] - low_high[0])).clamp(0, 1)
    without = others / others.sum(dim=1, keepdim=True).clamp(min=1e-6)
    return probabilities + half[:, None] * (without - probabilities)


def uncovered(regions: Tensor, probabilities: Tensor) -> Tensor:
    """Regions (N, A, S, S) in [0, 1] without what covers the head, given the parser's probabilities (N, 10, S, S)."""
    return regions * (1 - around(_cover(probabilities), 2, 2))[:, None]


def covered_shares(probabilities: Tensor, attributes: Sequence[str]) -> dict[str, float]:
    """Share in [0, 1] of each attribute's place that something covers.

    For the hair and the scalp that is a hat; for places in the face everything that is no part of a head.

    Args:
        probabilities: (1, 10, S, S) from :class:`stgan.models.FaceParser`.
        attributes: names; those without a known place count as uncovered.
    """
    size, cover = probabilities.shape[-1], _cover(probabilities)[0]
    hat, hair = (float(shown(probabilities, name).sum()) for name in ("hat", "hair"))
    face, shares = _inside(BARE_FACE, size).to(cover.device), {}
    for name in attributes:
        place = facts_of(name).place
        if place is None:
            shares[name] = 0.0
        elif place.surface in ("hair", "scalp"):
            shares[name] = hat / max(hat + hair, FEWEST_PIXELS)
        else:
            inside = torch.stack([_inside(each, size) for each in place.ellipses]).any(dim=0).to(cover.device)
            inside_face = max(int((inside & face).sum()), FEWEST_PIXELS)
            shares[name] = min(1.0, float(cover[inside].sum()) / inside_face)
    return shares


def _cover(probabilities: Tensor) -> Tensor:
    """(N, S, S) in [0, 1]: hats, and within the face all that is no part of it. A parser may take a microphone for
    eyeglasses, which have no place below the eyes."""
    size = probabilities.shape[-1]
    face, eyes = (_inside(each, size).to(probabilities) for each in (BARE_FACE, EYES))
    glasses = probabilities[:, PARSER_CLASSES.index("eyeglasses")]
    foreign = shown(probabilities, "background", "clothes", "hat", more=glasses * (1 - eyes))
    return torch.maximum(shown(probabilities, "hat"), face * foreign)


def _inside(ellipse: Ellipse, size: int) -> Tensor:
    return squared_radius(ellipse, size) < 1
