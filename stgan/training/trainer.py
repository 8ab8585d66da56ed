"""The training loop: data, steps, validation, checkpoints, reports. What is trained is an objective's matter."""

import json
import math
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import (
    ProjectConfiguration,
    broadcast_object_list,
    gather_object,
    parse_flag_from_env,
    set_seed,
)
from torch import Tensor, nn
from tqdm.auto import tqdm

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.card import TRAINING_FILE, device_name, remove_records, write_card
from stgan.data import (
    Batch,
    DataError,
    MemoryBatches,
    MemoryDataset,
    MissingSplitError,
    StreamBatches,
    load_into_memory,
    open_split,
)
from stgan.models import AttributeClassifier, check_judge, fetch_model_folder
from stgan.training.alignment import AlignmentObjective
from stgan.training.checkpoints import (
    PARTIAL_PREFIX,
    CheckpointError,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from stgan.training.classification import ClassificationObjective
from stgan.training.config import TrainingConfig
from stgan.training.distributed import check_processes
from stgan.training.editing import EditingObjective
from stgan.training.precision import resolve_precision
from stgan.training.pushing import BackgroundPush, fetch_state

# Settings that a checkpoint's tensors or its course of batches depend on.
RESUME_SETTINGS = (
    "model", "dataset", "dataset_revision", "attributes", "crop", "image_size", "streaming", "max_train_samples",
    "batch_size", "seed", "width", "max_width", "layers", "stu_layers", "stu_kernel", "stu_state", "stu_norm",
    "inject_layers", "label_mode", "soft_mask", "discriminator_width", "discriminator_hidden", "discriminator_norm",
    "discriminator_conditional",
    "classifier_width", "aligner_width", "aligner_blocks", "aligner_view", "critic_steps", "use_ema",
)  # fmt: skip
OBJECTIVES = {"classifier": ClassificationObjective, "aligner": AlignmentObjective}  # all others edit
# Ctrl-C and `kill` reach a launcher and its processes at once, and the launcher passes them on: a signal that comes
# twice within this time was given once.
SECOND_SIGNAL_SECONDS = 5.0
PATIENCE = timedelta(hours=3)  # of processes with one that is slower; NCCL's own are ten minutes
HELD_OUT_SHARE = 0.1  # at most, of a dataset without a validation split
DEVICE_CHANGE = ", then "  # between the names of those that a model was trained on, one after another
BY_HEART = 0.6  # D's attribute loss on training images as a share of that on others: it knows the former by heart
STOP_CHECK_INTERVAL = 10  # steps on GPUs between two questions among the processes whether one was told to stop


class TrainingError(RuntimeError):
    """A run that cannot go on. The message says why, and from where it can be continued."""


class Trainer:
    """One run of training.

    Args:
        config: everything that can be set.
        command: the command line that started it, for the model card.
    """

    def __init__(self, config: TrainingConfig, command: str = ""):
        # As Accelerator itself asks, which finds it made. The others wait while the first one downloads and decodes.
        device = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=PATIENCE).device
        config = replace(config, mixed_precision=resolve_precision(config.mixed_precision, device))
        self.config = config
        # What the weights have been through: one command for each time a run was started or resumed.
        self.initial_images, self.initial_steps, self.earlier_minutes, self.devices, earlier = _history(
            config.initial_model
        )
        self.started = time.monotonic()  # of the minutes since
        self.commands = [*earlier, {"from_image": self.initial_images, "command": command}]
        self.attributes = tuple(config.attributes) or DEFAULT_ATTRIBUTES
        self.output_dir = Path(config.output_dir)
        reports = None if config.report_to == "none" else config.report_to
        self.accelerator = Accelerator(
            mixed_precision=config.mixed_precision,
            log_with=reports,
            project_config=ProjectConfiguration(str(self.output_dir), logging_dir=str(self.output_dir / "logs")),
        )
        check_processes(self.accelerator)
        if reports and not self.accelerator.log_with:
            self.accelerator.print(f"--report_to {reports}: not installed, so nothing is reported.")
        set_seed(config.seed)  # the networks' initial weights
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True  # all steps have the same shapes
        self.device = self.accelerator.device
        self.devices = _continued_on(self.devices, device_name(self.device))
        self.random = torch.Generator(self.device)
        self.images_per_step = config.batch_size * self.accelerator.num_processes
        self.step = 0
        self.next_batch = 0
        self.saved_step = -1  # of the newest checkpoint
        self.training_images: int | None = None  # different ones; nobody has counted a stream's
        self.held_out = 0  # images at the start of the training split, for validation
        self.held_out_before: int | None = None  # in the run that this one continues
        self.trained_config: dict[str, Any] | None = None  # of a run that was over already: what it was trained with
        self.stop_requested = False
        self.logged: dict[str, float] = {}  # the newest means of the losses
        self.push: BackgroundPush | None = None
        if config.push_to_hub and self.accelerator.is_main_process:
            name = config.hub_model_id or self.output_dir.name
            self.push = BackgroundPush(name, config.hub_private, self.accelerator.print)

    # ------------------------------------------------------------------------------------------------ the run

    def train(self) -> Path:
        """Train to the end, or until told to stop; returns the model folder.

        Raises:
            DataError, CheckpointError: before any work is done, where data or checkpoint do not fit.
            TrainingError: losses are no longer finite.
        """
        config = self.config
        self._prepare_output()
        # Networks and checkpoint before the data, whose reading can take minutes: mistakes show at once.
        objective_type = OBJECTIVES.get(config.model, EditingObjective)
        self.objective = objective_type(config, self.attributes, self.accelerator)
        self.images_per_step *= self.objective.batches_per_step
        self.total_steps = math.ceil(config.total_images / self.images_per_step)
        self.judge = self._load_judge()
        self._register_state()
        batches_state = self._resume()
        self.validation_data = self._load_validation()
        if self.held_out_before not in (None, self.held_out):
            raise CheckpointError(
                f"The checkpoint's run held {self.held_out_before} training images out for validation, this one would "
                f"hold out {self.held_out}: use its --max_validation_samples."
            )
        self.batches = self._open_batches()
        if batches_state is not None:
            self.batches.load_state_dict(batches_state)
        self._start_trackers()
        previous_handlers = self._catch_signals()
        try:  # asked twice, as by torchrun and the terminal, it still saves
            self._run_steps()
            return self._finish()
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)

    def _run_steps(self) -> None:
        config = self.config
        running: dict[str, Tensor] = {}
        counted: dict[str, int] = {}
        bar = tqdm(
            total=self.total_steps * self.images_per_step, initial=self.step * self.images_per_step, unit="img",
            unit_scale=True, disable=not self.accelerator.is_main_process, dynamic_ncols=True, desc=config.model,
            mininterval=5, file=sys.stdout,
        )  # fmt: skip
        self.started = time.monotonic()
        try:
            while self.step < self.total_steps and not self._must_stop():
                for name, term in self._train_step().items():  # sums stay on the device until they are logged
                    running[name] = running[name] + term if name in running else term
                    counted[name] = counted.get(name, 0) + 1
                bar.update(self.images_per_step)
                if self.step % config.logging_steps == 0:
                    means = torch.stack([total / counted[name] for name, total in running.items()])
                    self._log(dict(zip(running, means.tolist(), strict=True)), bar)  # one wait for the device
                    running, counted = {}, {}
                if self.step % config.validation_steps == 0 and self.step < self.total_steps:
                    self._validate()
                if self.step % config.checkpointing_steps == 0:  # after validation, which calibrates a classifier
                    self._save()
        finally:
            bar.close()

    def _train_step(self) -> dict[str, Tensor]:
        """One step. Its random numbers depend on seed, step and rank alone, so a resumed run repeats them."""
        seed = (self.config.seed * 1_000_003 + self.step) * 1_009 + self.accelerator.process_index
        self.random.manual_seed(seed)
        torch.manual_seed(seed + 2**60)  # dropout's, which takes no generator
        images_seen = self.step * self.images_per_step
        progress = self.step / self.total_steps
        self._set_learning_rate(images_seen, progress)
        terms = self.objective.step(self._draw, self.random, self.step, progress)
        self.step += 1
        self.objective.update_average(self.step * self.images_per_step, self.images_per_step)
        return terms

    @property
    def minutes(self) -> float:
        """That training has taken so far, validation and what came before a resumption included."""
        return self.earlier_minutes + (time.monotonic() - self.started) / 60

    def _draw(self) -> Batch:
        batch = self.batches.draw(self.next_batch)
        self.next_batch += 1
        return batch

    def _set_learning_rate(self, images_seen: int, progress: float) -> None:
        """A function of the images seen alone: nothing to restore, and no scheduler to forget."""
        factor = learning_rate_factor(self.config, images_seen, progress)
        self.learning_rate = factor * self.config.learning_rate
        for optimizer, learning_rate in self.objective.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self._as_rate(group["lr"], factor * learning_rate)

    def _as_rate(self, before: float | Tensor, rate: float) -> float | Tensor:
        """An optimizer's learning rate; where steps are recorded a number on the device, always the same one."""
        if not self.objective.records_steps:
            return rate
        if isinstance(before, Tensor) and before.device.type == self.device.type:
            return before.fill_(rate)
        return torch.tensor(rate, device=self.device)

    def _finish(self) -> Path:
        finished = self.step >= self.total_steps
        self._save()
        if finished:
            self._validate()
        else:
            self._write_model({})
            self.accelerator.print(
                f"Stopped after step {self.step} of {self.total_steps}. Everything is saved: continue with "
                "--resume_from_checkpoint latest."
            )
        if isinstance(self.batches, StreamBatches):
            self.accelerator.print(f"Data: {self.batches.skipped}.")
        if self.push:
            self.push.finish()
        self.accelerator.end_training()
        return self.output_dir / "model"

    # ---------------------------------------------------------------------------------------------- preparation

    def _prepare_output(self) -> None:
        if self.accelerator.is_main_process:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            for partial in self.output_dir.glob(f"{PARTIAL_PREFIX}*"):  # left by a run that was killed while saving
                shutil.rmtree(partial)
        self.accelerator.wait_for_everyone()

    def _load_validation(self) -> MemoryDataset:
        """The validation split, or where there is none the first images of train, which are then not trained on."""
        config = self.config
        try:
            return self._load("validation", max_samples=config.max_validation_samples)
        except MissingSplitError as error:
            if config.streaming:
                raise DataError(f"{error} Without --streaming, images of train are held out instead.") from error
        images = len(open_split(config.dataset, "train", revision=config.dataset_revision))
        self.held_out = min(config.max_validation_samples, math.ceil(HELD_OUT_SHARE * images))
        self.accelerator.print(f"No validation split: the first {self.held_out} images of train are held out for it.")
        return self._load("train", max_samples=self.held_out)

    def _load(self, split: str, **limits: Any) -> MemoryDataset:
        """A split in memory, read by the first process and then, from the cache, by the others."""
        config, accelerator = self.config, self.accelerator
        with accelerator.main_process_first():
            try:
                return load_into_memory(
                    config.dataset, split, self.attributes, config.image_size, crop=config.crop, **limits,
                    workers=config.dataloader_num_workers, revision=config.dataset_revision,
                    progress=accelerator.is_main_process and split == "train",
                )  # fmt: skip
            except MissingSplitError as error:  # raised in here, it would leave the others at a barrier of their own
                missing = error
        raise missing

    def _open_batches(self) -> MemoryBatches | StreamBatches:
        config, accelerator = self.config, self.accelerator
        ranks = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
        if config.streaming:
            return StreamBatches(
                config.dataset, "train", self.attributes, config.image_size, config.batch_size, config.seed,
                crop=config.crop, workers=config.dataloader_num_workers, max_samples=config.max_train_samples,
                revision=config.dataset_revision, device=self.device, **ranks,
            )  # fmt: skip
        data = self._load("train", max_samples=config.max_train_samples, skip_samples=self.held_out)
        accelerator.print(f"Data: {len(data)} images in memory; {data.skipped}.")
        self.training_images = len(data)
        self.objective.count_labels(data.labels)
        weights = rare_attribute_weights(data.labels, config.rare_attribute_power)
        if self._fits_on_device(data):
            data = data.to(self.device)
        return MemoryBatches(data, config.batch_size, config.seed, weights=weights, device=self.device, **ranks)

    def _fits_on_device(self, data: MemoryDataset) -> bool:
        if self.device.type != "cuda":
            return False
        free, _ = torch.cuda.mem_get_info(self.device)
        return data.images.numel() < self.config.device_data_share * free

    def _load_judge(self) -> AttributeClassifier | None:
        if self.config.classifier is None or self.config.model in OBJECTIVES:
            return None
        judge = AttributeClassifier.from_pretrained(self.config.classifier).to(self.device)
        check_judge(self.objective.plain_generator, judge)
        return judge

    def _register_state(self) -> None:
        if self.objective.ema:
            self.accelerator.register_for_checkpointing(self.objective.ema)

    def _resume(self) -> dict[str, Any] | None:
        """Go to the checkpoint that is asked for, if any; returns where this process's batches were then."""
        if self.config.resume_from_checkpoint is None:
            return None
        wanted = self.config.resume_from_checkpoint
        if "@" in wanted:
            wanted = fetch_state(wanted, self.output_dir) if self.accelerator.is_main_process else ""
            (wanted,) = broadcast_object_list([wanted])
        checkpoint = find_checkpoint(self.output_dir, wanted)
        if checkpoint is None:
            self.accelerator.print(f"No checkpoint in {self.output_dir} yet: starting from the beginning.")
            return None
        progress = load_checkpoint(self.accelerator, checkpoint, self._resume_settings())
        self._apply_optimizer_settings()
        self.step, self.next_batch, self.saved_step = progress["step"], progress["next_batch"], progress["step"]
        self.initial_images, self.initial_steps = (progress.get(f"initial_{unit}", 0) for unit in ("images", "steps"))
        self.earlier_minutes = progress.get("minutes", 0.0)
        before = progress.get("devices", "")
        self.held_out_before = progress.get("held_out")
        if self.step >= self.total_steps:  # nothing is trained with what this run was told
            self.commands = progress["commands"]
            self.devices = before or self.devices
            self.trained_config = {
                name: progress["config"].get(name, value) for name, value in asdict(self.config).items()
            }
            self.accelerator.print(f"{checkpoint} is at step {self.step} of {self.total_steps}: nothing is left to do.")
        else:
            images = self.initial_images + progress["images_seen"]
            self.commands = _continued(progress["commands"], images, self.commands[-1]["command"])
            self.devices = _continued_on(before, device_name(self.device))
            self.accelerator.print(f"Continuing from {checkpoint} at step {self.step} of {self.total_steps}.")
        return progress["batches"].get(str(self.accelerator.process_index))

    def _apply_optimizer_settings(self) -> None:
        """Optimizers restore the settings that they were saved with; what this run was told goes before those."""
        for optimizer in self.objective.optimizers:
            for group in optimizer.param_groups:
                group["betas"] = (self.config.adam_beta1, self.config.adam_beta2)
                group["weight_decay"] = self.config.weight_decay
                group["capturable"] = self.objective.records_steps

    def _resume_settings(self) -> dict[str, Any]:
        settings = {name: getattr(self.config, name) for name in RESUME_SETTINGS}
        if self.config.streaming:  # each of them reads files of its own
            settings["dataloader_num_workers"] = self.config.dataloader_num_workers
        return json.loads(json.dumps(settings)) | {"processes": self.accelerator.num_processes}

    def _start_trackers(self) -> None:
        plain = {name: value for name, value in asdict(self.config).items() if isinstance(value, (int, float, str))}
        self.accelerator.init_trackers("stgan", config=plain)

    # ------------------------------------------------------------------------------------------------- stopping

    def _catch_signals(self) -> dict[int, Any]:
        """Ctrl-C and SIGTERM ask for a stop after the present step; asked again a while later, it stops at once."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.getsignal(number) for number in numbers}
        first = 0.0

        def request_stop(number: int, frame: Any) -> None:
            nonlocal first
            if not self.stop_requested:
                self.stop_requested, first = True, time.monotonic()
            elif time.monotonic() - first >= SECOND_SIGNAL_SECONDS:
                for each in numbers:
                    signal.signal(each, previous[each])
                signal.raise_signal(number)

        for number in numbers:
            signal.signal(number, request_stop)
        return previous

    def _must_stop(self) -> bool:
        """Whether to stop before the next step. Several processes must agree, and ask each other only now and then."""
        if self.accelerator.num_processes == 1:
            return self.stop_requested
        if self.device.type != "cpu" and self.step % STOP_CHECK_INTERVAL:  # a step on the CPU takes long
            return False
        if self.stop_requested:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()

    # --------------------------------------------------------------------------- reports, checkpoints, the model

    def _log(self, terms: dict[str, float], bar: tqdm) -> None:
        self._stop_if_broken([name for name, value in terms.items() if not math.isfinite(value)])
        self.logged = terms
        self.accelerator.log(terms | {"learning_rate": self.learning_rate}, step=self.step)
        bar.set_postfix({name: f"{value:.3g}" for name, value in terms.items()}, refresh=False)

    def _stop_if_broken(self, broken: list[str]) -> None:
        if broken:
            raise TrainingError(
                f"{', '.join(broken)} became infinite or not a number near step {self.step}. Nothing was saved since "
                "the last checkpoint: continue with --resume_from_checkpoint latest and a lower --learning_rate."
            )

    def _check_weights(self) -> None:
        self._stop_if_broken([] if all_finite(self.objective.networks) else ["weights"])

    def _save(self) -> None:
        """Write a checkpoint, unless this step has one. Weights that are no longer finite never become one."""
        if self.saved_step == self.step:
            return
        self._check_weights()
        progress = {
            "step": self.step,
            "next_batch": self.next_batch,
            "images_seen": self.step * self.images_per_step,
            "initial_images": self.initial_images,
            "initial_steps": self.initial_steps,
            "minutes": self.minutes,
            "devices": self.devices,
            "commands": self.commands,
            "held_out": self.held_out,
            "batches": {str(rank): state for rank, state in enumerate(gather_object([self.batches.state_dict()]))},
            "config": json.loads(json.dumps(asdict(self.config))) | {"processes": self.accelerator.num_processes},
        }
        saved = save_checkpoint(self.accelerator, self.output_dir, progress, self.config.checkpoints_total_limit)
        self.saved_step = self.step
        every = self.config.push_state_every * self.config.checkpointing_steps
        if self.push and every and (self.step % every == 0 or self.stop_requested or self.step >= self.total_steps):
            self.push.state(saved, f"{self.step * self.images_per_step} images")

    def _validate(self) -> None:
        """Measure, draw a sample grid and write the model folder; on one process, since it is one model."""
        self._check_weights()
        if self.accelerator.is_main_process:
            figures = self.objective.validate(self.validation_data, self.judge)
            self.accelerator.log({f"validation/{name}": value for name, value in figures.items()}, step=self.step)
            line = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            tqdm.write(f"step {self.step}, {self.step * self.images_per_step} images: {line}", file=sys.stdout)
            seen, unseen = (terms.get("d_attribute", math.nan) for terms in (self.logged, figures))
            if seen < BY_HEART * unseen:
                tqdm.write(
                    f"The discriminator learns its images by heart: its attribute loss is {seen:.3g} on them and "
                    f"{unseen:.3g} on others, and edits get no better from here. Fewer --total_images, more training "
                    "images or a smaller --discriminator_attribute_weight help, and so does a second run with a new "
                    "one: a bundle of this model with --no_discriminator as its --initial_model.",
                    file=sys.stdout,
                )
            grid = self.objective.sample_grid(self.validation_data)
            if grid is not None:
                folder = self.output_dir / "samples"
                folder.mkdir(exist_ok=True)
                grid.save(folder / f"step-{self.step:07d}.png")
            self._write_model(figures)
        self.accelerator.wait_for_everyone()

    def _write_model(self, figures: dict[str, float]) -> None:
        """The model for use, apart from the training state: averaged weights, config, card and the run's record.

        What goes with it in folders of their own is there too.
        """
        if not self.accelerator.is_main_process:
            return
        record = {
            "commands": self.commands,
            "images_seen": self.initial_images + self.step * self.images_per_step,
            "training_images": self.training_images,
            "steps": self.initial_steps + self.step,
            "minutes": round(self.minutes, 1),
            "parameters": self.objective.trained_model.parameter_count(),
            "device": self.devices,
            "validation": figures,
            "config": (self.trained_config or asdict(self.config)) | {"attributes": list(self.attributes)},
        }
        final, partial = self.output_dir / "model", self.output_dir / f"{PARTIAL_PREFIX}model"
        self.objective.trained_model.save_pretrained(partial)
        (partial / TRAINING_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        for name, companion in self.objective.companions.items():
            companion.save_pretrained(partial / name)
            (partial / name / "README.md").unlink()  # the card above it speaks for both
        name = self.push.name if self.push else self.config.hub_model_id or self.output_dir.name
        remove_records(final)  # before the weights: killed in between, it has too few rather than wrong ones
        write_card(partial, name)
        for file in [path for path in partial.rglob("*") if path.is_file()]:  # each whole or not at all
            target = final / file.relative_to(partial)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)
        shutil.rmtree(partial)
        if self.push:
            self.push.model(final, f"{self.step * self.images_per_step} images")


def all_finite(networks: list[nn.Module]) -> bool:
    """Whether no weight is infinite or not a number. Waits for the device once, not once per weight."""
    sums = [parameter.detach().sum() for network in networks for parameter in network.parameters()]
    return bool(torch.stack(sums).isfinite().all())


def learning_rate_factor(config: TrainingConfig, images_seen: int, progress: float) -> float:
    """Factor on the learning rate after ``images_seen`` images, at ``progress`` in [0, 1) of the run."""
    warmup = min(1.0, (images_seen + config.batch_size) / config.warmup_images) if config.warmup_images else 1.0
    if config.lr_schedule == "constant" or progress < config.decay_start:
        return warmup
    if config.lr_schedule == "drop":
        return warmup * 0.1
    share = (progress - config.decay_start) / (1 - config.decay_start)
    return warmup * (1 - share if config.lr_schedule == "linear" else (1 + math.cos(math.pi * share)) / 2)


def rare_attribute_weights(labels: Tensor, power: float) -> Tensor | None:
    """Chance of each image to be drawn, so that rare attributes are seen more often.

    Args:
        labels: float (N, A) in {0, 1}.
        power: 0 leaves the data as it is (None is returned); 1 would make an image with a value that a share p of
            the data has 0.5 / p times as likely, by its rarest value.

    Returns:
        float (N,).
    """
    if power == 0:
        return None
    frequency = labels.mean(dim=0).clamp(1e-4, 1 - 1e-4)
    rarity = torch.where(labels > 0, 0.5 / frequency, 0.5 / (1 - frequency)).amax(dim=1)
    return rarity.clamp(min=1.0).pow(power)


def _history(initial_model: str | None) -> tuple[int, int, float, str, list[dict[str, Any]]]:
    """Images that an initial model was shown; steps, minutes, devices and commands that took, as its folder says."""
    if initial_model is None:
        return 0, 0, 0.0, "", []
    file = fetch_model_folder(initial_model, companions=(), records=(TRAINING_FILE,)) / TRAINING_FILE
    record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    numbers = (record.get(name, 0) for name in ("images_seen", "steps", "minutes"))
    return *numbers, record.get("device", ""), record.get("commands", [])


def _continued_on(devices: str, device: str) -> str:
    """The devices of a run so far, and the one that goes on with it where it is another."""
    names = devices.split(DEVICE_CHANGE) if devices else []
    return DEVICE_CHANGE.join(names if names[-1:] == [device] else [*names, device])


def _continued(commands: list[dict[str, Any]], images_seen: int, command: str) -> list[dict[str, Any]]:
    """The commands of a run so far, and the one that goes on with it where it is another."""
    if commands[-1]["command"] == command:
        return commands
    return [*commands, {"from_image": images_seen, "command": command}]


def train(config: TrainingConfig, command: str = "") -> Path:
    """Run training as configured and return the model folder."""
    return Trainer(config, command).train()
