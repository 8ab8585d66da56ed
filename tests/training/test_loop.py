"""Every model trains by every recipe and leaves a folder that loads."""

import copy
import math
import warnings

import pytest
import torch
from runs import NAMES, record, trained, trainer, watch

from stgan.frame import normalise
from stgan.models import AttributeClassifier, FaceAligner, load_generator
from stgan.training import recipe_defaults
from stgan.training.checkpoints import list_checkpoints
from stgan.training.launch import resolve_precision
from stgan.training.losses import attribute_loss
from stgan.training.objective import SupervisedObjective
from stgan.training.trainer import OBJECTIVES

RUNS = [
    "stgan-fast", "stgan-paper", "attgan-fast", "attgan-paper", "stargan-fast", "stargan-paper", "classifier-fast",
    "aligner-fast",
]  # fmt: skip


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
    left = record(tmp_path)
    assert (left["steps"], left["images_seen"]) == (3, finished.config.schedule.total_images)
    assert left["config"]["attributes"] == list(NAMES)
    assert all(math.isfinite(value) for value in left["validation"].values())
    assert "train.py …" in (folder / "README.md").read_text()
    grids = [file.name for file in tmp_path.glob("samples/*.png")]
    assert grids == ([] if run.startswith("classifier") else ["step-0000003.png"])
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-3"]
    assert not list(tmp_path.glob("partial-*"))


class Brightness(SupervisedObjective):
    """A new objective: it predicts labels from mean colours."""

    def __init__(self, config, attributes, accelerator):
        super().__init__(AttributeClassifier(attributes, config.data.image_size, 4), config, accelerator)

    def step(self, draw, random, step, progress):
        images, labels = draw()
        colours = normalise(images).mean(dim=(2, 3), keepdim=True).expand(images.shape)
        loss = attribute_loss(self.network(colours), labels)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()
        return {"loss": loss.detach()}

    def validate(self, data):
        return {"images": float(len(data))}

    def sample_grid(self, data):
        return None


def test_a_new_objective_is_a_class_and_a_row_in_the_registry(celeba, tmp_path, monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "classifier", Brightness)
    run = trained(celeba, tmp_path, "classifier-fast", steps=2)
    assert isinstance(run.objective, Brightness)
    assert record(tmp_path)["validation"] == {"images": 6.0}
    assert AttributeClassifier.from_pretrained(tmp_path / "model").attributes == NAMES


def test_every_weight_of_both_networks_is_trained(celeba, tmp_path):
    run = trainer(celeba, tmp_path, "stgan-paper", steps=2)
    before, run_steps = [], run._run_steps
    run._run_steps = lambda: before.extend(copy.deepcopy(run.objective.networks)) or run_steps()
    run.train()
    for network, initial in zip(run.objective.networks, before, strict=True):
        for name, value in network.state_dict().items():
            if value.is_floating_point() and name != "adversarial_head.2.bias":  # cancels in E[D(fake)] - E[D(real)]
                assert not torch.equal(value, initial.state_dict()[name]), name


def test_a_generator_learns_to_reconstruct(celeba, tmp_path):
    losses = []
    run = trainer(celeba, tmp_path, "stgan-paper", steps=60, critic_steps=1, learning_rate=2e-3)
    run._log = lambda terms: losses.append(terms["g_reconstruction"])
    run.train()
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


def test_a_run_prints_no_warnings(celeba, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained(celeba, tmp_path, steps=1)
    ours = [str(warning.message) for warning in caught if not issubclass(warning.category, ResourceWarning)]
    assert ours == []


def test_the_optimizers_get_the_schedules_rate(celeba, tmp_path):
    rate = {"learning_rate": 5e-4, "discriminator_rate_factor": 3.0}
    run = trainer(celeba, tmp_path, steps=4, lr_schedule="linear", decay_start=0.0, **rate)
    rates = []
    run._log = lambda *_: rates.append([optimizer.param_groups[0]["lr"] for optimizer in run.objective.optimizers])
    run.train()
    assert len(rates) == 4
    for step_number, (generator_rate, discriminator_rate) in enumerate(rates):
        assert generator_rate == pytest.approx(5e-4 * (1 - step_number / 4))
        assert discriminator_rate == pytest.approx(3 * generator_rate)


def test_records_of_other_weights_leave_the_model_folder(celeba, tmp_path):
    trained(celeba, tmp_path, steps=2, checkpointing_steps=2)
    written = {path.name for path in (tmp_path / "model").iterdir()}
    (tmp_path / "model" / "evaluation.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model" / "edits.png").write_bytes(b"a picture")
    (tmp_path / "model" / "onnx").mkdir()
    trained(celeba, tmp_path, steps=3, resume_from_checkpoint="latest")
    assert {path.name for path in (tmp_path / "model").iterdir()} == written


def test_logged_losses_reach_tensorboard(celeba, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(celeba, tmp_path, steps=4, logging_steps=2, report_to="tensorboard", penalty_interval=1)
    (file,) = (tmp_path / "logs" / "stgan").glob("events*")
    events = EventAccumulator(str(file)).Reload()
    tags = set(events.Tags()["scalars"])
    assert {"d_adversarial", "g_reconstruction", "learning_rate", "validation/psnr", "validation/ssim"} <= tags
    assert [event.step for event in events.Scalars("g_reconstruction")] == [2, 4]


def test_a_run_in_bfloat16_keeps_its_losses_and_weights_in_full_precision(celeba, tmp_path, monkeypatch):
    tell(monkeypatch, {"avx512_bf16": True})
    run = trainer(celeba, tmp_path, steps=2, mixed_precision="bf16", penalty_interval=1)
    steps = watch(run, "_train_step")
    run.train()
    assert all(term.dtype == torch.float32 for _, terms in steps for term in terms.values())
    assert "d_penalty" in steps[0][1]
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
def test_auto_means_bf16_where_there_are_instructions_for_it(wanted, device, instructions, taken, monkeypatch):
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


def test_bf16_without_instructions_is_used_with_a_warning(celeba, tmp_path, monkeypatch):
    tell(monkeypatch, {"avx2": True})
    with pytest.warns(UserWarning, match="--mixed_precision no"):
        slow = trainer(celeba, tmp_path, mixed_precision="bf16")
    assert slow.accelerator.mixed_precision == "bf16"
    assert trainer(celeba, tmp_path, mixed_precision="auto").accelerator.mixed_precision == "no"
    assert recipe_defaults("stgan", "fast").run.mixed_precision == "auto"
