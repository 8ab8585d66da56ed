"""Uploads to the Hub during a run, and downloads of training states that runs on other machines continue from."""

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError  # the built-in one only from Python 3.11 on
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE

from stgan.card import OF_THE_WEIGHTS
from stgan.hub.errors import explained, explanation
from stgan.hub.repository import TakenError, check_private, check_same_project, full_name, list_files
from stgan.training.checkpoints import PARTIAL_PREFIX, PREFIX, CheckpointError, list_checkpoints

CHECK_SECONDS, LAST_SECONDS = 60.0, 600.0
"""How long a run waits for the Hub at its start and at its end; the Hub's own client would wait for ever."""
STATE_BRANCH = "training-state"  # apart from main, so that a download of the model does not include the optimizers
MODEL_PATTERNS = ["*.json", "*.md", "*.safetensors"]
STALE_PATTERNS = [f"{name}*" for name in OF_THE_WEIGHTS]  # they describe earlier weights


class BackgroundPush:
    """Uploads in a background thread, one after another. A failing Hub never stops or delays a run.

    If the Hub can be reached, the repository is checked before the run, and ``name`` becomes ``owner/name``.

    Args:
        name: repository, ``owner/name`` or a name in the user's own account.
        private: create it as private.
        say: prints a line.

    Raises:
        TakenError: the repository belongs to another project, or is public although ``private`` is set.
    """

    def __init__(self, name: str, private: bool, say: Callable[[str], Any]):
        self.name, self.private, self.say = name, private, say
        self.queue: SimpleQueue[tuple[Future, Callable, tuple]] = SimpleQueue()
        threading.Thread(target=self._work, name="push", daemon=True).start()  # it may be left to a Hub that stalls
        self.numbers = count()
        self.newest: dict[str, tuple[Future, Path]] = {}  # upload and its copy, by kind
        try:
            self._start(self._check_repository).result(CHECK_SECONDS)
        except TakenError:
            raise
        except FutureTimeoutError:
            say(f"Could not check {name} on the Hub, which does not answer. Training continues.")
        except Exception as error:
            say(f"Could not check {name} on the Hub: {explanation(error, name)} Training continues.")

    def _check_repository(self) -> None:
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
        """Upload a full training state to its own branch, in place of the previous one."""
        self._submit("state", checkpoint, message)

    def finish(self) -> None:
        """Wait for uploads in progress, but not for ever."""
        if wait([upload for upload, _ in self.newest.values()], LAST_SECONDS).not_done:
            self.say(
                f"{self.name} did not get everything within {LAST_SECONDS:.0f} seconds. All is saved here: send the "
                "model with stgan publish."
            )

    def _start(self, function: Callable, *arguments: Any) -> Future:
        future: Future = Future()
        self.queue.put((future, function, arguments))
        return future

    def _work(self) -> None:
        while True:
            future, function, arguments = self.queue.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except BaseException as error:
                    future.set_exception(error)

    def _submit(self, kind: str, folder: Path, message: str) -> None:
        """Upload a copy of the folder: the original may change or disappear before it is sent."""
        if kind in self.newest and self.newest[kind][0].cancel():  # still queued behind a slow upload: older than this
            shutil.rmtree(self.newest[kind][1], ignore_errors=True)
        copy = folder.parent / f"{PARTIAL_PREFIX}push-{next(self.numbers)}"
        target = copy / folder.name if kind == "state" else copy
        try:
            shutil.copytree(folder, target, copy_function=_link_or_copy)
        except (OSError, shutil.Error) as error:  # such as a full disk
            self.say(f"Could not push to {self.name}: {error}. Training continues.")
            return
        self.newest[kind] = (self._start(self._upload, kind, copy, message), copy)

    def _upload(self, kind: str, folder: Path, message: str) -> None:
        api = HfApi()
        try:
            repo_id = api.create_repo(self.name, private=self.private or None, exist_ok=True).repo_id
            where: dict[str, Any] = {"allow_patterns": MODEL_PATTERNS, "delete_patterns": STALE_PATTERNS}
            if kind == "state":
                api.create_branch(repo_id, branch=STATE_BRANCH, exist_ok=True)
                where = {"revision": STATE_BRANCH, "delete_patterns": f"{PREFIX}*"}
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message, **where)
        except Exception as error:  # networks fail in many ways
            self.say(f"Could not push to {self.name}: {explanation(error, self.name)} Training continues.")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> None:
    """Hard-link a file: models and checkpoints are replaced, never modified. Copy it where links are not supported."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def fetch_state(wanted: str, output_dir: Path) -> str:
    """Download a training state ``owner/name@revision`` that a run pushed, unless the output folder already has it.

    Returns:
        The name of the checkpoint in ``output_dir``.

    Raises:
        HubError: it could not be downloaded; the message says why.
        CheckpointError: the repository holds no training state.
    """
    repo_id, revision = wanted.split("@", 1)
    partial = output_dir / f"{PARTIAL_PREFIX}download"
    with explained(wanted):
        snapshot_download(repo_id, revision=revision, allow_patterns=f"{PREFIX}*/*", local_dir=partial)
    checkpoints = list_checkpoints(partial)
    if not checkpoints:
        raise CheckpointError(
            f"{wanted} holds no training state: --push_state_every pushes one, to the branch {STATE_BRANCH}."
        )
    final = output_dir / checkpoints[-1].name
    if not final.exists():
        checkpoints[-1].rename(final)
    shutil.rmtree(partial)
    return final.name
