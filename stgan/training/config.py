"""The configuration of a training run: its options, what recipes and models set, and the method that follows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Suppress

from stgan.models.registry import trainable
from stgan.training.options import (
    CheckpointOptions,
    DataOptions,
    DiscriminatorOptions,
    GeneratorOptions,
    LossOptions,
    ReportOptions,
    RunOptions,
    ScheduleOptions,
)

SUPERVISED = ("classifier", "aligner", "parser")

# What recipes and models set in place of the options' defaults, which are recipe fast's for STGAN. The reasons for
# those are in dev/2026-11-26-recipe.md.
PAPER = {
    # 200 epochs of 947 iterations (182,000 images for five D steps and one G step of 32), as the official code
    # counts them. total_images counts what D sees, fresh at each of its steps.
    "total_images": 200 * 947 * 6 * 32,
    "mixed_precision": "no",
    "learning_rate": 2e-4,
    "decay_start": 0.5,
    "discriminator_attribute_weight": 1.0,
    "attribute_weight": 10.0,
    "never_shown_attribute_weight": 1.0,
    "attribute_margin": 0.0,
    "cheek_weight": 0.0,
    "reconstruction_weight": 100.0,
    "soft_mask": False,
    "use_regions": False,
    "random_flip": False,
    "rare_attribute_power": 0.0,
}
STARGAN_PAPER = PAPER | {
    # 200,000 discriminator steps of 16 images, one generator step after every five (CVPR 2018, section 4.2).
    "total_images": 40_000 * 6 * 16,
    "batch_size": 16,
    "learning_rate": 1e-4,
    # The paper's λ of 1 weighs a sum over the attributes, ours a mean: as many as there are. Set both for others
    # than the 13.
    "attribute_weight": 13.0,
    "discriminator_attribute_weight": 13.0,
    "reconstruction_weight": 10.0,
    "random_flip": True,
}
CLASSIFIER = {
    "total_images": 500_000,
    "batch_size": 64,
    "mixed_precision": "no",
    "learning_rate": 2e-3,
    "decay_start": 0.0,
    "width": 24,
    "rare_attribute_power": 0.0,
}
ALIGNER = CLASSIFIER | {"width": 28, "random_flip": False}  # it mirrors views itself
PARSER = CLASSIFIER | {
    "total_images": 40_000,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "image_size": 256,  # finer than the parser's own, so that enlarged faces are sharp
    "random_flip": False,  # it mirrors faces itself
    "rare_attribute_power": 0.6,  # of its classes
}
TARGETS = {"use_regions": False}  # targets do not say what an edit changes
STREAM = {"rare_attribute_power": 0.0}  # a stream comes in its own order


@dataclass(frozen=True)
class Method:
    """How a run trains beyond its options: what model, recipe and options imply.

    These settings have no flags, but a run's records keep them. The values here are recipe fast's.
    """

    # Discriminator steps per generator step, each on a fresh batch. 0: one batch and one generator pass serve both.
    critic_steps: int = 0
    # logistic: non-saturating with R1; wgan: Wasserstein with gradient penalty.
    adversarial_loss: str = "logistic"
    # Weight of the gradient penalty (wgan) or R1 (logistic, by r1_weight).
    penalty_weight: float = 0.2
    # The penalty is computed at every n-th step, n times as strong.
    penalty_interval: int = 8
    # none | in. InstanceNorm, the paper's, cannot see a tint or a lack of fine detail.
    discriminator_norm: str = "none"
    # The discriminator judges realness together with the labels ...
    discriminator_conditional: bool = True
    # ... and real images with the labels of their edits count as fakes, with this weight.
    mismatch_weight: float = 1.0
    # Hidden units of each head of the discriminator.
    discriminator_hidden: int = 1024
    # Share of images, real and edited alike, that it sees shifted and in other colours, against overfitting.
    discriminator_augmentation: float = 0.8
    # Its learning rate as a multiple of the generator's.
    discriminator_rate_factor: float = 2.0
    # Limit of the generator's channels.
    max_width: int = 1024
    # Generator layers that the attributes enter, after the first; None takes the architecture's own.
    inject_layers: int | None = None
    # Kernel of the transfer units' gates, and the norm in the units: the paper's.
    stu_kernel: int = 3
    stu_norm: str = "none"
    # Share of BatchNorm's running statistics kept at each step.
    norm_decay: float = 0.99
    # Residual blocks in each of the aligner's stages, and the side of its views in pixels.
    aligner_blocks: int = 2
    aligner_view: int = 64
    # Adam's betas. R1's first gradients are a thousand times its later ones; at .999 Adam's second moment remembers
    # them for thousands of steps, in which D stays at chance.
    adam_beta1: float = 0.5
    adam_beta2: float = 0.99
    # Decoupled weight decay.
    weight_decay: float = 0.0
    # drop: divided by ten from decay_start on; linear or cosine: to zero from decay_start to the end.
    lr_schedule: str = "linear"
    # Images over which the learning rate rises from zero.
    warmup_images: int = 0
    # Whether samples and the saved model are a moving average of the weights, and its half-life in images.
    use_ema: bool = True
    ema_half_life: int = 20_000
    # In the attribute loss on edits, weight of what changes; kept attributes weigh 1, and most are kept.
    changed_attribute_weight: float = 5.0
    # Edits are asked to convince attribute heads as much as real faces do on average, not more.
    limit_attributes: bool = True
    # Logits by which the attribute margin grows from intensity 1 to 2, so that more intensity is more of an edit.
    intensity_margin: float = 3.0
    # Share of targets that flip one attribute, as the evaluation does; the others permute the batch's labels.
    single_flip_share: float = 0.65
    # Two labels together less than this share as often as chance would have it count as never shown together.
    label_plausibility: float = 0.05
    # Share of a batch that is also reconstructed where one generator pass serves both networks.
    reconstruction_share: float = 0.25
    # Share of edits judged before the soft mask mixes them with the source: a half-open mask hides garish colours.
    painted_share: float = 0.5
    # Shares of the run between which the mask's price rises: once edits have formed, or they never do.
    mask_ramp: tuple[float, float] = (0.1, 0.6)
    # A half-open mask of openness m costs m + concavity * m * (1 - m).
    mask_concavity: float = 0.0
    # Share of the run after which the projected discriminator begins, once edits have formed.
    projected_start: float = 0.4
    # Images from which only a discriminator that is new learns, beside a generator that is not.
    discriminator_head_start: int = 10_000


PAPER_METHOD: dict[str, Any] = {
    "critic_steps": 5,
    "adversarial_loss": "wgan",
    "penalty_weight": 10.0,
    "penalty_interval": 1,
    "discriminator_norm": "in",
    "discriminator_conditional": False,
    "mismatch_weight": 0.0,
    "discriminator_augmentation": 0.0,
    "discriminator_rate_factor": 1.0,
    "norm_decay": 0.999,
    "adam_beta2": 0.999,
    "lr_schedule": "drop",
    "use_ema": False,
    "changed_attribute_weight": 1.0,
    "limit_attributes": False,
    "single_flip_share": 0.0,
    "label_plausibility": 0.0,
    "reconstruction_share": 1.0,
    "painted_share": 0.0,
}
SUPERVISED_METHOD: dict[str, Any] = {
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "weight_decay": 0.05,
    "lr_schedule": "cosine",
}


@dataclass(frozen=True)
class TrainingConfig:
    """Train an attribute editor, or what helps it with photos: a classifier, an aligner or a face parser.

    --model, --recipe and --streaming decide what the other options start from.
    """

    # stgan, attgan and stargan are editors; a classifier labels photos and judges edits; an aligner sets faces upright;
    # a parser says what each pixel shows and learns from a dataset with a column "mask".
    model: str = "stgan"
    # fast: this project's losses and settings; paper: those of the model's paper. Only editors have both.
    recipe: Literal["fast", "paper"] = "fast"

    data: DataOptions = DataOptions()
    run: RunOptions = RunOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    generator: GeneratorOptions = GeneratorOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    losses: LossOptions = field(default_factory=LossOptions)
    reports: ReportOptions = ReportOptions()
    checkpoints: CheckpointOptions = CheckpointOptions()

    # Settings of the method in place of the implied ones: those of the checkpoint that a run continues.
    overrides: Annotated[dict[str, Any], Suppress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for message, holds in self._checks().items():
            if not holds:
                raise ValueError(f"{message}.")

    def _checks(self) -> dict[str, bool]:
        data, schedule, losses = self.data, self.schedule, self.losses
        differs = self.generator.label_mode == "difference" or (
            self.generator.label_mode == "model" and self.model == "stgan"
        )
        steps = (self.reports.logging_steps, self.checkpoints.checkpointing_steps, self.reports.validation_steps)
        return {
            f"model must be one of {', '.join(trainable())}": self.model in trainable(),
            "batch_size and total_images must be positive": min(schedule.batch_size, schedule.total_images) > 0,
            "max_train_samples and max_validation_samples must be positive": data.max_validation_samples > 0
                and (data.max_train_samples is None or data.max_train_samples > 0),
            "an aligner needs a batch_size of at least 2, since it learns from faces and from images without one":
                self.model != "aligner" or schedule.batch_size > 1,
            "decay_start must be in [0, 1]": 0 <= schedule.decay_start <= 1,
            "critic_steps must be 0 (one shared pass) or more": self.overrides.get("critic_steps", 0) >= 0,
            "single_flip_weights must be positive numbers": all(
                0 < weight < float("inf") for weight in losses.single_flip_weights.values()
            ),
            "single_flip_weights need the single flips of recipe fast: set --recipe fast or leave them out":
                not losses.single_flip_weights or self.method.single_flip_share > 0,
            "intensity_range must be positive and must not fall":
                0 < losses.intensity_range[0] <= losses.intensity_range[1],
            "projected_weight must not be negative": self.discriminator.projected_weight >= 0,
            "projected_weight needs --recipe fast, and an image_size of 64 or a larger multiple of 32":
                not self.discriminator.projected_weight
                or (self.method.critic_steps == 0 and data.image_size % 32 == 0 and data.image_size >= 64),
            "max_flips must be at least 1, and more need the single flips of recipe fast": losses.max_flips == 1
                or losses.max_flips > 1 and self.method.single_flip_share > 0,
            "varied_light must be in [0, .75]": 0 <= data.varied_light <= 0.75,
            "least_accuracy must be in [0, 1)": 0 <= self.reports.least_accuracy < 1,
            "use_regions needs edits by attribute difference: set --label_mode difference or --no_use_regions":
                self.model in SUPERVISED or not self.generator.use_regions or differs,
            "logging_steps, checkpointing_steps and validation_steps must be positive": min(steps) > 0,
            "attribute_dataset needs data in memory: leave out --streaming":
                not (data.attribute_dataset and data.streaming),
            "a parser reads its masks into memory: leave out --streaming": self.model != "parser" or not data.streaming,
            "rare_attribute_power needs data in memory: set --rare_attribute_power 0 or leave out --streaming":
                not (data.rare_attribute_power and data.streaming),
        }  # fmt: skip

    @cached_property
    def method(self) -> Method:
        """What model, recipe and options imply."""
        width, layers, images = self.generator.width, self.generator.layers, self.schedule.total_images
        supervised, paper = self.model in SUPERVISED, self.recipe == "paper"
        settings: dict[str, Any] = (SUPERVISED_METHOD if supervised else PAPER_METHOD if paper else {}) | {
            # The largest power of two in 16 widths: 1024 at 64 and 512 at 48, as in the official code.
            "discriminator_hidden": 1 << (16 * self.discriminator.discriminator_width).bit_length() - 1,
            # More than the paper's layers would make the innermost ones ever wider.
            "max_width": 1024 if layers <= 5 else min(1024, 16 * width),
            # 250 steps where batches are large: a discriminator that has made fewer misleads the generator.
            "discriminator_head_start": min(max(10_000, 250 * self.schedule.batch_size), images // 6),
        }
        if not paper:
            settings["penalty_weight"] = r1_weight(self.data.image_size, self.schedule.batch_size)
        if self.model == "stgan":
            settings["inject_layers"] = max(4, layers - 1)  # all of them, as in the paper's five
        if self.model == "stargan" and paper:
            settings["lr_schedule"] = "linear"
        if supervised:
            settings["warmup_images"] = images // 100
        if self.model == "parser":
            settings["ema_half_life"] = min(20_000, images // 8)
        if self.data.streaming:
            settings["label_plausibility"] = 0.0  # nobody has counted a stream's labels
        if self.run.initial_model:  # its edits have formed, and its mask may be cut out sharply from the start
            settings |= {"mask_ramp": (0.0, 0.1), "mask_concavity": 0.2, "projected_start": 0.0}
        return Method(**settings | self.overrides)

    def for_processes(self, count: int) -> "TrainingConfig":
        """The same for a run of several processes: its steps have more images, so R1 weighs less."""
        if count == 1 or self.recipe == "paper" or "penalty_weight" in self.overrides:
            return self
        return self.changed(penalty_weight=r1_weight(self.data.image_size, count * self.schedule.batch_size))

    def flat(self) -> dict[str, Any]:
        """The options by name, without their groups."""
        return {name: getattr(self if group is None else getattr(self, group), name) for name, group in GROUPS.items()}

    def record(self) -> dict[str, Any]:
        """What a run's records keep: the options and the method by name."""
        return self.flat() | asdict(self.method)

    def changed(self, **settings: Any) -> "TrainingConfig":
        """The same configuration with other values of some options or settings of the method, by name."""
        return _nested(self.flat() | self.overrides | settings)

    @classmethod
    def from_flat(cls, **settings: Any) -> "TrainingConfig":
        """A configuration from options by name; those left out are the recipe's and the model's.

        Settings of the method may be among them, in place of the implied ones.

        Raises:
            TypeError: there is no such setting.
        """
        unknown = settings.keys() - GROUPS.keys() - METHOD
        if unknown:
            raise TypeError(f"There is no training option {', '.join(sorted(unknown))}.")
        chosen = {name: settings[name] for name in ("model", "recipe", "streaming") if name in settings}
        return _nested(recipe_options(**chosen) | settings)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "TrainingConfig":
        """The configuration that a run's record describes. Names of options that no longer exist are ignored.

        Raises:
            ValueError: an option has a value that it cannot have.
        """
        known = GROUPS.keys() | METHOD
        try:
            config = cls.from_flat(**{name: value for name, value in current_names(record).items() if name in known})
            config.record()  # what is derived from the options shows whether they are of their types
        except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"The record of the run is damaged ({error}). Copy it again.") from error
        return config

    def continuing(self, record: Mapping[str, Any]) -> "TrainingConfig":
        """The same options with the method of a run's record: that run's networks and losses go on."""
        return self.changed(**{name: value for name, value in current_names(record).items() if name in METHOD})


# Name of each option to the group that holds it, None for TrainingConfig itself.
GROUPS: dict[str, str | None] = {"model": None, "recipe": None} | {
    option.name: group.name
    for group in fields(TrainingConfig)
    if group.name not in ("model", "recipe", "overrides")
    for option in fields(getattr(TrainingConfig(), group.name))
}
METHOD = frozenset(setting.name for setting in fields(Method))


def _nested(settings: Mapping[str, Any]) -> TrainingConfig:
    groups: dict[str, dict[str, Any]] = {}
    for name, group in GROUPS.items():
        if group:
            groups.setdefault(group, {})[name] = settings[name]
    base = TrainingConfig()
    return TrainingConfig(
        settings["model"],
        settings["recipe"],
        **{group: replace(getattr(base, group), **options) for group, options in groups.items()},
        overrides={name: value for name, value in settings.items() if name in METHOD},
    )


def r1_weight(image_size: int, images_per_step: int) -> float:
    """R1's weight: .2 at 128 px and 32 images per step, with which recipe fast was chosen, and at 256 px and 128.

    The rule is StyleGAN2-ADA's (arXiv 2006.06676), twice as strong.
    """
    return 0.2 * (image_size / 128) ** 2 * 32 / images_per_step


def recipe_options(model: str = "stgan", recipe: str = "fast", streaming: bool = False) -> dict[str, Any]:
    """The options by name that ``--model``, ``--recipe`` and ``--streaming`` stand for."""
    if model in SUPERVISED:
        options = {"classifier": CLASSIFIER, "aligner": ALIGNER, "parser": PARSER}[model]
    else:
        options = {"fast": {}, "paper": STARGAN_PAPER if model == "stargan" else PAPER}[recipe]
        options = options | (STREAM if streaming else {}) | (TARGETS if model != "stgan" else {})
    chosen = {"model": model, "recipe": recipe, "streaming": streaming, "output_dir": f"runs/{model}"}
    return TrainingConfig().flat() | options | chosen


def recipe_defaults(model: str, recipe: str, streaming: bool = False) -> TrainingConfig:
    """The configuration that ``--model``, ``--recipe`` and ``--streaming`` stand for, before other options."""
    return _nested(recipe_options(model, recipe, streaming))


def current_names(record: Mapping[str, Any]) -> dict[str, Any]:
    """A run's record with the options of today for those of earlier versions; other names stay as they are."""
    current = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    if record.get("dataset_revision"):
        current["dataset"] = f"{record['dataset']}@{record['dataset_revision']}"
    if f"{record.get('model')}_width" in record:  # classifier_width, aligner_width
        current["width"] = record[f"{record['model']}_width"]
    if "cuda_graphs" in record:
        current["execution"] = "compiled" if record.get("compile") else "graphs" if record["cuda_graphs"] else "eager"
    if isinstance(record.get("push_to_hub"), bool):
        name = record.get("hub_model_id") or Path(record["output_dir"]).name
        current["push_to_hub"] = name if record["push_to_hub"] else None
    if "changed_attribute_weight" in record:  # with a method, perhaps of a time without this setting
        current.setdefault("limit_attributes", False)
    if record.get("inject_layers", 0) in (-1, None):  # the architecture's own
        current["inject_layers"] = 4 if record.get("model") == "stgan" else None
    return current
