"""Templates of routes, never raw paths, as Starlette 1.10 and FastAPI 0.165 leave them in the scope."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from libraries.maestro_monitoring.connections import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from maestro_monitoring import route_template


async def _ok(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def _fastapi() -> FastAPI:
    app, router, inner = FastAPI(), APIRouter(prefix="/items"), FastAPI()

    @router.get("/{item}")
    async def _item(item: str) -> str:
        return item

    @inner.get("/deep/{x}")
    async def _deep(x: str) -> str:
        return x

    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2/{tenant}")
    app.mount("/inner", inner)
    return app


_users = Starlette(routes=[Route("/u/{id:int}", _ok)])
APP = Starlette(
    routes=[
        Route("/plain", _ok),
        Route("/only", _ok, methods=["POST"]),
        Route("/files/{path:path}", _ok),
        Mount("/m", routes=[Route("/a/{b}", _ok), Mount("/n", app=_users)]),
        Mount("/t/{tenant}", app=_users),
        Mount("/x-{part}", app=_users),
        Mount("/static", app=PlainTextResponse("file")),
        Mount("/fast", app=_fastapi()),
    ]
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/plain", "/plain"),
        ("/only", "/only"),
        ("/files/a/b/c", "/files/{path}"),
        ("/m/a/3", "/m/a/{b}"),
        ("/m/n/u/5", "/m/n/u/{id}"),
        ("/t/acme/u/5", "/t/{tenant}/u/{id}"),
        ("/x-acme/u/5", "/{mount}/u/{id}"),
        ("/static/a/b.css", "/static/{path}"),
        ("/fast/v1/items/9", "/fast/v1/items/{item}"),
        ("/fast/v2/acme/items/9", "/fast/v2/{tenant}/items/{item}"),
        ("/fast/inner/deep/1", "/fast/inner/deep/{x}"),
        ("/nothing/here", None),
        ("/plain/", None),
    ],
)
async def test_the_template_is_that_of_the_route_with_its_mounts(path: str, template: str | None) -> None:
    """Mounts and included routers are part of it, parameters stand as names, and what has no route has no template."""
    connection = await Connection(path).run(APP)
    assert route_template(connection.scope) == template


async def test_the_root_path_of_a_proxy_is_no_part_of_the_template() -> None:
    """What stands before the app is not the app's."""
    connection = await Connection("/api/t/acme/u/5", root_path="/api").run(APP)
    assert route_template(connection.scope) == "/t/{tenant}/u/{id}"


@pytest.mark.parametrize("scope", [{}, {"route": None}, {"route": object()}, {"route": type("R", (), {"path": 7})()}])
def test_a_scope_without_a_usable_route_has_no_template(scope: dict[str, Any]) -> None:
    """Other frameworks leave other things there."""
    assert route_template(scope) is None
