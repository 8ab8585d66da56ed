"""Whether an edit leaves the person the same: a face recognition network's distance between source and edit.

The network is dlib's ResNet, trained for recognition alone. Two photos of one person are usually less than .6 apart
(http://dlib.net/face_recognition.py.html). It runs face by face on the CPU, about .13 s each.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stgan.evaluation.fidelity import channels_last

PEOPLE = 64
"""Faces are sampled down to this many, since the network runs face by face."""
SAME_PERSON = 0.6
FACE_BOX = (0.240, 0.352, 0.772, 0.885)
"""Left, top, right, bottom of what dlib's detector finds in an aligned face, as shares of its side: mean of 40 faces,
whose standard deviation is .04. The landmarks start from it, so no detector has to run."""


class Recognition(Protocol):
    """Describes faces so that one person's photos are near one another."""

    def locate(self, image: np.ndarray) -> object:
        """Where the face is in uint8 (S, S, 3), aligned as CelebA's are."""

    def describe(self, image: np.ndarray, place: object) -> np.ndarray:
        """Descriptor float (D,) of the face at that place."""


class DlibRecognition:
    """dlib's recognition network, from packages with its weights.

    Raises:
        ModuleNotFoundError: the packages are not installed; the message says how to install them.
    """

    def __init__(self) -> None:
        try:
            import dlib
            import face_recognition_models as weights
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f'Identity needs {error.name}, which is not installed: pip install -e ".[identity]"', name=error.name
            ) from error
        self._dlib = dlib
        self._predictor = dlib.shape_predictor(weights.pose_predictor_five_point_model_location())
        self._network = dlib.face_recognition_model_v1(weights.face_recognition_model_location())

    def locate(self, image: np.ndarray) -> object:
        """Five landmarks of the face in uint8 (S, S, 3)."""
        box = (round(share * (image.shape[0] - 1)) for share in FACE_BOX)
        return self._predictor(image, self._dlib.rectangle(*box))

    def describe(self, image: np.ndarray, place: object) -> np.ndarray:
        """Descriptor float64 (128,) of the face with these landmarks."""
        return np.array(self._network.compute_face_descriptor(self._dlib.get_face_chip(image, place)))


def sampled_people(count: int, people: int = PEOPLE) -> Tensor:
    """Long: at most ``people`` of ``count`` rows, evenly spaced."""
    return torch.linspace(0, count - 1, min(people, count)).round().long()


def same_person_pairs(identities: Tensor, people: int = PEOPLE) -> Tensor:
    """Long (P, 2): rows of two photos of one person, one pair per person, at most ``people`` pairs.

    ``identities`` is long (N,), who each photo shows.
    """
    pairs: dict[int, tuple[int, int]] = {}
    first: dict[int, int] = {}
    for row, person in enumerate(identities.tolist()):
        if person in first:
            pairs.setdefault(person, (first[person], row))
        first.setdefault(person, row)
    chosen = list(pairs.values())
    return torch.tensor([chosen[i] for i in sampled_people(len(chosen), people)] if chosen else []).reshape(-1, 2)


def pair_distances(recognition: Recognition, images: Tensor, pairs: Tensor) -> Tensor:
    """Float64 (P,), the distance between the descriptors of two photos, uint8 (N, 3, S, S), each located itself."""
    described = {}
    for row in pairs.flatten().unique().tolist():
        image = channels_last(images[row])
        described[row] = recognition.describe(image, recognition.locate(image))
    distances = [np.linalg.norm(described[one] - described[other]) for one, other in pairs.tolist()]
    return torch.tensor(distances, dtype=torch.float64)
