"""The demo's endpoints as an agent's tools, over localhost; skipped where the extra ``mcp`` is not installed."""

import ast
import asyncio
import base64

import pytest
import skimage.data
from PIL import Image

from stgan import FaceEditor
from stgan.photo.detect import FaceDetector

pytest.importorskip("mcp", reason="the extra `mcp` is not installed: pip install -e '.[mcp]'")

from mcp import ClientSession  # noqa: E402
from mcp.client.streamable_http import streamablehttp_client  # noqa: E402


def with_tools(address, ask):
    """What ``ask(session)`` answers, of an agent connected to the demo."""

    async def connected():
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await ask(session)

    return asyncio.run(asyncio.wait_for(connected(), timeout=120))


def test_only_the_public_endpoints_are_tools_and_they_say_what_they_take(demo_address):
    listed = with_tools(demo_address, lambda session: session.list_tools())
    tools = {tool.name: tool for tool in listed.tools}
    assert set(tools) == {"attributes", "edit", "edit_all"}
    for tool in tools.values():
        assert tool.description
        assert "photo" in tool.inputSchema["properties"]


def test_an_agent_is_told_what_the_library_tells(demo_address, model_folder, tmp_path):
    path = tmp_path / "portrait.png"
    Image.fromarray(skimage.data.astronaut()).save(path)

    async def ask(session):
        photo = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        return await session.call_tool("attributes", {"photo": photo})

    answer = with_tools(demo_address, ask)
    assert not answer.isError, answer.content
    expected = FaceEditor.from_pretrained(model_folder, detector=FaceDetector()).attributes(path)
    assert ast.literal_eval(answer.content[0].text) == pytest.approx(expected, abs=1e-4)
