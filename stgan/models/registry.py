"""Every architecture and every kind of network, in two tables.

``train.py --model``, model folders, model cards and the checks before publishing read these tables. A new architecture
needs a file with its class and one entry in :data:`ARCHITECTURES`; code outside the package calls :func:`register`.
"""

from dataclasses import dataclass

from stgan.models.aligner import FaceAligner
from stgan.models.classifier import AttributeClassifier
from stgan.models.discriminators import Discriminator, PatchDiscriminator
from stgan.models.encoder_decoder import STGAN, AttGAN
from stgan.models.parser import FaceParser
from stgan.models.pretrained import PretrainedModel
from stgan.models.projected import ProjectedDiscriminator
from stgan.models.stargan import StarGAN


@dataclass(frozen=True)
class Kind:
    """What the networks of one kind are for.

    A kind with a ``use`` is a companion: a model folder holds it in a subfolder named after the kind.
    """

    description: str  # for the model card; {count} and {attributes} are filled in
    tags: tuple[str, ...]  # of the model card, like the next two
    pipeline_tag: str | None = None
    metrics: tuple[str, ...] | None = None
    measure: str = "stgan evaluate"  # the command that measures such a network
    use: str | None = None  # companion for "editing", or for "training" only, and then no editor downloads it
    missing: str = ""  # error message of a model folder that lacks this companion; empty where it is optional


KINDS = {
    "editor": Kind(
        "Edits {count} attributes of a face in a photograph: {attributes}.",
        tags=("face-editing", "attribute-editing", "gan"),
        pipeline_tag="image-to-image",
        metrics=("psnr", "ssim", "accuracy"),
    ),
    "classifier": Kind(
        "Tells which of {count} attributes an aligned face has: {attributes}.",
        tags=("face-attributes",),
        pipeline_tag="image-classification",
        metrics=("accuracy",),
        use="editing",
        missing="An editor needs one to see which attributes a face already has. Train one with "
        "train.py --model classifier and save it to classifier/.",
    ),
    "aligner": Kind(
        "Estimates how a face lies in a rough square crop, and whether there is a face at all. It returns the "
        "similarity transform that aligns the crop like CelebA's images. It was trained without landmarks.",
        tags=("face-alignment",),
        measure="benchmarks/alignment.py",
        use="editing",
    ),
    "parser": Kind(
        "Labels each pixel of a face: background, skin, eyeglasses, eyes, brows, mouth, hair, hat, neck or clothes. "
        "With it, edits keep to the hair or the skin that a photograph shows.",
        tags=("face-parsing",),
        pipeline_tag="image-segmentation",
        metrics=("mean_iou",),
        measure="benchmarks/parser.py",
        use="editing",
    ),
    "discriminator": Kind(
        "Tells real images from edited ones, and which of {count} attributes a face has: {attributes}.",
        tags=("face-attributes", "gan"),
        use="training",
    ),
    "projected": Kind(
        "Tells real images from edited ones by the features of a frozen network.", tags=("gan",), use="training"
    ),
}


@dataclass(frozen=True)
class Architecture:
    """One network class and its place in the package."""

    model: type[PretrainedModel]
    kind: str  # key of KINDS
    option: str | None = None  # its name in ``train.py --model``; None where it is not trained by itself
    paper: str | None = None  # arXiv id
    discriminator: type[PretrainedModel] | None = None  # what an editor is trained against


ARCHITECTURES = {
    entry.model.__name__: entry  # the name that config.json has as "architecture"
    for entry in (
        Architecture(STGAN, "editor", "stgan", paper="1904.09709", discriminator=Discriminator),
        Architecture(AttGAN, "editor", "attgan", paper="1711.10678", discriminator=Discriminator),
        Architecture(StarGAN, "editor", "stargan", paper="1711.09020", discriminator=PatchDiscriminator),
        Architecture(AttributeClassifier, "classifier", "classifier"),
        Architecture(FaceAligner, "aligner", "aligner"),
        Architecture(FaceParser, "parser", "parser"),
        Architecture(Discriminator, "discriminator"),
        Architecture(PatchDiscriminator, "discriminator"),
        Architecture(ProjectedDiscriminator, "projected"),
    )
}


def register(architecture: Architecture) -> None:
    """Add an architecture, or replace the one whose class has the same name."""
    ARCHITECTURES[architecture.model.__name__] = architecture


def of_kind(kind: str) -> dict[str, Architecture]:
    """The architectures of one kind, by class name."""
    return {name: entry for name, entry in ARCHITECTURES.items() if entry.kind == kind}


def trainable() -> dict[str, Architecture]:
    """The architectures that ``train.py`` trains, by their names in ``--model``."""
    return {entry.option: entry for entry in ARCHITECTURES.values() if entry.option}


def companions(use: str | None = None) -> tuple[str, ...]:
    """The kinds of network that may lie beside an editor: all, or those for one use."""
    return tuple(name for name, kind in KINDS.items() if kind.use and use in (None, kind.use))
