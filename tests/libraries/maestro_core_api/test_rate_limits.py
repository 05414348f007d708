"""Rate limits over HTTP: who is refused, by what, and what every answer tells."""

from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Request
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from maestro_core_api import (
    ApiError,
    InvalidApi,
    MemoryRateLimitStore,
    RateLimitPolicy,
    RateLimits,
    by_principal,
    create_api,
    rate_limit,
)
from maestro_core_api.testing import ManualClock

TWO = RateLimitPolicy("two", quota=2, window_s=60)
MANY = RateLimitPolicy("many", quota=100, window_s=3600)
POLICIES = '"many";q=100;w=3600, "two";q=2;w=60'


class NotFound(ApiError):
    code = "request.unknown-path"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def client_of(clock: ManualClock, *, policies: tuple[RateLimitPolicy, ...] = (MANY,), **options: Any) -> TestClient:
    routes = APIRouter()

    def who(request: Request, x_user: Annotated[str | None, Header()] = None) -> None:
        if x_user:
            request.state.principal = SimpleNamespace(subject=x_user)

    def tenant(x_tenant: Annotated[str, Header()]) -> str:
        return f"tenant:{x_tenant}"

    @routes.get("/open")
    async def open_route() -> None: ...

    @routes.get("/two", dependencies=[Depends(rate_limit(TWO))])
    async def two(missing: bool = False) -> None:
        if missing:
            raise NotFound("nothing there")

    @routes.get("/mine", dependencies=[Depends(who), Depends(rate_limit(TWO, by=by_principal))])
    async def mine() -> None: ...

    @routes.get("/tenants", dependencies=[Depends(rate_limit(TWO, by=tenant))])
    async def tenants() -> None: ...

    store = MemoryRateLimitStore(now_ns=clock.monotonic_ns)
    middleware = [Middleware(RateLimits, store=store, policies=policies, **options)]
    app = create_api(title="Limited", version="1", routers=[routes], middleware=middleware)
    return TestClient(app, base_url="http://localhost", client=("203.0.113.9", 50000))


def test_every_answer_tells_what_holds_and_what_is_left(clock: ManualClock) -> None:
    """Of all policies that held; on errors, whoever raises them, and where there is nothing, too."""
    client = client_of(clock)
    assert client.get("/open").headers["RateLimit"] == '"many";r=99;t=36'
    missing = client.get("/two?missing=true")
    assert missing.status_code == 404
    assert missing.headers["RateLimit-Policy"] == POLICIES
    assert missing.headers["RateLimit"] == '"many";r=98;t=36, "two";r=1;t=30'
    assert client.get("/nowhere").headers["RateLimit"] == '"many";r=97;t=36'
    assert client.post("/two").headers["RateLimit"] == '"many";r=96;t=36'


def test_who_comes_too_often_is_told_when_to_come_back_and_may_then(clock: ManualClock) -> None:
    """Retry-After is never before the end of what RateLimit says."""
    client = client_of(clock)
    for _ in range(2):
        assert client.get("/two").status_code == 200
    refused = client.get("/two")
    assert (refused.status_code, refused.json()["code"]) == (429, "request.too-many")
    assert refused.headers["Retry-After"] == "30"
    assert refused.headers["RateLimit"].endswith('"two";r=0;t=30')
    assert "two" in refused.json()["detail"]
    clock.advance(29.999)
    assert client.get("/two").status_code == 429
    clock.advance(0.001)
    assert client.get("/two").status_code == 200


def test_the_middleware_refuses_before_the_app_is_asked(clock: ManualClock) -> None:
    """What is not there as well; paths that are exempt are not counted and told nothing."""
    client = client_of(clock, policies=(TWO,), exempt=["/api/health/live"])
    for _ in range(5):
        probe = client.get("/api/health/live")
        assert probe.status_code == 200
        assert "RateLimit" not in probe.headers
    assert [client.get("/nowhere").status_code for _ in range(3)] == [404, 404, 429]
    refused = client.get("/open")
    assert (refused.status_code, refused.headers["Retry-After"], refused.headers["RateLimit"]) == (
        429,
        "30",
        '"two";r=0;t=30',
    )


def test_a_limit_is_of_the_principal_of_the_address_or_of_what_the_service_says(clock: ManualClock) -> None:
    client = client_of(clock)

    def statuses(path: str, **headers: str) -> list[int]:
        return [client.get(path, headers=headers).status_code for _ in range(3)]

    assert statuses("/mine", **{"X-User": "ann"}) == [200, 200, 429]
    assert statuses("/mine", **{"X-User": "bob"}) == [200, 200, 429]
    assert statuses("/mine") == [200, 200, 429]
    assert statuses("/tenants", **{"X-Tenant": "a"}) == [200, 200, 429]
    assert statuses("/tenants", **{"X-Tenant": "b"}) == [200, 200, 429]
    # A principal cannot take the name of an address.
    assert statuses("/mine", **{"X-User": "address:203.0.113.9"}) == [200, 200, 429]


def test_x_forwarded_for_counts_from_trusted_proxies_only(clock: ManualClock) -> None:
    def statuses(**options: Any) -> list[int]:
        client = client_of(clock, **options)
        return [client.get("/two", headers={"X-Forwarded-For": f"198.51.100.{n}"}).status_code for n in range(4)]

    assert statuses() == [200, 200, 429, 429]
    assert statuses(trusted_proxies=["203.0.113.0/24"]) == [200, 200, 200, 200]


def test_what_is_put_together_wrongly_says_so() -> None:
    with pytest.raises(InvalidApi, match="at least one"):
        rate_limit()
    with pytest.raises(InvalidApi, match="same name"):
        rate_limit(TWO, TWO)
    app = FastAPI(dependencies=[Depends(rate_limit(TWO))])

    @app.get("/x")
    async def x() -> None: ...

    with pytest.raises(InvalidApi, match="middleware RateLimits"):
        TestClient(app).get("/x")


def test_the_contract_says_that_a_route_is_limited(clock: ManualClock) -> None:
    paths = client_of(clock).get("/api/openapi.json").json()["paths"]
    answers = paths["/two"]["get"]["responses"]
    assert {"RateLimit", "RateLimit-Policy"} <= answers["200"]["headers"].keys() & answers["429"]["headers"].keys()
    assert "429" not in paths["/open"]["get"]["responses"]
