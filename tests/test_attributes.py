"""Names, exclusions, and the way from a wish to a vector and back."""

import pytest
import torch

from stgan.attributes import (
    CELEBA_ATTRIBUTES,
    DEFAULT_ATTRIBUTES,
    edited_labels,
    excluded_by,
    exclusion_matrix,
    flipped_labels,
    index_of,
    labels_to_difference,
    resolve_ticks,
)


def test_celeba_has_forty_attributes_in_its_own_order():
    assert len(set(CELEBA_ATTRIBUTES)) == 40
    assert sorted(CELEBA_ATTRIBUTES, key=str.lower) == list(CELEBA_ATTRIBUTES)  # CelebA's list is alphabetical


def test_the_default_attributes_are_the_papers_thirteen_in_its_order():
    assert DEFAULT_ATTRIBUTES == (
        "Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male",
        "Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young",
    )  # fmt: skip
    assert set(DEFAULT_ATTRIBUTES) < set(CELEBA_ATTRIBUTES)


def test_exclusions_are_mutual_and_those_of_the_official_code():
    matrix = exclusion_matrix(CELEBA_ATTRIBUTES)
    assert torch.equal(matrix, matrix.T)
    pairs = {
        frozenset((CELEBA_ATTRIBUTES[i], CELEBA_ATTRIBUTES[j])) for i, j in matrix.nonzero().tolist()
    }  # fmt: skip
    colours = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
    expected = {frozenset((a, b)) for a in colours for b in colours if a != b}
    expected |= {frozenset(("Straight_Hair", "Wavy_Hair"))}
    expected |= {frozenset(("Bangs", "Bald")), frozenset(("Bangs", "Receding_Hairline"))}
    assert pairs == expected
    assert not excluded_by("Mustache")  # the official code took Mustache / No_Beard out again


def test_exclusions_reach_only_attributes_that_the_model_has():
    assert torch.equal(exclusion_matrix(["Bangs", "Male", "Bald"]), torch.tensor([[0, 0, 1], [0, 0, 0], [1, 0, 0]]) > 0)


@pytest.mark.parametrize("attributes", [DEFAULT_ATTRIBUTES, CELEBA_ATTRIBUTES], ids=["thirteen", "forty"])
def test_one_edit_by_name_and_a_batch_of_flips_by_index_ask_for_the_same(attributes):
    count = len(attributes)
    source = torch.randint(0, 2, (200, count), generator=torch.Generator().manual_seed(0)).float()
    index = torch.arange(200) % count
    flipped = flipped_labels(source, index, exclusion_matrix(attributes))
    for row, (labels, i) in enumerate(zip(source, index.tolist(), strict=True)):
        assert torch.equal(flipped[row], edited_labels(labels, {attributes[i]: not labels[i]}, attributes))


def test_setting_an_attribute_clears_what_it_excludes_and_nothing_else():
    source = torch.zeros(13)
    source[[DEFAULT_ATTRIBUTES.index(name) for name in ("Black_Hair", "Bangs", "Male", "Young")]] = 1
    target = edited_labels(source, {"Blond_Hair": True, "Bald": True}, DEFAULT_ATTRIBUTES)
    held = {name for name, value in zip(DEFAULT_ATTRIBUTES, target.tolist(), strict=True) if value}
    assert held == {"Blond_Hair", "Bald", "Male", "Young"}


def test_what_the_face_already_has_clears_nothing_and_a_removal_neither():
    source = torch.zeros(13)
    source[[DEFAULT_ATTRIBUTES.index(name) for name in ("Black_Hair", "Brown_Hair")]] = 1  # CelebA has such labels
    assert torch.equal(edited_labels(source, {"Black_Hair": True}, DEFAULT_ATTRIBUTES), source)
    without = edited_labels(source, {"Black_Hair": False}, DEFAULT_ATTRIBUTES)
    assert without.sum() == 1
    assert without[DEFAULT_ATTRIBUTES.index("Brown_Hair")] == 1


def test_an_edit_leaves_its_source_alone():
    source = torch.ones(13)
    edited_labels(source, {"Male": False}, DEFAULT_ATTRIBUTES)
    flipped_labels(source[None], torch.tensor([7]), exclusion_matrix(DEFAULT_ATTRIBUTES))
    assert source.all()


def test_a_difference_says_what_changes_which_way_and_how_far():
    random = torch.Generator().manual_seed(0)
    source, target = (torch.randint(0, 2, (64, 13), generator=random).float() for _ in range(2))
    for intensity in (0.25, 1.0, 1.5):
        difference = labels_to_difference(source, target, intensity)
        assert set(difference.unique().tolist()) == {-intensity, 0.0, intensity}
        assert torch.equal(source + difference / intensity, target)


def test_no_change_is_a_difference_of_zero():
    source = torch.randint(0, 2, (8, 13)).float()
    assert not labels_to_difference(source, source, 1.5).any()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("Eyeglases", "Eyeglasses"), ("male", "Male"), ("blond hair", "Blond_Hair"), ("Beard", "No_Beard")],
)
def test_an_unknown_attribute_names_the_nearest(wrong, right):
    with pytest.raises(ValueError, match=f"Did you mean.*{right}"):
        index_of(wrong, DEFAULT_ATTRIBUTES)
    with pytest.raises(ValueError, match=right):
        edited_labels(torch.zeros(13), {wrong: True}, DEFAULT_ATTRIBUTES)


def test_an_attribute_like_no_other_lists_all_that_are_known():
    with pytest.raises(ValueError, match="Known are: Bald, Bangs.*Young"):
        index_of("xyz123", DEFAULT_ATTRIBUTES)


@pytest.mark.parametrize("clash", [("Black_Hair", "Blond_Hair"), ("Bald", "Bangs")])
def test_an_edit_that_contradicts_itself_is_refused(clash):
    with pytest.raises(ValueError, match="exclude each other"):
        edited_labels(torch.zeros(13), dict.fromkeys(clash, True), DEFAULT_ATTRIBUTES)
    first, second = clash
    edited_labels(torch.zeros(13), {first: True, second: False}, DEFAULT_ATTRIBUTES)  # no contradiction


def test_a_new_tick_takes_the_ticks_that_it_excludes():
    assert resolve_ticks(["Black_Hair", "Male"], ["Black_Hair", "Male", "Blond_Hair"]) == ["Male", "Blond_Hair"]
    assert resolve_ticks(["Black_Hair", "Male"], ["Black_Hair"]) == ["Black_Hair"]


def test_of_two_new_ticks_that_exclude_each_other_the_later_holds():
    assert resolve_ticks(["Black_Hair"], ["Black_Hair", "Blond_Hair", "Male", "Brown_Hair"]) == ["Male", "Brown_Hair"]
