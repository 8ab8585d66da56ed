"""Whether --crop face and --crop celebahq cut the same crops out of CelebA-HQ's images.

python benchmarks/frames.py --dataset FOLDER [--split validation] [--samples 300] [--model FOLDER] [--yunet FILE]

The distance is the mean over the crop's four corners between their places by either crop, in pixels of a 128 px crop.
"""

import io
import time
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import tyro
from PIL import Image

from stgan.data import FaceLocator, open_split
from stgan.data.frames import CELEBAHQ_CENTRE, CELEBAHQ_SCALE, celebahq_frame, to_crop
from stgan.data.sources import image_column
from stgan.editing.editor import default_model
from stgan.models import load_companion
from stgan.photo.detect import yunet_path
from stgan.photo.geometry import transform

CROP = 128  # pixels


@dataclass
class Settings:
    """Compare the frames of located faces with the fixed one."""

    # Hub id or folder of Parquet files: square images of CelebA-HQ, of any size.
    dataset: str
    # Its split.
    split: str = "validation"
    # Images to measure; all by default.
    samples: int | None = None
    # Model folder or Hub id whose aligner is used; the bundled one by default.
    model: str | None = None
    # YuNet file; by default the one of the Hub's cache, and without that OpenCV's cascades.
    yunet: str | None = None


def corner_distance(frame: np.ndarray, other: np.ndarray) -> float:
    """Mean distance in pixels of a crop between its corners and their places in another frame's crop."""
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * CROP - 0.5
    in_image = transform(corners, cv2.invertAffineTransform(to_crop(frame, CROP)))
    return float(np.linalg.norm(transform(in_image, to_crop(other, CROP)) - corners, axis=1).mean())


def main(settings: Settings) -> None:
    """Print how far apart the crops are, and both frames: scale at 256 px, centre in pixels of the aligned frame."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    aligner = load_companion(settings.model or default_model(), "aligner")
    locate = FaceLocator(aligner, settings.yunet or yunet_path())
    rows = open_split(settings.dataset, settings.split)
    rows = rows.select(range(min(settings.samples or len(rows), len(rows))))
    column = image_column(rows)
    distances, scales, centres, times, rejected = [], [], [], [], Counter()
    for row in rows:
        rgb = np.array(Image.open(io.BytesIO(row[column]["bytes"])).convert("RGB"))
        started = time.process_time()
        frame = locate(rgb)
        times.append(1000 * (time.process_time() - started))
        if isinstance(frame, str):
            rejected[frame] += 1
            continue
        distances.append(corner_distance(celebahq_frame(len(rgb)), frame))
        scales.append(np.hypot(frame[0, 0], frame[1, 0]) * len(rgb) / 256)
        centres.append(transform(np.full((1, 2), (len(rgb) - 1) / 2), frame)[0])
    reasons = ", ".join(f"{count} {reason}" for reason, count in rejected.most_common()) or "none"
    print(
        f"{len(rows)} images, {'YuNet' if locate.yunet else 'cascades'}: corners {np.mean(distances):.2f} px apart "
        f"(median {np.median(distances):.2f}, 95 % within {np.quantile(distances, 0.95):.2f}) in a {CROP} px crop; "
        f"rejected: {reasons}; {np.median(times):.0f} ms of one core per image"
    )
    (x, y), (across, down) = np.mean(centres, axis=0), np.std(centres, axis=0)
    print(
        f"located: scale {np.mean(scales):.4f} ± {np.std(scales):.4f}, centre at {x:.2f} ± {across:.2f}, "
        f"{y:.2f} ± {down:.2f}; fixed: scale {CELEBAHQ_SCALE}, centre at {', '.join(map(str, CELEBAHQ_CENTRE))}"
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
