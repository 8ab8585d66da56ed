"""``stgan evaluate`` on a model folder: what it measures, what it writes, and what it refuses before the work."""

import json
import shutil

import pytest
from editors import ATTRIBUTES, SIZE, people, tiny_classifier, tiny_generator
from numbered_data import write_images
from PIL import Image
from test_identity import MeanRecognition
from test_realism import Colours

from stgan.data import DataError
from stgan.evaluation import faces, realism
from stgan.evaluation.appearance import Instruments, measure_appearance
from stgan.evaluation.command import Settings, evaluate_folder
from stgan.evaluation.edits import Editing
from stgan.evaluation.protocol import evaluate
from stgan.evaluation.realism import load_real_faces
from stgan.evaluation.tables import evaluation_tables
from stgan.models import ModelFolderError

VALIDATION = "validation-00000-of-00001.parquet"


@pytest.fixture
def dataset_folder(tmp_path):
    images, labels = people(8)
    columns = {name: labels[:, k].bool().tolist() for k, name in enumerate(ATTRIBUTES)}
    (tmp_path / "data").mkdir()
    return write_images(tmp_path / "data", images.permute(0, 2, 3, 1).numpy(), split="validation", **columns)


def settings(model, data, **more):
    return Settings(data, model, **{"appearance": False, "device": "cpu", "workers": 0, "progress": False} | more)


@pytest.fixture
def model_folder(tmp_path):
    tiny_generator().save_pretrained(tmp_path / "model")
    tiny_classifier().save_pretrained(tmp_path / "model" / "classifier")
    return tmp_path / "model"


def test_a_model_folder_is_evaluated_with_its_own_classifier(tmp_path, model_folder, dataset_folder, capsys):
    evaluation = evaluate_folder(settings(model_folder, dataset_folder, max_samples=6, output=tmp_path / "out"))
    images, labels = people(8)
    expected = evaluate(tiny_generator(), tiny_classifier(), images[:6], labels[:6])
    assert evaluation.headline() == pytest.approx(expected.headline(), abs=1e-4)
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert record["psnr"] == evaluation.psnr
    assert record["split"] == "validation"
    assert (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8") == evaluation_tables(evaluation)
    with Image.open(tmp_path / "out" / "edits.png") as figure:
        assert figure.width > 7 * SIZE
    assert "seconds per thousand images" in capsys.readouterr().out


def test_what_people_see_is_measured_where_packages_and_data_are_there(
    tmp_path, model_folder, dataset_folder, monkeypatch, capsys
):
    monkeypatch.setattr(faces, "pretrained_backbone", Colours)
    monkeypatch.setattr(faces, "DlibRecognition", MeanRecognition)
    monkeypatch.setattr(realism, "LEAST", 2)
    page = tmp_path / "results.md"
    page.write_text("<!-- stgan evaluate, tables -->\n<!-- /stgan evaluate, tables -->\n", encoding="utf-8")
    more = {"appearance": True, "output": tmp_path / "out", "document": page, "update_card": True}
    evaluate_folder(settings(model_folder, dataset_folder, **more))
    assert "Realism is not measured. There is no split 'train'" in capsys.readouterr().out
    shutil.copy(dataset_folder / VALIDATION, dataset_folder / VALIDATION.replace("validation", "train"))
    evaluate_folder(settings(model_folder, dataset_folder, **more))
    assert "not measured" not in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    images, labels = people(8)
    real = load_real_faces(str(dataset_folder), "train", ATTRIBUTES, faces.edited_states(ATTRIBUTES), SIZE, Colours())
    expected = measure_appearance(
        Editing(tiny_generator()), tiny_classifier(), images, labels, Instruments(Colours(), real, MeanRecognition())
    )
    assert record["appearance"]["means"] == pytest.approx(expected.headline(), rel=0.02)
    for text in (page, tmp_path / "out" / "evaluation.md", model_folder / "README.md"):
        assert "| real faces |" in text.read_text(encoding="utf-8")
    assert record["comparison"].rstrip().splitlines()[-1].startswith("How edits of intensity 1 look, 8 images: realism")


def test_a_model_folder_that_cannot_be_evaluated_says_why(tmp_path, dataset_folder):
    tiny_generator().save_pretrained(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="has no classifier folder"):
        evaluate_folder(settings(tmp_path / "model", dataset_folder))
    with pytest.raises(ValueError, match="the model's own folder"):  # from where it would be published
        evaluate_folder(settings(tmp_path / "model", dataset_folder, output=tmp_path / "out" / ".." / "model"))
    tiny_classifier(("Male",)).save_pretrained(tmp_path / "male")
    with pytest.raises(ValueError, match="does not know Bald"):
        evaluate_folder(settings(tmp_path / "model", "nowhere", classifier=tmp_path / "male"))
    tiny_classifier().save_pretrained(tmp_path / "judge")
    with pytest.raises(DataError, match="test"):
        evaluate_folder(settings(tmp_path / "model", dataset_folder, split="test", classifier=tmp_path / "judge"))
