"""How an edit sits in a photo: what changes outside the person or the hair, how sharp it is, and how long it takes.

python benchmarks/paste.py [photos ...] [--model hub/stgan-celebahq-256] [--yunet FILE] [--rounds 5]

Eyeglasses may stand out beyond a turned face, and what worn ones hid is drawn beside it.

Sharpness is the energy of the Laplacian within what the edit changed, as a ratio to the same class in the photo: new
hair colour and beard to its hair, eyeglasses to its skin. Where hair becomes darker, both are taken in proportion to
their brightness, as black hair has few levels. The time is that of a paste at 12 megapixels, as a ratio to a plain
paste of the resized change; before it is measured, no change is proved to leave every pixel as it was.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import skimage.data
import torch
import tyro

from stgan import FaceEditor, PreparedFace
from stgan.drawing.rims import beyond
from stgan.editing.editor import default_model
from stgan.editing.prepared import EditedCrop
from stgan.photo.detect import FaceDetector
from stgan.photo.files import open_photo
from stgan.photo.matte import WIDE, Matte, in_the_crop, warped

EDITS = {  # what is edited, and what its sharpness is compared with
    "Blond_Hair": (True, "hair"),
    "Black_Hair": (True, "hair"),
    "No_Beard": (False, "hair"),
    "Eyeglasses": (True, "skin"),
    "Bangs": (True, "hair"),
}
WAYS = {
    "Blond_Hair": FaceEditor.recolour,
    "Black_Hair": FaceEditor.recolour,
    "No_Beard": FaceEditor.grow_beard,
    "Eyeglasses": FaceEditor.wear,
    "Bangs": FaceEditor.draw_bangs,
}
WORN = 0.2  # eye distances around worn eyeglasses in which what they hid is drawn
CHANGED = 12  # levels: a pixel that changes by more belongs to what is new


@dataclass
class Settings:
    """Measure how edits sit in photos."""

    # Photos or folders of photos; scikit-image's astronaut by default.
    photos: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    # Model folder or Hub id with a parser; the bundled one by default.
    model: str | None = None
    # YuNet file; without one OpenCV's cascades find the face.
    yunet: str | None = None
    # Times that each paste is measured.
    rounds: int = 5


def photos(settings: Settings) -> dict[str, np.ndarray]:
    """Photos uint8 (H, W, 3) by name."""
    if not settings.photos:
        return {"astronaut": skimage.data.astronaut()}
    files = [file for path in settings.photos for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    return {
        file.stem: open_photo(file).rgb for file in files if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
    }


def sharpness(image: np.ndarray, where: np.ndarray) -> float:
    """Root of the mean energy of the Laplacian of an image (H, W, 3) over the pixels ``where``."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.sqrt((cv2.Laplacian(grey, cv2.CV_32F)[where] ** 2).mean()))


def shares(face: PreparedFace) -> tuple[np.ndarray, np.ndarray]:
    """Mattes (H, W) of the hair and of the person."""
    rgb, size = face.photo.rgb, len(face.crop)
    windows = ((face.silhouette.hair, WIDE), (in_the_crop(face.silhouette.person), 1))
    hair, person = (Matte.fitted(rgb, face.alignment, size, *each).of(rgb, (0, 0))[0] for each in windows)
    return hair, person


def frames(editor: FaceEditor, face: PreparedFace) -> np.ndarray:
    """Where in the crop frames may stand beside a face (S, S): the far side of a turned head, and those worn now."""
    unchanged = EditedCrop.of(face, face.reconstruction)
    head, size = editor._head(unchanged), len(face.crop)
    beside = beyond(in_the_crop(face.silhouette.person, size), head)
    worn = (editor._shown(unchanged, "eyeglasses") > 0.4).astype(np.float32)
    reach = 2 * round(WORN * head.distance) + 1
    return np.maximum(beside, cv2.dilate(worn, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))))


def row(editor: FaceEditor, face: PreparedFace, name: str) -> list[str]:
    """A row of the table: changed levels outside the allowed region, and the ratio of sharpness."""
    wanted, compared = EDITS[name]
    before = face.photo.rgb
    edit = {name: wanted}
    after = np.asarray(editor.edit(face, edit, source={name: not wanted}).convert("RGB"))
    hair, person = shares(face)
    change = np.abs(after.astype(int) - before).max(axis=2)
    free = hair if "Hair" in name else person
    if "Hair" in name:  # new strands may fall over skin
        beside = face.parts.regions[0, editor.names.index(name)].float().numpy()
        free = free + warped(beside, face.alignment.matrix, (0, 0), hair.shape)
    elif name == "Eyeglasses":
        free = free + warped(frames(editor, face), face.alignment.matrix, (0, 0), hair.shape)
    outside = change[free == 0]
    skin = (person > 0.99) & (hair < 0.01)
    reference = hair > 0.99 if compared == "hair" else skin
    new = (change > CHANGED) & (hair > 0.99 if "Hair" in name else skin)
    if new.sum() < 200 or not reference.any():
        return [name, str(outside.max(initial=0)), "nothing new"]
    darker = max(1.0, before[reference].mean() / after[new].mean()) if "Hair" in name else 1.0
    ratio = darker * sharpness(after, new) / sharpness(before, reference)
    return [name, str(outside.max(initial=0)), f"{ratio:.2f}"]


def plain_paste(face: PreparedFace, image: torch.Tensor) -> np.ndarray:
    """The baseline: the change enlarged and added, in two warps."""
    change = ((image - face.reconstruction) * 127.5).permute(1, 2, 0).contiguous().numpy()
    rgb = face.photo.rgb
    return cv2.add(rgb, warped(change, face.alignment.matrix, (0, 0), rgb.shape), dtype=cv2.CV_8U)


def measured(ways: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Median seconds of each way, measured in turn."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


@torch.inference_mode()
def main(settings: Settings) -> None:
    """Print both tables."""
    editor = FaceEditor.from_pretrained(
        settings.model or default_model(), detector=FaceDetector(settings.yunet), device="cpu"
    )
    print("| photo | edit | largest change outside, levels | sharpness, ratio |\n|---|---|---|---|")
    for name, rgb in photos(settings).items():
        face = editor.prepare(rgb)
        for edit in EDITS:
            print("| " + " | ".join([name, *row(editor, face, edit)]) + " |", flush=True)

    large = np.full((3000, 4000, 3), 90, np.uint8)
    large[:, 500:3500] = cv2.resize(skimage.data.astronaut(), (3000, 3000), interpolation=cv2.INTER_CUBIC)
    face = editor.prepare(large)
    unchanged = EditedCrop.of(face, face.reconstruction, changes={"Black_Hair": 1.0})
    for paste in (editor.paste, editor.recolour):
        if not np.array_equal(paste(unchanged, large), large):
            raise SystemExit("No change does not leave the photo as it was.")
    print("\n| paste at 12 megapixels | seconds | ratio to adding the resized change |\n|---|---|---|")
    for name, (wanted, _) in EDITS.items():
        images, masks = editor.edit_crops(face, [{name: wanted}], source={name: not wanted})
        paste = WAYS.get(name, FaceEditor.paste).__get__(editor)
        edited = EditedCrop.of(face, images[0], None if masks is None else masks[0], changes={name: wanted * 2.0 - 1})
        unseen = replace(edited, prepared=replace(face, silhouette=None))
        ways = {
            "plain": lambda images=images: plain_paste(face, images[0]),
            "matte": lambda edited=edited, paste=paste: paste(edited, face.photo.rgb),
            "no parser": lambda unseen=unseen: editor.paste(unseen, face.photo.rgb),
        }
        seconds = measured(ways, settings.rounds)
        for way, value in seconds.items():
            print(f"| {name}, {way} | {value:.2f} | {value / seconds['plain']:.2f} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Settings))
