"""Read photographs as 8-bit RGB to work on, and put changed pixels back into what they were without other loss.

A file may be greyscale, 16 bits deep, CMYK, a palette, transparent, turned by its EXIF tag, or in a wide colour space.
:func:`open_photo` gives sRGB pixels of all of them; :meth:`Photo.with_rgb` carries a change of those pixels over to the
original, so that everything outside the change keeps its bits, and the whole its mode and colour profile.
"""

import contextlib
import errno
import io
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: a file of a few kilobytes can claim terabytes of pixels."""
SOFTWARE = "stgan"

KEPT_TAGS = (
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.Base.DateTime,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
)
KEPT_CAMERA_TAGS = (
    ExifTags.Base.DateTimeOriginal,
    ExifTags.Base.OffsetTimeOriginal,
    ExifTags.Base.ExposureTime,
    ExifTags.Base.FNumber,
    ExifTags.Base.ISOSpeedRatings,
    ExifTags.Base.FocalLength,
    ExifTags.Base.LensModel,
)
"""What EXIF data keep: who, when and with what. Everything else goes: the place (GPS, also hidden in makers' notes),
the preview (it shows the face before the edit) and the orientation (it is applied)."""


class PhotoError(ValueError):
    """A picture that cannot be read or written; the message says what the person can do about it."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, upright.

    Attributes:
        rgb: uint8 (H, W, 3), sRGB, read-only: the pixels in which faces are found and edited. Transparency is left out.
        original: the photo in its own mode, with its own colour profile, EXIF orientation applied.
    """

    rgb: np.ndarray
    original: Image.Image

    @property
    def is_grey(self) -> bool:
        """Whether its mode has no colours, so that an edit is seen in grey; a palette of greys has room for them."""
        return self.original.mode in ("1", "L", "LA", "La", *DEEP_GREY)

    def with_rgb(self, edited: np.ndarray) -> Image.Image:
        """The original with the change from :attr:`rgb` to ``edited``.

        What did not change keeps its bits. What did:

        - RGB stays RGB; with a profile other than sRGB the change is converted to that profile's colours.
        - Greyscale stays greyscale: it takes the change of luminance. Sixteen bits stay sixteen: the change is added
          to them in steps of 257. Black and white (mode 1) becomes 8-bit greyscale.
        - A palette becomes RGB, since it has no room for new colours.
        - CMYK stays CMYK, converted by its profile; without a profile black ink is kept as far as the colour allows.
        - Transparency stays what it was.

        Args:
            edited: uint8 (H, W, 3), of the shape of :attr:`rgb`.

        Returns:
            an image with the colour profile and the harmless part of the EXIF data in ``info``; never a place.

        Raises:
            PhotoError: another shape or type.
        """
        edited = np.asarray(edited)
        if edited.shape != self.rgb.shape or edited.dtype != np.uint8:
            raise PhotoError(f"Edited pixels must be uint8 {self.rgb.shape}, not {edited.dtype} {edited.shape}.")
        box = _changed_box(self.rgb, edited)
        if box is None:
            return self.original.copy()
        result = _editable(self.original)
        left, top, right, bottom = box
        part = np.s_[top:bottom, left:right]
        result.paste(_changed(result, box, self.rgb[part], edited[part]), box)
        return result


def open_photo(source: str | Path | Image.Image | np.ndarray) -> Photo:
    """Reads a photograph of any kind, turned upright.

    Args:
        source: a path; a Pillow image; or an array (H, W), (H, W, 1 to 4) of uint8, uint16, bool or float in [0, 1].
            Of an animation the first frame is taken. Colour files of 16 bits per channel are read at 8, which is all
            that Pillow has for them.

    Raises:
        PhotoError: no such file, no picture, a broken one, or one of more than 100 megapixels.
    """
    if isinstance(source, np.ndarray):
        image = _from_array(source)
    elif isinstance(source, Image.Image):
        image = _upright(source, "This picture")
    else:
        image = _read(Path(source))
    rgb = np.array(_to_srgb(image))
    rgb.flags.writeable = False  # with_rgb compares with it
    return Photo(rgb, image)


# ------------------------------------------------------------------------------------------------------------ reading


READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
"""Pillow's names of the formats that photos come in, as far as it has them; HEIF needs a plugin. It knows many more,
old and rare, among them programs to run (EPS): a file from anywhere is not to choose its reader from so many."""


def _read(path: Path) -> Image.Image:
    Image.init()  # all its readers, of which OPEN has few before
    try:
        image = Image.open(path, formats=[name for name in READABLE if name in Image.OPEN])
    except FileNotFoundError as error:
        raise PhotoError(f"There is no file {path}.") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path.name) from error
    except Image.UnidentifiedImageError as error:
        raise PhotoError(
            f"{path.name} is no picture that can be read. Give a JPEG, PNG, WebP, TIFF or BMP file; "
            "a phone's HEIC photo must be exported as JPEG first."
        ) from error
    except Exception as error:
        if getattr(error, "strerror", None):  # the system's word: a folder, or a file of somebody else's
            raise PhotoError(f"{path.name or path} cannot be read: {error.strerror}.") from error
        raise _broken(path.name, error) from error
    with image:
        return _upright(image, path.name)


def _upright(image: Image.Image, name: str) -> Image.Image:
    """The image in memory, turned as its EXIF data say, with only those metadata that go on."""
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
    with contextlib.suppress(Exception):  # unreadable EXIF data turn nothing
        image = ImageOps.exif_transpose(image)
    image = image.copy()
    image.info = info
    return image


def _kept_info(image: Image.Image) -> dict[str, Any]:
    """What of a picture's metadata goes on: colour profile, transparency, resolution, and a little of EXIF."""
    info = {key: image.info[key] for key in ("icc_profile", "transparency", "dpi") if image.info.get(key) is not None}
    if not _is_resolution(info.get("dpi")):
        info.pop("dpi", None)
    with contextlib.suppress(Exception):  # unreadable EXIF data are not passed on
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
    """Whether every format can say it: a TIFF may have 0/0, a JPEG 16 bits, and whoever made the image anything."""
    try:
        return isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(value) < 65536 for value in dpi)
    except (TypeError, ValueError):
        return False


def _broken(name: str, error: Exception) -> PhotoError:
    """What any error of a decoder means: they raise nearly anything on broken data."""
    return PhotoError(f"{name} is broken ({error}). Save it once more from another program, or copy it again.")


def _too_large(name: str) -> PhotoError:
    return PhotoError(f"{name} is larger than {MAX_PIXELS // 1_000_000} megapixels. Scale it down or crop it first.")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        raise PhotoError(f"An array of shape {array.shape} is no picture: (H, W) or (H, W, channels up to 4) is one.")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise _too_large(f"An array of shape {array.shape}")
    if array.size == 0:
        raise PhotoError("An array without pixels is no picture.")
    if array.dtype == np.uint16 and array.ndim == 2:
        return Image.fromarray(array)  # Pillow has 16 bits for greyscale only
    if array.dtype == np.uint16:
        array = np.round(array / 257)
    elif np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):  # false for NaN too
            raise PhotoError("A picture of floats has values from 0 to 1; give uint8 for values from 0 to 255.")
        array = np.round(array * 255)
    elif array.dtype == bool:
        array = array * 255
    elif array.dtype != np.uint8:
        raise PhotoError(f"An array of {array.dtype} is no picture: give uint8, uint16, bool, or floats from 0 to 1.")
    return Image.fromarray(np.ascontiguousarray(array, dtype=np.uint8))


# ------------------------------------------------------------------------------------------------------------- colour

DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
ALPHA_REMOVED = {"RGBA": "RGB", "RGBa": "RGBA", "PA": "RGBA", "LA": "L", "La": "LA"}


def _to_srgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: by the colour profile where there is one that fits, transparency left out."""
    if image.mode in DEEP_GREY:
        values, white = _deep_grey(image)
        return Image.fromarray(np.clip(np.round(values * (255 / white)), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    while image.mode in ALPHA_REMOVED:
        image = image.convert(ALPHA_REMOVED[image.mode])
    profile = _profile(image)
    if profile is not None:
        return ImageCms.applyTransform(image, _transform(profile, image.mode, _SRGB, "RGB"))
    return image.convert("RGB")


def _deep_grey(image: Image.Image) -> tuple[np.ndarray, float]:
    """Float64 (H, W) values of a deep greyscale image, and the value that stands for white."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16"):
        return values, 65535.0
    values = np.nan_to_num(values)
    brightest = values.max()
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return values, next((white for white in whites if brightest <= white), brightest)


_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """The colour profile to convert by; None where the numbers are to be taken as they are.

    That is so for sRGB, and for greyscale, whose profiles say how ink spreads and change a face's tones very little.
    """
    if image.mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if image.mode not in ("RGB", "CMYK") or not image.info.get("icc_profile"):
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        to_srgb = _transform(profile, image.mode, _SRGB, "RGB")
        _transform(_SRGB, "RGB", profile, image.mode)
    except (ImageCms.PyCMSError, OSError):
        return None  # broken, one-way, or of another kind of picture
    return None if image.mode == "RGB" and _changes_nothing(to_srgb) else profile


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform from RGB to sRGB finds sRGB. The name is no sign: there are sRGBs of linear light."""
    ramp = np.arange(0, 256, 15, dtype=np.uint8)
    colours = ramp[:, None, None] * np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.uint8)
    seen = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return bool(np.abs(seen.astype(int) - colours).max() <= 2)


def _transform(*profiles_and_modes: Any) -> ImageCms.ImageCmsTransform:
    source, source_mode, target, target_mode = profiles_and_modes
    return ImageCms.buildTransform(source, target, source_mode, target_mode)


# ------------------------------------------------------------------------------------------------------- putting back


def _changed_box(before: np.ndarray, after: np.ndarray) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what differs; None where nothing does."""
    differs = before != after
    rows = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1))
    if len(rows) == 0:
        return None
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(axis=0).any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _editable(image: Image.Image) -> Image.Image:
    """A copy in the nearest mode that can hold any change of the pixels."""
    info = dict(image.info)
    if image.mode in ("I;16B", "I;16N"):
        image = Image.fromarray(np.asarray(image).astype("<u2"))
    elif image.mode in DEEP_GREY or image.mode == "CMYK":
        image = image.copy()
    else:
        transparent = image.has_transparency_data
        info.pop("transparency", None)  # as one colour or a table: becomes a channel
        if image.mode in ("1", "L", "LA", "La"):
            image = image.convert("LA" if transparent else "L")
        elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBa"):
            image = image.convert("RGBA" if transparent else "RGB")
        else:  # LAB, YCbCr, HSV
            image = _to_srgb(image)
            info.pop("icc_profile", None)
    image.info = info
    return image


def _changed(image: Image.Image, box: tuple[int, int, int, int], before: np.ndarray, after: np.ndarray) -> Image.Image:
    """The box of an editable image, with the change from one uint8 (h, w, 3) sRGB version of the box to another."""
    part = image.crop(box)
    if image.mode in DEEP_GREY:
        white = _deep_grey(image)[1]
        change = (_luminance(after).astype(np.float64) - _luminance(before)) * (white / 255)
        values = np.asarray(part)
        return Image.fromarray(np.where(change == 0, values, np.clip(values + change, 0, white)).astype(values.dtype))
    opaque = part.convert(ALPHA_REMOVED.get(part.mode, part.mode))
    profile = _profile(opaque)
    if opaque.mode == "L":
        colour = _luminance(after)
    elif profile is not None:
        # The difference of two conversions, so that what the way there and back loses does not show.
        to_profile = _transform(_SRGB, "RGB", profile, opaque.mode)
        new, old = (np.asarray(ImageCms.applyTransform(Image.fromarray(rgb), to_profile)) for rgb in (after, before))
        colour = np.clip(np.asarray(opaque) + (new.astype(np.int16) - old), 0, 255).astype(np.uint8)
    elif opaque.mode == "CMYK":
        colour = _inks(np.asarray(opaque), before, after)
    else:
        colour = after
    changed = Image.fromarray(colour, opaque.mode)
    if part.mode != opaque.mode:
        changed.putalpha(part.getchannel("A"))
    return changed


def _luminance(rgb: np.ndarray) -> np.ndarray:
    """uint8 (H, W) by Pillow's weights, which give a grey back exactly."""
    return np.asarray(Image.fromarray(rgb).convert("L"))


def _inks(inks: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """uint8 (h, w, 4) CMYK that Pillow shows as ``after`` where it differs from ``before``; as it was elsewhere."""
    black = np.minimum(inks[..., 3:], 255 - after.max(axis=2, keepdims=True))
    colour = np.round(255 - 255.0 * after / np.maximum(255.0 - black, 1))
    changed = (before != after).any(axis=2, keepdims=True)
    return np.where(changed, np.concatenate([colour, black], axis=2), inks).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------------ writing

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4", "optimize": True},
    "PNG": {},
    "WEBP": {"quality": 95, "exact": True},
    "TIFF": {"compression": "tiff_lzw"},
}
JPEG_EXIF = 65_533
"""Bytes of EXIF data, with their heading, that a JPEG has room for."""
MODES = {  # what a format can hold, best first
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "F"),
}


def save_photo(image: Image.Image, path: str | Path, *, description: str | None = None) -> None:
    """Writes a photograph in the format its suffix names, at high quality (JPEG 95 without colour subsampling).

    The colour profile goes with it. Where the photo was taken is never written, whatever the image carries.

    Args:
        image: any mode. One the format cannot hold becomes the nearest it can: transparent pixels become white in a
            JPEG, CMYK becomes sRGB in a PNG, 16 bits become 8 in a JPEG or WebP.
        path: ends in .jpg, .jpeg, .png, .webp, .tif or .tiff.
        description: written into the file's metadata (PNG text, EXIF ImageDescription elsewhere) together with the
            name of this software.

    Raises:
        PhotoError: another suffix, the format cannot hold the picture, or the file cannot be written.
    """
    path = Path(path)
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise PhotoError(f"{path.name} ends in none of {', '.join(FORMATS)}: give one of them, such as .png.")
    clean = _fitting(image, file_format)
    info = _kept_info(clean)
    arguments = {key: info[key] for key in ("icc_profile", "dpi") if key in info}
    arguments |= _described(info, file_format, description)
    clean.info = {key: value for key, value in info.items() if key == "transparency"}  # Pillow writes much of info
    encoded = io.BytesIO()
    try:
        clean.save(encoded, file_format, **OPTIONS[file_format], **arguments)
    except (OSError, ValueError) as error:
        raise PhotoError(
            f"{path.name} cannot be made: {file_format} does not hold this picture ({error}). "
            "Write a .png or .tif file, or scale it down first."
        ) from error
    try:
        _write(path, encoded.getbuffer())
    except OSError as error:
        raise PhotoError(f"{path} cannot be written: {error.strerror or error}. Name another place for it.") from error


def _write(path: Path, content: memoryview) -> None:
    """Write a file all at once: on a disk that fills up, one of that name stays whole, and no half of one is left."""
    target = path.resolve()  # a link goes on leading to where it leads
    if target.exists() and not os.access(target, os.W_OK):  # what its folder allows may be more than the file does
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
    """A copy of the image in a mode the format has."""
    modes, info = MODES[file_format], dict(image.info)
    if file_format != "PNG" and info.pop("transparency", None) is not None and image.mode not in DEEP_GREY:
        # As one colour or a table only a PNG has it; as a channel the others can keep it, or show it white.
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    if image.mode in modes:
        result = image.copy()
    elif image.mode in DEEP_GREY and "I;16" in modes:
        values, white = _deep_grey(image)
        result = Image.fromarray(np.round(values.clip(0, white) * (65535 / white)).astype("<u2"))
    else:
        transparent = image.has_transparency_data and image.mode not in DEEP_GREY
        info.pop("transparency", None)
        if transparent and "RGBA" in modes:
            result = image.convert("RGBA")
        elif transparent:
            result = Image.new("RGBA", image.size, "white")
            result.alpha_composite(image.convert("RGBA"))
            result = result.convert("L" if image.mode in ("L", "LA") and "L" in modes else "RGB")
        else:
            result = _to_srgb(image)
            info.pop("icc_profile", None)
    result.info = info
    return result


def _described(info: dict[str, Any], file_format: str, description: str | None) -> dict[str, Any]:
    """The arguments of Pillow's save that hold EXIF data and a description."""
    exif, arguments = Image.Exif(), {}
    if "exif" in info:
        exif.load(info["exif"])
    if file_format == "TIFF":  # libtiff, which compresses, cannot write the camera's part of them
        exif.pop(ExifTags.IFD.Exif, None)
    if description is not None and file_format == "PNG":
        arguments["pnginfo"] = PngInfo()
        arguments["pnginfo"].add_itxt("Description", description)
        arguments["pnginfo"].add_text("Software", SOFTWARE)
    elif description is not None:
        exif[ExifTags.Base.ImageDescription] = description
        exif[ExifTags.Base.Software] = SOFTWARE
    if file_format == "JPEG" and len(exif.tobytes()) > JPEG_EXIF:  # what it says of its edit matters most
        exif = Image.Exif()
        if description is not None:
            exif[ExifTags.Base.ImageDescription] = description[: JPEG_EXIF - 1000]
            exif[ExifTags.Base.Software] = SOFTWARE
    if len(exif):
        arguments["exif"] = exif.tobytes()
    return arguments
