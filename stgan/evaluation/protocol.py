"""The protocol of the published figures: reconstruction, edit accuracy and preservation.

Source: STGAN, arXiv 1904.09709, section 4.2, and its official code. PSNR and SSIM of the reconstruction use
scikit-image's defaults on 8-bit RGB, mean over images. Edit accuracy flips one attribute at a time, keeps hair colours
and bald/bangs consistent, and asks a separately trained classifier whether the result shows the requested value.

Not in the papers: the distance that an edit moves a face, in the form of LPIPS (arXiv 1801.03924) without its learned
weights, on the features of that same classifier: each stage's map scaled to unit length over channels, the squared
difference summed over channels, averaged over positions and summed over stages.
"""

import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from stgan.evaluation.checkpoint import NOTHING_KEPT, Checkpoint
from stgan.evaluation.classifier import Judge, report_of
from stgan.evaluation.edits import Editing
from stgan.evaluation.fidelity import channels_last, fidelity_scores
from stgan.evaluation.inference import evaluation_mode
from stgan.evaluation.results import Evaluation
from stgan.evaluation.tally import EditTally
from stgan.frame import quantise
from stgan.models import FaceParser, Generator, check_judge


def evaluate(
    generator: Generator,
    classifier: Judge,
    images: Tensor,
    labels: Tensor,
    *,
    parser: FaceParser | None = None,
    intensities: Sequence[float] = (1.0, 1.5),
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    progress: bool = False,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Evaluation:
    """Measure a generator by the published protocol. One encoding per image serves all its 1 + I * A decodings.

    Every result is rounded to 8 bits, as a saved PNG is, before it is compared or judged. Attribute k is flipped with
    att_diff ±intensity. What the flip excludes (another hair colour, bangs when bald) is cleared with ±1: the official
    code scales only the toggled attribute.

    Args:
        generator, classifier, parser: on ``device``. The classifier knows at least the generator's attributes and runs
            in full precision. The editor takes its regions from the parser.
        images: uint8 (N, 3, S, S), on any device.
        labels: float (N, A) in {0, 1}, columns as ``generator.attributes``.
        intensities: of the edits; the published accuracies are for 1.5.
        checkpoint: keeps what an interrupted evaluation has measured.

    Raises:
        ValueError: the classifier lacks an attribute, shapes or types do not fit, or a network is on another device.
    """
    device = torch.device(device)
    check_measurement(intensities, batch_size)
    _check_inputs(generator, classifier, images, labels, device)
    editing = Editing(generator, parser)
    tally = EditTally(editing, classifier, intensities, device)
    inputs = (generator, classifier, parser, images, labels, tuple(intensities), batch_size, device)
    part = checkpoint.part("protocol", *inputs)
    measured = _Measured(tally, part.load(), device)
    with (
        evaluation_mode(generator, classifier, parser),
        ThreadPoolExecutor(max_workers=1 if device.type == "cpu" else min(8, os.cpu_count() or 1)) as pool,
    ):
        starts = range(measured.images, len(images), batch_size)
        for start in tqdm(starts, desc="evaluating", disable=not progress):
            rows = torch.arange(start, min(start + batch_size, len(images)))
            source = images[rows].to(device, non_blocking=True)
            given = labels[start : start + batch_size].to(device, torch.float32, non_blocking=True)
            encoding = editing.encode(source, given)
            shown, maps = tally.judge(source)
            measured.shown.append(shown)
            if maps:
                stranger = images[(rows + 1) % len(images)].to(device, non_blocking=True)
                tally.add_strangers(maps, tally.judge(stranger)[1])
            tally.add(encoding, given, shown, maps)
            rebuilt = encoding.reconstruction
            results = [rebuilt.image] + ([rebuilt.rgb] if generator.soft_mask else [])
            pixels = torch.stack([source, *map(quantise, results)]).cpu()  # the batch's only wait for the device
            measured.fidelity.append(pool.submit(fidelity_scores, channels_last(pixels)))
            measured.images += len(rows)
            part.save(measured.state, finished=measured.images == len(images))
        scores = measured.scores().mean(axis=-1)
        predicted, given = torch.cat(measured.shown).cpu(), labels.cpu() > 0.5
        report = report_of(predicted, given, generator.attributes)
        edits, groups = tally.scores(), tally.group_scores(predicted, given)
    seconds = measured.seconds()
    psnr, ssim, *painted = map(float, scores.flat)
    rgb_psnr, rgb_ssim = painted or (None, None)  # measured of soft masks alone
    return Evaluation(len(images), psnr, ssim, edits, report, 1000 * seconds / len(images), rgb_psnr, rgb_ssim, groups)


class _Measured:
    """What is measured of the first ``images``; ``kept`` is the state of an interrupted evaluation, or empty."""

    def __init__(self, tally: EditTally, kept: dict[str, Any], device: torch.device):
        self.tally, self.images, self.started = tally, 0, time.perf_counter()
        self.shown: list[Tensor] = []  # what the classifier sees in batches of images, bool (B, A)
        self.fidelity: list[Future[np.ndarray]] = []
        if kept:
            tally.restore(kept)
            self.images, self.started = kept["images"], self.started - kept["seconds"]
            self.shown.append(kept["shown"].to(device))
            self.fidelity.append(Future())
            self.fidelity[0].set_result(kept["fidelity"].numpy())

    def scores(self) -> np.ndarray:
        """PSNR and SSIM of each image, (..., N)."""
        return np.concatenate([future.result() for future in self.fidelity], axis=-1)

    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def state(self) -> dict[str, Any]:
        fidelity, shown = torch.from_numpy(self.scores()), torch.cat(self.shown)
        own = {"images": self.images, "seconds": self.seconds(), "shown": shown, "fidelity": fidelity}
        return own | self.tally.state()


def check_measurement(intensities: Sequence[float], batch_size: int) -> None:
    """Raise a ValueError unless images can be measured at these intensities, in batches of this size."""
    usable = all(math.isfinite(value) and value > 0 for value in intensities)
    if not intensities or not usable or len(set(intensities)) < len(intensities):
        given = " ".join(map(str, intensities)) or "none"
        raise ValueError(f"Intensities must be different positive numbers, such as 1 and 1.5, not {given}.")
    if batch_size < 1:
        raise ValueError(f"The batch size must be at least 1, not {batch_size}.")


def _check_inputs(
    generator: Generator, classifier: Judge, images: Tensor, labels: Tensor, device: torch.device
) -> None:
    check_judge(generator, classifier)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(
            f"images must be uint8 of shape (N, 3, S, S) with N > 0, not {images.dtype} {tuple(images.shape)}."
        )
    if labels.shape != (len(images), len(generator.attributes)):
        raise ValueError(
            f"labels must have shape {(len(images), len(generator.attributes))}, one column per attribute of the "
            f"generator, not {tuple(labels.shape)}."
        )
    if not ((labels == 0) | (labels == 1)).all():
        raise ValueError("labels must be 0 or 1; in CelebA's own file -1 stands for 0.")
    for name, network in (("generator", generator), ("classifier", classifier)):
        found = next((p.device for p in network.parameters()), device) if isinstance(network, nn.Module) else device
        if found.type != device.type:
            raise ValueError(
                f"The {name} is on {found}, the evaluation on {device}: move it, or pass device='{found}'."
            )
