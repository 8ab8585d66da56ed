"""Model folders: networks are saved, loaded exactly, found by kind, and refused where they do not fit."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import GENERATORS, MODELS, pictures, stirred

from stgan.models import STGAN, ModelFolderError, load_generator


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_comes_back_exactly(name, tmp_path):
    model = stirred(MODELS[name]())
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert not loaded.training
    assert json.dumps(loaded.config) == json.dumps(model.config)
    assert json.loads((tmp_path / "config.json").read_text())["architecture"] == type(model).__name__
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    inputs = (pictures(2), torch.randn(2, 5))[: 2 if name in GENERATORS else 1]
    with torch.no_grad():
        ours, theirs = model(*inputs), loaded(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16], ids=str)
def test_weights_stored_in_half_precision_are_loaded_into_full(tmp_path, precision):
    model = stirred(MODELS["STGAN"]())
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({key: v.to(precision) if v.is_floating_point() else v for key, v in load_file(file).items()}, file)
    loaded = STGAN.from_pretrained(tmp_path)
    for key, value in model.state_dict().items():
        assert loaded.state_dict()[key].dtype == value.dtype
        expected = value.to(precision).to(value.dtype) if value.is_floating_point() else value
        assert torch.equal(loaded.state_dict()[key], expected)


@pytest.fixture
def saved(tmp_path):
    """A saved STGAN, and functions that damage it."""

    class Saved:
        folder = tmp_path / "model"
        weights = folder / "model.safetensors"

        def change_config(self, **settings):
            file = self.folder / "config.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | settings))

        def change_weights(self, change):
            tensors = load_file(self.weights)
            change(tensors)
            save_file(tensors, self.weights)

    saved = Saved()
    MODELS["STGAN"]().save_pretrained(saved.folder)
    return saved


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.change_weights(lambda w: w.pop("to_image.bias")), ['Missing key(s)', '"to_image.bias"']),
        (lambda s: s.change_weights(lambda w: w.update(extra=torch.ones(1))), ['Unexpected key(s)', '"extra"']),
        (
            lambda s: s.change_weights(lambda w: w.update({"to_image.bias": torch.ones(4)})),
            ["size mismatch for to_image.bias", "shape torch.Size([4]) from checkpoint"],
        ),
        (lambda s: s.change_config(width=8), ["size mismatch for encoder.0.0.weight", "[8, 3, 4, 4]"]),
        (lambda s: s.change_config(architecture="AttGAN"), ["type AttGAN, not STGAN", "AttGAN.from_pretrained"]),
        (lambda s: s.change_config(sharpen=True), ["sharpen", "upgrade stgan"]),
        (lambda s: s.change_config(image_size=33), ["does not describe a STGAN", "multiple of 8"]),
        (lambda s: s.change_config(width="wide"), ["does not describe a STGAN"]),
        (lambda s: (s.folder / "config.json").unlink(), ["no config.json"]),
        (lambda s: (s.folder / "config.json").write_text('{"architecture": '), ["config.json is damaged"]),
        (lambda s: (s.folder / "config.json").write_text('{"a": "\\ud800"}'), ["config.json is damaged", "surrogates"]),
        (lambda s: (s.folder / "config.json").write_text("[1]"), ["does not hold a model's settings"]),
        (lambda s: s.weights.write_bytes(s.weights.read_bytes()[:-50]), ["damaged", "copy it again"]),
        (lambda s: s.weights.write_bytes(s.weights.read_bytes()[:100]), ["damaged", "copy it again"]),
        (lambda s: s.weights.write_bytes(b""), ["damaged", "copy it again"]),
        (lambda s: s.weights.unlink(), ["no model.safetensors"]),
    ],
    ids=[
        "key missing", "key too many", "shape", "width", "architecture", "unknown setting", "impossible size",
        "wrong type", "no config", "broken config", "half a character", "config not a mapping", "cut off",
        "header cut off", "empty", "no weights",
    ],
)  # fmt: skip
def test_a_folder_that_does_not_fit_is_refused_by_name(saved, damage, message):
    damage(saved)
    with pytest.raises(ModelFolderError) as refusal:
        STGAN.from_pretrained(saved.folder)
    for words in message:
        assert words in str(refusal.value)


@pytest.mark.parametrize("content", ['{"architecture": ', "[1]", '{"architecture": "GPT"}', "{}"])
def test_load_generator_refuses_what_names_no_generator(saved, content):
    (saved.folder / "config.json").write_text(content)
    with pytest.raises(ModelFolderError):
        load_generator(saved.folder)


@pytest.mark.parametrize("name", ["nowhere", "nobody/nothing", "./nowhere/at/all"])
@pytest.mark.parametrize("load", [STGAN.from_pretrained, load_generator], ids=["from_pretrained", "load_generator"])
def test_a_missing_model_is_named(load, name):
    with pytest.raises(ModelFolderError, match=name):
        load(name)


class Trap:
    """Unpickling an instance of this fails the test that does it."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "model.pkl", "model.safetensors"])
def test_a_pickle_in_the_folder_is_never_opened(saved, file):
    only_pickle = file != "model.safetensors"
    if only_pickle:
        saved.weights.unlink()
    (saved.folder / file).write_bytes(pickle.dumps({"weights": Trap()}))
    with pytest.raises(ModelFolderError, match="no model.safetensors" if only_pickle else "damaged"):
        STGAN.from_pretrained(saved.folder)


def test_arguments_given_at_loading_replace_the_stored_ones(saved):
    model = STGAN.from_pretrained(saved.folder, norm_decay=0.5, map_location="cpu")
    assert model.config["norm_decay"] == 0.5
    assert model.encoder[0][1].momentum == 0.5
