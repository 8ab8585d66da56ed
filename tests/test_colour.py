"""Photographs of every mode and colour profile are shown in sRGB and edited in their own colours."""

import numpy as np
import pytest
from pictures import MODES
from PIL import Image
from profiles import cmyk_profile, display_p3, srgb_primaries

from stgan.photo.files import open_photo

PART = np.s_[10:30, 12:40]  # where the tests change a photo of 64 x 48
INSIDE = np.zeros((64, 48), bool)
INSIDE[PART] = True
CHANGED_MODE = {"P": "RGB", "P, transparent": "RGBA", "1": "L", "I;16B": "I;16", "YCbCr": "RGB", "LAB": "RGB"}
CHANGED_MODE["RGB, one colour transparent"] = "RGBA"


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_shows_the_same_picture(mode, originals, rgb):
    seen = open_photo(originals[mode]).rgb
    assert (seen.shape, seen.dtype) == (rgb.shape, np.uint8)
    colourless = mode in ("L", "LA", "1", "I", "F") or mode.startswith("I;16")
    expected = np.asarray(Image.fromarray(rgb).convert("L").convert("RGB")) if colourless else rgb
    if mode == "1":  # dots, grey from afar
        seen, expected = (np.asarray(Image.fromarray(image).resize((4, 4))) for image in (seen, expected))
    tolerance = 12 if mode in ("1", "P", "P, transparent") else 2  # 32 colours
    assert np.abs(seen.astype(int) - expected).mean() < tolerance


@pytest.mark.parametrize("mode", MODES)
def test_no_change_returns_the_original_bit_for_bit(mode, originals):
    original = originals[mode]
    photo = open_photo(original)
    returned = photo.with_rgb(photo.rgb.copy())
    assert returned.size == original.size
    assert np.array_equal(np.asarray(returned).astype(np.float64), np.asarray(original).astype(np.float64))
    if mode != "I;16B":  # Pillow may hold these bits in its own byte order
        assert returned.mode == original.mode


@pytest.mark.parametrize("mode", MODES)
def test_a_change_shows_where_it_was_made_and_nowhere_else(mode, originals):
    original = originals[mode]
    photo = open_photo(original)
    edited = photo.rgb.copy()
    edited[PART] = np.clip(edited[PART].astype(int) + (40, -10, 15), 0, 255)
    returned = photo.with_rgb(edited)
    assert returned.mode == CHANGED_MODE.get(mode, mode)
    same_mode = original if returned.mode == original.mode else _unchanged(original, returned.mode)
    assert np.array_equal(np.asarray(returned)[~INSIDE], np.asarray(same_mode)[~INSIDE])

    shown = open_photo(returned).rgb.astype(int)
    wanted = edited
    if "L" in returned.mode or returned.mode in ("I", "F", "I;16"):
        wanted = np.asarray(Image.fromarray(edited).convert("L").convert("RGB"))
    assert np.abs(shown - wanted)[PART].max() <= 2


def _unchanged(original: Image.Image, mode: str) -> Image.Image:
    if original.mode == "I;16B":
        return Image.fromarray(np.asarray(original).astype("<u2"))
    if original.mode == "LAB":
        return Image.fromarray(open_photo(original).rgb)
    return original.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P, transparent"])
def test_transparency_survives_a_change(mode, originals):
    photo = open_photo(originals[mode])
    returned = photo.with_rgb(255 - photo.rgb)
    assert np.array_equal(returned.getchannel("A"), originals[mode].convert("RGBA").getchannel("A"))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_deep_greys_are_changed_on_the_scale_of_the_whole_photo(mode, originals):
    deep = np.asarray(originals[mode]).copy()
    deep[PART] = deep.max() // 400 if mode == "I" else deep.max() / 400  # alone, this part would pass for 8 bits
    photo = open_photo(Image.fromarray(deep))
    edited = photo.rgb.copy()
    edited[PART] = 100
    assert np.abs(open_photo(photo.with_rgb(edited)).rgb.astype(int) - edited).max() <= 1


def test_sixteen_bits_keep_their_low_bits_where_nothing_changed_and_their_depth_where_it_did(originals):
    photo = open_photo(originals["I;16"])
    edited = photo.rgb.copy()
    edited[PART] = np.maximum(edited[PART], 20) - 10
    edited[PART][photo.rgb[PART] < 20] = 10
    before, after = (np.asarray(image).astype(int) for image in (photo.original, photo.with_rgb(edited)))
    step = (edited[..., 0].astype(int) - photo.rgb[..., 0]) * 257
    assert np.array_equal(after, np.clip(before + step, 0, 65535))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_wide_colour_space_is_seen_in_srgb_and_changed_in_its_own(mode, rgb, originals):
    image = originals[mode].copy()
    image.info["icc_profile"] = display_p3()
    photo = open_photo(image)
    saturated = rgb[..., 0].astype(int) - rgb[..., 2] > 60
    assert (photo.rgb[saturated][:, 0].astype(int) - photo.rgb[saturated][:, 2]).mean() > (
        rgb[saturated][:, 0].astype(int) - rgb[saturated][:, 2]
    ).mean() + 5  # P3's numbers for a colour are tamer than sRGB's
    edited = photo.rgb.copy()
    edited[PART] = edited[PART] // 2 + 50
    returned = photo.with_rgb(edited)
    assert returned.info["icc_profile"] == image.info["icc_profile"]
    assert returned.mode == mode
    assert np.array_equal(np.asarray(returned)[~INSIDE], np.asarray(image)[~INSIDE])
    assert np.abs(open_photo(returned).rgb.astype(int) - edited)[PART].mean() < 1.5


def test_a_profile_is_known_by_what_it_does_and_not_by_its_name(rgb):
    """Linear light under the name sRGB is converted; sRGB under another name is left as it is."""
    levels = np.linspace(0, 1, 1024)
    curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    straight = Image.fromarray(rgb)
    straight.info["icc_profile"] = srgb_primaries(np.round(curve * 65535), b"nameless")
    assert np.array_equal(open_photo(straight).rgb, rgb)

    values = rgb / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = Image.fromarray(np.round(light * 255).astype(np.uint8))
    linear.info["icc_profile"] = srgb_primaries(np.empty(0), b"GIMP built-in Linear sRGB")
    photo = open_photo(linear)
    bright = rgb.min(axis=2) > 60  # eight bits of linear light tell few dark tones apart
    assert np.abs(photo.rgb.astype(int) - rgb)[bright].max() <= 4
    edited = photo.rgb.copy()
    edited[PART] = edited[PART] // 2 + 100
    returned = photo.with_rgb(edited)
    assert returned.info["icc_profile"] == linear.info["icc_profile"]
    assert np.abs(open_photo(returned).rgb.astype(int) - edited)[PART].max() <= 4


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_cmyk_with_a_profile_stays_in_its_inks(rgb):
    inks = np.asarray(Image.fromarray(rgb).convert("CMYK")).copy()
    inks[..., 3] = 30
    image = Image.fromarray(inks, "CMYK")
    image.info["icc_profile"] = cmyk_profile()
    photo = open_photo(image)
    edited = photo.rgb.copy()
    edited[PART] = np.clip(edited[PART].astype(int) + 30, 0, 200)
    returned = photo.with_rgb(edited)
    assert returned.mode == "CMYK"
    assert returned.info["icc_profile"] == image.info["icc_profile"]
    assert np.array_equal(np.asarray(returned)[~INSIDE], inks[~INSIDE])
    change = open_photo(returned).rgb.astype(int) - photo.rgb
    assert np.abs(change - (edited.astype(int) - photo.rgb))[PART].mean() < 8  # ink tables of nine steps are coarse


def test_cmyk_without_a_profile_keeps_its_black(rgb):
    inks = np.asarray(Image.fromarray(rgb).convert("CMYK")).copy()
    inks[..., 3] = 60
    photo = open_photo(Image.fromarray(inks, "CMYK"))
    edited = photo.rgb.copy()
    edited[PART] = edited[PART] // 2
    returned = photo.with_rgb(edited)
    assert (np.asarray(returned)[PART][..., 3] == 60).all()
    assert np.abs(open_photo(returned).rgb.astype(int) - edited).max() <= 1
