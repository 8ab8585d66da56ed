"""The networks are the papers': counted, compared with a plain re-implementation, run forward and backward."""

import math

import pytest
import torch
import torch.nn.functional as F
from small_models import GENERATORS, MODELS, NAMES, pictures, stirred, tiled
from torch import nn

from stgan.models import STGAN, AttGAN, Discriminator, PatchDiscriminator, SelectiveTransferUnit, StarGAN
from stgan.models.encoder_decoder import STU_STATES
from stgan.models.layers import batch_norm, concat_planes, instance_norm


@pytest.mark.parametrize(
    ("model", "count", "precision"),
    [(STGAN, 74_998_771, 0), (Discriminator, 44_718_990, 0), (AttGAN, 43.4e6, 6e4), (StarGAN, 8.5e6, 6e4)],
)
def test_parameter_counts_are_the_published_ones(model, count, precision):
    with torch.device("meta"):
        assert model().parameter_count() == pytest.approx(count, rel=0, abs=precision)


def test_norms_have_tensorflows_constants():
    assert (batch_norm(3).eps, batch_norm(3).momentum) == (1e-3, pytest.approx(0.001))
    assert (instance_norm(3).eps, instance_norm(3).affine) == (1e-6, True)
    generator, discriminator = MODELS["STGAN"](stu_norm="in", norm_decay=0.9), MODELS["Discriminator"]()
    layers = [*generator.modules(), *discriminator.modules()]
    batch_norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    instance_norms = [layer for layer in layers if isinstance(layer, nn.InstanceNorm2d)]
    assert len(batch_norms) == 5
    assert len(instance_norms) == 2 * 2 + 3
    assert {layer.eps for layer in batch_norms} == {1e-3}
    assert [layer.momentum for layer in batch_norms] == pytest.approx([0.1] * 5)
    assert {layer.eps for layer in instance_norms} == {1e-6}


@pytest.mark.parametrize("name", ["STGAN", "AttGAN", "StarGAN", "Discriminator", "PatchDiscriminator"])
def test_weights_fill_xaviers_interval_and_biases_are_zero(name):
    for layer in MODELS[name](width=8).modules():
        if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            continue
        assert layer.bias is None or not layer.bias.any()
        inputs, outputs, *kernel = layer.weight.shape
        bound = math.sqrt(6 / ((inputs + outputs) * math.prod(kernel)))
        assert layer.weight.abs().max() <= 1.35 * bound  # a unit's gates are bounded one by one, see below
        assert layer.weight.abs().max() > 0.8 * bound


def test_each_gate_is_bounded_as_the_convolution_of_its_own_that_it_is():
    for unit in MODELS["STGAN"](width=8).transfer_units:
        channels = unit.candidate.weight.shape[0]
        bound = math.sqrt(6 / ((2 * channels + channels) * 9))
        for gate in unit.gates.weight.chunk(2):
            assert 0.9 * bound < gate.abs().max() <= bound


def test_a_soft_mask_starts_open():
    for name in GENERATORS:
        model = MODELS[name](soft_mask=True).train()
        mask = model(pictures(4), torch.zeros(4, 5), parts=True).mask
        assert mask.mean() > 0.6


def textbook_unit(unit, feature, hidden_state, att_diff):
    """REFERENCE section 1, equation by equation, each gate a convolution of its own, with explicit planes."""
    channels, padding = feature.shape[1], unit.candidate.padding[0]
    reset_weight, update_weight = unit.gates.weight[:channels], unit.gates.weight[channels:]
    reset_bias, update_bias = unit.gates.bias[:channels], unit.gates.bias[channels:]
    above = torch.cat([hidden_state, tiled(att_diff, hidden_state)], 1)
    state = F.conv_transpose2d(above, unit.upsample.weight, unit.upsample.bias, stride=2, padding=1)
    both = torch.cat([feature, state], 1)
    reset = torch.sigmoid(F.conv2d(both, reset_weight, reset_bias, padding=padding))
    update = torch.sigmoid(F.conv2d(both, update_weight, update_bias, padding=padding))
    new_state = reset * state
    candidate = torch.tanh(
        F.conv2d(torch.cat([feature, new_state], 1), unit.candidate.weight, unit.candidate.bias, padding=padding)
    )
    transferred = (1 - update) * state + update * candidate
    return transferred, {"stu": new_state, "gru": transferred, "direct": state}[unit.state]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("state", ["stu", "gru", "direct"])
def test_a_transfer_unit_computes_the_papers_equations(state, kernel):
    unit = stirred(SelectiveTransferUnit(6, 9 + 5, kernel, state=state))
    feature, hidden_state, att_diff = torch.randn(3, 6, 8, 8), torch.randn(3, 9, 4, 4), torch.randn(3, 5)
    for ours, textbook in zip(
        unit(feature, hidden_state, att_diff), textbook_unit(unit, feature, hidden_state, att_diff), strict=True
    ):
        torch.testing.assert_close(ours, textbook, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["Discriminator", "PatchDiscriminator"])
@torch.no_grad()
def test_a_conditional_discriminator_weighs_each_attribute_by_its_presence(name):
    model, image = stirred(MODELS[name](conditional=True)), pictures(3)
    labels = torch.tensor([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1.0]])
    logits = model.adversarial_head(model.trunk(image))
    logits = logits if logits.ndim == 2 else logits.mean((2, 3))
    for row, (alone, *each) in enumerate(logits.tolist()):
        expected = alone + sum(v if has else -v for v, has in zip(each, labels[row], strict=True)) / math.sqrt(5)
        assert model(image, labels)[0][row].item() == pytest.approx(expected, abs=1e-5)
        assert model(image)[0][row].item() == pytest.approx(alone, abs=1e-5)
    plain = MODELS[name]()
    assert plain(image, labels)[0].equal(plain(image)[0])
    for judge in (model, plain):  # several sets of labels at one look: each as if it came alone
        sets = torch.stack([labels, 1 - labels, labels.roll(1, 0)], dim=1)
        together, attributes = judge(image, sets)
        one_by_one = [judge(image, each)[0] for each in sets.unbind(1)]
        torch.testing.assert_close(together, torch.stack(one_by_one, dim=1))
        assert attributes.equal(judge(image)[1])


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_planes_are_the_vector_tiled_and_leave_the_memory_format_alone(memory_format):
    maps = [torch.randn(2, channels, 6, 5).contiguous(memory_format=memory_format) for channels in (3, 4)]
    vector = torch.randn(2, 5)
    together = concat_planes(maps, vector)
    assert together.equal(torch.cat([*maps, tiled(vector, maps[0])], 1))
    assert together.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("size", [8, 12, 32])
def test_stargans_first_convolution_answers_tiled_planes_without_tiling_them(size):
    model = MODELS["StarGAN"](image_size=size).eval()
    image, vector = pictures(2, size), torch.randn(2, 5)
    response = model.encode(image).response
    expected = model.from_image(torch.cat([image, tiled(vector, image)], 1))
    torch.testing.assert_close(response + model._planes_response(vector, response), expected, atol=1e-5, rtol=1e-5)


def plain_encoder_decoder(model, image, att_diff, layers, skips, units, inject):
    """REFERENCE section 2, written down directly, with every plane tiled."""
    weights = model.state_dict()

    def norm(x, name):
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-3)

    features, x = [], image
    for layer in range(layers):
        x = F.conv2d(x, weights[f"encoder.{layer}.0.weight"], stride=2, padding=1)
        x = F.leaky_relu(norm(x, f"encoder.{layer}.1"), 0.2)
        features.append(x)
    state, passed = features[-1], features[-2::-1]
    for unit in range(units):
        passed[unit], state = textbook_unit(model.transfer_units[unit], passed[unit], state, att_diff)
    x = torch.cat([features[-1], tiled(att_diff, features[-1])], 1)
    for layer in range(layers - 1):
        x = F.conv_transpose2d(x, weights[f"decoder.{layer}.0.weight"], stride=2, padding=1)
        x = F.relu(norm(x, f"decoder.{layer}.1"))
        if layer < skips:
            x = torch.cat([x, passed[layer]], 1)
        if layer < inject:
            x = torch.cat([x, tiled(att_diff, x)], 1)
    return torch.tanh(F.conv_transpose2d(x, weights["to_image.weight"], weights["to_image.bias"], stride=2, padding=1))


@pytest.mark.parametrize(
    ("build", "max_width", "skips", "units", "inject"), [(STGAN, 32, 4, 4, 4), (AttGAN, 1024, 1, 0, 1)]
)
@torch.no_grad()
def test_the_generators_are_the_reference_architectures(build, max_width, skips, units, inject):
    model = stirred(build(NAMES, image_size=64, width=4, max_width=max_width))
    image, condition = pictures(3, 64), torch.randn(3, 5)
    expected = plain_encoder_decoder(model, image, condition, 5, skips, units, inject)
    torch.testing.assert_close(model(image, condition), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_forward_and_backward(name):
    model = MODELS[name]().train()
    images = pictures(2)
    outputs = model(images, torch.randn(2, 5)) if name in GENERATORS else model(images)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    shapes = {"Discriminator": [(2,), (2, 5)], "PatchDiscriminator": [(2,), (2, 5)], "AttributeClassifier": [(2, 5)]}
    assert [tuple(output.shape) for output in outputs] == shapes.get(name, [(2, 3, 32, 32)])
    sum(output.square().sum() for output in outputs).backward()
    assert all(output.isfinite().all() for output in outputs)
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    if name in GENERATORS:
        assert outputs[0].abs().max() <= 1


SWITCHES = [
    *(("STGAN", {"stu_norm": norm, "stu_state": state}) for norm in ("none", "bn", "in") for state in STU_STATES),
    *(("STGAN", {"stu_layers": units, "skip_layers": 2}) for units in (0, 1, 2)),
    *(("STGAN", {"inject_layers": inject}) for inject in (0, 1, 2)),
    ("STGAN", {"skip_layers": 0, "stu_layers": 0, "inject_layers": 0}),
    ("STGAN", {"label_mode": "target"}),
    ("STGAN", {"soft_mask": True, "stu_kernel": 5, "max_width": 8}),
    ("STGAN", {"soft_mask": True, "use_regions": True}),
    *(("AttGAN", switch) for switch in ({"label_mode": "difference"}, {"skip_layers": 0}, {"inject_layers": 0})),
]


@pytest.mark.parametrize(("name", "switches"), SWITCHES, ids=str)
def test_every_switch_trains(name, switches):
    model = MODELS[name](**switches).train()
    model(pictures(2), torch.randn(2, 5)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_computes_in_half_precision_near_what_it_computes_in_full(name):
    model = stirred(MODELS[name]())
    inputs = (pictures(2), torch.randn(2, 5))[: 2 if name in GENERATORS else 1]
    with torch.no_grad():
        full = model(*inputs)
        model.bfloat16()
        half = model(inputs[0].bfloat16(), *inputs[1:])  # att_diff may stay in float32
    for a, b in zip(*((x if isinstance(x, tuple) else (x,)) for x in (full, half)), strict=True):
        assert b.dtype == torch.bfloat16
        assert (a - b.float()).abs().max() < 0.1 * max(1.0, a.abs().max())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: STGAN(image_size=100), "multiple of 32"),
        (lambda: STGAN(stu_layers=5), "between 0 and layers - 1 = 4"),
        (lambda: STGAN(skip_layers=2), "at least stu_layers"),
        (lambda: STGAN(stu_kernel=4), "must be odd"),
        (lambda: STGAN(stu_state="lstm"), "use one of stu, gru, direct"),
        (lambda: STGAN(stu_norm="layer"), "use one of none, bn, in"),
        (lambda: STGAN(label_mode="both"), "use one of difference, target"),
        (lambda: STGAN(label_mode="target", use_regions=True), "label_mode difference"),
        (lambda: STGAN(attributes=()), "one or more"),
        (lambda: AttGAN(attributes=("Male", "Male")), "different names"),
        (lambda: StarGAN(image_size=30), "multiple of 4"),
        (lambda: StarGAN(image_size=4), "at least 8"),
        (lambda: Discriminator(image_size=100), "multiple of 32"),
        (lambda: Discriminator(image_size=32), "use fewer layers"),
        (lambda: PatchDiscriminator(image_size=96), "multiple of 64"),
    ],
)
def test_settings_that_cannot_be_built_say_what_to_do(build, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build()


def test_the_classifier_marks_what_passes_its_own_thresholds():
    model = stirred(MODELS["AttributeClassifier"]())
    images = pictures(16)
    model.thresholds.copy_(torch.tensor([0.0, 1.0, 0.3, 0.5, 0.7]))
    with torch.no_grad():
        labels, probabilities = model.predict(images), torch.sigmoid(model(images))
    assert labels[:, 0].all()
    assert not labels[:, 1].any()
    assert torch.equal(labels, (probabilities > model.thresholds).float())
