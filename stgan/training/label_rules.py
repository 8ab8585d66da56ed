"""What labels say of one another: which the data never show together, and which an edit makes untrue or calls for.

Edits ask for label vectors that no photograph has: a woman with a mustache, a bald head with black hair. A
discriminator that has learned every label from whole faces knows no such picture, and the generator breaks the face
instead of editing it. Others ask for less than a picture needs: hair that is not brown needs another colour.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from stgan.attributes import contradiction_matrix, exclusion_matrix, replacement_matrix


@dataclass
class LabelRules:
    """Which labels of a face, or of an edit, a discriminator can be told and can learn from.

    Made by :meth:`none`, under which every label counts, or :meth:`counted`.
    """

    # Float (2A, 2A) in {0, 1}, rows and columns first the absence, then the presence of each attribute: two that the
    # data never show together, though their names allow it.
    clashes: Tensor
    # Float (A, A) in {0, 1}: two attributes that cannot both be present, and yet an edit to one keeps the other.
    contradictions: Tensor
    # Float (A, A) in {0, 1}: [i, j], attribute j comes in the place of i when an edit takes i away ...
    replacements: Tensor
    # ... and [i, j], it need not where j is there already, which i excludes.
    exclusions: Tensor

    @classmethod
    def none(cls, attribute_count: int) -> "LabelRules":
        """Every label counts."""
        none = torch.zeros(attribute_count, attribute_count)
        return cls(none.repeat(2, 2), none, none, none)

    @classmethod
    def counted(cls, attributes: tuple[str, ...], labels: Tensor, share: float) -> "LabelRules":
        """Rules of a data set.

        Args:
            attributes: names of the A attributes.
            labels: float (N, A) in {0, 1}, of all training images.
            share: of what chance would give, below which two labels are never shown together.
        """
        count = len(attributes)
        contradictions, exclusions = contradiction_matrix(attributes), exclusion_matrix(attributes)
        clashes = ~plausible_pairs(labels, share) & ~torch.eye(count, dtype=torch.bool).repeat(2, 2)
        clashes[count:, count:] &= ~(exclusions | contradictions)
        rules = (clashes, contradictions, replacement_matrix(attributes), exclusions)
        return cls(*(rule.float() for rule in rules))

    def to(self, device: torch.device) -> "LabelRules":
        """The same rules there."""
        return LabelRules(*(getattr(self, rule.name).to(device) for rule in fields(self)))

    def open_labels(self, labels: Tensor) -> Tensor:
        """Float (N, A): 1 where the rest of a face leaves a label open, 0 where it follows from another.

        That a woman has no mustache is no news. Whoever learns it learns to look for a woman, and will not see a
        mustache on one; whoever learns mustaches from men alone can only look at the lip.
        """
        present = torch.cat([1 - labels, labels], dim=1)
        never_absent, never_present = (present @ self.clashes > 0).chunk(2, dim=1)
        return 1 - torch.where(labels > 0, never_absent, never_present).float()

    def completed(self, labels: Tensor, target: Tensor) -> Tensor:
        """Targets (N, A) with what must come where edits take something away and name nothing for its place.

        The generator is not asked for it, its judges are: hair that is no longer brown, and nothing else, is blue.
        """
        taken = labels > target
        vacated = taken & (target @ self.exclusions.T == 0)
        barred = taken | (target @ self.contradictions > 0)  # a bald head needs no colour
        return torch.where((vacated.float() @ self.replacements > 0) & ~barred, 1.0, target)

    def told(self, labels: Tensor, target: Tensor) -> Tensor:
        """Targets (N, A) of edits as a discriminator judges their realness by: 0.5, unknown, where none is real.

        Unknown are both of two labels that clash, and the kept one of two that contradict each other.
        """
        return torch.where(self._never_shown(target) | self._untrue(labels, target), 0.5, target)

    def edit_weights(self, labels: Tensor, target: Tensor, changed: float, never_shown: float) -> Tensor:
        """Weights (N, A) of the attribute loss on edits: 1 of what is kept, 0 of what became untrue.

        Args:
            labels, target: (N, A) before and after.
            changed: of what an edit changes.
            never_shown: of what it changes to something that the data never show on such a face. Nothing teaches the
                generator what that looks like, and the attribute head is hard to convince of it: asked for like the
                rest, it costs the face.
        """
        asked = torch.where(self._never_shown(target), never_shown, changed)
        return torch.where(labels == target, 1.0, asked).masked_fill(self._untrue(labels, target), 0.0)

    def _never_shown(self, target: Tensor) -> Tensor:
        """Bool (N, A): both of any two labels that clash."""
        present = torch.cat([1 - target, target], dim=1)
        absent_clashes, present_clashes = (present * (present @ self.clashes) > 0).chunk(2, dim=1)
        return absent_clashes | present_clashes

    def _untrue(self, labels: Tensor, target: Tensor) -> Tensor:
        """Bool (N, A): what is present before and after, while the edit adds what contradicts it."""
        added = (target > labels).float()
        return (added @ self.contradictions > 0) & (labels > 0) & (target > 0)


def plausible_pairs(labels: Tensor, share: float) -> Tensor:
    """Which two labels go together in the data at least ``share`` times as often as if they were independent.

    Args:
        labels: float (N, A) in {0, 1}.
        share: 0 allows everything that is there.

    Returns:
        bool (2A, 2A), rows and columns: first the absence, then the presence of each attribute. A label goes with
        itself.
    """
    values = torch.cat([1 - labels, labels], dim=1)
    alone = values.mean(dim=0)
    together = values.T @ values / len(values)
    return (together >= share * torch.outer(alone, alone)) | torch.eye(len(alone), dtype=torch.bool)
