"""Several people in one photo: an edit of one leaves the pixels of the others alone, and all can be edited at once."""

import math
import re

import numpy as np
import pytest
from editors import Finds
from PIL import Image

from stgan import FaceEditor, cli
from stgan.photo.align import Alignment
from stgan.photo.face import Face, FaceError
from stgan.photo.files import open_photo
from stgan.photo.people import in_crop, kept_to_own, merged

WIDTH = 300
LEFT = Face((80, 70, 160, 170), np.array([(105.0, 105), (140, 105), (122, 125), (108, 143), (138, 143)]), 0.9)
RIGHT = Face((150, 80, 240, 180), np.array([(178.0, 115), (215, 115), (197, 135), (182, 155), (211, 155)]), 0.9)


@pytest.fixture
def crowd(editor):
    """An editor for photos with two touching heads, and such a photo."""
    finds = FaceEditor(editor.generator, editor.classifier, Finds(LEFT, RIGHT), "cpu")
    return finds, np.random.default_rng(0).integers(60, 200, (260, WIDTH, 3), dtype=np.uint8)


def belongs_to(face, other):
    """Bool (260, 300): pixels nearer to a face than to another, written out."""
    rows, columns = np.mgrid[:260, :WIDTH]
    own, rival = (np.hypot(columns - each.centre[0], rows - each.centre[1]) / each.size for each in (face, other))
    return own < rival


@pytest.mark.parametrize(("number", "face", "other"), [(0, LEFT, RIGHT), (1, RIGHT, LEFT)])
def test_an_edit_never_reaches_another_face(number, face, other, crowd):
    editor, photo = crowd
    alone = FaceEditor(editor.generator, editor.classifier, Finds(face), "cpu")
    for edit in (["Bald"], ["Blond_Hair"], {"Young": False, "Eyeglasses": True}):
        spills = (np.asarray(alone.edit(photo, edit, 2.0, force=True)) != photo).any(axis=2)
        kept = (np.asarray(editor.edit(photo, edit, 2.0, face=number, force=True)) != photo).any(axis=2)
        assert kept[belongs_to(face, other)].any()
        assert not kept[~belongs_to(face, other)].any()
    assert spills[~belongs_to(face, other)].any()  # which would be wrong here


def test_everyone_at_once_is_everyone_in_turn(crowd, tmp_path):
    editor, photo = crowd
    together = editor.edit(photo, ["Bald"], face="all", force=True)
    one, other = (np.asarray(editor.edit(photo, ["Bald"], face=face, force=True)) for face in (0, 1))
    expected = np.where((one != photo).any(axis=2, keepdims=True), one, other)
    assert np.array_equal(np.asarray(together), expected)
    assert re.fullmatch("Edited with stgan: [+]Bald 1.* on 2 faces", together.info["stgan"].description)
    faces = [editor.prepare(open_photo(together), face=face, others=[LEFT, RIGHT]) for face in (LEFT, RIGHT)]
    with pytest.raises(ValueError, match="different photos"):
        editor.edit(faces, ["Bald"])
    opened = open_photo(photo)
    faces = [editor.prepare(opened, face=number) for number in (0, 1)]
    bald, young = ({name: True} for name in ("Bald", "Young"))
    alike = editor.edit_people([(face, bald, 1.0, {"Bald": False}) for face in faces])
    assert np.array_equal(np.asarray(alike), expected)
    each = editor.edit_people([(faces[0], bald, 1.0, {"Bald": False}), (faces[1], young, 1.5, {"Young": False})])
    bald = editor.edit(photo, bald, face=0, source={"Bald": False}).info["stgan"]
    younger = editor.edit(photo, young, 1.5, face=1, source={"Young": False})
    parts = (one != photo).any(axis=2, keepdims=True)
    assert np.array_equal(np.asarray(each), np.where(parts, one, np.asarray(younger)))
    assert each.info["stgan"].changed == bald.changed | younger.info["stgan"].changed
    assert {"Bald", "Young"} <= each.info["stgan"].changed.keys()
    several = editor.edit_each(photo, [["Bald"], {}], face="all", force=True)
    assert np.array_equal(np.asarray(several[0]), expected)
    assert np.array_equal(np.asarray(several[1]), photo)


def test_faces_that_cannot_be_edited_stay_as_they_are_and_are_named(crowd):
    editor, photo = crowd
    tiny = Face((270, 10, 290, 30), None, 0.9)
    editor._detector = Finds(LEFT, RIGHT, tiny)
    outcome = editor.edit(photo, ["Bald"], face="all", force=True).info["stgan"]
    assert len(outcome.faces) == 2
    assert outcome.notes()[-1].startswith("Face 2 stays as it is: This face is only 20 pixels wide")
    first = Face((2, 10, 22, 30), None, 0.9)
    editor._detector = Finds(first, LEFT)
    name, present = next(iter(editor.prepare(photo, face=1).label_dict().items()))
    notes = editor.edit(photo, {name: present}, face="all").info["stgan"].notes()
    assert notes[0].startswith(f"Face 1: {name}: already")
    assert notes[-1].startswith("Face 0 stays")
    editor._detector = Finds(tiny)
    with pytest.raises(FaceError, match="only 20 pixels"):
        editor.edit(photo, ["Bald"], face="all")


def test_a_face_that_is_found_twice_is_edited_once(crowd):
    editor, photo = crowd
    again = Face(tuple(side + 2 for side in LEFT.box), LEFT.landmarks, 0.5)
    editor._detector = Finds(LEFT, again, RIGHT)
    assert len(editor.edit(photo, ["Bald"], face="all", force=True).info["stgan"].faces) == 2
    assert len(in_crop(LEFT, [LEFT, again, RIGHT], Alignment(np.eye(2, 3)))) == 2


def test_a_close_up_of_a_face_keeps_its_neighbours(crowd):
    editor, photo = crowd
    prepared = editor.prepare(photo, face=0)
    left, top, right, bottom = prepared.window()
    near = prepared.close_up(10_000)
    whole = np.asarray(editor.edit(prepared, ["Bald"], force=True))[top:bottom, left:right].astype(int)
    close = np.asarray(editor.edit(near, ["Bald"], force=True)).astype(int)
    unchanged = ~belongs_to(LEFT, RIGHT)[top:bottom, left:right]
    assert np.array_equal(close[unchanged], whole[unchanged])


def test_a_change_fades_towards_another_face_and_is_whole_elsewhere():
    before, after = np.full((100, 100, 3), 50, np.uint8), np.full((100, 100, 3), 250, np.uint8)
    people = [Face((10, 30, 50, 70), None, 1.0), Face((50, 30, 90, 70), None, 1.0)]
    turn = Alignment(np.array([[0.0, 1, 0], [1, 0, 0]]))  # of the crop: axes swapped
    for alignment in (Alignment(np.eye(2, 3)), turn):
        in_frame = [face.transformed(alignment.matrix) for face in people]
        kept = kept_to_own(before, after, alignment, in_frame)[..., 0].astype(int)
        assert (kept[:, 51:] == 50).all()
        assert (kept[50, :40] == 250).all()
        assert (np.diff(kept[50]) <= 0).all()
        assert kept_to_own(before, after, alignment, in_frame[:1]) is after
    assert math.isclose(people[0].transformed(turn.matrix).centre[0], 50)
    half, other = before.copy(), before.copy()
    half[:50], other[50:] = 1, 2
    assert np.array_equal(merged(before, half, other), np.concatenate([half[:50], other[50:]]))


def test_the_command_edits_everyone_into_one_file(model_folder, astronaut, tmp_path, monkeypatch, capsys, editor):
    portrait = astronaut[:300, 80:380]
    Image.fromarray(np.concatenate([portrait, portrait[:, ::-1]], axis=1)).save(tmp_path / "two.png")
    monkeypatch.setenv("STGAN_MODEL", str(model_folder))
    cli.main(["edit", str(tmp_path / "two.png"), "--add", "Bald", "--force", "--face", "all"])
    written = capsys.readouterr().out.strip()
    expected = editor.edit(tmp_path / "two.png", ["Bald"], face="all", force=True)
    assert np.array_equal(np.asarray(Image.open(written)), np.asarray(expected))
    changed = (np.asarray(expected) != np.asarray(Image.open(tmp_path / "two.png"))).any(axis=2)
    assert all(half.any() for half in np.split(changed, 2, axis=1))
