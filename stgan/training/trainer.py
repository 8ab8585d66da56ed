"""The training loop: steps, logging, validation, checkpoints. What is trained, and how, is the objective's part."""

import math
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import ProjectConfiguration, broadcast_object_list, gather_object, parse_flag_from_env, set_seed
from torch import Tensor
from tqdm.auto import tqdm

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.card import device_name
from stgan.data import Batch, StreamBatches
from stgan.models.registry import trainable
from stgan.training.checkpoints import (
    PARTIAL_PREFIX,
    PREFIX,
    CheckpointError,
    check_data,
    explained,
    find_checkpoint,
    load_checkpoint,
    read_progress,
    rescaled,
    resume_settings,
    save_checkpoint,
    write_snapshot,
)
from stgan.training.classification import ClassificationObjective
from stgan.training.config import SUPERVISED, TrainingConfig
from stgan.training.editing import EditingObjective
from stgan.training.history import History
from stgan.training.launch import check_processes, resolve_precision, surviving_processes
from stgan.training.networks import saved_method
from stgan.training.objective import Objective
from stgan.training.parsing import ParsingObjective
from stgan.training.pushing import BackgroundPush, fetch_state
from stgan.training.registration import RegistrationObjective
from stgan.training.schedule import Schedule, set_learning_rates
from stgan.training.selection import Selection
from stgan.training.splits import Splits
from stgan.training.stopping import StopSignals, check_finite, overfitting_warning

OBJECTIVES: dict[str, Callable[[TrainingConfig, tuple[str, ...], Accelerator], Objective]] = {
    "editor": EditingObjective,
    "classifier": ClassificationObjective,
    "aligner": RegistrationObjective,
    "parser": ParsingObjective,
}
"""By the kind of network that ``--model`` names."""
# Other processes wait while the first one decodes the data; NCCL would wait ten minutes.
PROCESS_TIMEOUT = timedelta(hours=3)


class Trainer:
    """One run of training. ``command`` is the command line that started it, for the model card."""

    def __init__(self, config: TrainingConfig, command: str = ""):
        # The Accelerator made below adopts this state, and with it the timeout.
        device = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=PROCESS_TIMEOUT).device
        self.config = config = config.changed(mixed_precision=resolve_precision(config.run.mixed_precision, device))
        self.history = History(config.model, config.run.initial_model, command, device_name(device))
        self.attributes = tuple(config.data.attributes) or DEFAULT_ATTRIBUTES
        self.output_dir = Path(config.run.output_dir)
        self.accelerator = self._make_accelerator()
        self.config = config = config.for_processes(self.accelerator.num_processes)
        self.device = self.accelerator.device
        set_seed(config.run.seed)  # for the networks' initial weights
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True  # all steps have the same shapes
        self.random = torch.Generator(self.device)
        self.splits = Splits(config, self.attributes, self.accelerator)
        self.stop = StopSignals()
        least = config.reports.least_accuracy
        self.selection = Selection(least) if least and config.model not in SUPERVISED else None
        self.step = 0
        self.next_batch = 0
        self.saved_step = self.pushed_step = -1  # of the newest checkpoint, and of the newest one sent to the Hub
        self.losses: dict[str, float] = {}  # means since the last log
        self.push: BackgroundPush | None = None
        repository = config.checkpoints.push_to_hub
        if repository and self.accelerator.is_main_process:
            self.push = BackgroundPush(repository, config.checkpoints.hub_private, self.accelerator.print)

    def train(self) -> Path:
        """Train until the end or a stop signal, and return the model folder.

        Raises:
            DataError, CheckpointError: before training starts, if data or checkpoint do not fit.
            TrainingError: losses or weights are no longer finite, or the output folder cannot be written to.
        """
        self._prepare_output()
        # Networks and checkpoint come before the data, which can take minutes to read: mistakes show at once.
        checkpoint, progress = self._find_checkpoint()
        if checkpoint:
            self.config = self.config.continuing(progress["config"])
        elif self.config.run.initial_model and self.config.model not in SUPERVISED:
            self.config = self.config.continuing(saved_method(self.config.run.initial_model))
        config = self.config
        self.objective = OBJECTIVES[trainable()[config.model].kind](config, self.attributes, self.accelerator)
        if self.objective.ema:
            self.accelerator.register_for_checkpointing(self.objective.ema)
        images_per_step = config.schedule.batch_size * self.accelerator.num_processes * self.objective.batches_per_step
        self.schedule = Schedule(config, images_per_step)
        if progress.get("changed"):
            progress = rescaled(progress, images_per_step)
        if checkpoint:
            self._resume(checkpoint, progress)
        self.validation_data = self.splits.load_validation()
        if progress.get("held_out", self.splits.held_out) != self.splits.held_out:
            raise CheckpointError(
                f"The checkpoint's run held {progress['held_out']} training images out for validation, this one would "
                f"hold out {self.splits.held_out}: use its --max_validation_samples."
            )
        self.batches = self.splits.open_batches(self.objective.count_labels)
        if checkpoint:
            settings = resume_settings(self.config, self.accelerator.num_processes)
            check_data(checkpoint, progress, settings, self.splits.fingerprint)
        if progress:
            states = progress["batches"]
            self.batches.load_state_dict(states.get(str(self.accelerator.process_index)) or states.get("first", {}))
        settings = {name: value for name, value in config.record().items() if isinstance(value, int | float | str)}
        self.accelerator.init_trackers("stgan", config=settings)
        with self.stop, surviving_processes(self.accelerator):
            self._run_steps()
            return self._finish()

    def _run_steps(self) -> None:
        config, total_steps = self.config, self.schedule.total_steps
        means = RunningMeans()
        self.history.started = time.monotonic()
        with self._progress_bar() as self.bar:
            while self.step < total_steps and not self.stop.must_stop(self.accelerator, self.step):
                means.add(self._train_step())
                self.bar.update(self.schedule.images_per_step)
                if self.step % config.reports.logging_steps == 0:
                    self._log(means.take())
                if self.step % config.reports.validation_steps == 0 and self.step < total_steps:
                    self._validate()
                if self.step % config.checkpoints.checkpointing_steps == 0:
                    self._save()  # after validation, which calibrates a classifier

    def _train_step(self) -> dict[str, Tensor]:
        """One step. Its random numbers depend only on seed, step and rank, so a resumed run repeats them."""
        seed = (self.config.run.seed * 1_000_003 + self.step) * 1_009 + self.accelerator.process_index
        self.random.manual_seed(seed)
        torch.manual_seed(seed + 2**60)  # for dropout, which takes no generator
        self.rate_factor = self.schedule.rate_factor(self.step)
        set_learning_rates(self.objective, self.rate_factor, self.device)
        terms = self.objective.step(self._draw, self.random, self.step, self.schedule.progress(self.step))
        self.step += 1
        # With those of earlier runs, so that a continued run keeps the average that it starts from.
        self.objective.update_average(self.history.initial_images + self.images, self.schedule.images_per_step)
        return terms

    def _draw(self) -> Batch:
        batch = self.batches.draw(self.next_batch)
        self.next_batch += 1
        return batch

    @property
    def images(self) -> int:
        """Images drawn so far by all processes, without earlier runs of the same weights."""
        return self.schedule.images(self.step)

    def _finish(self) -> Path:
        self._save()
        if self.step >= self.schedule.total_steps:
            self._validate()
        else:
            self._write_model({})
            self.accelerator.print(
                f"Stopped after step {self.step} of {self.schedule.total_steps}. Everything is saved: continue with "
                "--resume_from_checkpoint latest."
            )
        if isinstance(self.batches, StreamBatches):
            self.accelerator.print(f"Data: {self.batches.skipped}.")
        if self.push:
            self.push.finish()
        self.accelerator.end_training()
        return self.output_dir / "model"

    def _make_accelerator(self) -> Accelerator:
        trackers = None if self.config.reports.report_to == "none" else self.config.reports.report_to
        accelerator = Accelerator(
            mixed_precision=self.config.run.mixed_precision,
            log_with=trackers,
            project_config=ProjectConfiguration(str(self.output_dir), logging_dir=str(self.output_dir / "logs")),
        )
        check_processes(accelerator)
        if trackers and not accelerator.log_with:
            accelerator.print(f"--report_to {trackers} is not installed: nothing is reported.")
        return accelerator

    def _prepare_output(self) -> None:
        if self.accelerator.is_main_process:
            with explained(self.output_dir):
                self.output_dir.mkdir(parents=True, exist_ok=True)
                for partial in self.output_dir.glob(f"{PARTIAL_PREFIX}*"):  # left by a run that was killed while saving
                    shutil.rmtree(partial)
        self.accelerator.wait_for_everyone()

    def _find_checkpoint(self) -> tuple[Path | None, dict[str, Any]]:
        """The checkpoint that the run continues from, and its progress; None and nothing where there is none."""
        wanted = self.config.checkpoints.resume_from_checkpoint
        if wanted is None:
            return None, {}
        if "@" in wanted:
            wanted = fetch_state(wanted, self.output_dir) if self.accelerator.is_main_process else ""
            (wanted,) = broadcast_object_list([wanted])
        checkpoint = find_checkpoint(self.output_dir, wanted)
        if checkpoint is None:
            self.accelerator.print(f"No checkpoint in {self.output_dir} yet: starting from the beginning.")
            return None, {}
        settings = resume_settings(self.config, self.accelerator.num_processes)
        return checkpoint, read_progress(checkpoint, settings, self.config.checkpoints.resume_anyway)

    def _resume(self, checkpoint: Path, progress: dict[str, Any]) -> None:
        load_checkpoint(self.accelerator, checkpoint)
        for optimizer in self.objective.optimizers:  # as this device needs it
            for group in optimizer.param_groups:
                group["capturable"] = self.objective.records_steps
        self.step, self.next_batch, self.saved_step = progress["step"], progress["next_batch"], progress["step"]
        if progress.get("changed"):
            self.saved_step = -1  # that checkpoint counts in other steps
            self.accelerator.print(f"Continuing anyway with other settings ({progress['changed']}).")
        complete = self.step >= self.schedule.total_steps
        self.history.resume(progress, self.config, complete)
        if self.selection:
            self.selection.best = progress.get("best_snapshot")
        where = f"step {self.step} of {self.schedule.total_steps}"
        self.accelerator.print(
            f"{checkpoint} is at {where}: nothing is left to do." if complete
            else f"Continuing from {checkpoint} at {where}."
        )  # fmt: skip

    def _progress_bar(self) -> tqdm:
        return tqdm(
            total=self.schedule.images(self.schedule.total_steps), initial=self.images, unit="img", unit_scale=True,
            disable=not self.accelerator.is_main_process, dynamic_ncols=True, desc=self.config.model, mininterval=5,
            file=sys.stdout,
        )  # fmt: skip

    def _log(self, losses: dict[str, float]) -> None:
        check_finite(self.step, losses, [])
        self.losses = losses
        learning_rate = self.rate_factor * self.config.schedule.learning_rate
        self.accelerator.log(losses | {"learning_rate": learning_rate}, step=self.step)
        self.bar.set_postfix({name: f"{value:.3g}" for name, value in losses.items()}, refresh=False)

    def _print(self, line: str) -> None:
        """Print a line above the bar. ``tqdm.write`` goes through all bars, whose set an upload in the background
        changes meanwhile."""
        self.bar.clear()
        print(line)

    def _validate(self) -> None:
        """Measure the model, draw a sample grid and write the model folder, on the main process."""
        check_finite(self.step, {}, self.objective.networks)
        if self.accelerator.is_main_process:
            # Without trying out kernels, which takes longer than the passes: their shapes come once or twice.
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=True):
                figures = self.objective.validate(self.validation_data)
            self.accelerator.log({f"validation/{name}": value for name, value in figures.items()}, step=self.step)
            line = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            self._print(f"step {self.step}, {self.images} images: {line}")
            if warning := overfitting_warning(*(each.get("d_attribute", math.nan) for each in (self.losses, figures))):
                self._print(warning)
            grid = self.objective.sample_grid(self.validation_data)
            if grid is not None:
                folder = self.output_dir / "samples"
                with explained(folder):
                    folder.mkdir(exist_ok=True)
                    grid.save(folder / f"step-{self.step:07d}.png")
            self._write_model(figures)
        self.accelerator.wait_for_everyone()

    def _write_model(self, figures: dict[str, float]) -> None:
        if not self.accelerator.is_main_process:
            return
        record = self.history.record(
            self.images, self.step, self.config, self.attributes, training_images=self.splits.training_images,
            parameters=self.objective.trained_model.parameter_count(), validation=figures,
        )  # fmt: skip
        name = self.push.name if self.push else self.output_dir.name
        half = self.config.run.mixed_precision != "no"
        folder = self.output_dir / "model"
        if self.selection:  # the last one is what another run continues from, the best one is for use
            write_snapshot(self.objective, self.output_dir, record, name, folder="last", half=half)
            improves = bool(figures) and self.selection.improves(figures)  # it remembers the first one too
            if folder.exists() and not improves:
                return
        write_snapshot(self.objective, self.output_dir, record, name, companions=self.selection is None, half=half)
        if self.push:
            self.push.model(folder, f"{self.images} images")

    def _save(self) -> None:
        """Write a checkpoint, unless this step has one, and push it, unless this run has.

        A run before this one may have been killed between the two.
        """
        if self.saved_step != self.step:
            self._write_checkpoint()
        every = self.config.checkpoints.push_state_every * self.config.checkpoints.checkpointing_steps
        last = self.stop.requested or self.step >= self.schedule.total_steps
        saved = self.output_dir / f"{PREFIX}{self.step}"
        if self.push and every and self.pushed_step != self.step and (self.step % every == 0 or last):
            self.push.state(saved, f"{self.images} images")
            self.pushed_step = self.step

    def _write_checkpoint(self) -> None:
        """Weights that are not finite are never saved."""
        check_finite(self.step, {}, self.objective.networks)
        progress = {
            "step": self.step,
            "next_batch": self.next_batch,
            "images_seen": self.images,
            **self.history.progress(),
            "best_snapshot": self.selection.best if self.selection else None,
            "held_out": self.splits.held_out,
            "data": self.splits.fingerprint,
            "batches": {str(rank): state for rank, state in enumerate(gather_object([self.batches.state_dict()]))},
            "config": self.config.record() | {"processes": self.accelerator.num_processes},
        }
        save_checkpoint(self.accelerator, self.output_dir, progress)
        self.saved_step = self.step


class RunningMeans:
    """Means of named scalars. Sums stay on the device, which is waited for only when the means are taken."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means of all terms since the last call."""
        means = torch.stack([total / self.counts[name] for name, total in self.sums.items()]).tolist()
        names = list(self.sums)
        self.sums, self.counts = {}, {}
        return dict(zip(names, means, strict=True))


def train(config: TrainingConfig, command: str = "") -> Path:
    """Run training as configured and return the model folder."""
    return Trainer(config, command).train()
