"""The folder that ships holds what the trainers wrote, in half the size."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file

from stgan import bundle as bundling
from stgan.editing.editor import FaceEditor
from stgan.models import (
    STGAN,
    AttributeClassifier,
    Discriminator,
    FaceAligner,
    ProjectedDiscriminator,
    load_companion,
)  # fmt: skip

NAMES = ["Eyeglasses", "Male"]


@pytest.fixture
def parts(tmp_path):
    """Folders as the trainers write them: the editor's with its discriminator in it."""
    torch.manual_seed(0)
    STGAN(NAMES, 64, width=4, layers=3, stu_layers=2, inject_layers=1).save_pretrained(tmp_path / "model")
    discriminator = Discriminator(NAMES, 64, 4, layers=3, hidden=8)
    discriminator.save_pretrained(tmp_path / "model" / "discriminator")
    ProjectedDiscriminator(NAMES, 4).save_pretrained(tmp_path / "model" / "projected")
    AttributeClassifier(NAMES, 64, 4).save_pretrained(tmp_path / "classifier")
    FaceAligner(32, 4).save_pretrained(tmp_path / "aligner")
    return {name: tmp_path / name for name in ("model", "classifier", "aligner")}


@pytest.mark.parametrize("discriminator", [True, False])
def test_a_bundle_is_the_parts_in_half_precision(discriminator, parts, tmp_path):
    shipped = tmp_path / "shipped"
    bundling.bundle(bundling.Settings(**parts, output=shipped, discriminator=discriminator))
    places = {"": parts["model"], "classifier": parts["classifier"], "aligner": parts["aligner"]}
    if discriminator:
        places |= {kind: parts["model"] / kind for kind in ("discriminator", "projected")}
        assert load_companion(shipped, "discriminator").config["hidden"] == 8
    else:
        assert load_companion(shipped, "discriminator") is load_companion(shipped, "projected") is None
    for name, source in places.items():
        whole = load_file(source / "model.safetensors")
        for key, value in load_file(shipped / name / "model.safetensors").items():
            assert value.dtype == (torch.float16 if value.ndim >= 2 else whole[key].dtype)
            torch.testing.assert_close(value.to(whole[key].dtype), whole[key], rtol=1e-3, atol=1e-6)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (shipped, parts["model"])]
    assert sizes[0] < 0.6 * sizes[1]
    assert "FaceAligner" in (shipped / "aligner" / "README.md").read_text(encoding="utf-8")
    card = (shipped / "classifier" / "README.md").read_text(encoding="utf-8")
    assert f'load_companion("{shipped}", "classifier")' in card
    cards = {path.parent.relative_to(shipped).as_posix() for path in shipped.rglob("README.md")}
    assert cards == {".", "classifier", "aligner"}
    assert FaceEditor.from_pretrained(shipped).aligner is not None


def test_nothing_of_former_weights_stays_in_a_bundle_made_again(parts, tmp_path):
    shipped = tmp_path / "shipped"
    bundling.bundle(bundling.Settings(**parts, output=shipped))
    (shipped / "evaluation.json").write_text(json.dumps({"markdown": "| of other weights |"}), encoding="utf-8")
    (shipped / "edits.png").write_bytes(b"a picture")
    for part in ("", "classifier"):
        (shipped / part / "training.json").write_text(json.dumps({"images_seen": 98_765}), encoding="utf-8")
    (shipped / "onnx").mkdir()
    (shipped / "onnx" / "decode.onnx").write_bytes(b"a graph")
    bundling.bundle(bundling.Settings(parts["model"], parts["classifier"], shipped, discriminator=False))
    assert {path.name for path in shipped.iterdir()} == {"config.json", "model.safetensors", "README.md", "classifier"}
    assert not (shipped / "classifier" / "training.json").exists()
    for part in ("", "classifier"):
        assert not re.search("of other weights|98,765", (shipped / part / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "places", [{"output": "model"}, {"output": "b", "classifier": "b/classifier"}, {"output": "b", "aligner": "b"}]
)
def test_no_part_is_written_over_by_its_half(parts, tmp_path, places):
    bundling.bundle(bundling.Settings(**parts, output=tmp_path / "b"))
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="would be overwritten"):
        bundling.bundle(bundling.Settings(**parts | {name: tmp_path / place for name, place in places.items()}))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(("share", "settings"), [(0.5, {}), (0.7, {"average_share": 0.7})])
def test_two_editors_can_be_bundled_as_their_mean(share, settings, parts, tmp_path):
    other = STGAN(NAMES, 64, width=4, layers=3, stu_layers=2, inject_layers=1, use_regions=True)  # not of the weights
    for value in other.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:  # statistics, norms and biases, which start alike
            value.uniform_(0.5, 2)
    other.save_pretrained(tmp_path / "other")
    settings |= {"average_with": tmp_path / "other"}
    bundling.bundle(bundling.Settings(**parts, output=tmp_path / "mean", **settings))
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("model", "other"))
    for key, value in load_file(tmp_path / "mean" / "model.safetensors").items():
        if value.is_floating_point():
            expected = (1 - share) * ours[key] + share * theirs[key]
            torch.testing.assert_close(value.float(), expected, rtol=1e-3, atol=1e-4)
    STGAN(NAMES, 64, width=8, layers=3, stu_layers=2, inject_layers=1).save_pretrained(tmp_path / "wider")
    with pytest.raises(ValueError, match="width 8 instead of 4"):
        bundling.bundle(bundling.Settings(**parts, output=tmp_path / "no", average_with=tmp_path / "wider"))
    assert not (tmp_path / "no").exists()


def test_a_classifier_that_does_not_know_the_attributes_is_not_bundled(parts, tmp_path):
    AttributeClassifier(["Male"], 64, 4).save_pretrained(parts["classifier"])
    with pytest.raises(ValueError, match="Eyeglasses"):
        bundling.bundle(bundling.Settings(**parts, output=tmp_path / "no"))
    assert not (tmp_path / "no").exists()


def test_a_mean_without_one_of_the_two_is_refused_before_anything_is_written(parts, tmp_path):
    for share in (0.0, 1.0, 1.2):
        settings = bundling.Settings(**parts, output=tmp_path / "no", average_with=tmp_path, average_share=share)
        with pytest.raises(ValueError, match=f"--average_share must be between 0 and 1, not {share:g}"):
            bundling.bundle(settings)
    assert not (tmp_path / "no").exists()


def test_edits_are_bundled_as_strong_as_they_are_worth(parts, tmp_path, monkeypatch):
    record = {"images_seen": 70, "commands": [{"from_image": 0, "command": "train.py"}]}
    (parts["model"] / "training.json").write_text(json.dumps(record), encoding="utf-8")
    given = {"Eyeglasses": 1.0, "Male": 1.12}
    measured = []
    monkeypatch.setattr(bundling, "measured_strengths", lambda *how, **more: measured.append((how, more)) or given)
    settings = {"strengthen_on": "faces", "strength_samples": 5, "preservation_price": 7, "max_strength": 1.14}
    settings |= {"strength_limits": {"Male": 1.13}, "realism_price": 3, "identity_price": 2, "strengthen_crop": "none"}
    command = "stgan bundle --model m --strengthen_on faces"
    bundling.bundle(bundling.Settings(**parts, output=tmp_path / "strong", **settings), command)
    before, after = STGAN.from_pretrained(parts["model"]).eval(), STGAN.from_pretrained(tmp_path / "strong").eval()
    images, wanted = torch.rand(2, 3, 64, 64) * 2 - 1, torch.tensor([[1.0, -1.0], [-1.0, 1.5]])
    asked = wanted * torch.tensor(list(given.values()))
    torch.testing.assert_close(after(images, wanted), before(images, asked), rtol=0, atol=2e-3)
    [((_, _, source), how)] = measured
    assert source == "faces"
    prices = {"preservation": 7, "realism": pytest.approx(0.003), "identity": 2}
    assert vars(how.pop("prices")) == prices
    assert how.pop("parser") is None
    assert how == {"crop": "none", "samples": 5, "highest": 1.14, "limits": {"Male": 1.13}}
    record = json.loads((tmp_path / "strong" / "training.json").read_text(encoding="utf-8"))
    assert record["strengths"] == given
    last = record["commands"][-1]
    assert last == {"from_image": 70, "command": command}
    assert "1.12 (Male)" in (tmp_path / "strong" / "README.md").read_text(encoding="utf-8")


def test_a_bundle_that_cannot_be_strengthened_is_not_written(parts, tmp_path, celeba):
    for settings, message in [
        ({"max_strength": 1.5}, "max_strength must be between 1 and 1.15, not 1.5"),
        ({"strength_limits": {"Male": 1.16}}, "strength_limits Male must be between 1 and --max_strength, not 1.16"),
        ({"strength_limits": {"Bald": 1.1}}, "Bald"),
        ({}, "No dataset"),
    ]:
        settings |= {"strengthen_on": str(tmp_path / "nothing")}
        with pytest.raises(ValueError, match=message):
            bundling.bundle(bundling.Settings(**parts, output=tmp_path / "no", **settings))
        assert not (tmp_path / "no").exists()
    shutil.rmtree(parts["model"])
    STGAN(NAMES, 64, width=4, layers=3, stu_layers=2, label_mode="target").save_pretrained(parts["model"])
    with pytest.raises(ValueError, match="only with label_mode difference"):
        bundling.bundle(
            bundling.Settings(**parts, output=tmp_path / "no", strengthen_on=str(celeba), strength_samples=4)
        )
    assert not (tmp_path / "no").exists()
