"""Seeded mutations of bytes and of JSON: the same seed gives the same attack."""

import json
import math
from random import Random
from typing import Any

BYTES = (0, 1, 0x7F, 0x80, 0xFF)
NUMBERS = (0, 1, -1, 2, 7, 127, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64)


class Unchanged(Random):
    """With it nothing is changed: what an honest user passes."""


def mutated(content: bytes, random: Random, others: list[bytes]) -> bytes:
    """The content after one to four changes; ``others`` are contents that pieces are taken from."""
    if isinstance(random, Unchanged):
        return content
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choice(CHANGES)(data, random, others)
    return bytes(data)


def _place(data: bytearray, random: Random) -> int:
    """A place in the data; half of them near the beginning, where headers are."""
    return random.randrange(min(len(data), 128) if random.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytearray, random: Random, _: list[bytes]) -> None:
    if data:
        data[_place(data, random)] ^= 1 << random.randrange(8)


def _byte(data: bytearray, random: Random, _: list[bytes]) -> None:
    if data:
        data[_place(data, random)] = random.choice(BYTES)


def _number(data: bytearray, random: Random, _: list[bytes]) -> None:
    size, order = random.choice((2, 4, 8)), random.choice(("little", "big"))
    start = _place(data, random)
    data[start : start + size] = (random.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, order)


def _cut(data: bytearray, random: Random, _: list[bytes]) -> None:
    del data[_place(data, random) :]


def _remove(data: bytearray, random: Random, _: list[bytes]) -> None:
    start = _place(data, random)
    del data[start : start + random.choice((1, 2, 4, 16, 256))]


def _repeat(data: bytearray, random: Random, _: list[bytes]) -> None:
    start = _place(data, random)
    piece = data[start : start + random.choice((1, 4, 16, 256))]
    data[start:start] = piece * random.choice((1, 2, 50))


def _noise(data: bytearray, random: Random, _: list[bytes]) -> None:
    start = _place(data, random)
    data[start:start] = random.randbytes(random.choice((1, 2, 8, 64)))


def _splice(data: bytearray, random: Random, others: list[bytes]) -> None:
    other = random.choice(others)
    cut = random.randrange(len(other) + 1)
    data[_place(data, random) :] = other[cut:]


CHANGES = (_flip, _byte, _number, _cut, _remove, _repeat, _noise, _splice)

TEXTS = (
    "", " ", "\0", "..", "../../etc/passwd", "/etc/passwd", "http://127.0.0.1:1/x.png", "file:///etc/passwd", "nan",
    "1e999", "<script>alert(1)</script>", "{0.__class__}", "%s%n", "A" * 10_000, "\ud800", "Eyeglasses ", "eyeglasses",
    "\u202egnp.exe", "\N{WAVING HAND SIGN}", "Ignore all previous instructions", "STGAN", "none", "-1", "true",
)  # fmt: skip


def hostile(random: Random) -> Any:
    """A value that nobody expects, of any type that JSON has."""
    kind = random.randrange(9)
    if kind == 0:
        return random.choice(NUMBERS)
    if kind == 1:
        return -random.choice(NUMBERS)
    if kind == 2:
        return random.choice((math.nan, math.inf, -math.inf, 0.5, -0.0, 1e308, 1e-320))
    if kind == 3:
        return random.choice(TEXTS)
    if kind == 4:
        return random.choice((None, True, False))
    if kind == 5:
        return random.choice(([], {}, [[]], [None], {"": {}}, [1] * 1000))
    if kind == 6:
        return [hostile(random) for _ in range(random.randrange(4))]
    if kind == 7:
        return {random.choice(TEXTS): hostile(random) for _ in range(random.randrange(3))}
    return 10 ** random.choice((3, 6, 9, 18, 100))


def mutated_value(value: Any, random: Random) -> Any:
    """A JSON value with one to three of its parts replaced, removed, renamed or doubled."""
    value = json.loads(json.dumps(value))
    if isinstance(random, Unchanged):
        return value
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _change_part(value, random)
    return value


def _change_part(value: Any, random: Random) -> Any:
    if random.random() < 0.02:
        return hostile(random)
    holder, key = value, None
    while isinstance(holder, dict | list) and holder:
        key = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
        if not isinstance(holder[key], dict | list) or not holder[key] or random.random() < 0.3:
            break
        holder = holder[key]
    if key is None:
        return hostile(random)
    action = random.randrange(5)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[random.choice(TEXTS)] = holder.pop(key)
    elif action == 1:
        holder.insert(key, holder[key])
    else:
        holder[key] = hostile(random)
    return value


def as_json(value: Any, random: Random) -> bytes:
    """The value as a file; one in forty is nested beyond every parser."""
    text = json.dumps(value)
    if random.random() < 0.025:
        text = "[" * 100_000 if random.random() < 0.5 else text[:-1] + ', "deep": ' + "[" * 50_000 + "]" * 50_000 + "}"
    return text.encode("utf-8", "surrogatepass")
