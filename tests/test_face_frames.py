"""The face of each photograph is located once, as the editor locates it, and what is rejected is counted by reason."""

import pickle
import re
from types import SimpleNamespace
from unittest.mock import Mock

import cv2
import datasets
import numpy as np
import pytest
import torch
from editors import tiny_classifier
from numbered_data import write_images
from PIL import Image
from scripts import load_script
from test_identity import MeanRecognition
from test_realism import Colours

from stgan.data import DataError, FaceFrames, FaceLocator, Preprocess, StreamBatches, load_into_memory
from stgan.data.faces import CUT_OFF, NO_FACE, PROFILE, TOO_SMALL
from stgan.data.frames import celebahq_frame, to_crop
from stgan.editing.editor import FaceEditor
from stgan.evaluation import faces
from stgan.evaluation.command import Settings, evaluate_folder
from stgan.evaluation.protocol import evaluate
from stgan.evaluation.realism import load_real_faces, pooled_features
from stgan.frame import MEAN_LANDMARKS
from stgan.models import STGAN, AttributeClassifier, FaceAligner
from stgan.photo.face import Face
from stgan.photo.geometry import as_3x3, transform

ATTRIBUTES = ("Male",)


def marked(rgb):
    """Stands for a locator: the first pixel's red says what is found, and how far the frame is shifted."""
    return {200: NO_FACE, 201: PROFILE}.get(int(rgb[0, 0, 0]), np.array([[0.7, -0.1, rgb[0, 0, 0]], [0.1, 0.7, 20.0]]))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twelve photographs of 160x160 pixels, two of them without a face, one a profile."""
    folder = tmp_path_factory.mktemp("photographs")
    images = []
    for number, red in enumerate([10, 20, 200, 30, 40, 201, 50, 60, 200, 70, 80, 90]):
        noise = np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        pixels = cv2.resize(noise, (160, 160), interpolation=cv2.INTER_CUBIC)
        pixels[0, 0, 0] = red
        images.append(pixels)
    labels, names = [number % 2 == 0 for number in range(12)], [f"{number}.png" for number in range(12)]
    return write_images(folder, images, rows=3, names=names, Male=labels, caption=["a face"] * 12)


def load(photographs, frames, workers=0, size=32):
    return load_into_memory(photographs, "train", ATTRIBUTES, size, crop="face", frames=frames, workers=workers)


def test_a_face_is_located_as_the_editor_aligns_it(astronaut, model_folder):
    """With an aligner that is not trained, but confirms: what it says of the frame is followed by both."""
    torch.manual_seed(0)
    aligner = FaceAligner(width=8, blocks=1).eval()
    torch.nn.init.normal_(aligner.head[-1].weight, std=0.02)
    aligner.threshold.fill_(-20)
    editor = FaceEditor.from_pretrained(model_folder)
    editor = FaceEditor(editor.generator, editor.classifier, device="cpu", aligner=aligner)
    expected = editor.prepare(astronaut).alignment.matrix
    found = to_crop(FaceLocator(aligner)(astronaut), editor.generator.image_size)
    assert np.allclose(found, expected, atol=1e-3)
    without = FaceEditor(editor.generator, editor.classifier, device="cpu").prepare(astronaut).alignment.matrix
    assert np.allclose(to_crop(FaceLocator(None)(astronaut), 64), without)
    assert not np.allclose(found, without, atol=1e-3)


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_the_frame_follows_the_face_through_the_photograph(scale, astronaut):
    size = round(512 * scale)
    resized = np.array(Image.fromarray(astronaut).resize((size, size), Image.Resampling.BICUBIC))
    to_original = np.array([[1 / scale, 0, (1 / scale - 1) / 2], [0, 1 / scale, (1 / scale - 1) / 2]])
    original, found = FaceLocator(None)(astronaut), FaceLocator(None)(resized)
    eyes = transform(MEAN_LANDMARKS[:2], cv2.invertAffineTransform(found))
    eyes_again = transform(transform(eyes, to_original), original)
    assert np.abs(eyes_again - MEAN_LANDMARKS[:2]).max() < 2  # of 39 pixels between the eyes


def face_at(frame, shrunk=1.0):
    """A face as a detector finds it: MEAN_LANDMARKS under the inverse of a frame; ``shrunk`` across."""
    landmarks = transform(MEAN_LANDMARKS, cv2.invertAffineTransform(frame))
    landmarks[:, 0] = landmarks[:, 0].mean() + shrunk * (landmarks[:, 0] - landmarks[:, 0].mean())
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    reach = (bottom - top) / 2
    return Face((left - reach, top - reach, right + reach, bottom + reach), landmarks, 0.9)


WHOLE = np.array([[0.85, 0, 0.0], [0, 0.85, 20.0]])


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ((), NO_FACE),
        ((face_at(8 * WHOLE),), TOO_SMALL),
        ((face_at(WHOLE, shrunk=0.2),), PROFILE),
        ((face_at(WHOLE + [[0, 0, 80], [0, 0, 0]]),), CUT_OFF),
        ((face_at(WHOLE), face_at(2 * WHOLE)), None),
    ],
)
def test_a_rejected_photograph_has_a_reason(faces, reason):
    locate = FaceLocator(None)
    locate.detector = SimpleNamespace(detect=lambda rgb: list(faces), refine=lambda rgb, face: face)
    found = locate(np.zeros((256, 256, 3), np.uint8))
    assert (found == reason) if reason else np.allclose(found, WHOLE)  # of several faces the largest


def test_each_aligner_and_detector_has_its_own_fingerprint(tmp_path):
    torch.manual_seed(0)
    aligners = [None, FaceAligner(width=8), FaceAligner(width=8)]
    (tmp_path / "yunet.onnx").write_bytes(b"a detector")
    locators = [FaceLocator(aligner, yunet) for aligner in aligners for yunet in (None, tmp_path / "yunet.onnx")]
    assert len({locator.fingerprint for locator in locators}) == 6
    assert locators[2].fingerprint == FaceLocator(aligners[1]).fingerprint


def test_the_aligner_of_a_model_folder_locates(model_folder, tmp_path):
    assert FaceFrames.from_pretrained(model_folder).locate.aligner is None
    assert FaceFrames.from_pretrained(model_folder).file.parent.name == "stgan-faces"
    AttributeClassifier(image_size=64, width=8).save_pretrained(tmp_path / "classifier")
    FaceAligner(width=8).save_pretrained(tmp_path / "aligner")
    frames = FaceFrames.from_pretrained(tmp_path, tmp_path / "cache")
    assert frames.locate.aligner.image_size == 64
    assert frames.file == tmp_path / "cache" / f"{frames.locate.fingerprint}.jsonl"


def test_a_crop_is_the_located_frames(photographs, tmp_path):
    data = load(photographs, FaceFrames(marked, "a", tmp_path), size=119)  # 170 * .7: one pixel for each
    row = datasets.load_dataset("parquet", data_files=str(photographs / "*.parquet"), split="train")[1]
    pixels = np.array(row["image"])
    matrix = to_crop(marked(pixels), 119)
    expected = cv2.warpAffine(pixels, matrix, (119, 119), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(np.ones((160, 160), np.uint8), matrix, (119, 119)) == 1
    assert np.abs(data.images[1].permute(1, 2, 0).numpy().astype(int) - expected)[inside].mean() < 2
    assert data.labels[:, 0].tolist() == [1, 0, 0, 1, 1, 0, 0, 1, 0]


def test_real_faces_are_those_that_are_found(photographs, tmp_path):
    frames, states = FaceFrames(marked, "a", tmp_path), [(("Male", value),) for value in (False, True)]
    faces = load_real_faces(str(photographs), "train", ATTRIBUTES, states, 32, Colours(), crop="face", frames=frames)
    data = load(photographs, frames)
    torch.testing.assert_close(faces.features, pooled_features(Colours(), data.images))
    assert torch.equal(faces.labels, data.labels)


def test_a_model_is_evaluated_on_the_faces_of_photographs(photographs, tmp_path, monkeypatch):
    frames = FaceFrames(marked, "a", tmp_path)
    monkeypatch.setattr(FaceFrames, "from_pretrained", lambda folder: frames)
    monkeypatch.setattr(faces, "pretrained_backbone", Colours)
    monkeypatch.setattr(faces, "DlibRecognition", MeanRecognition)
    generator = STGAN(ATTRIBUTES, image_size=32, width=4, layers=3, stu_layers=2)
    classifier = tiny_classifier(ATTRIBUTES)
    generator.save_pretrained(tmp_path / "model")
    classifier.save_pretrained(tmp_path / "model" / "classifier")
    quiet = {"split": "train", "crop": "face", "device": "cpu", "workers": 0, "progress": False}
    found = evaluate_folder(Settings(str(photographs), str(tmp_path / "model"), **quiet))
    data = load(photographs, frames, size=generator.image_size)
    assert found.headline() == pytest.approx(evaluate(generator, classifier, data.images, data.labels).headline())


def test_each_photograph_is_located_once(photographs, tmp_path):
    locate = Mock(side_effect=marked)
    first = load(photographs, FaceFrames(locate, "a", tmp_path))
    assert locate.call_count == 12
    again = load(photographs, FaceFrames(locate, "a", tmp_path), workers=2)
    larger = load(photographs, FaceFrames(locate, "a", tmp_path), size=48)
    assert locate.call_count == 12
    assert torch.equal(first.images, again.images)
    assert larger.images.shape == (9, 3, 48, 48)
    load(photographs, FaceFrames(locate, "another aligner", tmp_path))
    assert locate.call_count == 24


def test_workers_share_one_file(photographs, tmp_path):
    together = load(photographs, FaceFrames(marked, "a", tmp_path), workers=2)
    locate = Mock(side_effect=marked)
    assert torch.equal(load(photographs, FaceFrames(locate, "a", tmp_path)).images, together.images)
    assert locate.call_count == 0


def test_a_half_written_line_costs_one_search(photographs, tmp_path):
    frames = FaceFrames(marked, "a", tmp_path)
    expected = load(photographs, frames)
    content = frames.file.read_text()
    frames.file.write_text(content[: content.rindex("]") - 8])
    for calls in (1, 0):
        locate = Mock(side_effect=marked)
        assert torch.equal(load(photographs, FaceFrames(locate, "a", tmp_path)).images, expected.images)
        assert locate.call_count == calls


def test_a_locator_can_be_sent_to_another_process(astronaut):
    locate = FaceLocator(None)
    here = locate(astronaut)
    assert np.array_equal(pickle.loads(pickle.dumps(locate))(astronaut), here)


def test_a_photograph_turned_by_its_exif_data_is_located_upright(astronaut, tmp_path):
    locate = FaceLocator(None)
    turned = Image.fromarray(astronaut).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(astronaut).save(tmp_path / "upright.png")
    preprocess = Preprocess(64, "face", FaceFrames(locate, locate.fingerprint, tmp_path))
    ours, theirs = (preprocess((tmp_path / f"{name}.png").read_bytes()) for name in ("turned", "upright"))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("workers", [0, 2])
def test_rejected_photographs_are_counted_by_reason_with_examples(photographs, tmp_path, workers):
    data = load(photographs, FaceFrames(marked, "a", tmp_path), workers)
    assert len(data) == 9
    assert str(data.skipped) == (
        "0 of 12 images skipped as undecodable; 3 images rejected: 2 no face (first: 2.png, 8.png), "
        "1 profile (first: 5.png)"
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_locates_faces_and_counts_the_others_too(photographs, tmp_path, workers):
    def stream(frames):
        return StreamBatches(
            photographs, "train", ATTRIBUTES, 32, 1, seed=0, crop="face", workers=workers, frames=frames
        )

    expected = load(photographs, FaceFrames(marked, "a", tmp_path))
    batches, images = stream(FaceFrames(marked, "b", tmp_path)), []
    while batches.epoch == 0:
        images.append(batches.draw(0)[0])
    drawn = sorted(torch.cat(images[:-1]).flatten(1).tolist())
    assert drawn == sorted(expected.images.flatten(1).tolist())
    resumed = stream(FaceFrames(marked, "b", tmp_path))
    resumed.load_state_dict(batches.state_dict())
    for _ in range(3):
        assert torch.equal(batches.draw(0)[0], resumed.draw(0)[0])
    assert resumed.skipped == batches.skipped
    assert set(batches.skipped.rejected) == {NO_FACE, PROFILE}
    resumed.load_state_dict({"epoch": 0, "batch": 2, "seen": 2, "skipped": []})  # as older checkpoints have it
    assert resumed.skipped.rejected == {}


def test_photographs_of_which_more_than_half_show_no_face_stop_the_run(photographs, tmp_path):
    with pytest.raises(DataError, match=r"12 images rejected: 12 no face \(first: 0.png.*more than 50% of 12.*--crop"):
        load(photographs, FaceFrames(lambda rgb: NO_FACE, "a", tmp_path))


def test_the_crop_needs_what_locates_faces():
    with pytest.raises(DataError, match="'face' needs a model that locates faces"):
        Preprocess(32, "face")


def test_the_benchmark_compares_the_located_crop_with_the_fixed_one(astronaut, model_folder, tmp_path, capsys):
    """On the astronaut's face, cut out as CelebA-HQ would show it."""
    benchmark = load_script("benchmarks/frames.py")
    located = FaceLocator(None)(astronaut)
    to_square = as_3x3(cv2.invertAffineTransform(celebahq_frame(256))) @ as_3x3(located)
    square = cv2.warpAffine(astronaut, to_square[:2], (256, 256), flags=cv2.INTER_CUBIC)
    write_images(tmp_path, [square, 0 * square], split="validation")
    benchmark.yunet_path = lambda: None
    benchmark.main(benchmark.Settings(str(tmp_path), model=str(model_folder)))
    found = re.match(r"2 images, cascades: corners (.*?) px apart .*; rejected: 1 no face; ", capsys.readouterr().out)
    assert float(found[1]) < 6
    shifted = located + [[0, 0, 17], [0, 0, 0]]
    assert benchmark.corner_distance(located, shifted) == pytest.approx(12.8)  # a tenth of the crop
