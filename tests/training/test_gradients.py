"""Processes that share a batch compute the gradients that one process computes for all of it."""

import pytest
import torch
from runs import NAMES, fork

WORKER = """
import os, socket, sys
import torch
from accelerate import Accelerator
from stgan.training import TrainingConfig
from stgan.training.editing import EditingObjective
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

names, folder = sys.argv[1].split(","), sys.argv[2]

def gradients(rank, count, port):
    torch.set_num_threads(1)
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"}
    torch.manual_seed(0)
    config = TrainingConfig.from_flat(image_size=32, width=4, layers=3, stu_layers=2, discriminator_width=4,
        attributes=tuple(names), batch_size=8 // count, mixed_precision="no", report_to="none", use_regions=False)
    objective = EditingObjective(config, tuple(names), Accelerator(cpu=True))
    assert objective.accelerator.num_processes == count
    for module in objective.plain_generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # each process normalises by its own images
    random = torch.Generator().manual_seed(1)
    images, labels = torch.rand(8, 3, 32, 32, generator=random) * 2 - 1, torch.rand(8, len(names), generator=random)
    images, labels = images[rank::count], labels[rank::count].round()
    realness, found = objective.discriminator(images)[:2]
    loss = binary_cross_entropy_with_logits(found, labels) + realness.mean()
    objective.accelerator.backward(loss + l1_loss(objective.generator(images, labels - 0.5), images))
    networks = objective.plain_generator, objective.plain_discriminator
    found = [{name: each.grad for name, each in network.named_parameters()} for network in networks]
    torch.save(found, f"{folder}/{count}-{rank}.pt")
    if count > 1:
        torch.distributed.destroy_process_group()

for count in (1, 2, 4):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(gradients, (count, port), count, start_method="fork")
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_gradients_of_two_and_of_four_processes_are_those_of_one_with_all_images(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    process = fork([",".join(NAMES), str(tmp_path)], tmp_path, tmp_path / "worker.py")
    text, _ = process.communicate(timeout=240)
    assert process.returncode == 0, text
    expected = torch.load(tmp_path / "1-0.pt")
    assert all(gradient.abs().max() > 0 for gradient in expected[1].values())
    for count, rank in ((2, 0), (2, 1), (4, 0), (4, 3)):
        for ours, theirs in zip(torch.load(tmp_path / f"{count}-{rank}.pt"), expected, strict=True):
            for name, gradient in theirs.items():
                torch.testing.assert_close(
                    ours[name], gradient, atol=1e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
                )
