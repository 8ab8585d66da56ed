"""Training and validation images of a run."""

import math
import warnings
from dataclasses import fields

import pytest
import torch
from numbered_data import numbered_dataset
from runs import NAMES, only_train, trained

from stgan.data import DataError, DataWarning, StreamBatches, load_into_memory
from stgan.training.checkpoints import CheckpointError
from stgan.training.edits import LabelRules
from stgan.training.splits import rare_attribute_weights


def test_without_a_validation_split_images_of_train_are_held_out(celeba, tmp_path, capsys):
    folder = only_train(celeba, tmp_path)
    whole = load_into_memory(folder, "train", NAMES, 32, workers=0)
    run = trained(folder, tmp_path / "run", steps=1)
    held_out = math.ceil(len(whole) / 10)
    assert f"the first {held_out} images of train are held out" in capsys.readouterr().out
    assert torch.equal(run.validation_data.images, whole.images[:held_out])
    assert torch.equal(run.batches.dataset.images, whole.images[held_out:])
    with pytest.raises(CheckpointError, match=f"held {held_out} training images out .* would hold out 2"):
        trained(folder, tmp_path / "run", steps=2, max_validation_samples=2, resume_from_checkpoint="latest")
    with pytest.raises(DataError, match="no split 'validation'.*Without --streaming"):
        trained(folder, tmp_path / "streamed", steps=1, streaming=True)


def test_an_attribute_dataset_serves_the_attribute_head_of_d_and_the_classifier(celeba, tmp_path):
    sharp = load_into_memory(celeba, "train", NAMES, 32, workers=0)
    run = trained(celeba, tmp_path / "editor", steps=2, attribute_dataset=str(celeba), rare_attribute_power=0.0)
    images, _ = run.batches.draw(0)
    assert len(images) == 2 * 4
    assert len(run.batches.second.dataset) == 2 * len(sharp)
    seen = {image.numpy().tobytes() for image in torch.cat([run.batches.draw(n)[0][:4] for n in range(12)])}
    assert seen <= {image.numpy().tobytes() for image in sharp.images}
    classifier = trained(celeba, tmp_path / "classifier", "classifier-fast", steps=1, attribute_dataset=str(celeba))
    assert len(classifier.batches.dataset) == 2 * len(sharp)
    assert len(classifier.batches.draw(0)[0]) == 4
    with pytest.raises(ValueError, match="attribute_dataset needs data in memory: leave out --streaming"):
        trained(celeba, tmp_path / "streamed", steps=1, streaming=True, attribute_dataset=str(celeba))


def test_a_run_counts_its_labels_and_draws_by_them(celeba, tmp_path):
    run = trained(celeba, tmp_path, steps=1, label_plausibility=0.9, rare_attribute_power=0.5)
    labels = load_into_memory(celeba, "train", NAMES, 32, workers=0).labels
    counted = LabelRules.from_labels(NAMES, labels, 0.9)
    assert not torch.equal(counted.clashes, LabelRules.none(4).clashes)
    for rule in fields(LabelRules):
        assert torch.equal(getattr(run.objective.label_rules, rule.name).cpu(), getattr(counted, rule.name))
    assert torch.equal(run.batches.weights, rare_attribute_weights(labels, 0.5))


def test_rare_attributes_are_drawn_more_often_by_their_rarest_value():
    labels = torch.tensor([[1.0, 0], [0, 0], [0, 0], [0, 1]])
    assert rare_attribute_weights(labels, 0) is None
    weights = rare_attribute_weights(labels, 1.0)
    assert weights.tolist() == pytest.approx([2, 1, 1, 2])
    assert rare_attribute_weights(labels, 0.5).tolist() == pytest.approx([2**0.5, 1, 1, 2**0.5])
    with_constant_column = torch.cat([labels, torch.ones(4, 1)], 1)
    assert rare_attribute_weights(with_constant_column, 1.0).tolist() == pytest.approx([2, 1, 1, 2])


def test_the_validation_set_has_the_requested_images(celeba, tmp_path):
    run = trained(celeba, tmp_path, steps=1)
    expected = load_into_memory(celeba, "valid", NAMES, 32, max_samples=6, workers=0)
    assert torch.equal(run.validation_data.images, expected.images)


def test_an_attribute_that_never_varies_is_told(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    numbered_dataset(tmp_path / "data", 48, shards=1, chewing=[True] * 48, flying=[0] * 48)
    trained(tmp_path / "data", tmp_path / "run", "classifier-fast", steps=1, attributes=("bit_0", "chewing", "flying"))
    printed = capsys.readouterr().out
    assert "in all of the 43 training images, flying false and chewing true: nothing can be learned" in printed
    stream = StreamBatches(tmp_path / "data", "train", ("bit_0", "flying"), 16, 12, seed=0, workers=0)
    for number in range(4):
        stream.draw(number)
    with pytest.warns(DataWarning, match="in each of the first 48 training images, flying false"):
        stream.draw(4)
    resumed = StreamBatches(tmp_path / "data", "train", ("bit_0", "flying"), 16, 12, seed=0, workers=0)
    resumed.load_state_dict(stream.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)  # of no image that it has seen itself
        resumed.draw(5)
