"""The device that networks run on is the GPU that torch has, and its precision is one that it knows."""

import pytest
import torch

from stgan import devices
from stgan.devices import autocast, chosen_device, chosen_precision

MODULES = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.backends.mps}


@pytest.mark.parametrize(
    ("there", "expected"),
    [((), "cpu"), (("cuda",), "cuda"), (("xpu",), "xpu"), (("mps",), "mps"), (("mps", "cuda"), "cuda")],
)
def test_by_default_it_is_the_gpu_that_torch_has(there, expected, monkeypatch):
    for name, module in MODULES.items():
        monkeypatch.setattr(module, "is_available", lambda name=name: name in there)
    monkeypatch.setattr(devices, "_works", lambda device: None)
    assert chosen_device(None).type == expected
    assert chosen_device("cpu").type == "cpu"


def test_a_gpu_that_does_not_work_leaves_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "_works", lambda device: RuntimeError("no driver") if device.type == "cuda" else None)
    assert chosen_device(None).type == "cpu"
    with pytest.raises(ValueError, match=r"device cuda cannot be used here \(no driver\)"):
        chosen_device("cuda")


@pytest.mark.parametrize("name", ["meta", "hpu", "gpu", "", "mps:9", -1])
def test_a_device_that_holds_no_numbers_is_refused_in_words(name):
    with pytest.raises(ValueError, match=f"The device {name} cannot be used here .*Choose another, such as cpu"):
        chosen_device(name)


@pytest.mark.parametrize("name", ["bfloat16", "bf16", torch.bfloat16])
def test_a_precision_goes_by_its_names(name):
    assert chosen_precision(name) == torch.bfloat16
    assert chosen_precision(torch.float32) is chosen_precision(None) is None
    with autocast(torch.device("cpu"), chosen_precision(name)):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with autocast(torch.device("cpu"), None):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with pytest.raises(ValueError, match="precision int8 is not known: use float32, bfloat16 or float16"):
        chosen_precision("int8")
