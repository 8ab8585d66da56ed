"""What discriminators see: images a little elsewhere and of other colours, so that they cannot learn them by heart."""

import torch
from torch import Tensor

SHIFT = 1 / 32  # of the side, each way
BRIGHTNESS = 0.1  # of the range's half
SATURATION = 0.3  # more or less, as a share
CONTRAST = 0.2  # the same


def augmented(images: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Images as a discriminator is shown them, real and edited alike (DiffAugment, arXiv 2006.10738).

    Gradients pass. Nothing is mirrored, and nothing cut out, for what is cut out may be the attribute.

    Args:
        images: float (B, 3, S, S) in [-1, 1].
        share: of the images that are changed, in [0, 1]; at 0 no random number is drawn.
        random: random numbers, on the images' device.

    Returns:
        float (B, 3, S, S), channels last; changed colours may leave [-1, 1].
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
    images = images.permute(0, 2, 3, 1)  # gathered twice: the gradient of one index for both sorts all pixels
    images = images.gather(1, row.view(count, size, 1, 1).expand(images.shape))  # borders repeat
    return images.gather(2, column.view(count, 1, size, 1).expand(images.shape)).permute(0, 3, 1, 2)
