"""Export editors to ONNX, with encoding and decoding as separate graphs, so that one encoding serves many edits.

``encode.onnx`` takes ``image`` (N, 3, S, S) in [-1, 1] and returns the features ``feature_0``, ``feature_1``, …
``decode.onnx`` takes those of one image, this ``image`` and ``condition`` (K, A), and returns K images ``edited`` and,
with soft_mask, their ``mask``. A model with regions also takes ``regions`` (1, A, S, S): where each attribute may
change the face. N and K are free.

``parse.onnx`` takes ``image`` (N, 3, P, P) in [-1, 1], P the parser's own size, and returns ``probabilities``
(N, 10, P, P) of its classes and, for a model with regions, each face's ``regions``.
"""

import json
import logging
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from huggingface_hub.constants import SAFETENSORS_SINGLE_FILE
from huggingface_hub.utils.sha import sha_fileobj
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from stgan.models import FaceParser, Generator, fetch_model_folder, load_companion, load_generator
from stgan.models.covering import editable_regions

TOLERANCE = 1e-4  # of values in [-1, 1]
RECORD_FILE = "export.json"  # beside the graphs: names the weights they were exported from
GRAPHS = ("encode.onnx", "decode.onnx")
PARSER_GRAPH = "parse.onnx"
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


class ExportError(ValueError):
    """A model that could not be exported. The message says why."""


class Encode(nn.Module):
    """The first graph: image to features, without the image itself."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.generator.encode(image)[1]
        return features if isinstance(features, tuple) else (features,)


class Decode(nn.Module):
    """The second graph: one image, its features and K conditions to K edited images and, with soft_mask, masks."""

    def __init__(self, generator: Generator, features_type: type, single: bool):
        super().__init__()
        self.generator, self.features_type, self.single = generator, features_type, single

    def forward(
        self, image: Tensor, features: tuple[Tensor, ...], condition: Tensor, regions: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        whole = self.features_type(image, features[0] if self.single else features)
        edit = self.generator.decode_parts(whole, condition, regions)
        return (edit.image,) if edit.mask is None else (edit.image, edit.mask)


class Parse(nn.Module):
    """The graph of a face parser: images of its own size to what pixels show and to where edits may change them."""

    def __init__(self, parser: FaceParser, generator: Generator):
        super().__init__()
        self.parser, self.generator = parser, generator

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        both = torch.cat([image, image.flip(-1)])  # as FaceParser.parse, with the network once in the graph
        own, mirrored = self.parser(both).unflatten(0, (2, -1))
        classes, size = (own + mirrored.flip(-1)) / 2, self.generator.image_size
        if self.generator.regions is None:
            return (classes,)
        smaller = F.interpolate(classes, (size, size), mode="bilinear", antialias=True)
        return classes, editable_regions(smaller, self.generator.attributes)


def export_onnx(folder_or_hub_id: str | Path, output: Path) -> list[Path]:
    """Write the graphs of an editor and of its parser to a folder, and check that they compute what the models compute.

    Returns:
        The files: ``encode.onnx``, ``decode.onnx`` and, if the model has a parser, ``parse.onnx``.

    Raises:
        ExportError: a package is missing, or the graphs' outputs differ from the model's by more than 1e-4.
        ModelFolderError: the model cannot be loaded.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise ExportError(f"{', '.join(missing)} not installed: pip install -e '.[onnx]'.")
    folder = fetch_model_folder(folder_or_hub_id, companions=("parser",))
    generator, parser = load_generator(folder), load_companion(folder, "parser")
    output.mkdir(parents=True, exist_ok=True)
    (output / RECORD_FILE).unlink(missing_ok=True)  # of earlier graphs
    (output / PARSER_GRAPH).unlink(missing_ok=True)
    paths = [output / name for name in GRAPHS]
    _write_editor(generator, paths[0], paths[1])
    error = largest_difference(generator, paths[0], paths[1])
    if parser is not None:
        paths.append(output / PARSER_GRAPH)
        image, outputs = _random(2, 3, parser.image_size, parser.image_size), ["probabilities", "regions"]
        parse = Parse(parser, generator).eval()
        _write(parse, (image,), ["image"], outputs[: len(parse(image))], paths[2], ", ".join(parser.classes))
        error = float(np.maximum(error, parser_difference(parse, paths[2])))
    if not error <= TOLERANCE:  # true for NaN too
        for path in paths:
            path.unlink()
        raise ExportError(f"The exported graphs differ from the model by {error:.1e}, more than {TOLERANCE:.0e}.")
    record = {"weights_sha256": weights_sha256(folder), "largest_difference": error}
    (output / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return paths


def weights_sha256(folder: Path) -> str:
    """SHA-256 of a model folder's weights, in hexadecimal digits."""
    with (folder / SAFETENSORS_SINGLE_FILE).open("rb") as weights:
        return sha_fileobj(weights).hex()


def check_export(folder: Path) -> None:
    """Raise an ExportError where a model folder holds graphs that may belong to other weights."""
    record = folder / "onnx" / RECORD_FILE
    if not record.is_file():
        if any((record.parent / name).is_file() for name in GRAPHS):
            raise ExportError(f"{record.parent} has no {RECORD_FILE}: run stgan export again, or delete it.")
        return
    try:
        exported = json.loads(record.read_text(encoding="utf-8"))["weights_sha256"]
    except (ValueError, TypeError, KeyError) as error:
        raise ExportError(f"{record} does not name the weights of the graphs: run stgan export again.") from error
    if exported != weights_sha256(folder):
        raise ExportError(f"{record.parent} was exported from other weights: run stgan export again, or delete it.")


def _random(*shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
    """The same numbers for the same shape."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(shape[0])) * (high - low) + low


def _inputs(generator: Generator, edits: int) -> dict[str, Tensor]:
    """What the decoder takes besides features: one image, conditions of edits and, if the model has them, regions."""
    size, attributes = generator.image_size, len(generator.attributes)
    inputs = {"image": _random(1, 3, size, size), "condition": _random(edits, attributes, low=-1.5, high=1.5)}
    return inputs if generator.regions is None else inputs | {"regions": _random(1, attributes, size, size, low=0.0)}


def _write_editor(generator: Generator, encode_path: Path, decode_path: Path) -> None:
    inputs = _inputs(generator, 2)
    image, attributes = inputs.pop("image"), ", ".join(generator.attributes)
    with torch.no_grad():
        whole = generator.encode(image)
    encode = Encode(generator).eval()
    decode = Decode(generator, type(whole), not isinstance(whole[1], tuple)).eval()
    features = encode(image)
    names = [f"feature_{number}" for number in range(len(features))]
    outputs = ["edited", "mask"] if generator.soft_mask else ["edited"]
    _write(encode, (torch.cat([image, image]),), ["image"], names, encode_path, attributes)
    _write(decode, (image, features, *inputs.values()), ["image", *names, *inputs], outputs, decode_path, attributes)


def _write(
    module: nn.Module, inputs: tuple, input_names: list[str], output_names: list[str], path: Path, attributes: str
) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports missing torchvision operators
    shapes = tree_map(lambda tensor: {0: "count"} if len(tensor) > 1 else {}, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from inside torch
        program = torch.onnx.export(
            module, inputs, dynamo=True, dynamic_shapes=shapes, input_names=input_names, output_names=output_names,
            verbose=False,
        )  # fmt: skip
    assert program is not None  # it is None only without dynamo
    program.model.metadata_props["attributes"] = attributes
    program.save(path)


def parser_difference(parse: Parse, path: Path, counts: tuple[int, ...] = (1, 3)) -> float:
    """The largest difference between outputs of the parser by onnxruntime and by torch, for batches of these sizes."""
    run, worst, size = _session(path), 0.0, parse.parser.image_size
    for count in counts:
        image = _random(count, 3, size, size)
        with torch.no_grad():
            worst = _larger(worst, run({"image": image.numpy()}), parse(image))
    return worst


def largest_difference(generator: Generator, encode: Path, decode: Path, counts: tuple[int, ...] = (1, 3)) -> float:
    """The largest difference between edits by onnxruntime and by torch, for these numbers of edits of one image."""
    run_encoder, run_decoder, worst = _session(encode), _session(decode), 0.0
    for count in counts:
        inputs = _inputs(generator, count)
        with torch.no_grad():
            whole = generator.encode(inputs["image"])
            edit = generator.decode_parts(whole, inputs["condition"], inputs.get("regions"))
        given = {name: tensor.numpy() for name, tensor in inputs.items()}
        features = run_encoder({"image": given["image"]})
        answers = run_decoder(given | {f"feature_{number}": each for number, each in enumerate(features)})
        worst = _larger(worst, answers, (edit.image,) if edit.mask is None else (edit.image, edit.mask))
    return worst


def _session(path: Path) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    import onnxruntime

    return partial(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run, None)


def _larger(worst: float, answers: Sequence[np.ndarray], expected: Sequence[Tensor]) -> float:
    differences = [np.abs(answer - tensor.numpy()).max() for answer, tensor in zip(answers, expected, strict=True)]
    return float(np.max([worst, *differences]))  # unlike max(), keeps NaN
