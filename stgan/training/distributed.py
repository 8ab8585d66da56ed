"""What several processes need beyond what accelerate does for them."""

import os

from accelerate import Accelerator
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def check_processes(accelerator: Accelerator) -> None:
    """Raise a ValueError where the launcher started several processes and each believes that it is alone.

    ``accelerate launch --multi_gpu`` does so on a machine without GPUs: every process would train the same model and
    overwrite the others' files.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != accelerator.num_processes:
        raise ValueError(
            f"{started} processes were started, but no GPU was found for them and they do not know of each other. For "
            "several processes on the CPU: ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 …"
        )


def keep_own_buffers(network: nn.Module) -> None:
    """Let each process keep its own BatchNorm statistics during a step, where the network is distributed.

    D runs several times a step, and the buffers must not be overwritten between two of its passes. As an attribute,
    since the argument's name depends on torch's version.
    """
    if isinstance(network, DistributedDataParallel):
        network.broadcast_buffers = False
