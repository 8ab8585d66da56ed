"""Networks: generators that edit, discriminators that judge them in training, classifier and aligner."""

from stgan.models.aligner import FaceAligner
from stgan.models.classifier import AttributeClassifier, check_judge
from stgan.models.discriminators import Discriminator, PatchDiscriminator
from stgan.models.encoder_decoder import STGAN, AttGAN, EncoderDecoder, SelectiveTransferUnit
from stgan.models.folder import (
    ALIGNER_FOLDER,
    CLASSIFIER_FOLDER,
    DISCRIMINATOR_FOLDER,
    GENERATORS,
    fetch_model_folder,
    load_companion_aligner,
    load_companion_classifier,
    load_companion_discriminator,
    load_generator,
)
from stgan.models.generator import Edit, Generator
from stgan.models.pretrained import ModelFolderError, PretrainedModel, settings_differences
from stgan.models.stargan import StarGAN
from stgan.models.widening import widened

__all__ = [
    "ALIGNER_FOLDER",
    "CLASSIFIER_FOLDER",
    "DISCRIMINATOR_FOLDER",
    "GENERATORS",
    "STGAN",
    "AttGAN",
    "AttributeClassifier",
    "Discriminator",
    "Edit",
    "EncoderDecoder",
    "FaceAligner",
    "Generator",
    "ModelFolderError",
    "PatchDiscriminator",
    "PretrainedModel",
    "SelectiveTransferUnit",
    "StarGAN",
    "check_judge",
    "fetch_model_folder",
    "load_companion_aligner",
    "load_companion_classifier",
    "load_companion_discriminator",
    "load_generator",
    "settings_differences",
    "widened",
]
