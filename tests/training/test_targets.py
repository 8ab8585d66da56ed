"""The edits that training asks for."""

import pytest
import torch
from runs import NAMES, objective, random_batch, take_step

from stgan.attributes import exclusion_matrix, flipped_labels


def test_targets_permute_the_batchs_labels_or_flip_one_of_them(tmp_path):
    _, labels = random_batch(64)
    permuting, flipping = (objective(tmp_path, single_flip_share=share) for share in (0.0, 1.0))
    target = permuting.sampler.draw_targets(labels, torch.Generator().manual_seed(1))
    assert sorted(target.tolist()) == sorted(labels.tolist())
    assert not torch.equal(target, labels)
    target = flipping.sampler.draw_targets(labels, torch.Generator().manual_seed(1))
    possible = [flipped_labels(labels, torch.full((64,), k), exclusion_matrix(NAMES)) for k in range(4)]
    chosen = torch.stack([(target == each).all(1) for each in possible])
    assert chosen.any(0).all()
    assert (chosen.sum(1) > 5).all()


def test_attributes_are_flipped_as_often_as_their_weights_say(tmp_path):
    editing = objective(tmp_path, single_flip_share=1.0, single_flip_weights={NAMES[1]: 5.0, NAMES[2]: 2.0})
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
    requests, condition = [], editing.plain_generator.condition
    editing.plain_generator.condition = lambda *words: requests.append(words) or condition(*words)
    take_step(editing, images, labels, 1, 0.5)
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
