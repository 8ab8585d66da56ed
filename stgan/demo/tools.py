"""The endpoints as tools for agents (MCP). Gradio's own server of tools trusts its callers in several ways.

It fetches any address that a tool call names, keeps photos for ever in a folder that can be computed from them, passes
the caller's headers on, and encodes pictures anew, without what they say about their making.
"""

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gradio.mcp import GradioMCPServer
from gradio_client.utils import traverse
from PIL import Image

from stgan.demo.files import DemoFiles

MOST_SHOWN = 4_000_000  # bytes of a picture that is part of an answer; of a larger one the answer has the address alone
MOST_WORDS = 2000  # characters of an error
AGENT = "x-stgan-agent"  # header of the demo's request to itself: whose turn it is
NOT_A_PHOTO = (
    "photo must be a data URL (data:image/jpeg;base64,...) of at most about 700 kB, or the path or address of a file "
    "that was uploaded to this demo."
)


class Tools(GradioMCPServer):
    """As in Gradio, but a tool call reads and leaves no more than a request to the endpoint does."""

    def create_mcp_server(self) -> Any:
        """As in Gradio, without prompts and resources: the demo has none, and Gradio would run a tool instead."""
        server = super().create_mcp_server()
        for request in (self.types.GetPromptRequest, self.types.ReadResourceRequest):
            server.request_handlers.pop(request, None)
        call = server.request_handlers[self.types.CallToolRequest]
        server.request_handlers[self.types.CallToolRequest] = _with_short_errors(call)
        return server

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """Store photos as uploads are, and refuse every other file: Gradio's client would read it on this machine.

        Raises:
            ValueError: an argument names a file in another way.
        """
        traverse(value, _refuse, lambda each: isinstance(each, dict) and "meta" in each)
        names = {str(position[0]) for position in filedata_positions}
        return {name: {"path": self._path_of(each)} if name in names else each for name, each in value.items()}

    def _path_of(self, photo: object) -> str:
        text = photo if isinstance(photo, str) else ""
        if not text.startswith("data:"):
            path = _path_in(text)
            return path if path else _refuse(photo)
        head, _, content = text.partition(",")
        if not head.endswith(";base64"):
            _refuse(photo)
        try:
            decoded = base64.b64decode(content, validate=True)
        except binascii.Error:
            _refuse(photo)
        path = DemoFiles(self.blocks).new("photo")
        Path(path).write_bytes(decoded)
        return path

    def simplify_filedata_schema(self, schema: dict[str, Any]) -> tuple[dict[str, Any], list[list[str | int]]]:
        """As in Gradio; the schema says what :meth:`convert_strings_to_filedata` takes."""
        simple, positions = super().simplify_filedata_schema(schema)
        for name, *_ in positions:
            simple["properties"][name] |= {"format": NOT_A_PHOTO.removeprefix("photo must be ")}
        return simple, positions

    def _prepare_tool_call_args(
        self, name: str, arguments: dict[str, Any]
    ) -> tuple[str, list[Any], dict[str, str], Any]:
        """As in Gradio, but of the caller's headers none goes on; its network address counts for turns."""
        endpoint, inputs, _, function = super()._prepare_tool_call_args(name, arguments)
        client = getattr(self.mcp_server.request_context.request, "client", None)
        return endpoint, inputs, {AGENT: client.host if client else ""}, function

    @staticmethod
    def get_image(file_path: str) -> Image.Image | None:
        """A picture for the answer, or None if it is too large for one."""
        if os.path.isfile(file_path) and os.path.getsize(file_path) <= MOST_SHOWN:
            return GradioMCPServer.get_image(file_path)
        return None

    @staticmethod
    def get_base64_data(image: Any, format: str) -> str:
        """The file as it is, with its metadata."""
        return base64.b64encode(Path(image.filename).read_bytes()).decode()


def _with_short_errors(call: Callable) -> Callable:
    async def shortened(request: Any) -> Any:
        answer = await call(request)
        if answer.root.isError:
            for part in answer.root.content:
                if len(part.text) > MOST_WORDS:
                    part.text = f"{part.text[: MOST_WORDS - 3]}..."
        return answer

    return shortened


def _path_in(text: str) -> str:
    """The path in the address of an uploaded file, or the path itself; "" for an address of something else."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    if not parts.scheme or not parts.netloc:
        return text
    return unquote(parts.path.partition("/gradio_api/file=")[2])


def _refuse(_: object) -> Any:
    raise ValueError(NOT_A_PHOTO)
