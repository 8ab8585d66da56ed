"""What covers a face or its hair is left alone by edits, which say that they were held back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.models.covering import SMALLEST_HAT, bareheaded, covered_shares, editable_regions, uncovered, wears_a_hat
from stgan.models.parser import PARSER_CLASSES

ROWS, COLUMNS = np.mgrid[:512, :512]
MICROPHONE = ((COLUMNS - 222) / 22) ** 2 + ((ROWS - 152) / 18) ** 2 < 1
STICKER = (COLUMNS - 205) ** 2 + (ROWS - 135) ** 2 < 16**2
HAT = (np.abs(COLUMNS - 222) < 70) & (ROWS < 85) & (ROWS > 20)


def inner(cover):
    """A cover without its rim of four pixels, where the network's own pixels end."""
    near = [np.roll(cover, shift, axis) for axis in (0, 1) for shift in (-4, 4)]
    return cover & np.all(near, axis=0)


@pytest.mark.parametrize(
    ("cover", "colour", "edits", "held"),
    [
        (MICROPHONE, (30, 30, 34), [["Mustache"], {"No_Beard": False}], ["Mustache"]),
        (STICKER, (240, 220, 20), [{"Young": False}, ["Eyeglasses"]], []),
        (HAT, (20, 40, 140), [["Blond_Hair"]], ["Blond_Hair"]),
    ],
    ids=["microphone", "sticker", "hat"],
)
def test_edits_leave_what_covers_a_face_and_say_so(cover, colour, edits, held, bundled, astronaut):
    photo = np.where(cover[..., None], np.array(colour, np.uint8), astronaut)
    edited = bundled.edit_each(photo, edits, force=True)
    told = set()
    for image in edited:
        change = np.abs(np.asarray(image).astype(int) - photo).max(axis=2)
        assert change.max() > 30
        assert change[inner(cover)].mean() < 1
        told |= {note.partition(":")[0] for note in image.info["stgan"].notes() if "held back" in note}
    assert told >= set(held)


def test_no_bangs_hang_out_of_a_hat(bundled, astronaut):
    photo = np.where(HAT[..., None], np.array((20, 40, 140), np.uint8), astronaut)
    edited = bundled.edit(photo, ["Bangs"], force=True)
    assert np.array_equal(np.asarray(edited), photo)
    outcome = edited.info["stgan"]
    assert not outcome.changed
    assert any(note.startswith("Bangs: held back") for note in outcome.notes())


def test_nobody_is_bald_under_a_hat(bundled, astronaut):
    photo = np.where(HAT[..., None], np.array((20, 40, 140), np.uint8), astronaut)
    image = bundled.edit(photo, ["Bald"], force=True)
    assert np.array_equal(np.asarray(image), photo)
    assert "Bald: held back altogether, for hair or a hat hides its place" in image.info["stgan"].notes()
    both = bundled.edit(photo, ["Bald", "Eyeglasses"], force=True).info["stgan"]
    assert "Bald" not in both.changed
    assert both.changed["Eyeglasses"]


@pytest.mark.parametrize(
    ("name", "shifts"),
    [("Bald", {0.3: False, 0.5: True, -0.5: True}), ("Eyeglasses", {-0.5: False, 0.8: True})],
)
def test_nobody_becomes_bald_or_wears_other_glasses_whose_head_is_turned_away(name, shifts, bundled, astronaut):
    eyes, turned = np.array([[-0.5, 0], [0.5, 0]]), []
    prepared = bundled.prepare(astronaut)
    for nose in shifts:
        landmarks = 100 + 40 * np.array([*eyes, (nose, 0.5), (-0.4, 1), (0.4, 1)])
        face = replace(prepared.people[0], landmarks=landmarks)
        covered = bundled._covered(prepared.parts, prepared.silhouette, (face,))
        image = bundled.edit(replace(prepared, people=(face,), covered=covered), [name], force=True)
        turned.append(np.array_equal(np.asarray(image), astronaut))
        note = f"{name}: held back altogether, for the head is turned away"
        assert (note in image.info["stgan"].notes()) == turned[-1] == (not image.info["stgan"].changed)
    assert turned == list(shifts.values())


def test_a_bare_head_is_not_covered(bundled, astronaut):
    prepared = bundled.prepare(astronaut)
    assert max(prepared.covered.values()) < 0.1
    assert not any("held back" in note for note in bundled.edit(prepared, ["Bangs"], force=True).info["stgan"].notes())


@pytest.mark.parametrize(
    ("rows", "columns", "worn"),
    [(slice(0, 20), slice(20, 108), True), (slice(0, 6), slice(0, 20), False), (slice(80, 120), slice(0, 60), False)],
    ids=["hat", "speck", "beside the neck"],
)
def test_hats_are_above_the_eyes_and_no_specks(rows, columns, worn):
    """What a parser takes for a smaller one, or for one beside the neck, is what it would be without hats."""
    size, hat, hair = 128, PARSER_CLASSES.index("hat"), PARSER_CLASSES.index("hair")
    logits = torch.randn(1, len(PARSER_CLASSES), size, size, generator=torch.Generator().manual_seed(0))
    logits[:, hair] += 5
    logits[:, hat] -= 5
    logits[:, hat, rows, columns] += 16
    probabilities = logits.softmax(dim=1)
    assert wears_a_hat(probabilities) == worn
    assert (probabilities.argmax(dim=1) == hat).sum() / size**2 > (SMALLEST_HAT if columns.stop > 20 else 0)
    without = logits.clone()
    without[:, hat] = -torch.inf
    half, sure = (probabilities[:, hat] < 0.6)[0], (probabilities[:, hat] > 0.8)[0]
    for where, expected in ((half, without.softmax(dim=1)), (sure, probabilities)):
        assert where.any()
        torch.testing.assert_close(bareheaded(probabilities)[..., where], expected[..., where], atol=1e-4, rtol=1e-3)


def test_only_hats_and_what_is_foreign_to_a_face_cover_it():
    names = (*DEFAULT_ATTRIBUTES, "Wearing_Earrings")
    shares = {}
    for shown in PARSER_CLASSES:
        probabilities = torch.zeros(1, len(PARSER_CLASSES), 64, 64)
        probabilities[:, PARSER_CLASSES.index(shown)] = 1
        shares[shown] = covered_shares(probabilities, names)
        left = uncovered(torch.ones(1, 1, 64, 64), probabilities)[0, 0]
        assert left[0, 0] == (0 if shown == "hat" else 1)
        assert (left[46, 32] == 0) == (shown in ("hat", "background", "clothes", "eyeglasses"))
    assert shares["hat"]["Bald"] == shares["hat"]["Bangs"] == shares["clothes"]["Mustache"] == 1
    assert shares["skin"] == shares["hair"] == dict.fromkeys(names, 0.0)
    assert shares["eyeglasses"]["Eyeglasses"] < 0.2 < shares["eyeglasses"]["Mustache"]
    assert shares["hat"]["Wearing_Earrings"] == 0


def test_edits_leave_what_the_network_would_blur():
    names, size = ("Young", "No_Beard", "Eyeglasses", "Blond_Hair"), 64
    probabilities = torch.zeros(1, len(PARSER_CLASSES), size, size)
    blocks = {"hair": (30, 12), "eyes": (25, 32), "mouth": (32, 50), "eyeglasses": (40, 32)}  # column, row
    probabilities[:, PARSER_CLASSES.index("skin")] = 1
    for shown, (column, row) in blocks.items():
        part = probabilities[0, :, row - 3 : row + 4, column - 3 : column + 4]
        part[:] = 0
        part[PARSER_CLASSES.index(shown)] = 1
    young, beard, glasses, blond = editable_regions(probabilities, names)[0]
    at = {shown: (row, column) for shown, (column, row) in blocks.items()}
    assert all(young[place] == 0 for place in at.values())
    assert young[40, 32] > 0.9  # the nose
    assert beard[at["mouth"]] == 0
    assert beard[56, 32] > 0.9  # the chin
    assert beard[36, 32] == 0  # between the eyes
    assert glasses[at["eyeglasses"]] == glasses[at["eyes"]] == 1
    assert blond[at["hair"]] > 0.9
