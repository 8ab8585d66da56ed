"""Several people in a photo: a pixel belongs to the face that it is nearest to, in units of each face's size."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stgan.photo.align import Alignment
from stgan.photo.crop import SAME_FACE
from stgan.photo.face import Face
from stgan.photo.geometry import changed_box, transform

FADE = 0.8  # ratio of the distances to the own and to the nearest other face, from which a change fades out


def are_same(one: Face, other: Face) -> bool:
    """Whether two finds show the same face."""
    return math.dist(one.centre, other.centre) <= SAME_FACE * one.size


def in_crop(face: Face, others: Sequence[Face], alignment: Alignment) -> tuple[Face, ...]:
    """A face and the others of its photo, without itself, in the pixels of its crop.

    Where ``others`` hold the face too, it has the landmarks that it has there: an aligner's do not turn with the head.
    """
    found = next((other for other in others if are_same(face, other)), face)
    rivals = [other for other in others if not are_same(face, other)]
    seen = replace(face, landmarks=found.landmarks)
    return tuple(each.transformed(alignment.matrix) for each in (seen, *rivals))


def distance_ratio(pixels: np.ndarray, people: Sequence[Face]) -> np.ndarray:
    """Float (N,): distance to the first face over the distance to the nearest other one, each in sizes of that face.

    Below 1 a pixel belongs to the first face. Pixels (N, 2) and faces are in the same frame.
    """

    def distance(face: Face) -> np.ndarray:
        return np.hypot(pixels[:, 0] - face.centre[0], pixels[:, 1] - face.centre[1]) / face.size

    nearest = np.full(len(pixels), np.inf)
    for other in people[1:]:
        np.minimum(nearest, distance(other), out=nearest)
    return distance(people[0]) / np.maximum(nearest, 1e-6)


def kept_to_own(before: np.ndarray, after: np.ndarray, alignment: Alignment, people: Sequence[Face]) -> np.ndarray:
    """A change of a photo, uint8 (H, W, 3), without what it does to pixels of other faces than the first.

    Towards them the change fades out. ``people`` are in the pixels of the crop, as :func:`in_crop` returns them, and
    ``alignment`` leads there.
    """
    box = changed_box(before, after) if len(people) > 1 else None
    if box is None:
        return after
    left, top, right, bottom = box
    result = after.copy()
    across = np.arange(left, right, dtype=float)
    for row in range(top, bottom):
        pixels = transform(np.stack([across, np.full(len(across), float(row))], axis=1), alignment.matrix)
        share = np.clip((1 - distance_ratio(pixels, people)) / (1 - FADE), 0, 1)[:, None]
        part = np.s_[row, left:right]
        old = before[part].astype(np.float32)
        result[part] = np.rint(old + share * (after[part] - old)).astype(np.uint8)
    return result


def merged(photo: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two edits of a photo, uint8 (H, W, 3), that change different pixels of it, as one."""
    box = changed_box(photo, other)
    if box is None:
        return one
    part = np.s_[box[1] : box[3], box[0] : box[2]]
    result = one.copy()
    np.copyto(result[part], other[part], where=(photo[part] != other[part]).any(axis=2, keepdims=True))
    return result
