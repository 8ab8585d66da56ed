"""Pictures that the page shows and gives away: a face's surroundings, tiles, grids, and animated edits."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont, ImageOps

from stgan.editing.editor import PreparedFace
from stgan.photo.face import Face
from stgan.photo.files import save_photo
from stgan.photo.provenance import XMP, gif_with_xmp, mp4_with_xmp

REST = 700  # milliseconds at either end of an animation
FRAMES_PER_SECOND = 8  # of a video, so that each frame of a clip is encoded about once
PAPER, INK, FAINT = (255, 255, 255), (24, 24, 35), (82, 82, 96)
GAP = 16  # pixels


def surroundings(prepared: PreparedFace) -> tuple[int, int, int, int]:
    """The face with its hair and shoulders, within the photo: left, top, right, bottom in pixels."""
    height, width = prepared.photo.rgb.shape[:2]
    left, top, right, bottom = prepared.window()
    margin = (right - left) // 4
    return max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)


def face_thumbnail(rgb: np.ndarray, face: Face, side: int) -> Image.Image:
    """A square around a face of a photo uint8 (H, W, 3)."""
    (x, y), reach = face.centre, 0.8 * max(face.box[2] - face.box[0], face.box[3] - face.box[1])
    height, width = rgb.shape[:2]
    box = (max(0, x - reach), max(0, y - reach), min(width, x + reach), min(height, y + reach))
    return ImageOps.fit(Image.fromarray(rgb).crop(tuple(map(round, box))), (side, side))


def data_uri(picture: Image.Image) -> str:
    """A small picture as an address that holds the picture itself, so that no file is written."""
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def save_for_page(picture: Image.Image, path: str, description: str | None = None) -> str:
    """Write a picture as JPEG and return its path. A large photo takes seconds as PNG."""
    save_photo(picture, path, description=description, fast=True)
    return path


def tile(pictures: Sequence[Image.Image], captions: Sequence[str], footer: str, columns: int, side: int) -> Image.Image:
    """Pictures side by side, or in rows of ``columns``, each over its caption, and below a line of text.

    Each picture fits into a square of ``side`` pixels.
    """
    font, line = ImageFont.load_default(size=max(14, side // 18)), round(max(14, side // 18) * 1.7)
    shown = [ImageOps.contain(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS) for picture in pictures]
    tall = max(picture.height for picture in shown)
    rows, columns = -(-len(shown) // columns), min(columns, len(shown))
    width = columns * (side + GAP) + GAP
    words = _wrapped(footer, font, width - 2 * GAP)
    paper = Image.new("RGB", (width, rows * (tall + line + GAP) + len(words) * line + GAP), PAPER)
    pen = ImageDraw.Draw(paper)
    for number, (picture, caption) in enumerate(zip(shown, captions, strict=True)):
        left, top = GAP + number % columns * (side + GAP), GAP + number // columns * (tall + line + GAP)
        paper.paste(picture, (left + (side - picture.width) // 2, top))
        pen.text((left + side / 2, top + tall + line / 2), _wrapped(caption, font, side)[0], INK, font, anchor="mm")
    for number, text in enumerate(words, 1):
        pen.text(
            (width / 2, paper.height - GAP / 2 - (len(words) - number + 0.5) * line), text, FAINT, font, anchor="mm"
        )
    return paper


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The text in lines no wider than ``width`` pixels."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def save_animation(frames: Sequence[Image.Image], path: str | Path, description: str, seconds: float = 1.5) -> None:
    """Write frames forwards and backwards, resting at both ends: an endless WebP or GIF, or a video (MP4, VP9).

    ``seconds`` pass from the first of two or more frames to the last. ``description`` goes into a WebP's EXIF data and
    into a GIF's comment. All three say in XMP that a model made part of them, see :mod:`stgan.photo.provenance`.
    """
    there_and_back = [frame.convert("RGB") for frame in [*frames, *frames[-2:0:-1]]]
    step = round(1000 * seconds / (len(frames) - 1))  # milliseconds
    durations = [step] * len(there_and_back)
    durations[0] = durations[len(frames) - 1] = REST
    path = Path(path)
    if path.suffix == ".mp4":
        _save_video(there_and_back, durations, path)
        path.write_bytes(mp4_with_xmp(path.read_bytes()))
        return
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = description
    is_gif = path.suffix == ".gif"
    notes = {"comment": description} if is_gif else {"exif": exif, "xmp": XMP.encode(), "quality": 85}
    there_and_back[0].save(path, save_all=True, append_images=there_and_back[1:], duration=durations, loop=0, **notes)
    if is_gif:
        path.write_bytes(gif_with_xmp(path.read_bytes()))


def _save_video(frames: Sequence[Image.Image], durations: Sequence[int], path: Path) -> None:
    size = (frames[0].width // 2 * 2, frames[0].height // 2 * 2)  # the codec halves the colours' resolution
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"vp09"), FRAMES_PER_SECOND, size)
    if not writer.isOpened():
        raise ValueError("This server cannot write MP4 videos: choose the GIF or WebP animation.")
    for frame, duration in zip(frames, durations, strict=True):
        picture = cv2.cvtColor(np.asarray(frame.crop((0, 0, *size))), cv2.COLOR_RGB2BGR)
        for _ in range(max(1, round(duration * FRAMES_PER_SECOND / 1000))):
            writer.write(picture)
    writer.release()
