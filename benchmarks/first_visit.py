"""A newcomer's visit in Chromium: seconds to the first picture and to an edited photo on disk, and what is transferred.

python benchmarks/first_visit.py [--photo me.jpg] [--visits 3]

Starts app.py and opens its page in a browser without a cache, on a computer's screen and on a phone's. The visitor
waits for the example, opens a photo, picks the first look and downloads the result. Browser and server
share this machine.
"""

import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import tyro
from demo_load import demo
from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

SCREENS = {"computer": (1440, 900), "phone": (390, 844)}
PATIENCE = 120_000  # milliseconds
PHONE_PHOTO = (3000, 4000)  # pixels


@dataclass
class Settings:
    """Measure a newcomer's visit."""

    # By default a portrait of 12 megapixels, as a phone takes it.
    photo: Path | None = None
    # On each screen; the median is printed.
    visits: int = 3
    # By default the system's browser, else playwright's own.
    chromium: str | None = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@dataclass
class Visit:
    """What was measured."""

    picture: float  # seconds to the first picture, edited
    ready: float  # seconds until the looks are there too
    opened: float  # seconds from choosing a photo to seeing it
    edited: float  # seconds from the click on a look to the picture
    downloaded: float  # seconds of all that the newcomer did, to the file on disk
    kilobytes: float  # transferred until the looks are there
    requests: int


def main(settings: Settings) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, demo() as (address, *_), sync_playwright() as driver:
        photo = settings.photo or phone_photo(Path(folder))
        browser = driver.chromium.launch(executable_path=settings.chromium, args=["--no-sandbox"])
        visit_page(browser, address, (1440, 900), photo)  # the example is edited at the first visit
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {photo.stat().st_size / 1e6:.1f} MB photo\n")
        print("| screen | first picture | looks | photo open | look applied | file on disk | transferred | requests |")
        print("|---|---|---|---|---|---|---|---|")
        for name, size in SCREENS.items():
            visits = [visit_page(browser, address, size, photo) for _ in range(settings.visits)]
            median = {key: statistics.median(getattr(each, key) for each in visits) for key in vars(visits[0])}
            seconds = [f"{median[key]:.1f} s" for key in ("picture", "ready", "opened", "edited", "downloaded")]
            print(f"| {name} | {' | '.join(seconds)} | {median['kilobytes']:,.0f} kB | {median['requests']:.0f} |")
        browser.close()


def visit_page(browser: Browser, address: str, size: tuple[int, int], photo: Path) -> Visit:
    """One visit with an empty cache."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    transferred: list[float] = []
    network = context.new_cdp_session(page)
    network.on("Network.loadingFinished", lambda event: transferred.append(event["encodedDataLength"]))
    network.send("Network.enable")

    started = time.perf_counter()
    page.goto(address)
    result = page.locator("#result img.after")
    page.wait_for_function("document.querySelector('#result img.after')?.naturalWidth > 0")
    picture = time.perf_counter() - started
    page.locator("#looks img").first.wait_for()
    ready, kilobytes, requests = time.perf_counter() - started, sum(transferred) / 1000, len(transferred)

    chosen = time.perf_counter()
    page.locator("#photo input[type=file]").set_input_files(photo)
    expect(result).to_have_attribute("alt", "photo without edits")
    expect(page.locator("#looks button")).to_have_count(4)  # those of the example are gone
    opened = time.perf_counter() - chosen
    clicked = time.perf_counter()
    page.locator("#looks button").first.click()
    expect(result).not_to_have_attribute("alt", "photo without edits")
    edited = time.perf_counter() - clicked
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the edited photo").click()
    Path(download.value.path()).stat()
    downloaded = time.perf_counter() - started
    context.close()
    return Visit(picture, ready, opened, edited, downloaded, kilobytes, requests)


def phone_photo(folder: Path) -> Path:
    """A portrait at the size of a phone's photos, with their noise."""
    astronaut = Image.fromarray(skimage.data.astronaut()[:, 64:448]).resize(PHONE_PHOTO, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 3, (*astronaut.size[::-1], 1))
    noisy = np.clip(np.asarray(astronaut) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(folder / "phone.jpg", quality=92)
    return folder / "phone.jpg"


if __name__ == "__main__":
    main(tyro.cli(Settings))
