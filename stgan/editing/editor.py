"""Photo in, photo out: find the face, read its attributes, edit it, put the change back.

>>> from stgan import FaceEditor
>>> editor = FaceEditor.from_pretrained("hub/stgan-celebahq-256")
>>> editor.attributes("me.jpg")["Eyeglasses"]
0.03
>>> editor.edit("me.jpg", {"Eyeglasses": True}).save("me-with-glasses.png")
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stgan.attributes import as_labels, index_of
from stgan.devices import CHANNELS_LAST, autocast, chosen_device, chosen_precision, survive_forks
from stgan.editing.edits import (
    FaceChoice,
    Intensity,
    Labels,
    face_outcome,
    read_edits,
    read_face_number,
    read_flag,
    read_intensities,
    source_and_target,
)  # fmt: skip
from stgan.editing.outcome import FaceOutcome, Outcome, earlier_claims
from stgan.editing.painter import FacePainter
from stgan.editing.prepared import PreparedFace
from stgan.models import (
    AttributeClassifier,
    FaceAligner,
    FaceParser,
    Generator,
    ModelFolderError,
    check_judge,
    fetch_model_folder,
    load_companion,
    load_generator,
)  # fmt: skip
from stgan.models.frozen import frozen
from stgan.models.frozen_parser import frozen_parser
from stgan.photo.align import align_face, align_whole
from stgan.photo.crop import crop_face
from stgan.photo.detect import Detector, FaceDetector, yunet_path
from stgan.photo.face import Face, FaceError, check_editable, choose_face
from stgan.photo.files import OUTCOME, Photo, PhotoSource, open_photo
from stgan.photo.geometry import changed_box
from stgan.photo.light import Light
from stgan.photo.people import are_same, in_crop, kept_to_own, merged
from stgan.photo.refine import faces_any_way_up, is_aligned_crop, refined_faces

BUNDLED = Path(__file__).resolve().parents[2] / "hub" / "stgan-celebahq-256"  # only in a checkout and in a Space
DEFAULT_MODEL_ID = ""  # Hub id of the model for an installed package without a checkout; empty until it is published


class FaceEditor(FacePainter):
    """Edits facial attributes in photographs; no labels and no aligned crops needed.

    Args:
        generator: any editor of :mod:`stgan.models`.
        classifier: knows at least the generator's attributes; tells which of them a face already has.
        detector: finds faces, see :class:`stgan.photo.detect.Detector`. By default YuNet if its file is available, else
            OpenCV's Haar cascades.
        device: by default the GPU if there is one (CUDA, XPU or MPS).
        aligner: refines where a face is and confirms that it is one. Without it the detector alone decides.
        parser: sees what pixels show, so that edits change the face's own hair or skin and nothing beside it. Without
            it edits keep to where the mean face has them.
        dtype: precision of the generator: float32, or bfloat16 or float16 for speed on a GPU.

    An editor can be pickled and copied. Forked processes may use it on one CPU core; on a GPU, ``spawn`` them.
    """

    def __init__(
        self,
        generator: Generator,
        classifier: AttributeClassifier,
        detector: Detector | None = None,
        device: str | torch.device | None = None,
        aligner: FaceAligner | None = None,
        parser: FaceParser | None = None,
        dtype: str | torch.dtype | None = None,
    ):
        check_judge(generator, classifier)
        survive_forks()
        self.device, self.dtype = chosen_device(device), chosen_precision(dtype)
        self.generator = generator.eval().to(self.device, **CHANNELS_LAST)
        self.classifier = classifier.eval().to(self.device, **CHANNELS_LAST)
        self.aligner = aligner and aligner.eval().to(self.device, **CHANNELS_LAST)
        self.parser = parser and parser.eval().to(self.device, **CHANNELS_LAST)
        # Reduced precision and other devices are served by the generator itself.
        on_cpu = self.device.type == "cpu"
        self.frozen = frozen(self.generator) if on_cpu and self.dtype is None else self.generator
        self.frozen_parser = frozen_parser(self.parser) if on_cpu and self.parser is not None else self.parser
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
        dtype: str | torch.dtype | None = None,
    ) -> "FaceEditor":
        """Load a model folder or Hub repository: a generator, its ``classifier/``, ``aligner/`` and ``parser/``.

        Args:
            folder_or_hub_id: local folder or ``owner/name``. Only the files needed are downloaded.
            revision, token, cache_dir: of the Hub download.
            detector, device, dtype: see the class.

        Raises:
            ModelFolderError: a part is missing, damaged or does not fit; the message names it.
        """
        folder = fetch_model_folder(folder_or_hub_id, revision=revision, token=token, cache_dir=cache_dir)
        classifier, aligner, parser = (load_companion(folder, kind) for kind in ("classifier", "aligner", "parser"))
        return cls(load_generator(folder), classifier, detector, device, aligner, parser, dtype)

    @property
    def detector(self) -> Detector:
        """The given detector, or else the best available one, chosen when it is first needed."""
        if self._detector is None:
            self._detector = FaceDetector(yunet_path())
        return self._detector

    def find_faces(self, photo: PhotoSource) -> list[Face]:
        """All faces of a photo, from left to right. Those on their side count where none is upright."""
        return faces_any_way_up(self.detector, self.aligner, as_photo(photo).rgb)

    def is_aligned(self, photo: PhotoSource) -> bool:
        """Whether a photo is a face crop like CelebA's: 178x218 pixels with the face where CelebA has it."""
        return is_aligned_crop(self.detector, self.aligner, as_photo(photo).rgb)

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
            photo: path, bytes, open file, PIL image, array or tensor (H, W, 3), or Photo.
            face: which one, counted from the left, or one that :meth:`find_faces` returned. By default the largest that
                is editable.
            aligned: take the whole photo as a crop like CelebA's. By default only a photo that :meth:`is_aligned`.
            others: the photo's faces if ``face`` is one of them, so that their pixels stay as they are.

        Raises:
            FaceError: there is no such face, or it is not editable; the message says what to do.
        """
        aligned = read_flag("aligned", aligned)
        photo = as_photo(photo)
        size = self.generator.image_size
        if aligned and face is not None:
            raise ValueError("An aligned photo is one face: leave out face, or leave out aligned.")
        if aligned is None:
            aligned = face is None and self.is_aligned(photo)
        found, others = (None, ()) if aligned else self._choose_face(photo, face, others)
        alignment = align_whole(photo.rgb.shape, size) if found is None else align_face(found, size)
        crop = crop_face(photo.rgb, alignment, size)
        light = Light.of(crop)
        crop = light.crop(crop)
        image, probabilities = self._image(crop), self._probabilities(crop)
        labels = (probabilities > self.classifier.thresholds[self._columns]).float()
        with autocast(self.device, self.dtype):
            features = self.frozen.encode(image)
            reconstruction = self.frozen.decode(features, self.generator.condition(labels[None], labels[None]))[0]
        named = dict(zip(self.names, probabilities.tolist(), strict=True))
        parts, silhouette = self._parse(photo, found, alignment, light, others)
        people = () if found is None else in_crop(found, others, alignment)
        return PreparedFace(
            photo, found, alignment, crop, named, labels, features, reconstruction.float(), parts, silhouette, light,
            people=people,
            covered={} if parts is None or silhouette is None else self._covered(parts, silhouette, people),
        )  # fmt: skip

    def _prepare_all(self, photo: Photo) -> tuple[list[PreparedFace], dict[int, str]]:
        """All editable faces, prepared, and by number why the others are left as they are."""
        faces = self.find_faces(photo)
        choose_face(faces)  # refuses photos without an editable face
        prepared, skipped = [], {}
        for number, face in enumerate(faces):
            if any(are_same(face, other) for other in faces[:number]):
                skipped[number] = ""  # found twice
                continue
            try:
                prepared.append(self.prepare(photo, face=face, others=faces))
            except FaceError as error:
                skipped[number] = str(error)
        return prepared, skipped

    def _choose_face(
        self, photo: Photo, face: int | Face | None, others: Sequence[Face]
    ) -> tuple[Face, Sequence[Face]]:
        """The face to edit, refined, and all faces of the photo that are known."""
        if isinstance(face, Face):
            check_editable(face)
            others = others or [face]
        else:
            read_face_number(face)
            others = self.find_faces(photo)
            face = others[choose_face(others, face)]
        if self.aligner is None:
            return self.detector.refine(photo.rgb, face), others
        return refined_faces(self.aligner, photo.rgb, [face])[0], others

    @torch.inference_mode()
    def edit_crops(
        self,
        prepared: PreparedFace,
        edits: Sequence[Labels],
        intensity: Intensity = 1.0,
        source: Labels | None = None,
        *,
        force: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Several edits of one face in one pass, as aligned crops. Arguments as in :meth:`edit_each`.

        Returns:
            Images (K, 3, S, S) in [-1, 1], and soft masks (K, S, S) in [0, 1] or None if the model has none.
        """
        force = bool(read_flag("force", force))
        condition = self._condition(prepared, read_edits(edits, self.names), intensity, source, force)
        edited = self._decode(prepared.to(self.device), condition)
        return edited.image, None if edited.mask is None else edited.mask[:, 0]

    def _condition(
        self, prepared: PreparedFace, edits: Sequence[dict[str, bool]], intensity: Intensity, *corrections: Any
    ) -> Tensor:
        """The generator's input for K edits, (K, A)."""
        labels, targets = source_and_target(prepared, edits, *corrections)
        return self.generator.condition(labels, targets, read_intensities(intensity, self.names)).to(self.device)

    def attributes(
        self, photo: PhotoSource | PreparedFace, *, face: int | None = None, aligned: bool | None = None
    ) -> dict[str, float]:
        """Probability of each attribute in the photo's face. Arguments as in :meth:`prepare`."""
        people, _ = self._people(photo, read_face_number(face), aligned)
        if len(people) > 1:
            raise ValueError("These are several faces: read the attributes of one at a time.")
        return dict(people[0].probabilities)

    def edit(
        self,
        photo: PhotoSource | PreparedFace | Sequence[PreparedFace],
        edit: Labels,
        intensity: Intensity = 1.0,
        *,
        face: FaceChoice = None,
        aligned: bool | None = None,
        source: Labels | None = None,
        force: bool = False,
    ) -> Image.Image:
        """The photo with its face edited, at its own size; everything else stays as it was.

        Args:
            photo: see :meth:`prepare`; or a prepared face, or several of one photo.
            edit: attribute name to wanted value, such as ``{"Eyeglasses": True, "Blond_Hair": True}``, or names to add.
                What these exclude (another hair colour) is removed. What the face already has changes nothing.
            intensity: 1 is a plain edit; more is stronger, up to 2. Or a mapping by attribute name.
            face: which face, counted from the left, or ``"all"``. By default the largest that is editable.
            aligned: see :meth:`prepare`.
            source: corrections to the attributes that the classifier sees in the photo.
            force: edit as if the classifier saw the opposite of what is asked for.

        Returns:
            The image. Its ``info["stgan"]`` is an :class:`Outcome`: what was really changed, which
            :func:`stgan.save_photo` writes into the file's metadata.

        Raises:
            ValueError: an attribute is unknown, a value is not true or false, two attributes exclude each other, or
                the intensity is out of range.
            FaceError: no such face, or it is not editable.
            stgan.photo.files.PhotoError: the file is no image that can be read.
        """
        edits = [as_labels(edit, self.names)]
        return self.edit_each(photo, edits, intensity, face=face, aligned=aligned, source=source, force=force)[0]

    def edit_each(
        self,
        photo: PhotoSource | PreparedFace | Sequence[PreparedFace],
        edits: Sequence[Labels],
        intensity: Intensity = 1.0,
        *,
        face: FaceChoice = None,
        aligned: bool | None = None,
        source: Labels | None = None,
        force: bool = False,
    ) -> list[Image.Image]:
        """Several edits of one face, from one encoding and one pass of the decoder: one photo for each.

        Arguments and errors as for :meth:`edit`.
        """
        edits, _ = read_edits(edits, self.names), read_intensities(intensity, self.names)  # before the work
        force = bool(read_flag("force", force))
        people, skipped = self._people(photo, face, aligned)
        batches = [self._edited_face(prepared, edits, intensity, source, force) for prepared in people] if edits else []
        return [_joined(people, of_one_edit, skipped) for of_one_edit in zip(*batches, strict=True)]

    def edit_people(self, people: Sequence[tuple[PreparedFace, Labels, Intensity, Labels | None]]) -> Image.Image:
        """One photo with several of its people edited, each in their own way. An edit never reaches another face.

        Args:
            people: prepared faces of one photo, each with its edit, intensity and source as for :meth:`edit`.

        Raises:
            ValueError: see :meth:`edit`; or the faces are of different photos.
        """
        if not all(isinstance(each, tuple | list) and len(each) == 4 for each in people):
            raise ValueError("Each person must be a prepared face with its edit, intensity and source (or None).")
        edits = [(read_edits([edit], self.names), intensity, source) for _, edit, intensity, source in people]
        for _, _, intensity, _ in people:
            read_intensities(intensity, self.names)  # before the work
        faces, _ = self._people([prepared for prepared, *_ in people], None, None)
        edited = (next(self._edited_face(face, *each)) for face, each in zip(faces, edits, strict=True))
        return _joined(faces, edited, {})

    def _edited_face(
        self,
        prepared: PreparedFace,
        edits: Sequence[dict[str, bool]],
        intensity: Intensity,
        source: Labels | None = None,
        force: bool = False,
    ) -> Iterator[tuple[np.ndarray, FaceOutcome]]:
        """For each edit the photo's pixels with this face edited, and what was changed."""
        condition = self._condition(prepared, edits, intensity, source, force)
        labels = source_and_target(prepared, edits, source, force)
        known = prepared if source is None else prepared.corrected(as_labels(source, self.names))
        pixels = self._pixels(known.to(self.device), condition, (labels[0] != labels[1]).tolist())
        for rgb, edit, before, target in zip(pixels, edits, *labels, strict=True):
            rgb = kept_to_own(prepared.photo.rgb, rgb, prepared.alignment, prepared.people)
            outcome = face_outcome(known, edit, before, target, intensity)
            yield rgb, outcome if changed_box(prepared.photo.rgb, rgb) else outcome.without_effect()

    def single_edits(self, prepared: PreparedFace) -> dict[str, dict[str, bool]]:
        """For each attribute the edit that flips it alone: added where the face lacks it, else taken away."""
        return {name: {name: not present} for name, present in prepared.label_dict().items()}

    def _people(self, photo: Any, face: FaceChoice, aligned: bool | None) -> tuple[list[PreparedFace], dict[int, str]]:
        """The faces to edit, prepared, and by number why others are left as they are."""
        prepared = photo if isinstance(photo, list | tuple) else [photo]
        if prepared and all(isinstance(each, PreparedFace) for each in prepared):
            if face is not None or aligned is not None:
                raise ValueError("A prepared face is chosen already: give face and aligned to prepare.")
            if any(each.photo is not prepared[0].photo for each in prepared):
                raise ValueError("These faces are of different photos: edit one photo at a time.")
            return list(prepared), {}
        if not (isinstance(face, str) and face == "all"):
            return [self.prepare(photo, face=face, aligned=aligned)], {}
        if aligned:
            raise ValueError("An aligned photo is one face: leave out face='all', or leave out aligned.")
        return self._prepare_all(as_photo(photo))


def _joined(
    people: Sequence[PreparedFace], edited: Iterable[tuple[np.ndarray, FaceOutcome]], skipped: dict[int, str]
) -> Image.Image:
    """One photo of the pixels of each of its edited faces, with what was changed."""
    original, outcomes = people[0].photo, []
    rgb = original.rgb
    for pixels, outcome in edited:
        rgb = pixels if rgb is original.rgb else merged(original.rgb, rgb, pixels)
        outcomes.append(outcome)
    image = original.with_rgb(rgb)
    image.info[OUTCOME] = Outcome(outcomes, skipped, earlier_claims(original.original.info), people[0].turn)
    return image


def as_photo(photo: PhotoSource) -> Photo:
    """The photo opened, if it is not yet; a PhotoError says why it cannot be."""
    return photo if isinstance(photo, Photo) else open_photo(photo)


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
