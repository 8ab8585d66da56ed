"""Scripts in processes of their own that need not import torch: copies of a server that has and has computed nothing.

A copy of a test's process would not do: torch computes no gradients in the copy of a process that has computed some.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["torch", "torch._dynamo", "datasets", "accelerate.commands.launch"])
COPIES = multiprocessing.get_context("fork")


class Forked:
    """As ``subprocess.Popen([sys.executable, script, *words])``, in a process group of its own.

    Args:
        environment: variables beside those of this process.
        output: file for what it prints; by default it prints where this process does.
        of: ``SERVER``, or ``COPIES`` for a copy of this process itself.
    """

    def __init__(self, script, words, environment, folder=".", output=None, of=SERVER):
        self.output = output
        self._process = of.Process(target=_run, args=(str(script), words, environment, str(folder), output))
        self._process.start()
        self.pid, self.kill = self._process.pid, self._process.kill

    def poll(self):
        return self._process.exitcode

    returncode = property(poll)

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        self.wait(timeout)
        return Path(self.output).read_text(encoding="utf-8"), None


def _run(script, words, environment, folder, output):
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):  # as in a new process
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if output:
        log = os.open(output, os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(log, stream)
    os.environ |= environment
    os.chdir(folder)
    sys.argv = [script, *words]
    sys.path.insert(0, os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")
