"""``stgan evaluate`` on a model folder: what it measures, what it writes, and what it refuses before the work."""

import io
import json

import pandas as pd
import pytest
from editors import ATTRIBUTES, SIZE, people, tiny_classifier, tiny_generator
from PIL import Image

from stgan.data import DataError
from stgan.evaluation.command import evaluate_folder
from stgan.evaluation.protocol import evaluate
from stgan.evaluation.tables import evaluation_tables
from stgan.models import ModelFolderError


@pytest.fixture
def dataset_folder(tmp_path):
    """Parquet with noise for faces."""
    images, labels = people(8)
    columns = {name: labels[:, k].bool().tolist() for k, name in enumerate(ATTRIBUTES)}
    files = []
    for image in images:
        encoded = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(encoded, "PNG")
        files.append({"bytes": encoded.getvalue(), "path": None})
    folder = tmp_path / "data"
    folder.mkdir()
    pd.DataFrame({"image": files, **columns}).to_parquet(folder / "validation-00000-of-00001.parquet")
    return folder


def test_a_model_folder_is_evaluated_with_its_own_classifier(tmp_path, dataset_folder, capsys):
    generator, classifier = tiny_generator(), tiny_classifier()
    generator.save_pretrained(tmp_path / "model")
    classifier.save_pretrained(tmp_path / "model" / "classifier")
    evaluation = evaluate_folder(
        tmp_path / "model",
        dataset_folder,
        max_samples=6,
        device="cpu",
        output=tmp_path / "out",
        workers=0,
        progress=False,
    )
    images, labels = people(8)
    expected = evaluate(generator, classifier, images[:6], labels[:6])
    assert evaluation.headline() == pytest.approx(expected.headline(), abs=1e-4)
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert record["psnr"] == evaluation.psnr
    assert record["split"] == "validation"
    assert (tmp_path / "out" / "evaluation.md").read_text(encoding="utf-8") == evaluation_tables(evaluation)
    with Image.open(tmp_path / "out" / "edits.png") as figure:
        assert figure.width > 7 * SIZE
    assert "seconds per thousand images" in capsys.readouterr().out


def test_a_model_folder_that_cannot_be_evaluated_says_why(tmp_path, dataset_folder):
    tiny_generator().save_pretrained(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="has no classifier folder"):
        evaluate_folder(tmp_path / "model", dataset_folder)
    with pytest.raises(ValueError, match="the model's own folder"):  # from where it would be published
        evaluate_folder(tmp_path / "model", dataset_folder, output=tmp_path / "out" / ".." / "model")
    tiny_classifier(("Male",)).save_pretrained(tmp_path / "male")
    with pytest.raises(ValueError, match="does not know Bald"):
        evaluate_folder(tmp_path / "model", "nowhere", classifier=tmp_path / "male")
    tiny_classifier().save_pretrained(tmp_path / "judge")
    with pytest.raises(DataError, match="test"):
        evaluate_folder(tmp_path / "model", dataset_folder, "test", classifier=tmp_path / "judge", workers=0)


def test_the_card_names_the_command_that_measured_it(tmp_path, dataset_folder):
    tiny_generator().save_pretrained(tmp_path / "model")
    tiny_classifier().save_pretrained(tmp_path / "judge")
    options = {"classifier": tmp_path / "judge", "intensities": (0.5, 1.0), "crop": "center", "max_samples": 3}
    evaluate_folder(
        tmp_path / "model", dataset_folder, device="cpu", update_card=True, workers=0, progress=False, **options
    )
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    said = f"--classifier {tmp_path / 'judge'} --max-samples 3 --intensities 0.5 1.0 --crop center"
    assert f"stgan evaluate {dataset_folder} --model {tmp_path / 'model'} --split validation {said}" in card
