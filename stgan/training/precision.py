"""Which number format a device trains quickly in."""

import warnings

import torch

CPU_BF16 = ("amx_bf16", "avx512_bf16", "bf16")  # instructions, as torch.cpu.get_capabilities names them


def resolve_precision(wanted: str, device: torch.device) -> str:
    """``bf16`` or ``no`` for what ``--mixed_precision`` says: ``auto``, ``bf16`` or ``no``.

    A processor without instructions for bf16 computes it piece by piece, some fifteen times slower than float32;
    ``auto`` takes bf16 only where there are some. Who asks for bf16 all the same gets it, and a warning.
    """
    if wanted == "no" or (wanted == "bf16" and device.type != "cpu"):
        return wanted
    if has_bf16(device):
        return "bf16"
    if wanted == "bf16":
        warnings.warn(
            "This processor has no instructions for bf16: training will be many times slower than with "
            "--mixed_precision no (or auto, which looks for itself).",
            stacklevel=2,
        )
    return "no" if wanted == "auto" else wanted


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bf16. A processor of which torch cannot tell counts as one that does not."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name, False) for name in CPU_BF16)
    return False
