"""The command that trains: ``train.py`` and ``stgan train``."""

import argparse
import inspect
import shlex
import sys
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_type_hints

import tyro

from stgan.data import DataError
from stgan.models import ModelFolderError
from stgan.models.registry import trainable
from stgan.training.checkpoints import CheckpointError
from stgan.training.config import TrainingConfig, recipe_defaults
from stgan.training.stopping import TrainingError
from stgan.training.trainer import train

# Options that --help shows; --help-all shows the others too.
ESSENTIAL = (
    "model", "recipe", "dataset", "attributes", "image_size", "output_dir", "mixed_precision", "total_images",
    "batch_size", "width", "resume_from_checkpoint", "push_to_hub",
)  # fmt: skip
HELP = ("-h", "--help")
HELP_ALL = ("--help-all", "--help_all")


def main(arguments: list[str], program: str = "stgan train") -> None:
    """Train as the arguments say. Mistakes in data, settings or checkpoints end with one sentence instead of a trace.

    Args:
        arguments: options and their values.
        program: the command in front of them.
    """
    launch = "accelerate launch train.py" if program == "train.py" else program
    try:
        train(parse(arguments, program), shlex.join([*launch.split(), *arguments]))
    except (DataError, CheckpointError, ModelFolderError, TrainingError, ValueError, OSError) as error:
        sys.exit(f"{program}: {error}")


def parse(arguments: list[str], program: str = "stgan train") -> TrainingConfig:
    """Read the options; --model, --recipe and --streaming decide what the others start from."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--model", default="stgan", choices=list(trainable()))
    first.add_argument("--recipe", default="fast", choices=get_args(get_type_hints(TrainingConfig)["recipe"]))
    first.add_argument("--streaming", action="store_true")
    chosen, _ = first.parse_known_args(arguments)
    defaults = recipe_defaults(chosen.model, chosen.recipe, chosen.streaming)
    description = f"{inspect.getdoc(TrainingConfig)}\n\n{program} --help-all shows all options."
    if any(word in HELP for word in arguments):
        defaults = _only_essential(defaults)
    return tyro.cli(
        type(defaults),
        prog=program,
        description=description,
        default=defaults,
        args=["--help" if word in HELP_ALL else word for word in arguments],
        config=(tyro.conf.OmitArgPrefixes,),
        use_underscores=True,
    )


def _only_essential(options: Any) -> Any:
    """The same options, of a class whose help leaves out all but the essential ones."""
    kind: Any = type(options)
    hidden: dict[str, Any] = {}
    values = {option.name: getattr(options, option.name) for option in fields(options)}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if is_dataclass(values[name]):
            values[name] = _only_essential(values[name])
            hidden[name] = type(values[name])
        elif name not in ESSENTIAL:
            hidden[name] = Annotated[hint, tyro.conf.Suppress]
    attributes = {"__annotations__": hidden, "__doc__": kind.__doc__, "__module__": kind.__module__}
    if sys.version_info >= (3, 13):  # since then a class's source, whose comments are the help, is found by its line
        attributes["__firstlineno__"] = kind.__firstlineno__
    essential: Any = dataclass(frozen=True, kw_only=True)(type(kind.__name__, (kind,), attributes))
    return essential(**values)
