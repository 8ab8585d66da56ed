"""How fast images are decoded, cropped and resized, against a bare Pillow loop.

python benchmarks/data_speed.py [--images 200] [--rounds 5]
"""

import io
from functools import partial

import datasets
import numpy as np
import skimage.data
import torch
import tyro
from PIL import Image
from timing import check_close, conditions, interleaved, ratio

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.data import MemoryDataset
from stgan.data.memory import MemoryBatches
from stgan.data.preprocess import DecodedRows, Preprocess, collate, decode_row
from stgan.evaluation.tables import table
from stgan.frame import CELEBA_CROP, CELEBA_SIZE

SIZE, BATCH = 128, 32


def encoded_images(count: int) -> list[bytes]:
    """JPEG files of CelebA's size: parts of one photo."""
    portrait, random = Image.fromarray(skimage.data.astronaut()), np.random.default_rng(0)
    width, height = CELEBA_SIZE
    files = []
    for left, top in random.integers((512 - width, 512 - height), size=(count, 2)):
        buffer = io.BytesIO()
        portrait.crop((left, top, left + width, top + height)).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def bare(encoded: bytes) -> np.ndarray:
    """What any loop must do: uint8 (3, S, S)."""
    image = Image.open(io.BytesIO(encoded)).crop(CELEBA_CROP).convert("RGB")
    resized = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))


def decoding(images: int = 200, rounds: int = 5) -> str:
    """Images per second by either loop, and from memory, as a Markdown table."""
    files, names = encoded_images(images), list(DEFAULT_ATTRIBUTES)
    rows = datasets.Dataset.from_list(
        [{"image": {"bytes": each, "path": None}} | dict.fromkeys(names, False) for each in files],
        features=datasets.Features(
            {"image": datasets.Image(decode=False)} | {n: datasets.Value("bool") for n in names}
        ),
    )
    decode = partial(decode_row, column="image", attributes=names, preprocess=Preprocess(SIZE))
    loader = torch.utils.data.DataLoader(DecodedRows(rows, decode), batch_size=BATCH, collate_fn=collate)

    def ours() -> torch.Tensor:
        return torch.cat([batch.images for batch in loader])

    def theirs() -> torch.Tensor:
        return torch.cat(
            [torch.from_numpy(np.stack([*map(bare, files[i : i + BATCH])])) for i in range(0, images, BATCH)]
        )

    decoded = ours()
    check_close("decoding", decoded.int(), theirs().int(), 0)
    batches = MemoryBatches(MemoryDataset(decoded, torch.zeros(images, len(names))), BATCH, seed=0)
    ways = {
        "bare Pillow loop": theirs,
        "rows of a dataset, with labels and checks": ours,
        "batches of decoded crops in memory": lambda: [batches.draw(number) for number in range(-(-images // BATCH))],
    }
    times = interleaved(ways, rounds)
    speeds = [
        [way, f"{images / np.median(times[way]):,.0f}", f"{1 / ratio(times, way, 'bare Pillow loop'):.2f}"]
        for way in ways
    ]
    return "\n".join(table(["way to crops of 128 px", "images/s on one core", "of the bare loop"], speeds))


def main(images: int = 200, rounds: int = 5) -> None:
    """Print the table.

    Args:
        images: number of images.
        rounds: times that each way is measured.
    """
    torch.set_num_threads(1)
    print(f"{conditions()}\n\n{decoding(images, rounds)}")


if __name__ == "__main__":
    tyro.cli(main)
