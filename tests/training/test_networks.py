"""New networks, and networks that start from a saved model."""

import shutil

import pytest
import torch
from runs import last_checkpoint, objective, trained
from safetensors.torch import load_file

from stgan.models import ModelFolderError, load_companion


def test_more_layers_may_have_more_transfer_units(tmp_path):
    deep = objective(tmp_path, image_size=128, layers=6, stu_layers=5).plain_generator
    assert (len(deep.transfer_units), deep.skip_layers) == (5, 5)
    assert objective(tmp_path, image_size=128, layers=6, stu_layers=4).plain_generator.skip_layers == 4


def test_a_generator_starts_from_a_saved_one(tmp_path):
    saved = objective(tmp_path, seed=1).trained_model
    saved.save_pretrained(tmp_path / "saved")
    torch.manual_seed(2)
    fresh = objective(tmp_path)
    started = objective(tmp_path, initial_model=tmp_path / "saved", norm_decay=0.5, use_regions=True)
    assert not states_equal(fresh.plain_generator, saved)
    for model in (started.plain_generator, started.trained_model):
        assert states_equal(model, saved)


def states_equal(ours, theirs):
    return all(value.equal(theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_a_generator_that_starts_wider_than_the_saved_one_edits_as_it_did(tmp_path):
    saved = objective(tmp_path).trained_model.eval()
    saved.save_pretrained(tmp_path / "saved")
    started = objective(tmp_path, initial_model=tmp_path / "saved", width=7)
    images, condition = torch.rand(2, 3, 32, 32) * 2 - 1, torch.randint(-1, 2, (2, 4)).float()
    for model in (started.plain_generator.eval(), started.trained_model.eval()):
        assert model.config["width"] == 7
        torch.testing.assert_close(model(images, condition), saved(images, condition), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"width": 2}, "width 4 instead of 2"), ({"run": "attgan-fast"}, "architecture STGAN instead of AttGAN")],
)
def test_differences_from_the_initial_model_are_named(settings, message, tmp_path):
    objective(tmp_path).trained_model.save_pretrained(tmp_path / "saved")
    with pytest.raises(ModelFolderError, match=message):
        objective(tmp_path, initial_model=tmp_path / "saved", **settings)


def test_a_run_starts_from_the_discriminator_of_its_initial_model(celeba, tmp_path, capsys):
    for number in (1, 2):  # written over, too
        trained(celeba, tmp_path / "first", steps=number, resume_from_checkpoint="latest")
    left = tmp_path / "first" / "model"
    state = load_file(last_checkpoint(tmp_path / "first") / "model_1.safetensors")
    saved = load_companion(left, "discriminator")
    assert saved.state_dict().keys() == state.keys()
    assert all(value.equal(state[name]) for name, value in saved.state_dict().items())
    assert sorted(path.name for path in (left / "discriminator").iterdir()) == ["config.json", "model.safetensors"]
    assert "--initial_model first" in (left / "README.md").read_text(encoding="utf-8")
    width = saved.config["width"]
    started = objective(tmp_path, initial_model=left)
    assert states_equal(started.plain_discriminator, saved)
    assert "starts from that of" in capsys.readouterr().out
    other = objective(tmp_path, initial_model=left, discriminator_width=width + 2)
    assert states_equal(other.plain_generator, started.plain_generator)
    assert "starts from random weights" in (text := capsys.readouterr().out)
    assert f"width {width} instead of {width + 2}" in text
    shutil.rmtree(left / "discriminator")
    objective(tmp_path, initial_model=left)
    assert "has no discriminator. It learns alone from the first 2 images" in capsys.readouterr().out


@pytest.mark.parametrize("config", ["", '{"architecture": "STGAN"}'])
def test_a_damaged_discriminator_stops_a_run_before_it_starts(config, tmp_path):
    objective(tmp_path).trained_model.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "discriminator").mkdir()
    (tmp_path / "saved" / "discriminator" / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ModelFolderError, match="damaged" if not config else "not a discriminator"):
        objective(tmp_path, initial_model=tmp_path / "saved")
