"""A dataset of images whose labels spell their number: which ones are read shows in the labels."""

import io

import datasets
from PIL import Image

BITS = tuple(f"bit_{bit}" for bit in range(8))


def encoded(image, kind="PNG"):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind)
    return file.getvalue()


def write_images(folder, images, masks=None, *, column="image", split="train", shards=1, rows=8, names=None, **columns):
    """A split of a dataset: Parquet files of encoded images and further columns, in row groups of ``rows``.

    Args:
        images: pictures of Pillow, arrays uint8 (H, W, 3), or what is stored instead of an encoded image.
        masks: the same for a column ``mask``.
        names: of the images' files; by default they have none.
    """
    pictures = {column: images} | ({} if masks is None else {"mask": masks})
    for name, each in pictures.items():
        stored = [picture if isinstance(picture, bytes) else encoded(picture) for picture in each]
        columns[name] = [{"bytes": data, "path": names and names[number]} for number, data in enumerate(stored)]
    table = datasets.Dataset.from_dict(columns)
    for name in pictures:
        table = table.cast_column(name, datasets.Image())
    for shard in range(shards):
        file = folder / f"{split}-{shard:05}-of-{shards:05}.parquet"
        table.shard(shards, shard, contiguous=True).to_parquet(str(file), batch_size=rows)
    return folder


def numbered_dataset(folder, count=48, shards=2, broken=(), column="photo", **bits):
    """Small images whose labels spell their number in binary; those in ``broken`` cannot be decoded."""
    images = [Image.new("RGB", (10, 8), (number, 255 - number, 7)) for number in range(count)]
    images = [b"no image" if number in broken else image for number, image in enumerate(images)]
    bits |= {name: [bool(number >> bit & 1) for number in range(count)] for bit, name in enumerate(BITS)}
    names = [f"{number}.png" for number in range(count)]
    return write_images(folder, images, column=column, shards=shards, rows=4, names=names, **bits)


def numbers(labels):
    return [int(sum(int(value) << bit for bit, value in enumerate(row))) for row in labels.tolist()]
