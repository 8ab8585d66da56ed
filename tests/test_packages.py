"""What is uploaded to PyPI: a source distribution and a wheel, built and used where the repository is not."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser

import pytest
from packaging.requirements import Requirement
from scripts import ROOT, in_a_fork

tomllib = pytest.importorskip("tomllib")  # Python 3.11


def built(tree, kind: str):
    """The file that setuptools builds from a tree, as `pip` has it built."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}('dist'))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return tree / "dist" / ran.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built from the source distribution that is built from a copy of the repository."""
    pytest.importorskip("setuptools", minversion="77")
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "stgan", tree / "stgan", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    with tarfile.open(built(tree, "sdist")) as source:
        source.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4
        source.extractall(tree / "source")
    (unpacked,) = (tree / "source").iterdir()
    return built(unpacked, "wheel")


def test_a_wheel_holds_the_whole_package_and_asks_for_what_the_project_does(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (info,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = Parser().parsestr(archive.read(info).decode())
    tracked = [path for path in (ROOT / "stgan").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert names == {path.relative_to(ROOT).as_posix() for path in tracked}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Requires-Python"] == project["requires-python"]
    required = {Requirement(each) for each in metadata.get_all("Requires-Dist") if "extra ==" not in each}
    assert required == set(map(Requirement, project["dependencies"]))
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])


def test_an_installed_wheel_edits_and_says_that_it_brings_no_model(wheel, tmp_path, model_folder, photo):
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", "site"]
    subprocess.run([*install, str(wheel)], cwd=tmp_path, check=True, timeout=120)
    edit = ("edit", str(photo), "--add", "Eyeglasses", "--force", "--out", str(tmp_path / "out.png"))

    def used():
        sys.path.insert(0, str(tmp_path / "site"))
        import stgan.cli

        with pytest.raises(SystemExit) as refusal:
            stgan.cli.main([*edit])
        stgan.cli.main([*edit, "--model", str(model_folder)])
        return stgan.__file__, refusal.value.code

    where, refused = in_a_fork(used, "stgan")
    assert where.startswith(str(tmp_path / "site"))
    assert "--model" in refused
    assert (tmp_path / "out.png").is_file()
