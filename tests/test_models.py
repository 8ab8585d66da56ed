"""The networks are the paper's: counted, compared with a plain re-implementation, saved, loaded and refused."""

import json
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from stgan.models import (
    STGAN,
    AttGAN,
    AttributeClassifier,
    Discriminator,
    ModelFolderError,
    PatchDiscriminator,
    SelectiveTransferUnit,
    StarGAN,
    load_companion_classifier,
    load_generator,
    widened,
)
from stgan.models.layers import batch_norm, concat_planes, instance_norm
from stgan.models.regions import attribute_regions

NAMES = ("Bald", "Bangs", "Black_Hair", "Eyeglasses", "Male")
SMALL = {"attributes": NAMES, "image_size": 32, "width": 4}
MODELS = {
    "STGAN": lambda **more: STGAN(**SMALL | {"layers": 3, "stu_layers": 2} | more),
    "AttGAN": lambda **more: AttGAN(**SMALL | {"layers": 3} | more),
    "StarGAN": lambda **more: StarGAN(**SMALL | {"residual_blocks": 2} | more),
    "Discriminator": lambda **more: Discriminator(**SMALL | {"layers": 3, "hidden": 8} | more),
    "PatchDiscriminator": lambda **more: PatchDiscriminator(**SMALL | {"layers": 3} | more),
    "AttributeClassifier": lambda **more: AttributeClassifier(**SMALL | more),
}
GENERATORS = ("STGAN", "AttGAN", "StarGAN")


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


def pictures(count, size=32):
    return torch.rand(count, 3, size, size) * 2 - 1


def stirred(model):
    """The model with statistics, biases and norms that are not their initial ones, so that each of them shows."""
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("bias", "running_mean")):
                value.normal_(0, 0.3)
            elif name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5)
    return model.eval()


def tiled(vector, like):
    """The vector as constant planes, written out."""
    return vector[:, :, None, None].repeat(1, 1, like.shape[2], like.shape[3])


# ------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("model", "count"), [(STGAN, 74_998_771), (Discriminator, 44_718_990)], ids=["generator", "discriminator"]
)
def test_parameter_counts_are_the_papers(model, count):
    with torch.device("meta"):
        assert model().parameter_count() == count


@pytest.mark.parametrize(("model", "millions"), [(AttGAN, 43.4), (StarGAN, 8.5)])
def test_the_other_generators_have_the_published_sizes(model, millions):
    with torch.device("meta"):
        assert model().parameter_count() / 1e6 == pytest.approx(millions, abs=0.06)  # published with one decimal


# --------------------------------------------------------------------------------------------- initial values


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


# ----------------------------------------------------------------------------- the selective transfer unit


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


# ------------------------------------------------------------------------------- whole generators, re-implemented


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


@torch.no_grad()
def test_stgan_is_the_reference_architecture():
    model = stirred(STGAN(NAMES, image_size=64, width=4, max_width=32))
    image, att_diff = pictures(3, 64), torch.randn(3, 5)
    expected = plain_encoder_decoder(model, image, att_diff, layers=5, skips=4, units=4, inject=4)
    torch.testing.assert_close(model(image, att_diff), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_attgan_has_one_plain_skip_and_two_injections():
    model = stirred(AttGAN(NAMES, image_size=64, width=4))
    image, target = pictures(3, 64), torch.randn(3, 5)
    expected = plain_encoder_decoder(model, image, target, layers=5, skips=1, units=0, inject=1)
    torch.testing.assert_close(model(image, target), expected, atol=1e-5, rtol=1e-4)


# ---------------------------------------------------------------------------------------- encode once, decode often


PARTS = {
    "plain": {},
    "mask": {"soft_mask": True},
    "mask and regions": {"soft_mask": True, "use_regions": True, "label_mode": "difference"},
}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", GENERATORS)
@torch.no_grad()
def test_one_encoding_serves_many_edits(name, parts):
    model = stirred(MODELS[name](**PARTS[parts]))
    image, conditions = pictures(1), torch.randn(6, 5) * torch.eye(6, 5)
    features = model.encode(image)
    one_by_one = torch.cat([model(image, condition[None]) for condition in conditions])
    torch.testing.assert_close(model.decode(features, conditions), one_by_one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", GENERATORS)
@torch.no_grad()
def test_row_i_of_the_edits_is_of_image_i_modulo_their_number(name, parts):
    model = stirred(MODELS[name](**PARTS[parts]))
    images, conditions = pictures(3), torch.randn(7, 5) * torch.eye(7, 5)
    expected = torch.cat([model(images[i % 3][None], conditions[i][None]) for i in range(7)])
    torch.testing.assert_close(model(images, conditions), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("regions", [False, True])
@torch.no_grad()
def test_a_masked_edit_is_its_colours_where_the_mask_is_open_and_the_source_elsewhere(regions):
    model = stirred(MODELS["STGAN"](soft_mask=True, use_regions=regions))
    images = pictures(2)
    edit = model(images, torch.eye(2, 5), parts=True)
    assert edit.mask.shape == (2, 1, 32, 32)
    torch.testing.assert_close(edit.image, edit.mask * edit.rgb + (1 - edit.mask) * images, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("name", GENERATORS)
@torch.no_grad()
def test_an_edit_changes_nothing_outside_of_the_regions_of_what_it_changes(name, mask):
    settings = {"label_mode": "difference", "soft_mask": mask}
    free = stirred(MODELS[name](**settings))
    confined = MODELS[name](use_regions=True, **settings).eval()
    confined.load_state_dict(free.state_dict())  # regions are no weights: the same ones do with and without
    images, edits = pictures(4), torch.zeros(4, 5)
    edits[0, NAMES.index("Eyeglasses")] = 1.5
    edits[1, NAMES.index("Bald")], edits[1, NAMES.index("Eyeglasses")] = 0.5, -1
    edits[2, NAMES.index("Male")] = 1
    region = torch.ones(4, 1, 32, 32)  # a reconstruction (the last row) may be anywhere
    regions = dict(zip(NAMES, attribute_regions(NAMES, 32), strict=True))
    region[0, 0] = regions["Eyeglasses"]
    region[1, 0] = (regions["Bald"] + regions["Eyeglasses"]).clamp(max=1)
    region[2, 0] = regions["Male"]
    open_edit, edit = free(images, edits, parts=True), confined(images, edits, parts=True)
    torch.testing.assert_close(edit.rgb, region * open_edit.rgb + (1 - region) * images, atol=1e-5, rtol=1e-5)
    if mask:
        torch.testing.assert_close(edit.mask, torch.where(region > 0, open_edit.mask, 0))
    outside = (region == 0).expand_as(images)
    assert outside[0].any()
    assert torch.equal(edit.image[outside], images[outside])
    torch.testing.assert_close(edit.image[3], open_edit.image[3])


def test_regions_need_to_know_what_an_edit_changes():
    with pytest.raises(ValueError, match="label_mode difference"):
        MODELS["STGAN"](label_mode="target", use_regions=True)


@pytest.mark.parametrize("mode", ["difference", "target"])
def test_the_condition_of_an_edit_is_the_difference_or_the_target_in_halves(mode):
    model = MODELS["STGAN"](label_mode=mode)
    source, target = torch.tensor([[0.0, 1, 0, 1, 1]]), torch.tensor([[1.0, 0, 0, 1, 1]])
    halves = (2 * source - 1) / 2, (2 * target - 1) / 2  # REFERENCE section 3
    expected = halves[1] - halves[0] if mode == "difference" else halves[1]
    assert torch.equal(model.condition(source, target), expected)
    doubled = model.condition(source, target, 1.5)  # the published intensity: the toggled target at twice its value
    assert doubled[0, :2].tolist() == ([1.5, -1.5] if mode == "difference" else [1.0, -1.0])
    assert torch.equal(doubled[:, 2:], expected[:, 2:])


@pytest.mark.parametrize(
    ("name", "switches"),
    [
        *(
            ("STGAN", {"stu_layers": units, "skip_layers": 2, "inject_layers": n})
            for units in (0, 2)
            for n in (0, 1, 2)
        ),
        *(("AttGAN", {"label_mode": "difference", "inject_layers": n}) for n in (0, 2)),
        ("StarGAN", {"label_mode": "difference"}),
    ],
)
@torch.no_grad()
def test_strengthened_weights_edit_as_a_higher_intensity_did(name, switches):
    model = stirred(MODELS[name](**switches))
    images, difference = pictures(2), torch.randn(2, 5)
    strengths = torch.tensor([1.0, 1.3, 0.5, 2.0, 1.1])
    expected, weaker = model(images, difference * strengths), model(images, difference)
    model.strengthen(strengths)
    torch.testing.assert_close(model(images, difference), expected, atol=1e-5, rtol=1e-4)
    assert (expected - weaker).abs().max() > 1e-3


# --------------------------------------------------------------------------------------- forward and backward


WIDENED = [
    ("STGAN", {}),
    ("STGAN", {"stu_norm": "bn", "max_width": 9, "soft_mask": True, "use_regions": True}),
    ("STGAN", {"stu_norm": "in", "stu_layers": 1, "skip_layers": 1, "inject_layers": 1}),
    ("AttGAN", {}),
    ("AttGAN", {"skip_layers": 0, "inject_layers": 0}),
]


@pytest.mark.parametrize("width", [4, 6, 9])
@pytest.mark.parametrize(("name", "switches"), WIDENED)
def test_a_widened_generator_is_the_same_function(name, switches, width):
    narrow = stirred(MODELS[name](**switches))
    wide = widened(narrow, width).eval()
    assert wide.config == {**narrow.config, "width": width}
    images, condition = pictures(3), torch.randint(-1, 2, (3, len(NAMES))).float()
    expected = narrow(images, condition)
    assert expected.std() > 0.1
    torch.testing.assert_close(wide(images, condition), expected, rtol=0, atol=2e-5)


def test_copies_in_a_widened_generator_learn_apart():
    wide = widened(stirred(MODELS["STGAN"]()), 8).train()
    kernel = wide.encoder[0][0].weight
    assert kernel[:4].equal(kernel[4:])
    optimizer = torch.optim.Adam(wide.parameters(), lr=1e-3)
    wide(pictures(4), torch.ones(4, len(NAMES))).square().mean().backward()
    optimizer.step()
    apart = (kernel[:4] - kernel[4:]).abs()
    assert apart.mean() > 2e-4  # Adam moves each entry by about 1e-3, whatever the gradient's size


def test_a_generator_is_not_widened_to_less():
    with pytest.raises(ValueError, match="width 4 cannot be widened to 3"):
        widened(MODELS["STGAN"](), 3)


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
    *({"stu_norm": norm, "stu_state": state} for norm in ("none", "bn", "in") for state in ("stu", "gru", "direct")),
    *({"stu_layers": units, "skip_layers": 2} for units in (0, 1, 2)),
    *({"inject_layers": inject} for inject in (0, 1, 2)),
    {"skip_layers": 0, "stu_layers": 0, "inject_layers": 0},
    {"label_mode": "target"},
    {"soft_mask": True, "stu_kernel": 5, "max_width": 8},
    {"soft_mask": True, "use_regions": True},
]


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items()))
def test_every_switch_of_stgan_trains(switches):
    model = MODELS["STGAN"](**switches).train()
    model(pictures(2), torch.randn(2, 5)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("switches", [{"label_mode": "difference"}, {"skip_layers": 0}, {"inject_layers": 0}], ids=str)
def test_every_switch_of_attgan_trains(switches):
    model = MODELS["AttGAN"](**switches).train()
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


# ------------------------------------------------------------------------------------------------ model folders


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_comes_back_exactly(name, tmp_path):
    model = stirred(MODELS[name]())
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert not loaded.training
    assert json.dumps(loaded.config) == json.dumps(model.config)
    assert json.loads((tmp_path / "config.json").read_text())["architecture"] == name
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    inputs = (pictures(2), torch.randn(2, 5))[: 2 if name in GENERATORS else 1]
    with torch.no_grad():
        ours, theirs = model(*inputs), loaded(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16], ids=str)
def test_weights_stored_in_half_precision_are_loaded_into_full(tmp_path, precision):
    model = stirred(MODELS["STGAN"]())
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({key: v.to(precision) if v.is_floating_point() else v for key, v in load_file(file).items()}, file)
    loaded = STGAN.from_pretrained(tmp_path)
    for key, value in model.state_dict().items():
        assert loaded.state_dict()[key].dtype == value.dtype
        expected = value.to(precision).to(value.dtype) if value.is_floating_point() else value
        assert torch.equal(loaded.state_dict()[key], expected)


@pytest.mark.parametrize("name", GENERATORS)
def test_load_generator_finds_the_architecture_itself(name, tmp_path):
    MODELS[name]().save_pretrained(tmp_path)
    assert type(load_generator(tmp_path)).__name__ == name
    assert type(load_generator(str(tmp_path))).__name__ == name


def test_a_classifier_is_not_taken_for_a_generator(tmp_path):
    MODELS["AttributeClassifier"]().save_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="AttributeClassifier, not a generator"):
        load_generator(tmp_path)


def test_the_companion_classifier_is_found_beside_its_generator(model_folder, tmp_path):
    assert load_companion_classifier(model_folder).attributes == load_generator(model_folder).attributes
    MODELS["STGAN"]().save_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="no classifier folder"):
        load_companion_classifier(tmp_path)


@pytest.fixture
def saved(tmp_path):
    """A saved STGAN, and functions that damage it."""

    class Saved:
        folder = tmp_path / "model"
        weights = folder / "model.safetensors"

        def change_config(self, **settings):
            file = self.folder / "config.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | settings))

        def change_weights(self, change):
            tensors = load_file(self.weights)
            change(tensors)
            save_file(tensors, self.weights)

    saved = Saved()
    MODELS["STGAN"]().save_pretrained(saved.folder)
    return saved


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda s: s.change_weights(lambda w: w.pop("to_image.bias")), ["missing: to_image.bias"]),
        (lambda s: s.change_weights(lambda w: w.update(extra=torch.ones(1))), ["unexpected: extra"]),
        (
            lambda s: s.change_weights(lambda w: w.update({"to_image.bias": torch.ones(4)})),
            ["to_image.bias has shape (4,), expected (3,)"],
        ),
        (lambda s: s.change_config(width=8), ["encoder.0.0.weight has shape (4, 3, 4, 4), expected (8, 3, 4, 4)"]),
        (lambda s: s.change_config(architecture="AttGAN"), ["type AttGAN, not STGAN", "AttGAN.from_pretrained"]),
        (lambda s: s.change_config(sharpen=True), ["sharpen", "upgrade stgan"]),
        (lambda s: s.change_config(image_size=33), ["does not describe a STGAN", "multiple of 8"]),
        (lambda s: s.change_config(width="wide"), ["does not describe a STGAN"]),
        (lambda s: (s.folder / "config.json").unlink(), ["no config.json"]),
        (lambda s: (s.folder / "config.json").write_text('{"architecture": '), ["config.json is damaged"]),
        (lambda s: (s.folder / "config.json").write_text("[1]"), ["does not hold the settings of a model"]),
        (lambda s: s.weights.write_bytes(s.weights.read_bytes()[:-50]), ["damaged", "copy it again"]),
        (lambda s: s.weights.write_bytes(s.weights.read_bytes()[:100]), ["damaged", "copy it again"]),
        (lambda s: s.weights.write_bytes(b""), ["damaged", "copy it again"]),
        (lambda s: s.weights.unlink(), ["no model.safetensors"]),
    ],
    ids=[
        "key missing", "key too many", "shape", "width", "architecture", "unknown setting", "impossible size",
        "wrong type", "no config", "broken config", "config not a mapping", "cut off", "header cut off", "empty",
        "no weights",
    ],
)  # fmt: skip
def test_a_folder_that_does_not_fit_is_refused_by_name(saved, damage, said):
    damage(saved)
    with pytest.raises(ModelFolderError) as refusal:
        STGAN.from_pretrained(saved.folder)
    for words in said:
        assert words in str(refusal.value)


@pytest.mark.parametrize("content", ['{"architecture": ', "[1]", '{"architecture": "GPT"}', "{}"])
def test_load_generator_refuses_what_names_no_generator(saved, content):
    (saved.folder / "config.json").write_text(content)
    with pytest.raises(ModelFolderError):
        load_generator(saved.folder)


@pytest.mark.parametrize("name", ["nowhere", "nobody/nothing", "./nowhere/at/all"])
@pytest.mark.parametrize("load", [STGAN.from_pretrained, load_generator], ids=["from_pretrained", "load_generator"])
def test_a_model_that_is_nowhere_is_said_to_be_nowhere(load, name):
    with pytest.raises(ModelFolderError, match=name):
        load(name)


class Trap:
    """Unpickling an instance of this fails the test that does it."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "model.pkl", "model.safetensors"])
def test_a_pickle_in_the_folder_is_never_opened(saved, file):
    only_pickle = file != "model.safetensors"
    if only_pickle:
        saved.weights.unlink()
    (saved.folder / file).write_bytes(pickle.dumps({"weights": Trap()}))
    with pytest.raises(ModelFolderError, match="no model.safetensors" if only_pickle else "damaged"):
        STGAN.from_pretrained(saved.folder)


def test_arguments_given_at_loading_replace_the_stored_ones(saved):
    model = STGAN.from_pretrained(saved.folder, norm_decay=0.5, map_location="cpu")
    assert model.config["norm_decay"] == 0.5
    assert model.encoder[0][1].momentum == 0.5
