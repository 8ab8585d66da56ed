"""Changes of images at random: small ones for discriminators, against overfitting, and other light for all networks."""

import torch
from torch import Tensor

SHIFT = 1 / 32  # largest, as a share of the side
BRIGHTNESS = 0.1  # largest, on the scale from -1 to 1
SATURATION = 0.3  # largest change, as a share
CONTRAST = 0.2  # largest change, as a share

GREY_SHARE = 1 / 3  # of images that turn grey, as a share of those in other light
GAINS = (0.35, 1.05)  # of dim rooms
TINT = 0.15  # largest change of a colour in coloured light, as a share


def augment(images: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Augment images for the discriminator, real and edited alike (DiffAugment, arXiv 2006.10738).

    Gradients pass through. Nothing is mirrored or cut out: a cutout could hide the attribute.

    Args:
        images: float (B, 3, S, S) in [-1, 1].
        share: of the images that are augmented, in [0, 1]; at 0 no random number is drawn.
        random: on the images' device.

    Returns:
        float (B, 3, S, S), channels last; colours may exceed [-1, 1].
    """
    if share == 0:
        return images
    images = images.float()
    count, _, _, size = images.shape
    draws = torch.rand(6, count, 1, 1, 1, generator=random, device=images.device)
    brightness, saturation, contrast, across, down = (2 * draws[1:] - 1) * (draws[0] < share)
    images = torch.lerp(images.mean(dim=1, keepdim=True), images, 1 + SATURATION * saturation)
    images = torch.lerp(images.mean(dim=(1, 2, 3), keepdim=True), images, 1 + CONTRAST * contrast)
    images = images + BRIGHTNESS * brightness
    place = torch.arange(size, device=images.device)
    row, column = ((place + (shift * SHIFT * size).round().long()).clamp(0, size - 1) for shift in (down, across))
    images = images.permute(0, 2, 3, 1)  # two gathers: the gradient of a joint index would sort all pixels
    images = images.gather(1, row.view(count, size, 1, 1).expand(images.shape))  # borders repeat
    return images.gather(2, column.view(count, 1, size, 1).expand(images.shape)).permute(0, 3, 1, 2)


def vary_light(images: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Images as all networks see them in training: a share in dim or coloured light, a third as many grey.

    Args:
        images: float (B, 3, S, S) in [-1, 1].
        share: of the images in other light, in [0, .75]; at 0 no random number is drawn.
        random: on the images' device.

    Returns:
        float (B, 3, S, S) in [-1, 1].
    """
    if share == 0:
        return images
    draws = torch.rand(5, len(images), 1, 1, 1, generator=random, device=images.device)
    gain = GAINS[0] + (GAINS[1] - GAINS[0]) * draws[1]
    colours = 1 + TINT * (2 * torch.cat([draws[2], draws[3], draws[4]], dim=1) - 1)
    lit = ((images + 1) * gain * colours - 1).clamp(-1, 1)
    grey = images.mean(dim=1, keepdim=True).expand_as(images)
    other = torch.where(draws[0] < share, lit, images)
    return torch.where(draws[0] > 1 - share * GREY_SHARE, grey, other)
