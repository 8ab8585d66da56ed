"""The notebook is the README's code, and it runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scripts import load_script

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def maker():
    return load_script("hub/notebook.py")


def test_the_notebook_is_what_the_readme_makes_it(maker):
    made = maker.text_of(maker.notebook((ROOT / "README.md").read_text(encoding="utf-8")))
    assert maker.NOTEBOOK.read_text(encoding="utf-8") == made, "run python hub/notebook.py"


def test_the_notebook_runs_from_top_to_bottom(maker, tmp_path, monkeypatch):
    cells = json.loads(maker.NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for name in ("stgan", "hub"):  # as in a checkout, without writing into this one
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    shown = []
    exec(code, {"display": lambda picture: shown.append(picture.size)})  # which notebooks bring
    assert shown == [(512, 512), (512, 512)]
    before = skimage.data.astronaut().astype(int)
    assert np.abs(np.asarray(Image.open(tmp_path / "edited.png").convert("RGB")) - before).max() > 50


def test_on_a_machine_without_the_project_it_says_what_to_fill_in(maker, tmp_path):
    ran = subprocess.run([sys.executable, "-c", maker.SETUP], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode != 0
    assert "Fill in SOURCE" in ran.stderr
