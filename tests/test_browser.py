"""The demo as a visitor uses it, in a real browser; skipped where playwright or a Chromium is not installed."""

import io
import os
import re
import shutil
import time
import zipfile

import numpy as np
import pytest
import skimage.data
from pictures import two_people
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60_000  # milliseconds
EXAMPLE = "photo with: brown hair, eyeglasses"
# Gradio counts seconds in every frame, shown or not. Scripts get a third of the frames, which is enough.
SELDOM_FRAMES = "const frame = requestAnimationFrame; requestAnimationFrame = (f) => setTimeout(() => frame(f), 30);"
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


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


@pytest.fixture(scope="module")
def opened(browser, demo_address):
    """One page for all tests. At the end nothing has failed in it, and no other host was asked for anything."""
    page = browser.new_page(viewport=DESKTOP, accept_downloads=True, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE)
    playwright.expect.set_options(timeout=PATIENCE)
    errors, strangers = [], []
    page.add_init_script(SELDOM_FRAMES)
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: strangers.append(request.url) if not is_local(request.url) else None)
    page.goto(demo_address)
    page.locator("#looks img").first.wait_for()
    page.example = None  # address of the edited example, once a test has opened it
    yield page
    expected = (
        "AbortError|Connection errored out|Failed to load resource|^Response$"  # a reload, a file that is too large
    )
    errors = [error for error in errors if not re.search(expected, error)]
    page.close()
    assert errors == []
    assert strangers == []


@pytest.fixture
def page(opened):
    """The page on a computer's screen, on its first tab and on the example."""
    opened.set_viewport_size(DESKTOP)
    opened.get_by_role("tab", name="Edit").click()
    before = result(opened).get_attribute("src")
    if before != opened.example:  # a test before has left another picture
        opened.get_by_role("button", name="Open the example").click()
        playwright.expect(result(opened)).not_to_have_attribute("src", before)
        opened.example = result(opened).get_attribute("src")
    playwright.expect(opened.locator("#versions button")).to_have_count(2)
    playwright.expect(result(opened)).to_have_attribute("alt", EXAMPLE)
    return opened


def is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1", "http://localhost", "data:", "blob:"))


def result(page):
    return page.locator("#result img.after")


def picture(page, which="after") -> np.ndarray:
    return np.asarray(read(page, page.locator(f"#result img.{which}").evaluate("each => each.src"))).astype(int)


def read(page, address) -> Image.Image:
    return Image.open(io.BytesIO(page.request.get(address).body()))


def number(page, name):
    return page.get_by_label(f"number input for {name}", exact=True)


def move(page, name, value, alt):
    number(page, name).fill(str(value))
    number(page, name).press("Enter")
    playwright.expect(result(page)).to_have_attribute("alt", alt)


def upload(page, path):
    page.locator("#photo input[type=file]").set_input_files(str(path))
    playwright.expect(result(page)).to_have_attribute("alt", "photo without edits")


def download(page, title):
    button = page.get_by_role("button", name=title)
    playwright.expect(button).to_be_enabled()
    with page.expect_download() as event:
        button.click()
    return event.value


@pytest.fixture
def portrait(tmp_path):
    """Not the example: mirrored, larger and on a plain wall."""
    canvas = np.full((800, 900, 3), 150, np.uint8)
    canvas[150:662, 200:712] = skimage.data.astronaut()[:, ::-1]
    path = tmp_path / "portrait.png"
    Image.fromarray(canvas).save(path)
    return path


def test_the_page_opens_with_an_edit_and_others_one_click_away(page):
    assert np.abs(picture(page, "before") - picture(page)).max() > 10
    assert number(page, "Eyeglasses").input_value() == "1"
    assert page.locator("#looks button").count() == 7
    page.locator("#looks button").filter(has_text="Movie star").click()
    playwright.expect(result(page)).to_have_attribute("alt", "photo with: brown hair, no bangs, younger")
    values = [number(page, name).input_value() for name in ("Eyeglasses", "Bangs", "Older – younger")]
    assert values == ["0", "-0.6", "0.5"]
    playwright.expect(page.locator("#versions button").last).to_have_text("Movie star")


def test_the_best_edits_come_first_and_the_weakest_last(page):
    sliders = page.locator("#sliders [data-testid=block-info]").all_inner_texts()
    assert sliders[:7] == [
        "Mouth open",
        "Bushy eyebrows",
        "Brown hair",
        "Black hair",
        "Blond hair",
        "Older – younger",
        "Eyeglasses",
    ]
    assert (len(sliders), sliders[-1]) == (13, "Bald")


def test_while_the_model_works_the_picture_stays_and_a_line_on_it_says_so(page):
    page.evaluate(
        """() => new MutationObserver(() => {
            const line = document.querySelector('#result .progress-text');
            if (!line || window.seen) return;
            const frame = document.querySelector('#result figure').getBoundingClientRect();
            const box = line.getBoundingClientRect();
            const opacity = getComputedStyle(document.querySelector('#result .html-container')).opacity;
            window.seen = {
                text: line.innerText, opacity: Number(opacity), top: box.top - frame.top,
                aside: (box.left + box.right - frame.left - frame.right) / 2,
            };
        }).observe(document.querySelector('#result'), {childList: true, subtree: true, characterData: true})"""
    )
    move(page, "Older – younger", -1, f"{EXAMPLE}, older")
    seen = page.wait_for_function("window.seen").json_value()
    assert re.search(r"processing|queue|\ds", seen["text"])
    assert seen["opacity"] == 1
    assert 0 < seen["top"] < 40
    assert abs(seen["aside"]) < 2


def test_no_verdict_on_gender_is_on_the_page(page, portrait):
    upload(page, portrait)
    page.get_by_role("tab", name="Every change").click()
    page.locator("#all-edits img").first.wait_for()
    unfold(page, "What the model sees")
    playwright.expect(page.locator("#seen td").first).to_be_visible()
    words = page.locator("body").inner_text()
    assert re.search(r"\b(fe)?male\b|\bwoman\b|\bman\b", words, re.IGNORECASE) is None
    assert "More masculine" in words
    assert "No beard" not in words or "Beard" in words


def test_a_newcomer_downloads_an_edit_in_half_a_minute(page, portrait, editor):
    started = time.monotonic()
    upload(page, portrait)
    move(page, "Eyeglasses", 1.2, "photo with: eyeglasses")
    file = download(page, "Download the edited photo")
    if os.getloadavg()[0] < (os.cpu_count() or 1):  # else the machine is busy with something else
        assert time.monotonic() - started < 30
    assert file.suggested_filename == "portrait-edited.jpg"
    page.get_by_label("PNG").check()
    page.wait_for_timeout(1500)
    edited = Image.open(download(page, "Download the edited photo").path())
    page.get_by_label("JPEG").check()
    face = editor.prepare(portrait)
    source = {"Eyeglasses": False}
    difference = np.abs(
        np.asarray(edited).astype(int) - np.asarray(editor.edit(face, {"Eyeglasses": True}, 1.2, source=source))
    )
    assert difference.max() <= 1
    changed = np.abs(np.asarray(edited).astype(int) - face.photo.rgb).max(axis=2) > 0
    left, top, right, bottom = face.window()
    assert changed[top:bottom, left:right].any()
    changed[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = False
    assert not changed.any()
    assert "edited" in edited.text["Description"]


def test_errors_leave_everything_as_it_was_and_go(page, tmp_path):
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(60_000_000)
    before, toast = result(page).get_attribute("src"), page.locator(".toast-body")
    for name, message in (
        ("grey.png", "No face was found"),
        ("broken.jpg", r"broken\.jpg is not a picture that can be read.* export a phone's HEIC photo as JPEG first"),
        ("huge.png", "maximum|size|large"),
    ):
        page.locator("#photo input[type=file]").set_input_files(str(tmp_path / name))
        playwright.expect(toast.first).to_contain_text(re.compile(message))
        assert toast.count() == 1
        assert "/tmp" not in toast.inner_text()
        page.get_by_test_id("toast-close").click()
        toast.wait_for(state="detached")
        playwright.expect(page.locator("#photo input[type=file]")).to_have_count(1)  # empty, ready for the next
        assert result(page).get_attribute("src") == before
        assert number(page, "Eyeglasses").input_value() == "1"


def test_the_picture_is_in_view_of_every_control(page):
    controls = "#sliders input[type=range], #looks button, #photo button, [role=tab]"
    for screen in (DESKTOP, PHONE):
        page.set_viewport_size(screen)
        assert page.evaluate("document.documentElement.scrollWidth") <= screen["width"]
        for place in (0, -1):
            page.locator(controls).nth(place).scroll_into_view_if_needed()
            playwright.expect(page.locator("#result figure")).to_be_in_viewport(ratio=0.9)


def test_several_people_are_chosen_by_their_faces_and_their_edits_add_up(page, tmp_path):
    two_people().save(tmp_path / "two.png")
    upload(page, tmp_path / "two.png")
    people = page.locator("#people button")
    assert [text.split(" (")[0] for text in people.all_inner_texts()] == ["Everyone", "Person 1", "Person 2"]
    move(page, "Eyeglasses", 1, "photo with: eyeglasses")
    people.nth(1).click()
    playwright.expect(people.nth(1)).to_have_attribute("aria-pressed", "true")
    playwright.expect(number(page, "Eyeglasses")).to_have_value("0")
    move(page, "Older – younger", -1, "photo with: older, eyeglasses")
    people.nth(2).click()
    playwright.expect(number(page, "Eyeglasses")).to_have_value("1")


def test_one_control_an_attribute_in_step_with_the_picture(page):
    move(page, "Black hair", 1, "photo with: eyeglasses, black hair")
    playwright.expect(page.get_by_text("Brown hair gives way")).to_be_visible()
    playwright.expect(number(page, "Brown hair")).to_have_value("0")
    page.get_by_role("tab", name="Every change").click()
    change = page.locator("#all-edits button").filter(has_text="Beard").first
    change.click()
    playwright.expect(result(page)).to_have_attribute("alt", re.compile("beard"))
    captions = page.locator(".tiles button:visible").evaluate_all(
        "all => all.map(each => [each.title, each.innerText, each.lastChild, each]).map(([title, text, span, each]) => "
        "[title, text, Math.max(span.scrollHeight - span.clientHeight, span.scrollWidth - span.clientWidth, "
        "span.getBoundingClientRect().bottom - each.getBoundingClientRect().bottom)])"
    )
    assert len(captions) > 15
    for title, text, cut_off in captions:
        assert title == text.replace("\n", " ")
        assert cut_off <= 1
    unfold(page, "Compare strengths")
    page.get_by_role("button", name="Show").click()
    page.locator("#strengths button").nth(0).click()
    page.get_by_role("tab", name="Edit").click()
    playwright.expect(number(page, "Older – younger")).to_have_value("-1.5")
    page.locator("#versions button").nth(1).click()
    playwright.expect(result(page)).to_have_attribute("alt", EXAMPLE)
    playwright.expect(number(page, "Older – younger")).to_have_value("0")
    page.get_by_role("button", name="Undo all edits").click()
    playwright.expect(result(page)).to_have_attribute("alt", "photo without edits")
    assert np.abs(picture(page, "before") - picture(page)).max() == 0
    playwright.expect(page.get_by_role("button", name="Download the edited photo")).to_be_disabled()


def test_of_quick_moves_the_last_one_holds(page):
    names = ("Eyeglasses", "Mustache", "Bushy eyebrows", "Older – younger")
    for value in (0.3, -0.4, 0.8):
        for name in names:
            number(page, name).fill(str(value))
            number(page, name).press("Enter", no_wait_after=True)
    wanted = ("eyeglasses", "mustache", "bushy eyebrows", "younger")  # in whatever order their moves arrived
    all_of_them = "".join(f"(?=.*{each})" for each in wanted)
    playwright.expect(result(page)).to_have_attribute(
        "alt", re.compile(f"^photo with: (?!.*(\\bno |older)){all_of_them}")
    )
    assert {number(page, name).input_value() for name in names} == {"0.8"}


def test_what_is_shared_is_of_this_edit(page):
    page.get_by_role("tab", name="Share").click()
    for title, kind in (
        ("Before and after", "image/jpeg"),
        ("Animation (GIF)", "image/gif"),
        ("Video (MP4)", "video/mp4"),
    ):
        page.get_by_role("button", name=title, exact=True).click()
        shown = page.locator("#shared video" if kind == "video/mp4" else "#shared img")
        shown.wait_for()
        suffix = {"image/jpeg": "tile.jpg", "image/gif": ".gif", "video/mp4": ".mp4"}[kind]
        playwright.expect(shown).to_have_attribute("src", re.compile(f"{re.escape(suffix)}$"))
        assert page.request.get(shown.evaluate("each => each.src")).headers["content-type"] == kind
    assert (
        shown.evaluate(
            "each => new Promise(done => each.readyState >= 2 ? done(each.videoWidth) : "
            "each.addEventListener('loadeddata', () => done(each.videoWidth)))"
        )
        > 100
    )  # it plays
    link = page.locator("#link textarea, #link input").input_value()
    page.locator("#versions button").first.click()
    playwright.expect(page.locator("#shared img, #shared video")).to_have_count(0)
    playwright.expect(page.get_by_role("button", name="Video (MP4)")).to_be_disabled()
    assert link.endswith("/?edit=Brown_Hair:0.6,Eyeglasses:1")


def test_several_photos_come_back_as_a_zip(page, portrait):
    page.get_by_role("tab", name="More").click()
    unfold(page, "Several photos")
    page.locator("#photos input[type=file]").set_input_files([str(portrait)])
    playwright.expect(page.locator("#photos")).to_contain_text("portrait")
    page.get_by_role("button", name="Edit them all").click()
    with zipfile.ZipFile(download(page, "Edited photos (ZIP)").path()) as archive:
        assert archive.namelist() == ["01-portrait-edited.jpg"]


def test_the_divider_moves_by_keyboard_and_stays(page):
    divider = page.get_by_role("slider", name="Before and after: position of the divider")
    divider.focus()
    for _ in range(10):
        divider.press("ArrowLeft")
    at = "getComputedStyle(document.querySelector('#result i')).left"
    assert page.locator("#result").evaluate("each => getComputedStyle(each.querySelector('i')).insetInlineStart") != ""
    left = float(page.evaluate(at).removesuffix("px")) / page.locator("#result figure").bounding_box()["width"]
    assert left == pytest.approx(0.4, abs=0.02)
    page.locator("#looks button").nth(1).click()
    playwright.expect(result(page)).to_have_attribute("alt", "photo with: brown hair")
    left = float(page.evaluate(at).removesuffix("px")) / page.locator("#result figure").bounding_box()["width"]
    assert left == pytest.approx(0.4, abs=0.02)
    assert divider.input_value() == "40"
    assert page.evaluate("document.activeElement.dataset.index") == "1"  # the keyboard stays where it was


@pytest.mark.parametrize("part", ["Edit", "Every change", "Share", "More", "Use via API", "Settings"])
def test_nothing_serious_is_in_the_way_of_anyone(page, part, portrait, tmp_path):
    axe = pytest.importorskip("axe_playwright_python.base", reason="pip install axe-playwright-python")
    prepare_part(page, part, portrait, tmp_path)
    page.evaluate(axe.AXE_SCRIPT)
    where = ".api-docs-wrap" if part in ("Use via API", "Settings") else "html"  # the page behind it is that of Edit
    for screen, dark in ((PHONE, False), (DESKTOP, True)):
        page.set_viewport_size(screen)
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_timeout(100)
        page.evaluate(SETTLED)  # half-way between two themes no contrast is right
        findings = page.evaluate("where => axe.run(where, {resultTypes: ['violations']})", where)["violations"]
        serious = [each for each in findings if each["impact"] in ("serious", "critical")]
        assert [(each["id"], [node["html"][:160] for node in each["nodes"]]) for each in serious] == []
        if part not in ("Use via API", "Settings"):  # Gradio's own
            assert page.locator("button:visible:not([tabindex='-1'])").evaluate_all(SMALL) == []
    page.evaluate("document.body.classList.remove('dark')")
    if part in ("Use via API", "Settings"):
        page.locator(".api-docs-wrap").get_by_role("button", name="Close").first.click()


SETTLED = """() => Promise.allSettled(
    document.getAnimations().filter(each => each.effect.getComputedTiming().endTime < 2000)  // a toast stays for longer
        .map(each => each.finished)
)"""
SMALL = "all => all.filter(each => Math.min(each.offsetWidth, each.offsetHeight) < 24).map(each => each.outerHTML)"


def unfold(page, *names):
    for name in names:
        accordion = page.get_by_role("button", name=name)
        for _ in range(20):  # while its tab opens for the first time, Gradio may fold it again
            if accordion.get_attribute("aria-expanded") == "true":
                break
            accordion.click()
            page.wait_for_timeout(150)
        playwright.expect(accordion).to_have_attribute("aria-expanded", "true")


def prepare_part(page, part, portrait, tmp_path):
    """Open a tab with everything in it unfolded, or one of Gradio's dialogs."""
    if part in ("Use via API", "Settings"):
        page.get_by_role("button", name=part).click()
        page.locator(".api-docs-wrap").wait_for()
        return
    page.get_by_role("tab", name=part).click()
    if part == "Edit":
        two_people().save(tmp_path / "two.png")
        upload(page, tmp_path / "two.png")
    elif part == "Every change":
        page.locator("#all-edits img").first.wait_for()
        unfold(page, "Compare strengths", "What the model sees")
        page.get_by_role("button", name="Show", exact=True).click()
        page.locator("#strengths img").first.wait_for()
    elif part == "Share":
        page.get_by_role("button", name="Before and after", exact=True).click()
        page.locator("#shared img").wait_for()
    else:
        unfold(page, "Several photos", "In code", "Advanced", "About")
        page.locator("#photos input[type=file]").set_input_files([str(portrait)])
        Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
        page.locator("#photo input[type=file]").set_input_files(str(tmp_path / "grey.png"))
        page.locator(".toast-body").wait_for()


def test_a_reload_keeps_the_work_and_a_link_brings_an_edit(page, portrait, demo_address):
    upload(page, portrait)
    move(page, "Mustache", 0.8, "photo with: mustache")
    page.wait_for_timeout(500)  # the browser stores the work with the picture
    page.reload()
    playwright.expect(result(page)).to_have_attribute("alt", "photo with: mustache")
    assert number(page, "Mustache").input_value() == "0.8"
    page.goto(f"{demo_address}/?edit=Young:-1,No_Beard:-0.5")
    playwright.expect(result(page)).to_have_attribute("alt", "photo with: older, beard")
    assert number(page, "Beard").input_value() == "0.5"


def test_a_german_browser_reads_german_and_the_page_can_be_installed(browser, demo_address):
    page = browser.new_page(viewport=PHONE, locale="de-DE")
    page.goto(demo_address)
    playwright.expect(result(page)).to_have_attribute("alt", "Foto mit: Braunes Haar, Brille")
    playwright.expect(page.get_by_role("button", name="Überrasch mich")).to_be_visible()
    assert page.get_by_text("Verändern Sie Haar").count() > 0
    assert page.request.get(f"{demo_address}/manifest.json").json()["display"] == "standalone"
    page.close()
