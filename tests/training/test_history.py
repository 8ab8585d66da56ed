"""A model keeps the record of every run that trained it."""

import json

from runs import TINY, record, trained, trainer

from stgan.models import STGAN, AttributeClassifier
from stgan.training import Trainer
from stgan.training.history import History


def test_a_model_keeps_the_history_of_the_one_it_started_from(celeba, tmp_path):
    trained(celeba, tmp_path / "first", steps=2)
    trained(celeba, tmp_path / "second", steps=4, initial_model=tmp_path / "first" / "model", checkpointing_steps=2)
    for options in ({}, {"learning_rate": 1e-5, "resume_from_checkpoint": "checkpoint-2"}):
        if options:  # going on without --initial_model, as one does elsewhere, loses nothing
            trained(celeba, tmp_path / "second", steps=4, **options)
        left = record(tmp_path / "second")
        assert left["images_seen"] == (2 + 4) * TINY["batch_size"]
        assert left["steps"] == 2 + 4
        assert [entry["from_image"] for entry in left["commands"]] == [0, 8]


def test_a_network_beside_an_editor_keeps_its_own_history(tmp_path):
    editor, classifier = tmp_path / "editor", tmp_path / "editor" / "classifier"
    STGAN(image_size=32, width=4, layers=3, stu_layers=2).save_pretrained(editor)
    AttributeClassifier(width=4).save_pretrained(classifier)
    for folder, images in ((editor, 8), (classifier, 4)):
        (folder / "training.json").write_text(json.dumps({"images_seen": images}))
    for model, start, images in (("classifier", editor, 4), ("classifier", classifier, 4), ("stgan", editor, 8)):
        assert History(model, str(start), "train", "a CPU").initial_images == images


def test_the_history_of_a_model_comes_from_the_hub_too(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "face-editor", steps=2, push_to_hub="face-editor")
    (tmp_path / "face-editor").rename(tmp_path / "elsewhere")
    run = trainer(celeba, tmp_path / "second", steps=1, initial_model="somebody/face-editor")
    left = record(tmp_path / "elsewhere")
    assert (run.history.initial_images, run.history.initial_steps) == (left["images_seen"], left["steps"]) == (8, 2)
    assert run.history.commands[:-1] == left["commands"]


def test_the_record_lists_the_devices_of_all_runs_and_adds_up_their_minutes(celeba, tmp_path, monkeypatch):
    """On a clock that only a step moves, by a minute; what is done twice after going back counts twice."""
    now = [0.0]
    monkeypatch.setattr("stgan.training.history.time.monotonic", lambda: now[0])
    step = Trainer._train_step
    monkeypatch.setattr(Trainer, "_train_step", lambda run: (now.__setitem__(0, now[0] + 60), step(run))[1])
    more = {"steps": 5, "initial_model": tmp_path / "first" / "model", "checkpointing_steps": 2}
    back, again = ({**more, "resume_from_checkpoint": place} for place in ("checkpoint-4", "latest"))
    for device, folder, settings, devices, minutes in (
        ("a GPU", "first", {"steps": 2}, "a GPU", 2),
        ("a GPU", "same", more, "a GPU", 2 + 5),
        ("a CPU", "second", more, "a GPU, then a CPU", 2 + 5),
        ("another", "second", back, "a GPU, then a CPU, then another", 2 + 4 + 1),
        ("a laptop", "second", again, "a GPU, then a CPU, then another", 2 + 4 + 1),  # nothing is left to train
    ):
        monkeypatch.setattr("stgan.training.trainer.device_name", lambda _, device=device: device)
        trained(celeba, tmp_path / folder, **settings)
        left = record(tmp_path / folder)
        assert (left["device"], left["minutes"]) == (devices, minutes)
        now[0] += 1e6  # nobody trains between two runs
