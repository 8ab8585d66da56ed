"""How the aligner is trained: aligned faces are turned, scaled and shifted at random, and it learns the way back."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from stgan.data import MemoryDataset
from stgan.evaluation import figures
from stgan.evaluation.fidelity import to_uint8
from stgan.frame import CELEBA_CROP, CELEBA_SIZE, MEAN_LANDMARKS, normalise
from stgan.models import AttributeClassifier, FaceAligner
from stgan.models.aligner import UPRIGHT, frame_error, mirror, random_similarities, sample_views
from stgan.training.config import TrainingConfig
from stgan.training.supervised import SupervisedObjective

Batch = tuple[Tensor, Tensor]
Terms = dict[str, Tensor]
Similarity = tuple[Tensor, Tensor]

FACELESS_SHARE = 0.25
"""Share of a batch that shows no face, or none that could be aligned."""
CONFIDENCE_WEIGHT = 0.1
"""Of telling those apart, in units of one eye distance of mean error."""
FOUND_SHARE = 0.99
"""Of validation faces whose views count as faces, by which the threshold is chosen."""
EYE_DISTANCE = float(MEAN_LANDMARKS[1, 0] - MEAN_LANDMARKS[0, 0])
"""CelebA's mean distance between the eyes, in pixels of its 178x218 frame: the unit of errors."""
FRAME_POINTS = np.array([(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9), (0.5, 0.5)]) * CELEBA_SIZE
"""Four points near the corners of that frame and its centre, where an alignment is judged: (5, 2) from its corner."""


def frame_points() -> Tensor:
    """The same points, complex (5,), in coordinates of the crop."""
    points = torch.from_numpy(FRAME_POINTS).float()
    left, top, right, bottom = CELEBA_CROP
    x, y = ((points - torch.tensor([left, top])) / torch.tensor([right - left, bottom - top]) * 2 - 1).unbind(dim=1)
    return torch.complex(x, y)


class AlignmentObjective(SupervisedObjective):
    """The aligner and its step."""

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        aligner = FaceAligner(config.aligner_view, config.aligner_width, config.aligner_blocks)
        super().__init__(aligner, config, accelerator)
        self.points = frame_points().to(accelerator.device)
        left, _, right, _ = CELEBA_CROP
        self.eye_distances = (right - left) / 2 / EYE_DISTANCE  # per unit of the crop's coordinates

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """One step on disturbed views of a batch; arguments as in the editing objective's."""
        images = normalise(draw()[0])
        count, size = len(images), self.config.aligner_view
        faceless = max(1, round(FACELESS_SHARE * count))
        # A first look is wide of the mark, a second one is not: both are practised.
        a, b = random_similarities(count, random)
        near_a, near_b = random_similarities(count, random, rotation=10, scale=1.15, shift=0.06)
        near = torch.rand(count, generator=random, device=images.device) < 0.5
        a, b = torch.where(near, near_a, a), torch.where(near, near_b, b)
        a[:faceless], b[:faceless] = hopeless_similarities(faceless, random)
        views = photographed(continued_views(images, a, b, size, random), random)
        if torn := faceless // 3:
            views[:torn] = scrambled(views[-torn:], random)
        mirrored = torch.rand(count, generator=random, device=images.device) < 0.5
        views = torch.where(mirrored[:, None, None, None], views.flip(-1), views)
        a, b = (torch.where(mirrored, other, one) for one, other in zip((a, b), mirror(a, b), strict=True))

        found = self.network(views.contiguous(memory_format=torch.channels_last))
        error = self._error((found.a, found.b), (a, b))[faceless:].mean()
        is_face = (torch.arange(count, device=images.device) >= faceless).float()
        confidence = F.binary_cross_entropy_with_logits(found.logit, is_face)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(error + CONFIDENCE_WEIGHT * confidence)
        self.optimizer.step()
        return {"error": error.detach(), "confidence": confidence.detach()}

    def _error(self, found: Similarity, true: Similarity) -> Tensor:
        """Mean error of the frame's points, (N,) eye distances, of similarities from views to the crop."""
        return self.eye_distances * frame_error(*_after(found, _inverse(true)), self.points)

    @torch.no_grad()
    def validate(self, data: MemoryDataset, classifier: AttributeClassifier | None) -> dict[str, float]:
        """Error after one, two and three looks at disturbed faces, in eye distances; how well the faceless are told.

        The model's threshold is set so that :data:`FOUND_SHARE` of these faces are found.
        """
        model, device = self.trained_model.eval(), self.accelerator.device
        random = torch.Generator(device).manual_seed(0)
        errors, faces, faceless = [], [], []
        for images in data.images.split(128):
            images = normalise(images.to(device))
            *looks, logits = self._looks(model, images, random_similarities(len(images), random), random)
            errors.append(torch.stack(looks))
            nowhere = hopeless_similarities(len(images), random)
            views = continued_views(images, *nowhere, model.image_size, random)
            faces.append(logits)
            faceless.append(model.align(views).logit)
        faces, faceless = torch.cat(faces), torch.cat(faceless)
        threshold = faces.quantile(1 - FOUND_SHARE)
        for network in (model, self.plain_network):  # both, or the average would move it back
            network.threshold.copy_(threshold)
        self.plain_network.train()
        errors = torch.cat(errors, dim=1)  # (looks, N)
        figures = {f"error_{number}": each.mean().item() for number, each in enumerate(errors, 1)}
        return figures | {
            "error_3_p95": errors[-1].quantile(0.95).item(),
            "found": (faces > threshold).float().mean().item(),
            "refused": (faceless <= threshold).float().mean().item(),
        }

    def _looks(self, model: FaceAligner, images: Tensor, start: Similarity, random: torch.Generator) -> list[Tensor]:
        """Errors (N,) after each of three looks, and the logits of the last."""
        errors, true, state = [], start, random.get_state()
        for _ in range(3):
            random.set_state(state)  # each look at the same photo
            found = model.align(continued_views(images, *true, model.image_size, random))
            errors.append(self._error((found.a, found.b), true))
            # The next view is upright in the frame found; what it truly shows is the old one's truth after that.
            true = _after(_after(true, _inverse((found.a, found.b))), _upright(len(images), images.device))
        return [*errors, found.logit]

    @torch.no_grad()
    def sample_grid(self, data: MemoryDataset, people: int = 8) -> Image.Image:
        """Columns of disturbed views, of what the aligner makes of them in one look and in two, and of the truth."""
        model, device = self.trained_model.eval(), self.accelerator.device
        images = normalise(data.images[:people].to(device))
        random = torch.Generator(device).manual_seed(1)
        state, true = random.get_state(), random_similarities(len(images), random)
        upright, rows = _upright(len(images), device), []
        for _ in range(3):
            random.set_state(state)
            views = continued_views(images, *true, model.image_size, random)
            rows.append(to_uint8(views))
            found = model.align(views)
            true = _after(_after(true, _inverse((found.a, found.b))), upright)
        rows.append(to_uint8(sample_views(images, *upright, model.image_size)[0]))
        self.plain_network.train()
        pictures = [Image.fromarray(np.asarray(picture)) for row in rows for picture in row]
        captions = [name for name in ("Disturbed", "One look", "Two looks", "Truth") for _ in range(len(images))]
        return figures.contact_sheet(pictures, captions, columns=len(images), side=2 * model.image_size)


# ------------------------------------------------------------------------------------------------- similarities


def _after(outer: Similarity, inner: Similarity) -> Similarity:
    """First ``inner``, then ``outer``: both z -> a z + b."""
    return outer[0] * inner[0], outer[0] * inner[1] + outer[1]


def _inverse(similarity: Similarity) -> Similarity:
    a, b = similarity
    return 1 / a, -b / a


def _upright(count: int, device: torch.device) -> Similarity:
    return tuple(torch.full((count,), value, dtype=torch.complex64, device=device) for value in UPRIGHT)


def hopeless_similarities(count: int, random: torch.Generator) -> Similarity:
    """Views of what is no face to align: skin or hair from close by, upside down, beside it, or from too far away."""
    a, b = random_similarities(count, random, shift=0.1)
    draws = torch.rand(4, count, generator=random, device=random.device)
    kind = torch.randint(4, (count,), generator=random, device=random.device)
    sign = torch.where(draws[3] < 0.5, -1.0, 1.0)
    close_a = a / a.abs() * (0.08 + 0.2 * draws[0])
    close_b = torch.complex(2 * draws[1] - 1, 2 * draws[2] - 1)
    upside_down = a * torch.polar(torch.ones_like(sign), torch.pi * (1 + 0.33 * (2 * draws[0] - 1)))
    direction = torch.polar(1.5 + draws[0], 2 * torch.pi * draws[1])
    small = a / a.abs() * (3 + 3 * draws[0])
    a = torch.where(kind == 0, close_a, torch.where(kind == 1, upside_down, torch.where(kind == 3, small, a)))
    b = torch.where(kind == 0, close_b, torch.where(kind == 2, b + a * direction, b))
    return a, b


# --------------------------------------------------------------------------------------------- what a view shows


def continued_views(images: Tensor, a: Tensor, b: Tensor, size: int, random: torch.Generator) -> Tensor:
    """Views of crops whose surroundings are made up, so that the crop's border does not tell where the frame is.

    A photo goes on around the crop. Here a random part of the crop's rim is cut off, and around the rest its border
    is repeated or another picture of the batch begins.

    Args:
        images: (N, 3, S, S).
        a, b: complex (N,), similarities from the views to the crops.
        size: of the views, pixels.

    Returns:
        (N, 3, size, size).
    """
    count, device = len(images), images.device
    views, z = sample_views(images, a, b, size)
    rims = 1 - 0.25 * torch.rand(4, count, 1, 1, generator=random, device=device)  # at most an eighth of the side
    inside = (z.real > -rims[0]) & (z.real < rims[1]) & (z.imag > -rims[2]) & (z.imag < rims[3])
    other_a, other_b = random_similarities(count, random, rotation=180, scale=2.5, shift=0.5)
    backgrounds, _ = sample_views(images.roll(1, dims=0), other_a / 2, other_b, size, oversampling=1)
    repeated = torch.rand(count, 1, 1, generator=random, device=device) < 0.4
    return torch.where((inside | repeated)[:, None], views, backgrounds)


def photographed(views: Tensor, random: torch.Generator) -> Tensor:
    """Views (N, 3, S, S) in [-1, 1] in other light, out of focus, grey, noisy or partly hidden, at random."""
    count, _, size, _ = views.shape
    device = views.device

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, channels, 1, 1, generator=random, device=device)

    def chance(share: float) -> Tensor:
        return draw(0, 1) < share

    for factor, share in ((2, 0.25), (4, 0.1)):
        blurred = F.interpolate(F.avg_pool2d(views, factor), size=size, mode="bilinear", align_corners=False)
        views = torch.where(chance(share), blurred, views)
    views = torch.where(chance(0.15), views.mean(dim=1, keepdim=True), views)
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    views = (views - mean) * torch.exp(draw(-0.4, 0.4)) + mean + draw(-0.4, 0.4) + draw(-0.1, 0.1, channels=3)
    line = torch.linspace(-1, 1, size, device=device)
    views = views + draw(-0.3, 0.3) * line + draw(-0.3, 0.3) * line[:, None]  # light from one side
    noise = torch.randn(views.shape, generator=random, device=device)
    views = views + noise * draw(0, 1).pow(3) * 0.2
    x, y = (line - draw(-1, 1)).abs(), (line[:, None] - draw(-1, 1)).abs()
    hidden = (x < draw(0.1, 0.4)) & (y < draw(0.1, 0.4)) & chance(0.2)
    return torch.where(hidden, draw(-1, 1, channels=3), views).clamp(-1, 1)


def scrambled(views: Tensor, random: torch.Generator, tiles: int = 4) -> Tensor:
    """Views (N, 3, S, S) cut into tiles that are put together in another order: all of a face, and none."""
    count, _, size, _ = views.shape
    parts = F.unfold(views, size // tiles, stride=size // tiles)  # (N, 3 * tile * tile, tiles * tiles)
    order = torch.rand(count, 1, tiles * tiles, generator=random, device=views.device).argsort(dim=2)
    return F.fold(parts.gather(2, order.expand_as(parts)), size, size // tiles, stride=size // tiles)
