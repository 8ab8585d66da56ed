"""Ways to the same result, timed in turn in one run."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy
import PIL
import torch


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every way in each round, after one round to warm up.

    On one thread, seconds of the processor: other programs on the machine then count only as far as they take cache and
    memory. On several threads, seconds that pass.
    """
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):
        for name, way in ways.items():
            began = clock()
            way()
            if round_number:
                times[name].append(clock() - began)
    return times


def ratio(times: Mapping[str, list[float]], way: str, other: str, share: float = 1.0) -> float:
    """The median over the rounds of a way's time, as a multiple of another's times ``share``."""
    return statistics.median(a / b / share for a, b in zip(times[way], times[other], strict=True))


def median_ms(times: list[float]) -> str:
    """The median of seconds, in milliseconds."""
    return f"{1000 * statistics.median(times):.1f}"


def check_close(name: str, ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> float:
    """The largest difference between two results; a RuntimeError where it exceeds the tolerance."""
    error = float((ours - theirs).abs().max())
    if not error <= tolerance:  # true for NaN too
        raise RuntimeError(f"{name}: results differ by {error:.1e}, more than {tolerance:.0e}. Nothing was timed.")
    return error


def conditions() -> str:
    """The machine, its load and the versions, in one sentence."""
    processor = platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        models = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        processor = models[0].partition(":")[2].strip() if models else processor
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    threads = torch.get_num_threads()
    clock = "seconds of the processor" if threads == 1 else "seconds that pass"
    return (
        f"{processor} ({torch.backends.cpu.get_cpu_capability()}), {os.cpu_count()} cores{load}; {threads} thread"
        f"{'s' * (threads > 1)}, {clock}; Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {numpy.__version__}, Pillow {PIL.__version__}"
    )
