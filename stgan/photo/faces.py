"""Find faces in a photograph and bring them into the frame that the models were trained on.

Two steps; :mod:`stgan.photo.paste` is the third:

1. :class:`FaceDetector` finds faces (YuNet where its file is at hand, OpenCV's Haar cascades otherwise).
2. :func:`align_face` gives the similarity that maps the photo onto the model's crop: CelebA's aligned frame
   (178x218), of which rows 26 to 196 and columns 3 to 173 are scaled to the model's image size.

Coordinates are (x, y) in pixels with pixel centres at whole numbers, so the left edge of an image lies at x = -0.5.
"""

import logging
import math
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from stgan.frame import CELEBA_CROP, CELEBA_SIZE, MEAN_LANDMARKS
from stgan.photo.geometry import as_3x3, box_to_square, extent, transform

logger = logging.getLogger(__name__)

LANDMARK_WEIGHTS = np.array([1.0, 1.0, 0.2, 0.7, 0.7])
"""What each landmark counts in the alignment. The nose leaves the plane of the others as the head turns: with equal
weights CelebA's own landmarks miss CelebA's frame by 0.099 eye distances on average, with these by 0.069."""
SMALLEST_FACE = 32
"""Shorter side of a face's box, in pixels, below which there is too little to edit."""

YUNET_REPO = "opencv/face_detection_yunet"
YUNET_FILE = "face_detection_yunet_2023mar.onnx"


Confirm = Callable[[np.ndarray, Sequence["Face"]], list["Face"]]
"""Photo (H, W, 3) and candidates to those of them that are faces."""


class FaceError(ValueError):
    """No usable face; the message says what the person can do about it."""


NO_FACE = (
    "No face was found. The photo must be upright: turn it if it lies on its side or upside down. Else try one where "
    "the face is larger and looks at the camera, or crop the face yourself and tick 'Already aligned'."
)


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a photo.

    Attributes:
        box: left, top, right, bottom in pixels of the photo; may reach beyond it.
        landmarks: float (5, 2), pixels of the photo: eye left in the image, eye right in the image, nose, mouth
            corner left, mouth corner right. Rows a detector does not know are NaN (Haar knows the eyes only). None
            where nothing but the box is known.
        confidence: in [0, 1].
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray | None
    confidence: float

    @property
    def size(self) -> float:
        """Shorter side of the box in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def is_tiny(self) -> bool:
        """Whether there are too few pixels to edit."""
        return bool(self.size < SMALLEST_FACE)

    @property
    def is_profile(self) -> bool:
        """Whether the head is turned so far that its two eyes nearly coincide. False where the mouth is unknown."""
        if self.landmarks is None or np.isnan(self.landmarks).any():
            return False
        eyes, mouth = self.landmarks[:2], self.landmarks[3:]
        height = np.linalg.norm(mouth.mean(axis=0) - eyes.mean(axis=0))
        return bool(np.linalg.norm(eyes[1] - eyes[0]) < 0.4 * height)  # 0.95 for a face seen from the front

    @property
    def is_editable(self) -> bool:
        """Whether an edit of it can look right; :func:`check_editable` says why not."""
        return not (self.is_tiny or self.is_profile)


def check_editable(face: Face) -> Face:
    """Returns the face.

    Raises:
        FaceError: it is too small, or turned too far, for an edit to look right.
    """
    if face.is_tiny:
        raise FaceError(
            f"This face is only {face.size:.0f} pixels wide; at least {SMALLEST_FACE} are needed, and 100 look better. "
            "Use a photo with more pixels or one taken from nearer."
        )
    if face.is_profile:
        raise FaceError(
            "This face is seen from the side, and the model knows faces from the front. Use a photo where both eyes "
            "are visible, or crop the face yourself and tick 'Already aligned'."
        )
    return face


def choose_face(faces: Sequence[Face], number: int | None = None) -> int:
    """Number of the face to edit: the one asked for, or else the largest that is editable.

    Args:
        faces: of one photo, from left to right.
        number: counted from 0 at the left.

    Raises:
        FaceError: none was found, there is no such number, or the face cannot be edited; where none can be, the
            message is about the largest.
    """
    if not faces:
        raise FaceError(NO_FACE)
    if number is None:
        number = max(range(len(faces)), key=lambda each: (faces[each].is_editable, faces[each].size))
    if not -len(faces) <= number < len(faces):
        raise FaceError(f"There is no face number {number}: {len(faces)} were found, counted from 0 at the left.")
    check_editable(faces[number])
    return number


# ---------------------------------------------------------------------------------------------------------- detection


def yunet_path() -> str | None:
    """Path of the YuNet detector's file (MIT, 0.2 MB), downloaded from the Hub on first use; None where it cannot be.

    Nothing calls it on import. ``FaceDetector(yunet_path())`` is the best detector available right now.
    """
    from huggingface_hub import hf_hub_download

    try:  # a cached file needs no word with the network, which may be slow or absent
        return hf_hub_download(YUNET_REPO, YUNET_FILE, local_files_only=True)
    except OSError:
        pass
    if not _hub_answers():
        logger.warning("The Hub cannot be reached for YuNet: faces are found with OpenCV's Haar cascades.")
        return None
    try:
        return hf_hub_download(YUNET_REPO, YUNET_FILE)
    except OSError as error:  # every error of the Hub and of the network is one
        logger.warning("YuNet is not at hand (%s): faces are found with OpenCV's Haar cascades.", error)
        return None


def _hub_answers(seconds: float = 2.0) -> bool:
    """Whether a connection to the Hub opens at all. A download would try for half a minute before it gives up."""
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


class FaceDetector:
    """Finds the faces of a photo. May be shared by threads.

    Args:
        yunet: path of a YuNet ONNX file (https://huggingface.co/opencv/face_detection_yunet). None: OpenCV's Haar
            cascades, which need no file, find frontal faces only, and know the two eyes instead of five landmarks.

    Raises:
        FaceError: there is no such file, or it is no YuNet.
    """

    def __init__(self, yunet: str | Path | None = None):
        self._lock = threading.Lock()  # OpenCV's detectors keep their input size and buffers between calls
        self._backend: _YuNet | _HaarCascades = _HaarCascades() if yunet is None else _YuNet(yunet)

    @property
    def uses_yunet(self) -> bool:
        return isinstance(self._backend, _YuNet)

    def detect(self, rgb: np.ndarray, confirm: Confirm | None = None) -> list[Face]:
        """All faces, ordered left to right, duplicates removed. Tiny ones are among them: see :func:`check_editable`.

        Args:
            rgb: uint8 (H, W, 3).
            confirm: decides about doubtful finds. With it the cascades look less strictly and find more; YuNet is
                sure enough and does not ask.
        """
        check_photo(rgb)
        with self._lock:
            faces = self._backend.detect(rgb, confirm)
        return sorted(_without_duplicates(faces), key=lambda face: face.box[0] + face.box[2])

    def refine(self, rgb: np.ndarray, face: Face) -> Face:
        """The same face with better landmarks, looked for once more in an upright close-up.

        YuNet sees most of a tilt as no tilt: landmarks of a face turned by 15 degrees come back turned by 5 to 12. In
        a close-up turned back by what was seen, little tilt is left, and the error of the alignment halves. The faces
        of the Haar cascades come back as they are.

        Args:
            rgb: uint8 (H, W, 3), the photo the face was found in.
            face: one of :meth:`detect`'s.
        """
        check_photo(rgb)
        with self._lock:
            return self._backend.refine(rgb, face)


def check_photo(rgb: np.ndarray) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(
            f"A photo is uint8 (H, W, 3), as stgan.photo.files.open_photo reads it; not {rgb.dtype} {rgb.shape}."
        )


def _without_duplicates(faces: Sequence[Face], overlap: float = 0.3) -> list[Face]:
    """Non-maximum suppression: the most confident of any faces whose boxes overlap."""
    if not faces:
        return []
    boxes = [(left, top, right - left, bottom - top) for left, top, right, bottom in (face.box for face in faces)]
    kept = cv2.dnn.NMSBoxes(boxes, [face.confidence for face in faces], 0.0, overlap)
    return [faces[index] for index in np.ravel(kept)]


def _shrink(image: np.ndarray, longer_side: int) -> tuple[np.ndarray, float]:
    """The image with its longer side no longer than this, and photo pixels per pixel of it."""
    height, width = image.shape[:2]
    factor = max(width, height) / longer_side
    if factor <= 1:
        return image, 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor


def _enlargement(factor: float) -> np.ndarray:
    """float64 (2, 3), pixels of a shrunk image to pixels of the photo."""
    return np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5]])


class _YuNet:
    """YuNet, a 75 k parameter face detector with five landmarks (doi 10.1007/s11633-023-1423-y), through OpenCV."""

    SCALES = (1280, 320)  # longer side in pixels: for the faces of a group; for a face that fills the photo
    SMALLEST_CONFIDENCE = 0.7
    SMALLEST_IMAGE = 33  # pixels: of one cell of its coarsest stride, 32, it makes nonsense
    CLOSE_UP = (480, 260)  # side in pixels; what it shows, in pixels of the aligned frame

    def __init__(self, path: str | Path):
        if not Path(path).is_file():
            raise FaceError(f"There is no YuNet file at {path}. Leave it out to use OpenCV's own detector.")
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), self.SMALLEST_CONFIDENCE, 0.3, 5000)
        except cv2.error as error:
            raise FaceError(f"{path} is not a YuNet face detector in ONNX format.") from error

    def detect(self, rgb: np.ndarray, confirm: Confirm | None = None) -> list[Face]:
        faces, factor = [], 1.0
        for longer_side in self.SCALES:
            rgb, shrunk = _shrink(rgb, longer_side)
            factor *= shrunk
            faces += [_moved(face, _enlargement(factor)) for face in self._find(rgb)]
        return faces

    def refine(self, rgb: np.ndarray, face: Face) -> Face:
        for look in (self._look, self._look_twice):  # the first turns it upright, the second measures
            close_up, matrix = self._close_up(rgb, face)
            landmarks = look(close_up)
            if landmarks is None:
                return face
            face = Face(face.box, transform(landmarks, cv2.invertAffineTransform(matrix)), face.confidence)
        return face

    def _close_up(self, rgb: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray]:
        """The face as upright and as large as its landmarks make it, and the matrix from the photo to this view."""
        side, shown = self.CLOSE_UP
        left, top = (CELEBA_SIZE[0] - shown) / 2, (CELEBA_SIZE[1] + 20 - shown) / 2  # faces lie below the middle
        matrix = (box_to_square(left, top, shown, side) @ as_3x3(_frame_similarity(face)))[:2]
        return _sample(rgb, matrix, side), matrix

    def _look(self, close_up: np.ndarray) -> np.ndarray | None:
        """Landmarks (5, 2) of the face in the middle of a close-up."""
        middle, reach = (len(close_up) - 1) / 2, len(close_up) / 4
        near = [face for face in self._find(close_up) if np.abs(face.landmarks.mean(axis=0) - middle).max() < reach]
        return max(near, key=lambda face: face.size).landmarks if near else None

    def _look_twice(self, close_up: np.ndarray) -> np.ndarray | None:
        """The mean of what is seen as it is and mirrored, so that errors to one side cancel."""
        plain, mirrored = self._look(close_up), self._look(close_up[:, ::-1])
        if plain is None or mirrored is None:
            return None
        mirrored = np.stack([len(close_up) - 1 - mirrored[:, 0], mirrored[:, 1]], axis=1)[[1, 0, 2, 4, 3]]
        return (plain + mirrored) / 2

    def _find(self, rgb: np.ndarray) -> list[Face]:
        if min(rgb.shape[:2]) < self.SMALLEST_IMAGE:
            return []
        self._network.setInputSize((rgb.shape[1], rgb.shape[0]))
        _, rows = self._network.detect(np.ascontiguousarray(rgb[:, :, ::-1]))
        # A row: left, top, width, height; the person's right eye, left eye, nose tip, right and left corner of the
        # mouth; score. A person's right is the image's left, so the order is already that of Face.landmarks.
        return [
            Face((left, top, left + width, top + height), np.array(points).reshape(5, 2), min(max(score, 0.0), 1.0))
            for left, top, width, height, *points, score in ([] if rows is None else rows.astype(np.float64).tolist())
        ]


class _HaarCascades:
    """The cascades of Viola and Jones that come with OpenCV: a box, and the two eyes in it."""

    LONGER_SIDE = 1024
    SMALLEST_BOX = 28  # pixels at that size
    SMALLEST_CONFIDENCE = 0.5
    NEIGHBOURS = 3  # windows that must agree; with a second opinion one is enough
    TILTS = ((25.0, -25.0), (45.0, -45.0))  # degrees; the cascades see faces within about 15 of upright
    EYES_IN_BOX = np.array([(0.314, 0.377), (0.675, 0.383)])
    """Where the eyes are in a face's box, as shares of its side: mean over 219 of CelebA's validation faces. The
    standard deviation is 0.03 across and 0.04 down, of which most down is tilt."""
    EYE_CLOSE_UP = 160  # pixels across the face's box when its eyes are looked for

    def __init__(self):
        folder = Path(getattr(getattr(cv2, "data", None), "haarcascades", ""))
        self._face, self._eye = (
            cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml")) for name in ("frontalface_alt2", "eye")
        )
        if self._face.empty() or self._eye.empty():
            raise FaceError(
                "This OpenCV comes without Haar cascades. Install opencv-python-headless below version 5, "
                "or give a YuNet file: FaceDetector(yunet_path())."
            )

    def detect(self, rgb: np.ndarray, confirm: Confirm | None = None) -> list[Face]:
        small, factor = _shrink(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), self.LONGER_SIDE)
        faces: list[Face] = []
        for tilts in ((0.0,), *self.TILTS):
            found = [face for degrees in tilts for face in self._find_tilted(small, degrees, doubtful=bool(confirm))]
            found = [_moved(face, _enlargement(factor)) for face in found]
            faces += confirm(rgb, found) if confirm else found
            if any(confirm or face.confidence > 0.6 for face in faces):  # turning is slow: only where nothing is sure
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
        return [_moved(face, cv2.invertAffineTransform(turn)) for face in self._find(turned, doubtful)]

    def _find(self, grey: np.ndarray, doubtful: bool) -> list[Face]:
        """Faces of a grey picture; the doubtful ones too, or only those that are believed without a second opinion."""
        neighbours = 1 if doubtful else self.NEIGHBOURS
        boxes, _, weights = self._face.detectMultiScale3(
            grey, 1.15, neighbours, minSize=(self.SMALLEST_BOX, self.SMALLEST_BOX), outputRejectLevels=True
        )
        faces = []
        for (left, top, side, _), weight in zip(boxes, np.ravel(weights), strict=True):
            left, top, side = int(left), int(top), int(side)
            landmarks = np.full((5, 2), np.nan)
            landmarks[:2] = (left, top) + side * self._eyes_in_box(grey[top : top + side, left : left + side]) - 0.5
            # The last stage's sum: 5 % of true faces lie below 55.2, and most of what is no face.
            confidence = 1 / (1 + math.exp(-2.5 * (float(weight) - 55.2)))
            if confidence < self.SMALLEST_CONFIDENCE and not doubtful:
                continue
            faces.append(Face((left - 0.5, top - 0.5, left + side - 0.5, top + side - 0.5), landmarks, confidence))
        return faces

    def _eyes_in_box(self, box: np.ndarray) -> np.ndarray:
        """Centres of the eyes as shares of the box's side, float (2, 2); the usual place of one that is not seen."""
        side = self.EYE_CLOSE_UP
        shrinks = box.shape[1] > side
        close_up = cv2.resize(box, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        seen = self._eye.detectMultiScale(close_up[: round(0.62 * side)], 1.05, 3, minSize=(20, 20), maxSize=(64, 64))
        centres = np.array([(left + width / 2, top + height / 2) for left, top, width, height in seen]).reshape(-1, 2)
        distance = np.linalg.norm(centres[:, None] / side - self.EYES_IN_BOX, axis=2)  # (seen, 2)
        if not (distance.min(axis=0, initial=np.inf) < 0.14).all():  # one eye alone would tilt the face
            return self.EYES_IN_BOX
        return centres[distance.argmin(axis=0)] / side


def _moved(face: Face, matrix: np.ndarray) -> Face:
    """The face under a similarity; a turned box becomes the upright one of the same size and centre."""
    left, top, right, bottom = face.box
    x, y = transform(np.array([[(left + right) / 2, (top + bottom) / 2]]), matrix)[0].tolist()
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    width, height = scale * (right - left) / 2, scale * (bottom - top) / 2
    landmarks = None if face.landmarks is None else transform(face.landmarks, matrix)
    return Face((x - width, y - height, x + width, y + height), landmarks, face.confidence)


# ---------------------------------------------------------------------------------------------------------- alignment


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where the model's crop lies in the photo.

    Attributes:
        matrix: float64 (2, 3), maps pixels of the photo to pixels of the crop; a similarity.
    """

    matrix: np.ndarray

    @property
    def inverse(self) -> np.ndarray:
        """float64 (2, 3), maps pixels of the crop to pixels of the photo."""
        return cv2.invertAffineTransform(self.matrix)

    @property
    def scale(self) -> float:
        """Pixels of the crop per pixel of the photo."""
        return math.hypot(self.matrix[0, 0], self.matrix[1, 0])


def align_face(face: Face, image_size: int) -> Alignment:
    """The similarity that brings the face's landmarks closest to CelebA's mean landmarks.

    Weighted least squares in closed form (Umeyama 1991) over the landmarks that are known; exact for two eyes.

    Args:
        face: as detected; where nothing but its box is known, the eyes are put at their usual place in it.
        image_size: side S of the model's image, pixels.
    """
    return Alignment((_frame_to_crop(image_size) @ as_3x3(_frame_similarity(face)))[:2])


def landmarks_in(alignment: Alignment, image_size: int) -> np.ndarray:
    """Where an alignment puts the mean face's landmarks, float (5, 2) in pixels of the photo.

    :func:`align_face` makes the same alignment of them.
    """
    return transform(transform(MEAN_LANDMARKS, _frame_to_crop(image_size)[:2]), alignment.inverse)


def _frame_to_crop(image_size: int) -> np.ndarray:
    """float64 (3, 3), pixels of the aligned frame to pixels of the crop."""
    left, top, right, _ = CELEBA_CROP
    return box_to_square(left - 0.5, top - 0.5, right - left, image_size)


def align_whole(photo_shape: Sequence[int], image_size: int) -> Alignment:
    """For a photo that is a face already: CelebA's crop where it is a CelebA image, else all of it, centred.

    Args:
        photo_shape: (H, W) or (H, W, 3).
        image_size: side S of the model's image, pixels. What a photo lacks to a square is made up by its border.
    """
    height, width = photo_shape[:2]
    if looks_aligned(photo_shape):
        left, top, right, _ = CELEBA_CROP
        return Alignment(box_to_square(left - 0.5, top - 0.5, right - left, image_size)[:2])
    side = max(height, width)
    return Alignment(box_to_square((width - side) / 2 - 0.5, (height - side) / 2 - 0.5, side, image_size)[:2])


def looks_aligned(photo_shape: Sequence[int]) -> bool:
    """Whether a photo of this shape, (H, W) or (H, W, 3), is one of CelebA's aligned images: 178 wide, 218 high."""
    return (photo_shape[1], photo_shape[0]) == CELEBA_SIZE


def _frame_similarity(face: Face) -> np.ndarray:
    """float64 (2, 3), pixels of the photo to pixels of the aligned frame.

    A similarity of the plane is one complex multiplication and addition, z -> a z + b, which least squares finds at
    once and which cannot mirror.
    """
    landmarks = face.landmarks
    if landmarks is None:
        left, top, right, bottom = face.box
        landmarks = np.full((5, 2), np.nan)
        landmarks[:2] = (left, top) + _HaarCascades.EYES_IN_BOX * (right - left, bottom - top)
    known = ~np.isnan(landmarks).any(axis=1)
    if known.sum() < 2:
        raise FaceError("At least two landmarks of a face must be known to align it.")
    weights = LANDMARK_WEIGHTS[known] / LANDMARK_WEIGHTS[known].sum()
    source, target = (points[known] @ (1, 1j) for points in (landmarks.astype(np.float64), MEAN_LANDMARKS))
    source_mean, target_mean = weights @ source, weights @ target
    spread = weights @ np.abs(source - source_mean) ** 2
    if spread < 1e-12:
        raise FaceError("The landmarks of this face coincide: it cannot be aligned.")
    turn = (weights * np.conj(source - source_mean)) @ (target - target_mean) / spread
    shift = target_mean - turn * source_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


# --------------------------------------------------------------------------------------------------------------- crop


def crop_face(rgb: np.ndarray, alignment: Alignment, image_size: int) -> np.ndarray:
    """What the model sees: uint8 (S, S, 3).

    Shrinks with the filter of the training data (Pillow's antialiased bicubic), so that a large face does not alias.
    What lies outside the photo repeats its border, as in CelebA's own aligned images.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: made for the same image size.
        image_size: S, pixels.
    """
    check_photo(rgb)
    if alignment.matrix[0, 1] == 0 and alignment.matrix[0, 0] > 0:
        return _sample_upright(rgb, alignment.matrix, image_size)
    return _sample(rgb, alignment.matrix, image_size)


def _sample_upright(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Crop and resize, exactly as the training data are made.

    Across and down one after the other, as Pillow does it itself. The direction that the photo fills comes first: a
    long narrow photo made square before it is shrunk would not fit into memory.
    """
    rgb, matrix = _part_needed(rgb, matrix, size)
    edges = (np.array([[0.0], [size]]) - 0.5 - matrix[:, 2]) / matrix[0, 0] + 0.5  # [left, top], [right, bottom]
    (left, top), (right, bottom) = edges.round(6).tolist()
    height, width = rgb.shape[:2]
    if max(0, -left) + max(0, right - width) > max(0, -top) + max(0, bottom - height):
        return _resized_across(_resized_down(rgb, top, bottom, size), left, right, size)
    return _resized_down(_resized_across(rgb, left, right, size), top, bottom, size)


def _resized_across(rgb: np.ndarray, left: float, right: float, size: int) -> np.ndarray:
    """What lies between two edges, uint8 (H, S, 3); outside the photo that is its border."""
    first, last = math.floor(left), math.ceil(right)
    before, after = max(0, -first), max(0, last - rgb.shape[1])
    if before or after:
        rgb = cv2.copyMakeBorder(rgb, 0, 0, before, after, borderType=cv2.BORDER_REPLICATE)
    part = Image.fromarray(rgb[:, first + before : last + before])
    box = (left - first, 0, right - first, part.height)
    return np.array(part.resize((size, part.height), Image.Resampling.BICUBIC, box=box))


def _resized_down(rgb: np.ndarray, top: float, bottom: float, size: int) -> np.ndarray:
    """The same the other way: uint8 (S, W, 3)."""
    return np.ascontiguousarray(_resized_across(rgb.transpose(1, 0, 2), top, bottom, size).transpose(1, 0, 2))


def _sample(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp at the photo's own density, then shrink: a warp alone reads only the pixels next to each sample."""
    rgb, matrix = _part_needed(rgb, matrix, size)
    density = 1 / math.hypot(matrix[0, 0], matrix[1, 0])  # photo pixels per pixel of the result
    if density > 6:  # a large face: the coarse part of the shrinking is left to averaging
        height, width = rgb.shape[:2]
        rgb, _ = _shrink(rgb, math.ceil(3 * max(height, width) / density))
        across, down = width / rgb.shape[1], height / rgb.shape[0]
        matrix = matrix @ np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
        matrix, density = matrix[:2], density / across
    oversampling = max(1, math.ceil(density))
    warped = cv2.warpAffine(
        rgb,
        (box_to_square(-0.5, -0.5, size, size * oversampling) @ as_3x3(matrix))[:2],
        (size * oversampling, size * oversampling),
        flags=cv2.INTER_CUBIC if oversampling == 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if oversampling == 1:
        return warped
    return np.array(Image.fromarray(warped).resize((size, size), Image.Resampling.BICUBIC))


def _part_needed(rgb: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of the photo a crop reads, and the matrix from that part to the crop."""
    left, top, right, bottom = extent(matrix, (-0.5, -0.5, size - 0.5, size - 0.5), rgb.shape, margin=3)
    shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    return rgb[top:bottom, left:right], matrix @ shift
