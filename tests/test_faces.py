"""Faces are found, brought into the training frame, and put back with nothing changed but the edit."""

import csv
import io
import math
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo import faces
from stgan.photo.faces import (
    Alignment,
    Face,
    FaceDetector,
    FaceError,
    align_face,
    align_whole,
    check_editable,
    choose_face,
    crop_face,
    looks_aligned,
    yunet_path,
)
from stgan.photo.paste import paste_edit

SHARED = Path(__file__).resolve().parents[2] / "shared"
YUNET = SHARED / "face_detection_yunet_2026may.onnx"
S = 128


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()  # 512 x 512, one face, eyes near (205, 110) and (245, 110)


@pytest.fixture(scope="module")
def haar() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def yunet() -> FaceDetector:
    if not YUNET.is_file():
        pytest.skip(f"needs {YUNET.name} in ../shared")
    return FaceDetector(YUNET)


@pytest.fixture
def detector(request) -> FaceDetector:
    return request.getfixturevalue(request.param)


both = pytest.mark.parametrize("detector", ["haar", "yunet"], indirect=True)


def similarity(degrees: float, scale: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    cos, sin = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def frame_to_crop(size: int) -> np.ndarray:
    """The definition: x_crop = (x_frame + 0.5 - 3) * S / 170 - 0.5, and likewise down."""
    k = size / 170
    return np.array([[k, 0, (0.5 - 3) * k - 0.5], [0, k, (0.5 - 26) * k - 0.5], [0, 0, 1]])


FRAME_POINTS = np.array([(20, 20), (158, 20), (20, 198), (158, 198), (88.5, 108.5)])


def distance_of_frames(one: np.ndarray, other: np.ndarray) -> float:
    """How far apart two alignments (photo to crop of side S) put four corners and the middle, in eye distances."""
    points = moved(moved(FRAME_POINTS, frame_to_crop(S)), np.linalg.inv(np.vstack([one[:2], (0, 0, 1)])))
    back = moved(moved(points, other), np.linalg.inv(frame_to_crop(S)))
    return float(np.linalg.norm(back - FRAME_POINTS, axis=1).mean() / 38.7)


# ---------------------------------------------------------------------------------------------------------- alignment


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (35, 4.2), (-170, 0.3)])
@pytest.mark.parametrize("known", [(0, 1, 2, 3, 4), (0, 1), (0, 1, 3, 4)])
def test_alignment_undoes_any_similarity_of_the_mean_face(size, degrees, scale, known):
    to_photo = similarity(degrees, scale, 321.5, -45.25)
    landmarks = np.full((5, 2), np.nan)
    landmarks[list(known)] = moved(MEAN_LANDMARKS, to_photo)[list(known)]
    alignment = align_face(Face((0, 0, 1, 1), landmarks, 1.0), size)
    expected = frame_to_crop(size) @ np.linalg.inv(to_photo)
    assert np.allclose(alignment.matrix, expected[:2], atol=1e-9)
    assert alignment.matrix.dtype == np.float64
    assert np.allclose(np.vstack([alignment.inverse, (0, 0, 1)]) @ expected, np.eye(3), atol=1e-9)
    assert math.isclose(alignment.scale, size / 170 / scale)


def test_two_eyes_land_on_the_mean_eyes_whatever_their_place():
    landmarks = np.full((5, 2), np.nan)
    landmarks[:2] = (310.0, 95.0), (402.5, 150.0)
    matrix = align_face(Face((0, 0, 1, 1), landmarks, 1.0), S).matrix
    assert np.allclose(moved(landmarks[:2], matrix), moved(MEAN_LANDMARKS[:2], frame_to_crop(S)))


def test_noisy_landmarks_are_met_as_well_as_least_squares_can():
    rng = np.random.default_rng(0)
    landmarks = moved(MEAN_LANDMARKS, similarity(10, 2)) + rng.normal(0, 4, (5, 2))
    best = align_face(Face((0, 0, 1, 1), landmarks, 1.0), 170).matrix
    target = moved(MEAN_LANDMARKS, frame_to_crop(170))

    def loss(matrix: np.ndarray) -> float:
        return float((faces.LANDMARK_WEIGHTS * ((moved(landmarks, matrix) - target) ** 2).sum(axis=1)).sum())

    for _ in range(200):
        nudge = similarity(rng.normal(0, 0.3), 1 + rng.normal(0, 0.003), *rng.normal(0, 0.3, 2))
        assert loss((nudge @ np.vstack([best, (0, 0, 1)]))[:2]) >= loss(best)


def test_a_bare_box_is_aligned_by_the_usual_place_of_the_eyes():
    matrix = align_face(Face((100.0, 50.0, 300.0, 250.0), None, 1.0), S).matrix
    eyes = np.array([(100 + 200 * 0.314, 50 + 200 * 0.377), (100 + 200 * 0.675, 50 + 200 * 0.383)])
    assert np.allclose(moved(eyes, matrix), moved(MEAN_LANDMARKS[:2], frame_to_crop(S)))


@pytest.mark.parametrize("landmarks", [np.full((5, 2), np.nan), np.zeros((5, 2))])
def test_landmarks_that_say_nothing_are_refused(landmarks):
    with pytest.raises(FaceError):
        align_face(Face((0, 0, 1, 1), landmarks, 1.0), S)


def test_only_celebas_own_size_looks_aligned():
    assert looks_aligned((218, 178, 3))
    assert not looks_aligned((178, 218))
    assert not looks_aligned((178, 178, 3))


def test_whole_photos_are_taken_by_celebas_crop_or_entirely():
    assert np.allclose(align_whole((218, 178, 3), S).matrix, frame_to_crop(S)[:2])
    wide = align_whole((300, 600), S)
    outer = np.array([(-0.5, -0.5), (599.5, 299.5)])
    assert np.allclose(moved(outer, wide.matrix), [(-0.5, 31.5), (127.5, 95.5)])


# --------------------------------------------------------------------------------------------------------------- crop


@pytest.mark.parametrize("size", [64, 128, 170, 256])
def test_crop_of_an_aligned_image_is_pillows_crop_and_bicubic(size, astronaut):
    image = astronaut[20:238, 140:318]
    expected = Image.fromarray(image).crop(CELEBA_CROP).resize((size, size), Image.Resampling.BICUBIC)
    assert np.array_equal(crop_face(image, align_whole(image.shape, size), size), np.asarray(expected))


def test_crop_of_a_whole_photo_is_pillows_resize_with_the_border_repeated(astronaut):
    expected = Image.fromarray(astronaut).resize((S, S), Image.Resampling.BICUBIC)
    assert np.array_equal(crop_face(astronaut, align_whole((512, 512), S), S), np.asarray(expected))
    wide = astronaut[:256]
    padded = np.pad(wide, ((128, 128), (0, 0), (0, 0)), mode="edge")
    expected = Image.fromarray(padded).resize((S, S), Image.Resampling.BICUBIC)
    assert np.array_equal(crop_face(wide, align_whole(wide.shape, S), S), np.asarray(expected))


@pytest.mark.parametrize("shape", [(512, 130), (130, 512), (300, 200)])
@pytest.mark.parametrize("beyond", [0, 40])
def test_filling_up_after_shrinking_gives_what_filling_up_before_gives(shape, beyond, astronaut):
    photo = astronaut[: shape[0], : shape[1]]
    side = max(shape) + 2 * beyond
    borders = [((side - length) // 2, side - length - (side - length) // 2) for length in shape]
    expected = Image.fromarray(np.pad(photo, (*borders, (0, 0)), mode="edge")).resize((S, S), Image.Resampling.BICUBIC)
    shift = similarity(0, 1, borders[1][0] + 0.5, borders[0][0] + 0.5)
    matrix = similarity(0, S / side, -0.5, -0.5) @ shift
    difference = np.abs(crop_face(photo, Alignment(matrix[:2]), S).astype(int) - np.asarray(expected))
    high = shape[0] > shape[1]  # shrunk down before across, where Pillow clips and rounds in between
    assert difference.max() <= (8 if high else 0)
    assert difference.mean() < 0.2


@pytest.mark.parametrize("shape", [(1, 6000), (6000, 1)])
def test_a_long_narrow_photo_needs_no_square_of_its_length(shape):
    along = (np.arange(6000) * 255 / 6000).astype(np.uint8)
    rgb = np.repeat(along.reshape(*shape, 1), 3, axis=2)
    tracemalloc.start()
    crop = crop_face(rgb, align_whole(shape, S), S)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20e6  # bytes; the square has 108e6
    lengthwise = crop if shape[0] == 1 else crop.transpose(1, 0, 2)
    assert np.abs(lengthwise - (np.arange(S) + 0.5)[:, None] * 255 / S).max() < 2


@pytest.mark.parametrize("enlarged", [0.5, 1, 3, 9])
def test_crop_does_not_depend_on_the_photos_size_or_tilt(enlarged, astronaut):
    """The same face, upright and as it is, or tilted in a photo of another size."""
    upright = similarity(0, 0.6, -90, -30)  # photo to crop
    expected = crop_face(astronaut, Alignment(upright[:2]), S).astype(int)
    side = round(360 * enlarged)
    to_other = similarity(0, enlarged, (enlarged - 1) / 2, (enlarged - 1) / 2) @ similarity(-25, 1, 0, 130)
    other = cv2.warpAffine(
        cv2.GaussianBlur(astronaut, (0, 0), 0.8) if enlarged < 1 else astronaut,
        to_other[:2],
        (side, side),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    crop = crop_face(other, Alignment((upright @ np.linalg.inv(to_other))[:2]), S)
    inner = np.s_[24:104, 24:104]
    assert np.abs(crop - expected)[inner].mean() < (4.5 if enlarged < 1 else 2.5)


@pytest.mark.parametrize("density", [2.7, 5.3, 14.4])
@pytest.mark.parametrize("degrees", [0, 31])
def test_shrinking_does_not_alias(density, degrees):
    """A checkerboard of single pixels is an even grey from afar."""
    side = round(2 * density * 64)
    board = ((np.indices((side, side)).sum(axis=0) % 2) * 255).astype(np.uint8)
    rgb = np.repeat(board[..., None], 3, axis=2)
    centre = (side - 1) / 2
    matrix = similarity(0, 1, 31.5, 31.5) @ similarity(degrees, 1 / density) @ similarity(0, 1, -centre, -centre)
    crop = crop_face(rgb, Alignment(matrix[:2]), 64)
    assert np.abs(crop.astype(int) - 127).max() <= 16  # read pixel by pixel it would be 127


def test_a_face_at_the_photos_edge_is_filled_with_its_border(astronaut):
    matrix = similarity(20, 0.5, 60, 40)[:2]
    crop = crop_face(np.full_like(astronaut, 90), Alignment(matrix), S)
    assert (crop == 90).all()
    outside = crop_face(astronaut, Alignment(similarity(20, 0.5, 5000, 40)[:2]), S)
    assert outside.shape == (S, S, 3)


@pytest.mark.parametrize("rgb", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
def test_other_arrays_are_no_photos(rgb, haar):
    with pytest.raises(ValueError, match="open_photo"):
        crop_face(rgb, align_whole((9, 9), S), S)
    with pytest.raises(ValueError, match="open_photo"):
        haar.detect(rgb)


# -------------------------------------------------------------------------------------------------------------- paste


@pytest.fixture(scope="module")
def portrait(astronaut) -> tuple[np.ndarray, Alignment]:
    """A photo of 1400 pixels with a tilted face of about 6 pixels per pixel of the crop."""
    rgb = cv2.resize(astronaut[:230, 110:340], (1400, 1400), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    rgb = np.clip(rgb + rng.normal(0, 5, rgb.shape), 0, 255).astype(np.uint8)
    matrix = similarity(0, 1, 63.5, 63.5) @ similarity(14, 1 / 6) @ similarity(0, 1, -690, -650)
    return rgb, Alignment(matrix[:2])


def blob(x: float, y: float, radius: float, size: int = S) -> np.ndarray:
    """Float (S, S, 1): a soft disc."""
    down, across = np.indices((size, size))
    return np.clip(radius + 2 - np.hypot(across - x, down - y), 0, 4)[..., None] / 4.0


@pytest.mark.parametrize("hair", [None, np.ones((S, S))], ids=["anything", "hair"])
@pytest.mark.parametrize("mask", [None, np.ones((S, S))])
def test_no_change_returns_the_photo_bit_for_bit(mask, hair, portrait):
    rgb, alignment = portrait
    output = np.random.default_rng(1).uniform(0, 255, (S, S, 3))
    pasted = paste_edit(rgb, alignment, output, output.copy(), mask, hair=hair)
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


@pytest.mark.parametrize("hair", [None, np.ones((S, S))], ids=["anything", "hair"])
def test_outside_the_mask_nothing_changes_by_a_single_level(hair, portrait):
    rgb, alignment = portrait
    reconstruction = crop_face(rgb, alignment, S).astype(np.float32)
    edited = np.clip(reconstruction + np.random.default_rng(2).normal(0, 40, reconstruction.shape) + 30, 0, 255)
    mask = blob(70, 50, 25)[..., 0]
    pasted = paste_edit(rgb, alignment, reconstruction, edited, mask, hair=hair)
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


@pytest.mark.parametrize("hair", [None, np.ones((S, S))], ids=["anything", "hair"])
@pytest.mark.parametrize("degrees", [0, 27])
def test_a_large_even_change_shows_no_seam(degrees, hair):
    rgb = np.full((900, 900, 3), 100, np.uint8)
    matrix = similarity(0, 1, 63.5, 63.5) @ similarity(degrees, 1 / 4) @ similarity(0, 1, -449.5, -449.5)
    reconstruction = np.full((S, S, 3), 100.0)
    pasted = paste_edit(rgb, Alignment(matrix[:2]), reconstruction, reconstruction + 60, hair=hair).astype(int)
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


def test_recoloured_hair_keeps_to_what_has_its_colour():
    """A disc of hair before a wall. The mask is open on the hair and half open in a rim around it, as masks are."""
    rgb = np.full((512, 512, 3), (120, 140, 170), np.uint8)
    rgb += np.random.default_rng(4).integers(0, 9, rgb.shape, dtype=np.uint8)
    cv2.circle(rgb, (256, 256), 120, (40, 30, 25), -1)
    alignment = align_whole(rgb.shape, S)
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    mask = np.maximum(blob(63.5, 63.5, 30), 0.6 * blob(63.5, 63.5, 38))[..., 0]
    edited = crop + mask[..., None] * ((210, 180, 110) - crop)
    down, across = np.mgrid[:512, :512]
    distance = np.hypot(across - 255.5, down - 255.5)
    rim, disc = (distance > 128) & (distance < 148), distance < 112
    plain = paste_edit(rgb, alignment, crop, edited, mask)
    kept = paste_edit(rgb, alignment, crop, edited, mask, hair=np.ones((S, S)))
    half = paste_edit(rgb, alignment, crop, edited, mask, hair=np.repeat(np.arange(S) < S // 2, S).reshape(S, S))

    def moved_by(pasted):
        return np.abs(pasted.astype(int) - rgb).max(axis=2)

    assert moved_by(plain)[rim].mean() > 30
    assert moved_by(kept)[rim].mean() < 6
    assert np.abs(kept[disc].astype(int) - plain[disc]).mean() < 2  # the hair itself is as blond
    assert moved_by(half)[:200][rim[:200]].mean() < 6
    assert np.abs(half[312:].astype(int) - plain[312:]).mean() < 0.5  # something else is edited too: the mask holds


def test_a_collar_of_the_hairs_colour_and_a_wall_of_another_keep_theirs():
    """Dark hair and clothes before a light wall; the photo goes on beyond the crop. The mask is open on the hair and,
    from the eyes down, on everything, as masks are."""
    rgb = np.full((1024, 1024, 3), (120, 140, 170), np.uint8)
    for part in (np.s_[150:420, 300:724], np.s_[700:900, 430:594]):  # hair, collar
        rgb[part] = (40, 30, 25)
    rgb += np.random.default_rng(4).integers(0, 9, rgb.shape, dtype=np.uint8)
    matrix = similarity(0, 1, 63.5, 63.5) @ similarity(0, 1 / 4) @ similarity(0, 1, -511.5, -511.5)
    alignment = Alignment(matrix[:2])
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    mask = (crop.mean(axis=2) < 90).astype(np.float32)
    mask[S // 2 :] = 1
    edited = crop + 60 * mask[..., None]
    pasted = paste_edit(rgb, alignment, crop, edited, mask, hair=np.ones((S, S))).astype(int) - rgb
    assert pasted[280:400, 330:690].mean() > 50  # within the crop
    assert pasted[200:240, 400:600].mean() > 25  # carried on beyond it
    assert np.abs(pasted[720:740, 450:570]).mean() < 3  # the collar within
    assert np.abs(pasted[790:880, 450:570]).mean() < 1  # and beyond
    assert np.abs(pasted[400:600, 790:900]).mean() < 1  # the wall


def test_hair_at_the_sides_alone_is_carried_on_too():
    """Where the mask is closed above the eyes there are no colours to compare with."""
    rgb = np.full((1024, 1024, 3), (120, 140, 170), np.uint8)
    rgb[540:900, 280:400] = (40, 30, 25)
    matrix = similarity(0, 1, 63.5, 63.5) @ similarity(0, 1 / 4) @ similarity(0, 1, -511.5, -511.5)
    alignment = Alignment(matrix[:2])
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    mask = (crop.mean(axis=2) < 90).astype(np.float32)
    pasted = paste_edit(rgb, alignment, crop, crop + 60 * mask[..., None], mask, hair=np.ones((S, S))).astype(int) - rgb
    assert pasted[780:800, 300:380].mean() > 25  # below the crop


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


def test_beyond_the_crop_hair_is_dyed_on_and_the_wall_is_not():
    rgb = np.full((800, 800, 3), (120, 150, 190), np.uint8)  # a wall
    cv2.ellipse(rgb, (400, 400), (230, 300), 0, 0, 360, (60, 40, 30), -1)  # hair, higher than the crop
    cv2.ellipse(rgb, (400, 430), (130, 170), 0, 0, 360, (210, 170, 150), -1)  # a face
    alignment = Alignment((similarity(0, 0.25, 63.5, 63.5) @ similarity(0, 1, -399.5, -419.5))[:2])
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    is_hair = (crop[..., 0] < 90)[..., None]
    edited = crop + is_hair * np.array([120.0, 90, 30])
    plain = paste_edit(rgb, alignment, crop, edited)
    beyond = paste_edit(rgb, alignment, crop, edited, hair=np.ones((S, S)))
    above = np.s_[120:150, 380:420]  # hair, 15 pixels and more above the crop's upper border
    assert np.array_equal(plain[above], rgb[above])
    assert np.abs(beyond[above].astype(int) - (180, 130, 60)).mean() < 20
    assert np.abs(beyond[:60].astype(int) - rgb[:60]).max() <= 2
    assert np.abs(beyond[300:500, 20:120].astype(int) - rgb[300:500, 20:120]).max() <= 2


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


# ---------------------------------------------------------------------------------------------------------- detection


@both
def test_one_face_is_found_where_it_is(detector, astronaut):
    (face,) = detector.detect(astronaut)
    left, top, right, bottom = face.box
    assert 150 < left < 200 < 245 < right < 290
    assert 40 < top < 90 < 150 < bottom < 200
    eyes = face.landmarks[:2]
    assert np.abs(eyes - [(206, 112), (247, 110)]).max() < 12  # the eye left in the image comes first
    assert 0 < face.confidence <= 1
    assert not face.is_tiny
    assert check_editable(face) is face


def test_yunet_knows_nose_and_mouth_in_their_order(yunet, astronaut):
    landmarks = yunet.refine(astronaut, yunet.detect(astronaut)[0]).landmarks
    eye_left, eye_right, nose, mouth_left, mouth_right = landmarks
    assert eye_left[0] < nose[0] < eye_right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(eye_left[1], eye_right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_both_detectors_agree_on_the_frame(haar, yunet, astronaut):
    one, other = (align_face(detector.detect(astronaut)[0], S).matrix for detector in (haar, yunet))
    assert distance_of_frames(one, other) < 0.4


@pytest.mark.parametrize("degrees", [-35, -15, 15, 35])
def test_a_tilted_face_is_found_and_set_upright(degrees, yunet, haar, astronaut):
    turn = cv2.getRotationMatrix2D((230, 150), degrees, 1.3)
    tilted = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    for detector, limit in ((yunet, 0.25), (haar, 0.5)):
        upright = align_face(detector.refine(astronaut, detector.detect(astronaut)[0]), S).matrix
        found = max(detector.detect(tilted), key=lambda face: face.confidence)
        matrix = align_face(detector.refine(tilted, found), S).matrix
        expected = np.vstack([upright, (0, 0, 1)]) @ np.linalg.inv(np.vstack([turn, (0, 0, 1)]))
        assert distance_of_frames(expected, matrix) < limit


@both
@pytest.mark.parametrize("side", [160, 3000])
def test_faces_are_found_in_small_and_in_large_photos(side, detector, astronaut):
    close = cv2.resize(astronaut[20:220, 120:320], (side, side), interpolation=cv2.INTER_AREA)
    (face,) = detector.detect(close)
    assert 0.3 * side < face.size < 0.8 * side
    assert 0.3 * side < sum(face.box[::2]) / 2 < 0.75 * side


def group(astronaut: np.ndarray, *places: tuple[int, int]) -> np.ndarray:
    """The astronaut several times on a wall, at (left, width)."""
    wall = np.full((700, 1600, 3), 128, np.uint8)
    for left, width in places:
        wall[60 : 60 + width, left : left + width] = cv2.resize(astronaut, (width, width), interpolation=cv2.INTER_AREA)
    return wall


@both
def test_several_faces_come_left_to_right(detector, astronaut):
    found = detector.detect(group(astronaut, (1100, 400), (100, 560), (750, 280)))
    assert [int(face.box[0] // 500) for face in found] == [0, 1, 2]
    assert found[0].size > found[2].size > found[1].size


def test_a_tiny_face_is_found_and_refused_with_advice(yunet, astronaut):
    face = yunet.detect(group(astronaut, (750, 130)))[0]
    assert face.is_tiny
    with pytest.raises(FaceError, match="pixels wide"):
        check_editable(face)


@both
def test_what_shows_no_face_has_none(detector):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    clouds = cv2.GaussianBlur(noise, (0, 0), 8)
    clouds = cv2.normalize(clouds, None, 0, 255, cv2.NORM_MINMAX)
    photos = [noise, clouds, np.zeros_like(noise), *(np.array(Image.fromarray(x).convert("RGB")) for x in _no_faces())]
    assert sum(len(detector.detect(photo)) for photo in photos) == 0
    for height, width in ((1, 1), (3, 900), (20, 20), (32, 900)):
        assert detector.detect(np.zeros((height, width, 3), np.uint8)) == []


def _no_faces() -> list[np.ndarray]:
    return [data.coffee(), data.brick(), data.grass(), data.moon(), data.page(), data.rocket()]


def test_a_face_from_the_side_is_refused_with_advice():
    landmarks = np.array([(50.0, 40), (56, 40), (40, 55), (48, 70), (54, 70)])
    face = Face((20, 10, 90, 90), landmarks, 0.9)
    assert face.is_profile
    with pytest.raises(FaceError, match="Already aligned"):
        check_editable(face)


FRONT = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
PROFILE = np.array([(0.5, 0.4), (0.55, 0.4), (0.4, 0.6), (0.5, 0.8), (0.55, 0.8)])


def face_at(left: float, side: float, landmarks: np.ndarray = FRONT) -> Face:
    return Face((left, 50.0, left + side, 50.0 + side), (left, 50.0) + side * landmarks, 0.9)


def test_the_largest_editable_face_is_chosen_unless_one_is_asked_for():
    found = [face_at(0, 50), face_at(100, 300, PROFILE), face_at(500, 90), face_at(700, 60)]
    assert choose_face(found) == 2
    assert choose_face(found, 0) == 0
    assert choose_face(found, -1) == -1
    with pytest.raises(FaceError, match="from the side"):
        choose_face(found, 1)
    with pytest.raises(FaceError, match="no face number 4"):
        choose_face(found, 4)


def test_where_no_face_is_editable_the_error_is_about_the_largest():
    with pytest.raises(FaceError, match="from the side"):
        choose_face([face_at(0, 20), face_at(100, 300, PROFILE)])
    with pytest.raises(FaceError, match="30 pixels wide"):
        choose_face([face_at(0, 20), face_at(100, 30)])
    with pytest.raises(FaceError, match="upright"):
        choose_face([])


def test_a_detector_may_be_shared_by_threads(yunet, astronaut):
    photos = [cv2.resize(astronaut, (side, side)) for side in (200, 330, 512, 700)] * 3
    alone = [yunet.detect(photo)[0].landmarks for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = [found[0].landmarks for found in pool.map(yunet.detect, photos)]
    assert np.array_equal(alone, together)


def test_files_that_are_no_yunet_are_refused(tmp_path):
    with pytest.raises(FaceError, match="no YuNet file"):
        FaceDetector(tmp_path / "absent.onnx")
    (tmp_path / "other.onnx").write_bytes(b"not a network")
    with pytest.raises(FaceError, match="not a YuNet"):
        FaceDetector(tmp_path / "other.onnx")


def test_yunet_is_fetched_only_where_it_can_be(monkeypatch, caplog):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    asked = []

    def from_hub(repo: str, name: str, local_files_only: bool = False) -> str:
        asked.append((repo, name, local_files_only))
        raise LocalEntryNotFoundError("not cached") if local_files_only else OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", from_hub)
    monkeypatch.setattr(faces, "_hub_answers", lambda: False)
    assert yunet_path() is None
    assert [ask[2] for ask in asked] == [True]  # where the Hub is out of reach only the cache is asked
    monkeypatch.setattr(faces, "_hub_answers", lambda: True)
    assert yunet_path() is None
    assert "Haar" in caplog.text
    assert {ask[:2] for ask in asked} == {("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx")}
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: "cached.onnx")
    assert yunet_path() == "cached.onnx"


# -------------------------------------------------------------------------------------------------- on ../shared only


@both
def test_every_portrait_has_its_faces(detector):
    files = sorted((SHARED / "portraits").glob("*_*.[jp][pn]g"))
    if not files:
        pytest.skip("needs the portraits in ../shared")
    for file in files:
        found = detector.detect(np.array(Image.open(file).convert("RGB")))
        if "solvay" in file.name and not detector.uses_yunet:
            assert 27 <= len(found) <= 29  # the cascades miss two men who look away
        else:
            assert len(found) == (29 if "solvay" in file.name else 1), file.name


def test_landmarks_agree_with_celebas(yunet):
    if not (SHARED / "celeba").is_dir():
        pytest.skip("needs CelebA in ../shared")
    landmarks, images = _celeba_with_landmarks()
    assert len(images) > 30
    distances, frames, refined_frames = [], [], []
    for name, image in images.items():
        found = max(yunet.detect(image), key=lambda face: face.size)
        refined = yunet.refine(image, found)
        distances.append(np.linalg.norm(refined.landmarks - landmarks[name], axis=1).mean())
        true = frame_to_crop(S)
        frames.append(distance_of_frames(true, align_face(found, S).matrix))
        refined_frames.append(distance_of_frames(true, align_face(refined, S).matrix))
    print(f"landmarks {np.mean(distances):.2f} px, frame {np.mean(frames):.3f}, refined {np.mean(refined_frames):.3f}")
    assert np.mean(distances) < 4.0
    assert np.mean(refined_frames) < 0.2
    assert np.mean(refined_frames) < np.mean(frames)


def _celeba_with_landmarks() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    with open(SHARED / "celeba" / "landmarks.csv", newline="") as file:
        rows = list(csv.DictReader(file))[::2]  # half of them, for time's sake
    landmarks = {
        row["image_id"][:6]: np.array([float(v) for k, v in row.items() if k != "image_id"]).reshape(5, 2)
        for row in rows
    }
    images = {}
    for shard in sorted((SHARED / "celeba").glob("train-*.parquet")):
        column = parquet.read_table(shard, columns=["image"])["image"].combine_chunks()
        names = [Path(path).stem for path in column.field("path").to_pylist()]
        for index in (index for index, name in enumerate(names) if name in landmarks):
            encoded = column[index].as_py()["bytes"]
            images[names[index]] = np.array(Image.open(io.BytesIO(encoded)).convert("RGB"))
    return landmarks, images
