"""Crop an aligned face out of a photo: resampling that neither aliases a large face nor differs from training data."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from stgan.frame import CELEBA_CROP, MEAN_LANDMARKS
from stgan.photo.align import Alignment
from stgan.photo.face import Face
from stgan.photo.geometry import as_3x3, box_to_square, extent, transform

SAME_FACE = 0.3  # between the centres of two boxes, in sizes of a face: below that they are of one face


def own_pixels(alignment: Alignment, face: Face, others: Sequence[Face], image_size: int) -> np.ndarray:
    """Bool (S, S), S = ``image_size``: the pixels of a crop to which no other face is nearer, in units of each face's
    size.

    Args:
        alignment: of ``face``, for crops of that size.
        others: all faces of the photo. Those that share their centre with ``face`` do not count.
    """
    columns, rows = np.meshgrid(*[np.arange(image_size)] * 2)
    pixels = transform(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float), alignment.inverse)

    def distance(one: Face) -> np.ndarray:
        return np.linalg.norm(pixels - one.centre, axis=1) / one.size

    own = distance(face)
    rivals = [other for other in others if math.dist(other.centre, face.centre) > SAME_FACE * face.size]
    nearer = np.any([distance(other) < own for other in rivals], axis=0) if rivals else np.zeros(len(own), bool)
    return ~nearer.reshape(image_size, image_size)


def landmarks_in_crop(size: int) -> tuple[np.ndarray, float]:
    """Where a crop of S = ``size`` pixels shows the mean landmarks, (5, 2), and the distance of the eyes, in pixels."""
    step = size / (CELEBA_CROP[2] - CELEBA_CROP[0])
    points = (MEAN_LANDMARKS - CELEBA_CROP[:2] + 0.5) * step - 0.5
    return points, float(points[1, 0] - points[0, 0])


def check_photo(rgb: np.ndarray) -> None:
    """Raise a ValueError unless the array is uint8 (H, W, 3)."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(
            f"A photo must be uint8 (H, W, 3), as stgan.photo.files.open_photo reads it, not {rgb.dtype} {rgb.shape}."
        )


def crop_face(rgb: np.ndarray, alignment: Alignment, image_size: int) -> np.ndarray:
    """What the model sees of a photo uint8 (H, W, 3): uint8 (S, S, 3), S = ``image_size``.

    The filter is that of the training data (Pillow's antialiased bicubic), so a large face does not alias. Beyond the
    photo its border is repeated, as in CelebA's aligned images.
    """
    check_photo(rgb)
    if alignment.matrix[0, 1] == 0 and alignment.matrix[0, 0] > 0:
        return _sample_upright(rgb, alignment.matrix, image_size)
    return _sample(rgb, alignment.matrix, image_size)


def shrink(image: np.ndarray, longer_side: int) -> tuple[np.ndarray, float]:
    """The image with its longer side no longer than this, and photo pixels per pixel of it."""
    height, width = image.shape[:2]
    factor = max(width, height) / longer_side
    if factor <= 1:
        return image, 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor


def _sample_upright(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Crop and resize exactly as the training data are made.

    Resizes across and down separately, as Pillow does. The direction that the photo fills comes first: a long narrow
    photo padded to a square before it is shrunk would not fit into memory.
    """
    rgb, matrix = _part_needed(rgb, matrix, size)
    edges = (np.array([[0.0], [size]]) - 0.5 - matrix[:, 2]) / matrix[0, 0] + 0.5  # [left, top], [right, bottom]
    (left, top), (right, bottom) = edges.round(6).tolist()
    height, width = rgb.shape[:2]
    if max(0, -left) + max(0, right - width) > max(0, -top) + max(0, bottom - height):
        return _resize_across(_resize_down(rgb, top, bottom, size), left, right, size)
    return _resize_down(_resize_across(rgb, left, right, size), top, bottom, size)


def _resize_across(rgb: np.ndarray, left: float, right: float, size: int) -> np.ndarray:
    """The part between two vertical edges, uint8 (H, S, 3), padded with the photo's border."""
    first, last = math.floor(left), math.ceil(right)
    before, after = max(0, -first), max(0, last - rgb.shape[1])
    if before or after:
        rgb = cv2.copyMakeBorder(rgb, 0, 0, before, after, borderType=cv2.BORDER_REPLICATE)
    part = Image.fromarray(rgb[:, first + before : last + before])
    box = (left - first, 0, right - first, part.height)
    return np.array(part.resize((size, part.height), Image.Resampling.BICUBIC, box=box))


def _resize_down(rgb: np.ndarray, top: float, bottom: float, size: int) -> np.ndarray:
    """The part between two horizontal edges: uint8 (S, W, 3)."""
    return np.ascontiguousarray(_resize_across(rgb.transpose(1, 0, 2), top, bottom, size).transpose(1, 0, 2))


def _sample(rgb: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp at the photo's own density, then shrink: a warp alone reads only the pixels next to each sample."""
    rgb, matrix = _part_needed(rgb, matrix, size)
    density = 1 / math.hypot(matrix[0, 0], matrix[1, 0])  # photo pixels per pixel of the result
    if density > 6:  # a large face: averaging does the coarse part of the shrinking
        height, width = rgb.shape[:2]
        rgb, _ = shrink(rgb, math.ceil(3 * max(height, width) / density))
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
    """The part of the photo that a crop reads, and the matrix from that part to the crop."""
    left, top, right, bottom = extent(matrix, (-0.5, -0.5, size - 0.5, size - 0.5), rgb.shape, margin=3)
    shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
    return rgb[top:bottom, left:right], matrix @ shift
