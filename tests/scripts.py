"""The repository's scripts, which lie outside the package: as modules, and ``app.py`` as a process."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def running_app(folder: Path, port_variable: str, temporary: Path, **environment: str) -> Iterator[str]:
    """Address of a folder's ``app.py``, run as a process of its own that writes into an empty temporary folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if name not in ("STGAN_MODEL", "PYTHONPATH")}
    settings = {port_variable: port, "GRADIO_TEMP_DIR": str(temporary), "GRADIO_ANALYTICS_ENABLED": "False"}
    with (temporary / "log.txt").open("w") as log:
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env=kept | settings | environment, stdout=log, stderr=log
        )
        try:
            _wait_for(app, f"http://127.0.0.1:{port}", temporary / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            app.terminate()
            app.wait(timeout=20)


def _wait_for(app: subprocess.Popen, address: str, log: Path) -> None:
    for _ in range(240):
        assert app.poll() is None, f"app.py ended:\n{log.read_text()}"
        try:
            urllib.request.urlopen(address, timeout=30).close()
            return
        except (urllib.error.URLError, ConnectionError):  # not listening yet, or loading
            time.sleep(0.5)
    raise TimeoutError("app.py did not answer within two minutes")
