"""An evaluation that is killed again and again continues each time; its results are those of one that never was."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from editors import ATTRIBUTES, SIZE, people, tiny_classifier, tiny_generator
from numbered_data import write_images
from test_identity import MeanRecognition
from test_inception import Means
from test_realism import Colours
from torch import nn

from stgan.data.errors import SkippedImages
from stgan.data.memory import MemoryDataset
from stgan.evaluation import checkpoint, command, faces, realism
from stgan.evaluation.checkpoint import FILE, Checkpoint, fingerprint
from stgan.evaluation.command import Settings, evaluate_folder
from stgan.models import STGAN


class Killed(BaseException):
    """In place of the signal that ends the process."""


@pytest.fixture
def decodings(monkeypatch):
    """How many batches of edits have been decoded, and after how many the evaluation is killed."""
    counts, decode = {"made": 0, "last": None}, STGAN.decode_parts

    def counted(*arguments):
        if counts["made"] == counts["last"]:
            raise Killed
        counts["made"] += 1
        return decode(*arguments)

    monkeypatch.setattr(STGAN, "decode_parts", counted)
    return counts


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """An evaluation that measures everything in several batches."""
    images, labels = people(11)
    masks = torch.randint(0, 10, (11, SIZE, SIZE), dtype=torch.uint8)
    monkeypatch.setattr(checkpoint, "SECONDS", 0)
    monkeypatch.setattr(faces, "pretrained_backbone", Colours)
    monkeypatch.setattr(faces, "DlibRecognition", MeanRecognition)
    monkeypatch.setattr(faces, "load_masks", lambda *_, **__: MemoryDataset(images, masks, SkippedImages()))
    monkeypatch.setattr(command, "inception", Means)
    monkeypatch.setattr(realism, "LEAST", 2)
    columns = {name: labels[:, k].bool().tolist() for k, name in enumerate(ATTRIBUTES)} | {"celeb_id": [0, 1] * 5 + [1]}
    (tmp_path / "data").mkdir()
    for split in ("train", "validation"):
        write_images(tmp_path / "data", images.permute(0, 2, 3, 1).numpy(), split=split, **columns)
    tiny_generator(soft_mask=True).save_pretrained(tmp_path / "model")
    tiny_classifier().save_pretrained(tmp_path / "model" / "classifier")
    return Settings(
        str(tmp_path / "data"), str(tmp_path / "model"), output=tmp_path / "out", masks="drawn", fid=True,
        batch_size=4, device="cpu", workers=0, progress=False,
    )  # fmt: skip


def measured(settings):
    """What was written, but for the time that it took."""
    record = json.loads((settings.output / "evaluation.json").read_text(encoding="utf-8"))
    assert record.pop("seconds_per_thousand_images") > 0
    return {name: value for name, value in record.items() if name not in ("markdown", "comparison")}


def test_an_evaluation_that_is_killed_again_and_again_ends_as_one_that_is_not(settings, decodings, capsys):
    evaluate_folder(settings)
    whole, decoded = measured(settings), decodings["made"]
    assert whole["appearance"]["means"].keys() >= {"realism", "identity_distance", "leak"}
    assert not (settings.output / FILE).exists()
    shutil.rmtree(settings.output)
    assert "Continuing" not in capsys.readouterr().out
    runs, decodings["made"] = 0, 0
    while runs < 20:
        runs, decodings["last"] = runs + 1, decodings["made"] + 20  # a batch takes up to eleven
        try:
            evaluate_folder(settings)
            break
        except Killed:
            assert [file.name for file in settings.output.iterdir()] == [FILE]
            assert capsys.readouterr().out.count("Continuing the interrupted evaluation from") == (runs > 1)
    assert runs > 4
    assert decodings["made"] < decoded + 11 * runs  # nothing is measured twice but the batch that was cut off
    assert measured(settings) == whole
    assert not (settings.output / FILE).exists()


def test_what_others_measured_and_damaged_files_do_not_count(settings, decodings, capsys):
    def killed(after, **changes):
        """How many more decodings than ``after`` are possible: none, unless an interrupted run is continued."""
        decodings["last"] = decodings["made"] + after
        with pytest.raises(Killed):
            evaluate_folder(replace(settings, **changes))
        return "Continuing" in capsys.readouterr().out

    assert not killed(30)
    kept = (settings.output / FILE).read_bytes()
    assert killed(1)
    for changes in ({"intensities": (1.0,)}, {"max_samples": 9}, {"batch_size": 5}):
        assert not killed(1, **changes)
    tiny_generator(soft_mask=True, seed=5).save_pretrained(settings.model)
    assert not killed(1)
    tiny_generator(soft_mask=True).save_pretrained(settings.model)
    for damaged in (b"", kept[: len(kept) // 2]):
        (settings.output / FILE).write_bytes(damaged)
        assert not killed(1)
    (settings.output / FILE).write_bytes(kept)
    assert killed(1)


@pytest.mark.parametrize("written", ["card", "document"])
def test_without_an_output_folder_the_file_is_beside_what_will_be_written(written, settings, decodings, tmp_path):
    page = tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text("<!-- stgan evaluate -->\n<!-- /stgan evaluate -->\n", encoding="utf-8")
    changes = {"card": {"update_card": True, "document": page}, "document": {"document": page}}[written]
    decodings["last"] = 30
    with pytest.raises(Killed):
        evaluate_folder(replace(settings, output=None, **changes))
    assert ((tmp_path / "model" if written == "card" else page.parent) / FILE).is_file()


def test_a_full_disk_does_not_stop_an_evaluation(tmp_path, capsys):
    kept = Checkpoint(tmp_path / "absent" / FILE)
    part = kept.part("protocol", 1)
    for _ in range(2):
        part.save(lambda: {"images": 3}, finished=True)
    assert capsys.readouterr().out.count("cannot be written (No such file or directory)") == 1
    kept.remove()


def test_fingerprints_tell_inputs_apart():
    values = [
        torch.zeros(2),
        torch.zeros(2, 1),
        torch.zeros(2, dtype=torch.int32),
        torch.zeros(()),
        b"",
        "0",
        0,
        (0, 1),
    ]
    networks = [nn.Linear(2, 2), nn.Linear(2, 2), nn.Conv2d(2, 2, 1)]
    digests = [fingerprint(each) for each in (*values, *networks)] + [fingerprint(0, 1), fingerprint("ab", "c")]
    assert len({*digests, fingerprint("a", "bc")}) == len(values) + len(networks) + 3
    assert fingerprint(iter([b"1", b"2"])) == fingerprint(b"1", b"2")
    assert fingerprint(networks[0]) == digests[len(values)]
