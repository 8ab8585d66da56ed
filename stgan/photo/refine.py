"""Find faces with a detector and an aligner, which improves their landmarks and decides whether they are faces."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from stgan.frame import CELEBA_SIZE, MEAN_LANDMARKS, normalise
from stgan.models import FaceAligner
from stgan.models.aligner import VIEW_CENTRE, VIEW_SHARE
from stgan.photo.align import Alignment, align_face, landmarks_in, looks_aligned
from stgan.photo.crop import crop_face, shrink
from stgan.photo.detect import TILE, Detector, distinct_faces, enlargement
from stgan.photo.face import Face
from stgan.photo.geometry import as_3x3, box_to_square

CROP = 170  # side in pixels of the crop that alignments lead to here; the value does not matter
LEAST_CONFIDENCE = 0.1
"""The aligner's confidence below which no find is a face. In photos that lie on their side or upside down YuNet finds
faces, wrongly placed: for those it is below .003, for the faces of upright photos above .57."""
SURE = 0.5  # confidence of the aligner above which a find is a face for certain
ALIGNED = 0.2
"""Largest mean distance of landmarks from CelebA's, in distances of the eyes, at which an image counts as aligned."""


def faces_any_way_up(detector: Detector, aligner: FaceAligner | None, rgb: np.ndarray) -> list[Face]:
    """The faces of a photo from left to right, as detected. If none is upright, those of the photo turned by 90, 180
    or 270 degrees, whichever shows the most; the aligner decides, so without it only upright faces are found. Large
    photos are turned at a smaller size."""
    upright = [face for face, _ in located_faces(detector, aligner, rgb)]
    if upright or aligner is None:
        return upright
    small, factor = shrink(rgb, TILE)
    height, width = small.shape[:2]
    back = {  # quarters by which NumPy turns the photo, and the way back to its pixels
        1: np.array([[0.0, -1, width - 1], [1, 0, 0]]),
        3: np.array([[0.0, 1, 0], [-1, 0, height - 1]]),
        2: np.array([[-1.0, 0, width - 1], [0, -1, height - 1]]),
    }
    best: list[Face] = []
    most = 0.0
    for quarters, matrix in back.items():
        pairs = located_faces(detector, aligner, np.ascontiguousarray(np.rot90(small, quarters)))
        sure = [(face, refined.confidence) for face, refined in pairs if refined and refined.confidence > SURE]
        confidence = sum(confidence for _, confidence in sure)
        if confidence > most:
            best, most = [face.transformed(matrix).transformed(enlargement(factor)) for face, _ in sure], confidence
    return sorted(best, key=lambda face: face.centre[0])


def is_aligned_crop(detector: Detector, aligner: FaceAligner | None, rgb: np.ndarray) -> bool:
    """Whether a photo has the size of CelebA's aligned images and its face lies where theirs does.

    The aligner decides, or without one the detector.
    """
    if not looks_aligned(rgb.shape):
        return False
    if aligner is None:
        faces = [face for face, _ in located_faces(detector, None, rgb)]
    else:
        mean_face = Face((0.0, 0.0, *CELEBA_SIZE), MEAN_LANDMARKS, 1.0)
        faces = [face for face in refined_faces(aligner, rgb, [mean_face]) if face.confidence > SURE]
    eyes = np.linalg.norm(MEAN_LANDMARKS[1] - MEAN_LANDMARKS[0])
    found = [landmarks_in(align_face(face, CROP), CROP) for face in faces]
    return any(np.linalg.norm(points - MEAN_LANDMARKS, axis=1).mean() < ALIGNED * eyes for points in found)


def located_faces(detector: Detector, aligner: FaceAligner | None, rgb: np.ndarray) -> list[tuple[Face, Face | None]]:
    """The faces of a photo from left to right, each as detected and, with an aligner, as refined by it.

    A profile shows only in the detector's landmarks: the aligner's are always those of a front.
    """
    if aligner is None:
        return [(face, None) for face in distinct_faces(detector.detect(rgb))]
    faces = distinct_faces(detector.detect(rgb, partial(confirmed_faces, aligner)))
    pairs = zip(faces, refined_faces(aligner, rgb, faces), strict=True)
    return [(face, refined) for face, refined in pairs if refined.confidence > LEAST_CONFIDENCE]


def confirmed_faces(aligner: FaceAligner, rgb: np.ndarray, candidates: Sequence[Face]) -> list[Face]:
    """Those of a detector's doubtful candidates that the aligner takes for faces, with its landmarks."""
    return [face for face in refined_faces(aligner, rgb, candidates) if face.confidence > SURE]


@torch.inference_mode()
def refined_faces(aligner: FaceAligner, rgb: np.ndarray, faces: Sequence[Face], passes: int = 2) -> list[Face]:
    """The same faces with the aligner's landmarks and confidence; above 0.5 it takes them for faces.

    The landmarks are those of the mean face in the aligner's frame, so :func:`stgan.photo.align.align_face` returns
    that frame. The first pass takes an upright view in the frame of the detector's landmarks or box, each later one in
    the frame of the pass before. Two passes beat one; a third gains little. All faces go through the network in one
    batch.
    """
    device = next(aligner.parameters()).device
    alignments = [align_face(face, CROP) for face in faces]
    logits = torch.zeros(len(faces))
    for _ in range(passes if faces else 0):
        to_views = [_to_view(alignment, aligner.image_size) for alignment in alignments]
        views = np.stack([crop_face(rgb, view, aligner.image_size) for view in to_views])
        similarities = aligner.align(normalise(torch.from_numpy(views).permute(0, 3, 1, 2).to(device)))
        rows = zip(to_views, similarities.a.tolist(), similarities.b.tolist(), strict=True)
        alignments = [_to_crop(view, a, b, aligner.image_size) for view, a, b in rows]
        logits = similarities.logit.cpu()
    confidences = torch.sigmoid(logits - aligner.threshold.cpu()).tolist()
    return [
        replace(face, landmarks=landmarks_in(alignment, CROP), confidence=confidence)
        for face, alignment, confidence in zip(faces, alignments, confidences, strict=True)
    ]


def _to_view(alignment: Alignment, size: int) -> Alignment:
    """From the photo to the aligner's upright view, given the alignment to the crop."""
    side = VIEW_SHARE * CROP
    x, y = ((part + 1) / 2 * CROP - 0.5 for part in (VIEW_CENTRE.real, VIEW_CENTRE.imag))
    return Alignment((box_to_square(x - side / 2, y - side / 2, side, size) @ as_3x3(alignment.matrix))[:2])


def _to_crop(view: Alignment, a: complex, b: complex, size: int) -> Alignment:
    """From the photo to the crop, given the alignment to a view and the aligner's z -> a z + b from there."""
    similarity = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0, 0, 1]])
    from_pixels = np.array([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    to_pixels = np.array([[CROP / 2, 0, (CROP - 1) / 2], [0, CROP / 2, (CROP - 1) / 2], [0, 0, 1]])
    return Alignment((to_pixels @ similarity @ from_pixels @ as_3x3(view.matrix))[:2])
