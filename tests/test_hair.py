"""Hair takes another colour strand by strand, and nothing beside it does."""

import cv2
import numpy as np
import pytest
from frames import S, centred
from skimage.color import rgb2lab

from stgan.photo.crop import crop_face
from stgan.photo.hair import in_the_colour, is_coiled, lay_strands, needs_strands, recolour_hair, without_stains
from stgan.photo.light import Light
from stgan.photo.matte import WIDE, Silhouette, window
from stgan.photo.tones import MEASURED, no_more_vivid

W = 2 * S * WIDE
BLOND = np.array([205.0, 170, 110])


@pytest.fixture(scope="module")
def scene():
    """A dark head of strands before a light wall, 1024 pixels wide, with hair that runs on below the crop; where it is
    (bool); and its silhouette as a parser draws it, at a quarter of the resolution and a little soft."""
    rng = np.random.default_rng(4)
    strands = cv2.GaussianBlur(rng.normal(0, 1, (1024, 1024)), (0, 0), sigmaX=1.5, sigmaY=20)
    wall = np.array([150, 175, 205]) + rng.normal(0, 2, (1024, 1024, 3))
    where = cv2.ellipse(np.zeros((1024, 1024), np.uint8), (512, 560), (190, 330), 0, 0, 360, 1, -1) > 0
    brightness = 1 + 0.35 * strands / strands.std()
    hair = np.array([52.0, 38, 30]) * np.clip(brightness, 0.2, 2.2)[..., None]
    rgb = np.clip(np.where(where[..., None], hair, wall), 0, 255).round().astype(np.uint8)
    alignment = centred(511.5, 511.5, 0, 1 / 4)
    seen = crop_face(np.repeat(where[..., None], 3, axis=2).astype(np.uint8) * 255, window(alignment, S, WIDE, W), W)
    hair_map = cv2.GaussianBlur(seen[..., 0].astype(np.float32) / 255, (0, 0), 4)
    return rgb, where, alignment, Silhouette(hair_map, hair_map, np.ones_like(hair_map))


def dyed(scene, change=lambda crop: BLOND * np.clip(crop.mean(axis=2, keepdims=True) / 40, 0, 1.2), **more):
    rgb, where, alignment, silhouette = scene
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    is_hair = (crop.mean(axis=2) < 110)[..., None]
    edited = np.where(is_hair, np.clip(change(crop), 0, 255), crop)
    return recolour_hair(rgb, alignment, crop, edited, is_hair[..., 0].astype(np.float32), silhouette, **more)


def eroded(where, pixels):
    return cv2.erode(where.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)) > 0


def detail(image):
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey - cv2.GaussianBlur(grey, (0, 0), 6)


def test_hair_has_the_new_colour_to_its_end_and_the_wall_keeps_its_own(scene):
    rgb, where, *_ = scene
    result = dyed(scene).astype(int)
    below = eroded(where, 12) & (np.indices(where.shape)[0] > 512 + 4 * S // 2 + 20)  # below the crop
    inside = eroded(where, 12)
    assert below.sum() > 10_000
    for part in (inside, below):
        assert np.abs(result[part].mean(axis=0) - BLOND).max() < 20
    assert np.array_equal(result[~(cv2.dilate(where.astype(np.uint8), np.ones((81, 81))) > 0)],
                          rgb[~(cv2.dilate(where.astype(np.uint8), np.ones((81, 81))) > 0)])  # fmt: skip
    rim = ~where & ~eroded(~where, 10) & ~(cv2.dilate(where.astype(np.uint8), np.ones((5, 5))) > 0)
    assert np.abs(result - rgb)[rim].mean() < 5  # no halo


def test_strands_stay_where_they_were(scene):
    rgb, where, *_ = scene
    inside = eroded(where, 30)  # outside the zone in which hair and wall may mix
    for change in (None, lambda crop: 0.3 * crop, lambda crop: np.full_like(crop, 1.0) * BLOND):  # also none drawn
        result = dyed(scene) if change is None else dyed(scene, change)
        before, after = detail(rgb)[inside], detail(result)[inside]
        assert np.corrcoef(before, after)[0, 1] > 0.95
        relative = [each.std() / image[inside].mean() for each, image in ((before, rgb), (after, result))]
        assert relative[1] > 0.3 * relative[0]


def test_hair_that_turns_black_has_the_contrast_and_the_hue_of_black_hair(scene):
    rgb, where, *_ = scene
    inside = eroded(where, 30)
    dark = np.array([36.0, 28, 24])
    flat, black = (
        dyed(scene, lambda crop: np.full_like(crop, 1.0) * dark, tones=MEASURED["Black_Hair"], share=share)
        for share in (0.0, 1.0)
    )
    grey, before = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[inside].astype(float) for image in (black, rgb))
    assert np.median(grey) == pytest.approx(dark @ (0.299, 0.587, 0.114), rel=0.15)
    spread = [np.ptp(np.log(np.percentile(each, (10, 90)))) for each in (grey, flat[inside].mean(axis=1))]
    assert spread[0] > 1.2 * spread[1]
    assert np.corrcoef(grey, before)[0, 1] > 0.9
    red, green, blue = black[inside].astype(float).T
    assert np.median(red / green) == pytest.approx(1.2, abs=0.05)
    assert np.median(blue / green) == pytest.approx(0.84, abs=0.05)


def test_thin_hair_is_darker_at_its_border_and_casts_no_halo(scene):
    rgb, where, *_ = scene
    rim = ~where & ~eroded(~where, 10) & ~(cv2.dilate(where.astype(np.uint8), np.ones((5, 5))) > 0)
    dense, thin = (dyed(scene, lambda crop: np.full_like(crop, 1.0) * BLOND, thin=each).astype(int) for each in (0, 1))
    assert np.abs(thin - rgb)[rim].mean() < 4
    border = where & ~eroded(where, 8)
    assert thin[border].mean() < dense[border].mean() - 5
    assert np.array_equal(thin[eroded(where, 60)], dense[eroded(where, 60)])


@pytest.mark.parametrize("detail", [1, 2])  # pixels of the photo per pixel of the crop
def test_drawn_strands_cover_the_hair_in_the_crop_and_nothing_beside_it(scene, detail):
    rgb, where, _, silhouette = scene
    rgb, where = (cv2.resize(each, None, fx=detail / 4, fy=detail / 4, interpolation=cv2.INTER_AREA)
                  for each in (rgb, 255 * where.astype(np.uint8)))  # fmt: skip
    middle = len(rgb) / 2 - 0.5
    alignment = centred(middle, middle, 0, 1 / detail)
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    share = (crop.mean(axis=2) < 110) * 1.0
    waves = BLOND + 30 * np.sin(np.arange(S) / 2)[None, :, None] + np.zeros_like(crop)
    result = lay_strands(rgb, alignment, waves, share, silhouette)
    inner = np.s_[S // 3 : 2 * S // 3, S // 3 : 2 * S // 3]
    assert np.abs(crop_face(result, alignment, S)[inner] - waves[inner]).mean() < 6
    beside = ~(cv2.dilate(where, np.ones((41, 41))) > 0)
    assert np.array_equal(result[beside], rgb[beside])
    assert np.array_equal(lay_strands(rgb, alignment, waves, 0 * share, silhouette), rgb)
    assert np.array_equal(
        lay_strands(rgb, centred(middle, middle, 0, 1 / 12), waves, share, silhouette), rgb
    )  # too fine


def test_no_change_and_no_hair_leave_every_pixel(scene):
    rgb, _, alignment, silhouette = scene
    assert np.array_equal(dyed(scene, lambda crop: crop), rgb)
    bald = Silhouette(np.zeros((W, W), np.float32), silhouette.person, silhouette.own)
    assert np.array_equal(dyed((rgb, None, alignment, bald)), rgb)


def test_in_dim_light_the_new_colour_is_as_dim(scene):
    rgb, where, alignment, silhouette = scene
    bright, light = dyed(scene), Light((4.0, 4.0, 4.0))
    dim = np.round(rgb / 4).astype(np.uint8)
    crop = crop_face(rgb, alignment, S).astype(np.float32)
    is_hair = (crop.mean(axis=2) < 110)[..., None]
    edited = np.where(is_hair, BLOND * np.clip(crop.mean(axis=2, keepdims=True) / 40, 0, 1.2), crop).clip(0, 255)
    result = recolour_hair(dim, alignment, crop, edited, is_hair[..., 0] * 1.0, silhouette, light=light)
    inside = eroded(where, 12)
    assert np.abs(4.0 * result[inside].mean(axis=0) - bright[inside].mean(axis=0)).max() < 8


def test_new_hair_takes_the_colour_of_the_photos_and_keeps_its_strands():
    strands = np.exp(np.random.default_rng(3).normal(0, 0.1, (32, 32, 1)))
    hair, new = np.zeros((2, 32, 32), np.float32)
    hair[:12], new[12:20] = 1, 1
    own, drawn = np.float32([120, 90, 60]), np.float32([90, 70, 60])
    after, now = (strands * colour for colour in (drawn, own))
    after[20:] = 200  # the face below
    result = in_the_colour(after, now, new, hair)
    inside = new > 0
    assert np.array_equal(result[~inside], after[~inside])
    assert np.abs(np.median(result[inside], axis=0) - own).max() < 4
    contrast = [np.log(each[inside] + 16).std(axis=0) for each in (result, after)]
    np.testing.assert_allclose(*contrast, rtol=1e-4)
    assert in_the_colour(after, 4 * now.clip(0, 60), new, hair) is None  # blond hair from dark strands
    assert in_the_colour(after, now, new, np.zeros_like(hair)) is None


def test_dense_new_hair_loses_stains_of_colour_and_thin_hair_does_not():
    rng = np.random.default_rng(9)
    own = np.float32([60, 45, 36])
    now = np.exp(rng.normal(0, 0.1, (64, 64, 1))) * own
    hair, new = np.zeros((2, 64, 64), np.float32)
    hair[:24], new[24:40], new[40:44] = 1, 1, 0.4
    stained = now * np.where(np.arange(64)[None, :, None] < 32, np.float32([1.3, 0.9, 1.3]), 1)
    result = without_stains(stained, now, new, hair)
    away = [np.abs(np.log(image[24:40, :32] / image[24:40, :32].mean(axis=2, keepdims=True) / (own / own.mean()))).max()
            for image in (stained, result)]  # fmt: skip
    assert away[1] < 0.4 * away[0]
    bright = [cv2.cvtColor(each.astype(np.float32), cv2.COLOR_RGB2GRAY) for each in (stained, result)]
    np.testing.assert_allclose(*bright, rtol=1e-3)
    assert np.array_equal(result[new < 0.5], stained[new < 0.5])


def test_blond_is_as_vivid_as_hair_can_be():
    rng = np.random.default_rng(6)
    yellow = np.array([200.0, 160, 40]) * (1 + 0.1 * rng.normal(size=(S, S, 1)))
    weight = np.zeros((S, S), np.float32)
    weight[: S // 2] = 1
    calm = no_more_vivid(yellow, weight, 30.0)
    lab = [rgb2lab(np.uint8(each.clip(0, 255))) for each in (yellow, calm)]
    chroma = [np.linalg.norm(each[..., 1:], axis=2) for each in lab]
    assert np.median(chroma[0]) > 50
    assert np.median(chroma[1][: S // 2]) == pytest.approx(30, abs=1)
    assert np.array_equal(calm[S // 2 :], yellow[S // 2 :])
    assert np.array_equal(no_more_vivid(calm, weight, 31.0), calm)  # already so


def test_hair_that_shows_no_strands_needs_others():
    rng = np.random.default_rng(8)
    strands = cv2.GaussianBlur(rng.normal(size=(S, S)), (0, 0), sigmaX=1, sigmaY=8)
    strands = strands[..., None] / strands.std()
    hair, skin = (np.zeros((S, S), np.float32) for _ in range(2))
    hair[:64], skin[64:] = 1, 1

    def needs(level, contrast, new=60.0, drawn=0.0, blond=False, detailed=True):
        before, after = (np.where(hair[..., None] > 0, middle + height * strands, 150.0).clip(0, 255).repeat(3, axis=2)
                         for middle, height in ((level, contrast), (new, drawn)))  # fmt: skip
        return needs_strands(before, after, hair, skin, blond=blond, detailed=detailed)

    assert needs(10, 1)
    assert not needs(20, 12)  # curls that a new colour keeps
    assert not needs(60, 1)  # not so dark
    assert not needs(15, 1, new=5.0)  # black
    assert needs(60, 6, new=120, drawn=12, blond=True)
    assert not needs(60, 18, new=120, drawn=12, blond=True)  # its own strands show more
    assert needs(12, 9, new=120, drawn=12, blond=True)  # so dark that these are noise
    assert not needs(100, 6, new=120, drawn=12, blond=True)  # grey hair
    coarse = dict(new=120, drawn=12, blond=True, detailed=False)  # a photo of the crop's detail
    assert needs(60, 18, **coarse)
    assert needs(100, 6, **coarse)
    assert not needs(130, 6, **coarse)
    assert not needs(90, 27, **coarse)  # fair already, and crisp
    assert needs(90, 15, **coarse)


def test_coiled_hair_keeps_its_own_texture():
    rng = np.random.default_rng(9)
    noise = rng.normal(size=(S, S)).astype(np.float32)
    hair, skin = (np.zeros((S, S), np.float32) for _ in range(2))
    hair[:64], skin[64:] = 1, 1

    def crop(across, down, level=25.0, slope=0.0):
        texture = cv2.GaussianBlur(noise, (0, 0), sigmaX=across, sigmaY=down)
        shade = slope * np.linspace(-1, 1, S)[:, None]  # light from above is no strand
        head = level + shade + 6 * texture / texture.std()
        return np.where(hair[..., None] > 0, head[..., None], 150.0).clip(0, 255).repeat(3, axis=2)

    assert is_coiled(crop(0.7, 0.7), hair)
    assert is_coiled(crop(0.7, 0.7, slope=15), hair)
    assert not is_coiled(crop(0.7, 5), hair)
    assert not is_coiled(crop(5, 0.7), hair)
    assert not is_coiled(crop(0.7, 0.7), 0 * hair)
    # Dark and soft, it shows no strands, but it must not become straight.
    brown = crop(0.7, 5, level=60.0)
    straight, coils = (15 + 0.3 * (crop(0.7, down, level=15.0) - 15) for down in (5, 0.7))
    for each in (straight, coils):
        each[hair == 0] = 150
    assert needs_strands(straight, brown, hair, skin, blond=False, detailed=False)
    assert not needs_strands(coils, brown, hair, skin, blond=False, detailed=False)


def test_blond_hair_is_golden_in_warm_light_and_has_no_green_cast():
    blond = MEASURED["Blond_Hair"]
    usual, warm = (blond.lit(np.array(skin)) for skin in ([131.0, 100, 84], [145.0, 100, 78]))
    assert np.allclose(usual.red + usual.blue, blond.red + blond.blue)
    assert min(warm.red) > min(blond.red)
    assert max(warm.blue) < max(blond.blue)
    reddish = blond.lit(np.array([151.0, 100, 76]))
    middle = [np.interp(0, reddish.steps, each) for each in (reddish.red, reddish.blue)]
    level = 150 / (0.299 * middle[0] + 0.587 + 0.114 * middle[1])
    colour = rgb2lab(np.array([[[middle[0] * level, level, middle[1] * level]]]) / 255)[0, 0]
    assert 32 < np.hypot(*colour[1:]) < 33.5  # no orange hair for red cheeks
    weight = np.zeros((S, S), np.float32)
    weight[: S // 2] = 1
    green = np.full((S, S, 3), 1.0) * (116, 100, 66)
    mended = blond.no_greener(green, weight)
    assert np.array_equal(mended[S // 2 :], green[S // 2 :])
    assert (mended[: S // 2, :, [0, 2]] > green[: S // 2, :, [0, 2]]).all()
    golden = np.full((S, S, 3), 1.0) * (130, 100, 72)
    assert np.array_equal(blond.no_greener(golden, weight), golden)


def test_at_the_hairline_thin_hair_is_as_light_as_elsewhere(scene):
    """A light rim is no hair before a wall, but a dark one is none before a forehead."""
    rgb, where, alignment, silhouette = scene
    border = where & ~eroded(where, 8)
    all_skin = Silhouette(silhouette.hair, np.ones_like(silhouette.hair), silhouette.own)
    walled, bare = (dyed((rgb, where, alignment, each), lambda crop: np.full_like(crop, 1.0) * BLOND, thin=1.0)
                    for each in (silhouette, all_skin))  # fmt: skip
    assert bare[border].mean() > walled[border].mean() + 5
    assert np.array_equal(bare, dyed((rgb, where, alignment, all_skin), lambda crop: np.full_like(crop, 1.0) * BLOND))
