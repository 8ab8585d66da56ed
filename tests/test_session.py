"""What the demo keeps of a visit: people and their edits, versions that lead back, looks, words, and its pictures."""

import random
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from stgan.attributes import DEFAULT_ATTRIBUTES, excluded_by
from stgan.demo.looks import EXAMPLE_LOOKS, LOOKS, looks_for, surprise
from stgan.demo.photos import OpenedPhoto
from stgan.demo.pictures import face_thumbnail, save_animation, save_for_page, surroundings, tile
from stgan.demo.session import (
    EVERYONE,
    MOST_PEOPLE,
    MOST_VERSIONS,
    Subject,
    Visit,
    changed,
    faces_to_edit,
    in_order,
    parse_edit,
)
from stgan.demo.words import GERMAN, Language
from stgan.photo.face import Face, FaceError
from stgan.photo.files import open_photo


@pytest.fixture
def new_file(tmp_path):
    def new_file(name):
        return str(tmp_path / f"{len(list(tmp_path.iterdir()))}-{name}")

    return new_file


@pytest.fixture
def visit_to(editor, new_file):
    """Makes a visit to a photo that is taken as aligned, without edits."""

    def visit_to(photo):
        subject = Subject(
            "me.png", None, OpenedPhoto(photo), [], 0, save_for_page(photo.original, new_file("before.jpg"))
        )
        subject.add(0, editor.prepare(photo, aligned=True), new_file)
        return Visit(subject, 0, (), 0, "", "").after({}, photo.with_rgb(photo.rgb), "", new_file)

    return visit_to


@pytest.fixture
def visit(visit_to, astronaut):
    return visit_to(open_photo(astronaut))


@pytest.fixture
def after(new_file):
    """Makes the visit after edits in turn, without a model."""

    def after(visit, *edits):
        for each in edits:
            visit = visit.after(each, visit.subject.photo.original, "", new_file)
        return visit

    return after


def test_a_raised_attribute_lowers_what_it_excludes_and_leaves_the_rest():
    shifts = {"Black_Hair": 0.8, "Young": -0.5, "Blond_Hair": -0.4}
    assert changed(shifts, {"Brown_Hair": 1.0}) == {"Brown_Hair": 1.0, "Young": -0.5, "Blond_Hair": -0.4}
    assert changed(shifts, {"Brown_Hair": -1.0}) == {**shifts, "Brown_Hair": -1.0}
    assert changed(shifts, {"Young": 0.0}) == {"Black_Hair": 0.8, "Blond_Hair": -0.4}


def test_the_same_edits_again_are_the_same_version(visit, after):
    visit = after(visit, {0: {"Young": -1.0}}, {})
    assert (len(visit.versions), visit.current) == (2, 0)
    assert [heading for _, heading in visit.thumbnails()] == ["Original", "Older"]


def test_versions_are_named_by_what_changed_since_the_one_before(visit, after, monkeypatch):
    monkeypatch.setattr("stgan.demo.session.SAME_GESTURE", 0.0)
    glasses = {"Eyeglasses": 1.0}
    visit = after(
        visit, {0: glasses}, {0: {**glasses, "No_Beard": -0.6, "Male": 0.5}}, {0: {"Male": 0.5}}, {0: {"Male": 1.0}}
    )
    headings = [heading for _, heading in visit.thumbnails()]
    assert headings == [
        "Original",
        "Eyeglasses",
        "Beard, More masculine",
        "No eyeglasses, No beard",
        "Another strength",
    ]
    assert visit.alt() == "photo with: more masculine"


@pytest.mark.parametrize("transparent", ["channel", "colour", "grey"])
def test_before_and_after_are_the_same_picture_where_nothing_is_edited(transparent, visit_to, new_file, astronaut):
    """Of a transparent photo, whose transparent pixels are white in both."""
    see_through = Image.fromarray(astronaut).convert("L" if transparent == "grey" else "RGB")
    see_through.paste(0, (0, 0, 100, 512))
    if transparent == "channel":
        see_through.putalpha(Image.linear_gradient("L").resize(see_through.size))
    else:
        see_through.info["transparency"] = 0 if transparent == "grey" else (0, 0, 0)
    photo = open_photo(see_through)
    visit = visit_to(photo)
    for before, now in ((visit.subject.before, visit.file), (visit.subject.close_before[0], visit.close_file)):
        assert np.array_equal(np.asarray(Image.open(before)), np.asarray(Image.open(now)))
    # With an edit in a corner the rest is still the same, though the photo may be of another mode by then.
    edited = photo.rgb.copy()
    edited[500:, 500:] = 99
    visit = visit.after({0: {"Young": 1.0}}, photo.with_rgb(edited), "", new_file)
    before, now = (np.asarray(Image.open(file)).astype(int) for file in (visit.subject.before, visit.file))
    assert np.array_equal(before[:488, :488], now[:488, :488])
    assert before[300, 50].min() > 250 or transparent == "channel"


def test_a_thumbnail_shows_the_colours_of_a_photo_with_a_profile(visit_to, astronaut):
    """It goes without the profile: its numbers must be sRGB's."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")  # hard to miss
    picture = Image.fromarray(astronaut)
    picture.info["icc_profile"] = swapped
    photo = open_photo(picture)
    assert np.abs(photo.rgb.astype(int) - astronaut[..., [1, 0, 2]]).max() <= 3
    visit = visit_to(photo)
    thumbnail = visit.versions[0].thumbnail
    expected = Image.fromarray(photo.rgb).crop(surroundings(visit.subject.prepared[0])).resize(thumbnail.size)
    assert np.abs(np.asarray(thumbnail).astype(int) - np.asarray(expected)).mean() < 3


def test_a_slider_on_its_way_is_one_version(visit, after):
    visit = after(visit, *({0: {"Young": degree}} for degree in (0.1, 0.2, 0.3)))
    assert len(visit.versions) == 2
    assert visit.shifts == {"Young": 0.3}


def test_the_first_version_stays_and_of_the_others_the_newest(visit, after, editor):
    edits = [
        {0: {name: 1.0 for bit, name in enumerate(editor.names[5:]) if number >> bit & 1}} for number in range(1, 40)
    ]
    visit = after(visit, *edits)
    assert len(visit.versions) == MOST_VERSIONS
    assert visit.versions[0].edits == {}
    assert visit.edits == edits[-1]


def group_of(count, visit):
    faces = [Face((20.0 * n, 0.0, 20.0 * n + 40 + n, 40.0 + n), None, 1.0) for n in range(count)]
    return Visit(
        Subject("group.png", None, visit.subject.opened, faces, 0, "x/before.jpg"), 0, visit.versions, 0, "", ""
    )


def test_the_edits_of_several_people_add_up_and_everyone_shares_what_is_common(visit):
    group = group_of(3, visit)
    one = group.with_change({"Young": 1.0})
    assert one == {0: {"Young": 1.0}}
    version = replace(group.versions[0], edits=one)
    second = replace(group, versions=[version], chosen=2)
    both = second.with_change({"Eyeglasses": 1.0})
    assert both == {0: {"Young": 1.0}, 2: {"Eyeglasses": 1.0}}
    everyone = replace(group, versions=[replace(version, edits=both)], chosen=EVERYONE)
    assert everyone.shifts == {}
    all_bald = everyone.with_change({"Bald": 0.5})
    assert all_bald == {
        0: {"Young": 1.0, "Bald": 0.5}, 1: {"Bald": 0.5}, 2: {"Eyeglasses": 1.0, "Bald": 0.5},
    }  # fmt: skip
    assert replace(everyone, versions=[replace(version, edits=all_bald)]).shifts == {"Bald": 0.5}


def test_of_a_crowd_the_largest_are_edited_together(visit):
    together = group_of(20, visit).subject.together
    assert together == list(range(20 - MOST_PEOPLE, 20))


def test_a_photo_without_a_face_is_refused_unless_it_is_aligned(editor):
    grey = open_photo(np.full((300, 300, 3), 128, np.uint8))
    assert faces_to_edit(editor, grey, aligned=True) == ([], 0)
    with pytest.raises(FaceError):
        faces_to_edit(editor, grey, aligned=False)


def test_a_face_that_cannot_be_edited_does_not_keep_the_others_from_it(editor, astronaut, monkeypatch):
    profile = np.array([(250.0, 80), (260, 80), (230, 120), (250, 160), (260, 160)])
    faces = [Face((150, 0, 350, 200), profile, 0.9), Face((400, 0, 480, 80), None, 0.9)]
    monkeypatch.setattr(editor, "find_faces", lambda photo: faces)
    assert faces_to_edit(editor, open_photo(astronaut), aligned=False) == (faces, 1)
    faces.pop()
    with pytest.raises(FaceError, match="from the side"):
        faces_to_edit(editor, open_photo(astronaut), aligned=False)


def test_attributes_that_exclude_each_other_stand_together(editor):
    names = in_order(editor.names)
    assert sorted(names) == sorted(editor.names)
    assert abs(names.index("Bald") - names.index("Bangs")) == 1
    assert sorted(names.index(f"{colour}_Hair") for colour in ("Black", "Blond", "Brown")) in ([0, 1, 2], [2, 3, 4])


def test_a_face_stands_in_the_middle_of_its_thumbnail(astronaut):
    canvas = np.zeros((400, 600, 3), np.uint8)
    canvas[150:250, 250:350] = 200
    thumbnail = np.asarray(face_thumbnail(canvas, Face((250.0, 150.0, 350.0, 250.0), None, 1.0), 80))
    assert thumbnail.shape == (80, 80, 3)
    assert thumbnail[40, 40].tolist() == [200] * 3
    assert thumbnail[3, 3].tolist() == [0] * 3
    assert face_thumbnail(canvas, Face((-40.0, -40.0, 60.0, 60.0), None, 1.0), 80).size == (80, 80)  # beyond the photo


def test_a_link_asks_for_an_edit_and_a_bad_one_says_why():
    language = Language()
    assert parse_edit("Eyeglasses:1,Young:-0.5,Bangs", language, DEFAULT_ATTRIBUTES) == {
        "Eyeglasses": 1.0, "Young": -0.5, "Bangs": 1.0,
    }  # fmt: skip
    for text, message in (("Ears:1", "cannot edit"), ("Young:nan", "out of range"), ("Young:9", "out of range")):
        with pytest.raises(ValueError, match=message):
            parse_edit(text, language, DEFAULT_ATTRIBUTES)


def test_looks_and_surprises_ask_for_what_the_bundled_model_can_do():
    for look in (*LOOKS, *EXAMPLE_LOOKS):
        assert look.shifts.keys() <= set(DEFAULT_ATTRIBUTES)
        assert look.title in GERMAN
    assert all(3 <= len(look.shifts) <= 4 for look in LOOKS)
    assert looks_for(("Young", "Bangs"), False) == []
    for seed in range(50):
        shifts = surprise(DEFAULT_ATTRIBUTES, random.Random(seed))
        assert 1 <= len(shifts) <= 3
        assert not any(other in shifts for name in shifts for other in excluded_by(name))


def test_every_word_is_german_too_and_keeps_its_placeholders():
    for english, german in GERMAN.items():
        assert german
        assert re.findall(r"{\w+}", english) == re.findall(r"{\w+}", german)
    assert Language("de")("Eyeglasses") == "Brille"
    assert Language("fr")("Eyeglasses") == "Eyeglasses"


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_an_animation_goes_there_and_back_and_says_what_it_is(suffix, tmp_path):
    frames = [Image.new("RGB", (32, 32), (50 * level,) * 3) for level in range(4)]
    save_animation(frames, tmp_path / f"edit{suffix}", "Edited: +Eyeglasses", seconds=0.3)
    with Image.open(tmp_path / f"edit{suffix}") as animation:
        assert animation.n_frames == 6
        levels = []
        for number in range(6):
            animation.seek(number)
            levels.append(animation.convert("RGB").getpixel((16, 16))[0])
        assert np.allclose(levels, [0, 50, 100, 150, 100, 50], atol=6)
        assert animation.info["loop"] == 0
        note = animation.getexif().get(ExifTags.Base.ImageDescription) or animation.info["comment"].decode()
        assert note == "Edited: +Eyeglasses"


def test_a_video_shows_the_same(tmp_path):
    frames = [Image.new("RGB", (65, 64), (50 * level,) * 3) for level in range(4)]
    save_animation(frames, tmp_path / "edit.mp4", "Edited", seconds=0.3)
    video, levels = cv2.VideoCapture(str(tmp_path / "edit.mp4")), []
    while (read := video.read())[0]:
        levels.append(int(read[1][16, 16, 0]))
    assert read[1] is None
    assert 1.4 < len(levels) / video.get(cv2.CAP_PROP_FPS) < 2.4  # it rests at both ends
    assert levels[0] < 10
    assert max(levels) > 140
    assert levels[-1] < 70


def test_a_tile_shows_every_picture_beside_the_other_over_its_caption():
    pictures = [Image.new("RGB", (100, 80), colour) for colour in ("red", "lime", "blue")]
    paper = np.asarray(tile(pictures, ["Before", "After", "More"], "Eyeglasses · Beard", columns=2, side=200))
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        rows, columns = np.nonzero((paper == colour).all(axis=2))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (160, 200)
    assert (paper < 128).all(axis=2).any()  # words
