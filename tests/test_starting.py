"""What answers at once: the package without its libraries, and the demo's port while they load."""

import gc
import inspect
import subprocess
import sys

import pytest

from stgan.demo.starting import PAGE, StartingPage, import_gradio, without_collections

httpx = pytest.importorskip("httpx")  # Gradio's own


def test_neither_the_package_nor_its_command_nor_the_starting_page_waits_for_a_heavy_library():
    code = "import sys, stgan, stgan.cli, stgan.demo.starting; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"stgan", "tyro"} <= set(loaded)
    assert not {"torch", "gradio", "datasets", "numpy", "cv2", "PIL"} & set(loaded)


def test_the_port_says_that_the_demo_is_starting_and_is_free_afterwards():
    with StartingPage("127.0.0.1", 0) as starting:
        host, port = starting.address
        with httpx.Client(base_url=f"http://{host}:{port}") as client:
            answers = [client.get("/"), client.get("/config"), client.post("/gradio_api/call/edit", json={"data": []})]
        for answer in answers:
            assert (answer.status_code, answer.content) == (503, PAGE)
            assert int(answer.headers["retry-after"]) > 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{host}:{port}")
    with StartingPage(host, port):  # as the demo takes it over
        assert httpx.get(f"http://{host}:{port}").status_code == 503


def test_gradio_is_imported_without_the_source_of_its_components(tmp_path, monkeypatch):
    module = """
import inspect
class Component: pass
try: source = inspect.getfile(Component)
except OSError: source = None
"""
    (tmp_path / "gradio.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gradio", raising=False)
    import_gradio()
    assert sys.modules.pop("gradio").source is None
    assert inspect.getfile(StartingPage).endswith("starting.py")


def test_what_is_loaded_until_the_end_is_not_searched_for_garbage():
    try:
        with without_collections():
            assert not gc.isenabled()
            kept = [[]]
        assert gc.isenabled()
        assert not any(each is kept for each in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(each is kept for each in gc.get_objects())
    with pytest.raises(ValueError, match="no model"), without_collections():
        raise ValueError("no model")
    assert gc.isenabled()
