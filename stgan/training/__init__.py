"""Training: configuration, objectives, the loop, checkpoints."""

from stgan.training.config import TrainingConfig, recipe_defaults
from stgan.training.stopping import TrainingError
from stgan.training.trainer import Trainer, train

__all__ = ["Trainer", "TrainingConfig", "TrainingError", "recipe_defaults", "train"]
