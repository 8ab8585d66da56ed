"""A model folder: an editor at its root, and its companions (``classifier/``, ``aligner/``, …) in subfolders.

:data:`stgan.models.registry.KINDS` lists the companions. Editing photos downloads only those that editing uses.
"""

import os
from pathlib import Path
from typing import Any

from stgan.models import registry
from stgan.models.generator import Generator
from stgan.models.pretrained import NETWORK_FILES, ModelFolderError, fetch_files, read_config


def load_generator(folder_or_hub_id: str | os.PathLike, **download: Any) -> Generator:
    """Load the editor of a model folder or Hub repository. Arguments and errors as for :func:`load_network`."""
    return load_network(folder_or_hub_id, "editor", **download)


def load_network(folder_or_hub_id: str | os.PathLike, kind: str, **download: Any) -> Any:
    """Load the network at the root of a folder or Hub repository, whichever architecture of its kind it has.

    Args:
        kind: see :data:`stgan.models.registry.KINDS`.
        folder_or_hub_id, download: see :func:`fetch_model_folder`.

    Raises:
        ModelFolderError: there is no network of this kind, it is damaged, or this version does not know it.
    """
    folder = fetch_model_folder(folder_or_hub_id, companions=(), **download)
    return _load(folder, str(folder_or_hub_id), kind)


def load_companion(folder_or_hub_id: str | os.PathLike, kind: str, **download: Any) -> Any:
    """Load one of the networks that lie beside an editor, such as its ``classifier``.

    Returns:
        The network, or None if the folder has none and an editor can do without it.

    Raises:
        ModelFolderError: there is no such folder or repository, it lacks a companion that every editor needs, or the
            companion is damaged.
    """
    folder = fetch_model_folder(folder_or_hub_id, companions=(kind,), **download) / kind
    if folder.is_dir():
        return _load(folder, f"{folder_or_hub_id}/{kind}", kind)
    if registry.KINDS[kind].missing:
        raise ModelFolderError(f"{folder_or_hub_id} has no {kind} folder. {registry.KINDS[kind].missing}")
    return None


def _load(folder: Path, name: str, kind: str) -> Any:
    architecture = read_config(folder).get("architecture")
    known = registry.of_kind(kind)
    if not isinstance(architecture, str) or architecture not in known:
        article = "an" if kind[0] in "aeiou" else "a"
        what = str(architecture or "no named architecture")[:100]
        raise ModelFolderError(f"{name} holds {what}, not {article} {kind} ({', '.join(known)}).")
    return known[architecture].model.from_pretrained(folder)


def fetch_model_folder(
    folder_or_hub_id: str | os.PathLike,
    *,
    companions: tuple[str, ...] | None = None,
    records: tuple[str, ...] = (),
    **download: Any,
) -> Path:
    """A local folder as it is, or the files that an editor needs from a Hub repository, downloaded to the cache.

    Args:
        folder_or_hub_id: local folder (``~`` is expanded) or ``owner/name``.
        companions: kinds of network needed besides the editor; by default those that editing uses.
        records: names of other files needed.
        download: ``revision``, ``token``, ``cache_dir``, … of ``huggingface_hub.snapshot_download``.

    Raises:
        ModelFolderError: there is no such folder or repository, or the Hub is out of reach and nothing is cached.
    """
    kinds = registry.companions("editing") if companions is None else companions
    files = [*NETWORK_FILES, *records, *(f"{kind}/{name}" for kind in kinds for name in NETWORK_FILES)]
    return fetch_files(folder_or_hub_id, files, **download)
