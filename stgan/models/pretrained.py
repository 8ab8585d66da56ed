"""Base class of all networks: saved as ``config.json`` and ``model.safetensors``, loaded strictly, never pickled."""

import inspect
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import safetensors
from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors.torch import load_file
from torch import nn

from stgan.hub.errors import CONNECTION_ERRORS
from stgan.models.settings import check_settings, limited_by

DOWNLOAD_SETTINGS = ("revision", "token", "cache_dir", "local_files_only", "force_download")
NETWORK_FILES = (CONFIG_NAME, SAFETENSORS_SINGLE_FILE)
Model = TypeVar("Model", bound="PretrainedModel")


class ModelFolderError(ValueError):
    """A model folder or Hub repository that cannot be loaded. The message says why and what to do."""


def fetch_files(folder_or_hub_id: str | os.PathLike, files: Sequence[str], **download: Any) -> Path:
    """A local folder (``~`` is expanded) as it is, or these files of a Hub repository in the cache.

    Raises:
        ModelFolderError: there is no such folder or repository, or the Hub is out of reach and nothing is cached.
    """
    folder = Path(os.path.expanduser(folder_or_hub_id))
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(str(folder_or_hub_id), allow_patterns=list(files), **download))
    except HFValidationError as error:
        raise ModelFolderError(
            f"{folder_or_hub_id} is neither a folder nor a Hub id of the form owner/name."
        ) from error
    except CONNECTION_ERRORS as error:
        raise ModelFolderError(f"{folder_or_hub_id} {_download_failure(error)}") from error


def _download_failure(error: BaseException) -> str:
    refusal = next((each for each in (error, error.__cause__) if isinstance(each, HfHubHTTPError)), None)
    if refusal is None or refusal.response.status_code >= 500:
        return (
            "is not in the cache, and the Hub cannot be reached. Connect to the network, or pass the path of a local "
            "folder."
        )
    return (
        f"could not be downloaded ({str(refusal).splitlines()[0]}). Check its name, its revision and, if it is "
        "private, that you are logged in (hf auth login)."
    )


def read_config(folder_or_hub_id: str | os.PathLike) -> dict[str, Any]:
    """The ``config.json`` of a model folder or Hub repository. A ModelFolderError says if it is missing or damaged."""
    file = fetch_files(folder_or_hub_id, [CONFIG_NAME]) / CONFIG_NAME
    if not file.is_file():
        raise ModelFolderError(
            f"{file.parent} has no {CONFIG_NAME}: it is not a model folder written by save_pretrained."
        )
    return read_object(file, "a model's settings")


def read_object(file: Path, content: str) -> dict[str, Any]:
    """The object in a JSON file. A ModelFolderError says if the file is damaged or does not hold ``content``."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # JSON may hold half a character, which no file can
    except (ValueError, OSError, RecursionError) as error:
        raise ModelFolderError(f"{file} is damaged ({error}). Download or copy it again.") from error
    if not isinstance(value, dict):
        raise ModelFolderError(f"{file} does not hold {content}. Download or copy it again.")
    return value


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
        download = {key: settings.pop(key) for key in DOWNLOAD_SETTINGS if key in settings}
        folder = fetch_files(pretrained_model_name_or_path, NETWORK_FILES, **download)
        cls._check_config(str(folder), read_config(folder))
        return super().from_pretrained(str(folder), **settings)

    @classmethod
    def _from_pretrained(cls: type[Model], *, model_id: str, map_location: str = "cpu", **settings: Any) -> Model:
        for name in DOWNLOAD_SETTINGS:
            del settings[name]  # the folder is local by now
        weights = Path(model_id) / SAFETENSORS_SINGLE_FILE
        if not weights.is_file():
            raise ModelFolderError(f"{model_id} has no {SAFETENSORS_SINGLE_FILE}: download or save it again.")
        try:
            check_settings(cls, settings)
            with limited_by(weights):
                model = cls(**settings)
        except (TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:  # torch: out of memory
            raise ModelFolderError(f"{model_id}/{CONFIG_NAME} does not describe a {cls.__name__}: {error}") from error
        model._load_weights(weights)
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

    def _load_weights(self, weights: Path) -> None:
        try:
            self.load_state_dict(load_file(weights))
        except (safetensors.SafetensorError, OSError) as error:
            raise ModelFolderError(
                f"{weights} is damaged ({error}). Delete it and download or copy it again."
            ) from error
        except RuntimeError as error:
            raise ModelFolderError(f"The weights in {weights.parent} do not fit its {CONFIG_NAME}. {error}") from error


def settings_differences(ours: PretrainedModel, theirs: PretrainedModel) -> str:
    """How the settings of two models differ, in words; empty where one can load the other's weights."""
    new, saved = (
        {"architecture": type(model).__name__, **model.config, "attributes": list(model.config.get("attributes", ()))}
        for model in (ours, theirs)
    )
    free = {"norm_decay", "use_regions"}  # these change training and where edits may reach, but no weight's meaning
    names = sorted(name for name in (new.keys() | saved.keys()) - free if new.get(name) != saved.get(name))
    return ", ".join(f"{name} {saved.get(name)} instead of {new.get(name)}" for name in names)
