"""A separate attribute classifier: it labels photos and judges edits. No generator is trained with it."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.models.layers import residual_stages, xavier_initialise
from stgan.models.pretrained import PretrainedModel


class AttributeClassifier(PretrainedModel, pipeline_tag="image-classification"):
    """Small residual network with one logit per attribute.

    Args:
        attributes: names of the A attributes.
        image_size: of the images that it is trained on, pixels. It resizes all others to this size itself.
        width: channels of the stem; the four stages have 1, 2, 4 and 8 times as many.
        blocks: residual blocks in each of the last three stages.
        dropout: before the last layer.
    """

    thresholds: Tensor

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        image_size: int = 128,
        width: int = 24,
        blocks: int = 1,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.attributes = tuple(attributes)
        self.image_size = image_size
        self.features = residual_stages(width, blocks, stages=3)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8 * width, len(self.attributes))
        # An attribute is present where its probability exceeds this; calibrated on validation images after training.
        self.register_buffer("thresholds", torch.full((len(self.attributes),), 0.5))
        self.apply(xavier_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, A) of aligned faces (N, 3, S, S) in [-1, 1]."""
        return self.logits(self.features(self.resized(image)))

    def logits(self, feature: Tensor) -> Tensor:
        """Logits (N, A) from the last map of :meth:`feature_maps`."""
        return self.head(self.dropout(feature.mean(dim=(2, 3))))

    def feature_maps(self, image: Tensor) -> list[Tensor]:
        """Output (N, C, H, W) of each stage, finest first: 1/2, 1/4, 1/8 and 1/16 of ``image_size`` wide."""
        image = self.resized(image)
        maps: list[Tensor] = []
        for layer in self.features:
            feature = layer(maps[-1] if maps else image)
            if isinstance(layer, nn.Sequential):  # a strided convolution opens a stage
                maps.append(feature)
            else:
                maps[-1] = feature
        return maps

    def resized(self, image: Tensor) -> Tensor:
        """Images (N, 3, S, S) at the classifier's own size, whatever the size of the editor that made them."""
        size = (self.image_size, self.image_size)
        if tuple(image.shape[-2:]) == size:
            return image
        return F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)

    def predict(self, image: Tensor) -> Tensor:
        """Labels (N, A) in {0, 1} of aligned faces (N, 3, S, S) in [-1, 1], by the calibrated thresholds."""
        return (torch.sigmoid(self(image)) > self.thresholds).float()


def check_judge(generator: Any, classifier: Any) -> None:
    """Raise a ValueError where the generator edits attributes that the classifier does not know."""
    missing = [name for name in generator.attributes if name not in classifier.attributes]
    if missing:
        raise ValueError(
            f"The classifier does not know {', '.join(missing)}, which the generator edits; it knows "
            f"{', '.join(classifier.attributes)}. Use a classifier trained on the generator's attributes."
        )
