"""Pictures that the page shows: the photo with its faces framed, the surroundings of a face, an animated edit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont

from stgan.editor import PreparedFace
from stgan.photo.face import Face
from stgan.photo.files import save_photo

CHOSEN_COLOUR = (99, 102, 241)  # of the frame around the face that is edited
OTHER_COLOUR = (255, 255, 255)
RIM_COLOUR = (40, 40, 40)  # keeps a frame visible on any photo
REST = 700  # milliseconds at either end of an animation


def framed_faces(rgb: np.ndarray, faces: Sequence[Face], chosen: int, longer_side: int = 1024) -> Image.Image:
    """A photo uint8 (H, W, 3), reduced to ``longer_side`` pixels, with a frame around each face.

    The frame of the face ``chosen`` is coloured. Several faces are numbered.
    """
    picture = Image.fromarray(rgb)
    picture.thumbnail((longer_side, longer_side), Image.Resampling.LANCZOS)
    scale, thickness = picture.width / rgb.shape[1], max(2, round(max(picture.size) / 200))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=6 * thickness)
    for number, face in sorted(enumerate(faces), key=lambda each: each[0] == chosen):  # the coloured one on top
        box = [scale * side for side in face.box]
        colour = CHOSEN_COLOUR if number == chosen else OTHER_COLOUR
        for width, ink in ((thickness + 2, RIM_COLOUR), (thickness, colour)):
            pen.rounded_rectangle(box, radius=4 * thickness, outline=ink, width=width)
        if len(faces) > 1:
            above = (box[0], max(0, box[1] - 8 * thickness))
            pen.text(above, str(number + 1), "white", font, stroke_width=2, stroke_fill=RIM_COLOUR)
    return picture


def surroundings(prepared: PreparedFace) -> tuple[int, int, int, int]:
    """The face with its hair and shoulders, within the photo: left, top, right, bottom in pixels."""
    height, width = prepared.photo.rgb.shape[:2]
    left, top, right, bottom = prepared.window()
    margin = (right - left) // 4
    return max(0, left - margin), max(0, top - margin), min(width, right + margin), min(height, bottom + margin)


def save_for_page(picture: Image.Image, path: str, description: str | None = None) -> str:
    """Write a picture as JPEG and return its path. A large photo takes seconds as PNG."""
    save_photo(picture, path, description=description)
    return path


def save_animation(frames: Sequence[Image.Image], path: str | Path, description: str, seconds: float = 1.5) -> None:
    """Write an endless WebP animation that plays two or more frames forwards and backwards, resting at both ends.

    ``seconds`` pass from the first frame to the last; ``description`` goes into the file's EXIF data.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = description
    there_and_back = [frame.convert("RGB") for frame in [*frames, *frames[-2:0:-1]]]
    step = round(1000 * seconds / (len(frames) - 1))  # milliseconds
    durations = [step] * len(there_and_back)
    durations[0] = durations[len(frames) - 1] = REST
    there_and_back[0].save(
        path, save_all=True, append_images=there_and_back[1:], duration=durations, loop=0, quality=85, exif=exif
    )
