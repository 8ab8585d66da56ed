"""Edits of images as the editor makes them: what every measure looks at."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stgan.frame import normalise, quantise
from stgan.models import Edit, FaceParser, Generator
from stgan.models.covering import editable_regions
from stgan.models.parsed import FaceParts, decode_faces


@dataclass(frozen=True)
class Encoding:
    """What all edits of N images share."""

    features: Any
    reconstruction: Edit  # the answer to an empty edit
    parts: FaceParts | None  # None without a parser, or where the generator's edits have no regions


@dataclass(frozen=True)
class Editing:
    """A generator and the parser that its edits take their regions from, as in an editor; both on one device."""

    generator: Generator
    parser: FaceParser | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        return self.generator.attributes

    @property
    def device(self) -> torch.device:
        return next((each.device for each in self.generator.parameters()), torch.device("cpu"))

    def encode(self, images: Tensor, labels: Tensor) -> Encoding:
        """Encode uint8 (N, 3, S, S) with labels float (N, A) in {0, 1}, and parse where there is a parser."""
        view, parts = normalise(images), None
        features = self.generator.encode(view)
        reconstruction = self.generator.decode_parts(features, self.generator.condition(labels, labels))
        if self.parser is not None and self.generator.regions is not None:
            classes = self.parser.parse(view)
            parts = FaceParts(classes, editable_regions(classes, self.attributes))
        return Encoding(features, reconstruction, parts)

    def decode(self, encoding: Encoding, condition: Tensor) -> Tensor:
        """Edits for conditions (M, A), uint8 (M, 3, S, S), rounded as a saved PNG is; row i edits image i modulo N."""
        edited = decode_faces(
            self.generator, encoding.features, condition, encoding.parts, encoding.reconstruction.image
        )
        return quantise(edited.image)
