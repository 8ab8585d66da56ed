"""Photos come from anywhere; what of them is lost is told, and what cannot be read is named for what it is."""

import io
import struct
import warnings

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from stgan.photo.files import PhotoError, PhotoWarning, open_photo


@pytest.fixture
def png(rgb):
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, "PNG")
    return encoded.getvalue()


def written(content):
    """A buffer that stands at its end, as after writing."""
    file = io.BytesIO()
    file.write(content)
    return file


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO, written])
def test_the_content_of_a_file_is_a_photo(kind, png, rgb):
    assert np.array_equal(open_photo(kind(png)).rgb, rgb)


def test_an_open_file_is_a_photo_and_stays_open(png, rgb, tmp_path):
    (tmp_path / "me.png").write_bytes(png)
    with (tmp_path / "me.png").open("rb") as file:
        assert np.array_equal(open_photo(file).rgb, rgb)
        assert not file.closed
    (tmp_path / "broken.png").write_bytes(png[:-40])
    with (tmp_path / "broken.png").open("rb") as file, pytest.raises(PhotoError, match=r"^broken\.png is broken"):
        open_photo(file)
    (tmp_path / "text.png").write_text("text")
    with (tmp_path / "text.png").open() as file, pytest.raises(PhotoError, match='open\\(path, "rb"\\)'):
        open_photo(file)


@pytest.mark.parametrize(
    "tensor",
    [
        lambda rgb: torch.from_numpy(rgb.copy()),
        lambda rgb: torch.from_numpy(rgb.copy()).permute(2, 0, 1),
        lambda rgb: torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None],
        lambda rgb: torch.from_numpy(rgb / 255.0).permute(2, 0, 1).requires_grad_(),
        lambda rgb: np.moveaxis(rgb, 2, 0),
    ],
)
def test_tensors_are_photos_with_their_channels_first_or_last(tensor, rgb):
    assert np.array_equal(open_photo(tensor(rgb)).rgb, rgb)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "cannot be a NoneType: give a path"),
        ({"path": "me.png"}, "cannot be a dict"),
        (["me.png", "you.png"], "one photo at a time"),
        ("https://example.org/me.jpg", "download the photo"),
        ("HTTP://example.org/me.jpg", "download the photo"),
        ("file:///home/me/me.jpg", "is an address"),
        ("data:image/png;base64,iVBORw0KGgo=", "is an address"),
        ("a" * 5000, "^a{255} cannot be read: File name too long"),
        ("a/" * 5000, "^There is no file .{,1000}[.]$|^a cannot be read: File name too long"),
        (b"", "not a picture"),
        (b"%PDF-1.7", "PDF document: export its page"),
        (b"\0\0\0\x18ftypisom", "a film"),
        (b"<html>", "web page"),
        (b"\x76\x2f\x31\x01\x02\0\0\0", "floating-point depth cannot be read"),
        (torch.zeros(2, 3, 8, 8), "Edit one photo at a time"),
        (torch.zeros(3, 8, 8) - 1, r"use \(x \+ 1\) / 2"),
        (torch.empty(3, 8, 8, device="meta"), "without data"),
        (torch.zeros(8, 8).to_sparse(), "use .to_dense"),
        (np.zeros((8, 8), np.uint32), "depth uint32"),
        (np.zeros((8, 8, 3), np.int32), "depth int32"),
        (Image.fromarray(np.full((8, 8), -5, np.int32)), "depth cannot be read"),
        (Image.fromarray(np.full((8, 8), np.nan, np.float32)), "depth cannot be read"),
    ],
)
def test_what_is_no_photo_is_named_for_what_it_is(source, words):
    with pytest.raises(PhotoError, match=words):
        open_photo(source)


def tiff(array, bits, form):
    """An uncompressed TIFF of a depth that Pillow does not write."""
    samples = array.shape[2] if array.ndim == 3 else 1
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[256], tags[257] = array.shape[1], array.shape[0]
    tags[258], tags[339] = (bits,) * samples, (form,) * samples
    tags[259], tags[262], tags[277], tags[278] = 1, 2 if samples == 3 else 1, samples, array.shape[0]
    content = array.tobytes()
    tags[279] = len(content)
    tags.tagtype[273] = 4  # a long, so that the size does not depend on the value
    tags[273] = 0  # Pillow adds where the tags end
    return b"II*\0\x08\0\0\0" + tags.tobytes(8) + content


@pytest.mark.parametrize(
    ("dtype", "bits", "form", "words"),
    [
        (np.float32, 32, 3, "3 channels of 32-bit floating-point numbers"),
        (np.uint32, 32, 1, "3 channels of 32-bit whole numbers"),
        (np.float64, 64, 3, "64-bit floating-point"),
    ],
)
def test_a_tiff_of_a_depth_that_cannot_be_read_says_so(dtype, bits, form, words, rgb, tmp_path):
    (tmp_path / "deep.tif").write_bytes(tiff(rgb.astype(dtype), bits, form))
    with pytest.raises(PhotoError, match=f"^deep.tif has a depth that cannot be read: .*{words}"):
        open_photo(tmp_path / "deep.tif")


@pytest.mark.parametrize("big", [False, True])
def test_the_depth_of_a_large_tiff_is_found_at_its_end(big, tmp_path):
    pixels = np.zeros((600, 600, 3), np.float32)
    entries = {256: (4, 600), 257: (4, 600), 258: (3, 32), 259: (3, 1), 262: (3, 2), 273: (4, 16)}
    entries |= {277: (3, 3), 339: (3, 3)}
    count, size = ("<Q", "Q") if big else ("<H", "I")
    tags = struct.pack(count, len(entries)) + b"".join(
        struct.pack(f"<HH{size}", tag, kind, 1) + struct.pack(f"<{size}", value)
        for tag, (kind, value) in entries.items()
    )
    place = 16 + pixels.nbytes
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, place) if big else struct.pack("<2sHI8x", b"II", 42, place)
    (tmp_path / "deep.tif").write_bytes(header + pixels.tobytes() + tags + bytes(8))
    for source in (tmp_path / "deep.tif", (tmp_path / "deep.tif").read_bytes()):
        with pytest.raises(PhotoError, match="3 channels of 32-bit floating-point numbers"):
            open_photo(source)


def test_colours_that_pillow_cannot_decode_are_no_damage(rgb, tmp_path):
    Image.fromarray(rgb).convert("YCbCr").save(tmp_path / "colours.tif")
    with pytest.raises(PhotoError, match="stores its colours as YCbCr"):
        open_photo(tmp_path / "colours.tif")


@pytest.mark.skipif(not cv2.haveImageWriter("a.avif"), reason="OpenCV writes no AVIF")
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_an_avif_of_more_than_eight_bits_is_read_with_a_warning(bits, rgb, tmp_path, recwarn):
    deep = (rgb.astype(np.uint16) * (2**bits // 256)).astype(np.uint8 if bits == 8 else np.uint16)
    cv2.imwrite(str(tmp_path / "photo.avif"), deep, [cv2.IMWRITE_AVIF_DEPTH, bits])
    open_photo(tmp_path / "photo.avif")
    words = f"photo.avif has {bits} bits per colour and is read with 8: only greyscale keeps more."
    assert [str(each.message) for each in recwarn.list] == [words] * (bits > 8)


def test_whole_numbers_beyond_what_pillow_holds_are_a_matter_of_depth(rgb, tmp_path):
    values = (rgb[..., 0].astype(np.uint64) * (2**32 // 256)).astype(np.uint32)
    (tmp_path / "deep.tif").write_bytes(tiff(values, 32, 1))
    with pytest.raises(PhotoError, match=r"deep.tif holds 32-bit whole numbers.*depth cannot be read"):
        open_photo(tmp_path / "deep.tif")


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_few_bits_in_sixteen_are_seen_as_bright_as_they_were_meant_and_keep_their_depth(bits, rgb, tmp_path):
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    deep = np.round(grey / 255 * (2**bits - 1)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "scan.png")
    with pytest.warns(PhotoWarning, match=rf"scan\.png holds {bits} bits in 16"):
        photo = open_photo(tmp_path / "scan.png")
    assert np.abs(photo.rgb[..., 0].astype(int) - grey).max() <= 1
    edited = photo.rgb // 2
    after = np.asarray(photo.with_rgb(edited))
    assert after.dtype == np.uint16
    assert np.abs(after - deep / 2).max() <= 2**bits / 256 + 1


def test_colours_of_sixteen_bits_become_eight_with_a_warning(rgb, tmp_path):
    (tmp_path / "deep.tif").write_bytes(tiff(rgb.astype("<u2") * 257, 16, 1))
    with pytest.warns(PhotoWarning, match=r"deep\.tif has 16 bits per colour and is read with 8"):
        assert np.array_equal(open_photo(tmp_path / "deep.tif").rgb, rgb)
    with pytest.warns(PhotoWarning, match="16 bits per colour"):
        open_photo(rgb.astype(np.uint16) * 257)


@pytest.mark.parametrize("suffix", ["webp", "gif", "png", "tif"])
def test_all_but_the_first_frame_are_lost_with_a_warning(suffix, rgb, tmp_path):
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    frames[0].save(tmp_path / f"two.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.warns(PhotoWarning, match="two.* 2 (frames|pages): only the first one is read"):
        assert open_photo(tmp_path / f"two.{suffix}").rgb.shape == rgb.shape


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "gif"])
def test_an_ordinary_photo_gives_no_warning(suffix, rgb, tmp_path):
    Image.fromarray(rgb).save(tmp_path / f"plain.{suffix}")
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_photo(tmp_path / f"plain.{suffix}")
        open_photo(tmp_path / "deep.png")


def test_a_phones_photo_is_read_where_its_reader_is_installed(rgb, tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(rgb)).save(tmp_path / "phone.heic", quality=95)
    photo = open_photo(tmp_path / "phone.heic")
    assert np.abs(photo.rgb.astype(int) - rgb).mean() < 4
    content = (tmp_path / "phone.heic").read_bytes()
    assert np.array_equal(open_photo(content).rgb, photo.rgb)
    with pytest.raises(PhotoError, match="broken"):
        open_photo(content[: len(content) // 3])


def test_without_its_reader_a_phones_photo_says_what_to_install(monkeypatch):
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(PhotoError, match="HEIC photo: pip install pillow-heif"):
        open_photo(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(100))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_photo_is_turned_clockwise_if_that_is_asked_for(turn, rgb):
    assert np.array_equal(open_photo(rgb, turn=turn).rgb, np.rot90(rgb, -turn // 90))
    with pytest.raises(PhotoError, match="90, 180 or 270 degrees"):
        open_photo(rgb, turn=45)
