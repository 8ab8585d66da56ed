"""What can be wrong with a dataset: errors that say what to do, and a count of undecodable images."""

from collections.abc import Sequence
from dataclasses import dataclass, field

SKIPPED_LIMIT = 0.01
"""Largest share of undecodable images that a run accepts."""
SKIPPED_GRACE = 1_000
"""That share is taken of at least this many images, since the length of a stream is unknown."""


class DataError(ValueError):
    """A dataset cannot be used as it is. The message says what was found and what to do."""


class MissingSplitError(DataError):
    """A dataset has no split of the requested name or of one of its aliases."""


@dataclass
class SkippedImages:
    """Counts the images that could not be decoded and stops the run when there are too many."""

    seen: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, seen: int, names: Sequence[str]) -> None:
        """Count ``seen`` images, of which those in ``names`` could not be decoded.

        Raises:
            DataError: more than 1 % of the images so far, or of the first 1,000, could not be decoded.
        """
        self.seen += seen
        self.names.extend(names)
        if len(self.names) > SKIPPED_LIMIT * max(self.seen, SKIPPED_GRACE):
            self.fail()

    def check(self) -> None:
        """Apply the same limit at the end of a dataset, when the number of its images is known."""
        if len(self.names) > SKIPPED_LIMIT * self.seen:
            self.fail()

    def fail(self) -> None:
        """Raise the error that names the first of the undecodable images."""
        raise DataError(
            f"{len(self.names)} of {self.seen} images could not be decoded, more than {SKIPPED_LIMIT:.0%}. "
            f"The first: {', '.join(self.names[:5])}. Repair or remove them, or download the dataset again."
        )

    def __str__(self) -> str:
        first = f" (first: {', '.join(self.names[:5])})" if self.names else ""
        return f"{len(self.names)} of {self.seen} images skipped as undecodable{first}"
