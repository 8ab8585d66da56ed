"""Find the faces of a photo: the protocol of detectors, and the two that come with OpenCV.

Coordinates are (x, y) in pixels with pixel centres at whole numbers, so the left edge of an image lies at x = -0.5.
"""

import logging
import math
import os
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from stgan.frame import CELEBA_SIZE
from stgan.photo.align import Alignment, frame_similarity
from stgan.photo.crop import check_photo, crop_face, shrink
from stgan.photo.face import EYES_IN_BOX, Face, FaceError
from stgan.photo.geometry import as_3x3, box_to_square, transform

logger = logging.getLogger(__name__)

YUNET_REPO = "opencv/face_detection_yunet"
YUNET_FILE = "face_detection_yunet_2023mar.onnx"

Confirm = Callable[[np.ndarray, Sequence[Face]], list[Face]]
"""Takes a photo (H, W, 3) and candidates, returns the candidates that are faces."""
Decide = Callable[[Sequence[Face]], list[Face]]
"""The same for one photo."""


class Detector(Protocol):
    """What :class:`stgan.FaceEditor` needs of a detector. A subclass may leave out :meth:`refine`."""

    def detect(self, rgb: np.ndarray, confirm: Confirm | None = None) -> list[Face]:
        """All faces of uint8 (H, W, 3), in any order. Overlapping boxes of one face are allowed.

        ``confirm`` decides about doubtful candidates; a detector that has none need not call it.
        """
        ...

    def refine(self, rgb: np.ndarray, face: Face) -> Face:
        """The same face with better landmarks, if the detector can improve them.

        An editor without an aligner calls it once, for the face that it edits, with the photo uint8 (H, W, 3).
        """
        return face


def distinct_faces(faces: Sequence[Face], overlap: float = 0.3) -> list[Face]:
    """The faces from left to right; where boxes overlap, only the most confident (non-maximum suppression).

    ``overlap`` is the intersection over union above which two boxes show the same face.
    """
    if not faces:
        return []
    boxes = [(left, top, right - left, bottom - top) for left, top, right, bottom in (face.box for face in faces)]
    kept = cv2.dnn.NMSBoxes(boxes, [face.confidence for face in faces], 0.0, overlap)
    return sorted((faces[int(index)] for index in np.ravel(kept)), key=lambda face: face.centre[0])


TILE, OVERLAP = 4096, 1024
"""Side of the tiles in which larger photos are searched, and what two of them share, in pixels. A face of 32 pixels has
about 10 in a shrunk tile, and one that is wider than the overlap shows in the shrunk photo."""
MOST_TILES = 4  # whose area is searched: above 40 megapixels tiles are larger, as each takes a third of a second


class FaceDetector:
    """OpenCV's detectors: YuNet, or the Haar cascades. Threads may share it, and it can be pickled and copied.

    Args:
        yunet: path of a YuNet ONNX file (https://huggingface.co/opencv/face_detection_yunet). None: the Haar cascades,
            which need no file, find frontal faces only, and know two eyes instead of five landmarks.

    Raises:
        FaceError: there is no such file, or it is not a YuNet.
    """

    def __init__(self, yunet: str | Path | None = None):
        self.yunet = yunet
        self._load()

    def _load(self) -> None:
        self._lock = threading.Lock()  # OpenCV's detectors keep their input size and buffers between calls
        self._process = os.getpid()
        self._backend: _YuNet | _HaarCascades = _HaarCascades() if self.yunet is None else _YuNet(self.yunet)

    def __getstate__(self) -> dict:
        return {"yunet": self.yunet}

    def __setstate__(self, state: dict) -> None:
        self.yunet = state["yunet"]
        self._load()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._process != os.getpid():  # after a fork, a lock may be held by a thread that is not there
            self._load()
        with self._lock:
            yield

    def detect(self, rgb: np.ndarray, confirm: Confirm | None = None) -> list[Face]:
        """All faces of uint8 (H, W, 3) from left to right, each once, tiny ones included.

        Photos of more than :data:`TILE` pixels on a side are searched as a whole and in overlapping tiles, since small
        faces vanish when such a photo is shrunk; the cascades search tiles for upright faces only. With ``confirm`` the
        cascades search less strictly and find more. YuNet does not call it.
        """
        check_photo(rgb)
        decide = partial(confirm, rgb) if confirm else None
        with self._locked():
            half, factor = _halved(rgb, self._backend.MOST_AT_ONCE)
            faces = self._backend.detect(half, enlargement(factor), decide)
            for left, top, right, bottom in _tiles(rgb.shape, round(factor)):
                tile = half[round(top / factor) : round(bottom / factor), round(left / factor) : round(right / factor)]
                to_photo = enlargement(factor) + [[0, 0, left], [0, 0, top]]
                found = self._backend.detect(tile, to_photo, decide, tilted=False)
                faces += [face for face in found if not _is_cut(face, (left, top, right, bottom), rgb.shape)]
            return distinct_faces(faces)

    def refine(self, rgb: np.ndarray, face: Face) -> Face:
        """The same face with better landmarks, detected again in an upright close-up; the cascades return it unchanged.

        YuNet underestimates tilt: the landmarks of a face turned by 15 degrees come back turned by 5 to 12. In a
        close-up turned back by that angle little tilt is left, which halves the error of the alignment.
        """
        check_photo(rgb)
        with self._locked():
            return self._backend.refine(rgb, face)


def _tiles(photo: Sequence[int], step: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right, bottom of overlapping tiles, starting at multiples of ``step``; none of a photo that fits into
    one."""
    height, width = photo[:2]
    if max(height, width) <= TILE:
        return
    side = min(TILE, max(2 * OVERLAP, 2 * min(height, width)))  # of a panorama a smaller tile has all of its height
    while math.prod(len(_starts(length, side)) * min(1, length / side) for length in (height, width)) > MOST_TILES:
        side += TILE // 8
    for top in _starts(height, side, step):
        for left in _starts(width, side, step):
            yield left, top, min(left + side, width), min(top + side, height)


def _starts(length: int, side: int, step: int = 1) -> list[int]:
    """Evenly spread starts of tiles that cover a length."""
    count = 1 + math.ceil(max(0, length - side) / (side - OVERLAP))
    starts = [round(number * (length - side) / max(1, count - 1)) for number in range(count)] if count > 1 else [0]
    return [start - start % step for start in starts]


def _is_cut(face: Face, tile: tuple[int, int, int, int], photo: Sequence[int]) -> bool:
    """Whether a face reaches a side of its tile beyond which the photo goes on: the next tile shows all of it."""
    x0, y0, x1, y1 = face.box
    left, top, right, bottom = tile
    return (
        (left > 0 and x0 < left) or (top > 0 and y0 < top)
        or (right < photo[1] and x1 > right - 1) or (bottom < photo[0] and y1 > bottom - 1)
    )  # fmt: skip


def yunet_path() -> str | None:
    """Path of the YuNet file (MIT, 0.2 MB): the one that ``STGAN_YUNET`` names, or one downloaded from the Hub on first
    use; None where that is not possible.

    Importing the package never calls it. ``FaceDetector(yunet_path())`` is the best detector that is available.
    """
    if chosen := os.environ.get("STGAN_YUNET"):
        return os.path.expanduser(chosen)
    from huggingface_hub import hf_hub_download

    try:  # a cached file needs no network, which may be slow or absent
        return hf_hub_download(YUNET_REPO, YUNET_FILE, local_files_only=True)
    except OSError:
        pass
    if not _hub_answers():
        logger.warning("The Hub cannot be reached to download YuNet: using OpenCV's Haar cascades instead.")
        return None
    try:
        return hf_hub_download(YUNET_REPO, YUNET_FILE)
    except OSError as error:  # the base class of the Hub's and the network's errors
        logger.warning("YuNet could not be downloaded (%s): using OpenCV's Haar cascades instead.", error)
        return None


def _hub_answers(seconds: float = 2.0) -> bool:
    """Whether a connection to the Hub opens at all. A download would retry for half a minute before it gives up."""
    from huggingface_hub import constants

    address = urllib.parse.urlsplit(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies().get(address.scheme):  # the proxy decides, and answers quickly
        return True
    port = address.port or {"http": 80, "https": 443}[address.scheme]
    try:
        socket.create_connection((address.hostname, port), timeout=seconds).close()
    except OSError:
        return False
    return True


class _YuNet:
    """YuNet, a 75 k parameter face detector with five landmarks (doi 10.1007/s11633-023-1423-y), through OpenCV."""

    SCALES = (1280, 320)  # longer side in pixels: for the faces of a group; for a face that fills the photo
    SMALLEST_CONFIDENCE = 0.7
    SMALLEST_IMAGE = 33  # pixels; on a single cell of its coarsest stride, 32, its output is meaningless
    MOST_AT_ONCE = 3 * SCALES[0]  # pixels on a side, above which a photo is halved first
    CLOSE_UP = (480, 260)  # side in pixels; the same side in pixels of the aligned frame

    def __init__(self, path: str | Path):
        path = os.path.expanduser(path)
        if not Path(path).is_file():
            raise FaceError(
                f"There is no YuNet file at {path}. Correct --yunet or STGAN_YUNET, or leave it out: OpenCV's Haar "
                "cascades are used where YuNet cannot be downloaded."
            )
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), self.SMALLEST_CONFIDENCE, 0.3, 5000)
        except cv2.error as error:
            raise FaceError(f"{path} is not a YuNet face detector in ONNX format.") from error

    def detect(
        self, view: np.ndarray, to_photo: np.ndarray, decide: Decide | None, *, tilted: bool = True
    ) -> list[Face]:
        """The faces of a view uint8 (h, w, 3) in the photo's pixels, to which a similarity (2, 3) leads."""
        faces, factor = [], 1.0
        for longer_side in self.SCALES:
            view, reduction = shrink(view, longer_side)
            factor *= reduction
            faces += [face.transformed(enlargement(factor)).transformed(to_photo) for face in self._find(view)]
        return faces

    def refine(self, rgb: np.ndarray, face: Face) -> Face:
        for measure in (self._landmarks, self._mean_landmarks):  # the first turns the face upright
            alignment = self._close_up(face)
            landmarks = measure(crop_face(rgb, alignment, self.CLOSE_UP[0]))
            if landmarks is None:
                return face
            face = Face(face.box, transform(landmarks, alignment.inverse), face.confidence)
        return face

    def _close_up(self, face: Face) -> Alignment:
        side, frame_side = self.CLOSE_UP
        left, top = (CELEBA_SIZE[0] - frame_side) / 2, (CELEBA_SIZE[1] + 20 - frame_side) / 2  # faces lie low
        return Alignment((box_to_square(left, top, frame_side, side) @ as_3x3(frame_similarity(face)))[:2])

    def _landmarks(self, close_up: np.ndarray) -> np.ndarray | None:
        middle, reach = (len(close_up) - 1) / 2, len(close_up) / 4
        faces = self._find(close_up)
        near = [face for face in faces if np.abs(face.landmarks_or_estimate().mean(axis=0) - middle).max() < reach]
        return max(near, key=lambda face: face.size).landmarks if near else None

    def _mean_landmarks(self, close_up: np.ndarray) -> np.ndarray | None:
        """The mean over the close-up and its mirror image, so that errors to one side cancel."""
        plain, mirrored = self._landmarks(close_up), self._landmarks(close_up[:, ::-1])
        if plain is None or mirrored is None:
            return None
        mirrored = np.stack([len(close_up) - 1 - mirrored[:, 0], mirrored[:, 1]], axis=1)[[1, 0, 2, 4, 3]]
        return (plain + mirrored) / 2

    def _find(self, rgb: np.ndarray) -> list[Face]:
        if min(rgb.shape[:2]) < self.SMALLEST_IMAGE:
            return []
        self._network.setInputSize((rgb.shape[1], rgb.shape[0]))
        _, rows = self._network.detect(np.ascontiguousarray(rgb[:, :, ::-1]))
        # A row holds left, top, width, height; the person's right eye, left eye, nose tip, right and left corner of
        # the mouth; score. A person's right is the image's left, so the order is that of Face.landmarks.
        return [
            Face((left, top, left + width, top + height), np.array(points).reshape(5, 2), min(max(score, 0.0), 1.0))
            for left, top, width, height, *points, score in ([] if rows is None else rows.astype(np.float64).tolist())
        ]


def _halved(rgb: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """A photo with more than ``most`` pixels on its longer side at half its size, and photo pixels per pixel of it.

    To halve a photo first takes a third of the time that it takes to shrink it at once.
    """
    height, width = rgb.shape[:2]
    if max(height, width) <= most or height % 2 or width % 2:
        return rgb, 1.0
    return shrink(rgb, max(height, width) // 2)


def enlargement(factor: float) -> np.ndarray:
    """float64 (2, 3), pixels of a shrunk image to pixels of the photo."""
    return np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5]])


class _HaarCascades:
    """The cascades of Viola and Jones that come with OpenCV: they give a box and the two eyes in it."""

    LONGER_SIDE = 1024
    MOST_AT_ONCE = TILE
    SMALLEST_BOX = 28  # pixels at that size
    SMALLEST_CONFIDENCE = 0.5
    NEIGHBOURS = 3  # windows that must agree; one is enough where candidates are confirmed
    TILTS = ((25.0, -25.0), (45.0, -45.0))  # degrees; the cascades find faces within about 15 of upright
    EYE_CLOSE_UP = 160  # side in pixels to which the face's box is scaled to find the eyes

    def __init__(self):
        folder = Path(getattr(getattr(cv2, "data", None), "haarcascades", ""))
        self._face, self._eye = (
            cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml")) for name in ("frontalface_alt2", "eye")
        )
        if self._face.empty() or self._eye.empty():
            raise FaceError(
                "This OpenCV comes without Haar cascades. Install opencv-python-headless below version 5, "
                "or use a YuNet file: FaceDetector(yunet_path())."
            )

    def detect(
        self, view: np.ndarray, to_photo: np.ndarray, decide: Decide | None, *, tilted: bool = True
    ) -> list[Face]:
        """As YuNet's. Without ``tilted`` only upright faces are searched, which takes a fifth."""
        small, factor = shrink(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), self.LONGER_SIDE)
        faces: list[Face] = []
        for tilts in ((0.0,), *self.TILTS) if tilted else ((0.0,),):
            found = [face for degrees in tilts for face in self._find_tilted(small, degrees, doubtful=bool(decide))]
            found = [face.transformed(enlargement(factor)).transformed(to_photo) for face in found]
            faces += decide(found) if decide else found
            if any(decide or face.confidence > 0.6 for face in faces):  # turn only if no face is certain: it is slow
                break
        return faces

    def refine(self, rgb: np.ndarray, face: Face) -> Face:
        return face

    def _find_tilted(self, grey: np.ndarray, degrees: float, doubtful: bool) -> list[Face]:
        if degrees == 0:
            return self._find(grey, doubtful)
        height, width = grey.shape
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
        turned = cv2.warpAffine(grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return [face.transformed(cv2.invertAffineTransform(turn)) for face in self._find(turned, doubtful)]

    def _find(self, grey: np.ndarray, doubtful: bool) -> list[Face]:
        """Faces of a grey picture, including the doubtful ones if they are to be confirmed."""
        neighbours = 1 if doubtful else self.NEIGHBOURS
        boxes, _, weights = self._face.detectMultiScale3(
            grey, 1.15, neighbours, minSize=(self.SMALLEST_BOX, self.SMALLEST_BOX), outputRejectLevels=True
        )
        faces = []
        for (left, top, side, _), weight in zip(boxes, np.ravel(weights), strict=True):
            left, top, side = int(left), int(top), int(side)
            landmarks = np.full((5, 2), np.nan)
            landmarks[:2] = (left, top) + side * self._eyes_in_box(grey[top : top + side, left : left + side]) - 0.5
            # Weight is the last stage's sum. 5 % of true faces lie below 55.2, and most false ones.
            confidence = 1 / (1 + math.exp(-2.5 * (float(weight) - 55.2)))
            if confidence < self.SMALLEST_CONFIDENCE and not doubtful:
                continue
            faces.append(Face((left - 0.5, top - 0.5, left + side - 0.5, top + side - 0.5), landmarks, confidence))
        return faces

    def _eyes_in_box(self, box: np.ndarray) -> np.ndarray:
        """Centres of the eyes as shares of the box's side, float (2, 2); the usual ones unless both are found."""
        side = self.EYE_CLOSE_UP
        shrinks = box.shape[1] > side
        close_up = cv2.resize(box, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        eyes = self._eye.detectMultiScale(close_up[: round(0.62 * side)], 1.05, 3, minSize=(20, 20), maxSize=(64, 64))
        centres = np.array([(left + width / 2, top + height / 2) for left, top, width, height in eyes]).reshape(-1, 2)
        distance = np.linalg.norm(centres[:, None] / side - EYES_IN_BOX, axis=2)  # (eyes, 2)
        if not (distance.min(axis=0, initial=np.inf) < 0.14).all():  # one eye alone would tilt the face
            return EYES_IN_BOX
        return centres[distance.argmin(axis=0)] / side
