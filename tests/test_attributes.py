"""The table of attributes, exclusions, edits as label vectors, and what a 14th attribute needs: nothing, or a row."""

import itertools

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from numbered_data import write_images

from stgan import STGAN, AttributeClassifier, FaceEditor, attributes
from stgan.attributes import (
    ATTRIBUTES,
    CELEBA_ATTRIBUTES,
    DEFAULT_ATTRIBUTES,
    HAIR_COLOUR,
    Attribute,
    as_labels,
    caption,
    change_in_words,
    contradicted_by,
    edited_labels,
    excluded_by,
    exclusion_matrix,
    exclusive_groups,
    flipped_labels,
    index_of,
    labels_to_difference,
    replacement_matrix,
    scale_in_words,
    short_name,
    truth_of,
)
from stgan.demo.session import changed, in_order
from stgan.models import load_generator
from stgan.models.regions import attribute_regions
from stgan.photo.detect import FaceDetector
from stgan.training import Trainer
from stgan.training.command import parse

COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
PAIRS = {frozenset(pair) for pair in itertools.combinations(COLOURS, 2)} | {
    frozenset(("Straight_Hair", "Wavy_Hair")), frozenset(("Bangs", "Bald")), frozenset(("Bangs", "Receding_Hairline")),
}  # fmt: skip
"""The exclusions of the official code, written down once more."""


def test_the_names_are_celebas_forty_and_the_papers_thirteen_each_in_its_order():
    assert len(set(CELEBA_ATTRIBUTES)) == 40
    assert sorted(CELEBA_ATTRIBUTES, key=str.lower) == list(CELEBA_ATTRIBUTES)  # CelebA's list is alphabetical
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
    assert pairs == PAIRS
    assert not excluded_by("Mustache")  # the official code took Mustache / No_Beard out again
    only_of_the_model = torch.tensor([[0, 0, 1], [0, 0, 0], [1, 0, 0]]) > 0
    assert torch.equal(exclusion_matrix(["Bangs", "Male", "Bald"]), only_of_the_model)


@pytest.mark.parametrize("attributes", [DEFAULT_ATTRIBUTES, CELEBA_ATTRIBUTES], ids=["thirteen", "forty"])
def test_one_edit_by_name_and_a_batch_of_flips_by_index_ask_for_the_same(attributes):
    count = len(attributes)
    source = torch.randint(0, 2, (200, count), generator=torch.Generator().manual_seed(0)).float()
    index = torch.arange(200) % count
    flipped = flipped_labels(source, index, exclusion_matrix(attributes))
    for row, (labels, i) in enumerate(zip(source, index.tolist(), strict=True)):
        assert torch.equal(flipped[row], edited_labels(labels, {attributes[i]: not labels[i]}, attributes))
        expected = labels.tolist()
        for j, other in enumerate(attributes):
            if not labels[i] and frozenset((attributes[i], other)) in PAIRS:
                expected[j] = 0.0
        expected[i] = float(not labels[i])
        assert flipped[row].tolist() == expected


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
        assert not labels_to_difference(source, source, intensity).any()


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


def test_captions_are_readable_and_all_different():
    assert short_name("Mouth_Slightly_Open") == "Mouth open"
    assert short_name("Black_Hair") == "Black hair"
    captions = [caption(name, present) for name in CELEBA_ATTRIBUTES for present in (True, False)]
    assert len(set(captions)) == len(captions)
    assert not any("_" in words for words in captions)


@pytest.mark.parametrize(
    ("attribute", "present", "words"),
    [
        ("Eyeglasses", True, "Eyeglasses"), ("Eyeglasses", False, "No eyeglasses"),
        ("Young", True, "Young"), ("Young", False, "Older"), ("Male", False, "Female"),
        ("No_Beard", True, "No beard"), ("No_Beard", False, "Beard"),
        ("Mouth_Slightly_Open", False, "Mouth closed"), ("Black_Hair", False, "No black hair"),
    ],
)  # fmt: skip
def test_a_caption_says_what_an_edit_does(attribute, present, words):
    assert caption(attribute, present) == words


@pytest.mark.parametrize(
    ("attribute", "increase", "words"),
    [
        ("Eyeglasses", True, "Eyeglasses"), ("Eyeglasses", False, "No eyeglasses"), ("No_Beard", False, "Beard"),
        ("Male", True, "More masculine"), ("Male", False, "More feminine"), ("Young", True, "Younger"),
        ("Young", False, "Older"), ("Pale_Skin", False, "Darker skin"),
    ],
)  # fmt: skip
def test_a_change_is_told_without_a_verdict(attribute, increase, words):
    assert change_in_words(attribute, increase) == words


def test_scales_have_names_of_their_own_and_a_denied_one_runs_the_other_way():
    names = [scale_in_words(name) for name in CELEBA_ATTRIBUTES]
    assert len(set(names)) == len(names)
    assert scale_in_words("No_Beard") == "Beard"
    assert scale_in_words("Male") == "Feminine – masculine"
    assert scale_in_words("Young") == "Older – younger"


def test_every_row_is_one_of_celebas_attributes_and_names_only_such():
    assert set(ATTRIBUTES) <= set(CELEBA_ATTRIBUTES)
    for name, row in ATTRIBUTES.items():
        names = {*row.excludes, *row.replacements, *(other for other in row.contradicts if isinstance(other, str))}
        assert row.name == name
        assert names <= set(CELEBA_ATTRIBUTES) - {name}


def test_names_that_exclude_each_other_through_others_are_one_group():
    assert exclusive_groups(("Receding_Hairline", "Male", "Bald", "Bangs")) == [["Receding_Hairline", "Bald", "Bangs"]]
    assert exclusive_groups(("Bald", "Receding_Hairline", "Male")) == []


# ------------------------------------------------------------------------------------------------- a 14th attribute


def test_an_attribute_without_a_row_trains_edits_and_has_a_caption(faces, astronaut, tmp_path):
    names = ("Eyeglasses", "Freckles")  # which neither CelebA nor the table knows
    for split in ("train", "valid"):
        glasses = [labels["Eyeglasses"] for labels in faces[split].labels]
        freckles = [number % 3 == 0 for number in range(len(glasses))]
        write_images(tmp_path, faces[split].images, split=split, Eyeglasses=glasses, Freckles=freckles)
    words = f"""--dataset {tmp_path} --output_dir {tmp_path / "run"} --attributes {" ".join(names)} --total_images 8
        --batch_size 4 --image_size 32 --width 4 --layers 3 --stu_layers 2 --use_regions
        --discriminator_width 4 --dataloader_num_workers 0 --max_validation_samples 4
        --mixed_precision no --report_to none"""
    AcceleratorState._reset_state(reset_partial_state=True)
    Trainer(parse(words.split()), "stgan train").train()
    AcceleratorState._reset_state(reset_partial_state=True)
    generator = load_generator(tmp_path / "run" / "model")
    assert generator.attributes == names
    assert (generator.regions[1] == 1).all()  # anywhere
    editor = FaceEditor(generator, AttributeClassifier(names, 32, width=4), FaceDetector(), "cpu")
    face = editor.prepare(astronaut)
    edited = editor.edit(face, {"Freckles": not face.label_dict()["Freckles"]}, 2.0)
    assert (np.asarray(edited) != astronaut).any()
    assert (caption("Freckles", True), caption("Freckles", False)) == ("Freckles", "No freckles")
    assert in_order(names) == ["Eyeglasses", "Freckles"]


@pytest.fixture
def _changed_table():
    attributes._related.cache_clear()
    yield
    attributes._related.cache_clear()


@pytest.mark.usefixtures("_changed_table")
def test_a_row_gives_an_attribute_its_place_exclusions_and_captions(monkeypatch):
    names = (*DEFAULT_ATTRIBUTES, "Red_Hair")
    row = Attribute(
        "Red_Hair", "Ginger", "Not ginger", ATTRIBUTES["Black_Hair"].place, HAIR_COLOUR, excludes=("Mustache",),
        replacements=("Gray_Hair", "Blond_Hair"),
    )  # fmt: skip
    monkeypatch.setitem(ATTRIBUTES, "Red_Hair", row)
    generator = STGAN(names, 32, width=4, max_width=16, layers=3, stu_layers=2, use_regions=True)
    assert torch.equal(generator.regions[-1], attribute_regions(["Black_Hair"], 32)[0])
    assert (caption("Red_Hair", True), caption("Red_Hair", False)) == ("Ginger", "Not ginger")
    assert set(excluded_by("Red_Hair")) == {*COLOURS, "Mustache"}
    assert "Red_Hair" in excluded_by("Mustache")
    assert contradicted_by("Red_Hair") == ("Bald",)
    assert replacement_matrix(names)[-1].nonzero().flatten().tolist() == [names.index("Blond_Hair")]
    before = edited_labels(torch.zeros(14), {"Black_Hair": True, "Mustache": True, "Bald": True}, names)
    after = dict(zip(names, edited_labels(before, {"Red_Hair": True}, names).tolist(), strict=True))
    assert [name for name, value in after.items() if value] == ["Bald", "Red_Hair"]
    assert changed({"Red_Hair": 1.0, "Male": 1.0}, {"Black_Hair": 0.5}) == {"Male": 1.0, "Black_Hair": 0.5}
    assert any({"Black_Hair", "Red_Hair"} <= set(group) for group in exclusive_groups(names))
    assert in_order(names).index("Red_Hair") < in_order(names).index("Male")


def test_labels_are_read_as_data_and_edits_write_them():
    names = ("Young", "Male")
    assert as_labels({"Young": -1, "Male": 1}, names) == {"Young": False, "Male": True}
    assert as_labels("Male", names) == as_labels(["Male"], names) == {"Male": True}
    assert as_labels({}, names) == as_labels([], names) == {}
    assert all(truth_of(value) is True for value in (True, 1, 1.0))
    assert all(truth_of(value) is False for value in (False, 0, -1))
    assert all(truth_of(value) is None for value in ("1", 2, None, [1]))
    assert edited_labels(torch.zeros(2), {"Young": -1, "Male": 1}, names).tolist() == [0, 1]
    with pytest.raises(ValueError, match="Male is 'yes': give True or False"):
        edited_labels(torch.zeros(2), {"Male": "yes"}, names)
