"""The options of a training run, grouped by subject. The comment above an option is its help text.

The values here are those of ``--model stgan --recipe fast``; :mod:`stgan.training.config` has what other models and
recipes set in their place.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class DataOptions:
    """The images that are trained on."""

    # Hub id (owner/name, or owner/name@revision), folder of Parquet files, or folder of the original CelebA download.
    dataset: str = "flwrlabs/celeba"
    # Label columns to edit or classify. The default is the 13 of the paper.
    attributes: tuple[str, ...] = ()
    # celeba: the paper's box in 178x218 images; celebahq: the same part of CelebA-HQ's images; face: the same part
    # of any photograph, found by the default model's aligner; center: the largest square; none: all of it; auto: by the
    # image's size.
    crop: Literal["auto", "celeba", "celebahq", "face", "center", "none"] = "auto"
    # Second dataset, which may be less sharp: it serves a classifier, or the attribute head of the discriminator.
    attribute_dataset: str | None = None
    # Height and width of the training images in pixels.
    image_size: int = 128
    # Read images during training instead of decoding all of them into memory first.
    streaming: bool = False
    # Train on this many images only.
    max_train_samples: int | None = None
    # Validate on at most this many images.
    max_validation_samples: int = 512
    # Processes that read and decode images.
    dataloader_num_workers: int = 2
    # Share of images that training shows in dim or coloured light; a third as many turn grey.
    varied_light: float = 0.0
    # Mirror images at random.
    random_flip: bool = True
    # 0 draws all images alike; values up to 1 draw images with rare attributes, or a parser's rare classes, more often.
    # Not for streams.
    rare_attribute_power: float = 0.5

    @property
    def source(self) -> tuple[str, str | None]:
        """The dataset without its revision, and the revision of a Hub dataset."""
        return split_revision(self.dataset)


def split_revision(dataset: str) -> tuple[str, str | None]:
    """A dataset without its revision, and the revision of a Hub dataset."""
    name, at, revision = dataset.partition("@")
    return (dataset, None) if not at or Path(dataset).exists() else (name, revision)


@dataclass(frozen=True)
class RunOptions:
    """Where and how the run takes place."""

    # Folder for checkpoints, logs, sample grids and the trained model.
    output_dir: str = "runs/stgan"
    # Model (folder or Hub id) to start from, of the same architecture; an editor's --width may be larger.
    initial_model: str | None = None
    # Seed of all random numbers.
    seed: int = 0
    # Precision: no (float32), bf16, or auto (bf16 where the device has instructions for it). Losses stay in float32.
    mixed_precision: Literal["no", "bf16", "auto"] = "auto"
    # graphs records an editor's steps as CUDA graphs (one GPU); compiled compiles the networks as well; eager neither.
    execution: Literal["eager", "graphs", "compiled"] = "graphs"


@dataclass(frozen=True)
class ScheduleOptions:
    """How long and at which rate the networks learn."""

    # Length of the run in images, over all processes.
    total_images: int = 1_000_000
    # Images per step and process.
    batch_size: int = 32
    # Adam's learning rate.
    learning_rate: float = 3e-4
    # Share of the run after which the learning rate decays; 1 keeps it constant.
    decay_start: float = 0.6


@dataclass(frozen=True)
class GeneratorOptions:
    """The generator, or the aligner."""

    # Channels of the first layer of the generator or aligner.
    width: int = 64
    # Stride-2 layers of encoder and decoder (STGAN, AttGAN).
    layers: int = 5
    # Skip connections with a selective transfer unit, from the innermost; 0 makes all of them plain (STGAN).
    stu_layers: int = 4
    # State that a unit passes on: the paper's reset-gated one (stu), a GRU's (gru), or the upsampled one (direct).
    stu_state: Literal["stu", "gru", "direct"] = "stu"
    # Condition on the attribute difference or on the target attributes; model takes the architecture's own.
    label_mode: Literal["model", "difference", "target"] = "model"
    # Predict a mask that decides per pixel how much of the source is replaced.
    soft_mask: bool = True
    # Confine each edit to where its attributes lie in an aligned face. For faces in CelebA's frame.
    use_regions: bool = True
    # Face parser (folder or Hub id, its own or an editor's) whose maps narrow these regions down to each image's own
    # hair and skin. Not for streams.
    region_parser: str | None = None


@dataclass(frozen=True)
class DiscriminatorOptions:
    """The discriminator."""

    # Channels of the discriminator's first layer.
    discriminator_width: int = 64
    # Weight of the attribute loss on real images.
    discriminator_attribute_weight: float = 2.0
    # Weight of a second discriminator, which judges by the features of a frozen network; 0 leaves it out. Needs
    # ImageNet's weights and recipe fast.
    projected_weight: float = 0.0
    # Weight of the R1 penalty on each attribute logit, as a share of its weight on realness (recipe fast).
    attribute_penalty_share: float = 0.2


@dataclass(frozen=True)
class LossOptions:
    """The generator's losses, and the edits that it practises."""

    # Weight of the attribute loss on edited images.
    attribute_weight: float = 9.0
    # In that loss, weight of changes that the data never show, such as a mustache on a woman; kept attributes weigh 1.
    never_shown_attribute_weight: float = 5.0
    # Margin (logits) added to the target for changed attributes.
    attribute_margin: float = 0.4
    # Range from which the intensity of edits is drawn.
    intensity_range: tuple[float, float] = (1.0, 1.0)
    # Weight of the reconstruction loss.
    reconstruction_weight: float = 25.0
    # Weight of the change of the cheeks' colour by edits that do not ask for another skin. Only with region_parser.
    cheek_weight: float = 10.0
    # Price of a fully open soft mask.
    mask_weight: float = 0.35
    # Most attributes that such a target flips together. Half of them flip one.
    max_flips: int = 1
    # How often a target flips an attribute, as NAME WEIGHT pairs; the others weigh 1.
    single_flip_weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportOptions:
    """Measurements during the run."""

    # Steps between validations; each also writes a sample grid and the model folder.
    validation_steps: int = 2_000
    # The model folder keeps the snapshot with the best realism among those whose edit accuracy is at least this; 0
    # keeps the newest. Needs ImageNet's weights.
    least_accuracy: float = 0.0
    # Classifier (folder or Hub id) that measures edit accuracy. By default the discriminator's own head does.
    classifier: str | None = None
    # Steps between logged means of the losses.
    logging_steps: int = 50
    # tensorboard, wandb, trackio, all or none.
    report_to: str = "tensorboard"


@dataclass(frozen=True)
class CheckpointOptions:
    """Full training states, and what is uploaded."""

    # Steps between checkpoints. One is also saved at the end and when the run is stopped.
    checkpointing_steps: int = 2_000
    # Checkpoint to continue from: latest, a name in output_dir, or a state on the Hub (owner/name@training-state).
    resume_from_checkpoint: str | None = None
    # Continue even with another batch size or number of processes than the checkpoint's. The run is then no longer the
    # one that it would have been without a stop; its record says so.
    resume_anyway: bool = False
    # Hub repository (name or owner/name) to upload the model to after each validation and at the end.
    push_to_hub: str | None = None
    # Also upload every n-th checkpoint, to the branch training-state; 0 uploads none.
    push_state_every: int = 0
    # Create that repository as private.
    hub_private: bool = False
