"""The losses of discriminator and generator, and each of their terms, against formulas written out by hand."""

import math

import pytest
import torch
from runs import NAMES, configured, objective, random_batch, take_step, watch
from torch import nn
from torch.nn import functional as F

from stgan.frame import normalise
from stgan.training import losses
from stgan.training.edits import Edits, LabelRules
from stgan.training.losses import compute_discriminator_loss, compute_generator_loss
from stgan.training.networks import build_discriminator


@pytest.fixture
def critic():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 1))
    return network, lambda images: network(images).squeeze(1)


def pictures(count):
    return torch.rand(count, 3, 2, 2) * 2 - 1


def gradient_by_hand(network, images):
    """d/dx of w2 . tanh(W1 x + b1): W1^T (w2 * (1 - tanh^2)), without autograd."""
    first, second = network[1], network[3]
    hidden = torch.tanh(images.flatten(1) @ first.weight.T + first.bias)
    return (second.weight * (1 - hidden.square())) @ first.weight


def test_the_gradient_penalty_is_that_of_one_random_point_per_sample_between_real_and_fake(critic):
    network, realness = critic
    real, fake = pictures(5), pictures(5).requires_grad_()
    penalty = losses.gradient_penalty(realness, real, fake, torch.Generator().manual_seed(3))
    penalty.backward()
    assert fake.grad is None  # it trains the critic, not the generator
    by_autograd = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    share = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(3))
    norms = gradient_by_hand(network, real + share * (fake.detach() - real)).square().sum(1).sqrt()
    expected = ((norms - 1) ** 2).mean()
    expected.backward()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    by_hand = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(by_hand) == 3  # the last bias has no share in the gradient
    for a, b in zip([g for g in by_autograd if g.any()], by_hand, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_r1_is_the_mean_squared_norm_of_the_gradient_at_real_images(critic):
    network, realness = critic
    real = pictures(5)
    expected = gradient_by_hand(network, real).square().sum(1).mean()
    penalty = losses.r1_penalty(lambda x: (realness(x), None), real, 0, torch.Generator())
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    assert not real.requires_grad  # the batch itself stays as it was


def test_r1_with_random_signs_is_in_the_mean_the_sum_of_the_logits_own_penalties(critic):
    network, realness = critic
    attributes, share, real = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Softplus()), 0.3, pictures(5)

    def squared_norm(logits):
        point = real.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(logits(point).sum(), point)
        return gradient.flatten(1).square().sum(1).mean().item()

    single = [squared_norm(lambda images, k=k: attributes(images)[:, k]) for k in range(3)]
    random = torch.Generator().manual_seed(0)
    often = real.repeat(2_000, 1, 1, 1)  # each with signs of its own
    penalty = losses.r1_penalty(lambda images: (realness(images), attributes(images)), often, share, random)
    assert penalty.item() == pytest.approx(squared_norm(realness) + share * sum(single), rel=0.05)


def test_a_flat_critic_has_a_finite_penalty(critic):
    network, realness = critic
    nn.init.zeros_(network[3].weight)
    penalty = losses.gradient_penalty(realness, pictures(3), pictures(3), torch.Generator())
    penalty.backward()
    assert penalty.item() == pytest.approx(1.0)
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_the_logistic_losses_are_cross_entropies():
    real, fake = torch.tensor([1.0, -3.0]), torch.tensor([0.5, 2.0])
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    expected = -sum(math.log(sigmoid(x)) for x in (1, -3)) / 2 - sum(math.log(1 - sigmoid(x)) for x in (0.5, 2)) / 2
    assert losses.logistic_discriminator_loss(real, fake).item() == pytest.approx(expected)
    expected = -sum(math.log(sigmoid(x)) for x in (0.5, 2)) / 2
    assert losses.logistic_generator_loss(fake).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "loss",
    [
        lambda logits: losses.wasserstein_discriminator_loss(logits, logits / 2),
        losses.wasserstein_generator_loss,
        lambda logits: losses.logistic_discriminator_loss(logits, logits / 2),
        losses.logistic_generator_loss,
        lambda logits: losses.attribute_loss(logits[:, None], torch.ones(len(logits), 1)),
        lambda logits: losses.reconstruction_loss(logits, torch.zeros(len(logits))),
        lambda logits: losses.mask_loss(logits, 0.5),
    ],
)
def test_losses_of_half_precision_logits_are_computed_in_full(loss):
    logits = torch.linspace(-6, 6, 301).bfloat16()
    assert loss(logits).dtype == torch.float32
    assert loss(logits).item() == pytest.approx(loss(logits.float()).item(), rel=1e-6)


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_labels_that_the_data_never_show_together_are_unknown_to_the_discriminator(critic_steps, tmp_path):
    """No glasses (2) on men (3) in these data."""
    editing = objective(
        tmp_path, critic_steps=critic_steps, label_plausibility=0.05, changed_attribute_weight=3.0,
        discriminator_conditional=True, mismatch_weight=1.0, adversarial_loss="logistic", attribute_margin=0.7,
        intensity_range=(1.5, 1.5), intensity_margin=0.8, never_shown_attribute_weight=2.0,
        limit_attributes=False,
    )  # fmt: skip
    images, _ = random_batch(4)
    labels = torch.tensor([[0.0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]])
    target = torch.tensor([[0.0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 1]])
    known = torch.tensor([[0.0, 0, 0.5, 0.5], [1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0.5, 0.5]])  # row 2: the other colour
    counted = torch.tensor([[a, b, c, d] for a in (0, 1) for b in (0, 1) for c, d in ((0, 0), (0, 1), (1, 0))])
    editing.count_labels(counted.float())

    editing.sampler.draw_targets = lambda labels, random: target
    passes, requests = watch(editing.plain_discriminator, "forward"), watch(editing.plain_generator, "condition")
    terms = take_step(editing, images, labels, 1, 0.5)
    ((_, conditions), (realness, real_logits)), ((_, edit_conditions), (_, logits)) = passes
    assert conditions[:, 0].equal(torch.cat([labels, known]))
    assert edit_conditions.equal(known)
    assert requests[0][0][1].equal(target)  # the generator gets the original targets, as in an editor
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
    real, edited = torch.eye(4), 1 - torch.eye(4)
    editing.sampler.draw_targets = lambda labels, random: edited
    passes = watch(editing.plain_discriminator, "forward")
    take_step(editing, random_batch(4)[0], real, 1, 0.0)
    (_, first), (_, second) = (inputs for inputs, _ in passes)
    assert first.equal(torch.cat([real, edited]))
    assert second.equal(edited)


def test_real_images_with_the_targets_of_their_edits_count_as_fakes(tmp_path):
    config = configured("none", tmp_path, mismatch_weight=0.5, discriminator_augmentation=0.0)
    discriminator, real, fake = build_discriminator(config, NAMES), torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    labels, target = torch.eye(4), torch.eye(4)[[1, 0, 2, 2]]  # the third asks for what it has
    edits = Edits(labels, target, torch.ones(4, 1))
    loss, terms, _ = compute_discriminator_loss(
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
    config = configured("none", tmp_path, "stgan-paper", adversarial_loss=adversarial_loss)
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


def test_an_edit_that_convinces_as_much_as_real_faces_do_is_asked_for_no_more(tmp_path):
    config = configured("none", tmp_path, changed_attribute_weight=3.0, attribute_margin=0.5)
    real, labels = 2 * torch.randn(9, 4), (torch.rand(9, 4) < 0.5).float()
    labels[:2, 0], labels[:, 3] = torch.tensor([0.0, 1.0]), 0.0  # nobody has the last attribute
    typical = losses.typical_logits(losses.sum_logits(real, labels, LabelRules.none(4)))
    edits = Edits(torch.eye(4), torch.eye(4)[[1, 0, 2, 2]], torch.ones(4, 1))
    logits = 4 * torch.randn(4, 4, requires_grad=True)
    logits.retain_grad()
    loss = losses.edit_attribute_loss(config, logits, edits, LabelRules.none(4), typical)
    loss.backward()
    expected = 0.0
    for row in range(4):
        for column in range(4):
            before, after = edits.source[row, column].item(), edits.target[row, column].item()
            logit = logits[row, column].item() - 0.5 * (after - before)
            shown = real[labels[:, column] == after, column]
            surer = len(shown) and (logit - shown.mean().item()) * (2 * after - 1) >= 0
            assert (logits.grad[row, column] == 0) == bool(surer)
            if not surer:
                expected += (3.0 if before != after else 1.0) * math.log1p(math.exp(logit * (1 - 2 * after))) / 16
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_labels_that_follow_from_others_say_nothing_about_what_is_typical():
    """No glasses (2) on men (3) in these data: only the others tell how faces without glasses look."""
    counted = torch.tensor([[a, b, c, d] for a in (0, 1) for b in (0, 1) for c, d in ((0, 0), (0, 1), (1, 0))])
    rules = LabelRules.from_labels(NAMES, counted.float(), 0.05)
    labels, logits = torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]), torch.arange(12.0).view(3, 4)
    typical = losses.typical_logits(losses.sum_logits(logits, labels, rules))
    assert typical[:, 2].tolist() == [logits[1, 2], logits[2, 2]]
    assert typical[:, 0].tolist() == [logits[:, 0].mean(), math.inf]


def test_a_second_attribute_head_takes_over_up_to_half_of_the_loss(tmp_path):
    config = configured("none", tmp_path)
    discriminator, fake = build_discriminator(config, NAMES), torch.rand(4, 3, 32, 32)
    edits = Edits(torch.eye(4), torch.eye(4)[[1, 0, 2, 2]], torch.ones(4, 1))
    found = []
    for share in (None, 0.0, 0.5, 1.0):
        second = None if share is None else losses.Opinion(torch.randn(4, 4, generator=seeded()), None, share)
        loss, terms = compute_generator_loss(
            config, discriminator, fake, None, fake, fake, edits, LabelRules.none(4), seeded(), second=second
        )
        found.append(loss.item() - terms["g_adversarial"].item())
    alone, other = (terms[name].item() for name in ("g_attribute", "g_projected_attribute"))
    expected = [config.losses.attribute_weight * (alone + part * (other - alone)) for part in (0, 0, 0.25, 0.5)]
    assert found == pytest.approx(expected, rel=1e-4)


def seeded():
    return torch.Generator().manual_seed(0)


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
    config = configured("none", tmp_path, f"stgan-{recipe}", discriminator_augmentation=0.0)
    batches = [random_batch(rows) for rows in (4, 4, 6)]
    discriminator, rules = build_discriminator(config, NAMES), LabelRules.none(4)
    (real, labels), (fake, target), (more, more_labels) = ((normalise(images), given) for images, given in batches)
    edits = Edits(labels, target, torch.ones(4, 1))
    arguments = (config, discriminator, real, fake, edits, rules, torch.Generator())
    _, alone, _ = compute_discriminator_loss(*arguments)
    loss, terms, _ = compute_discriminator_loss(*arguments, labelled=(more, more_labels))
    expected = F.binary_cross_entropy_with_logits(discriminator(more, more_labels)[1], more_labels)
    assert terms["d_attribute"].item() == pytest.approx(expected.item(), rel=1e-4)
    for name in alone.keys() - {"d_attribute"}:
        assert terms[name].item() == pytest.approx(alone[name].item(), rel=1e-4)
    weights = {"d_attribute": config.discriminator.discriminator_attribute_weight}
    composed = sum(weights.get(name, 1.0) * term for name, term in terms.items())
    assert loss.item() == pytest.approx(composed.item(), rel=1e-4)


def test_the_cheeks_loss_is_the_change_of_their_mean_colour_where_the_skin_should_stay():
    source, painted = torch.rand(4, 3, 5, 5), torch.rand(4, 3, 5, 5).bfloat16()
    cheeks = torch.rand(4, 5, 5) < 0.4
    cheeks[3] = False  # none are visible
    counted = torch.tensor([True, False, True, True])
    expected = 0
    for row in (0, 2):
        where = cheeks[row]
        means = [image[row, :, where].float().mean(dim=1) for image in (painted, source)]
        expected += (means[0] - means[1]).abs().mean().item() / 4
    assert losses.cheek_loss(painted, source, cheeks, counted).item() == pytest.approx(expected, rel=1e-4)
