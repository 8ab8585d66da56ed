"""Where networks run."""

import torch


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or by default the GPU where there is one.

    Raises:
        ValueError: torch knows no such device, or it is not in this machine.
    """
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # what torch raises depends on what it was built with
        reason = str(error).splitlines()[0]
        raise ValueError(f"The device {device} cannot be used here ({reason}): name another, such as cpu.") from error
    return chosen
