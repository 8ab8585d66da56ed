"""Edits become as strong as they are worth: accuracy against what they disturb, how they look and who they show."""

import itertools

import numpy as np
import pytest
from editors import ATTRIBUTES, people, tiny_classifier, tiny_generator
from test_identity import MeanRecognition

from stgan.data import MemoryDataset
from stgan.evaluation import strength
from stgan.evaluation.appearance import Instruments, measure_appearance
from stgan.evaluation.edits import Editing
from stgan.evaluation.protocol import evaluate
from stgan.evaluation.strength import INTENSITIES, Prices, measured_strengths, strength_for


def test_a_strength_is_the_one_worth_most_at_both_intensities():
    """Against edits whose worth is known everywhere: straight lines between the intensities measured."""
    for peak, slope, highest in itertools.product((1.03, 1.1, 1.6), (0.02, 0.2, 1), (1.0, 1.07, 1.15)):
        worth = lambda i, peak=peak, slope=slope: (  # noqa: E731
            np.interp(i, INTENSITIES, 0.9 - 0.5 * np.abs(np.array(INTENSITIES) - peak)) - slope * i
        )
        best = max(  # the first of the best
            np.round(np.arange(1, highest + 0.001, 0.01), 2),
            key=lambda s: round(sum(worth(s * i) for i in (1, 1.5)), 9),  # noqa: B023
        )
        found = strength_for(highest, worth(np.array(INTENSITIES)).tolist())
        assert sum(worth(found * i) for i in (1, 1.5)) == pytest.approx(sum(worth(best * i) for i in (1, 1.5)))
        assert 1 <= found <= highest


def test_an_edit_that_more_strength_does_not_improve_stays_as_it_is():
    count = len(INTENSITIES)
    assert strength_for(1.15, [0.9] * count) == 1
    assert strength_for(1.15, np.linspace(0.5, 0.9, count).tolist()) == 1.15
    assert strength_for(1.15, np.linspace(0.9, 0.5, count).tolist()) == 1


@pytest.fixture(scope="module")
def measured():
    """A generator, a classifier, faces and labels, instruments, and by intensity edits and looks by the evaluation."""
    (images, labels), instruments = people(12), Instruments(recognition=MeanRecognition())
    generator, classifier = tiny_generator(), tiny_classifier()
    edits = evaluate(generator, classifier, images, labels, intensities=INTENSITIES).edits
    looks = {
        intensity: measure_appearance(
            Editing(generator), classifier, images, labels, instruments, intensity=intensity
        ).edits
        for intensity in INTENSITIES
    }
    return generator, classifier, images, labels, instruments, edits, looks


@pytest.mark.parametrize("prices", [Prices(), Prices(preservation=50), Prices(0, realism=1, identity=50)])
def test_worth_is_accuracy_less_every_price(prices, measured, monkeypatch):
    generator, classifier, images, labels, instruments, edits, looks = measured
    sources = []
    monkeypatch.setattr(
        strength,
        "load_into_memory",
        lambda *where, **how: sources.append((where, how)) or MemoryDataset(images, labels),
    )
    monkeypatch.setattr(strength, "available_instruments", lambda generator, source, crop: instruments)
    worth = []
    monkeypatch.setattr(strength, "strength_for", lambda highest, values: worth.append((highest, values)) or highest)
    found = measured_strengths(
        generator, classifier, "faces", prices=prices, highest=1.1, limits={"Young": 1.05}, samples=12
    )
    assert found == dict.fromkeys(ATTRIBUTES, 1.1) | {"Young": 1.05}
    [((source, split, *_), how)] = sources
    assert (source, split, how["max_samples"]) == ("faces", "train", 12)  # not what the model is measured on
    for position, intensity in enumerate(INTENSITIES):
        for name, (_, values) in zip(ATTRIBUTES, worth, strict=True):
            cost = prices.preservation * edits[intensity].preservation_error[name]
            cost += prices.identity * looks[intensity][name].identity
            assert values[position] == pytest.approx(edits[intensity].accuracy[name] - cost, abs=1e-3)
