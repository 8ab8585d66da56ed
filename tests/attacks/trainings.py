"""Trainings that are killed, starved and cut off; afterwards the resumed run must equal the uninterrupted one.

Every run is a fork of this process, which has imported everything: the start of a Python process costs more than a run.
"""

import ctypes
import os
import pickle
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "training"))

import torch  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402
from hub_server import TOKEN, Failure, Hub  # noqa: E402
from huggingface_hub import constants  # noqa: E402
from numbered_data import BITS, numbered_dataset  # noqa: E402
from runs import assert_same_state, configured, tensors_of  # noqa: E402

import stgan.training.splits as splits  # noqa: E402
from attacks.cage import Outcome, Report  # noqa: E402
from stgan.data import StreamBatches, load_into_memory  # noqa: E402
from stgan.training import Trainer  # noqa: E402
from stgan.training.checkpoints import list_checkpoints  # noqa: E402

load_once = cache(load_into_memory)
STEPS = 8
EVERYTHING = {"steps": STEPS, "checkpointing_steps": 1, "validation_steps": 4, "attributes": BITS[:4]}
STREAM = {"streaming": True, "dataloader_num_workers": 0, "steps": 14, "checkpointing_steps": 2}
Change = Callable[[Trainer], None]


def forked(function: Callable[[], Any], started: Callable[[int], Any] = lambda _: None) -> tuple[Any, int]:
    """What a function returns in a process of its own, and how that ended: 0, or minus the signal that killed it.

    ``started`` is called with that process's number.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        answer: Any = None
        os.close(read)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        try:
            answer = function()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        with suppress(BaseException), open(write, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
        os._exit(0)
    os.close(write)
    started(child)
    with open(read, "rb") as pipe:
        content = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (pickle.loads(content) if content else None), status


def train(dataset: Path, output: Path, change: Change | None = None, **settings: Any) -> str:
    """Train to the end in this process. ``change`` prepares the trainer for what is to happen to it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    splits.load_into_memory = load_once
    splits.StreamBatches = partial(StreamBatches, shuffle_buffer=8)  # shards are read during the epoch
    torch.manual_seed(0)
    trainer = Trainer(configured(dataset, output, **EVERYTHING | settings), "train.py")
    if change:
        change(trainer)
    trainer.train()
    return "finished"


def at_step(number: int, action: Callable[[], Any]) -> Change:
    """Do something before a step, once."""

    def change(trainer: Trainer) -> None:
        step = trainer._train_step

        def changed() -> Any:
            if trainer.step == number:
                action()
            return step()

        trainer._train_step = changed  # type: ignore[method-assign]

    return change


def killed_at_event(number: int, pattern: str) -> None:
    """Kill this process at the n-th event that fits: a file opened, renamed or removed, or a connection."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if re.match(pattern, event):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def killed_after(seconds: float) -> None:
    """Kill this process after that much processor time, whatever it does then, also within a write."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the kernel ends the process; nothing of it runs
    signal.setitimer(signal.ITIMER_PROF, seconds)


class Torture:
    """One folder, one dataset and the uninterrupted runs that the others are compared with."""

    def __init__(self, folder: Path, seed: int = 0):
        self.folder, self.random, self.count = folder, Random(seed), 0
        self.dataset = folder / "data"
        self.dataset.mkdir(parents=True)
        numbered_dataset(self.dataset, 12, shards=1)
        next(self.dataset.glob("*.parquet")).rename(self.dataset / "validation-00000-of-00001.parquet")
        numbered_dataset(self.dataset, 48, shards=6)
        self.whole: dict[str, Path] = {}
        self.report = Report("")
        train(self.dataset, self.output(), steps=1)  # imports and decodes, once for all forks

    def output(self) -> Path:
        self.count += 1
        return self.folder / f"run-{self.count}"

    def uninterrupted(self, **settings: Any) -> Path:
        key = repr(sorted(settings.items()))
        if key not in self.whole:
            self.whole[key] = self.output()
            answer, _ = forked(partial(train, self.dataset, self.whole[key], **settings))
            assert answer == "finished", answer
        return self.whole[key]

    def check(self, what: str, output: Path, message: str | None, words: str, **settings: Any) -> None:
        """After an attack: the newest checkpoint is whole, the message fits, the resumed run ends as if nothing was."""
        faults = []
        try:
            if message is not None and not re.search(words, message):
                raise AssertionError(f"the message is {message[:300]!r}")
            for checkpoint in list_checkpoints(output):
                assert len(tensors_of(checkpoint)) > 20
            others = {} if "resume_from_checkpoint" in settings else {"resume_from_checkpoint": "latest"}
            answer, _ = forked(partial(train, self.dataset, output, **settings | others))
            assert answer == "finished", f"the resumed run ends with {answer}"
            whole = self.uninterrupted(**settings)
            assert_same_state(list_checkpoints(output)[-1], list_checkpoints(whole)[-1])
            assert list_checkpoints(output)[-1].name == list_checkpoints(whole)[-1].name
            assert not list(output.glob("partial-*")), "something partial is left"
        except Exception as error:
            faults.append(f"{what}: {type(error).__name__}: {str(error)[:400]}")
        self.report.add(self.report.tried, Outcome(faults, message))
        shutil.rmtree(output, ignore_errors=True)

    # ---------------------------------------------------------------------------------------------------- attacks

    def kills(self, count: int) -> Report:
        """At random moments of processor time and at random operations on files, each about half of the times."""
        self.report = Report("kills")
        seconds, operations = self._extent()
        for number in range(count):
            output = self.output()
            if number % 2:
                moment = partial(killed_after, self.random.uniform(0.02, 0.98) * seconds)
            else:
                moment = partial(killed_at_event, self.random.randrange(1, operations), FILES)

            def run(output: Path = output, moment: Callable[[], None] = moment) -> str:
                moment()
                return train(self.dataset, output)

            _, status = forked(run)
            what = f"kill {number}, {moment.func.__name__}{moment.args}, status {status}"
            self.check(what, output, None, "")
        return self.report

    def _extent(self) -> tuple[float, int]:
        """Seconds of processor time, and operations on files, of a run that nobody disturbs."""

        def run() -> tuple[float, int]:
            operations = 0

            def hook(event: str, _: tuple) -> None:
                nonlocal operations
                operations += bool(re.match(FILES, event))

            sys.addaudithook(hook)
            started = time.process_time()
            train(self.dataset, self.output())
            return time.process_time() - started, operations

        return forked(run)[0]

    def pushes(self, count: int) -> Report:
        """Killed while it sends the model and the state to a Hub; the resumed run sends all of it.

        The Hub kills it at a random one of all requests: before it reads what is sent, or when it has done what was
        asked for and has not yet said so.
        """
        self.report = Report("kills while pushing")
        settings = {"push_to_hub": "mine", "push_state_every": 1}
        with running_hub() as hub:
            forked(lambda: use(hub) or train(self.dataset, self.output(), **settings))  # nobody disturbs it
            requests, number = len(hub.requests), 0
        while number < count:
            with running_hub() as hub:
                output = self.output()
                moment, child = (self.random.randrange(1, requests), ("body", "answer")[number % 2]), []

                def watch(*now: Any, moment: tuple[int, str] = moment, child: list[int] = child) -> None:
                    if now == moment:
                        os.kill(child[0], signal.SIGKILL)

                def run(output: Path = output, hub: Hub = hub) -> str:
                    use(hub)
                    return train(self.dataset, output, **settings)

                hub.watch = watch
                _, status = forked(run, child.append)
                hub.watch = lambda *_: None
                if status:  # else it had fewer requests, since an upload that waits gives way to a newer one
                    self._check_pushed(number, f"at {moment}", output, hub, settings)
                    number += 1
        return self.report

    def _check_pushed(self, number: int, what: str, output: Path, hub: Hub, settings: dict[str, Any]) -> None:
        faults = []
        try:
            again = settings | {"resume_from_checkpoint": "latest"}
            answer, _ = forked(lambda: use(hub) or train(self.dataset, output, **again))
            assert answer == "finished", answer
            assert_same_state(list_checkpoints(output)[-1], list_checkpoints(self.uninterrupted())[-1])
            there = hub.files("models/somebody/mine")
            newest = (output / "model" / "model.safetensors").read_bytes()
            assert there["model.safetensors"] == newest, "an older model is on the Hub"
            state = hub.files("models/somebody/mine", "training-state")
            states = {path.split("/")[0] for path in state if "/" in path and path[0] == "c"}
            assert states == {f"checkpoint-{STEPS}"}, f"the Hub has the states {sorted(states)}"
        except Exception as error:
            faults.append(f"push {number} {what}: {type(error).__name__}: {str(error)[:400]}")
        self.report.add(number, Outcome(faults))
        shutil.rmtree(output, ignore_errors=True)

    def hub_fails(self) -> Report:
        """A Hub that answers 500, cuts connections and stalls: the run goes on and says so."""
        self.report = Report("a failing Hub")
        failures = {
            "500": Failure("POST", "/commit/", status=500, times=40), "cut off": Failure("POST", "/commit/", times=40),
            "500 from the start": Failure("GET", "/api/whoami", status=500, times=40),
            "stall at the start": Failure("GET", "/api/whoami", stall=600, times=40),
            "stall at the end": Failure("POST", "/commit/", stall=600, times=40),
        }  # fmt: skip
        for what, failure in failures.items():
            with running_hub() as hub:
                hub.failures.append(failure)
                output = self.output()

                def run(output: Path = output, hub: Hub = hub) -> str:
                    use(hub)
                    import stgan.training.pushing as pushing

                    pushing.CHECK_SECONDS, pushing.LAST_SECONDS = 3, 3
                    return train(self.dataset, output, push_to_hub="mine", push_state_every=1)

                started = time.monotonic()
                answer, _ = forked(run)
                took = time.monotonic() - started
                self.check(f"{what} ({took:.0f} s)", output, answer, "finished")
        return self.report

    def disks(self) -> Report:
        """A full disk and one that becomes read-only: a small file system in memory, or else a limit on files."""
        self.report = Report("full and read-only disks (small file systems in memory, or limits where none is allowed)")
        for what in ("full", "full later", "read-only"):
            output = self.output()
            message, _ = forked(partial(self._on_small_disk, what, output))
            self.check(f"disk {what}", output, str(message), "could not be written .*resume_from_checkpoint latest")
        return self.report

    def _on_small_disk(self, what: str, output: Path) -> str:
        """Train on a file system that fails, and bring what is left of the run to ``output``."""
        place = self.folder / f"disk-{what.replace(' ', '-')}"
        place.mkdir()
        size = {"full": 250, "full later": 900, "read-only": 64_000}[what]
        mounted = mount(place, size)
        if not mounted:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            limit = {"full": 2_000, "full later": 30_000, "read-only": 0}[what]
            change = at_step(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        else:
            change = at_step(3, partial(remount, place)) if what == "read-only" else None
        try:
            train(self.dataset, place / "run", change)
            return f"nothing happened (small disk: {mounted})"
        except Exception as error:
            shutil.copytree(place / "run", output)
            return f"{error} [{'mounted' if mounted else 'limited'}]"

    def shard(self) -> Report:
        """A shard that is damaged while it is streamed, and repaired before the run is resumed."""
        self.report = Report("damaged shards")
        for number in range(3):
            output, damaged = self.output(), sorted(self.dataset.glob("train-*.parquet"))[1 + number]
            content = damaged.read_bytes()
            broken = content[:4] + bytes(len(content) - 8) + content[-4:]
            change = at_step(3, partial(damaged.write_bytes, broken))
            message, _ = forked(partial(train, self.dataset, output, change, **STREAM))
            damaged.write_bytes(content)
            self.check(f"shard {damaged.name}", output, message, f"DataError: .*{damaged.name} is damaged", **STREAM)
        return self.report

    def diverges(self) -> Report:
        """A loss that is not a number, once."""
        self.report = Report("not a number")
        for step in (1, 5):
            output = self.output()

            def change(trainer: Trainer, step: int = step) -> None:
                inner = trainer._train_step
                nan = {"g_adversarial": torch.tensor(float("nan"))}
                trainer._train_step = lambda: inner() | (nan if trainer.step == step + 1 else {})  # type: ignore

            message, _ = forked(partial(train, self.dataset, output, change))
            self.check(f"nan at {step}", output, message, "not a number .*resume_from_checkpoint latest")
        return self.report

    def worker(self) -> Report:
        """A process that reads images is killed."""
        self.report = Report("killed workers")
        settings = STREAM | {"dataloader_num_workers": 2}
        for step in (2, 5):
            output = self.output()
            message, _ = forked(partial(train, self.dataset, output, at_step(step, kill_children), **settings))
            words = "DataError: A process that reads images was killed.*resume_from_checkpoint latest"
            self.check(f"worker at {step}", output, message, words, **settings)
        return self.report

    def rank(self) -> Report:
        """One of two processes is killed."""
        self.report = Report("killed ranks")
        whole, faults = self.output(), []
        assert self._two_ranks(whole, None) == ["finished", "finished"]
        output = self.output()
        kill = at_step(2, lambda: os.kill(os.getpid(), signal.SIGKILL))
        first, _ = self._two_ranks(output, kill)
        try:
            assert "Another process of this run ended" in str(first), str(first)[:300]
            assert "resume_from_checkpoint latest" in str(first)
            assert self._two_ranks(output, None, resume_from_checkpoint="latest") == ["finished", "finished"]
            assert_same_state(list_checkpoints(output)[-1], list_checkpoints(whole)[-1])
        except Exception as error:
            faults.append(f"rank: {type(error).__name__}: {str(error)[:400]}")
        self.report.add(0, Outcome(faults, str(first)))
        return self.report

    def _two_ranks(self, output: Path, change: Change | None, **settings: Any) -> list[Any]:
        """Train in two processes; ``change`` is for the second one."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def run(rank: int) -> str:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": str(port)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
            return train(self.dataset, output, change if rank else None, **settings)

        answers: list[Any] = [None, None]

        def start(rank: int) -> None:
            answers[rank] = forked(partial(run, rank))[0]

        threads = [threading.Thread(target=start, args=(rank,)) for rank in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


FILES = r"open$|os\.(rename|remove|rmdir|mkdir|link)$|shutil\."


def kill_children() -> None:
    """Kill a child of this process: a worker of its loader."""
    me = os.getpid()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == me:
                os.kill(int(entry.parent.name), signal.SIGKILL)
                return
    raise AssertionError("there is no worker")


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_REMOUNT, MS_RDONLY = 0x20000, 0x4000, 1 << 18, 32, 1


def mount(place: Path, kilobytes: int) -> bool:
    """Mount a small file system in memory, which only this process sees; False where that is not allowed."""
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        return False
    return not LIBC.mount(b"tmpfs", str(place).encode(), b"tmpfs", 0, f"size={kilobytes}k".encode())


def remount(place: Path) -> None:
    """Make that file system read-only."""
    assert not LIBC.mount(b"tmpfs", str(place).encode(), b"tmpfs", MS_REMOUNT | MS_RDONLY, None)


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub().start()
    yield hub
    hub.shutdown()
    hub.server_close()


def use(hub: Hub) -> None:
    """Talk to that Hub in place of the real one."""
    constants.ENDPOINT = hub.address
    constants.HUGGINGFACE_CO_URL_TEMPLATE = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET = False, True
    os.environ["HF_TOKEN"] = TOKEN


def run(folder: Path, kills: int, seed: int = 0, only: str = "") -> list[Report]:
    """Every kind of attack, with this many kills; a fifth of them while pushing."""
    torture = Torture(folder, seed)
    attacks: dict[str, Callable[[], Report]] = {
        "kills": lambda: torture.kills(kills - kills // 5), "pushes": lambda: torture.pushes(kills // 5),
        "hub": torture.hub_fails, "disks": torture.disks, "shard": torture.shard, "nan": torture.diverges,
        "worker": torture.worker, "rank": torture.rank,
    }  # fmt: skip
    return [attack() for name, attack in attacks.items() if only in ("", name)]
