"""Frozen generators make the edits of the generators that they are made from."""

import copy
import pickle
from unittest.mock import MagicMock

import pytest
import torch
from small_models import MODELS, NAMES, pictures, stirred

from stgan import FaceEditor
from stgan.models import STGAN, FaceParser
from stgan.models.convolutions import can_prepare
from stgan.models.frozen import frozen
from stgan.models.frozen_parser import frozen_parser
from stgan.models.parsed import FaceParts, decode_faces

needs_onednn = pytest.mark.skipif(not can_prepare(), reason="this torch has no oneDNN")
FORMS = [
    ("STGAN", {}),
    ("STGAN", {"soft_mask": True, "use_regions": True, "stu_norm": "bn"}),
    ("STGAN", {"stu_norm": "in", "label_mode": "target", "inject_layers": 1}),
    ("STGAN", {"stu_state": "gru", "stu_kernel": 5, "inject_layers": 0}),
    ("STGAN", {"stu_state": "direct", "stu_layers": 1, "use_regions": True, "width": 9, "max_width": 11}),
    ("STGAN", {"stu_layers": 0, "stu_kernel": 1}),
    ("AttGAN", {}),
    ("AttGAN", {"skip_layers": 0, "inject_layers": 2, "soft_mask": True}),
]
BOXES = ((0, 40, 0, 9), (50, 70, 60, 90), (100, 128, 126, 128), (0, 128, 33, 47))  # top, bottom, left and right


@needs_onednn
@pytest.mark.parametrize(("count", "edits"), [(1, 1), (1, 6), (3, 7), (2, 4)])
@pytest.mark.parametrize(("name", "switches"), FORMS)
@torch.no_grad()
def test_frozen_generators_make_the_same_edits(name, switches, count, edits):
    model = stirred(MODELS[name](**switches))
    weights = copy.deepcopy(model.state_dict())
    images, conditions = pictures(count), torch.randn(edits, 5) * (torch.rand(edits, 5) < 0.7)
    fast = frozen(model)
    assert fast is not model
    expected, ours = model(images, conditions, parts=True), fast(images, conditions, parts=True)
    for ours_part, part in zip(ours, expected, strict=True):
        assert (ours_part is None) == (part is None)
        if part is not None:
            assert part.std() > 0.05
            torch.testing.assert_close(ours_part, part, atol=2e-6, rtol=1e-5)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    torch.testing.assert_close(model.decode(fast.encode(images), conditions), expected.image, atol=2e-6, rtol=1e-5)
    again = pickle.loads(pickle.dumps(fast))
    assert torch.equal(again(images, conditions), ours.image)


@needs_onednn
@pytest.mark.parametrize("switches", [{}, {"stu_kernel": 5, "stu_state": "gru"}, {"stu_norm": "in"}, {"stu_layers": 1}])
@torch.no_grad()
def test_edits_are_computed_where_their_regions_lie_and_are_those_of_the_whole_image(switches, monkeypatch):
    settings = {"image_size": 128, "layers": 5, "stu_layers": 4, "skip_layers": 4, "inject_layers": 4} | switches
    model = stirred(STGAN(NAMES, width=4, max_width=12, soft_mask=True, use_regions=True, **settings))
    fast, images = frozen(model), pictures(2, 128)
    regions = torch.zeros(2, 5, 128, 128)
    for number, (top, bottom, left, right) in enumerate(BOXES):
        regions[0, number, top:bottom, left:right] = torch.rand(bottom - top, right - left)
        regions[1, number, left:right, top:bottom] = 1
    conditions = torch.eye(5).repeat_interleave(2, dim=0)
    conditions = torch.cat([conditions, conditions[:2] - conditions[2:4], torch.zeros(1, 5)])
    expected = model.decode_parts(model.encode(images), conditions, regions)
    composed = MagicMock(side_effect=fast.composed)
    monkeypatch.setattr(fast, "composed", composed)
    ours = fast.decode_parts(fast.encode(images), conditions, regions)
    for ours_part, part in zip(ours, expected, strict=True):
        torch.testing.assert_close(ours_part, part, atol=2e-6, rtol=1e-5)
    sizes = [tuple(call.args[0].shape[2:]) for call in composed.call_args_list]
    assert sizes[:2] == [(48, 16), (16, 48)]
    assert sizes[-1] == (128, 128)
    assert len(sizes) == len(conditions) - 2  # the fifth attribute has no region


@needs_onednn
@pytest.mark.parametrize(("size", "reach"), [(32, 1), (50, 1), (96, 2)])
@torch.no_grad()
def test_a_frozen_parser_sees_the_same(size, reach):
    parser = stirred(FaceParser(32))
    parser.head.weight *= 10  # untrained, it is sure of nothing
    fast, images = frozen_parser(parser), pictures(2, size)
    expected = parser.parse(images, reach)
    assert expected.std() > 0.1
    torch.testing.assert_close(fast.parse(images, reach), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fast(images, reach), parser(images, reach), atol=1e-5, rtol=1e-4)
    assert torch.equal(pickle.loads(pickle.dumps(fast)).parse(images, reach), fast.parse(images, reach))
    assert frozen_parser(fast) is fast


@torch.no_grad()
def test_what_is_not_faster_frozen_stays_itself(monkeypatch):
    class Own(STGAN):
        """May override any step."""

    own = Own(NAMES, image_size=32, width=4, layers=3, stu_layers=2)
    star = MODELS["StarGAN"]()
    assert frozen(own) is own
    assert frozen(star) is star
    monkeypatch.setattr("stgan.models.frozen.can_prepare", lambda: False)
    model = MODELS["STGAN"]()
    assert frozen(model) is model


@needs_onednn
@pytest.mark.parametrize("soft_mask", [False, True])
@torch.no_grad()
def test_edits_of_many_attributes_of_one_face_are_those_of_each_face_apart(soft_mask):
    """The layers of one face's edits are one batch; those of several faces are not."""
    model = stirred(MODELS["STGAN"](soft_mask=soft_mask, use_regions=True))
    fast, images = frozen(model), pictures(2)
    conditions = torch.tensor([[1.0, 0, 0, 0, 0], [0, 1, -1, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]])
    parts = FaceParts(torch.rand(2, 10, 32, 32).softmax(dim=1), torch.rand(2, 5, 32, 32))
    empty = torch.zeros(1, 5)

    def decoded(generator, faces, rows):
        features = generator.encode(images[faces])
        reconstruction = generator.decode(features, empty.expand(len(faces), -1))
        chosen = FaceParts(parts.classes[faces], parts.regions[faces])
        return decode_faces(generator, features, conditions[rows], chosen, reconstruction).image

    together = decoded(model, [0, 1], [0, 1, 2, 3])
    for face in (0, 1):
        apart = decoded(fast, [face], [face, face + 2])
        torch.testing.assert_close(apart, together[[face, face + 2]], atol=1e-5, rtol=1e-4)


@needs_onednn
def test_an_editor_on_a_cpu_edits_with_the_frozen_generator_and_in_bfloat16_with_its_own(editor, astronaut):
    plain = FaceEditor(editor.generator, editor.classifier, editor.detector, "cpu", dtype="bfloat16")
    assert plain.frozen is plain.generator
    assert editor.frozen is not editor.generator
    edit, prepared = {editor.names[0]: True}, editor.prepare(astronaut)
    ours = editor.edit_crops(prepared, [edit], 1.5)[0]
    with torch.inference_mode():
        theirs = editor.generator.decode(prepared.features, editor._condition(prepared, [edit], 1.5, None, False))
    assert (ours - theirs).abs().max() < 1 / 255
