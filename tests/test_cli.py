"""The command line gives what the library gives, and answers mistakes with one sentence."""

import json
import re
import runpy
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scripts import in_a_fork
from test_inception import Means

from stgan import FaceEditor, cli
from stgan.attributes import caption
from stgan.card import split_section
from stgan.data import load_into_memory
from stgan.editing import editor as editing
from stgan.evaluation import command as evaluating
from stgan.evaluation.figures import contact_sheet, edit_sheet, varied_people
from stgan.evaluation.inception import inception_distances
from stgan.evaluation.protocol import evaluate
from stgan.evaluation.tables import comparison_table
from stgan.models import STGAN, AttributeClassifier, load_companion, load_generator

ROOT = Path(__file__).parent.parent


@pytest.fixture
def stgan(monkeypatch, model_folder, capsys):
    """Runs ``stgan`` with arguments and returns what it printed."""
    monkeypatch.setenv("STGAN_MODEL", str(model_folder))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["stgan", *map(str, arguments)])
        cli.main()
        return capsys.readouterr().out

    return run


def test_edit_writes_what_the_library_returns(stgan, photo, editor):
    written = stgan("edit", photo, "--add", "Eyeglasses", "Bangs", "--remove", "Young", "--intensity", 1.3).strip()
    assert written.endswith("portrait-edited.png")
    expected = editor.edit(photo, {"Eyeglasses": True, "Bangs": True, "Young": False}, 1.3)
    assert np.array_equal(np.asarray(Image.open(written)), np.asarray(expected))
    assert Image.open(written).text["Description"] == expected.info["stgan"].description


def test_attributes_prints_what_the_library_says(stgan, photo, editor):
    printed = json.loads(stgan("attributes", photo, "--json"))
    assert printed == pytest.approx(editor.attributes(photo), abs=1e-6)


def test_attributes_marks_those_that_pass_the_classifiers_thresholds(stgan, photo, editor):
    prepared = editor.prepare(photo)
    lines = stgan("attributes", photo).splitlines()
    assert all("%" in line for line in lines)
    marked = {line[1:].split()[0]: line[0] == "x" for line in lines}
    assert marked == prepared.label_dict()
    assert len(set(marked.values())) == 2


def test_another_face_can_be_edited(stgan, editor, astronaut, tmp_path):
    two = tmp_path / "two.png"
    Image.fromarray(np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)).save(two)
    for face, found in enumerate(editor.find_faces(two)):
        prepared = editor.prepare(two, face=found)
        absent = [name for name, present in prepared.label_dict().items() if not present][0]
        stgan("edit", two, "--add", absent, "--face", face, "--out", tmp_path / "out.png")
        edited = np.asarray(Image.open(tmp_path / "out.png"))
        assert np.array_equal(edited, np.asarray(editor.edit(prepared, {absent: True})))
        left, right = np.split((edited != np.asarray(Image.open(two))).any(axis=2), 2, axis=1)
        assert (left.sum() > right.sum()) == (face == 0)
    assert face == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attributes", "."), "stgan: . cannot be read"),
        (("evaluate", "data", "--device", "gpu"), "The device gpu cannot be used here"),
        (("evaluate", "data", "--device", "cuda:99"), "The device cuda:99 cannot be used here"),
        (("evaluate", "data", "--batch-size", "0"), "The batch size must be at least 1, not 0"),
        (("evaluate", "data", "--intensities"), "different positive numbers, such as 1 and 1.5, not none"),
        (("evaluate", "data", "--intensities", "1", "nan"), "not 1.0 nan"),
        (("evaluate", "data", "--intensities", "1", "1"), "not 1.0 1.0"),
        (("edit", "absent.png", "--add", "Male"), "absent.png"),
        (("edit", "{photo}"), "Nothing to do"),
        (("edit", "--add", "Eyeglasses"), "No photo is named: name photos first"),
        (("edit", "--add", "Eyeglasses", "{photo}"), "No photo is named: name photos first"),
        (("edit", "--all-edits"), "No photo is named"),
        (("edit", "{photo}", "--add", "Male", "Bald", "--remove", "Bald"), "Bald: named with --add and with --remove"),
        (("edit", "{photo}", "--add", "Glasses"), "Did you mean Eyeglasses"),
        (("edit", "{photo}", "--add", "Male", "--model", "nowhere/nothing/at-all"), "nowhere/nothing/at-all"),
        (("evaluate", "{photo}"), "No dataset at"),
        *(
            (("sheet", "{photo}", *words), "A sheet needs --columns 1 or more")
            for words in (("--columns", 0), ("--columns", -1), ("--side", 0))
        ),
    ],
)
def test_a_mistake_is_one_sentence(stgan, photo, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        stgan(*(str(argument).format(photo=photo) for argument in arguments))
    assert message in str(stopped.value)
    assert "Traceback" not in str(stopped.value)


COMMANDS = [[command.__name__] for command in cli.COMMANDS]


@pytest.mark.parametrize(
    "command", [*COMMANDS, ["evaluate"], ["bundle"], ["publish", "model"], ["publish", "space"]], ids=" ".join
)
def test_help_explains_every_option(stgan, capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        stgan(*command, "--help")
    assert stopped.value.code == 0
    explained, name = {}, ""
    for line in capsys.readouterr().out.splitlines():
        text = line.strip("│ ")  # of a box, which is drawn where the encoding has one
        if re.match(r"[│ ] (--?[a-z]|[A-Z]+  )", line):
            name, _, explained[name] = text.partition("  ")
        elif explained and re.match(r"[│ ] {8,}\S", line):
            explained[name] += f" {text}"
    assert len(explained) > 2
    assert [name for name, text in explained.items() if not re.sub(r"\((default|required).*", "", text).strip()] == []


def test_a_photo_that_cannot_be_written_as_it_was_read_becomes_a_png(stgan, photo):
    for suffix in (".bmp", ".GIF"):
        Image.open(photo).save(photo.with_suffix(suffix))
        written = stgan("edit", photo.with_suffix(suffix), "--add", "Eyeglasses", "--overwrite").strip()
        assert written.endswith("portrait-edited.png")
        assert Image.open(written).size == Image.open(photo).size


@pytest.mark.parametrize("command", [("edit", "--add", "Eyeglasses"), ("sheet",)])
@pytest.mark.parametrize(
    ("out", "message"), [("out.bmp", "out.bmp ends in none of"), ("absent/out.png", "There is no folder")]
)
def test_a_file_that_cannot_be_written_is_named_before_the_work(stgan, photo, monkeypatch, command, out, message):
    monkeypatch.setattr(cli, "_editor", lambda *_: pytest.fail("it began to work"))
    with pytest.raises(SystemExit, match=message):
        stgan(command[0], photo, *command[1:], "--out", photo.parent / out)


@pytest.mark.parametrize(("flags", "wanted"), [((), None), (("--aligned",), True), (("--no-aligned",), False)])
@pytest.mark.parametrize("command", [("edit", "--add", "Eyeglasses"), ("attributes",), ("sheet",)])
def test_aligned_is_said_denied_or_left_open(stgan, photo, monkeypatch, command, flags, wanted):
    asked = []

    def prepare(self, photo, *, aligned=None, **_):
        asked.append(aligned)
        raise ValueError("stopped here")

    monkeypatch.setattr(FaceEditor, "prepare", prepare)
    with pytest.raises(SystemExit, match="stopped here"):
        stgan(command[0], photo, *command[1:], *flags)
    assert asked == [wanted]


def test_sheet_shows_the_photo_and_every_single_edit(stgan, photo, tmp_path, editor):
    stgan("sheet", photo, "--out", tmp_path / "sheet.png", "--columns", 5, "--side", 48, "--intensity", 1.4)
    prepared = editor.prepare(photo).close_up(48)
    pictures, captions = [Image.fromarray(prepared.photo.rgb)], ["Photo"]
    for name, present in prepared.label_dict().items():
        pictures.append(editor.edit(prepared, {name: not present}, 1.4))
        captions.append(caption(name, not present))
    expected = contact_sheet(pictures, captions, 5, 48)
    shown = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    assert np.abs(shown - np.asarray(expected)).max() <= 2  # edits in one batch round otherwise than alone


def test_evaluate_measures_the_split_it_is_given(stgan, celeba, tmp_path, monkeypatch):
    model, judge, document, out = (tmp_path / name for name in ("model", "model/classifier", "page.md", "out"))
    STGAN(("Eyeglasses", "Male"), 32, width=4, layers=3, stu_layers=2, soft_mask=True).save_pretrained(model)
    AttributeClassifier(("Eyeglasses", "Male"), 32, width=4).save_pretrained(judge)
    document.write_text("<!-- stgan evaluate -->\n<!-- /stgan evaluate -->\n", encoding="utf-8")
    monkeypatch.setattr(evaluating, "inception", lambda: Means())
    printed = stgan(
        "evaluate", celeba, "--model", model, "--split", "test", "--classifier", judge, "--max-samples", 6,
        "--intensities", 0.5, 1.5, "--batch-size", 4, "--crop", "center", "--device", "cpu", "--output", out,
        "--update-card", "--document", document, "--fid", "--no-appearance",
    )  # fmt: skip
    generator, classifier = load_generator(model), load_companion(model, "classifier")
    names = generator.attributes
    data = load_into_memory(str(celeba), "test", names, generator.image_size, max_samples=6, crop="center", workers=0)
    expected = evaluate(generator, classifier, data.images, data.labels, intensities=(0.5, 1.5))
    assert expected.summary() in printed
    record = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert record["split"] == "test"
    assert record["psnr"] == pytest.approx(expected.psnr)
    assert list(record["edits"]) == ["0.5", "1.5"]
    for intensity, scores in expected.to_dict()["edits"].items():
        assert record["edits"][intensity]["accuracy"] == pytest.approx(scores["accuracy"])
        assert record["edits"][intensity]["distance"] == pytest.approx(scores["distance"], abs=1e-3)
    real = inception_distances(generator, data.images, data.labels, extractor=Means())
    assert record["fid"] == pytest.approx(asdict(real), rel=1e-4, abs=1e-4)
    assert real.to_markdown() in (out / "evaluation.md").read_text(encoding="utf-8")
    people = varied_people(data.labels, evaluating.FIGURE_PEOPLE)
    figure = edit_sheet(generator, data.images[people], data.labels[people], (0.5, 1.5))
    assert np.array_equal(np.asarray(Image.open(out / "edits.png")), np.asarray(figure))
    assert split_section(document, "stgan evaluate")[1] == comparison_table(expected).strip()
    card = (model / "README.md").read_text(encoding="utf-8")
    assert f"stgan evaluate {celeba} --model {model} --split test --classifier {judge} --max-samples 6 " in card
    assert "--intensities 0.5 1.5 --crop center --no-appearance --fid" in card
    assert not list(model.rglob("*.png"))


def test_what_an_evaluation_lacks_is_said_before_the_work(stgan, celeba, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluating, "evaluate", lambda *_, **__: pytest.fail("it began to work"))
    (tmp_path / "file").write_text("")
    few = ("--max-samples", 3, "--fid")
    for arguments, message in [
        (("--output", model_folder / "evaluation"), "is in the model's own folder"),
        (("--output", tmp_path / "file"), "file"),
        (few, "at least 4 images, not 3"),
    ]:
        with monkeypatch.context() as patched:
            patched.setattr(evaluating, "inception", lambda: Means())
            with pytest.raises(SystemExit, match=message):
                stgan("evaluate", celeba, *arguments)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)
    with pytest.raises(SystemExit, match=r"\[fid\]"):
        stgan("evaluate", celeba, "--fid")


def test_a_sheet_of_a_deep_grey_photo_is_that_of_a_plain_one(stgan, astronaut, tmp_path):
    grey = np.asarray(Image.fromarray(astronaut).convert("L"))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    sheets = []
    for name in ("grey", "deep"):
        stgan("sheet", tmp_path / f"{name}.png", "--out", tmp_path / f"{name}-sheet.png", "--side", 48)
        sheets.append(np.asarray(Image.open(tmp_path / f"{name}-sheet.png")))
    assert np.array_equal(*sheets)
    assert (sheets[0] == 255).all(axis=2).mean() < 0.6  # the rest is pictures


def test_help_lists_every_command_and_imports_no_torch():
    code = (
        "import contextlib, sys\nfrom stgan import cli\nwith contextlib.suppress(SystemExit):\n    cli.main(['--help'])"
    )
    code += "\nprint('imported:', {'torch', 'numpy', 'cv2'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.endswith("imported: set()\n"), ran.stderr
    for command in (*cli.COMMANDS, *cli.COMMANDS_WITH_MODULES):
        assert f"• {command.__name__} " in ran.stdout


def test_bundle_is_a_command_and_a_script(stgan, model_folder, tmp_path, monkeypatch):
    parts = ("--model", model_folder, "--classifier", model_folder / "classifier")
    assert "MB" in stgan("bundle", *parts, "--output", tmp_path / "command")
    monkeypatch.setattr(sys, "argv", ["bundle.py", *map(str, parts), "--output", str(tmp_path / "script")])
    runpy.run_path(str(ROOT / "hub" / "bundle.py"), run_name="__main__")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("command", "script")]
    assert weights[0] == weights[1]
    with pytest.raises(SystemExit, match="stgan: .* would be overwritten"):
        stgan("bundle", *parts, "--output", model_folder)


def test_train_takes_its_arguments_as_they_are(stgan, monkeypatch):
    received = []
    command = SimpleNamespace(main=received.append)
    monkeypatch.setitem(sys.modules, "stgan.training.command", command)
    stgan("train", "--dataset", "owner/faces", "--no_soft_mask")
    assert received == [["--dataset", "owner/faces", "--no_soft_mask"]]


@pytest.mark.parametrize("home", ["STGAN_MODEL", "--model"])
def test_a_home_folder_in_a_models_path_is_expanded(stgan, photo, model_folder, monkeypatch, home):
    monkeypatch.setenv("HOME", str(model_folder.parent))
    monkeypatch.setenv("STGAN_MODEL", "~/stgan-tiny" if home == "STGAN_MODEL" else "nowhere")
    option = ("--model", "~/stgan-tiny") if home == "--model" else ()
    assert len(stgan("attributes", photo, "--aligned", *option).splitlines()) == 13


def test_an_installed_package_without_a_model_says_what_to_do(stgan, photo, tmp_path, monkeypatch):
    monkeypatch.delenv("STGAN_MODEL")
    monkeypatch.setattr(editing, "BUNDLED", tmp_path / "site-packages" / "hub")
    with pytest.raises(SystemExit) as stopped:
        stgan("edit", photo, "--add", "Eyeglasses")
    assert str(stopped.value) == (
        "stgan: The installed package has no model of its own: choose one, as in stgan edit me.png --add Eyeglasses "
        "--model FOLDER_OR_HUB_ID, or set STGAN_MODEL to a model folder or Hub id."
    )
    monkeypatch.setattr(editing, "DEFAULT_MODEL_ID", "owner/published")
    assert editing.default_model() == "owner/published"


def test_without_the_training_packages_a_command_says_what_to_install():
    """A module of this name that cannot be imported stands for one that is not there."""

    def messages():
        sys.modules["datasets"] = None
        for words in ([f"{ROOT}/stgan/cli.py", "evaluate", "nowhere"], [f"{ROOT}/train.py"]):
            sys.argv = words
            try:
                runpy.run_path(words[0], run_name="__main__")
            except SystemExit as end:
                yield end.code

    assert in_a_fork(lambda: [*messages()], "stgan", "datasets") == [
        f"{command}: datasets is not installed: pip install -e '.[train]'" for command in ("stgan", "train.py")
    ]
