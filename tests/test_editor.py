"""The editor: photo in, photo out."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from editors import Finds
from PIL import Image

import stgan.cli
from stgan import FaceEditor
from stgan.models import STGAN, ModelFolderError
from stgan.models.regions import attribute_regions
from stgan.photo.detect import FaceDetector
from stgan.photo.face import Face, FaceError

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
    assert (edited == edited[..., :1]).all() == (mode != "RGB")


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


def test_an_intensity_per_attribute_equals_one_for_all(editor, prepared):
    for_all, _ = editor.edit_crops(prepared, [change(prepared)], 0.7)
    by_name, _ = editor.edit_crops(prepared, [change(prepared)], {"Eyeglasses": 0.7})
    assert torch.equal(for_all, by_name)


def test_an_aligned_image_is_taken_as_it_is(editor):
    aligned = Image.fromarray(np.random.default_rng(0).integers(0, 255, (218, 178, 3), dtype=np.uint8))
    prepared = editor.prepare(aligned)
    assert prepared.face is None
    crop = np.asarray(aligned.crop((3, 26, 173, 196)).resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(prepared.crop.astype(int) - crop).max() <= 2


@pytest.mark.parametrize("intensity", [float("nan"), 5.0, -0.5, {"Male": -9.0}, {"Male": float("nan")}])
def test_an_intensity_out_of_range_is_refused(editor, prepared, intensity):
    with pytest.raises(ValueError, match="out of range"):
        editor.edit(prepared, change(prepared), intensity)


UPRIGHT = Face((180, 63, 269, 175), np.array([(204.0, 102), (246, 102), (223, 125), (204, 145), (240, 143)]), 0.94)
TURNED = {  # what YuNet finds in the astronaut's portrait turned by so many degrees
    90: Face((89, 246, 157, 333), np.array([(130.0, 274), (141, 274), (145, 289), (131, 309), (140, 306)]), 0.84),
    180: Face((245, 341, 331, 441), np.array([(280.0, 377), (311, 378), (304, 397), (287, 415), (312, 415)]), 0.85),
    270: Face((361, 180, 443, 272), np.array([(386.0, 210), (410, 211), (394, 228), (384, 244), (403, 246)]), 0.85),
}


@pytest.mark.parametrize("detector", ["finds", "yunet", "cascades"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_photo_that_is_not_upright_is_refused_with_advice(degrees, detector, editor, bundled, astronaut):
    if detector == "yunet" and not YUNET.is_file():
        pytest.skip(f"needs {YUNET.name} in ../shared")
    looks_for = {
        "finds": lambda: Finds(TURNED[degrees]),
        "yunet": lambda: FaceDetector(YUNET),
        "cascades": FaceDetector,
    }
    confirming = FaceEditor(editor.generator, editor.classifier, looks_for[detector](), "cpu", bundled.aligner)
    with pytest.raises(FaceError, match="upright: turn it"):
        confirming.prepare(np.rot90(astronaut, degrees // 90))


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
