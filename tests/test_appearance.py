"""What people see in edits: the whole measurement against one image and one edit at a time."""

import json

import numpy as np
import pytest
import torch
from editors import ATTRIBUTES, BlockEditor, BlockJudge, block_people, people, tiny_classifier, tiny_generator
from test_identity import MeanRecognition
from test_realism import Colours

from stgan import FaceEditor
from stgan.attributes import edited_labels
from stgan.evaluation import flips, realism
from stgan.evaluation.appearance import Instruments, measure_appearance
from stgan.evaluation.classifier import predicted_labels
from stgan.evaluation.edits import Editing
from stgan.evaluation.fidelity import to_uint8
from stgan.evaluation.flips import edited_batches, flips_of, states_of
from stgan.evaluation.realism import RealFaces, pooled_features
from stgan.evaluation.skin import cheek_lightness, tone_thirds
from stgan.evaluation.tables import appearance_line, appearance_tables
from stgan.frame import quantise
from stgan.models import STGAN, FaceParser

PAIRS = (("Bangs", "Young"), ("Black_Hair", "Young"))


@pytest.fixture(autouse=True)
def few_pairs(monkeypatch):
    monkeypatch.setattr(flips, "PAIRS", PAIRS)


def plain_edit(generator, image, source, flip, intensity=1.0):
    """One edit of one image as uint8 (1, 3, S, S), and its target labels."""
    target = edited_labels(source, {name: not source[ATTRIBUTES.index(name)] for name in flip}, ATTRIBUTES)
    att_diff = target - source
    for name in flip:
        att_diff[ATTRIBUTES.index(name)] *= intensity
    with torch.no_grad():
        edit = to_uint8(generator(image[None] / 127.5 - 1, att_diff[None]))
    return torch.from_numpy(edit).permute(0, 3, 1, 2), target


def test_every_pair_can_be_flipped_together():
    for one, other in flips.PAIRS:
        edited_labels(torch.zeros(5), {one: True, other: True}, ATTRIBUTES)  # refuses what excludes itself
    assert flips_of(("Male", "Young")) == [("Male",), ("Young",)]
    assert flips_of(ATTRIBUTES)[-2:] == list(PAIRS)


def test_batches_are_the_edits_one_by_one():
    generator, (images, labels) = tiny_generator().eval(), people(5)
    with torch.inference_mode():
        batches = list(
            edited_batches(Editing(generator), images, labels, flips_of(ATTRIBUTES), intensity=1.5, batch_size=2)
        )
    assert len(batches) == 3 * 7
    for batch in batches:
        for row, image, target in zip(batch.rows, batch.image, batch.target, strict=True):
            expected, wanted = plain_edit(generator, images[row], labels[row], batch.flip, 1.5)
            assert (image.int() - expected[0].int()).abs().max() <= 1
            assert torch.equal(target, wanted)


@pytest.mark.parametrize("soft_mask", [True, False])
def test_edits_with_a_parser_are_those_of_the_editor(soft_mask):
    torch.manual_seed(0)
    generator = STGAN(
        ("Pale_Skin", "Young"), 32, width=4, layers=3, stu_layers=2, soft_mask=soft_mask, use_regions=True
    )
    editor = FaceEditor(generator, tiny_classifier(("Pale_Skin", "Young")), device="cpu", parser=FaceParser(32).eval())
    crop = people(1)[0][0].permute(1, 2, 0).numpy()
    prepared = editor.prepare(crop, aligned=True)
    edits = [{"Young": not prepared.labels[1]}, {"Pale_Skin": not prepared.labels[0]}]
    expected = editor.edit_crops(prepared, edits)[0]
    batches = edited_batches(
        Editing(editor.generator, editor.parser),
        torch.from_numpy(prepared.crop).permute(2, 0, 1)[None],
        prepared.labels[None],
        [("Young",), ("Pale_Skin",)],
    )
    with torch.inference_mode():
        for batch, image in zip(batches, expected, strict=True):
            assert (batch.image[0].int() - quantise(image).int()).abs().max() <= 1


def real_faces():
    random = torch.Generator().manual_seed(5)
    return RealFaces(ATTRIBUTES, torch.randn(80, 3, generator=random) / 8, people(80, seed=3)[1])


def test_every_figure_is_that_of_single_edits(monkeypatch):
    monkeypatch.setattr(realism, "LEAST", 3)
    generator, classifier, (images, labels) = tiny_generator().eval(), tiny_classifier(), people(24)
    real, recognition = real_faces(), MeanRecognition()
    identities = torch.tensor([0, 1] * 12)
    instruments = Instruments(Colours(), real, recognition, people=5)
    found = measure_appearance(
        Editing(generator), classifier, images, labels, instruments, identities=identities, batch_size=7
    )
    assert list(found.edits) == list(ATTRIBUTES)
    assert list(found.pairs) == ["Bangs, Young", "Black_Hair, Young"]
    tones, sampled = tone_thirds(cheek_lightness(images)), [0, 6, 12, 17, 23]
    for flip in flips_of(ATTRIBUTES):
        scores = (found.edits | found.pairs)[", ".join(flip)]
        single = [plain_edit(generator, *row, flip) for row in zip(images, labels, strict=True)]
        edits, targets = torch.cat([edit for edit, _ in single]), torch.stack([target for _, target in single])
        columns = [ATTRIBUTES.index(name) for name in flip]
        shown = predicted_labels(classifier, edits, ATTRIBUTES)
        assert scores.accuracy == (shown[:, columns] == targets[:, columns]).all(dim=1).double().mean()
        change = cheek_lightness(edits) - cheek_lightness(images)
        assert scores.skin == pytest.approx([float(change[tones == tone].mean()) for tone in range(3)], abs=0.02)
        moved = [(edits[i].double().mean((1, 2)) - images[i].double().mean((1, 2))).norm() / 255 for i in sampled]
        assert scores.identity == pytest.approx(np.mean(moved), abs=2e-3)
        assert scores.same_person == np.mean([each < 0.6 for each in moved])
        groups = {state: flips.rows_of(state, targets, ATTRIBUTES) for state in states_of(flip)}
        for state, rows in groups.items():
            expected = real.distance(pooled_features(Colours(), edits[rows]), state)
            name = flips.state_name(state)
            assert (expected is None) == (name not in scores.realism)
            if expected is not None:
                assert scores.realism[name].kid == pytest.approx(expected.kid, rel=0.02, abs=1)
                assert scores.real[name] == real.own_distance(state)
        weights = {flips.state_name(state): len(rows) for state, rows in groups.items()}
        measured = {name: weights[name] for name in scores.realism}
        mean = sum(scores.realism[name].kid * count for name, count in measured.items()) / sum(measured.values())
        assert scores.mean_realism == pytest.approx(mean)
    means = images.double().mean(dim=(2, 3)) / 255
    between = [(means[0] - means[2]).norm(), (means[1] - means[3]).norm()]
    assert found.real_identity == pytest.approx(np.mean(between))
    json.dumps(found.to_dict(), allow_nan=False)


def test_groups_are_means_over_their_people():
    generator, classifier, (images, labels) = tiny_generator().eval(), tiny_classifier(), people(18)
    found = measure_appearance(Editing(generator), classifier, images, labels, Instruments())
    young = labels[:, ATTRIBUTES.index("Young")] == 1
    assert list(found.groups) == ["dark skin", "medium skin", "light skin", "Young", "not Young"]
    for name, rows in (("Young", young), ("not Young", ~young)):
        alone = measure_appearance(Editing(generator), classifier, images[rows], labels[rows], Instruments())
        assert found.groups[name].images == alone.images
        assert found.groups[name].accuracy == pytest.approx(alone.mean("accuracy"))
    assert found.groups["dark skin"].images == 6
    darkest = sum(abs(scores.skin[0]) for scores in found.edits.values()) / len(ATTRIBUTES)
    assert found.mean_skin()[0] == pytest.approx(darkest)


def test_a_perfect_editor_is_accurate_for_pairs_too_and_leaves_the_skin_alone():
    images, labels = block_people(12)
    found = measure_appearance(Editing(BlockEditor()), BlockJudge(), images, labels, Instruments())
    assert {scores.accuracy for scores in [*found.edits.values(), *found.pairs.values()]} == {1.0}
    assert found.mean_skin() == (0, 0, 0)
    assert found.real_accuracy == 1
    assert found.mean("mean_realism") is None
    assert "realism" not in appearance_line(found)


def test_tables_show_every_figure_under_its_heading(monkeypatch):
    monkeypatch.setattr(realism, "LEAST", 3)
    instruments = Instruments(Colours(), real_faces(), MeanRecognition(), people=4)
    found = measure_appearance(Editing(tiny_generator()), tiny_classifier(), *people(60), instruments)
    found = found.with_leak({"Bald": 1.25, "Bangs, Young": 2.5}, 9)
    tables = [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        for block in appearance_tables(found).split("\n\n")
        if block.startswith("|")
    ]
    singles, pairs, groups = tables
    for (head, _, *rows), part in ((singles, found.edits), (pairs, found.pairs)):
        shown = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
        for name, scores in part.items():
            assert shown[name]["edit accuracy"] == f"{scores.accuracy:.3f}"
            assert shown[name]["realism"] == f"{scores.mean_realism:.0f} ± {scores.mean_spread:.0f}"
            assert shown[name]["identity"] == f"{scores.identity:.3f}"
            assert shown[name]["L* dark"] == f"{scores.skin[0]:+.1f}"
            assert shown[name]["leak"] == ("–" if scores.leak is None else f"{scores.leak:.2f}")
    assert [row[0] for row in singles[-2:]] == ["**mean**", "real faces"]
    assert [row[0] for row in groups[2:]] == list(found.groups)
    assert "9 images" in appearance_tables(found)


@pytest.mark.parametrize("count", [1, 2])
def test_very_few_people_have_no_thirds(count):
    found = measure_appearance(Editing(tiny_generator()), tiny_classifier(), *people(count), Instruments())
    json.dumps(found.to_dict(), allow_nan=False)
    assert {scores.skin for scores in found.edits.values()} == {None}
    assert "| Bald | " in appearance_tables(found)
    assert appearance_line(found).endswith("images: not measured.")
