"""A page that answers on the demo's port while its libraries and its model load, and becomes the demo.

Nothing heavy is imported here: the port is open a fraction of a second after the start.
"""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS = 1  # until a browser or a program should ask again
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Edit a face</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body {{ font: 18px system-ui, sans-serif; text-align: center; margin: 20vh 20px }}</style></head>
<body><h1>Edit a face</h1><p role="status">The demo is starting. It appears here by itself.</p>
<script>
const look = () => fetch(location.href, {{cache: "no-store"}})
    .then((answer) => {{ if (answer.ok) location.reload(); }})
    .catch(() => {{}})
    .finally(() => setTimeout(look, {1000 * SECONDS}));
setTimeout(look, {1000 * SECONDS});
</script></body></html>
""".encode()


def import_gradio() -> None:
    """Import Gradio in half the time that ``import gradio`` takes.

    It parses the source of each of its components to write type stubs beside it, unless Python knows no file of them.
    """
    from unittest import mock

    with mock.patch("inspect.getfile", side_effect=OSError):
        import gradio  # noqa: F401


@contextmanager
def without_collections() -> Iterator[None]:
    """Load what stays until the end: nothing in it is garbage, so nobody looks for any, now or later."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


class StartingPage:
    """Answers every request with :data:`PAGE` and status 503 (not yet available); a context manager, after which the
    port is free."""

    def __init__(self, host: str, port: int):
        self._server = _Server((host, port), _Handler)
        self.address = self._server.server_address[:2]

    def __enter__(self) -> "StartingPage":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    allow_reuse_address = os.name != "nt"  # there the option would let two programs share a port

    def handle_error(self, *request: object) -> None:
        """Say nothing: a browser has gone."""


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.send_response(503)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Retry-After", str(SECONDS))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(PAGE)

    do_GET = do_HEAD = do_POST = _answer  # the names that http.server looks for

    def log_message(self, *message: object) -> None:
        """Log nothing."""
