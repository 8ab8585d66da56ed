"""How fast edits are on a CPU: against the textbook's network, and from a prepared face against the photo.

python benchmarks/edit_speed.py [--model hub/stgan-celebahq-256] [--yunet FILE] [--threads 1] [--rounds 9]
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import skimage.data
import torch
import tyro
from textbook import TextbookSTGAN
from timing import check_close, conditions, interleaved, median_ms, ratio

from stgan import FaceEditor
from stgan.editing.editor import default_model
from stgan.evaluation.tables import table
from stgan.frame import normalise
from stgan.models import STGAN, Generator
from stgan.models.frozen import frozen
from stgan.photo.detect import FaceDetector, yunet_path

EIGHT_BITS = 2 / 255  # one step, of values in [-1, 1]


@dataclass
class Settings:
    """Measure the speed of edits."""

    # Model folder or Hub id of an STGAN; the bundled one by default.
    model: str | None = None
    # YuNet file; by default that of the Hub's cache, else OpenCV's cascades find the face.
    yunet: str | None = None
    # Threads of torch.
    threads: int = 1
    # Times that each way is measured.
    rounds: int = 9


@torch.inference_mode()
def networks(settings: Settings) -> str:
    """The textbook's network, the generator and its frozen form, at equal weights, as a Markdown table."""
    editor = FaceEditor.from_pretrained(settings.model or default_model(), device="cpu")
    prepared = editor.prepare(skimage.data.astronaut())
    generator = STGAN(**{**editor.generator.config, "use_regions": False}).eval()  # regions are no part of the paper
    generator.load_state_dict(editor.generator.state_dict())
    textbook, fast = TextbookSTGAN(generator).eval(), frozen(generator.to(memory_format=torch.channels_last))
    image, count = normalise(torch.from_numpy(prepared.crop).permute(2, 0, 1)[None]), len(editor.names)
    image, last = image.contiguous(), image.to(memory_format=torch.channels_last)
    conditions = torch.eye(count) * (-1) ** torch.arange(count)[:, None]
    each = [conditions[number : number + 1] for number in range(count)]
    whole = torch.cat([textbook(image, one) for one in each])
    forms: dict[str, tuple[Generator, torch.Tensor, torch.Tensor | None]] = {
        "generator": (generator, whole, None), "frozen": (fast, whole, None)
    }  # fmt: skip
    if prepared.parts is not None:
        within = torch.lerp(image, whole, prepared.parts.regions[0, :, None])
        forms["frozen, in its region"] = (editor.frozen, within, prepared.parts.regions)
    ways: dict[str, Callable[[], object]] = {"textbook": lambda: textbook(image, each[0])}
    errors, edits = {"textbook": 0.0}, {"textbook": 1}
    for name, (network, expected, regions) in forms.items():
        features = network.encode(last)
        decode = partial(network.decode, regions=regions)
        error = check_close(name, decode(features, conditions), expected, EIGHT_BITS)
        some = each[:1] if regions is None else each  # regions differ in size: the mean of all attributes
        of_form = {
            f"{name}, one edit": partial(_one_by_one, decode, partial(network.encode, last), some),
            f"{name}, another edit": partial(_one_by_one, decode, lambda features=features: features, some),
            f"{name}, {count} edits": lambda network=network, decode=decode: decode(network.encode(last), conditions),
        }
        ways |= of_form
        errors |= dict.fromkeys(of_form, error)
        edits |= dict(zip(of_form, (len(some), len(some), count), strict=True))
    times = interleaved(ways, settings.rounds)
    rows = []
    for way in ways:
        milliseconds = f"{1000 * statistics.median(times[way]) / edits[way]:.1f}"
        share = ratio(times, way, "textbook", edits[way])
        rows.append([way, milliseconds, f"{share:.2f}", f"{errors[way] * 127.5:.4f}"])
    columns = ["network", "ms an edit", "share of the textbook's time", "largest difference, steps of 8 bits"]
    return "\n".join(table(columns, rows))


def _one_by_one(
    decode: Callable[..., object], encode: Callable[[], object], conditions: Sequence[torch.Tensor]
) -> None:
    for condition in conditions:
        decode(encode(), condition)


@torch.inference_mode()
def photos(settings: Settings) -> str:
    """What preparing a face saves, as a Markdown table."""
    detector = FaceDetector(settings.yunet or yunet_path())
    editor = FaceEditor.from_pretrained(settings.model or default_model(), detector=detector, device="cpu")
    portrait = skimage.data.astronaut()
    large = np.full((3000, 4000, 3), 90, np.uint8)
    large[:, 500:3500] = cv2.resize(portrait, (3000, 3000), interpolation=cv2.INTER_CUBIC)
    rows = []
    for name, photo in (("512 px", portrait), ("12 megapixels", large)):
        prepared = editor.prepare(photo)
        edit = {"Eyeglasses": not prepared.label_dict()["Eyeglasses"]}
        ours, theirs = (torch.from_numpy(np.array(editor.edit(each, edit))).int() for each in (prepared, photo))
        check_close(name, ours, theirs, 0)
        ways = {
            "from the photo": lambda photo=photo, edit=edit: editor.edit(photo, edit),
            "from the prepared face": lambda prepared=prepared, edit=edit: editor.edit(prepared, edit),
            "its network": lambda prepared=prepared, edit=edit: editor.edit_crops(prepared, [edit]),
        }
        times = interleaved(ways, max(1, settings.rounds // 3))
        share = ratio(times, "from the prepared face", "from the photo")
        rows.append([name, *(median_ms(times[way]) for way in ways), f"{share:.2f}"])
    finder = "YuNet" if settings.yunet or yunet_path() else "OpenCV's cascades"
    columns = ["photo", "edit from the photo, ms", "from the prepared face, ms", "its network, ms", "share"]
    return "\n".join([f"Faces found by {finder}.", "", *table(columns, rows)])


def main(settings: Settings) -> None:
    """Print both tables."""
    torch.set_num_threads(settings.threads)
    cv2.setNumThreads(settings.threads)
    print(f"{conditions()}\n\n{networks(settings)}\n\n{photos(settings)}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
