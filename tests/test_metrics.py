"""What the figures mean: every one is computed a second way, by hand or by a plain loop."""

import io
import itertools
import json
import math
import statistics
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from stgan.attributes import edited_labels
from stgan.data import DataError
from stgan.evaluation import metrics
from stgan.evaluation.command import evaluate_folder
from stgan.frame import normalise
from stgan.models import STGAN, AttGAN, AttributeClassifier, Edit, Generator, ModelFolderError

ATTRIBUTES = ("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Young")
SIZE = 32


def people(count=7, attributes=ATTRIBUTES, seed=0):
    """uint8 images and labels that respect the exclusions as CelebA's do: at most one hair colour."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=random, dtype=torch.uint8)
    labels = (torch.rand(count, len(attributes), generator=random) < 0.4).float()
    if "Blond_Hair" in attributes:
        labels[:, 3] *= 1 - labels[:, 2]
    return images, labels


def tiny_generator(soft_mask=False, kind=STGAN, seed=1):
    torch.manual_seed(seed)
    settings = {"stu_layers": 2} if kind is STGAN else {}
    generator = kind(ATTRIBUTES, image_size=SIZE, width=4, layers=3, soft_mask=soft_mask, **settings)
    for module in generator.modules():  # fresh BatchNorm statistics would leave all edits alike
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.2)
    return generator


def tiny_classifier(attributes=ATTRIBUTES, seed=2):
    torch.manual_seed(seed)
    classifier = AttributeClassifier(attributes, SIZE, width=4, blocks=1).eval()
    classifier.thresholds.uniform_(0.45, 0.55)
    return classifier


# Made-up networks that keep an attribute in the sign of one block of the image: what they do is known exactly.

BLOCK = SIZE // 8


class BlockJudge(nn.Module):
    """Reads attribute k off the mean of block k in the image's first rows."""

    def __init__(self, attributes=ATTRIBUTES):
        super().__init__()
        self.attributes = tuple(attributes)
        self.thresholds = torch.full((len(attributes),), 0.5)

    def forward(self, image):
        blocks = image[:, :, :BLOCK, : len(self.attributes) * BLOCK].unflatten(3, (-1, BLOCK))
        return blocks.mean(dim=(1, 2, 4)) * 10


class BlockEditor(Generator):
    """Paints block k where att_diff k is at least ``least``; whenever it edits anything it breaks ``breaks`` too."""

    def __init__(self, least=1.0, breaks=None):
        super().__init__(ATTRIBUTES, SIZE, "difference", soft_mask=False, use_regions=False)
        self.least, self.breaks = least, breaks

    def encode(self, image):
        return SimpleNamespace(image=image)

    def decode_parts(self, features, condition):
        image = features.image.clone()
        for row, att_diff in enumerate(condition):
            for k, value in enumerate(att_diff.tolist()):
                if abs(value) >= self.least:
                    image[row, :, :BLOCK, k * BLOCK : (k + 1) * BLOCK] = math.copysign(1, value)
            if self.breaks is not None and att_diff.abs().max() > 0 and att_diff[self.breaks] == 0:
                image[row, :, :BLOCK, self.breaks * BLOCK : (self.breaks + 1) * BLOCK] *= -1
        return Edit(image, image, None)


def block_people(count=9):
    images, labels = people(count)
    for k in range(len(ATTRIBUTES)):
        images[:, :, :BLOCK, k * BLOCK : (k + 1) * BLOCK] = (labels[:, k] * 255).to(torch.uint8)[:, None, None, None]
    return images, labels


# ------------------------------------------------------------------------------------------------------ fidelity


def test_psnr_is_the_formula_and_ssim_is_one_for_equal_images():
    reference = people(3)[0].permute(0, 2, 3, 1).numpy()
    result = reference.copy()
    result[0] ^= 1  # one level everywhere
    result[1, :8] = 0
    psnr, ssim = metrics.psnr_ssim(reference, result)
    for image in range(2):
        error = np.mean((reference[image].astype(float) - result[image].astype(float)) ** 2)
        assert psnr[image] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-9)
    assert psnr[0] == pytest.approx(48.13, abs=0.01)
    assert ssim[2] == 1
    assert ssim[1] < ssim[0] < 1


def test_ssim_is_the_textbook_uniform_window():
    reference = people(1)[0].permute(0, 2, 3, 1).numpy()
    result = np.clip(reference.astype(int) + np.random.default_rng(0).integers(-30, 30, reference.shape), 0, 255)
    result = result.astype(np.uint8)
    values = []
    for channel in range(3):
        for y in range(SIZE - 6):
            for x in range(SIZE - 6):
                a = reference[0, y : y + 7, x : x + 7, channel].astype(float).ravel()
                b = result[0, y : y + 7, x : x + 7, channel].astype(float).ravel()
                covariance = np.cov(a, b)  # sample covariance, 48 degrees of freedom
                c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
                luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
                values.append(luminance * (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2))
    assert metrics.psnr_ssim(reference, result)[1][0] == pytest.approx(np.mean(values), abs=1e-9)


def test_equal_images_get_the_ratio_of_the_smallest_difference():
    reference = people(1)[0].permute(0, 2, 3, 1).numpy()
    smallest = reference.copy()
    smallest[0, 3, 4, 1] ^= 1
    same, almost = metrics.psnr_ssim(reference, reference)[0], metrics.psnr_ssim(reference, smallest)[0]
    assert np.isfinite(same).all()
    assert same == pytest.approx(almost, abs=1e-9)


def test_images_of_two_shapes_are_refused():
    reference = people(2)[0].permute(0, 2, 3, 1).numpy()
    with pytest.raises(ValueError, match="uint8 of one shape"):
        metrics.psnr_ssim(reference, reference[:1])
    with pytest.raises(ValueError, match="float"):
        metrics.psnr_ssim(reference, reference.astype(np.float32))


def test_8_bit_images_survive_the_way_to_floats_and_back():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    back = metrics.to_uint8(normalise(levels))
    assert back.shape == (1, 16, 16, 3)
    assert (back == levels.permute(0, 2, 3, 1).numpy()).all()
    outside = torch.tensor([-3.0, -1.001, 1.2, 0.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert metrics.to_uint8(outside)[0, :, :, 0].tolist() == [[0, 0], [255, 128]]


# ---------------------------------------------------------------------------------------------------- evaluation


def plain_evaluation(generator, classifier, images, labels, intensity):
    """The protocol, written as one reads it: one image and one edit at a time."""
    generator.eval()
    names = list(generator.attributes)
    columns = [classifier.attributes.index(name) for name in names]

    def shown(image):  # uint8 (S, S, 3)
        probabilities = classifier(torch.tensor(image).permute(2, 0, 1)[None] / 127.5 - 1).sigmoid()[0]
        return [bool(probabilities[c] > classifier.thresholds[c]) for c in columns]

    def saved(image):
        return np.clip(np.round((image[0].permute(1, 2, 0).numpy() + 1) * 127.5), 0, 255).astype(np.uint8)

    hits, changed, others = np.zeros(len(names)), np.zeros(len(names)), np.zeros(len(names))
    for image, source in zip(images, labels, strict=True):
        before = shown(image.permute(1, 2, 0).numpy())
        for k, name in enumerate(names):
            target = edited_labels(source, {name: not source[k]}, names)
            att_diff = target - source
            att_diff[k] *= intensity
            condition = att_diff if generator.label_mode == "difference" else source - 0.5 + att_diff
            with torch.no_grad():
                after = shown(saved(generator(image[None] / 127.5 - 1, condition[None])))
            hits[k] += after[k] == bool(target[k])
            kept = [j for j in range(len(names)) if target[j] == source[j]]
            changed[k] += sum(before[j] != after[j] for j in kept)
            others[k] += len(kept)
    return hits / len(images), changed / others


@pytest.mark.parametrize(("kind", "intensity"), [(STGAN, 1.0), (STGAN, 1.5), (AttGAN, 1.5)])
@torch.no_grad()
def test_scores_are_those_of_a_plain_loop(kind, intensity):
    generator = tiny_generator(kind=kind)
    classifier = tiny_classifier(("Male", *reversed(ATTRIBUTES)))  # mapped by name, others ignored
    images, labels = people(6)
    centre = metrics.predict_probabilities(classifier, images).mean(dim=0)
    classifier.thresholds.copy_(centre)  # so that predictions differ from image to image
    evaluation = metrics.evaluate(generator, classifier, images, labels, intensities=(intensity,), batch_size=4)
    accuracy, error = plain_evaluation(generator, classifier, images, labels, intensity)
    scores = evaluation.edits[intensity]
    assert list(scores.accuracy.values()) == pytest.approx(accuracy)
    assert list(scores.preservation_error.values()) == pytest.approx(error)
    assert scores.mean_accuracy == pytest.approx(accuracy.mean())
    assert 0 < scores.mean_accuracy < 1  # else the comparison above says little


@torch.no_grad()
def test_distance_is_the_formula_as_a_share_of_that_between_two_people():
    generator, classifier, (images, labels) = tiny_generator().eval(), tiny_classifier(), people(5)
    found = metrics.evaluate(generator, classifier, images, labels, intensities=(1.5,), batch_size=2).edits[1.5]
    size = len(classifier.features)
    ends = [end for end in range(1, size + 1) if end == size or isinstance(classifier.features[end], nn.Sequential)]

    def distance(one, other):  # uint8 (3, S, S)
        total = 0.0
        for end in ends:  # every stage anew, from the image
            a, b = (classifier.features[:end](image[None] / 127.5 - 1)[0].double().numpy() for image in (one, other))
            a, b = (each / np.maximum(np.sqrt((each**2).sum(0)), 1e-12) for each in (a, b))
            total += ((a - b) ** 2).sum(0).mean()
        return total

    between = np.mean([distance(images[i], images[(i + 1) % 5]) for i in range(5)])
    for k, name in enumerate(ATTRIBUTES):
        moved = []
        for image, source in zip(images, labels, strict=True):
            att_diff = edited_labels(source, {name: not source[k]}, ATTRIBUTES) - source
            att_diff[k] *= 1.5
            edit = metrics.to_uint8(generator(image[None] / 127.5 - 1, att_diff[None]))[0]
            moved.append(distance(image, torch.tensor(edit).permute(2, 0, 1)))
        assert found.distance[name] == pytest.approx(np.mean(moved) / between, rel=1e-3)
    assert len(ends) == 4


def test_an_editor_that_changes_nothing_moves_nobody_and_a_lone_face_has_no_scale():
    images, labels = people(4)
    idle = BlockEditor(least=9)
    for count in (4, 1):
        edits = metrics.evaluate(idle, tiny_classifier(), images[:count], labels[:count], intensities=(1.0,)).edits
        assert edits[1.0].mean_distance == (pytest.approx(0, abs=1e-6) if count > 1 else None)


@torch.no_grad()
def test_reconstruction_is_the_edit_with_no_difference():
    generator, (images, labels) = tiny_generator(), people(5)
    evaluation = metrics.evaluate(generator, tiny_classifier(), images, labels, intensities=(1.0,))
    generator.eval()
    rebuilt = metrics.to_uint8(generator(normalise(images), torch.zeros(5, len(ATTRIBUTES))))
    psnr, ssim = metrics.psnr_ssim(images.permute(0, 2, 3, 1).numpy(), rebuilt)
    assert evaluation.psnr == pytest.approx(psnr.mean(), abs=1e-3)
    assert evaluation.ssim == pytest.approx(ssim.mean(), abs=1e-4)
    assert evaluation.rgb_psnr is None


@torch.no_grad()
def test_a_masked_model_also_reports_what_it_paints():
    generator, (images, labels) = tiny_generator(soft_mask=True), people(5)
    generator.to_image.bias[3:] = -3  # a mask nearly closed
    evaluation = metrics.evaluate(generator, tiny_classifier(), images, labels, intensities=(1.0,), batch_size=2)
    generator.eval()
    parts = generator(normalise(images), torch.zeros(5, len(ATTRIBUTES)), parts=True)
    reference = images.permute(0, 2, 3, 1).numpy()
    painted = metrics.psnr_ssim(reference, metrics.to_uint8(parts.rgb))
    masked = metrics.psnr_ssim(reference, metrics.to_uint8(parts.image))
    assert (evaluation.rgb_psnr, evaluation.rgb_ssim) == pytest.approx([v.mean() for v in painted], abs=1e-3)
    assert (evaluation.psnr, evaluation.ssim) == pytest.approx([v.mean() for v in masked], abs=1e-3)
    assert evaluation.psnr > evaluation.rgb_psnr + 5
    assert "soft mask" in evaluation.to_markdown()


def test_a_perfect_editor_scores_one_and_preserves_everything():
    evaluation = metrics.evaluate(BlockEditor(), BlockJudge(), *block_people(), batch_size=4)
    for scores in evaluation.edits.values():
        assert set(scores.accuracy.values()) == {1.0}
        assert set(scores.preservation_error.values()) == {0.0}
    assert evaluation.classifier.mean_accuracy == evaluation.classifier.mean_balanced_accuracy == 1
    assert evaluation.psnr == pytest.approx(10 * math.log10(255**2 * SIZE * SIZE * 3))
    assert evaluation.ssim == 1


def test_an_editor_that_breaks_one_attribute_loses_exactly_its_share():
    images, labels = block_people()
    young = ATTRIBUTES.index("Young")
    evaluation = metrics.evaluate(BlockEditor(breaks=young), BlockJudge(), images, labels, intensities=(1.0,))
    scores = evaluation.edits[1.0]
    assert set(scores.accuracy.values()) == {1.0}
    assert scores.preservation_error["Young"] == 0  # only there is it the one asked for
    for k, name in enumerate(ATTRIBUTES[:-1]):
        kept = 0
        for source in labels:
            target = edited_labels(source, {name: not source[k]}, ATTRIBUTES)
            kept += int((target == source).sum())
        assert scores.preservation_error[name] == pytest.approx(len(images) / kept)


def test_intensity_scales_the_flipped_attribute_alone():
    images, labels = block_people()
    evaluation = metrics.evaluate(BlockEditor(least=1.25), BlockJudge(), images, labels)
    assert evaluation.edits[1.0].mean_accuracy == 0
    assert evaluation.edits[1.5].mean_accuracy == 1
    # What a flip clears is asked for with 1, too weak for this editor: it stays, and must not count as an error.
    assert evaluation.edits[1.5].mean_preservation_error == 0


def test_batch_size_and_repetition_change_nothing():
    generator, classifier, (images, labels) = tiny_generator(), tiny_classifier(), people(7)
    results = [
        metrics.evaluate(generator, classifier, images, labels, batch_size=size).headline() for size in (7, 3, 1, 3)
    ]
    for result in results[1:]:
        assert result == pytest.approx(results[0], abs=1e-4)


def test_networks_keep_their_mode_and_their_weights():
    generator, classifier, (images, labels) = tiny_generator().train(), tiny_classifier().eval(), people(4)
    generator.encoder[0].eval()  # a frozen part stays frozen
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    metrics.evaluate(generator, classifier, images, labels, intensities=(1.0,))
    assert generator.training
    assert not generator.encoder[0].training
    assert not classifier.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_a_classifier_of_another_size_sees_its_own_size():
    seen = set()
    classifier = tiny_classifier()
    classifier.image_size = 48
    classifier.features[0].register_forward_pre_hook(lambda module, inputs: seen.add(tuple(inputs[0].shape[2:])))
    metrics.evaluate(tiny_generator(), classifier, *people(2), intensities=(1.0,))
    assert seen == {(48, 48)}


def test_errors_name_what_does_not_fit():
    generator, (images, labels) = tiny_generator(), people(4)
    with pytest.raises(ValueError, match="does not know Bald, Young, which the generator edits; it knows Male"):
        metrics.evaluate(generator, tiny_classifier(("Male", "Bangs", "Black_Hair", "Blond_Hair")), images, labels)
    with pytest.raises(ValueError, match=r"labels must have shape \(4, 5\).*not \(4, 4\)"):
        metrics.evaluate(generator, tiny_classifier(), images, labels[:, :4])
    with pytest.raises(ValueError, match="images must be uint8"):
        metrics.evaluate(generator, tiny_classifier(), images.float(), labels)
    with pytest.raises(ValueError, match="N > 0"):
        metrics.evaluate(generator, tiny_classifier(), images[:0], labels[:0])
    with pytest.raises(ValueError, match="The generator is on cpu, the evaluation on meta"):
        metrics.evaluate(generator, tiny_classifier(), images, labels, device="meta")


def test_results_are_json_and_markdown():
    evaluation = metrics.evaluate(tiny_generator(), tiny_classifier(), *people(3))
    record = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert record["images"] == 3
    assert record["edits"]["1.5"]["accuracy"]["Young"] == evaluation.edits[1.5].accuracy["Young"]
    assert evaluation.seconds_per_thousand_images > 0
    tables = [line for line in evaluation.to_markdown().splitlines() if line.startswith("|")]
    bald = next(line for line in tables if line.startswith("| Bald"))
    assert f"{evaluation.edits[1.0].accuracy['Bald']:.3f}" in bald
    assert "0.600" in bald  # the paper's, beside
    assert "0.86" not in next(line for line in tables if line.startswith("| **mean**")).split("|")[4]
    assert "paper" not in evaluation.to_markdown(published=False)
    headers = [number for number, line in enumerate(tables) if line.startswith("|---")]
    for start, end in itertools.pairwise([number - 1 for number in headers] + [len(tables)]):
        assert len({line.count("|") for line in tables[start:end]}) == 1
    assert "\n" not in evaluation.summary()


def test_a_group_scores_what_it_scores_alone():
    generator, classifier, (images, labels) = tiny_generator(), tiny_classifier(), people(11)
    groups = metrics.evaluate(generator, classifier, images, labels, batch_size=4).groups
    young = labels[:, ATTRIBUTES.index("Young")] == 1
    assert groups.keys() == {"Young", "not Young"}
    for name, rows in (("Young", young), ("not Young", ~young)):
        alone = metrics.evaluate(generator, classifier, images[rows], labels[rows])
        assert groups[name].images == alone.images == int(rows.sum())
        assert groups[name].classifier_accuracy == pytest.approx(alone.classifier.mean_accuracy)
        for intensity, scores in alone.edits.items():
            assert groups[name].edit_accuracy[intensity] == pytest.approx(scores.mean_accuracy)
            assert groups[name].preservation_error[intensity] == pytest.approx(scores.mean_preservation_error)
    assert "not Young" not in metrics.evaluate(generator, classifier, images[young], labels[young]).groups


def test_standard_errors_are_those_of_people_measured_one_by_one():
    generator, classifier, (images, labels) = tiny_generator(), tiny_classifier(), people(11)
    classifier.thresholds.copy_(metrics.predict_probabilities(classifier, images).mean(dim=0))
    together = metrics.evaluate(generator, classifier, images, labels, batch_size=4)
    alone = [metrics.evaluate(generator, classifier, images[i : i + 1], labels[i : i + 1]) for i in range(11)]
    for intensity, scores in together.edits.items():
        each = [one.edits[intensity] for one in alone]
        accuracies, errors = [one.mean_accuracy for one in each], [one.mean_preservation_error for one in each]
        assert scores.accuracy_standard_error == pytest.approx(statistics.stdev(accuracies) / math.sqrt(11))
        # Those who keep fewer attributes count the same here and a little less there.
        assert scores.preservation_standard_error == pytest.approx(statistics.stdev(errors) / math.sqrt(11), rel=0.1)
        assert scores.accuracy_standard_error > 0
        assert {(one.accuracy_standard_error, one.preservation_standard_error) for one in each} == {(None, None)}
        assert f"{scores.accuracy_standard_error:.4f}" in together.to_markdown()
    assert "Standard errors" not in alone[0].to_markdown()


def test_published_figures_agree_with_their_mean():
    figures = metrics.PUBLISHED_EDIT_ACCURACY.values()
    assert sum(figures) / len(figures) == pytest.approx(metrics.PUBLISHED["STGAN, published"][2], abs=0.01)


# ---------------------------------------------------------------------------------------------------- classifiers


def test_classifier_report_counts_right_answers():
    classifier, (images, labels) = tiny_classifier(), people(20)
    labels[:, 0] = 0  # nobody is bald: balanced accuracy is that of the others
    report = metrics.classifier_report(classifier, images, labels, batch_size=6)
    with torch.no_grad():
        predicted = classifier.predict(normalise(images))
    for k, name in enumerate(ATTRIBUTES):
        right = [bool(predicted[i, k] == labels[i, k]) for i in range(20)]
        groups = [[r for r, label in zip(right, labels[:, k], strict=True) if label == value] for value in (0, 1)]
        shares = [sum(group) / len(group) for group in groups if group]
        assert report.accuracy[name] == pytest.approx(sum(right) / 20)
        assert report.balanced_accuracy[name] == pytest.approx(sum(shares) / len(shares))
        # Every flip answered in turn by every real photograph that has the value asked for.
        answers = [[right[i] for i in range(20) if labels[i, k] != labels[asked, k]] for asked in range(20)]
        assert report.flipped_accuracy.get(name) == (
            pytest.approx(np.mean([np.mean(each) for each in answers])) if all(answers) else None
        )
    assert report.headline()["accuracy"] == pytest.approx(np.mean(list(report.accuracy.values())))
    assert report.flipped_accuracy.keys() == set(ATTRIBUTES[1:])
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_constant_answer_has_a_balanced_accuracy_of_one_half():
    judge = BlockJudge()
    judge.thresholds.fill_(1.0)
    images, labels = people(40)
    report = metrics.classifier_report(judge, images, labels)
    assert set(report.balanced_accuracy.values()) == {0.5}
    assert report.mean_accuracy > 0.5


def test_thresholds_stay_at_one_half_for_right_probabilities():
    random = torch.Generator().manual_seed(0)
    probabilities = torch.rand(4000, 6, generator=random) ** 3
    labels = (torch.rand(4000, 6, generator=random) < probabilities).float()
    thresholds = metrics.calibrate_thresholds(probabilities, labels)
    right = [((probabilities > t) == labels.bool()).double().mean(dim=0) for t in (thresholds, torch.tensor(0.5))]
    assert (right[0] >= right[1]).all()
    assert (thresholds - 0.5).abs().max() < 0.1


def test_thresholds_move_where_probabilities_are_wrong():
    random = torch.Generator().manual_seed(0)
    truth = torch.rand(4000, 1, generator=random)
    labels = (torch.rand(4000, 1, generator=random) < truth).float()
    logits = torch.logit(truth.clamp(1e-4, 1 - 1e-4))
    threshold = metrics.calibrate_thresholds(torch.sigmoid(logits - 2), labels)  # every one too low by two
    assert float(threshold) == pytest.approx(float(torch.sigmoid(torch.tensor(-2.0))), abs=0.04)


@pytest.mark.parametrize(
    ("probabilities", "labels", "expected"),
    [
        ([0.1, 0.2, 0.4], [0, 0, 1], 0.5),  # one right answer more for one changed: may be chance
        ([0.1, 0.2, 0.3, 0.4, 0.4], [0, 0, 1, 1, 1], 0.25),  # three for three
        ([0.1, 0.2, 0.3, 0.4, 0.4, 0.4], [0, 0, 1, 1, 0, 1], 0.5),  # two more for four changed: may be chance
        ([0.3, 0.3, 0.3, 0.3], [1, 0, 1, 0], 0.5),  # equal probabilities cannot be separated
        ([0.9, 0.8], [1, 1], 0.5),
        ([0.9] * 5, [0] * 5, 0.95),  # never present, always predicted
    ],
)
def test_a_threshold_moves_only_as_far_as_is_sure_to_gain(probabilities, labels, expected):
    threshold = metrics.calibrate_thresholds(torch.tensor(probabilities)[:, None], torch.tensor(labels)[:, None])
    assert float(threshold) == pytest.approx(expected)


def test_probabilities_are_ordinary_tensors():
    classifier, (images, _) = tiny_classifier(), people(5)
    probabilities = metrics.predict_probabilities(classifier, images, batch_size=2)
    assert not probabilities.is_inference()
    with torch.no_grad():
        expected = torch.sigmoid(classifier(normalise(images)))
    torch.testing.assert_close(probabilities, expected)


# ------------------------------------------------------------------------------------------------- a model folder


@pytest.fixture
def dataset_folder(tmp_path):
    """Parquet with noise for faces."""
    images, labels = people(8)
    columns = {name: labels[:, k].bool().tolist() for k, name in enumerate(ATTRIBUTES)}
    files = []
    for image in images:
        encoded = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(encoded, "PNG")
        files.append({"bytes": encoded.getvalue(), "path": None})
    folder = tmp_path / "data"
    folder.mkdir()
    pd.DataFrame({"image": files, **columns}).to_parquet(folder / "validation-00000-of-00001.parquet")
    return folder


def test_a_model_folder_is_evaluated_with_its_own_classifier(tmp_path, dataset_folder, capsys):
    generator, classifier = tiny_generator(), tiny_classifier()
    generator.save_pretrained(tmp_path / "model")
    classifier.save_pretrained(tmp_path / "model" / "classifier")
    evaluation = evaluate_folder(
        tmp_path / "model",
        dataset_folder,
        max_samples=6,
        device="cpu",
        output=tmp_path / "out",
        workers=0,
        progress=False,
    )
    images, labels = people(8)
    expected = metrics.evaluate(generator, classifier, images[:6], labels[:6])
    assert evaluation.headline() == pytest.approx(expected.headline(), abs=1e-4)
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert record["psnr"] == evaluation.psnr
    assert record["split"] == "validation"
    assert (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8") == evaluation.to_markdown()
    with Image.open(tmp_path / "out" / "edits.png") as figure:
        assert figure.width > 7 * SIZE
    assert "seconds per thousand images" in capsys.readouterr().out


def test_a_model_folder_that_cannot_be_evaluated_says_why(tmp_path, dataset_folder):
    tiny_generator().save_pretrained(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="has no classifier folder"):
        evaluate_folder(tmp_path / "model", dataset_folder)
    with pytest.raises(ValueError, match="the model's own folder"):  # from where it would be published
        evaluate_folder(tmp_path / "model", dataset_folder, output=tmp_path / "out" / ".." / "model")
    tiny_classifier(("Male",)).save_pretrained(tmp_path / "male")
    with pytest.raises(ValueError, match="does not know Bald"):
        evaluate_folder(tmp_path / "model", "nowhere", classifier=tmp_path / "male")
    tiny_classifier().save_pretrained(tmp_path / "judge")
    with pytest.raises(DataError, match="test"):
        evaluate_folder(tmp_path / "model", dataset_folder, "test", classifier=tmp_path / "judge", workers=0)


def test_the_card_names_the_command_that_measured_it(tmp_path, dataset_folder):
    tiny_generator().save_pretrained(tmp_path / "model")
    tiny_classifier().save_pretrained(tmp_path / "judge")
    options = {"classifier": tmp_path / "judge", "intensities": (0.5, 1.0), "crop": "center", "max_samples": 3}
    evaluate_folder(
        tmp_path / "model", dataset_folder, device="cpu", update_card=True, workers=0, progress=False, **options
    )
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    said = f"--classifier {tmp_path / 'judge'} --max-samples 3 --intensities 0.5 1.0 --crop center"
    assert f"stgan evaluate {dataset_folder} --model {tmp_path / 'model'} --split validation {said}" in card
