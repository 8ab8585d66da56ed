"""How fast exported graphs are on a CPU, against torch.

python benchmarks/graphs.py [--model hub/stgan-celebahq-256] [--rounds 7]
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
import tyro
from timing import check_close, conditions, interleaved, median_ms, ratio

from stgan.editing.editor import default_model
from stgan.evaluation.tables import table
from stgan.export import PACKAGES, export_onnx
from stgan.models import load_generator
from stgan.models.frozen import frozen

EDITS = (1, 13)


@torch.inference_mode()
def inference(model: str | None = None, rounds: int = 7) -> str:
    """Encoding and decoding by torch and by onnxruntime, as a Markdown table."""
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        return f"Left out: {', '.join(missing)} not installed."
    import onnxruntime

    folder = model or default_model()
    generator = load_generator(folder).eval().to(memory_format=torch.channels_last)
    fast, size, attributes = frozen(generator), generator.image_size, len(generator.attributes)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as output:
        with torch.inference_mode(False):
            export_onnx(folder, Path(output))
        encode, decode = (
            onnxruntime.InferenceSession(f"{output}/{name}.onnx", options, ["CPUExecutionProvider"])
            for name in ("encode", "decode")
        )
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    inputs = {"image": image.numpy()}
    maps = encode.run(None, inputs)
    inputs |= {f"feature_{number}": each for number, each in enumerate(maps)}
    regions = None if generator.regions is None else generator.regions[None]
    if regions is not None:
        inputs["regions"] = regions.numpy()
    last = image.to(memory_format=torch.channels_last)
    features, rows = fast.encode(last), []
    ways = {"torch": lambda: fast.encode(last), "onnxruntime": lambda: encode.run(None, {"image": inputs["image"]})}
    measured = {"encode": (ways, 0.0)}
    for count in EDITS:
        condition = torch.randint(-1, 2, (count, attributes), generator=torch.Generator().manual_seed(1)).float()
        given = inputs | {"condition": condition.numpy()}
        ours, theirs = fast.decode(features, condition, regions), torch.from_numpy(decode.run(None, given)[0])
        error = check_close(f"{count} edits", theirs, ours, 2 / 255)
        ways = {
            "torch": lambda condition=condition: fast.decode(features, condition, regions),
            "onnxruntime": lambda given=given: decode.run(None, given),
        }
        measured[f"decode, {count} edit{'s' * (count > 1)}"] = ways, error * 127.5
    for name, (ways, error) in measured.items():
        times = interleaved(ways, rounds)
        cells = [median_ms(times["torch"]), median_ms(times["onnxruntime"])]
        rows.append([name, *cells, f"{ratio(times, 'onnxruntime', 'torch'):.2f}", f"{error:.4f}"])
    columns = ["graph", "torch, ms", "onnxruntime, ms", "times torch's", "largest difference, steps of 8 bits"]
    return "\n".join([f"onnxruntime {onnxruntime.__version__}.", "", *table(columns, rows)])


def main(model: str | None = None, rounds: int = 7) -> None:
    """Print the table.

    Args:
        model: model folder or Hub id; the bundled one by default.
        rounds: times that each way is measured.
    """
    torch.set_num_threads(1)
    print(f"{conditions()}\n\n{inference(model, rounds)}")


if __name__ == "__main__":
    tyro.cli(main)
