"""The demo: open a photo, change one thing about a face, and get the same photo back with only that changed.

Run it with ``python app.py``. It shows the model that ``STGAN_MODEL`` names (a folder or Hub id), or else the one that
the Space's card names, or else the bundled one. The page and the endpoints are in :mod:`stgan.demo`.
"""

import ctypes
import importlib.util
import os
from contextlib import suppress

try:
    import spaces  # noqa: F401  # ZeroGPU: it patches torch, so it must be imported before torch
except ImportError:
    spaces = None

from stgan.demo.credentials import Credentials
from stgan.demo.model import open_editor
from stgan.demo.page import build_demo
from stgan.demo.style import CSS, THEME
from stgan.demo.words import I18N

M_ARENA_MAX = -8  # of malloc.h


def main() -> None:
    """Load the model, build the demo and serve it until it is stopped."""
    _limit_memory()
    credentials = Credentials.from_environment()
    editor, model, notice = open_editor()  # before the launch: ZeroGPU copies this process for each call
    build_demo(editor, model, notice=notice, credentials=credentials).queue(max_size=32).launch(
        server_port=int(os.environ.get("STGAN_PORT", os.environ.get("GRADIO_SERVER_PORT", 7860))),
        theme=THEME,
        css=CSS,
        i18n=I18N,
        pwa=True,  # can be installed
        max_file_size="50mb",
        state_session_capacity=64,  # visitors whose photos are kept in memory, about 10 MB per megapixel each
        mcp_server=importlib.util.find_spec("mcp") is not None,
        show_error=True,
    )


def _limit_memory() -> None:
    # glibc gives each thread a heap, which keeps the size of its largest edit. With one heap, memory stays flat.
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 1)
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")  # the default, 10,000, is recounted after each event


if __name__ == "__main__":
    main()
