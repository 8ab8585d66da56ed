"""How the tests run: without a network, and spread over processes. What they share is in shared.py."""

import os
import shutil
import tempfile

import pytest
from xdist.scheduler import LoadScopeScheduling

# Before any library reads them: no network, every cache in a folder of this run, one thread as in the child processes.
# Where a test asks for more, they wait for each other without spinning.
CACHE = tempfile.mkdtemp(prefix="stgan-tests-")
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": CACHE, "HF_DATASETS_CACHE": f"{CACHE}/datasets"}
os.environ |= {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "ACCELERATE_USE_CPU": "true",
}


# The slowest files, which start first. The files of a group share a process and its fixtures; so does each other file.
SLOWEST = {
    "demo": ("test_browser.py", "test_app.py", "test_request.py", "test_server_attacks.py", "test_tools.py"),
    "export": ("test_export.py",),
    "processes": ("test_processes.py", "test_stopping.py", "test_gradients.py"),
    "evaluation": ("test_cli.py", "test_evaluate.py", "test_interrupted_evaluation.py", "test_inception.py"),
    **{name: (f"test_{name}.py",) for name in ("editor", "detect", "resume", "stream_batches", "supervised")},
}
GROUPS = {file: group for group, files in SLOWEST.items() for file in files}


def pytest_configure(config):
    """Import torch and all else in the processes that run tests, not in the one that waits for them."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("shared")


def pytest_collection_modifyitems(items):
    order = [*SLOWEST, None]
    items.sort(key=lambda item: order.index(GROUPS.get(item.path.name)))  # keeps the order within a group


class _ByGroup(LoadScopeScheduling):
    """By our groups: those of xdist itself (3.8) have no effect with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].rpartition("/")[2]
        return GROUPS.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return _ByGroup(config, log)


def pytest_unconfigure():
    shutil.rmtree(CACHE, ignore_errors=True)
