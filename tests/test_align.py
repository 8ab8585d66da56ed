"""Faces are aligned and cropped as the training data are."""

import math
import tracemalloc

import cv2
import numpy as np
import pytest
from frames import S, frame_to_crop, moved, similarity
from PIL import Image

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.align import LANDMARK_WEIGHTS, Alignment, align_face, align_whole, looks_aligned
from stgan.photo.crop import crop_face
from stgan.photo.detect import FaceDetector
from stgan.photo.face import Face, FaceError


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


def test_noisy_landmarks_are_met_as_well_as_least_squares_can():
    rng = np.random.default_rng(0)
    landmarks = moved(MEAN_LANDMARKS, similarity(10, 2)) + rng.normal(0, 4, (5, 2))
    best = align_face(Face((0, 0, 1, 1), landmarks, 1.0), 170).matrix
    target = moved(MEAN_LANDMARKS, frame_to_crop(170))

    def loss(matrix: np.ndarray) -> float:
        return float((LANDMARK_WEIGHTS * ((moved(landmarks, matrix) - target) ** 2).sum(axis=1)).sum())

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
def test_other_arrays_are_no_photos(rgb):
    with pytest.raises(ValueError, match="open_photo"):
        crop_face(rgb, align_whole((9, 9), S), S)
    with pytest.raises(ValueError, match="open_photo"):
        FaceDetector().detect(rgb)
