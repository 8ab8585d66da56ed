"""Discriminators with two heads: whether an image is real or edited, and which attributes it has."""

from collections.abc import Sequence

from torch import Tensor, nn

from stgan.attributes import DEFAULT_ATTRIBUTES
from stgan.models.layers import LEAKY_SLOPE, downsample, he_initialise, layer_widths, norm_layer, xavier_initialise
from stgan.models.pretrained import PretrainedModel


class Discriminator(PretrainedModel):
    """Discriminator of AttGAN and STGAN: a shared trunk and two fully connected heads.

    At the defaults it has 44,718,990 parameters.

    Args:
        attributes: names of the A attributes it classifies.
        image_size: S, a multiple of 2**layers; with a norm at least twice that, since one pixel cannot be normalised.
        width: channels of the first layer, doubled at each further one up to ``max_width``.
        max_width: upper limit of channels.
        layers: stride-2 convolutions.
        hidden: width of each head's hidden layer.
        norm: ``in`` (the paper) or ``none``. With InstanceNorm, D cannot see what is uniform over an image: a tint,
            low contrast, missing detail. Without a norm the weights start larger (He 2015), to keep the signal.
        conditional: judge the realness of an image *with its labels*, see :func:`conditional_realness`.
    """

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        image_size: int = 128,
        width: int = 64,
        max_width: int = 1024,
        layers: int = 5,
        hidden: int = 1024,
        norm: str = "in",
        conditional: bool = False,
    ):
        super().__init__()
        widths = layer_widths(image_size, width, layers, max_width)
        if norm != "none" and image_size == 2**layers:
            raise ValueError(
                f"{layers} layers leave one pixel of an image of {image_size}, which InstanceNorm cannot normalise: "
                "use fewer layers, larger images or norm none."
            )
        flat = widths[-1] * (image_size // 2**layers) ** 2
        self.trunk = nn.Sequential(
            *(
                nn.Sequential(
                    downsample(inputs, outputs, bias=norm == "none"),
                    norm_layer(norm, outputs),
                    nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
                )
                for inputs, outputs in zip([3, *widths], widths, strict=False)
            ),
            nn.Flatten(),
        )
        self.adversarial_head = _head(flat, hidden, 1 + conditional * len(attributes))
        self.attribute_head = _head(flat, hidden, len(attributes))
        self.apply(he_initialise if norm == "none" else xavier_initialise)

    def forward(self, image: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Realness logits (N,) and attribute logits (N, A) of images (N, 3, S, S) in [-1, 1].

        ``labels`` (N, A) in {0, 1} are for a conditional discriminator: the labels of a real image, or the target
        labels of an edited one. Without labels it judges the image alone. K sets of labels per image, (N, K, A), give
        realness (N, K) from one pass over the image.
        """
        features = self.trunk(image)
        return conditional_realness(self.adversarial_head(features), labels), self.attribute_head(features)


class PatchDiscriminator(PretrainedModel):
    """StarGAN's PatchGAN discriminator: no norm, realness of patches, attributes of the whole image.

    Arguments as in :class:`Discriminator`; the channels have no upper limit.
    """

    def __init__(
        self,
        attributes: Sequence[str] = DEFAULT_ATTRIBUTES,
        image_size: int = 128,
        width: int = 64,
        layers: int = 6,
        conditional: bool = False,
    ):
        super().__init__()
        widths = layer_widths(image_size, width, layers)
        self.trunk = nn.Sequential(
            *(
                nn.Sequential(downsample(inputs, outputs, bias=True), nn.LeakyReLU(0.01, inplace=True))
                for inputs, outputs in zip([3, *widths], widths, strict=False)
            )
        )
        self.adversarial_head = nn.Conv2d(widths[-1], 1 + conditional * len(attributes), 3, padding=1, bias=False)
        self.attribute_head = nn.Conv2d(widths[-1], len(attributes), image_size // 2**layers, bias=False)
        self.apply(xavier_initialise)

    def forward(self, image: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean realness logits (N,) over patches and attribute logits (N, A) of images (N, 3, S, S) in [-1, 1].

        ``labels``: see :class:`Discriminator`.
        """
        features = self.trunk(image)
        realness = conditional_realness(self.adversarial_head(features).mean(dim=(2, 3)), labels)
        return realness, self.attribute_head(features).flatten(1)


def conditional_realness(logits: Tensor, labels: Tensor | None) -> Tensor:
    """Realness (N,) of images with their labels, as in a projection discriminator (arXiv 1802.05637).

    The first logit judges the image alone. Each other logit is added where its attribute is present and subtracted
    where it is absent. A generator that leaves an attribute out, or satisfies only the classifier, then looks less real
    than real images with that attribute.

    Args:
        logits: (N, 1 + A), or (N, 1) of an unconditional discriminator.
        labels: (N, A) in {0, 1}, or (N, K, A) for realness (N, K), or None.
    """
    if labels is None:
        return logits[:, 0]
    if labels.ndim == 3:
        logits = logits.unsqueeze(1)
    if logits.shape[-1] == 1:
        return logits[..., 0].expand(labels.shape[:-1])
    return logits[..., 0] + (logits[..., 1:] * (2 * labels - 1)).sum(dim=-1) / labels.shape[-1] ** 0.5


def _head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(LEAKY_SLOPE, inplace=True), nn.Linear(hidden, outputs))
