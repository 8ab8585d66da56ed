"""Faces as a detector found them, brought into the training frame by the aligner: landmarks, and a second opinion."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from stgan.frame import normalise
from stgan.models import FaceAligner
from stgan.models.aligner import VIEW_CENTRE, VIEW_SHARE
from stgan.photo.faces import Alignment, Face, align_face, crop_face, landmarks_in
from stgan.photo.geometry import as_3x3, box_to_square

CROP = 170  # side of the crop in which frames are kept here, pixels; any would do


@torch.inference_mode()
def refined_faces(aligner: FaceAligner, rgb: np.ndarray, faces: Sequence[Face], looks: int = 2) -> list[Face]:
    """The same faces with landmarks where the aligner's frame puts those of the mean face, and with its confidence:
    above a half it takes them for faces.

    :func:`stgan.photo.faces.align_face` gives that frame back. Each look takes an upright view in the frame of the one
    before, the first in that of the detector's landmarks or box; all faces are seen in one batch.

    Args:
        rgb: uint8 (H, W, 3), the photo the faces were found in.
        faces: as detected.
        looks: how often; two are worth more than one, and a third little.
    """
    device = next(aligner.parameters()).device
    alignments = [align_face(face, CROP) for face in faces]
    logits = [0.0] * len(faces)
    for _ in range(looks if faces else 0):
        to_views = [_to_view(alignment, aligner.image_size) for alignment in alignments]
        views = np.stack([crop_face(rgb, view, aligner.image_size) for view in to_views])
        found = aligner.align(normalise(torch.from_numpy(views).permute(0, 3, 1, 2).to(device)))
        rows = zip(to_views, found.a.tolist(), found.b.tolist(), strict=True)
        alignments = [_to_crop(view, a, b, aligner.image_size) for view, a, b in rows]
        logits = found.logit.cpu()
    confidences = torch.sigmoid(torch.as_tensor(logits) - aligner.threshold.cpu()).tolist()
    return [
        replace(face, landmarks=landmarks_in(alignment, CROP), confidence=confidence)
        for face, alignment, confidence in zip(faces, alignments, confidences, strict=True)
    ]


def _to_view(alignment: Alignment, size: int) -> Alignment:
    """From the photo to the upright view of the aligner, given the way to the crop."""
    side = VIEW_SHARE * CROP
    x, y = ((part + 1) / 2 * CROP - 0.5 for part in (VIEW_CENTRE.real, VIEW_CENTRE.imag))
    return Alignment((box_to_square(x - side / 2, y - side / 2, side, size) @ as_3x3(alignment.matrix))[:2])


def _to_crop(view: Alignment, a: complex, b: complex, size: int) -> Alignment:
    """From the photo to the crop, given the way to a view and the aligner's z -> a z + b from there on."""
    similarity = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0, 0, 1]])
    from_pixels = np.array([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    to_pixels = np.array([[CROP / 2, 0, (CROP - 1) / 2], [0, CROP / 2, (CROP - 1) / 2], [0, 0, 1]])
    return Alignment((to_pixels @ similarity @ from_pixels @ as_3x3(view.matrix))[:2])
