"""The networks of an editor as a configuration describes them, new or with the weights of a saved editor."""

import inspect
from typing import Any, TypeVar, cast

from stgan.models import (
    Discriminator,
    EncoderDecoder,
    Generator,
    ModelFolderError,
    PatchDiscriminator,
    PretrainedModel,
    load_companion,
    load_generator,
    settings_differences,
    widened,
)
from stgan.models.pretrained import read_config
from stgan.models.registry import ARCHITECTURES, companions, trainable
from stgan.training.config import TrainingConfig

Network = TypeVar("Network", bound=PretrainedModel)


def build_generator(config: TrainingConfig, attributes: tuple[str, ...]) -> Generator:
    """The generator that a configuration describes. It gets those of the settings that its constructor takes."""
    network = trainable()[config.model].model
    parameters = inspect.signature(network.__init__).parameters  # Python 3.10 shows a class with the mixin's __new__
    settings = config.record() | {"attributes": attributes}
    if config.generator.label_mode == "model":
        del settings["label_mode"]
    if config.method.inject_layers is None:
        del settings["inject_layers"]
    if "stu_layers" in parameters and config.generator.stu_layers > 4:
        settings["skip_layers"] = config.generator.stu_layers  # each unit needs its skip
    return cast(Generator, network(**{name: value for name, value in settings.items() if name in parameters}))


def build_discriminator(config: TrainingConfig, attributes: tuple[str, ...]) -> Discriminator | PatchDiscriminator:
    """The discriminator that belongs to a configuration's generator."""
    image_size, width, method = config.data.image_size, config.discriminator.discriminator_width, config.method
    if trainable()[config.model].discriminator is PatchDiscriminator:
        layers = min(6, (image_size & -image_size).bit_length() - 1)
        return PatchDiscriminator(attributes, image_size, width, layers, method.discriminator_conditional)
    return Discriminator(
        attributes,
        image_size,
        width,
        max_width=16 * width,
        layers=config.generator.layers,
        hidden=method.discriminator_hidden,
        norm=method.discriminator_norm,
        conditional=method.discriminator_conditional,
    )


def saved_method(folder_or_hub_id: str) -> dict[str, Any]:
    """Settings of a saved editor's networks that no option sets, by their names in the method.

    Raises:
        ModelFolderError: there is no editor.
    """
    saved, discriminator = load_generator(folder_or_hub_id), load_companion(folder_or_hub_id, "discriminator")
    names = ("max_width", "inject_layers", "stu_kernel", "stu_norm")
    method = {name: saved.config[name] for name in names if name in saved.config}
    if discriminator is not None and "hidden" in discriminator.config:
        method["discriminator_hidden"] = discriminator.config["hidden"]
    return method


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


def load_initial_network(network: PretrainedModel, folder_or_hub_id: str) -> None:
    """Load the weights of a saved classifier, aligner or parser into a new one.

    Raises:
        ModelFolderError: there is none, or its settings differ; the message names them.
    """
    saved = load_companion_or_own(folder_or_hub_id, type(network), "initial_model")
    differences = settings_differences(network, saved)
    if differences:
        raise ModelFolderError(f"--initial_model {folder_or_hub_id} has {differences}: train with its settings.")
    network.load_state_dict(saved.state_dict())


def load_initial_discriminator(
    discriminator: PretrainedModel, folder_or_hub_id: str, kind: str = "discriminator"
) -> str:
    """Load the weights of a saved generator's discriminator into a new one, if there is one with the same settings.

    Args:
        kind: ``discriminator``, or ``projected`` for that other one.

    Returns:
        What the saved one has in place of those settings; empty if it was loaded.
    """
    saved = load_companion(folder_or_hub_id, kind)
    if saved is None:
        return "no discriminator" if kind == "discriminator" else "none"
    differences = settings_differences(discriminator, saved)
    if not differences:
        discriminator.load_state_dict(saved.state_dict())
    return differences


def load_companion_or_own(folder_or_hub_id: str, network: type[Network], option: str) -> Network:
    """A network of this class, from its own folder or Hub repository or from an editor's that comes with one.

    Raises:
        ModelFolderError: there is none; the message names the option that asked for it.
    """
    if read_config(folder_or_hub_id).get("architecture") == network.__name__:
        return network.from_pretrained(folder_or_hub_id)
    kind = ARCHITECTURES[network.__name__].kind
    companion = load_companion(folder_or_hub_id, kind) if kind in companions() else None
    if companion is None:
        raise ModelFolderError(f"--{option} {folder_or_hub_id} is no {kind} and has none in {kind}/.")
    return companion
