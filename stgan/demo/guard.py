"""What guards the demo's server: headers that keep browsers to this server, and a limit on the size of requests.

Gradio limits uploads, but reads the body of any other request whole.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class TooLargeError(Exception):
    """The body of a request is larger than :data:`MOST_BYTES`."""


class Guard:
    """Middleware of the ASGI application ``app``."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with :data:`HEADERS`; a body that is too large is answered with status 413."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        received, answering = 0, False

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_BYTES and not is_upload:
                raise TooLargeError
            return message

        async def guarded_send(message: Message) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                names = {name.lower() for name, _ in message.get("headers", [])}
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *(pair for pair in added if pair[0] not in names)]
            await send(message)

        is_upload = scope["path"].rstrip("/").endswith("/upload")
        length = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
        try:
            if not is_upload and not (length.isdigit() and int(length) <= MOST_BYTES):
                raise TooLargeError
            return await self.app(scope, limited_receive, guarded_send)
        except TooLargeError:
            if not answering:
                await guarded_send({"type": "http.response.start", "status": 413, "headers": []})
                text = f"A request may have at most {MOST_BYTES:,} bytes: upload photos, and send their paths."
                await guarded_send({"type": "http.response.body", "body": text.encode()})
        return None
