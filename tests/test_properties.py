"""What holds for every input that Hypothesis thinks of: labels, edits, sliders, file names, records and settings."""

import json
from pathlib import PurePosixPath, PureWindowsPath

import pytest
import torch
from attacks.inputs import sentence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stgan.attributes import DEFAULT_ATTRIBUTES, as_labels, edited_labels, excluded_by, in_a_file_name
from stgan.data import DataError, open_split
from stgan.editing.edits import read_face_number, read_intensities
from stgan.models import STGAN, ModelFolderError, load_network
from stgan.training.config import TrainingConfig

NAMES = st.sampled_from(DEFAULT_ATTRIBUTES)
LABELS = [(True, True), (1, True), (1.0, True), (False, False), (0, False), (-1, False)]  # as given, and as meant
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | NAMES, inner, max_size=4),
    max_leaves=8,
)
repeatable = settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def refused(error: type[Exception], function, *arguments) -> bool:
    """Whether it is refused, in one sentence of bearable length."""
    message = sentence(error, function, *arguments)
    assert message is None or 0 < len(message) <= 2000
    return message is not None


@repeatable
@given(st.dictionaries(NAMES, st.sampled_from(LABELS)))
def test_all_forms_of_a_label_mean_the_same(edit):
    given_labels, meant = ({name: label[which] for name, label in edit.items()} for which in (0, 1))
    assert as_labels(given_labels, DEFAULT_ATTRIBUTES) == meant


@repeatable
@given(JSON)
def test_what_is_no_edit_is_refused_in_a_sentence(value):
    if not refused(ValueError, as_labels, value, DEFAULT_ATTRIBUTES):
        names = [value] if isinstance(value, str) else list(value)
        assert set(names) <= set(DEFAULT_ATTRIBUTES)
    refused(ValueError, read_intensities, value, DEFAULT_ATTRIBUTES)
    refused(ValueError, read_face_number, value)


@repeatable
@given(st.lists(st.booleans(), min_size=13, max_size=13), st.dictionaries(NAMES, st.booleans(), max_size=4))
def test_an_edit_changes_what_it_names_and_clears_what_that_excludes(labels, edit):
    before = dict(zip(DEFAULT_ATTRIBUTES, labels, strict=True))
    source = torch.tensor(labels).float()
    clash = any(edit[name] and edit.get(other) for name in edit for other in excluded_by(name))
    if refused(ValueError, edited_labels, source, edit, DEFAULT_ATTRIBUTES):
        assert clash
        return
    assert not clash
    expected = before | edit
    for name, wanted in edit.items():
        if wanted and not before[name]:
            expected |= {other: False for other in excluded_by(name) if other not in edit and other in expected}
    after = edited_labels(source, edit, DEFAULT_ATTRIBUTES)
    assert dict(zip(DEFAULT_ATTRIBUTES, (after > 0.5).tolist(), strict=True)) == expected


@repeatable
@given(st.dictionaries(NAMES, st.integers(-15, 15).map(lambda tenths: tenths / 10), max_size=4), st.data())
def test_sliders_ask_for_the_change_that_they_show(shifts, data):
    request = pytest.importorskip("stgan.demo.request").EditRequest
    labels = {name: data.draw(st.booleans()) for name in DEFAULT_ATTRIBUTES}
    asked = request.from_shifts(labels, shifts)
    for name, wanted in asked.changes.items():
        strength = asked.intensity if isinstance(asked.intensity, float) else asked.intensity[name]
        before = asked.source.get(name, labels[name])
        assert (float(wanted) - before) * strength == pytest.approx(shifts[name], abs=0.005)
    given_way = {name for name, shift in shifts.items() if shift} - asked.changes.keys()
    for name in given_way:
        assert any(shifts.get(other, 0) >= shifts[name] > 0 for other in excluded_by(name))


@repeatable
@given(st.text(min_size=1))
def test_an_attribute_names_a_file_and_never_a_folder(name):
    part = f"add-{in_a_file_name(name)}.png"
    for path in (PurePosixPath(part), PureWindowsPath(part)):
        assert path.name == part
        assert not path.anchor


@repeatable
@given(st.dictionaries(st.sampled_from(sorted(TrainingConfig().record())), JSON, max_size=3))
def test_a_record_of_a_run_is_read_or_refused(changes):
    record = TrainingConfig().record() | changes
    if refused(ValueError, TrainingConfig.from_record, record):
        return
    config = TrainingConfig.from_record(record)
    assert TrainingConfig.from_record(config.record()).record() == config.record()


@repeatable
@given(JSON | st.dictionaries(st.sampled_from(sorted(STGAN(image_size=64, width=4).config)), JSON))
def test_settings_of_a_model_are_those_of_a_model_or_refused(tmp_path, value):
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": "STGAN"} | value if isinstance(value, dict) else value)
    )
    assert refused(ModelFolderError, load_network, tmp_path, "editor")  # there are no weights, whatever it says


@repeatable
@given(st.text(), st.sampled_from(["list_attr_celeba.txt", "list_eval_partition.txt"]))
def test_tables_of_labels_are_read_or_refused(tmp_path, text, file):
    images = tmp_path / "img_align_celeba"
    images.mkdir(exist_ok=True)
    (images / "000001.jpg").touch()
    tables = {"list_attr_celeba.txt": "1\nBald Young\n000001.jpg 1 -1\n", "list_eval_partition.txt": "000001.jpg 0\n"}
    for name, content in tables.items():
        (tmp_path / name).write_text(text if name == file else content, encoding="utf-8")
    refused(DataError, lambda: list(open_split(tmp_path, "train")))
