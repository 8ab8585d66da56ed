"""Fixtures of the training tests: a fresh accelerate for each test, and finished runs that several tests read."""

import functools

import pytest
from accelerate.state import AcceleratorState
from runs import SAVE_ALL, trained

from stgan.data import load_into_memory

load_once = functools.cache(load_into_memory)


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    """Each run of a test counts as a process of its own for accelerate."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(autouse=True)
def _decoded_once(monkeypatch):
    """Runs of this process share decoded images: tests/test_data.py is about reading them."""
    monkeypatch.setattr("stgan.training.splits.load_into_memory", load_once)


@pytest.fixture(autouse=True)
def _keep_all_checkpoints(monkeypatch):
    """Runs of this process keep every checkpoint, so that tests can compare them."""
    monkeypatch.setattr("stgan.training.checkpoints.KEPT", 100)


@pytest.fixture(scope="session")
def uninterrupted(celeba, tmp_path_factory):
    """Returns the folder of a finished run of six steps with every checkpoint, made on first use."""
    folders = {}

    def folder(run):
        if run not in folders:
            folders[run] = tmp_path_factory.mktemp("uninterrupted")
            trained(celeba, folders[run], run, steps=6, **SAVE_ALL)
        return folders[run]

    return folder
