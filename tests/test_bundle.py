"""The folder that ships holds what the trainers wrote, in half the size."""

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stgan.editor import FaceEditor
from stgan.models import STGAN, AttributeClassifier, Discriminator, FaceAligner, load_companion_discriminator

NAMES = ["Eyeglasses", "Male"]
specification = importlib.util.spec_from_file_location("bundle", Path(__file__).parent.parent / "hub" / "bundle.py")
bundling = importlib.util.module_from_spec(specification)
specification.loader.exec_module(bundling)


@pytest.fixture
def parts(tmp_path):
    """Folders as the trainers write them: the editor's with its discriminator in it."""
    torch.manual_seed(0)
    STGAN(NAMES, 64, width=4, layers=3, stu_layers=2, inject_layers=1).save_pretrained(tmp_path / "model")
    discriminator = Discriminator(NAMES, 64, 4, layers=3, hidden=8)
    discriminator.save_pretrained(tmp_path / "model" / "discriminator")
    AttributeClassifier(NAMES, 64, 4).save_pretrained(tmp_path / "classifier")
    FaceAligner(32, 4).save_pretrained(tmp_path / "aligner")
    return {name: tmp_path / name for name in ("model", "classifier", "aligner")}


@pytest.mark.parametrize("discriminator", [True, False])
def test_a_bundle_is_the_parts_in_half_precision(discriminator, parts, tmp_path):
    shipped = tmp_path / "shipped"
    bundling.bundle(bundling.Settings(**parts, output=shipped, discriminator=discriminator))
    places = {"": parts["model"], "classifier": parts["classifier"], "aligner": parts["aligner"]}
    if discriminator:
        places["discriminator"] = parts["model"] / "discriminator"
        assert load_companion_discriminator(shipped).config["hidden"] == 8
    else:
        assert load_companion_discriminator(shipped) is None
    for name, source in places.items():
        whole = load_file(source / "model.safetensors")
        for key, value in load_file(shipped / name / "model.safetensors").items():
            assert value.dtype == (torch.float16 if value.ndim >= 2 else whole[key].dtype)
            torch.testing.assert_close(value.to(whole[key].dtype), whole[key], rtol=1e-3, atol=1e-6)
    cards = {path.parent.relative_to(shipped).as_posix() for path in shipped.rglob("README.md")}
    assert cards == {".", "classifier", "aligner"}
    assert FaceEditor.from_pretrained(shipped).aligner is not None


def test_two_editors_can_be_bundled_as_their_mean(parts, tmp_path):
    other = STGAN(NAMES, 64, width=4, layers=3, stu_layers=2, inject_layers=1)
    other.save_pretrained(tmp_path / "other")
    bundling.bundle(bundling.Settings(**parts, output=tmp_path / "mean", average_with=tmp_path / "other"))
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("model", "other"))
    for key, value in load_file(tmp_path / "mean" / "model.safetensors").items():
        if value.is_floating_point():
            torch.testing.assert_close(value.float(), (ours[key] + theirs[key]) / 2, rtol=1e-3, atol=1e-4)
    STGAN(NAMES, 64, width=8, layers=3, stu_layers=2, inject_layers=1).save_pretrained(tmp_path / "wider")
    with pytest.raises(ValueError, match="same architecture and settings"):
        bundling.bundle(bundling.Settings(**parts, output=tmp_path / "no", average_with=tmp_path / "wider"))
    assert not (tmp_path / "no").exists()
