"""How well faces are found and aligned: aligned faces put into other pictures under known similarities.

python benchmarks/alignment.py --dataset flwrlabs/celeba [--model hub/stgan-celebahq-256] [--yunet FILE]

Errors are mean distances of five points, four near the corners of CelebA's 178x218 frame and its centre, between where
the found frame puts them and where they truly are, in eye distances (38.7 pixels of the frame). Each way starts from
what the detector found in the same picture.
"""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch
import tyro
from PIL import Image

from stgan.attributes import index_of
from stgan.data import label_value, open_split
from stgan.editing.editor import FaceEditor, default_model
from stgan.frame import CELEBA_CROP, CELEBA_SIZE, normalise
from stgan.models import FaceAligner
from stgan.photo.align import Alignment, align_face, align_whole
from stgan.photo.crop import crop_face
from stgan.photo.detect import FaceDetector, yunet_path
from stgan.photo.face import Face
from stgan.photo.geometry import transform
from stgan.photo.refine import confirmed_faces, refined_faces
from stgan.training.registration import EYE_DISTANCE, FRAME_POINTS

CANVAS = (560, 480)  # width, height
FACE = np.array([[88.5, 125.0]])  # middle of the face in the frame
PICTURES = ("coffee", "rocket", "chelsea", "brick", "grass", "gravel", "coins", "text", "page", "clock", "moon")


@dataclass
class Settings:
    """Measure detection and alignment."""

    # Hub id, folder of Parquet files, or folder of the original CelebA download: aligned images of 178x218 pixels.
    dataset: str = "flwrlabs/celeba"
    # Its split.
    split: str = "validation"
    # Images measured.
    samples: int = 300
    # Model folder whose aligner is measured; the bundled one by default.
    model: str | None = None
    # YuNet file; by default the one of the Hub's cache.
    yunet: str | None = None
    # Largest tilt, degrees.
    rotation: float = 30.0
    # Seed of the scenes.
    seed: int = 0


def scene(face: np.ndarray, background: np.ndarray, rotation: float, random: np.random.Generator) -> tuple:
    """An aligned face (218, 178, 3) somewhere in another picture, and the way (2, 3) from its frame to the picture.

    Its rim is cut off at random and blended, so that no border tells where the frame is; then the whole is put out of
    focus and made noisy.
    """
    width, height = CANVAS
    scale = np.exp(random.uniform(np.log(0.7), np.log(2.0)))
    middle = tuple(FACE[0].tolist())
    truth = cv2.getRotationMatrix2D(middle, random.uniform(-rotation, rotation), scale)
    reach = 90 * scale
    truth[:, 2] += [random.uniform(min(reach, side / 2), max(side - reach, side / 2)) for side in CANVAS]
    truth[:, 2] -= middle
    kept = np.zeros(face.shape[:2], np.float32)
    left, top, right, bottom = random.integers(3, 22, 4)
    kept[top : face.shape[0] - bottom, left : face.shape[1] - right] = 1
    alpha = cv2.warpAffine(cv2.GaussianBlur(kept, (0, 0), 2), truth, CANVAS)[..., None]
    moved = cv2.warpAffine(face, truth, CANVAS, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    picture = moved * alpha + cv2.resize(background, (width, height), interpolation=cv2.INTER_AREA) * (1 - alpha)
    picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.1, 1.5))
    picture = picture + random.normal(0, random.uniform(0, 10), picture.shape)
    return picture.clip(0, 255).round().astype(np.uint8), truth


def whole(row: Mapping[str, Any], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """An aligned image (218, 178, 3) as it is stored, and its labels in {0, 1}."""
    cell = row["image"]
    opened = Image.open(cell["path"] if cell["bytes"] is None else io.BytesIO(cell["bytes"]))
    return np.array(opened.convert("RGB")), np.array([label_value(row[name], name) for name in names])


def error(alignment: Alignment, truth: np.ndarray, size: int) -> float:
    """Eye distances between where an alignment puts the frame's points in the picture and where they are."""
    width, height = CELEBA_SIZE
    points = FRAME_POINTS - 0.5
    to_crop = align_whole((height, width), size).matrix
    found = transform(transform(points, to_crop), alignment.inverse)
    scale = np.hypot(truth[0, 0], truth[1, 0])
    return float(np.linalg.norm(found - transform(points, truth), axis=1).mean() / scale / EYE_DISTANCE)


def pictures() -> list[np.ndarray]:
    """Photos and textures without a person, that come with scikit-image."""
    loaded = [getattr(skimage.data, name)() for name in PICTURES]
    return [np.array(Image.fromarray(each).convert("RGB")) for each in loaded]


def around(faces: list[Face], point: np.ndarray) -> Face | None:
    """The largest face whose box holds a point."""
    holding = [f for f in faces if f.box[0] < point[0] < f.box[2] and f.box[1] < point[1] < f.box[3]]
    return max(holding, key=lambda face: face.size, default=None)


def refined(aligner: FaceAligner, picture: np.ndarray, face: Face, looks: int) -> Face:
    """One face, refined."""
    return refined_faces(aligner, picture, [face], looks)[0]


class Tally:
    """What was measured of each way."""

    def __init__(self):
        self.errors: dict[str, list[float]] = {}
        self.times: dict[str, list[float]] = {}
        self.agreement: dict[str, list[float]] = {}

    def timed(self, name: str, run: Callable, *arguments: object) -> object:
        started = time.perf_counter()
        result = run(*arguments)
        self.times.setdefault(name, []).append(1000 * (time.perf_counter() - started))
        return result


@torch.inference_mode()
def main(settings: Settings) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    editor = FaceEditor.from_pretrained(settings.model or default_model())
    size, names = editor.generator.image_size, editor.names
    columns = [index_of(name, editor.classifier.attributes) for name in names]
    detectors = {"cascades": FaceDetector()}
    if path := settings.yunet or yunet_path():
        detectors["YuNet"] = FaceDetector(path)
    random, backgrounds = np.random.default_rng(settings.seed), pictures()
    confirmed_by = partial(confirmed_faces, editor.aligner)
    tally, found = Tally(), {f"{name}{way}": 0 for name in detectors for way in ("", ", confirmed")}
    data = open_split(settings.dataset, settings.split)
    count = min(settings.samples, len(data))

    def predicted(rgb: np.ndarray, alignment: Alignment) -> np.ndarray:
        image = torch.from_numpy(crop_face(rgb, alignment, size)).permute(2, 0, 1)[None]
        return editor.classifier.predict(normalise(image))[0, columns].numpy()

    for number in range(count):
        row = data[number]
        face, labels = whole(row, names)
        picture, truth = scene(face, backgrounds[number % len(backgrounds)], settings.rotation, random)
        aligned = predicted(face, align_whole(face.shape, size))
        tally.agreement.setdefault("aligned", []).append((aligned == labels).mean())
        middle = transform(FACE, truth)[0]
        for name, detector in detectors.items():
            plain = around(tally.timed(f"{name}: find", detector.detect, picture), middle)
            ways = {}
            if plain is not None:
                found[name] += 1
                ways = {
                    "detected": (lambda face: face, plain),
                    "refined by the detector": (detector.refine, picture, plain),
                }
            confirmed = plain
            if editor.aligner is not None:
                faces = tally.timed(f"{name}: find, confirmed", detector.detect, picture, confirmed_by)
                confirmed = around(faces, middle)
                found[f"{name}, confirmed"] += confirmed is not None
            if editor.aligner is not None and confirmed is not None:
                for looks in (1, 2, 3):
                    ways[f"aligner, looks: {looks}"] = (refined, editor.aligner, picture, confirmed, looks)
            for way, run in ways.items():
                alignment = align_face(tally.timed(f"{name}: {way}", *run), size)
                tally.errors.setdefault(f"{name}: {way}", []).append(error(alignment, truth, size))
                correct = (predicted(picture, alignment) == labels).mean()
                tally.agreement.setdefault(f"{name}: {way}", []).append(correct)

    print(f"{count} pictures, tilts up to {settings.rotation:g} degrees, crop {CELEBA_CROP}\n")
    print("| alignment | error: mean | median | p95 | milliseconds | attributes right |\n|---|---|---|---|---|---|")
    print(f"| as the dataset has them | 0 | 0 | 0 | | {np.mean(tally.agreement['aligned']):.4f} |")
    for way, errors in tally.errors.items():
        figures = f"{np.mean(errors):.3f} | {np.median(errors):.3f} | {np.quantile(errors, 0.95):.3f}"
        print(f"| {way} | {figures} | {np.median(tally.times[way]):.1f} | {np.mean(tally.agreement[way]):.4f} |")
    print("\n| detection | faces found | milliseconds | finds in pictures without a face |\n|---|---|---|---|")
    for name, detector in detectors.items():
        for way, confirm in (("", None), (", confirmed", confirmed_by)):
            if confirm is None or editor.aligner is not None:
                wrong = sum(len(detector.detect(each, confirm)) for each in backgrounds)
                median = np.median(tally.times[f"{name}: find{way}"])
                share = found[f"{name}{way}"] / count
                print(f"| {name}{way} | {share:.3f} | {median:.0f} | {wrong} in {len(backgrounds)} |")


if __name__ == "__main__":
    main(tyro.cli(Settings))
