"""What a run puts on the Hub while it goes on, and how another run, on another machine, continues from there."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE

from stgan.card import OF_THE_WEIGHTS
from stgan.hub.errors import explained, explanation
from stgan.hub.repository import TakenError, check_private, check_same_project, full_name, list_files
from stgan.training.checkpoints import PARTIAL_PREFIX, PREFIX, CheckpointError, list_checkpoints

STATE_BRANCH = "training-state"  # beside main, so that whoever wants the model does not download the optimizers
MODEL_PATTERNS = ["*.json", "*.md", "*.safetensors"]
STALE_PATTERNS = [f"{name}*" for name in OF_THE_WEIGHTS]  # of weights that came before


class BackgroundPush:
    """Uploads in a thread of its own, one after the other. A Hub that fails never stops or delays a run.

    Where the Hub can be asked, it is asked before the run, and from then on ``name`` has its owner in it.

    Args:
        name: repository, ``owner/name`` or a name of the account's own.
        private: create it as private.
        say: prints a line.

    Raises:
        TakenError: the repository is another project's, or public where a private one is wanted.
    """

    def __init__(self, name: str, private: bool, say: Callable[[str], Any]):
        self.name, self.private, self.say = name, private, say
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="push")
        self.numbers = count()
        self.newest: dict[str, tuple[Future, Path]] = {}  # of each kind
        try:
            self._look()
        except TakenError:
            raise
        except Exception as error:
            say(f"Could not look at {name} on the Hub: {explanation(error, name)} Training goes on without.")

    def _look(self) -> None:
        api = HfApi()
        self.name = full_name(api, self.name)
        if api.repo_exists(self.name):
            if self.private:
                check_private(api, self.name)
            check_same_project(api, self.name, (CONFIG_NAME, SAFETENSORS_SINGLE_FILE), list_files(api, self.name))

    def model(self, folder: Path, message: str) -> None:
        """Upload a model folder to main."""
        self._submit("model", folder, message)

    def state(self, checkpoint: Path, message: str) -> None:
        """Upload a full training state to a branch of its own, in place of the one there."""
        self._submit("state", checkpoint, message)

    def finish(self) -> None:
        """Wait for what is under way."""
        self.executor.shutdown(wait=True)

    def _submit(self, kind: str, folder: Path, message: str) -> None:
        """Upload what the folder holds now: it may hold something newer, or be gone, by the time it is sent."""
        previous, copy = self.newest.get(kind, (None, None))
        if previous is not None and previous.cancel():  # still waiting behind a slow upload: this one is newer
            shutil.rmtree(copy, ignore_errors=True)
        copy = folder.parent / f"{PARTIAL_PREFIX}push-{next(self.numbers)}"
        target = copy / folder.name if kind == "state" else copy
        shutil.copytree(folder, target, copy_function=_link_or_copy)
        self.newest[kind] = (self.executor.submit(self._upload, kind, copy, message), copy)

    def _upload(self, kind: str, folder: Path, message: str) -> None:
        api = HfApi()
        try:
            repo_id = api.create_repo(self.name, private=self.private or None, exist_ok=True).repo_id
            where: dict[str, Any] = {"allow_patterns": MODEL_PATTERNS, "delete_patterns": STALE_PATTERNS}
            if kind == "state":
                api.create_branch(repo_id, branch=STATE_BRANCH, exist_ok=True)
                where = {"revision": STATE_BRANCH, "delete_patterns": f"{PREFIX}*"}
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message, **where)
        except Exception as error:  # whatever a network can do
            self.say(f"Could not push to {self.name}: {explanation(error, self.name)} Training goes on without.")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> None:
    """A second name for a file, since models and checkpoints are replaced, never written into; a copy where need be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def fetch_state(wanted: str, output_dir: Path) -> str:
    """Download a training state that a run pushed, unless it is in the output folder already.

    Args:
        wanted: ``owner/name@revision``.
        output_dir: of this run.

    Returns:
        The name of the checkpoint in ``output_dir``.

    Raises:
        HubError: it cannot be had; the message says why.
        CheckpointError: there is no training state.
    """
    repo_id, revision = wanted.split("@", 1)
    partial = output_dir / f"{PARTIAL_PREFIX}download"
    with explained(wanted):
        snapshot_download(repo_id, revision=revision, allow_patterns=f"{PREFIX}*/*", local_dir=partial)
    there = list_checkpoints(partial)
    if not there:
        raise CheckpointError(
            f"{wanted} holds no training state: one is pushed by --push_state_every, to the branch {STATE_BRANCH}."
        )
    final = output_dir / there[-1].name
    if not final.exists():
        there[-1].rename(final)
    shutil.rmtree(partial)
    return final.name
