"""`POST /mcp`: where MCP clients come in, signed in as everybody else."""

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import READ
from maestro_engine.mcp.server import McpDoor


def mcp_routes(door: McpDoor, auth: FastAPIAuth) -> APIRouter:
    """The one route. There is no GET stream and no session to end, so other methods are 405."""
    routes = APIRouter(dependencies=[auth.require(READ)])

    @routes.post("/mcp", include_in_schema=False)
    async def speak_mcp() -> Response:
        return _Answer(door)

    return routes


class _Answer(Response):
    """Leaves the request to the door, which has not read any of it yet."""

    def __init__(self, door: McpDoor) -> None:
        super().__init__()
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope, receive, send)
