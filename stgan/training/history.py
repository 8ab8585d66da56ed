"""The history of a model's weights: images, steps, minutes, devices and commands of every run that trained them."""

import time
from typing import Any

from stgan.card import TRAINING_FILE, training_record
from stgan.models import fetch_model_folder
from stgan.models.pretrained import read_config
from stgan.models.registry import ARCHITECTURES, companions
from stgan.training.config import TrainingConfig

DEVICE_SEPARATOR = ", then "  # between the devices that trained a model one after another


class History:
    """What the weights have been through: the record of the initial model, then this run.

    Args:
        model: kind of network that is trained, such as ``stgan`` or ``classifier``.
        initial_model: folder or Hub id of the network to start from, or of an editor that it lies beside.
        command: of this run.
        device: name of this run's.
    """

    def __init__(self, model: str, initial_model: str | None, command: str, device: str):
        record = _training_record(model, initial_model) if initial_model else {}
        self.command, self.device = command, device
        self.initial_images: int = record.get("images_seen", 0)
        self.initial_steps: int = record.get("steps", 0)
        self.earlier_minutes: float = record.get("minutes", 0.0)
        self.devices = _append_device(record.get("device", ""), device)
        self.commands = [*record.get("commands", []), {"from_image": self.initial_images, "command": command}]
        self.trained_config: dict[str, Any] | None = None  # of a checkpoint that was complete already
        self.started = time.monotonic()

    @property
    def minutes(self) -> float:
        """Training time so far, validation and earlier runs included."""
        return self.earlier_minutes + (time.monotonic() - self.started) / 60

    def resume(self, progress: dict[str, Any], config: TrainingConfig, complete: bool) -> None:
        """Continue the history of a checkpoint. To a ``complete`` one, this run adds nothing."""
        self.initial_images, self.initial_steps = (progress.get(f"initial_{unit}", 0) for unit in ("images", "steps"))
        self.earlier_minutes = progress.get("minutes", 0.0)
        devices, self.commands = progress.get("devices", ""), progress["commands"]
        if complete:
            self.devices = devices or self.devices
            self.trained_config = TrainingConfig.from_record(progress["config"]).record()
            return
        self.devices = _append_device(devices, self.device)
        changed = progress.get("changed")
        if changed or self.commands[-1]["command"] != self.command:
            images = self.initial_images + progress["images_seen"]
            entry = {"from_image": images, "command": self.command}
            self.commands = [*self.commands, entry | ({"changed": changed} if changed else {})]

    def progress(self) -> dict[str, Any]:
        """Entries for a checkpoint's progress file."""
        names = ("initial_images", "initial_steps", "minutes", "devices", "commands")
        return {name: getattr(self, name) for name in names}

    def record(
        self, images: int, steps: int, config: TrainingConfig, attributes: tuple[str, ...], **facts: Any
    ) -> dict[str, Any]:
        """Contents of the model folder's training record after so many images and steps of this run."""
        return {
            "commands": self.commands,
            "images_seen": self.initial_images + images,
            "steps": self.initial_steps + steps,
            "minutes": round(self.minutes, 1),
            "device": self.devices,
            **facts,
            "config": (self.trained_config or config.record()) | {"attributes": list(attributes)},
        }


def _training_record(model: str, initial_model: str) -> dict[str, Any]:
    part = ""
    architecture = read_config(initial_model).get("architecture")
    if model in companions() and architecture in ARCHITECTURES and ARCHITECTURES[architecture].kind != model:
        part = f"{model}/"  # the network beside an editor has a record of its own
    folder = fetch_model_folder(initial_model, companions=(), records=(f"{part}{TRAINING_FILE}",))
    return training_record(folder / part)


def _append_device(devices: str, device: str) -> str:
    names = devices.split(DEVICE_SEPARATOR) if devices else []
    return DEVICE_SEPARATOR.join(names if names[-1:] == [device] else [*names, device])
