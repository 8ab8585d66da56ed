"""The number format that a device trains fastest in."""

import warnings

import torch

CPU_BF16 = ("amx_bf16", "avx512_bf16", "bf16")  # instruction sets, as torch.cpu.get_capabilities names them


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
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name, False) for name in CPU_BF16)
    return False
