"""Ears of bald heads: drawn where hair hides them, whole where it covers their tops, and joined to the head."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.drawing.ears import BORDER, SHOWS, Ear, hidden_ears
from stgan.drawing.scalp import draw_scalp
from stgan.drawing.skull import CENTRE, Skull, places
from stgan.photo.matte import WIDE, Silhouette

WALL, SKIN, HAIR = (90, 120, 160), (205, 160, 140), (50, 40, 35)
X, Y = places(WIDE * S)
HEAD = (X / 1.2) ** 2 + ((Y - CENTRE) / np.where(Y > CENTRE, 1.5, 2.0)) ** 2 < 1
FACE = HEAD & (Y < 1.0 - 0.3 * X**2)
CAP = ((X / 1.35) ** 2 + ((Y - CENTRE) / 1.7) ** 2 < 1) & (Y > 0.3) & ~FACE
EARS = ((np.abs(X) - 1.25) / 0.2) ** 2 + ((Y + 0.1) / 0.4) ** 2 < 1
BOB = CAP | ((np.abs(X) > 1.0) & (np.abs(X) < 1.6) & (Y < 0.6) & (Y > -0.9) & ~FACE)


def silhouette_of(hair, face=FACE):
    ones = np.ones(hair.shape, np.float32)
    return Silhouette(hair.astype(np.float32), (hair | face).astype(np.float32), ones)


def hidden(hair, skin, face=FACE):
    silhouette = silhouette_of(hair, face)
    return hidden_ears(Skull.of(silhouette, skin), silhouette, skin)


def bald(hair, skin, face=FACE):
    rgb = np.full((*HEAD.shape, 3), WALL, np.uint8)
    rgb[skin > 0], rgb[hair] = SKIN, HAIR
    alignment = centred((len(rgb) - 1) / 2, (len(rgb) - 1) / 2, 0, 1)
    return draw_scalp(rgb, alignment, S, silhouette_of(hair, face), skin, 0 * skin).astype(int)


def test_ears_are_drawn_where_hair_hides_them():
    skin = FACE.astype(np.float32)
    assert hidden(CAP, skin) == []
    one = np.maximum(skin * ~BOB, EARS & (X > 0))
    assert hidden(BOB, skin * ~BOB) == [-1, 1]
    assert hidden(BOB & ~(EARS & (X > 0)), one, FACE | EARS) == [-1]
    reddish = np.subtract(*np.moveaxis(bald(BOB, skin * ~BOB)[..., ::2], -1, 0))
    skull = Skull.of(silhouette_of(BOB), skin * ~BOB)
    _, _, edge = skull.coordinates(X, Y)
    for way in (-1, 1):
        inner, *_ = Ear.hidden(skull, X, Y, edge, way).draw(X, Y)
        assert np.median(reddish[(inner > 0.03) & BOB]) > 20  # skin, not wall
        assert 0.15 < np.ptp(X[(inner > 0) & (edge < 0)]) < 0.35
    turned = Skull(0.3, skull.across, skull.above, skull.cheeks, (0.0, 0.0))
    fine = places(4 * WIDE * S)
    (left, right), (far, close) = (
        [Ear.hidden(each, *fine, each.coordinates(*fine)[2], way).draw(*fine)[0].max() for way in (-1, 1)]
        for each in (skull, turned)
    )
    assert left == pytest.approx(right, rel=0.1)
    assert far < 0.5 * close  # a turned head hides one


def test_the_cheek_of_a_turned_head_is_no_ear():
    """It reaches as far to the side as an ear does on a head seen from the front, with hair behind it."""
    shift = 0.35
    face = (((X - shift) / 1.0) ** 2 + ((Y - CENTRE) / np.where(Y > CENTRE, 1.5, 2.0)) ** 2 < 1) & (Y < 0.9)
    hair = (((X - shift) / 1.7) ** 2 + ((Y - CENTRE) / 1.7) ** 2 < 1) & (Y > -0.9) & (X > -0.6) & ~face
    reaches = (face & (X > 1.12) & (Y > -0.3) & (Y < 0.25)).sum() * float(X[0, 1] - X[0, 0]) ** 2
    assert reaches > SHOWS
    assert 1 in hidden(hair, face.astype(np.float32), face)
    turned, straight = (Skull(middle, 1.25, 1.5, (1.0, 1.0 + middle), (0.0, 0.0)) for middle in (shift, 0.0))
    beyond = []
    for skull in (turned, straight):
        _, _, edge = skull.coordinates(X, Y)
        ear = Ear.hidden(skull, X, Y, edge, 1)
        beyond.append(float((ear.begins(np.zeros(1)) - (skull.middle + skull.across))[0]))
    assert beyond[0] < beyond[1] - 0.08  # it begins within the outline


def test_an_ear_whose_lower_half_shows_is_not_hidden():
    """What shows of it stays, and only its top is drawn."""
    ears = EARS & (Y < -0.1) & ~HEAD
    hair = BOB & ~ears
    skin = np.maximum(FACE * ~BOB, ears).astype(np.float32)
    assert hidden(hair, skin, FACE | ears) == []


def test_an_ear_leans_as_the_head_does():
    """Its lobe is as far from a head that narrows quickly as from one with straight sides."""
    skull = Skull(0.0, 1.2, 1.27, (1.0, 1.0), (0.0, 0.0))
    for narrowing in (0.05, 0.3):
        edge = (1.2 + narrowing * (Y - CENTRE)) - np.abs(X)
        inner, *_ = Ear.hidden(skull, X, Y, edge.astype(np.float32), 1).draw(X, Y)
        beyond = [float(-edge[(inner > 0) & (np.abs(Y - height) < 0.05)].min()) for height in (-0.5, 0.05)]
        assert beyond[0] == pytest.approx(beyond[1], abs=0.08)


def part_of(ear, edge, hair, way):
    """An ear of which what is not under hair shows beside a head."""
    skull = Skull(0.0, 1.1, 1.4, (1.0, 1.0), (0.0, 0.0))
    return Ear.under_hair(skull, X, Y, edge, ear & (hair == 0) & (edge < 0), hair, way)


@pytest.mark.parametrize("way", [-1, 1])
@pytest.mark.parametrize("width", [0.15, 0.22, 0.3])
def test_the_top_of_an_ear_goes_on_under_hair_as_it_is(way, width):
    """Whether it stands out from the head far or little, what hair covers of a leaning oval is drawn in its place."""
    ear = ((way * X - 1.12 - 0.15 * (Y + 0.3)) / width) ** 2 + ((Y + 0.3) / 0.44) ** 2 < 1
    edge = (1.1 - np.abs(X)).astype(np.float32)
    covered = (Y > -0.2) & (np.abs(X) > 0.9)
    top = part_of(ear, edge, covered.astype(np.float32), way).draw(X, Y)[0] > 0
    truth, drawn = ear & covered & (edge < 0), top & covered & (edge < 0)
    assert (drawn & truth).sum() > 0.6 * (drawn | truth).sum()
    assert (drawn & truth).sum() > 0.8 * truth.sum()
    assert not (top & (way * X < 0)).any()


def test_an_ear_without_hair_above_ends_where_it_ends():
    edge = (1.1 - np.abs(X)).astype(np.float32)
    assert part_of(EARS & (X > 0), edge, 0 * X, 1) is None
    assert part_of(0 * X > 1, edge, 0 * X + 1, 1) is None


def test_the_distance_inside_of_an_ear_is_that_from_its_outline():
    """OpenCV finds the same for a polygon."""
    ear = Ear(1, -0.76, 0.88, 1.1, 0.1, 1.2)
    heights = ear.lowest + ear.height * BORDER[:, 1]
    line = np.stack([ear.root + ear.slope * (heights - ear.lowest) + ear.scale * BORDER[:, 0], heights], axis=1)
    fine = places(4 * WIDE * S)
    inside, *_ = ear.draw(*fine)
    near = np.isfinite(inside) & (fine[0] > 1.12)  # the outline is open where the ear grows out of the head
    truth = [cv2.pointPolygonTest(line.astype(np.float32)[:, None], (float(x), float(y)), True)
             for x, y in zip(fine[0][near], fine[1][near], strict=True)]  # fmt: skip
    np.testing.assert_allclose(inside[near], truth, atol=1e-4)


def test_ears_have_the_proportions_of_real_ones():
    """Those that anthropometry gives: 62 to 65 mm high, and seen from the front a third to a fifth as wide, of people
    whose eyes are 63 mm apart; they stand out most in their upper half."""
    fine = places(8 * WIDE * S)
    skull = Skull(0.0, 1.2, 1.5, (1.08, 1.08), (0.0, 0.0))
    _, _, edge = skull.coordinates(*fine)
    ear = (Ear.hidden(skull, *fine, edge, 1).draw(*fine)[0] > 0) & (edge < 0)
    rows = np.flatnonzero(ear.any(axis=1))
    step = float(fine[0][0, 1] - fine[0][0, 0])
    height = 63 * step * len(rows)
    widths = step * 63 * ear.sum(axis=1)[rows]
    assert 50 < height < 66
    assert 1 / 5 < widths.max() / height < 1 / 3
    assert widths.argmax() < len(rows) / 2


def test_a_bald_head_reaches_the_ears_that_show():
    """Where tied hair lies between a narrow skull and an ear, there is skin and no wall."""
    ears = ((np.abs(X) - 1.5) / 0.12) ** 2 + ((Y + 0.1) / 0.35) ** 2 < 1
    tied = (CAP | ((np.abs(X) > 0.9) & (np.abs(X) < 1.4) & (Y < 0.6) & (Y > -0.5) & ~FACE)) & ~ears
    skin = ((FACE & ~tied) | ears).astype(np.float32)
    result = bald(tied, skin, FACE | ears)
    row = np.abs(Y[:, 0] + 0.1).argmin()
    across = (np.abs(X[row]) > 0.9) & (np.abs(X[row]) < 1.5)
    assert (result[row, across, 0] - result[row, across, 2] > 10).all()  # reddish as skin; the wall is blue
