"""Relations between labels, against loops over names."""

import functools
import itertools

import pytest
import torch

from stgan.attributes import CELEBA_ATTRIBUTES, contradiction_matrix, excluded_by, replacement_matrix
from stgan.training.label_rules import LabelRules, plausible_pairs

NAMES = ("Bald", "Black_Hair", "Blond_Hair", "Male", "Mustache", "No_Beard")
EVERY = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6)))


def contradict(one, other):
    """Said once more, by hand: no hair colour on a bald head, no mustache without a beard."""
    return {one, other} in ({"Bald", "Black_Hair"}, {"Bald", "Blond_Hair"}, {"Mustache", "No_Beard"})


def possible(row):
    """Faces of a made-up data set: black or blond hair or none, no bald woman, no woman with a beard or a mustache."""
    bald, black, blond, male, mustache, no_beard = (value > 0 for value in row.tolist())
    return not ((black and blond) or (bald and (black or blond)) or (mustache and no_beard)) and (
        male or (no_beard and not bald and not mustache)
    )


FACES = torch.stack([row for row in EVERY if possible(row)])
RULES = LabelRules.from_labels(NAMES, FACES, 0.05)


def shown(values):
    """Whether the data have a face with these values, by name."""
    rows = FACES[:, [NAMES.index(name) for name in values]]
    return bool((rows == torch.tensor(list(values.values()))).all(dim=1).any())


@functools.cache
def clash(one, its_value, other, other_value):
    """Whether the data never show the two, though their names allow it."""
    named = its_value and other_value and (other in excluded_by(one) or contradict(one, other))
    return not named and not shown({one: its_value, other: other_value})


def test_plausible_pairs_agree_with_counting():
    labels = (torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) < torch.tensor([0.1, 0.5, 0.8])).float()
    for share in (0.0, 0.5, 1.0):
        pairs = plausible_pairs(labels, share)
        for (a, has_a), (b, has_b) in itertools.product(itertools.product(range(3), (0, 1)), repeat=2):
            rows = labels.tolist()
            together = sum(row[a] == has_a and row[b] == has_b for row in rows) / 50
            chance = sum(row[a] == has_a for row in rows) * sum(row[b] == has_b for row in rows) / 50**2
            expected = (a, has_a) == (b, has_b) or together >= share * chance - 1e-6
            assert pairs[a + 3 * has_a, b + 3 * has_b] == expected


def test_contradictions_are_mutual_and_known_by_name():
    matrix = contradiction_matrix(CELEBA_ATTRIBUTES)
    assert torch.equal(matrix, matrix.T)
    pairs = {frozenset((CELEBA_ATTRIBUTES[i], CELEBA_ATTRIBUTES[j])) for i, j in matrix.nonzero().tolist()}
    hair = {frozenset(("Bald", colour)) for colour in ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")}
    beards = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")
    assert pairs == hair | {frozenset(("No_Beard", beard)) for beard in beards}
    assert not contradiction_matrix(("Bald", "No_Beard", "Male")).any()  # only of what the model has


def test_the_nearest_attribute_of_the_model_is_the_replacement():
    def taking(names):
        matrix = replacement_matrix(names)
        assert (matrix.sum(dim=1) <= 1).all()
        return {names[i]: names[j] for i, j in matrix.nonzero().tolist()}

    hair = {"Black_Hair": "Brown_Hair", "Blond_Hair": "Brown_Hair", "Brown_Hair": "Black_Hair"}
    textures = {"Straight_Hair": "Wavy_Hair", "Wavy_Hair": "Straight_Hair"}
    assert taking(CELEBA_ATTRIBUTES) == hair | {"Gray_Hair": "Black_Hair"} | textures
    assert taking(("Bald", "Gray_Hair", "Blond_Hair")) == {"Gray_Hair": "Blond_Hair", "Blond_Hair": "Gray_Hair"}
    assert taking(("Bald", "Bangs", "Brown_Hair")) == {}  # bangs that go leave no bald head


@pytest.mark.parametrize(
    ("before", "after", "complete"),
    [
        ({"Brown_Hair"}, set(), {"Black_Hair"}),
        ({"Black_Hair", "Male"}, {"Male"}, {"Brown_Hair", "Male"}),
        ({"Blond_Hair"}, {"Black_Hair"}, {"Black_Hair"}),  # the edit names what comes
        ({"Blond_Hair", "Brown_Hair"}, {"Brown_Hair"}, {"Brown_Hair"}),  # another is there already
        ({"Blond_Hair", "Brown_Hair"}, set(), {"Black_Hair"}),  # nothing comes back that was taken away
        ({"Brown_Hair", "Male"}, {"Bald", "Male"}, {"Bald", "Male"}),  # a bald head needs none
        ({"Bald", "Male"}, {"Male"}, {"Male"}),
        (set(), set(), set()),
        ({"Male"}, set(), set()),
    ],
)
def test_hair_that_loses_its_colour_gets_another(before, after, complete):
    names = ("Bald", "Black_Hair", "Blond_Hair", "Brown_Hair", "Male")
    rules = LabelRules.from_labels(names, torch.tensor(list(itertools.product((0.0, 1.0), repeat=5))), 0.05)
    labels, target, expected = (
        torch.tensor([[float(name in present) for name in names]]) for present in (before, after, complete)
    )
    assert torch.equal(rules.complete_targets(labels, target), expected)
    assert torch.equal(rules.complete_targets(labels, expected), expected)
    assert torch.equal(LabelRules.none(5).complete_targets(labels, target), target)


def test_a_label_that_follows_from_another_has_no_weight():
    learned = RULES.label_weights(FACES)
    for row, weights in zip(FACES, learned, strict=True):
        values = dict(zip(NAMES, row.tolist(), strict=True))
        for name, weight in zip(NAMES, weights.tolist(), strict=True):
            others = [other for other in NAMES if other != name]
            implied = any(clash(name, 1 - values[name], other, values[other]) for other in others)
            assert weight == (not implied), (name, values)
    women = FACES[:, NAMES.index("Male")] == 0
    beards = [NAMES.index(name) for name in ("Bald", "Mustache", "No_Beard")]
    assert not learned[women][:, beards].any()
    clean_men = ~women & (FACES[:, beards] == torch.tensor([0.0, 0.0, 1.0])).all(dim=1)
    assert learned[clean_men].all()


def test_the_discriminator_conditions_on_no_label_that_no_real_face_has():
    labels, target = FACES.repeat_interleave(len(EVERY), dim=0), EVERY.repeat(len(FACES), 1)
    known = RULES.discriminator_targets(labels, target)
    weights = RULES.edit_weights(labels, target, 3.0, 2.0)
    for row in zip(*(each.tolist() for each in (labels, target, known, weights)), strict=True):
        before, after, *_ = (dict(zip(NAMES, values, strict=True)) for values in row)
        for name, known_value, weight in zip(NAMES, *row[2:], strict=True):
            others = [other for other in NAMES if other != name]
            clashes = any(clash(name, after[name], other, after[other]) for other in others)
            kept = before[name] == after[name] == 1
            untrue = kept and any(contradict(name, other) and after[other] > before[other] for other in others)
            assert known_value == (0.5 if clashes or untrue else after[name])
            assert weight == (0 if untrue else 1 if before[name] == after[name] else 2 if clashes else 3)


@pytest.mark.parametrize("counted", [False, True])
def test_without_rules_or_without_clashes_every_label_counts(counted):
    names = ("Eyeglasses", "Male", "Young", "Smiling", "Pale_Skin", "Bangs")  # nothing contradicts
    rules = LabelRules.from_labels(names, EVERY, 0.05) if counted else LabelRules.none(6)
    labels, target = EVERY.repeat_interleave(64, dim=0), EVERY.repeat(64, 1)
    assert rules.label_weights(labels).all()
    assert torch.equal(rules.discriminator_targets(labels, target), target)
    assert torch.equal(rules.edit_weights(labels, target, 3.0, 2.0), torch.where(labels == target, 1.0, 3.0))
