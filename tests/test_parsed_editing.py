"""What an editor does with a face parser: edits keep to what the photo shows, and the skin keeps its colour."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch.nn import functional as F

from stgan import FaceEditor
from stgan.editing.barber import Barber
from stgan.editing.edits import beards_in_the_way, in_the_way
from stgan.editing.prepared import EditedCrop
from stgan.models import PARSER_CLASSES, Edit, FaceParser
from stgan.models.regions import cheek_pixels, parsed_regions
from stgan.photo.align import Alignment
from stgan.photo.crop import own_pixels
from stgan.photo.detect import FaceDetector
from stgan.photo.face import Face
from stgan.photo.matte import Matte, warped


class DrawnParser(FaceParser):
    """A parser for which every face lies alike: hair above, skin with eyes below, the wall at the right."""

    def parse(self, image, reach=1):
        size = image.shape[-1]
        classes = torch.zeros(size, size, dtype=torch.long)
        classes[:, : round(0.8 * size)] = PARSER_CLASSES.index("skin")
        classes[: round(0.3 * size), : round(0.8 * size)] = PARSER_CLASSES.index("hair")
        return F.one_hot(classes, len(PARSER_CLASSES)).permute(2, 0, 1)[None].float().expand(len(image), -1, -1, -1)


@pytest.fixture(scope="module")
def editor(model_folder):
    editor = FaceEditor.from_pretrained(model_folder, detector=FaceDetector())
    generator = type(editor.generator)(**editor.generator.config | {"use_regions": True, "soft_mask": True})
    torch.manual_seed(0)
    return FaceEditor(generator, editor.classifier, editor.detector, "cpu", parser=DrawnParser())


@pytest.fixture(scope="module")
def prepared(editor):
    return editor.prepare(skimage.data.astronaut())


def test_an_edit_changes_only_what_the_parser_shows_of_its_attribute(editor, prepared):
    edit = {"Blond_Hair": not prepared.label_dict()["Blond_Hair"]}
    (image,), (mask,) = editor.edit_crops(prepared, [edit], 1.5)
    region = parsed_regions(prepared.parts.classes, ["Blond_Hair"])[0, 0]
    assert 0.1 < (region > 0).float().mean() < 0.5
    changed = (image - prepared.features.image[0]).abs().amax(dim=0) > 1e-6
    assert changed.any()
    assert not changed[region == 0].any()
    assert not mask[region == 0].any()


def test_without_a_parser_the_mean_faces_regions_hold(editor, prepared):
    plain = FaceEditor(editor.generator, editor.classifier, editor.detector, "cpu")
    alone = plain.prepare(skimage.data.astronaut())
    assert alone.parts is None
    edit = {"Mustache": not alone.label_dict()["Mustache"]}
    with torch.inference_mode():
        expected = editor.generator.decode_parts(alone.features, plain._condition(alone, [edit], 1.0, None))
    torch.testing.assert_close(plain.edit_crops(alone, [edit])[0], expected.image)


def test_a_model_without_regions_does_without_the_parser(editor):
    generator = type(editor.generator)(**editor.generator.config | {"use_regions": False})
    plain = FaceEditor(generator, editor.classifier, editor.detector, "cpu", parser=DrawnParser())
    assert plain.prepare(skimage.data.astronaut()).parts is None


@pytest.mark.parametrize("name", ["Pale_Skin", "Eyeglasses"])
def test_the_cheeks_keep_their_colour_unless_an_edit_lies_on_them(editor, prepared, name):
    edits = [{each: not prepared.label_dict()[each]} for each in ("Male", name)]
    images, _ = editor.edit_crops(prepared, edits, 2.0)
    condition = editor._condition(prepared, edits, 2.0, None)
    with torch.inference_mode():
        free = editor.generator.decode_parts(prepared.features, condition, prepared.parts.regions).image
    source = prepared.features.image[0]
    cheeks = cheek_pixels(prepared.parts.classes)[0]

    def shift(image):
        return (image - source)[:, cheeks].median(dim=1).values.abs().max().item()

    assert shift(images[0]) < 0.5 * shift(free[0])
    torch.testing.assert_close(images[1], free[1])


def test_edits_that_meet_change_no_pixel_more_than_one_of_them(editor, prepared):
    labels = prepared.label_dict()
    singles = [{name: not labels[name]} for name in ("Eyeglasses", "Bangs", "Male", "No_Beard")]
    together = {name: value for edit in singles for name, value in edit.items()}
    alone, _ = editor.edit_crops(prepared, singles, 2.0)
    (image,), _ = editor.edit_crops(prepared, [together], 2.0)
    source = prepared.features.image[0]
    change, changes = image - source, alone - source
    assert (change <= changes.amax(dim=0) + 1e-5).all()
    assert (change >= changes.amin(dim=0) - 1e-5).all()
    strength = changes.abs().amax(dim=1)
    one = (strength > 1e-5).sum(dim=0) == 1  # where only one of them changes anything, it is that one
    assert one.any()
    torch.testing.assert_close(image[:, one], (source + changes.sum(dim=0))[:, one], atol=1e-5, rtol=0)


def test_single_edits_beside_several_at_once_are_those_alone(editor, prepared):
    labels = prepared.label_dict()
    single = {"Bangs": not labels["Bangs"]}
    alone, mask = editor.edit_crops(prepared, [single])
    beside, masks = editor.edit_crops(prepared, [single, single | {"Male": not labels["Male"]}])
    torch.testing.assert_close(beside[0], alone[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(masks[0], mask[0], atol=1e-5, rtol=0)


def test_attributes_that_exclude_one_another_stay_one_edit(editor, prepared):
    labels = prepared.label_dict() | {"Black_Hair": True, "Blond_Hair": False}
    edit = {"Blond_Hair": True}  # takes the black away
    (image,), _ = editor.edit_crops(prepared, [edit], 1.5, source=labels)
    condition = editor._condition(prepared, [edit], 1.5, labels)
    assert (condition != 0).sum() >= 2
    with torch.inference_mode():
        once = editor.generator.decode_parts(prepared.features, condition, prepared.parts.regions).image[0]
    hair = prepared.parts.classes[0, PARSER_CLASSES.index("hair")] == 1
    torch.testing.assert_close(image[:, hair], once[:, hair], atol=1e-5, rtol=0)


def test_a_new_hair_colour_keeps_to_the_hair_and_ends_with_it_not_with_the_crop(editor, prepared):
    """The drawn parser sees hair above: in the crop, and in the window around it. New strands may fall over the skin
    where the edit may change the crop."""
    colour = {"Blond_Hair": not prepared.label_dict()["Blond_Hair"]}
    photo = np.asarray(editor.edit(prepared, colour, 1.5)).astype(int)
    changed = (photo != prepared.photo.rgb).any(axis=2)
    hair = Matte.fitted(prepared.photo.rgb, prepared.alignment, len(prepared.crop), prepared.silhouette.hair)
    share, _ = hair.of(prepared.photo.rgb, (0, 0))
    free = prepared.parts.regions[0, editor.names.index("Blond_Hair")].float().numpy()
    free = warped(free, prepared.alignment.matrix, (0, 0), share.shape)
    assert changed.any()
    assert not changed[(share == 0) & (free == 0)].any()


def test_another_gender_draws_no_hair_over_the_skin(editor, prepared, monkeypatch):
    size = len(prepared.crop)
    hair, inside = np.zeros((2, size, size), np.float32)
    middle = slice(size // 2 - 2, size // 2 + 2)
    inside[size // 3 : -size // 4, middle] = 1
    where = warped(inside, prepared.alignment.matrix, (0, 0), prepared.photo.rgb.shape) > 0.99
    monkeypatch.setattr(editor, "_drawn", lambda edited, *groups: [hair.copy() for _ in groups])
    changes = []
    for columns in (slice(0, 0), slice(middle.start - 10, middle.stop + 10)):
        hair[:, columns] = 1
        photo = np.asarray(editor.edit(prepared, {"Male": True}, 1.5, source={"Male": False})).astype(int)
        changes.append(np.abs(photo - prepared.photo.rgb).max(axis=2))
    assert changes[0][where].mean() > 2
    assert changes[1][where].max() <= 1
    assert changes[1].max() > 2


def test_bushier_brows_are_darker_without_stains_of_colour(editor, prepared):
    size = len(prepared.crop)
    drawn = prepared.reconstruction.clone()
    spot = np.zeros((size, size), np.float32)
    spot[24:28, 20:40] = 1
    where = torch.from_numpy(spot > 0)
    drawn[:, where] -= 0.3
    drawn[2, where] -= 0.5  # yellow
    edited = EditedCrop.of(prepared, drawn, changes={"Bushy_Eyebrows": 1.0})
    rgb = prepared.photo.rgb
    inside = warped(cv2.erode(spot, np.ones((3, 3))), prepared.alignment.matrix, (0, 0), rgb.shape) > 0.9
    brows, pasted = (way(edited, rgb)[inside].astype(int) - rgb[inside] for way in (editor.draw_brows, editor.paste))
    assert inside.sum() > 50
    assert brows.mean() < -15
    yellow = [(each[:, :2].mean() - each[:, 2].mean()) for each in (brows, pasted)]
    assert yellow[0] < 0.4 * yellow[1]


def test_brows_of_a_woman_who_becomes_a_man_are_her_own(editor, prepared, monkeypatch):
    """Those that a network draws beside them are not pasted, and tell where hers go."""
    size, rgb = len(prepared.crop), prepared.photo.rgb
    own, new = np.zeros((2, size, size), np.float32)
    own[26:30, 20:44], new[30:34, 20:44] = 1, 1
    drawn = prepared.reconstruction.clone()
    drawn[:, torch.from_numpy(new > 0)] -= 0.8
    edited, asked = EditedCrop.of(prepared, drawn, changes={"Male": 1.0}), []
    shown = editor._shown
    monkeypatch.setattr(editor, "_shown", lambda edited, *names: own if names == ("brows",) else shown(edited, *names))
    monkeypatch.setattr(editor, "_drawn", lambda edited, hair, brows: [0 * own, new])
    monkeypatch.setattr(Barber, "_bushier", lambda self, edited, like=None: asked.append(like))
    inside = warped(cv2.erode(new, np.ones((3, 3))), prepared.alignment.matrix, (0, 0), rgb.shape) > 0.9
    assert (editor.age(edited, rgb)[inside].astype(int) - rgb[inside]).mean() < -15  # no brows of hers are found
    assert asked[0] is new
    monkeypatch.setattr(Barber, "_bushier", lambda self, edited, like=None: (None, None, None))
    monkeypatch.setattr(Barber, "_reshape_brows", lambda self, edited, rgb, shape, growth, colour, name: rgb)
    assert np.abs(editor.age(edited, rgb)[inside].astype(int) - rgb[inside]).max() <= 1
    monkeypatch.setattr(Barber, "_bushier", lambda self, edited, like=None: None)
    older = replace(edited, changes={"Young": -1.0}, asked={"Young": -1.0, "Bushy_Eyebrows": -1.0})  # for another step
    assert np.abs(editor.age(older, rgb)[inside].astype(int) - rgb[inside]).max() <= 1


@pytest.mark.parametrize("bangs", [False, True])
def test_a_forehead_without_bangs_gets_no_other_brows(editor, prepared, monkeypatch, bangs):
    """Strands that hang over a forehead give way to brighter skin, and only bangs hide brows."""
    size, rgb = len(prepared.crop), prepared.photo.rgb
    line, strand = np.zeros((2, size, size), np.float32)
    line[26:30, 20:44], strand[36:40, 20:44] = 1, 1
    drawn = prepared.reconstruction.clone()
    drawn[:, torch.from_numpy(line > 0)] -= 0.8
    drawn[:, torch.from_numpy(strand > 0)] += 0.8
    labels = [float(bangs if name == "Bangs" else label) for name, label in prepared.label_dict().items()]
    face = replace(prepared, labels=np.array(labels))
    monkeypatch.setattr(editor, "_decode", lambda *_: Edit(drawn[None], drawn[None], torch.ones(1, 1, size, size)))
    bare = editor._bare_forehead(EditedCrop.of(face, drawn, changes={"Bald": 1.0}), rgb).astype(int) - rgb
    dark, bright = (
        bare[warped(cv2.erode(each, np.ones((3, 3))), face.alignment.matrix, (0, 0), rgb.shape) > 0.9].mean()
        for each in (line, strand)
    )
    assert bright > 15
    assert dark < -100 if bangs else dark > -5


@pytest.mark.parametrize(("left", "passes"), [([0.95], 1), ([0.5, 0.92], 2), ([0.5, 0.6], 3)])
def test_what_is_left_of_a_beard_goes_in_another_pass(editor, prepared, monkeypatch, left, passes):
    rgb, answers = prepared.photo.rgb, iter(left)
    edited = editor._drawn_edit(prepared, {"No_Beard": 1.0})
    monkeypatch.setattr(editor, "_looks", lambda face, rgb, name: next(answers))
    expected = editor.paste(edited, rgb)
    for _ in range(passes - 1):
        face = editor._encoded_again(prepared, expected)
        images, masks = editor.edit_crops(face, [{"No_Beard": True}], source={"No_Beard": False})
        expected = editor.paste(EditedCrop.of(face, images[0], masks[0]), expected)
    assert np.array_equal(editor.shave_beard(edited, rgb), expected)
    assert next(answers, None) is None
    weaker = editor._drawn_edit(prepared, {"No_Beard": 0.5})  # asks for no more than a part
    assert np.array_equal(editor.shave_beard(weaker, rgb), editor.paste(weaker, rgb))


@pytest.mark.parametrize(("intensity", "still_open"), [(1.0, True), (1.0, False), (0.5, True), (0.5, False)])
def test_a_mouth_that_stays_open_when_its_lips_meet_is_drawn_closed(
    editor, prepared, monkeypatch, intensity, still_open
):
    moved, whole, pasted = (np.full_like(prepared.photo.rgb, level) for level in (50, 100, 150))
    looks = {50: 0.95 if intensity < 1 or still_open else 0.1, 100: 0.95 if still_open else 0.1, 150: 0.3}
    monkeypatch.setattr(editor, "_move_lips", lambda edited, rgb, way: moved if edited.strength == intensity else whole)
    monkeypatch.setattr(editor, "paste", lambda edited, rgb: pasted)
    monkeypatch.setattr(editor, "_looks", lambda face, rgb, name: looks[rgb[0, 0, 0]])
    changes = {"Mouth_Slightly_Open": -intensity}
    edited = EditedCrop.of(prepared, prepared.reconstruction, changes=changes)
    assert editor.close_mouth(edited, prepared.photo.rgb) is (pasted if still_open else moved)


def test_a_photo_looks_as_open_as_the_classifier_says(editor, prepared):
    column = editor.names.index("Mouth_Slightly_Open")
    expected = prepared.probabilities["Mouth_Slightly_Open"]
    assert editor._looks(prepared, prepared.photo.rgb, "Mouth_Slightly_Open") == pytest.approx(expected, abs=1e-5)
    assert editor._probabilities(prepared.crop)[column].item() == pytest.approx(expected, abs=1e-5)


def test_a_face_moves_to_another_device_with_what_it_shows(editor, prepared):
    moved = prepared.to("meta")
    assert moved.parts.classes.device.type == "meta"
    assert moved.parts.regions.device.type == "meta"
    assert replace(prepared, parts=None).to("meta").parts is None


def test_each_pixel_belongs_to_the_nearest_face():
    """Against distances computed pixel by pixel, in a photo where the crop is turned and twice as large."""
    angle = 0.3
    turn = 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    alignment = Alignment(np.hstack([turn, [[3.0], [5.0]]]))
    mine, other = Face((0, 0, 10, 10), None, 1.0), Face((12, 4, 32, 24), None, 1.0)
    own = own_pixels(alignment, mine, [mine, other], 60)
    inverse = np.linalg.inv(turn)
    for row, column in np.random.default_rng(0).integers(0, 60, (60, 2)):
        point = inverse @ (np.array([column, row]) - (3, 5))
        nearer = np.hypot(*(point - (22, 14))) / 20 < np.hypot(*(point - (5, 5))) / 10
        assert own[row, column] == (not nearer)
    assert 0.1 < own.mean() < 0.9


def test_a_face_alone_owns_every_pixel():
    mine = Face((0, 0, 10, 10), None, 1.0)
    same = Face((1, 0, 11, 10), None, 0.5)  # as the detector gave it, before it was refined
    assert own_pixels(Alignment(np.eye(2, 3)), mine, [mine, same], 16).all()


def test_pixels_of_other_faces_stay_as_they_are(editor):
    photo = skimage.data.astronaut()
    face = editor.prepare(photo).face
    left, top, right, bottom = face.box
    neighbour = Face((right, top, right + (right - left), bottom), None, 1.0)
    prepared = editor.prepare(photo, face=face, others=[face, neighbour])
    own = own_pixels(prepared.alignment, prepared.face, [neighbour], len(prepared.crop))
    assert not own.all()
    assert prepared.parts.regions[..., torch.from_numpy(~own)].max() == 0


def test_the_parts_of_an_edit_add_up_to_it_and_do_not_overlap(editor, prepared):
    condition = torch.randn(4, len(editor.names), generator=torch.Generator().manual_seed(0))
    condition[:, editor.names.index("Bald")] = -1.0  # a bald head makes other edits of the hair pointless
    parts = torch.stack([part for part, _ in editor._steps(prepared, condition)])
    assert torch.equal(parts.sum(dim=0), condition)
    assert ((parts != 0).sum(dim=0) == 1).all()


def test_a_beard_goes_before_a_man_becomes_a_woman(editor):
    photo = skimage.data.astronaut()
    bearded = editor.prepare(photo, aligned=True)
    names = list(bearded.probabilities)
    labels = {"Male": 1.0, "No_Beard": 0.0, "Mustache": 1.0}
    bearded = replace(
        bearded,
        probabilities=bearded.probabilities | labels,
        labels=torch.tensor([labels.get(name, 0.0) for name in names]),
    )
    at_once = editor.edit(bearded, {"Male": False})
    shaven = np.asarray(editor.edit(bearded, {"No_Beard": True, "Mustache": False}))
    again = editor.prepare(shaven, aligned=True)
    labels |= {"No_Beard": 1.0, "Mustache": 0.0}
    again = replace(
        again, probabilities=again.probabilities | labels, light=bearded.light,
        labels=torch.tensor([labels.get(name, 0.0) for name in names]),
    )  # fmt: skip
    one_by_one = editor.edit(again, {"Male": False})
    assert np.array_equal(np.asarray(at_once), np.asarray(one_by_one))
    assert not np.array_equal(np.asarray(at_once), shaven)


def test_only_a_man_with_a_beard_is_shaved_first(editor, prepared):
    names = list(prepared.probabilities)
    male, none, mustache = (names.index(name) for name in ("Male", "No_Beard", "Mustache"))
    requests = torch.zeros(4, len(names))
    requests[:3, male], requests[3, male] = -0.5, 1.0
    requests[1, mustache], requests[2, none] = 1.0, -1.0  # a beard is asked for
    stubble = replace(prepared, probabilities=prepared.probabilities | {"No_Beard": 0.8, "Mustache": 0.0})
    first = beards_in_the_way(stubble, requests)
    assert list(first) == [0]
    assert first[0][none] == 0.5
    clean = replace(prepared, probabilities=prepared.probabilities | {"No_Beard": 0.95, "Mustache": 0.05})
    assert not beards_in_the_way(clean, requests)
    unsure = {"No_Beard": 0.6, "Mustache": 0.4}
    unsure = replace(prepared, probabilities=prepared.probabilities | unsure, labels=torch.zeros(len(names)))
    assert list(beards_in_the_way(unsure, requests)) == [0]
    assert not beards_in_the_way(unsure.corrected({"No_Beard": True}), requests)
    assert list(beards_in_the_way(clean.corrected({"No_Beard": False}), requests)) == [0]
    assert list(beards_in_the_way(clean.corrected({"Mustache": True}), requests)) == [0]


def test_worn_glasses_come_off_before_others_are_put_on(editor, prepared, monkeypatch):
    names = list(prepared.probabilities)
    glasses, male = names.index("Eyeglasses"), names.index("Male")
    classes = prepared.parts.classes.clone()
    classes[:, :, 40:60, 20:60] = F.one_hot(torch.tensor(PARSER_CLASSES.index("eyeglasses")), 10)[None, :, None, None]
    worn = replace(prepared, parts=prepared.parts._replace(classes=classes.float()))
    requests = torch.zeros(3, len(names))
    requests[0, glasses], requests[1, glasses], requests[2, male] = 1.5, -1.0, 1.0
    first = in_the_way(worn, requests)
    assert list(first) == [0]
    assert first[0].nonzero().tolist() == [[glasses]]
    assert first[0][glasses] == -1
    assert not in_the_way(prepared, requests)
    both = requests[1:2] + requests[2:]  # other edits start from the bare face
    assert torch.equal(in_the_way(worn, both)[0], requests[1])
    steps = []
    painted = type(editor)._painted
    monkeypatch.setattr(
        type(editor), "_painted",
        lambda self, face, change, differs: steps.append((face.wears_glasses, change[:, glasses].tolist(), differs))
        or painted(self, face, change, differs),
    )  # fmt: skip
    editor._pixels(worn, requests[:2], [["Eyeglasses"]] * 2)
    assert steps[0] == (True, [1.5, -1.0], [(), ["Eyeglasses"]])  # the first one waits
    assert steps[1:] == [(True, [-1.0], [[True]]), (False, [1.5], [["Eyeglasses"]])]
