"""The device that networks run on, their precision, how their weights lie in its memory, and forked processes."""

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import cv2
import torch

CHANNELS_LAST: dict[str, Any] = {"memory_format": torch.channels_last}  # missing from torch's types of Module.to
PRECISIONS = {
    "float32": None, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16, "float16": torch.float16,
    "fp16": torch.float16, "half": torch.float16,
}  # fmt: skip


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The requested device; by default the GPU if there is one (CUDA, XPU or MPS), else the CPU.

    A ValueError says so if torch does not know the device, or this machine does not have it.
    """
    if device is None:
        return next(chosen for chosen in map(torch.device, _available()) if _works(chosen) is None)
    reason: Exception | None
    try:
        chosen = torch.device(device)
        reason = _works(chosen)
        if reason is None:
            return chosen
    except (RuntimeError, ModuleNotFoundError) as error:  # the latter of devices that come with a package of their own
        reason = error
    raise ValueError(
        f"The device {device} cannot be used here ({str(reason).splitlines()[0][:200]}). Choose another, such as cpu."
    ) from reason


def _available() -> list[str]:
    found = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.backends.mps}
    return [*(name for name, module in found.items() if module.is_available()), "cpu"]


def _works(device: torch.device) -> Exception | None:
    """Why nothing can be put on the device; None if it works."""
    try:
        torch.empty(0, device=device).cpu()  # back again, which the device without memory, meta, cannot
    except (RuntimeError, AssertionError) as error:  # torch raises either, depending on its build
        return error
    return None


def chosen_precision(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """The reduced precision that is asked for; None for float32. A ValueError names the choices."""
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    if name not in PRECISIONS:
        raise ValueError(f"The precision {dtype} is not known: use float32, bfloat16 or float16.")
    return PRECISIONS[name]


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager:
    """Within it, networks compute in the reduced precision where that is safe; None changes nothing."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


@cache
def survive_forks() -> None:
    """Let forked processes use networks and OpenCV: without this they would wait for ever for threads, which a fork
    leaves behind. A forked process computes on one core."""
    if not hasattr(os, "register_at_fork"):  # Windows
        return
    threads = [cv2.getNumThreads()]

    def before() -> None:
        threads[:] = [cv2.getNumThreads()]
        cv2.setNumThreads(1)

    os.register_at_fork(
        before=before,
        after_in_parent=lambda: cv2.setNumThreads(threads[0]),
        after_in_child=lambda: torch.set_num_threads(1),
    )
