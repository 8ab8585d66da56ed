"""CUDA graphs: each kind of step is recorded once and then replayed, without waiting for Python.

A step of small networks consists of more than a thousand small kernels. Launching them one by one takes longer than
running them; a graph launches them all at once.
"""

from collections.abc import Callable, Hashable

import torch

from stgan.data import Batch
from stgan.training.objective import Terms

Step = Callable[[Callable[[], Batch]], Terms]

EAGER_STEPS = 3  # of each kind before recording: libraries choose kernels, optimizers create their state


class RecordingError(ValueError):
    """A step cannot be recorded. The message says why, and how to train without CUDA graphs."""


class GraphRecorder:
    """Runs steps on one CUDA device. It replays them from the fourth of a kind on, with the same results.

    Args:
        random: source of the steps' random numbers; may be seeded before each step.
    """

    def __init__(self, random: torch.Generator):
        self.random = random
        self.stream = torch.cuda.Stream(random.device)  # graphs cannot be recorded on the default stream
        self.eager_steps: dict[Hashable, int] = {}
        self.recorded: dict[Hashable, _Recorded] = {}
        self.pool = torch.cuda.graph_pool_handle()

    def run(self, kind: Hashable, batches: list[Batch], step: Step) -> Terms:
        """One step, and its terms.

        Args:
            kind: steps of one kind launch the same kernels; anything that differs between them is on the device.
            batches: drawn by the step, in this order; of the same size for all steps of a kind.
            step: takes ``draw`` and returns named terms, scalars on the device. It must not wait for the device.

        Raises:
            RecordingError: the step does what a graph cannot, such as waiting for the device.
        """
        if kind not in self.recorded and self.eager_steps.get(kind, 0) >= EAGER_STEPS:
            self.recorded[kind] = _Recorded(self, batches, step)
        if kind in self.recorded:
            return self.recorded[kind].replay(batches)
        self.eager_steps[kind] = self.eager_steps.get(kind, 0) + 1
        current = torch.cuda.current_stream(self.random.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            terms = step(iter(batches).__next__)
        current.wait_stream(self.stream)
        return terms


class _Recorded:
    """The graph of one kind of step, with the memory that it reads its batches from."""

    def __init__(self, recorder: GraphRecorder, batches: list[Batch], step: Step):
        self.inputs = [(images.clone(), labels.clone()) for images, labels in batches]
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(recorder.random)
        try:
            with torch.cuda.graph(self.graph, pool=recorder.pool, stream=recorder.stream):
                terms = step(iter(self.inputs).__next__)
                self.names, self.terms = list(terms), torch.stack([term.float() for term in terms.values()])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RecordingError(
                f"A step cannot be recorded as a CUDA graph here ({error}): continue from the last checkpoint with "
                "--resume_from_checkpoint latest --execution eager."
            ) from error

    def replay(self, batches: list[Batch]) -> Terms:
        for ours, theirs in zip(self.inputs, batches, strict=True):
            for mine, new in zip(ours, theirs, strict=True):
                mine.copy_(new, non_blocking=True)
        self.graph.replay()
        return dict(zip(self.names, self.terms.clone().unbind(), strict=True))
