"""The demo: open a photo, change one thing about a face, and get the same photo back with only that changed.

Run it with ``python app.py``. It shows the model that ``STGAN_MODEL`` names (a folder or Hub id), or else the one that
the Space's card names, or else the bundled one. The page and the endpoints are in :mod:`stgan.demo`.
"""

import ctypes
import errno
import importlib.util
import os
import socket
import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

try:
    import spaces  # noqa: F401  # ZeroGPU: it patches torch, so it must be imported before torch
except ImportError:
    spaces = None

from stgan.demo.starting import StartingPage, import_gradio, without_collections
from stgan.terminal import check_folder

if TYPE_CHECKING:
    import gradio as gr

FIRST_PORT = 7860
MOST_WAITING = 256  # requests; a further one is refused
M_ARENA_MAX = -8  # of malloc.h


def main() -> None:
    """Load the model, build the demo and serve it until it is stopped. A mistake ends with one sentence."""
    check_folder("app.py")
    try:
        _serve()
    except (ValueError, OSError) as error:  # the package's own errors are ValueErrors; OSError: no free port
        sys.exit(f"app.py: {error}")


def _serve() -> None:
    _limit_memory()
    port = chosen_port()
    starting = StartingPage(_host(), port) if spaces is None else nullcontext()  # a Space shows a page of its own
    with starting, without_collections():
        demo = _load()  # before the launch: ZeroGPU copies this process for each call
    _launch(demo, port)


def _load() -> "gr.Blocks":
    # Imported here, since Gradio and torch take seconds, and the port is to be open before.
    import_gradio()
    from stgan.demo.credentials import Credentials
    from stgan.demo.model import open_editor
    from stgan.demo.page import build_demo

    credentials = Credentials.from_environment()
    editor, model, notice = open_editor()
    return build_demo(editor, model, notice=notice, credentials=credentials).queue(max_size=MOST_WAITING)


def _launch(demo: "gr.Blocks", port: int) -> None:
    from stgan.demo.style import CSS, THEME
    from stgan.demo.words import I18N

    demo.launch(
        server_port=port,
        theme=THEME,
        css=CSS,
        i18n=I18N,
        pwa=True,  # can be installed
        max_file_size="50mb",
        state_session_capacity=64,  # visitors whose photos are kept in memory, about 10 MB per megapixel each
        mcp_server=importlib.util.find_spec("mcp") is not None,
        show_error=True,
    )


def chosen_port() -> int:
    """The port of ``STGAN_PORT``, else ``GRADIO_SERVER_PORT``, else 7860; 0 takes the next free one from 7860 on.

    Raises:
        ValueError: it is no port, it cannot be used, or this computer does not have the demo's address.
    """
    name = next((name for name in ("STGAN_PORT", "GRADIO_SERVER_PORT") if os.environ.get(name)), "STGAN_PORT")
    wanted = os.environ.get(name) or str(FIRST_PORT)
    if not (wanted.isascii() and wanted.isdecimal()) or int(wanted) > 65535:
        raise ValueError(f"{name} is {wanted!r}: give a number from 1 to 65535, or 0 for the next free port.")
    if int(wanted):
        if problem := _problem(int(wanted)):
            raise ValueError(
                f"Port {wanted} {problem}. Choose another with STGAN_PORT, or set STGAN_PORT=0 for the next free one."
            )
        return int(wanted)
    free = next((port for port in range(FIRST_PORT, FIRST_PORT + 200) if not _problem(port)), None)
    if free is None:
        raise ValueError(f"No port from {FIRST_PORT} to {FIRST_PORT + 199} is free: choose another with STGAN_PORT.")
    return free


def _problem(port: int) -> str:
    """Why a port cannot be used; empty if it can. A ValueError if this computer does not have the demo's address."""
    with socket.socket() as probe:
        if os.name != "nt":  # there the option would let two programs share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_host(), port))
        except PermissionError:
            return "is kept for the system"
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise ValueError(
                    f"This computer has no address {_host()} ({error.strerror}): correct GRADIO_SERVER_NAME, such as "
                    "127.0.0.1, or 0.0.0.0 for all of its addresses."
                ) from error
            return "is in use, perhaps by another demo"
    return ""


def _host() -> str:
    return os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")


def _limit_memory() -> None:
    # glibc gives each thread a heap, which keeps the size of its largest edit. With one heap, memory stays flat.
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 1)
    # Gradio counts its last 10,000 events anew after each event, which takes longer than an edit.
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")


if __name__ == "__main__":
    main()
