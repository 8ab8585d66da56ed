"""Regions hold what they are named after, and nothing that would give an edit away elsewhere."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stgan.attributes import ATTRIBUTES, CELEBA_ATTRIBUTES, DEFAULT_ATTRIBUTES
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.models import PARSER_CLASSES
from stgan.models.regions import around, attribute_regions, cheek_pixels, hold_skin, parsed_regions

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
    assert (parsed_regions(parsed_face(), ["Wearing_Hat", "Green"]) == 1).all()
    assert all(ATTRIBUTES[name].place for name in DEFAULT_ATTRIBUTES)


# ------------------------------------------------------------------------------------------- what a parser narrows down


def parsed_face(size: int = 256, **areas) -> torch.Tensor:
    """Classes (1, 10, S, S) of a drawn face: rectangles (left, top, right, bottom) in hundredths of the crop's side."""
    drawn = {
        "hair": (20, 5, 80, 60), "skin": (30, 25, 70, 85), "eyes": (35, 46, 65, 52), "mouth": (42, 73, 58, 79),
        "neck": (38, 85, 62, 96), "clothes": (10, 96, 90, 100),
    } | areas  # fmt: skip
    classes = torch.zeros(size, size, dtype=torch.long)
    for name, box in drawn.items():
        left, top, right, bottom = (round(value * size / 100) for value in box)
        classes[top:bottom, left:right] = PARSER_CLASSES.index(name)
    return F.one_hot(classes, len(PARSER_CLASSES)).permute(2, 0, 1)[None].float()


def shown(face: torch.Tensor, *names: str) -> np.ndarray:
    return sum(face[0, PARSER_CLASSES.index(name)] for name in names).numpy()


def widened(area: np.ndarray, wider: int, softer: int) -> np.ndarray:
    """By OpenCV, whose blur reflects at the border where ours averages what there is."""
    grown = cv2.dilate(area, np.ones((2 * wider + 1, 2 * wider + 1)))
    return cv2.blur(grown, (2 * softer + 1, 2 * softer + 1), borderType=cv2.BORDER_REPLICATE)


INNER = np.s_[16:-16, 16:-16]  # away from the crop's border


def test_hair_colours_change_the_hair_and_a_little_around_it():
    face = parsed_face()
    region = parsed_regions(face, ["Black_Hair"])[0, 0].numpy()
    np.testing.assert_allclose(region[INNER], widened(shown(face, "hair"), 4, 3)[INNER], atol=1e-5)
    assert region[shown(face, "mouth", "neck") > 0].max() == 0


def test_edits_of_the_face_keep_to_their_ellipses_and_to_the_person():
    face = parsed_face()
    for name in ("Eyeglasses", "Male", "Bangs", "Mustache"):
        region = parsed_regions(face, [name])[0, 0]
        person = widened(shown(face, "hair", "skin", "eyes", "mouth", "neck"), 8, 6)
        expected = attribute_regions([name], 256)[0].numpy() * person
        np.testing.assert_allclose(region.numpy()[INNER], expected[INNER], atol=1e-5)


def test_baldness_reaches_all_hair_and_the_scalp_but_not_the_inner_face():
    long_hair = parsed_face(hair=(20, 5, 80, 90))
    region = parsed_regions(long_hair, ["Bald"])[0, 0]
    assert all(at(region, landmark) < 0.05 for landmark in ("nose", "left mouth", "right mouth"))
    assert all(at(region, landmark) > 0.99 for landmark in ("crown", "forehead"))
    assert region[round(0.88 * 256), round(0.22 * 256)] > 0.99  # hair on the shoulder, far below the ellipse
    assert region[10:, :20].max() == 0  # the wall


def test_pale_skin_changes_skin_alone():
    face = parsed_face()
    region = parsed_regions(face, ["Pale_Skin"])[0, 0].numpy()
    assert region[int(0.65 * 256), 128] == 1
    assert region[shown(face, "eyes") > 0].max() < 0.5
    assert region[int(0.49 * 256), 128] == 0
    assert region[shown(face, "hair", "clothes") > 0].mean() < 0.05


@pytest.mark.parametrize("name", DEFAULT_ATTRIBUTES)
def test_a_hat_is_never_changed(name):
    face = parsed_face(hat=(15, 0, 85, 22))
    region = parsed_regions(face, [name])[0, 0].numpy()
    inside = cv2.erode(shown(face, "hat"), np.ones((3, 3))) > 0
    assert region[inside].max() == 0


def test_parsed_regions_are_alike_at_every_size():
    small, large = (parsed_regions(parsed_face(size), DEFAULT_ATTRIBUTES) for size in (128, 256))
    assert small.shape == (1, 13, 128, 128)
    difference = (small - F.avg_pool2d(large, 2)).abs()
    assert difference.mean() < 0.01
    assert (difference > 0.3).float().mean() < 0.005  # borders of a pixel or two cannot be half as wide


def test_each_image_has_its_own_regions():
    faces = torch.cat([parsed_face(), parsed_face(hair=(0, 0, 10, 10))])
    together = parsed_regions(faces, DEFAULT_ATTRIBUTES)
    for number in range(2):
        torch.testing.assert_close(together[number], parsed_regions(faces[number : number + 1], DEFAULT_ATTRIBUTES)[0])


def test_cheeks_are_skin_beside_the_nose():
    cheeks = cheek_pixels(parsed_face())[0]
    rows, columns = torch.nonzero(cheeks, as_tuple=True)
    assert 0.55 < rows.float().mean() / 256 < 0.75
    assert (columns < 128).any()
    assert (columns > 128).any()
    assert not cheeks[:, 110:146].any()  # the nose
    assert not cheek_pixels(parsed_face(hair=(0, 0, 100, 100), skin=(0, 0, 0, 0))).any()


def test_skin_keeps_its_colour_where_an_edit_may_change_it():
    face, region = parsed_face(), torch.ones(1, 1, 256, 256)
    region[..., 200:, :] = 0
    source = torch.rand(1, 3, 256, 256) * 0.5 - 0.25
    shift = torch.tensor([0.3, -0.2, 0.1]).reshape(1, 3, 1, 1)
    edited = source + shift * region
    held = hold_skin(edited, source, face, region)
    skin, hair = (torch.from_numpy(cv2.erode(shown(face, name), np.ones((9, 9)))) > 0 for name in ("skin", "hair"))
    torch.testing.assert_close(held[:, :, skin], source[:, :, skin])
    torch.testing.assert_close(held[:, :, hair], edited[:, :, hair])
    torch.testing.assert_close(held[:, :, 200:], source[:, :, 200:])


def test_a_beard_on_the_cheeks_does_not_count_as_their_colour():
    """The median: what covers less than half of the cheeks shifts nothing."""
    face, region = parsed_face(), torch.ones(1, 1, 256, 256)
    source = torch.zeros(1, 3, 256, 256)
    rows = torch.nonzero(cheek_pixels(face)[0])[:, 0].float()
    edited = source.clone()
    edited[:, :, int(rows.median()) + 2 :] = -0.8
    torch.testing.assert_close(hold_skin(edited, source, face, region), edited)


def test_a_face_without_visible_cheeks_stays_as_edited():
    face, region = parsed_face(hair=(0, 0, 100, 100), skin=(0, 0, 0, 0)), torch.ones(1, 1, 256, 256)
    edited = torch.rand(1, 3, 256, 256)
    assert torch.equal(hold_skin(edited, torch.zeros_like(edited), face, region), edited)


@pytest.mark.parametrize(("wider", "softer"), [(0, 1), (8, 6), (40, 3)])
def test_areas_grow_and_soften_as_by_pools(wider, softer):
    areas = torch.rand(2, 256, 256)
    pooled = areas[:, None]
    if wider:
        pooled = F.max_pool2d(pooled, 2 * wider + 1, stride=1, padding=wider)
    pooled = F.avg_pool2d(pooled, 2 * softer + 1, stride=1, padding=softer, count_include_pad=False)
    torch.testing.assert_close(around(areas, wider, softer), pooled[:, 0])
