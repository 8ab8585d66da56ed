"""What an edited picture says about its making: to programs by its metadata, and to people by a mark."""

from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

SOFTWARE = "stgan"
PARTLY_BY_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's digital source type of a picture that a trained model made part of."""
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    f' xmp:CreatorTool="{SOFTWARE}" Iptc4xmpExt:DigitalSourceType="{PARTLY_BY_MODEL}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
JPEG_EXIF = 65_533
"""Largest size of EXIF data in a JPEG, in bytes with their header."""
XMP_TAG = 700  # of a TIFF
Tag = ExifTags.Base


def metadata(kept: bytes | None, file_format: str, description: str | None) -> dict[str, Any]:
    """Arguments of Pillow's ``save`` for a JPEG, PNG, WEBP or TIFF.

    Args:
        kept: EXIF data of the photo that stay.
        description: what was edited. None: nothing, so the file claims nothing.
    """
    exif = Image.Exif()
    arguments: dict[str, Any] = {}
    if kept is not None:
        exif.load(kept)
    if file_format == "TIFF":  # libtiff, which compresses, cannot write the camera's tags
        exif.pop(ExifTags.IFD.Exif, None)
    if description is not None and file_format == "PNG":
        arguments["pnginfo"] = PngInfo()
        arguments["pnginfo"].add_itxt("Description", description)
        arguments["pnginfo"].add_text("Software", SOFTWARE)
        arguments["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP)
    elif description is not None:
        exif[Tag.ImageDescription] = description
        exif[Tag.Software] = SOFTWARE
        if file_format == "TIFF":
            exif[XMP_TAG] = XMP.encode()
        else:
            arguments["xmp"] = XMP.encode()
    if file_format == "JPEG" and len(exif.tobytes()) > JPEG_EXIF:  # the description matters most
        exif = Image.Exif()
        if description is not None:
            exif[Tag.ImageDescription] = description[: JPEG_EXIF - 1000]
            exif[Tag.Software] = SOFTWARE
    if len(exif):
        arguments["exif"] = exif.tobytes()
    return arguments


def gif_with_xmp(gif: bytes) -> bytes:
    """A GIF with :data:`XMP`, which Pillow does not write, in an extension before the first frame (XMP, part 3, 1.1.2).

    A program that knows no XMP reads the packet as lengths and skips it, for which the bytes after it take care.
    """
    colours = 3 << ((gif[10] & 7) + 1) if gif[10] & 0x80 else 0
    start = 13 + colours
    return (
        gif[:start]
        + b"\x21\xff\x0bXMP DataXMP"
        + XMP.encode()
        + b"\1"
        + bytes(range(255, -1, -1))
        + b"\0"
        + gif[start:]
    )


def mp4_with_xmp(mp4: bytes) -> bytes:
    """An MP4 with :data:`XMP` in a box of its own at the end, where it moves nothing (XMP, part 3, 1.1.4)."""
    content = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP.encode()
    return mp4 + (8 + len(content)).to_bytes(4, "big") + b"uuid" + content


def marked(rgb: np.ndarray, text: str = "Edited with AI") -> np.ndarray:
    """A picture uint8 (H, W, 3) with a line of text in its lower right corner, white with a dark outline.

    Letters are about a thirtieth of the shorter side high, and at least eight pixels.
    """
    picture = Image.fromarray(rgb)
    size = max(8, round(min(picture.size) / 30))
    ImageDraw.Draw(picture).text(
        (picture.width - size / 2, picture.height - size / 2), text, "white", ImageFont.load_default(size=size),
        anchor="rd", stroke_width=max(1, size // 10), stroke_fill=(40, 40, 40),
    )  # fmt: skip
    return np.asarray(picture)
