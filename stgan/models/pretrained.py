"""What all models share: saved as ``config.json`` + ``model.safetensors``, loaded strictly, nothing ever unpickled."""

import inspect
import json
import os
from pathlib import Path
from typing import Any

import safetensors
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from safetensors.torch import load_file
from torch import nn

from stgan.hub.errors import CONNECTION_ERRORS

DOWNLOAD_SETTINGS = ("revision", "token", "cache_dir", "local_files_only", "force_download")


class ModelFolderError(ValueError):
    """A model folder or Hub repository that cannot be loaded as the model asked for. The message says what differs."""


def read_config(folder_or_hub_id: str | os.PathLike, **download: Any) -> dict[str, Any]:
    """The ``config.json`` of a local model folder or of a Hub repository.

    Raises:
        ModelFolderError: there is none, or it is damaged.
    """
    folder = Path(folder_or_hub_id)
    if not folder.is_dir():
        file = _download(str(folder_or_hub_id), CONFIG_NAME, **download)
    elif not (file := folder / CONFIG_NAME).is_file():
        raise ModelFolderError(f"{folder} has no {CONFIG_NAME}: it is not a model saved by save_pretrained.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFolderError(f"{file} is damaged ({error}). Download or copy it again.") from error
    if not isinstance(config, dict):
        raise ModelFolderError(f"{file} does not hold the settings of a model. Download or copy it again.")
    return config


def _download(repo_id: str, name: str, **download: Any) -> Path:
    try:
        return Path(hf_hub_download(repo_id, name, **download))
    except (*CONNECTION_ERRORS, ValueError) as error:  # not there, no network, or no name that a repository could have
        raise ModelFolderError(
            f"There is no folder {repo_id}, and no {name} could be had from the Hub ({error})."
        ) from error


class PretrainedModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="stgan",
    pipeline_tag="image-to-image",
    license="other",
    tags=["face-editing", "arxiv:1904.09709"],
):
    """Base of every network here: an ``nn.Module`` with ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``.

    ``config`` holds the arguments that the model was built with. Weights may be stored in half precision; they are
    loaded into the model's own precision (float32).
    """

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as stored in ``config.json``."""
        return dict(self._hub_mixin_config)

    def parameter_count(self) -> int:
        """Number of trainable values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _save_pretrained(self, save_directory: Path) -> None:
        super()._save_pretrained(save_directory)
        config = {"architecture": type(self).__name__, **self.config}
        (save_directory / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **settings: Any) -> "PretrainedModel":
        """Load a model folder or Hub repository, strictly, in evaluation mode.

        Args:
            pretrained_model_name_or_path: local folder or ``owner/name``.
            settings: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download`` of a download;
                ``map_location``, the device; or any argument of the model, in place of the stored one.

        Raises:
            ModelFolderError: there is no such model, or it does not fit; the message says what differs.
        """
        download = {name: settings[name] for name in DOWNLOAD_SETTINGS if name in settings}
        cls._check_config(str(pretrained_model_name_or_path), read_config(pretrained_model_name_or_path, **download))
        return super().from_pretrained(pretrained_model_name_or_path, **settings)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str = "cpu",
        **model_kwargs: Any,
    ) -> "PretrainedModel":
        if Path(model_id).is_dir():
            weights = Path(model_id) / SAFETENSORS_SINGLE_FILE
        else:
            weights = _download(
                model_id,
                SAFETENSORS_SINGLE_FILE,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        try:
            model = cls(**model_kwargs)
        except (TypeError, ValueError) as error:
            raise ModelFolderError(f"{model_id}/{CONFIG_NAME} does not describe a {cls.__name__}: {error}") from error
        model._load_weights(weights, model_id)
        return model.to(map_location).eval()

    @classmethod
    def _check_config(cls, model_id: str, config: dict[str, Any]) -> None:
        """Refuse a folder that describes another architecture, or has settings this version does not know."""
        architecture = config.get("architecture", cls.__name__)
        if architecture != cls.__name__:
            raise ModelFolderError(
                f"{model_id} holds a model of type {architecture}, not {cls.__name__}: "
                f"load it with {architecture}.from_pretrained, or with stgan.models.load_generator for any editor."
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
    """What one model's settings have in place of another's; empty where the weights of both mean the same."""
    new, saved = (
        {"architecture": type(model).__name__, **model.config, "attributes": list(model.config.get("attributes", ()))}
        for model in (ours, theirs)
    )
    free = {"norm_decay", "use_regions"}  # how training averages and where edits may reach, not what the weights mean
    names = sorted(name for name in (new.keys() | saved.keys()) - free if new.get(name) != saved.get(name))
    return ", ".join(f"{name} {saved.get(name)} instead of {new.get(name)}" for name in names)
