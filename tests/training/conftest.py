"""Fixtures of the training tests: a fresh accelerate for each test, and finished runs that several tests read."""

import pytest
from accelerate.state import AcceleratorState
from runs import KEEP_ALL, trained


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    """Each run of a test counts as a process of its own for accelerate."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def uninterrupted(celeba, tmp_path_factory):
    """Returns the folder of a finished run of six steps with every checkpoint, made on first use."""
    folders = {}

    def folder(run):
        if run not in folders:
            folders[run] = tmp_path_factory.mktemp("uninterrupted")
            trained(celeba, folders[run], run, steps=6, **KEEP_ALL)
        return folders[run]

    return folder
