"""Processes and number formats: what a run takes over from the way it is launched."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from stgan.data.errors import check_worker
from stgan.training.stopping import TrainingError

LOST = r"(?i)connection (closed|reset|refused)|broken pipe|remote process exited|socket closed"
"""What gloo and NCCL say when the other end is gone."""
CPU_BF16 = ("amx_bf16", "avx512_bf16", "bf16")  # instruction sets, as torch.cpu.get_capabilities names them


def check_processes(accelerator: Accelerator) -> None:
    """Raise a ValueError if several processes were launched that do not form a group.

    ``accelerate launch --multi_gpu`` does this on a machine without GPUs: every process would train the same model
    and overwrite the others' files.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != accelerator.num_processes:
        raise ValueError(
            f"{started} processes were started, but they are not connected, because no GPU was found. For several "
            "processes on the CPU: ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 …"
        )


@contextmanager
def surviving_processes(accelerator: Accelerator) -> Iterator[None]:
    """Turn the error of a process whose partner, or whose reader of images, has died into one that says so."""
    try:
        yield
    except RuntimeError as error:
        check_worker(error)
        if accelerator.num_processes == 1 or not re.search(LOST, str(error)):
            raise
        raise TrainingError(
            "Another process of this run ended, perhaps because memory ran out; its own message is above. Continue "
            "with --resume_from_checkpoint latest."
        ) from error


def keep_own_buffers(network: nn.Module) -> None:
    """Keep BatchNorm statistics of a distributed network separate in each process during a step.

    D runs several times per step, and its buffers must not be overwritten between two passes. This sets the attribute,
    because the argument's name depends on torch's version.
    """
    if isinstance(network, DistributedDataParallel):
        network.broadcast_buffers = False


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Resolve ``--mixed_precision``, which is ``auto``, ``bf16`` or ``no``, to ``bf16`` or ``no``.

    A processor without bf16 instructions emulates them, about fifteen times slower than float32. There, ``auto`` means
    ``no``, and ``bf16`` warns.
    """
    if wanted == "no" or (wanted == "bf16" and device.type != "cpu"):
        return wanted
    if has_bf16(device):
        return "bf16"
    if wanted == "bf16":
        warnings.warn(
            "This processor has no bf16 instructions: training will be many times slower than with "
            "--mixed_precision no (or auto, which detects this).",
            stacklevel=2,
        )
    return "no" if wanted == "auto" else wanted


def has_bf16(device: torch.device) -> bool:
    """Whether a device has bf16 instructions; False for a processor that torch cannot query."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name, False) for name in CPU_BF16)
    return False
