"""Names of files hold on every system, and lead to no other folder whatever a model or a photo is called."""

import ast
import ntpath
import subprocess
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from PIL import Image
from scripts import ROOT

from stgan import FaceEditor, cli
from stgan.batch import Results
from stgan.demo import markup
from stgan.models import STGAN, AttributeClassifier

HOSTILE = ("../../up", "/proc/up", "C:\\up", "..\\..\\up", "con:ads", 'a*b?"<>|', "Smile at 50 %", "Bald")
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def holds_on_windows(name: str) -> bool:
    """Whether a part of a path is one there: of no more parts, without reserved words and characters."""
    return (
        PureWindowsPath(name).parts == (name,)
        and not PureWindowsPath(name).drive
        and not set(name) & set('<>:"/\\|?*')
        and not name.endswith((".", " "))
        and name.partition(".")[0].lower() not in RESERVED
    )


@pytest.mark.parametrize("name", ["../up", "C:up", "a:b", "nul.txt", "end.", "what?", "a\\b"])
def test_names_that_windows_does_not_hold_are_known_here(name):
    assert holds_on_windows("edited-Bald.png")
    assert not holds_on_windows(name)


def test_the_repositorys_files_have_names_that_windows_and_macos_hold():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no checkout")
    files = listed.stdout.rstrip("\0").split("\0")
    assert [file for file in files if not all(map(holds_on_windows, PurePosixPath(file).parts))] == []
    assert len({file.casefold() for file in files}) == len(files)


@pytest.fixture(scope="module")
def hostile_model(tmp_path_factory):
    """A folder with a small model whose attributes have such names."""
    folder = tmp_path_factory.mktemp("hostile")
    STGAN(HOSTILE, image_size=64, width=4, soft_mask=True).save_pretrained(folder)
    AttributeClassifier(HOSTILE, image_size=64, width=4).save_pretrained(folder / "classifier")
    return folder


@pytest.fixture
def photo(astronaut, tmp_path):
    Image.fromarray(astronaut[:300, 80:380]).save(tmp_path / "me.png")
    return tmp_path / "me.png"


def test_attributes_of_a_foreign_model_lead_the_command_to_no_other_folder(hostile_model, photo, tmp_path):
    arguments = ["--all-edits", "--aligned", "--out-dir", tmp_path / "deep" / "in" / "out", "--model", hostile_model]
    cli.main(["edit", str(photo), *map(str, arguments)])
    files = {file for file in tmp_path.rglob("*") if file.is_file()} - {photo}
    assert {file.parent for file in files} == {tmp_path / "deep" / "in" / "out"}
    assert len(files) == len(HOSTILE)
    assert [file.name for file in files if not holds_on_windows(file.name)] == []


def test_nor_the_demo(hostile_model, photo, tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    from stgan.demo.page import build_demo

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = build_demo(FaceEditor.from_pretrained(hostile_model), str(hostile_model))
    edit_all = next(event.fn for event in demo.fns.values() if event.api_name == "edit_all")
    answers = edit_all({"path": str(photo)}, aligned=True)
    paths = [Path(answers[name]["path"]) for name in HOSTILE]
    assert {path.parent.parent for path in paths} == {tmp_path}
    assert [path.name for path in paths if not holds_on_windows(path.name)] == []


def test_where_case_does_not_count_two_results_of_one_name_are_refused(tmp_path, monkeypatch):
    photos = [tmp_path / "one" / "Me.png", tmp_path / "two" / "me.png"]
    results = Results(photos, out_dir=tmp_path / "out", overwrite=True)
    assert [results.path(photo).name for photo in photos] == ["Me.png", "me.png"]
    monkeypatch.setattr("os.path.normcase", ntpath.normcase)
    results = Results(photos, out_dir=tmp_path / "out", overwrite=True)
    results.path(photos[0])
    with pytest.raises(ValueError, match="is the result of"):
        results.path(photos[1])
    with pytest.raises(ValueError, match="is the photo itself"):
        Results(photos[:1], out_dir=tmp_path / "ONE").path(photos[0])


def test_a_page_on_windows_names_its_files_with_slashes(monkeypatch):
    monkeypatch.setattr(markup, "Path", PureWindowsPath)
    assert markup.address("C:\\Temp\\a b\\edited.png") == "gradio_api/file=C%3A/Temp/a%20b/edited.png"


def test_the_package_names_no_temporary_folder_and_starts_no_process_by_fork():
    for file in [*(ROOT / "stgan").rglob("*.py"), ROOT / "app.py", ROOT / "train.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("/tmp", "/var", "C:\\")), (file.name, node.lineno)
                assert node.value != "fork", (file.name, node.lineno)
            assert not (isinstance(node, ast.Attribute) and node.attr in ("fork", "forkpty")), (file.name, node.lineno)
