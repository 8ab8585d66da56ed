"""The losses of discriminator and generator, against their terms computed by hand."""

import pytest
import torch
from runs import NAMES, objective, random_batch, settings, take_step
from torch.nn import functional as F

from stgan.frame import normalise
from stgan.training.adversarial import compute_discriminator_loss, compute_generator_loss
from stgan.training.label_rules import LabelRules
from stgan.training.networks import build_discriminator
from stgan.training.targets import Edits


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_labels_that_the_data_never_show_together_are_unknown_to_the_discriminator(critic_steps, tmp_path):
    """No glasses (2) on men (3) in these data."""
    editing = objective(
        tmp_path, critic_steps=critic_steps, label_plausibility=0.05, changed_attribute_weight=3.0,
        discriminator_conditional=True, mismatch_weight=1.0, adversarial_loss="logistic", attribute_margin=0.7,
        intensity_range=(1.5, 1.5), intensity_margin=0.8, never_shown_attribute_weight=2.0,
    )  # fmt: skip
    images, _ = random_batch(4)
    labels = torch.tensor([[0.0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]])
    target = torch.tensor([[0.0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 1]])
    known = torch.tensor([[0.0, 0, 0.5, 0.5], [1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0.5, 0.5]])  # row 2: the other colour
    counted = torch.tensor([[a, b, c, d] for a in (0, 1) for b in (0, 1) for c, d in ((0, 0), (0, 1), (1, 0))])
    editing.count_labels(counted.float())

    editing.sampler.draw_targets = lambda labels, random: target
    passes, targets, condition = [], [], editing.plain_generator.condition
    editing.plain_discriminator.register_forward_hook(lambda _, inputs, outputs: passes.append((inputs[1], outputs)))
    editing.plain_generator.condition = lambda *words: targets.append(words[1]) or condition(*words)
    terms = take_step(editing, images, labels, 1, 0.5)
    (conditions, (realness, real_logits)), (edit_conditions, (_, logits)) = passes
    assert conditions[:, 0].equal(torch.cat([labels, known]))
    assert edit_conditions.equal(known)
    assert targets[0].equal(target)  # the generator gets the original targets, as in an editor
    target = target.clone()
    target[2, 1] = 1
    wrong = F.softplus(realness[1:4, 1]).sum() / 4  # the first differs in nothing but what is unknown
    assert terms["d_mismatch"].item() == pytest.approx(wrong.item(), rel=1e-5)
    added, removed = target > labels, target < labels
    margin = 0.7 + 0.5 * 0.8
    surer = torch.where(added, logits - margin, torch.where(removed, logits + margin, logits))
    entropy = F.binary_cross_entropy_with_logits(surer, target, reduction="none")
    expected = (entropy.sum() + 2 * entropy[labels != target].sum()) / 16
    # Asked for what nobody has: glasses for the man in the first row; a man of whom glasses are in the last.
    expected = expected - (entropy[0, 2] + entropy[3, 3]) / 16
    assert terms["g_attribute"].item() == pytest.approx(expected.item(), rel=1e-5)
    entropy = F.binary_cross_entropy_with_logits(real_logits[:4], labels, reduction="none")
    entropy[labels[:, 3] == 1, 2] = 0  # a man has no glasses: no news
    entropy[labels[:, 2] == 1, 3] = 0
    expected = entropy.sum() / 16
    assert terms["d_attribute"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_a_conditional_discriminator_sees_images_with_their_labels_and_edits_with_their_targets(critic_steps, tmp_path):
    editing = objective(tmp_path, critic_steps=critic_steps, discriminator_conditional=True, mismatch_weight=0.0)
    real, edited, seen = torch.eye(4), 1 - torch.eye(4), []
    editing.sampler.draw_targets = lambda labels, random: edited
    editing.plain_discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    images, _ = random_batch(4)
    take_step(editing, images, real, 1, 0.0)
    assert [len(labels) for labels in seen] == [8, 4]
    assert seen[0].equal(torch.cat([real, edited]))
    assert seen[1].equal(edited)


def test_real_images_with_the_targets_of_their_edits_count_as_fakes(tmp_path):
    """The gradient of the discriminator's loss, against that of the three terms from three passes of their own."""
    config = settings(tmp_path, mismatch_weight=0.5, discriminator_augmentation=0.0)
    discriminator, real, fake = build_discriminator(config, NAMES), torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    labels, target = torch.eye(4), torch.eye(4)[[1, 0, 2, 2]]  # the third asks for what it has
    edits = Edits(labels, target, torch.ones(4, 1))
    loss, terms = compute_discriminator_loss(
        config, discriminator, real, fake, edits, LabelRules.none(4), torch.Generator()
    )
    loss.backward()
    ours = [parameter.grad.clone() for parameter in discriminator.parameters()]
    discriminator.zero_grad()
    realness, attributes = discriminator(real, labels)
    mismatch = F.softplus(discriminator(real[[0, 1, 3]], target[[0, 1, 3]])[0]).sum() / 4
    adversarial = F.softplus(-realness).mean() + F.softplus(discriminator(fake, target)[0]).mean()
    entropy = F.binary_cross_entropy_with_logits(attributes, labels)
    (adversarial + 0.5 * mismatch + config.discriminator.discriminator_attribute_weight * entropy).backward()
    for gradient, parameter in zip(ours, discriminator.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)
    for name, expected in (("mismatch", mismatch), ("adversarial", adversarial), ("attribute", entropy)):
        assert terms[f"d_{name}"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("adversarial_loss", ["wgan", "logistic"])
def test_the_generators_loss_is_the_sum_of_its_terms_and_trains_no_discriminator(adversarial_loss, tmp_path):
    config = settings(tmp_path, "stgan-paper", adversarial_loss=adversarial_loss)
    discriminator = build_discriminator(config, NAMES)
    fake, original = torch.rand(4, 3, 32, 32, requires_grad=True), torch.rand(4, 3, 32, 32)
    mask, edits = torch.rand(4, 1, 32, 32), Edits(torch.eye(4), torch.eye(4)[[1, 0, 2, 2]], torch.ones(4, 1))
    loss, terms = compute_generator_loss(
        config, discriminator, fake, mask, fake, original, edits, LabelRules.none(4), torch.Generator(), mask_price=0.3
    )
    loss.backward()
    weights = {"g_adversarial": 1, "g_attribute": 10, "g_reconstruction": 100, "g_mask": 0.3}
    assert loss.item() == pytest.approx(sum(weights[name] * term.item() for name, term in terms.items()), rel=1e-5)
    assert terms.keys() == weights.keys()
    assert not any(term.requires_grad for term in terms.values())
    assert fake.grad.abs().sum() > 0
    assert all(parameter.requires_grad and parameter.grad is None for parameter in discriminator.parameters())


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_attributes_that_an_edit_changes_weigh_more(critic_steps, tmp_path):
    """With a weight of 3, the loss is that of all attributes and twice that of the changed ones."""
    images, _ = random_batch(4)
    labels, target, seen = torch.eye(4), torch.eye(4)[[1, 0, 2, 2]], []
    editing = objective(
        tmp_path, critic_steps=critic_steps, changed_attribute_weight=3.0, attribute_margin=0.0,
        never_shown_attribute_weight=3.0,
    )  # fmt: skip
    editing.sampler.draw_targets = lambda labels, random: target
    editing.plain_discriminator.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs[1].detach()))
    terms = take_step(editing, images, labels, 1, 0.5)
    entropy = F.binary_cross_entropy_with_logits(seen[-1], target, reduction="none")  # G's look comes last
    expected = (entropy.sum() + 2 * entropy[labels != target].sum()) / 16
    assert terms["g_attribute"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_penalty_every_eighth_step_weighs_eight_times_as_much(tmp_path):
    images, labels = random_batch(4)
    gradients = {}
    for weight, interval in ((0.0, 1), (5.0, 1), (5.0, 8)):
        torch.manual_seed(0)
        editing = objective(tmp_path, penalty_weight=weight, penalty_interval=interval)
        take_step(editing, images, labels, 0, 0.5)
        trunk = editing.plain_discriminator.trunk[0][0].weight
        gradients[weight, interval] = trunk.grad.clone()
    once = gradients[5.0, 1] - gradients[0.0, 1]
    assert once.abs().max() > 0
    torch.testing.assert_close(gradients[5.0, 8] - gradients[0.0, 1], 8 * once, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_labelled_images_of_another_dataset_serve_the_attribute_loss_alone(recipe, tmp_path):
    config = settings(tmp_path, f"stgan-{recipe}", discriminator_augmentation=0.0)
    batches = [random_batch(rows) for rows in (4, 4, 6)]
    discriminator, rules = build_discriminator(config, NAMES), LabelRules.none(4)
    (real, labels), (fake, target), (more, more_labels) = ((normalise(images), given) for images, given in batches)
    edits = Edits(labels, target, torch.ones(4, 1))
    arguments = (config, discriminator, real, fake, edits, rules, torch.Generator())
    _, alone = compute_discriminator_loss(*arguments)
    loss, terms = compute_discriminator_loss(*arguments, labelled=(more, more_labels))
    expected = F.binary_cross_entropy_with_logits(discriminator(more, more_labels)[1], more_labels)
    assert terms["d_attribute"].item() == pytest.approx(expected.item(), rel=1e-4)
    for name in alone.keys() - {"d_attribute"}:
        assert terms[name].item() == pytest.approx(alone[name].item(), rel=1e-4)
    weights = {"d_attribute": config.discriminator.discriminator_attribute_weight}
    composed = sum(weights.get(name, 1.0) * term for name, term in terms.items())
    assert loss.item() == pytest.approx(composed.item(), rel=1e-4)
