"""The crops celebahq and face cut the part of a face that CelebA's own crop shows."""

import io

import cv2
import numpy as np
import pytest
from numbered_data import encoded, write_images
from PIL import Image

from stgan.data import Preprocess, load_into_memory
from stgan.data.errors import RejectedImage, Skipped
from stgan.data.frames import celebahq_frame, enlargement, frame_crop, outside_share, to_crop
from stgan.data.preprocess import decode_row
from stgan.frame import CELEBA_CROP

TURNED = cv2.getRotationMatrix2D((127.5, 127.5), 20, 0.7) + [(0, 0, -39.5), (0, 0, -16.5)]  # centre to centre


def smooth(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int))


@pytest.mark.parametrize("size", [64, 128, 256])
def test_celebahq_is_opencvs_warp_by_the_published_map(size):
    """From the crop to the aligned frame (.6255 aligned pixels per pixel, centre at (88.84, 115.69)) to the image."""
    image = smooth(256, 256)
    step = 170 / size / 0.6255
    x, y = ((edge + 0.5 * 170 / size - 0.5 - centre) / 0.6255 + 127.5 for edge, centre in ((3, 88.84), (26, 115.69)))
    matrix = np.array([[step, 0, x], [0, step, y]])
    warped = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101
    )
    ours = Preprocess(size, "celebahq")(encoded(image)).transpose(1, 2, 0)
    assert difference(ours, warped).mean() < 1


def test_celebahq_undoes_how_such_an_image_lies_in_the_aligned_one(faces):
    """An aligned image, drawn as a CelebA-HQ one, gives CelebA's crop of it where both show the face."""
    aligned = cv2.GaussianBlur(np.asarray(Image.open(io.BytesIO(faces["test"].images[0]))), (0, 0), 2)
    frame = celebahq_frame(512)
    image = cv2.warpAffine(aligned, frame, (512, 512), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    ours = Preprocess(128, "celebahq").from_image(Image.fromarray(image))
    theirs = Preprocess(128, "celeba").from_image(Image.fromarray(aligned))
    assert difference(ours, theirs)[:, 10:-4, 6:-6].max() < 12
    assert difference(ours, theirs)[:, 10:-4, 6:-6].mean() < 0.5


@pytest.mark.parametrize("side", [128, 512, 1024])
def test_celebahq_images_of_every_size_show_the_same(side):
    image = smooth(256, 256)
    resized = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    ours, theirs = (Preprocess(96, "celebahq").from_image(each) for each in (resized, Image.fromarray(image)))
    assert difference(ours, theirs).mean() < 1.5


@pytest.mark.parametrize("frame", [celebahq_frame(256), TURNED, TURNED + [(0, 0, 25), (0, 0, -30)]])
@pytest.mark.parametrize("size", [48, 300])
def test_beyond_the_border_an_image_is_mirrored(frame, size):
    image = smooth(256, 256, seed=1)
    margin = 120
    wider = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    shifted = (np.vstack([frame, (0, 0, 1)]) @ [[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])[:2]
    assert difference(frame_crop(image, frame, size), frame_crop(wider, shifted, size)).max() <= 1


@pytest.mark.parametrize("frame", [celebahq_frame(1024), 0.25 * TURNED])
def test_a_large_image_is_shrunk_without_aliasing(frame):
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(frame_crop(stripes, frame, 32)[4:-4, 4:-4].astype(int) - 127).max() < 24


def test_a_crop_is_the_aligned_frames_box():
    left, top, right, bottom = CELEBA_CROP
    matrix = to_crop(np.eye(2, 3), 85)
    edges = np.array([(left, top), (right, bottom)]) - 0.5
    assert np.allclose(edges @ matrix[:, :2].T + matrix[:, 2], [(-0.5, -0.5), (84.5, 84.5)])
    assert enlargement(2 * np.eye(2, 3), 85) == pytest.approx(1)


def test_the_share_outside_is_that_of_a_mask_warped_into_the_crop():
    for frame in (celebahq_frame(256), TURNED, np.eye(2, 3) * 0.3):
        mask = cv2.warpAffine(np.ones((256, 256), np.uint8), to_crop(frame, 64), (64, 64), flags=cv2.INTER_NEAREST)
        assert outside_share(frame, 256, 256) == pytest.approx(1 - mask.mean(), abs=0.02)
    assert outside_share(celebahq_frame(256), 256, 256) == pytest.approx(1 - 160.3 / 170 * 160.1 / 170, abs=0.01)


def test_an_image_that_does_not_suit_a_crop_is_rejected_with_the_reason():
    oblong = Image.new("RGB", (90, 80))
    for crop, reason in (("celebahq", "not square"), ("celeba", "too small for the CelebA crop")):
        with pytest.raises(RejectedImage, match=reason):
            Preprocess(8, crop).from_image(oblong)
        row = {"image": {"bytes": encoded(oblong), "path": "oblong.png"}}
        assert decode_row(row, "row 0", column="image", attributes=(), preprocess=Preprocess(8, crop)) == Skipped(
            "oblong.png", reason
        )


def test_a_dataset_of_celebahq_is_read_with_its_labels(faces, tmp_path):
    squares = [encoded(smooth(256, 256, seed), "WEBP") for seed in range(6)]
    columns = {"image_id": [f"{number:06}" for number in range(6)], "celeb_id": list(range(6)), "Smiling": [False] * 6}
    write_images(tmp_path, squares, Male=[True, False, True, True, False, False], **columns)
    data = load_into_memory(tmp_path, "train", ("Male",), 64, crop="celebahq", workers=0)
    assert data.labels[:, 0].tolist() == [1, 0, 1, 1, 0, 0]
    expected = Preprocess(64, "celebahq")(squares[2])
    assert np.array_equal(data.images[2].numpy(), expected)
