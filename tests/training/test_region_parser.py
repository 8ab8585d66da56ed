"""Editors that are trained with regions from a face parser, for each image its own."""

import pytest
import torch
from runs import trained
from torch.nn import functional as F

from stgan.data import DataError, MemoryDataset
from stgan.data.parsed import with_classes
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, STGAN, FaceParser, ModelFolderError
from stgan.models.regions import parsed_regions
from stgan.training.networks import load_companion_or_own


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_the_fourth_channel_is_what_the_parser_sees_and_is_kept_on_disk(parser_folder, images, tmp_path, monkeypatch):
    parser = FaceParser.from_pretrained(parser_folder)
    data = MemoryDataset(images, torch.zeros(5, 2))
    seen = with_classes(data, parser, tmp_path, torch.device("cpu"))
    assert torch.equal(seen.images[:, :3], images)
    with torch.no_grad():
        expected = parser.parse(normalise(images)).argmax(dim=1)
    assert torch.equal(seen.images[:, 3].long(), expected)
    monkeypatch.setattr(parser, "parse", None)  # not asked a second time
    assert torch.equal(with_classes(data, parser, tmp_path, torch.device("cpu")).images, seen.images)
    other = FaceParser(32).eval()
    with_classes(data, other, tmp_path, torch.device("cpu"))
    with_classes(MemoryDataset(images[:4], torch.zeros(4, 2)), other, tmp_path, torch.device("cpu"))
    assert len(list(tmp_path.glob("classes-*.npy.gz"))) == 3


def test_a_mirrored_image_is_edited_in_the_mirrored_regions(celeba, parser_folder, tmp_path, images):
    """The class of a pixel is drawn into its colours, so that both must have been mirrored together."""
    run = trained(celeba, tmp_path, steps=1, region_parser=parser_folder, random_flip=True)
    classes = torch.randint(0, 10, (16, 32, 32), generator=torch.Generator().manual_seed(2))
    batch = torch.cat([(25 * classes[:, None]).expand(-1, 3, -1, -1), classes[:, None]], dim=1).to(torch.uint8)
    found, _, regions, *_ = run.objective._prepare((batch, torch.zeros(16, 4)), torch.Generator().manual_seed(0))
    shown = ((found[:, 0] + 1) * 127.5 / 25).round().long()
    assert not torch.equal(shown, classes)
    probabilities = F.one_hot(shown, len(PARSER_CLASSES)).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(regions, parsed_regions(probabilities, run.objective.plain_generator.attributes))


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_a_run_with_a_parser_learns_and_saves_an_editor_as_ever(critic_steps, celeba, parser_folder, tmp_path):
    run = trained(celeba, tmp_path, steps=2, region_parser=parser_folder, critic_steps=critic_steps)
    assert run.batches.dataset.images.shape[1] == 4
    saved = STGAN.from_pretrained(tmp_path / "model")
    for name, value in run.objective.trained_model.state_dict().items():
        torch.testing.assert_close(saved.state_dict()[name], value)


def test_a_generator_follows_a_parser(parser_folder, images):
    parser, names = FaceParser.from_pretrained(parser_folder), ["Black_Hair", "Eyeglasses"]
    generator = STGAN(names, 32, 4, layers=3, stu_layers=2, soft_mask=True, use_regions=True).eval()
    image, condition = normalise(images), torch.tensor([[1.0, 0.0]] * 5 + [[0.0, -1.0]] * 5)
    with torch.no_grad():
        features, plain = generator.encode(image), generator(image, condition)
        regions = parsed_regions(parser.parse(image), names)
        explicit = generator.decode(features, condition, regions)
        one_by_one = [
            generator(image[row % 5][None], condition[row][None], regions=regions[row % 5][None]) for row in range(10)
        ]
        generator.follow(parser)
        torch.testing.assert_close(generator(image, condition), explicit)
        torch.testing.assert_close(torch.cat(one_by_one), explicit, atol=1e-5, rtol=0)
        assert not torch.equal(explicit, plain)
        assert not any("parser" in name for name in generator.state_dict())
        generator.follow(None)
        torch.testing.assert_close(generator(image, condition), plain)


def test_a_folder_without_a_parser_is_refused(parser_folder, model_folder):
    assert load_companion_or_own(parser_folder, FaceParser, "region_parser").image_size == 32
    with pytest.raises(ModelFolderError, match="--region_parser .* is no parser and has none in parser/"):
        load_companion_or_own(str(model_folder), FaceParser, "region_parser")


def test_a_parser_is_for_regions_and_needs_images_in_memory(celeba, parser_folder, tmp_path):
    run = trained(celeba, tmp_path / "without", steps=1, region_parser=parser_folder, use_regions=False)
    assert run.batches.dataset.images.shape[1] == 3
    with pytest.raises(DataError, match="--region_parser needs images in memory"):
        trained(
            celeba, tmp_path, steps=1, region_parser=parser_folder, streaming=True, rare_attribute_power=0.0,
            label_plausibility=0.0,
        )  # fmt: skip
