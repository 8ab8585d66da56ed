"""What people see in edits: realism, identity and skin, for single attributes and for pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from stgan.evaluation.checkpoint import NOTHING_KEPT, Checkpoint
from stgan.evaluation.classifier import Judge, predicted_labels, report_of
from stgan.evaluation.edits import Editing
from stgan.evaluation.fidelity import channels_last
from stgan.evaluation.flips import (
    EditedBatch,
    Flip,
    edited_batches,
    flip_name,
    flips_of,
    rows_of,
    state_name,
    states_of,
    target_labels,
)
from stgan.evaluation.identity import (
    PEOPLE,
    SAME_PERSON,
    Recognition,
    pair_distances,
    same_person_pairs,
    sampled_people,
)
from stgan.evaluation.inference import evaluation_mode
from stgan.evaluation.realism import RealFaces, pooled_features
from stgan.evaluation.results import Appearance, FlipScores, GroupAppearance, Realism
from stgan.evaluation.skin import TONES, cheek_lightness, tone_thirds
from stgan.evaluation.tally import GROUPING

PALE = "Pale_Skin"  # the attribute whose edits may change the skin


@dataclass(frozen=True)
class Instruments:
    """What measures an edit besides the classifier. Whatever is None is not measured."""

    backbone: nn.Module | None = None  # its features tell realism
    real: RealFaces | None = None  # in features of that network
    recognition: Recognition | None = None  # describes faces for identity
    people: int = PEOPLE  # sampled for identity, at most

    def inputs(self) -> tuple[object, ...]:
        """What a measurement by them depends on, for :meth:`Checkpoint.part`."""
        real = self.real and (self.real.features, self.real.labels)
        return self.backbone, *(real or ()), type(self.recognition).__qualname__, self.people


def measure_appearance(
    editing: Editing,
    classifier: Judge,
    images: Tensor,
    labels: Tensor,
    instruments: Instruments,
    *,
    identities: Tensor | None = None,
    flips: Sequence[Flip] | None = None,
    intensity: float = 1.0,
    batch_size: int = 64,
    progress: bool = False,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Appearance:
    """Edit every image in every way and measure what people see of it.

    Args:
        editing, classifier: on one device, like the instruments' backbone.
        images: uint8 (N, 3, S, S), aligned as CelebA's are, S the editor's size.
        labels: float (N, A) in {0, 1}, columns as ``editing.attributes``.
        identities: long (N,), who each image shows, for the distance between two photos of one person.
        flips: the edits; by default those of :func:`stgan.evaluation.flips.flips_of`.
        checkpoint: keeps what an interrupted evaluation has measured.
    """
    flips = flips_of(editing.attributes) if flips is None else list(flips)
    record = _Record(classifier, images, flips, instruments, editing.attributes)
    inputs = (editing.generator, editing.parser, editing.device, images, labels, flips, intensity, batch_size)
    part = checkpoint.part("appearance", classifier, *instruments.inputs(), *inputs)
    first = record.restore(part.load())
    batches = edited_batches(editing, images, labels, flips, intensity=intensity, batch_size=batch_size, first=first)
    total = len(flips) * -(-(len(images) - first) // batch_size)
    with evaluation_mode(editing.generator, editing.parser, classifier, instruments.backbone):
        for batch in tqdm(batches, desc="appearance", total=total, disable=not progress):
            record.add(batch)
            done = int(batch.rows[-1]) + 1
            if batch.flip == flips[-1]:
                part.save(partial(record.state, done), finished=done == len(images))
        lightness = torch.cat([cheek_lightness(part.to(editing.device)).cpu() for part in images.split(batch_size)])
    labels, tones = labels.cpu(), tone_thirds(lightness)
    scores = {flip: record.scores(flip, labels, tones) for flip in flips}
    shown = predicted_labels(classifier, images, editing.attributes, device=editing.device)
    real_identity, real_same_person = _between_photos(instruments, images, identities)
    return Appearance(
        images=len(images),
        intensity=intensity,
        edits={flip_name(flip): scores[flip] for flip in flips if len(flip) == 1},
        pairs={flip_name(flip): scores[flip] for flip in flips if len(flip) > 1},
        groups=record.groups(labels, tones),
        real_accuracy=report_of(shown > 0.5, labels > 0.5, editing.attributes).mean_flipped_accuracy,
        real_identity=real_identity,
        real_same_person=real_same_person,
        identity_people=0 if instruments.recognition is None else len(record.people),
    )


def _between_photos(
    instruments: Instruments, images: Tensor, identities: Tensor | None
) -> tuple[float | None, float | None]:
    """Mean distance between two photos of one person, and the share of pairs that count as one person's."""
    if instruments.recognition is None or identities is None:
        return None, None
    distances = pair_distances(instruments.recognition, images, same_person_pairs(identities, instruments.people))
    if not len(distances):
        return None, None
    return float(distances.mean()), float((distances < SAME_PERSON).double().mean())


class _Record:
    def __init__(
        self,
        classifier: Judge,
        images: Tensor,
        flips: Sequence[Flip],
        instruments: Instruments,
        attributes: Sequence[str],
    ):
        self.classifier, self.instruments, self.attributes = classifier, instruments, tuple(attributes)
        self.people = sampled_people(len(images), instruments.people)
        self.places: dict[int, tuple[object, np.ndarray]] = {}  # row to the source's landmarks and descriptor
        self.hits = {flip: torch.zeros(len(images), dtype=torch.bool) for flip in flips}
        self.lightening = {flip: torch.zeros(len(images)) for flip in flips}  # change of the cheeks' L*
        self.features: dict[Flip, list[Tensor]] = {flip: [] for flip in flips}
        self.distances = {flip: torch.zeros(len(self.people), dtype=torch.float64) for flip in flips}

    def state(self, images: int) -> dict[str, Any]:
        """What is measured of the first images, for :meth:`restore`."""
        features = {flip: torch.cat(parts) for flip, parts in self.features.items() if parts}
        measured = {"hits": self.hits, "lightening": self.lightening, "distances": self.distances}
        return {"images": images, "features": features, **measured}

    def restore(self, state: dict[str, Any]) -> int:
        """Take over a state, unless it is empty, and return its number of images."""
        if not state:
            return 0
        self.hits, self.lightening, self.distances = (state[name] for name in ("hits", "lightening", "distances"))
        self.features |= {flip: [features] for flip, features in state["features"].items()}
        return state["images"]

    def add(self, batch: EditedBatch) -> None:
        predicted = predicted_labels(self.classifier, batch.image, batch.flip, device=batch.image.device)
        columns = [self.attributes.index(name) for name in batch.flip]
        self.hits[batch.flip][batch.rows] = (predicted == batch.target[:, columns].cpu()).all(dim=1)
        change = cheek_lightness(batch.image) - cheek_lightness(batch.source)
        self.lightening[batch.flip][batch.rows] = change.cpu()
        backbone, recognition = self.instruments.backbone, self.instruments.recognition
        if backbone is not None and self.instruments.real is not None:
            self.features[batch.flip].append(pooled_features(backbone, batch.image).cpu())
        if recognition is not None:
            for position, row in enumerate(self.people.tolist()):
                if int(batch.rows[0]) <= row <= int(batch.rows[-1]):
                    within = row - int(batch.rows[0])
                    distance = self._distance(recognition, row, batch.source[within], batch.image[within])
                    self.distances[batch.flip][position] = distance

    def _distance(self, recognition: Recognition, row: int, source: Tensor, edited: Tensor) -> float:
        """Between the descriptors of a source and its edit, whose face is where the source's is."""
        if row not in self.places:
            image = channels_last(source)
            place = recognition.locate(image)
            self.places[row] = place, recognition.describe(image, place)
        place, described = self.places[row]
        return float(np.linalg.norm(recognition.describe(channels_last(edited), place) - described))

    def scores(self, flip: Flip, labels: Tensor, tones: Tensor) -> FlipScores:
        """Means of one flip over all people; ``tones`` as from :func:`tone_thirds`."""
        realism, real = self._realism(flip, labels)
        measured = self.instruments.recognition is not None
        distances = self.distances[flip]
        return FlipScores(
            accuracy=float(self.hits[flip].double().mean()),
            realism=realism,
            real=real,
            identity=float(distances.mean()) if measured else None,
            same_person=float((distances < SAME_PERSON).double().mean()) if measured else None,
            skin=self._skin(flip, tones),
        )

    def _skin(self, flip: Flip, tones: Tensor) -> tuple[float, ...] | None:
        """Mean change of L* of each third; None for so few people that one is empty."""
        if len(tones) < len(TONES):
            return None
        return tuple(float(self.lightening[flip][tones == tone].mean()) for tone in range(len(TONES)))

    def _realism(self, flip: Flip, labels: Tensor) -> tuple[dict[str, Realism], dict[str, Realism]]:
        """Of edits against real faces that have the values asked for, and of those against one another."""
        edits: dict[str, Realism] = {}
        halves: dict[str, Realism] = {}
        faces = self.instruments.real
        if faces is None:
            return edits, halves
        features = torch.cat(self.features[flip])
        targets = target_labels(labels, flip, self.attributes)
        for state in states_of(flip):
            rows = rows_of(state, targets, self.attributes)
            found, own = faces.distance(features[rows], state), faces.own_distance(state)
            if found is not None and own is not None:
                edits[state_name(state)], halves[state_name(state)] = found, own
        return edits, halves

    def groups(self, labels: Tensor, tones: Tensor) -> dict[str, GroupAppearance]:
        """Means over single edits of people by label and by the lightness of their skin."""
        members = {f"{name} skin": tones == tone for tone, name in enumerate(TONES)}
        for name in [name for name in GROUPING if name in self.attributes]:
            has = labels[:, self.attributes.index(name)] > 0.5
            members |= {name: has, f"not {name}": ~has}
        singles = [flip for flip in self.hits if len(flip) == 1]
        hits = torch.stack([self.hits[flip] for flip in singles]).double().mean(dim=0)
        kept = [self.lightening[flip].abs() for flip in singles if flip != (PALE,)]
        distances = torch.stack([self.distances[flip] for flip in singles]).mean(dim=0)
        found = {}
        for name, rows in members.items():
            sampled = distances[rows[self.people]]
            if rows.any():
                found[name] = GroupAppearance(
                    int(rows.sum()),
                    float(hits[rows].mean()),
                    float(sampled.mean()) if self.instruments.recognition is not None and len(sampled) else None,
                    float(torch.stack(kept)[:, rows].mean()) if kept else None,
                )
        return found
