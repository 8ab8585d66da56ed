"""The labels of edits: targets drawn at random, and relations between labels that no target may break.

Some targets ask for label vectors that no photograph has: a woman with a mustache, a bald head with black hair. A
discriminator that learned each label from whole faces has never seen such a picture, and the generator destroys the
face instead of editing it. Other targets ask for too little: hair that is no longer brown needs another colour.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from stgan.attributes import contradiction_matrix, exclusion_matrix, facts_of, flipped_labels, replacement_matrix
from stgan.training.config import TrainingConfig


class Edits(NamedTuple):
    """The labels of a batch of edits."""

    source: Tensor  # (B, A) in {0, 1}: labels of the images
    target: Tensor  # (B, A) in {0, 1}: labels that the edited images should have
    intensity: Tensor  # (B, 1): 1 goes exactly to the target, more goes beyond it


class TargetSampler:
    """Draws targets and intensities for the labels of a batch.

    Raises:
        ValueError: ``single_flip_weights`` name an attribute that is not trained.
    """

    def __init__(self, config: TrainingConfig, attributes: tuple[str, ...], device: torch.device):
        self.config = config
        self.exclusions = exclusion_matrix(attributes).to(device)
        self.contradictions = contradiction_matrix(attributes).float().to(device)
        of_the_skin = [(place := facts_of(name).place) is not None and place.surface == "skin" for name in attributes]
        self.of_the_skin = torch.tensor(of_the_skin, device=device)
        weights = config.losses.single_flip_weights
        if unknown := sorted(weights.keys() - set(attributes)):
            raise ValueError(f"--single_flip_weights name {', '.join(unknown)}; trained are {', '.join(attributes)}.")
        self.flip_weights = torch.tensor([weights.get(name, 1.0) for name in attributes], device=device)

    def draw(self, labels: Tensor, random: torch.Generator) -> Edits:
        """Edits of images with ``labels`` (B, A) in {0, 1}."""
        return Edits(labels, self.draw_targets(labels, random), self.draw_intensities(labels, random))

    def draw_targets(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Targets (B, A): a permutation of the batch's labels, or the labels with one or a few attributes flipped."""
        device = labels.device
        target = labels[torch.randperm(len(labels), generator=random, device=device)]
        if self.config.method.single_flip_share == 0:
            return target
        index = self._draw_attributes(labels, random)
        single = torch.rand(len(labels), 1, generator=random, device=device) < self.config.method.single_flip_share
        flipped = flipped_labels(labels, index, self.exclusions)
        if self.config.losses.max_flips > 1:
            flipped = self._flip_more(labels, flipped, random)
        return torch.where(single, flipped, target)

    def _draw_attributes(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Long (B,): one attribute for each of the labels (B, A)."""
        if self.config.losses.single_flip_weights:
            return self.flip_weights.multinomial(len(labels), replacement=True, generator=random)
        # Without weights, so that runs without them keep their random numbers.
        return torch.randint(labels.shape[1], (len(labels),), generator=random, device=labels.device)

    def _flip_more(self, labels: Tensor, flipped: Tensor, random: torch.Generator) -> Tensor:
        """Flip up to ``max_flips`` - 1 further attributes of labels (B, A) of which one is flipped.

        An attribute is left out where an earlier flip has changed it, or where it contradicts what one has added.
        """
        most = self.config.losses.max_flips
        count = most * torch.rand(len(labels), 1, generator=random, device=labels.device).square()
        for number in range(1, most):
            index = self._draw_attributes(labels, random)
            changed = (flipped != labels).gather(1, index[:, None])
            adds = labels.gather(1, index[:, None]) == 0
            contradicted = ((flipped > labels).float() @ self.contradictions).gather(1, index[:, None]) > 0
            further = (count >= number) & ~changed & ~(adds & contradicted)
            flipped = torch.where(further, flipped_labels(flipped, index, self.exclusions), flipped)
        return flipped

    def keeps_skin(self, edits: Edits) -> Tensor:
        """Bool (B,): the edits that ask for no other skin."""
        return ((edits.source == edits.target) | ~self.of_the_skin).all(dim=1)

    def draw_intensities(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Intensities (B, 1), uniform in the configured range."""
        low, high = self.config.losses.intensity_range
        if low == high:  # no draw, so that runs without a range keep their random numbers
            return torch.full((len(labels), 1), low, device=labels.device)
        return low + (high - low) * torch.rand(len(labels), 1, generator=random, device=labels.device)


@dataclass
class LabelRules:
    """Decides which labels of a face or an edit the discriminator conditions on and learns from.

    :meth:`none` makes rules under which every label counts, :meth:`from_labels` those of a dataset.
    """

    # Float (2A, 2A) in {0, 1}, rows and columns: absence, then presence of each attribute. 1 for two labels that the
    # data never show together, although their names do not exclude each other.
    clashes: Tensor
    # Float (A, A) in {0, 1}: two attributes that cannot both be present, although an edit to one keeps the other.
    contradictions: Tensor
    # Float (A, A) in {0, 1}: at [i, j], attribute j replaces i when an edit removes i.
    replacements: Tensor
    # Float (A, A) in {0, 1}: at [i, j], i and j exclude each other, so i needs no replacement where j is present.
    exclusions: Tensor

    @classmethod
    def none(cls, attribute_count: int) -> "LabelRules":
        """Every label counts."""
        none = torch.zeros(attribute_count, attribute_count)
        return cls(none.repeat(2, 2), none, none, none)

    @classmethod
    def from_labels(cls, attributes: tuple[str, ...], labels: Tensor, share: float) -> "LabelRules":
        """Rules of a dataset.

        Args:
            attributes: names of the A attributes.
            labels: float (N, A) in {0, 1}, of all training images.
            share: two labels clash if they occur together less than this share as often as by chance.
        """
        count = len(attributes)
        contradictions, exclusions = contradiction_matrix(attributes), exclusion_matrix(attributes)
        clashes = ~plausible_pairs(labels, share) & ~torch.eye(count, dtype=torch.bool).repeat(2, 2)
        clashes[count:, count:] &= ~(exclusions | contradictions)
        rules = (clashes, contradictions, replacement_matrix(attributes), exclusions)
        return cls(*(rule.float() for rule in rules))

    def to(self, device: torch.device) -> "LabelRules":
        """The same rules on a device."""
        return LabelRules(*(getattr(self, rule.name).to(device) for rule in fields(self)))

    def label_weights(self, labels: Tensor) -> Tensor:
        """Float (N, A): 0 for labels of real faces that follow from another label, 1 for the others.

        No woman in the data has a mustache. A discriminator that learns "no mustache" from women learns to recognise
        women, and misses a mustache on one; from men alone, it learns to look at the lip.
        """
        present = torch.cat([1 - labels, labels], dim=1)
        never_absent, never_present = (present @ self.clashes > 0).chunk(2, dim=1)
        return 1 - torch.where(labels > 0, never_absent, never_present).float()

    def complete_targets(self, labels: Tensor, target: Tensor) -> Tensor:
        """Targets (N, A) with replacements for attributes that an edit removes without naming another.

        Only the losses use them; the generator is given the original target. Hair that merely stops being brown could
        otherwise turn blue.
        """
        removed = labels > target
        unreplaced = removed & (target @ self.exclusions.T == 0)
        barred = removed | (target @ self.contradictions > 0)  # a bald head needs no colour
        return torch.where((unreplaced.float() @ self.replacements > 0) & ~barred, 1.0, target)

    def discriminator_targets(self, labels: Tensor, target: Tensor) -> Tensor:
        """Targets (N, A) of edits that the discriminator judges realness by; 0.5 is unknown.

        Both labels of a clash are unknown, and so is the kept label of a contradiction.
        """
        return torch.where(self._never_shown(target) | self._invalidated(labels, target), 0.5, target)

    def edit_weights(self, labels: Tensor, target: Tensor, changed: float, never_shown: float) -> Tensor:
        """Weights (N, A) of the attribute loss on edits: 1 for kept attributes, 0 for invalidated ones.

        Args:
            labels, target: (N, A) before and after.
            changed: weight of attributes that the edit changes.
            never_shown: weight of those that it changes to a value that clashes with the rest of the face. No
                training image shows how that looks, and the attribute head is hard to convince: at full weight, such
                edits destroy the face.
        """
        requested = torch.where(self._never_shown(target), never_shown, changed)
        return torch.where(labels == target, 1.0, requested).masked_fill(self._invalidated(labels, target), 0.0)

    def _never_shown(self, target: Tensor) -> Tensor:
        """Bool (N, A): both labels of every clash."""
        present = torch.cat([1 - target, target], dim=1)
        absent_clashes, present_clashes = (present * (present @ self.clashes) > 0).chunk(2, dim=1)
        return absent_clashes | present_clashes

    def _invalidated(self, labels: Tensor, target: Tensor) -> Tensor:
        """Bool (N, A): attributes present before and after, although the edit adds one that contradicts them."""
        added = (target > labels).float()
        return (added @ self.contradictions > 0) & (labels > 0) & (target > 0)


def plausible_pairs(labels: Tensor, share: float) -> Tensor:
    """Pairs of labels that occur together at least ``share`` times as often as if they were independent.

    Args:
        labels: float (N, A) in {0, 1}.
        share: at 0 every pair is plausible.

    Returns:
        bool (2A, 2A), rows and columns: absence, then presence of each attribute. True on the diagonal.
    """
    values = torch.cat([1 - labels, labels], dim=1)
    single = values.mean(dim=0)
    together = values.T @ values / len(values)
    return (together >= share * torch.outer(single, single)) | torch.eye(len(single), dtype=torch.bool)
