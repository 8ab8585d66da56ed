"""What every attribute editor has: the attributes it knows, how it is asked, and the optional soft mask."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stgan.attributes import labels_to_difference
from stgan.models.pretrained import PretrainedModel
from stgan.models.regions import attribute_regions

LABEL_MODES = ("difference", "target")


class Edit(NamedTuple):
    """An edited image and the two parts that it was composed of."""

    image: Tensor  # (M, 3, S, S) in [-1, 1]: mask * rgb + (1 - mask) * source, or rgb where there is no mask
    rgb: Tensor  # (M, 3, S, S) in [-1, 1]: what the decoder paints, within the edit's region
    mask: Tensor | None  # (M, 1, S, S) in [0, 1]: how much of it is used; None without soft_mask


class Generator(PretrainedModel):
    """Base of the generators: ``encode`` once, ``decode`` as often as wanted.

    Subclasses implement ``encode(image)`` and ``decode_outputs(features, condition)``, raw channels before tanh.
    """

    def __init__(self, attributes: Sequence[str], image_size: int, label_mode: str, soft_mask: bool, use_regions: bool):
        super().__init__()
        if label_mode not in LABEL_MODES:
            raise ValueError(f"Unknown label_mode {label_mode!r}: use one of {', '.join(LABEL_MODES)}.")
        if not attributes or len(set(attributes)) != len(attributes):
            raise ValueError(f"attributes must be one or more different names, not {list(attributes)}.")
        self.attributes = tuple(attributes)
        self.image_size = image_size
        self.label_mode = label_mode
        self.soft_mask = soft_mask
        if use_regions and label_mode != "difference":
            raise ValueError(f"use_regions needs label_mode difference: {label_mode} does not say what changes.")
        regions = attribute_regions(self.attributes, image_size) if use_regions else None
        self.register_buffer("regions", regions, persistent=False)  # (A, S, S), made from the names

    @property
    def output_channels(self) -> int:
        """Three colours, and the mask where there is one."""
        return 4 if self.soft_mask else 3

    def open_mask(self, output_layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
        """Start with a mask of 0.88 everywhere, so that the colours are learned before their place is."""
        if self.soft_mask:
            nn.init.constant_(output_layer.bias[3:], 2.0)

    def condition(self, source: Tensor, target: Tensor, intensity: float | Tensor = 1.0) -> Tensor:
        """The vector that asks this model for an edit.

        Args:
            source: (N, A) labels in {0, 1} of the images.
            target: (N, A) labels wanted.
            intensity: 1 asks for what training asked for; the published accuracies used 1.5.

        Returns:
            (N, A): ``(target - source) * intensity`` for label_mode difference; for target the labels as ±0.5, moved
            from source toward (or beyond) target by the intensity.
        """
        difference = labels_to_difference(source, target, intensity)
        return difference if self.label_mode == "difference" else source - 0.5 + difference

    def condition_kernels(self) -> list[Tensor]:
        """Those parts of the kernels that the condition meets, attributes along the first of their four dimensions."""
        raise TypeError(f"{type(self).__name__} does not define condition_kernels")

    @torch.no_grad()
    def strengthen(self, strengths: Tensor) -> None:
        """Change the weights so that an edit of intensity 1 becomes what one of another intensity was.

        Args:
            strengths: float (A,), that other intensity of each attribute.

        Raises:
            ValueError: the model is asked by targets, which say where to go, not how far.
        """
        if self.label_mode != "difference":
            raise ValueError(f"Only edits asked for by a difference have a strength, not by {self.label_mode}.")
        for kernel in self.condition_kernels():
            kernel.mul_(strengths.to(kernel)[:, None, None, None])

    def encode(self, image: Tensor) -> Any:
        """Everything that the edits of images (N, 3, S, S) in [-1, 1] share."""
        raise TypeError(f"{type(self).__name__} does not define encode")

    def decode_outputs(self, features: Any, condition: Tensor) -> Tensor:
        """Raw output (M, 3 or 4, S, S) before tanh and sigmoid, for conditions (M, A); row i edits image i mod N."""
        raise TypeError(f"{type(self).__name__} does not define decode_outputs")

    def decode_parts(self, features: Any, condition: Tensor) -> Edit:
        """Edits with the painted colours and the mask apart.

        Args:
            features: from :meth:`encode` of N images.
            condition: (M, A) from :meth:`condition`; row i edits image i modulo N.
        """
        outputs = self.decode_outputs(features, condition)
        rgb, mask = torch.tanh(outputs[:, :3]), None
        if self.soft_mask:
            mask = torch.sigmoid(outputs[:, 3:])
        if mask is None and self.regions is None:
            return Edit(rgb, rgb, None)
        source = features.image.to(rgb.dtype)
        if source.shape[0] != rgb.shape[0]:
            source = source[torch.arange(rgb.shape[0], device=source.device) % source.shape[0]]
        if self.regions is not None:
            region = self.region(condition).to(rgb.dtype)
            rgb = torch.lerp(source, rgb, region)
            mask = None if mask is None else mask * (region > 0)
        return Edit(rgb if mask is None else torch.lerp(source, rgb, mask), rgb, mask)

    def region(self, condition: Tensor) -> Tensor:
        """Where edits (M, A) may change the image: float (M, 1, S, S) in [0, 1], all their attributes' regions.

        Everywhere for an edit of nothing, so that a reconstruction shows what the model itself can draw.
        """
        asked = (condition != 0).to(self.regions.dtype)
        union = (asked @ self.regions.flatten(1)).clamp(max=1) + (asked.sum(dim=1, keepdim=True) == 0)
        return union.reshape(-1, 1, *self.regions.shape[1:])

    def decode(self, features: Any, att_diff: Tensor) -> Tensor:
        """Edited images (M, 3, S, S) in [-1, 1] for M edits of the N encoded images; row i edits image i modulo N."""
        return self.decode_parts(features, att_diff).image

    def forward(self, image: Tensor, att_diff: Tensor, parts: bool = False) -> Tensor | Edit:
        """Edit images (N, 3, S, S) in [-1, 1] as att_diff (M, A) asks.

        ``parts`` returns the :class:`Edit` with colours and mask apart, which the losses look at one by one.
        """
        edit = self.decode_parts(self.encode(image), att_diff)
        return edit if parts else edit.image
