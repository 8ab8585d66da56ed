"""How edits sit in a photo with a camera's grain, by the demo's endpoint: what they change elsewhere, and its grain.

python benchmarks/grain.py [--decibels 22] [--sides 512 3464] [--model hub/stgan-celebahq-256] [--yunet FILE]

The portrait of scikit-image is taken through a colour filter array with shot and read noise, interpolated, and saved as
a JPEG. 22 dB at 18 % grey is about what a sensor of APS-C shows at ISO 6400. The place of an edit is what it changes
in the portrait without grain, and a border.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import gradio as gr
import numpy as np
import skimage.data
import tyro
from PIL import Image

from stgan import FaceEditor
from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.demo.api import Endpoints
from stgan.demo.files import DemoFiles
from stgan.demo.studio import Studio
from stgan.editing.editor import default_model
from stgan.photo.detect import FaceDetector

GAINS = (2.0, 1.0, 1.6)  # of the colours for daylight
READ_NOISE = 0.002  # of white
SEEN = 2  # levels: a pixel that changes by more is changed
BORDER = 1 / 50  # of the photo's side, around the place of an edit
MOST = 64  # levels: what changes by more is drawn, and its structure is no grain


@dataclass
class Settings:
    """Measure edits of grainy photos."""

    decibels: float = 22.0  # signal to noise of a pixel at 18 % grey
    sides: tuple[int, ...] = (512, 3464)  # of the photos, in pixels
    attributes: tuple[str, ...] = DEFAULT_ATTRIBUTES
    # Model folder or Hub id; the bundled one by default.
    model: str | None = None
    # YuNet file; without one OpenCV's cascades find the face.
    yunet: str | None = None


def main(settings: Settings) -> None:
    """Print one line for each size and edit."""
    editor = FaceEditor.from_pretrained(default_model(settings.model), detector=FaceDetector(settings.yunet))
    print("| side | edit | changed elsewhere | most elsewhere | grain kept | seconds |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        blocks = gr.Blocks()
        blocks.GRADIO_CACHE = folder
        endpoints = Endpoints(Studio(editor, "a model", DemoFiles(blocks)))
        for side in settings.sides:
            clean = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((side, side), Image.Resampling.BICUBIC))
            files = {"clean": Path(folder, f"clean-{side}.png"), "grainy": Path(folder, f"grainy-{side}.jpg")}
            Image.fromarray(clean).save(files["clean"])
            Image.fromarray(grainy(clean, settings.decibels)).save(files["grainy"], quality=95)
            endpoints.attributes({"path": str(files["grainy"])})  # so that the first edit is not slower
            for name in settings.attributes:
                print(_row(side, name, endpoints, files), flush=True)


def grainy(rgb: np.ndarray, decibels: float) -> np.ndarray:
    """A picture uint8 (H, W, 3) as a camera sees it in little light."""
    random, linear = np.random.default_rng(0), (rgb / 255.0) ** 2.2 / GAINS
    rows, columns = np.indices(rgb.shape[:2]) % 2
    raw = np.take_along_axis(linear, (rows + columns)[..., None], axis=2)[..., 0]  # red, green / green, blue
    gain = 0.18 / 10 ** (decibels / 10)  # variance of shot noise at white
    raw += random.normal(size=raw.shape) * np.sqrt(gain * raw + READ_NOISE**2)
    seen = cv2.demosaicing((raw.clip(0, 1) * 65535).astype(np.uint16), cv2.COLOR_BayerRGGB2RGB) / 65535.0 * GAINS
    return np.round(255 * seen.clip(0, 1) ** (1 / 2.2)).astype(np.uint8)


def _row(side: int, name: str, endpoints: Endpoints, files: dict[str, Path]) -> str:
    present = endpoints.attributes({"path": str(files["grainy"])})[name] > 0.5
    changes, seconds = {}, 0.0
    for kind, file in files.items():
        started = time.process_time()
        answer = endpoints.edit({"path": str(file)}, {name: not present})
        seconds = time.process_time() - started
        before, after = (np.asarray(Image.open(path)).astype(np.int16) for path in (file, answer["path"]))
        changes[kind] = np.abs(after - before).max(axis=2)
    border = 2 * round(BORDER * side) + 1
    place = cv2.dilate((changes["clean"] > SEEN).astype(np.uint8), np.ones((border, border))) > 0
    elsewhere, edited = changes["grainy"][~place], (changes["grainy"] > SEEN) & (changes["grainy"] < MOST)
    old, new = (_grain(picture)[edited] for picture in (before, after))
    kept = f"{np.median(new) / np.median(old):.0%}" if edited.any() else "no edit"
    return (
        f"| {side} | {name} {'+-'[present]} | {(elsewhere > SEEN).mean():.3%} | {elsewhere.max(initial=0)} | {kept} | "
        f"{seconds:.2f} |"
    )


def _grain(picture: np.ndarray) -> np.ndarray:
    """Standard deviation of the luminance around each pixel, without what is coarser than a few pixels."""
    grey = picture.astype(np.float32).mean(axis=2)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    return np.sqrt(cv2.blur(fine * fine, (15, 15)).clip(0))


if __name__ == "__main__":
    main(tyro.cli(Settings))
