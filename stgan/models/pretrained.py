"""Base class of all networks: saved as ``config.json`` and ``model.safetensors``, loaded strictly, never pickled."""

import inspect
import json
import os
from pathlib import Path
from typing import Any, TypeVar, cast

import safetensors
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from safetensors.torch import load_file
from torch import nn

from stgan.hub.errors import CONNECTION_ERRORS

DOWNLOAD_SETTINGS = ("revision", "token", "cache_dir", "local_files_only", "force_download")
DOWNLOAD_ERRORS: tuple[type[BaseException], ...] = (*CONNECTION_ERRORS, ValueError)  # ValueError: no valid name
Model = TypeVar("Model", bound="PretrainedModel")


class ModelFolderError(ValueError):
    """A model folder or Hub repository that cannot be loaded. The message says why and what to do."""


def read_config(folder_or_hub_id: str | os.PathLike, **download: Any) -> dict[str, Any]:
    """The ``config.json`` of a local model folder or of a Hub repository.

    Raises:
        ModelFolderError: there is none, or it is damaged.
    """
    folder = Path(os.path.expanduser(folder_or_hub_id))
    if not folder.is_dir():
        file = _download(str(folder_or_hub_id), CONFIG_NAME, **download)
    elif not (file := folder / CONFIG_NAME).is_file():
        raise ModelFolderError(f"{folder} has no {CONFIG_NAME}: it is not a model folder written by save_pretrained.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFolderError(f"{file} is damaged ({error}). Download or copy it again.") from error
    if not isinstance(config, dict):
        raise ModelFolderError(f"{file} does not hold a model's settings. Download or copy it again.")
    return config


def _download(repo_id: str, name: str, **download: Any) -> Path:
    try:
        return Path(hf_hub_download(repo_id, name, **download))
    except DOWNLOAD_ERRORS as error:
        raise ModelFolderError(
            f"There is no folder {repo_id}, and {name} could not be downloaded from the Hub ({error})."
        ) from error


class PretrainedModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="stgan",
    pipeline_tag="image-to-image",
    license="other",
    tags=["face-editing", "arxiv:1904.09709"],
):
    """Base class of every network: an ``nn.Module`` with ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``.

    Weights may be stored in half precision. They are loaded into the model's own precision (float32).
    """

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as stored in ``config.json``."""
        return dict(cast(dict[str, Any], self._hub_mixin_config))

    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        config = {"architecture": type(self).__name__, **self.config}
        (save_directory / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls: type[Model], pretrained_model_name_or_path: str | os.PathLike, **settings: Any) -> Model:
        """Load a model folder or Hub repository, strictly, in evaluation mode.

        Args:
            pretrained_model_name_or_path: local folder (``~`` is expanded) or ``owner/name``.
            settings: options of the download (``revision``, ``token``, ``cache_dir``, ``local_files_only``,
                ``force_download``), ``map_location`` (the device), or arguments of the model that replace stored ones.

        Raises:
            ModelFolderError: there is no such model, or it does not fit this class; the message says what differs.
        """
        name = os.path.expanduser(pretrained_model_name_or_path)
        download = {key: settings[key] for key in DOWNLOAD_SETTINGS if key in settings}
        cls._check_config(name, read_config(name, **download))
        return super().from_pretrained(name, **settings)

    @classmethod
    def _from_pretrained(cls: type[Model], *, model_id: str, map_location: str = "cpu", **settings: Any) -> Model:
        download = {name: settings.pop(name) for name in DOWNLOAD_SETTINGS}
        weights = Path(model_id) / SAFETENSORS_SINGLE_FILE
        if not Path(model_id).is_dir():
            weights = _download(model_id, SAFETENSORS_SINGLE_FILE, **download)
        try:
            model = cls(**settings)
        except (TypeError, ValueError) as error:
            raise ModelFolderError(f"{model_id}/{CONFIG_NAME} does not describe a {cls.__name__}: {error}") from error
        model._load_weights(weights, model_id)
        return model.to(map_location).eval()

    @classmethod
    def _check_config(cls, model_id: str, config: dict[str, Any]) -> None:
        """Raise a ModelFolderError if the folder has another architecture, or settings unknown to this version."""
        architecture = config.get("architecture", cls.__name__)
        if architecture != cls.__name__:
            raise ModelFolderError(
                f"{model_id} holds a model of type {architecture}, not {cls.__name__}: "
                f"load it with {architecture}.from_pretrained, or any editor with stgan.models.load_generator."
            )
        unknown = sorted(set(config) - set(inspect.signature(cls.__init__).parameters) - {"architecture"})
        if unknown:
            raise ModelFolderError(
                f"{model_id}/{CONFIG_NAME} has settings that this version of stgan does not know: "
                f"{', '.join(unknown)}. It was probably saved by a newer version: upgrade stgan."
            )

    def _load_weights(self, weights: Path, model_id: str) -> None:
        """Load a safetensors file strictly, or raise a ModelFolderError that names every difference."""
        if not weights.is_file():
            raise ModelFolderError(f"{model_id} has no {SAFETENSORS_SINGLE_FILE}: download or save it again.")
        try:
            stored = load_file(weights)
        except (safetensors.SafetensorError, OSError) as error:
            raise ModelFolderError(
                f"{weights} is damaged ({error}). Delete it and download or copy it again."
            ) from error
        expected = self.state_dict()
        differences = [f"missing: {name}" for name in sorted(expected.keys() - stored.keys())]
        differences += [f"unexpected: {name}" for name in sorted(stored.keys() - expected.keys())]
        differences += [
            f"{name} has shape {tuple(stored[name].shape)}, expected {tuple(expected[name].shape)}"
            for name in expected
            if name in stored and stored[name].shape != expected[name].shape
        ]
        if differences:
            shown = "\n  ".join(differences[:8]) + ("\n  …" if len(differences) > 8 else "")
            raise ModelFolderError(
                f"The weights in {model_id} do not fit {type(self).__name__} as its {CONFIG_NAME} describes it "
                f"({len(differences)} differences):\n  {shown}"
            )
        self.load_state_dict(stored)


def settings_differences(ours: PretrainedModel, theirs: PretrainedModel) -> str:
    """How the settings of two models differ, in words; empty where one can load the other's weights."""
    new, saved = (
        {"architecture": type(model).__name__, **model.config, "attributes": list(model.config.get("attributes", ()))}
        for model in (ours, theirs)
    )
    free = {"norm_decay", "use_regions"}  # these change training and where edits may reach, but no weight's meaning
    names = sorted(name for name in (new.keys() | saved.keys()) - free if new.get(name) != saved.get(name))
    return ", ".join(f"{name} {saved.get(name)} instead of {new.get(name)}" for name in names)
