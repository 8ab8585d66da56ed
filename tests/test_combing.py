"""Drawn hair gets lines as fine as the photo's own hair, along its strands and nowhere else."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.drawing.combing import comb, curliness
from stgan.photo.light import Light
from stgan.photo.matte import Silhouette, in_the_window

DETAIL = 3  # pixels of the photo per pixel of the crop
SIDE = 2 * DETAIL * S
EVERYWHERE = np.ones((2 * S, 2 * S), np.float32)
PERSON = Silhouette(EVERYWHERE, EVERYWHERE, EVERYWHERE)


def strands(shape, angle, seed=0, across=1.0, along=14.0):
    """Parallel strands at an angle in degrees, with mean 0 and deviation 1."""
    size = 2 * max(shape)
    noise = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=along, sigmaY=across)
    turned = cv2.warpAffine(noise, cv2.getRotationMatrix2D((size / 2, size / 2), -angle, 1), (size, size))
    middle = turned[size // 4 : size // 4 + shape[0], size // 4 : size // 4 + shape[1]]
    return middle / middle.std()


@pytest.fixture(scope="module")
def scene():
    """Sharp hair on the left half of a photo, soft hair that was drawn on the right, at 60 degrees, in its crop."""
    alignment = centred(SIDE / 2 - 0.5, SIDE / 2 - 0.5, 0, 1 / DETAIL)
    rgb = 90 + 14 * strands((SIDE, SIDE), 20)
    soft = 90 + 14 * cv2.resize(strands((SIDE // DETAIL,) * 2, 60, 1, 1.5), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    rgb[:, SIDE // 2 :] = soft[:, SIDE // 2 :]
    rgb = np.repeat(rgb.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    drawn = np.repeat(90 + 14 * strands((S, S), 60, 1, 1.5)[..., None], 3, axis=2).astype(np.float32)
    hair, new = np.zeros((S, S), np.float32), np.zeros((S, S), np.float32)
    hair[:, : S // 2], new[:, S // 2 :] = 1, 1
    return rgb, alignment, drawn, new, hair


def angle_of(image):
    across, down = (cv2.Sobel(image, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    vectors = (down**2 - across**2).sum(), (-2 * across * down).sum()
    return np.rad2deg(np.arctan2(vectors[1], vectors[0]) / 2) % 180


def fine(image):
    logarithm = np.log(image[..., 0].astype(np.float32) + 16)
    return logarithm - cv2.GaussianBlur(logarithm, (0, 0), 0.8 * DETAIL)


def test_lines_run_along_drawn_strands_and_are_as_strong_as_those_of_the_photo(scene):
    rgb, alignment, drawn, new, hair = scene
    result = comb(rgb, alignment, drawn, new, hair, PERSON)
    inner = SIDE // 2 - SIDE // 8, SIDE // 2 + SIDE // 8
    right = np.s_[inner[0] : inner[1], SIDE // 2 + 12 : inner[1]]
    left = np.s_[inner[0] : inner[1], inner[0] : SIDE // 2 - 12]
    change = (result.astype(np.float32) - rgb)[right][..., 0]
    assert angle_of(change) == pytest.approx(angle_of(drawn[..., 0][:, S // 2 :]), abs=8)
    before, after, own = (
        np.abs(fine(image)[part]).mean() for image, part in ((rgb, right), (result, right), (rgb, left))
    )
    assert before < 0.6 * own
    assert after == pytest.approx(own, rel=0.25)


def test_lines_of_hair_in_another_colour_are_as_strong_as_those_that_were_there(scene):
    _, alignment, drawn, new, hair = scene
    dark = 40 + 8 * strands((SIDE, SIDE), 60, 3)
    dark = np.repeat(dark.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    light = np.full_like(dark, 150)
    result = comb(light, alignment, drawn, new + hair, new + hair, PERSON, before=dark)
    middle = np.s_[SIDE // 2 - SIDE // 8 : SIDE // 2 + SIDE // 8, SIDE // 2 + 12 : SIDE // 2 + SIDE // 8]

    def levels(image):
        grey = image[..., 0].astype(np.float32)
        return np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 0.8 * DETAIL))[middle].mean()

    assert levels(light) < 1e-3
    assert levels(result) == pytest.approx(levels(dark), rel=0.2)
    assert np.array_equal(comb(light, alignment, drawn, new, hair, PERSON, before=light), light)


def test_nothing_changes_where_no_hair_was_drawn_or_none_is_missing(scene):
    rgb, alignment, drawn, new, hair = scene
    result = comb(rgb, alignment, drawn, new, hair, PERSON)
    assert np.array_equal(result[:, : SIDE // 2 - DETAIL], rgb[:, : SIDE // 2 - DETAIL])
    assert np.array_equal(comb(rgb, alignment, drawn, 0 * new, hair, PERSON), rgb)
    small = cv2.resize(rgb, (SIDE // DETAIL // 2,) * 2, interpolation=cv2.INTER_AREA)  # half of the crop's resolution
    middle = SIDE / DETAIL / 4 - 0.5
    assert np.array_equal(comb(small, centred(middle, middle, 0, 2), drawn, new, hair, PERSON), small)


def test_in_dim_light_lines_are_as_dim(scene):
    rgb, alignment, drawn, new, hair = scene
    dim = np.round(rgb / 2).astype(np.uint8)
    bright, dark = (comb(image, alignment, drawn, new, hair, PERSON, light=light).astype(np.float32) - image
                    for image, light in ((rgb, Light((1.0, 1.0, 1.0))), (dim, Light((2.0, 2.0, 2.0)))))  # fmt: skip
    assert np.abs(dark).mean() == pytest.approx(np.abs(bright).mean() / 2, rel=0.1)


def test_curls_are_told_from_parallel_strands():
    rng = np.random.default_rng(3)
    curls = cv2.GaussianBlur(rng.normal(size=(S, S)), (0, 0), 1.5)
    every = np.ones((S, S), np.float32)
    levels = [curliness(np.repeat((60 + 12 * each / each.std())[..., None], 3, axis=2), every)
              for each in (strands((S, S), 35), curls)]  # fmt: skip
    assert levels[0] < 0.3
    assert levels[1] > 0.5
    assert curliness(np.zeros((S, S, 3)), 0 * every) == 0


def test_no_line_leaves_the_person(scene):
    rgb, alignment, drawn, new, hair = scene
    head = np.zeros((S, S), np.float32)
    head[S // 2 :] = 1  # and a wall above, on which a network drew hair, too
    person = Silhouette(EVERYWHERE, in_the_window(head, 2 * S), EVERYWHERE)
    change = np.abs(comb(rgb, alignment, drawn, new, hair, person).astype(int) - rgb).max(axis=2)
    middle, drawn_side = SIDE // 2, np.s_[SIDE // 2 + 12 : SIDE // 2 + SIDE // 8]
    assert change[: middle - 3 * DETAIL].max() == 0
    assert change[middle + 3 * DETAIL : middle + SIDE // 8, drawn_side].mean() > 1
