"""A stream gives each image once an epoch over workers and processes, and resumes where it stopped."""

import functools
import itertools

import numpy as np
import pytest
import torch
from numbered_data import BITS, numbered_dataset, numbers
from torch.utils.data import DataLoader

from stgan.data import DataError, StreamBatches, load_into_memory, open_split

ATTRIBUTES = ("Black_Hair", "Eyeglasses", "Male")


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    return numbered_dataset(tmp_path_factory.mktemp("numbered"))


def stream(folder, batch=4, **options):
    return StreamBatches(folder, "train", BITS, 8, batch, seed=0, **{"workers": 0, "shuffle_buffer": 6} | options)


def epochs_of(batches, count):
    epochs = [[] for _ in range(count)]
    number = 0
    while True:
        _, labels = batches.draw(number)
        number += 1
        if batches.epoch == count:
            return epochs
        epochs[batches.epoch] += numbers(labels)


@pytest.mark.parametrize(  # workers are processes, and dear
    ("workers", "world_size", "shards"), [*itertools.product([0], [1, 2], [1, 2, 3]), (2, 1, 3), (2, 2, 1), (2, 2, 2)]
)
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


@pytest.fixture(scope="module")
def never_stopped(numbered):
    """Returns the numbers in 16 batches of a stream with so many workers, and its state after them."""

    @functools.cache
    def drawn(workers):
        batches = stream(numbered, 5, workers=workers)
        return [numbers(batches.draw(n)[1]) for n in range(16)], batches.state_dict()

    return drawn


@pytest.mark.parametrize(("stop", "workers"), [*((stop, 0) for stop in (0, 3, 9, 10, 13)), (3, 2), (10, 2)])
def test_a_stream_resumed_anywhere_goes_on_as_if_never_stopped(numbered, never_stopped, stop, workers):
    expected, state = never_stopped(workers)
    stopped = stream(numbered, 5, workers=workers)
    assert [numbers(stopped.draw(n)[1]) for n in range(stop)] == expected[:stop]
    resumed = stream(numbered, 5, workers=workers)
    resumed.load_state_dict(stopped.state_dict())
    assert [numbers(resumed.draw(n)[1]) for n in range(stop, 16)] == expected[stop:]
    assert resumed.state_dict() == state


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
