"""Images and labels come out the same from every layout, each once an epoch, and mistakes are named."""

import io
import os
import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch
from hub_server import Hub, Repository, StoredFile
from PIL import Image
from torch.utils.data import DataLoader

from stgan.attributes import CELEBA_ATTRIBUTES
from stgan.data.loading import (
    DataError,
    MemoryBatches,
    MemoryDataset,
    Preprocess,
    SkippedImages,
    StreamBatches,
    decode_row,
    label_value,
    load_into_memory,
    open_split,
    random_flip,
)
from stgan.frame import normalise, quantise

ATTRIBUTES = ("Black_Hair", "Eyeglasses", "Male")
BITS = tuple(f"bit_{bit}" for bit in range(8))
LAYOUTS = ("celeba", "celeba_signed", "celeba_numbered", "celeba_download")


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


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    return numbered_dataset(tmp_path_factory.mktemp("numbered"))


# ---------------------------------------------------------------------------------------------------- preprocessing


@pytest.mark.parametrize("size", [32, 128, 170, 256])
def test_preprocessing_is_the_papers_crop_and_then_a_bicubic_resize(faces, size):
    for data in faces["test"].images[:3]:
        by_hand = Image.open(io.BytesIO(data)).convert("RGB").crop((3, 26, 173, 196))
        by_hand = np.asarray(by_hand.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        assert np.array_equal(Preprocess(size)(data), by_hand)


@pytest.mark.parametrize("size", [64, 256])
def test_nothing_outside_the_crop_is_seen(faces, size):
    image = np.asarray(Image.open(io.BytesIO(faces["test"].images[0])))
    other = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    other[26:196, 3:173] = image[26:196, 3:173]
    ours, theirs = (Preprocess(size).from_image(Image.fromarray(each)) for each in (image, other))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("crop", "size", "box"),
    [
        ("auto", (178, 218), (3, 26, 173, 196)),
        ("auto", (300, 200), (50, 0, 250, 200)),
        ("center", (178, 218), (0, 20, 178, 198)),
        ("none", (300, 200), (0, 0, 300, 200)),
        ("celeba", (200, 200), (3, 26, 173, 196)),
    ],
)
def test_each_crop_keeps_its_box(crop, size, box):
    assert Preprocess(32, crop).box(size) == box


def test_an_unknown_crop_names_the_known_ones():
    with pytest.raises(DataError, match="auto, celeba, center, none"):
        Preprocess(32, "middle")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_images_of_every_colour_mode_become_rgb(mode):
    image = Image.new("RGB", (20, 20), (200, 10, 10)).convert(mode)
    assert Preprocess(8).from_image(image).shape == (3, 8, 8)


def test_pixels_go_to_floats_and_back():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    floats = normalise(images)
    assert (floats.min(), floats.max()) == (-1, 1)
    assert torch.equal(quantise(floats), images)


def test_a_random_flip_mirrors_about_half_of_the_images_and_changes_nothing_else():
    images = torch.rand(200, 3, 4, 4)
    flipped = random_flip(images, torch.Generator().manual_seed(0))
    same, mirrored = ((flipped == each).flatten(1).all(1) for each in (images, images.flip(-1)))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


# ----------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("value", [True, 1, 1.0, np.True_, np.int8(1), np.float32(1)])
def test_a_label_that_is_there(value):
    assert label_value(value, "Male") == 1.0


@pytest.mark.parametrize("value", [False, 0, -1, -1.0, np.False_, np.int64(-1), np.int8(0)])
def test_a_label_that_is_not_there(value):
    assert label_value(value, "Male") == 0.0


@pytest.mark.parametrize("value", [7, 0.5, -2, "1", "yes", None, float("nan"), [1]])
def test_what_is_no_label_is_refused_with_its_column(value):
    with pytest.raises(DataError, match="'Male' holds .* true/false, 0/1 or -1/1"):
        label_value(value, "Male")


# ---------------------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("split", "stored"), [("train", "train"), ("validation", "valid"), ("test", "test")])
def test_every_layout_gives_the_same_images_and_labels(layout, split, stored, faces, request):
    data = load_into_memory(request.getfixturevalue(layout), split, CELEBA_ATTRIBUTES, 32, workers=0)
    images = np.stack([Preprocess(32)(each) for each in faces[stored].images])
    labels = [[float(each[name]) for name in CELEBA_ATTRIBUTES] for each in faces[stored].labels]
    assert data.images.dtype == torch.uint8
    assert torch.equal(data.images, torch.from_numpy(images))
    assert torch.equal(data.labels, torch.tensor(labels))
    assert str(data.skipped) == f"0 of {len(images)} images skipped as undecodable"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_streams_what_it_holds(layout, request):
    folder = request.getfixturevalue(layout)
    memory = load_into_memory(folder, "train", ATTRIBUTES, 16, workers=0)
    stream = StreamBatches(folder, "train", ATTRIBUTES, 16, 12, seed=0, workers=0, shuffle_buffer=8)
    batches = [stream.draw(n) for n in range(4)]

    def rows(images, labels):
        flat = torch.cat([images.flatten(1).float(), labels], 1)
        return sorted(map(tuple, flat.tolist()))

    streamed = rows(torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches]))
    assert streamed == rows(memory.images, memory.labels)
    assert stream.epoch == 0


@pytest.mark.parametrize("layout", ["celeba", "celeba_signed", "celeba_download"])
@pytest.mark.parametrize("alias", ["validation", "valid", "val", "dev"])
def test_a_validation_split_is_found_by_each_of_its_names(layout, alias, request):
    assert len(open_split(request.getfixturevalue(layout), alias)) == 12


def test_decoding_in_workers_keeps_the_order(celeba):
    alone, together = (load_into_memory(celeba, "train", ATTRIBUTES, 16, workers=workers) for workers in (0, 2))
    assert torch.equal(alone.images, together.images)
    assert torch.equal(alone.labels, together.labels)


def test_a_limit_takes_the_first_images(celeba):
    data = load_into_memory(celeba, "train", ATTRIBUTES, 16, workers=0)
    first = load_into_memory(celeba, "train", ATTRIBUTES, 16, workers=0, max_samples=5)
    assert torch.equal(first.images, data.images[:5])


def test_a_dataset_of_anything_trains_by_its_own_columns(numbered):
    data = load_into_memory(numbered, "train", BITS, 8, workers=0)
    assert numbers(data.labels) == list(range(48))
    assert data.images[5, :, 0, 0].tolist() == [5, 250, 7]


@pytest.mark.parametrize("name", ["list_eval_partition", "list_attr_celeba"])
def test_the_tables_of_a_download_are_found_as_csv_in_a_folder_too(name, celeba_download, tmp_path):
    """Kaggle's copy: comma-separated, header in both, images one folder deeper."""
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / "img_align_celeba" / "img_align_celeba").symlink_to(celeba_download / "img_align_celeba")
    lines = (celeba_download / "list_attr_celeba.txt").read_text().splitlines()[1:]
    rows = [",".join(line.split()) for line in lines]
    (tmp_path / "list_attr_celeba.csv").write_text("\n".join([f"image_id,{rows[0]}", *rows[1:]]))
    rows = [",".join(line.split()) for line in (celeba_download / "list_eval_partition.txt").read_text().splitlines()]
    (tmp_path / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *rows]))
    ours, theirs = (load_into_memory(f, "test", ATTRIBUTES, 16, workers=0) for f in (tmp_path, celeba_download))
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.labels, theirs.labels)
    (tmp_path / f"{name}.csv").unlink()
    with pytest.raises(DataError, match=f"no {name}.txt"):
        open_split(tmp_path, "train")


# --------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("source", ["/nowhere", "./nowhere", "nowhere", "~/nowhere"])
def test_a_dataset_that_is_nowhere_says_what_could_be_given(source):
    with pytest.raises(DataError, match=r"owner/name.*train-\*\.parquet.*list_attr_celeba"):
        open_split(source, "train")


def test_a_hub_dataset_out_of_reach_says_what_to_check():
    with pytest.raises(DataError, match="'nobody/nothing' could not be opened.*hf auth login"):
        open_split("nobody/nothing", "train")


@pytest.mark.parametrize("streaming", [False, True])
def test_of_a_hub_dataset_only_the_wanted_splits_files_are_read(streaming, numbered, tmp_path):
    """In a process of its own, for the address of the Hub is fixed at import."""
    files = sorted(numbered.glob("*.parquet"))
    hub = Hub().start()
    hub.repositories["datasets/somebody/numbers"] = repository = Repository(private=False)
    stored = {"train-0.parquet": files[0], "valid-0.parquet": files[1]}
    repository.commit("main", {f"data/{name}": StoredFile(file.read_bytes(), True) for name, file in stored.items()})
    code = (
        "from stgan.data.loading import open_split\n"
        f"rows = open_split('somebody/numbers', 'validation', streaming={streaming})\n"
        f"print(*[sum(row[name] << bit for bit, name in enumerate({BITS!r})) for row in rows])"
    )
    settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    try:
        said = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | settings, capture_output=True, text=True, timeout=120
        )  # fmt: skip
    finally:
        hub.shutdown()
        hub.server_close()
    assert said.stdout.split() == [str(number) for number in range(24, 48)], said.stderr
    assert hub.asked("GET", "/resolve/.*valid-0.parquet")
    assert not hub.asked("GET", "/resolve/.*train-0.parquet")


def test_an_empty_folder_is_no_dataset(tmp_path):
    with pytest.raises(DataError, match="no Parquet files"):
        open_split(tmp_path, "train")


def test_a_split_that_is_missing_names_those_that_are_there(numbered):
    with pytest.raises(DataError, match="no split 'validation'; the dataset has train"):
        open_split(numbered, "validation")


def test_a_dataset_without_images_names_its_columns(tmp_path):
    datasets.Dataset.from_dict({"a": [1], "b": [2]}).to_parquet(str(tmp_path / "train.parquet"))
    with pytest.raises(DataError, match="no image column; its columns are a, b"):
        open_split(tmp_path, "train")


@pytest.mark.parametrize("streaming", [False, True], ids=["memory", "stream"])
def test_an_unknown_attribute_names_the_nearest_column(celeba, streaming):
    with pytest.raises(DataError, match="Eyeglases.*Did you mean Eyeglasses"):
        read_all(celeba, streaming, attributes=("Eyeglases",))


def read_all(folder, streaming, attributes=BITS, batch=4, workers=1):
    """Read one epoch; returns the skipped images."""
    if not streaming:
        return load_into_memory(folder, "train", attributes, 8, workers=workers).skipped
    stream = StreamBatches(folder, "train", attributes, 8, batch, seed=0, workers=workers)
    number = 0
    while stream.epoch == 0:
        stream.draw(number)
        number += 1
    return stream.skipped


@pytest.mark.parametrize("streaming", [False, True], ids=["memory", "stream"])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_label_of_seven_is_refused_in_one_line(tmp_path, streaming, workers):
    numbered_dataset(tmp_path, 8, shards=1, celeb=[1, 0, 7, 1, 1, 1, 1, 1])
    with pytest.raises(DataError, match="'celeb' holds 7") as refusal:
        read_all(tmp_path, streaming, ("bit_0", "celeb"), workers=workers)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("streaming", [False, True], ids=["memory", "stream"])
def test_undecodable_images_are_skipped_counted_and_named(tmp_path, streaming):
    numbered_dataset(tmp_path, 200, shards=1, broken=(3, 150))
    skipped = read_all(tmp_path, streaming)
    first_epoch = skipped.names[:2]
    assert sorted(first_epoch) == ["150.png", "3.png"]
    assert skipped.seen >= 200
    assert "images skipped as undecodable (first: " in str(skipped)


@pytest.mark.parametrize("streaming", [False, True], ids=["memory", "stream"])
def test_more_than_one_in_a_hundred_undecodable_images_stop_the_run(tmp_path, streaming):
    numbered_dataset(tmp_path, 200, shards=1, broken=(3, 77, 150))
    with pytest.raises(DataError, match=r"3 of 200 images could not be decoded, more than 1%. The first: .*77\.png"):
        read_all(tmp_path, streaming)


@pytest.mark.parametrize("streaming", [False, True], ids=["memory", "stream"])
def test_a_dataset_of_which_nothing_can_be_decoded_says_so(tmp_path, streaming):
    numbered_dataset(tmp_path, 20, shards=1, broken=range(20))
    with pytest.raises(DataError, match=r"of 20 images could not be decoded|11 of 11 images could not be decoded"):
        read_all(tmp_path, streaming)


def test_a_long_dataset_is_stopped_early_not_at_its_end():
    skipped = SkippedImages()
    skipped.add(500, [f"{i}" for i in range(10)])  # one in a hundred of the first thousand is not passed yet
    with pytest.raises(DataError, match="11 of 501"):
        skipped.add(1, ["10"])
    SkippedImages(seen=5_000).add(1, [f"{i}" for i in range(50)])


def test_images_missing_from_a_download_are_skipped_by_name(celeba_download, faces, tmp_path):
    (tmp_path / "img_align_celeba").mkdir()
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (tmp_path / name).write_text((celeba_download / name).read_text())
    for number in range(1, 49):
        if number != 7:
            (tmp_path / "img_align_celeba" / f"{number:06}.jpg").write_bytes(faces["train"].images[number - 1])
    with pytest.raises(DataError, match="1 of 48 images could not be decoded.*000007.jpg"):
        load_into_memory(tmp_path, "train", ATTRIBUTES, 16, workers=0)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damaged_images_are_skipped_and_never_stop_a_run(kind):
    """Cut off or with bytes overwritten at random: each gives an image or its name, and no other error."""
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    whole = encoded(noise, kind)
    skipped = 0
    for _ in range(150):
        damaged = bytearray(whole[: random.integers(0, len(whole))] if random.random() < 0.4 else whole)
        for _ in range(random.integers(0, 30) if damaged else 0):
            damaged[random.integers(0, min(len(damaged), 200))] = random.integers(0, 256)
        cell = {"bytes": bytes(damaged), "path": "some.jpg"}
        decoded = decode_row({"image": cell, "a": 1}, "image", ("a",), Preprocess(8), "row 0")
        skipped += decoded == "some.jpg" if isinstance(decoded, str) else 0
    assert skipped > 20


@pytest.mark.parametrize("cell", [None, {}, {"bytes": None, "path": None}, {"bytes": None, "path": "/nowhere.jpg"}])
def test_an_empty_cell_is_skipped(cell):
    name = decode_row({"image": cell, "a": 1}, "image", ("a",), Preprocess(8), "row 3")
    assert name == ("/nowhere.jpg" if cell and cell.get("path") else "row 3")


# -------------------------------------------------------------------------------------------------- batches in memory


@pytest.fixture
def in_memory():
    """Ten images of one pixel; its value is the image's number."""
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 1, 1).contiguous()
    return MemoryDataset(images, torch.arange(10)[:, None].float())


def drawn(batches, count, start=0):
    return [batches.draw(n)[0][:, 0, 0, 0].tolist() for n in range(start, start + count)]


def test_every_image_comes_once_an_epoch_and_another_epoch_has_another_order(in_memory):
    batches = MemoryBatches(in_memory, 2, seed=0)
    epochs = [sum(drawn(batches, 5, start=5 * epoch), []) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_images_and_labels_stay_together(in_memory):
    images, labels = MemoryBatches(in_memory, 4, seed=0).draw(1)
    assert torch.equal(images[:, 0, 0, 0].float(), labels[:, 0])


def test_ranks_share_an_epoch_out_without_overlap(in_memory):
    ranks = [sum(drawn(MemoryBatches(in_memory, 1, 0, rank, 5), 2), []) for rank in range(5)]
    assert sorted(sum(ranks, [])) == list(range(10))


def test_two_ranks_together_draw_what_one_process_with_twice_the_batch_draws(in_memory):
    alone = drawn(MemoryBatches(in_memory, 4, seed=3), 6)
    first, second = (drawn(MemoryBatches(in_memory, 2, 3, rank, 2), 6) for rank in range(2))
    assert alone == [a + b for a, b in zip(first, second, strict=True)]


def test_a_batch_depends_on_its_number_alone(in_memory):
    batches = MemoryBatches(in_memory, 3, seed=0)
    in_order = drawn(batches, 12)
    for number in (11, 0, 7, 3, 3):
        assert drawn(MemoryBatches(in_memory, 3, seed=0), 1, start=number) == [in_order[number]]
        assert drawn(batches, 1, start=number) == [in_order[number]]
    assert drawn(MemoryBatches(in_memory, 3, seed=1), 12) != in_order


def test_weights_decide_how_often_an_image_is_drawn(in_memory):
    weights = torch.tensor([0.0, 3, 1, 0, 0, 0, 0, 0, 0, 0])
    numbers = sum(drawn(MemoryBatches(in_memory, 10, seed=0, weights=weights), 100), [])
    assert set(numbers) == {1, 2}
    assert numbers.count(1) / len(numbers) == pytest.approx(0.75, abs=0.05)


def test_a_dataset_that_stays_on_the_host_gives_batches_on_the_device(in_memory):
    images, labels = MemoryBatches(in_memory, 2, seed=0, device="meta").draw(0)
    assert (images.device.type, labels.device.type, in_memory.images.device.type) == ("meta", "meta", "cpu")


@pytest.mark.parametrize(("batch", "world"), [(11, 1), (6, 2)])
def test_fewer_images_than_a_batch_are_refused(in_memory, batch, world):
    with pytest.raises(DataError, match="lower --batch_size"):
        MemoryBatches(in_memory, batch, 0, 0, world)


# ---------------------------------------------------------------------------------------------------- batches streamed


def stream(folder, batch=4, **options):
    return StreamBatches(folder, "train", BITS, 8, batch, seed=0, **{"workers": 0, "shuffle_buffer": 6} | options)


def epochs_of(batches, count):
    """Numbers of the images of the first epochs, in order."""
    epochs = [[] for _ in range(count)]
    number = 0
    while True:
        _, labels = batches.draw(number)
        number += 1
        if batches.epoch == count:
            return epochs
        epochs[batches.epoch] += numbers(labels)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_gives_each_image_once_an_epoch_over_workers_and_ranks(shards, world_size, workers, tmp_path):
    folder = numbered_dataset(tmp_path, shards=shards)
    ranks = [
        epochs_of(stream(folder, 1, rank=rank, world_size=world_size, workers=workers), 2)
        for rank in range(world_size)
    ]  # fmt: skip
    for epoch in range(2):
        together = sum((rank[epoch] for rank in ranks), [])
        assert sorted(together) == list(range(48))
    assert all(first != second for first, second in ranks)  # another epoch, another order
    if shards % world_size == 0 or shards < max(1, workers) * world_size:  # else whole files, not all as many
        assert all(len(rank[0]) == 48 // world_size for rank in ranks)


def test_no_rank_of_a_stream_reads_what_is_for_another(tmp_path):
    """Five files for two ranks: whole files, though one rank gets more of them."""
    folder = numbered_dataset(tmp_path, shards=5)
    files = [set(rows) for rows in np.array_split(range(48), 5)]
    ranks = [set(epochs_of(stream(folder, 1, rank=rank, world_size=2, workers=1), 1)[0]) for rank in range(2)]
    assert ranks[0] | ranks[1] == set(range(48))
    assert all(file <= ranks[0] or file <= ranks[1] for file in files)


def test_a_stream_of_few_files_is_shared_out_by_row_groups(tmp_path):
    folder = numbered_dataset(tmp_path, shards=1)
    assert stream(folder, workers=2, world_size=2, rank=0).loader.num_workers == 2


def test_a_download_of_a_few_images_streams_over_workers_and_ranks(celeba_download):
    rows = []
    for rank in range(2):
        batches = StreamBatches(
            celeba_download, "test", ATTRIBUTES, 8, 1, seed=0, workers=2, rank=rank, world_size=2, shuffle_buffer=4
        )
        rows += [batches.draw(n)[0].flatten().tolist() for n in range(4)]
        assert batches.epoch == 0
    memory = load_into_memory(celeba_download, "test", ATTRIBUTES, 8, workers=0)
    assert sorted(rows) == sorted(memory.images.flatten(1).tolist())


def test_a_streams_order_is_that_of_its_seed(numbered):
    first, again = epochs_of(stream(numbered), 2), epochs_of(stream(numbered), 2)
    other = epochs_of(StreamBatches(numbered, "train", BITS, 8, 4, seed=1, workers=0, shuffle_buffer=6), 2)
    assert first == again != other


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 3, 9, 10, 13])
def test_a_stream_resumed_anywhere_goes_on_as_if_never_stopped(numbered, stop, workers):
    batches = stream(numbered, 5, workers=workers)
    expected = [numbers(batches.draw(n)[1]) for n in range(16)]
    stopped = stream(numbered, 5, workers=workers)
    assert [numbers(stopped.draw(n)[1]) for n in range(stop)] == expected[:stop]
    resumed = stream(numbered, 5, workers=workers)
    resumed.load_state_dict(stopped.state_dict())
    assert [numbers(resumed.draw(n)[1]) for n in range(stop, 16)] == expected[stop:]
    assert resumed.state_dict() == batches.state_dict()


def test_a_resumed_stream_counts_no_image_twice(tmp_path):
    folder = numbered_dataset(tmp_path, 200, shards=1, broken=(3, 150))
    batches = stream(folder, 5)
    first = [batches.draw(n) for n in range(20)]
    resumed = stream(folder, 5)
    resumed.load_state_dict(batches.state_dict())
    for n in range(20, 39):
        for ours, theirs in zip(batches.draw(n), resumed.draw(n), strict=True):
            assert torch.equal(ours, theirs)
    assert (batches.skipped.seen, batches.skipped.names) == (resumed.skipped.seen, resumed.skipped.names)
    assert len(first) == 20


def test_a_limited_stream_takes_the_same_images_in_every_epoch(numbered):
    epochs = epochs_of(stream(numbered, 1, max_samples=12), 3)
    assert [len(epoch) for epoch in epochs] == [12, 12, 12]
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
    assert len({tuple(epoch) for epoch in epochs}) > 1
    ranks = [epochs_of(stream(numbered, 1, max_samples=12, rank=rank, world_size=2), 1)[0] for rank in range(2)]
    assert len(set(ranks[0]) | set(ranks[1])) == 12


def test_a_stream_too_short_for_a_batch_says_so(numbered):
    with pytest.raises(DataError, match="48 images do not fill a batch of 60.*lower --batch_size"):
        stream(numbered, 60).draw(0)


def test_stream_and_memory_feed_an_ordinary_loader_alike(numbered):
    """Against the datasets library itself: the order is its shuffle's."""
    expected = open_split(numbered, "train", streaming=True).shuffle(seed=0, buffer_size=6)
    names = [row["photo"]["path"] for row in DataLoader(expected, batch_size=None)]
    assert epochs_of(stream(numbered), 1)[0] == [int(name.removesuffix(".png")) for name in names]
