"""Images and labels come out the same from every layout, and mistakes in a dataset are named."""

import os

import datasets
import numpy as np
import pyarrow
import pytest
import torch
from hub_server import Hub, Repository, StoredFile
from numbered_data import BITS, numbered_dataset, numbers
from PIL import Image
from scripts import in_a_fork

from stgan.attributes import CELEBA_ATTRIBUTES
from stgan.data import (
    DataError,
    MissingSplitError,
    Preprocess,
    SkippedImages,
    StreamBatches,
    load_into_memory,
    open_split,
)
from stgan.data.errors import MISSING, UNDECODABLE, Skipped

ATTRIBUTES = ("Black_Hair", "Eyeglasses", "Male")
LAYOUTS = ("celeba", "celeba_signed", "celeba_numbered", "celeba_download")


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    return numbered_dataset(tmp_path_factory.mktemp("numbered"))


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


def test_decoding_in_workers_keeps_the_order_and_a_limit_takes_the_first_images(celeba):
    alone, together = (load_into_memory(celeba, "train", ATTRIBUTES, 16, workers=workers) for workers in (0, 2))
    assert torch.equal(alone.images, together.images)
    assert torch.equal(alone.labels, together.labels)
    first = load_into_memory(celeba, "train", ATTRIBUTES, 16, workers=0, max_samples=5)
    assert torch.equal(first.images, alone.images[:5])


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


def test_a_dataset_that_cannot_be_opened_says_why_and_what_could_be_given(numbered, tmp_path):
    (tmp_path / "empty").mkdir()
    datasets.Dataset.from_dict({"a": [1], "b": [2]}).to_parquet(str(tmp_path / "train.parquet"))
    nowhere = ("/nowhere", "./nowhere", "nowhere", "~/nowhere")
    for source, split, message in (
        *((path, "train", r"owner/name.*train-\*\.parquet.*list_attr_celeba") for path in nowhere),
        ("nobody/nothing", "train", "'nobody/nothing' could not be opened.*hf auth login"),
        (tmp_path / "empty", "train", "no Parquet files"),
        (numbered, "validation", "no split 'validation'; the dataset has train"),
        (tmp_path, "train", "no image column; its columns are a, b"),
    ):
        with pytest.raises(DataError, match=message):
            open_split(source, split)


def test_of_a_hub_dataset_only_the_wanted_splits_files_are_read(numbered, tmp_path):
    """In a process that imports the Hub's client anew, for its address is fixed at import."""
    files = sorted(numbered.glob("*.parquet"))
    hub = Hub().start()
    hub.repositories["datasets/somebody/numbers"] = repository = Repository(private=False)
    stored = {"train-0.parquet": files[0], "valid-0.parquet": files[1]}
    repository.commit("main", {f"data/{name}": StoredFile(file.read_bytes(), True) for name, file in stored.items()})
    settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def read():
        os.environ |= settings
        for dimensions in range(2, 6):  # which datasets registers when it is imported
            pyarrow.unregister_extension_type(f"datasets.features.features.Array{dimensions}DExtensionType")
        from stgan.data import open_split

        splits = [open_split("somebody/numbers", "validation", streaming=streaming) for streaming in (True, False)]
        return [[sum(row[name] << bit for bit, name in enumerate(BITS)) for row in rows] for rows in splits]

    try:
        splits = in_a_fork(read, "stgan", "datasets", "huggingface_hub", "fsspec")
    finally:
        hub.shutdown()
        hub.server_close()
    assert splits == [[*range(24, 48)]] * 2
    assert hub.asked("GET", "/resolve/.*valid-0.parquet") >= 2
    assert not hub.asked("GET", "/resolve/.*train-0.parquet")


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
@pytest.mark.parametrize(
    ("count", "broken", "message"),
    [
        (200, (3, 77, 150), r"3 of 200 images could not be decoded, more than 1%. The first: .*77\.png"),
        (20, range(20), r"of 20 images could not be decoded|11 of 11 images could not be decoded"),
    ],
)
def test_more_than_one_in_a_hundred_undecodable_images_stop_the_run(count, broken, message, tmp_path, streaming):
    numbered_dataset(tmp_path, count, shards=1, broken=broken)
    with pytest.raises(DataError, match=message):
        read_all(tmp_path, streaming)


def test_a_long_dataset_is_stopped_early_not_at_its_end():
    skipped = SkippedImages()
    skipped.add(
        500, [Skipped(f"{i}", UNDECODABLE) for i in range(10)]
    )  # one in a hundred of the first thousand is not passed yet
    with pytest.raises(DataError, match="11 of 501"):
        skipped.add(1, [Skipped("10", UNDECODABLE)])
    SkippedImages(seen=5_000).add(1, [Skipped(f"{i}", UNDECODABLE) for i in range(50)])


def test_images_missing_from_a_download_are_skipped_by_name(celeba_download, faces, tmp_path):
    (tmp_path / "img_align_celeba").mkdir()
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (tmp_path / name).write_text((celeba_download / name).read_text())
    for number in range(1, 49):
        if number != 7:
            (tmp_path / "img_align_celeba" / f"{number:06}.jpg").write_bytes(faces["train"].images[number - 1])
    with pytest.raises(DataError, match="1 of 48 images were not found.*000007.jpg"):
        load_into_memory(tmp_path, "train", ATTRIBUTES, 16, workers=0)


@pytest.fixture
def picture(tmp_path):
    """Writes a small picture of one grey."""

    def picture(name, grey):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (grey,) * 3).save(tmp_path / name)

    return picture


def test_a_folder_for_each_class_gives_a_column_for_each_class(picture, tmp_path):
    for number in range(4):
        picture(f"Sad/{number}.png", number)
        picture(f"Smiling/{number}.png", 100 + number)
    data = load_into_memory(tmp_path, "train", ("Smiling", "Sad"), 8, workers=0)
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 100, 101, 102, 103]
    assert data.labels.tolist() == [[0, 1]] * 4 + [[1, 0]] * 4
    stream = StreamBatches(tmp_path, "train", ("Smiling", "Sad"), 8, 8, seed=0, workers=0)
    images, labels = stream.draw(0)
    assert torch.equal(labels[:, 0], (images[:, 0, 0, 0] >= 100).float())
    with pytest.raises(MissingSplitError, match="the dataset has train"):
        open_split(tmp_path, "validation")


@pytest.mark.parametrize("streaming", [False, True], ids=["memory", "stream"])
def test_a_folder_with_metadata_is_read_by_its_columns_and_splits(streaming, picture, tmp_path):
    for split, first in (("train", 0), ("validation", 100)):
        for number in range(4):
            picture(f"{split}/{number}.png", first + number)
        rows = [f"{number}.png,{number % 2},{number > 1}" for number in range(4)]
        (tmp_path / split / "metadata.csv").write_text("\n".join(["file_name,Smiling,Hat", *rows]))
    rows = list(open_split(tmp_path, "valid", streaming=streaming))
    assert [row["Smiling"] for row in rows] == [0, 1, 0, 1]
    data = load_into_memory(tmp_path, "valid", ("Smiling", "Hat"), 8, workers=0)
    assert data.images[:, 0, 0, 0].tolist() == [100, 101, 102, 103]
    assert data.labels.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_a_folder_of_images_without_labels_says_what_to_add(picture, tmp_path):
    picture("plain/1.png", 1)
    with pytest.raises(DataError, match="images but no labels.*metadata.csv"):
        load_into_memory(tmp_path / "plain", "train", ("Smiling",), 8, workers=0)
    picture("odd/1.png", 1)
    (tmp_path / "odd" / "metadata.csv").write_text("image,Smiling\n1.png,1\n")
    with pytest.raises(DataError, match="could not be read as a folder of images .*file_name"):
        load_into_memory(tmp_path / "odd", "train", ("Smiling",), 8, workers=0)
    (tmp_path / "odd" / "metadata.csv").write_text("file_name,Smiling\n")
    with pytest.raises(DataError, match="could not be read as a folder of images"):
        load_into_memory(tmp_path / "odd", "train", ("Smiling",), 8, workers=0)
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped" / "img_align_celeba.zip").write_bytes(b"")
    with pytest.raises(DataError, match="no images.*Unpack .*img_align_celeba.zip first"):
        open_split(tmp_path / "zipped", "train")


def test_images_that_labels_name_but_that_are_not_there_are_not_called_broken(picture, tmp_path):
    for number in range(4):
        picture(f"{number}.png", number)
    rows = [f"{number}.png,{number % 2}" for number in range(6)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,Smiling", *rows]))
    with pytest.raises(DataError, match=r"2 of 6 images were not found.*4\.png.*5\.png.*remove their rows"):
        load_into_memory(tmp_path, "train", ("Smiling",), 8, workers=0)
    few = SkippedImages()
    few.add(1000, [Skipped("a.png", MISSING)])
    few.check()
    assert "1 images rejected: 1 not found (first: a.png)" in str(few)
