"""How fast edits are on a CPU: against the textbook's network, and from a prepared face against the photo.

python benchmarks/edit_speed.py [--model hub/stgan-celebahq-256] [--yunet FILE] [--threads 1] [--rounds 9]
"""

from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
import torch
import tyro
from textbook import TextbookSTGAN
from timing import check_close, conditions, interleaved, median_ms, ratio

from stgan import FaceEditor
from stgan.editor import default_model
from stgan.evaluation.tables import table
from stgan.models import STGAN, load_generator
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
    loaded = load_generator(settings.model or default_model())
    generator = STGAN(**{**loaded.config, "use_regions": False}).eval()  # regions are no part of the paper
    generator.load_state_dict(loaded.state_dict())
    textbook = TextbookSTGAN(generator).eval()
    fast = frozen(generator.to(memory_format=torch.channels_last))
    size, count = generator.image_size, len(generator.attributes)
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    last = image.to(memory_format=torch.channels_last)
    conditions = torch.eye(count) * (-1) ** torch.arange(count)[:, None]
    each = [conditions[number : number + 1] for number in range(count)]
    features = {"generator": generator.encode(last), "frozen": fast.encode(last)}
    expected = torch.cat([textbook(image, one) for one in each])
    errors = {
        name: check_close(name, editor.decode(features[name], conditions), expected, EIGHT_BITS)
        for name, editor in (("generator", generator), ("frozen", fast))
    }
    ways = {"textbook": lambda: textbook(image, each[0])}
    for name, editor in (("generator", generator), ("frozen", fast)):
        ways |= {
            f"{name}, one edit": lambda editor=editor: editor(last, each[0]),
            f"{name}, another edit": lambda editor=editor, name=name: editor.decode(features[name], each[0]),
            f"{name}, {count} edits": lambda editor=editor: editor(last, conditions),
        }
    times = interleaved(ways, settings.rounds)
    rows = [["textbook, one edit", median_ms(times["textbook"]), "1", "0"]]
    for way in list(ways)[1:]:
        share = ratio(times, way, "textbook", count if way.endswith("edits") else 1)
        rows.append([way, median_ms(times[way]), f"{share:.2f}", f"{errors[way.partition(',')[0]] * 127.5:.4f}"])
    columns = ["network", "ms", "share of the textbook's time", "largest difference, steps of 8 bits"]
    return "\n".join(table(columns, rows))


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
