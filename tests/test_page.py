"""The listeners of the page, called as Gradio calls them."""

import functools
import inspect
import io
import itertools
import pickle
import shutil
import sys
import weakref
import zipfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import torch
from pictures import two_people
from PIL import Image, ImageOps
from torch.nn.modules.module import register_module_forward_pre_hook

from stgan import FaceEditor
from stgan.models import STGAN, AttributeClassifier, FaceAligner
from stgan.photo.detect import FaceDetector
from stgan.photo.files import Photo

gr = pytest.importorskip("gradio")

from stgan.attributes import scale_in_words  # noqa: E402
from stgan.demo import sharing  # noqa: E402
from stgan.demo.files import PREFIX  # noqa: E402
from stgan.demo.page import build_demo  # noqa: E402
from stgan.demo.session import EVERYONE  # noqa: E402

WEB = SimpleNamespace(headers={"accept-language": "en"}, query_params={})


class Demo:
    """The demo on a model, and its listeners by the names of their functions."""

    def __init__(self, editor, model):
        self.blocks = build_demo(editor, str(model))
        self.listeners = {listener.fn.__name__: listener for listener in self.blocks.fns.values()}
        self.layout = self.listeners["open_photo"].fn.__self__.layout
        self.folder = Path(self.blocks.GRADIO_CACHE)

    def call(self, name, *arguments):
        """The answer of a listener, which sets no component but its outputs."""
        answer = self.listeners[name].fn(*arguments)
        if isinstance(answer, dict) and any(isinstance(key, gr.blocks.Block) for key in answer):
            assert answer.keys() <= set(self.listeners[name].outputs)
        return answer

    def visit(self, name, *arguments):
        return self.call(name, *arguments)[self.layout.visit]

    def show(self, visit, shifts, page_key=None):
        layout = self.layout
        states = {layout.page_key: page_key or visit.page_key, layout.visit: visit, layout.whole: False}
        assert {*states, *layout.shifts} == set(self.listeners["show"].inputs)
        return self.call("show", states | layout.slider_values(shifts))


@pytest.fixture(scope="module", autouse=True)
def _uploads(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield


@pytest.fixture(scope="module")
def demo(editor, model_folder):
    return Demo(editor, model_folder)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "portrait.png"
    Image.fromarray(skimage.data.astronaut()[:300, 360:60:-1]).save(path)
    return str(path)


class ZeroGpu:
    """In place of the module ``spaces``: what was called on the GPU, and whether a call is under way.

    Like ZeroGPU it sends the arguments of a call to another process by pickling them.
    """

    def __init__(self):
        self.calls, self.active = [], False

    def GPU(self, function):
        @functools.wraps(function)
        def on_gpu(*arguments):
            self.calls.append(function.__name__)
            arguments = pickle.loads(pickle.dumps(arguments))
            if inspect.isgeneratorfunction(function):
                return self._one_by_one(function(*arguments))
            with self._call():
                return function(*arguments)

        return on_gpu

    def _one_by_one(self, answers):
        while True:
            with self._call():
                answer = [*itertools.islice(answers, 1)]
            if not answer:
                return
            yield answer.pop()

    @contextmanager
    def _call(self):
        self.active = True
        try:
            yield
        finally:
            self.active = False


@pytest.fixture
def zero_gpu(monkeypatch):
    zero_gpu = ZeroGpu()
    monkeypatch.setitem(sys.modules, "spaces", zero_gpu)

    def check(module, inputs):
        assert zero_gpu.active, f"{type(module).__name__} runs outside of spaces.GPU"

    hook = register_module_forward_pre_hook(check)
    yield zero_gpu
    hook.remove()


def test_every_network_runs_on_zerogpu_and_as_seldom_as_possible(zero_gpu, tmp_path, photo, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    torch.manual_seed(0)
    names = ("Bangs", "Bushy_Eyebrows", "Eyeglasses", "Young")
    generator, classifier = STGAN(names, 64, width=8, soft_mask=True), AttributeClassifier(names, 64, width=8)
    aligner = FaceAligner(32, 4, hidden=8)
    aligner.threshold.fill_(-99.0)  # everything that the cascades find is a face
    demo = Demo(FaceEditor(generator, classifier, FaceDetector(), "cpu", aligner), tmp_path)

    def gpu_calls(name, *arguments):
        zero_gpu.calls.clear()
        answer = demo.call(name, *arguments)
        return answer, zero_gpu.calls

    answer, calls = gpu_calls("load", None, False, WEB)
    assert calls == ["_prepare", "_edit_people"]
    visit = answer[demo.layout.visit]
    assert gpu_calls("show_looks", visit)[1] == ["_edit"]
    assert gpu_calls("show_changes", visit, True)[1] == ["_edit"]
    answer, calls = gpu_calls("load", None, False, WEB)  # the next visitor's
    assert calls == []
    visit = answer[demo.layout.visit]
    assert gpu_calls("show_looks", visit)[1] == gpu_calls("show_changes", visit, True)[1] == []
    assert gpu_calls("show_strengths", visit, "Young")[1] == ["_edit"]
    assert gpu_calls("share", visit, "webp")[1] == ["_edit"]
    assert gpu_calls("share", visit, "tile")[1] == gpu_calls("share", visit, "grid")[1] == []
    assert gpu_calls("offer", visit, "PNG", WEB)[1] == ["_edit_people"]

    answer, calls = gpu_calls("open_photo", photo, False, False, WEB)
    assert calls == ["_prepare"]
    visit = answer[demo.layout.visit]
    assert gpu_calls("show_changes", visit, False)[1] == []  # until the visitor opens their tab
    assert gpu_calls("offer", visit, "PNG", WEB)[1] == []  # it is not edited yet
    assert gpu_calls("surprise", visit.page_key, visit, False)[1] == ["_edit_people"]

    upload = demo.folder / "upload" / "portrait.png"
    upload.parent.mkdir(parents=True)
    shutil.copy(photo, upload)
    file = {"path": str(upload)}
    assert gpu_calls("attributes", file)[1] == []  # the page has prepared this face
    ImageOps.mirror(Image.open(photo)).save(upload)
    assert gpu_calls("edit", file, {"Young": False, "Eyeglasses": True})[1] == ["_prepare", "_edit"]
    assert gpu_calls("attributes", file)[1] == []
    most = count_photos(monkeypatch)
    assert gpu_calls("edit_all", file)[1] == ["_edit_one_by_one"]
    assert most() == 1  # in memory at a time


def count_photos(monkeypatch):
    """A function that tells how many edited photos were in memory at once."""
    photos, counts, with_rgb = [], [], Photo.with_rgb

    def counted(photo, rgb):
        edited = with_rgb(photo, rgb)
        photos.append(weakref.ref(edited))
        counts.append(sum(each() is not None for each in photos))
        return edited

    monkeypatch.setattr(Photo, "with_rgb", counted)
    return lambda: max(counts)


def test_every_file_is_one_that_gradio_deletes(demo, photo, monkeypatch):
    monkeypatch.setattr(sharing, "CLIP_FRAMES", 3)
    visit = demo.visit("load", None, False, WEB)
    for kind in ("tile", "grid", "gif", "webp", "mp4"):
        demo.call("share", visit, kind)
    demo.call("offer", visit, "PNG", WEB)
    demo.visit("open_photo", photo, False, False, WEB)
    files = {str(path) for path in demo.folder.glob(f"{PREFIX}*/*")}
    assert len(files) > 10
    assert files <= demo.blocks.upload_file_set


def test_a_click_on_the_page_of_the_photo_before_does_nothing(demo, photo):
    previous = demo.visit("load", None, False, WEB)
    visit = demo.visit("open_photo", photo, False, False, WEB)
    event = SimpleNamespace(index=0)
    for key, answered in ((previous.page_key, False), (visit.page_key, True)):
        clicks = [
            demo.call("apply_change", key, visit, False, event),
            demo.call("go_back", key, visit, False, event),
            demo.call("surprise", key, visit, False),
            demo.call("undo", key, visit, False),
            demo.show(visit, {"Young": 1.0}, key),
        ]
        assert [answer != gr.skip() for answer in clicks] == [answered] * 5


def test_the_picture_follows_a_slider_and_what_it_excludes_gives_way(demo, photo):
    layout = demo.layout
    visit = demo.visit("open_photo", photo, False, False, WEB)
    answer = demo.show(visit, {"Black_Hair": 1.0})
    black = answer[layout.visit]
    assert black.edits == {visit.chosen: {"Black_Hair": 1.0}}
    assert Path(black.close_file).name in answer[layout.result]
    assert layout.resolved not in answer

    answer = demo.show(black, {"Black_Hair": 1.0, "Blond_Hair": 0.5})
    blond = answer[layout.visit]
    assert blond.shifts == {"Blond_Hair": 0.5}
    assert demo.call("resolve", answer[layout.resolved]) == layout.slider_values({"Blond_Hair": 0.5})
    assert demo.show(blond, {"Blond_Hair": 0.5}) == gr.skip()


def test_the_slider_of_a_denied_attribute_runs_the_other_way(demo, photo):
    layout = demo.layout
    visit = demo.visit("open_photo", photo, False, False, WEB)
    slider = next(slider for slider, name in layout.shifts.items() if name == "No_Beard")
    assert slider.label.key == scale_in_words("No_Beard") == "Beard"
    values = {each: 0.7 if each is slider else 0.0 for each in layout.shifts}
    answer = demo.call("show", values | {layout.page_key: visit.page_key, layout.visit: visit, layout.whole: False})
    bearded = answer[layout.visit]
    assert bearded.shifts == {"No_Beard": -0.7}
    assert layout.slider_values(bearded.shifts) == values
    assert "photo with: beard" in answer[layout.result]


def test_sliders_that_a_click_moved_meanwhile_come_back_into_step(demo, photo):
    layout = demo.layout
    visit = demo.visit("open_photo", photo, False, False, WEB)
    after_click = demo.visit("apply_look", visit.page_key, visit, False, SimpleNamespace(index=0))
    late = demo.show(after_click, {"Young": 0.3}, visit.page_key)  # was moved before the click's answer came
    assert [*late] == [layout.resolved]
    assert late[layout.resolved][1] == after_click.shifts


def test_every_click_sets_the_sliders_to_what_the_picture_shows(demo, photo):
    layout = demo.layout
    visit = demo.visit("open_photo", photo, False, False, WEB)
    event = SimpleNamespace(index=1)
    for name, *more in (("apply_look", event), ("apply_change", event), ("surprise",), ("go_back", event), ("undo",)):
        answer = demo.call(name, visit.page_key, visit, False, *more)
        visit = answer[layout.visit]
        assert {slider: answer[slider] for slider in layout.shifts} == layout.slider_values(visit.shifts)
    answer = demo.call("apply_strength", visit.page_key, visit, False, "No_Beard", SimpleNamespace(index=6))
    assert answer[layout.visit].shifts == {"No_Beard": -1.5}  # the most beard


def test_edits_of_two_people_add_up_in_one_picture(demo, editor, tmp_path):
    two = two_people()
    two.save(tmp_path / "two.png")
    visit = demo.visit("open_photo", str(tmp_path / "two.png"), False, False, WEB)
    assert visit.chosen == 1  # the larger
    first = demo.show(visit, {"Eyeglasses": 1.0})[demo.layout.visit]
    other = demo.visit("choose_person", first.page_key, first, False, SimpleNamespace(index=1))
    assert (other.chosen, other.shifts, other.edits) == (0, {}, first.edits)
    both = demo.show(other, {"Young": -1.0})[demo.layout.visit]
    assert both.edits == {0: {"Young": -1.0}, 1: {"Eyeglasses": 1.0}}
    shown = np.asarray(Image.open(both.file)).astype(int)
    for number in (0, 1):
        left, top, right, bottom = (max(0, side) for side in both.subject.prepared[number].window())
        before = np.asarray(two).astype(int)
        assert np.abs(shown - before)[top:bottom, left:right].max() > 20
    request = [both.subject.request(number, both.edits[number]) for number in (0, 1)]
    alone = [np.asarray(request[number].edit(editor, both.subject.prepared[number])).astype(int) for number in (0, 1)]
    expected = np.where((alone[0] != before).any(axis=2, keepdims=True), alone[0], alone[1])
    download = demo.call("offer", both, "PNG", WEB)[demo.layout.download].value["path"]
    assert np.array_equal(np.asarray(Image.open(download)), expected)

    everyone = demo.visit("choose_person", both.page_key, both, False, SimpleNamespace(index=0))
    assert everyone.chosen == EVERYONE
    all_bangs = demo.show(everyone, {"Bangs": 1.0})[demo.layout.visit]
    assert [shifts["Bangs"] for shifts in all_bangs.edits.values()] == [1.0, 1.0]
    assert all_bangs.edits[0]["Young"] == -1.0


def test_the_stored_work_opens_again_and_a_link_outweighs_older_work(demo, photo):
    upload = demo.folder / "upload2" / "portrait.png"
    upload.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(photo, upload)
    visit = demo.visit("open_photo", str(upload), False, False, WEB)
    answer = demo.show(visit, {"Young": -0.5})
    edited, stored = answer[demo.layout.visit], answer[demo.layout.stored]
    again = demo.visit("load", stored, False, WEB)
    assert (again.subject.path, again.edits) == (str(upload), edited.edits)
    linked = SimpleNamespace(headers={}, query_params={"edit": "Eyeglasses:0.5"})
    example = demo.visit("load", stored, False, linked)
    assert (example.subject.path, example.shifts) == (None, {"Eyeglasses": 0.5})
    upload.unlink()
    assert demo.visit("load", stored, False, WEB).subject.path is None  # the example
    bad = SimpleNamespace(headers={}, query_params={"edit": "Ears:1"})
    assert demo.visit("load", None, False, bad).edits == demo.visit("load", None, False, WEB).edits


def test_nothing_is_offered_before_the_first_edit(demo, photo):
    layout = demo.layout
    visit = demo.visit("open_photo", photo, False, False, WEB)
    offer = demo.call("offer", visit, "JPEG", WEB)
    assert (offer[layout.download].interactive, offer[layout.is_edited], offer[layout.link]) == (False, False, "")
    assert demo.call("share", visit, "gif") == gr.skip()
    edited = demo.show(visit, {"Young": 1.0})
    assert edited[layout.preview] == ""  # a clip of the edit before is gone
    offer = demo.call("offer", edited[layout.visit], "JPEG", WEB)
    assert (offer[layout.download].interactive, offer[layout.is_edited]) == (True, True)
    assert offer[layout.link].endswith("/?edit=Young:1")


def test_several_photos_come_back_as_a_zip_that_says_what_failed(demo, photo):
    visit = demo.visit("load", None, False, WEB)
    folder = demo.folder / "batch"
    folder.mkdir(parents=True)
    shutil.copy(photo, folder / "one.png")
    Image.new("RGB", (300, 300), "grey").save(folder / "grey.png")
    files = [{"path": str(folder / name)} for name in ("one.png", "grey.png")]
    button = demo.call("edit_photos", visit, files)[demo.layout.batch]
    with zipfile.ZipFile(button.value["path"]) as archive:
        assert archive.namelist() == ["01-one-edited.jpg", "problems.txt"]
        assert b"grey.png: No face was found" in archive.read("problems.txt")
        edited = Image.open(io.BytesIO(archive.read("01-one-edited.jpg")))
        assert edited.size == Image.open(photo).size
    assert demo.call("edit_photos", visit, None) == gr.skip()


def test_no_verdict_on_gender_is_on_the_page(demo):
    visit = demo.visit("load", None, False, WEB)
    looks = demo.call("show_looks", visit)
    changes = demo.call("show_changes", visit, True)
    assert "Eyeglasses" in looks[demo.layout.seen]
    assert "ale" not in looks[demo.layout.seen].replace("Pale", "")  # neither male nor female
    assert "More masculine" in changes
    assert "More feminine" in changes


def test_a_face_is_prepared_beside_the_other_faces_of_its_photo(demo, editor, photo, monkeypatch):
    asked = []
    ImageOps.mirror(Image.open(photo)).save(photo)  # one that the demo does not know from the tests above
    prepare = FaceEditor.prepare
    monkeypatch.setattr(FaceEditor, "prepare", lambda *words, **named: asked.append(named) or prepare(*words, **named))
    subject = demo.visit("open_photo", photo, False, False, WEB).subject
    assert [(call["face"], call["others"]) for call in asked] == [(subject.faces[subject.largest], subject.faces)]


def test_german_visitors_get_german_words(demo, photo):
    german = SimpleNamespace(headers={"accept-language": "de-DE,de;q=0.9,en;q=0.5"}, query_params={})
    visit = demo.visit("open_photo", photo, False, False, german)
    answer = demo.show(visit, {"Eyeglasses": 1.0})
    assert 'alt="Foto mit: Brille"' in answer[demo.layout.result]
    assert "Brille" in answer[demo.layout.versions]
