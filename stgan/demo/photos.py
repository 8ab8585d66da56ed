"""Photos that were opened lately, known by their content: the same file again is neither decoded nor searched again.

A visitor gets what is known of a photo only by sending the same bytes, so nobody sees another visitor's file.
"""

import hashlib
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from stgan.editing.editor import PreparedFace
from stgan.photo.face import Face
from stgan.photo.files import Photo, open_photo

MOST_PHOTOS, MOST_BYTES = 64, 512 << 20
SECONDS = 3600.0  # until a photo is forgotten; the page says that photos are deleted after about an hour


@dataclass(frozen=True, eq=False)
class OpenedPhoto:
    """A photo and what is known of it. ``lock`` is held while more is found out."""

    photo: Photo
    # Whether the photo is taken as aligned, to its faces from left to right; they are empty where it is one face crop.
    faces: dict[bool, list[Face]] = field(default_factory=dict)
    # Number of a face to what its edits share; None stands for the whole photo as one face crop.
    prepared: dict[int | None, PreparedFace] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: float = field(default_factory=lambda: time.monotonic())  # seconds

    @property
    def nbytes(self) -> int:
        """Memory of the pixels, decoded twice (:class:`stgan.photo.files.Photo`), and of the prepared faces."""
        return 2 * self.photo.rgb.nbytes + _arrays_in(list(self.prepared.values()))


class PhotoCache:
    """The photos opened last, by the SHA-256 of their files. Threads may share it.

    Args:
        most, most_bytes: how many are kept, and how much memory they take together. The one opened last may come on
            top, since its faces are prepared after it is opened.
        seconds: how long they are kept, however often they are opened.
    """

    def __init__(self, most: int = MOST_PHOTOS, most_bytes: int = MOST_BYTES, seconds: float = SECONDS):
        self.most, self.most_bytes, self.seconds = most, most_bytes, seconds
        self._photos: OrderedDict[bytes, OpenedPhoto] = OrderedDict()  # the one opened last is the last
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def open(self, path: str | Path) -> OpenedPhoto:
        """The photo in a file, from memory if it is known. A PhotoError says why it cannot be opened."""
        content = Path(path).read_bytes()
        digest = hashlib.sha256(content).digest()
        self.forget_old()
        with self._lock:
            if known := self._photos.get(digest):
                self._photos.move_to_end(digest)
                return known
        file = io.BytesIO(content)  # not the path: another file could be there by now
        file.name = str(path)  # for messages
        opened = OpenedPhoto(open_photo(file))
        with self._lock:
            opened = self._photos.setdefault(digest, opened)  # another thread may have been faster
            self._shrink()
        return opened

    def forget_old(self) -> None:
        """Drop the photos whose time is over."""
        with self._lock:
            oldest = time.monotonic() - self.seconds
            for digest in [key for key, each in self._photos.items() if each.opened <= oldest]:
                del self._photos[digest]

    def _shrink(self) -> None:
        total = sum(each.nbytes for each in self._photos.values())
        while self._photos and (len(self._photos) > self.most or total > self.most_bytes):
            total -= self._photos.popitem(last=False)[1].nbytes
        self._start_timer()

    def _start_timer(self) -> None:
        # One for the oldest photo, so that photos go even if nobody opens another.
        if self._photos and self._timer is None:
            due = min(each.opened for each in self._photos.values()) + self.seconds
            self._timer = threading.Timer(max(0.0, due - time.monotonic()), self._after_timer)
            self._timer.daemon = True
            self._timer.start()

    def _after_timer(self) -> None:
        self.forget_old()
        with self._lock:
            self._timer = None
            self._start_timer()


def _arrays_in(value: Any) -> int:
    """Bytes of the arrays and tensors in a value, except for those of its photo."""
    if isinstance(value, Photo):
        return 0
    if hasattr(value, "nbytes"):
        return value.nbytes
    if isinstance(value, Mapping):
        value = list(value.values())
    elif is_dataclass(value):
        value = list(vars(value).values())
    return sum(map(_arrays_in, value)) if isinstance(value, list | tuple) else 0
