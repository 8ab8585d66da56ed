"""The listeners of the page, called as Gradio calls them."""

import functools
import inspect
import itertools
import pickle
import shutil
import sys
import weakref
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import skimage.data
import torch
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook

from stgan import FaceEditor
from stgan.models import STGAN, AttributeClassifier, FaceAligner
from stgan.photo.detect import FaceDetector
from stgan.photo.files import Photo

gr = pytest.importorskip("gradio")

from stgan.demo.files import PREFIX  # noqa: E402
from stgan.demo.layout import FACE_VIEW  # noqa: E402
from stgan.demo.page import build_demo  # noqa: E402
from stgan.demo.studio import EXAMPLE_EDIT  # noqa: E402


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

    def visit(self, answer):
        return answer[self.layout.subject], answer[self.layout.history]

    def show(self, page_key, subject, history, controls):
        layout = self.layout
        states = {layout.page_key: page_key, layout.subject: subject, layout.history: history, layout.view: FACE_VIEW}
        assert {*states, *layout.controls} == set(self.listeners["show"].inputs)
        return self.call("show", states | layout.control_values(controls))


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
    names = (*EXAMPLE_EDIT, "Eyeglasses", "Young")
    generator, classifier = STGAN(names, 64, width=8, soft_mask=True), AttributeClassifier(names, 64, width=8)
    aligner = FaceAligner(32, 4, hidden=8)
    aligner.threshold.fill_(-99.0)  # everything that the cascades find is a face
    demo = Demo(FaceEditor(generator, classifier, FaceDetector(), "cpu", aligner), tmp_path)

    def gpu_calls(name, *arguments):
        zero_gpu.calls.clear()
        answer = demo.call(name, *arguments)
        return answer, zero_gpu.calls

    answer, calls = gpu_calls("open_example", FACE_VIEW)
    assert calls == ["_find_faces", "_prepare", "_edit"]
    subject, history = demo.visit(answer)
    assert gpu_calls("all_edits", subject)[1] == ["_single_edits"]
    answer, calls = gpu_calls("open_example", FACE_VIEW)  # the next visitor's
    assert calls == []
    subject, history = demo.visit(answer)
    assert gpu_calls("all_edits", subject)[1] == []
    assert gpu_calls("by_degrees", subject, "Young")[1] == ["_edit"]
    assert gpu_calls("animate", subject, history)[1] == ["_edit"]
    web = SimpleNamespace(headers={})
    assert gpu_calls("offer", subject, history, "PNG", web)[1] == ["_edit"]

    answer, calls = gpu_calls("open_photo", photo, False, FACE_VIEW)
    assert calls == ["_find_faces", "_prepare"]
    subject, history = demo.visit(answer)
    assert gpu_calls("all_edits", subject)[1] == ["_single_edits"]
    assert gpu_calls("offer", subject, history, "PNG", web)[1] == []  # it is not edited yet

    upload = demo.folder / "upload" / "portrait.png"
    upload.parent.mkdir(parents=True)
    shutil.copy(photo, upload)
    file = {"path": str(upload)}
    assert gpu_calls("attributes", file)[1] == ["_prepare"]
    assert gpu_calls("edit", file, {"Young": False, "Eyeglasses": True})[1] == ["_prepare", "_edit"]
    most = count_photos(monkeypatch)
    assert gpu_calls("edit_all", file)[1] == ["_prepare", "_edit_one_by_one"]
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


def test_every_file_is_one_that_gradio_deletes(demo, photo):
    subject, history = demo.visit(demo.call("open_example", FACE_VIEW))
    demo.call("animate", subject, history)
    demo.call("offer", subject, history, "PNG", SimpleNamespace(headers={}))
    demo.visit(demo.call("open_photo", photo, False, FACE_VIEW))
    files = {str(path) for path in demo.folder.glob(f"{PREFIX}*/*")}
    assert len(files) > 10
    assert files <= demo.blocks.upload_file_set


def test_a_click_on_the_page_of_the_photo_before_does_nothing(demo, photo):
    previous, _ = demo.visit(demo.call("open_example", FACE_VIEW))
    subject, history = demo.visit(demo.call("open_photo", photo, False, FACE_VIEW))
    event = SimpleNamespace(index=0)
    for key, answered in ((previous.key, False), (subject.key, True)):
        clicks = [
            demo.call("apply_single", key, subject, history, event),
            demo.call("go_back", key, subject, history, event),
            demo.call("reset", key, subject, history),
            demo.show(key, subject, history, history.now.controls.toggled("Young", not subject.labels["Young"])),
        ]
        assert [answer != gr.skip() for answer in clicks] == [answered] * 4


def test_the_picture_follows_a_tick_and_what_it_excludes_gives_way(demo, photo):
    layout = demo.layout
    subject, history = demo.visit(demo.call("open_photo", photo, False, FACE_VIEW))
    black_hair = subject.untouched(1.0).toggled("Black_Hair", True)
    answer = demo.show(subject.key, subject, history, black_hair)
    edited = answer[layout.history]
    assert answer[layout.result] == (subject.close_before, edited.close_file)
    assert edited.now.controls == black_hair

    both = black_hair.__class__(black_hair.ticks | {"Blond_Hair"}, 1.0, {})
    answer = demo.show(subject.key, subject, edited, both)
    expected = black_hair.toggled("Blond_Hair", True)
    assert answer[layout.history].now.controls == expected
    assert demo.call("untick", answer[layout.resolved_ticks]) == layout.box_values(expected.ticks)
    assert demo.show(subject.key, subject, answer[layout.history], expected) == gr.skip()


def test_a_click_in_the_strip_sets_one_slider_and_keeps_the_others(demo):
    layout = demo.layout
    values = {slider: 0.25 for slider in layout.shifts} | {layout.attribute: "Young"}
    assert set(values) == set(demo.listeners["apply_degree"].inputs)
    answer = demo.call("apply_degree", values, SimpleNamespace(index=6))
    assert {name: answer[slider] for slider, name in layout.shifts.items()} == {
        name: 1.5 if name == "Young" else 0.25 for name in layout.shifts.values()
    }


def test_a_face_is_prepared_beside_the_other_faces_of_its_photo(demo, editor, photo, monkeypatch):
    asked = []
    prepare = FaceEditor.prepare
    monkeypatch.setattr(FaceEditor, "prepare", lambda *words, **named: asked.append(named) or prepare(*words, **named))
    subject, _ = demo.visit(demo.call("open_photo", photo, False, FACE_VIEW))
    assert [(call["face"], call["others"]) for call in asked] == [(subject.faces[subject.chosen], subject.faces)]
