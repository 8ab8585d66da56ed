"""A cage for attacks: a forked process with limits, so that a crash, a hang or a flood of memory is counted as a fault.

The parent has imported everything and loaded the models, so that an attack costs no start of Python.
"""

import ctypes
import faulthandler
import os
import pickle
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

Attempt = Callable[[int], str | None]
"""Makes attack number n. None: there is a result. A text: the sentence of the refusal. Anything raised is a fault."""
WORKING = 4 << 20  # bytes that the libraries take for their own work, once they are warm
LONGEST_SENTENCE = 2_000  # characters
LONGEST_WAIT = 300  # seconds by the clock that one attack may take, on a busy machine too
ADDRESS_SPACE = 4 << 30  # bytes beyond what the process has when it is forked


@dataclass
class Outcome:
    """What came of one attack."""

    faults: list[str]
    sentence: str | None = None
    seconds: float = 0.0
    grown: int = 0  # bytes
    share: float = 0.0  # of what was allowed


@dataclass
class Report:
    """What came of attacks."""

    name: str
    tried: int = 0
    results: int = 0
    sentences: int = 0
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)  # seconds of processor time, and the number of that attack
    largest: tuple[int, int] = (0, -1)  # bytes that the process grew by, and the number
    nearest: tuple[float, int] = (0.0, -1)  # the share of the allowed growth, and the number
    seconds: list[float] = field(default_factory=list)  # of each

    def add(self, number: int, outcome: Outcome) -> None:
        """Count one attack."""
        self.tried += 1
        self.results += outcome.sentence is None and not outcome.faults
        self.sentences += outcome.sentence is not None and not outcome.faults
        self.faults += [f"  {number}: {fault}" for fault in outcome.faults]
        self.seconds.append(outcome.seconds)
        self.slowest = max(self.slowest, (outcome.seconds, number))
        self.largest = max(self.largest, (outcome.grown, number))
        self.nearest = max(self.nearest, (outcome.share, number))

    def __str__(self) -> str:
        line = (
            f"{self.name}: {self.tried} tried, {self.results} results, {self.sentences} sentences, "
            f"{len(self.faults)} faults; slowest {self.slowest[0]:.2f} s (number {self.slowest[1]}), "
            f"largest {self.largest[0] / 2**20:.0f} MB (number {self.largest[1]}), "
            f"at most {self.nearest[0]:.0%} of what is allowed (number {self.nearest[1]})"
        )
        return "\n".join([line, *self.faults[:20]])


class Honest:
    """The honest size of the input that is attacked with, in bytes. Attempts set it; it begins at 0 for each."""

    size = 0


def attack(
    name: str, count: int, attempt: Attempt, *, seconds: float = 10, memory: int | None = None, warm: int = 0
) -> Report:
    """Make attacks 0 to ``count - 1`` in forked processes; a new one follows where one has died.

    Args:
        seconds: of processor time that one attack may take, so that a busy machine does not count.
        memory: bytes by which the process may grow during one attack. None: twice the honest size of its input and of
            what the libraries take themselves.
        warm: attacks of negative numbers, which are none, that are made in each process before it is measured:
            libraries load modules and start threads when they are first used.
    """
    report, number = Report(name), 0
    while number < count and len(report.faults) < 200:
        number = _fork(report, attempt, range(number, count), seconds, memory, warm)
    return report


def _fork(report: Report, attempt: Attempt, numbers: range, seconds: float, memory: int | None, warm: int) -> int:
    """Attacks in one process until the end or its death; returns the number to go on with."""
    number, end = numbers.start, numbers.stop
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(read)
        with suppress(BaseException), open(write, "wb", buffering=0) as pipe:
            _cage(seconds)
            for each in range(-warm, 0):
                _outcome(attempt, each, seconds, memory)
            for each in numbers:
                pipe.write(pickle.dumps(_outcome(attempt, each, seconds, memory)))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        while number < end:
            try:
                outcome: Outcome = pickle.load(pipe)
            except (EOFError, pickle.UnpicklingError):
                break
            report.add(number, outcome)
            number += 1
    _, status = os.waitpid(child, 0)
    if number == end:
        return end
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    report.add(number, Outcome([f"the process died ({how})"]))
    return number + 1


class Hang(BaseException):
    """An attack takes too long. It is no Exception, so that no handler takes it for a broken file."""


def _cage(seconds: float) -> None:
    warnings.simplefilter("ignore")
    faulthandler.disable()
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _alarm)
    limit = _status("VmSize") + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _give_memory_back()


def _give_memory_back() -> None:
    """Let glibc return freed memory to the system at once: what an earlier attack has left over would be taken by the
    next one without growth."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            libc.mallopt(parameter, 128 << 10)  # glibc's defaults, which it would raise up to 64 MB by itself
        libc.malloc_trim(0)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def _outcome(attempt: Attempt, number: int, seconds: float, memory: int | None) -> Outcome:
    outcome, Honest.size = Outcome([]), 0
    _reset_peak()
    before, started = _status("VmRSS"), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 2 * seconds)  # C code is interrupted late: the time is judged below
    signal.alarm(LONGEST_WAIT)
    try:
        outcome.sentence = attempt(number)
        if outcome.sentence is not None and not 0 < len(outcome.sentence.strip()) <= LONGEST_SENTENCE:
            raise AssertionError(f"no sentence but {len(outcome.sentence)} characters: {outcome.sentence[:200]!r}")
    except BaseException as error:
        outcome.faults.append(_described(error))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
    outcome.seconds, outcome.grown = time.process_time() - started, _status("VmHWM") - before
    memory = 2 * (Honest.size + WORKING) if memory is None else memory
    outcome.share = outcome.grown / memory
    if outcome.seconds > seconds or outcome.grown > memory:
        outcome.faults.append(
            f"took {outcome.seconds:.1f} s and {outcome.grown / 2**20:.0f} of {memory / 2**20:.0f} MB"
        )
    return outcome


def _alarm(*_: object) -> None:
    raise Hang("it hangs")


def _described(error: BaseException) -> str:
    """The error with the innermost line of this project that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/stgan/" in frame.filename] or frames[-1:]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
    return f"{type(error).__name__} at {where}: {str(error)[:300]}"


def _status(name: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none (not Linux)."""
    with suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def _reset_peak() -> None:
    with suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
