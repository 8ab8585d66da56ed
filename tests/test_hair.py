"""Hair takes another colour strand by strand, and nothing beside it does."""

import cv2
import numpy as np
import pytest
from frames import S, centred
from skimage.color import rgb2lab

from stgan.drawing.hair import in_the_colour, is_coiled, lay_strands, needs_strands, recolour_hair, without_stains
from stgan.drawing.tones import MEASURED, no_more_vivid
from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.models import PARSER_CLASSES
from stgan.photo.crop import crop_face
from stgan.photo.light import Light
from stgan.photo.matte import WIDE, Silhouette, window

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


def test_hair_stands_out_only_so_far_and_hangs_down_to_the_end():
    """A wall of stone that a parser takes for hair all around a head is no hair far from it."""
    classes = np.zeros((len(PARSER_CLASSES), WIDE * S, WIDE * S), np.float32)
    classes[PARSER_CLASSES.index("hair")] = 1
    hair = Silhouette.of(classes[:, :S, :S], classes).hair
    (left, right), corner = MEAN_LANDMARKS[:2], np.array(CELEBA_CROP[:2])
    scale = S / (CELEBA_CROP[2] - CELEBA_CROP[0])  # pixels of the window and the crop per pixel of CelebA's frame
    x, y = ((np.array(left) + right) / 2 - corner) * scale + S * (WIDE - 1) / 2
    distance = (right[0] - left[0]) * scale
    rows, columns = np.mgrid[: WIDE * S, : WIDE * S]
    across, up = np.abs(columns - x) / distance, (y - rows) / distance
    assert hair[(across < 2.2) & (up < 1.7)].min() > 0.99
    assert hair[(across < 0.5) & (up < 2.4)].min() > 0.99
    assert hair[(across > 3.5) | (up > 3.3)].max() < 0.01
    assert hair[-1, round(x)] > 0.99


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
    blond = dict(new=120, drawn=12, blond=True)
    assert needs(40, 12, **blond, detailed=False)  # straight and dark, in a photo of the crop's detail
    assert not needs(40, 12, **blond)  # in a finer one its own show more
    assert not needs(100, 12, **blond, detailed=False)  # not so dark
    assert needs(65, 2, **blond)  # its own strands are few
    assert needs(10, 1, **blond)


def test_curly_hair_that_turns_blond_keeps_its_own_strands():
    rng = np.random.default_rng(10)
    hair, skin = (np.zeros((S, S), np.float32) for _ in range(2))
    hair[:96], skin[96:] = 1, 1
    rows, columns = np.mgrid[:S, :S]
    curls, waves = (np.sin(np.hypot(rows % 14 - 7, columns % 14 - 7) * 1.3), np.sin(columns * 1.3))
    for texture, expected in ((curls, False), (waves, True)):
        head = 40 + 10 * texture + rng.normal(0, 1, (S, S))
        before = np.where(hair > 0, head, 150.0)[..., None].repeat(3, axis=2)
        assert needs_strands(before, before + 80, hair, skin, blond=True, detailed=False) == expected


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


def test_blond_hair_is_golden_in_warm_light_and_nearly_as_bright_as_the_skin():
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
    least = []
    for level in (50, 110, 130, 220):
        skin = np.array([1.31, 1, 0.84]) * level
        tones = blond.lit(skin)
        assert np.allclose(tones.red, usual.red)
        least.append(tones.darkest / (skin @ (0.299, 0.587, 0.114)))
    assert least[0] * 50 > 80  # black hair in the shade becomes blond
    assert least[1] == pytest.approx(0.92)
    assert 0.8 < least[2] < 0.92
    assert least[3] == pytest.approx(0.8)


def test_the_weaker_an_edit_the_darker_is_its_blond_hair():
    blond, hair = MEASURED["Blond_Hair"], np.zeros((S, S), np.float32)
    hair[: S // 2] = 1
    black, fair = (np.where(hair[..., None] > 0, level, 150.0).repeat(3, axis=2) for level in (20.0, 140.0))
    levels = [blond.weakened(black, hair, share).darkest for share in (0, 0.5, 1, 1.5)]
    np.testing.assert_allclose(levels, [20, (20 + blond.darkest) / 2, blond.darkest, blond.darkest], rtol=1e-5)
    assert blond.weakened(fair, hair, 0.5).darkest == blond.darkest
    assert blond.weakened(black, 0 * hair, 0.5) is blond


def test_drawn_hair_has_the_hue_of_its_tones():
    blond, rng = MEASURED["Blond_Hair"], np.random.default_rng(5)
    weight = np.zeros((S, S), np.float32)
    weight[: S // 2] = 1
    gold = np.array([150.0, 120, 82])
    stains = np.where((np.arange(S) < S // 2)[:, None], np.array([1.15, 0.85, 1.1]), [0.9, 1.1, 0.9])  # pink and green
    image = gold * stains[None] * np.exp(rng.normal(0, 0.2, (S, S, 1)))
    result = blond.hued(image.astype(np.float32), weight)
    assert np.array_equal(result[S // 2 :], image.astype(np.float32)[S // 2 :])
    hues = [np.rad2deg(np.arctan2(*np.moveaxis(rgb2lab(each.clip(0, 255) / 255)[: S // 2, :, :0:-1], 2, 0)))
            for each in (image, result)]  # fmt: skip
    assert np.ptp(hues[1].mean(axis=0)) < 0.5 * np.ptp(hues[0].mean(axis=0))
    assert 60 < np.median(hues[1]) < 85
    bright = [each[: S // 2] @ (0.299, 0.587, 0.114) for each in (image, result)]
    np.testing.assert_allclose(*bright, rtol=1e-3)


def test_dark_blond_is_caramel_and_no_khaki():
    """The darker, the more vivid for its brightness; the table agrees with the hue that drawn hair gets."""
    blond, before = MEASURED["Blond_Hair"], np.linspace(10, 60, S * S, dtype=np.float32).reshape(S, S)
    every, saturation = np.ones((S, S), np.float32), []
    for level in (100.0, 160.0):
        table = blond.table(before, np.full((S, S, 3), level, np.float32), every)
        middle = table[np.argmin(np.abs(table @ (0.299, 0.587, 0.114) - level))]
        lab = rgb2lab(middle[None, None] / 255)[0, 0]
        saturation.append(np.hypot(*lab[1:]) / lab[0])
        drawn = blond.hued(np.full((S, S, 3), level, np.float32), every)[0, 0]
        np.testing.assert_allclose(drawn, level + 0.7 * (middle - level), atol=1.5)
    assert saturation[0] > 1.3 * saturation[1]


def test_dark_hair_that_turns_blond_has_darker_and_redder_roots_where_it_grows_from_skin(scene):
    rgb, where, alignment, silhouette = scene
    border, inside = where & ~eroded(where, 8), eroded(where, 60)
    skin = Silhouette(silhouette.hair, np.ones_like(silhouette.hair), silhouette.own)
    fair = np.where(where[..., None], (4.0 * rgb).clip(0, 255), rgb).astype(np.uint8)

    def roots(photo, thin):
        crop = crop_face(photo, alignment, S).astype(np.float32)
        hair = (crop_face(rgb, alignment, S).mean(axis=2) < 110).astype(np.float32)
        edited = np.where(hair[..., None] > 0, BLOND, crop)
        return recolour_hair(photo, alignment, crop, edited, hair, skin, thin=thin).astype(float)

    none, some = roots(rgb, 0.0), roots(rgb, 1.0)
    assert some[border].mean() < none[border].mean() - 10
    red, blue = (some[border][:, each].mean() / none[border][:, each].mean() for each in (0, 2))
    assert red > 1.05 * blue
    assert np.array_equal(some[inside], none[inside])
    assert some[border].mean() > rgb[border].mean() + 10  # it is dyed
    none, some = roots(fair, 0.0), roots(fair, 1.0)
    assert some[border].mean() == pytest.approx(none[border].mean(), abs=3)


def test_fair_hair_keeps_the_contrast_of_its_strands_and_dark_hair_gains_little_noise(scene):
    _, where, alignment, silhouette = scene
    rng, inside = np.random.default_rng(7), eroded(where, 30)
    hair = crop_face(255 * where.repeat(3).reshape(*where.shape, 3).astype(np.uint8), alignment, S)[..., 0] / 255
    for level in (150.0, 12.0):
        noise = rng.normal(0, 2, where.shape)
        photo = np.where(where, level + noise, 200).round().astype(np.uint8)[..., None].repeat(3, axis=2)
        crop = crop_face(photo, alignment, S).astype(np.float32)
        edited = np.where(hair[..., None] > 0.5, BLOND, crop)  # flat, as networks draw it
        result = recolour_hair(photo, alignment, crop, edited, hair.astype(np.float32), silhouette)
        before, after = (detail(each)[inside].std() for each in (photo, result))
        if level > 100:
            ratio = result[inside].mean() / photo[inside].mean()
            assert after == pytest.approx(ratio * before, rel=0.3)
        else:
            assert after < 3.3 * before


def test_skin_that_is_taken_for_hair_in_part_does_not_shine(scene):
    rgb, where, alignment, silhouette = scene
    skin = np.where(where[..., None], rgb, np.uint8([140, 105, 90]))  # nearly as bright as the new hair
    wider = cv2.GaussianBlur(silhouette.hair, (0, 0), 6)
    every = np.ones_like(wider)
    result = dyed((skin, where, alignment, Silhouette(wider, every, every)), thin=1.0)
    bright = cv2.cvtColor(result, cv2.COLOR_RGB2GRAY).astype(float)
    most = np.percentile(bright[eroded(where, 12)], 99)
    assert bright[~where].max() <= max(most, cv2.cvtColor(skin, cv2.COLOR_RGB2GRAY)[~where].max()) + 1


def test_hair_is_the_same_in_strips_and_at_once(scene, monkeypatch):
    results = []
    for pixels in (1 << 13, 1 << 24):
        monkeypatch.setattr("stgan.drawing.hair.STRIP_PIXELS", pixels)
        results.append(dyed(scene, thin=1.0).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1
