"""A cage for attacks: a forked process with limits, so that a crash, a hang or a flood of memory is counted as a fault.

The parent has imported everything and loaded the models, so that an attack costs no start of Python.
"""

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

    def __str__(self) -> str:
        line = (
            f"{self.name}: {self.tried} tried, {self.results} results, {self.sentences} sentences, "
            f"{len(self.faults)} faults; slowest {self.slowest[0]:.2f} s (number {self.slowest[1]}), "
            f"largest {self.largest[0] / 2**20:.0f} MB (number {self.largest[1]})"
        )
        return "\n".join([line, *self.faults[:20]])


def attack(
    name: str, count: int, attempt: Attempt, *, seconds: float = 10, memory: int = 2 << 30, first: int = 0
) -> Report:
    """Make attacks ``first`` to ``first + count - 1`` in forked processes; a new one follows where one has died.

    Args:
        seconds: of processor time that one attack may take, so that a busy machine does not count.
        memory: bytes by which the process may grow during one attack.
    """
    report, number, end = Report(name), first, first + count
    while number < end and len(report.faults) < 200:
        number = _fork(report, attempt, number, end, seconds, memory)
    return report


def _fork(report: Report, attempt: Attempt, number: int, end: int, seconds: float, memory: int) -> int:
    """Attacks in one process until the end or its death; returns the number to go on with."""
    read, write = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(read)
        with suppress(BaseException), open(write, "wb", buffering=0) as pipe:
            _cage(seconds)
            for each in range(number, end):
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


def _outcome(attempt: Attempt, number: int, seconds: float, memory: int) -> Outcome:
    outcome = Outcome([])
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
    if outcome.seconds > seconds or outcome.grown > memory:
        outcome.faults.append(f"took {outcome.seconds:.1f} s and {outcome.grown / 2**20:.0f} MB")
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
