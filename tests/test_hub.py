"""What is published: the cards and the bundled model."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.card import EVALUATION_FILE, TRAINING_FILE, model_card, write_card
from stgan.editing.editor import BUNDLED
from stgan.models import STGAN, AttributeClassifier


def test_a_card_carries_the_evaluation_as_text_and_as_model_index(folder):
    record = {
        "images": 2000,
        "split": "validation",
        "headline": {"psnr": 33.25, "rgb_psnr": 31.5, "edit_accuracy_1.5": 0.75},
        "markdown": "| PSNR | 33.25 |",
        "command": "stgan evaluate somewhere",
    }
    (folder / EVALUATION_FILE).write_text(json.dumps(record))
    write_card(folder, "owner/name")
    card = ModelCard.load(folder / "README.md")
    shown = [(result.metric_name, result.metric_value) for result in card.data.eval_results]
    assert shown == [
        ("PSNR, painted colours alone", 31.5), ("PSNR through the soft mask", 33.25), ("edit accuracy ±1.5", 0.75),
    ]  # fmt: skip
    assert record["markdown"] in card.text
    assert card.data.library_name == "stgan"
    assert card.data.pipeline_tag == "image-to-image"
    assert "arxiv:1904.09709" in card.data.tags
    assert 'FaceEditor.from_pretrained("owner/name")' in card.text


def card_of(model_folder, folder, *commands, **records):
    """The card of a small editor whose training and evaluation left these records."""
    shutil.copytree(model_folder, folder)
    entries = [{"from_image": number, "command": command} for number, command in enumerate(commands)]
    training = {"config": {"dataset": records.pop("dataset")}, "commands": entries, **records}
    (folder / TRAINING_FILE).write_text(json.dumps(training))
    evaluation = {"images": 20, "split": "test", "headline": {"psnr": 30.0}, "data": training["config"]["dataset"]}
    (folder / EVALUATION_FILE).write_text(json.dumps(evaluation))
    return model_card(folder, "owner/name")


def test_a_card_names_the_dataset_that_was_used_and_lets_the_author_name_the_licence(model_folder, tmp_path):
    commands = ("accelerate launch train.py --dataset=owner/faces", "stgan train --dataset owner/faces")
    card = card_of(model_folder, tmp_path / "a", *commands, dataset="owner/faces")
    assert card.data.datasets == ["owner/faces"]
    assert card.data.license == "unknown"
    assert "license_name" not in card.data.to_dict()
    assert card.data.eval_results[0].dataset_type == "owner/faces"
    assert card.data.eval_results[0].dataset_name == "owner/faces (20 images)"
    assert "trained on owner/faces" in card.text
    assert 'write `"license": "…"` into `training.json`' in card.text
    assert not re.search("celeba|non-commercial", card.text.split("## Citation")[0], flags=re.IGNORECASE)
    card = card_of(model_folder, tmp_path / "b", *commands, dataset="owner/faces", license="cc-by-4.0")
    assert card.data.license == "cc-by-4.0"
    assert "licence\nis cc-by-4.0." in card.text
    assert "To the author" not in card.text


def test_a_folder_is_no_dataset_of_the_hub(model_folder, tmp_path, monkeypatch):
    (tmp_path / "my" / "faces").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for number, source in enumerate(("my/faces", str(tmp_path / "my" / "faces"), "/elsewhere/faces", "data/faces")):
        card = card_of(model_folder, tmp_path / str(number), dataset=source)
        assert "datasets" not in card.data.to_dict()
        assert card.data.eval_results[0].dataset_name == "faces (20 images)"
        assert "trained on faces;" in card.text


HQ = "korexyz/celeba-hq-256x256"


@pytest.mark.parametrize(
    ("source", "name", "listed"),
    [
        *((copy, "CelebA", "flwrlabs/celeba") for copy in ("flwrlabs/celeba", "data/celeba", "/data/CelebA", "photos")),
        *((other, other, other) for other in ("tpremoli/CelebA-attrs", HQ)),
        ("/data/CelebAMask-HQ", "CelebAMask-HQ", None),
    ],
)
def test_celeba_and_what_is_made_of_it_have_its_terms(model_folder, tmp_path, monkeypatch, source, name, listed):
    (tmp_path / "photos" / "img_align_celeba").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    card = card_of(model_folder, tmp_path / "model", f"train.py --dataset {source}", dataset=source)
    assert card.data.to_dict().get("datasets") == (listed and [listed])
    assert (card.data.license, card.data.license_name) == ("other", "celeba-non-commercial-research")
    assert card.data.eval_results[0].dataset_name == f"{name} (20 images)"
    assert "CelebA, whose licence allows nothing else" in card.text


@pytest.mark.parametrize("given", ["--dataset='/data/my faces'", "--dataset '/data/my faces'"])
def test_a_dataset_whose_name_has_a_space_is_one(model_folder, tmp_path, given):
    card = card_of(model_folder, tmp_path / "model", f"accelerate launch train.py {given}", dataset="/data/my faces")
    assert "trained on my faces;" in card.text
    assert "celeba" not in card.text.split("## Citation")[0].lower()


@pytest.mark.parametrize(
    ("attributes", "shown"), [(("Smiling", "Wearing_Hat"), "Smiling"), (("Male", "Eyeglasses"), "Eyeglasses")]
)
def test_the_usage_lines_edit_what_the_model_edits(tmp_path, attributes, shown):
    STGAN(attributes, 32, width=4, layers=3, stu_layers=2).save_pretrained(tmp_path)
    AttributeClassifier(attributes, 32, width=4).save_pretrained(tmp_path / "classifier")
    usage = write_card(tmp_path, str(tmp_path)).text.split("```python")[1].split("```")[0]
    assert [name for name in re.findall(r'"(\w+)": True', usage)] == [shown]


@pytest.mark.parametrize(
    "first",
    [
        "train.py --dataset data/celeba --seed 1", "accelerate launch train.py --seed 1", "stgan train --seed 1",
        "accelerate launch -m stgan.cli train --dataset=flwrlabs/celeba",
    ],
)  # fmt: skip
def test_what_went_on_from_celebas_weights_keeps_its_terms(model_folder, tmp_path, first):
    second = "train.py --dataset owner/faces --initial_model hub/stgan-celebahq-256"
    card = card_of(model_folder, tmp_path / "model", first, second, dataset="owner/faces", license="mit")
    assert card.data.datasets == ["owner/faces", "flwrlabs/celeba"]
    assert (card.data.license, card.data.license_name) == ("other", "celeba-non-commercial-research")
    assert "CelebA, whose licence allows nothing else" in card.text


def test_the_bundled_model_edits_a_portrait_offline(bundled, astronaut):
    assert bundled.names == DEFAULT_ATTRIBUTES
    face = bundled.prepare(astronaut)
    seen = face.probabilities
    assert seen["Male"] < 0.5
    assert seen["Mouth_Slightly_Open"] > 0.5
    assert seen["Eyeglasses"] < 0.2
    assert np.asarray(bundled.edit(face, {"Eyeglasses": True})).shape == astronaut.shape
    names = ("Eyeglasses", "Blond_Hair", "Black_Hair", "Male", "Young")
    wanted = {name: not face.label_dict()[name] for name in names}
    crops, _ = bundled.edit_crops(face, [{name: value} for name, value in wanted.items()], 1.5)
    with torch.no_grad():
        judged = torch.sigmoid(bundled.classifier(crops))
    for row, (name, value) in zip(judged, wanted.items(), strict=True):  # each edit moves its attribute as asked
        change = row[bundled.names.index(name)] - seen[name]
        assert (change > 0) == value, name
        assert abs(change) > 0.2, name


def test_the_bundled_model_is_small_and_in_half_precision():
    assert sum(file.stat().st_size for file in BUNDLED.rglob("*") if file.is_file()) < 60e6
    weights = load_file(BUNDLED / "model.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in weights.values() if tensor.ndim >= 2)


def test_the_code_of_the_bundled_card_compiles():
    snippets = re.findall(r"```python\n(.*?)```", (BUNDLED / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [compile(snippet, "card", "exec") for snippet in snippets]
