"""What an edited picture says about its making."""

import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from stgan.demo import pictures
from stgan.demo.pictures import save_animation
from stgan.photo.files import open_photo, save_photo
from stgan.photo.provenance import marked

SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def source_type(path) -> str | None:
    """What the file's XMP packet says, cut from its bytes as a program without an image library would."""
    content = path.read_bytes()
    begin, end = content.find(b"<x:xmpmeta"), content.find(b"</x:xmpmeta>")
    if begin < 0:
        return None
    packet = ElementTree.fromstring(content[begin : end + len(b"</x:xmpmeta>")])
    return next(packet.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")).get(SOURCE_TYPE)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_an_edited_photo_says_to_programs_that_a_model_made_part_of_it(suffix, rgb, tmp_path):
    path = tmp_path / f"out.{suffix}"
    save_photo(Image.fromarray(rgb), path, description="Blond_Hair added")
    assert source_type(path) == COMPOSITE
    with Image.open(path) as written:  # where Pillow looks for it
        written.load()
        packet = written.info.get("xmp") or written.info.get("XML:com.adobe.xmp") or written.getexif().get(700)
    assert COMPOSITE in (packet if isinstance(packet, str) else packet.decode())
    save_photo(Image.fromarray(rgb), path)
    assert source_type(path) is None  # nothing was edited


def test_an_edit_carries_it(editor, photo, tmp_path):
    edited = editor.edit(photo, {"Eyeglasses": True}, source={"Eyeglasses": False})
    save_photo(edited, tmp_path / "edited.jpg")
    assert source_type(tmp_path / "edited.jpg") == (COMPOSITE if edited.info["stgan"].changed else None)


@pytest.mark.parametrize("kind", ["webp", "gif", "mp4"])
def test_animations_and_videos_say_it_and_play_as_before(kind, rgb, tmp_path, monkeypatch):
    frames, path = (
        [Image.fromarray(each).resize((96, 64)) for each in (rgb, 255 - rgb, rgb // 2)],
        tmp_path / f"a.{kind}",
    )
    save_animation(frames, path, "edited")
    assert source_type(path) == COMPOSITE
    noted = _frames_of(path)
    for name in ("gif_with_xmp", "mp4_with_xmp"):
        monkeypatch.setattr(pictures, name, lambda content: content)
    save_animation(frames, path, "edited")
    plain = _frames_of(path)
    assert len(noted) == len(plain) >= 4
    assert all((one == other).all() for one, other in zip(noted, plain, strict=True))


def _frames_of(path) -> list[np.ndarray]:
    if path.suffix == ".mp4":
        video, frames = cv2.VideoCapture(str(path)), []
        while (read := video.read())[0]:
            frames.append(read[1])
        return frames
    with Image.open(path) as animation:
        assert path.suffix != ".gif" or animation.info["comment"] == b"edited"
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(animation)]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16", "P", "CMYK", "1"])
def test_a_mark_is_seen_in_a_corner_and_changes_nothing_else(mode, originals, tmp_path):
    image = originals[mode].resize((300, 400)) if mode != "I;16" else originals[mode]
    save_photo(image, tmp_path / "plain.tif", description="edited")
    save_photo(image, tmp_path / "marked.tif", description="edited", mark=True)
    plain, seen = (open_photo(tmp_path / name).rgb.astype(int) for name in ("plain.tif", "marked.tif"))
    changed = np.abs(plain - seen).max(axis=2) > 8
    rows, columns = np.nonzero(changed)
    height, width = changed.shape
    assert changed.any()
    assert rows.min() > height * 0.7
    assert mode == "I;16" or columns.min() > width * 0.5


def test_a_mark_grows_with_the_picture():
    small, large = (marked(np.full((side, side, 3), 128, np.uint8)) != 128 for side in (300, 1200))
    tall, taller = (np.ptp(np.nonzero(each.any(axis=(1, 2)))[0]) for each in (small, large))
    assert taller == pytest.approx(4 * tall, rel=0.15)
