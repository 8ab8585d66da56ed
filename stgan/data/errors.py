"""What can be wrong with a dataset: errors that say what to do, and a count of the images that are skipped."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

UNDECODABLE, MISSING = "undecodable", "not found"
UNDECODABLE_LIMIT = 0.01
"""Largest share of images that a run accepts to be undecodable, and of those that are not there."""
REJECTED_LIMIT = 0.5
"""Largest share of images rejected for other reasons."""
GRACE = 1_000
"""Both shares are taken of at least this many images, since the length of a stream is unknown."""
EXAMPLES = 5


class DataError(ValueError):
    """A dataset cannot be used as it is. The message says what was found and what to do."""


class DataWarning(UserWarning):
    """A dataset can be used, but hardly as it was meant."""


class MissingSplitError(DataError):
    """A dataset has no split of the requested name or of one of its aliases."""


class RejectedImage(ValueError):
    """An image that can be decoded but not used. The message is a reason of two or three words."""


class Skipped(NamedTuple):
    """An image that is left out, and why."""

    name: str
    reason: str


@dataclass
class SkippedImages:
    """Counts the images that are left out and stops the run when there are too many."""

    seen: int = 0  # images, used and left out
    names: list[str] = field(default_factory=list)  # of the undecodable ones
    rejected: dict[str, int] = field(default_factory=dict)  # images left out for each other reason
    examples: dict[str, list[str]] = field(default_factory=dict)  # names of the first of those

    def add(self, seen: int, skipped: Iterable[Skipped]) -> None:
        """Count ``seen`` images, among them those in ``skipped``.

        Raises:
            DataError: of the images so far, or of the first 1,000, more than 1 % are undecodable or not there, or more
                than half are rejected.
        """
        self.seen += seen
        for name, reason in skipped:
            if reason == UNDECODABLE:
                self.names.append(name)
                continue
            self.rejected[reason] = self.rejected.get(reason, 0) + 1
            examples = self.examples.setdefault(reason, [])
            examples += [name] if len(examples) < EXAMPLES else []
        self._check(max(self.seen, GRACE))

    def check(self) -> None:
        """Apply the same limits at the end of a dataset, when the number of its images is known."""
        self._check(self.seen)

    def _check(self, images: int) -> None:
        if len(self.names) > UNDECODABLE_LIMIT * images:
            raise DataError(
                f"{len(self.names)} of {self.seen} images could not be decoded, more than {UNDECODABLE_LIMIT:.0%}. "
                f"The first: {', '.join(self.names[:EXAMPLES])}. Repair or remove them, or download the dataset again."
            )
        if self.rejected.get(MISSING, 0) > UNDECODABLE_LIMIT * images:
            raise DataError(
                f"{self.rejected[MISSING]} of {self.seen} images were not found, more than {UNDECODABLE_LIMIT:.0%}. "
                f"The first: {', '.join(self.examples[MISSING])}. The labels name them: put the images there, or "
                "remove their rows."
            )
        if sum(self.rejected.values()) > REJECTED_LIMIT * images:
            raise DataError(
                f"{self._rejections()}, more than {REJECTED_LIMIT:.0%} of {self.seen}. Use another --crop or images "
                "that fit this one."
            )

    def _rejections(self) -> str:
        reasons = [
            f"{count} {reason} (first: {', '.join(self.examples[reason])})" for reason, count in self.rejected.items()
        ]
        return f"{sum(self.rejected.values())} images rejected: {', '.join(reasons)}"

    def __str__(self) -> str:
        first = f" (first: {', '.join(self.names[:EXAMPLES])})" if self.names else ""
        rejections = f"; {self._rejections()}" if self.rejected else ""
        return f"{len(self.names)} of {self.seen} images skipped as undecodable{first}{rejections}"


def surviving_workers(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches of a loader; a DataError says so where one of its worker processes died."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            check_worker(error)
            raise
        yield batch


def check_worker(error: RuntimeError) -> None:
    """Raise a DataError if an error of torch, at whatever line, says that a process that reads images died."""
    if "DataLoader worker" in str(error):
        raise DataError(
            "A process that reads images was killed, perhaps because memory ran out: use fewer "
            "--dataloader_num_workers, and run the same command with --resume_from_checkpoint latest."
        ) from error


def total(counts: Sequence[SkippedImages]) -> SkippedImages:
    """The counts of several datasets as one."""
    result = SkippedImages(sum(each.seen for each in counts), [name for each in counts for name in each.names])
    for each in counts:
        for reason, count in each.rejected.items():
            result.rejected[reason] = result.rejected.get(reason, 0) + count
            result.examples[reason] = (result.examples.get(reason, []) + each.examples[reason])[:EXAMPLES]
    return result
