"""A face of a photo, ready to be edited."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from stgan.drawing.rims import is_turned_away
from stgan.models.parsed import FaceParts
from stgan.models.parser import PARSER_CLASSES
from stgan.photo.align import Alignment
from stgan.photo.face import Face
from stgan.photo.files import Photo, open_photo
from stgan.photo.light import USUAL_LIGHT, Light
from stgan.photo.matte import Silhouette, in_the_window

WORN = 0.005  # share of the crop that shows eyeglasses, from which a face wears some
DETAILED = 1.5  # pixels of the photo per pixel of the crop, from which it shows more than the crop
FINE = 3.0  # pixels of the photo per pixel of the crop, above which what a network draws is soft beside the photo
LYING = 60  # degrees of tilt above which a face counts as lying on its side


@dataclass(frozen=True)
class PreparedFace:
    """A face of a photo, found, aligned, labelled and encoded: everything that its edits share.

    Made by :meth:`stgan.FaceEditor.prepare`. Pass it to :meth:`stgan.FaceEditor.edit` instead of the photo to edit
    again quickly.
    """

    photo: Photo
    face: Face | None  # None where the photo was taken as already aligned
    alignment: Alignment
    crop: np.ndarray  # uint8 (S, S, 3), what the networks see, in the light that they know
    probabilities: dict[str, float]  # of each attribute, by the classifier
    labels: Tensor  # float (A,) in {0, 1}, by its calibrated thresholds
    features: Any  # the generator's encoding
    reconstruction: Tensor  # (3, S, S) in [-1, 1], the generator's answer to an empty edit
    parts: FaceParts | None = None  # None without a parser, or where the generator's edits have no regions
    silhouette: Silhouette | None = None  # likewise
    light: Light = USUAL_LIGHT  # of the photo
    people: tuple[Face, ...] = ()  # as detected, in the crop's pixels, this face first; none where it is aligned
    covered: Mapping[str, float] = field(default_factory=dict)  # share of each attribute's place, by the parser

    @property
    def is_turned_away(self) -> bool:
        """Whether the head is turned too far for edits that need to see all of it."""
        return any(is_turned_away(face.landmarks) for face in self.people[:1])

    @property
    def wears_glasses(self) -> bool:
        """Whether a parser saw eyeglasses."""
        return self._share("eyeglasses") >= WORN

    def _share(self, name: str) -> float:
        """Of the crop, that shows one of the parser's classes; 0 without a parser."""
        return 0.0 if self.parts is None else float(self.parts.classes[0, PARSER_CLASSES.index(name)].mean())

    @property
    def turn(self) -> int:
        """Degrees clockwise, 0, 90, 180 or 270, by which the photo would be turned to set the face upright."""
        angle = math.degrees(math.atan2(self.alignment.matrix[1, 0], self.alignment.matrix[0, 0]))
        return round(angle / 90) * 90 % 360 if abs(angle) > LYING else 0

    def label_dict(self) -> dict[str, bool]:
        """The source attributes as ticks."""
        return {name: bool(label) for name, label in zip(self.probabilities, self.labels, strict=True)}

    def window(self) -> tuple[int, int, int, int]:
        """The upright square of the photo around what the networks see: left, top, right, bottom in whole pixels."""
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * (len(self.crop) - 1)
        corners = corners @ self.alignment.inverse[:, :2].T + self.alignment.inverse[:, 2]
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        side = round(min(right - left, bottom - top, *self.photo.rgb.shape[:2]))
        left = min(max(0, round((left + right - side) / 2)), self.photo.rgb.shape[1] - side)
        top = min(max(0, round((top + bottom - side) / 2)), self.photo.rgb.shape[0] - side)
        return (left, top, left + side, top + side)

    def close_up(self, side: int) -> "PreparedFace":
        """The same face with :meth:`window` as the whole photo, at most ``side`` pixels wide: its edits are thumbnails,
        made fast."""
        left, top, right, bottom = self.window()
        side = min(side, right - left)
        window = np.ascontiguousarray(self.photo.rgb[top:bottom, left:right])
        rgb = cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)
        step = (right - left) / side  # pixels of the photo per pixel of the small one
        to_photo = np.array([[step, 0, left + (step - 1) / 2], [0, step, top + (step - 1) / 2], [0, 0, 1]])
        photo = open_photo(rgb[..., 0] if self.photo.is_grey else rgb)  # a thumbnail is as grey as the photo will be
        return replace(self, photo=photo, alignment=Alignment(self.alignment.matrix @ to_photo))

    def corrected(self, source: Mapping[str, bool]) -> "PreparedFace":
        """The same face, of which some attributes are known for certain."""
        known = {name: float(value) for name, value in source.items()}
        labels = [known.get(name, label) for name, label in zip(self.probabilities, self.labels.tolist(), strict=True)]
        return replace(self, probabilities=self.probabilities | known, labels=self.labels.new_tensor(labels))

    def to(self, device: str | torch.device) -> "PreparedFace":
        """The same face with its tensors on another device, such as the CPU while nobody edits it."""
        tensors = {name: getattr(self, name) for name in ("labels", "features", "reconstruction", "parts")}
        return replace(self, **tree_map_only(Tensor, lambda tensor: tensor.to(device), tensors))


@dataclass(frozen=True)
class EditedCrop:
    """An edit of a prepared face as the networks drew it, which is yet to be put into the photo."""

    prepared: PreparedFace
    before: np.ndarray  # float32 (S, S, 3) in [0, 255], the networks' crop without the edit
    after: np.ndarray  # float32 (S, S, 3) in [0, 255], and with it
    mask: np.ndarray | None = None  # float32 (S, S) in [0, 1], the soft mask of the edit, if the model has one
    changes: Mapping[str, float] = field(default_factory=dict)  # by attribute: 1 adds it, -1 takes it away
    asked: Mapping[str, float] = field(default_factory=dict)  # likewise, by the whole edit, of which this is a step

    @classmethod
    def of(
        cls,
        prepared: PreparedFace,
        image: Tensor,
        mask: Tensor | None = None,
        region: Tensor | None = None,
        changes: Mapping[str, float] | None = None,
    ) -> "EditedCrop":
        """From an image (3, S, S) in [-1, 1] and maps (S, S) in [0, 1].

        ``region`` is what the edit of a model without a soft mask was kept to.
        """
        before, after = (
            ((each.float().clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).contiguous().cpu().numpy()
            for each in (prepared.reconstruction, image)
        )
        if region is not None:
            # Outside the region the edit is the crop itself. Compared with the reconstruction, what the model cannot
            # draw would count as a change there.
            before = prepared.crop + region.float().cpu().numpy()[..., None] * (before - prepared.crop)
        return cls(prepared, before, after, None if mask is None else mask.float().cpu().numpy(), changes or {})

    @property
    def is_detailed(self) -> bool:
        """Whether the photo has more detail than the crop."""
        return 1 / self.prepared.alignment.scale > DETAILED

    @property
    def is_fine(self) -> bool:
        """Whether the photo has so much more detail than the crop that what a network draws looks soft in it."""
        return 1 / self.prepared.alignment.scale > FINE

    @property
    def strength(self) -> float:
        """Of the edit, 1 as in training."""
        return max(map(abs, self.changes.values()), default=1.0)

    def seen(self) -> tuple[FaceParts, Silhouette]:
        """What a parser saw. The face must be prepared with one."""
        parts, silhouette = self.prepared.parts, self.prepared.silhouette
        assert parts is not None
        assert silhouette is not None
        return parts, silhouette

    def without(self, part: np.ndarray, border: float = 1 / 128) -> "EditedCrop":
        """The edit with a part (S, S) in [0, 1] of the photo as it is, and a soft border around it, in shares of the
        crop's side."""
        size = len(part)
        kept = cv2.dilate(part.clip(0, 1).astype(np.float32), np.ones((2 * round(border * size / 2) + 1,) * 2))
        kept = cv2.GaussianBlur(kept, (0, 0), border * size)
        return replace(self, after=self.before + (1 - kept)[..., None] * (self.after - self.before))

    def in_the_window(self, *names: str) -> np.ndarray:
        """Where the crop shows some of the parser's classes, float32 (W, W) in the silhouette's window."""
        parts, silhouette = self.seen()
        shown = parts.classes[0, [PARSER_CLASSES.index(name) for name in names]].sum(dim=0)
        return in_the_window(shown.float().cpu().numpy(), len(silhouette.hair))
