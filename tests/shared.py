"""What the tests share: small synthetic faces in every layout that the loader reads, and a small untrained model."""

import contextlib
import copy
import functools
import gc
import hashlib
import io
import shutil
from pathlib import Path
from types import SimpleNamespace

from stgan.demo.starting import import_gradio

gc.disable()  # until everything is imported: see pytest_collection_finish
with contextlib.suppress(ImportError):
    import_gradio()  # in half the time that the modules which import it would take

import datasets  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hub_server import TOKEN, Hub  # noqa: E402
from huggingface_hub import constants  # noqa: E402
from numbered_data import encoded, write_images  # noqa: E402
from pictures import every_mode, small_portrait  # noqa: E402
from PIL import Image, ImageDraw  # noqa: E402
from scripts import ROOT, running_app  # noqa: E402
from skimage import data  # noqa: E402
from tyro._docstrings import _ClassTokenization  # noqa: E402

from stgan import FaceEditor  # noqa: E402
from stgan.attributes import CELEBA_ATTRIBUTES  # noqa: E402
from stgan.editing.editor import BUNDLED  # noqa: E402
from stgan.models import STGAN, AttributeClassifier  # noqa: E402
from stgan.photo.detect import FaceDetector, _HaarCascades  # noqa: E402

datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0  # five seconds at the end of every streamed epoch
# It reads the source of the options at every parse, and within pytest at a tenth of the look-ups in its own cache too.
_ClassTokenization.make = functools.cache(_ClassTokenization.make)

SPLIT_SIZES = {"train": 48, "valid": 12, "test": 8}
HAIR = {"Black_Hair": (20, 18, 22), "Blond_Hair": (228, 196, 110), "Brown_Hair": (104, 66, 40)}


searched, _searched = _HaarCascades._find, {}


def _searched_once(cascades, grey, doubtful):
    """OpenCV's answer for a picture, remembered: most tests are about the same portrait, which takes it .2 s.

    Tests of the detector itself use ``searched``, the method itself.
    """
    key = grey.shape, hashlib.blake2b(grey.tobytes()).digest(), doubtful
    if key not in _searched:
        _searched[key] = searched(cascades, grey, doubtful)
    return copy.deepcopy(_searched[key])


_HaarCascades._find = _searched_once


def drawn_labels(random: np.random.Generator) -> dict[str, bool]:
    labels = {name: bool(random.random() < 0.4) for name in CELEBA_ATTRIBUTES}
    colour = random.choice(list(HAIR))
    return labels | dict.fromkeys((*HAIR, "Gray_Hair"), False) | {str(colour): True}


def drawn_face(labels: dict[str, bool], random: np.random.Generator) -> bytes:
    """A JPEG of 178x218 pixels: an oval with hair, eyes, perhaps glasses, an open mouth, a mustache, on noise."""
    noise = random.integers(0, 256, (28, 22, 3), dtype=np.uint8)
    face = Image.fromarray(noise).resize((178, 218), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(face)
    skin = (250, 226, 210) if labels["Pale_Skin"] else (214, 160, 124)
    if not labels["Bald"]:
        draw.ellipse((34, 34, 144, 170), fill=next(colour for name, colour in HAIR.items() if labels[name]))
    draw.ellipse((44, 60 if labels["Bangs"] else 48, 134, 190), fill=skin)
    for x in (69, 108):
        draw.ellipse((x - 6, 107, x + 6, 115), fill="white")
        draw.ellipse((x - 2, 109, x + 2, 113), fill="black")
        if labels["Eyeglasses"]:
            draw.rectangle((x - 14, 101, x + 14, 121), outline="black", width=4)
    if labels["Mustache"]:
        draw.rectangle((72, 141, 104, 147), fill="black")
    draw.ellipse((72, 148, 105, 162 if labels["Mouth_Slightly_Open"] else 154), fill=(150, 40, 50))
    encoded = io.BytesIO()
    face.save(encoded, "JPEG", quality=95)
    return encoded.getvalue()


def pytest_collection_finish():
    """Let Python search for unreachable objects less often, and not among the many that imports have made."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def astronaut():
    """A portrait, uint8 (512, 512, 3): one face, eyes near (205, 110) and (245, 110)."""
    return data.astronaut()


@pytest.fixture(scope="session")
def rgb():
    """A small photograph, uint8 (64, 48, 3)."""
    return small_portrait()


@pytest.fixture(scope="session")
def originals(rgb):
    """It in every mode that Pillow reads."""
    return every_mode(rgb)


@pytest.fixture(scope="session")
def faces():
    """Encoded images and labels (dicts of bool) of each split: what every layout below holds."""
    random, splits = np.random.default_rng(0), {}
    for split, size in SPLIT_SIZES.items():
        labels = [drawn_labels(random) for _ in range(size)]
        splits[split] = SimpleNamespace(images=[drawn_face(each, random) for each in labels], labels=labels)
    return splits


def write_parquet(folder: Path, faces: dict, encode=bool, names=None, shards=1, **further_columns) -> Path:
    folder.mkdir(parents=True)
    for split, face in faces.items():
        columns = {"celeb_id": list(range(100, 100 + len(face.images)))}
        columns |= {name: [encode(each[name]) for each in face.labels] for name in CELEBA_ATTRIBUTES}
        columns |= {column: [value] * len(face.images) for column, value in further_columns.items()}
        files = [f"{number:06}.jpg" for number in range(1, len(face.images) + 1)]
        split = (names or {}).get(split, split)
        write_images(folder, face.images, split=split, shards=shards, names=files, **columns)
    return folder


@pytest.fixture(scope="session")
def celeba(faces, tmp_path_factory):
    """As ``flwrlabs/celeba`` lies on the Hub: a folder of the configuration's name, ``valid``, bool columns."""
    folder = tmp_path_factory.mktemp("flwrlabs")
    write_parquet(folder / "img_align+identity+attr", faces, shards=2)
    return folder


@pytest.fixture(scope="session")
def celeba_signed(faces, tmp_path_factory):
    """As ``tpremoli/CelebA-attrs``: ``validation``, columns of -1 and 1, a trailing column that means nothing."""
    folder = tmp_path_factory.mktemp("tpremoli") / "data"
    return write_parquet(folder, faces, lambda value: 1 if value else -1, {"valid": "validation"}, prompt="a face")


@pytest.fixture(scope="session")
def celeba_numbered(faces, tmp_path_factory):
    return write_parquet(tmp_path_factory.mktemp("numbered") / "data", faces, int)


@pytest.fixture(scope="session")
def celeba_download(faces, tmp_path_factory):
    """The original download: a folder of JPEG files and two text files."""
    folder = tmp_path_factory.mktemp("download")
    (folder / "img_align_celeba").mkdir()
    labels, partition = [], []
    rows = [(split, i) for split in faces for i in range(len(faces[split].images))]
    for number, (split, i) in enumerate(rows, 1):
        name = f"{number:06}.jpg"
        (folder / "img_align_celeba" / name).write_bytes(faces[split].images[i])
        values = " ".join("1" if faces[split].labels[i][name] else "-1" for name in CELEBA_ATTRIBUTES)
        labels.append(f"{name}  {values}")
        partition.append(f"{name} {list(faces).index(split)}")
    header = f"{len(labels)}\n{' '.join(CELEBA_ATTRIBUTES)} \n"
    (folder / "list_attr_celeba.txt").write_text(header + "\n".join(labels) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A small untrained STGAN of the 13 attributes with its classifier, 64 px: what an editor loads."""
    folder = tmp_path_factory.mktemp("model") / "stgan-tiny"
    torch.manual_seed(0)
    STGAN(image_size=64, width=8, soft_mask=True, use_regions=True).save_pretrained(folder)
    AttributeClassifier(image_size=64, width=8).save_pretrained(folder / "classifier")
    return folder


@pytest.fixture
def folder(model_folder, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(model_folder, tmp_path / "stgan-tiny")


@pytest.fixture(scope="session")
def editor(model_folder):
    return FaceEditor.from_pretrained(model_folder, detector=FaceDetector())


@pytest.fixture(scope="session")
def bundled():
    """The bundled model with the cascades."""
    return FaceEditor.from_pretrained(BUNDLED, detector=FaceDetector())


@pytest.fixture(scope="session")
def trained(bundled):
    """The bundled model's weights at 64 px, for a sixteenth of the work: they are convolutions, which fit any size."""
    generator = STGAN(**(bundled.generator.config | {"image_size": 64})).eval()
    generator.load_state_dict(bundled.generator.state_dict())
    return FaceEditor(generator, bundled.classifier, bundled.detector, "cpu", bundled.aligner, bundled.parser)


@pytest.fixture(scope="session")
def prepared(editor, astronaut):
    return editor.prepare(astronaut)


@pytest.fixture(scope="session")
def encoded_photo(astronaut):
    return encoded(astronaut)


@pytest.fixture
def photo(tmp_path, encoded_photo):
    (tmp_path / "portrait.png").write_bytes(encoded_photo)
    return tmp_path / "portrait.png"


@pytest.fixture(scope="session")
def demo_log(tmp_path_factory):
    """What the process of :func:`demo_address` writes."""
    return tmp_path_factory.mktemp("app") / "log.txt"


@pytest.fixture(scope="session")
def demo_address(model_folder, demo_log):
    """Address of ``app.py``, running on the small untrained model."""
    pytest.importorskip("gradio")
    with running_app(ROOT, "STGAN_PORT", demo_log.parent, STGAN_MODEL=str(model_folder)) as address:
        yield address


@pytest.fixture
def hub(monkeypatch):
    """A Hub of its own in place of the real one, as HF_ENDPOINT, HF_HUB_OFFLINE and HF_HUB_DISABLE_XET set it."""
    hub = Hub().start()
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield hub
    hub.shutdown()
    hub.server_close()
