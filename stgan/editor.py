"""Photo in, photo out: find the face, read its attributes, edit it, put the change back.

>>> from stgan import FaceEditor
>>> editor = FaceEditor.from_pretrained("hub/stgan-celeba-128")
>>> editor.attributes("me.jpg")["Eyeglasses"]
0.03
>>> editor.edit("me.jpg", {"Eyeglasses": True}).save("me-with-glasses.png")
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stgan.attributes import HAIR_COLOUR, edited_labels, facts_of, index_of
from stgan.devices import chosen_device
from stgan.frame import normalise
from stgan.models import (
    AttributeClassifier,
    FaceAligner,
    Generator,
    ModelFolderError,
    check_judge,
    fetch_model_folder,
    load_companion,
    load_generator,
)
from stgan.models.regions import attribute_regions
from stgan.photo.align import Alignment, align_face, align_whole, looks_aligned
from stgan.photo.crop import crop_face
from stgan.photo.detect import Detector, FaceDetector, distinct_faces, yunet_path
from stgan.photo.face import Face, check_editable, choose_face
from stgan.photo.files import Photo, open_photo
from stgan.photo.paste import paste_edit
from stgan.photo.refine import refined_faces

MAX_INTENSITY = 2.0
LEAST_CONFIDENCE = 0.1
"""What the aligner must give any find. YuNet sees faces, wrongly placed, in photos that lie on their side or upside
down, for which the aligner's confidence is below .003; for the faces of upright photos it is above .57."""
BUNDLED = Path(__file__).resolve().parent.parent / "hub" / "stgan-celeba-128"  # only in a checkout and in a Space
DEFAULT_MODEL_ID = ""  # Hub id of the model for an installed package without a checkout; empty until it is published

PhotoSource = str | os.PathLike | Image.Image | np.ndarray | Photo
Intensity = float | Mapping[str, float]


@dataclass(frozen=True)
class PreparedFace:
    """A face of a photo, found, aligned, labelled and encoded: everything that its edits share.

    Made by :meth:`FaceEditor.prepare`; give it to :meth:`FaceEditor.edit` in place of the photo to edit again quickly.
    """

    photo: Photo
    face: Face | None  # None where the photo was taken as already aligned
    alignment: Alignment
    crop: np.ndarray  # uint8 (S, S, 3), what the networks see
    probabilities: dict[str, float]  # of each attribute, by the classifier
    labels: Tensor  # float (A,) in {0, 1}, by its calibrated thresholds
    features: Any  # the generator's encoding
    reconstruction: Tensor  # (3, S, S) in [-1, 1], the generator's answer to an empty edit

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
        """The same face and encoding with :meth:`window` as the whole photo: edits of it are thumbnails, made quickly.

        Args:
            side: of the small photo, pixels; it is never larger than the window is.
        """
        left, top, right, bottom = self.window()
        side = min(side, right - left)
        window = np.ascontiguousarray(self.photo.rgb[top:bottom, left:right])
        rgb = cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)
        step = (right - left) / side  # pixels of the photo per pixel of the small one
        to_photo = np.array([[step, 0, left + (step - 1) / 2], [0, step, top + (step - 1) / 2], [0, 0, 1]])
        photo = open_photo(rgb[..., 0] if self.photo.is_grey else rgb)  # a thumbnail is as grey as the photo will be
        return replace(self, photo=photo, alignment=Alignment(self.alignment.matrix @ to_photo))

    def to(self, device: str | torch.device) -> "PreparedFace":
        """The same face with its tensors on another device, such as the CPU while nobody edits it."""
        labels, features, reconstruction = _moved((self.labels, self.features, self.reconstruction), device)
        return replace(self, labels=labels, features=features, reconstruction=reconstruction)


def _moved(tensors: Any, device: str | torch.device) -> Any:
    """Tensors, in tuples (named ones too) and lists within one another, on another device."""
    if isinstance(tensors, Tensor):
        return tensors.to(device)
    moved = [_moved(each, device) for each in tensors]
    return type(tensors)(*moved) if hasattr(tensors, "_fields") else type(tensors)(moved)


class FaceEditor:
    """Edits facial attributes in photographs; no labels and no aligned crops needed.

    Args:
        generator: any editor of :mod:`stgan.models`.
        classifier: knows at least the generator's attributes; tells which of them a face already has.
        detector: finds faces, an object of any class with the methods of :class:`stgan.photo.detect.Detector`. By
            default YuNet where its file is available, else OpenCV's Haar cascades.
        device: by default the GPU where there is one.
        aligner: refines where a face is and confirms that it is one; without it the detector alone is believed.
    """

    def __init__(
        self,
        generator: Generator,
        classifier: AttributeClassifier,
        detector: Detector | None = None,
        device: str | torch.device | None = None,
        aligner: FaceAligner | None = None,
    ):
        check_judge(generator, classifier)
        self.device = chosen_device(device)
        self.generator = generator.eval().to(self.device, memory_format=torch.channels_last)
        self.classifier = classifier.eval().to(self.device, memory_format=torch.channels_last)
        self.aligner = aligner
        if aligner is not None:
            self.aligner = aligner.eval().to(self.device, memory_format=torch.channels_last)
        self._detector = detector
        self.names = generator.attributes
        self._columns = [index_of(name, classifier.attributes) for name in self.names]

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | os.PathLike,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike | None = None,
        detector: Detector | None = None,
        device: str | torch.device | None = None,
    ) -> "FaceEditor":
        """Load an editor from a model folder or Hub repository: a generator, its classifier in ``classifier/``, and,
        where there is one, its aligner in ``aligner/``.

        Args:
            folder_or_hub_id: local folder or ``owner/name``. Of a repository only the files needed are downloaded.
            revision, token, cache_dir: of the Hub download.
            detector, device: see the class.

        Raises:
            ModelFolderError: a part is missing, damaged or does not fit; the message names it.
        """
        folder = fetch_model_folder(folder_or_hub_id, revision=revision, token=token, cache_dir=cache_dir)
        classifier, aligner = load_companion(folder, "classifier"), load_companion(folder, "aligner")
        return cls(load_generator(folder), classifier, detector, device, aligner)

    # --------------------------------------------------------------------------------------------------- in steps

    @property
    def detector(self) -> Detector:
        """The given detector, or else the best available one, chosen when it is first needed."""
        if self._detector is None:
            self._detector = FaceDetector(yunet_path())
        return self._detector

    def find_faces(self, photo: PhotoSource) -> list[Face]:
        """All faces of a photo, from left to right."""
        rgb = as_photo(photo).rgb
        confirm = None if self.aligner is None else self.confirm
        faces = distinct_faces(self.detector.detect(rgb, confirm))
        if self.aligner is None:
            return faces
        judged = refined_faces(self.aligner, rgb, faces)
        # The detector's own landmarks stay: a profile shows in them, while the aligner's are always those of a front.
        return [face for face, other in zip(faces, judged, strict=True) if other.confidence > LEAST_CONFIDENCE]

    def confirm(self, rgb: np.ndarray, candidates: Sequence[Face]) -> list[Face]:
        """Those of a detector's doubtful finds that the aligner takes for faces, where it sees them."""
        return [face for face in refined_faces(self.aligner, rgb, candidates) if face.confidence > 0.5]

    @torch.inference_mode()
    def prepare(
        self, photo: PhotoSource, *, face: int | Face | None = None, aligned: bool | None = None
    ) -> PreparedFace:
        """Find, align, label and encode one face, once for all its edits.

        Args:
            photo: path, PIL image, uint8 array (H, W, 3) or Photo.
            face: which one, counted from the left, or one that :meth:`find_faces` returned. By default the largest
                that is editable.
            aligned: take the whole photo as a crop like CelebA's. By default it is where it has 178x218 pixels.

        Raises:
            FaceError: there is no such face, or it is not editable; the message says what to do.
        """
        photo = as_photo(photo)
        size = self.generator.image_size
        if aligned is None:
            aligned = looks_aligned(photo.rgb.shape)
        found = None if aligned else self._choose_face(photo, face)
        alignment = align_whole(photo.rgb.shape, size) if found is None else align_face(found, size)
        crop = crop_face(photo.rgb, alignment, size)
        image = normalise(torch.from_numpy(crop).permute(2, 0, 1)[None].to(self.device))
        probabilities = torch.sigmoid(self.classifier(image))[0, self._columns]
        labels = (probabilities > self.classifier.thresholds[self._columns]).float()
        features = self.generator.encode(image)
        reconstruction = self.generator.decode(features, self.generator.condition(labels[None], labels[None]))[0]
        named = dict(zip(self.names, probabilities.tolist(), strict=True))
        return PreparedFace(photo, found, alignment, crop, named, labels, features, reconstruction)

    def _choose_face(self, photo: Photo, face: int | Face | None) -> Face:
        if isinstance(face, Face):
            check_editable(face)
        else:
            faces = self.find_faces(photo)
            face = faces[choose_face(faces, face)]
        if self.aligner is None:
            return self.detector.refine(photo.rgb, face)
        return refined_faces(self.aligner, photo.rgb, [face])[0]

    @torch.inference_mode()
    def edit_crops(
        self,
        prepared: PreparedFace,
        edits: Sequence[Mapping[str, bool]],
        intensity: Intensity = 1.0,
        source: Mapping[str, bool] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Several edits of one face in one pass, as aligned crops.

        Args:
            prepared: from :meth:`prepare`.
            edits: K mappings of attribute name to wanted value.
            intensity, source: see :meth:`edit`.

        Returns:
            Images (K, 3, S, S) in [-1, 1], and soft masks (K, S, S) in [0, 1] or None where the model has none.
        """
        prepared = prepared.to(self.device)
        edited = self.generator.decode_parts(prepared.features, self._condition(prepared, edits, intensity, source))
        return edited.image, None if edited.mask is None else edited.mask[:, 0]

    def _condition(
        self,
        prepared: PreparedFace,
        edits: Sequence[Mapping[str, bool]],
        intensity: Intensity,
        source: Mapping[str, bool] | None,
    ) -> Tensor:
        """What the generator is asked with, (K, A)."""
        labels = self._source_labels(prepared, source).to(self.device)
        targets = torch.stack([edited_labels(labels, edit, self.names) for edit in edits])
        return self.generator.condition(labels.expand_as(targets), targets, self._intensities(intensity))

    def _source_labels(self, prepared: PreparedFace, source: Mapping[str, bool] | None) -> Tensor:
        labels = prepared.labels.clone()
        for name, value in (source or {}).items():
            labels[index_of(name, self.names)] = float(value)
        return labels

    def _intensities(self, intensity: Intensity) -> Tensor:
        """One factor per attribute (A,)."""
        if isinstance(intensity, Mapping):
            for name in intensity:
                index_of(name, self.names)
            values = [float(intensity.get(name, 1.0)) for name in self.names]
        else:
            values = [float(intensity)] * len(self.names)
        for value in values:
            if not 0 <= value <= MAX_INTENSITY:  # as nothing compares with NaN, NaN is refused too
                raise ValueError(f"Intensity {value:g} is out of range: use values between 0 and {MAX_INTENSITY:g}.")
        return torch.tensor(values, device=self.device)

    # ------------------------------------------------------------------------------------------------ in one call

    def attributes(
        self, photo: PhotoSource | PreparedFace, *, face: int | None = None, aligned: bool | None = None
    ) -> dict[str, float]:
        """Probability of each attribute in the photo's face. Arguments as in :meth:`prepare`."""
        return dict(self._prepared(photo, face, aligned).probabilities)

    def edit(
        self,
        photo: PhotoSource | PreparedFace,
        edit: Mapping[str, bool],
        intensity: Intensity = 1.0,
        *,
        face: int | None = None,
        aligned: bool | None = None,
        source: Mapping[str, bool] | None = None,
    ) -> Image.Image:
        """The photo with its face edited, at its own size; everything else stays as it was.

        Args:
            photo: path, PIL image, uint8 array (H, W, 3), Photo, or a prepared face.
            edit: attribute name to wanted value, such as ``{"Eyeglasses": True, "Blond_Hair": True}``. What these
                exclude (another hair colour) goes. What the face already has changes nothing.
            intensity: 1 is a plain edit; more is stronger, up to 2. Or a mapping by attribute name.
            face: which face, counted from the left. By default the largest that is editable.
            aligned: see :meth:`prepare`.
            source: corrections to the attributes that the classifier sees in the photo.

        Raises:
            ValueError: an attribute is unknown, two exclude each other, or the intensity is out of range.
            FaceError: no such face, or it is not editable.
            stgan.photo.files.PhotoError: the file is no image that can be read.
        """
        return self.edit_each(self._prepared(photo, face, aligned), [edit], intensity, source=source)[0]

    def edit_each(
        self,
        photo: PhotoSource | PreparedFace,
        edits: Sequence[Mapping[str, bool]],
        intensity: Intensity = 1.0,
        *,
        face: int | None = None,
        aligned: bool | None = None,
        source: Mapping[str, bool] | None = None,
    ) -> list[Image.Image]:
        """Several edits of one face, from one encoding and one pass of the decoder: one photo for each.

        Args:
            edits: K edits; the other arguments and the errors are those of :meth:`edit`.
        """
        prepared = self._prepared(photo, face, aligned)
        labels = self._source_labels(prepared, source)
        images, masks = self.edit_crops(prepared, edits, intensity, source)
        regions = None
        if masks is None and self.generator.regions is not None:
            regions = self.generator.region(self._condition(prepared, edits, intensity, source))[:, 0]
        edited = []
        for number, edit in enumerate(edits):
            differs = edited_labels(labels, edit, self.names) != labels
            changed = {name for name, differ in zip(self.names, differs, strict=True) if differ}
            if not changed:
                edited.append(prepared.photo.with_rgb(prepared.photo.rgb))
                continue
            mask = None if masks is None else masks[number]
            region = None if regions is None else regions[number]
            rgb = self.paste(prepared, images[number], mask, region=region, hair=self._recoloured_hair(changed))
            edited.append(prepared.photo.with_rgb(rgb))
        return edited

    def single_edits(self, prepared: PreparedFace) -> dict[str, dict[str, bool]]:
        """For each attribute the edit that flips it alone: added where the face lacks it, else taken away."""
        return {name: {name: not present} for name, present in prepared.label_dict().items()}

    def paste(
        self,
        prepared: PreparedFace,
        edited: Tensor,
        mask: Tensor | None = None,
        *,
        region: Tensor | None = None,
        hair: Tensor | None = None,
    ) -> np.ndarray:
        """An edited crop (3, S, S) in [-1, 1] put back into the photo: uint8 (H, W, 3).

        Args:
            mask: soft mask (S, S) of the edit, where the model has one.
            region: (S, S) in [0, 1], what the edit was kept to, of a model without a soft mask.
            hair: (S, S) in [0, 1], where the edit gives hair another colour and does nothing else.
        """
        reconstruction = _to_levels(prepared.reconstruction)
        if region is not None:
            # Outside the region the edit is the crop itself. Compared with the reconstruction, what the model cannot
            # draw would count as a change there.
            share = region.float().cpu().numpy()[..., None]
            reconstruction = prepared.crop + share * (reconstruction - prepared.crop)
        return paste_edit(
            prepared.photo.rgb,
            prepared.alignment,
            reconstruction,
            _to_levels(edited),
            None if mask is None else mask.float().cpu().numpy(),
            hair=None if hair is None else hair.float().cpu().numpy(),
        )

    def _recoloured_hair(self, changed: Collection[str]) -> Tensor | None:
        """Where an edit of these attributes does nothing but give hair another colour (S, S); None if it gives none."""
        others = [name for name in changed if facts_of(name).group != HAIR_COLOUR]
        if len(others) == len(changed):
            return None
        size = self.generator.image_size
        if not others:
            return torch.ones(size, size)
        return 1 - attribute_regions(others, size).amax(dim=0)

    def _prepared(self, photo: PhotoSource | PreparedFace, face: int | None, aligned: bool | None) -> PreparedFace:
        return photo if isinstance(photo, PreparedFace) else self.prepare(photo, face=face, aligned=aligned)


def as_photo(photo: PhotoSource) -> Photo:
    """A Photo from whatever a user may give."""
    return photo if isinstance(photo, Photo) else open_photo(photo)


def _to_levels(image: Tensor) -> np.ndarray:
    """(3, S, S) in [-1, 1] to float32 (S, S, 3) in [0, 255]."""
    return ((image.float().clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).cpu().numpy()


def default_model() -> str:
    """The model for those who name none: ``STGAN_MODEL``, else the one in the checkout, else the published one.

    Returns:
        A folder (``~`` is expanded) or a Hub id.

    Raises:
        ModelFolderError: there is none of them.
    """
    if chosen := os.environ.get("STGAN_MODEL"):
        return os.path.expanduser(chosen)
    if BUNDLED.is_dir():
        return str(BUNDLED)
    if DEFAULT_MODEL_ID:
        return DEFAULT_MODEL_ID
    raise ModelFolderError(
        "The installed package has no model of its own: choose one, as in stgan edit me.png --add Eyeglasses --model "
        "FOLDER_OR_HUB_ID, or set STGAN_MODEL to a model folder or Hub id."
    )
