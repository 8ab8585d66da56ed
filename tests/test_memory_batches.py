"""A dataset in memory gives each image once an epoch, shared out to the processes, and a batch by its number."""

import pytest
import torch

from stgan.data import DataError, MemoryBatches, MemoryDataset


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
