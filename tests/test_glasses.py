"""Glasses are redrawn from what a network drew: the same frame, crisp, over the photo's own eyes."""

import cv2
import numpy as np
import pytest
from frames import S, centred

from stgan.drawing.glasses import Glasses, wear
from stgan.drawing.rims import Head, beyond
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.light import USUAL_LIGHT
from stgan.photo.matte import WIDE, Silhouette
from stgan.photo.texture import blur_of

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
    assert np.abs(glasses.colour - FRAME).max() < 12
    assert np.allclose(glasses.tint, -np.log(1 - tint), atol=0.12)
    middle = glasses.bridge[len(glasses.bridge) // 2]
    assert np.abs(middle - [CENTRES[:, 0].mean(), CENTRES[0, 1] - 0.12 * DISTANCE]).max() < 2


def test_no_drawing_is_no_frame_and_a_faint_one_is_fine_and_dark():
    skin = (200, 160, 140)
    assert Glasses.read(*painted(skin, strength=0)) is None
    assert Glasses.read(painted(skin)[0], painted(skin)[0] + 30) is None  # a brighter face
    full, faint = (Glasses.read(*painted(skin, strength=strength)) for strength in (1.0, 0.08))
    assert faint.widths.mean() < 0.9 * full.widths.mean()
    drawn = np.array(skin) + 0.08 * (FRAME - np.array(skin))
    assert faint.colour.mean() < 0.85 * drawn.mean()


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


def worn(glasses, skin=(200, 160, 140), hair=0.0):
    """A plain photo of 3 pixels per pixel of the crop with glasses, as floats; hair covers a share of it."""
    rgb = np.full((3 * S, 3 * S, 3), skin, np.uint8)
    face = np.ones((2 * S * WIDE, 2 * S * WIDE), np.float32)
    alignment = centred((3 * S - 1) / 2, (3 * S - 1) / 2, 0, 1 / 3)
    return wear(rgb, alignment, glasses, np.ones((S, S), np.float32), Silhouette(hair * face, face, face)).astype(float)


def levels(image, points):
    """Grey levels of such a photo at points (..., 2) of the crop."""
    columns, rows = np.moveaxis(np.rint(3 * np.asarray(points) + 1).astype(int), -1, 0)
    return image[rows, columns].mean(axis=-1)


def test_both_rims_are_one_shape_mirrored_at_the_nose():
    before, after = painted((200, 160, 140))
    after[:, : S // 2] = cv2.GaussianBlur(after[:, : S // 2], (0, 0), 3)  # one is drawn worse
    left, right = Glasses.read(before, after).rims
    first, second = EYES @ (1, 1j)
    left, right = ((rim @ (1, 1j) - (first + second) / 2) / (second - first) for rim in (left, right))
    assert np.allclose(left, -right.conj())
    bends = np.fft.fft(right)
    assert np.abs(bends[13:-12]).max() < 0.01 * np.abs(bends[1:]).max()  # no kinks


@pytest.mark.parametrize("degrees", [-8, 8])
def test_rims_follow_the_line_of_the_eyes(degrees):
    middle = EYES.mean(axis=0)
    matrix = cv2.getRotationMatrix2D(tuple(middle), degrees, 1)
    shown = np.zeros((S, S))
    for x, y in EYES @ matrix[:, :2].T + matrix[:, 2]:
        cv2.ellipse(shown, (round(x), round(y)), (5, 2), -degrees, 0, 360, 1, -1)
    tilted = [
        cv2.warpAffine(each, matrix, (S, S), borderMode=cv2.BORDER_REPLICATE) for each in painted((200, 160, 140))
    ]
    found = Glasses.read(*tilted, Head.of(shown, None)).rims
    expected = Glasses.read(*painted((200, 160, 140))).rims @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(found.mean(axis=1) - expected.mean(axis=1)).max() < 1.2
    assert np.abs(found - expected).max() < 2.5


def test_unseen_eyes_are_those_of_the_mean_face_and_the_turn_is_the_nose():
    nothing, points = np.zeros((S, S)), np.vstack([EYES, EYES.mean(axis=0) + 0.2 * (EYES[1] - EYES[0]), EYES + (0, 30)])
    assert np.allclose(Head.of(nothing, None).middle, EYES.mean(axis=0))
    assert Head.of(nothing, points).turn == pytest.approx(0.2)
    assert Head.of(nothing, points * np.nan).turn == 0
    spun = cv2.getRotationMatrix2D((20, 30), 25, 0.7)  # wherever the detector saw the face
    assert Head.of(nothing, points @ spun[:, :2].T + spun[:, 2]).turn == pytest.approx(0.2)


def test_the_nearer_side_of_a_turned_head_is_wider_and_shows_its_arm():
    head = Head(EYES.mean(axis=0), EYES[1] - EYES[0], 0.2)
    glasses, straight = (Glasses.read(*painted((200, 160, 140)), each) for each in (head, None))
    left, right = np.ptp(glasses.rims[..., 0], axis=1)
    assert left > 1.05 * right  # the nose points to the right
    lengths = [np.hypot(*(arm[-1] - arm[0])) for arm in (*glasses.arms, *straight.arms)]
    assert lengths[0] > 1.5 * lengths[2] == pytest.approx(1.5 * lengths[3])
    assert lengths[1] < 0.5 * lengths[3]
    bare = np.zeros((S, S), np.float32)
    bare[:, 20:] = 1
    reach = straight.reaching(bare).arms
    hinge = reach[0, 0, 0]
    assert reach[0, -1, 0] < straight.arms[0, -1, 0]
    assert (hinge - reach[0, -1, 0]) / (hinge - 20) == pytest.approx(0.56, abs=0.06)  # the rest is an ear


def test_rims_are_lit_from_above_and_throw_a_shadow():
    glasses = Glasses.read(*painted((200, 160, 140)))
    photo = worn(glasses)
    rim, width = glasses.rims[1], glasses.widths.mean()
    lower, upper = (rim[np.abs(rim[:, 1] - edge(rim[:, 1])) < 1] for edge in (np.max, np.min))
    for part in (upper, lower):
        above, below = (levels(photo, part + (0, side * 0.5 * width)).mean() for side in (-1, 1))
        assert above > below + 8
    plain = levels(photo, rim.mean(axis=0))
    cheeks = levels(photo, lower + (0, width + 0.05 * DISTANCE))
    assert plain == pytest.approx(500 / 3)
    assert (cheeks < 0.97 * plain).all()
    assert (cheeks > 0.6 * plain).all()


def test_tinted_lenses_are_darker_at_the_top_and_eyes_stay_visible():
    glasses = Glasses.read(*painted((200, 160, 140), tint=0.8))
    centre, photo = glasses.rims[1].mean(axis=0), worn(glasses)
    heights = [levels(photo, centre + (0, share * DISTANCE)) for share in (-0.05, 0.0, 0.06, 0.12)]
    assert np.all(np.diff(heights) > 3)
    assert 0.3 < heights[1] / (500 / 3) < 0.7


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5, 2.0])
def test_the_blur_of_a_photo_is_measured(sigma):
    rows, columns = np.indices((2560, 2560), np.float32)
    stripes = np.where((rows - 0.3 * columns) % 400 < 200, 200, 0).astype(np.float32)
    photo = cv2.resize(cv2.GaussianBlur(stripes, (0, 0), 10 * sigma), (256, 256), interpolation=cv2.INTER_AREA)
    rgb = np.repeat(photo.round().astype(np.uint8)[..., None], 3, axis=2)
    found = blur_of(rgb, centred(127.5, 127.5, 0, S / 256), S, USUAL_LIGHT)
    assert found == pytest.approx(sigma, rel=0.15)


def test_the_farther_lens_of_a_turned_head_is_seen_before_what_is_behind():
    person = np.zeros((S, S))
    person[S // 4 :, S // 4 : 3 * S // 4] = 1
    for side, first in ((1, 3 * S // 4), (-1, None)):
        where = beyond(person, Head(EYES.mean(axis=0), EYES[1] - EYES[0], side * 0.4)) > 0
        outside = where & (person == 0)
        columns = np.nonzero(outside.any(axis=0))[0]
        expected = (
            np.arange(round(0.4 * DISTANCE)) + 3 * S // 4 if first else S // 4 - 1 - np.arange(round(0.4 * DISTANCE))
        )
        assert set(columns) <= set(expected)
        assert len(columns) >= len(expected) - 2
        assert not where[: S // 4].any()
        slightly = beyond(person, Head(EYES.mean(axis=0), EYES[1] - EYES[0], side * 0.15))
        assert np.array_equal(slightly, where.astype(np.float32))  # no rim is seen in part
    assert not beyond(person, Head.mean(S)).any()
