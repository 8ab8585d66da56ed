"""Files that Pillow does not open: what they are, and what their owner can do about it."""

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from PIL import Image, TiffImagePlugin

FORMATS = "Use a JPEG, PNG, WebP, TIFF or BMP file"
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
SIGNATURES = {  # how files begin, and what they are
    b"%PDF": "a PDF document: export its page as PNG",
    b"8BPS": "a Photoshop file: export it as PNG or TIFF",
    b"\xff\x0a": "a JPEG XL picture: convert it to PNG or JPEG",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture: convert it to PNG or JPEG",
    b"\0\0\0\x0cjP": "a JPEG 2000 picture: convert it to PNG or TIFF",
    b"\x76\x2f\x31\x01": "an OpenEXR picture, whose floating-point depth cannot be read: export it with 8 or 16 bits",
    b"#?RADIANCE": "a Radiance HDR picture, whose depth cannot be read: export it with 8 or 16 bits",
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"<svg": "an SVG drawing: export it as PNG",
    b"FUJIFILMCCD-RAW": "a camera's raw file: export it as JPEG or TIFF",
    b"<!DOCTYPE": "a web page, no picture: download the picture itself",
    b"<html": "a web page, no picture: download the picture itself",
    b"version https://git-lfs": "a pointer of Git LFS: run git lfs pull",
}


def is_address(path: str) -> bool:
    """Whether a path is that of something elsewhere, such as https://…, file://… or data:image/…"""
    return re.match(r"[a-z][a-z0-9+.-]+://|data:\w+/", path, re.IGNORECASE) is not None


def head_of(content: Path | io.BytesIO, size: int = 1 << 16) -> bytes:
    """The beginning of a file."""
    with _opened(content) as file:
        return file.read(size)


def _opened(content: Path | io.BytesIO) -> BinaryIO:
    return io.BytesIO(content.getvalue()) if isinstance(content, io.BytesIO) else content.open("rb")


def unreadable(content: Path | io.BytesIO, name: str) -> str:
    """A sentence about a file that is not read."""
    head = head_of(content)
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in HEIC_BRANDS and "HEIF" not in Image.OPEN:
        return f"{name} is a HEIC photo: pip install pillow-heif to read it, or export it as JPEG."
    if brand in (b"avif", b"avis") and "AVIF" not in Image.OPEN:
        return f"{name} is an AVIF picture, which this Pillow cannot read: update Pillow, or export it as JPEG."
    if brand in (*HEIC_BRANDS, b"avif", b"avis"):
        return f"{name} is broken. Copy it again, or open it in another program and save it again."
    if brand == b"crx ":
        return f"{name} is a camera's raw file: export it as JPEG or TIFF."
    if brand:
        return f"{name} is a film, no picture. {FORMATS}."
    for start, what in SIGNATURES.items():
        if head.lstrip().startswith(start) or head.startswith(start):
            return f"{name} is {what}."
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return f"{name} {_tiff_depth(content)}"
    return (
        f"{name} is not a picture that can be read. {FORMATS}; export a phone's HEIC photo as JPEG first, or "
        "pip install pillow-heif."
    )


def _tiff_depth(content: Path | io.BytesIO) -> str:
    """What keeps a TIFF from being read: mostly a depth that Pillow does not know. Its tags may be anywhere."""
    with suppress(Exception), _opened(content) as file:  # damaged
        header = file.read(8)
        tags = TiffImagePlugin.ImageFileDirectory_v2(header if 43 not in header[2:4] else header + file.read(8))
        file.seek(tags.next)
        tags.load(file)
        bits, form = tags.get(258, (1,)), tags.get(339, (1,))
        samples, make = tags.get(277, 1), tags.get(50706)  # the last one is DNG's version
        if make is not None or tags.get(262) in (32803, 34892):
            return "is a camera's raw file: export it as JPEG or TIFF."
        kind = {1: "whole numbers", 2: "signed numbers", 3: "floating-point numbers"}.get(form[0], "numbers")
        if max(bits) > 8 or max(form) > 1:
            return (
                f"has a depth that cannot be read: {samples} channel{'s' if samples > 1 else ''} of {max(bits)}-bit "
                f"{kind}. Save it with 8 bits per channel, or greyscale with 16."
            )
    return f"is a TIFF of a kind that cannot be read, or damaged. {FORMATS} of 8 bits per channel."
