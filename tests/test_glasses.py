"""Glasses are redrawn from what a network drew: the same frame, crisp, over the photo's own eyes."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.glasses import Glasses, wear
from stgan.photo.matte import WIDE, Silhouette

EYES = (MEAN_LANDMARKS[:2] - CELEBA_CROP[:2] + 0.5) * S / (CELEBA_CROP[2] - CELEBA_CROP[0]) - 0.5
DISTANCE = EYES[1, 0] - EYES[0, 0]
RADII = np.array([0.4, 0.3]) * DISTANCE
CENTRES = EYES + np.array([[-0.09, 0.13], [0.09, 0.13]]) * DISTANCE
FRAME = np.array([45.0, 30, 25])


def painted(skin, strength=1.0, tint=0.0):
    """A crop (S, S, 3) of plain skin and the same with glasses of two ellipses, drawn large and averaged."""
    before, large = np.empty((S, S, 3)), 16
    before[:] = skin
    cover, lens = np.zeros((2, S * large, S * large), np.uint8)
    for centre in CENTRES:
        where = [int(each) for each in np.rint((centre + 0.5) * large)], [int(each) for each in np.rint(RADII * large)]
        cv2.ellipse(lens, *where, 0, 0, 360, 255, -1)
        cv2.ellipse(cover, *where, 0, 0, 360, 255, int(0.08 * DISTANCE * large))
    height = int((CENTRES[0, 1] - 0.12 * DISTANCE + 0.5) * large)
    ends = [int((CENTRES[0, 0] + RADII[0]) * large), int((CENTRES[1, 0] - RADII[0]) * large)]
    cv2.line(cover, (ends[0], height), (ends[1], height), 255, int(0.08 * DISTANCE * large))
    cover, lens = (cv2.resize(each, (S, S), interpolation=cv2.INTER_AREA)[..., None] / 255 for each in (cover, lens))
    after = before * (1 - tint * lens)
    return before, after + strength * cover * (FRAME - after)


def ellipse_radius(points, centre):
    """Distance of points from a lens's centre, 1 on the ellipse."""
    return np.hypot(*((points - centre) / RADII).T)


@pytest.mark.parametrize("skin", [(225, 180, 160), (120, 80, 62), (82, 56, 45)])
@pytest.mark.parametrize("tint", [0.0, 0.5])
def test_the_frame_is_the_one_that_was_drawn(skin, tint):
    glasses = Glasses.read(*painted(skin, tint=tint))
    for rim, centre in zip(glasses.rims, CENTRES, strict=True):
        assert np.abs(ellipse_radius(rim, centre) - 1).max() < 0.11  # an eye distance has 29 pixels
    assert glasses.opacity == 1
    assert np.abs(glasses.colour - FRAME).max() < 12
    assert np.allclose(glasses.tint, -np.log(1 - tint), atol=0.12)
    middle = glasses.bridge[len(glasses.bridge) // 2]
    assert np.abs(middle - [CENTRES[:, 0].mean(), CENTRES[0, 1] - 0.12 * DISTANCE]).max() < 2


def test_no_drawing_is_no_frame_and_a_faint_one_is_faint():
    skin = (200, 160, 140)
    assert Glasses.read(*painted(skin, strength=0)) is None
    assert Glasses.read(painted(skin)[0], painted(skin)[0] + 30) is None  # a brighter face
    assert 0 < Glasses.read(*painted(skin, strength=0.25)).opacity < 1


def test_in_the_photo_the_frame_is_crisp_and_what_lies_behind_it_stays():
    skin, detail = (200, 160, 140), 6
    rng = np.random.default_rng(2)
    rgb = np.clip(np.array(skin) + rng.normal(0, 2, (detail * S, detail * S, 1)), 0, 255).round().astype(np.uint8)
    alignment = centred((detail * S - 1) / 2, (detail * S - 1) / 2, 0, 1 / detail)
    face = np.ones((2 * S * WIDE, 2 * S * WIDE), np.float32)
    share = np.ones((S, S), np.float32)
    silhouette = Silhouette(0 * face, face, face)
    glasses = Glasses.read(*painted(skin))
    result = wear(rgb, alignment, glasses, share, silhouette)

    rows, columns = np.indices(rgb.shape[:2])
    points = ((np.stack([columns, rows], axis=-1) + 0.5) / detail - 0.5).reshape(-1, 2)
    radius = np.min([ellipse_radius(points, centre) for centre in CENTRES], axis=0).reshape(rgb.shape[:2])
    behind = radius < 0.3  # beyond the shadows of the rims
    assert np.array_equal(result[behind], rgb[behind])
    on_rims = np.abs(radius - 1) < 0.03
    assert np.median(result[on_rims].mean(axis=1)) < 60
    assert np.array_equal(result[radius > 3], rgb[radius > 3])
    across = result[round((CENTRES[0, 1] + 0.5) * detail), : round((CENTRES[0, 0] + 0.5) * detail), 1].astype(int)
    assert np.abs(np.diff(across)).max() > 60  # levels from one pixel to the next; enlarged six times it were 25

    assert np.array_equal(wear(rgb, alignment, glasses, 0 * share, silhouette), rgb)
    hidden = Silhouette(face, face, face)  # hair over it all: no arms beside the rims
    arms = (result != wear(rgb, alignment, glasses, share, hidden)).any(axis=2) & (radius > 1.3)
    assert arms.any()
