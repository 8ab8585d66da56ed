"""Checks of a Hub repository before anything is sent to it: its owner, and whether another project uses it."""

import json
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi
from huggingface_hub.constants import CONFIG_NAME
from huggingface_hub.hf_api import RepoFile

from stgan.hub.errors import HubError

CARD = "README.md"


class TakenError(HubError):
    """A repository that must not be written to. The message says why and what to do."""


def full_name(api: HfApi, repo: str) -> str:
    """``owner/name`` of a repository. A bare name belongs to the account of the token, which the Hub is asked for."""
    owner = api.whoami()["name"]
    return repo if "/" in repo else f"{owner}/{repo}"


def check_private(api: HfApi, repo: str, repo_type: str = "model") -> None:
    """Raise a TakenError where a repository that should be private is public."""
    if not api.repo_info(repo, repo_type=repo_type).private:
        raise TakenError(
            f"{repo} already exists and is public: make it private in its settings, or push without the option."
        )


def list_files(api: HfApi, repo: str, repo_type: str = "model", revision: str | None = None) -> dict[str, RepoFile]:
    """The files of a repository: path to the Hub's record of it."""
    entries = api.list_repo_tree(repo, repo_type=repo_type, revision=revision, recursive=True)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def check_same_project(
    api: HfApi, repo: str, files: Collection[str], there: Collection[str], repo_type: str = "model",
    revision: str | None = None,
) -> None:  # fmt: skip
    """Raise a TakenError where a repository holds something else than the files to send.

    Any repository may have a card and ``.gitattributes``. A ``config.json`` must belong to a model of this project.
    """
    others = set(there) - {CARD, ".gitattributes"}
    foreign = others and others.isdisjoint(files)
    if CONFIG_NAME in others and CONFIG_NAME in files:
        with TemporaryDirectory() as folder:
            file = api.hf_hub_download(repo, CONFIG_NAME, repo_type=repo_type, revision=revision, local_dir=folder)
            foreign = foreign or "architecture" not in json.loads(Path(file).read_text(encoding="utf-8"))
    if foreign:
        raise TakenError(
            f"The name {repo} is taken by something else ({', '.join(sorted(others)[:3])}). Choose another name, or "
            "empty that repository first."
        )
