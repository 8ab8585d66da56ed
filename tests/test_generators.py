"""Edits by the generators: many from one encoding, kept to masks and regions, strengthened, and by widened networks."""

import pytest
import torch
from small_models import GENERATORS, MODELS, NAMES, pictures, stirred

from stgan.models import widened
from stgan.models.regions import attribute_regions

PARTS = {
    "plain": {},
    "mask": {"soft_mask": True},
    "mask and regions": {"soft_mask": True, "use_regions": True, "label_mode": "difference"},
}


@pytest.mark.parametrize(("count", "edits"), [(1, 6), (3, 7)])
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", GENERATORS)
@torch.no_grad()
def test_row_i_of_the_edits_is_of_image_i_modulo_their_number(name, parts, count, edits):
    model = stirred(MODELS[name](**PARTS[parts]))
    images, conditions = pictures(count), torch.randn(edits, 5) * torch.eye(edits, 5)
    one_by_one = torch.cat([model(images[i % count][None], conditions[i][None]) for i in range(edits)])
    torch.testing.assert_close(model.decode(model.encode(images), conditions), one_by_one, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(images, conditions), one_by_one, atol=1e-5, rtol=1e-4)


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
        *(("STGAN", {"stu_layers": u, "skip_layers": 2, "inject_layers": n}) for u in (0, 2) for n in (0, 1, 2)),
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
    wide(pictures(4), torch.ones(4, len(NAMES))).square().mean().backward()
    signs = kernel.grad.sign()  # the direction of Adam's first step
    assert (signs[:4] != signs[4:]).float().mean() > 0.1


def test_a_generator_is_not_widened_to_less():
    with pytest.raises(ValueError, match="width 4 cannot be widened to 3"):
        widened(MODELS["STGAN"](), 3)
