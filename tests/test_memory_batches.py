"""Datasets in memory give each image once an epoch, shared out to the processes, and a batch by its number."""

import pytest
import torch
from numbered_data import write_images
from PIL import Image

from stgan.data import DataError, MemoryBatches, MemoryDataset, Source, StreamBatches, load_into_memory


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
    images, labels = batches.draw(1)
    assert torch.equal(images[:, 0, 0, 0].float(), labels[:, 0])


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


@pytest.mark.parametrize("as_mask", [True, False])
def test_batches_of_some_rows_are_those_of_a_dataset_of_these_rows(in_memory, as_mask):
    mask = torch.tensor([True, False, True, True, False, True, True, False, False, True])
    rows = mask if as_mask else mask.nonzero()[:, 0]
    weights = torch.arange(10).float()
    some = MemoryDataset(in_memory.images[mask], in_memory.labels[mask])
    for ours, theirs in ((None, None), (weights, weights[mask])):
        expected = drawn(MemoryBatches(some, 2, seed=5, weights=theirs), 9)
        assert drawn(MemoryBatches(in_memory, 2, seed=5, weights=ours, rows=rows), 9) == expected
    with pytest.raises(DataError, match="6 images are fewer than one batch of 7"):
        MemoryBatches(in_memory, 7, seed=0, rows=rows)


@pytest.mark.parametrize(("batch", "world"), [(11, 1), (6, 2)])
def test_fewer_images_than_a_batch_are_refused(in_memory, batch, world):
    with pytest.raises(DataError, match="lower --batch_size"):
        MemoryBatches(in_memory, batch, 0, 0, world)


def square_dataset(folder, count, side, first):
    """Plain squares of one colour each, which is their number; the label says whether it is even."""
    folder.mkdir()
    images = [Image.new("RGB", (side, side), (number,) * 3) for number in range(first, first + count)]
    even = [number % 2 == 0 for number in range(first, first + count)]
    return write_images(folder, images, column="picture", even=even, **{f"only_in_{folder.name}": [1] * count})


@pytest.fixture(scope="module")
def two_datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return square_dataset(folder / "large", 6, 256, 10), square_dataset(folder / "small", 9, 32, 100)


def test_several_datasets_become_one_each_with_its_crop_and_use(two_datasets):
    large, small = two_datasets
    sources = [Source(large, "celebahq"), Source(small, "none", sharp=False, max_samples=5, skip_samples=2)]
    data = load_into_memory(sources, "train", ("even",), 48, workers=0)
    assert data.images.shape == (11, 3, 48, 48)
    assert data.images[:, 0, 20, 20].tolist() == [*range(10, 16), *range(102, 107)]
    assert data.labels[:, 0].tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert data.sharp.tolist() == [True] * 6 + [False] * 5
    assert str(data.skipped) == "0 of 11 images skipped as undecodable"
    alone = load_into_memory(large, "train", ("even",), 48, crop="celebahq", workers=0)
    assert torch.equal(data.images[:6], alone.images)
    sharp = MemoryBatches(data, 3, seed=0, rows=data.sharp)
    assert sorted(sum(drawn(sharp, 2), [])) == list(range(10, 16))


@pytest.mark.parametrize(("size", "sharp"), [(256, True), (320, True), (400, False)])
def test_an_image_counts_as_sharp_where_it_has_about_the_pixels_of_its_crop(two_datasets, size, sharp):
    large, small = two_datasets
    data = load_into_memory([Source(large, "none"), Source(small)], "train", ("even",), size, workers=0)
    assert data.sharp.tolist() == [sharp] * 6 + [False] * 9
    assert load_into_memory(Source(small, sharp=True), "train", ("even",), size, workers=0).sharp.all()
    assert data.to("meta").sharp.device.type == "meta"


def test_a_mistake_in_the_second_dataset_shows_before_the_first_is_decoded(two_datasets, monkeypatch):
    monkeypatch.setattr("stgan.data.memory.decode_row", lambda *arguments: pytest.fail("decoded"))
    with pytest.raises(DataError, match="small: The dataset has no such column.*Did you mean only_in_small"):
        load_into_memory([Source(two_datasets[0]), Source(two_datasets[1])], "train", ("only_in_large",), 8, workers=0)


def test_what_is_left_out_is_counted_over_all_datasets(two_datasets, tmp_path):
    images = [Image.new("RGB", (20, 20 + number % 2)) for number in range(8)]
    write_images(tmp_path, images, even=[True] * 8)
    data = load_into_memory([Source(tmp_path, "celebahq"), Source(two_datasets[1])], "train", ("even",), 8, workers=0)
    assert str(data.skipped) == (
        "0 of 17 images skipped as undecodable; 4 images rejected: 4 not square (first: row 1, row 3, row 5, row 7)"
    )
    assert len(data) == 13


def test_several_datasets_are_not_streamed(two_datasets):
    with pytest.raises(DataError, match="Only one dataset can be streamed: leave out --streaming"):
        StreamBatches([Source(each) for each in two_datasets], "train", ("even",), 8, 2, seed=0)
