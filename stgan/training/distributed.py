"""Additions to accelerate for runs of several processes."""

import os

from accelerate import Accelerator
from torch import nn
from torch.nn.parallel import DistributedDataParallel


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


def keep_own_buffers(network: nn.Module) -> None:
    """Keep BatchNorm statistics of a distributed network separate in each process during a step.

    D runs several times per step, and its buffers must not be overwritten between two passes. This sets the attribute,
    because the argument's name depends on torch's version.
    """
    if isinstance(network, DistributedDataParallel):
        network.broadcast_buffers = False
