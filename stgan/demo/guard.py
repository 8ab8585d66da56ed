"""What guards the demo's server: headers that keep browsers to this server, and requests that are refused.

Gradio limits uploads, but reads the body of any other request whole. The address of the tools for agents answers a
browser with a page into which Gradio writes the path and headers of the request as they are, and other pages on the web
may call it.
"""

import os
import shutil
import traceback
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stgan.demo.errors import logger

MOST_BYTES = 1_000_000  # of the body of a request that is no upload; edits have a few hundred
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio's page has both
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",  # where Spaces are shown
    )
)
HEADERS = {
    "content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer",
}  # fmt: skip


TOOLS = "/gradio_api/mcp"
LOCAL = ("localhost", "127.0.0.1", "0.0.0.0", "::1")
LEAST_FREE = 500_000_000  # bytes that uploads leave on the disk: results need room too
FULL = "The disk of this demo is full: photos are deleted after about an hour, so please come back later."
BROKEN = "This request cannot be answered: it is not what the page or the API page sends."
TOO_LARGE = f"A request may have at most {MOST_BYTES:,} bytes: upload photos, and send their paths."


class TooLargeError(Exception):
    """The body of a request is larger than :data:`MOST_BYTES`."""


class Guard:
    """Middleware of the ASGI application ``app``, whose uploads lie in ``folder``."""

    def __init__(self, app: ASGIApp, folder: str):
        self.app, self.folder = app, folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with :data:`HEADERS`; a body that is too large is answered with status 413.

        Where Gradio fails, a sentence is the answer, and one line is logged.
        """
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        received, complete, answering = 0, False, False

        async def limited_receive() -> Message:
            nonlocal received, complete
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_BYTES and not is_upload:
                raise TooLargeError
            if message["type"] == "http.disconnect" and is_upload and not complete:
                raise MultiPartException("The connection was closed.")  # at which Gradio deletes what has arrived
            complete = not message.get("more_body", False)
            return message

        async def guarded_send(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                names = {name.lower() for name, _ in message.get("headers", [])}
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *(pair for pair in added if pair[0] not in names)]
            await send(message)

        async def answer(status: int, text: str) -> None:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await guarded_send({"type": "http.response.start", "status": status, "headers": headers})
            await guarded_send({"type": "http.response.body", "body": text.encode()})

        is_upload = scope["path"].rstrip("/").endswith("/upload")
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not is_upload and not (length.isdecimal() and int(length) <= MOST_BYTES):
            return await answer(413, TOO_LARGE)
        if is_upload and self._is_full():
            return await answer(507, FULL)
        if TOOLS in scope["path"] and (refusal := refusal_of_tools(scope["method"], scope["path"], headers)):
            return await answer(*refusal)
        try:
            return await self.app(scope, limited_receive, guarded_send)
        except Exception as error:  # what receives may wrap the error
            too_large = received > MOST_BYTES and not is_upload
            if not too_large:
                where = traceback.extract_tb(error.__traceback__)[-1]
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                logger.warning("%s %.200r failed at %s:%d: %s", scope["method"], scope["path"], *where[:2], reason)
            if not answering:
                await answer(*((413, TOO_LARGE) if too_large else (500, BROKEN)))
        return None

    def _is_full(self) -> bool:
        os.makedirs(self.folder, exist_ok=True)
        return shutil.disk_usage(self.folder).free < LEAST_FREE


def refusal_of_tools(method: str, path: str, headers: Headers) -> tuple[int, str] | None:
    """Status and sentence for a request to the tools that goes no further, else None."""
    origin = urlsplit(headers.get("origin", "")).hostname
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    if "origin" in headers and host in LOCAL and origin not in LOCAL:
        return 403, "Another website may not use the tools of a demo on this computer."
    if (
        method == "GET"
        and not path.endswith(("/sse", "/schema"))
        and "text/event-stream" not in headers.get("accept", "")
    ):
        return 406, "This is the address of the demo's tools for agents: give it to a program that speaks MCP."
    return None
