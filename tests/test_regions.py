"""Regions hold what they are named after, and nothing that would give an edit away elsewhere."""

import pytest
import torch
import torch.nn.functional as F

from stgan.attributes import ATTRIBUTES, CELEBA_ATTRIBUTES, DEFAULT_ATTRIBUTES
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.models.regions import attribute_regions

LANDMARKS = dict(
    zip(("left eye", "right eye", "nose", "left mouth", "right mouth"), MEAN_LANDMARKS.tolist(), strict=True)
)
LANDMARKS |= {  # read off the mean of CelebA's aligned images
    "left brow": (69, 98), "right brow": (108, 98), "under left eye": (69, 128), "under right eye": (108, 128),
    "forehead": (88, 75), "crown": (88, 48), "upper lip": (88, 144), "chin": (88, 178), "beside the face": (150, 120),
    "corner": (35, 45), "cheek beside the mouth": (48, 146), "hair beside the brow": (22, 100),
    "neck's side": (150, 175),
}  # fmt: skip
EYES, MOUTH = ("left eye", "right eye"), ("left mouth", "right mouth")
BROWS, UNDER_EYES = ("left brow", "right brow"), ("under left eye", "under right eye")


def at(region, landmark):
    """A region's value at a landmark of CelebA's frame, by interpolation instead of the formula that drew it."""
    x, y = LANDMARKS[landmark]
    left, top, right, _ = CELEBA_CROP
    grid = torch.tensor([[[[(x + 0.5 - left) / (right - left) * 2 - 1, (y + 0.5 - top) / (right - left) * 2 - 1]]]])
    return float(F.grid_sample(region[None, None], grid, align_corners=False))


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("Eyeglasses", (*EYES, *UNDER_EYES), (*MOUTH, "forehead")),
        ("Bushy_Eyebrows", BROWS, ("nose", *MOUTH, "chin", "crown", "hair beside the brow")),
        ("Bangs", (*BROWS, "forehead"), ("nose", *MOUTH, "chin")),
        ("Mouth_Slightly_Open", MOUTH, EYES),
        ("Mustache", ("upper lip",), (*EYES, "chin", "forehead", "cheek beside the mouth")),
        ("No_Beard", (*MOUTH, "chin", "cheek beside the mouth"), (*EYES, "forehead", "beside the face")),
        ("Big_Nose", ("nose",), ()),
        ("Pale_Skin", (*EYES, "nose", *MOUTH, "forehead", "chin"), ("corner",)),
        ("Male", (*EYES, "nose", *MOUTH, "forehead", "chin"), ("corner", "neck's side")),
        ("Young", (*EYES, "nose", *MOUTH, "forehead", "chin"), ()),
        ("Bald", ("forehead", "crown"), ("nose", *MOUTH, "neck's side")),
        ("Blond_Hair", ("crown", "beside the face"), ("nose", *MOUTH)),
    ],
)
@pytest.mark.parametrize("size", [64, 128])
def test_a_region_holds_the_landmarks_of_its_attribute_and_not_those_of_others(name, inside, outside, size):
    region = attribute_regions([name], size)[0]
    assert all(at(region, landmark) > 0.99 for landmark in inside)
    assert all(at(region, landmark) < 0.05 for landmark in outside)


def test_regions_lie_alike_at_every_size_and_between_the_two_halves_of_the_face():
    small, large = (attribute_regions(CELEBA_ATTRIBUTES, size) for size in (64, 256))
    assert small.shape == (40, 64, 64)
    assert small.min() == 0
    assert small.max() == 1
    torch.testing.assert_close(F.avg_pool2d(large, 4), small, atol=0.04, rtol=0)  # .03 but where two ellipses cross
    # CelebA's crop holds the face within a pixel of its middle, so the halves mirror each other.
    torch.testing.assert_close(large, large.flip(2), atol=0.3, rtol=0)


def test_an_attribute_without_a_place_may_change_everything_and_the_papers_thirteen_all_have_one():
    assert (attribute_regions(["Smile_Lines"], 32) == 1).all()
    assert all(ATTRIBUTES[name].place for name in DEFAULT_ATTRIBUTES)
