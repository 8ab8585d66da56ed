"""Networks: editors, the discriminators that train them, and the companions of an editor."""

from stgan.models.aligner import FaceAligner
from stgan.models.classifier import AttributeClassifier, check_judge
from stgan.models.discriminators import Discriminator, PatchDiscriminator
from stgan.models.encoder_decoder import STGAN, AttGAN, EncoderDecoder, SelectiveTransferUnit
from stgan.models.folder import fetch_model_folder, load_companion, load_generator, load_network
from stgan.models.generator import Edit, Generator
from stgan.models.parser import PARSER_CLASSES, FaceParser
from stgan.models.pretrained import ModelFolderError, PretrainedModel, settings_differences
from stgan.models.projected import ProjectedDiscriminator
from stgan.models.registry import ARCHITECTURES, KINDS, Architecture, Kind, register
from stgan.models.stargan import StarGAN
from stgan.models.widening import widened

__all__ = [
    "ARCHITECTURES", "KINDS", "PARSER_CLASSES", "STGAN", "Architecture", "AttGAN", "AttributeClassifier",
    "Discriminator", "Edit", "EncoderDecoder", "FaceAligner", "FaceParser", "Generator", "Kind", "ModelFolderError",
    "PatchDiscriminator", "PretrainedModel", "ProjectedDiscriminator", "SelectiveTransferUnit", "StarGAN",
    "check_judge", "fetch_model_folder", "load_companion", "load_generator", "load_network", "register",
    "settings_differences", "widened",
]  # fmt: skip
