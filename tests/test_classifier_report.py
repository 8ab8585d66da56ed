"""How often a classifier is right, and where its thresholds lie: counted a second way."""

import json

import numpy as np
import pytest
import torch
from editors import ATTRIBUTES, BlockJudge, people, tiny_classifier

from stgan.evaluation.calibration import calibrate_thresholds
from stgan.evaluation.classifier import classifier_report, predict_probabilities
from stgan.frame import normalise


def test_classifier_report_counts_right_answers():
    classifier, (images, labels) = tiny_classifier(), people(20)
    labels[:, 0] = 0  # nobody is bald: balanced accuracy is that of the others
    report = classifier_report(classifier, images, labels, batch_size=6)
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
    report = classifier_report(judge, images, labels)
    assert set(report.balanced_accuracy.values()) == {0.5}
    assert report.mean_accuracy > 0.5


def test_thresholds_stay_at_one_half_for_right_probabilities():
    random = torch.Generator().manual_seed(0)
    probabilities = torch.rand(4000, 6, generator=random) ** 3
    labels = (torch.rand(4000, 6, generator=random) < probabilities).float()
    thresholds = calibrate_thresholds(probabilities, labels)
    right = [((probabilities > t) == labels.bool()).double().mean(dim=0) for t in (thresholds, torch.tensor(0.5))]
    assert (right[0] >= right[1]).all()
    assert (thresholds - 0.5).abs().max() < 0.1


def test_thresholds_move_where_probabilities_are_wrong():
    random = torch.Generator().manual_seed(0)
    truth = torch.rand(4000, 1, generator=random)
    labels = (torch.rand(4000, 1, generator=random) < truth).float()
    logits = torch.logit(truth.clamp(1e-4, 1 - 1e-4))
    threshold = calibrate_thresholds(torch.sigmoid(logits - 2), labels)  # every one too low by two
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
    threshold = calibrate_thresholds(torch.tensor(probabilities)[:, None], torch.tensor(labels)[:, None])
    assert float(threshold) == pytest.approx(expected)


def test_probabilities_are_ordinary_tensors():
    classifier, (images, _) = tiny_classifier(), people(5)
    probabilities = predict_probabilities(classifier, images, batch_size=2)
    assert not probabilities.is_inference()
    with torch.no_grad():
        expected = torch.sigmoid(classifier(normalise(images)))
    torch.testing.assert_close(probabilities, expected)
