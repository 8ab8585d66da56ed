"""What keeps photos of 100 megapixels quick, at the sizes of a test: the same results as the plain way."""

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageChops

from stgan import save_photo
from stgan.photo import detect, files, png, refine
from stgan.photo.detect import Detector, FaceDetector
from stgan.photo.face import Face
from stgan.photo.geometry import changed_box
from stgan.photo.people import merged
from stgan.photo.pictures import pixels
from stgan.photo.provenance import metadata
from stgan.photo.refine import faces_any_way_up


@pytest.fixture(params=["isal", "zlib"])
def packer(request, monkeypatch):
    """The two packages that compress PNGs."""
    if request.param == "zlib":
        monkeypatch.setattr(png, "fast", zlib)
    else:
        pytest.importorskip("isal")


@pytest.mark.usefixtures("packer")
@pytest.mark.parametrize("mode", png.MODES)
@pytest.mark.parametrize("height", [1, png.ROWS, 2 * png.ROWS + 1])
def test_a_png_of_our_own_has_the_pixels_and_metadata_of_one_by_pillow(mode, height):
    random = np.random.default_rng(height)
    width, channels = 37, {"I;16": 0}.get(mode, len(mode))
    shape = (height, width, channels) if channels > 1 else (height, width)
    values = random.integers(0, 65536 if mode == "I;16" else 256, shape).astype(
        np.uint16 if mode == "I;16" else np.uint8
    )
    values[: height // 2] = 7  # an even part too
    image = Image.fromarray(values)
    assert image.mode == mode
    arguments = metadata(None, "PNG", "edited äöü") | {"dpi": (72, 72), "icc_profile": b"a profile"}
    own, plain = io.BytesIO(), io.BytesIO()
    own.writelines(png.png_parts(image, **arguments))
    image.save(plain, "PNG", **arguments)
    read, expected = (Image.open(file) for file in (own, plain))
    assert (read.mode, read.size, read.tobytes()) == (mode, image.size, image.tobytes())
    expected.load()
    assert read.info == expected.info
    assert own.getvalue().endswith(plain.getvalue()[-12:])


def test_checksums_of_parts_join_to_that_of_the_whole():
    text = np.random.default_rng(0).bytes(200_000)
    for cut in (0, 1, 65_521, 150_000, len(text)):
        parts = [zlib.adler32(part) for part in (text[:cut], text[cut:])]
        assert png._joined(*parts, len(text) - cut) == zlib.adler32(text)


@pytest.mark.parametrize("detail", [1, 4])  # a sharp photo, and one that is four times as large as what it shows
def test_a_large_png_is_at_most_a_fifth_larger_than_one_by_pillow(detail, rgb):
    pytest.importorskip("isal")
    image, pillow = Image.fromarray(rgb).resize((512 * detail, 512 * detail), Image.Resampling.BICUBIC), io.BytesIO()
    image.save(pillow, "PNG")
    assert sum(map(len, png.png_parts(image))) < 1.2 * len(pillow.getvalue())


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (300, 257)])
def test_pixels_are_those_that_numpy_reads(size, rgb):
    image = Image.fromarray(rgb).resize(size)
    assert (pixels(image) == np.asarray(image)).all()
    assert (pixels(image.convert("RGBA")) == np.asarray(image.convert("RGBA"))).all()


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_a_large_photo_is_saved_with_the_same_pixels(suffix, rgb, tmp_path, monkeypatch):
    for name in ("small", "large"):
        monkeypatch.setattr(files, "LARGE", 10**9 if name == "small" else 10)
        save_photo(Image.fromarray(rgb), tmp_path / f"{name}{suffix}", description="edited")
    small, large = (np.asarray(Image.open(tmp_path / f"{name}{suffix}")).astype(int) for name in ("small", "large"))
    assert np.abs(small - large).mean() <= (0 if suffix == ".png" else 2)
    assert b"compositeWithTrainedAlgorithmicMedia" in (tmp_path / f"large{suffix}").read_bytes()


@pytest.mark.parametrize("changes", [[], [(0, 0)], [(199, 149)], [(3, 140), (150, 2)], [(64, 5), (63, 9)]])
def test_the_box_of_a_change_is_the_one_that_pillow_finds(changes):
    before = np.random.default_rng(0).integers(0, 255, (200, 150, 3), dtype=np.uint8)
    after = before.copy()
    for number, place in enumerate(changes):
        after[place][number % 3] += 1
    expected = ImageChops.difference(Image.fromarray(before), Image.fromarray(after)).getbbox()
    assert changed_box(before, after) == expected
    assert changed_box(before, before) is None


def test_two_edits_of_different_pixels_are_merged():
    photo = np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8)
    one, other = photo.copy(), photo.copy()
    one[:30, :20] += 1
    other[50:, 30:] += 1
    expected = np.where((photo != other).any(axis=2, keepdims=True), other, one)
    assert (merged(photo, one, other) == expected).all()
    assert merged(photo, one, photo) is one


class FindsUpright(Detector):
    """Finds the astronaut's face where she is upright, and remembers the sides of the photos that it searches."""

    def __init__(self, face, photo):
        self.face, self.photo, self.sides = face, photo, []

    def detect(self, rgb, confirm=None):
        self.sides.append(len(rgb))
        thumbnails = [
            cv2.resize(each, (32, 32), interpolation=cv2.INTER_AREA).astype(int) for each in (rgb, self.photo)
        ]
        is_upright = np.abs(thumbnails[0] - thumbnails[1]).mean() < 5
        return [self.face.transformed(detect.enlargement(len(rgb) / len(self.photo)))] if is_upright else []


def test_a_large_photo_on_its_side_is_turned_at_a_smaller_size(bundled, astronaut, monkeypatch):
    landmarks = np.array([(206.0, 109), (246, 109), (228, 132), (208, 152), (242, 152)])
    finds = FindsUpright(Face((175.0, 65, 270, 190), landmarks, 0.9), astronaut)
    photo = np.ascontiguousarray(np.rot90(astronaut))
    (expected,) = faces_any_way_up(finds, bundled.aligner, photo)
    monkeypatch.setattr(refine, "TILE", 400)
    (found,) = faces_any_way_up(finds, bundled.aligner, photo)
    assert np.allclose(found.box, expected.box, atol=0.5)
    assert finds.sides == [512] * 5 + [400] * 3


def test_the_tiles_of_a_large_photo_are_searched_for_upright_faces_only(astronaut, monkeypatch):
    """By the cascades, for which each further tilt costs as much as the first search."""
    tilts = []
    detector = FaceDetector()
    find_tilted = detector._backend._find_tilted
    monkeypatch.setattr(
        detector._backend,
        "_find_tilted",
        lambda grey, degrees, doubtful: tilts.append(degrees) or find_tilted(grey, degrees, doubtful),
    )
    monkeypatch.setattr(detect, "TILE", 400)
    monkeypatch.setattr(detect, "OVERLAP", 100)
    detector.detect(np.full_like(astronaut, 90))
    assert [tilts.count(degrees) for degrees in (0, 25, -25, 45, -45)] == [5, 1, 1, 1, 1]
