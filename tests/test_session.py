"""What the demo keeps of a visit: controls that give way, versions that lead back, headings, and its pictures."""

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from stgan.demo.pictures import CHOSEN_COLOUR, OTHER_COLOUR, framed_faces, save_animation, surroundings
from stgan.demo.session import MOST_VERSIONS, Controls, History, Subject, faces_to_edit, grouped
from stgan.photo.face import Face, FaceError
from stgan.photo.files import open_photo


@pytest.fixture
def new_file(tmp_path):
    def new_file(name):
        return str(tmp_path / f"{len(list(tmp_path.iterdir()))}-{name}")

    return new_file


@pytest.fixture
def subject(editor, new_file, astronaut):
    photo = open_photo(astronaut)
    faces, largest = faces_to_edit(editor, photo, aligned=False)
    prepared = editor.prepare(photo, face=faces[largest])
    return Subject.with_files("me.png", photo, faces, largest, prepared, new_file)


@pytest.fixture
def versions(subject, new_file):
    """Makes the history after controls were set in turn, without a model."""

    def versions(*controls):
        history = None
        for each in controls:
            history = History.after(history, subject, each, Image.fromarray(subject.photo.rgb), "model", new_file)
        return history

    return versions


def test_a_tick_clears_what_it_excludes_and_leaves_the_sliders():
    controls = Controls(frozenset({"Black_Hair", "Male"}), 1.25, {"Young": -0.5})
    assert controls.toggled("Blond_Hair", True) == Controls(frozenset({"Blond_Hair", "Male"}), 1.25, {"Young": -0.5})
    assert controls.toggled("Male", False).ticks == {"Black_Hair"}


def test_untouched_controls_change_nothing(subject):
    assert subject.request(subject.untouched(1.25)).changes == {}


def test_the_same_controls_again_are_the_same_version(subject, versions):
    own = subject.untouched(1.25)
    flipped = own.toggled("Young", "Young" not in own.ticks)
    history = versions(own, flipped, own)
    assert (len(history.versions), history.current) == (2, 0)
    assert [heading for _, heading in history.thumbnails()][0] == "Original"


def test_the_intensity_of_nothing_makes_no_version(subject, versions):
    own = subject.untouched(1.25)
    history = versions(own, Controls(own.ticks, 0.5, {}), Controls(own.ticks, 1.5, {}))
    assert len(history.versions) == 1


@pytest.mark.parametrize("transparent", ["channel", "colour", "grey"])
def test_before_and_after_are_the_same_picture_where_nothing_is_edited(transparent, editor, new_file, astronaut):
    """Of a transparent photo, whose transparent pixels are white in both."""
    see_through = Image.fromarray(astronaut).convert("L" if transparent == "grey" else "RGB")
    see_through.paste(0, (0, 0, 100, 512))
    if transparent == "channel":
        see_through.putalpha(Image.linear_gradient("L").resize(see_through.size))
    else:
        see_through.info["transparency"] = 0 if transparent == "grey" else (0, 0, 0)
    photo = open_photo(see_through)
    subject = Subject.with_files("me.png", photo, [], 0, editor.prepare(photo, aligned=True), new_file)
    history = History.after(None, subject, subject.untouched(1.25), photo.with_rgb(photo.rgb), "model", new_file)
    for before, after in ((subject.before, history.file), (subject.close_before, history.close_file)):
        assert np.array_equal(np.asarray(Image.open(before)), np.asarray(Image.open(after)))
    # With an edit in a corner the rest is still the same, though the photo may be of another mode by then.
    edited = photo.rgb.copy()
    edited[500:, 500:] = 99
    history = History.after(history, subject, subject.untouched(1.0), photo.with_rgb(edited), "model", new_file)
    before, after = (np.asarray(Image.open(file)).astype(int) for file in (subject.before, history.file))
    assert np.array_equal(before[:488, :488], after[:488, :488])
    assert before[300, 50].min() > 250 or transparent == "channel"


def test_a_thumbnail_shows_the_colours_of_a_photo_with_a_profile(editor, new_file, astronaut):
    """It goes without the profile: its numbers must be sRGB's."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")  # hard to miss
    picture = Image.fromarray(astronaut)
    picture.info["icc_profile"] = swapped
    photo = open_photo(picture)
    assert np.abs(photo.rgb.astype(int) - astronaut[..., [1, 0, 2]]).max() <= 3
    subject = Subject.with_files("me.png", photo, [], 0, editor.prepare(photo, aligned=True), new_file)
    history = History.after(None, subject, subject.untouched(1.25), photo.with_rgb(photo.rgb), "model", new_file)
    thumbnail = history.now.thumbnail
    expected = Image.fromarray(photo.rgb).crop(surroundings(subject.prepared)).resize(thumbnail.size)
    assert np.abs(np.asarray(thumbnail).astype(int) - np.asarray(expected)).mean() < 3


def test_a_slider_on_its_way_is_one_version(subject, versions):
    own = subject.untouched(1.25)
    history = versions(own, *(Controls(own.ticks, 1.25, {"Young": degree}) for degree in (0.1, 0.2, 0.3)))
    assert len(history.versions) == 2
    assert history.now.controls.shifts == {"Young": 0.3}


def test_the_first_version_stays_and_of_the_others_the_newest(subject, versions, editor):
    own = subject.untouched(1.25)
    ticks = [frozenset(name for bit, name in enumerate(editor.names[5:]) if number >> bit & 1) for number in range(40)]
    history = versions(own, *(Controls(each, 1.25, {}) for each in ticks))
    assert len(history.versions) == MOST_VERSIONS
    assert history.unedited.controls == own
    assert history.now.controls.ticks == ticks[-1]


def test_a_click_on_a_face_chooses_it_and_one_beside_keeps_the_chosen(subject):
    left, top, right, bottom = subject.faces[0].box
    assert subject.face_at((left + right) / 2, (top + bottom) / 2) == 0
    assert subject.face_at(0, 0) == subject.chosen


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
    groups = grouped(editor.names)
    assert groups["Bald or bangs"] == ["Bald", "Bangs"]
    assert sorted(name for group in groups.values() for name in group) == sorted(editor.names)


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
