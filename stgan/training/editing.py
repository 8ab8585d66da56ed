"""Training of an attribute editor: the steps of generator and discriminator, the paper's or with a shared pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn

from stgan.data import Batch, MemoryDataset, random_flip
from stgan.devices import CHANNELS_LAST
from stgan.evaluation import figures
from stgan.evaluation.classifier import Judge
from stgan.evaluation.edits import Editing
from stgan.evaluation.protocol import evaluate
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, AttributeClassifier, Edit, FaceParser, Generator, PretrainedModel, check_judge
from stgan.models.backbone import Backbone, pretrained_backbone
from stgan.models.regions import cheek_pixels, parsed_regions
from stgan.training.augmentation import vary_light
from stgan.training.config import TrainingConfig
from stgan.training.edits import Edits, LabelRules, TargetSampler
from stgan.training.graphs import GraphRecorder
from stgan.training.launch import keep_own_buffers
from stgan.training.losses import (
    Opinion,
    attribute_loss,
    cheek_loss,
    compute_discriminator_loss,
    compute_generator_loss,
    typical_logits,
)
from stgan.training.networks import (
    build_discriminator,
    build_generator,
    load_companion_or_own,
    load_initial_discriminator,
    load_initial_weights,
)
from stgan.training.objective import ExponentialMovingAverage, Terms
from stgan.training.projection import Maps, Projection
from stgan.training.selection import AppearanceProbe

VALIDATION_BATCH = 64  # images in one pass of the discriminator
CONTINUED_HEAD_START = 0.25  # of the head start of a new discriminator: the time that fresh optimizers need


class Faces(NamedTuple):
    """A batch as the networks see it."""

    images: Tensor  # (B, 3, S, S) in [-1, 1]
    labels: Tensor  # (B, A) in {0, 1}
    regions: Tensor | None  # (B, A, S, S) in [0, 1]; None without a parser: those of the mean face hold
    cheeks: Tensor | None  # bool (B, S, S); None without a parser
    labelled: Batch | None  # further images and labels, for the discriminator's attribute loss alone


class EditingObjective:
    """Generator, discriminator, their optimizers and the steps that train them.

    An :class:`stgan.training.objective.Objective`. ``plain_generator`` and ``plain_discriminator`` are the networks
    themselves, ``generator`` and ``discriminator`` the same as prepared for this process.
    """

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.plain_generator = build_generator(config, attributes).to(**CHANNELS_LAST)
        self.plain_discriminator = build_discriminator(config, attributes).to(**CHANNELS_LAST)
        self.head_start = 0  # images at the start from which only discriminators learn
        self.continues = False  # a run that left its discriminator too
        if config.run.initial_model:
            self._start_from(config.run.initial_model)
        device, execution, method = accelerator.device, config.run.execution, config.method
        self.records_steps = execution != "eager" and device.type == "cuda" and accelerator.num_processes == 1
        self.recorder: GraphRecorder | None = None  # from the first step on
        self.plain_generator.to(device)
        self.ema = ExponentialMovingAverage(self.plain_generator, method.ema_half_life) if method.use_ema else None
        if execution == "compiled":
            self.plain_generator.compile()
            self.plain_discriminator.compile()
        self.batches_per_step = config.method.critic_steps + 1
        self.networks: list[nn.Module] = [self.plain_generator, self.plain_discriminator]
        self.companions: dict[str, PretrainedModel] = {"discriminator": self.plain_discriminator}  # to train on with
        self.generator, self.discriminator, self.generator_optimizer, self.discriminator_optimizer = (
            accelerator.prepare(*self.networks, *map(self._adam, self.networks))
        )
        rate = config.schedule.learning_rate
        rates = {self.generator_optimizer: rate, self.discriminator_optimizer: rate * method.discriminator_rate_factor}
        self.optimizers: dict[torch.optim.Optimizer, float] = rates
        keep_own_buffers(self.generator)
        keep_own_buffers(self.discriminator)
        self.projection: Projection | None = None
        if config.discriminator.projected_weight:
            self._add_projection(attributes)
        self.sampler = TargetSampler(config, attributes, device)
        self.label_rules = LabelRules.none(len(attributes)).to(device)  # until the labels are counted
        self.current_mask_price = torch.zeros((), device=device)  # a tensor, so that a recorded step reads it
        self.cycle = config.model == "stargan"  # its reconstruction undoes the edit (CVPR 2018, equation 4)
        self.judge: Judge = _AttributeHead(self.plain_discriminator, self.plain_generator.attributes)
        if config.reports.classifier:
            self.judge = AttributeClassifier.from_pretrained(config.reports.classifier).to(device)
            check_judge(self.plain_generator, self.judge)
        self.realism_backbone = self._realism_backbone() if config.reports.least_accuracy else None
        self.probe: AppearanceProbe | None = None  # from the first validation on
        self.parser: FaceParser | None = None
        if config.generator.use_regions and config.generator.region_parser:
            self.parser = load_companion_or_own(config.generator.region_parser, FaceParser, "region_parser").to(device)
            self.trained_model.follow(self.parser)

    def _start_from(self, initial_model: str) -> None:
        """Load the weights of an editor. The discriminator learns alone at first, longest where it is a new one."""
        load_initial_weights(self.plain_generator, initial_model)
        differences = load_initial_discriminator(self.plain_discriminator, initial_model)
        self.continues = not differences
        self.head_start = self.config.method.discriminator_head_start
        if self.continues:
            self.head_start = int(self.head_start * CONTINUED_HEAD_START)
            start = f"starts from that of {initial_model}"
        else:
            start = f"starts from random weights, because --initial_model {initial_model} has {differences}"
        self.accelerator.print(f"The discriminator {start}. It learns alone from the first {self.head_start:,} images.")

    def _add_projection(self, attributes: tuple[str, ...]) -> None:
        """The projected discriminator, with the weights that lie beside the initial model where there are any."""
        config = self.config
        self.projection = projection = Projection(config, attributes, self.accelerator, self._adam_settings())
        self.networks.append(projection.plain_network)
        self.companions["projected"] = projection.plain_network
        self.optimizers[projection.optimizer] = config.schedule.learning_rate
        if config.run.initial_model:
            differences = load_initial_discriminator(projection.plain_network, config.run.initial_model, "projected")
            projection.formed = not differences
            if differences:
                self.accelerator.print(
                    f"The projected discriminator starts from random weights: --initial_model has {differences}."
                )

    def _realism_backbone(self) -> Backbone | None:
        """What the realism of snapshots is measured with; None, and a line that says so, without its weights."""
        try:
            return pretrained_backbone().to(self.accelerator.device)
        except ModuleNotFoundError as error:
            self.accelerator.print(f"{error}. Without them the model folder keeps the newest snapshot.")
            return None

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), **self._adam_settings())

    def _adam_settings(self) -> dict[str, Any]:
        betas, rate = (self.config.method.adam_beta1, self.config.method.adam_beta2), self.config.schedule.learning_rate
        return {"lr": rate, "betas": betas, "fused": True, "capturable": self.records_steps}

    def count_labels(self, labels: Tensor) -> None:
        """Learn from the training labels (N, A) which of them never occur together."""
        share = self.config.method.label_plausibility
        if share:
            rules = LabelRules.from_labels(self.plain_generator.attributes, labels, share)
            self.label_rules = rules.to(self.accelerator.device)

    @property
    def trained_model(self) -> Generator:
        return self.ema.model if self.ema else self.plain_generator

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """One generator step and the discriminator steps that belong to it, recorded as a CUDA graph if possible."""
        interval, critic_steps = self.config.method.penalty_interval, self.config.method.critic_steps
        alone = self.head_start / self.config.schedule.total_images
        head_start = progress < alone
        projecting = self.projection is not None and self.projection.begin_step(progress, alone)
        penalties = tuple(number % interval == 0 for number in range(step * critic_steps, (step + 1) * critic_steps))
        penalties = penalties or (step % interval == 0,)
        self.current_mask_price.fill_(self.mask_price(progress))

        def run(draw: Callable[[], Batch]) -> Terms:
            if critic_steps == 0:
                return self._shared_step(draw(), random, head_start, penalties[0], projecting)
            return self._separate_steps(draw, random, head_start, penalties)

        if not self.records_steps:
            return run(draw)
        self.recorder = self.recorder or GraphRecorder(random)
        batches = [draw() for _ in range(critic_steps + (critic_steps == 0 or not head_start))]
        return self.recorder.run((head_start, penalties, projecting), batches, run)

    def _separate_steps(
        self, draw: Callable[[], Batch], random: torch.Generator, head_start: bool, penalties: tuple[bool, ...]
    ) -> Terms:
        """The paper's steps: each discriminator step and the generator step take a fresh batch."""
        for penalise in penalties:
            faces = self._prepare(draw(), random)
            edits = self.sampler.draw(faces.labels, random)
            with torch.no_grad():
                fake = self.generator(
                    faces.images, self.plain_generator.condition(*edits), parts=True, regions=faces.regions
                )
            judged = self._judged_images(fake, random)
            terms, typical = self._discriminator_step(faces, judged, edits, random, penalise)
        if head_start:
            return terms
        return terms | self._generator_step(self._prepare(draw(), random), typical, random)

    def _shared_step(
        self, batch: Batch, random: torch.Generator, head_start: bool, penalise: bool, projecting: bool = False
    ) -> Terms:
        """One generator pass serves all networks: each D judges its edits, then G is trained against the updated ones.

        The projected discriminator judges the same maps of its backbone in both steps.
        """
        faces = self._prepare(batch, random)
        images, labels, regions = faces.images, faces.labels, faces.regions
        edits = self.sampler.draw(labels, random)
        if head_start:
            with torch.no_grad():
                fake = self.plain_generator(images, self.plain_generator.condition(*edits), parts=True, regions=regions)
            judged = self._judged_images(fake, random)
            terms, _ = self._discriminator_step(faces, judged, edits, random, penalise)
            return terms | (self._projected_step(faces, judged, edits, random)[1] if projecting else {})
        rows = 0 if self.cycle else max(1, round(len(images) * self.config.method.reconstruction_share))
        conditions = torch.cat([self.plain_generator.condition(*edits), self._unchanged(labels)[:rows]])
        decoded = self.generator(images, conditions, parts=True, regions=regions)  # B edits, then R reconstructions
        mask = None if decoded.mask is None else decoded.mask[: len(images)]
        fake = Edit(decoded.image[: len(images)], decoded.rgb[: len(images)], mask)
        judged = self._judged_images(fake, random)
        terms, typical = self._discriminator_step(faces, judged.detach(), edits, random, penalise)
        unreal, second = None, None
        if projecting:
            maps, projected_terms, projected_typical = self._projected_step(faces, judged, edits, random)
            terms |= projected_terms
            assert self.projection is not None
            unreal, second = self.projection.judge(maps, self._known_targets(edits), projected_typical, random)
        reconstruction, original = decoded.rgb[len(images) :], images[:rows]
        if self.cycle:
            inverse = self._inverse_condition(edits)
            reconstruction, original = self.generator(fake.image, inverse, regions=regions), images
        return terms | self._update_generator(
            faces, fake, judged, reconstruction, original, edits, random, typical, unreal, second
        )

    def _discriminator_step(
        self, faces: Faces, fake: Tensor, edits: Edits, random: torch.Generator, penalise: bool
    ) -> tuple[Terms, Tensor | None]:
        """Train the discriminator. The second result limits the attribute loss of the edits."""
        loss, terms, sums = compute_discriminator_loss(
            self.config, self.discriminator, faces.images, fake, edits, self.label_rules, random,
            self.plain_discriminator if penalise else None, faces.labelled,
        )  # fmt: skip
        self._descend(self.discriminator_optimizer, loss)
        return terms, self._typical(sums)

    def _projected_step(
        self, faces: Faces, fake: Tensor, edits: Edits, random: torch.Generator
    ) -> tuple[Maps, Terms, Tensor | None]:
        """Train the projected discriminator. The maps of the edits have a gradient if these have one."""
        assert self.projection is not None
        maps = self.projection.maps(faces.images, fake, random)
        terms, sums = self.projection.train(maps, edits.source, self._known_targets(edits), self.label_rules, random)
        return maps, terms, self._typical(sums)

    def _typical(self, sums: Tensor) -> Tensor | None:
        """The limit of the attribute loss, from the real images of all processes; None without one."""
        return typical_logits(self.accelerator.reduce(sums)) if self.config.method.limit_attributes else None

    def _known_targets(self, edits: Edits) -> Tensor:
        """The labels (B, A) that discriminators are told of edits."""
        target = self.label_rules.complete_targets(edits.source, edits.target)
        return self.label_rules.discriminator_targets(edits.source, target)

    def _generator_step(self, faces: Faces, typical: Tensor | None, random: torch.Generator) -> Terms:
        images, labels, regions = faces.images, faces.labels, faces.regions
        edits = self.sampler.draw(labels, random)
        fake = self.generator(images, self.plain_generator.condition(*edits), parts=True, regions=regions)
        if self.cycle:
            reconstruction = self.generator(fake.image, self._inverse_condition(edits), regions=regions)
        else:
            # The two passes stay apart, as in the paper: BatchNorm sees edits and reconstructions separately.
            reconstruction = self.generator(images, self._unchanged(labels), parts=True, regions=regions).rgb
        judged = self._judged_images(fake, random)
        return self._update_generator(faces, fake, judged, reconstruction, images, edits, random, typical)

    def _update_generator(
        self,
        faces: Faces,
        fake: Edit,
        judged: Tensor,
        reconstruction: Tensor,
        original: Tensor,
        edits: Edits,
        random: torch.Generator,
        typical: Tensor | None = None,
        unreal: Tensor | None = None,
        second: Opinion | None = None,
    ) -> Terms:
        # The plain discriminator: its weights take no gradient here, so ranks have nothing to exchange.
        loss, terms = compute_generator_loss(
            self.config, self.plain_discriminator, judged, fake.mask, reconstruction, original, edits,
            self.label_rules, random, self.current_mask_price, typical, second,
        )  # fmt: skip
        if faces.cheeks is not None and self.config.losses.cheek_weight:
            change = cheek_loss(fake.rgb, faces.images, faces.cheeks, self.sampler.keeps_skin(edits))
            loss, terms["g_cheeks"] = loss + self.config.losses.cheek_weight * change, change.detach()
        if unreal is not None and second is not None:
            weight = self.config.discriminator.projected_weight * second.share
            loss, terms["g_projected"] = loss + weight * unreal, unreal.detach()
        self._descend(self.generator_optimizer, loss)
        return terms

    def _descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        optimizer.step()

    def _prepare(self, batch: Batch, random: torch.Generator) -> Faces:
        """A batch, mirrored and in other light at random where configured.

        With an attribute dataset, rows beyond the batch size come apart: they serve D's attribute loss alone.
        """
        images, labels = batch
        images = random_flip(images, random) if self.config.data.random_flip else images
        images, classes = normalise(images[:, :3]), images[:, 3:]  # see stgan.data.parsed
        images, labelled = vary_light(images, self.config.data.varied_light, random), None
        if self.config.data.attribute_dataset:
            size = self.config.schedule.batch_size
            images, more = images[:size], images[size:]
            labels, more_labels = labels[:size], labels[size:]
            labelled = more, more_labels
        if not classes.shape[1]:
            return Faces(images, labels, None, None, labelled)
        numbers = torch.arange(len(PARSER_CLASSES), device=classes.device)[:, None, None]
        shown = (classes[: len(images)] == numbers).float()  # (B, 10, S, S)
        regions = parsed_regions(shown, self.plain_generator.attributes)
        return Faces(images, labels, regions, cheek_pixels(shown), labelled)

    def _judged_images(self, edit: Edit, random: torch.Generator) -> Tensor:
        """The images (B, 3, S, S) that the discriminator judges: a share of them as painted, without the soft mask."""
        share = self.config.method.painted_share
        if edit.mask is None or share == 0:  # no draw, so that runs without it keep their random numbers
            return edit.image
        painted = torch.rand(len(edit.image), 1, 1, 1, generator=random, device=edit.image.device) < share
        return torch.where(painted, edit.rgb.to(edit.image.dtype), edit.image)

    def _unchanged(self, labels: Tensor) -> Tensor:
        """Conditions (B, A) that ask for the image itself."""
        return self.plain_generator.condition(labels, labels, 1.0)

    def _inverse_condition(self, edits: Edits) -> Tensor:
        """Conditions (B, A) that undo edits. A difference is as intense as the edit; a target is the source labels."""
        difference = self.plain_generator.label_mode == "difference"
        return self.plain_generator.condition(edits.target, edits.source, edits.intensity if difference else 1.0)

    def mask_price(self, progress: float) -> float:
        """Weight of the masks' openness at ``progress`` in [0, 1): it rises only once edits have formed."""
        if self.continues:
            return self.config.losses.mask_weight
        start, end = self.config.method.mask_ramp
        return self.config.losses.mask_weight * min(1.0, max(0.0, (progress - start) / (end - start)))

    def update_average(self, images_seen: int, images_per_step: int) -> None:
        """Update the moving average of the generator's weights after a step."""
        if self.ema:
            self.ema.update(self.plain_generator, images_seen, images_per_step)

    @torch.no_grad()
    def validate(self, data: MemoryDataset) -> dict[str, float]:
        """PSNR, SSIM, edit accuracy and preservation error, by the judge or else by the discriminator's head.

        ``d_attribute`` and ``d_projected_attribute`` are the discriminators' attribute losses on these images. A loss
        on training images far below them means that a discriminator overfits and no longer guides the generator.
        ``realism`` and the skin's change are measured where ``least_accuracy`` is set.
        """
        device = self.accelerator.device
        evaluation = evaluate(
            self.trained_model.eval(), self.judge, data.images, data.labels, parser=self.parser, intensities=(1.0,),
            device=device,
        )  # fmt: skip
        appearance = {}
        if self.realism_backbone is not None:
            attributes = self.plain_generator.attributes
            self.probe = self.probe or AppearanceProbe(self.realism_backbone, data.images, data.labels, attributes)
            appearance = self.probe.figures(Editing(self.trained_model, self.parser), self.judge)
        self.plain_generator.train()
        return evaluation.headline() | appearance | self._attribute_losses(data)

    def _attribute_losses(self, data: MemoryDataset) -> dict[str, float]:
        """The discriminators' attribute losses on validation images."""
        losses: dict[str, list[Tensor]] = {}
        for images, labels in zip(*(part.split(VALIDATION_BATCH) for part in (data.images, data.labels)), strict=True):
            images, labels = (part.to(self.accelerator.device) for part in (images, labels))
            images = normalise(images)
            logits = {"d_attribute": self.plain_discriminator(images)[1]}
            if self.projection:
                logits["d_projected_attribute"] = self.projection.label(images)
            weights = self.label_rules.label_weights(labels)
            for name, each in logits.items():
                losses.setdefault(name, []).append(len(images) * attribute_loss(each, labels, weights))
        return {name: torch.stack(each).sum().item() / len(data) for name, each in losses.items()}

    @torch.no_grad()
    def sample_grid(self, data: MemoryDataset, people: int = 8) -> Image.Image:
        """One row per person; columns: source, reconstruction, one edit each."""
        grid = figures.sample_grid(self.trained_model.eval(), data.images[:people], data.labels[:people])
        self.plain_generator.train()
        return grid


class _AttributeHead:
    """The discriminator's attribute head as a judge. It overrates the generator that was trained against it."""

    def __init__(self, discriminator: nn.Module, attributes: tuple[str, ...]):
        self.discriminator, self.attributes = discriminator, attributes
        self.thresholds = torch.full((len(attributes),), 0.5)

    def __call__(self, image: Tensor) -> Tensor:
        return self.discriminator(image)[1]
