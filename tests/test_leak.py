"""Change outside of an edit's region: a mask drawn by hand, and an editor whose change is known."""

import pytest
import torch
from editors import ATTRIBUTES, SIZE, BlockJudge, people
from torch.nn.functional import interpolate

from stgan.data.masks import UNKNOWN
from stgan.evaluation.edits import Editing
from stgan.evaluation.leak import PARTS, Part, measure_leak, part_area
from stgan.models import Edit, Generator
from stgan.models.parser import PARSER_CLASSES

HAIR, SKIN = PARSER_CLASSES.index("hair"), PARSER_CLASSES.index("skin")


class Brightener(Generator):
    """Adds two levels within a square whenever it edits anything."""

    def __init__(self, rows, columns):
        super().__init__(ATTRIBUTES, SIZE, "difference", soft_mask=False, use_regions=False)
        self.rows, self.columns = rows, columns

    def encode(self, image):
        return image

    def decode_parts(self, features, condition):
        image = features.clone()
        image[:, :, self.rows, self.columns] += 2 * 2 / 255 * (condition != 0).any(dim=1).float()[:, None, None, None]
        return Edit(image, image, None)


@pytest.fixture
def faces():
    images = people(3)[0] // 2
    masks = torch.zeros(3, SIZE, SIZE, dtype=torch.uint8)
    masks[:, :10] = HAIR
    masks[:, 10:20, 8:24] = SKIN
    masks[:, -4:] = UNKNOWN
    return images, masks


def test_change_outside_the_region_is_averaged_over_what_is_outside_and_known(faces, monkeypatch):
    images, masks = faces
    monkeypatch.setitem(PARTS, "Black_Hair", (Part(("hair",), margin=0),))
    found = measure_leak(Editing(Brightener(slice(6, 14), slice(0, 16))), BlockJudge(), images, masks)
    # Rows 6 to 9 are hair; rows 10 to 13 are not: 4 x 16 pixels change by two levels outside.
    outside = SIZE * SIZE - 10 * SIZE - 4 * SIZE
    assert found["Black_Hair"] == pytest.approx(2 * 4 * 16 / outside)
    hidden = measure_leak(Editing(Brightener(slice(-4, None), slice(0, SIZE))), BlockJudge(), images, masks)
    assert hidden["Black_Hair"] == 0


def test_the_region_is_that_of_all_that_changes(faces, monkeypatch):
    images, masks = faces
    monkeypatch.setattr("stgan.evaluation.flips.PAIRS", (("Black_Hair", "Young"),))
    monkeypatch.setitem(PARTS, "Black_Hair", (Part(("hair",), margin=0),))
    monkeypatch.setitem(PARTS, "Young", (Part(("skin",), margin=0),))
    found = measure_leak(Editing(Brightener(slice(0, SIZE), slice(0, SIZE))), BlockJudge(), images, masks)
    assert found["Black_Hair"] == pytest.approx(2)
    only = measure_leak(Editing(Brightener(slice(10, 20), slice(8, 24))), BlockJudge(), images, masks)
    assert only["Young"] == only["Black_Hair, Young"] == 0
    assert only["Black_Hair"] > 0


def test_parts_are_widened_and_cut_at_their_heights():
    masks = torch.zeros(1, 170, 170, dtype=torch.uint8)
    masks[0, 60, 60] = HAIR
    eye_distance = 38.7  # at one pixel of the crop per pixel of the aligned frame
    area = part_area(masks, (Part(("hair",), margin=0.25),))[0]
    radius = round(0.25 * eye_distance)
    rows, columns = area.nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60 - radius, 60 + radius) * 2
    masks[:] = SKIN
    below = part_area(masks, (Part(("skin",), margin=0, top=0.5),))[0]
    first = int(below.any(dim=1).nonzero()[0])
    assert first == pytest.approx(111.25 - 26 + 0.5 * eye_distance, abs=1)


def test_a_larger_mask_has_the_same_region(faces):
    masks = faces[1]
    large = interpolate(masks[:, None].float(), scale_factor=4).to(torch.uint8)[:, 0]
    for name in ("Bald", "Eyeglasses", "No_Beard"):
        small, big = part_area(masks, PARTS[name]), part_area(large, PARTS[name])
        assert abs(small.float().mean() - big.float().mean()) < 0.05
