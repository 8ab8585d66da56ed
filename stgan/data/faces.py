"""Find the face of a photograph and its frame, once for each photograph: results are kept on disk."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import cv2
import datasets
import numpy as np
import torch

from stgan.data.errors import RejectedImage
from stgan.data.frames import outside_share
from stgan.frame import CELEBA_CROP
from stgan.models import FaceAligner, load_companion
from stgan.photo.align import align_face
from stgan.photo.detect import Detector, FaceDetector, yunet_path
from stgan.photo.refine import located_faces

Locate = Callable[[np.ndarray], np.ndarray | str]
"""Takes uint8 (H, W, 3); returns the frame of its face, float64 (2, 3), or why there is no usable one."""

NO_FACE, TOO_SMALL, PROFILE, CUT_OFF = "no face", "face too small", "profile", "face cut off"
OUTSIDE_LIMIT = 1 / 3
"""Largest share of a crop that may lie outside the photograph. In CelebA-HQ 11 % do."""
VERSION = 1
"""Part of every fingerprint: raise it when the same photographs get other frames."""


class FaceLocator:
    """Finds the largest face of a photograph and its frame, as the editor does. It can be sent to worker processes.

    Args:
        aligner: confirms faces and aligns them, on the CPU. None: the detector alone does both, with less precision.
        yunet: path of a YuNet file; None uses OpenCV's cascades.
    """

    def __init__(self, aligner: FaceAligner | None, yunet: str | Path | None = None):
        self.aligner = None if aligner is None else aligner.eval()
        self.yunet = yunet

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | os.PathLike) -> "FaceLocator":
        """Use the aligner of an editor's model folder or Hub repository, and YuNet if its file is available.

        Raises:
            stgan.models.ModelFolderError: there is no such folder or repository, or its aligner is damaged.
        """
        aligner = load_companion(folder_or_hub_id, "aligner")
        return cls(None if aligner is None else aligner.to(memory_format=torch.channels_last), yunet_path())

    @property
    def fingerprint(self) -> str:
        """Differs when another detector or aligner is used."""
        digest = hashlib.blake2b(f"{VERSION}".encode(), digest_size=8)
        digest.update(Path(self.yunet).read_bytes() if self.yunet else f"cascades {cv2.__version__}".encode())
        for name, tensor in {} if self.aligner is None else self.aligner.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def __call__(self, rgb: np.ndarray) -> np.ndarray | str:
        """The frame of the largest face of uint8 (H, W, 3), float64 (2, 3), or the reason why it cannot be used."""
        faces = located_faces(self.detector, self.aligner, rgb)
        if not faces:
            return NO_FACE
        face, refined = max(faces, key=lambda pair: pair[0].size)
        if face.is_tiny:
            return TOO_SMALL
        if face.is_profile:
            return PROFILE
        left, top, right, _ = CELEBA_CROP
        aligned = refined or self.detector.refine(rgb, face)
        frame = align_face(aligned, right - left).matrix + [(0, 0, left), (0, 0, top)]
        return CUT_OFF if outside_share(frame, rgb.shape[1], rgb.shape[0]) > OUTSIDE_LIMIT else frame

    @cached_property
    def detector(self) -> Detector:
        """Made in each process when it is first needed."""
        return FaceDetector(self.yunet)

    def __getstate__(self) -> dict:
        return {"aligner": self.aligner, "yunet": self.yunet}  # OpenCV's detectors cannot be pickled


class FaceFrames:
    """The frame of each photograph's face, read from a file where it is known, else located and added to it.

    Several processes may use one file at a time.

    Args:
        locate: finds frames; ``fingerprint`` tells it from others and names the file.
        folder: of these files; by default ``stgan-faces`` in the cache of the datasets library.
    """

    def __init__(self, locate: Locate, fingerprint: str, folder: str | Path | None = None):
        self.locate = locate
        self.file = Path(folder or Path(datasets.config.HF_DATASETS_CACHE) / "stgan-faces") / f"{fingerprint}.jsonl"
        self._known: dict[str, list[float] | str] = {}
        self._process = -1  # the one that has read the file

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | os.PathLike, folder: str | Path | None = None) -> "FaceFrames":
        """Locate faces with the aligner of an editor's model folder or Hub repository; errors as for
        :class:`FaceLocator`."""
        locator = FaceLocator.from_pretrained(folder_or_hub_id)
        return cls(locator, locator.fingerprint, folder)

    def find(self, encoded: bytes, rgb: np.ndarray) -> np.ndarray:
        """The frame of a photograph's face, float64 (2, 3).

        Args:
            encoded: the file, whose content identifies the photograph.
            rgb: its pixels, uint8 (H, W, 3).

        Raises:
            RejectedImage: there is no usable face; the message is the reason.
        """
        if self._process != os.getpid():
            self._start()
        key = hashlib.blake2b(encoded, digest_size=16).hexdigest()
        if key not in self._known:
            frame = self.locate(rgb)
            # A similarity has four numbers: its first column and its shift.
            self._known[key] = frame if isinstance(frame, str) else frame[:, [0, 2]].T.ravel().tolist()
            self._append(json.dumps([key, self._known[key]]))
        found = self._known[key]
        if isinstance(found, str):
            raise RejectedImage(found)
        a, b, x, y = found
        return np.array([[a, -b, x], [b, a, y]])

    def _start(self) -> None:
        """Read the file in each process, since others may have added to it."""
        self._process, self._known = os.getpid(), {}
        if torch.utils.data.get_worker_info() is not None:
            cv2.setNumThreads(1)  # the workers share the cores
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else ():
            try:
                key, found = json.loads(line)
            except ValueError:  # half written when the disk was full or the machine stopped
                continue
            self._known[key] = found

    def _append(self, line: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(file, f"\n{line}\n".encode())  # a new line first, in case the one before is half written
        finally:
            os.close(file)


@contextmanager
def opencv_without_threads() -> Iterator[None]:
    """For starting worker processes: a forked one would wait for ever for OpenCV's threads, which a fork leaves out."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
