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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from stgan.photo.colour import DEEP_GREY, deep_grey, to_srgb, with_change

MAX_PIXELS = 100_000_000
"""Larger pictures are rejected before they are decoded: a file of a few kilobytes can claim terabytes of pixels."""
SOFTWARE = "stgan"

Tag = ExifTags.Base
KEPT_TAGS = (Tag.Artist, Tag.Copyright, Tag.DateTime, Tag.Make, Tag.Model)
KEPT_CAMERA_TAGS = (
    Tag.DateTimeOriginal, Tag.OffsetTimeOriginal, Tag.ExposureTime, Tag.FNumber, Tag.ISOSpeedRatings, Tag.FocalLength,
    Tag.LensModel,
)  # fmt: skip
"""EXIF tags that are kept: author, date and camera. All others are dropped, among them the place (GPS, also hidden in
makers' notes), the preview (it shows the face before the edit) and the orientation (it is applied)."""


class PhotoError(ValueError):
    """A picture that cannot be read or written. The message says what to do."""


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

    def with_rgb(self, edited: np.ndarray) -> Image.Image:
        """The original with the change from :attr:`rgb` to ``edited``, uint8 of the same shape.

        Unchanged pixels keep their bits. Changed pixels:

        - RGB stays RGB. With a profile other than sRGB the change is converted to that profile's colours.
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
        return with_change(self.original, self.rgb, edited)


def open_photo(source: str | os.PathLike | Image.Image | np.ndarray) -> Photo:
    """Read a photograph of any kind and turn it upright.

    Args:
        source: a path; a Pillow image; or an array (H, W) or (H, W, 1 to 4) of uint8, uint16, bool or float in [0, 1].
            An animation gives its first frame. Pillow reads colour files of 16 bits per channel at 8.

    Raises:
        PhotoError: there is no such file, it is not a picture, it is broken, or it has more than 100 megapixels.
    """
    if isinstance(source, np.ndarray):
        image = _from_array(source)
    elif isinstance(source, Image.Image):
        image = _upright(source, "This picture")
    else:
        image = _read(Path(source))
    rgb = np.array(to_srgb(image))
    rgb.flags.writeable = False  # with_rgb compares with it
    return Photo(rgb, image)


READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
"""Pillow's names of the formats that are read, where Pillow supports them; HEIF needs a plugin. Pillow's other, rarer
readers stay closed to files from strangers; one of them (EPS) runs programs."""


def _read(path: Path) -> Image.Image:
    Image.init()  # registers all readers; before, Image.OPEN has only a few
    try:
        image = Image.open(path, formats=[name for name in READABLE if name in Image.OPEN])
    except FileNotFoundError as error:
        raise PhotoError(f"There is no file {path}.") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path.name) from error
    except Image.UnidentifiedImageError as error:
        raise PhotoError(
            f"{path.name} is not a picture that can be read. Use a JPEG, PNG, WebP, TIFF or BMP file; "
            "export a phone's HEIC photo as JPEG first."
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:  # from the operating system: a folder, or no permission
            raise PhotoError(f"{path.name or path} cannot be read: {error.strerror}.") from error
        raise _broken(path.name, error) from error
    with image:
        return _upright(image, path.name)


def _upright(image: Image.Image, name: str) -> Image.Image:
    """The image in memory, turned upright by its EXIF tag, with only the metadata that are kept."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(f"{name}, {width}x{height} pixels,")
    if width * height == 0:
        raise PhotoError(f"{name} has no pixels.")
    try:
        image.load()
    except Exception as error:
        raise _broken(name, error) from error
    info = _kept_info(image)
    with contextlib.suppress(Exception):  # with unreadable EXIF data the image stays as it is
        image = ImageOps.exif_transpose(image)
    image = image.copy()
    image.info = info
    return image


def _kept_info(image: Image.Image) -> dict[str | tuple[int, int], Any]:
    """The metadata that are kept: colour profile, transparency, resolution, and the harmless EXIF tags."""
    info: dict[str | tuple[int, int], Any]  # as Pillow types it
    info = {key: image.info[key] for key in ("icc_profile", "transparency", "dpi") if image.info.get(key) is not None}
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
    except (TypeError, ValueError):
        return False


def _broken(name: str, error: Exception) -> PhotoError:
    return PhotoError(f"{name} is broken ({error}). Copy it again, or open it in another program and save it again.")


def _too_large(name: str) -> PhotoError:
    return PhotoError(f"{name} is larger than {MAX_PIXELS // 1_000_000} megapixels. Scale it down or crop it first.")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        raise PhotoError(f"A picture cannot have shape {array.shape}: use (H, W), or (H, W, C) with up to 4 channels.")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise _too_large(f"An array of shape {array.shape}")
    if array.size == 0:
        raise PhotoError("This array has no pixels. Use an array of at least one row and one column.")
    if array.dtype == np.uint16 and array.ndim == 2:
        return Image.fromarray(array)  # Pillow supports 16 bits for greyscale only
    if array.dtype == np.uint16:
        array = np.round(array / 257)
    elif np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):  # false for NaN too
            raise PhotoError("A picture of floats must hold values from 0 to 1. For values from 0 to 255 use uint8.")
        array = np.round(array * 255)
    elif array.dtype == bool:
        array = array * 255
    elif array.dtype != np.uint8:
        raise PhotoError(f"A picture cannot have dtype {array.dtype}: use uint8, uint16, bool, or floats from 0 to 1.")
    return Image.fromarray(np.ascontiguousarray(array, dtype=np.uint8))


FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4", "optimize": True},
    "PNG": {},
    "WEBP": {"quality": 95, "exact": True},
    "TIFF": {"compression": "tiff_lzw"},
}
JPEG_EXIF = 65_533
"""Largest size of EXIF data in a JPEG, in bytes with their header."""
MODES = {  # that a format supports, best first
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "F"),
}


def save_photo(image: Image.Image, path: str | Path, *, description: str | None = None) -> None:
    """Write a photograph in the format of its suffix, at high quality (JPEG 95 without colour subsampling).

    The colour profile is written too. The place where the photo was taken never is.

    Args:
        image: any mode. It is converted to the nearest mode of the format: transparent pixels become white in a JPEG,
            CMYK becomes sRGB in a PNG, 16 bits become 8 in a JPEG or WebP.
        path: ends in .jpg, .jpeg, .png, .webp, .tif or .tiff.
        description: stored in the file's metadata (PNG text, else EXIF ImageDescription) with the name of this
            software.

    Raises:
        PhotoError: the suffix is another, the format cannot hold the picture, or the file cannot be written.
    """
    path = Path(path)
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise PhotoError(f"{path.name} ends in none of {', '.join(FORMATS)}: use one of them, such as .png.")
    clean = _fitting(image, file_format)
    info = _kept_info(clean)
    arguments: dict[str, Any] = {key: info[key] for key in ("icc_profile", "dpi") if key in info}
    arguments |= _described(info, file_format, description)
    # Pillow would write other entries of info too.
    clean.info = {key: value for key, value in info.items() if key == "transparency"}
    encoded = io.BytesIO()
    try:
        clean.save(encoded, file_format, **OPTIONS[file_format], **arguments)
    except (OSError, ValueError) as error:
        raise PhotoError(
            f"{path.name} cannot be written: {file_format} cannot hold this picture ({error}). "
            "Write a .png or .tif file, or scale the picture down first."
        ) from error
    try:
        _write(path, encoded.getbuffer())
    except OSError as error:
        reason = error.strerror or error
        raise PhotoError(f"{path} cannot be written: {reason}. Choose another place for it.") from error


def _write(path: Path, content: memoryview) -> None:
    """Write a file atomically: if the disk fills up, the old file stays whole and no partial file is left."""
    target = path.resolve()  # a link stays a link
    if target.exists() and not os.access(target, os.W_OK):  # its folder may allow more than the file itself
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    part = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
    try:
        part.write_bytes(content)
        if target.exists():
            shutil.copymode(target, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _fitting(image: Image.Image, file_format: str) -> Image.Image:
    modes, info = MODES[file_format], dict(image.info)
    if file_format != "PNG" and info.pop("transparency", None) is not None and image.mode not in DEEP_GREY:
        # Only PNG supports one transparent colour or a table. The others keep a channel, or show it as white.
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    transparent = image.has_transparency_data and image.mode not in DEEP_GREY
    if image.mode in modes:
        result = image.copy()
    elif image.mode in DEEP_GREY and "I;16" in modes:
        values, white = deep_grey(image)
        result = Image.fromarray(np.round(values.clip(0, white) * (65535 / white)).astype("<u2"))
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


def _described(info: Mapping[Any, Any], file_format: str, description: str | None) -> dict[str, Any]:
    exif = Image.Exif()
    arguments: dict[str, Any] = {}
    if "exif" in info:
        exif.load(info["exif"])
    if file_format == "TIFF":  # libtiff, which compresses, cannot write the camera's tags
        exif.pop(ExifTags.IFD.Exif, None)
    if description is not None and file_format == "PNG":
        arguments["pnginfo"] = PngInfo()
        arguments["pnginfo"].add_itxt("Description", description)
        arguments["pnginfo"].add_text("Software", SOFTWARE)
    elif description is not None:
        exif[Tag.ImageDescription] = description
        exif[Tag.Software] = SOFTWARE
    if file_format == "JPEG" and len(exif.tobytes()) > JPEG_EXIF:  # the description matters most
        exif = Image.Exif()
        if description is not None:
            exif[Tag.ImageDescription] = description[: JPEG_EXIF - 1000]
            exif[Tag.Software] = SOFTWARE
    if len(exif):
        arguments["exif"] = exif.tobytes()
    return arguments
