"""The repository's scripts as modules: they lie outside the package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent


def load_script(path: str) -> ModuleType:
    """``hub/bundle.py``, say; a new module at every call."""
    specification = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str((ROOT / path).parent))  # where Python looks for what a script imports
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module
