"""Everything that can be set about a training run, and the recipes that set it."""

from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass
class TrainingConfig:
    """Train an attribute editor, the classifier that labels photos for it, or the aligner that sets faces upright.

    Start from --recipe fast (quick, good) or --recipe paper (STGAN, section 4); every other option overrides it.
    """

    # What to train. stgan, attgan and stargan are editors; classifier labels photos and judges edits; aligner brings
    # faces into the frame of the aligned training images.
    model: Literal["stgan", "attgan", "stargan", "classifier", "aligner"] = "stgan"
    # Settings that the others start from.
    recipe: Literal["fast", "paper"] = "fast"

    # ---- data

    # Hub id, folder of Parquet files, or folder of the original CelebA download.
    dataset: str = "flwrlabs/celeba"
    # Revision of a Hub dataset.
    dataset_revision: str | None = None
    # Columns to edit (or classify). Empty takes the 13 of the paper.
    attributes: tuple[str, ...] = ()
    # celeba: the paper's box in 178x218 images; center: largest square; none: all of it; auto: by the image's size.
    crop: Literal["auto", "celeba", "center", "none"] = "auto"
    # Height and width of the training images in pixels.
    image_size: int = 128
    # Read while training instead of decoding everything into memory first.
    streaming: bool = False
    # Use only this many training images.
    max_train_samples: int | None = None
    # Use only this many validation images.
    max_validation_samples: int = 512
    # Processes that read and decode images.
    dataloader_num_workers: int = 2
    # Keep the decoded images on the accelerator where they fit in this share of its free memory.
    device_data_share: float = 0.5

    # ---- run

    # Folder for checkpoints, logs, sample grids and the model folder.
    output_dir: str = "runs/stgan"
    # Images to show the model in all, over all processes. Schedules are counted in images, not in steps.
    total_images: int = 1_000_000
    # Images per step and process.
    batch_size: int = 32
    # Seed of everything random.
    seed: int = 0
    # no; bf16; or auto: bf16 on a device that has instructions for it. Losses, penalties and norms' statistics stay in
    # float32. fp16 costs edit accuracy.
    mixed_precision: Literal["no", "bf16", "auto"] = "no"
    # Compile the networks: half a minute once, then steps a fifth faster on a GPU (docs/gpu.md).
    compile: bool = False
    # Record the steps of an editor as CUDA graphs and replay them, so that nothing waits for Python. On one GPU; the
    # CPU and several processes do without.
    cuda_graphs: bool = True

    # ---- model

    # Folder or Hub id of an editor whose weights the generator starts from. It must have the settings below, but for a
    # --width that may be smaller: then the generator starts wider and edits as that one did. Its discriminator goes on
    # too, where it has one with the settings below.
    initial_model: str | None = None
    # Images from which only the discriminator learns, at the start: gives a pretrained generator that comes without
    # its discriminator an opponent.
    discriminator_head_start: int = 0
    # Channels of the generator's first layer.
    width: int = 64
    # Limit of the generator's channels.
    max_width: int = 1024
    # Stride-2 layers of encoder and decoder (STGAN, AttGAN).
    layers: int = 5
    # Skips with a selective transfer unit, from the innermost; 0 makes them plain (STGAN).
    stu_layers: int = 4
    # Kernel of the units' gates (STGAN).
    stu_kernel: int = 3
    # State passed to the next unit: the reset-gated one of the paper, a GRU's, or the upsampled one (STGAN).
    stu_state: Literal["stu", "gru", "direct"] = "stu"
    # Norm in the units (STGAN).
    stu_norm: Literal["none", "bn", "in"] = "none"
    # Generator layers that the attributes enter, after the first (STGAN, AttGAN); negative takes the model's own.
    inject_layers: int = -1
    # Ask with the difference to the source's attributes, or with the target; model takes the architecture's own.
    label_mode: Literal["model", "difference", "target"] = "model"
    # Share of BatchNorm's running statistics kept at each step.
    norm_decay: float = 0.999
    # A fourth output decides per pixel how much of the source is replaced.
    soft_mask: bool = False
    # An edit changes nothing outside of where its attributes live in an aligned face: a mustache is on the lip, not in
    # the hair. For images in CelebA's frame; it needs to know what an edit changes, so label_mode must be difference.
    use_regions: bool = False
    # Channels of the discriminator's first layer.
    discriminator_width: int = 64
    # Hidden units of each of the discriminator's heads.
    discriminator_hidden: int = 1024
    # Norm in the discriminator (STGAN, AttGAN). in, the paper's, cannot see a tint or a lack of fine detail.
    discriminator_norm: Literal["in", "none"] = "in"
    # The discriminator judges realness together with the labels: an edit must look like real faces that have them.
    discriminator_conditional: bool = False
    # Channels of the classifier's first layer.
    classifier_width: int = 24
    # Channels of the aligner's first layer.
    aligner_width: int = 28
    # Residual blocks in each of the aligner's two stages.
    aligner_blocks: int = 2
    # Height and width of what the aligner sees, pixels; a multiple of 8.
    aligner_view: int = 64

    # ---- optimisation

    # Adam's learning rate.
    learning_rate: float = 2e-4
    # The discriminator's learning rate as a multiple of it.
    discriminator_rate_factor: float = 1.0
    # Adam's first beta.
    adam_beta1: float = 0.5
    # Adam's second beta.
    adam_beta2: float = 0.999
    # Decoupled weight decay (classifier, aligner).
    weight_decay: float = 0.0
    # constant; drop: divided by ten from decay_start on; linear or cosine: to zero from decay_start to the end.
    lr_schedule: Literal["constant", "drop", "linear", "cosine"] = "constant"
    # Where the decay starts, as a share of total_images.
    decay_start: float = 0.5
    # Images over which the learning rate rises from zero.
    warmup_images: int = 0
    # Keep an exponential moving average of the weights, and use it for samples and the saved model.
    use_ema: bool = True
    # Half-life of that average in images; it starts shorter and grows with the run.
    ema_half_life: int = 20_000

    # ---- losses

    # wgan: Wasserstein with gradient penalty; logistic: non-saturating with R1.
    adversarial_loss: Literal["wgan", "logistic"] = "wgan"
    # Discriminator steps, each with a fresh batch, per generator step. 0 shares one batch and one generator pass.
    critic_steps: int = 5
    # Weight of the gradient penalty (wgan) or R1 (logistic).
    penalty_weight: float = 10.0
    # R1's weight on each attribute logit, as a share of its weight on realness (logistic). Without it the attribute
    # head is fooled by changes that nobody sees, and the generator learns those instead of the attributes.
    attribute_penalty_share: float = 0.0
    # The penalty is computed at every n-th step, n times as strong.
    penalty_interval: int = 1
    # Share of images, real and edited alike, that the discriminator sees shifted and in other colours, so that it
    # learns attributes instead of the training images.
    discriminator_augmentation: float = 0.0
    # Weight of the discriminator's attribute loss on real images.
    discriminator_attribute_weight: float = 1.0
    # Weight of the conditional discriminator's loss on real images with labels that are not theirs (logistic): an
    # edit that changes nothing is then no better than any other fake.
    mismatch_weight: float = 0.0
    # Weight of the attribute loss on edited images.
    attribute_weight: float = 10.0
    # In that loss, weight of the attributes that the edit changes; those that it keeps weigh 1. Most attributes of an
    # edit stay as they are, and pull it toward more of what is there already.
    changed_attribute_weight: float = 1.0
    # The same where the edit asks for what the data never show (see label_plausibility): a mustache on a woman.
    never_shown_attribute_weight: float = 1.0
    # Logits by which the attribute head must be surer of what an edit changes than its loss would ask. The head gives
    # in sooner than a judge that no generator has trained against.
    attribute_margin: float = 0.0
    # Between which intensities edits are drawn; evaluation asks for 1 and 1.5.
    intensity_range: tuple[float, float] = (1.0, 1.0)
    # Logits by which that margin grows from intensity 1 to 2, so that more intensity goes on to mean more of an edit.
    intensity_margin: float = 0.0
    # Weight of the reconstruction loss.
    reconstruction_weight: float = 100.0
    # Share of a batch that is also reconstructed (shared pass only).
    reconstruction_share: float = 1.0
    # Final price of a fully open soft mask.
    mask_weight: float = 0.0
    # How much more than its share a half-open mask costs: m + concavity * m * (1 - m) of that price, for openness m. At
    # 1 the first bit costs twice as much and the last bit nothing, so that a mask is cut out rather than hazy.
    mask_concavity: float = 0.0
    # Shares of the run between which that price rises from zero.
    mask_ramp: tuple[float, float] = (0.3, 0.7)
    # Share of edits that the discriminator judges as they were painted, before a soft mask mixes them with the source.
    # Under a mask that is half open everywhere, garish colours look right and the old hair shines through.
    painted_share: float = 0.0
    # Share of targets that flip one attribute, as evaluation does; the others permute the batch's labels.
    single_flip_share: float = 0.0
    # How often an attribute is the one that such a target flips, as NAME WEIGHT pairs; the others weigh 1. What learns
    # slowest, because it changes most of the picture, gains from being asked for oftener: Bald 4.
    single_flip_weights: dict[str, float] = field(default_factory=dict)
    # Two labels that the data show together less than this share as often as chance would go for never shown
    # together, as a mustache on a woman. D judges the realness of such an edit without them, and does not learn a
    # label from images where another one implies it: a mustache from men alone, so that it looks for a mustache. What
    # an edit makes untrue unasked, black hair of a bald head, does not count either, and hair that loses its colour is
    # judged by the nearest other one. 0 turns all of this off.
    label_plausibility: float = 0.0
    # 0 draws images as they come; towards 1, those with rare attributes ever more often (in-memory data only).
    rare_attribute_power: float = 0.0
    # Mirror images at random.
    random_flip: bool = False

    # ---- checkpoints, validation, reports

    # Save the full state every so many steps (and at the end, and when stopped).
    checkpointing_steps: int = 2_000
    # Keep only this many full states.
    checkpoints_total_limit: int | None = 2
    # A folder inside output_dir, latest, or a state on the Hub: owner/name@training-state. Continues exactly where it
    # was.
    resume_from_checkpoint: str | None = None
    # Measure, write a sample grid and the model folder every so many steps.
    validation_steps: int = 2_000
    # Folder or Hub id of a classifier that measures edit accuracy at validation; without one, D's own head does.
    classifier: str | None = None
    # Log running means every so many steps.
    logging_steps: int = 50
    # tensorboard, wandb, trackio, all or none.
    report_to: str = "tensorboard"
    # Push the model folder to the Hub after each validation and at the end.
    push_to_hub: bool = False
    # Also push the full training state after every so many checkpoints, to the branch training-state; 0 never does.
    push_state_every: int = 0
    # Repository to push to; the output folder's name by default.
    hub_model_id: str | None = None
    # Create that repository as private.
    hub_private: bool = False

    def __post_init__(self) -> None:
        checks = {
            "batch_size and total_images must be positive": min(self.batch_size, self.total_images) > 0,
            "max_train_samples and max_validation_samples must be positive": self.max_validation_samples > 0
                and (self.max_train_samples is None or self.max_train_samples > 0),
            "checkpoints_total_limit must be positive": self.checkpoints_total_limit is None
                or self.checkpoints_total_limit > 0,
            "discriminator_head_start must not be negative": self.discriminator_head_start >= 0,
            "weight_decay is for classifier and aligner: leave it out":
                self.weight_decay == 0 or self.model in ("classifier", "aligner"),
            "an aligner learns from faces and from what is none: set --batch_size to 2 or more":
                self.model != "aligner" or self.batch_size > 1,
            "penalty_interval must be positive": self.penalty_interval > 0,
            "mismatch_weight needs the logistic loss and a conditional discriminator: set --mismatch_weight 0":
                self.mismatch_weight == 0
                or (self.adversarial_loss == "logistic" and self.discriminator_conditional),
            "reconstruction_share must be in (0, 1]": 0 < self.reconstruction_share <= 1,
            "single_flip_share must be in [0, 1]": 0 <= self.single_flip_share <= 1,
            "single_flip_weights must be positive numbers": all(
                0 < weight < float("inf") for weight in self.single_flip_weights.values()
            ),
            "single_flip_weights need targets that flip one attribute: set --single_flip_share":
                not self.single_flip_weights or self.single_flip_share > 0,
            "painted_share must be in [0, 1]": 0 <= self.painted_share <= 1,
            "discriminator_augmentation must be in [0, 1]": 0 <= self.discriminator_augmentation <= 1,
            "intensity_range must be positive and not fall": 0 < self.intensity_range[0] <= self.intensity_range[1],
            "use_regions needs edits asked for by their difference: set --label_mode difference or --no_use_regions":
                not self.use_regions
                or self.label_mode == "difference"
                or (self.label_mode == "model" and self.model == "stgan"),
            "mask_concavity must be in [0, 1]": 0 <= self.mask_concavity <= 1,
            "mask_ramp must rise within [0, 1]": 0 <= self.mask_ramp[0] < self.mask_ramp[1] <= 1,
            "logging_steps, checkpointing_steps and validation_steps must be positive":
                min(self.logging_steps, self.checkpointing_steps, self.validation_steps) > 0,
            "label_plausibility needs data in memory: set --label_plausibility 0, or leave out --streaming":
                not (self.label_plausibility and self.streaming),
            "rare_attribute_power needs data in memory: set --rare_attribute_power 0, or leave out --streaming":
                not (self.rare_attribute_power and self.streaming),
            "critic_steps must be 0 (shared pass) or more": self.critic_steps >= 0,
        }  # fmt: skip
        for message, holds in checks.items():
            if not holds:
                raise ValueError(f"{message}.")


PAPER = TrainingConfig(
    # 200 epochs of 947 iterations (182,000 images for five D steps and one G step of 32), as the official code
    # counts them; total_images counts what D sees, fresh at each of its steps.
    recipe="paper",
    total_images=200 * 947 * 6 * 32,
    lr_schedule="drop",
    decay_start=0.5,
    use_ema=False,
)

FAST = TrainingConfig(
    recipe="fast",
    mixed_precision="auto",
    learning_rate=3e-4,  # half as much again as the paper's: 2 dB more after few images (docs/variants.md)
    discriminator_rate_factor=2.0,
    # R1's first gradients are a thousand times its later ones; at 0.999 Adam's second moment remembers them for
    # thousands of steps, in which D stays at chance.
    adam_beta2=0.99,
    adversarial_loss="logistic",
    discriminator_norm="none",
    discriminator_conditional=True,
    critic_steps=0,
    penalty_weight=0.2,
    attribute_penalty_share=0.2,
    penalty_interval=8,
    discriminator_augmentation=0.8,
    discriminator_attribute_weight=2.0,
    mismatch_weight=1.0,
    reconstruction_share=0.25,
    reconstruction_weight=25.0,
    # Intensities from a range, and gentleness with what no photograph shows, are for later: from the first image on
    # they cost .05 of edit accuracy (docs/recipe.md).
    attribute_weight=9.0,
    changed_attribute_weight=5.0,
    never_shown_attribute_weight=5.0,
    attribute_margin=0.4,
    norm_decay=0.99,
    soft_mask=True,
    use_regions=True,
    mask_weight=0.35,
    mask_ramp=(0.1, 0.6),
    painted_share=0.5,
    single_flip_share=0.65,
    label_plausibility=0.05,
    rare_attribute_power=0.5,
    random_flip=True,
    lr_schedule="linear",
    decay_start=0.6,
)

CLASSIFIER = TrainingConfig(
    model="classifier",
    output_dir="runs/classifier",
    total_images=500_000,
    batch_size=64,
    learning_rate=2e-3,
    adam_beta1=0.9,
    weight_decay=0.05,
    warmup_images=5_000,
    lr_schedule="cosine",
    decay_start=0.0,
    random_flip=True,
)

ALIGNER = replace(CLASSIFIER, model="aligner", output_dir="runs/aligner", random_flip=False)  # it mirrors views itself

STARGAN_PAPER = replace(
    PAPER,
    # 200,000 discriminator steps of 16 images, one generator step after every five (CVPR 2018, section 4.2).
    total_images=40_000 * 6 * 16,
    batch_size=16,
    learning_rate=1e-4,
    lr_schedule="linear",
    # The paper's λ of 1 weighs a sum over the attributes, ours a mean: as many as there are. Set both for others
    # than the 13.
    attribute_weight=13.0,
    discriminator_attribute_weight=13.0,
    reconstruction_weight=10.0,
    random_flip=True,
)


def recipe_defaults(model: str, recipe: str, streaming: bool = False) -> TrainingConfig:
    """The settings that ``--model``, ``--recipe`` and ``--streaming`` stand for, before anything is overridden."""
    if model in ("classifier", "aligner"):
        base = {"classifier": CLASSIFIER, "aligner": ALIGNER}[model]
        return replace(base, recipe=recipe, streaming=streaming)
    base = {"paper": STARGAN_PAPER if model == "stargan" else PAPER, "fast": FAST}[recipe]
    if streaming:  # a stream comes in its own order, and nobody has counted its labels
        base = replace(base, streaming=True, rare_attribute_power=0.0, label_plausibility=0.0)
    if model != "stgan":  # the others ask by targets, which do not say what an edit changes
        base = replace(base, use_regions=False)
    return replace(base, model=model, output_dir=f"runs/{model}")
