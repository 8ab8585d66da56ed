"""Colour profiles for the tests, built here because none may be copied into the repository."""

import struct

import numpy as np
from skimage import color


def _icc(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": _icc_description(), b"wtpt": _icc_xyz(0.9642, 1.0, 0.8249), b"cprt": b"text\0\0\0\0none\0", **tags}
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(body), b"test", 0x02400000, kind, space, connection)
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return header + b"\0" * (128 - len(header)) + table + body


def _icc_description(name: bytes = b"test") -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79


def _icc_xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def display_p3() -> bytes:
    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256))
    columns = {b"r": (0.51512, 0.24120, -0.00105), b"g": (0.29198, 0.69225, 0.04189), b"b": (0.15710, 0.06657, 0.78407)}
    tags = {name + b"XYZ": _icc_xyz(*column) for name, column in columns.items()}
    return _icc(b"mntr", b"RGB ", b"XYZ ", {**tags, **{name + b"TRC": gamma for name in columns}})


def srgb_primaries(curve: np.ndarray, name: bytes) -> bytes:
    """sRGB's colours by a curve from values to light, of 16 bits; a curve without points is a straight line."""
    points = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + curve.astype(">u2").tobytes()
    columns = {b"r": (0.43607, 0.22249, 0.01392), b"g": (0.38515, 0.71687, 0.09708), b"b": (0.14307, 0.06061, 0.71410)}
    tags = {each + b"XYZ": _icc_xyz(*column) for each, column in columns.items()}
    tags |= {each + b"TRC": points for each in columns}
    return _icc(b"mntr", b"RGB ", b"XYZ ", {b"desc": _icc_description(name), **tags})


def cmyk_profile() -> bytes:
    """Four inks by the plain rule R = (1 - C)(1 - K), as tables of nine steps a side (five for the inks)."""
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 4, indexing="ij"), axis=-1)
    lab = color.rgb2lab((1 - inks[..., :3]) * (1 - inks[..., 3:]))
    to_lab = np.concatenate([lab[..., :1] / 100 * 65280, (lab[..., 1:] + 128) * 256], axis=-1)
    axes = np.meshgrid(np.linspace(0, 100 * 65535 / 65280, 9), *[np.linspace(-128, 127.99, 9)] * 2, indexing="ij")
    rgb = np.clip(color.lab2rgb(np.stack(axes, axis=-1)), 0, 1)
    to_inks = np.concatenate([1 - rgb, np.zeros_like(rgb[..., :1])], axis=-1) * 65535

    def lut(table: np.ndarray, inputs: int, outputs: int) -> bytes:
        line = struct.pack(">2H", 0, 65535)
        head = b"mft2\0\0\0\0" + bytes([inputs, outputs, table.shape[0], 0])
        head += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + struct.pack(">2H", 2, 2)
        return head + line * inputs + np.clip(table, 0, 65535).round().astype(">u2").tobytes() + line * outputs

    return _icc(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut(to_lab, 4, 3), b"B2A0": lut(to_inks, 3, 4)})
