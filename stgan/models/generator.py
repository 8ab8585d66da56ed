"""Base class of the editors: their attributes, the condition that requests an edit, and the optional soft mask."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.attributes import labels_to_difference
from stgan.models.parser import FaceParser
from stgan.models.pretrained import PretrainedModel
from stgan.models.regions import attribute_regions, parsed_regions

LABEL_MODES = ("difference", "target")


class Edit(NamedTuple):
    """An edited image and the two parts that it is composed of."""

    image: Tensor  # (M, 3, S, S) in [-1, 1]: mask * rgb + (1 - mask) * source, or rgb where there is no mask
    rgb: Tensor  # (M, 3, S, S) in [-1, 1]: the decoder's colours, within the edit's region
    mask: Tensor | None  # (M, 1, S, S) in [0, 1]: the share of these colours; None without soft_mask


class Generator(PretrainedModel):
    """Base of the editors: ``encode`` an image once, ``decode`` any number of edits.

    Subclasses implement ``encode`` and ``decode_outputs``; those that :meth:`strengthen` may change implement
    ``condition_kernels`` too. The features that ``encode`` returns have an ``image``, which is what they encode.
    """

    regions: Tensor | None

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
            raise ValueError(f"use_regions needs label_mode difference: {label_mode} does not tell what changes.")
        regions = attribute_regions(self.attributes, image_size) if use_regions else None
        self.register_buffer("regions", regions, persistent=False)  # (A, S, S), made from the names
        self._parser: tuple[FaceParser, ...] = ()  # in a tuple, so that it is not saved, averaged or moved as a part
        self._parsed: tuple[Tensor, Tensor] | None = None  # the newest images and their regions

    def follow(self, parser: FaceParser | None) -> None:
        """Take regions from what a parser sees in each image, instead of those of the mean face.

        Args:
            parser: on the same device; None goes back to the mean face. It does not become a part of the model.
        """
        self._parser, self._parsed = () if parser is None else (parser,), None

    @property
    def output_channels(self) -> int:
        """Three colours and, with soft_mask, the mask."""
        return 4 if self.soft_mask else 3

    def open_mask(self, output_layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
        """Initialise the mask to 0.88 everywhere, so that training learns the colours before the mask."""
        if self.soft_mask and output_layer.bias is not None:
            nn.init.constant_(output_layer.bias[3:], 2.0)

    def condition(self, source: Tensor, target: Tensor, intensity: float | Tensor = 1.0) -> Tensor:
        """The input that requests an edit from this model.

        Args:
            source: (N, A) labels in {0, 1} of the images.
            target: (N, A) labels in {0, 1} that are requested.
            intensity: 1 as in training; the published accuracies used 1.5.

        Returns:
            (N, A): ``(target - source) * intensity`` for label_mode difference. For target, labels as ±0.5,
            moved from source toward (or beyond) target by the intensity.
        """
        difference = labels_to_difference(source, target, intensity)
        return difference if self.label_mode == "difference" else source - 0.5 + difference

    def condition_kernels(self) -> list[Tensor]:
        """The parts of the kernels that act on the condition: views whose first of four dimensions is the attribute."""
        raise TypeError(f"{type(self).__name__} does not define condition_kernels")

    @torch.no_grad()
    def strengthen(self, strengths: Tensor) -> None:
        """Change the weights so that an edit of intensity 1 gives what a stronger one gave before.

        Args:
            strengths: float (A,), the former intensity that becomes 1, for each attribute.

        Raises:
            ValueError: label_mode is target, which has no intensity.
        """
        if self.label_mode != "difference":
            raise ValueError(f"Edits can be strengthened only with label_mode difference, not {self.label_mode}.")
        for kernel in self.condition_kernels():
            kernel.mul_(strengths.to(kernel)[:, None, None, None])

    def encode(self, image: Tensor) -> Any:
        """The features that all edits of images (N, 3, S, S) in [-1, 1] share."""
        raise TypeError(f"{type(self).__name__} does not define encode")

    def decode_outputs(self, features: Any, condition: Tensor) -> Tensor:
        """Raw output (M, 3 or 4, S, S) before tanh and sigmoid, for conditions (M, A); row i edits image i mod N."""
        raise TypeError(f"{type(self).__name__} does not define decode_outputs")

    def decode_parts(self, features: Any, condition: Tensor, regions: Tensor | None = None) -> Edit:
        """Edits, with the painted colours and the mask as separate parts.

        Args:
            features: from :meth:`encode` of N images.
            condition: (M, A) from :meth:`condition`; row i edits image i modulo N.
            regions: (N, A, S, S) from :func:`stgan.models.regions.parsed_regions`; by default those of the parser that
                the model follows, or else of the mean face. A model without ``use_regions`` ignores them.
        """
        outputs = self.decode_outputs(features, condition)
        return self.composed(outputs, features.image, self.editable(features, condition, regions))

    def editable(self, features: Any, condition: Tensor, regions: Tensor | None = None) -> Tensor | None:
        """Where edits may change the image, (M, 1, S, S) in [0, 1]; None for everywhere. Arguments as in
        :meth:`decode_parts`."""
        if self.regions is None:
            return None
        return self.region(condition, self._followed_regions(features.image) if regions is None else regions)

    def composed(self, outputs: Tensor, source: Tensor, region: Tensor | None) -> Edit:
        """Edits of raw outputs (M, 3 or 4, H, W), which may be a part of the image.

        Args:
            source: (N, 3, H, W) in [-1, 1]; row i edits image i modulo N.
            region: (M, 1, H, W) in [0, 1], where they may change it; None for everywhere.
        """
        rgb, mask = torch.tanh(outputs[:, :3]), None
        if self.soft_mask:
            mask = torch.sigmoid(outputs[:, 3:])
        if mask is None and region is None:
            return Edit(rgb, rgb, None)
        source = source.to(rgb.dtype)
        if source.shape[0] != rgb.shape[0]:
            source = source[torch.arange(rgb.shape[0], device=source.device) % source.shape[0]]
        if region is not None:
            region = region.to(rgb.dtype)
            rgb = torch.lerp(source, rgb, region)
            mask = None if mask is None else mask * (region > 0)
        return Edit(rgb if mask is None else torch.lerp(source, rgb, mask), rgb, mask)

    @torch.no_grad()
    def _followed_regions(self, image: Tensor) -> Tensor | None:
        """Regions (N, A, S, S) of images by the parser that the model follows; None where it follows none."""
        if not self._parser:
            return None
        if self._parsed is None or self._parsed[0] is not image:  # one image serves many edits
            self._parsed = image, parsed_regions(self._parser[0].parse(image.float()), self.attributes)
        return self._parsed[1]

    def region(self, condition: Tensor, regions: Tensor | None = None) -> Tensor:
        """Where edits (M, A) may change the image: float (M, 1, S, S) in [0, 1], the union of their regions.

        It is 1 everywhere for an edit that changes nothing, so that a reconstruction shows what the model can draw.

        Args:
            condition: (M, A); row i edits image i modulo N.
            regions: (N, A, S, S), of each image; by default those of the mean face.
        """
        mean_face = cast(Tensor, self.regions)
        changes = (condition != 0).to(mean_face.dtype)
        if regions is None or len(regions) == 1:
            union = changes @ (mean_face if regions is None else regions[0].to(changes.dtype)).flatten(1)
        else:
            # One product for each image: a copy of its regions for each of its edits would fill the memory.
            people, size = len(regions), len(changes)
            by_image = F.pad(changes, (0, 0, 0, -size % people)).unflatten(0, (-1, people)).transpose(0, 1)
            union = (by_image @ regions.to(changes.dtype).flatten(2)).transpose(0, 1).flatten(0, 1)[:size]
        union = union.clamp(max=1) + (changes.sum(dim=1, keepdim=True) == 0)
        return union.reshape(-1, 1, *mean_face.shape[1:])

    def decode(self, features: Any, att_diff: Tensor, regions: Tensor | None = None) -> Tensor:
        """Edited images (M, 3, S, S) in [-1, 1] for M edits of the N encoded images; row i edits image i modulo N."""
        return self.decode_parts(features, att_diff, regions).image

    def forward(
        self, image: Tensor, att_diff: Tensor, parts: bool = False, regions: Tensor | None = None
    ) -> Tensor | Edit:
        """Edit images (N, 3, S, S) in [-1, 1] as att_diff (M, A) requests.

        With ``parts``, return the :class:`Edit`, whose colours and mask have losses of their own.
        ``regions`` as in :meth:`decode_parts`.
        """
        edit = self.decode_parts(self.encode(image), att_diff, regions)
        return edit if parts else edit.image
