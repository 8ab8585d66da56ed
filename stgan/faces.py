"""Find faces in a photograph, bring them into the frame the models were trained on, and put edits back.

Three steps, none of which needs a neural network library:

1. :class:`FaceDetector` finds faces (YuNet where its file is at hand, OpenCV's Haar cascades otherwise).
2. :func:`align_face` gives the similarity that maps the photo onto the model's crop: CelebA's aligned frame
   (178x218), of which rows 26 to 196 and columns 3 to 173 are scaled to the model's image size.
3. :func:`paste_edit` carries the *change* a model made in that crop back to the photo at the photo's resolution.

Coordinates are (x, y) in pixels with pixel centres at whole numbers, so the left edge of an image lies at x = -0.5.
"""

import logging
import math
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from stgan.pixels import CELEBA_CROP, CELEBA_SIZE

logger = logging.getLogger(__name__)

MEAN_LANDMARKS = np.array([(69.1, 111.2), (107.8, 111.3), (87.8, 134.9), (71.5, 151.8), (105.4, 152.2)])
"""CelebA's mean landmarks in the aligned frame, (5, 2) pixels: eye left and right in the image, nose, mouth corners."""
LANDMARK_WEIGHTS = np.array([1.0, 1.0, 0.2, 0.7, 0.7])
"""What each landmark counts in the alignment. The nose leaves the plane of the others as the head turns: with equal
weights CelebA's own landmarks miss CelebA's frame by 0.099 eye distances on average, with these by 0.069."""
SMALLEST_FACE = 32
"""Shorter side of a face's box, in pixels, below which there is too little to edit."""

YUNET_REPO = "opencv/face_detection_yunet"
YUNET_FILE = "face_detection_yunet_2023mar.onnx"


class FaceError(ValueError):
    """No usable face; the message says what the person can do about it."""


NO_FACE = (
    "No face was found. Try a photo where the face is larger and looks at the camera, "
    "or crop the face yourself and tick 'Already aligned'."
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

    def detect(self, rgb: np.ndarray) -> list[Face]:
        """All faces, ordered left to right, duplicates removed. Tiny ones are among them: see :func:`check_editable`.

        Args:
            rgb: uint8 (H, W, 3).
        """
        _check_photo(rgb)
        with self._lock:
            faces = self._backend.detect(rgb)
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
        _check_photo(rgb)
        with self._lock:
            return self._backend.refine(rgb, face)


def _check_photo(rgb: np.ndarray) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(
            f"A photo is uint8 (H, W, 3), as stgan.photos.open_photo reads it; not {rgb.dtype} {rgb.shape}."
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

    def detect(self, rgb: np.ndarray) -> list[Face]:
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
            face = Face(face.box, _transform(landmarks, cv2.invertAffineTransform(matrix)), face.confidence)
        return face

    def _close_up(self, rgb: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray]:
        """The face as upright and as large as its landmarks make it, and the matrix from the photo to this view."""
        side, shown = self.CLOSE_UP
        left, top = (CELEBA_SIZE[0] - shown) / 2, (CELEBA_SIZE[1] + 20 - shown) / 2  # faces lie below the middle
        matrix = (_box_to_square(left, top, shown, side) @ _as_3x3(_frame_similarity(face)))[:2]
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
    TILTS = (25.0, -25.0, 45.0, -45.0)  # degrees; the cascades see faces within about 15 of upright
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

    def detect(self, rgb: np.ndarray) -> list[Face]:
        small, factor = _shrink(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), self.LONGER_SIDE)
        faces = self._find(small)
        if not any(face.confidence > 0.6 for face in faces):  # slow, so only where nothing upright is certain
            for degrees in self.TILTS:
                faces += self._find_tilted(small, degrees)
        return [_moved(face, _enlargement(factor)) for face in faces]

    def refine(self, rgb: np.ndarray, face: Face) -> Face:
        return face

    def _find_tilted(self, grey: np.ndarray, degrees: float) -> list[Face]:
        height, width = grey.shape
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
        turned = cv2.warpAffine(grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return [_moved(face, cv2.invertAffineTransform(turn)) for face in self._find(turned)]

    def _find(self, grey: np.ndarray) -> list[Face]:
        boxes, _, weights = self._face.detectMultiScale3(
            grey, 1.15, 3, minSize=(self.SMALLEST_BOX, self.SMALLEST_BOX), outputRejectLevels=True
        )
        faces = []
        for (left, top, side, _), weight in zip(boxes, np.ravel(weights), strict=True):
            left, top, side = int(left), int(top), int(side)
            landmarks = np.full((5, 2), np.nan)
            landmarks[:2] = (left, top) + side * self._eyes_in_box(grey[top : top + side, left : left + side]) - 0.5
            # The last stage's sum: 5 % of true faces lie below 55.2, and most of what is no face.
            confidence = 1 / (1 + math.exp(-2.5 * (float(weight) - 55.2)))
            if confidence < self.SMALLEST_CONFIDENCE:
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
    x, y = _transform(np.array([[(left + right) / 2, (top + bottom) / 2]]), matrix)[0].tolist()
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    width, height = scale * (right - left) / 2, scale * (bottom - top) / 2
    landmarks = None if face.landmarks is None else _transform(face.landmarks, matrix)
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
    left, top, right, bottom = CELEBA_CROP
    to_crop = _box_to_square(left - 0.5, top - 0.5, right - left, image_size)
    return Alignment((to_crop @ _as_3x3(_frame_similarity(face)))[:2])


def align_whole(photo_shape: Sequence[int], image_size: int) -> Alignment:
    """For a photo that is a face already: CelebA's crop where it is a CelebA image, else all of it, centred.

    Args:
        photo_shape: (H, W) or (H, W, 3).
        image_size: side S of the model's image, pixels. What a photo lacks to a square is made up by its border.
    """
    height, width = photo_shape[:2]
    if looks_aligned(photo_shape):
        left, top, right, _ = CELEBA_CROP
        return Alignment(_box_to_square(left - 0.5, top - 0.5, right - left, image_size)[:2])
    side = max(height, width)
    return Alignment(_box_to_square((width - side) / 2 - 0.5, (height - side) / 2 - 0.5, side, image_size)[:2])


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


def _box_to_square(left: float, top: float, side: float, size: int) -> np.ndarray:
    """float64 (3, 3): the square whose outer edges start at (left, top) onto an image of size x size pixels."""
    scale = size / side
    return np.array([[scale, 0, -left * scale - 0.5], [0, scale, -top * scale - 0.5], [0, 0, 1]])


def _as_3x3(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([matrix, (0, 0, 1)])


def _transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (N, 2) under a (2, 3) matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


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
    _check_photo(rgb)
    if alignment.matrix[0, 1] == 0 and alignment.matrix[0, 0] > 0:
        return _sample_upright(rgb, alignment.matrix, image_size)
    return _sample(rgb, alignment.matrix, image_size)


def _sample_upright(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Crop and resize, exactly as the training data are made."""
    height, width = rgb.shape[:2]
    edges = (np.array([[0.0], [size]]) - 0.5 - matrix[:, 2]) / matrix[0, 0] + 0.5  # [left, top], [right, bottom]
    (left, top), (right, bottom) = edges.round(6).tolist()
    outer = (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    missing = [max(0, -outer[1]), max(0, outer[3] - height), max(0, -outer[0]), max(0, outer[2] - width)]
    if any(missing):
        rgb = cv2.copyMakeBorder(rgb, *missing, borderType=cv2.BORDER_REPLICATE)
    x, y = outer[0] + missing[2], outer[1] + missing[0]
    part = Image.fromarray(rgb[y : y + outer[3] - outer[1], x : x + outer[2] - outer[0]])
    box = (left - outer[0], top - outer[1], right - outer[0], bottom - outer[1])
    return np.array(part.resize((size, size), Image.Resampling.BICUBIC, box=box))


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
        (_box_to_square(-0.5, -0.5, size, size * oversampling) @ _as_3x3(matrix))[:2],
        (size * oversampling, size * oversampling),
        flags=cv2.INTER_CUBIC if oversampling == 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if oversampling == 1:
        return warped
    return np.array(Image.fromarray(warped).resize((size, size), Image.Resampling.BICUBIC))


def _part_needed(rgb: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of the photo a crop reads, and the matrix from that part to the crop."""
    left, top, right, bottom = _extent(matrix, (-0.5, -0.5, size - 0.5, size - 0.5), rgb.shape, margin=3)
    shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    return rgb[top:bottom, left:right], matrix @ shift


def _extent(
    matrix: np.ndarray, box: tuple[float, float, float, float], photo_shape: Sequence[int], margin: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels of a photo that a box of the crop covers; one pixel at least."""
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    corners = _transform(corners, cv2.invertAffineTransform(matrix))
    limit = np.array([photo_shape[1], photo_shape[0]])
    first = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin, 0, limit - 1)
    last = np.clip(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, first + 1, limit)
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])


# -------------------------------------------------------------------------------------------------------------- paste


def paste_edit(
    rgb: np.ndarray,
    alignment: Alignment,
    reconstruction: np.ndarray,
    edited: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    beyond_crop: bool = False,
) -> np.ndarray:
    """The photo with the change the model made, at the photo's own resolution: uint8 (H, W, 3).

    The change is ``edited - reconstruction``, so what the model cannot draw stays the photo's. Where it follows the
    photo's own light and dark (hair colour, skin) it is fitted to them by a guided filter, so edges stay where they
    are in the photo; where it brings a structure of its own (glasses, a fringe, a bald head) the photo's detail gives
    way to the edited image. It fades out towards the crop's border, except along the photo's own border.

    Args:
        rgb: uint8 (H, W, 3).
        alignment: the one that made the model's input.
        reconstruction: float (S, S, 3) in [0, 255], the model's output for no change.
        edited: float (S, S, 3) in [0, 255], its output for the edit; composed with the mask already, if it has one.
        mask: float (S, S) in [0, 1], where the model says it changed something. Where it is 0 no pixel of the photo
            changes. None: where edited and reconstruction differ by more than noise.
        beyond_crop: carry the change on beyond the crop, onto what looks like what changed at its border. CelebA's
            crop cuts the hair of most people: without this a new hair colour ends in the middle of it.

    Source: guided filter, He, Sun and Tang, TPAMI 2013 (doi 10.1109/TPAMI.2012.213), applied at a smaller size as in
    arXiv 1505.00996.
    """
    _check_photo(rgb)
    if edited.shape != reconstruction.shape or edited.ndim != 3 or edited.shape[0] != edited.shape[1]:
        raise ValueError(f"reconstruction {reconstruction.shape} and edited {edited.shape} must both be (S, S, 3).")
    reconstruction, edited = (np.asarray(image, np.float32) for image in (reconstruction, edited))
    if beyond_crop:
        alignment, reconstruction, edited, mask = _continued(rgb, alignment, reconstruction, edited, mask)
    result = rgb.copy()
    size = edited.shape[0]
    support = _support(edited - reconstruction, mask) * _border_fade(rgb.shape, alignment, size)
    rows, columns = np.nonzero(support.any(axis=1))[0], np.nonzero(support.any(axis=0))[0]
    if len(rows) == 0:
        return result
    change = _Change.fitted(rgb, alignment, reconstruction, edited)
    box = (columns[0] - 1.0, rows[0] - 1.0, columns[-1] + 1.0, rows[-1] + 1.0)
    left, top, right, bottom = _extent(alignment.matrix, box, rgb.shape, margin=0)
    height = max(1, STRIP_PIXELS // (right - left))
    for y in range(top, bottom, height):
        strip = result[y : min(y + height, bottom), left:right]
        strip[...] = change.applied(strip, (left, y), alignment.matrix, support)
    return result


STRIP_PIXELS = 1 << 17  # pixels pasted at a time: floats of a strip stay in the processor's cache
NOISE = (1.5, 6.0)  # levels of change that are the model's noise; that are surely meant
FADE = 0.1  # of the crop's side, over which the change fades out at each border
ROUNDNESS = 4  # exponent of the superellipse it fades along: 2 is a circle, infinity a square


def _support(delta: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Float (S, S) in [0, 1]: where a change is carried over."""
    size = delta.shape[0]
    if mask is not None:
        mask = np.asarray(mask, np.float32).reshape(size, size)
        return _smoothstep(mask, 0.0, 0.2) * (np.abs(delta).max(axis=2) > 0).any()
    return _smoothstep(cv2.GaussianBlur(np.abs(delta).max(axis=2), (0, 0), size / 64), *NOISE)


def _border_fade(photo_shape: Sequence[int], alignment: Alignment, size: int) -> np.ndarray:
    """Float (S, S): 1 inside, falling to 0 at those sides of the crop beyond which the photo goes on."""
    corners = _transform(np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * size - 0.5, alignment.inverse)
    farthest = np.array([photo_shape[1], photo_shape[0]]) - 0.5
    reach = np.abs(np.arange(size) - (size - 1) / 2) / ((size - 1) / 2)  # 0 in the middle, 1 at the outermost pixels
    across, down = reach.copy(), reach.copy()
    first, last = slice(0, size // 2), slice(size // 2, size)
    sides = ((down, first), (across, last), (down, last), (across, first))  # top, right, bottom, left
    for index, (axis, half) in enumerate(sides):
        ends = corners[[index, (index + 1) % 4]]
        if ((ends < 0.25).all(axis=0) | (ends > farthest - 0.75).all(axis=0)).any():
            axis[half] = 0.0  # this side lies on or outside the photo's border, where nothing could show
    # Rounded corners: the eye finds a square of even tint sooner than a shape without straight edges.
    distance = (down[:, None] ** ROUNDNESS + across[None, :] ** ROUNDNESS) ** (1 / ROUNDNESS)
    return 1 - _smoothstep(distance, 1 - 2 * FADE, 1.0).astype(np.float32)


def _smoothstep(values: np.ndarray, zero: float, one: float) -> np.ndarray:
    share = np.clip((values - zero) / (one - zero), 0.0, 1.0)
    return share * share * (3 - 2 * share)


def _continued(
    rgb: np.ndarray, alignment: Alignment, reconstruction: np.ndarray, edited: np.ndarray, mask: np.ndarray | None
) -> tuple[Alignment, np.ndarray, np.ndarray, np.ndarray | None]:
    """The arguments of a paste in a crop half as large again, with the change carried on beyond the model's crop."""
    size = len(edited)
    margin = size // 4
    wide_alignment = Alignment(alignment.matrix + np.array([[0, 0, margin], [0, 0, margin]]))
    wide = crop_face(rgb, wide_alignment, size + 2 * margin).astype(np.float32)
    change = edited - reconstruction
    if mask is not None:  # the mask travels as a fourth channel
        change = np.dstack([change, np.asarray(mask, np.float32).reshape(size, size)])
    inner = np.s_[margin : margin + size, margin : margin + size]
    wide_change = _carried_on(cv2.copyMakeBorder(change, *[margin] * 4, borderType=cv2.BORDER_REPLICATE), wide, size)
    wide_change[inner] = change
    wide[inner] = reconstruction
    wide_mask = None if mask is None else np.clip(wide_change[..., 3], 0, 1)
    return wide_alignment, wide, wide + wide_change[..., :3], wide_mask


def _carried_on(change: np.ndarray, photo: np.ndarray, size: int) -> np.ndarray:
    """The change (W, W, C) outside the middle square of this size, by likeness in place and colour to its border.

    Each pixel outside takes the mean change of the pixels along the border, weighted by how near they are and how close
    in colour (a joint bilateral filter): hair takes that of hair, the wall behind it that of the wall. Worked out at
    about 100 pixels across; the paste that follows refines it by the photo's own edges.
    """
    wide = len(change)
    step = max(1, size // 64)
    coarse_size = (round(wide / step),) * 2
    coarse, coarse_change = (cv2.resize(x, coarse_size, interpolation=cv2.INTER_AREA) for x in (photo, change))
    axis = (np.arange(coarse_size[0], dtype=np.float32) + 0.5) * (wide / coarse_size[0]) - wide / 2
    place = np.stack(np.meshgrid(axis, axis), axis=-1)  # pixels from the middle
    beyond = np.abs(place).max(axis=2) - size / 2  # positive outside the crop
    outside, ring = beyond > 0, (beyond <= 0) & (beyond > -size / 8)

    features = np.concatenate([place / (size / 10), coarse / 16.0], axis=2)  # in standard deviations
    squares = (features**2).sum(axis=2)
    distance = squares[outside][:, None] + squares[ring] - 2 * features[outside] @ features[ring].T
    weight = np.exp(-0.5 * np.maximum(distance, 0.0))
    # The constant lets what is like nothing at the border go without a change.
    coarse_change[outside] = weight @ coarse_change[ring] / (weight.sum(axis=1, keepdims=True) + 0.05)
    return cv2.resize(coarse_change, (wide, wide), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class _Change:
    """A change of the photo, linear in its luminance Y and its pixels p, held at a moderate size G:

    ``p' = p + support * (gain * Y + offset - replaced * p)``
    """

    gain: np.ndarray  # (G, G, 3)
    offset: np.ndarray  # (G, G, 3), levels
    replaced: np.ndarray  # (G, G), the share of the photo's own pixels that gives way to the edited image

    MOST_DETAIL = 4  # G is at most this times S: beyond it gain and offset have nothing finer to say

    @classmethod
    def fitted(cls, rgb: np.ndarray, alignment: Alignment, reconstruction: np.ndarray, edited: np.ndarray) -> "_Change":
        """The change from reconstruction to edited, float (S, S, 3), fitted to the photo as it looks in the crop."""
        size = edited.shape[0]
        detail = min(1 / alignment.scale, cls.MOST_DETAIL)  # pixels of the grid per pixel of the crop
        grid = max(8, round(size * detail))
        photo = crop_face(
            rgb, Alignment((_box_to_square(-0.5, -0.5, size, grid) @ _as_3x3(alignment.matrix))[:2]), grid
        )
        luminance = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
        delta = _resized(edited - reconstruction, grid)
        gain, offset = _guided_filter(luminance, delta, radius=max(1, round(1.5 * detail)))
        own = _own_structure(delta - gain * luminance[..., None] - offset, detail)
        gain *= 1 - own
        offset += own * (delta - offset)
        replaced = _replaced(delta, own[..., 0], reconstruction, edited)
        error = _resized(photo.astype(np.float32), size) - reconstruction
        slow_error = cv2.GaussianBlur(error, (0, 0), size / 16)
        target = _resized(edited + slow_error, grid)  # its colour meets that of the photo around it
        gain *= 1 - replaced[..., None]
        offset += replaced[..., None] * (target - offset)
        return cls(gain, offset, replaced)

    def applied(
        self, photo: np.ndarray, corner: tuple[int, int], matrix: np.ndarray, support: np.ndarray
    ) -> np.ndarray:
        """A changed part of the photo, uint8 (h, w, 3), that begins at corner (x, y); matrix leads to the crop."""
        height, width = photo.shape[:2]
        to_crop = matrix @ np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]])
        to_grid = (_box_to_square(-0.5, -0.5, len(support), len(self.replaced)) @ _as_3x3(to_crop))[:2]

        def warped(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:  # (h, w, 3)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP  # the matrix leads from the result to the source
            part = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            return part if part.ndim == 3 else cv2.merge([part] * 3)

        luminance = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
        change = cv2.multiply(warped(self.gain, to_grid), cv2.merge([luminance] * 3))
        change += warped(self.offset, to_grid)
        if self.replaced.any():
            change -= cv2.multiply(warped(self.replaced, to_grid), photo.astype(np.float32))
        change *= warped(support, to_crop)
        return cv2.add(photo, change, dtype=cv2.CV_8U)  # rounds to the nearest level, so no change stays none


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    """Float (S, S, C) at another size, smooth when enlarged, averaged when shrunk."""
    if size == len(image):
        return image.copy()
    shrinks = size < len(image)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _guided_filter(
    guide: np.ndarray, image: np.ndarray, radius: int, epsilon: float = 36.0
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (H, W, C) such that gain * guide + offset is the image with the guide's edges."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT_101)

    guide_mean, image_mean = mean(guide), mean(image)
    variance = mean(guide * guide) - guide_mean**2
    covariance = mean(image * guide[..., None]) - image_mean * guide_mean[..., None]
    gain = np.clip(covariance / (variance + epsilon)[..., None], -1.0, 1.0)
    offset = image_mean - gain * guide_mean[..., None]
    return mean(gain), mean(offset)


def _own_structure(unexplained: np.ndarray, detail: float) -> np.ndarray:
    """Float (G, G, 1) in [0, 1]: where a change is nothing the photo's light and dark could explain."""
    smooth = cv2.GaussianBlur(unexplained, (0, 0), 0.6 * detail)
    near = 2 * max(1, round(1.5 * detail)) + 1
    strength = cv2.blur(np.abs(smooth).max(axis=2), (near, near))
    own = _smoothstep(strength, 4.0, 12.0)[..., None]
    # At the crop's own resolution there is no finer edge to follow: the change is taken as it is.
    return own + (1 - own) * (1 - _smoothstep(np.float32(detail), 1.0, 1.5))


def _replaced(delta: np.ndarray, own: np.ndarray, reconstruction: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """Float (G, G) in [0, 1]: where the edited image takes the place of the photo, detail and all."""
    grid, size = len(delta), len(edited)
    strength = cv2.GaussianBlur(np.abs(delta).max(axis=2), (0, 0), grid / size)

    def texture(image: np.ndarray) -> np.ndarray:
        grey = image.mean(axis=2)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), size / 64)
        return np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), size / 50))

    # Where the edit takes a texture away (hair on a head that is to be bald), so must the paste; one level keeps the
    # ratio from chance in flat places.
    smoother = 1 - _smoothstep((texture(edited) + 1) / (texture(reconstruction) + 1), 0.35, 0.8)
    smoother = np.clip(_resized(smoother, grid), 0, 1)
    return np.maximum(own * _smoothstep(strength, 25.0, 70.0), smoother * _smoothstep(strength, 12.0, 35.0))
