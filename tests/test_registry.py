"""A new architecture needs its class and one entry: loading, card, publishing, trainer and FaceEditor follow."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hub_server import MODEL
from torch import nn

from stgan import FaceEditor
from stgan.card import model_card
from stgan.models import (
    ARCHITECTURES,
    KINDS,
    Architecture,
    AttributeClassifier,
    Discriminator,
    Generator,
    Kind,
    ModelFolderError,
    PretrainedModel,
    fetch_model_folder,
    load_companion,
    load_generator,
    register,
)
from stgan.models.encoder_decoder import Features
from stgan.models.registry import of_kind, trainable
from stgan.publish import PublishModel, check_model, publish
from stgan.training.command import parse
from stgan.training.editing import EditingObjective
from stgan.training.networks import build_discriminator, build_generator
from stgan.training.trainer import OBJECTIVES

NAMES = ("Eyeglasses", "Male")


class Tint(Generator):
    def __init__(self, attributes=NAMES, image_size=32, label_mode="difference", soft_mask=False, use_regions=False):
        super().__init__(attributes, image_size, label_mode, soft_mask, use_regions)
        self.colours = nn.Parameter(torch.randn(len(self.attributes), 3))

    def encode(self, image):
        return Features(image, (torch.atanh(image.clamp(-0.99, 0.99)),))

    def decode_outputs(self, features, condition):
        return features.maps[0] + (condition @ self.colours)[:, :, None, None]


class Outline(PretrainedModel):
    def __init__(self, image_size: int = 32):
        super().__init__()
        self.kernel = nn.Conv2d(3, 1, 3)


@pytest.fixture
def tint(tmp_path):
    """Folder of a saved Tint with a classifier; Tint is known during the test."""
    register(Architecture(Tint, "editor", "tint", paper="2601.01234", discriminator=Discriminator))
    Tint().save_pretrained(tmp_path / "tint")
    AttributeClassifier(NAMES, 32, width=4).save_pretrained(tmp_path / "tint" / "classifier")
    yield tmp_path / "tint"
    ARCHITECTURES.pop("Tint", None)


def test_an_editor_registered_at_run_time_is_one_of_the_family(tint):
    assert type(load_generator(tint)) is Tint
    check_model(tint)
    card = model_card(tint, "owner/tint")
    assert card.data.tags == ["face-editing", "attribute-editing", "gan", "arxiv:2601.01234"]
    assert card.data.pipeline_tag == "image-to-image"
    assert 'FaceEditor.from_pretrained("owner/tint")' in card.text
    ARCHITECTURES.pop("Tint")
    with pytest.raises(ModelFolderError, match="holds Tint, not an editor"):
        load_generator(tint)
    with pytest.raises(ModelFolderError, match="holds Tint, which is none of STGAN"):
        check_model(tint)


def test_the_trainer_builds_it(tint):
    config = parse(
        ["--model", "tint", "--image_size", "32", "--label_mode", "difference", "--discriminator_width", "4"]
    )
    generator = build_generator(config, NAMES)
    assert type(generator) is Tint
    assert (generator.image_size, generator.soft_mask) == (32, config.generator.soft_mask)
    assert type(build_discriminator(config, NAMES)) is Discriminator
    assert OBJECTIVES[trainable()["tint"].kind] is EditingObjective
    ARCHITECTURES.pop("Tint")
    with pytest.raises(ValueError, match="model must be one of stgan, attgan, stargan"):
        replace(config, model="tint")


def test_face_editor_edits_with_it(tint):
    editor = FaceEditor.from_pretrained(tint)
    photo = np.random.default_rng(0).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    face = editor.prepare(photo, aligned=True)
    wanted = not face.label_dict()["Eyeglasses"]
    (edited,), _ = editor.edit_crops(face, [{"Eyeglasses": wanted}])
    image = torch.from_numpy(face.crop).permute(2, 0, 1) / 127.5 - 1
    colour = (1 if wanted else -1) * editor.generator.colours[0].detach()
    expected = torch.tanh(torch.atanh(image.clamp(-0.99, 0.99)) + colour[:, None, None])
    torch.testing.assert_close(edited, expected, atol=1e-4, rtol=0)
    assert not np.array_equal(np.asarray(editor.edit(face, {"Eyeglasses": wanted})), photo)


def test_a_new_companion_is_loaded_downloaded_published_and_described(tint, hub, tmp_path, monkeypatch):
    assert load_companion(tint, "aligner") is None
    monkeypatch.setitem(KINDS, "outline", Kind("Draws outlines.", tags=("face-parsing",), use="editing"))
    monkeypatch.setitem(ARCHITECTURES, "Outline", Architecture(Outline, "outline"))
    assert load_companion(tint, "outline") is None
    outline = Outline()
    outline.save_pretrained(tint / "outline")
    publish(PublishModel(MODEL, folder=tint))
    back = load_companion(fetch_model_folder(MODEL, cache_dir=tmp_path / "cache"), "outline")
    assert back.kernel.weight.equal(outline.kernel.weight)
    card = hub.files(f"models/{MODEL}")["outline/README.md"].decode()
    assert "Draws outlines." in card
    assert f'outline = load_companion("{MODEL}", "outline")' in card
    (tint / "outline" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelFolderError, match="damaged"):
        check_model(tint)


def test_every_editor_says_how_it_is_trained_and_where_it_comes_from():
    for editor in of_kind("editor").values():
        assert editor.option in trainable()
        assert editor.paper
        assert editor.discriminator.__name__ in of_kind("discriminator")
