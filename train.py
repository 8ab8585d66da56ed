"""Train an attribute editor, classifier or aligner: ``accelerate launch train.py --help``."""

import argparse
import shlex
import sys

import tyro

try:
    from stgan.data import DataError
    from stgan.models import ModelFolderError
    from stgan.training import TrainingConfig, TrainingError, recipe_defaults, train
    from stgan.training.checkpoints import CheckpointError
except ModuleNotFoundError as error:  # what the demo does without
    sys.exit(f"train.py: {error.name} is not installed: pip install -e '.[train]'")


def parse(arguments: list[str]) -> TrainingConfig:
    """Read the command line; --model, --recipe and --streaming decide what the other options start from."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--model", default="stgan", choices=["stgan", "attgan", "stargan", "classifier", "aligner"])
    first.add_argument("--recipe", default="fast", choices=["fast", "paper"])
    first.add_argument("--streaming", action="store_true")
    chosen, _ = first.parse_known_args(arguments)
    defaults = recipe_defaults(chosen.model, chosen.recipe, chosen.streaming)
    return tyro.cli(TrainingConfig, default=defaults, args=arguments)


def main() -> None:
    """Entry point. Mistakes in data, settings or checkpoints end with one clear sentence instead of a trace."""
    command = f"accelerate launch train.py {shlex.join(sys.argv[1:])}"
    try:
        train(parse(sys.argv[1:]), command)
    except (DataError, CheckpointError, ModelFolderError, TrainingError, ValueError) as error:
        sys.exit(f"train.py: {error}")


if __name__ == "__main__":
    main()
