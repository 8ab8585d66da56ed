"""The demo as a visitor uses it, in a real browser; skipped where playwright or a Chromium is not installed."""

import io
import re
import shutil

import numpy as np
import pytest
import skimage.data
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        options = {"args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]}
        try:
            browser = driver.chromium.launch(executable_path=CHROMIUM, **options)
        except playwright.Error as error:
            pytest.skip(f"no Chromium: install the system's, or run `playwright install chromium`. {error}")
        yield browser
        browser.close()


@pytest.fixture
def page(browser, demo_address):
    """The demo, opened on its example. Afterwards nothing has failed, and no other host was asked for anything."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    errors, strangers = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: strangers.append(request.url) if not is_local(request.url) else None)
    page.errors = errors
    page.goto(demo_address)
    page.wait_for_selector("#result img")
    page.wait_for_selector("#all-edits img")
    yield page
    page.close()
    assert errors == []
    assert strangers == []


def is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1", "http://localhost", "data:", "blob:"))


def addresses(page) -> tuple[str, str]:
    pictures = page.locator("#result img")
    return pictures.first.get_attribute("src"), pictures.last.get_attribute("src")


def wait_for_another(page, before):
    for _ in range(PATIENCE // 50):
        if page.locator("#result img").count() and addresses(page)[1] != before[1]:
            return addresses(page)
        page.wait_for_timeout(50)
    return pytest.fail("the picture did not change")


def upload(page, path):
    remove = page.get_by_role("button", name="Remove Image")
    remove.click()
    remove.wait_for(state="detached")
    page.locator("#result img").first.wait_for(state="detached")
    page.locator("#photo input[type=file]").set_input_files(str(path))
    page.wait_for_selector("#result img")


def download(page):
    with page.expect_download() as event:
        page.get_by_text("Download the edited photo").click()
    return event.value


@pytest.fixture
def portrait(tmp_path):
    """Not the example: mirrored, larger and on a plain wall."""
    canvas = np.full((800, 900, 3), 150, np.uint8)
    canvas[150:662, 200:712] = skimage.data.astronaut()[:, ::-1]
    path = tmp_path / "portrait.png"
    Image.fromarray(canvas).save(path)
    return path


def test_the_page_opens_with_an_edited_example(page):
    before, after = (np.asarray(read(page, address)).astype(int) for address in addresses(page))
    assert before.shape == after.shape
    assert np.abs(before - after).max() > 20
    assert page.locator("#versions button").count() == 2
    assert page.locator("#all-edits button").count() == 13
    assert page.get_by_label("Brown hair", exact=False).first.is_checked()


def read(page, address) -> Image.Image:
    return Image.open(io.BytesIO(page.request.get(address).body()))


def test_from_upload_to_download(page, portrait, editor):
    upload(page, portrait)
    unedited = addresses(page)
    glasses = page.get_by_role("checkbox", name=re.compile("^Eyeglasses"))
    had_glasses = glasses.is_checked()
    glasses.click()
    ticked = wait_for_another(page, unedited)
    page.get_by_label("number input for Intensity").fill("1.5")
    page.get_by_label("number input for Intensity").press("Enter")
    stronger = wait_for_another(page, ticked)
    page.locator("#all-edits button").last.click()  # Young
    wait_for_another(page, stronger)
    page.wait_for_timeout(1000)  # the file follows the picture
    page.get_by_label("PNG").check()
    page.wait_for_timeout(3000)
    file = download(page)
    assert file.suggested_filename == "portrait-edited.png"
    edited = Image.open(file.path())

    face = editor.prepare(portrait)
    changes = {"Eyeglasses": not had_glasses, "Young": not face.label_dict()["Young"]}
    difference = np.abs(np.asarray(edited).astype(int) - np.asarray(editor.edit(face, changes, 1.5)))
    assert difference.max() <= 1
    changed = np.abs(np.asarray(edited).astype(int) - face.photo.rgb).max(axis=2) > 0
    left, top, right, bottom = face.window()
    assert changed[top:bottom, left:right].any()
    changed[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = False
    assert not changed.any()
    assert "edited" in edited.text["Description"]


def test_a_hair_colour_replaces_another_and_versions_lead_back(page):
    first = addresses(page)
    page.get_by_role("checkbox", name=re.compile("^Blond hair")).check()
    second = wait_for_another(page, first)
    playwright.expect(page.get_by_role("checkbox", name=re.compile("^Brown hair"))).not_to_be_checked()
    playwright.expect(page.get_by_text("cannot be combined")).to_be_visible()
    page.locator("#versions button").nth(1).click()
    wait_for_another(page, second)
    playwright.expect(page.get_by_role("checkbox", name=re.compile("^Brown hair"))).to_be_checked()
    playwright.expect(page.locator("#versions button")).to_have_count(3)
    third = addresses(page)
    page.get_by_role("button", name="Reset to the original").click()
    before, after = wait_for_another(page, third)
    difference = np.asarray(read(page, before)).astype(int) - np.asarray(read(page, after)).astype(int)
    assert np.abs(difference).max() == 0


def test_of_quick_clicks_the_last_one_holds(page):
    boxes = page.get_by_role("checkbox", name=re.compile("^(Eyeglasses|Male|Mustache|Pale skin|Young) "))
    wanted = []
    for number in range(boxes.count()):
        boxes.nth(number).click(no_wait_after=True)
        wanted.append(boxes.nth(number).is_checked())
    assert len(wanted) == 5
    page.wait_for_timeout(500)
    page.locator("#result .generating, #result .eta-bar").first.wait_for(state="detached")
    page.get_by_role("tab", name="In code").click()
    for name, value in zip(("Eyeglasses", "Male", "Mustache", "Pale_Skin", "Young"), wanted, strict=True):
        code = page.locator(".cm-content").first
        playwright.expect(code).to_contain_text(f"'{name}': {value}", timeout=PATIENCE)
        assert boxes.nth(("Eyeglasses", "Male", "Mustache", "Pale_Skin", "Young").index(name)).is_hidden() is False


def test_a_click_while_another_photo_opens_edits_neither(page, portrait):
    upload(page, portrait)
    unedited = addresses(page)
    page.get_by_role("checkbox", name=re.compile("^Eyeglasses")).click()
    wait_for_another(page, unedited)
    playwright.expect(page.locator("#versions button")).to_have_count(2)
    page.wait_for_timeout(2000)  # for all that follows
    page.evaluate(
        """() => {
            const box = (name) => [...document.querySelectorAll("label")].find((each) => each.innerText.includes(name));
            box("Already aligned").querySelector("input").click();
            box("Mustache").querySelector("input").click();
        }"""
    )
    playwright.expect(page.locator("#versions button")).to_have_count(1)
    page.wait_for_timeout(3000)
    playwright.expect(page.locator("#versions button")).to_have_count(1)
    before, after = (np.asarray(read(page, address)).astype(int) for address in addresses(page))
    assert np.abs(before - after).max() == 0


def test_files_without_a_face_are_refused_once_and_in_plain_words_and_the_page_goes_on(page, tmp_path, portrait):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    remove, toast = page.get_by_role("button", name="Remove Image"), page.locator(".toast-body")
    remove.click()
    for name, message in (
        ("grey.png", "No face was found"),
        ("phone.heic", r"phone\.heic is not a picture that can be read.* export a phone's HEIC photo as JPEG first"),
        ("broken.jpg", r"broken\.jpg is not a picture that can be read.* export a phone's HEIC photo as JPEG first"),
    ):
        page.locator("#photo input[type=file]").set_input_files(str(tmp_path / name))
        playwright.expect(toast.first).to_contain_text(re.compile(message), timeout=PATIENCE)
        page.wait_for_timeout(1000)
        assert toast.count() == 1
        assert "/" not in toast.inner_text()
        remove.wait_for(state="detached")  # it is taken off the page again
        page.get_by_test_id("toast-close").click()
        toast.wait_for(state="detached")
    page.locator("#photo input[type=file]").set_input_files(str(portrait))
    page.wait_for_selector("#result img")


def test_a_picture_by_degrees_sets_its_slider_and_nothing_of_the_photo_before_stays_on_the_page(page, portrait):
    first = addresses(page)
    page.get_by_role("tab", name="One attribute in steps").click()
    pictures = page.locator("#degrees img")
    pictures.first.wait_for()
    assert page.locator("#degrees button").count() == 7
    page.locator("#degrees button").first.click()
    wait_for_another(page, first)
    page.get_by_text("One slider per attribute").click()
    playwright.expect(page.get_by_label("number input for Young")).to_have_value("-1.5")
    page.get_by_role("tab", name="Animation").click()
    page.get_by_role("button", name="Animate this edit").click()
    page.wait_for_selector("#animation img")
    page.get_by_role("tab", name="One attribute in steps").click()
    before = pictures.first.get_attribute("src")
    upload(page, portrait)
    playwright.expect(pictures).to_have_count(7, timeout=PATIENCE)
    playwright.expect(pictures.first).not_to_have_attribute("src", before, timeout=PATIENCE)
    page.get_by_role("tab", name="Animation").click()
    playwright.expect(page.locator("#animation img")).to_have_count(0)
    page.get_by_role("tab", name="One attribute in steps").click()
    page.get_by_role("button", name="Remove Image").click()
    playwright.expect(pictures).to_have_count(0, timeout=PATIENCE)


def test_a_photo_saved_from_the_page_opens_again_and_a_removed_one_does_not_come_back(page, tmp_path):
    saved = tmp_path / "stgan-framed-faces.jpg"
    saved.write_bytes(page.request.get(page.locator("#photo img").get_attribute("src")).body())
    upload(page, saved)
    playwright.expect(page.locator("#versions button")).to_have_count(1)
    page.get_by_role("button", name="Remove Image").click()
    page.locator("#result img").first.wait_for(state="detached")
    page.get_by_label("Already aligned").check()
    page.wait_for_timeout(3000)
    assert page.locator("#result img, #photo img").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(browser, demo_address, theme):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{demo_address}?__theme={theme}")
    page.wait_for_selector("#all-edits img", timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#result").bounding_box()["width"] <= 390
    page.get_by_role("button", name="Reset to the original").scroll_into_view_if_needed()
    playwright.expect(page.locator("#result")).to_be_in_viewport(ratio=0.9)  # beside the boxes that change it
    page.close()
