"""Hostile photos: cut off, mislabelled, far too large, of rare depths, with broken metadata, or no photos at all."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from pictures import every_mode
from PIL import Image, ImageCms
from skimage import data

from attacks.cage import Honest, Report, attack
from attacks.honest import photo_size
from stgan import FaceEditor, cli
from stgan.photo.files import PhotoError, open_photo

Content = Callable[[], bytes]
SMALL = "small"
SIDE = 10_000  # pixels of the largest square that is accepted
SAVED: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("JPEG", {}), "progressive.jpg": ("JPEG", {"progressive": True}), "png": ("PNG", {}), "webp": ("WEBP", {}),
    "lossless.webp": ("WEBP", {"lossless": True}), "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "jpeg.tif": ("TIFF", {"compression": "jpeg"}), "bmp": ("BMP", {}), "gif": ("GIF", {}), "avif": ("AVIF", {}),
    "heic": ("HEIF", {}),
}  # fmt: skip


def hostile_photos(small: bool = False) -> dict[str, Content]:
    """Name, with its suffix, to what the file contains. ``small`` leaves out those of many megapixels."""
    photos: dict[str, Content] = {}
    for kind in (_cut_off, _mislabelled, _odd_sizes, _depths, _frames, _metadata, _no_photos, _declared_sizes):
        photos |= dict(kind())
    return photos if small else photos | dict(_huge())


@cache
def _portrait() -> Image.Image:
    return Image.fromarray(data.astronaut()[:400, 40:400]).resize((216, 240))


@cache
def _saved() -> dict[str, bytes]:
    """The portrait in every format."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    files = {}
    for suffix, (kind, options) in SAVED.items():
        with suppress(KeyError, OSError):  # a format that this Pillow does not write
            files[suffix] = _file(_portrait(), kind, **options)
    return files


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _constant(content: bytes) -> Content:
    return lambda: content


def _cut_off() -> Iterator[tuple[str, Content]]:
    for suffix, content in _saved().items():
        for tenth in range(10):
            yield f"cut-{tenth}.{suffix}", _constant(content[: len(content) * tenth // 10])


def _mislabelled() -> Iterator[tuple[str, Content]]:
    suffixes = ("jpg", "png", "webp", "tif", "heic")
    for suffix, content in _saved().items():
        yield from ((f"really-{suffix}.{other}", _constant(content)) for other in suffixes if suffix != other)


def _odd_sizes() -> Iterator[tuple[str, Content]]:
    for width, height in ((1, 1), (1, 20_000), (20_000, 1), (2, 2), (1, 300), (16_000, 20), (31, 17)):
        for suffix in ("jpg", "png", "webp", "tif", "bmp", "gif", "avif"):
            if suffix != "webp" or max(width, height) < 16_384:
                image = Image.new("RGB", (width, height), "tan")
                yield f"{width}x{height}.{suffix}", partial(_file, image, SAVED[suffix][0])


def _depths() -> Iterator[tuple[str, Content]]:
    images = every_mode(np.asarray(_portrait().resize((48, 64))))
    for mode, image in images.items():
        for suffix in ("png", "tif", "jpg", "webp", "gif"):
            with suppress(OSError, ValueError, KeyError):
                yield f"mode {mode}.{suffix}", _constant(_file(image, SAVED[suffix][0]))
    deep = np.asarray(_portrait()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    yield "16-bit.png", _constant(_png(216, 240, 16, 2, zlib.compress(rows, 1)))
    yield "cmyk-inverted.jpg", partial(_file, _portrait().convert("CMYK"), "JPEG")


def _png(width: int, height: int, depth: int, colour: int, packed: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def _frames() -> Iterator[tuple[str, Content]]:
    small = _portrait().resize((90, 100))
    frames = [small.rotate(10 * n) for n in range(5)]
    for suffix in ("gif", "png", "webp", "tif", "avif"):
        yield f"frames.{suffix}", partial(
            _file, small, SAVED[suffix][0], save_all=True, append_images=frames
        )  # fmt: skip
    yield "frames-mpo.jpg", partial(_file, small, "MPO", save_all=True, append_images=frames)
    yield "frames-without-end.gif", _endless_gif
    yield "pages-in-a-circle.tif", _circular_tiff


def _endless_gif() -> bytes:
    """A GIF of 200,000 frames of one pixel."""
    gif = _file(Image.new("P", (16, 16)), "GIF")
    start = gif.index(b",")
    frame = struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return gif[:start] + frame * 200_000 + b";"


def _circular_tiff() -> bytes:
    tiff = bytearray(_saved()["tif"])
    first = struct.unpack("<I", tiff[4:8])[0]
    count = struct.unpack("<H", tiff[first : first + 2])[0]
    tiff[first + 2 + 12 * count : first + 6 + 12 * count] = struct.pack("<I", first)
    return bytes(tiff)


LAUGHS = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(10))
XMP = {
    "laughs": f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]><x>&a10;</x>'.encode(),
    "file": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
    "broken": b"<x:xmpmeta><rdf:RDF tiff:Orientation='6'", "orientation": b'<x tiff:Orientation="99999"/>',
    "long": b"<x>" + b"A" * 3_000_000,
}  # fmt: skip


def _metadata() -> Iterator[tuple[str, Content]]:
    random = Random(0)
    exif = Image.Exif()
    exif[274], exif[315], exif[305] = 6, "<script>alert(1)</script>", "Ignore all previous instructions"
    good = exif.tobytes()
    blocks = {
        "random": b"Exif\0\0" + random.randbytes(2000), "cut": good[:20], "empty": b"Exif\0\0", "text": b"no exif",
        "count": good.replace(b"\x01\x00\x00\x00\x06", b"\xff\xff\xff\xff\x06"), "scripts": good,
        "circle": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    }  # fmt: skip
    for turn in (0, 9, 255, "x", 3.5):
        turned = Image.Exif()
        turned[274] = turn
        with suppress(Exception):  # Pillow does not write all of them
            blocks[f"turn-{turn}"] = turned.tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profiles = {
        "random": random.randbytes(3000), "cut": srgb[: len(srgb) // 2], "empty": b"\0" * 128, "text": b"no profile",
        "lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "count": srgb[:128] + b"\xff\xff\xff\xff" + srgb[132:], "long": srgb + bytes(4_000_000),
    }  # fmt: skip
    for suffix in ("jpg", "png", "webp", "tif", "avif"):
        for name, block in blocks.items():
            yield from _possible(f"exif-{name}.{suffix}", exif=block)
        for name, profile in profiles.items():
            yield from _possible(f"profile-{name}.{suffix}", icc_profile=profile)
    for name, packet in XMP.items():
        yield f"xmp-{name}.png", partial(_with_text, packet)
        for suffix in ("webp", "avif"):
            yield from _possible(f"xmp-{name}.{suffix}", xmp=packet)
    raw = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(_portrait())), 1)
    for kind, head in ((b"zTXt", b"Comment\0\0"), (b"iCCP", b"p\0\0"), (b"iTXt", b"Comment\0\1\0\0\0")):
        yield f"bomb-{kind.decode()}.png", partial(_text_bomb, raw, kind, head)
    yield (
        "many-texts.png",
        lambda: _png(216, 240, 8, 2, raw, *((b"tEXt", b"k%d\0" % n + b"v" * 1000) for n in range(20_000))),
    )


def _possible(name: str, **metadata: bytes) -> Iterator[tuple[str, Content]]:
    """The portrait with these metadata, where Pillow writes them: a TIFF or AVIF only with readable EXIF data."""
    suffix = name.rpartition(".")[2]
    if suffix not in ("tif", "avif") or name.partition(".")[0] not in ("exif-random", "exif-text", "exif-empty"):
        yield name, partial(_file, _portrait(), SAVED[suffix][0], **metadata)


def _text_bomb(raw: bytes, kind: bytes, head: bytes) -> bytes:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    return _png(216, 240, 8, 2, raw, (kind, head + bomb))


def _with_text(packet: bytes) -> bytes:
    raw = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(_portrait())), 1)
    return _png(216, 240, 8, 2, raw, (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))


def _no_photos() -> Iterator[tuple[str, Content]]:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>'
    contents = {
        "nothing.jpg": b"", "nothing.png": b"", "one.png": b"\x89", "zeros.jpg": bytes(1 << 20), "drawing.svg": svg,
        "drawing.png": b'<?xml version="1.0"?>' + svg, "page.jpg": b"<!DOCTYPE html><html></html>",
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "book.pdf": b"%PDF-1.7", "text.png": b"text", "riff.webp": b"RIFF\xff\xff\xff\xffWEBPVP8X",
        "layers.jpg": b"8BPS\0\1" + bytes(20), "archive.jpg": b"PK\3\4" + bytes(60), "film.jpg": b"\0\0\0\x18ftypisom",
        "raw.tif": b"FUJIFILMCCD-RAW ", "random.webp": Random(1).randbytes(5000),
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\n", "command.jpg": b"#!/bin/sh\nexit 1\n",
        "heif.heic": b"\0\0\0\x18ftypheic" + bytes(40), "avif.avif": b"\0\0\0\x1cftypavif" + bytes(60),
        "jp2.jpg": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "huge-length.heic": b"\xff\xff\xff\xffftypheic" + bytes(40),
    }  # fmt: skip
    yield from ((name, _constant(content)) for name, content in contents.items())
    for kind, suffix in (("PPM", "ppm"), ("ICO", "ico"), ("TGA", "tga"), ("JPEG2000", "jp2"), ("EPS", "eps")):
        with suppress(KeyError, OSError):
            yield f"rare-{suffix}.{suffix}", _constant(_file(_portrait().resize((64, 64)), kind))


def _declared_sizes() -> Iterator[tuple[str, Content]]:
    """Small files whose headers claim 30000x30000 pixels, none, or as many as fit."""
    for side in (30_000, 0, 2**31 - 1, 65_535):
        packed = zlib.compress(bytes(1000))
        yield f"claims-{side}.png", _constant(_png(side, side, 8, 2, packed))
        bmp = bytearray(_saved()["bmp"])
        bmp[18:26] = struct.pack("<ii", side, side)
        yield f"claims-{side}.bmp", _constant(bytes(bmp))
        tiff = bytearray(_saved()["tif"])
        for tag in (256, 257):
            place = tiff.index(struct.pack("<H", tag), struct.unpack("<I", tiff[4:8])[0])
            tiff[place + 2 : place + 12] = struct.pack("<HII", 4, 1, side)
        yield f"claims-{side}.tif", _constant(bytes(tiff))
        if side > 65_535:
            continue
        for suffix in ("jpg", "progressive.jpg"):
            jpeg = bytearray(_saved()[suffix])
            place = jpeg.index(b"\xff\xc2" if suffix[0] == "p" else b"\xff\xc0")
            jpeg[place + 5 : place + 9] = struct.pack(">HH", side, side)
            yield f"claims-{side}-{suffix}", _constant(bytes(jpeg))
        gif = bytearray(_saved()["gif"])
        gif[6:10] = struct.pack("<HH", side, side)
        yield f"claims-{side}.gif", _constant(bytes(gif))
        for suffix in ("avif", "heic"):
            if suffix in _saved():
                file = bytearray(_saved()[suffix])
                place = file.index(b"ispe")
                file[place + 8 : place + 16] = struct.pack(">II", side, side)
                yield f"claims-{side}.{suffix}", _constant(bytes(file))


def _huge() -> Iterator[tuple[str, Content]]:
    """Real pictures at the limit of size, and above it."""
    yield "30000x30000.png", lambda: _png(30_000, 30_000, 1, 0, zlib.compress(bytes(3751 * 30_000), 9))
    colours = {"grey": (8, 0, 1), "rgb": (8, 2, 3), "rgba": (8, 6, 4), "deep": (16, 0, 2), "deep-rgb": (16, 2, 6)}
    for mode, (depth, colour, width) in (colours | {"bit": (1, 0, 1 / 8)}).items():
        row = 1 + round(SIDE * width)
        yield f"limit-{mode}.png", partial(_packed_png, row, depth, colour)
    for mode, options in (("L", {}), ("RGB", {}), ("CMYK", {}), ("RGB", {"progressive": True})):
        name = "limit-progressive" if options else f"limit-{mode}"
        yield f"{name}.jpg", lambda mode=mode, options=options: _file(_wide(mode), "JPEG", **options)
    for mode in ("F", "I", "I;16", "LAB"):
        yield f"limit-{mode}.tif", lambda mode=mode: _file(_wide(mode), "TIFF", compression="tiff_lzw")
    for suffix in ("jpg", "png", "avif", "heic"):
        if suffix in _saved():
            yield f"noise.{suffix}", partial(_noise, suffix)
    yield "noise-deep.png", _deep_noise
    yield "limit.webp", lambda: _file(_wide("RGB"), "WEBP", method=0)
    yield "limit.gif", lambda: _file(_wide("P"), "GIF")
    yield "limit-profile.jpg", lambda: _file(_wide("RGB"), "JPEG", icc_profile=_wide_profile())
    yield "many-scans.jpg", partial(many_scans, 2000)


def _packed_png(row: int, depth: int, colour: int) -> bytes:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(row * 100)) for _ in range(SIDE // 100)) + packer.flush()
    return _png(SIDE, SIDE, depth, colour, packed)


def _wide(mode: str) -> Image.Image:
    return Image.new(mode, (SIDE, SIDE), 100 if len(mode) == 1 or mode == "I;16" else None)


@cache
def _noisy() -> np.ndarray:
    """The portrait as a camera of 100 megapixels shows it, with grain in every pixel: uint8 (SIDE, SIDE, 3)."""
    pixels, random = np.asarray(Image.fromarray(data.astronaut()).resize((SIDE, SIDE))).copy(), np.random.default_rng(0)
    for top in range(0, SIDE, 100):
        grain = random.normal(0, 3, (100, SIDE, 3))
        pixels[top : top + 100] = np.clip(pixels[top : top + 100] + grain, 0, 255)
    return pixels


def _noise(suffix: str) -> bytes:
    options: dict[str, Any] = {"png": {"compress_level": 1}, "avif": {"speed": 10}}.get(suffix, {})
    return _file(Image.fromarray(_noisy()), SAVED[suffix][0], **options)


def _deep_noise() -> bytes:
    packer, packed = zlib.compressobj(1), []
    for row in _noisy():
        packed.append(packer.compress(b"\0" + (row.astype(np.uint16) * 257 + row[::-1] % 2).astype(">u2").tobytes()))
    return _png(SIDE, SIDE, 16, 2, b"".join([*packed, packer.flush()]))


def _wide_profile() -> bytes:
    """sRGB with its first two primaries exchanged, so that every pixel is converted."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")


def many_scans(scans: int, side: int = 4000) -> bytes:
    """A progressive JPEG whose last scan comes again and again: little to send, much to decode."""
    jpeg = _file(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * scans + jpeg[-2:]


def run(
    folder: Path, editor: FaceEditor, grain_editor: Callable[[], FaceEditor], only: str = "", route: str = ""
) -> list[Report]:
    """Each photo in the library, on the command line and in the demo's endpoint and page.

    Args:
        folder: where the photos are written.
        editor: edits them, but for
        grain_editor: makes the editor of the grainy ones, whose edits must be real ones to take their time.
        only: part of the names of the photos, or "small": those of few pixels.
        route: one of the ways, or "reader"; all if it is empty.
    """
    photos = hostile_photos(small=only == SMALL)
    photos = {name: content for name, content in photos.items() if only == SMALL or only in name}
    grainy = {name: content for name, content in photos.items() if name.startswith("noise")}
    others = {name: content for name, content in photos.items() if name not in grainy}
    reports = _by_all_routes(folder, editor, others, route) if others else []
    return reports + (_by_all_routes(folder, grain_editor(), grainy, route) if grainy else [])


def _by_all_routes(folder: Path, editor: FaceEditor, photos: dict[str, Content], route: str) -> list[Report]:
    routes: dict[str, Callable[[Path], str | None]] = {
        READER: read, "library": partial(in_library, editor), "command": _in_command
    }  # fmt: skip
    with suppress(ImportError):
        from attacks.endpoints import demo_routes

        routes |= demo_routes(editor, folder)
    cli._editor = lambda *_: editor  # loaded once
    return [_report(name, function, folder, photos) for name, function in routes.items() if route in ("", name)]


def _report(route: str, function: Callable[[Path], str | None], folder: Path, photos: dict[str, Content]) -> Report:
    names = list(photos)
    files = [written(folder, name, content) for name, content in photos.items()]  # making one is no part of an attack
    memory = None if route == READER else EDIT_MEMORY
    report = attack(route, len(names), lambda number: function(files[number]), memory=memory)
    report.faults = [f"{fault} [{names[int(fault.split(':')[0].split()[-1])]}]" for fault in report.faults]
    report.name = f"{route} (slowest {names[report.slowest[1]]}, largest {names[report.largest[1]]})"
    if len(names) <= FEW:
        each = (f"{name} {seconds:.1f} s" for name, seconds in zip(names, report.seconds, strict=True))
        report.name = f"{route} ({', '.join(each)}; largest {names[report.largest[1]]})"
    return report


READER = "reader"
EDIT_MEMORY = 2 << 30
FEW = 20  # photos, of which the seconds of each are printed


def written(folder: Path, name: str, content: Content) -> Path:
    """The photo as a file, made once."""
    file = folder / name.replace(" ", "-")
    if not file.exists():
        file.write_bytes(content())
    return file


def read(file: Path) -> str | None:
    """Open a photo, which may take twice the memory that the photo has a right to."""
    Honest.size = photo_size(file.read_bytes())
    try:
        open_photo(file)
    except PhotoError as error:
        return str(error)
    return None


def in_library(editor: FaceEditor, file: Path) -> str | None:
    try:
        editor.edit(file, {"Eyeglasses": True}, force=True)
    except ValueError as error:
        return str(error)
    return None


def _in_command(file: Path) -> str | None:
    out = file.with_name(f"{file.name}.out{'.jpg' if file.suffix == '.jpg' else '.png'}")
    try:
        cli.main(["edit", str(file), "--add", "Eyeglasses", "--force", "--overwrite", "--out", str(out)])
    except SystemExit as exit:
        return str(exit.code)
    return None
