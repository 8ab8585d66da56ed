"""How fast an editor trains on a CPU, against the paper's loop at equal updates.

python benchmarks/training_speed.py [--width 24] [--batch_size 8] [--rounds 3]
"""

import contextlib
import io
import tempfile

import torch
import tyro
from textbook import TextbookSTGAN, TextbookTraining
from throughput import TimedTrainer
from timing import check_close, conditions, interleaved, median_ms, ratio

from stgan.evaluation.tables import table
from stgan.models import STGAN
from stgan.training import TrainingConfig

PAPER_CRITIC_STEPS = 5


class ComparedTrainer(TimedTrainer):
    """Times its steps and those of the paper's loop in turn."""

    def __init__(self, config: TrainingConfig, rounds: int):
        super().__init__(config, seconds=0)
        self.rounds = rounds
        self.times: dict[str, list[float]] = {}

    def _run_steps(self) -> None:
        config, batch = self.config, self.config.schedule.batch_size
        size, width = config.data.image_size, config.generator.width
        textbook = TextbookTraining(self.attributes, size, width, config.discriminator.discriminator_width)
        random = torch.Generator().manual_seed(0)
        images = torch.rand(batch, 3, size, size, generator=random) * 2 - 1
        labels = (torch.rand(batch, len(self.attributes), generator=random) < 0.3).float()
        interval = config.method.penalty_interval
        self.times = interleaved(
            {
                "discriminator": lambda: textbook.discriminator_step(images, labels),
                "generator": lambda: textbook.generator_step(images, labels),
                "train.py": lambda: self._steps(interval),
            },
            self.rounds,
        )
        self.times["train.py"] = [seconds / interval for seconds in self.times["train.py"]]


def steps(width: int = 24, discriminator_width: int = 32, batch_size: int = 8, rounds: int = 3) -> str:
    """The time of one update of both networks by either loop, as a Markdown table."""
    same_function(width)
    config = TrainingConfig.from_flat(
        width=width, discriminator_width=discriminator_width, batch_size=batch_size, mixed_precision="no",
        report_to="none", total_images=10**9,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = ComparedTrainer(config.changed(output_dir=folder), rounds)
        trainer.train()
    times = trainer.times
    for name, count in (
        ("the paper's loop, one update of each", 1),
        ("the paper's loop, its five", PAPER_CRITIC_STEPS),
    ):
        pairs = zip(times["discriminator"], times["generator"], strict=True)
        times[name] = [count * critic + generator for critic, generator in pairs]
    ways = [
        ("the paper's loop, one update of each", "1 and 1"),
        ("the paper's loop, its five", f"{PAPER_CRITIC_STEPS} and 1"),
        ("train.py", "1 and 1"),
    ]
    rows = [[way, updates, median_ms(times[way]), f"{ratio(times, way, 'train.py'):.2f}"] for way, updates in ways]
    columns = ["loop", "updates of D and G", f"ms for {batch_size} images a batch", "times train.py's"]
    return "\n".join(table(columns, rows))


@torch.no_grad()
def same_function(width: int) -> None:
    """Raise a RuntimeError unless both loops train the same function."""
    torch.manual_seed(0)
    generator = STGAN(width=width)
    textbook = TextbookSTGAN(generator).train()
    images, condition = torch.rand(2, 3, 128, 128) * 2 - 1, torch.randn(2, len(generator.attributes))
    check_close("training", generator.train()(images, condition), textbook(images, condition), 1e-4)


def main(width: int = 24, discriminator_width: int = 32, batch_size: int = 8, rounds: int = 3) -> None:
    """Print the table.

    Args:
        width, discriminator_width, batch_size: as train.py takes them.
        rounds: times that each loop is measured.
    """
    torch.set_num_threads(1)
    print(f"{conditions()}\n\n{steps(width, discriminator_width, batch_size, rounds)}")


if __name__ == "__main__":
    tyro.cli(main)
