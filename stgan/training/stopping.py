"""Stopping a run by Ctrl-C or SIGTERM without losing work."""

import signal
import time
from typing import Any

from accelerate import Accelerator

NUMBERS = (signal.SIGINT, signal.SIGTERM)
# A launcher passes on the signals that its processes also receive directly: repeats within this time are one request.
SECOND_SIGNAL_SECONDS = 5.0
CHECK_INTERVAL = 10  # steps on GPUs between two exchanges among the processes


class StopSignals:
    """While this context is active, a signal requests a stop after the current step.

    A second signal, at least :data:`SECOND_SIGNAL_SECONDS` later, has its usual effect at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self.requested_at = 0.0

    def __enter__(self) -> "StopSignals":
        self.previous = {number: signal.getsignal(number) for number in NUMBERS}
        for number in NUMBERS:
            signal.signal(number, self._request)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: Any) -> None:
        if not self.requested:
            self.requested, self.requested_at = True, time.monotonic()
        elif time.monotonic() - self.requested_at >= SECOND_SIGNAL_SECONDS:
            self.__exit__()
            signal.raise_signal(number)

    def must_stop(self, accelerator: Accelerator, step: int) -> bool:
        """Whether any process wants to stop before this step. All processes call it and get the same answer."""
        if accelerator.num_processes == 1:
            return self.requested
        if accelerator.device.type != "cpu" and step % CHECK_INTERVAL:  # a step on the CPU takes long
            return False
        if self.requested:
            accelerator.set_trigger()
        return accelerator.check_trigger()
