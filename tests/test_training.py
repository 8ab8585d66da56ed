"""A run does what its recipe says, stops and goes on as if it had not, and leaves a model that loads."""

import copy
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hub_server import Failure, Repository, StoredFile
from safetensors.torch import load_file
from scripts import load_script
from torch import nn
from torch.nn import functional as F

from stgan.attributes import exclusion_matrix, flipped_labels
from stgan.data import DataError, MemoryDataset, load_into_memory
from stgan.frame import normalise
from stgan.hub.errors import HubError
from stgan.models import (
    AttributeClassifier,
    FaceAligner,
    ModelFolderError,
    load_companion_discriminator,
    load_generator,
)
from stgan.training import Trainer, TrainingConfig, TrainingError, recipe_defaults
from stgan.training.checkpoints import CheckpointError, list_checkpoints
from stgan.training.classification import random_similarity
from stgan.training.distributed import check_processes
from stgan.training.editing import EditingObjective
from stgan.training.ema import ExponentialMovingAverage
from stgan.training.label_rules import LabelRules
from stgan.training.losses import attribute_loss
from stgan.training.precision import resolve_precision
from stgan.training.trainer import all_finite, learning_rate_factor, rare_attribute_weights

ROOT = Path(__file__).parent.parent
NAMES = ("Black_Hair", "Blond_Hair", "Eyeglasses", "Male")
TINY = {
    "attributes": NAMES, "image_size": 32, "width": 4, "max_width": 16, "layers": 3, "stu_layers": 2,
    "discriminator_width": 4, "discriminator_hidden": 8, "classifier_width": 4,
    "aligner_width": 4, "aligner_blocks": 1, "aligner_view": 24,
    "batch_size": 4,
    "dataloader_num_workers": 0, "max_validation_samples": 6, "mixed_precision": "no", "report_to": "none",
    "logging_steps": 1,
}  # fmt: skip
RUNS = [
    "stgan-fast", "stgan-paper", "attgan-fast", "attgan-paper", "stargan-fast", "stargan-paper", "classifier-fast",
    "aligner-fast",
]  # fmt: skip

train_script = load_script("train.py")


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    """Each run of a test is a process of its own, as far as accelerate is concerned."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def arguments(**settings):
    """Settings as the command line takes them."""
    words = []
    for name, value in settings.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no_{name}")
        else:
            if isinstance(value, dict):
                value = sum(value.items(), ())
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{name}", *map(str, values)]
    return words


def command(dataset, output, run="stgan-fast", steps=4, **settings):
    """A command line for a few steps of a tiny model."""
    model, recipe = run.split("-")
    batches = 6 if recipe == "paper" and model != "classifier" else 1
    images = steps * settings.get("batch_size", TINY["batch_size"]) * settings.get("critic_steps", batches - 1)
    images += steps * settings.get("batch_size", TINY["batch_size"])
    fixed = {"model": model, "recipe": recipe, "dataset": dataset, "output_dir": output, "total_images": images}
    return arguments(**fixed | TINY | settings)


def trainer(dataset, output, run="stgan-fast", steps=4, **settings):
    AcceleratorState._reset_state(reset_partial_state=True)
    return Trainer(train_script.parse(command(dataset, output, run, steps, **settings)), "train.py …")


def trained(*args, **settings):
    """A finished run."""
    run = trainer(*args, **settings)
    run.train()
    return run


def tensors_of(checkpoint):
    """Every tensor and number of a full state: weights, running statistics, averages, optimizers."""
    found = {}

    def collect(name, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                collect(f"{name}/{key}", inner)
        elif isinstance(value, (list, tuple)):
            for key, inner in enumerate(value):
                collect(f"{name}/{key}", inner)
        else:
            found[name] = value

    for file in sorted(checkpoint.iterdir()):
        if file.suffix == ".safetensors":
            collect(file.name, load_file(file))
        elif file.suffix in (".bin", ".pkl") and not file.name.startswith("random_states"):
            collect(file.name, torch.load(file, weights_only=True))
    return found


def assert_same_state(ours, theirs):
    ours, theirs = tensors_of(ours), tensors_of(theirs)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 20
    for name, value in ours.items():
        same = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
        assert same, name


def last_checkpoint(output):
    return list_checkpoints(Path(output))[-1]


# ------------------------------------------------------------------------------------------------------ a whole run


@pytest.mark.parametrize("run", RUNS)
def test_every_model_trains_by_every_recipe_and_leaves_a_folder_that_loads(run, celeba, tmp_path):
    finished = trained(celeba, tmp_path, run, steps=3)
    folder = tmp_path / "model"
    edits = run.split("-")[0] not in ("classifier", "aligner")
    assert {file.name for file in folder.iterdir()} == {
        "config.json", "model.safetensors", "README.md", "training.json", *(["discriminator"] if edits else []),
    }  # fmt: skip
    load = {"classifier": AttributeClassifier.from_pretrained, "aligner": FaceAligner.from_pretrained}
    model = load.get(run.split("-")[0], load_generator)(folder)
    if not run.startswith("aligner"):
        assert model.attributes == NAMES
    for name, value in finished.objective.trained_model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
        assert value.isfinite().all()
    images = normalise(finished.validation_data.images)
    with torch.no_grad():
        if run.startswith("aligner"):
            answer = torch.view_as_real(model(images[:, :, :24, :24]).a)
        else:
            answer = model(images) if run.startswith("classifier") else model(images, torch.zeros(6, 4))
    assert answer.isfinite().all()
    record = json.loads((folder / "training.json").read_text())
    assert (record["steps"], record["images_seen"]) == (3, finished.config.total_images)
    assert record["config"]["attributes"] == list(NAMES)
    assert all(math.isfinite(value) for value in record["validation"].values())
    assert "train.py …" in (folder / "README.md").read_text()
    grids = [file.name for file in tmp_path.glob("samples/*.png")]
    assert grids == ([] if run.startswith("classifier") else ["step-0000003.png"])
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-3"]
    assert not list(tmp_path.glob("partial-*"))


def test_every_weight_of_both_networks_is_trained(celeba, tmp_path):
    run = trainer(celeba, tmp_path, "stgan-paper", steps=2)
    before = {}
    run._run_steps, run_steps = lambda: before.update(states(run)), run._run_steps
    run._finish, finish = lambda: None, run._finish
    run.train()
    run_steps()
    for network, state in states(run).items():
        for name, value in state.items():
            if value.is_floating_point() and name != "adversarial_head.2.bias":  # cancels in E[D(fake)] - E[D(real)]
                assert not torch.equal(value, before[network][name]), f"{network} {name}"
    finish()


def states(run):
    return {type(network).__name__: copy.deepcopy(network.state_dict()) for network in run.objective.networks}


def test_a_run_in_bfloat16_keeps_its_losses_and_weights_in_full_precision(celeba, tmp_path, monkeypatch):
    tell(monkeypatch, {"avx512_bf16": True})
    run = trainer(celeba, tmp_path, steps=2, mixed_precision="bf16", penalty_interval=1)
    terms = []
    step = run._train_step
    run._train_step = lambda: terms.append(step()) or terms[-1]
    run.train()
    assert all(term.dtype == torch.float32 for each in terms for term in each.values())
    assert "d_penalty" in terms[0]
    assert all(p.dtype == torch.float32 for network in run.objective.networks for p in network.parameters())


@pytest.mark.parametrize(
    ("wanted", "device", "instructions", "taken"),
    [
        ("auto", "cpu", {"avx2": True, "avx512_f": True, "avx512_bf16": False}, "no"),
        ("auto", "cpu", {"avx2": True, "avx512_bf16": True}, "bf16"),
        ("auto", "cpu", {"neon": True, "bf16": True}, "bf16"),
        ("auto", "cpu", None, "no"),  # a torch that cannot tell
        ("auto", "cuda", {}, "bf16"),
        ("auto", "mps", {"bf16": True}, "no"),
        ("bf16", "mps", {}, "bf16"),
        ("bf16", "cpu", {"avx512_bf16": True}, "bf16"),
        ("no", "cuda", {}, "no"),
    ],
)
def test_bf16_is_taken_where_there_are_instructions_for_it(wanted, device, instructions, taken, monkeypatch):
    tell(monkeypatch, instructions)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_precision(wanted, torch.device(device)) == taken


def tell(monkeypatch, instructions):
    """Let torch say that the processor has these instructions, or not know."""
    if instructions is None:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)


def test_who_asks_for_bf16_without_instructions_gets_it_and_is_told(celeba, tmp_path, monkeypatch):
    tell(monkeypatch, {"avx2": True})
    with pytest.warns(UserWarning, match="--mixed_precision no"):
        slow = trainer(celeba, tmp_path, mixed_precision="bf16")
    assert slow.accelerator.mixed_precision == "bf16"
    assert trainer(celeba, tmp_path, mixed_precision="auto").accelerator.mixed_precision == "no"
    assert recipe_defaults("stgan", "fast").mixed_precision == "auto"


def test_a_classifier_learns_what_is_there_to_see(celeba, tmp_path):
    finished = trained(
        celeba, tmp_path, "classifier-fast", steps=150, batch_size=16, attributes=("Eyeglasses", "Pale_Skin"),
        max_validation_samples=12, warmup_images=160, logging_steps=50, checkpointing_steps=1_000, ema_half_life=160,
    )  # fmt: skip
    assert finished.objective.validate(finished.validation_data, None)["accuracy"] > 0.9


def test_an_aligner_learns_the_way_back(celeba, tmp_path):
    finished = trained(
        celeba, tmp_path, "aligner-fast", steps=400, batch_size=16, aligner_width=8, max_validation_samples=12,
        warmup_images=160, logging_steps=50, checkpointing_steps=1_000, ema_half_life=160,
    )  # fmt: skip
    objective = finished.objective
    trained_figures = objective.validate(finished.validation_data, None)
    objective.ema = None
    objective.plain_network = FaceAligner(24, 8, 1)
    start = objective.validate(finished.validation_data, None)
    assert trained_figures["error_1"] < 0.7 * start["error_1"]
    assert trained_figures["error_3"] < trained_figures["error_1"]


def test_a_generator_learns_to_reconstruct(celeba, tmp_path):
    losses = []
    run = trainer(celeba, tmp_path, "stgan-paper", steps=60, critic_steps=1, learning_rate=2e-3)
    run._log = lambda terms, bar: losses.append(terms["g_reconstruction"])
    run.train()
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


def test_the_run_says_nothing_about_its_libraries(celeba, tmp_path):
    """No deprecation or other warning at the start of a run that nobody can do anything about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained(celeba, tmp_path, steps=1)
    ours = [str(warning.message) for warning in caught if not issubclass(warning.category, ResourceWarning)]
    assert ours == []


# -------------------------------------------------------------------------------------------------------- resuming


@pytest.fixture(scope="module")
def uninterrupted(celeba, tmp_path_factory):
    """Finished runs of six steps with every checkpoint kept, made when first asked for."""
    made = {}

    def run(name, **settings):
        key = (name, *settings.items())
        if key not in made:
            made[key] = tmp_path_factory.mktemp("uninterrupted")
            trained(celeba, made[key], name, steps=6, **KEEP_ALL | settings)
        return made[key]

    return run


KEEP_ALL = {"checkpointing_steps": 1, "checkpoints_total_limit": 100, "validation_steps": 2}


@pytest.mark.parametrize("run", ["stgan-fast", "stgan-paper", "stargan-fast", "classifier-fast", "aligner-fast"])
@pytest.mark.parametrize("step", [2, 3])
def test_a_run_resumed_from_a_checkpoint_ends_as_one_that_never_stopped(run, step, uninterrupted, celeba, tmp_path):
    whole = uninterrupted(run)
    shutil.copytree(whole / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    resumed = trained(celeba, tmp_path, run, steps=6, resume_from_checkpoint="latest", **KEEP_ALL)
    assert resumed.step == 6
    for later in range(step + 1, 7):
        assert_same_state(tmp_path / f"checkpoint-{later}", whole / f"checkpoint-{later}")
    ours, theirs = (load_file(output / "model" / "model.safetensors") for output in (tmp_path, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_checkpoint_of_steps_recorded_on_a_gpu_goes_on_where_none_are_recorded(uninterrupted, celeba, tmp_path):
    """There the learning rate is a number on the device, and Adam is told so; a CPU refuses that."""
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-3", tmp_path / "checkpoint-3")
    optimizers = list((tmp_path / "checkpoint-3").glob("optimizer*.bin"))
    assert len(optimizers) == 2
    for file in optimizers:
        state = torch.load(file, weights_only=True)
        for group in state["param_groups"]:
            group |= {"capturable": True, "lr": torch.tensor(group["lr"])}
        torch.save(state, file)
    trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **KEEP_ALL)
    assert_same_state(tmp_path / "checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_passed_on_while_the_run_is_saved_does_not_stop_the_saving(number, celeba, tmp_path, monkeypatch):
    run = trainer(celeba, tmp_path, steps=6, checkpointing_steps=100, validation_steps=100)
    step, save = run._train_step, run.accelerator.save_state

    def signalled(work):
        def do(*words):
            os.kill(os.getpid(), number)
            return work(*words)

        return do

    run._train_step = lambda: (signalled(step) if run.step == 3 else step)()
    monkeypatch.setattr(run.accelerator, "save_state", signalled(save))
    run.train()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-4"]
    load_generator(tmp_path / "model")


SIGNALS = [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("numbers", SIGNALS, ids=lambda numbers: "+".join(number.name for number in numbers))
def test_a_signal_ends_the_step_saves_and_the_resumed_run_is_the_uninterrupted_one(
    numbers, uninterrupted, celeba, tmp_path, capsys
):
    """Two at once are one that a launcher has passed on."""
    run = trainer(celeba, tmp_path, steps=6, checkpointing_steps=100, validation_steps=2)
    step = run._train_step

    def signalled_step():
        for number in numbers if run.step == 3 else ():
            os.kill(os.getpid(), number)
        return step()

    run._train_step = signalled_step
    run.train()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-4"]
    assert "Stopped after step 4 of 6" in capsys.readouterr().out
    load_generator(tmp_path / "model")
    trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **KEEP_ALL)
    assert_same_state(tmp_path / "checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")


def test_a_second_signal_later_on_stops_at_once(celeba, tmp_path, monkeypatch):
    monkeypatch.setattr("stgan.training.trainer.SECOND_SIGNAL_SECONDS", 0.05)
    run = trainer(celeba, tmp_path, steps=6, checkpointing_steps=100, validation_steps=2)

    def stuck_step():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal was not heard")

    run._train_step = stuck_step
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
    try:
        with pytest.raises(KeyboardInterrupt):
            run.train()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list_checkpoints(tmp_path)


def test_signal_handlers_are_given_back(celeba, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    trained(celeba, tmp_path, steps=1)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def start(words, launcher=(sys.executable,), **options):
    """``python train.py …`` in a process group of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.Popen(
        [*launcher, str(ROOT / "train.py"), *words], env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=options["cwd"],
    )  # fmt: skip


def wait_for(output, step, process):
    """Until a checkpoint of that step, or of a later one, is there."""
    deadline = time.monotonic() + 180
    while not any(int(path.name.removeprefix("checkpoint-")) >= step for path in list_checkpoints(output)):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no checkpoint of step {step}:\n{process.communicate()[0]}")
        time.sleep(0.005)


def test_a_run_killed_at_any_moment_resumes_as_if_it_had_not_been(celeba, tmp_path):
    """kill -9 while it trains and saves; what it leaves half-written is never used."""
    settings = {"steps": 40, "checkpointing_steps": 1, "checkpoints_total_limit": 3}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(command(celeba, killed, **settings), cwd=tmp_path)
    wait_for(killed, 5, process)
    time.sleep(0.03)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert int(last_checkpoint(killed).name.removeprefix("checkpoint-")) < 40
    resumed = trained(celeba, killed, resume_from_checkpoint="latest", **settings)
    assert resumed.step == 40
    assert not list(killed.glob("partial-*"))
    trained(celeba, whole, **settings)
    assert_same_state(last_checkpoint(killed), last_checkpoint(whole))


@pytest.fixture(scope="module")
def stopped_stream(celeba, tmp_path_factory):
    """A streamed run, its Hub out of reach, whose whole process group gets SIGTERM."""
    output = tmp_path_factory.mktemp("stopped") / "run"
    words = command(
        celeba, output, steps=100_000, streaming=True, dataloader_num_workers=2, checkpointing_steps=2,
        validation_steps=2, push_to_hub=True, hub_model_id="nobody/nothing", checkpoints_total_limit=2,
    )  # fmt: skip
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_none"}
    process = start(words, cwd=output.parent, env=unreachable)
    wait_for(output, 4, process)
    os.killpg(process.pid, signal.SIGTERM)
    text, _ = process.communicate(timeout=120)
    return SimpleNamespace(output=output, text=text, code=process.returncode, words=words)


def test_sigterm_to_the_whole_group_saves_and_exits_cleanly_even_with_workers(stopped_stream):
    assert stopped_stream.code == 0, stopped_stream.text
    assert "Everything is saved: continue with --resume_from_checkpoint latest." in stopped_stream.text
    stopped_at = int(stopped_stream.text.split("Stopped after step ")[1].split()[0])
    assert last_checkpoint(stopped_stream.output).name == f"checkpoint-{stopped_at}"
    assert not list(stopped_stream.output.glob("partial-*"))
    load_generator(stopped_stream.output / "model")


def test_a_hub_out_of_reach_never_stops_a_run(stopped_stream):
    assert "Could not push to nobody/nothing" in stopped_stream.text
    assert "Training goes on" in stopped_stream.text
    assert stopped_stream.code == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_streamed_run_resumes_exactly_too(workers, celeba, tmp_path):
    settings = {"streaming": True, "steps": 16, "dataloader_num_workers": workers, "batch_size": 5}
    settings |= {"checkpointing_steps": 7, "checkpoints_total_limit": 100}
    trained(celeba, tmp_path / "whole", **settings)
    shutil.copytree(tmp_path / "whole" / "checkpoint-7", tmp_path / "resumed" / "checkpoint-7")
    resumed = trained(celeba, tmp_path / "resumed", resume_from_checkpoint="latest", **settings)
    assert resumed.batches.epoch > 0
    with pytest.raises(CheckpointError, match=f"dataloader_num_workers: {workers} there, {workers + 1} now"):
        trained(
            celeba, tmp_path / "whole", resume_from_checkpoint="latest",
            **settings | {"dataloader_num_workers": workers + 1},
        )  # fmt: skip
    assert_same_state(tmp_path / "resumed" / "checkpoint-16", tmp_path / "whole" / "checkpoint-16")


def test_resuming_a_finished_run_changes_nothing(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast"), tmp_path / "again")
    before = (tmp_path / "again" / "checkpoint-6" / "progress.json").stat().st_mtime_ns
    record = json.loads((tmp_path / "again" / "model" / "training.json").read_text(encoding="utf-8"))
    others = {"attribute_weight": 1.0, "resume_from_checkpoint": "latest", **KEEP_ALL}
    trained(celeba, tmp_path / "again", steps=4, **others)
    assert (tmp_path / "again" / "checkpoint-6" / "progress.json").stat().st_mtime_ns == before
    load_generator(tmp_path / "again" / "model")
    after = json.loads((tmp_path / "again" / "model" / "training.json").read_text(encoding="utf-8"))
    assert (after["config"], after["commands"]) == (record["config"], record["commands"])  # nothing was trained so


def test_resuming_where_nothing_was_begins(celeba, tmp_path, capsys):
    assert trained(celeba, tmp_path, steps=1, resume_from_checkpoint="latest").step == 1
    assert "starting from the beginning" in capsys.readouterr().out


def test_resuming_with_other_settings_names_what_differs(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    with pytest.raises(CheckpointError, match="width: 4 there, 8 now; .*seed: 0 there, 5 now|seed.*width") as refusal:
        trained(celeba, tmp_path, steps=8, resume_from_checkpoint="latest", width=8, seed=5)
    assert "another --output_dir" in str(refusal.value)


def test_a_learning_rate_may_change_between_two_parts_of_a_run(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    settings = {"learning_rate": 1e-5, "adam_beta1": 0.3, "lr_schedule": "constant"}
    resumed = trained(celeba, tmp_path, steps=7, resume_from_checkpoint="latest", **settings)
    rates = [group["lr"] for group in resumed.objective.generator_optimizer.param_groups]
    assert rates == [1e-5]
    assert resumed.objective.generator_optimizer.param_groups[0]["betas"][0] == 0.3


def test_a_checkpoint_that_is_not_there_names_those_that_are(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    with pytest.raises(CheckpointError, match="no checkpoint 'checkpoint-5'.*there are: checkpoint-6"):
        trained(celeba, tmp_path, resume_from_checkpoint="checkpoint-5")


def test_half_a_checkpoint_is_cleared_away_and_never_resumed_from(uninterrupted, celeba, tmp_path):
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-4", tmp_path / "checkpoint-4")
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-5", tmp_path / "partial-checkpoint-5")
    shutil.copytree(uninterrupted("stgan-fast") / "checkpoint-6", tmp_path / "checkpoint-6")
    (tmp_path / "checkpoint-6" / "progress.json").unlink()  # as an older version, killed while removing, left it
    resumed = trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **KEEP_ALL)
    assert resumed.step == 6
    assert not list(tmp_path.glob("partial-*"))
    assert_same_state(tmp_path / "checkpoint-5", uninterrupted("stgan-fast") / "checkpoint-5")


class Killed(BaseException):
    """Stands for a kill at a chosen moment: nothing catches it."""


@pytest.mark.parametrize("moment", ["writing", "removing"])
def test_a_save_cut_off_at_its_worst_moment_costs_nothing(moment, uninterrupted, celeba, tmp_path, monkeypatch):
    run = trainer(celeba, tmp_path, steps=6, checkpointing_steps=1, checkpoints_total_limit=1, validation_steps=2)
    save_state, removed = run.accelerator.save_state, []

    def half_save(folder):
        save_state(folder)
        if run.step == 4:
            (Path(folder) / "model.safetensors").unlink()
            raise Killed

    def half_remove(folder, **options):
        if "removed-checkpoint" in folder.name and folder.exists():
            removed.append(folder)
            if len(removed) == 2:
                next(folder.glob("*.safetensors")).unlink()
                raise Killed
        rmtree(folder, **options)

    rmtree = shutil.rmtree
    if moment == "writing":
        run.accelerator.save_state = half_save
    else:
        monkeypatch.setattr("stgan.training.checkpoints.shutil.rmtree", half_remove)
    with pytest.raises(Killed):
        run.train()
    monkeypatch.undo()
    left = [path.name for path in list_checkpoints(tmp_path)]
    assert len(left) == 1
    trained(celeba, tmp_path, steps=6, resume_from_checkpoint="latest", **KEEP_ALL)
    assert_same_state(tmp_path / "checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")


def test_only_the_newest_checkpoints_are_kept(celeba, tmp_path):
    trained(celeba, tmp_path, steps=5, checkpointing_steps=1, checkpoints_total_limit=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-4", "checkpoint-5"]


def test_a_run_that_goes_back_goes_on_from_there(uninterrupted, celeba, tmp_path):
    for step in (2, 5, 6):
        shutil.copytree(uninterrupted("stgan-fast") / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    options = {"checkpoints_total_limit": 2, "learning_rate": 1e-5}
    trained(celeba, tmp_path, steps=3, resume_from_checkpoint="checkpoint-2", **options)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-3"]
    assert_same_state(tmp_path / "abandoned-checkpoint-6", uninterrupted("stgan-fast") / "checkpoint-6")  # not lost
    trained(celeba, tmp_path, steps=4, resume_from_checkpoint="latest", **options)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-4"]


# ---------------------------------------------------------------------------------------------------------- failing


def break_weights(run, at):
    """Let a weight become not a number in one step of a run."""
    step = run._train_step

    def diverging_step():
        terms = step()
        if run.step == at:
            with torch.no_grad():
                (next(run.objective.plain_generator.parameters())[0]).fill_(math.nan)
        return terms

    run._train_step = diverging_step


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_a_run_that_diverges_stops_and_keeps_its_last_sound_checkpoint(broken, celeba, tmp_path):
    run = trainer(celeba, tmp_path, steps=9, checkpointing_steps=2, checkpoints_total_limit=1, logging_steps=100)
    break_weights(run, at=5)
    step = run._train_step
    if broken == "loss":
        run._train_step = lambda: step() | ({"g_adversarial": torch.tensor(math.nan)} if run.step == 5 else {})
    run.config.logging_steps = 5 if broken == "loss" else 100
    with pytest.raises(TrainingError, match="became infinite or not a number.*resume_from_checkpoint latest"):
        run.train()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-4"]
    assert all(value.isfinite().all() for value in load_file(tmp_path / "checkpoint-4" / "model.safetensors").values())


def test_a_diverged_model_takes_no_sound_ones_place(celeba, tmp_path):
    run = trainer(celeba, tmp_path, steps=9, validation_steps=2, checkpointing_steps=2, logging_steps=100)
    break_weights(run, at=4)
    with pytest.raises(TrainingError, match="weights became infinite"):
        run.train()
    assert json.loads((tmp_path / "model" / "training.json").read_text(encoding="utf-8"))["steps"] == 2
    assert all(value.isfinite().all() for value in load_file(tmp_path / "model" / "model.safetensors").values())


def test_weights_are_finite_only_if_all_are():
    networks = [nn.Linear(3, 3), nn.Linear(2, 2)]
    assert all_finite(networks)
    for value in (math.nan, math.inf):
        with torch.no_grad():
            networks[1].bias[1] = value
        assert not all_finite(networks)


def test_a_judge_that_does_not_know_the_attributes_is_refused_before_the_work(celeba, tmp_path):
    AttributeClassifier(("Male",), 32, 4).save_pretrained(tmp_path / "judge")
    with pytest.raises(ValueError, match="Black_Hair"):
        trained(celeba, tmp_path / "run", classifier=tmp_path / "judge")
    assert not list_checkpoints(tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dataset": "/nowhere"}, "No dataset at /nowhere"),
        ({"attributes": ("Eyeglases",)}, "Did you mean Eyeglasses"),
        ({"image_size": 30}, "multiple of 8"),
        ({"batch_size": 0}, "batch_size and total_images must be positive"),
        ({"max_train_samples": 0}, "max_train_samples and max_validation_samples must be positive"),
        ({"discriminator_head_start": -1}, "discriminator_head_start must not be negative"),
        ({"initial_model": "/nowhere"}, "/nowhere"),
        ({"penalty_interval": 0}, "penalty_interval must be positive"),
        ({"checkpoints_total_limit": 0}, "checkpoints_total_limit must be positive"),
        ({"mask_ramp": (0.7, 0.3)}, "mask_ramp must rise"),
        ({"mask_concavity": 2}, "mask_concavity must be"),
        ({"painted_share": 1.5}, "painted_share must be"),
        ({"discriminator_augmentation": -0.1}, "discriminator_augmentation must be"),
        ({"weight_decay": 0.1}, "weight_decay is for classifier and aligner"),
        ({"model": "aligner", "batch_size": 1}, "set --batch_size to 2 or more"),
        ({"intensity_range": (1.5, 1.0)}, "intensity_range must be positive"),
        ({"single_flip_weights": {"Bald": 0.0}}, "single_flip_weights must be positive"),
        ({"single_flip_weights": {"Bald": float("nan")}}, "single_flip_weights must be positive"),
        ({"single_flip_weights": {"Bald": 2.0}, "single_flip_share": 0.0}, "single_flip_weights need"),
        ({"batch_size": 60, "total_images": 60}, "lower --batch_size"),
        ({"streaming": True, "rare_attribute_power": 0.5}, "rare_attribute_power"),
        ({"streaming": True, "label_plausibility": 0.1}, "label_plausibility"),
        ({"model": "gpt"}, "invalid choice"),
        ({"steps_per_day": 3}, "steps_per_day"),
        ({"report_to": "carrier_pigeon"}, "carrier_pigeon"),
        ({"classifier": "/nowhere"}, "/nowhere"),
        ({"resume_from_checkpoint": "checkpoint-9"}, "no checkpoint 'checkpoint-9'"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else "",
)
def test_a_mistake_ends_with_one_clear_sentence_and_no_trace(settings, said, celeba, tmp_path, monkeypatch, capsys):
    fixed = {"dataset": celeba, "output_dir": tmp_path, "total_images": 8}
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments(**fixed | TINY | settings)])
    with pytest.raises(SystemExit) as ending:
        train_script.main()
    printed = capsys.readouterr()
    text = f"{printed.out}{printed.err}{ending.value.code}"
    assert ending.value.code not in (0, None)
    assert said in " ".join(text.replace("│", " ").split())
    assert "Traceback" not in text


@pytest.mark.parametrize(("started", "known"), [("2", 1), ("2", 2), (None, 1)])
def test_processes_that_do_not_know_of_each_other_are_refused(started, known, monkeypatch):
    """As ``accelerate launch --multi_gpu`` starts them on a machine without GPUs."""
    monkeypatch.setenv("WORLD_SIZE", started) if started else monkeypatch.delenv("WORLD_SIZE", raising=False)
    accelerator = SimpleNamespace(num_processes=known)
    if (started, known) != ("2", 1):
        check_processes(accelerator)
        return
    with pytest.raises(ValueError, match="ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2"):
        check_processes(accelerator)


# ----------------------------------------------------------------------------------------------------------- the Hub


def test_each_validation_goes_up_to_the_hub_with_its_card(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "face-editor", steps=4, validation_steps=2, push_to_hub=True, hub_private=True)
    repository = hub.repositories["models/somebody/face-editor"]
    assert repository.private
    shown = [json.loads(files["training.json"].data)["images_seen"] for _, files in repository.commits[1:]]
    assert shown[-1] == 16
    there = hub.files("models/somebody/face-editor")
    assert {path: (tmp_path / "face-editor" / "model" / path).read_bytes() for path in there} == there
    opponent = {"discriminator/config.json", "discriminator/model.safetensors"}
    assert there.keys() == {"README.md", "config.json", "model.safetensors", "training.json"} | opponent
    assert not list((tmp_path / "face-editor").glob("partial-*"))


def test_a_pushed_card_names_its_repository_and_nothing_of_former_weights_stays(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "face-editor", steps=2, push_to_hub=True)
    repository = hub.repositories["models/somebody/face-editor"]
    stale = {name: StoredFile(b"of former weights", large=False) for name in ("onnx/decode.onnx", "evaluation.json")}
    repository.commit("main", dict(repository.commits[-1][1]) | stale)
    trained(celeba, tmp_path / "face-editor", steps=3, push_to_hub=True)
    there = hub.files("models/somebody/face-editor")
    assert there.keys().isdisjoint(stale)
    assert b'from_pretrained("somebody/face-editor")' in there["README.md"]


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({"config.json": b'{"model_type": "bert"}', "model.safetensors": b"bert"}, {}, "taken by something else"),
        ({"weights.bin": b"work"}, {}, "taken by something else"),
        ({}, {"hub_private": True}, "there already and public"),
    ],
)
def test_a_run_does_not_begin_that_would_push_into_what_is_not_its_own(files, options, said, hub, celeba, tmp_path):
    repository = hub.repositories["models/somebody/mine"] = Repository(private=False)
    repository.commit("main", {name: StoredFile(data, large=False) for name, data in files.items()})
    with pytest.raises(HubError, match=said):
        trained(celeba, tmp_path, steps=1, push_to_hub=True, hub_model_id="mine", **options)
    assert hub.files("models/somebody/mine") == files


def test_a_run_continues_from_the_hub_as_it_would_have_gone_on(hub, celeba, tmp_path):
    settings = {"checkpointing_steps": 2, "checkpoints_total_limit": 1}
    trained(celeba, tmp_path / "first", steps=4, push_to_hub=True, hub_model_id="mine", push_state_every=1, **settings)
    on_hub = hub.files("models/somebody/mine", "training-state")
    assert {path.split("/")[0] for path in on_hub if path.startswith("checkpoint-")} == {"checkpoint-4"}
    assert not any(path.startswith("checkpoint-") for path in hub.files("models/somebody/mine"))
    resumed = trained(
        celeba, tmp_path / "second", steps=8, resume_from_checkpoint="somebody/mine@training-state", **settings
    )
    assert resumed.step == 8
    straight = trained(celeba, tmp_path / "first", steps=8, resume_from_checkpoint="latest", **settings)
    assert straight.step == 8
    assert_same_state(last_checkpoint(tmp_path / "second"), last_checkpoint(tmp_path / "first"))


def test_a_run_without_a_state_on_the_hub_says_so(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "first", steps=2, push_to_hub=True, hub_model_id="mine")
    with pytest.raises(CheckpointError, match="--push_state_every"):
        trained(celeba, tmp_path / "second", steps=2, resume_from_checkpoint="somebody/mine@main")
    with pytest.raises(HubError, match="check the names"):
        trained(celeba, tmp_path / "second", steps=2, resume_from_checkpoint="somebody/other@main")


def test_an_upload_that_fails_is_reported_and_the_run_goes_on(hub, celeba, tmp_path, capsys):
    hub.failures.append(Failure("POST", "/commit/", times=10))
    assert trained(celeba, tmp_path, steps=2, push_to_hub=True, hub_model_id="mine").step == 2
    said = capsys.readouterr().out
    assert "Could not push to somebody/mine: The connection to the Hub was lost" in said
    assert "Training goes on" in said


# ------------------------------------------------------------------------------------------- the paper's step by hand


def plain_step(generator, discriminator, draw, random):
    """REFERENCE section 3 with one D step, written down with nothing but torch and the paper's numbers."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    generator_adam = torch.optim.Adam(generator.parameters(), **adam)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), **adam)
    bce = nn.BCEWithLogitsLoss()

    def halves(labels):
        return (2 * labels - 1) * 0.5

    x, a = draw()
    b = a[torch.randperm(len(a), generator=random)]
    fake = generator(x, halves(b) - halves(a)).detach()
    real_logit, real_attributes = discriminator(x)
    share = torch.rand(len(x), 1, 1, 1, generator=random)
    between = (x + share * (fake - x)).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between)[0].sum(), between, create_graph=True)
    penalty = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    wasserstein = real_logit.mean() - discriminator(fake)[0].mean()
    discriminator_adam.zero_grad()
    (-wasserstein + 10 * penalty + bce(real_attributes, a)).backward()
    discriminator_adam.step()

    x, a = draw()
    b = a[torch.randperm(len(a), generator=random)]
    discriminator.requires_grad_(False)
    edited_logit, edited_attributes = discriminator(generator(x, halves(b) - halves(a)))
    reconstruction = (generator(x, torch.zeros_like(a)) - x).abs().mean()
    generator_adam.zero_grad()
    (-edited_logit.mean() + 10 * bce(edited_attributes, b) + 100 * reconstruction).backward()
    generator_adam.step()


def test_a_step_of_the_paper_is_its_losses_and_adam_written_out(celeba, tmp_path):
    run = trainer(celeba, tmp_path, "stgan-paper", steps=1, critic_steps=1)
    copies = []

    def recorded_step(draw, random, step, progress):
        networks = copy.deepcopy(run.objective.networks)
        batches, own_random = [], torch.Generator()
        own_random.set_state(random.get_state())

        def recorded_draw():
            batches.append(draw())
            return batches[-1]

        terms = objective_step(recorded_draw, random, step, progress)
        prepared = iter([(normalise(images), labels) for images, labels in batches])
        plain_step(*networks, lambda: next(prepared), own_random)
        copies.extend(networks)
        return terms

    run._run_steps = lambda: None
    run._finish = lambda: None
    run.train()
    objective_step, run.objective.step = run.objective.step, recorded_step
    run._train_step()
    assert len(copies) == 2
    for ours, by_hand in zip(run.objective.networks, copies, strict=True):
        for (name, value), expected in zip(ours.named_parameters(), by_hand.parameters(), strict=True):
            largest = expected.grad.abs().max().item()
            torch.testing.assert_close(value.grad, expected.grad, atol=1e-3 * largest + 1e-7, rtol=1e-3, msg=name)
            # Adam's first step is the gradient's sign: where the gradient is rounding error, so is the step.
            clear = expected.grad.abs() > 0.01 * largest
            torch.testing.assert_close(value[clear], expected[clear], atol=2e-6, rtol=1e-5, msg=name)
        for value, expected in zip(ours.buffers(), by_hand.buffers(), strict=True):
            torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-4)


def test_the_paper_takes_five_fresh_batches_for_d_and_one_for_g_and_freezes_the_other(celeba, tmp_path):
    run = trainer(celeba, tmp_path, "stgan-paper", steps=2)
    draws, kinds = [], []
    run._finish = lambda: None

    def watch(name, changes, rests):
        inner = getattr(run.objective, name)

        def watched(*args):
            before = {network: [p.clone() for p in network.parameters()] for network in run.objective.networks}
            gradients = [None if p.grad is None else p.grad.clone() for p in rests().parameters()]
            terms = inner(*args)
            assert any(not torch.equal(a, b) for a, b in zip(before[changes()], changes().parameters(), strict=True))
            assert all(torch.equal(a, b) for a, b in zip(before[rests()], rests().parameters(), strict=True))
            for old, parameter in zip(gradients, rests().parameters(), strict=True):
                assert parameter.requires_grad
                assert (old is None and parameter.grad is None) or torch.equal(old, parameter.grad)
            kinds.append(name)
            return terms

        setattr(run.objective, name, watched)

    def run_steps():
        objective, draw = run.objective, run.batches.draw
        run.batches.draw = lambda number: draws.append(number) or draw(number)
        watch("_discriminator_step", lambda: objective.plain_discriminator, lambda: objective.plain_generator)
        watch("_generator_step", lambda: objective.plain_generator, lambda: objective.plain_discriminator)
        run._train_step()
        run._train_step()

    run._run_steps = run_steps
    run.train()
    assert draws == list(range(12))
    assert kinds == (["_discriminator_step"] * 5 + ["_generator_step"]) * 2


def test_the_papers_recipe_is_the_papers():
    config = recipe_defaults("stgan", "paper")
    steps = config.total_images / (config.batch_size * (config.critic_steps + 1))
    assert steps == 200 * 947 == 200 * (182_000 // (32 * 6))
    factors = [learning_rate_factor(config, 0, step / steps) for step in (0, 100 * 947 - 1, 100 * 947, steps - 1)]
    assert factors == [1, 1, 0.1, 0.1]
    numbers = (config.learning_rate, config.adam_beta1, config.adam_beta2, config.batch_size, config.critic_steps)
    assert numbers == (2e-4, 0.5, 0.999, 32, 5)
    weights = (config.penalty_weight, config.discriminator_attribute_weight)
    assert (*weights, config.attribute_weight, config.reconstruction_weight) == (10, 1, 10, 100)
    shape = (config.image_size, config.width, config.max_width, config.layers, config.stu_layers, config.stu_state)
    assert shape == (128, 64, 1024, 5, 4, "stu")
    off = (config.random_flip, config.use_ema, config.soft_mask, config.use_regions, config.single_flip_share)
    assert not any((*off, config.rare_attribute_power))
    assert (config.penalty_interval, config.norm_decay, config.mixed_precision) == (1, 0.999, "no")


def test_regions_are_for_those_who_are_asked_by_differences(capsys):
    fast = {model: recipe_defaults(model, "fast").use_regions for model in ("stgan", "attgan", "stargan")}
    assert fast == {"stgan": True, "attgan": False, "stargan": False}
    assert train_script.parse(arguments(model="attgan", recipe="fast", label_mode="difference", use_regions=True))
    for wrong in ({"model": "attgan", "use_regions": True}, {"model": "stgan", "label_mode": "target"}):
        with pytest.raises(SystemExit):
            train_script.parse(arguments(**wrong))
        assert "--no_use_regions" in capsys.readouterr().err


def test_an_option_overrides_its_recipe_and_nothing_else():
    for model in ("stgan", "attgan", "stargan", "classifier"):
        for recipe in ("fast", "paper"):
            defaults = recipe_defaults(model, recipe)
            chosen = train_script.parse(arguments(model=model, recipe=recipe, batch_size=7, attributes=("Male",)))
            different = {n for n in asdict(defaults) if getattr(chosen, n) != getattr(defaults, n)}
            assert different == {"batch_size", "attributes"}


# ------------------------------------------------------------------------------------------------- parts of a recipe


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("drop", [1, 1, 0.1, 0.1]),
        ("linear", [1, 1, 1, 0.5]),
        ("cosine", [1, 1, 1, 0.5]),
    ],
)
def test_learning_rate_schedules(schedule, expected):
    config = TrainingConfig(lr_schedule=schedule, decay_start=0.5)
    factors = [learning_rate_factor(config, 0, progress) for progress in (0, 0.49, 0.5, 0.75)]
    assert factors == pytest.approx(expected)
    end = learning_rate_factor(config, 0, 0.999_999)
    assert end == pytest.approx({"constant": 1, "drop": 0.1}.get(schedule, 0), abs=1e-5)


def test_the_learning_rate_rises_over_the_first_images():
    config = TrainingConfig(warmup_images=320, batch_size=32)
    assert [learning_rate_factor(config, images, 0) for images in (0, 32, 288, 320, 9_999)] == pytest.approx(
        [0.1, 0.2, 1, 1, 1]
    )


def test_the_optimizers_get_the_schedules_rate(celeba, tmp_path):
    rate = {"learning_rate": 5e-4, "discriminator_rate_factor": 3.0}
    run = trainer(celeba, tmp_path, steps=4, lr_schedule="linear", decay_start=0.0, **rate)
    rates = []
    step = run._train_step

    def recorded_step():
        terms = step()
        objective = run.objective
        optimizers = (objective.generator_optimizer, objective.discriminator_optimizer)
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers])
        return terms

    run._train_step = recorded_step
    run.train()
    for step_number, (generator_rate, discriminator_rate) in enumerate(rates):
        assert generator_rate == pytest.approx(5e-4 * (1 - step_number / 4))
        assert discriminator_rate == pytest.approx(3 * generator_rate)


def test_the_average_is_the_weighted_sum_of_all_weights_it_has_seen():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = ExponentialMovingAverage(model, half_life=50, ramp=0.5)
    history, decays = [copy.deepcopy(model.state_dict())], []
    for step in range(1, 30):
        with torch.no_grad():
            for value in model.state_dict().values():
                value.add_(1) if not value.is_floating_point() else value.normal_()
        average.update(model, images_seen=8 * step, images_per_step=8)
        history.append(copy.deepcopy(model.state_dict()))
        decays.append(0.5 ** (8 / max(1, min(50, 0.5 * 8 * step))))
    for name, value in average.model.state_dict().items():
        if not value.is_floating_point():
            assert torch.equal(value, history[-1][name])
            continue
        expected = history[0][name] * math.prod(decays)
        for k in range(1, 30):
            expected = expected + history[k][name] * (1 - decays[k - 1]) * math.prod(decays[k:])
        torch.testing.assert_close(value, expected)
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())


def objective(tmp_path, **settings):
    """An objective without a run around it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return EditingObjective(train_script.parse(command("none", tmp_path, **settings)), NAMES, Accelerator())


def test_a_mask_gets_its_price_between_the_ramps_ends(tmp_path):
    editing = objective(tmp_path, mask_weight=2.0, mask_ramp=(0.2, 0.6))
    prices = [editing.mask_price(progress) for progress in (0, 0.2, 0.4, 0.6, 0.99)]
    assert prices == pytest.approx([0, 0, 1, 2, 2])


@pytest.mark.parametrize("concavity", [0.0, 0.5])
def test_a_half_open_mask_costs_more_where_the_price_is_concave(concavity, tmp_path):
    editing = objective(tmp_path, soft_mask=True, mask_concavity=concavity)
    drawn, decode = [], editing.plain_generator.decode_parts
    editing.plain_generator.decode_parts = lambda *words: drawn.append(decode(*words)) or drawn[-1]
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 2, (8, 4)).float()
    terms = editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 0, 0.5)
    mask = drawn[0].mask[:8].detach()
    assert terms["g_mask"].item() == pytest.approx((mask + concavity * (mask - mask.square())).mean().item(), rel=1e-5)


def test_targets_permute_the_batchs_labels_or_flip_one_of_them(tmp_path):
    labels = torch.randint(0, 2, (64, 4), generator=torch.Generator().manual_seed(0)).float()
    permuting, flipping = (objective(tmp_path, single_flip_share=share) for share in (0.0, 1.0))
    target = permuting._draw_targets(labels, torch.Generator().manual_seed(1))
    assert sorted(target.tolist()) == sorted(labels.tolist())
    assert not torch.equal(target, labels)
    target = flipping._draw_targets(labels, torch.Generator().manual_seed(1))
    possible = [flipped_labels(labels, torch.full((64,), k), exclusion_matrix(NAMES)) for k in range(4)]
    chosen = torch.stack([(target == each).all(1) for each in possible])
    assert chosen.any(0).all()
    assert (chosen.sum(1) > 5).all()


def test_an_attribute_of_more_weight_is_flipped_oftener(tmp_path):
    editing = objective(tmp_path, single_flip_share=1.0, single_flip_weights={NAMES[1]: 5.0, NAMES[2]: 2.0})
    target = editing._draw_targets(torch.zeros(4000, 4), torch.Generator().manual_seed(1))
    assert target.mean(0).tolist() == pytest.approx([1 / 9, 5 / 9, 2 / 9, 1 / 9], abs=0.03)


def test_weights_of_flips_of_what_is_not_trained_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name Hat; trained are"):
        objective(tmp_path, single_flip_weights={"Hat": 2.0})


@pytest.mark.parametrize(("model", "back"), [("stgan", None), ("stargan", "intensity"), ("stargan", "label")])
@pytest.mark.parametrize("critic_steps", [0, 1])
def test_edits_are_asked_for_at_intensities_from_a_range(critic_steps, model, back, tmp_path, monkeypatch):
    """A difference is taken back as far as it went; back to a target is back to the labels, from wherever."""
    mode = "difference" if back == "intensity" else "target" if back == "label" else "model"
    editing = objective(
        tmp_path, model=model, critic_steps=critic_steps, intensity_range=(1.0, 1.8), label_mode=mode, batch_size=64
    )
    labels = torch.randint(0, 2, (64, 4), generator=torch.Generator().manual_seed(0)).float()
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    asked, condition = [], editing.plain_generator.condition
    monkeypatch.setattr(editing.plain_generator, "condition", lambda *words: asked.append(words) or condition(*words))
    editing.step(lambda: (images, labels), torch.Generator().manual_seed(1), 1, 0.5)
    forth = [intensity for source, target, intensity in asked if source is labels and target is not labels]
    assert len(forth) == 1 + critic_steps
    for intensity in forth:
        assert intensity.shape == (64, 1)
        assert 1 <= intensity.min() < 1.1 < 1.7 < intensity.max() <= 1.8
        assert 1.3 < intensity.mean() < 1.5
    ways_back = [intensity for source, target, intensity in asked if target is labels and source is not labels]
    assert len(ways_back) == (back is not None)
    for intensity in ways_back:
        assert intensity is forth[-1] if back == "intensity" else intensity == 1


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_labels_that_the_data_never_show_together_are_unknown_to_the_discriminator(critic_steps, tmp_path):
    """No glasses (2) on men (3) in these data."""
    editing = objective(
        tmp_path, critic_steps=critic_steps, label_plausibility=0.05, changed_attribute_weight=3.0,
        discriminator_conditional=True, mismatch_weight=1.0, adversarial_loss="logistic", attribute_margin=0.7,
        intensity_range=(1.5, 1.5), intensity_margin=0.8, never_shown_attribute_weight=2.0,
    )  # fmt: skip
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    labels = torch.tensor([[0.0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]])
    target = torch.tensor([[0.0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 1]])
    told = torch.tensor([[0.0, 0, 0.5, 0.5], [1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0.5, 0.5]])  # row 2: the other colour
    counted = torch.tensor([[a, b, c, d] for a in (0, 1) for b in (0, 1) for c, d in ((0, 0), (0, 1), (1, 0))])
    editing.count_labels(counted.float())

    editing._draw_targets = lambda labels, random: target
    seen, conditions, condition = [], [], editing.plain_generator.condition
    editing.plain_discriminator.register_forward_hook(lambda _, inputs, outputs: seen.append((inputs[1], outputs)))
    editing.plain_generator.condition = lambda *words: conditions.append(words[1]) or condition(*words)
    terms = editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 1, 0.5)
    (with_labels, (realness, seen_logits)), (asked, (_, logits)) = seen
    assert with_labels[:, 0].equal(torch.cat([labels, told]))
    assert asked.equal(told)
    assert conditions[0].equal(target)  # the generator is asked for no more than an editor asks for
    target = target.clone()
    target[2, 1] = 1
    wrong = F.softplus(realness[1:4, 1]).sum() / 4  # the first differs in nothing but what is unknown
    assert terms["d_mismatch"].item() == pytest.approx(wrong.item(), rel=1e-5)
    added, removed = target > labels, target < labels
    margin = 0.7 + 0.5 * 0.8
    surer = torch.where(added, logits - margin, torch.where(removed, logits + margin, logits))
    entropy = F.binary_cross_entropy_with_logits(surer, target, reduction="none")
    expected = (entropy.sum() + 2 * entropy[labels != target].sum()) / 16
    # Asked for what nobody has: glasses for the man in the first row; a man of whom glasses are in the last.
    expected = expected - (entropy[0, 2] + entropy[3, 3]) / 16
    assert terms["g_attribute"].item() == pytest.approx(expected.item(), rel=1e-5)
    entropy = F.binary_cross_entropy_with_logits(seen_logits[:4], labels, reduction="none")
    entropy[labels[:, 3] == 1, 2] = 0  # a man has no glasses: no news
    entropy[labels[:, 2] == 1, 3] = 0
    expected = entropy.sum() / 16
    assert terms["d_attribute"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("critic_steps", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("progress", [0.0, 0.5])
def test_a_share_of_the_edits_is_judged_without_the_mask(progress, share, critic_steps, tmp_path):
    """By both networks alike, and in D's head start too."""
    editing = objective(
        tmp_path, critic_steps=critic_steps, painted_share=share, soft_mask=True, discriminator_augmentation=0.0,
        discriminator_head_start=25, total_images=100, batch_size=64,
    )  # fmt: skip
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 2, (64, 4)).float()
    drawn, judged = [], []
    decode = editing.plain_generator.decode_parts
    editing.plain_generator.decode_parts = lambda *words: drawn.append(decode(*words)) or drawn[-1]
    editing.plain_discriminator.register_forward_pre_hook(lambda _, inputs: judged.append(inputs[0][-64:].detach()))
    editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 1, progress)
    looks = 1 if progress == 0 else 2
    assert len(judged) == looks
    for look, seen in enumerate(judged):
        edit = drawn[look * critic_steps]  # without critic steps one pass serves both
        painted = (seen == edit.rgb[:64]).flatten(1).all(dim=1)
        composed = (seen == edit.image[:64]).flatten(1).all(dim=1)
        assert (painted ^ composed).all()
        assert painted.float().mean() == pytest.approx(share, abs=0.2)
    if looks == 2 and critic_steps == 0:
        assert judged[0].equal(judged[1])


@pytest.mark.parametrize("critic_steps", [0, 1])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_discriminator_alone_sees_augmented_images_real_and_edited_alike(share, critic_steps, tmp_path):
    editing = objective(tmp_path, critic_steps=critic_steps, discriminator_augmentation=share, painted_share=0.0)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 2, (8, 4)).float()
    edited, seen, encoded = [], [], []
    decode, encode = editing.plain_generator.decode_parts, editing.plain_generator.encode
    editing.plain_generator.decode_parts = lambda *words: edited.append(decode(*words)) or edited[-1]
    editing.plain_generator.encode = lambda image: encoded.append(image) or encode(image)
    editing.plain_discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 1, 0.5)
    for look, edit in ((seen[0], edited[0]), (seen[1], edited[critic_steps])):
        shown = (look[-8:] == edit.image[:8]).flatten(1).all(dim=1)
        assert shown.all() if share == 0 else not shown.any()
    real = torch.stack([encoded[0], encoded[0].flip(-1)])
    assert (seen[0][:8] == real).flatten(2).all(dim=2).any(dim=0).equal(torch.full((8,), share == 0))


@pytest.mark.parametrize(("share", "rows"), [(1.0, 8), (0.5, 4), (0.01, 1)])
def test_a_share_of_the_batch_is_reconstructed_in_the_shared_pass(share, rows, tmp_path, monkeypatch):
    editing = objective(tmp_path, reconstruction_share=share)
    seen, forward = [], editing.generator.forward
    recorded = lambda images, condition, **more: seen.append(condition) or forward(images, condition, **more)  # noqa: E731
    monkeypatch.setattr(editing.generator, "forward", recorded)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 2, (8, 4)).float()
    editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 0, 0.0)
    assert len(seen) == 1
    assert len(seen[0]) == 8 + rows
    assert not seen[0][8:].any()  # att_diff = 0 asks for the same image


def test_a_generator_starts_from_a_saved_one(tmp_path):
    saved = objective(tmp_path, seed=1).trained_model
    saved.save_pretrained(tmp_path / "saved")
    torch.manual_seed(2)
    fresh = objective(tmp_path)
    started = objective(tmp_path, initial_model=tmp_path / "saved", norm_decay=0.5, use_regions=True)
    assert not states_equal(fresh.plain_generator, saved)
    for model in (started.plain_generator, started.trained_model):
        assert states_equal(model, saved)


def test_a_generator_that_starts_wider_than_the_saved_one_edits_as_it_did(tmp_path):
    saved = objective(tmp_path).trained_model.eval()
    saved.save_pretrained(tmp_path / "saved")
    started = objective(tmp_path, initial_model=tmp_path / "saved", width=7)
    images, condition = torch.rand(2, 3, 32, 32) * 2 - 1, torch.randint(-1, 2, (2, 4)).float()
    for model in (started.plain_generator.eval(), started.trained_model.eval()):
        assert model.config["width"] == 7
        torch.testing.assert_close(model(images, condition), saved(images, condition), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"width": 2}, "width 4 instead of 2"), ({"run": "attgan-fast"}, "architecture STGAN instead of AttGAN")],
)
def test_a_generator_that_differs_from_its_initial_model_is_told_how(settings, said, tmp_path):
    objective(tmp_path).trained_model.save_pretrained(tmp_path / "saved")
    with pytest.raises(ModelFolderError, match=said):
        objective(tmp_path, initial_model=tmp_path / "saved", **settings)


def test_a_run_takes_over_the_discriminator_that_the_last_one_left(celeba, tmp_path, capsys):
    for number in (1, 2):  # written over, too
        trained(celeba, tmp_path / "first", steps=number, resume_from_checkpoint="latest")
    left = tmp_path / "first" / "model"
    state = load_file(last_checkpoint(tmp_path / "first") / "model_1.safetensors")
    saved = load_companion_discriminator(left)
    assert saved.state_dict().keys() == state.keys()
    assert all(value.equal(state[name]) for name, value in saved.state_dict().items())
    assert sorted(path.name for path in (left / "discriminator").iterdir()) == ["config.json", "model.safetensors"]
    assert "--initial_model first" in (left / "README.md").read_text(encoding="utf-8")
    width = saved.config["width"]
    started = objective(tmp_path, initial_model=left)
    assert states_equal(started.plain_discriminator, saved)
    assert "goes on too" in capsys.readouterr().out
    other = objective(tmp_path, initial_model=left, discriminator_width=width + 2)
    assert states_equal(other.plain_generator, started.plain_generator)
    assert "anew" in (said := capsys.readouterr().out)
    assert f"width {width} instead of {width + 2}" in said
    shutil.rmtree(left / "discriminator")
    objective(tmp_path, initial_model=left)
    assert "has no discriminator: --discriminator_head_start" in capsys.readouterr().out


@pytest.mark.parametrize("config", ["", '{"architecture": "STGAN"}'])
def test_a_damaged_discriminator_stops_a_run_before_it_starts(config, tmp_path):
    objective(tmp_path).trained_model.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "discriminator").mkdir()
    (tmp_path / "saved" / "discriminator" / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ModelFolderError, match="damaged" if not config else "not a discriminator"):
        objective(tmp_path, initial_model=tmp_path / "saved")


def states_equal(ours, theirs):
    return all(value.equal(theirs.state_dict()[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("critic_steps", [0, 2])
def test_only_the_discriminator_learns_during_its_head_start(critic_steps, tmp_path):
    editing = objective(tmp_path, critic_steps=critic_steps, discriminator_head_start=25, total_images=100)
    images, labels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8), torch.eye(4)

    def learning(progress):
        """Which networks one step changes: generator, discriminator."""
        before = [[parameter.clone() for parameter in network.parameters()] for network in editing.networks]
        editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 0, progress)
        return [
            any(not new.equal(old) for new, old in zip(network.parameters(), parameters, strict=True))
            for network, parameters in zip(editing.networks, before, strict=True)
        ]

    assert learning(0.0) == learning(0.24) == [False, True]
    assert learning(0.25) == [True, True]


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_a_conditional_discriminator_sees_images_with_their_labels_and_edits_with_their_targets(critic_steps, tmp_path):
    editing = objective(tmp_path, critic_steps=critic_steps, discriminator_conditional=True, mismatch_weight=0.0)
    real, edited, seen = torch.eye(4), 1 - torch.eye(4), []
    editing._draw_targets = lambda labels, random: edited
    editing.plain_discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    editing.step(lambda: (images, real), torch.Generator().manual_seed(0), 1, 0.0)
    assert [len(labels) for labels in seen] == [8, 4]
    assert seen[0].equal(torch.cat([real, edited]))
    assert seen[1].equal(edited)


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_real_images_with_the_targets_of_their_edits_count_as_fakes(critic_steps, tmp_path):
    """The gradient of D's step, against that of the three terms from three looks of their own."""
    editing = objective(
        tmp_path, critic_steps=critic_steps, discriminator_conditional=True, mismatch_weight=0.5,
        adversarial_loss="logistic", discriminator_norm="none", mixed_precision="no",
        discriminator_augmentation=0.0,
    )  # fmt: skip
    discriminator, real, fake = editing.plain_discriminator, torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    labels, target = torch.eye(4), torch.eye(4)[[1, 0, 2, 2]]  # the third asks for what it has
    editing.discriminator_optimizer.step = lambda *arguments, **named: None
    terms = editing._discriminator_step(real, labels, fake, target, torch.Generator(), penalise=False)
    ours = [parameter.grad.clone() for parameter in discriminator.parameters()]
    discriminator.zero_grad()
    softplus, (own, attributes) = torch.nn.functional.softplus, discriminator(real, labels)
    mismatch = softplus(discriminator(real[[0, 1, 3]], target[[0, 1, 3]])[0]).sum() / 4
    loss = softplus(-own).mean() + softplus(discriminator(fake, target)[0]).mean() + 0.5 * mismatch
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(attributes, labels)
    (loss + editing.config.discriminator_attribute_weight * entropy).backward()
    for gradient, parameter in zip(ours, discriminator.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)
    assert terms["d_mismatch"].item() == pytest.approx(mismatch.item(), rel=1e-5)


@pytest.mark.parametrize("critic_steps", [0, 1])
def test_attributes_that_an_edit_changes_weigh_more(critic_steps, tmp_path):
    """With a weight of 3, the loss is that of all attributes and twice that of the changed ones."""
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    labels, target, seen = torch.eye(4), torch.eye(4)[[1, 0, 2, 2]], []
    editing = objective(
        tmp_path,
        critic_steps=critic_steps,
        changed_attribute_weight=3.0,
        attribute_margin=0.0,
        never_shown_attribute_weight=3.0,
    )
    editing._draw_targets = lambda labels, random: target
    editing.plain_discriminator.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs[1].detach()))
    terms = editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 1, 0.5)
    entropy = F.binary_cross_entropy_with_logits(seen[-1], target, reduction="none")  # G's look comes last
    expected = (entropy.sum() + 2 * entropy[labels != target].sum()) / 16
    assert terms["g_attribute"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_model_keeps_the_history_of_the_one_it_started_from(celeba, tmp_path):
    trained(celeba, tmp_path / "first", steps=2)
    trained(celeba, tmp_path / "second", steps=4, initial_model=tmp_path / "first" / "model", checkpointing_steps=2)
    for options in ({}, {"learning_rate": 1e-5, "resume_from_checkpoint": "checkpoint-2"}):
        if options:  # going on without --initial_model, as one does elsewhere, loses nothing
            trained(celeba, tmp_path / "second", steps=4, **options)
        record = json.loads((tmp_path / "second" / "model" / "training.json").read_text(encoding="utf-8"))
        assert record["images_seen"] == (2 + 4) * TINY["batch_size"]
        assert record["steps"] == 2 + 4
        assert [entry["from_image"] for entry in record["commands"]] == [0, 8]


def test_the_history_of_a_model_comes_from_the_hub_too(hub, celeba, tmp_path):
    trained(celeba, tmp_path / "face-editor", steps=2, push_to_hub=True)
    (tmp_path / "face-editor").rename(tmp_path / "elsewhere")
    run = trainer(celeba, tmp_path / "second", steps=1, initial_model="somebody/face-editor")
    record = json.loads((tmp_path / "elsewhere" / "model" / "training.json").read_text(encoding="utf-8"))
    assert (run.initial_images, run.initial_steps) == (record["images_seen"], record["steps"]) == (8, 2)
    assert run.commands[:-1] == record["commands"]


def test_what_is_of_other_weights_leaves_the_model_folder(celeba, tmp_path):
    trained(celeba, tmp_path, steps=2, checkpointing_steps=2)
    written = {path.name for path in (tmp_path / "model").iterdir()}
    (tmp_path / "model" / "evaluation.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model" / "edits.png").write_bytes(b"a picture")
    (tmp_path / "model" / "onnx").mkdir()
    trained(celeba, tmp_path, steps=3, resume_from_checkpoint="latest")
    assert {path.name for path in (tmp_path / "model").iterdir()} == written


def only_train(dataset, folder):
    """A copy of a dataset without its other splits."""
    only = folder / "only-train"
    only.mkdir()
    for file in Path(dataset).rglob("train-*.parquet"):
        shutil.copy(file, only)
    return only


def test_without_a_validation_split_images_of_train_are_held_out(celeba, tmp_path, capsys):
    folder = only_train(celeba, tmp_path)
    whole = load_into_memory(folder, "train", NAMES, 32, workers=0)
    run = trained(folder, tmp_path / "run", steps=1)
    held_out = math.ceil(len(whole) / 10)
    assert f"the first {held_out} images of train are held out" in capsys.readouterr().out
    assert torch.equal(run.validation_data.images, whole.images[:held_out])
    assert torch.equal(run.batches.dataset.images, whole.images[held_out:])
    with pytest.raises(CheckpointError, match=f"held {held_out} training images out .* would hold out 2"):
        trained(folder, tmp_path / "run", steps=2, max_validation_samples=2, resume_from_checkpoint="latest")
    streaming = {"streaming": True, "rare_attribute_power": 0.0, "label_plausibility": 0.0}
    with pytest.raises(DataError, match="no split 'validation'.*Without --streaming"):
        trained(folder, tmp_path / "streamed", steps=1, **streaming)


def test_a_model_says_on_which_devices_it_was_trained_one_after_another(celeba, tmp_path, monkeypatch):
    more = {"steps": 5, "initial_model": tmp_path / "first" / "model", "checkpointing_steps": 2}
    again = {**more, "resume_from_checkpoint": "latest"}
    runs = [
        ("a GPU", "first", {"steps": 2}, "a GPU"),
        ("a GPU", "same", more, "a GPU"),
        ("a CPU", "second", more, "a GPU, then a CPU"),
        ("another", "second", {**more, "resume_from_checkpoint": "checkpoint-4"}, "a GPU, then a CPU, then another"),
        ("a laptop", "second", again, "a GPU, then a CPU, then another"),  # nothing is left to train
    ]
    for device, folder, settings, expected in runs:
        monkeypatch.setattr("stgan.training.trainer.device_name", lambda _, device=device: device)
        trained(celeba, tmp_path / folder, **settings)
        record = json.loads((tmp_path / folder / "model" / "training.json").read_text(encoding="utf-8"))
        assert record["device"] == expected


def test_a_model_says_how_many_minutes_its_training_took_over_all_its_runs(celeba, tmp_path, monkeypatch):
    """On a clock that only a step moves, by a minute; what is done twice after going back counts twice."""
    now = [0.0]
    monkeypatch.setattr("stgan.training.trainer.time.monotonic", lambda: now[0])
    step = Trainer._train_step
    monkeypatch.setattr(Trainer, "_train_step", lambda run: (now.__setitem__(0, now[0] + 60), step(run))[1])
    more = {"steps": 5, "initial_model": tmp_path / "first" / "model", "checkpointing_steps": 2}
    runs = [
        ("first", {"steps": 2}, 2),
        ("second", more, 2 + 5),
        ("second", {**more, "resume_from_checkpoint": "checkpoint-4"}, 2 + 4 + 1),
    ]
    for folder, settings, minutes in runs:
        trained(celeba, tmp_path / folder, **settings)
        record = json.loads((tmp_path / folder / "model" / "training.json").read_text(encoding="utf-8"))
        assert record["minutes"] == minutes
        now[0] += 1e6  # nobody trains between two runs


def test_more_layers_may_have_more_transfer_units(tmp_path):
    deep = objective(tmp_path, image_size=128, layers=6, stu_layers=5).plain_generator
    assert (len(deep.transfer_units), deep.skip_layers) == (5, 5)
    assert objective(tmp_path, image_size=128, layers=6, stu_layers=4).plain_generator.skip_layers == 4


def test_stargans_recipe_weighs_a_sum_over_attributes_as_its_paper_does():
    config = recipe_defaults("stargan", "paper")
    logits, labels = torch.randn(16, 13), torch.randint(0, 2, (16, 13)).float()
    original = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 16
    for weight in (config.attribute_weight, config.discriminator_attribute_weight):
        torch.testing.assert_close(weight * attribute_loss(logits, labels), original)


def test_a_run_counts_its_labels_and_draws_by_them(celeba, tmp_path):
    run = trained(celeba, tmp_path, steps=1, label_plausibility=0.9, rare_attribute_power=0.5)
    labels = load_into_memory(celeba, "train", NAMES, 32, workers=0).labels
    counted = LabelRules.counted(NAMES, labels, 0.9)
    assert not torch.equal(counted.clashes, LabelRules.none(4).clashes)
    for rule in fields(LabelRules):
        assert torch.equal(getattr(run.objective.label_rules, rule.name).cpu(), getattr(counted, rule.name))
    assert torch.equal(run.batches.weights, rare_attribute_weights(labels, 0.5))


def test_a_penalty_every_eighth_step_weighs_eight_times_as_much(tmp_path):
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0.0, 1, 0, 1]] * 4)
    gradients = {}
    for weight, interval in ((0.0, 1), (5.0, 1), (5.0, 8)):
        torch.manual_seed(0)
        editing = objective(tmp_path, penalty_weight=weight, penalty_interval=interval)
        editing.step(lambda: (images, labels), torch.Generator().manual_seed(0), 0, 0.5)
        trunk = editing.plain_discriminator.trunk[0][0].weight
        gradients[weight, interval] = trunk.grad.clone()
    once = gradients[5.0, 1] - gradients[0.0, 1]
    assert once.abs().max() > 0
    torch.testing.assert_close(gradients[5.0, 8] - gradients[0.0, 1], 8 * once, rtol=1e-3, atol=1e-5)


def test_rare_attributes_are_drawn_more_often_by_their_rarest_value():
    labels = torch.tensor([[1.0, 0], [0, 0], [0, 0], [0, 1]])
    assert rare_attribute_weights(labels, 0) is None
    weights = rare_attribute_weights(labels, 1.0)
    assert weights.tolist() == pytest.approx([2, 1, 1, 2])
    assert rare_attribute_weights(labels, 0.5).tolist() == pytest.approx([2**0.5, 1, 1, 2**0.5])
    with_constant_column = torch.cat([labels, torch.ones(4, 1)], 1)
    assert rare_attribute_weights(with_constant_column, 1.0).tolist() == pytest.approx([2, 1, 1, 2])


def test_a_displaced_face_is_the_same_face_when_nothing_is_displaced():
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    still = random_similarity(images, torch.Generator().manual_seed(0), rotation=0, log_scale=0, shift=0)
    torch.testing.assert_close(still, images, atol=1e-5, rtol=1e-5)
    moved = random_similarity(images, torch.Generator().manual_seed(0))
    assert not torch.allclose(moved, images, atol=0.1)
    shifted = random_similarity(images, torch.Generator().manual_seed(0), rotation=0, log_scale=0, shift=0.5)
    by_hand = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grid = F.affine_grid(
        torch.stack([torch.tensor([[1, 0, x], [0, 1, y]]) for x, y in zip(by_hand[2], by_hand[3], strict=True)]),
        list(images.shape), align_corners=False,
    )  # fmt: skip
    expected = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(shifted, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("use_ema", [True, False])
def test_a_classifiers_thresholds_are_calibrated_and_survive_further_training(use_ema, celeba, tmp_path):
    run = trained(celeba, tmp_path, "classifier-fast", steps=4, validation_steps=2, use_ema=use_ema)
    saved = AttributeClassifier.from_pretrained(tmp_path / "model").thresholds
    assert not torch.equal(saved, torch.full((4,), 0.5))
    run.objective.update_average(100, 4)
    assert torch.equal(run.objective.trained_model.thresholds, saved)


def test_validation_measures_what_the_discriminator_knows_of_other_faces(tmp_path):
    editing = objective(tmp_path)
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 3, 32, 32), dtype=torch.uint8, generator=random)  # more than it sees at once
    labels = (torch.rand(70, len(NAMES), generator=random) < 0.5).float()
    editing.count_labels(labels)
    figures = editing.validate(MemoryDataset(images, labels), None)
    with torch.no_grad():
        logits = editing.plain_discriminator(images / 127.5 - 1)[1]
    expected = attribute_loss(logits, labels, editing.label_rules.open_labels(labels))
    assert figures["d_attribute"] == pytest.approx(expected.item(), rel=1e-5)
    assert editing.plain_discriminator.training


@pytest.mark.parametrize(("seen", "told"), [(0.1, True), (0.19, False)])
def test_a_run_says_when_its_discriminator_learns_images_by_heart(seen, told, celeba, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(EditingObjective, "validate", lambda *_: {"d_attribute": 0.3})
    step = EditingObjective._shared_step
    loss = torch.tensor(seen)
    monkeypatch.setattr(EditingObjective, "_shared_step", lambda *given: step(*given) | {"d_attribute": loss})
    trained(celeba, tmp_path, steps=2)
    assert ("learns its images by heart: its attribute loss is 0.1 on them and 0.3" in capsys.readouterr().out) == told


def test_the_validation_set_is_what_was_asked_for(celeba, tmp_path):
    run = trained(celeba, tmp_path, steps=1)
    expected = load_into_memory(celeba, "valid", NAMES, 32, max_samples=6, workers=0)
    assert torch.equal(run.validation_data.images, expected.images)


def test_what_is_logged_reaches_tensorboard(celeba, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(celeba, tmp_path, steps=4, logging_steps=2, report_to="tensorboard", penalty_interval=1)
    (file,) = (tmp_path / "logs" / "stgan").glob("events*")
    events = EventAccumulator(str(file)).Reload()
    tags = set(events.Tags()["scalars"])
    assert {"d_adversarial", "g_reconstruction", "learning_rate", "validation/psnr", "validation/ssim"} <= tags
    assert [event.step for event in events.Scalars("g_reconstruction")] == [2, 4]


# ------------------------------------------------------------------------------------------------- several processes

WORKER = """
import importlib.util, sys
from pathlib import Path
import torch
specification = importlib.util.spec_from_file_location("train", sys.argv[1])
script = importlib.util.module_from_spec(specification)
specification.loader.exec_module(script)
from stgan.training import Trainer

trainer = Trainer(script.parse(sys.argv[3:]))
trainer.objective_terms, trainer.seeds, trainer.drawn = [], [], []
finish, step, draw = trainer._finish, trainer._train_step, trainer._draw

def recorded_draw():
    images, labels = draw()
    trainer.drawn.append(images.float().mean(dim=(1, 2, 3)).tolist())
    return images, labels

def recorded_step():
    terms = step()
    trainer.objective_terms.append({name: value.item() for name, value in terms.items()})
    trainer.seeds.append(trainer.random.initial_seed())
    return terms

def recorded_finish():
    accelerator = trainer.accelerator
    networks = [dict(network.named_parameters()) for network in trainer.objective.networks]
    networks = [{name: p.detach().clone() for name, p in each.items()} for each in networks]
    record = {"networks": networks, "terms": trainer.objective_terms, "processes": accelerator.num_processes}
    record |= {"seeds": trainer.seeds, "drawn": trainer.drawn}
    record["shared_buffers"] = trainer.objective.generator.broadcast_buffers
    torch.save(record, Path(sys.argv[2]) / f"rank-{accelerator.process_index}.pt")
    return finish()

trainer._train_step, trainer._finish, trainer._draw = recorded_step, recorded_finish, recorded_draw
trainer.train()
"""


def launch(launcher, words, folder):
    """Run the worker in two processes on the CPU; returns what each rank recorded."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [*launcher, str(folder / "worker.py"), str(ROOT / "train.py"), str(folder), *words],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [torch.load(folder / f"rank-{rank}.pt") for rank in range(2)], done.stdout + done.stderr


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ACCELERATE = [
    sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
]  # fmt: skip


def assert_ranks_agree(ranks):
    first, second = ranks
    assert first["processes"] == second["processes"] == 2
    assert not first["shared_buffers"]
    for ours, theirs in zip(first["networks"], second["networks"], strict=True):
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name
    assert first["terms"] != second["terms"]
    assert set(first["seeds"]).isdisjoint(second["seeds"])  # each has random numbers of its own
    for ours, theirs in zip(first["drawn"], second["drawn"], strict=True):
        assert ours != theirs  # and images


def test_two_processes_hold_the_same_images_out(celeba, tmp_path):
    """Neither is left waiting where the other has found no validation split."""
    words = command(only_train(celeba, tmp_path), tmp_path / "run", steps=2)
    ranks, text = launch(TORCHRUN, words, tmp_path / "run")
    assert_ranks_agree(ranks)
    assert text.count("images of train are held out") == 1


def test_two_processes_end_with_the_same_weights_and_resume_exactly(celeba, tmp_path):
    settings = {"steps": 4, "checkpointing_steps": 2, "checkpoints_total_limit": 9, "streaming": True}
    settings |= {"total_images": 2 * 4 * 4, "dataloader_num_workers": 1}
    whole, text = launch(TORCHRUN, command(celeba, tmp_path / "whole", **settings), tmp_path / "whole")
    assert_ranks_agree(whole)
    assert "FutureWarning" not in text
    assert [len(rank["terms"]) for rank in whole] == [4, 4]
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
    words = command(celeba, tmp_path / "resumed", resume_from_checkpoint="latest", **settings)
    resumed, _ = launch(TORCHRUN, words, tmp_path / "resumed")
    assert_ranks_agree(resumed)
    assert_same_state(tmp_path / "resumed" / "checkpoint-4", tmp_path / "whole" / "checkpoint-4")
    for ours, theirs in zip(resumed, whole, strict=True):
        assert ours["terms"] == theirs["terms"][2:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_launcher_and_processes_at_once_saves_everything(number, celeba, tmp_path):
    """As Ctrl-C in a terminal: each process hears it twice, once from the launcher."""
    output = tmp_path / "run"
    words = command(celeba, output, steps=100_000, checkpointing_steps=2, validation_steps=100_000)
    process = start(words, TORCHRUN, cwd=tmp_path, env={"MASTER_ADDR": "127.0.0.1"})
    wait_for(output, 2, process)
    os.killpg(process.pid, number)
    text, _ = process.communicate(timeout=120)
    assert "Everything is saved: continue with --resume_from_checkpoint latest." in text, text
    stopped_at = int(text.split("Stopped after step ")[1].split()[0])
    assert last_checkpoint(output).name == f"checkpoint-{stopped_at}"


def test_accelerate_launch_starts_two_processes_on_the_cpu(celeba, tmp_path):
    """``ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2``, the paper's recipe."""
    words = command(celeba, tmp_path, "stgan-paper", steps=1, total_images=2 * 2 * 6 * 4)
    ranks, _ = launch(ACCELERATE, words, tmp_path)
    assert_ranks_agree(ranks)
    assert len(ranks[0]["terms"]) == 2
    load_generator(tmp_path / "model")
