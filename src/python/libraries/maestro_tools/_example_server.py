"""A server that behaves, made with the MCP SDK itself: `python -m maestro_tools._example_server [http]`.

Over HTTP it takes a free loopback port, prints its address, and ends when its input does.
"""

import asyncio
import contextlib
import os
import socket
import sys
import threading
from typing import Annotated, Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

server = MCPServer("example")


class Echo(BaseModel):
    """What `echo` answers."""

    text: str


class Choice(BaseModel):
    """What `ask` wants to know."""

    yes: bool


@server.tool()
def echo(text: str) -> Echo:
    """Say the same again."""
    return Echo(text=text)


@server.tool()
def fail(text: str) -> Echo:
    """Fail, with this text."""
    raise ToolError(text)


@server.tool()
async def sleep(seconds: float) -> str:
    """Answer after some time."""
    await asyncio.sleep(seconds)
    return "slept"


@server.tool()
def big(size_bytes: int) -> str:
    """Answer with so many bytes."""
    return "x" * size_bytes


@server.tool(structured_output=False)
def about(context: Context[Any, Any]) -> dict[str, Any]:
    """Say which process this is, and what came beside the arguments."""
    meta = context.request_context.meta
    return {"pid": os.getpid(), "meta": dict(meta or {}), "version": context.request_context.protocol_version}


def _ask() -> Elicit[Choice]:
    return Elicit("May I?", Choice)


@server.tool()
def ask(choice: Annotated[Choice, Resolve(_ask)]) -> str:
    """Ask a person before answering."""
    return "yes" if choice.yes else "no"


def serve_http() -> None:
    """Serve on a free loopback port until stdin ends."""
    # With its protocol named, asyncio sets TCP_NODELAY on it; an answer takes 40 ms otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    http = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error", lifespan="on"))

    def end_with_input() -> None:
        with contextlib.suppress(OSError):
            sys.stdin.buffer.read()
        http.should_exit = True

    threading.Thread(target=end_with_input, daemon=True).start()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    asyncio.run(http.serve(sockets=[listener]))


if __name__ == "__main__":
    if sys.argv[1:] == ["http"]:
        serve_http()
    else:
        asyncio.run(server.run_stdio_async())
