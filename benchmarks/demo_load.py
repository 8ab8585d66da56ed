"""The demo under load: edits per second of one, eight and fifty clients, beside the library alone on the same machine.

python benchmarks/demo_load.py [--seconds 20] [--clients 1 8 50] [--page]

Starts app.py and visits it over HTTP. Each client has one of eight photos, 512 pixels wide, which is opened before the
load starts, and requests edit after edit of it, as fast as the answers come. What a browser needs to draw the page is
not in the times.
"""

import io
import json
import math
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import skimage.data
import tyro
from PIL import Image

from stgan import FaceEditor, save_photo
from stgan.editing.editor import PreparedFace, default_model

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300.0  # seconds
PHOTOS = 8
FULL = 503  # HTTP status of a full queue


@dataclass
class Settings:
    """Measure the demo under load."""

    # Length of each load.
    seconds: float = 20.0
    # Numbers of clients that edit at once.
    clients: tuple[int, ...] = (1, 8, 50)
    # Clients move sliders on the page instead of calling the endpoint /edit.
    page: bool = False


def main(settings: Settings) -> None:
    """Print the table."""
    editor = FaceEditor.from_pretrained(default_model())
    prepared = editor.prepare(portrait(0))
    with demo() as (address, app, answered, ready):
        print(f"start: the port answers after {answered:.1f} s, the page is there after {ready:.1f} s")
        kind = Visitor if settings.page else Caller
        clients = [kind(address, number) for number in range(max(settings.clients))]
        first = [each.open() for each in clients]
        new, known = statistics.median(first[:PHOTOS]), statistics.median(first[PHOTOS:] or [math.nan])
        print(f"opened by one client after the other: {new:.2f} s for a new photo, {known:.2f} s for a known one")
        begin, bare = app.memory_info().rss, [library(editor, prepared)]
        print("clients  edits/s  of library  CPU s/edit  refused  wait: median  worst  edits each: fewest  most")
        for count in settings.clients:
            busy = sum(app.cpu_times()[:2])
            waits, refused = load(clients[:count], prepared, settings.seconds)
            busy = sum(app.cpu_times()[:2]) - busy
            bare.append(library(editor, prepared))
            done, each = [len(one) for one in waits], [wait for one in waits for wait in one]
            rate = sum(done) / settings.seconds
            print(
                f"{count:7} {rate:8.2f} {rate / statistics.mean(bare[-2:]):11.2f} {busy / len(each):11.2f} {refused:8} "
                f"{statistics.median(each):11.2f} s {max(each):5.1f} s {min(done):19} {max(done):5}",
                flush=True,
            )
        print(f"the library alone, with the face prepared: {statistics.median(bare):.2f} edits/s")
        print(f"memory of the demo: {begin / 2**20:.0f} MiB before, {app.memory_info().rss / 2**20:.0f} MiB after")


def portrait(number: int) -> bytes:
    """One of eight different photos of the astronaut, as a JPEG."""
    photo = io.BytesIO()
    Image.fromarray(np.roll(skimage.data.astronaut(), number % PHOTOS, axis=1)).save(photo, "JPEG", quality=95)
    return photo.getvalue()


def library(editor: FaceEditor, prepared: PreparedFace, seconds: float = 3.0) -> float:
    """Edits per second without a server: the face edited and the photo written as PNG."""
    started, done = time.perf_counter(), 0
    edits = list(editor.single_edits(prepared).values())
    with tempfile.TemporaryDirectory() as folder:
        while time.perf_counter() < started + seconds:
            save_photo(
                editor.edit(prepared, edits[done % len(edits)], 0.7 + 0.01 * (done % 50)), f"{folder}/edited.png"
            )
            done += 1
    return done / (time.perf_counter() - started)


def load(clients: list["Client"], prepared: PreparedFace, seconds: float) -> tuple[list[list[float]], int]:
    """The seconds that each client waited for each of its edits, and how many requests were refused."""
    end, refused = time.perf_counter() + seconds, [0] * len(clients)

    def work(number: int) -> list[float]:
        chance, waits = random.Random(number), []
        while (started := time.perf_counter()) < end:
            name, label = chance.choice(list(prepared.label_dict().items()))
            if clients[number].edit(name, not label, chance.uniform(0.5, 1.5)):
                waits.append(time.perf_counter() - started)
            else:
                refused[number] += 1
                time.sleep(0.1)
        return waits

    with ThreadPoolExecutor(len(clients)) as at_once:
        return list(at_once.map(work, range(len(clients)))), sum(refused)


class Client(ABC):
    """What a browser and ``gradio_client`` do: an event goes into the queue, and its answer comes as a stream."""

    def __init__(self, address: str, number: int):
        self.http = httpx.Client(base_url=address, timeout=PATIENCE)
        self.session, self.photo = uuid.uuid4().hex, portrait(number)
        self.page = self.http.get("/config").raise_for_status().json()

    @abstractmethod
    def open(self) -> float:
        """Send the photo; the seconds until its face is known."""

    @abstractmethod
    def edit(self, name: str, wanted: bool, intensity: float) -> bool:
        """Request an edit and fetch its picture; False if the request is refused."""

    def upload(self) -> dict:
        (path,) = self.http.post("/gradio_api/upload", files={"files": ("me.jpg", self.photo)}).json()
        return {"path": path, "orig_name": "me.jpg", "meta": {"_type": "gradio.FileData"}}

    def call(self, event: int, values: list) -> dict | None:
        """The output of an event; None if the queue is full."""
        request = {"fn_index": event, "session_hash": self.session, "data": values, "trigger_id": None}
        joined = self.http.post("/gradio_api/queue/join", json=request)
        if joined.status_code == FULL:
            return None
        identity = joined.raise_for_status().json()["event_id"]
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("event_id") == identity and message["msg"] == "process_completed":
                    break
        if not message["success"]:
            raise RuntimeError(message["output"])
        return message["output"]


class Caller(Client):
    """A program that calls the endpoints."""

    def _endpoint(self, name: str) -> int:
        return next(event["id"] for event in self.page["dependencies"] if event["api_name"] == name)

    def open(self) -> float:
        started, self.file = time.perf_counter(), self.upload()
        self.call(self._endpoint("attributes"), [self.file])
        return time.perf_counter() - started

    def edit(self, name: str, wanted: bool, intensity: float) -> bool:
        answer = self.call(self._endpoint("edit"), [self.file, {name: wanted}, intensity])
        if answer:
            self.http.get(f"/gradio_api/file={answer['data'][0]['path']}").raise_for_status()
        return answer is not None


class Visitor(Client):
    """An open page: what is in its components, and what follows when something is done to one."""

    def open(self) -> float:
        self.values = {part["id"]: part["props"].get("value") for part in self.page["components"]}
        self.places = {part["props"].get("elem_id"): part["id"] for part in self.page["components"]}
        self.sliders = [part["id"] for part in self.page["components"] if part["type"] == "slider"]
        heartbeat = self.http.build_request("GET", f"/gradio_api/heartbeat/{self.session}")
        self.heartbeat = self.http.send(heartbeat, stream=True)  # while it lasts, the demo keeps the visit
        self._happens("load")
        started, self.values[self.places["photo"]] = time.perf_counter(), self.upload()
        self._happens("input", self.places["photo"])
        return time.perf_counter() - started

    def edit(self, name: str, wanted: bool, intensity: float) -> bool:
        slider = random.choice(self.sliders)
        self.values[slider] = intensity if self.values[slider] <= 0 else -intensity
        return self._happens("input", slider)

    def _happens(self, kind: str, place: int | None = None) -> bool:
        """Run the listeners of what was done and, one after another, what they are followed by."""
        events = self.page["dependencies"]
        waiting = [
            each for each in events if any(what == kind and place in (None, where) for where, what in each["targets"])
        ]
        while waiting:
            event = waiting.pop(0)
            answer = self.call(event["id"], [self.values[place] for place in event["inputs"]])
            if answer is None:
                return False
            for place, value in zip(event["outputs"], answer["data"], strict=True):
                is_update = isinstance(value, dict) and value.get("__type__") == "update"
                self.values[place] = value.get("value", self.values[place]) if is_update else value
                if place == self.places["result"]:
                    self._fetch_picture()
            waiting += [
                each for each in events if each["trigger_after"] == event["id"] and not each["trigger_only_on_failure"]
            ]
            for state in answer.get("changed_state_ids") or []:
                self._happens("change", state)
        return True

    def _fetch_picture(self) -> None:
        picture = re.search(r'class="after" src="([^"]+)"', self.values[self.places["result"]] or "")
        if picture:
            self.http.get(f"/{picture[1]}").raise_for_status()


@contextmanager
def demo() -> Iterator[tuple[str, psutil.Process, float, float]]:
    """The demo's address, its process, and the seconds from its start until it answered and the page was there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{(port := free.getsockname()[1])}"
    with tempfile.TemporaryDirectory() as folder:
        settings = {"STGAN_PORT": str(port), "GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        started, answered = time.perf_counter(), 0.0
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=subprocess.DEVNULL
        )
        try:
            while True:
                try:
                    answer = httpx.get(address, timeout=PATIENCE)
                    answered = answered or time.perf_counter() - started
                    if answer.is_success:
                        break
                except httpx.TransportError:
                    if app.poll() is not None:
                        raise SystemExit("app.py ended before its page was there.") from None
                time.sleep(0.05)
            yield address, psutil.Process(app.pid), answered, time.perf_counter() - started
        finally:
            app.terminate()
            app.wait()


if __name__ == "__main__":
    main(tyro.cli(Settings))
