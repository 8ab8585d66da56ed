"""The aligner: what it is shown, what its answers mean, and what becomes of them in a photo."""

import cv2
import numpy as np
import pytest
import torch
from pictures import faceless
from PIL import Image
from skimage import data

from stgan import FaceEditor
from stgan.frame import normalise
from stgan.models import STGAN, FaceAligner, ModelFolderError
from stgan.models.aligner import (
    UPRIGHT,
    Similarities,
    frame_error,
    mirror,
    random_similarities,
    sample_views,
)
from stgan.photo.align import align_face, align_whole, landmarks_in
from stgan.photo.crop import crop_face
from stgan.photo.detect import FaceDetector
from stgan.photo.face import Face
from stgan.photo.refine import refined_faces
from stgan.training.registration import frame_points
from stgan.training.views import degrade, faceless_similarities, shuffle_tiles, views_with_surroundings


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def untrained(**settings) -> FaceAligner:
    """With random answers, which those of a new one are not."""
    torch.manual_seed(0)
    aligner = FaceAligner(32, 4, hidden=8, **settings).eval()
    torch.nn.init.normal_(aligner.head[-1].weight, std=0.3)
    return aligner


def complex_of(*values: complex) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.complex64)


# -------------------------------------------------------------------------------------------------- its geometry


def test_a_new_aligner_takes_every_view_as_upright(random):
    found = FaceAligner(32, 4)(torch.rand(3, 3, 32, 32, generator=random))
    torch.testing.assert_close(found.a, complex_of(*[UPRIGHT[0]] * 3))
    torch.testing.assert_close(found.b, complex_of(*[UPRIGHT[1]] * 3))
    with pytest.raises(ValueError, match="multiple of 8"):
        FaceAligner(30)


def test_a_sampled_view_is_the_photos_crop_under_the_same_similarity(astronaut, random):
    size, view = 170, 64
    crop = cv2.resize(astronaut, (size, size), interpolation=cv2.INTER_AREA)
    a, b = random_similarities(4, random, rotation=30, scale=1.1, shift=0.05)
    images = torch.from_numpy(crop).permute(2, 0, 1)[None].expand(4, -1, -1, -1)
    sampled, coordinates = sample_views(normalise(images), a, b, view, oversampling=4)
    for row in range(4):
        # From pixels of the view to pixels of the crop, by complex numbers, against OpenCV's three-point formula.
        corners = np.float32([(0, 0), (view - 1, 0), (0, view - 1)])
        z = (corners + 0.5) * 2 / view - 1
        there = a[row].item() * (z @ (1, 1j)) + b[row].item()
        there = np.stack([(there.real + 1) * size / 2 - 0.5, (there.imag + 1) * size / 2 - 0.5], axis=1)
        matrix = cv2.getAffineTransform(corners, there.astype(np.float32))
        expected = cv2.warpAffine(
            cv2.GaussianBlur(crop, (0, 0), 0.7), matrix, (view, view), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        ours = ((sampled[row] + 1) * 127.5).permute(1, 2, 0).numpy()
        assert np.abs(ours - expected).mean() < 4
        corner = complex(coordinates[row, 0, 0])
        assert abs(corner - (a[row].item() * (1 + 1j) * (1 / view - 1) + b[row].item())) < 1e-5


def test_errors_are_mean_distances(random):
    points = frame_points()
    assert frame_error(complex_of(1), complex_of(0), points).item() < 2e-4
    assert frame_error(complex_of(1), complex_of(0.3 + 0.4j), points).item() == pytest.approx(0.5)
    a, b = random_similarities(1, random)
    moved = [abs(complex(a) * p + complex(b) - p) for p in points.tolist()]
    assert frame_error(a, b, points).item() == pytest.approx(sum(moved) / 5, rel=1e-4)
    assert points[-1].item() == pytest.approx(complex((89 - 3) / 85 - 1, (109 - 26) / 85 - 1), abs=1e-6)


def test_mirroring_twice_changes_nothing(random):
    a, b = random_similarities(5, random)
    torch.testing.assert_close(torch.stack(mirror(*mirror(a, b))), torch.stack([a, b]))


def test_a_mirrored_view_is_aligned_as_the_mirror_of_the_view(random):
    aligner, views = untrained(), torch.rand(6, 3, 32, 32, generator=random) * 2 - 1
    with torch.no_grad():
        plain, mirrored, single = aligner.align(views), aligner.align(views.flip(-1)), aligner(views)
    assert (single.a - plain.a).abs().max() > 0.01  # or the test would say nothing
    torch.testing.assert_close(torch.stack(mirror(mirrored.a, mirrored.b)), torch.stack([plain.a, plain.b]))
    torch.testing.assert_close(mirrored.logit, plain.logit)


# ------------------------------------------------------------------------------------------------ what it is shown


def test_hopeless_views_do_not_show_a_face_that_could_be_aligned(random):
    a, b = faceless_similarities(400, random)
    upright_a, upright_b = UPRIGHT
    turned, scale = torch.angle(a).abs(), a.abs() / abs(upright_a)
    aside = ((upright_b - b) / a).abs()  # where the face's centre is in the view; 1 is its border
    kept = (turned < 0.8) & (scale > 0.6) & (scale < 1.7) & (aside < 0.9)
    assert not kept.any()


def test_the_crops_border_is_hidden_or_repeated(random):
    images = -torch.ones(64, 3, 32, 32)
    images[::2] = 1  # neighbours in the batch are each other's surroundings
    a, b = torch.full((64,), 1.0 + 0j), torch.full((64,), 0j)
    views = views_with_surroundings(images, a, b, 32, random)
    foreign = (views - images).abs().amax(dim=1) > 1  # (64, 32, 32)
    assert 0.3 < foreign.any(dim=(1, 2)).float().mean() < 0.9
    assert not foreign[:, 6:26, 6:26].any()
    assert foreign[:, 0, 16].any()
    assert foreign[:, 16, 31].any()


def test_light_and_focus_change_and_the_rest_stays_in_range(random):
    views = torch.rand(64, 3, 32, 32, generator=random) * 2 - 1
    changed = degrade(views, random)
    assert changed.shape == views.shape
    assert changed.abs().max() <= 1
    assert (changed - views).abs().mean(dim=(1, 2, 3)).min() > 0
    low, high = changed.mean(dim=(1, 2, 3)).aminmax()
    assert low < -0.2
    assert high > 0.2


def test_scrambling_keeps_the_tiles_and_not_their_order(random):
    views = torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)
    mixed = shuffle_tiles(views, random)
    assert not torch.equal(mixed, views)
    for before, after in zip(views, mixed, strict=True):
        tiles = [{tuple(t.flatten().tolist()) for t in _tiles(each)} for each in (before, after)]
        assert tiles[0] == tiles[1]


def _tiles(image: torch.Tensor) -> list[torch.Tensor]:
    return [tile for row in image.split(2, dim=1) for tile in row.split(2, dim=2)]


# -------------------------------------------------------------------------------------------------- in a photo


class Surveyor(torch.nn.Module):
    """An aligner that cannot err: it reads the frame off photos whose colours are coordinates."""

    image_size = 64

    def __init__(self, to_crop: np.ndarray, side: float):
        super().__init__()
        self.to_crop, self.side, self.looked = to_crop, side, 0
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.threshold = torch.tensor(1.0)

    def align(self, view: torch.Tensor) -> Similarities:
        self.looked += 1
        line = ((torch.arange(64) + 0.5) / 32 - 1)[8:56]
        z = torch.complex(*torch.meshgrid(line, line, indexing="xy")).flatten().numpy()
        found = []
        for image in (view[:, :, 8:56, 8:56].double() + 1) / 2 * self.side:
            photo = torch.complex(image[0], image[1]).flatten().numpy()
            crop = self.to_crop[0] * photo + self.to_crop[1]
            found.append(np.linalg.lstsq(np.stack([z, np.ones_like(z)], 1), crop, rcond=None)[0])
        a, b = torch.tensor(np.array(found)).unbind(dim=1)
        return Similarities(a, b, torch.tensor([5.0, 0.9, 1.1])[: len(view)])


@pytest.mark.parametrize("looks", [1, 2])
def test_faces_get_the_frame_that_the_aligner_sees(looks):
    side = 600
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    photo = np.stack([x * 255 / side, y * 255 / side, 0 * x], axis=2).round().astype(np.uint8)
    turn = 0.9 * np.exp(0.3j) / 170 * 2  # from pixels of the photo to the crop
    shift = -turn * (310 + 290j)
    rough = [(230, 190, 390, 350), (250, 220, 410, 380), (200, 210, 350, 360)]
    faces = [Face(tuple(map(float, box)), None, 0.5) for box in rough]
    surveyor = Surveyor((turn, shift), side)
    refined = refined_faces(surveyor, photo, faces, looks)
    assert surveyor.looked == looks  # all faces in one batch
    for face, before in zip(refined, faces, strict=True):
        matrix = align_face(face, 170).matrix
        crop = 85 * np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
        crop[:, 2] += 84.5
        assert np.abs(matrix[:, :2] - crop[:, :2]).max() < 0.01
        middle = matrix @ (310, 290, 1) - crop @ (310, 290, 1)
        assert np.abs(middle).max() < 0.6  # a level of the photo is 2.4 of its pixels
        assert face.box == before.box
    assert [face.confidence > 0.5 for face in refined] == [True, False, True]
    assert refined_faces(surveyor, photo, []) == []


def test_landmarks_and_alignments_are_two_forms_of_the_same_thing():
    alignment = align_whole((500, 420), 128)
    face = Face((0, 0, 1, 1), landmarks_in(alignment, 128), 1.0)
    assert np.allclose(align_face(face, 128).matrix, alignment.matrix)


def test_the_cascades_ask_about_what_they_doubt(astronaut):
    asked = []

    def confirm(rgb, candidates):
        asked.append(len(candidates))
        return [face for face in candidates if 150 < face.box[0] < 200 and face.box[1] < 120]

    (face,) = FaceDetector().detect(astronaut, confirm)
    assert 150 < face.box[0] < 200
    assert sum(asked) > 1
    assert FaceDetector().detect(astronaut, lambda rgb, candidates: []) == []


def test_an_editor_without_an_aligner_believes_its_detector(editor, astronaut):
    assert editor.aligner is None
    face = editor.prepare(astronaut).face
    assert np.array_equal(face.landmarks, FaceDetector().detect(astronaut)[0].landmarks, equal_nan=True)


def test_an_editor_with_one_puts_the_face_where_it_says(folder, astronaut):
    untrained().save_pretrained(folder / "aligner")
    editor = FaceEditor.from_pretrained(folder, detector=FaceDetector())
    face = FaceDetector().detect(astronaut)[0]
    expected = align_face(refined_faces(editor.aligner, astronaut, [face])[0], editor.generator.image_size)
    assert np.allclose(editor.prepare(astronaut, face=face).alignment.matrix, expected.matrix)
    (folder / "aligner" / "config.json").write_text("{")
    with pytest.raises(ModelFolderError, match="damaged"):
        FaceEditor.from_pretrained(folder)


# ------------------------------------------------------------------------------------------------- the bundled one


@pytest.fixture(scope="module")
def aligning(bundled):
    """An editor that aligns faces as the bundled one does. Its generator is small, for nothing is edited."""
    generator = STGAN(image_size=bundled.generator.image_size, width=4)
    return FaceEditor(generator, bundled.classifier, bundled.detector, "cpu", bundled.aligner)


@pytest.fixture(scope="module")
def upright(aligning, astronaut):
    return aligning.prepare(astronaut).alignment


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
def test_a_turned_face_gets_the_frame_turned_with_it(degrees, upright, aligning, astronaut):
    turn = cv2.getRotationMatrix2D((230, 150), degrees, 1.4)
    turned = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
    found = aligning.prepare(turned).alignment
    scale = aligning.generator.image_size / 128
    corners = scale * np.array([(-10.0, -30), (138, -30), (-10, 134), (138, 134), (64, 62)])
    there = corners @ upright.inverse[:, :2].T + upright.inverse[:, 2]
    there = there @ turn[:, :2].T + turn[:, 2]
    back = there @ found.matrix[:, :2].T + found.matrix[:, 2]
    assert np.linalg.norm(back - corners, axis=1).mean() < 0.15 * 38.7 * scale * 128 / 170


def test_a_rough_box_is_enough(upright, bundled, astronaut):
    size = bundled.generator.image_size
    for box in ((150, 60, 300, 210), (175, 60, 275, 160), (160, 80, 280, 200)):
        rough = Face(tuple(map(float, box)), None, 1.0)
        found = align_face(refined_faces(bundled.aligner, astronaut, [rough], passes=3)[0], size)
        crops = [crop_face(astronaut, each, size).astype(int) for each in (upright, found)]
        assert np.abs(crops[0] - crops[1]).mean() < 10


def test_what_is_no_face_is_refused(bundled):
    coins = np.dstack([data.coins()] * 3)  # with heads, which the cascades alone take for faces
    photos = [coins, *(np.asarray(Image.fromarray(photo).reduce(3)) for photo in faceless())]
    assert [bundled.find_faces(photo) for photo in photos] == [[]] * len(photos)
