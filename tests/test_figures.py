"""Figures show the right pictures in the right places."""

import numpy as np
import pytest
import torch
from PIL import Image

from stgan.attributes import edited_labels
from stgan.evaluation import figures
from stgan.evaluation.fidelity import to_uint8
from stgan.frame import normalise
from stgan.models import STGAN

ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Mouth_Slightly_Open")
SIZE = 96  # as large as the smallest cell: one pixel of the figure is one of the picture


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return STGAN(ATTRIBUTES, image_size=SIZE, width=4, layers=2, stu_layers=1).eval()


@pytest.fixture
def people():
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, SIZE, SIZE), generator=random, dtype=torch.uint8)
    return images, torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0]])


def pictures(figure, rows, columns):
    """The figure's pictures: [row][column] uint8 (S, S, 3). The rows stand on the lower and on the right margin."""
    pixels = np.asarray(figure)
    step = SIZE + figures.GAP
    left = pixels.shape[1] - figures.MARGIN - columns * step + figures.GAP
    top = pixels.shape[0] - figures.MARGIN - rows * step + figures.GAP
    return [[pixels[top + r * step :, left + c * step :][:SIZE, :SIZE] for c in range(columns)] for r in range(rows)]


def marked(shown, expected):
    """Pixels of the lower left corner that a sign has changed; nothing else may have."""
    changed = (shown != expected).any(axis=2)
    corner = changed[-SIZE // 4 :, : SIZE // 4]
    assert corner.sum() == changed.sum()
    return int(corner.sum())


@torch.no_grad()
def test_sample_grid_holds_source_reconstruction_and_each_edit(generator, people):
    images, labels = people
    shown = pictures(figures.sample_grid(generator, images, labels, intensity=1.5), rows=3, columns=5)
    added = {True: [], False: []}
    for person in range(3):
        source = normalise(images[person : person + 1])
        assert (shown[person][0] == images[person].permute(1, 2, 0).numpy()).all()
        assert (shown[person][1] == to_uint8(generator(source, torch.zeros(1, 3)))[0]).all()
        for k, name in enumerate(ATTRIBUTES):
            target = edited_labels(labels[person], {name: not labels[person, k]}, ATTRIBUTES)
            expected = to_uint8(generator(source, (target - labels[person])[None] * 1.5))[0]
            ink = marked(shown[person][2 + k], expected)
            assert ink > 0
            added[bool(target[k])].append(ink)
    assert min(added[True]) > max(added[False])  # a plus takes more ink than a minus


def test_small_pictures_are_enlarged_by_a_whole_factor(generator, people):
    images = people[0][:, :, :32, :32]
    figure = np.asarray(figures.sample_grid(generator, images, people[1]))
    source = figure[-figures.MARGIN - SIZE : -figures.MARGIN, figures.MARGIN : figures.MARGIN + SIZE]
    assert (source == images[-1].permute(1, 2, 0).numpy().repeat(3, axis=0).repeat(3, axis=1)).all()


def test_edit_sheet_stacks_one_grid_per_intensity(generator, people):
    sheet = figures.edit_sheet(generator, *people, intensities=(0.5, 1.5))
    weak, strong = (figures.sample_grid(generator, *people, intensity=value) for value in (0.5, 1.5))
    pixels = np.asarray(sheet)
    assert (pixels[-strong.height :] == np.asarray(strong)).all()
    middle = sheet.height // 2
    assert (pixels[middle - weak.height : middle] == np.asarray(weak)).all()


def test_a_comparison_shows_one_person_by_each_editor_beside_its_name(generator, people):
    other = STGAN(ATTRIBUTES, image_size=SIZE, width=4, layers=2, stu_layers=0).eval()
    image, labels = people[0][1], people[1][1]
    compared = figures.comparison_grid({"": generator, "Another one": other}, image, labels, intensity=1.5)
    shown, columns = pictures(compared, 2, 5), 2 + len(ATTRIBUTES)
    for row, each in zip(shown, (generator, other), strict=True):
        alone = pictures(figures.sample_grid(each, image[None], labels[None], intensity=1.5), 1, columns)
        assert np.array_equal(row, alone[0])
    ink = (np.asarray(compared)[:, : figures.MARGIN + SIZE] < 128).any(axis=(1, 2)).nonzero()[0]
    second_row = compared.height - figures.MARGIN - SIZE
    assert second_row < ink.min() <= ink.max() < second_row + SIZE
    assert abs(ink.mean() - second_row - SIZE / 2) < SIZE / 8


def test_a_comparison_needs_editors_of_the_same_attributes(generator, people):
    other = STGAN(ATTRIBUTES[::-1], image_size=SIZE, width=4, layers=2, stu_layers=1)
    for editors in ({}, {"one": generator, "other": other}):
        with pytest.raises(ValueError, match="all of the same attributes"):
            figures.comparison_grid(editors, people[0][1], people[1][1])


def test_a_generator_keeps_its_mode(generator, people):
    evaluated = figures.sample_grid(generator, *people)
    generator.train()
    assert np.array_equal(figures.sample_grid(generator, *people), evaluated)
    assert generator.training


def test_figures_are_white_around_and_between(generator, people):
    figure = figures.sample_grid(generator, *people)
    assert isinstance(figure, Image.Image)
    pixels = np.asarray(figure)
    border = [pixels[: figures.MARGIN // 2], pixels[-figures.MARGIN :], pixels[:, : figures.MARGIN]]
    assert all((part == 255).all() for part in border)


def test_varied_people_are_different_and_begin_with_the_first():
    labels = torch.tensor([[0.0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]])
    assert figures.varied_people(labels, 3) == [0, 2, 3]
    assert sorted(figures.varied_people(labels, 9)) == [0, 1, 2, 3]


def test_a_contact_sheet_has_each_picture_in_its_place_under_its_caption():
    colours = [(200, 40 * number, 60) for number in range(5)]
    pictures = [Image.new("RGB", (10, 10), colour) for colour in colours]
    sheet = figures.contact_sheet(pictures, ["m", "", "i", "", "mmm"], columns=3, side=48)
    pixels = np.asarray(sheet).astype(int)
    ink = []
    for number, colour in enumerate(colours):
        rows, columns = np.where((pixels == colour).all(axis=2))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)) == (48, 48, 48 * 48)
        assert ((rows.mean() > sheet.height / 2), int(columns.mean() * 3 / sheet.width)) == (number > 2, number % 3)
        above = pixels[rows.min() - 18 : rows.min(), columns.min() : columns.max() + 1]
        ink.append((above.sum(axis=2) < 600).sum())
    assert ink[1] == ink[3] == 0 < ink[2] < ink[0] < ink[4]
