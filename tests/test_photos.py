"""Photographs are read upright and written without their place; bad files are refused in plain words."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import MODES
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin, features

from stgan.photo.files import DIFFERENCES, PhotoError, open_photo, save_photo


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_exif_orientation_is_applied_once(orientation, suffix, rgb, tmp_path):
    undo = ["FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90", "TRANSVERSE", "ROTATE_270"]
    stored = Image.fromarray(rgb)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose[undo[orientation - 2]])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(
        tmp_path / f"turned.{suffix}", exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {})
    )
    photo = open_photo(tmp_path / f"turned.{suffix}")
    assert np.abs(photo.rgb.astype(int) - rgb).mean() < (2 if suffix == "jpg" else 1e-9)
    save_photo(photo.with_rgb(255 - photo.rgb), tmp_path / "again.png")
    with Image.open(tmp_path / "again.png") as again:
        assert ExifTags.Base.Orientation not in again.getexif()
        assert np.array_equal(np.asarray(again), 255 - photo.rgb)


def _with_place(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera works"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "1999:12:31 23:59:59", ExifTags.Base.MakerNote: b"PLACE"}
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0), 29: "PLACE"}
    image.save(path, exif=exif, xmp=b"<x:xmpmeta exif:GPSLatitude='PLACE'/>", comment=b"PLACE", quality=95)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_the_place_is_never_written_and_the_camera_stays(suffix, rgb, tmp_path):
    _with_place(Image.fromarray(rgb), tmp_path / "phone.jpg")
    assert (tmp_path / "phone.jpg").read_bytes().count(b"PLACE") >= 3
    photo = open_photo(tmp_path / "phone.jpg")
    with Image.open(tmp_path / "phone.jpg") as raw:
        for image in (photo.with_rgb(photo.rgb), photo.with_rgb(255 - photo.rgb), raw):
            save_photo(image, tmp_path / f"out.{suffix}", description="PLAC")
            assert b"PLACE" not in (tmp_path / f"out.{suffix}").read_bytes()
            with Image.open(tmp_path / f"out.{suffix}") as out:
                exif = out.getexif()
                assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
                assert exif[ExifTags.Base.Make] == "Camera works"
                if suffix != "tif":
                    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "1999:12:31 23:59:59"


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "PNG", "webp", "tif", "tiff"])
def test_saved_files_keep_profile_pixels_and_description(suffix, rgb, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(rgb)
    image.info["icc_profile"] = profile
    save_photo(open_photo(image).original, tmp_path / f"out.{suffix}", description="Blond_Hair added")
    with Image.open(tmp_path / f"out.{suffix}") as out:
        assert out.info["icc_profile"] == profile
        tags = out.text if suffix == "PNG" else {v: out.getexif().get(k) for k, v in ExifTags.TAGS.items()}
        assert tags["Software"] == "stgan"
        assert tags["Description" if suffix == "PNG" else "ImageDescription"] == "Blond_Hair added"
        error = np.abs(np.asarray(out.convert("RGB")).astype(int) - rgb)
        assert error.max() == 0 if suffix in ("PNG", "tif", "tiff") else error.mean() < 5
        if suffix.startswith("jp"):
            assert [component[1:3] for component in out.layer] == [(1, 1)] * 3  # no colour subsampling


@pytest.mark.parametrize("mode", MODES)
def test_a_tiff_of_differences_holds_the_same_pixels_and_is_smaller(mode, originals, tmp_path):
    own, plain = tmp_path / "own.tif", tmp_path / "plain.tif"
    image = originals[mode].resize((480, 640), Image.Resampling.NEAREST)
    if mode in DIFFERENCES and mode != "I;16":
        image = image.resize((481, 640), Image.Resampling.BICUBIC)
    save_photo(image, own, description="a test")
    with Image.open(own) as saved:
        assert saved.getexif()[ExifTags.Base.Software] == "stgan"
        assert saved.tag_v2.get(ExifTags.Base.Predictor, 1) == 1 + (saved.mode in DIFFERENCES)
        if saved.mode == image.mode:
            assert saved.tobytes() == image.tobytes()
        Image.frombytes(saved.mode, saved.size, saved.tobytes()).save(plain, compression="tiff_lzw")
    if image.width == 481:
        assert own.stat().st_size < 0.85 * plain.stat().st_size


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_can_be_saved_in_every_format(mode, suffix, originals, tmp_path):
    save_photo(originals[mode], tmp_path / f"out.{suffix}")
    seen, saved = open_photo(originals[mode]), open_photo(tmp_path / f"out.{suffix}")
    if suffix in ("png", "tif"):
        assert np.abs(seen.rgb.astype(int) - saved.rgb).max() <= 1
        if mode in ("RGBA", "LA"):
            assert saved.original.getbands()[-1] == "A"
    if suffix in ("png", "tif") and mode.startswith("I;16"):
        assert np.array_equal(np.asarray(saved.original), np.asarray(originals[mode]))
    if suffix == "jpg" and mode == "RGBA":
        assert saved.rgb[:, 0].min() > 240  # transparent pixels become white


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "I;16"])
def test_a_transparent_colour_is_seen_in_every_format_before_and_after_an_edit(mode, suffix, originals, tmp_path):
    """Where it cannot be transparent it is white; of 16 bits it is left out, since no channel can say it."""
    photo = originals[mode].copy()
    photo.paste(0, (0, 0, 24, 64))
    photo.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    photo = open_photo(photo)
    edited = photo.rgb.copy()
    edited[40:, 30:] //= 2
    for number, image in enumerate((photo.original, photo.with_rgb(edited))):
        save_photo(image, tmp_path / f"{number}.{suffix}")
        with Image.open(tmp_path / f"{number}.{suffix}") as out:
            if suffix == "jpg":
                assert out.mode == ("L" if mode in ("L", "1") else "RGB")
                left = np.asarray(out)[8:, :16]
                assert left.max() < 5 if mode == "I;16" else left.min() > 250
            elif mode != "I;16":
                alpha = np.asarray(out.convert("RGBA").getchannel("A"))
                assert alpha[8:, :16].max() == 0
                assert alpha[:40, 24:].mean() > 128


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (lambda rgb: rgb, lambda rgb: rgb),
        (lambda rgb: rgb[..., :1], lambda rgb: rgb[..., [0, 0, 0]]),
        (lambda rgb: rgb[..., 0], lambda rgb: rgb[..., [0, 0, 0]]),
        (lambda rgb: np.dstack([rgb, rgb[..., 0]]), lambda rgb: rgb),
        (lambda rgb: rgb / 255.0, lambda rgb: rgb),
        (lambda rgb: rgb.astype(np.uint16) * 257, lambda rgb: rgb),
        (lambda rgb: rgb[..., 0].astype(np.uint16) * 257, lambda rgb: rgb[..., [0, 0, 0]]),
        (lambda rgb: rgb[..., 0] > 99, lambda rgb: (rgb[..., [0, 0, 0]] > 99) * np.uint8(255)),
    ],
)
def test_arrays_are_photos_too(array, expected, rgb):
    assert np.array_equal(open_photo(array(rgb)).rgb, expected(rgb))


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.int64), np.full((4, 4, 3), 2.0), np.zeros(4, np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(array):
    with pytest.raises(PhotoError):
        open_photo(array)


def _png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.jpg", b"this is no picture", "JPEG, PNG"),
        ("empty.png", b"", "JPEG, PNG"),
        ("bomb.png", _png_that_claims(60_000, 60_000), "megapixels"),
        ("large.png", _png_that_claims(11_000, 10_000), "megapixels"),
        ("broken.png", _png_that_claims(100, 100), "broken"),
        ("foreign.ppm", b"P6 1 x 255 ", "JPEG, PNG"),
        ("foreign.dds", b"DDS " + struct.pack("<I", 124) + bytes(120), "JPEG, PNG"),
        ("foreign.fits", b"SIMPLE  =                    T" + b" " * 50, "JPEG, PNG"),
        ("foreign.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "JPEG, PNG"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bad_files_are_refused_in_plain_words(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhotoError, match=words):
        open_photo(tmp_path / name)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "avif"])
def test_a_file_with_one_wrong_byte_opens_or_is_refused_in_plain_words(suffix, rgb, tmp_path):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(rgb[:16, :16]).save(path)
    content = path.read_bytes()
    assert open_photo(path).rgb.shape == (16, 16, 3)
    for place in range(min(len(content), 300)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        message = ""
        try:
            open_photo(path)
        except PhotoError as error:
            message = str(error)
        assert re.search("^$|is broken|not a picture|megapixels|no pixels|be read|a film", message), message


def test_a_file_cut_short_a_folder_and_a_missing_file_are_refused(rgb, tmp_path):
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=95)
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[:-500])
    for path, words in (
        (tmp_path / "cut.jpg", "broken"),
        (tmp_path, "cannot be read"),
        (tmp_path / "no.jpg", "no file"),
    ):
        with pytest.raises(PhotoError, match=words) as error:
            open_photo(path)
        assert path.name == "no.jpg" or str(tmp_path.parent) not in str(error.value)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("resolution", [(0, 0), (0, 1), (1, 0), (2**32 - 1, 1)])
def test_a_nonsensical_resolution_does_not_keep_a_photo_from_being_saved(resolution, suffix, rgb, tmp_path):
    axes = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
    tags = dict.fromkeys(axes, TiffImagePlugin.IFDRational(*resolution)) | {ExifTags.Base.ResolutionUnit: 2}
    Image.fromarray(rgb).save(tmp_path / "odd.tif", tiffinfo=tags)
    photo = open_photo(tmp_path / "odd.tif")
    assert "dpi" not in photo.original.info
    save_photo(photo.original, tmp_path / f"out.{suffix}")
    assert open_photo(tmp_path / f"out.{suffix}").rgb.shape == rgb.shape


@pytest.mark.parametrize("resolution", [72, "72", (72,), (72, 72, 72), ("high", "low"), (72, None)])
def test_a_resolution_that_is_no_pair_of_numbers_is_left_out(resolution, rgb, tmp_path):
    image = Image.fromarray(rgb)
    image.info["dpi"] = resolution
    photo = open_photo(image)
    assert "dpi" not in photo.original.info
    save_photo(image, tmp_path / "out.jpg")
    assert open_photo(tmp_path / "out.jpg").rgb.shape == rgb.shape


def test_the_resolution_goes_with_the_photo(rgb, tmp_path):
    Image.fromarray(rgb).save(tmp_path / "fine.tif", dpi=(300, 300))
    save_photo(open_photo(tmp_path / "fine.tif").original, tmp_path / "out.tif")
    assert Image.open(tmp_path / "out.tif").info["dpi"] == (300, 300)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_unreadable_exif_data_do_not_keep_a_photo_from_opening(rgb, tmp_path):
    Image.fromarray(rgb).save(
        tmp_path / "odd.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff broken", quality=100, subsampling=0
    )
    assert np.abs(open_photo(tmp_path / "odd.jpg").rgb.astype(int) - rgb).mean() < 2


def test_wrong_edits_and_wrong_suffixes_are_refused(rgb, tmp_path):
    photo = open_photo(rgb)
    for edited in (rgb[:-1], rgb.astype(np.float32)):
        with pytest.raises(PhotoError):
            photo.with_rgb(edited)
    with pytest.raises(PhotoError, match=r"\.png"):
        save_photo(photo.original, tmp_path / "photo.gif")


def test_a_photo_that_a_format_cannot_hold_leaves_the_file_that_was_there(tmp_path):
    for name, size in (("long.webp", (16_384, 1)), ("long.jpg", (65_536, 1))):
        (tmp_path / name).write_bytes(b"an older photo")
        with pytest.raises(PhotoError, match=f"{name} cannot be written.*png"):
            save_photo(Image.new("RGB", size), tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"an older photo"


def test_a_disk_that_fills_up_leaves_the_file_that_was_there(rgb, tmp_path):
    resource = pytest.importorskip("resource")  # not on Windows
    save_photo(Image.fromarray(rgb), tmp_path / "photo.png")
    before = (tmp_path / "photo.png").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))  # bytes of a file, as if no more were free
    try:
        with pytest.raises(PhotoError, match=r"photo\.png cannot be written.*another place"):
            save_photo(Image.fromarray(rgb[:, ::-1]), tmp_path / "photo.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "photo.png").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "photo.png"]


def test_a_file_written_again_keeps_its_link_and_who_may_read_it(rgb, tmp_path):
    photo, link = tmp_path / "photo.png", tmp_path / "link.png"
    photo.write_bytes(b"an older photo")
    photo.chmod(0o640)
    link.symlink_to(photo.name)
    save_photo(Image.fromarray(rgb), link)
    assert link.is_symlink()
    assert photo.stat().st_mode & 0o777 == 0o640
    assert np.array_equal(open_photo(photo).rgb, rgb)


def test_a_place_that_cannot_be_written_is_named(rgb, tmp_path):
    with pytest.raises(PhotoError, match="absent.*No such file.*another place"):
        save_photo(Image.fromarray(rgb), tmp_path / "absent" / "out.png")


@pytest.mark.parametrize("description", [None, "Blond_Hair added", "Blond_Hair added, " * 5000])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_data_too_long_for_a_jpeg_give_way_to_the_description(suffix, description, rgb, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "all rights " * 7000
    image = Image.fromarray(rgb)
    image.info["exif"] = exif.tobytes()
    save_photo(image, tmp_path / f"out.{suffix}", description=description)
    with Image.open(tmp_path / f"out.{suffix}") as out:
        tags = out.text if suffix == "png" else {v: out.getexif().get(k) for k, v in ExifTags.TAGS.items()}
        assert suffix == "jpg" or out.getexif()[ExifTags.Base.Copyright] == exif[ExifTags.Base.Copyright]
    if description is not None:
        text = tags["Description" if suffix == "png" else "ImageDescription"]
        assert description.startswith(text.rstrip())
        assert text.startswith("Blond_Hair added")
        assert tags["Software"] == "stgan"


def test_the_pixels_that_are_compared_with_cannot_be_overwritten(rgb):
    with pytest.raises(ValueError, match="read-only"):
        open_photo(rgb).rgb[0, 0] = 0


def test_the_source_image_is_left_alone(rgb):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = Image.fromarray(rgb)
    image.info["exif"] = exif.tobytes()
    open_photo(image)
    assert image.size == (48, 64)
    assert "exif" in image.info
    assert open_photo(image).rgb.shape == ImageOps.exif_transpose(image).size[::-1] + (3,)
