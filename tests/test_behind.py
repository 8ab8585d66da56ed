"""What lies behind a head goes on as its surroundings do, with the photo's own detail."""

import numpy as np
import pytest

from stgan.photo.align import Alignment
from stgan.photo.behind import Backdrop

G, DETAIL = 512, 2  # pixels of the grid, and of the photo for each of them
Y, X = np.mgrid[:G, :G]
HEAD = (X - 256) ** 2 + (Y - 250) ** 2 < 60**2
HOLE = ((X - 256) ** 2 + (Y - 250) ** 2 < 100**2) & ~HEAD
STRIPES = np.where((X // 24 % 2)[..., None] == 0, (190, 40, 50), (225, 220, 215)).astype(float)
WALL = np.stack([60 + 0.2 * X, 90 + 0.1 * Y, 200 - 0.2 * X], axis=-1)


def filled(truth, clothes=False, seen=True):
    """The backdrop, uint8 at the photo's resolution, where a photo of this truth (G, G, 3) has hair in the hole."""
    hidden = np.where((HOLE | HEAD)[..., None], (40.0, 30, 25), truth).astype(np.float32)
    rgb = hidden.repeat(DETAIL, axis=0).repeat(DETAIL, axis=1).round().astype(np.uint8)
    placed = Alignment(np.array([[1 / DETAIL, 0, (1 / DETAIL - 1) / 2], [0, 1 / DETAIL, (1 / DETAIL - 1) / 2]]))
    backdrop = Backdrop.of(hidden, seen & ~HOLE & ~HEAD, HOLE, np.full((G, G), True) & ~np.asarray(clothes), placed)
    return backdrop.over(rgb, (0, 0), np.zeros(rgb.shape, np.float32))


@pytest.mark.parametrize(("truth", "most"), [(WALL, 3.0), (STRIPES, 25.0)], ids=["light", "stripes"])
def test_walls_and_stripes_go_on(truth, most):
    result = filled(truth)[::DETAIL, ::DETAIL]
    apart = np.abs(result - truth)[HOLE].mean(axis=1)
    assert apart.mean() < most  # the mean of both stripes is 90 levels from each
    assert np.median(apart) < 4


def test_it_has_the_detail_of_the_photo_and_not_that_of_the_grid():
    """Of stripes, patches tell where each comes from."""
    noise = np.random.default_rng(0).normal(0, 6, (G, G, 1))
    plain, grainy = (filled(STRIPES + each)[::DETAIL, ::DETAIL] for each in (0 * noise, noise))
    assert np.diff(grainy - plain, axis=1)[HOLE[:, 1:]].std() > 0.6 * np.diff(noise, axis=1).std()


def test_clothes_do_not_climb_above_where_they_show():
    clothes = Y > 330
    truth = np.where(clothes[..., None], (20.0, 60, 200), (90.0, 120, 90))
    result = filled(truth, clothes)[::DETAIL, ::DETAIL]
    assert np.abs(result - truth)[HOLE & (np.abs(Y - 330) > 12)].max() < 12


def test_where_nothing_shows_there_is_a_guess_without_any_detail_of_hair():
    result = filled(WALL, seen=False)
    assert np.isfinite(result).all()
    corner = filled(WALL, seen=(X < 12) & (Y < 12))[::DETAIL, ::DETAIL]
    assert np.abs(corner - WALL[:12, :12].mean(axis=(0, 1)))[HOLE].max() < 5


def test_parts_of_a_photo_join(monkeypatch):
    """A part of the photo shows the same as all of it."""
    calls, whole = [], filled(STRIPES)
    over = Backdrop.over
    monkeypatch.setattr(Backdrop, "over", lambda self, rgb, corner, grain: calls.append((self, rgb)) or rgb)
    filled(STRIPES)
    (backdrop, rgb) = calls[0]
    part = over(backdrop, rgb, (300, 200), np.zeros((150, 180, 3), np.float32))
    assert np.abs(part - whole[200:350, 300:480]).max() < 1
