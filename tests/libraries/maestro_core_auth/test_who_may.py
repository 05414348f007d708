"""The table of who may do what holds for a real application, and finds what is wrong with one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from libraries.maestro_core_auth.example_app import make_world
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

from maestro_core_auth.testing import who_may

DOCS = ("GET /openapi.json", "GET /docs", "GET /docs/oauth2-redirect", "GET /redoc")
TABLE = """
                        | anonymous | viewer | operator | admin
------------------------|-----------|--------|----------|------
GET /health             | allow     | allow  | allow    | allow
GET /me                 | deny      | allow  | allow    | allow
GET /workflows/{number} | deny      | allow  | allow    | allow
POST /workflows         | deny      | deny   | allow    | allow
GET /v1/audit           | deny      | deny   | deny     | allow
WS /audit/feed          | deny      | deny   | deny     | allow
WS /ws                  | deny      | allow  | allow    | allow
"""


async def test_the_example_keeps_its_table() -> None:
    """Every route as every principal, the socket too, by real requests."""
    world = await make_world()
    await who_may(world.app, TABLE, world.credentials, ignore=DOCS)


async def failure(table: str, **changes: Any) -> str:
    world = await make_world()
    with pytest.raises(AssertionError) as caught:
        await who_may(world.app, table, {**world.credentials, **changes}, ignore=DOCS)
    return str(caught.value)


async def test_a_cell_that_is_wrong_is_shown_in_the_table_as_it_is() -> None:
    """In both directions; the rest of the table is there to be read."""
    wrong = TABLE.replace("POST /workflows         | deny      | deny ", "POST /workflows         | deny      | allow")
    text = await failure(wrong.replace("GET /health             | allow", "GET /health             | deny "))
    assert "cells in capitals are not as they should be" in text
    rows = {line.split("|")[0].strip(): [cell.strip() for cell in line.split("|")[1:]] for line in text.splitlines()}
    assert rows["POST /workflows"] == ["deny", "DENY", "allow", "allow"]
    assert rows["GET /health"] == ["ALLOW", "allow", "allow", "allow"]
    assert rows[""] == ["anonymous", "viewer", "operator", "admin"] or "anonymous" in text


async def test_a_route_in_no_row_is_found() -> None:
    text = await failure(TABLE.replace("GET /v1/audit           | deny      | deny   | deny     | allow\n", ""))
    assert "GET /v1/audit: is in no row" in text


async def test_a_row_of_no_route_is_found() -> None:
    row = "DELETE /workflows       | deny      | deny   | deny     | allow\n"
    assert "DELETE /workflows: names no route" in await failure(TABLE + row)


async def test_a_credential_that_is_not_good_is_no_denial() -> None:
    """A known principal that gets 401 has a broken credential, and its row proves nothing."""
    text = await failure(TABLE, viewer="mst_wrong")
    assert "| 401 " in text


async def test_an_answer_without_end_is_an_answer() -> None:
    """A stream of events is known by its beginning."""

    async def forever(_: Any) -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.get_running_loop().create_future()

        return StreamingResponse(events())

    app = Starlette(routes=[Route("/events", forever)])
    await who_may(app, "| anonymous\nGET /events | allow", {})


async def test_a_socket_that_is_not_answered_is_no_verdict() -> None:
    """An application that falls silent has let nobody in, and has not refused anybody either."""

    async def silent(_: Any) -> None:
        return None

    app = Starlette(routes=[WebSocketRoute("/ws", silent)])
    with pytest.raises(AssertionError, match=r"WS /ws \| 1006"):
        await who_may(app, "| anonymous\nWS /ws | deny", {})


async def test_a_server_that_fails_denies_nobody() -> None:
    """5xx is no verdict; and any Starlette application will do, with what is mounted in it."""

    async def fails(_: Any) -> PlainTextResponse:
        return PlainTextResponse("", 503)

    async def refuses(socket: Any) -> None:
        await socket.close(1008)

    app = Starlette(
        routes=[Mount("/in", routes=[Route("/fails", fails, methods=["GET"])]), WebSocketRoute("/ws", refuses)]
    )
    table = "| anonymous\nGET /in/fails | deny\nWS /ws | deny"
    with pytest.raises(AssertionError, match=r"GET /in/fails \| 503"):
        await who_may(app, table, {})


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ("", "the table is empty"),
        ("| anonymous | anonymous\n", "line 1: no principals, or one twice"),
        ("| anonymous\nGET health | deny", "line 2: 'GET health' is not written METHOD /path"),
        ("| anonymous\nGET /x | maybe", "line 2: GET /x needs 1 cells of allow or deny"),
        ("| anonymous\nGET /x | deny | deny", "line 2: GET /x needs 1 cells"),
        ("| anonymous\nGET /x | deny\nGET /x | deny", "line 3: GET /x stands in the table twice"),
        ("| viewer\nGET /x | deny", "the table needs a column anonymous"),
        ("| anonymous | viewer\nGET /x | deny | deny", "the table has ['viewer'], the credentials []"),
    ],
)
async def test_a_table_that_cannot_be_read_says_where(table: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong.replace("[", r"\[").replace("]", r"\]")):
        await who_may(Starlette(), table, {})
