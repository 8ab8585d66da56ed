"""Fixtures of the training tests: runs that do not disturb each other, and finished runs that several tests read."""

import functools

import pytest
import torch
from accelerate.state import AcceleratorState
from runs import SAVE_ALL, trained

from stgan.data import load_into_memory
from stgan.models import FaceParser

load_once = functools.cache(load_into_memory)


@pytest.fixture(autouse=True)
def _runs_of_their_own(monkeypatch):
    """A run counts as a process of its own and keeps every checkpoint; images are decoded once for all runs."""
    monkeypatch.setattr("stgan.training.splits.load_into_memory", load_once)
    monkeypatch.setattr("stgan.training.checkpoints.KEPT", 100)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def uninterrupted(celeba, tmp_path_factory):
    """Returns the folder of a finished run of six steps with every checkpoint, made on first use."""

    @functools.cache
    def folder(run):
        output = tmp_path_factory.mktemp("uninterrupted")
        with pytest.MonkeyPatch.context() as patch:  # whatever the test that asks first has set
            patch.setattr("stgan.training.checkpoints.KEPT", 100)
            trained(celeba, output, run, steps=6, **SAVE_ALL)
        return output

    return folder


@pytest.fixture(scope="session")
def parser_folder(tmp_path_factory):
    """Folder of a parser for images of 32 px, with random weights."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("parser")
    FaceParser(32).save_pretrained(folder)
    return str(folder)
