"""Make ``hub/stgan.ipynb``, for Colab, from the Python code of the README: python hub/notebook.py

The README is where the code is written; a test fails where the notebook is older than it, and runs its cells.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "hub" / "stgan.ipynb"
INTRODUCTION = """# Edit a face

Everything runs on the machine behind this notebook. **Please edit only people who agree to it.** The weights are for
non-commercial research only."""
SETUP = """\
import os
import subprocess
import sys
from pathlib import Path

SOURCE = ""  # address of the project's git repository, unless this notebook runs in a checkout of it
if not Path("stgan").is_dir():
    if not SOURCE:
        raise SystemExit("Fill in SOURCE above: where the project is to be cloned from.")
    subprocess.run(["git", "clone", "--depth", "1", SOURCE, "checkout"], check=True)
    os.chdir("checkout")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "."], check=True)
sys.path.insert(0, os.getcwd())"""
PHOTO = """\
# Put your own me.jpg beside the notebook; until then, a portrait in the public domain.
import skimage.data
from PIL import Image

if not Path("me.jpg").is_file():
    Image.fromarray(skimage.data.astronaut()).save("me.jpg", quality=95)"""


def notebook(readme: str) -> dict[str, Any]:
    """A notebook (nbformat 4.5) of setup, photo, each part of the README's Python code, and what came of it."""
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    cells = [("markdown", INTRODUCTION), ("code", SETUP), ("code", PHOTO)]
    for part in code.strip().split("\n\n"):
        cells.append(("code", part + "".join(f'\ndisplay(Image.open("{name}"))' for name in saved_pictures(part))))
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": [cell(kind, text, number) for number, (kind, text) in enumerate(cells)],
    }


def saved_pictures(code: str) -> list[str]:
    """Names of the picture files that the code saves."""
    return re.findall(r"""\bsave_photo\(.*?["']([^"']+)["']\)""", code)


def cell(kind: str, text: str, number: int) -> dict[str, Any]:
    """One cell, without output."""
    common = {"id": f"cell-{number}", "cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
    return common | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def text_of(content: dict[str, Any]) -> str:
    """A notebook as it is stored."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(text_of(notebook((ROOT / "README.md").read_text(encoding="utf-8"))), encoding="utf-8")
    print(NOTEBOOK)
