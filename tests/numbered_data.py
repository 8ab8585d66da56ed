"""A dataset of images whose labels spell their number: which ones are read shows in the labels."""

import io

import datasets
from PIL import Image

BITS = tuple(f"bit_{bit}" for bit in range(8))


def encoded(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def numbered_dataset(folder, count=48, shards=2, broken=(), column="photo", **bits):
    """Small images whose labels spell their number in binary; those in ``broken`` cannot be decoded."""
    images = [encoded(Image.new("RGB", (10, 8), (number, 255 - number, 7))) for number in range(count)]
    images = [b"no image" if number in broken else data for number, data in enumerate(images)]
    columns = {column: [{"bytes": data, "path": f"{number}.png"} for number, data in enumerate(images)]}
    columns |= {name: [bool(number >> bit & 1) for number in range(count)] for bit, name in enumerate(BITS)}
    table = datasets.Dataset.from_dict(columns | bits).cast_column(column, datasets.Image())
    for shard in range(shards):
        file = folder / f"train-{shard:05}-of-{shards:05}.parquet"
        table.shard(shards, shard, contiguous=True).to_parquet(str(file), batch_size=4)
    return folder


def numbers(labels):
    return [int(sum(int(value) << bit for bit, value in enumerate(row))) for row in labels.tolist()]
