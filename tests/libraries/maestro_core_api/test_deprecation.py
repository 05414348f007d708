"""Deprecation and Sunset: on every answer of the route, and in the contract."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from fastapi import APIRouter, Depends, Response
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from maestro_core_api import ApiError, Deprecated, Deprecations, InvalidApi, create_api
from maestro_core_api.testing import ManualClock

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
SUNSET = datetime(2026, 9, 1, 2, tzinfo=timezone(timedelta(hours=2)))


class Closed(ApiError):
    code = "request.conflict"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SINCE)


@pytest.fixture
def client(clock: ManualClock) -> TestClient:
    routes, old = APIRouter(), APIRouter()
    going = Deprecated(
        since=SINCE,
        sunset=SUNSET,
        info="https://x.example/why",
        sunset_info="/when",
        gone_after_sunset=True,
        now=clock.now,
    )

    @routes.get("/going/{number}", dependencies=[Depends(going)])
    async def going_route(number: int, response: Response) -> int:
        if number == 409:
            raise Closed("closed")
        if number == 500:
            raise RuntimeError("broken")
        response.headers["Link"] = '<?next>; rel="next"'
        return number

    @routes.get("/staying", dependencies=[Depends(Deprecated(since=SINCE, sunset=SUNSET, now=clock.now))])
    async def staying() -> None: ...

    @routes.get("/fresh")
    async def fresh() -> None: ...

    @old.get("/thing")
    async def thing() -> None: ...

    app = create_api(title="Old", version="1", routers=[routes], middleware=[Middleware(Deprecations)])
    app.include_router(old, prefix="/v1", dependencies=[Depends(Deprecated(since=SINCE))])
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.mark.parametrize(("number", "status"), [("1", 200), ("409", 409), ("500", 500), ("x", 422)])
def test_every_answer_of_the_route_is_announced(client: TestClient, number: str, status: int) -> None:
    """Errors too, whoever makes them; RFC 9745's date is @ and Unix time, RFC 8594's an HTTP date in GMT."""
    answer = client.get(f"/going/{number}")
    assert answer.status_code == status
    assert answer.headers["Deprecation"] == "@1772323200"
    assert answer.headers["Sunset"] == "Tue, 01 Sep 2026 00:00:00 GMT"
    links = answer.headers.get_list("Link")
    assert links[-1] == '<https://x.example/why>; rel="deprecation", </when>; rel="sunset"'
    assert len(links) == (2 if status == 200 else 1)


def test_other_routes_and_paths_say_nothing(client: TestClient) -> None:
    for path in ("/fresh", "/nowhere"):
        assert {"deprecation", "sunset"}.isdisjoint(client.get(path).headers)


def test_a_router_marks_all_its_routes(client: TestClient) -> None:
    answer = client.get("/v1/thing")
    assert answer.headers["Deprecation"] == "@1772323200"
    assert "Sunset" not in answer.headers
    assert "Link" not in answer.headers


def test_after_its_sunset_a_route_is_gone_if_it_was_told_so(client: TestClient, clock: ManualClock) -> None:
    """For wrong requests as well; and the route that was not told so stays."""
    clock.advance((SUNSET - SINCE).total_seconds() - 0.001)
    assert client.get("/going/1").status_code == 200
    clock.advance(0.001)
    for number in ("1", "x"):
        gone = client.get(f"/going/{number}")
        assert (gone.status_code, gone.json()["code"]) == (410, "request.gone")
        assert gone.headers["Sunset"] == "Tue, 01 Sep 2026 00:00:00 GMT"
    assert client.get("/staying").status_code == 200


def test_the_contract_marks_what_is_deprecated(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert paths["/going/{number}"]["get"]["deprecated"] is True
    assert paths["/v1/thing"]["get"]["deprecated"] is True
    assert "deprecated" not in paths["/fresh"]["get"]
    assert {"Deprecation", "Sunset"} <= paths["/going/{number}"]["get"]["responses"]["200"]["headers"].keys()
    assert "410" in paths["/going/{number}"]["get"]["responses"]
    assert "410" not in paths["/staying"]["get"]["responses"]


def test_what_cannot_be_announced_is_refused() -> None:
    """Times without a zone, a sunset before the deprecation or missing, and links that would break the header."""
    naive = SINCE.replace(tzinfo=None)
    with pytest.raises(InvalidApi):
        Deprecated(since=naive)
    with pytest.raises(InvalidApi):
        Deprecated(since=SINCE, sunset=SUNSET.replace(tzinfo=None))
    with pytest.raises(InvalidApi):
        Deprecated(since=SUNSET, sunset=SINCE)
    with pytest.raises(InvalidApi):
        Deprecated(since=SINCE, gone_after_sunset=True)
    for link in ('/x>; rel="evil"', "a b", "", "é", "/x\r\nX: y"):
        with pytest.raises(InvalidApi):
            Deprecated(since=SINCE, info=link)
