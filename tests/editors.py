"""Small editors and judges to evaluate: untrained networks, and made-up ones whose behaviour is known exactly."""

import math
from types import SimpleNamespace

import torch
from torch import nn

from stgan.models import STGAN, AttributeClassifier, Edit, Generator
from stgan.photo.detect import Detector

ATTRIBUTES = ("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Young")
SIZE = 32


def people(count=7, attributes=ATTRIBUTES, seed=0):
    """uint8 images and labels that respect the exclusions as CelebA's do: at most one hair colour."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=random, dtype=torch.uint8)
    labels = (torch.rand(count, len(attributes), generator=random) < 0.4).float()
    if "Blond_Hair" in attributes:
        labels[:, 3] *= 1 - labels[:, 2]
    return images, labels


def tiny_generator(soft_mask=False, kind=STGAN, seed=1):
    torch.manual_seed(seed)
    settings = {"stu_layers": 2} if kind is STGAN else {}
    generator = kind(ATTRIBUTES, image_size=SIZE, width=4, layers=3, soft_mask=soft_mask, **settings)
    for module in generator.modules():  # fresh BatchNorm statistics would leave all edits alike
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.2)
    return generator


def tiny_classifier(attributes=ATTRIBUTES, seed=2):
    torch.manual_seed(seed)
    classifier = AttributeClassifier(attributes, SIZE, width=4, blocks=1).eval()
    classifier.thresholds.uniform_(0.45, 0.55)
    return classifier


class Finds(Detector):
    def __init__(self, *faces):
        self.faces = list(faces)

    def detect(self, rgb, confirm=None):
        return self.faces


# Made-up networks that keep an attribute in the sign of one block of the image: what they do is known exactly.

BLOCK = SIZE // 8


class BlockJudge(nn.Module):
    """Reads attribute k off the mean of block k in the image's first rows."""

    def __init__(self, attributes=ATTRIBUTES):
        super().__init__()
        self.attributes = tuple(attributes)
        self.thresholds = torch.full((len(attributes),), 0.5)

    def forward(self, image):
        blocks = image[:, :, :BLOCK, : len(self.attributes) * BLOCK].unflatten(3, (-1, BLOCK))
        return blocks.mean(dim=(1, 2, 4)) * 10


class BlockEditor(Generator):
    """Paints block k where att_diff k is at least ``least``; whenever it edits anything it breaks ``breaks`` too."""

    def __init__(self, least=1.0, breaks=None):
        super().__init__(ATTRIBUTES, SIZE, "difference", soft_mask=False, use_regions=False)
        self.least, self.breaks = least, breaks

    def encode(self, image):
        return SimpleNamespace(image=image)

    def decode_parts(self, features, condition):
        image = features.image.clone()
        for row, att_diff in enumerate(condition):
            for k, value in enumerate(att_diff.tolist()):
                if abs(value) >= self.least:
                    image[row, :, :BLOCK, k * BLOCK : (k + 1) * BLOCK] = math.copysign(1, value)
            if self.breaks is not None and att_diff.abs().max() > 0 and att_diff[self.breaks] == 0:
                image[row, :, :BLOCK, self.breaks * BLOCK : (self.breaks + 1) * BLOCK] *= -1
        return Edit(image, image, None)


def block_people(count=9):
    images, labels = people(count)
    for k in range(len(ATTRIBUTES)):
        images[:, :, :BLOCK, k * BLOCK : (k + 1) * BLOCK] = (labels[:, k] * 255).to(torch.uint8)[:, None, None, None]
    return images, labels
