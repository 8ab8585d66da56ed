"""The demo under load: how soon it is ready, how soon a moved slider is a picture, and whether its memory stays flat.

python benchmarks/demo_load.py [--edits 200] [--visitors 8] [--photo me.jpg]

Starts app.py and visits it as browsers do, over HTTP: the page, its heartbeat, its own private events, the pictures
they answer with. What a browser itself needs (to draw, to run the page's script) is not in the times.
"""

import json
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import tyro

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 30  # edits: until every size of buffer has been asked for, by every thread
PATIENCE = 120.0  # seconds


@dataclass
class Settings:
    """Measure the demo under load."""

    # Edits in one session, then as many in new sessions, one each.
    edits: int = 200
    # How many edit at once, each as soon as the picture before is there.
    visitors: int = 8
    # Edits of each of them.
    edits_each: int = 12
    # Photo to edit instead of the example.
    photo: Path | None = None


class Visitor:
    """One open page: what is in its components, and what follows when something is done to one."""

    def __init__(self, address: str):
        self.http = httpx.Client(base_url=address, timeout=PATIENCE)
        self.session = uuid.uuid4().hex
        self.http.get("/").raise_for_status()
        page = self.http.get("/config").json()
        self.values = {part["id"]: part["props"].get("value") for part in page["components"]}
        self.events = {event["id"]: event for event in page["dependencies"]}
        self.sliders = [part["id"] for part in page["components"] if part["type"] == "slider"]
        self.places = {part["props"].get("elem_id"): part["id"] for part in page["components"]}
        beats = self.http.build_request("GET", f"/gradio_api/heartbeat/{self.session}")
        self.heartbeat = self.http.send(beats, stream=True)  # the demo notices when it is closed

    def open(self, photo: Path | None) -> None:
        """Wait for the example, or open another photo, and wait for all that follows."""
        self._happens("load")
        if photo:
            with photo.open("rb") as file:
                (path,) = self.http.post("/gradio_api/upload", files={"files": (photo.name, file)}).json()
            place = self.places["photo"]
            self.values[place] = {"path": path, "orig_name": photo.name, "meta": {"_type": "gradio.FileData"}}
            self._happens("input", place)

    def move(self, slider: int, value: float) -> float:
        """Move a slider, and wait for the picture and for what follows it.

        Returns:
            Seconds until the picture was there.
        """
        self.values[slider] = value
        return self._happens("input", slider)

    def leave(self) -> None:
        """Close the page."""
        self.heartbeat.close()
        self.http.close()

    def _happens(self, kind: str, place: int | None = None) -> float:
        """Run the listeners of what was done and, one after another, what they are followed by."""
        started, until_picture = time.perf_counter(), 0.0
        waiting = [
            event
            for event in self.events.values()
            if any(what == kind and place in (None, where) for where, what in event["targets"])
        ]
        while waiting:
            event = waiting.pop(0)
            self._run(event)
            picture = re.search(r'class="after" src="([^"]+)"', self.values[self.places["result"]] or "")
            if not until_picture and picture:
                self.http.get(f"/{picture[1]}").raise_for_status()
                until_picture = time.perf_counter() - started
            waiting += [
                after
                for after in self.events.values()
                if after["trigger_after"] == event["id"] and not after["trigger_only_on_failure"]
            ]
        return until_picture

    def _run(self, event: dict) -> None:
        """One event through the queue."""
        request = {
            "fn_index": event["id"],
            "session_hash": self.session,
            "data": [self.values[place] for place in event["inputs"]],
            "trigger_id": None,
        }
        joined = self.http.post("/gradio_api/queue/join", json=request).raise_for_status().json()
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("event_id") == joined["event_id"] and message["msg"] == "process_completed":
                    break
        if not message["success"]:
            raise RuntimeError(f"{event['api_name']}: {message['output']}")
        answers = message["output"]["data"]
        for place, answer in zip(event["outputs"], answers, strict=True):
            if isinstance(answer, dict) and answer.get("__type__") == "update":
                self.values[place] = answer.get("value", self.values[place])
            else:
                self.values[place] = answer
        for state in message["output"].get("changed_state_ids") or []:
            self._happens("change", state)


@contextmanager
def demo() -> Iterator[tuple[str, psutil.Process, float]]:
    """The demo's address, its process, and the seconds from its start until the page answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{(port := free.getsockname()[1])}"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "STGAN_PORT": str(port),
            "GRADIO_TEMP_DIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
        started = time.perf_counter()
        app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            while True:
                try:
                    httpx.get(address, timeout=PATIENCE)
                    break
                except httpx.TransportError:
                    if app.poll() is not None:
                        raise SystemExit("app.py ended before its page was there.") from None
                    time.sleep(0.05)
            yield address, psutil.Process(app.pid), time.perf_counter() - started
        finally:
            app.terminate()
            app.wait()


class Memory:
    """Prints the demo's resident memory, and how much more it is than after the warm-up."""

    def __init__(self, app: psutil.Process):
        self.app, self.first = app, None

    def report(self, when: str) -> None:
        size = self.app.memory_info().rss / 2**20
        self.first = self.first or size
        print(f"  {when}: {size:.0f} MiB ({size - self.first:+.1f})", flush=True)


def gesture(visitor: Visitor, chosen: random.Random) -> tuple[int, float]:
    """One of a visitor's sliders and where it is moved to."""
    return chosen.choice(visitor.sliders), chosen.choice((-1.0, -0.5, 0.5, 1.0))


def print_times(name: str, seconds: list[float]) -> None:
    """Median and 95th percentile."""
    slowest = statistics.quantiles(seconds, n=20)[-1]
    print(f"{name}: median {statistics.median(seconds):.2f} s, p95 {slowest:.2f} s", flush=True)


def main(settings: Settings) -> None:
    """Print the table."""
    chosen = random.Random(0)
    with demo() as (address, app, ready):
        print(f"page ready: {ready:.1f} s after the start")
        memory = Memory(app)

        visitor = Visitor(address)
        visitor.open(settings.photo)
        for _ in range(WARM_UP):
            visitor.move(*gesture(visitor, chosen))
        print("memory, one session")
        memory.report("after the warm-up")
        seconds = []
        for edit in range(1, settings.edits + 1):
            seconds.append(visitor.move(*gesture(visitor, chosen)))
            if edit % 50 == 0:
                memory.report(f"after {edit} edits")
        visitor.leave()
        print_times("slider to picture, one visitor", seconds)

        visitors = [Visitor(address) for _ in range(settings.visitors)]
        moves = [[gesture(each, chosen) for _ in range(settings.edits_each)] for each in visitors]
        with ThreadPoolExecutor(len(visitors)) as at_once:
            list(at_once.map(lambda each: each.open(settings.photo), visitors))
            times = list(at_once.map(lambda each, its: [each.move(*one) for one in its], visitors, moves))
        for each in visitors:
            each.leave()
        print_times(f"slider to picture, {len(visitors)} visitors at once", [s for each in times for s in each])

        print("memory, each edit in a new session")
        memory.report("after those visitors")
        for edit in range(1, settings.edits + 1):
            visitor = Visitor(address)
            visitor.open(settings.photo)
            visitor.move(*gesture(visitor, chosen))
            visitor.leave()
            if edit % 50 == 0:
                memory.report(f"after {edit} sessions")


if __name__ == "__main__":
    main(tyro.cli(Settings))
