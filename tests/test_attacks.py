"""Hostile input ends with a result or a sentence. Here a few hundred attacks; ``make fuzz`` makes any number."""

import json
import os
import signal
import time

import pytest
import torch
from attacks import inputs, photos
from attacks.cage import Honest, attack
from attacks.honest import BYTES, photo_size
from numbered_data import numbered_dataset
from pictures import every_mode, small_portrait
from PIL import Image
from small_models import MODELS

from stgan.data import DataError, StreamBatches, load_into_memory
from stgan.data.preprocess import open_image
from stgan.models import STGAN, AttributeClassifier, ModelFolderError, load_network
from stgan.photo.files import PhotoError, open_photo


def test_the_cage_counts_crashes_hangs_and_memory():
    def attempt(number):
        if number == 1:
            torch.arange(10)[[10**9]]
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 3:
            while True:
                pass
        if number == 4:
            bytearray(80 << 20)
        return "a sentence" if number == 5 else None

    report = attack("trial", 7, attempt, seconds=0.2, memory=50 << 20)
    assert (report.tried, report.results, report.sentences) == (7, 2, 1)  # the memory and the time of two were too much
    for fault, words in zip(report.faults, ("IndexError", "signal 9", "hangs", "took 0.", "80 of 50"), strict=True):
        assert words in fault


def test_an_attack_may_take_twice_its_honest_size_and_none_of_what_the_last_one_left_over():
    def attempt(number):
        Honest.size = (0, 60, 20)[number] << 20
        bytearray(100 << 20)

    report = attack("trial", 3, attempt)
    assert [fault.split(":")[0].strip() for fault in report.faults] == ["0", "2"]
    assert "100 of 48 MB" in report.faults[1]


@pytest.mark.parametrize("target", sorted(inputs.SHARES.keys() - inputs.OF_THE_DEMO))
def test_mutated_input_ends_with_a_result_or_a_sentence(target, tmp_path):
    count = {"labels": 20, "parquet": 10, "weights": 30, "config": 30, "records": 30}.get(target, 150)
    (report,) = inputs.run(count, 1, tmp_path, target)
    assert not report.faults, str(report)
    assert report.tried == count


def test_hostile_photos_end_with_a_result_or_a_sentence(editor, tmp_path):
    """A few of the small ones; ``make fuzz`` opens all of them, on the command line and in the demo too."""
    contents = photos.hostile_photos(small=True)
    names = list(contents)[::27]

    def attempt(number):
        return photos.in_library(editor, photos.written(tmp_path, names[number], contents[names[number]]))

    report = attack("photos", len(names), attempt, memory=photos.EDIT_MEMORY)
    assert not report.faults, str(report)
    assert report.results
    assert report.sentences


def test_a_network_of_very_many_layers_without_weights_is_refused_at_once(tmp_path):
    AttributeClassifier(["Bald"], 32, 4).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())

    def attempt(_):
        (tmp_path / "config.json").write_text(json.dumps(settings | {"width": 0, "blocks": 65_536}))
        with pytest.raises(ModelFolderError, match="more than 1000 tensors of weights"):
            load_network(tmp_path, "classifier")

    report = attack("config", 1, attempt, warm=1)
    assert not report.faults, str(report)


def test_a_config_of_absurd_size_is_refused_before_memory_is_touched(tmp_path):
    MODELS["STGAN"]().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    settings = json.loads(file.read_text())
    absurd = {
        "width": [65_536, 10**12, -1, 2.5, True], "image_size": [65_536, 0, 4096], "layers": [60_000, 10**9, 0],
        "attributes": [["A"] * 100_000, [], "Bald", [1], ["A\n"]], "norm_decay": [float("nan"), "0.9"],
        "soft_mask": [1], "stu_state": [None],
    }  # fmt: skip
    attacks = [(name, value) for name, values in absurd.items() for value in values]

    def attempt(number):
        name, value = attacks[number]
        file.write_text(json.dumps(settings | {name: value}))
        with pytest.raises(ModelFolderError, match="does not describe a STGAN"):
            STGAN.from_pretrained(tmp_path)

    report = attack("config", len(attacks), attempt, seconds=2, memory=64 << 20)
    assert not report.faults, str(report)


def test_a_photo_of_very_many_scans_is_refused_at_once(tmp_path):
    content = photos.many_scans(400, side=2200)
    started = time.process_time()
    with pytest.raises(PhotoError, match=r"a JPEG in 4\d\d scans"):
        open_photo(content)
    assert time.process_time() - started < 2
    assert open_photo(photos.many_scans(400, side=64)).rgb.shape == (64, 64, 3)  # quick all the same


KINDS = [  # and modes, each in the format that took most memory with it
    ("PNG", "L"), ("PNG", "P, transparent"), ("TIFF", "I;16"), ("TIFF", "F"), ("TIFF", "I"), ("TIFF", "LA"),
    ("TIFF", "LAB"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("WEBP", "RGBA"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_a_photo_is_read_in_twice_the_memory_that_it_has_a_right_to(kind, mode, tmp_path):
    image = every_mode(small_portrait())[mode].resize((3000, 3000), Image.Resampling.NEAREST)
    file = tmp_path / f"photo.{kind.lower()}"
    quick = {"PNG": {"compress_level": 1}, "WEBP": {"method": 0}}.get(kind, {})
    image.save(file, **quick, transparency=3 if "transparent" in mode else None)
    photo = open_photo(file)
    assert photo.original.size == (3000, 3000)
    held = photo.rgb.nbytes + 9_000_000 * BYTES.get(photo.original.mode, 4)
    assert photo_size(file.read_bytes()) == held + file.stat().st_size
    report = attack("photo", 1, lambda _: open_photo(file) and None, memory=2 * held)
    assert not report.faults, str(report)


def read_an_epoch(folder):
    stream = StreamBatches(folder, "train", ("bit_0",), 8, 4, seed=0, workers=0)
    for number in range(8):
        stream.draw(number)


@pytest.mark.parametrize("place", ["footer", "rows"])
def test_a_damaged_parquet_file_is_named(place, tmp_path):
    numbered_dataset(tmp_path, 32, shards=2)
    file = sorted(tmp_path.glob("*.parquet"))[1]
    content = file.read_bytes()
    file.write_bytes(content[:-20] if place == "footer" else content[:4] + bytes(40) + content[44:])
    with pytest.raises(DataError, match=rf"{file.name} is damaged .*run the same command"):
        load_into_memory(tmp_path, "train", ("bit_0",), 8, workers=0)
    with pytest.raises(DataError, match=rf"{file.name} is damaged .*run the same command"):
        read_an_epoch(tmp_path)


def test_no_format_of_a_dataset_runs_a_program(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    with pytest.raises(OSError, match="cannot identify"):
        open_image(tmp_path / "a.eps")
