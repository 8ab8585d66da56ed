"""How much stronger an editor's edits should become after training: what plainer edits gain against what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from stgan.attributes import index_of
from stgan.data import load_into_memory
from stgan.evaluation.appearance import measure_appearance
from stgan.evaluation.edits import Editing
from stgan.evaluation.faces import available_instruments
from stgan.evaluation.protocol import evaluate
from stgan.models import AttributeClassifier, FaceParser, Generator

MAX_STRENGTH = 1.15
"""An edit that blends in is believed, a stronger one looks pasted on."""
MAX_INTENSITY = 1.5  # of the strongest edit to plan for
INTENSITIES = (1.0, 1.05, 1.1, 1.15, 1.5, 1.575, 1.65, 1.725)  # at which edits are measured
IDENTITY_PEOPLE = 16  # the recognition network runs face by face, at every intensity


@dataclass(frozen=True)
class Prices:
    """What an edit costs, in edit accuracy (a share in [0, 1])."""

    preservation: float = 3.0  # of a preservation error of 1
    realism: float = 0.001  # of a KID x 1000 of 1
    identity: float = 1.0  # of a descriptor distance of 1


def measured_strengths(
    generator: Generator,
    classifier: AttributeClassifier,
    source: str,
    *,
    parser: FaceParser | None = None,
    crop: str = "auto",
    samples: int = 256,
    prices: Prices = Prices(),
    highest: float = MAX_STRENGTH,
    limits: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """How strong each attribute's edits should be, 1 or more, measured on training images.

    Args:
        generator, classifier, parser: on the CPU.
        source: dataset whose split ``train`` is edited and shows what real faces look like.
        samples: images to edit.
        prices: of what edits disturb. Realism and identity count if their packages are installed.
        highest: upper limit of every strength.
        limits: smaller upper limits of single attributes.

    Raises:
        DataError: there is no such dataset.
        ValueError: a limit is out of range or names an unknown attribute, or the editor's edits have no strength.
    """
    limits = limits or {}
    check_limits(generator.attributes, highest, limits)
    generator.strengthen(torch.ones(len(generator.attributes)))  # changes nothing, but refuses what it would refuse
    data = load_into_memory(source, "train", generator.attributes, generator.image_size, max_samples=samples, crop=crop)
    generator, classifier = generator.eval(), classifier.eval()
    edits = evaluate(generator, classifier, data.images, data.labels, parser=parser, intensities=INTENSITIES).edits
    instruments = available_instruments(generator, source, crop)
    instruments = replace(instruments, people=IDENTITY_PEOPLE)
    worth: dict[str, list[float]] = {name: [] for name in generator.attributes}
    for intensity in INTENSITIES:
        looks = measure_appearance(
            Editing(generator, parser), classifier, data.images, data.labels, instruments,
            flips=[(name,) for name in generator.attributes], intensity=intensity,
        ).edits  # fmt: skip
        for name in generator.attributes:
            cost = prices.preservation * edits[intensity].preservation_error[name]
            cost += prices.realism * (looks[name].mean_realism or 0) + prices.identity * (looks[name].identity or 0)
            worth[name].append(edits[intensity].accuracy[name] - cost)
    return {name: strength_for(limits.get(name, highest), worth[name]) for name in generator.attributes}


def check_limits(attributes: Sequence[str], highest: float, limits: Mapping[str, float]) -> None:
    """Raise a ValueError if a limit is out of range or names an unknown attribute."""
    if not 1 <= highest <= MAX_STRENGTH:
        raise ValueError(f"--max_strength must be between 1 and {MAX_STRENGTH:g}, not {highest:g}.")
    for name, value in limits.items():
        index_of(name, attributes)
        if not 1 <= value <= highest:
            raise ValueError(f"--strength_limits {name} must be between 1 and --max_strength, not {value:g}.")


def strength_for(highest: float, worth: Sequence[float]) -> float:
    """The strength, from 1 to ``highest``, whose edits are worth most: accuracy minus cost at each of
    :data:`INTENSITIES`.

    It is a mean over intensity 1 and :data:`MAX_INTENSITY`, where a stronger edit may be recognised less often.
    """
    strengths = np.arange(100, round(100 * highest) + 1) / 100
    values = [np.interp(strengths * intensity, INTENSITIES, worth) for intensity in (1.0, MAX_INTENSITY)]
    return float(strengths[np.sum(values, axis=0).round(9).argmax()])  # of equally good ones the weakest
