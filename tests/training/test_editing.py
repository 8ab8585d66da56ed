"""The steps of an editor: masks, augmentation, the shared pass, the head start, validation."""

import pytest
import torch
from runs import NAMES, objective, random_batch, take_step, watch

from stgan.data import MemoryDataset
from stgan.training.losses import attribute_loss


def test_the_masks_price_rises_between_the_ramps_ends(tmp_path):
    editing = objective(tmp_path, mask_weight=2.0, mask_ramp=(0.2, 0.6))
    prices = [editing.mask_price(progress) for progress in (0, 0.2, 0.4, 0.6, 0.99)]
    assert prices == pytest.approx([0, 0, 1, 2, 2])


@pytest.mark.parametrize("concavity", [0.0, 0.5])
def test_a_half_open_mask_costs_more_with_concavity(concavity, tmp_path):
    editing = objective(tmp_path, soft_mask=True, mask_concavity=concavity)
    drawn = watch(editing.plain_generator, "decode_parts")
    terms = take_step(editing, *random_batch(8), 0, 0.5)
    mask = drawn[0][1].mask[:8].detach()
    assert terms["g_mask"].item() == pytest.approx((mask + concavity * (mask - mask.square())).mean().item(), rel=1e-5)


@pytest.mark.parametrize("critic_steps", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("progress", [0.0, 0.5])
def test_a_share_of_the_edits_is_judged_without_the_mask(progress, share, critic_steps, tmp_path):
    """By both networks alike, and in D's head start too."""
    editing = objective(
        tmp_path, critic_steps=critic_steps, painted_share=share, soft_mask=True, discriminator_augmentation=0.0,
        total_images=100, batch_size=64,
    )  # fmt: skip
    editing.head_start = 25
    drawn, passes = watch(editing.plain_generator, "decode_parts"), watch(editing.plain_discriminator, "forward")
    take_step(editing, *random_batch(64), 1, progress)
    looks = 1 if progress == 0 else 2
    judged = [images[-64:] for (images, _), _ in passes]
    assert len(judged) == looks
    for look, seen in enumerate(judged):
        _, edit = drawn[look * critic_steps]  # without critic steps one pass serves both
        painted = (seen == edit.rgb[:64]).flatten(1).all(dim=1)
        composed = (seen == edit.image[:64]).flatten(1).all(dim=1)
        assert (painted ^ composed).all()
        assert painted.float().mean() == pytest.approx(share, abs=0.2)
    if looks == 2 and critic_steps == 0:
        assert judged[0].equal(judged[1])


@pytest.mark.parametrize("critic_steps", [0, 1])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_discriminator_alone_sees_augmented_images_real_and_edited_alike(share, critic_steps, tmp_path):
    editing = objective(tmp_path, critic_steps=critic_steps, discriminator_augmentation=share, painted_share=0.0)
    edited, encoded = (watch(editing.plain_generator, name) for name in ("decode_parts", "encode"))
    passes = watch(editing.plain_discriminator, "forward")
    take_step(editing, *random_batch(8), 1, 0.5)
    seen = [images for (images, _), _ in passes]
    for look, (_, edit) in ((seen[0], edited[0]), (seen[1], edited[critic_steps])):
        shown = (look[-8:] == edit.image[:8]).flatten(1).all(dim=1)
        assert shown.all() if share == 0 else not shown.any()
    ((source,), _), *_ = encoded
    real = torch.stack([source, source.flip(-1)])
    assert (seen[0][:8] == real).flatten(2).all(dim=2).any(dim=0).equal(torch.full((8,), share == 0))


@pytest.mark.parametrize(("share", "rows"), [(1.0, 8), (0.5, 4), (0.01, 1)])
def test_a_share_of_the_batch_is_reconstructed_in_the_shared_pass(share, rows, tmp_path):
    editing = objective(tmp_path, reconstruction_share=share)
    passes = watch(editing.generator, "forward")
    take_step(editing, *random_batch(8), 0, 0.0)
    (((_, condition), _),) = passes
    assert len(condition) == 8 + rows
    assert not condition[8:].any()  # att_diff = 0 asks for the same image


@pytest.mark.parametrize("critic_steps", [0, 2])
def test_only_the_discriminator_learns_during_its_head_start(critic_steps, tmp_path):
    editing = objective(tmp_path, critic_steps=critic_steps, total_images=100)
    editing.head_start = 25
    images, labels = random_batch(4)

    def learning(progress):
        before = [[parameter.clone() for parameter in network.parameters()] for network in editing.networks]
        take_step(editing, images, labels, 0, progress)
        return [
            any(not new.equal(old) for new, old in zip(network.parameters(), parameters, strict=True))
            for network, parameters in zip(editing.networks, before, strict=True)
        ]

    assert learning(0.0) == learning(0.24) == [False, True]
    assert learning(0.25) == [True, True]


def test_validation_measures_the_discriminators_attribute_loss(tmp_path):
    editing = objective(tmp_path)
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 3, 32, 32), dtype=torch.uint8, generator=random)  # more than one batch
    labels = (torch.rand(70, len(NAMES), generator=random) < 0.5).float()
    editing.count_labels(labels)
    figures = editing.validate(MemoryDataset(images, labels))
    with torch.no_grad():
        logits = editing.plain_discriminator(images / 127.5 - 1)[1]
    expected = attribute_loss(logits, labels, editing.label_rules.label_weights(labels))
    assert figures["d_attribute"] == pytest.approx(expected.item(), rel=1e-5)
    assert editing.plain_discriminator.training
