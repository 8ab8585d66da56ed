"""The aligner improves the landmarks of detected faces and decides whether they are faces."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from stgan.frame import normalise
from stgan.models import FaceAligner
from stgan.models.aligner import VIEW_CENTRE, VIEW_SHARE
from stgan.photo.align import Alignment, align_face, landmarks_in
from stgan.photo.crop import crop_face
from stgan.photo.face import Face
from stgan.photo.geometry import as_3x3, box_to_square

CROP = 170  # side in pixels of the crop that alignments lead to here; the value does not matter


@torch.inference_mode()
def refined_faces(aligner: FaceAligner, rgb: np.ndarray, faces: Sequence[Face], passes: int = 2) -> list[Face]:
    """The same faces with the aligner's landmarks and confidence; above 0.5 the aligner takes them for faces.

    The landmarks are those of the mean face in the aligner's frame, so :func:`stgan.photo.align.align_face` returns
    that frame. Each pass takes an upright view in the frame of the pass before. The first uses the frame of the
    detector's landmarks or box. All faces go through the network in one batch.

    Args:
        rgb: uint8 (H, W, 3), the photo that the faces were found in.
        faces: as detected.
        passes: two are better than one; a third gains little.
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
