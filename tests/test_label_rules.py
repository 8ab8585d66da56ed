"""What labels say of one another, against loops over names."""

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
RULES = LabelRules.counted(NAMES, FACES, 0.05)


def shown(values):
    """Whether the data have a face with these values, by name."""
    rows = FACES[:, [NAMES.index(name) for name in values]]
    return bool((rows == torch.tensor(list(values.values()))).all(dim=1).any())


def clash(one, its_value, other, other_value):
    """Whether the data never show the two, though their names allow it."""
    named = its_value and other_value and (other in excluded_by(one) or contradict(one, other))
    return not named and not shown({one: its_value, other: other_value})


def test_labels_go_together_as_often_as_counting_says():
    labels = (torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) < torch.tensor([0.1, 0.5, 0.8])).float()
    for share in (0.0, 0.5, 1.0):
        pairs = plausible_pairs(labels, share)
        for (a, has_a), (b, has_b) in itertools.product(itertools.product(range(3), (0, 1)), repeat=2):
            rows = labels.tolist()
            together = sum(row[a] == has_a and row[b] == has_b for row in rows) / 50
            chance = sum(row[a] == has_a for row in rows) * sum(row[b] == has_b for row in rows) / 50**2
            expected = (a, has_a) == (b, has_b) or together >= share * chance - 1e-6
            assert pairs[a + 3 * has_a, b + 3 * has_b] == expected


def test_what_contradicts_what_is_mutual_and_known_by_name():
    matrix = contradiction_matrix(CELEBA_ATTRIBUTES)
    assert torch.equal(matrix, matrix.T)
    pairs = {frozenset((CELEBA_ATTRIBUTES[i], CELEBA_ATTRIBUTES[j])) for i, j in matrix.nonzero().tolist()}
    hair = {frozenset(("Bald", colour)) for colour in ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")}
    beards = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")
    assert pairs == hair | {frozenset(("No_Beard", beard)) for beard in beards}
    assert not contradiction_matrix(("Bald", "No_Beard", "Male")).any()  # only of what the model has


def test_of_what_can_take_a_places_the_nearest_that_the_model_knows_does():
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
    ("before", "after", "completed"),
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
def test_hair_that_loses_its_colour_has_another(before, after, completed):
    names = ("Bald", "Black_Hair", "Blond_Hair", "Brown_Hair", "Male")
    rules = LabelRules.counted(names, torch.tensor(list(itertools.product((0.0, 1.0), repeat=5))), 0.05)
    labels, target, expected = (
        torch.tensor([[float(name in present) for name in names]]) for present in (before, after, completed)
    )
    assert torch.equal(rules.completed(labels, target), expected)
    assert torch.equal(rules.completed(labels, expected), expected)
    assert torch.equal(LabelRules.none(5).completed(labels, target), target)


def test_a_label_that_follows_from_another_is_not_learned_from_that_face():
    learned = RULES.open_labels(FACES)
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


def test_a_discriminator_is_told_nothing_that_no_real_face_has():
    for labels, target in itertools.product(FACES, EVERY):
        before, after = (dict(zip(NAMES, row.tolist(), strict=True)) for row in (labels, target))
        told = RULES.told(labels[None], target[None])[0].tolist()
        weights = RULES.edit_weights(labels[None], target[None], 3.0, 2.0)[0].tolist()
        for name, told_value, weight in zip(NAMES, told, weights, strict=True):
            others = [other for other in NAMES if other != name]
            clashes = any(clash(name, after[name], other, after[other]) for other in others)
            kept = before[name] == after[name] == 1
            untrue = kept and any(contradict(name, other) and after[other] > before[other] for other in others)
            assert told_value == (0.5 if clashes or untrue else after[name])
            assert weight == (0 if untrue else 1 if before[name] == after[name] else 2 if clashes else 3)


@pytest.mark.parametrize("counted", [False, True])
def test_without_rules_or_where_the_data_show_everything_each_label_counts(counted):
    names = ("Eyeglasses", "Male", "Young", "Smiling", "Pale_Skin", "Bangs")  # nothing contradicts
    rules = LabelRules.counted(names, EVERY, 0.05) if counted else LabelRules.none(6)
    labels, target = EVERY.repeat_interleave(64, dim=0), EVERY.repeat(64, 1)
    assert rules.open_labels(labels).all()
    assert torch.equal(rules.told(labels, target), target)
    assert torch.equal(rules.edit_weights(labels, target, 3.0, 2.0), torch.where(labels == target, 1.0, 3.0))
