"""Small networks of every architecture, for the tests of the models."""

import torch

from stgan.models import STGAN, AttGAN, AttributeClassifier, Discriminator, PatchDiscriminator, StarGAN

NAMES = ("Bald", "Bangs", "Black_Hair", "Eyeglasses", "Male")
SMALL = {"attributes": NAMES, "image_size": 32, "width": 4}
MODELS = {
    "STGAN": lambda **more: STGAN(**SMALL | {"layers": 3, "stu_layers": 2} | more),
    "AttGAN": lambda **more: AttGAN(**SMALL | {"layers": 3} | more),
    "StarGAN": lambda **more: StarGAN(**SMALL | {"residual_blocks": 2} | more),
    "Discriminator": lambda **more: Discriminator(**SMALL | {"layers": 3, "hidden": 8} | more),
    "PatchDiscriminator": lambda **more: PatchDiscriminator(**SMALL | {"layers": 3} | more),
    "AttributeClassifier": lambda **more: AttributeClassifier(**SMALL | more),
}
GENERATORS = ("STGAN", "AttGAN", "StarGAN")


def pictures(count, size=32):
    return torch.rand(count, 3, size, size) * 2 - 1


def stirred(model):
    """The model with statistics, biases and norms that are not their initial ones, so that each of them shows."""
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("bias", "running_mean")):
                value.normal_(0, 0.3)
            elif name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5)
    return model.eval()


def tiled(vector, like):
    """The vector as constant planes, written out."""
    return vector[:, :, None, None].repeat(1, 1, like.shape[2], like.shape[3])
