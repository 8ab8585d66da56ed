"""What an interrupted evaluation has measured, kept in one file so that the same command continues from there."""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FILE = ".evaluation.partial"
SECONDS = 20.0
"""Between two writes of the file, at least: what a killed evaluation loses, at most, besides one batch."""


class Checkpoint:
    """The states of an evaluation's parts. With the file None nothing is kept."""

    def __init__(self, file: Path | None = None):
        self.file = file
        self.states: dict[str, tuple[str, dict[str, Any]]] = _read(file)  # part to its key and state
        self.written = time.monotonic()
        self.continued, self.writable = False, True

    def part(self, name: str, *inputs: object) -> "Part":
        """One part of the evaluation. Its state counts only for the same ``inputs``: all that its results depend on.

        Args:
            inputs: networks, tensors, bytes and plain values, and iterators over these.
        """
        return Part(self, name, fingerprint(_code(), torch.__version__, *inputs) if self.file else "")

    def write(self) -> None:
        """Replace the file at once. If it cannot be written the evaluation goes on without it."""
        if self.file is None or not self.writable:
            return
        content, partial = io.BytesIO(), self.file.with_name(f"{self.file.name}.new")
        torch.save(self.states, content)
        try:
            partial.write_bytes(content.getbuffer())
            os.replace(partial, self.file)
        except OSError as error:
            reason = error.strerror or error
            print(f"{self.file} cannot be written ({reason}). If this evaluation is interrupted, it starts over.")
            with suppress(OSError):
                partial.unlink()
            self.writable = False
        self.written = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the evaluation is complete."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Part:
    """One part of an evaluation, such as the published protocol, and the fingerprint of its inputs."""

    checkpoint: Checkpoint
    name: str
    key: str

    def load(self) -> dict[str, Any]:
        """The state of an interrupted evaluation with the same inputs, on the CPU; empty if there is none."""
        key, state = self.checkpoint.states.get(self.name, ("", {}))
        if not state or key != self.key:
            return {}
        if not self.checkpoint.continued:
            print(f"Continuing the interrupted evaluation from {self.checkpoint.file}.")
            self.checkpoint.continued = True
        return state

    def save(self, state: Callable[[], dict[str, Any]], *, finished: bool = False) -> None:
        """Keep a state of tensors and plain values. Until the part is finished, this happens every :data:`SECONDS`."""
        checkpoint = self.checkpoint
        if checkpoint.file is not None and (finished or time.monotonic() - checkpoint.written >= SECONDS):
            checkpoint.states[self.name] = self.key, state()
            checkpoint.write()


def fingerprint(*things: object) -> str:
    """Hexadecimal digest of networks (class, configuration and weights), tensors, bytes and plain values."""
    digest = hashlib.blake2b(digest_size=16)
    for thing in things:
        for piece in _pieces(thing):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
    return digest.hexdigest()


def _pieces(thing: object) -> Iterator[Any]:
    """Buffers that tell a thing from others."""
    if isinstance(thing, bytes):
        yield thing
    elif isinstance(thing, Tensor):
        yield f"{thing.dtype} {tuple(thing.shape)}".encode()
        yield thing.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data
    elif isinstance(thing, nn.Module):
        yield f"{type(thing).__qualname__} {getattr(thing, 'config', None)}".encode()
        for name, tensor in thing.state_dict().items():
            yield name.encode()
            yield from _pieces(tensor)
    elif isinstance(thing, Iterator):
        for each in thing:
            yield from _pieces(each)
    else:
        yield repr(thing).encode()


def _code() -> Iterator[bytes]:
    """The package's source files: with other code, results may be others."""
    return (file.read_bytes() for file in sorted(Path(__file__).parents[1].rglob("*.py")))


def _read(file: Path | None) -> dict[str, tuple[str, dict[str, Any]]]:
    if file is None or not file.is_file():
        return {}
    try:
        states = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # torch has many kinds for a damaged file
        return {}
    return states if isinstance(states, dict) else {}


NOTHING_KEPT = Checkpoint()
