"""An edit is put back into the photo, and nothing else in it changes."""

import cv2
import numpy as np
import pytest
from frames import S, centred, moved, similarity

from stgan.frame import CELEBA_CROP
from stgan.photo.align import Alignment, align_whole
from stgan.photo.crop import crop_face
from stgan.photo.light import Light
from stgan.photo.matte import Silhouette
from stgan.photo.paste import paste_edit


@pytest.fixture(scope="module")
def portrait(astronaut) -> tuple[np.ndarray, Alignment]:
    rgb = cv2.resize(astronaut[:230, 110:340], (1400, 1400), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    rgb = np.clip(rgb + rng.normal(0, 5, rgb.shape), 0, 255).astype(np.uint8)
    return rgb, centred(690, 650, 14, 1 / 6)


def blob(x: float, y: float, radius: float, size: int = S) -> np.ndarray:
    """Float (S, S, 1): a soft disc."""
    down, across = np.indices((size, size))
    return np.clip(radius + 2 - np.hypot(across - x, down - y), 0, 4)[..., None] / 4.0


@pytest.mark.parametrize("mask", [None, np.ones((S, S))])
def test_no_change_returns_the_photo_bit_for_bit(mask, portrait):
    rgb, alignment = portrait
    output = np.random.default_rng(1).uniform(0, 255, (S, S, 3))
    pasted = paste_edit(rgb, alignment, output, output.copy(), mask)
    assert pasted is not rgb
    assert np.array_equal(pasted, rgb)


def test_without_resampling_the_paste_is_the_edit_itself(astronaut):
    rgb = crop_face(astronaut, align_whole((512, 512), S), S)
    reconstruction = rgb.astype(np.float32)
    edited = reconstruction + blob(60, 30, 20) * np.array([90.0, 40, -60]) + 8
    edited = np.clip(np.round(edited), 0, 255)
    pasted = paste_edit(rgb, align_whole(rgb.shape, S), reconstruction, edited, np.ones((S, S)))
    assert np.array_equal(pasted, edited)


def test_in_an_aligned_image_only_the_crop_changes_and_its_middle_is_the_edit(astronaut):
    image = astronaut[20:238, 140:318]
    alignment = align_whole(image.shape, 170)  # one pixel of the crop is one of the image
    reconstruction = crop_face(image, alignment, 170).astype(np.float32)
    edited = np.clip(np.round(reconstruction * 0.7 + 60), 0, 255)
    pasted = paste_edit(image, alignment, reconstruction, edited, np.ones((170, 170)))
    left, top, right, bottom = CELEBA_CROP
    changed = pasted != image
    changed[top:bottom, left:right] = False
    assert not changed.any()
    assert np.array_equal(pasted[top + 40 : bottom - 40, left + 40 : right - 40], edited[40:-40, 40:-40])


def test_outside_the_mask_nothing_changes_by_a_single_level(portrait):
    rgb, alignment = portrait
    reconstruction = crop_face(rgb, alignment, S).astype(np.float32)
    edited = np.clip(reconstruction + np.random.default_rng(2).normal(0, 40, reconstruction.shape) + 30, 0, 255)
    mask = blob(70, 50, 25)[..., 0]
    pasted = paste_edit(rgb, alignment, reconstruction, edited, mask)
    reach = cv2.warpAffine(mask, alignment.matrix, (1400, 1400), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    assert np.array_equal(pasted[reach == 0], rgb[reach == 0])
    assert (pasted[reach > 0.9] != rgb[reach > 0.9]).any(axis=1).mean() > 0.9


def test_outside_the_crop_nothing_changes(portrait):
    rgb, alignment = portrait
    reconstruction = crop_face(rgb, alignment, S).astype(np.float32)
    pasted = paste_edit(rgb, alignment, reconstruction, np.full_like(reconstruction, 255.0))
    corners = moved(np.array([(-0.5, -0.5), (127.5, -0.5), (127.5, 127.5), (-0.5, 127.5)]), alignment.inverse)
    inside = cv2.fillConvexPoly(np.zeros(rgb.shape[:2], np.uint8), np.round(corners).astype(np.int32), 1) > 0
    assert np.array_equal(pasted[~inside], rgb[~inside])


def test_noise_of_the_model_does_not_reach_the_photo(portrait):
    rgb, alignment = portrait
    reconstruction = crop_face(rgb, alignment, S).astype(np.float32)
    noise = np.random.default_rng(3).uniform(-0.8, 0.8, reconstruction.shape)
    edited = reconstruction + noise + blob(64, 90, 12) * 50
    pasted = paste_edit(rgb, alignment, reconstruction, edited)
    far = cv2.warpAffine(blob(64, 90, 30)[..., 0], alignment.matrix, (1400, 1400), flags=cv2.WARP_INVERSE_MAP) == 0
    assert np.array_equal(pasted[far], rgb[far])


@pytest.mark.parametrize(
    "change",
    [
        lambda crop: crop + blob(50, 60, 25) * np.array([40.0, 10, -30]),  # a tint
        lambda crop: crop + blob(64, 40, 20) * (220 - crop),  # something new
        lambda crop: crop * (1 - 0.5 * blob(64, 64, 30)),  # contrast
    ],
)
def test_what_is_pasted_is_what_the_model_drew(change, portrait):
    """Cropping the result again gives the edited image: pasting and cropping are each other's inverse."""
    rgb, alignment = portrait
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    edited = np.clip(change(crop), 0, 255)
    again = crop_face(paste_edit(rgb, alignment, crop, edited), alignment, S)
    assert np.abs(again - edited).mean() < 1.0
    assert np.abs(crop - edited).mean() > 2.5


@pytest.mark.parametrize("degrees", [0, 27])
def test_a_large_even_change_shows_no_seam(degrees):
    rgb = np.full((900, 900, 3), 100, np.uint8)
    alignment = centred(449.5, 449.5, degrees, 1 / 4)
    reconstruction = np.full((S, S, 3), 100.0)
    pasted = paste_edit(rgb, alignment, reconstruction, reconstruction + 60).astype(int)
    assert pasted[450, 450].tolist() == [160, 160, 160]
    assert pasted[0, 0].tolist() == [100, 100, 100]
    assert max(np.abs(np.diff(pasted, axis=axis)).max() for axis in (0, 1)) <= 3  # of 60, and a level of rounding


def test_along_the_photos_own_border_a_change_does_not_fade():
    rgb = np.full((512, 512, 3), 100, np.uint8)
    reconstruction = np.full((S, S, 3), 100.0)
    assert (paste_edit(rgb, align_whole(rgb.shape, S), reconstruction, reconstruction + 60) == 160).all()


def test_a_change_keeps_to_the_photos_edges():
    """Half of the photo takes another colour; the crop knows its border to a pixel, the photo to an eighth."""
    rgb = np.full((1024, 1024, 3), 60, np.uint8)
    rgb[:, 515:] = 190
    alignment = align_whole(rgb.shape, S)
    reconstruction = crop_face(rgb, alignment, S).astype(np.float32)
    dark = np.clip((190 - reconstruction) / 130, 0, 1)
    edited = reconstruction + dark * np.array([90.0, 50, 0])
    pasted = paste_edit(rgb, alignment, reconstruction, edited)[512].astype(int)
    assert np.abs(pasted[:512] - (150, 110, 60)).max() <= 8
    assert np.abs(pasted[518:] - 190).max() <= 8  # plain enlargement would tint some 8 pixels of it


def test_fringes_of_colour_go_and_light_and_dark_stay():
    rgb = np.full((1024, 1024, 3), 128, np.uint8)
    alignment = align_whole(rgb.shape, S)
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    stripes = np.where(np.arange(S) // 2 % 2, 40.0, -40.0)[None, :, None]  # two pixels of the crop wide
    middle = np.s_[300:700, 300:700]
    grey = np.array([0.299, 0.587, 0.114])
    fringes = stripes * (np.array([1.0, 0, 0]) - grey[0])  # red and cyan, all of one brightness
    assert np.abs(fringes @ grey).max() < 1e-6
    assert paste_edit(rgb, alignment, crop, crop + fringes)[middle].std(axis=(0, 1)).max() < 5
    assert paste_edit(rgb, alignment, crop, crop + stripes)[middle].std(axis=(0, 1)).min() > 25
    red = paste_edit(rgb, alignment, crop, crop + np.array([60.0, 0, 0]))[middle]
    assert np.abs(red.reshape(-1, 3).mean(axis=0) - (188, 128, 128)).max() < 1  # a broad colour stays as it is


def test_hair_keeps_its_strands_when_it_is_dyed_and_loses_them_when_it_is_shaved():
    rng = np.random.default_rng(4)
    strands = cv2.GaussianBlur(rng.normal(0, 1, (1024, 1024)), (0, 0), sigmaX=2, sigmaY=30)
    hair = np.clip(60 + 22 * strands / strands.std(), 0, 255)
    rgb = np.repeat(hair[..., None], 3, axis=2).astype(np.uint8)
    alignment = align_whole(rgb.shape, S)
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    middle = np.s_[300:700, 300:700]

    dyed = paste_edit(rgb, alignment, crop, np.clip(crop * 1.2 + np.array([90.0, 60, 10]), 0, 255))[middle]
    assert dyed[..., 0].mean() - dyed[..., 2].mean() > 60
    assert dyed[..., 1].std() > 0.9 * rgb[middle][..., 1].std()

    shaved = paste_edit(rgb, alignment, crop, np.full_like(crop, 1.0) * (200.0, 160, 140))[middle]
    assert np.abs(shaved.reshape(-1, 3).mean(axis=0) - (200, 160, 140)).max() < 3
    assert shaved[..., 1].std() < 0.15 * rgb[middle][..., 1].std()


def test_a_change_does_not_leave_the_person():
    """A dark person before a light wall: the model's change runs over the border by some pixels of the crop."""
    rgb = np.full((1024, 1024, 3), (150, 170, 200), np.uint8)
    rgb += np.random.default_rng(4).integers(0, 9, rgb.shape, dtype=np.uint8)
    cv2.circle(rgb, (511, 511), 150, (60, 45, 40), -1)
    alignment = centred(511.5, 511.5, 0, 1 / 4)
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    person = blob(128, 128, 37, size=256)[..., 0]  # drawn by a parser that misses the border by half a pixel
    silhouette = Silhouette(np.zeros((256, 256), np.float32), person, np.ones((256, 256), np.float32))
    edited = crop + 60 * blob(63.5, 63.5, 45)
    down, across = np.mgrid[:1024, :1024]
    distance = np.hypot(across - 511, down - 511)
    pasted = paste_edit(rgb, alignment, crop, edited, blob(63.5, 63.5, 45)[..., 0], silhouette=silhouette).astype(int)
    assert np.abs((pasted - rgb)[distance < 140] - 60).mean() < 3
    assert np.abs(pasted - rgb)[distance > 156].mean() < 2
    far = distance > 150 + 4 * 0.05 * S * 2  # wider than the zone in which the matte decides
    assert np.array_equal(pasted[far], rgb[far])


def test_in_dim_and_tinted_light_an_edit_is_the_same_but_for_the_light(portrait):
    rgb, alignment = portrait
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    edited = np.clip(crop + blob(50, 60, 25) * (230 - crop) + blob(80, 60, 20) * np.array([40.0, 10, -30]), 0, 255)
    expected = paste_edit(rgb, alignment, crop, edited)
    for gains in ((4.0, 4.0, 4.0), (1.0, 1.25, 2.0)):
        dim = np.round(rgb / np.float32(gains)).astype(np.uint8)
        pasted = paste_edit(dim, alignment, crop, edited, light=Light(gains)).astype(float)
        assert np.abs(pasted * gains - expected).mean() < 2
        assert np.percentile(np.abs(pasted - expected / np.float32(gains)), 99) < 3


def test_small_faces_can_be_pasted_too(astronaut):
    small = cv2.resize(astronaut, (128, 128), interpolation=cv2.INTER_AREA)
    alignment = Alignment(similarity(8, 4, -150, -40)[:2])  # four pixels of the crop for one of the photo
    crop = crop_face(small, alignment, S).astype(np.float32)
    pasted = paste_edit(small, alignment, crop, crop + 40)
    again = crop_face(pasted, alignment, S).astype(int)
    assert abs((again - crop)[48:80, 48:80].mean() - 40) < 3


def test_images_that_do_not_match_are_refused(portrait):
    rgb, alignment = portrait
    with pytest.raises(ValueError, match="must both be"):
        paste_edit(rgb, alignment, np.zeros((S, S, 3)), np.zeros((64, 64, 3)))


def test_new_structure_is_as_sharp_as_the_photo_around_it(portrait):
    """A pair of bars drawn at the crop's resolution, in a photo six times as fine with grain of its own."""
    rgb, alignment = portrait
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    bars = np.zeros((S, S, 1), np.float32)
    bars[58:64, 30:56] = bars[58:64, 72:98] = 1
    edited = crop + bars * (40 - crop)
    everywhere = np.ones((256, 256), np.float32)
    silhouette = Silhouette(0 * everywhere, everywhere, everywhere)
    pasted = paste_edit(rgb, alignment, crop, edited, cv2.dilate(bars, np.ones((5, 5))), silhouette=silhouette)
    enlarged = cv2.warpAffine(edited, alignment.matrix, (1400, 1400), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    inside = cv2.warpAffine(bars[..., 0], alignment.matrix, (1400, 1400), flags=cv2.WARP_INVERSE_MAP) > 0.2

    def energy(image, where):
        grey = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
        return np.sqrt((cv2.Laplacian(grey, cv2.CV_32F)[where] ** 2).mean())

    around = cv2.dilate(inside.astype(np.uint8), np.ones((61, 61))) > inside
    assert energy(enlarged, inside) < 0.5 * energy(rgb, around)
    assert 0.8 * energy(rgb, around) < energy(pasted, inside) < 2 * energy(rgb, around)
