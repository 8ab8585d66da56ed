"""The repository's scripts as modules, and copies of a test's process: one runs ``app.py``."""

import importlib.util
import logging
import multiprocessing
import os
import runpy
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent
FORKS = multiprocessing.get_context("fork")


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


def in_a_fork(function: Callable[[], Any], *forgotten: str) -> Any:
    """What a function returns in a copy of this process, where torch need not be imported again.

    Args:
        function: changes what it likes; this process stays as it is.
        forgotten: packages that count as not imported yet.
    """
    here, there = multiprocessing.Pipe()

    def work() -> None:
        _forget(*forgotten)
        there.send(function())

    child = FORKS.Process(target=work)
    child.start()
    there.close()
    try:
        assert here.poll(60), "the process hangs"
        return here.recv()
    finally:
        child.kill()
        child.join()


def _forget(*packages: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


@contextmanager
def running_app(folder: Path, port_variable: str, temporary: Path, **environment: str) -> Iterator[str]:
    """Address of a folder's ``app.py``, run as a script by a process that writes into an empty temporary folder.

    The process is a copy of this one that has yet to import Gradio and, from that folder, the package.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if name not in ("STGAN_MODEL", "PYTHONPATH")}
    settings = {port_variable: port, "GRADIO_TEMP_DIR": str(temporary), "GRADIO_ANALYTICS_ENABLED": "False"}

    def serve() -> None:
        log = os.open(temporary / "log.txt", os.O_WRONLY | os.O_CREAT)
        for output in (1, 2):
            os.dup2(log, output)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        logging.root.handlers.clear()  # which are pytest's
        os.environ.clear()
        os.environ |= kept | settings | environment
        os.chdir(folder)
        sys.argv = ["app.py"]
        sys.path[:] = [str(folder), *(path for path in sys.path if Path(path).resolve() != ROOT)]
        _forget("stgan", "gradio")  # which read settings when they are imported
        runpy.run_path("app.py", run_name="__main__")

    app = FORKS.Process(target=serve, daemon=True)  # ends with this process
    app.start()
    try:
        _wait_for(app, f"http://127.0.0.1:{port}", temporary / "log.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.join(timeout=20)


def _wait_for(app: multiprocessing.Process, address: str, log: Path) -> None:
    for _ in range(1200):
        assert app.is_alive(), f"app.py ended:\n{log.read_text()}"
        try:
            urllib.request.urlopen(address, timeout=30).close()
            return
        except (urllib.error.URLError, ConnectionError):  # not listening yet, or loading
            time.sleep(0.1)
    raise TimeoutError("app.py did not answer within two minutes")
