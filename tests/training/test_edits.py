"""The labels of edits: random targets, and relations between labels against loops over names."""

import functools
import itertools

import pytest
import torch
from runs import NAMES as TRAINED
from runs import configured, objective, random_batch, take_step, watch

from stgan.attributes import (
    CELEBA_ATTRIBUTES,
    contradiction_matrix,
    edited_labels,
    excluded_by,
    exclusion_matrix,
    flipped_labels,
    replacement_matrix,
)
from stgan.training.edits import Edits, LabelRules, TargetSampler, plausible_pairs

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


def test_targets_permute_the_batchs_labels_or_flip_one_of_them(tmp_path):
    _, labels = random_batch(64)
    permuting, flipping = (objective(tmp_path, single_flip_share=share) for share in (0.0, 1.0))
    target = permuting.sampler.draw_targets(labels, torch.Generator().manual_seed(1))
    assert sorted(target.tolist()) == sorted(labels.tolist())
    assert not torch.equal(target, labels)
    target = flipping.sampler.draw_targets(labels, torch.Generator().manual_seed(1))
    possible = [flipped_labels(labels, torch.full((64,), k), exclusion_matrix(TRAINED)) for k in range(4)]
    chosen = torch.stack([(target == each).all(1) for each in possible])
    assert chosen.any(0).all()
    assert (chosen.sum(1) > 5).all()


def test_attributes_are_flipped_as_often_as_their_weights_say(tmp_path):
    editing = objective(tmp_path, single_flip_share=1.0, single_flip_weights={TRAINED[1]: 5.0, TRAINED[2]: 2.0})
    target = editing.sampler.draw_targets(torch.zeros(4000, 4), torch.Generator().manual_seed(1))
    assert target.mean(0).tolist() == pytest.approx([1 / 9, 5 / 9, 2 / 9, 1 / 9], abs=0.03)


def test_flip_weights_of_unknown_attributes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name Hat; trained are"):
        objective(tmp_path, single_flip_weights={"Hat": 2.0})


@pytest.mark.parametrize(("model", "back"), [("stgan", None), ("stargan", "intensity"), ("stargan", "label")])
@pytest.mark.parametrize("critic_steps", [0, 1])
def test_intensities_are_drawn_from_the_range(critic_steps, model, back, tmp_path):
    """A difference is taken back as far as it went; back to a target is back to the labels, from wherever."""
    mode = "difference" if back == "intensity" else "target" if back == "label" else "model"
    editing = objective(
        tmp_path, model=model, critic_steps=critic_steps, intensity_range=(1.0, 1.8), label_mode=mode, batch_size=64
    )
    images, labels = random_batch(64)
    calls = watch(editing.plain_generator, "condition")
    take_step(editing, images, labels, 1, 0.5)
    requests = [request for request, _ in calls]
    forth = [intensity for source, target, intensity in requests if source is labels and target is not labels]
    assert len(forth) == 1 + critic_steps
    for intensity in forth:
        assert intensity.shape == (64, 1)
        assert 1 <= intensity.min() < 1.1 < 1.7 < intensity.max() <= 1.8
        assert 1.3 < intensity.mean() < 1.5
    ways_back = [intensity for source, target, intensity in requests if target is labels and source is not labels]
    assert len(ways_back) == (back is not None)
    for intensity in ways_back:
        assert intensity is forth[-1] if back == "intensity" else intensity == 1


FLIPPED = ("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Eyeglasses", "Mustache", "No_Beard", "Pale_Skin")


def sampler(tmp_path, **settings):
    settings = {"single_flip_share": 1.0} | settings
    return TargetSampler(configured("none", tmp_path, **settings), FLIPPED, torch.device("cpu"))


def test_up_to_four_attributes_are_flipped_together(tmp_path):
    """Each target is what an editor makes of an edit by names, and no edit adds two that contradict each other."""
    random = torch.Generator().manual_seed(3)
    labels = (torch.rand(2000, len(FLIPPED), generator=random) < 0.3).float()
    target = sampler(tmp_path, max_flips=4).draw_targets(labels, random)
    counts = torch.zeros(5)
    for before, after in zip(labels, target, strict=True):
        added = [name for name, old, new in zip(FLIPPED, before, after, strict=True) if new > old]
        for one, other in itertools.combinations(added, 2):
            assert other not in excluded_by(one)
            assert not contradict(one, other)
        cleared = {other for name in added for other in excluded_by(name)}
        asked = {
            name: bool(new) for name, old, new in zip(FLIPPED, before, after, strict=True)
            if new != old and (new or name not in cleared)
        }  # fmt: skip
        assert torch.equal(edited_labels(before, asked, FLIPPED), after)
        counts[len(asked)] += 1
    assert counts[0] == 0
    assert 0.47 < counts[1] / 2000 < 0.6  # half ask for one; some others drop what does not fit
    assert (counts[2:] > 0).all()


def test_one_flip_is_drawn_as_ever(tmp_path):
    labels = (torch.rand(64, len(FLIPPED)) < 0.3).float()
    one, few = (sampler(tmp_path, max_flips=most) for most in (1, 4))
    target, more = (each.draw_targets(labels, torch.Generator().manual_seed(1)) for each in (one, few))
    first = (target != labels) & (more == target)
    assert first.any(dim=1).float().mean() > 0.9  # the same attribute first, and sometimes further ones


def test_only_edits_of_the_skin_may_tint_it(tmp_path):
    labels = torch.zeros(3, len(FLIPPED))
    target = labels.clone()
    target[0, FLIPPED.index("Pale_Skin")] = target[1, FLIPPED.index("Eyeglasses")] = 1
    kept = sampler(tmp_path).keeps_skin(Edits(labels, target, torch.ones(3, 1)))
    assert kept.tolist() == [False, True, True]
