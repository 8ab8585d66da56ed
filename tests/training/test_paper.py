"""A step of the paper's recipe, against the same step written with torch alone."""

import copy

import torch
from runs import trainer, watch
from torch import nn

from stgan.frame import normalise


def plain_step(generator, discriminator, draw, random):
    """REFERENCE section 3 with one D step, written down with nothing but torch and the paper's numbers."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    generator_adam = torch.optim.Adam(generator.parameters(), **adam)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), **adam)
    bce = nn.BCEWithLogitsLoss()

    def halves(labels):
        return (2 * labels - 1) * 0.5

    x, a = draw()
    b = a[torch.randperm(len(a), generator=random)]
    fake = generator(x, halves(b) - halves(a)).detach()
    real_logit, real_attributes = discriminator(x)
    share = torch.rand(len(x), 1, 1, 1, generator=random)
    between = (x + share * (fake - x)).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between)[0].sum(), between, create_graph=True)
    penalty = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    wasserstein = real_logit.mean() - discriminator(fake)[0].mean()
    discriminator_adam.zero_grad()
    (-wasserstein + 10 * penalty + bce(real_attributes, a)).backward()
    discriminator_adam.step()

    x, a = draw()
    b = a[torch.randperm(len(a), generator=random)]
    discriminator.requires_grad_(False)
    edited_logit, edited_attributes = discriminator(generator(x, halves(b) - halves(a)))
    reconstruction = (generator(x, torch.zeros_like(a)) - x).abs().mean()
    generator_adam.zero_grad()
    (-edited_logit.mean() + 10 * bce(edited_attributes, b) + 100 * reconstruction).backward()
    generator_adam.step()


def test_a_step_of_the_paper_equals_its_losses_and_adam_written_out(celeba, tmp_path):
    run = trainer(celeba, tmp_path, "stgan-paper", steps=1, critic_steps=1)
    run._run_steps = run._finish = lambda: None
    run.train()
    copies, draws = copy.deepcopy(run.objective.networks), watch(run, "_draw")
    run._train_step()
    prepared = iter([(normalise(images), labels) for _, (images, labels) in draws])
    plain_step(*copies, lambda: next(prepared), torch.Generator().manual_seed(run.random.initial_seed()))
    for ours, by_hand in zip(run.objective.networks, copies, strict=True):
        for (name, value), expected in zip(ours.named_parameters(), by_hand.parameters(), strict=True):
            largest = expected.grad.abs().max().item()
            torch.testing.assert_close(value.grad, expected.grad, atol=1e-3 * largest + 1e-7, rtol=1e-3, msg=name)
            # Adam's first step is the gradient's sign: where the gradient is rounding error, so is the step.
            clear = expected.grad.abs() > 0.01 * largest
            torch.testing.assert_close(value[clear], expected[clear], atol=2e-6, rtol=1e-5, msg=name)
        for value, expected in zip(ours.buffers(), by_hand.buffers(), strict=True):
            torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-4)


def test_the_paper_takes_five_fresh_batches_for_d_and_one_for_g_and_freezes_the_other(celeba, tmp_path):
    run = trainer(celeba, tmp_path, "stgan-paper", steps=2)
    kinds = []

    def check(name, changes, rests):
        inner = getattr(run.objective, name)

        def checked(*args):
            before = {network: [p.clone() for p in network.parameters()] for network in (changes, rests)}
            gradients = [None if p.grad is None else p.grad.clone() for p in rests.parameters()]
            terms = inner(*args)
            assert any(not torch.equal(a, b) for a, b in zip(before[changes], changes.parameters(), strict=True))
            assert all(torch.equal(a, b) for a, b in zip(before[rests], rests.parameters(), strict=True))
            for old, parameter in zip(gradients, rests.parameters(), strict=True):
                assert parameter.requires_grad
                assert (old is None and parameter.grad is None) or torch.equal(old, parameter.grad)
            kinds.append(name)
            return terms

        setattr(run.objective, name, checked)

    run._run_steps = run._finish = lambda: None
    run.train()
    generator, discriminator = run.objective.networks
    draws = watch(run.batches, "draw")
    check("_discriminator_step", discriminator, generator)
    check("_generator_step", generator, discriminator)
    run._train_step()
    run._train_step()
    assert [number for (number,), _ in draws] == list(range(12))
    assert kinds == (["_discriminator_step"] * 5 + ["_generator_step"]) * 2
