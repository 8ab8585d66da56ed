"""The networks of an editor as a configuration describes them, new or with the weights of a saved editor."""

from typing import Any

from stgan.models import (
    GENERATORS,
    Discriminator,
    EncoderDecoder,
    Generator,
    ModelFolderError,
    PatchDiscriminator,
    load_companion_discriminator,
    load_generator,
    settings_differences,
    widened,
)
from stgan.training.config import TrainingConfig

ARCHITECTURES = {"stgan": "STGAN", "attgan": "AttGAN", "stargan": "StarGAN"}


def build_generator(config: TrainingConfig, attributes: tuple[str, ...]) -> Generator:
    """The generator that a configuration describes."""
    settings: dict[str, Any] = {
        "attributes": attributes,
        "image_size": config.image_size,
        "width": config.width,
        "soft_mask": config.soft_mask,
        "use_regions": config.use_regions,
    }
    if config.label_mode != "model":
        settings["label_mode"] = config.label_mode
    if config.model != "stargan":
        settings |= {"max_width": config.max_width, "layers": config.layers, "norm_decay": config.norm_decay}
        settings |= {"inject_layers": config.inject_layers} if config.inject_layers >= 0 else {}
    if config.model == "stgan":
        settings |= {name: getattr(config, name) for name in ("stu_layers", "stu_kernel", "stu_state", "stu_norm")}
        settings |= {"skip_layers": config.stu_layers} if config.stu_layers > 4 else {}  # each unit needs its skip
    return GENERATORS[ARCHITECTURES[config.model]](**settings)


def build_discriminator(config: TrainingConfig, attributes: tuple[str, ...]) -> Discriminator | PatchDiscriminator:
    """The discriminator that belongs to a configuration's generator."""
    if config.model == "stargan":
        layers = min(6, (config.image_size & -config.image_size).bit_length() - 1)
        return PatchDiscriminator(
            attributes, config.image_size, config.discriminator_width, layers, config.discriminator_conditional
        )
    return Discriminator(
        attributes,
        config.image_size,
        config.discriminator_width,
        max_width=16 * config.discriminator_width,
        layers=config.layers,
        hidden=config.discriminator_hidden,
        norm=config.discriminator_norm,
        conditional=config.discriminator_conditional,
    )


def load_initial_weights(generator: Generator, folder_or_hub_id: str) -> None:
    """Load the weights of a saved generator into a new one.

    A narrower saved generator is widened without changing its edits.

    Raises:
        ModelFolderError: there is no generator, or its settings differ; the message names them.
    """
    saved = load_generator(folder_or_hub_id)
    if type(saved) is type(generator) and isinstance(saved, EncoderDecoder):
        saved = widened(saved, max(generator.config["width"], saved.config["width"]))
    differences = settings_differences(generator, saved)
    if differences:
        raise ModelFolderError(f"--initial_model {folder_or_hub_id} has {differences}: train with its settings.")
    generator.load_state_dict(saved.state_dict())


def load_initial_discriminator(discriminator: Discriminator | PatchDiscriminator, folder_or_hub_id: str) -> str:
    """Load the weights of a saved generator's discriminator into a new one, if there is one with the same settings.

    Returns:
        A sentence for the log that says whether it was loaded.
    """
    saved = load_companion_discriminator(folder_or_hub_id)
    differences = "no discriminator" if saved is None else settings_differences(discriminator, saved)
    if differences:
        return (
            f"The discriminator starts from random weights, because --initial_model {folder_or_hub_id} has "
            f"{differences}: --discriminator_head_start gives it time to learn."
        )
    discriminator.load_state_dict(saved.state_dict())
    return f"The discriminator starts from that of {folder_or_hub_id}."
