"""Photo in, photo out: find the face, read its attributes, edit it, put the change back.

>>> from stgan import FaceEditor
>>> editor = FaceEditor.from_pretrained("hub/stgan-celeba-128")
>>> editor.attributes("me.jpg")["Eyeglasses"]
0.03
>>> editor.edit("me.jpg", {"Eyeglasses": True}).save("me-with-glasses.png")
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from stgan.attributes import HAIR_COLOUR, edited_labels, facts_of, index_of
from stgan.devices import CHANNELS_LAST, chosen_device
from stgan.frame import normalise
from stgan.models import (
    PARSER_CLASSES,
    AttributeClassifier,
    Edit,
    FaceAligner,
    FaceParser,
    Generator,
    ModelFolderError,
    check_judge,
    fetch_model_folder,
    load_companion,
    load_generator,
)  # fmt: skip
from stgan.models.parsed import FaceParts, decode_faces
from stgan.models.regions import parsed_regions
from stgan.photo.align import Alignment, align_face, align_whole, looks_aligned
from stgan.photo.crop import crop_face, own_pixels
from stgan.photo.detect import Detector, FaceDetector, yunet_path
from stgan.photo.face import Face, check_editable, choose_face
from stgan.photo.files import Photo, open_photo
from stgan.photo.hair import recolour_hair
from stgan.photo.light import Light
from stgan.photo.matte import WIDE, Silhouette, window
from stgan.photo.paste import paste_edit
from stgan.photo.refine import located_faces, refined_faces
from stgan.prepared import PreparedFace

MAX_INTENSITY = 2.0
BUNDLED = Path(__file__).resolve().parent.parent / "hub" / "stgan-celeba-128"  # only in a checkout and in a Space
DEFAULT_MODEL_ID = ""  # Hub id of the model for an installed package without a checkout; empty until it is published

PhotoSource = str | os.PathLike | Image.Image | np.ndarray | Photo
Intensity = float | Mapping[str, float]


class FaceEditor:
    """Edits facial attributes in photographs; no labels and no aligned crops needed.

    Args:
        generator: any editor of :mod:`stgan.models`.
        classifier: knows at least the generator's attributes; tells which of them a face already has.
        detector: finds faces, see :class:`stgan.photo.detect.Detector`. By default YuNet if its file is available, else
            OpenCV's Haar cascades.
        device: by default the GPU if there is one.
        aligner: refines where a face is and confirms that it is one. Without it the detector alone decides.
        parser: sees what pixels show, so that edits change the face's own hair or skin and nothing beside it. Without
            it edits keep to where the mean face has them.
    """

    def __init__(
        self,
        generator: Generator,
        classifier: AttributeClassifier,
        detector: Detector | None = None,
        device: str | torch.device | None = None,
        aligner: FaceAligner | None = None,
        parser: FaceParser | None = None,
    ):
        check_judge(generator, classifier)
        self.device = chosen_device(device)
        self.generator = generator.eval().to(self.device, **CHANNELS_LAST)
        self.classifier = classifier.eval().to(self.device, **CHANNELS_LAST)
        self.aligner = aligner and aligner.eval().to(self.device, **CHANNELS_LAST)
        self.parser = parser and parser.eval().to(self.device, **CHANNELS_LAST)
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
        """Load a model folder or Hub repository: a generator, its ``classifier/`` and, if present, ``aligner/`` and
        ``parser/``.

        Args:
            folder_or_hub_id: local folder or ``owner/name``. Only the files needed are downloaded.
            revision, token, cache_dir: of the Hub download.
            detector, device: see the class.

        Raises:
            ModelFolderError: a part is missing, damaged or does not fit; the message names it.
        """
        folder = fetch_model_folder(folder_or_hub_id, revision=revision, token=token, cache_dir=cache_dir)
        classifier, aligner, parser = (load_companion(folder, kind) for kind in ("classifier", "aligner", "parser"))
        return cls(load_generator(folder), classifier, detector, device, aligner, parser)

    @property
    def detector(self) -> Detector:
        """The given detector, or else the best available one, chosen when it is first needed."""
        if self._detector is None:
            self._detector = FaceDetector(yunet_path())
        return self._detector

    def find_faces(self, photo: PhotoSource) -> list[Face]:
        """All faces of a photo, from left to right."""
        return [face for face, _ in located_faces(self.detector, self.aligner, as_photo(photo).rgb)]

    @torch.inference_mode()
    def prepare(
        self,
        photo: PhotoSource,
        *,
        face: int | Face | None = None,
        aligned: bool | None = None,
        others: Sequence[Face] = (),
    ) -> PreparedFace:
        """Find, align, label, parse and encode one face, once for all its edits.

        Args:
            photo: path, PIL image, uint8 array (H, W, 3) or Photo.
            face: which one, counted from the left, or one that :meth:`find_faces` returned. By default the largest that
                is editable.
            aligned: take the whole photo as a crop like CelebA's. By default only a photo of 178x218 pixels.
            others: the photo's faces if ``face`` is one of them, so that their pixels stay as they are.

        Raises:
            FaceError: there is no such face, or it is not editable; the message says what to do.
        """
        photo = as_photo(photo)
        size = self.generator.image_size
        if aligned is None:
            aligned = looks_aligned(photo.rgb.shape)
        found, others = (None, ()) if aligned else self._choose_face(photo, face, others)
        alignment = align_whole(photo.rgb.shape, size) if found is None else align_face(found, size)
        crop = crop_face(photo.rgb, alignment, size)
        light = Light.of(crop)
        crop = light.crop(crop)
        image = self._image(crop)
        probabilities = torch.sigmoid(self.classifier(image))[0, self._columns]
        labels = (probabilities > self.classifier.thresholds[self._columns]).float()
        features = self.generator.encode(image)
        reconstruction = self.generator.decode(features, self.generator.condition(labels[None], labels[None]))[0]
        named = dict(zip(self.names, probabilities.tolist(), strict=True))
        parts, silhouette = self._parse(photo, found, alignment, light, others)
        return PreparedFace(
            photo, found, alignment, crop, named, labels, features, reconstruction, parts, silhouette, light
        )

    def _image(self, crop: np.ndarray) -> Tensor:
        """A crop uint8 (S, S, 3) as the networks take it: (1, 3, S, S) in [-1, 1]."""
        return normalise(torch.from_numpy(crop).permute(2, 0, 1)[None].to(self.device))

    def _choose_face(
        self, photo: Photo, face: int | Face | None, others: Sequence[Face]
    ) -> tuple[Face, Sequence[Face]]:
        """The face to edit, refined, and all faces of the photo that are known."""
        if isinstance(face, Face):
            check_editable(face)
        else:
            others = self.find_faces(photo)
            face = others[choose_face(others, face)]
        if self.aligner is None:
            return self.detector.refine(photo.rgb, face), others
        return refined_faces(self.aligner, photo.rgb, [face])[0], others

    def _parse(
        self, photo: Photo, face: Face | None, alignment: Alignment, light: Light, others: Sequence[Face]
    ) -> tuple[FaceParts | None, Silhouette | None]:
        """What the crop and its surroundings show, and where edits may change the crop. None without a parser, or where
        edits have no regions."""
        if self.parser is None or self.generator.regions is None:
            return None, None
        size = self.generator.image_size
        close = self._view(photo.rgb, alignment, light)
        classes = F.interpolate(close, size=(size, size), mode="bilinear", antialias=True)
        regions = parsed_regions(classes, self.names)
        silhouette = Silhouette.of(
            close[0].cpu().numpy(), self._view(photo.rgb, alignment, light, WIDE)[0].cpu().numpy()
        )
        if face is not None:
            regions = regions * torch.from_numpy(own_pixels(alignment, face, others, size)).to(regions)
            pixels = len(silhouette.hair)
            silhouette = silhouette.within(own_pixels(window(alignment, size, WIDE, pixels), face, others, pixels))
        return FaceParts(classes, regions), silhouette

    @torch.inference_mode()
    def _view(self, rgb: np.ndarray, alignment: Alignment, light: Light, reach: int = 1) -> Tensor:
        """The parser's classes (1, 10, W, W) for a window ``reach`` times as wide as the crop."""
        size = self.generator.image_size
        pixels = reach * max(size, self.parser.image_size)
        crop = crop_face(rgb, window(alignment, size, reach, pixels), pixels)
        return self.parser.parse(self._image(light.crop(crop)), reach)

    @torch.inference_mode()
    def edit_crops(
        self,
        prepared: PreparedFace,
        edits: Sequence[Mapping[str, bool]],
        intensity: Intensity = 1.0,
        source: Mapping[str, bool] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Several edits of one face in one pass, as aligned crops. Arguments as in :meth:`edit_each`.

        Returns:
            Images (K, 3, S, S) in [-1, 1], and soft masks (K, S, S) in [0, 1] or None if the model has none.
        """
        prepared = prepared.to(self.device)
        edited = self._decode(prepared, self._condition(prepared, edits, intensity, source))
        return edited.image, None if edited.mask is None else edited.mask[:, 0]

    @torch.inference_mode()
    def _decode(self, prepared: PreparedFace, condition: Tensor) -> Edit:
        return decode_faces(self.generator, prepared.features, condition, prepared.parts, prepared.reconstruction[None])

    def _condition(
        self,
        prepared: PreparedFace,
        edits: Sequence[Mapping[str, bool]],
        intensity: Intensity,
        source: Mapping[str, bool] | None,
    ) -> Tensor:
        """The generator's input for K edits, (K, A)."""
        labels = self._source_labels(prepared, source).to(self.device)
        targets = torch.stack([edited_labels(labels, edit, self.names) for edit in edits])
        return self.generator.condition(labels.expand_as(targets), targets, self._intensities(intensity))

    def _source_labels(self, prepared: PreparedFace, source: Mapping[str, bool] | None) -> Tensor:
        labels = prepared.labels.clone()
        for name, value in (source or {}).items():
            labels[index_of(name, self.names)] = float(value)
        return labels

    def _intensities(self, intensity: Intensity) -> Tensor:
        by_name = intensity if isinstance(intensity, Mapping) else dict.fromkeys(self.names, intensity)
        for name in by_name:
            index_of(name, self.names)
        values = [float(by_name.get(name, 1.0)) for name in self.names]
        for value in values:
            if not 0 <= value <= MAX_INTENSITY:  # as nothing compares with NaN, NaN is refused too
                raise ValueError(f"Intensity {value:g} is out of range: use values between 0 and {MAX_INTENSITY:g}.")
        return torch.tensor(values, device=self.device)

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
                exclude (another hair colour) is removed. What the face already has changes nothing.
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

        Arguments and errors as for :meth:`edit`.
        """
        prepared = self._prepared(photo, face, aligned).to(self.device)
        condition = self._condition(prepared, edits, intensity, source)
        # Hair takes its new colour last, so that new hair takes it too.
        colours = torch.zeros_like(condition)
        if prepared.silhouette is not None:
            colours[:, [facts_of(name).group == HAIR_COLOUR for name in self.names]] = 1
        photos, fringes = [prepared.photo.rgb] * len(edits), [None] * len(edits)
        for change, paste in ((condition * (1 - colours), self.paste), (condition * colours, self.recolour)):
            rows = [row for row, changes in enumerate((change != 0).any(dim=1).tolist()) if changes]
            if not rows:
                continue
            decoded, region = self._decode(prepared, change[rows]), None
            if decoded.mask is None and self.generator.regions is not None:
                region = self.generator.region(change[rows], prepared.parts and prepared.parts.regions)
            for index, row in enumerate(rows):
                mask, kept_to = (None if each is None else each[index, 0] for each in (decoded.mask, region))
                strands = self._strands(prepared, change[row]) if paste == self.paste else fringes[row]
                fringes[row] = self._fringe(prepared, change[row], decoded.image[index])
                photos[row] = paste(
                    prepared, decoded.image[index], mask, region=kept_to, strands=strands, rgb=photos[row]
                )
        return [prepared.photo.with_rgb(rgb) for rgb in photos]

    def _strands(self, prepared: PreparedFace, change: Tensor) -> Tensor | None:
        """Where an edit (A,) draws hair, (S, S); None where it draws none, or without regions."""
        if self.generator.regions is None:
            return None
        hairy = torch.tensor([facts_of(name).is_hair for name in self.names], device=change.device)
        regions = self.generator.regions if prepared.parts is None else prepared.parts.regions[0]
        drawn = change != 0
        if not (drawn & hairy).any():
            return None
        where = regions[drawn & hairy].amax(dim=0)
        others = regions[drawn & ~hairy]
        return where * (1 - others.amax(dim=0)) if len(others) else where

    def _fringe(self, prepared: PreparedFace, change: Tensor, edited: Tensor) -> Tensor | None:
        """Where an edit (A,) drew a fringe (S, S): a parser does not always take it for hair."""
        parts = prepared.parts
        if parts is None or "Bangs" not in self.names or change[self.names.index("Bangs")] <= 0:
            return None
        hair, skin = (prepared.crop_colour(name) for name in ("hair", "skin"))
        # 0 for the colour of the skin, 1 for that of the hair.
        likeness = torch.einsum("chw,c->hw", edited - skin[:, None, None], hair - skin) / (hair - skin).square().sum()
        shown = [PARSER_CLASSES.index(name) for name in ("eyes", "brows", "eyeglasses")]
        free = (1 - 2 * parts.classes[0, shown].sum(dim=0)).clamp(min=0)
        return parts.regions[0, self.names.index("Bangs")] * free * ((likeness - 0.3) / 0.3).clamp(0, 1)

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
        strands: Tensor | None = None,
        rgb: np.ndarray | None = None,
    ) -> np.ndarray:
        """An edited crop (3, S, S) in [-1, 1] put back into the photo: uint8 (H, W, 3).

        Args:
            mask: soft mask (S, S) of the edit, if the model has one.
            region: (S, S) in [0, 1], what the edit of a model without a soft mask was kept to.
            strands: (S, S) in [0, 1], where new dark structure is hair, such as a beard or a fringe.
            rgb: the photo with other edits, uint8 (H, W, 3); by default without any.
        """
        reconstruction, edited, mask = _levels(prepared, edited, mask, region)
        rgb = prepared.photo.rgb if rgb is None else rgb
        return paste_edit(
            rgb, prepared.alignment, reconstruction, edited, mask,
            silhouette=prepared.silhouette, strands=None if strands is None else strands.float().cpu().numpy(),
            light=prepared.light,
        )  # fmt: skip

    def recolour(
        self,
        prepared: PreparedFace,
        edited: Tensor,
        mask: Tensor | None = None,
        *,
        region: Tensor | None = None,
        strands: Tensor | None = None,
        rgb: np.ndarray | None = None,
    ) -> np.ndarray:
        """The photo with its hair in the colour of an edited crop. Arguments as for :meth:`paste`.

        The face must be prepared with a parser. ``strands``: where other edits drew hair that takes the colour too.
        """
        reconstruction, edited, mask = _levels(prepared, edited, mask, region)
        silhouette, alignment, light = prepared.silhouette, prepared.alignment, prepared.light
        if rgb is None or rgb is prepared.photo.rgb:
            rgb, now = prepared.photo.rgb, silhouette
        else:  # the other edits may have added hair, or removed it
            drawn = None if strands is None else strands.float().cpu().numpy()
            now = silhouette.with_view(self._view(rgb, alignment, light)[0].cpu().numpy(), drawn)
        return recolour_hair(rgb, alignment, reconstruction, edited, mask, silhouette, now, light=light)

    def _prepared(self, photo: PhotoSource | PreparedFace, face: int | None, aligned: bool | None) -> PreparedFace:
        return photo if isinstance(photo, PreparedFace) else self.prepare(photo, face=face, aligned=aligned)


def as_photo(photo: PhotoSource) -> Photo:
    return photo if isinstance(photo, Photo) else open_photo(photo)


def _levels(
    prepared: PreparedFace, edited: Tensor, mask: Tensor | None, region: Tensor | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Reconstruction and edit, float32 (S, S, 3) in [0, 255], and mask (S, S), as the paste takes them."""
    reconstruction, edited = (
        ((image.float().clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).cpu().numpy()
        for image in (prepared.reconstruction, edited)
    )
    if region is not None:
        # Outside the region the edit is the crop itself. Compared with the reconstruction, what the model cannot
        # draw would count as a change there.
        share = region.float().cpu().numpy()[..., None]
        reconstruction = prepared.crop + share * (reconstruction - prepared.crop)
    return reconstruction, edited, None if mask is None else mask.float().cpu().numpy()


def default_model(chosen: str | None = None) -> str:
    """The chosen model, else ``STGAN_MODEL``, else the one in the checkout, else the published one: folder or Hub id.

    ``~`` is expanded. A ModelFolderError says what to do if there is none of them.
    """
    if chosen := chosen or os.environ.get("STGAN_MODEL"):
        return os.path.expanduser(chosen)
    if BUNDLED.is_dir():
        return str(BUNDLED)
    if DEFAULT_MODEL_ID:
        return DEFAULT_MODEL_ID
    raise ModelFolderError(
        "The installed package has no model of its own: choose one, as in stgan edit me.png --add Eyeglasses --model "
        "FOLDER_OR_HUB_ID, or set STGAN_MODEL to a model folder or Hub id."
    )
