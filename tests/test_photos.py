"""Photographs of every kind come in upright, and go out as they were, but for what was changed."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin, features
from skimage import color, data

from stgan.photo.files import PhotoError, open_photo, save_photo

PART = np.s_[10:30, 12:40]  # where the tests change a photo of 64 x 48


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """A small real photograph, 64 high and 48 wide, so that no mix-up of the two goes unseen."""
    return np.array(Image.fromarray(data.astronaut()[:384, 80:368]).resize((48, 64), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def originals(rgb) -> dict[str, Image.Image]:
    """The same photograph in every mode."""
    image = Image.fromarray(rgb)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 48).astype(np.uint8), (64, 1)))
    grey = np.asarray(image.convert("L"))
    deep = (grey.astype(np.uint16) << 8) + np.arange(48, dtype=np.uint16)  # every low byte is a detail to lose
    palette = image.quantize(32)
    see_through = palette.copy()
    see_through.info["transparency"] = 3
    keyed = image.copy()
    keyed.info["transparency"] = tuple(rgb[0, 0].tolist())
    with_alpha, grey_alpha = image.copy(), image.convert("L")
    with_alpha.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    return {
        "RGB": image,
        "RGB, one colour transparent": keyed,
        "RGBA": with_alpha,
        "L": image.convert("L"),
        "LA": grey_alpha,
        "P": palette,
        "P, transparent": see_through,
        "1": image.convert("1"),
        "CMYK": image.convert("CMYK"),
        "I;16": Image.fromarray(deep),
        "I;16B": Image.fromarray(deep.astype(">u2")),
        "I": Image.fromarray(deep.astype(np.int32)),
        "F": Image.fromarray((deep / 65535).astype(np.float32)),
        "YCbCr": image.convert("YCbCr"),
        "LAB": ImageCms.applyTransform(
            image,
            ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
        ),
    }


MODES = (
    "RGB",
    "RGB, one colour transparent",
    "RGBA",
    "L",
    "LA",
    "P",
    "P, transparent",
    "1",
    "CMYK",
    "I;16",
    "I;16B",
    "I",
    "F",
    "YCbCr",
    "LAB",
)
CHANGED_MODE = {"P": "RGB", "P, transparent": "RGBA", "1": "L", "I;16B": "I;16", "YCbCr": "RGB", "LAB": "RGB"}
CHANGED_MODE["RGB, one colour transparent"] = "RGBA"


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_shows_the_same_picture(mode, originals, rgb):
    seen = open_photo(originals[mode]).rgb
    assert (seen.shape, seen.dtype) == (rgb.shape, np.uint8)
    colourless = mode in ("L", "LA", "1", "I", "F") or mode.startswith("I;16")
    expected = np.asarray(Image.fromarray(rgb).convert("L").convert("RGB")) if colourless else rgb
    if mode == "1":  # dots, grey from afar
        seen, expected = (np.asarray(Image.fromarray(image).resize((4, 4))) for image in (seen, expected))
    tolerance = 12 if mode in ("1", "P", "P, transparent") else 2  # 32 colours
    assert np.abs(seen.astype(int) - expected).mean() < tolerance


@pytest.mark.parametrize("mode", MODES)
def test_no_change_returns_the_original_bit_for_bit(mode, originals):
    original = originals[mode]
    photo = open_photo(original)
    returned = photo.with_rgb(photo.rgb.copy())
    assert returned.size == original.size
    assert np.array_equal(np.asarray(returned).astype(np.float64), np.asarray(original).astype(np.float64))
    if mode != "I;16B":  # Pillow may hold these bits in its own byte order
        assert returned.mode == original.mode


@pytest.mark.parametrize("mode", MODES)
def test_a_change_shows_where_it_was_made_and_nowhere_else(mode, originals):
    original = originals[mode]
    photo = open_photo(original)
    edited = photo.rgb.copy()
    edited[PART] = np.clip(edited[PART].astype(int) + (40, -10, 15), 0, 255)
    returned = photo.with_rgb(edited)
    assert returned.mode == CHANGED_MODE.get(mode, mode)

    inside = np.zeros(edited.shape[:2], bool)
    inside[PART] = True
    same_mode = original if returned.mode == original.mode else _unchanged(original, returned.mode)
    assert np.array_equal(np.asarray(returned)[~inside], np.asarray(same_mode)[~inside])

    shown = open_photo(returned).rgb.astype(int)
    wanted = edited
    if "L" in returned.mode or returned.mode in ("I", "F", "I;16"):
        wanted = np.asarray(Image.fromarray(edited).convert("L").convert("RGB"))
    assert np.abs(shown - wanted)[PART].max() <= 2


def _unchanged(original: Image.Image, mode: str) -> Image.Image:
    if original.mode == "I;16B":
        return Image.fromarray(np.asarray(original).astype("<u2"))
    if original.mode == "LAB":
        return Image.fromarray(open_photo(original).rgb)
    return original.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P, transparent"])
def test_transparency_survives_a_change(mode, originals):
    photo = open_photo(originals[mode])
    returned = photo.with_rgb(255 - photo.rgb)
    assert np.array_equal(returned.getchannel("A"), originals[mode].convert("RGBA").getchannel("A"))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_deep_greys_are_changed_on_the_scale_of_the_whole_photo(mode, originals):
    deep = np.asarray(originals[mode]).copy()
    deep[PART] = deep.max() // 400 if mode == "I" else deep.max() / 400  # alone, this part would pass for 8 bits
    photo = open_photo(Image.fromarray(deep))
    edited = photo.rgb.copy()
    edited[PART] = 100
    assert np.abs(open_photo(photo.with_rgb(edited)).rgb.astype(int) - edited).max() <= 1


def test_sixteen_bits_keep_their_low_bits_where_nothing_changed_and_their_depth_where_it_did(originals):
    photo = open_photo(originals["I;16"])
    edited = photo.rgb.copy()
    edited[PART] = np.maximum(edited[PART], 20) - 10
    edited[PART][photo.rgb[PART] < 20] = 10
    before, after = (np.asarray(image).astype(int) for image in (photo.original, photo.with_rgb(edited)))
    step = (edited[..., 0].astype(int) - photo.rgb[..., 0]) * 257
    assert np.array_equal(after, np.clip(before + step, 0, 65535))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_exif_orientation_is_applied_once(orientation, suffix, rgb, tmp_path):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(rgb)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
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
        told = out.text if suffix == "PNG" else {v: out.getexif().get(k) for k, v in ExifTags.TAGS.items()}
        assert told["Software"] == "stgan"
        assert told["Description" if suffix == "PNG" else "ImageDescription"] == "Blond_Hair added"
        error = np.abs(np.asarray(out.convert("RGB")).astype(int) - rgb)
        assert error.max() == 0 if suffix in ("PNG", "tif", "tiff") else error.mean() < 5
        if suffix.startswith("jp"):
            assert [component[1:3] for component in out.layer] == [(1, 1)] * 3  # no colour subsampling


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


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_wide_colour_space_is_seen_in_srgb_and_changed_in_its_own(mode, rgb, originals):
    image = originals[mode].copy()
    image.info["icc_profile"] = _display_p3()
    photo = open_photo(image)
    saturated = rgb[..., 0].astype(int) - rgb[..., 2] > 60
    assert (photo.rgb[saturated][:, 0].astype(int) - photo.rgb[saturated][:, 2]).mean() > (
        rgb[saturated][:, 0].astype(int) - rgb[saturated][:, 2]
    ).mean() + 5  # P3's numbers for a colour are tamer than sRGB's
    edited = photo.rgb.copy()
    edited[PART] = edited[PART] // 2 + 50
    returned = photo.with_rgb(edited)
    assert returned.info["icc_profile"] == image.info["icc_profile"]
    inside = np.zeros(rgb.shape[:2], bool)
    inside[PART] = True
    assert returned.mode == mode
    assert np.array_equal(np.asarray(returned)[~inside], np.asarray(image)[~inside])
    assert np.abs(open_photo(returned).rgb.astype(int) - edited)[PART].mean() < 1.5


def test_a_profile_is_known_by_what_it_does_and_not_by_its_name(rgb):
    """Linear light under the name sRGB is converted; sRGB under another name is left as it is."""
    levels = np.linspace(0, 1, 1024)
    curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    straight = Image.fromarray(rgb)
    straight.info["icc_profile"] = _srgb_primaries(np.round(curve * 65535), b"nameless")
    assert np.array_equal(open_photo(straight).rgb, rgb)

    values = rgb / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = Image.fromarray(np.round(light * 255).astype(np.uint8))
    linear.info["icc_profile"] = _srgb_primaries(np.empty(0), b"GIMP built-in Linear sRGB")
    photo = open_photo(linear)
    bright = rgb.min(axis=2) > 60  # eight bits of linear light tell few dark tones apart
    assert np.abs(photo.rgb.astype(int) - rgb)[bright].max() <= 4
    edited = photo.rgb.copy()
    edited[PART] = edited[PART] // 2 + 100
    returned = photo.with_rgb(edited)
    assert returned.info["icc_profile"] == linear.info["icc_profile"]
    assert np.abs(open_photo(returned).rgb.astype(int) - edited)[PART].max() <= 4


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_cmyk_with_a_profile_stays_in_its_inks(rgb):
    inks = np.asarray(Image.fromarray(rgb).convert("CMYK")).copy()
    inks[..., 3] = 30
    image = Image.fromarray(inks, "CMYK")
    image.info["icc_profile"] = _cmyk_profile()
    photo = open_photo(image)
    edited = photo.rgb.copy()
    edited[PART] = np.clip(edited[PART].astype(int) + 30, 0, 200)
    returned = photo.with_rgb(edited)
    assert returned.mode == "CMYK"
    assert returned.info["icc_profile"] == image.info["icc_profile"]
    inside = np.zeros(rgb.shape[:2], bool)
    inside[PART] = True
    assert np.array_equal(np.asarray(returned)[~inside], inks[~inside])
    change = open_photo(returned).rgb.astype(int) - photo.rgb
    assert np.abs(change - (edited.astype(int) - photo.rgb))[PART].mean() < 8  # ink tables of nine steps are coarse


def test_cmyk_without_a_profile_keeps_its_black(rgb):
    inks = np.asarray(Image.fromarray(rgb).convert("CMYK")).copy()
    inks[..., 3] = 60
    photo = open_photo(Image.fromarray(inks, "CMYK"))
    edited = photo.rgb.copy()
    edited[PART] = edited[PART] // 2
    returned = photo.with_rgb(edited)
    assert (np.asarray(returned)[PART][..., 3] == 60).all()
    assert np.abs(open_photo(returned).rgb.astype(int) - edited).max() <= 1


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
        said = ""
        try:
            open_photo(path)
        except PhotoError as error:
            said = str(error)
        assert re.search("^$|is broken|no picture|megapixels|no pixels", said), said


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
        with pytest.raises(PhotoError, match=f"{name} cannot be made.*png"):
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
        told = out.text if suffix == "png" else {v: out.getexif().get(k) for k, v in ExifTags.TAGS.items()}
        assert suffix == "jpg" or out.getexif()[ExifTags.Base.Copyright] == exif[ExifTags.Base.Copyright]
    if description is not None:
        said = told["Description" if suffix == "png" else "ImageDescription"]
        assert description.startswith(said.rstrip())
        assert said.startswith("Blond_Hair added")
        assert told["Software"] == "stgan"


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


# Colour profiles made here, since none may be copied into the repository ------------------------------------------


def _icc(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 ICC profile of the given tags."""
    tags = {b"desc": _icc_description(), b"wtpt": _icc_xyz(0.9642, 1.0, 0.8249), b"cprt": b"text\0\0\0\0none\0", **tags}
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(body), b"test", 0x02400000, kind, space, connection)
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return header + b"\0" * (128 - len(header)) + table + body


def _icc_description(name: bytes = b"test") -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79


def _icc_xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _display_p3() -> bytes:
    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256))
    columns = {b"r": (0.51512, 0.24120, -0.00105), b"g": (0.29198, 0.69225, 0.04189), b"b": (0.15710, 0.06657, 0.78407)}
    tags = {name + b"XYZ": _icc_xyz(*column) for name, column in columns.items()}
    return _icc(b"mntr", b"RGB ", b"XYZ ", {**tags, **{name + b"TRC": gamma for name in columns}})


def _srgb_primaries(curve: np.ndarray, name: bytes) -> bytes:
    """sRGB's colours by a curve from values to light, of 16 bits; a curve without points is a straight line."""
    points = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + curve.astype(">u2").tobytes()
    columns = {b"r": (0.43607, 0.22249, 0.01392), b"g": (0.38515, 0.71687, 0.09708), b"b": (0.14307, 0.06061, 0.71410)}
    tags = {each + b"XYZ": _icc_xyz(*column) for each, column in columns.items()}
    tags |= {each + b"TRC": points for each in columns}
    return _icc(b"mntr", b"RGB ", b"XYZ ", {b"desc": _icc_description(name), **tags})


def _cmyk_profile() -> bytes:
    """Four inks by the plain rule R = (1 - C)(1 - K), as tables of nine steps a side (five for the inks)."""
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 4, indexing="ij"), axis=-1)
    lab = color.rgb2lab((1 - inks[..., :3]) * (1 - inks[..., 3:]))
    to_lab = np.concatenate([lab[..., :1] / 100 * 65280, (lab[..., 1:] + 128) * 256], axis=-1)
    axes = np.meshgrid(np.linspace(0, 100 * 65535 / 65280, 9), *[np.linspace(-128, 127.99, 9)] * 2, indexing="ij")
    rgb = np.clip(color.lab2rgb(np.stack(axes, axis=-1)), 0, 1)
    to_inks = np.concatenate([1 - rgb, np.zeros_like(rgb[..., :1])], axis=-1) * 65535

    def lut(table: np.ndarray, inputs: int, outputs: int) -> bytes:
        line = struct.pack(">2H", 0, 65535)
        head = b"mft2\0\0\0\0" + bytes([inputs, outputs, table.shape[0], 0])
        head += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + struct.pack(">2H", 2, 2)
        return head + line * inputs + np.clip(table, 0, 65535).round().astype(">u2").tobytes() + line * outputs

    return _icc(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut(to_lab, 4, 3), b"B2A0": lut(to_inks, 3, 4)})
