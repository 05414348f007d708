"""What dependencies and endpoints say of themselves in the contract."""

from typing import Any

import pytest
from fastapi import APIRouter, Depends

from maestro_core_api import RouteDocs, create_api, documented, idempotent


def needs_ticket() -> None:
    """A dependency of some service."""


COUNT = {"schema": {"type": "integer"}}
TICKET = {"name": "X-Ticket", "in": "header", "required": True, "schema": {"type": "string"}}
documented(
    needs_ticket,
    RouteDocs(
        parameters=(TICKET,),
        answers={402: {"description": "Buy one."}, 200: {"description": "Never said."}},
        headers={
            "2XX": {"X-Left": {"schema": {"type": "integer"}}},
            "402": {"X-Price": {"schema": {"type": "integer"}}},
        },
    ),
)
documented(needs_ticket, RouteDocs(deprecated=True, methods=("DELETE",)))


@pytest.fixture
def paths() -> dict[str, Any]:
    inner, outer = APIRouter(), APIRouter(dependencies=[Depends(needs_ticket)])

    def indirectly(ticket: None = Depends(needs_ticket)) -> None: ...

    @inner.get("/deep", dependencies=[Depends(indirectly)], responses={402: {"description": "Its own word."}})
    async def deep() -> None: ...

    @outer.delete("/wide", status_code=204)
    async def wide() -> None: ...

    @inner.post("/free")
    @idempotent(required=False)
    async def free() -> None: ...

    inner.include_router(outer, prefix="/outer")
    app = create_api(title="Tickets", version="1", routers=[inner])
    document: dict[str, Any] = app.openapi()["paths"]
    return document


def test_what_a_dependency_says_is_said_of_every_route_that_uses_it(paths: dict[str, Any]) -> None:
    """Through other dependencies, and through routers that include the route."""
    assert paths["/deep"]["get"]["parameters"] == [TICKET]
    assert paths["/outer/wide"]["delete"]["parameters"] == [TICKET]
    assert paths["/outer/wide"]["delete"]["responses"]["402"]["headers"].keys() == {"X-Price"}
    assert paths["/outer/wide"]["delete"]["responses"]["204"]["headers"].keys() == {"X-Left"}
    assert "X-Ticket" not in str(paths["/free"])


def test_what_the_route_says_itself_stays(paths: dict[str, Any]) -> None:
    answers = paths["/deep"]["get"]["responses"]
    assert answers["402"]["description"] == "Its own word."
    assert answers["200"]["description"] == "Successful Response"


def test_what_is_said_of_some_methods_is_not_said_of_others(paths: dict[str, Any]) -> None:
    assert paths["/outer/wide"]["delete"]["deprecated"] is True
    assert "deprecated" not in paths["/deep"]["get"]
