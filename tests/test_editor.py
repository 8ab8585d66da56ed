"""The editor: photo in, photo out."""

import copy
import json
import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from editors import Finds
from PIL import Image
from scripts import in_a_fork
from shared import searched

import stgan.cli
from stgan import FaceEditor, save_photo
from stgan.attributes import excluded_by
from stgan.frame import CELEBA_SIZE
from stgan.models import STGAN, ModelFolderError
from stgan.models.regions import attribute_regions
from stgan.photo.align import frame_similarity
from stgan.photo.detect import FaceDetector, _HaarCascades
from stgan.photo.face import Face, FaceError
from stgan.photo.files import open_photo

YUNET = Path(__file__).resolve().parents[2] / "shared" / "face_detection_yunet_2026may.onnx"


def change(prepared):
    """An edit that changes something, whatever the (untrained) classifier sees."""
    return {"Eyeglasses": not prepared.label_dict()["Eyeglasses"]}


def test_an_edit_that_asks_for_what_the_face_has_returns_every_pixel_as_it_was(editor, astronaut, prepared):
    own, edit = prepared.label_dict(), change(prepared)
    for face, changes, source in ((astronaut, {}, None), (prepared, own, None), (prepared, edit, edit)):
        assert np.array_equal(np.asarray(editor.edit(face, changes, source=source)), astronaut)


def test_an_edit_keeps_the_size_and_changes_only_the_neighbourhood_of_the_face(editor, astronaut, prepared):
    edited = np.asarray(editor.edit(prepared, change(prepared), 1.5)).astype(int)
    before = astronaut.astype(int)
    assert edited.shape == before.shape
    changed = np.abs(edited - before).max(axis=2) > 0
    assert changed.any()
    corners = np.array([[0, 0], [63.0, 0], [0, 63.0], [63.0, 63.0]])
    inverse = prepared.alignment.inverse
    in_photo = corners @ inverse[:, :2].T + inverse[:, 2]
    rows, columns = np.nonzero(changed)
    low, high = in_photo.min(axis=0) - 2, in_photo.max(axis=0) + 2
    assert low[0] <= columns.min()
    assert columns.max() <= high[0]
    assert low[1] <= rows.min()
    assert rows.max() <= high[1]


def test_a_prepared_face_gives_the_same_picture_as_the_photo(editor, astronaut, prepared):
    once = editor.edit(astronaut, change(prepared))
    again = editor.edit(prepared, change(prepared))
    assert np.array_equal(np.asarray(once), np.asarray(again))


def test_several_edits_in_one_pass_equal_the_single_ones(editor, prepared):
    edits = [{"Eyeglasses": True}, {"Male": True, "Young": False}, {}]
    together, masks = editor.edit_crops(prepared, edits)
    for row, edit in enumerate(edits):
        alone, _ = editor.edit_crops(prepared, [edit])
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=0)
    assert masks is not None
    assert masks.shape == (3, 64, 64)


def test_photos_of_several_edits_equal_the_single_ones(editor, prepared):
    edits = [{"Eyeglasses": True}, {"Blond_Hair": True, "Young": False}, {}]
    for edit, photo in zip(edits, editor.edit_each(prepared, edits, 1.2), strict=True):
        alone = np.asarray(editor.edit(prepared, edit, 1.2)).astype(int)
        assert np.abs(np.asarray(photo).astype(int) - alone).max() <= 1  # a batch may sum in another order


def test_without_a_soft_mask_an_edit_keeps_to_its_region(editor, astronaut):
    """What the untrained model cannot draw, which is nearly everything, must not count as a change."""
    torch.manual_seed(1)
    generator = STGAN(image_size=64, width=8, soft_mask=False, use_regions=True)
    unmasked = FaceEditor(generator, editor.classifier, FaceDetector(), "cpu")
    prepared = unmasked.prepare(astronaut)
    changed = (np.asarray(unmasked.edit(prepared, change(prepared), 2.0)) != prepared.photo.rgb).any(axis=2)
    region = attribute_regions(["Eyeglasses"], 64)[0].numpy()
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    near = cv2.dilate(region, np.ones((13, 13)))  # a change is smoothed over some pixels of the crop
    reach = cv2.warpAffine(near, prepared.alignment.matrix, changed.shape[::-1], flags=flags)
    assert changed[reach > 0].any()
    assert not changed[reach == 0].any()


def test_a_single_edit_flips_its_attribute_alone(editor, prepared):
    singles = editor.single_edits(prepared)
    assert list(singles) == list(editor.names)
    assert all(edit == {name: not prepared.label_dict()[name]} for name, edit in singles.items())


def test_an_edited_close_up_is_the_window_of_the_edited_photo(editor, prepared):
    left, top, right, bottom = prepared.window()
    whole = editor.edit(prepared, change(prepared), 1.5).crop((left, top, right, bottom))
    alike = editor.edit(prepared.close_up(10_000), change(prepared), 1.5)
    assert alike.size == whole.size  # never enlarged
    assert np.abs(np.asarray(alike).astype(int) - np.asarray(whole)).mean() < 1
    small = editor.edit(prepared.close_up(90), change(prepared), 1.5)
    reduced = np.asarray(whole.resize((90, 90), Image.Resampling.BOX)).astype(int)
    assert small.size == (90, 90)
    assert np.abs(np.asarray(small).astype(int) - reduced).mean() < 3


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16", "RGB"])
def test_a_close_up_is_as_grey_as_the_photo_when_edited(mode, editor, astronaut):
    grey = Image.fromarray(astronaut).convert("L")
    photo = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    prepared = editor.prepare(photo, aligned=True)
    small = prepared.close_up(64)
    edited = np.asarray(editor.edit(small, change(prepared), 1.5).convert("RGB"))
    assert (edited != small.photo.rgb).any()
    assert (edited == edited[..., :1]).all()


def test_a_face_that_waited_on_another_device_is_edited_as_before(editor, prepared):
    moved = prepared.to("cpu")
    assert type(moved.features) is type(prepared.features)
    assert np.array_equal(
        np.asarray(editor.edit(moved, change(prepared))), np.asarray(editor.edit(prepared, change(prepared)))
    )
    assert prepared.to("meta").labels.device.type == "meta"


def test_the_editor_sees_what_the_classifier_says_of_its_crop(editor, prepared):
    image = torch.from_numpy(prepared.crop).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        probabilities = torch.sigmoid(editor.classifier(image))[0]
    assert list(prepared.probabilities) == list(editor.names)
    torch.testing.assert_close(torch.tensor(list(prepared.probabilities.values())), probabilities, atol=1e-5, rtol=0)


@pytest.mark.parametrize("no", [False, 0, -1, np.bool_(False), np.int64(-1), 0.0, torch.tensor(-1)])
@pytest.mark.parametrize("yes", [True, 1, np.True_, 1.0])
def test_true_and_false_may_be_written_as_labels_are(yes, no, editor, prepared):
    for value, plain in ((yes, True), (no, False)):
        expected, _ = editor.edit_crops(prepared, [{"Eyeglasses": plain}], source={"Eyeglasses": not plain})
        given, _ = editor.edit_crops(
            prepared, [{"Eyeglasses": value}], source={"Eyeglasses": no if value is yes else yes}
        )
        assert torch.equal(given, expected)


@pytest.mark.parametrize("value", [0.5, "no", "False", "true", None, 2, float("nan"), [True], np.array([1, 0])])
def test_what_is_neither_true_nor_false_is_refused_by_name(value, editor, prepared):
    for arguments, options in ((({"Eyeglasses": value},), {}), (({"Male": True},), {"source": {"Eyeglasses": value}})):
        with pytest.raises(ValueError, match="Eyeglasses is .*: give True or False"):
            editor.edit(prepared, *arguments, **options)


def test_names_alone_are_added(editor, prepared):
    expected = np.asarray(editor.edit(prepared, {"Eyeglasses": True, "Bangs": True}))
    for names in (["Eyeglasses", "Bangs"], ("Eyeglasses", "Bangs"), {"Eyeglasses", "Bangs"}):
        assert np.array_equal(np.asarray(editor.edit(prepared, names)), expected)
    one = np.asarray(editor.edit(prepared, {"Bangs": True}))
    assert np.array_equal(np.asarray(editor.edit(prepared, "Bangs")), one)
    assert np.array_equal(np.asarray(editor.edit_each(prepared, ["Bangs", "Eyeglasses"])[0]), one)
    assert editor.edit_each(prepared, []) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda editor, face: editor.edit(face, None), "An edit must be attribute names"),
        (lambda editor, face: editor.edit(face, 3), "An edit must be attribute names"),
        (lambda editor, face: editor.edit(face, ["Glasses"]), "Did you mean Eyeglasses"),
        (lambda editor, face: editor.edit_each(face, {"Male": True}), "Several edits must be a list"),
        (lambda editor, face: editor.edit_each(face, "Male"), "Several edits must be a list"),
        (lambda editor, face: editor.edit(face, {"Male": True}, face=3), "A prepared face is chosen already"),
        (lambda editor, face: editor.edit(face, {"Male": True}, aligned=True), "A prepared face is chosen already"),
        (lambda editor, face: editor.attributes(face, face=0), "A prepared face is chosen already"),
        (lambda editor, face: editor.edit(face.photo, {"Male": True}, face="1"), "face must be a whole number"),
        (lambda editor, face: editor.edit(face.photo, {"Male": True}, face=1.5), "face must be a whole number"),
        (lambda editor, face: editor.edit(face.photo, {"Male": True}, face=True), "face must be a whole number"),
        (lambda editor, face: editor.attributes(face.photo, face="all"), "To edit everyone use face='all'"),
        (lambda editor, face: editor.prepare(face.photo, face=0, aligned=True), "leave out face"),
        (lambda editor, face: editor.edit(face.photo, {"Male": True}, face="all", aligned=True), "leave out face"),
        (lambda editor, face: editor.edit([face.photo], {"Male": True}), "one photo at a time"),
        (lambda editor, face: editor.edit([], {"Male": True}), "one photo at a time"),
        (lambda editor, face: editor.edit(face, {"Male": True}, "1.2"), "Intensity must be a number"),
        (lambda editor, face: editor.edit(face, {"Male": True}, {"Male": None}), "Intensity must be a number"),
        (lambda editor, face: editor.edit(face, {"Male": True}, torch.ones(2)), "Intensity must be a number"),
        (lambda editor, face: editor.edit(face, {"Male": True}, force="no"), "force must be True or False"),
        (lambda editor, face: editor.edit(face.photo, {"Male": True}, aligned="no"), "aligned must be True or False"),
        (lambda editor, face: editor.edit_crops(face, ["Male"], force=0.5), "force must be True or False"),
        (lambda editor, face: editor.attributes([face, face]), "one at a time"),
        (lambda editor, face: editor.edit_people([face]), "Each person must be a prepared face with its edit"),
    ],
)
def test_other_arguments_are_refused_in_words(call, message, editor, prepared):
    with pytest.raises(ValueError, match=message):
        call(editor, prepared)


def test_an_edit_says_what_it_really_changed(editor, prepared, tmp_path):
    present = prepared.label_dict()
    free = [name for name in editor.names if not excluded_by(name)]
    has, lacks = (next(name for name in free if present[name] is value) for value in (True, False))
    p = prepared.probabilities[has]
    edited = editor.edit(prepared, {has: True, lacks: True}, 1.5)
    assert edited.info["stgan"].changed == {lacks: True}
    assert edited.info["stgan"].notes() == [f"{has}: already present (p = {p:.2f}), nothing changed"]
    save_photo(edited, tmp_path / "edited.png")
    assert Image.open(tmp_path / "edited.png").text["Description"] == f"Edited with stgan: +{lacks} 1.5"
    same = editor.edit(prepared, {lacks: False})
    absent = 1 - prepared.probabilities[lacks]
    assert same.info["stgan"].notes() == [f"{lacks}: already absent (p = {absent:.2f}), nothing changed"]
    assert same.info["stgan"].description is None
    save_photo(same, tmp_path / "same.png")
    assert "Description" not in Image.open(tmp_path / "same.png").text
    twice = editor.edit(edited, {has: False}, face=0)
    assert twice.info["stgan"].description.startswith(f"Edited with stgan: +{lacks} 1.5")
    known = editor.edit(prepared, {lacks: True}, source={lacks: True})  # who says so is certain
    assert known.info["stgan"].notes() == [f"{lacks}: already present (p = 1.00), nothing changed"]
    forced = editor.edit(prepared, {has: True}, force=True)
    assert np.array_equal(np.asarray(forced), np.asarray(editor.edit(prepared, {has: True}, source={has: False})))
    assert forced.info["stgan"].changed == {has: True}
    faint = editor.edit(prepared, {lacks: True}, 0.0).info["stgan"]
    assert (faint.changed, faint.description) == ({}, None)


def test_an_editor_can_be_pickled_and_copied_after_use(editor, prepared, astronaut):
    expected = np.asarray(editor.edit(astronaut, change(prepared)))
    for same in (pickle.loads(pickle.dumps(editor)), copy.deepcopy(editor)):
        assert np.array_equal(np.asarray(same.edit(astronaut, change(prepared))), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_process_edits_as_its_parent(editor, astronaut, monkeypatch):
    """It lacks the threads of its parent, for which a lock or a library might wait."""
    monkeypatch.setattr(_HaarCascades, "_find", searched)

    def edited():
        return np.asarray(editor.edit(astronaut, ["Bangs"], force=True)).astype(int)

    torch.set_num_threads(2)
    try:
        before = edited()
        assert np.abs(in_a_fork(edited) - before).max() <= 1
    finally:
        torch.set_num_threads(1)


def test_reduced_precision_edits_within_a_few_levels_of_full(trained, astronaut):
    networks = (trained.generator, trained.classifier, trained.detector, "cpu", trained.aligner, trained.parser)
    reduced = FaceEditor(*networks, dtype="bfloat16")
    faces = {each: each.prepare(astronaut) for each in (trained, reduced)}
    one, other = (np.asarray(each.edit(face, ["Eyeglasses"])).astype(int) for each, face in faces.items())
    assert (one != astronaut).any()
    assert np.abs(one - other).max() <= 4
    assert reduced.attributes(faces[reduced]) == trained.attributes(faces[trained])  # the classifier stays in float32
    full, _ = trained.edit_crops(faces[trained], ["Bangs"])
    for dtype, tolerance in ((torch.bfloat16, 8), (torch.float16, 2)):
        part, _ = FaceEditor(*networks, dtype=dtype).edit_crops(faces[trained], ["Bangs"])
        assert part.dtype == torch.float32
        assert (part - full).abs().max() <= tolerance * 2 / 255
        assert (part - full).abs().quantile(0.99) <= 2 * 2 / 255
    with pytest.raises(ValueError, match="precision int8 is not known: use float32, bfloat16 or float16"):
        FaceEditor(trained.generator, trained.classifier, dtype="int8")


def test_edits_do_not_depend_on_the_number_of_threads_or_on_the_edits_beside_them(trained, astronaut):
    wanted = [{"Eyeglasses": True}, {"Blond_Hair": True}, {"Male": True, "Young": False}]
    images, probabilities = [], []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            prepared = trained.prepare(astronaut)
            images.append(trained.edit_crops(prepared, wanted)[0])
            probabilities.append(torch.tensor(list(prepared.probabilities.values())))
        finally:
            torch.set_num_threads(1)
    for one, other in zip(images[1:], probabilities[1:], strict=True):
        torch.testing.assert_close(one, images[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(other, probabilities[0], atol=1e-5, rtol=0)
    alone = torch.cat([trained.edit_crops(prepared, [each])[0] for each in wanted])
    torch.testing.assert_close(alone, images[0], atol=1e-5, rtol=0)


def test_an_intensity_per_attribute_equals_one_for_all(editor, prepared):
    for_all, _ = editor.edit_crops(prepared, [change(prepared)], 0.7)
    by_name, _ = editor.edit_crops(prepared, [change(prepared)], {"Eyeglasses": 0.7})
    assert torch.equal(for_all, by_name)


def framed(rgb, detector):
    """The face of a photo as CelebA has it, uint8 (218, 178, 3)."""
    (face,) = detector.detect(rgb)
    return cv2.warpAffine(rgb, frame_similarity(face), CELEBA_SIZE, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("judge", ["aligner", "detector"])
def test_an_aligned_image_is_taken_as_it_is_and_any_other_photo_of_its_size_is_not(judge, editor, bundled, astronaut):
    by = bundled if judge == "aligner" else editor
    aligned, portrait = framed(astronaut, by.detector), cv2.resize(astronaut[:436, 40:396], CELEBA_SIZE)
    assert by.is_aligned(aligned)
    assert not by.is_aligned(portrait)
    assert not by.is_aligned(np.full_like(aligned, 128))
    assert not by.is_aligned(aligned[:-1])
    prepared = by.prepare(aligned)
    assert prepared.face is None
    size = by.generator.image_size
    crop = Image.fromarray(aligned).crop((3, 26, 173, 196)).resize((size, size), Image.Resampling.BICUBIC)
    assert np.abs(prepared.crop.astype(int) - np.asarray(crop).astype(int)).max() <= 2
    found = by.prepare(portrait)
    eyes = found.face.landmarks[:2].mean(axis=0)
    assert np.linalg.norm(eyes - np.array([225 - 40, 111]) / 2) < 6  # not where CelebA has them, (88, 111)
    assert by.prepare(portrait, aligned=True).face is None


@pytest.mark.parametrize("intensity", [float("nan"), 5.0, -0.5, {"Male": -9.0}, {"Male": float("nan")}, 10**400])
def test_an_intensity_out_of_range_is_refused(editor, prepared, intensity):
    with pytest.raises(ValueError, match="out of range"):
        editor.edit(prepared, change(prepared), intensity)


UPRIGHT = Face((180, 63, 269, 175), np.array([(204.0, 102), (246, 102), (223, 125), (204, 145), (240, 143)]), 0.94)
TURNED = {  # what YuNet finds in the astronaut's portrait turned by so many degrees
    90: Face((89, 246, 157, 333), np.array([(130.0, 274), (141, 274), (145, 289), (131, 309), (140, 306)]), 0.84),
    180: Face((245, 341, 331, 441), np.array([(280.0, 377), (311, 378), (304, 397), (287, 415), (312, 415)]), 0.85),
    270: Face((361, 180, 443, 272), np.array([(386.0, 210), (410, 211), (394, 228), (384, 244), (403, 246)]), 0.85),
}


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_what_a_detector_finds_in_a_photo_that_is_not_upright_is_refused_with_advice(
    degrees, editor, bundled, astronaut
):
    confirming = FaceEditor(editor.generator, editor.classifier, Finds(TURNED[degrees]), "cpu", bundled.aligner)
    with pytest.raises(FaceError, match="upright: turn it"):
        confirming.prepare(np.rot90(astronaut, degrees // 90))


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("detector", ["yunet", "cascades"])
def test_a_photo_that_lies_on_its_side_is_edited_as_it_lies(degrees, detector, editor, bundled, astronaut):
    if detector == "yunet" and not YUNET.is_file():
        pytest.skip(f"needs {YUNET.name} in ../shared")
    finds = FaceDetector(YUNET if detector == "yunet" else None)
    any_way_up = FaceEditor(editor.generator, editor.classifier, finds, "cpu", bundled.aligner)
    upright, turned = (any_way_up.prepare(np.rot90(astronaut, k)) for k in (0, degrees // 90))
    assert np.abs(turned.crop.astype(int) - upright.crop).mean() < 2
    assert (upright.turn, turned.turn) == (0, degrees)  # NumPy turns the other way round
    one, other = (any_way_up.edit(each, change(upright), force=True) for each in (upright, turned))
    back = np.rot90(np.asarray(other), -(degrees // 90)).astype(int)
    assert np.abs(back - np.asarray(one)).mean() < 0.5
    assert other.info["stgan"].notes()[-1].endswith(f"--turn {degrees} turns it clockwise")
    set_upright = open_photo(np.rot90(astronaut, degrees // 90), turn=degrees)
    assert np.array_equal(set_upright.rgb, astronaut)


def test_a_confirmed_face_keeps_the_landmarks_that_show_a_profile(editor, bundled, astronaut):
    confirming = FaceEditor(editor.generator, editor.classifier, Finds(UPRIGHT), "cpu", bundled.aligner)
    assert confirming.find_faces(astronaut) == [UPRIGHT]


def test_by_default_the_largest_editable_face_is_edited(editor, tmp_path, astronaut, model_folder, capsys):
    wall = Image.new("RGB", (1000, 500), "grey")
    wall.paste(Image.fromarray(astronaut).resize((300, 300)), (0, 0))
    wall.paste(Image.fromarray(astronaut[:480, :480]), (500, 0))
    wall.save(tmp_path / "two.png")
    assert len(editor.find_faces(wall)) == 2
    assert editor.prepare(wall).face.box == editor.prepare(wall, face=1).face.box
    assert editor.prepare(wall, face=0).face.box[0] < 300
    assert editor.attributes(wall) == editor.attributes(wall, face=1)
    edit = {"Eyeglasses": editor.attributes(wall)["Eyeglasses"] < 0.5}
    assert np.array_equal(np.asarray(editor.edit(wall, edit)), np.asarray(editor.edit(wall, edit, face=1)))
    stgan.cli.attributes(tmp_path / "two.png", str(model_folder), as_json=True)
    assert json.loads(capsys.readouterr().out) == pytest.approx(editor.attributes(wall), abs=1e-6)


def test_a_folder_without_classifier_is_refused(tmp_path, editor):
    editor.generator.save_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="classifier"):
        FaceEditor.from_pretrained(tmp_path)


def test_the_window_is_a_square_of_the_photo_around_the_face(prepared):
    left, top, right, bottom = prepared.window()
    height, width = prepared.photo.rgb.shape[:2]
    assert right - left == bottom - top
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    eyes = prepared.face.landmarks[:2].mean(axis=0)
    assert left < eyes[0] < right
    assert top < eyes[1] < bottom
