"""How fast an editor trains on this machine: images a second, share of the chip's matrix rate, energy.

Every row is the whole loop of ``train.py`` (batches, both networks, both optimizers, average) on made-up images, by
recipe fast at 128 px: ``python benchmarks/throughput.py --width 24 --batch_sizes 32 128``. bf16 and float32 are two
calls: ``--mixed_precision no``.
"""

import contextlib
import io
import tempfile
import time

import torch
import tyro
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from stgan.card import device_name
from stgan.data import MemoryDataset
from stgan.training import TrainingConfig
from stgan.training.trainer import Trainer

EXECUTIONS = ("eager", "graphs", "compiled")  # as train.py takes them
WARM_UP = 16  # steps before the clock starts: both kinds of step are recorded by then


class TimedTrainer(Trainer):
    """A run on made-up images that takes the time of its steps instead of measuring and saving a model.

    Args:
        seconds: to measure for; 0 counts the operations of an image instead.
    """

    def __init__(self, config, seconds: float):
        super().__init__(config)
        self.seconds = seconds
        self.figures: dict[str, float] = {}
        self.splits.load = self._made_up_images

    def _made_up_images(self, split, *_, **__):
        random = torch.Generator().manual_seed(0)
        size, attributes = self.config.data.image_size, len(self.attributes)
        images = torch.randint(0, 256, (2048, 3, size, size), dtype=torch.uint8, generator=random)
        return MemoryDataset(images, (torch.rand(2048, attributes, generator=random) < 0.3).float())

    def _run_steps(self):
        interval = self.config.method.penalty_interval
        if not self.seconds:
            with OperationCounter() as counter:
                self._steps(interval)
            self.figures["operations"] = counter.operations / interval / self.schedule.images_per_step
            return
        began = self._clock()
        self._steps(max(WARM_UP, 4 * interval + 1))
        self.figures["warm_up"] = self._clock() - began
        began, energy, steps = self._clock(), energy_used(), 0
        while (passed := self._clock() - began) < self.seconds:
            self._steps(interval)
            steps += interval
        self.figures |= {"images": steps * self.schedule.images_per_step / passed, "step": passed / steps}
        if energy is not None:
            self.figures["joules"] = (energy_used() - energy) / (steps * self.schedule.images_per_step)
        if self.device.type == "cuda":
            self.figures["memory"] = torch.cuda.max_memory_allocated() / 2**30

    def _finish(self):
        return self.output_dir

    def _steps(self, count: int) -> None:
        for _ in range(count):
            self._train_step()

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class OperationCounter(TorchDispatchMode):
    """Counts the operations of convolutions and matrix products; torch's own counter knows no second derivatives."""

    operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        self.operations += formula(*args, **(kwargs or {}), out_val=result) if formula else 0
        return result


def energy_used() -> float | None:
    """Joules that the GPU has used since its driver was loaded; None where nobody counts them."""
    if not torch.cuda.is_available():
        return None
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(0)) / 1000
    except pynvml.NVMLError:  # the driver does not tell
        return None


def matrix_rate(dtype: torch.dtype, size: int = 8192) -> float:
    """Operations a second of a square matrix product on random numbers, the chip's rate in practice."""
    one, other = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))

    def seconds(count: int) -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            one @ other
        torch.cuda.synchronize()
        return time.perf_counter() - began

    seconds(3)
    return 2 * size**3 * 10 / seconds(10)


def measured(config: TrainingConfig, seconds: float) -> dict[str, float]:
    """Figures of one run, see :class:`TimedTrainer`."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = TimedTrainer(config.changed(output_dir=folder), seconds)
        trainer.train()
    figures = trainer.figures
    del trainer
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return figures


def main(
    width: int = 24,
    discriminator_width: int = 64,
    batch_sizes: tuple[int, ...] = (32, 128),
    executions: tuple[str, ...] = EXECUTIONS,
    mixed_precision: str = "bf16",
    seconds: float = 5.0,
) -> None:
    """Print a table, one row for each execution and batch size.

    Args:
        width, discriminator_width: as train.py takes them.
        batch_sizes: images per step.
        executions: eager, graphs or compiled, as train.py takes them. A CPU runs only eager.
        mixed_precision: bf16 or no.
        seconds: length of each measurement.
    """
    if unknown := set(executions) - set(EXECUTIONS):
        raise SystemExit(f"--executions {', '.join(sorted(unknown))}: choose from {', '.join(EXECUTIONS)}.")
    config = TrainingConfig.from_flat(
        width=width, discriminator_width=discriminator_width, mixed_precision=mixed_precision, report_to="none",
        total_images=10**9,
    )  # fmt: skip
    counted = config.changed(batch_size=8, execution="eager")  # of which two are also reconstructed
    operations = measured(counted, 0)["operations"]
    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        executions = ("eager",)
    name = torch.cuda.get_device_name() if on_gpu else device_name(torch.device("cpu"))
    print(f"{name}, torch {torch.__version__}, {mixed_precision=}: {operations / 1e9:.1f} GFLOP an image.")
    rate = None
    if on_gpu:
        rate = matrix_rate(torch.bfloat16 if mixed_precision == "bf16" else torch.float32)
        print(f"A matrix product runs at {rate / 1e12:.0f} TFLOP/s.")
    print("\n| step | batch | images/s | ms a step | TFLOP/s | share of that | J an image | GiB | warm-up, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for execution in executions:
        for batch_size in batch_sizes:
            row = measured(config.changed(batch_size=batch_size, execution=execution), seconds)
            done = row["images"] * operations
            cells = [
                execution,
                str(batch_size),
                f"{row['images']:.0f}",
                f"{1e3 * row['step']:.2f}",
                f"{done / 1e12:.1f}",
                f"{done / rate:.1%}" if rate else "–",
                f"{row['joules']:.3f}" if "joules" in row else "–",
                f"{row['memory']:.1f}" if "memory" in row else "–",
                f"{row['warm_up']:.0f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
