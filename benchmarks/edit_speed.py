"""What sharing saves: ratios of ways to the same picture, measured in turn in one run.

python benchmarks/edit_speed.py [--model hub/stgan-celeba-128] [--yunet FILE] [--threads 2] [--rounds 9]
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
import torch
import tyro

from stgan import FaceEditor
from stgan.editor import default_model
from stgan.models.layers import concat_planes
from stgan.photo.detect import FaceDetector


@dataclass
class Settings:
    """Measure the editor's speed."""

    # Model folder or Hub id; the bundled one by default.
    model: str | None = None
    # YuNet file; without one OpenCV's cascades find the face.
    yunet: str | None = None
    # Threads of torch.
    threads: int = 2
    # Times that each pair is measured.
    rounds: int = 9


def compare(name: str, slow: tuple[str, Callable], fast: tuple[str, Callable], rounds: int) -> None:
    """Time two ways in turn and print both medians and the median of the ratios pair by pair."""
    times: dict[str, list[float]] = {slow[0]: [], fast[0]: []}
    slow[1](), fast[1]()  # warm up
    for _ in range(rounds):
        for way, run in (slow, fast):
            started = time.perf_counter()
            run()
            times[way].append(1000 * (time.perf_counter() - started))
    ratio = statistics.median(a / b for a, b in zip(times[slow[0]], times[fast[0]], strict=True))
    medians = ", ".join(f"{way} {statistics.median(values):.1f} ms" for way, values in times.items())
    print(f"{name}: {medians}; ratio {ratio:.2f}")


@torch.inference_mode()
def main(settings: Settings) -> None:
    """Print the table."""
    torch.set_num_threads(settings.threads)
    editor = FaceEditor.from_pretrained(settings.model or default_model(), detector=FaceDetector(settings.yunet))
    generator, portrait, rounds = editor.generator, skimage.data.astronaut(), settings.rounds
    face = editor.prepare(portrait)
    edit = {"Eyeglasses": not face.label_dict()["Eyeglasses"]}
    singles = [{name: not present} for name, present in face.label_dict().items()]

    compare(
        "one more edit of a photo",
        ("from the photo", lambda: editor.edit(portrait, edit)),
        ("from the prepared face", lambda: editor.edit(face, edit)),
        rounds,
    )
    large = np.full((3000, 4000, 3), 90, np.uint8)
    large[:, 500:3500] = cv2.resize(portrait, (3000, 3000), interpolation=cv2.INTER_CUBIC)
    large_face = editor.prepare(large)
    compare(
        "an edit of a photo of 12 megapixels",
        ("from the photo", lambda: editor.edit(large, edit)),
        ("from the prepared face", lambda: editor.edit(large_face, edit)),
        rounds,
    )
    compare(
        "the same, its parts",
        ("finding and preparing", lambda: editor.prepare(large)),
        ("the edit's network", lambda: editor.edit_crops(large_face, [edit])),
        rounds,
    )
    image = torch.zeros(1, 3, generator.image_size, generator.image_size).to(memory_format=torch.channels_last)
    one, many = torch.ones(1, len(editor.names)), torch.ones(len(singles), len(editor.names))
    compare(
        f"{len(singles)} edits of a face",
        ("encoded each time", lambda: [generator(image, one) for _ in singles]),
        ("encoded once, one pass", lambda: generator.decode(generator.encode(image), many)),
        rounds,
    )
    features = generator.encode(image)
    compare(
        "network, one edit",
        ("encode and decode", lambda: generator(image, one)),
        ("decode alone", lambda: generator.decode(features, one)),
        rounds,
    )
    if generator.transfer_units:
        layer = generator.transfer_units[-1].upsample
        channels = layer.in_channels - len(editor.names)
        state = torch.randn(13, channels, 32, 32).contiguous(memory_format=torch.channels_last)
        planes = many[:, :, None, None].expand(-1, -1, 32, 32)
        compare(
            "attribute planes of the outermost unit",
            ("an expanded view", lambda: layer(torch.cat([state, planes], dim=1))),
            ("in channels_last", lambda: layer(concat_planes([state], many))),
            rounds,
        )


if __name__ == "__main__":
    main(tyro.cli(Settings))
