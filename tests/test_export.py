"""Exported graphs compute what the model computes, at batch sizes they were not traced with."""

import contextlib
import hashlib
import io
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stgan import cli, export
from stgan.models import STGAN, AttGAN, FaceParser, StarGAN, efficientnet, load_companion, load_generator
from stgan.models.covering import editable_regions
from stgan.publish import check_model

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(find_spec("onnxscript") is None, reason="torch exports with onnxscript")


torch.fx.config.do_not_emit_stack_traces = True  # which take a quarter of the time and are not in the graphs


# One attribute of each place in the face, since every place adds to the graphs.
NAMES = (
    "Bald", "Blond_Hair", "Bushy_Eyebrows", "Eyeglasses", "Mouth_Slightly_Open", "Mustache", "Pale_Skin", "Young",
)  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small editor with a parser of one block a stage, and the folder of its graphs, which the command writes."""
    folder, output = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("onnx")
    torch.manual_seed(0)
    generator = STGAN(NAMES, 32, width=4, layers=3, stu_layers=2, soft_mask=True, use_regions=True)
    generator.save_pretrained(folder)
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(printed):
        patched.setattr(efficientnet, "STAGES", [(1, *stage[1:]) for stage in efficientnet.STAGES[:5]])
        FaceParser(64).save_pretrained(folder / "parser")
        patched.setattr(sys, "argv", ["stgan", "export", "--model", str(folder), "--output", str(output)])
        cli.main()
        assert printed.getvalue().split() == [str(output / f"{name}.onnx") for name in ("encode", "decode", "parse")]
        yield folder, output


def test_the_command_exports_an_editor_that_onnxruntime_runs(exported):
    folder, output = exported
    encode, decode = (onnxruntime.InferenceSession(output / f"{name}.onnx") for name in ("encode", "decode"))
    generator = load_generator(folder)
    assert json.loads((output / "export.json").read_text())["largest_difference"] < 1e-4
    assert decode.get_modelmeta().custom_metadata_map["attributes"].split(", ") == list(generator.attributes)

    image, regions = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, len(NAMES), 32, 32)
    features = encode.run(None, {"image": image.numpy()})
    conditions = torch.randn(5, len(NAMES)) * torch.eye(5, len(NAMES))  # one encoding, five edits
    inputs = {"image": image.numpy(), "condition": conditions.numpy(), "regions": regions.numpy()}
    edited, mask = decode.run(None, inputs | {f"feature_{i}": feature for i, feature in enumerate(features)})
    with torch.no_grad():
        expected = generator.decode_parts(generator.encode(image), conditions, regions)
    np.testing.assert_allclose(edited, expected.image.numpy(), atol=1e-4)
    np.testing.assert_allclose(mask, expected.mask.numpy(), atol=1e-4)


def test_a_parser_is_exported_beside_its_editor(exported):
    folder, output = exported
    image = torch.rand(3, 3, 64, 64) * 2 - 1
    run = onnxruntime.InferenceSession(output / "parse.onnx").run
    probabilities, regions = run(None, {"image": image.numpy()})
    with torch.no_grad():
        expected = load_companion(folder, "parser").parse(image)
        smaller = F.interpolate(expected, (32, 32), mode="bilinear", antialias=True)
    np.testing.assert_allclose(probabilities, expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(regions, editable_regions(smaller, load_generator(folder).attributes).numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("export.json", json.dumps({"weights_sha256": "of older ones"}), "from other weights"),
        *(("export.json", broken, "does not name the weights of the graphs: run stgan export again")
          for broken in ("{}", "[]", "broken", '"of nothing"')),
        ("decode.onnx", "a graph without a record", r"has no export\.json"),
    ],
)  # fmt: skip
def test_graphs_that_may_belong_to_other_weights_are_not_published(name, content, message, folder):
    (folder / "onnx").mkdir()
    (folder / "onnx" / name).write_text(content)
    with pytest.raises(export.ExportError, match=message):
        check_model(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "onnx" / "export.json").write_text(json.dumps({"weights_sha256": digest}))
    check_model(folder)


@pytest.mark.parametrize("difference", [0.5, float("nan")])
def test_graphs_that_differ_do_not_stay(difference, model_folder, tmp_path, monkeypatch):
    (tmp_path / "export.json").write_text("{}")  # of graphs that were here
    monkeypatch.setattr(export, "_write", lambda *arguments: arguments[4].write_bytes(b"a graph"))
    monkeypatch.setattr(export, "largest_difference", lambda *_: difference)
    with pytest.raises(export.ExportError, match="differ from the model"):
        export.export_onnx(model_folder, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("generator_type", [AttGAN, StarGAN])
def test_the_other_architectures_export_too(generator_type, tmp_path):
    settings = {"residual_blocks": 1} if generator_type is StarGAN else {"layers": 3}
    generator_type(["Male", "Young"], 32, 4, **settings).save_pretrained(tmp_path / "model")
    paths = export.export_onnx(tmp_path / "model", tmp_path / "onnx")
    assert export.largest_difference(load_generator(tmp_path / "model"), *paths, counts=(2, 4)) < 1e-4
    another = generator_type(["Male", "Young"], 32, 4, **settings).eval()
    assert export.largest_difference(another, *paths, counts=(2,)) > 1e-2  # the comparison can fail
