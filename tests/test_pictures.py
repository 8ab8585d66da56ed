"""Pictures of the demo: frames around faces, and an animated edit."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from stgan.demo.pictures import CHOSEN_COLOUR, OTHER_COLOUR, framed_faces, save_animation
from stgan.photo.face import Face


@pytest.mark.parametrize("chosen", [0, 1])
def test_frames_stand_around_the_faces_and_one_is_coloured(chosen):
    faces = [Face((200.0, 300.0, 400.0, 500.0), None, 1.0), Face((1000.0, 400.0, 1400.0, 800.0), None, 1.0)]
    picture = framed_faces(np.full((1000, 2000, 3), 128, np.uint8), faces, chosen, longer_side=1000)
    assert picture.size == (1000, 500)
    pixels = np.asarray(picture)
    for number, face in enumerate(faces):
        left, top, right, bottom = (round(side / 2) for side in face.box)
        colour = CHOSEN_COLOUR if number == chosen else OTHER_COLOUR
        for y, x in ((bottom - 2, (left + right) // 2), ((top + bottom) // 2, right - 2)):  # on the frame
            assert tuple(pixels[y, x]) == colour
        assert (pixels[top + 20 : bottom - 20, left + 20 : right - 20] == 128).all()  # the face stays free


def test_an_animation_goes_there_and_back_and_says_what_it_is(tmp_path):
    frames = [Image.new("RGB", (32, 32), (50 * level,) * 3) for level in range(4)]
    save_animation(frames, tmp_path / "edit.webp", "Edited: +Eyeglasses", seconds=0.3)
    with Image.open(tmp_path / "edit.webp") as animation:
        assert animation.n_frames == 6
        levels = []
        for number in range(6):
            animation.seek(number)
            levels.append(animation.convert("RGB").getpixel((16, 16))[0])
        assert np.allclose(levels, [0, 50, 100, 150, 100, 50], atol=6)
        assert animation.info["loop"] == 0
        assert animation.getexif()[ExifTags.Base.ImageDescription] == "Edited: +Eyeglasses"
