"""Models come from the Hub whole, from the cache without a network, and with a clear sentence where they cannot."""

import pytest
import torch
from hub_server import MODEL, Failure, StoredFile
from huggingface_hub import constants

from stgan import FaceEditor
from stgan.models import ModelFolderError, load_generator
from stgan.publish import PublishModel, publish


def test_a_download_cut_off_half_way_goes_on_where_it_was(hub, folder, tmp_path):
    publish(PublishModel(MODEL, folder=folder))
    size = (folder / "model.safetensors").stat().st_size
    hub.failures.append(Failure("GET", "resolve/.*/model.safetensors$", 0, after=size // 2))
    generator = load_generator(MODEL, cache_dir=tmp_path / "cache")
    expected = load_generator(folder)
    assert all(torch.equal(a, b) for a, b in zip(generator.parameters(), expected.parameters(), strict=True))


def test_a_revision_and_the_cache_without_a_network(hub, folder, tmp_path, monkeypatch):
    publish(PublishModel(MODEL, folder=folder))
    first = hub.repositories[f"models/{MODEL}"].commits[-1][0]
    before = load_generator(folder).to_image.bias.detach().clone()
    model = load_generator(folder)
    with torch.no_grad():
        model.to_image.bias += 1
    model.save_pretrained(folder)
    publish(PublishModel(MODEL, folder=folder))
    cache = {"cache_dir": tmp_path / "cache"}
    assert torch.equal(FaceEditor.from_pretrained(MODEL, revision=first, **cache).generator.to_image.bias, before)
    assert torch.equal(FaceEditor.from_pretrained(MODEL, **cache).generator.to_image.bias, before + 1)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    assert torch.equal(FaceEditor.from_pretrained(MODEL, **cache).generator.to_image.bias, before + 1)
    assert len(hub.requests) == asked
    with pytest.raises(ModelFolderError, match="not in the cache"):
        FaceEditor.from_pretrained("somebody/other", **cache)


def test_an_editor_fetches_only_what_it_uses(hub, folder, tmp_path):
    publish(PublishModel(MODEL, folder=folder))
    repository = hub.repositories[f"models/{MODEL}"]
    pickled = {name: StoredFile(b"code", large=True) for name in ("pytorch_model.bin", "classifier/model.pt")}
    repository.commit("main", repository.revisions["main"] | pickled)
    FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "cache")
    fetched = {path.split("/", 5)[-1] for method, path in hub.requests if method == "GET" and "/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors", "classifier/config.json", "classifier/model.safetensors"}


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Failure("GET", "/api/models/", 401), "logged in"),
        (Failure("GET", "/api/models/", 403), "logged in"),
        (Failure("GET", "/api/models/", 500, times=10), "cannot be reached"),
        (Failure("GET", "/api/models/", 0), "cannot be reached"),
        (Failure("HEAD", "model.safetensors", 0, times=10), "cannot be reached"),
        (Failure("GET", "resolve/.*/model.safetensors", 403, times=10), "logged in"),
    ],
)
def test_a_download_that_fails_says_what_to_do(hub, folder, tmp_path, failure, message):
    publish(PublishModel(MODEL, folder=folder))
    hub.failures.append(failure)
    with pytest.raises(ModelFolderError, match=f"{MODEL}.*{message}"):
        FaceEditor.from_pretrained(MODEL, cache_dir=tmp_path / "cache")


def test_an_unknown_model_is_named(hub, tmp_path):
    with pytest.raises(ModelFolderError, match="somebody/absent"):
        FaceEditor.from_pretrained("somebody/absent", cache_dir=tmp_path)
