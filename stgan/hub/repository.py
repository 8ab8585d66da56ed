"""A repository on the Hub, before anything is sent to it: whose it is, and whether it is another project's."""

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
    """A repository that must not be written to as it is. The message says why, and what to do."""


def full_name(api: HfApi, repo: str) -> str:
    """``owner/name`` of a repository; a bare name is one of the account's own. Asks the Hub, which needs a token."""
    owner = api.whoami()["name"]
    return repo if "/" in repo else f"{owner}/{repo}"


def check_private(api: HfApi, repo: str, repo_type: str = "model") -> None:
    """Raise a TakenError where a repository is public, which was asked for as a private one."""
    if not api.repo_info(repo, repo_type=repo_type).private:
        raise TakenError(f"{repo} is there already and public: make it private in its settings, or push it as is.")


def list_files(api: HfApi, repo: str, repo_type: str = "model", revision: str | None = None) -> dict[str, RepoFile]:
    """Path of each file of a repository to what the Hub says of it."""
    entries = api.list_repo_tree(repo, repo_type=repo_type, revision=revision, recursive=True)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def check_same_project(
    api: HfApi, repo: str, files: Collection[str], there: Collection[str], repo_type: str = "model",
    revision: str | None = None,
) -> None:  # fmt: skip
    """Raise a TakenError where a repository's files have nothing to do with those that are to be sent.

    A card and ``.gitattributes`` any may have; a ``config.json`` must be of a model of this project.
    """
    others = set(there) - {CARD, ".gitattributes"}
    foreign = others and others.isdisjoint(files)
    if CONFIG_NAME in others and CONFIG_NAME in files:
        with TemporaryDirectory() as folder:
            file = api.hf_hub_download(repo, CONFIG_NAME, repo_type=repo_type, revision=revision, local_dir=folder)
            foreign = foreign or "architecture" not in json.loads(Path(file).read_text(encoding="utf-8"))
    if foreign:
        raise TakenError(
            f"The name {repo} is taken by something else ({', '.join(sorted(others)[:3])}): choose another name, or "
            "empty that repository first."
        )
