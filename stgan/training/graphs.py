"""Steps on a GPU without waiting for Python: each kind of step is recorded once as a CUDA graph and then replayed.

A step of small networks is well over a thousand small kernels, and launching them one by one takes longer than running
them. A graph launches all of them at once.
"""

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]
Terms = dict[str, Tensor]
Step = Callable[[Callable[[], Batch]], Terms]

EAGER_STEPS = 3  # of each kind before it is recorded: libraries choose their kernels, optimizers make their state


class RecordingError(ValueError):
    """A step that cannot be recorded. The message says why, and how to do without."""


class GraphRecorder:
    """Runs steps on one CUDA device; from the fourth of a kind on as a replay, with the same results.

    Args:
        generator: the random numbers of the steps; may be seeded anew before each of them.
    """

    def __init__(self, generator: torch.Generator):
        self.generator = generator
        self.stream = torch.cuda.Stream(generator.device)  # no graph can be recorded on the default one
        self.seen: dict[Hashable, int] = {}
        self.recorded: dict[Hashable, _Recorded] = {}
        self.pool = torch.cuda.graph_pool_handle()

    def run(self, kind: Hashable, batches: list[Batch], step: Step) -> Terms:
        """One step.

        Args:
            kind: steps of one kind launch the same kernels; whatever else changes is on the device.
            batches: that the step draws, in this order; of one size at all steps of a kind.
            step: takes ``draw`` and returns named terms, scalars on the device. It must not wait for the device.

        Returns:
            The step's terms.

        Raises:
            RecordingError: the step does what no graph can hold, as waiting for the device.
        """
        if kind not in self.recorded and self.seen.get(kind, 0) >= EAGER_STEPS:
            self.recorded[kind] = _Recorded(self, batches, step)
        if kind in self.recorded:
            return self.recorded[kind].replay(batches)
        self.seen[kind] = self.seen.get(kind, 0) + 1
        current = torch.cuda.current_stream(self.generator.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            terms = step(iter(batches).__next__)
        current.wait_stream(self.stream)
        return terms


class _Recorded:
    """One kind of step as a graph, with the memory that it reads its batches from."""

    def __init__(self, recorder: GraphRecorder, batches: list[Batch], step: Step):
        self.inputs = [tuple(part.clone() for part in batch) for batch in batches]
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(recorder.generator)
        try:
            with torch.cuda.graph(self.graph, pool=recorder.pool, stream=recorder.stream):
                terms = step(iter(self.inputs).__next__)
                self.names, self.terms = list(terms), torch.stack([term.float() for term in terms.values()])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RecordingError(
                f"A step cannot be recorded as a CUDA graph here ({error}): continue from the last checkpoint with "
                "--resume_from_checkpoint latest --no_cuda_graphs."
            ) from error

    def replay(self, batches: list[Batch]) -> Terms:
        for ours, theirs in zip(self.inputs, batches, strict=True):
            for mine, new in zip(ours, theirs, strict=True):
                mine.copy_(new, non_blocking=True)
        self.graph.replay()
        return dict(zip(self.names, self.terms.clone().unbind(), strict=True))
