"""The demo's endpoints as an agent's tools, over localhost; skipped where the extra ``mcp`` is not installed."""

import ast
import asyncio
import base64

import pytest

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


def test_an_agent_is_told_what_the_library_tells(demo_address, editor, photo):
    async def ask(session):
        data = f"data:image/png;base64,{base64.b64encode(photo.read_bytes()).decode()}"
        return await session.call_tool("attributes", {"photo": data})

    answer = with_tools(demo_address, ask)
    assert not answer.isError, answer.content
    assert ast.literal_eval(answer.content[0].text) == pytest.approx(editor.attributes(photo), abs=1e-4)
