"""The device that networks run on, and how their weights lie in its memory."""

from typing import Any

import torch

CHANNELS_LAST: dict[str, Any] = {"memory_format": torch.channels_last}  # missing from torch's types of Module.to


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The requested device; by default the GPU if there is one, else the CPU.

    A ValueError says so if torch does not know the device, or this machine does not have it.
    """
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch raises either, depending on its build
        reason = str(error).splitlines()[0]
        raise ValueError(f"The device {device} cannot be used here ({reason}). Choose another, such as cpu.") from error
    return chosen
