"""Training of the aligner: it learns to undo the random similarities by which aligned faces are displaced."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from torch import Tensor

from stgan.data import Batch, MemoryDataset
from stgan.evaluation import figures
from stgan.evaluation.fidelity import to_uint8
from stgan.frame import CELEBA_CROP, CELEBA_SIZE, MEAN_LANDMARKS, normalise
from stgan.models import FaceAligner
from stgan.models.aligner import UPRIGHT, frame_error, mirror, random_similarities, sample_views
from stgan.training.config import TrainingConfig
from stgan.training.networks import load_initial_network
from stgan.training.objective import SupervisedObjective, Terms
from stgan.training.views import Similarity, degrade, faceless_similarities, shuffle_tiles, views_with_surroundings

FACELESS_SHARE = 0.25
"""Share of a batch that shows no face, or none that could be aligned."""
CONFIDENCE_WEIGHT = 0.1
"""Weight of the face/no-face loss; the error in eye distances weighs 1."""
RECALL = 0.99
"""Share of validation faces that the threshold accepts."""
EYE_DISTANCE = float(MEAN_LANDMARKS[1, 0] - MEAN_LANDMARKS[0, 0])
"""CelebA's mean distance between the eyes, in pixels of its 178x218 frame: the unit of errors."""
FRAME_POINTS = np.array([(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9), (0.5, 0.5)]) * CELEBA_SIZE
"""Points (5, 2) at which alignments are compared: near the corners of that frame, and its centre."""


def frame_points() -> Tensor:
    """The same points, complex (5,), in coordinates of the crop."""
    points = torch.from_numpy(FRAME_POINTS).float()
    left, top, right, bottom = CELEBA_CROP
    x, y = ((points - torch.tensor([left, top])) / torch.tensor([right - left, bottom - top]) * 2 - 1).unbind(dim=1)
    return torch.complex(x, y)


class RegistrationObjective(SupervisedObjective[FaceAligner]):
    """The aligner and its training step."""

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], accelerator: Accelerator):
        aligner = FaceAligner(config.method.aligner_view, config.generator.width, config.method.aligner_blocks)
        if config.run.initial_model:
            load_initial_network(aligner, config.run.initial_model)
        super().__init__(aligner, config, accelerator)
        self.points = frame_points().to(accelerator.device)
        left, _, right, _ = CELEBA_CROP
        self.eye_distances = (right - left) / 2 / EYE_DISTANCE  # per unit of the crop's coordinates

    def step(self, draw: Callable[[], Batch], random: torch.Generator, step: int, progress: float) -> Terms:
        """One step on displaced views of a batch."""
        images = normalise(draw()[0])
        faceless = max(1, round(FACELESS_SHARE * len(images)))
        views, a, b = self._draw_views(images, faceless, random)
        estimate = self.network(views.contiguous(memory_format=torch.channels_last))
        error = self._error((estimate.a, estimate.b), (a, b))[faceless:].mean()
        is_face = (torch.arange(len(images), device=images.device) >= faceless).float()
        confidence = F.binary_cross_entropy_with_logits(estimate.logit, is_face)
        self.descend(error + CONFIDENCE_WEIGHT * confidence)
        return {"error": error.detach(), "confidence": confidence.detach()}

    def _draw_views(self, images: Tensor, faceless: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Views (N, 3, V, V) and their similarities a, b (N,) to the crops; the first ``faceless`` show no face."""
        count, size = len(images), self.config.method.aligner_view
        # At inference the aligner's first view is far off and the second is nearly right: it learns from both.
        a, b = random_similarities(count, random)
        near_a, near_b = random_similarities(count, random, rotation=10, scale=1.15, shift=0.06)
        near = torch.rand(count, generator=random, device=images.device) < 0.5
        a, b = torch.where(near, near_a, a), torch.where(near, near_b, b)
        a[:faceless], b[:faceless] = faceless_similarities(faceless, random)
        views = degrade(views_with_surroundings(images, a, b, size, random), random)
        if shuffled := faceless // 3:
            views[:shuffled] = shuffle_tiles(views[-shuffled:], random)
        mirrored = torch.rand(count, generator=random, device=images.device) < 0.5
        views = torch.where(mirrored[:, None, None, None], views.flip(-1), views)
        a, b = (torch.where(mirrored, other, one) for one, other in zip((a, b), mirror(a, b), strict=True))
        return views, a, b

    def _error(self, estimate: Similarity, true: Similarity) -> Tensor:
        """Mean error (N,) at the frame's points, in eye distances, of similarities from views to the crop."""
        return self.eye_distances * frame_error(*_compose(estimate, _inverse(true)), self.points)

    @torch.no_grad()
    def validate(self, data: MemoryDataset) -> dict[str, float]:
        """Error after one, two and three passes over displaced faces, in eye distances; shares of right decisions.

        ``found`` is the share of faces accepted, ``refused`` that of faceless views rejected. The model's threshold is
        set so that it accepts :data:`RECALL` of these faces.
        """
        model, device = self.trained_model.eval(), self.accelerator.device
        random = torch.Generator(device).manual_seed(0)
        errors, face_logits, faceless_logits = [], [], []
        for images in data.images.split(128):
            images = normalise(images.to(device))
            *after_each, logits = self._refine(model, images, random_similarities(len(images), random), random)
            errors.append(torch.stack(after_each))
            similarities = faceless_similarities(len(images), random)
            views = views_with_surroundings(images, *similarities, model.image_size, random)
            face_logits.append(logits)
            faceless_logits.append(model.align(views).logit)
        faces, faceless = torch.cat(face_logits), torch.cat(faceless_logits)
        threshold = faces.quantile(1 - RECALL)
        for network in (model, self.plain_network):  # both, or the next average would undo it
            network.threshold.copy_(threshold)
        self.plain_network.train()
        passes = torch.cat(errors, dim=1)  # (passes, N)
        return {f"error_{number}": each.mean().item() for number, each in enumerate(passes, 1)} | {
            "error_3_p95": passes[-1].quantile(0.95).item(),
            "found": (faces > threshold).float().mean().item(),
            "refused": (faceless <= threshold).float().mean().item(),
        }

    def _refine(self, model: FaceAligner, images: Tensor, start: Similarity, random: torch.Generator) -> list[Tensor]:
        """Errors (N,) after each of three passes, and the logits of the last."""
        errors, true, state = [], start, random.get_state()
        for _ in range(3):
            random.set_state(state)  # every pass sees the same photo
            estimate = model.align(views_with_surroundings(images, *true, model.image_size, random))
            errors.append(self._error((estimate.a, estimate.b), true))
            true = _next_view(true, (estimate.a, estimate.b))
        return [*errors, estimate.logit]

    @torch.no_grad()
    def sample_grid(self, data: MemoryDataset, people: int = 8) -> Image.Image:
        """Rows of displaced views, of the same after one pass of the aligner and after two, and of the true crops."""
        model, device = self.trained_model.eval(), self.accelerator.device
        images = normalise(data.images[:people].to(device))
        random = torch.Generator(device).manual_seed(1)
        state, true = random.get_state(), random_similarities(len(images), random)
        rows = []
        for _ in range(3):
            random.set_state(state)
            views = views_with_surroundings(images, *true, model.image_size, random)
            rows.append(to_uint8(views))
            estimate = model.align(views)
            true = _next_view(true, (estimate.a, estimate.b))
        rows.append(to_uint8(sample_views(images, *_upright(len(images), device), model.image_size)[0]))
        self.plain_network.train()
        pictures = [Image.fromarray(np.asarray(picture)) for row in rows for picture in row]
        captions = [name for name in ("Displaced", "One pass", "Two passes", "Truth") for _ in range(len(images))]
        return figures.contact_sheet(pictures, captions, columns=len(images), side=2 * model.image_size)


def _next_view(true: Similarity, estimate: Similarity) -> Similarity:
    """The true similarity of the view that is upright in the estimated frame."""
    return _compose(_compose(true, _inverse(estimate)), _upright(len(true[0]), true[0].device))


def _compose(outer: Similarity, inner: Similarity) -> Similarity:
    """``inner`` first, then ``outer``."""
    return outer[0] * inner[0], outer[0] * inner[1] + outer[1]


def _inverse(similarity: Similarity) -> Similarity:
    a, b = similarity
    return 1 / a, -b / a


def _upright(count: int, device: torch.device) -> Similarity:
    a, b = (torch.full((count,), value, dtype=torch.complex64, device=device) for value in UPRIGHT)
    return a, b
