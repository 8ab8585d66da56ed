"""How an attribute editor is trained: generator against discriminator, by the paper's steps or by a shared pass."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn

from stgan.attributes import exclusion_matrix, flipped_labels
from stgan.data import MemoryDataset, random_flip
from stgan.evaluation import figures
from stgan.evaluation.protocol import evaluate
from stgan.frame import normalise
from stgan.models import (
    DISCRIMINATOR_FOLDER,
    GENERATORS,
    AttributeClassifier,
    Discriminator,
    Edit,
    EncoderDecoder,
    Generator,
    ModelFolderError,
    PatchDiscriminator,
    PretrainedModel,
    load_companion_discriminator,
    load_generator,
    settings_differences,
    widened,
)
from stgan.training import losses
from stgan.training.augmentation import augmented
from stgan.training.config import TrainingConfig
from stgan.training.distributed import keep_own_buffers
from stgan.training.ema import ExponentialMovingAverage
from stgan.training.graphs import GraphRecorder
from stgan.training.label_rules import LabelRules

ARCHITECTURES = {"stgan": "STGAN", "attgan": "AttGAN", "stargan": "StarGAN"}
VALIDATION_BATCH = 64  # images that D sees at once there
Batch = tuple[Tensor, Tensor]  # images (B, 3, S, S) in [-1, 1], labels (B, A) in {0, 1}
Terms = dict[str, Tensor]  # named loss terms, detached, on the device


class EditingObjective:
    """Generator, discriminator, their optimizers and the steps that train them.

    Args:
        config: of the run.
        attributes: names of the A attributes.
        accelerator: prepares networks and optimizers.
    """

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.plain_generator = build_generator(config, attributes).to(memory_format=torch.channels_last)
        self.plain_discriminator = build_discriminator(config, attributes).to(memory_format=torch.channels_last)
        if config.initial_model:
            load_initial_weights(self.plain_generator, config.initial_model)
            accelerator.print(load_initial_discriminator(self.plain_discriminator, config.initial_model))
        device = accelerator.device
        self.records_steps = config.cuda_graphs and device.type == "cuda" and accelerator.num_processes == 1
        self.recorder: GraphRecorder | None = None  # from the first step on
        self.ema = (
            ExponentialMovingAverage(self.plain_generator.to(device), config.ema_half_life) if config.use_ema else None
        )
        if config.compile:
            self.plain_generator.compile()
            self.plain_discriminator.compile()
        self.generator, self.discriminator, self.generator_optimizer, self.discriminator_optimizer = (
            accelerator.prepare(
                self.plain_generator,
                self.plain_discriminator,
                _adam(self.plain_generator, config, self.records_steps),
                _adam(self.plain_discriminator, config, self.records_steps),
            )
        )
        keep_own_buffers(self.generator)
        keep_own_buffers(self.discriminator)
        self.exclusions = exclusion_matrix(attributes).to(device)
        self.flip_weights = single_flip_weights(config, attributes).to(device)
        self.label_rules = LabelRules.none(len(attributes)).to(device)  # until the labels were counted
        self.current_mask_price = torch.zeros((), device=device)  # there, where a recorded step reads it
        self.cycle = config.model == "stargan"  # its reconstruction goes there and back (CVPR 2018, equation 4)

    def count_labels(self, labels: Tensor) -> None:
        """Learn from the training labels (N, A) which of them never go together."""
        share = self.config.label_plausibility
        if share:
            rules = LabelRules.counted(self.plain_generator.attributes, labels, share)
            self.label_rules = rules.to(self.exclusions.device)

    @property
    def batches_per_step(self) -> int:
        """Batches drawn for one step."""
        return self.config.critic_steps + 1

    @property
    def optimizers(self) -> dict[torch.optim.Optimizer, float]:
        """Each optimizer with its learning rate before any schedule."""
        generator_rate = self.config.learning_rate
        discriminator_rate = generator_rate * self.config.discriminator_rate_factor
        return {self.generator_optimizer: generator_rate, self.discriminator_optimizer: discriminator_rate}

    @property
    def networks(self) -> list[nn.Module]:
        """Everything that is trained."""
        return [self.plain_generator, self.plain_discriminator]

    @property
    def trained_model(self) -> Generator:
        """What is sampled from and saved: the average where there is one."""
        return self.ema.model if self.ema else self.plain_generator

    @property
    def companions(self) -> dict[str, PretrainedModel]:
        """What is saved in folders beside it: the opponent, without which nobody could train on from here."""
        return {DISCRIMINATOR_FOLDER: self.plain_discriminator}

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """One generator step and the discriminator steps that go with it.

        Args:
            draw: gives the next batch.
            random: all random numbers of this step, on the device.
            step: number of this step, from 0.
            progress: share of the run that is done, in [0, 1).

        Returns:
            Loss terms by name, scalars left on the device.
        """
        interval, critic_steps = self.config.penalty_interval, self.config.critic_steps
        head_start = self._head_start(progress)
        penalties = tuple(number % interval == 0 for number in range(step * critic_steps, (step + 1) * critic_steps))
        penalties = penalties or (step % interval == 0,)
        self.current_mask_price.fill_(self.mask_price(progress))

        def run(draw: Callable[[], Batch]) -> Terms:
            if critic_steps == 0:
                return self._shared_step(draw(), random, head_start, penalties[0])
            return self._separate_steps(draw, random, head_start, penalties)

        if not self.records_steps:
            return run(draw)
        self.recorder = self.recorder or GraphRecorder(random)
        batches = [draw() for _ in range(critic_steps + (critic_steps == 0 or not head_start))]
        return self.recorder.run((head_start, penalties), batches, run)

    def _separate_steps(
        self, draw: Callable[[], Batch], random: torch.Generator, head_start: bool, penalties: tuple[bool, ...]
    ) -> Terms:
        """The paper's: a fresh batch for each step of D, ``penalties`` saying which have one, and for that of G."""
        for penalise in penalties:
            images, labels = self._augment(draw(), random)
            target, intensity = self._draw_targets(labels, random), self._draw_intensities(labels, random)
            with torch.no_grad():
                fake = self.generator(images, self._condition(labels, target, intensity), parts=True)
            judged = self._judged(fake, random)
            terms = self._discriminator_step(images, labels, judged, target, random, penalise)
        if head_start:
            return terms
        images, labels = self._augment(draw(), random)
        return terms | self._generator_step(images, labels, random)

    def _shared_step(self, batch: Batch, random: torch.Generator, head_start: bool, penalise: bool) -> Terms:
        """One encoding and one decoding serve both networks: D judges the edits, then G answers the new D."""
        images, labels = self._augment(batch, random)
        target, intensity = self._draw_targets(labels, random), self._draw_intensities(labels, random)
        if head_start:
            with torch.no_grad():
                fake = self.plain_generator(images, self._condition(labels, target, intensity), parts=True)
            return self._discriminator_step(images, labels, self._judged(fake, random), target, random, penalise)
        rows = 0 if self.cycle else max(1, round(len(images) * self.config.reconstruction_share))
        conditions = torch.cat([self._condition(labels, target, intensity), self._condition(labels, labels)[:rows]])
        edit = self.generator(images, conditions, parts=True)
        fake = Edit(*(part if part is None else part[: len(images)] for part in edit))
        judged = self._judged(fake, random)
        terms = self._discriminator_step(images, labels, judged.detach(), target, random, penalise)
        reconstruction, original = edit.rgb[len(images) :], images[:rows]
        if self.cycle:
            reconstruction, original = self.generator(fake.image, self._way_back(labels, target, intensity)), images
        return terms | self._update_generator(fake, judged, reconstruction, original, labels, target, intensity, random)

    def _discriminator_step(
        self, real: Tensor, labels: Tensor, fake: Tensor, target: Tensor, random: torch.Generator, penalise: bool
    ) -> Terms:
        config, count = self.config, len(real)
        target = self.label_rules.told(labels, self.label_rules.completed(labels, target))
        judged_with = torch.cat([labels, target])
        if config.mismatch_weight:  # the same look at an image answers for the other set of labels too
            judged_with = torch.stack([judged_with, torch.cat([target, labels])], dim=1)
        seen = augmented(torch.cat([real, fake]), config.discriminator_augmentation, random)
        realness, attribute_logits = self.discriminator(seen, judged_with)
        if config.mismatch_weight:
            realness, mismatched = realness.unbind(dim=1)
        adversarial = {
            "wgan": losses.wasserstein_discriminator_loss,
            "logistic": losses.logistic_discriminator_loss,
        }[config.adversarial_loss](realness[:count], realness[count:])
        attribute = losses.attribute_loss(attribute_logits[:count], labels, self.label_rules.open_labels(labels))
        loss = adversarial + config.discriminator_attribute_weight * attribute
        terms = {"d_adversarial": adversarial.detach(), "d_attribute": attribute.detach()}
        if config.mismatch_weight:
            mismatch = losses.mismatch_loss(mismatched[:count], ((labels - target).abs() == 1).any(dim=1))
            loss = loss + config.mismatch_weight * mismatch
            terms["d_mismatch"] = mismatch.detach()
        if penalise:
            penalty = self._penalty(seen[:count], labels, seen[count:], random)
            loss = loss + config.penalty_weight * config.penalty_interval * penalty
            terms["d_penalty"] = penalty.detach()
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.discriminator_optimizer.step()
        return terms

    def _penalty(self, real: Tensor, labels: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
        """Gradient penalty in float32, through the plain network: compiled graphs have no second derivative."""

        def heads(images: Tensor) -> tuple[Tensor, Tensor]:
            return type(self.plain_discriminator).forward(self.plain_discriminator, images, labels)

        with torch.autocast(real.device.type, enabled=False):
            if self.config.adversarial_loss == "wgan":
                return losses.gradient_penalty(lambda images: heads(images)[0], real, fake.float(), random)
            return losses.r1_penalty(heads, real, self.config.attribute_penalty_share, random) / 2

    def _generator_step(self, images: Tensor, labels: Tensor, random: torch.Generator) -> Terms:
        target, intensity = self._draw_targets(labels, random), self._draw_intensities(labels, random)
        fake = self.generator(images, self._condition(labels, target, intensity), parts=True)
        if self.cycle:
            reconstruction = self.generator(fake.image, self._way_back(labels, target, intensity))
        else:
            # The two passes stay apart, as in the paper: BatchNorm sees edits and reconstructions separately.
            reconstruction = self.generator(images, self._condition(labels, labels), parts=True).rgb
        judged = self._judged(fake, random)
        return self._update_generator(fake, judged, reconstruction, images, labels, target, intensity, random)

    def _update_generator(
        self,
        fake: Edit,
        judged: Tensor,
        reconstruction: Tensor,
        original: Tensor,
        labels: Tensor,
        target: Tensor,
        intensity: Tensor,
        random: torch.Generator,
    ) -> Terms:
        config = self.config
        target = self.label_rules.completed(labels, target)
        told = self.label_rules.told(labels, target)
        weights = self.label_rules.edit_weights(
            labels, target, config.changed_attribute_weight, config.never_shown_attribute_weight
        )
        self.plain_discriminator.requires_grad_(False)
        # The plain discriminator: its weights take no gradient here, so there is nothing for ranks to exchange.
        seen = augmented(judged, config.discriminator_augmentation, random)
        realness, attribute_logits = self.plain_discriminator(seen, told)
        self.plain_discriminator.requires_grad_(True)
        margin = config.attribute_margin + config.intensity_margin * (intensity - 1)
        convinced = attribute_logits.float() - margin * (target - labels)  # what is kept has no margin
        adversarial = {
            "wgan": losses.wasserstein_generator_loss,
            "logistic": losses.logistic_generator_loss,
        }[config.adversarial_loss](realness)
        terms = {
            "g_adversarial": adversarial,
            "g_attribute": losses.attribute_loss(convinced, target, weights),
            "g_reconstruction": losses.reconstruction_loss(reconstruction, original),
        }
        loss = (
            adversarial
            + config.attribute_weight * terms["g_attribute"]
            + config.reconstruction_weight * terms["g_reconstruction"]
        )
        if fake.mask is not None:
            terms["g_mask"] = losses.mask_loss(fake.mask, config.mask_concavity)
            loss = loss + self.current_mask_price * terms["g_mask"]
        self.generator_optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.generator_optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def _head_start(self, progress: float) -> bool:
        """Whether the generator still waits for its discriminator."""
        return progress * self.config.total_images < self.config.discriminator_head_start

    def mask_price(self, progress: float) -> float:
        """Price of an open mask: it rises only after the edits have formed, or they never do."""
        start, end = self.config.mask_ramp
        return self.config.mask_weight * min(1.0, max(0.0, (progress - start) / (end - start)))

    def update_average(self, images_seen: int, images_per_step: int) -> None:
        """Move the weights' average on, after a step."""
        if self.ema:
            self.ema.update(self.plain_generator, images_seen, images_per_step)

    def _augment(self, batch: Batch, random: torch.Generator) -> Batch:
        images, labels = batch
        images = normalise(images)
        return (random_flip(images, random) if self.config.random_flip else images), labels

    def _judged(self, edit: Edit, random: torch.Generator) -> Tensor:
        """What the discriminator sees of edits: (B, 3, S, S), some of them as painted."""
        share = self.config.painted_share
        if edit.mask is None or share == 0:  # the random numbers of a run without it stay what they were
            return edit.image
        painted = torch.rand(len(edit.image), 1, 1, 1, generator=random, device=edit.image.device) < share
        return torch.where(painted, edit.rgb.to(edit.image.dtype), edit.image)

    def _condition(self, source: Tensor, target: Tensor, intensity: Tensor | float = 1.0) -> Tensor:
        return self.plain_generator.condition(source, target, intensity)

    def _way_back(self, labels: Tensor, target: Tensor, intensity: Tensor) -> Tensor:
        """Conditions (B, A) that undo edits: differences take as much back as they gave, targets name the labels."""
        differs = self.plain_generator.label_mode == "difference"
        return self._condition(target, labels, intensity if differs else 1.0)

    def _draw_targets(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Targets (B, A): a permutation of the batch's labels, or the labels with one attribute flipped."""
        device = labels.device
        target = labels[torch.randperm(len(labels), generator=random, device=device)]
        if self.config.single_flip_share == 0:
            return target
        if self.config.single_flip_weights:
            index = self.flip_weights.multinomial(len(labels), replacement=True, generator=random)
        else:  # the random numbers of a run without them stay what they were
            index = torch.randint(labels.shape[1], (len(labels),), generator=random, device=device)
        single = torch.rand(len(labels), 1, generator=random, device=device) < self.config.single_flip_share
        return torch.where(single, flipped_labels(labels, index, self.exclusions), target)

    def _draw_intensities(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Intensities (B, 1) of the edits, uniform in the range that training asks for."""
        low, high = self.config.intensity_range
        if low == high:  # the random numbers of a run without a range stay what they were
            return torch.full((len(labels), 1), low, device=labels.device)
        return low + (high - low) * torch.rand(len(labels), 1, generator=random, device=labels.device)

    @torch.no_grad()
    def validate(self, data: MemoryDataset, classifier: AttributeClassifier | None) -> dict[str, float]:
        """PSNR, SSIM, edit accuracy and preservation on validation images, by the classifier or else by D's head.

        And ``d_attribute``, D's attribute loss on them: that on training images far below it says that D has learned
        those by heart, and no longer teaches the generator anything.
        """
        attributes = self.plain_generator.attributes
        judge = classifier or _AttributeHead(self.plain_discriminator, attributes)
        device = self.accelerator.device
        evaluation = evaluate(
            self.trained_model.eval(), judge, data.images, data.labels, intensities=(1.0,), device=device
        )
        batches = zip(data.images.split(VALIDATION_BATCH), data.labels.split(VALIDATION_BATCH), strict=True)
        attribute = sum(self._attribute_loss(images.to(device), labels.to(device)) for images, labels in batches)
        self.plain_generator.train()
        self.plain_discriminator.train()
        return evaluation.headline() | {"d_attribute": attribute.item() / len(data)}

    def _attribute_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """D's attribute loss on uint8 images (N, 3, S, S), as training weighs it, summed over them."""
        logits = self.plain_discriminator(normalise(images))[1]
        return len(images) * losses.attribute_loss(logits, labels, self.label_rules.open_labels(labels))

    @torch.no_grad()
    def sample_grid(self, data: MemoryDataset, people: int = 8) -> Image.Image:
        """Rows of people; columns source, reconstruction, one edit each."""
        grid = figures.sample_grid(self.trained_model.eval(), data.images[:people], data.labels[:people])
        self.plain_generator.train()
        return grid


class _AttributeHead(nn.Module):
    """D's attribute head in the shape of a classifier, for runs without a separate one. It flatters the generator."""

    def __init__(self, discriminator: nn.Module, attributes: tuple[str, ...]):
        super().__init__()
        self.discriminator, self.attributes = discriminator, attributes
        self.register_buffer("thresholds", torch.full((len(attributes),), 0.5))

    def forward(self, image: Tensor) -> Tensor:
        return self.discriminator(image)[1]


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


def single_flip_weights(config: TrainingConfig, attributes: tuple[str, ...]) -> Tensor:
    """Float (A,): how often each attribute is the one that a target flips.

    Raises:
        ValueError: a weight names an attribute that is not trained.
    """
    unknown = sorted(set(config.single_flip_weights) - set(attributes))
    if unknown:
        raise ValueError(f"--single_flip_weights name {', '.join(unknown)}; trained are {', '.join(attributes)}.")
    return torch.tensor([config.single_flip_weights.get(name, 1.0) for name in attributes])


def load_initial_weights(generator: Generator, folder_or_hub_id: str) -> None:
    """Give a new generator the weights of a saved one; a narrower one is widened and edits as before.

    Raises:
        ModelFolderError: there is none, or its settings are not the generator's; the message names them.
    """
    saved = load_generator(folder_or_hub_id)
    if type(saved) is type(generator) and isinstance(saved, EncoderDecoder):
        saved = widened(saved, max(generator.config["width"], saved.config["width"]))
    differences = settings_differences(generator, saved)
    if differences:
        raise ModelFolderError(f"--initial_model {folder_or_hub_id} has {differences}: train with its settings.")
    generator.load_state_dict(saved.state_dict())


def load_initial_discriminator(discriminator: Discriminator | PatchDiscriminator, folder_or_hub_id: str) -> str:
    """Give a new discriminator the weights of the one that goes with a saved generator, where there is one like it.

    Returns:
        What was done, for the run's log.
    """
    saved = load_companion_discriminator(folder_or_hub_id)
    differences = "no discriminator" if saved is None else settings_differences(discriminator, saved)
    if differences:
        return (
            f"The discriminator starts anew, for --initial_model {folder_or_hub_id} has {differences}: "
            "--discriminator_head_start gives it time to learn."
        )
    discriminator.load_state_dict(saved.state_dict())
    return f"The discriminator of {folder_or_hub_id} goes on too."


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


def _adam(network: nn.Module, config: TrainingConfig, recorded: bool) -> torch.optim.Adam:
    betas, rate = (config.adam_beta1, config.adam_beta2), config.learning_rate
    return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True, capturable=recorded)
