"""Read photographs as 8-bit sRGB, and write them back with every unchanged pixel as it was.

A file may be greyscale, 16 bits deep, CMYK, a palette, transparent, turned by its EXIF tag, or in a wide colour space.
:func:`open_photo` gives sRGB pixels of all of them. :meth:`Photo.with_rgb` applies a change of those pixels to the
original, which keeps its bits outside the change, its mode and its colour profile.
"""

import contextlib
import errno
import io
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps

from stgan.photo import png
from stgan.photo.colour import DEEP_GREY, assumed_bits, scaled_grey, srgb_pixels, to_srgb, with_change
from stgan.photo.kinds import head_of, is_address, unreadable
from stgan.photo.pictures import (
    MAX_PIXELS,
    PhotoError,
    PhotoWarning,
    check_depth,
    from_array,
    from_tensor,
    lost_bits,
    shared,
    too_large,
    warn,
)  # fmt: skip
from stgan.photo.provenance import marked, metadata

__all__ = ["FORMATS", "MAX_PIXELS", "Photo", "PhotoError", "PhotoSource", "PhotoWarning", "open_photo", "save_photo"]

OUTCOME = "stgan"
"""Key of what an edit changed in the ``info`` of the image that it returns, see :mod:`stgan.editing.outcome`."""
KEPT_INFO = ("icc_profile", "transparency", "dpi", OUTCOME)

Tag = ExifTags.Base
KEPT_TAGS = (Tag.Artist, Tag.Copyright, Tag.DateTime, Tag.Make, Tag.Model)
KEPT_CAMERA_TAGS = (
    Tag.DateTimeOriginal, Tag.OffsetTimeOriginal, Tag.ExposureTime, Tag.FNumber, Tag.ISOSpeedRatings, Tag.FocalLength,
    Tag.LensModel,
)  # fmt: skip
"""EXIF tags that are kept: author, date and camera. All others are dropped, among them the place (GPS, also hidden in
makers' notes), the preview (it shows the face before the edit) and the orientation (it is applied)."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, upright.

    Attributes:
        rgb: uint8 (H, W, 3), sRGB without transparency, read-only: faces are found and edited in these pixels.
        original: the photo in its own mode and colour profile, turned upright.
    """

    rgb: np.ndarray
    original: Image.Image

    @property
    def is_grey(self) -> bool:
        """Whether its mode has no colours, so that edits come out grey. A palette of greys becomes RGB when edited."""
        return self.original.mode in ("1", "L", "LA", "La", *DEEP_GREY)

    @cached_property
    def is_colourless(self) -> bool:
        """Whether it looks grey, whatever its mode: many black and white photos are stored as RGB."""
        step = max(1, max(self.rgb.shape) // COLOUR_SAMPLES)
        return bool((np.ptp(self.rgb[::step, ::step], axis=2) <= COLOUR_NOISE).all())

    def with_rgb(self, edited: np.ndarray) -> Image.Image:
        """The original with the change from :attr:`rgb` to ``edited``, uint8 of the same shape.

        Unchanged pixels keep their bits. Changed pixels:

        - RGB stays RGB, and without colours where the photo has none (:attr:`is_colourless`). With a profile other
          than sRGB the change is converted to that profile's colours.
        - Greyscale stays greyscale and takes the change of luminance. Sixteen bits stay sixteen: the change is added in
          steps of 257. Black and white (mode 1) becomes 8-bit greyscale.
        - A palette becomes RGB, since it has no room for new colours.
        - CMYK stays CMYK, converted by its profile. Without one, the black ink is kept as far as the colour allows.
        - Transparency is unchanged.

        The image's ``info`` holds the colour profile and the harmless EXIF data, never the place.

        Raises:
            PhotoError: ``edited`` has another shape or type.
        """
        edited = np.asarray(edited)
        if edited.shape != self.rgb.shape or edited.dtype != np.uint8:
            raise PhotoError(f"Edited pixels must be uint8 {self.rgb.shape}, not {edited.dtype} {edited.shape}.")
        return with_change(self.original, self.rgb, edited, colourless=self.is_colourless)


COLOUR_SAMPLES = 512  # pixels along the longer side that are looked at for colours
COLOUR_NOISE = 3  # levels by which the colours of a grey photo may differ after JPEG's rounding
PhotoSource = str | os.PathLike | bytes | BinaryIO | Image.Image | np.ndarray | torch.Tensor | Photo
TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}  # clockwise


def open_photo(source: PhotoSource, *, turn: int = 0) -> Photo:
    """Read a photograph of any kind and turn it upright.

    Args:
        source: a path; the content of a file as bytes, or a file opened for reading them; a Pillow image; an array or
            tensor (H, W) or (H, W, 1 to 4), or with the channels first, of uint8, uint16, bool or float in [0, 1].
        turn: degrees clockwise, 90, 180 or 270, by which to turn a photo that lies on its side without saying so.

    Warns:
        PhotoWarning: an animation gives its first frame; colours of more than 8 bits are read with 8; greyscale of at
            most 12 bits in 16 is taken as such.

    Raises:
        PhotoError: there is no such file, it is not a picture, it is broken, its depth cannot be read, or it has more
            than 100 megapixels.
    """
    if isinstance(source, Photo):
        source = source.original
    name = "This picture"
    if isinstance(source, np.ndarray):
        image = from_array(source)
    elif isinstance(source, torch.Tensor):
        image = from_tensor(source)
    elif isinstance(source, Image.Image):
        image = _upright(source, name)
    else:
        content, name = _content(source)
        image = _read(content, name)
    check_depth(image, name)
    if bits := assumed_bits(image):
        warn(f"{name} holds {bits} bits in 16: its brightest value counts as one of {bits} bits.")
    if turn not in (0, *TURNS):
        raise PhotoError(f"A photo can be turned by 90, 180 or 270 degrees clockwise, not by {turn}.")
    if turn:
        info = image.info
        image = image.transpose(TURNS[turn])
        image.info = info
    rgb = srgb_pixels(image)
    rgb.flags.writeable = False  # with_rgb compares with it
    return Photo(rgb, image)


READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
"""Pillow's names of the formats that are read, where Pillow supports them; HEIF needs the package pillow-heif. Pillow's
other, rarer readers stay closed to files from strangers; one of them (EPS) runs programs."""
STILL = ("MPO", "TIFF")  # formats whose further frames are no animation: previews, depths, pages
READABLE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif",
)  # fmt: skip


@cache
def _register_readers() -> None:
    """All readers of Pillow, and that of HEIC where it is installed."""
    Image.init()  # before, Image.OPEN has only a few
    with contextlib.suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()


LONGEST_NAME = 255  # characters of a file's name in a message, which are as many as systems allow


def _content(source: Any) -> tuple[Path | io.BytesIO, str]:
    """What to open, and its name for messages."""
    if isinstance(source, str | os.PathLike):
        if isinstance(source, str) and is_address(source):
            raise PhotoError(f"{source[:100]} is an address: download the photo and give its path or its bytes.")
        return Path(source), (Path(source).name or str(source))[:LONGEST_NAME]
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "This picture"
    if hasattr(source, "read"):
        content = source.read()
        if not content and getattr(source, "seekable", bool)():  # just written, or read before
            source.seek(0)
            content = source.read()
        if not isinstance(content, bytes):
            raise PhotoError('A photo must be opened as bytes: use open(path, "rb").')
        named = getattr(source, "name", None)
        return io.BytesIO(content), Path(named).name if isinstance(named, str) and named else "This picture"
    if isinstance(source, list | tuple):
        raise PhotoError("These are several photos, or none: edit one photo at a time.")
    raise PhotoError(
        f"A photo cannot be a {type(source).__name__}: give a path, bytes, an open file, a Pillow image, an array or a "
        "tensor."
    )


def _read(content: Path | io.BytesIO, name: str) -> Image.Image:
    _register_readers()
    try:
        image = Image.open(content, formats=[name for name in READABLE if name in Image.OPEN])
    except FileNotFoundError as error:
        raise PhotoError(f"There is no file {str(content)[:1000]}.") from error
    except Image.DecompressionBombError as error:
        raise too_large(name) from error
    except Image.UnidentifiedImageError as error:
        raise PhotoError(unreadable(content, name)) from error
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:  # from the operating system: a folder, or no permission
            raise PhotoError(f"{name or content} cannot be read: {error.strerror}.") from error
        raise _broken(name, error) from error
    with image:
        _check_scans(image, content, name)
        _warn_of_losses(image, content, name)
        _let_go_of_frames(image)
        return _upright(image, name, own=True)


MOST_SCANS, MOST_SCANNED = 30, 1_500_000_000
"""Scans of a progressive JPEG, and pixels in all its scans. Photos have about ten. Each scan of a few hundred bytes can
make the decoder pass over the whole picture, so that a small file could keep it busy for hours."""


def _check_scans(image: Image.Image, content: Path | io.BytesIO, name: str) -> None:
    if not image.info.get("progressive"):
        return
    data = content.getvalue() if isinstance(content, io.BytesIO) else content.read_bytes()
    scans = data.count(b"\xff\xda")  # compressed pixels never contain this marker
    if scans > MOST_SCANS and scans * image.width * image.height > MOST_SCANNED:
        raise PhotoError(
            f"{name} is a JPEG in {scans} scans, which would take minutes to decode. Open it in another program and "
            "save it again."
        )


def _warn_of_losses(image: Image.Image, content: Path | io.BytesIO, name: str) -> None:
    with contextlib.suppress(Exception):  # a broken file is refused when it is loaded
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format not in STILL:
            warn(f"{name} is an animation of {frames} frames: only the first one is read.")
        elif frames > 1 and image.format == "TIFF":
            warn(f"{name} has {frames} pages: only the first one is read.")
        if bits := lost_bits(image, head_of(content)):
            warn(f"{name} has {bits} bits per colour and is read with 8: only greyscale keeps more.")


YCBCR = 6  # in a TIFF; only where it is compressed as JPEG or by LZW, Pillow reads it


def _let_go_of_frames(image: Any) -> None:
    """Let a WebP drop its decoder before it makes an image of the first frame: it keeps two frames for the next one,
    which are 8 bytes a pixel."""
    if image.format != "WEBP" or not hasattr(image, "_decoder"):
        return
    prepare = image.load_prepare

    def dropped() -> None:
        image._decoder = None
        prepare()

    image.load_prepare = dropped


def _upright(image: Image.Image, name: str, own: bool = False) -> Image.Image:
    """The image in memory, turned upright by its EXIF tag, with only the metadata that are kept.

    It is a copy, unless nobody else has the image (``own``).
    """
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise too_large(f"{name}, {width}x{height} pixels,")
    if width * height == 0:
        raise PhotoError(f"{name} has no pixels.")
    try:
        image.load()
    except Exception as error:
        if getattr(image, "tag_v2", {}).get(Tag.PhotometricInterpretation) == YCBCR:
            raise PhotoError(f"{name} stores its colours as YCbCr, which cannot be read: save it as RGB.") from error
        raise _broken(name, error) from error
    info = _kept_info(image)
    upright = None
    with contextlib.suppress(Exception):  # with unreadable EXIF data the image stays as it is
        if image.getexif().get(Tag.Orientation, 1) != 1:
            upright = ImageOps.exif_transpose(image)
    if upright is None:  # readonly: a file mapped into memory
        upright = shared(image) if own and not image.readonly else image.copy()
    upright.info = info
    return upright


def _kept_info(image: Image.Image) -> dict[str | tuple[int, int], Any]:
    """The metadata that are kept: colour profile, transparency, resolution, and the harmless EXIF tags."""
    info: dict[str | tuple[int, int], Any]  # as Pillow types it
    info = {key: image.info[key] for key in KEPT_INFO if image.info.get(key) is not None}
    if not _is_resolution(info.get("dpi")):
        info.pop("dpi", None)
    with contextlib.suppress(Exception):  # unreadable EXIF data are dropped
        exif, kept = image.getexif(), Image.Exif()
        kept.update({tag: exif[tag] for tag in KEPT_TAGS if tag in exif})
        camera = exif.get_ifd(ExifTags.IFD.Exif)
        camera = {tag: camera[tag] for tag in KEPT_CAMERA_TAGS if tag in camera}
        if camera:
            kept[ExifTags.IFD.Exif] = camera
        if len(kept):
            info["exif"] = kept.tobytes()
    return info


def _is_resolution(dpi: Any) -> bool:
    """Whether every format can store it. A TIFF may hold 0/0, a JPEG has 16 bits, a Pillow image may hold anything."""
    try:
        return isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(value) < 65536 for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return False


def _broken(name: str, error: Exception) -> PhotoError:
    return PhotoError(f"{name} is broken ({error}). Copy it again, or open it in another program and save it again.")


FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4", "optimize": True},
    "PNG": {},
    "WEBP": {"quality": 95, "exact": True},
    "TIFF": {"compression": "tiff_lzw"},
}
FAST_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"optimize": False}, "PNG": {"compress_level": 1}}
"""For a server: the same pixels in a third of the time as PNG, and in half as JPEG, and a tenth or 4 % more bytes."""
LARGE = 20_000_000  # pixels, above which Pillow takes more than ten seconds for a PNG or WebP
LARGE_OPTIONS: dict[str, dict[str, Any]] = {"WEBP": {"method": 2}}
MODES = {  # that a format supports, best first
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "F"),
}


DIFFERENCES = ("RGB", "RGBA", "L", "LA", "CMYK", "I;16")
"""Modes that a TIFF stores as differences to the pixel at the left: it is smaller by a sixth to a half. Palettes
gain nothing, and libtiff fails at single bits."""


def save_photo(
    image: Image.Image, path: str | Path, *, description: str | None = None, mark: bool = False, fast: bool = False
) -> None:
    """Write a photograph in the format of its suffix, at high quality (JPEG 95 without colour subsampling).

    The colour profile is written too. The place where the photo was taken never is.

    Args:
        image: any mode. It is converted to the nearest mode of the format: transparent pixels become white in a JPEG,
            CMYK becomes sRGB in a PNG, 16 bits become 8 in a JPEG or WebP.
        path: ends in .jpg, .jpeg, .png, .webp, .tif or .tiff.
        description: what was edited, stored in the file's metadata (PNG text, else EXIF ImageDescription) with the
            name of this software and, as XMP, IPTC's mark of a picture that a trained model made part of. By default
            what an edit by :class:`stgan.FaceEditor` really changed.
        mark: write "Edited with AI" visibly into the lower right corner.
        fast: compress PNG and JPEG less, for speed; the quality stays.

    Raises:
        PhotoError: the suffix is another, the format cannot hold the picture, or the file cannot be written.
    """
    path = Path(path)
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise PhotoError(f"{path.name} ends in none of {', '.join(FORMATS)}: use one of them, such as .png.")
    if mark:
        photo = open_photo(image)
        image = photo.with_rgb(marked(photo.rgb))
    is_large = image.width * image.height > LARGE
    clean = _fitting(image, file_format)
    info = _kept_info(clean)
    if description is None:
        description = getattr(info.get(OUTCOME), "description", None)
    arguments: dict[str, Any] = {key: info[key] for key in ("icc_profile", "dpi") if key in info}
    arguments |= metadata(info.get("exif"), file_format, description)
    if file_format == "TIFF" and clean.mode in DIFFERENCES:
        arguments["exif"] = _with_predictor(arguments.get("exif", b""))
    # Pillow would write other entries of info too.
    clean.info = {key: value for key, value in info.items() if key == "transparency"}
    if is_large and file_format == "PNG" and clean.mode in png.MODES:
        _write(path, png.png_parts(clean, **arguments))
        return
    options = OPTIONS[file_format] | (FAST_OPTIONS.get(file_format, {}) if fast else {})
    options |= LARGE_OPTIONS.get(file_format, {}) if is_large else {}
    encoded = io.BytesIO()
    try:
        clean.save(encoded, file_format, **options, **arguments)
    except (OSError, ValueError) as error:
        raise PhotoError(
            f"{path.name} cannot be written: {file_format} cannot hold this picture ({error}). "
            "Write a .png or .tif file, or scale the picture down first."
        ) from error
    _write(path, [encoded.getbuffer()])


def _with_predictor(exif: bytes) -> bytes:
    tags = Image.Exif()
    tags.load(exif)
    tags[Tag.Predictor] = 2  # differences along a row
    return tags.tobytes()


def _write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file atomically: if the disk fills up, the old file stays whole and no partial file is left."""
    try:
        target = path.resolve()  # a link stays a link
        if target.exists() and not os.access(target, os.W_OK):  # its folder may allow more than the file itself
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        part = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
        try:
            with part.open("wb") as file:
                file.writelines(parts)
            if target.exists():
                shutil.copymode(target, part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise PhotoError(f"{path} cannot be written: {reason}. Choose another place for it.") from error


def _fitting(image: Image.Image, file_format: str) -> Image.Image:
    modes, info = MODES[file_format], dict(image.info)
    if file_format != "PNG" and info.pop("transparency", None) is not None and image.mode not in DEEP_GREY:
        # Only PNG supports one transparent colour or a table. The others keep a channel, or show it as white.
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    transparent = image.has_transparency_data and image.mode not in DEEP_GREY
    if image.mode in modes:
        result = shared(image)
    elif image.mode in DEEP_GREY and "I;16" in modes:
        result = Image.fromarray(scaled_grey(image, 65535, np.uint16))
    elif transparent:
        info.pop("transparency", None)
        result = image.convert("RGBA")
        if "RGBA" not in modes:
            background = Image.new("RGBA", image.size, "white")
            result = Image.alpha_composite(background, result).convert("L" if image.mode in ("L", "LA") else "RGB")
    else:
        for key in ("transparency", "icc_profile"):
            info.pop(key, None)
        result = to_srgb(image)
    result.info = info
    return result
