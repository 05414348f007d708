"""Idempotency-Key over HTTP: a repeat gets the first answer, and everything else is refused by name."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Form, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from starlette.middleware import Middleware

from maestro_core_api import (
    Claim,
    Idempotency,
    IdempotencyStore,
    IdempotencyUnavailable,
    InvalidApi,
    KeptAnswer,
    MemoryIdempotencyStore,
    SqliteIdempotencyStore,
    create_api,
    idempotent,
)
from maestro_core_api.testing import ManualClock

KEY = {"Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}


class Shop:
    """A service that counts what it did; `gate` holds the handler until it is set."""

    def __init__(self, store: IdempotencyStore, **options: Any) -> None:
        self.made: list[object] = []
        self.gate: asyncio.Event | None = None
        self.running = asyncio.Event()
        self.store = store
        self.app = create_api(
            title="Shop",
            version="1",
            routers=[self._routes()],
            middleware=[Middleware(Idempotency, store=store, **options)],
        )

    def _routes(self) -> APIRouter:
        routes = APIRouter()
        numbers = itertools.count(1)

        def who(request: Request) -> None:
            name = request.headers.get("X-User")
            if name == "nobody":
                raise HTTPException(401)
            if name:
                request.state.principal = SimpleNamespace(subject=name)

        @routes.post("/orders", status_code=201, dependencies=[Depends(who)])
        @idempotent()
        async def create(body: Annotated[dict[str, Any], Body()], response: Response) -> dict[str, Any]:
            self.running.set()
            if self.gate is not None:
                await self.gate.wait()
            self.made.append(body)
            number = next(numbers)
            response.headers["Location"] = f"/orders/{number}"
            response.headers["ETag"] = f'"{number}"'
            for rel in ("self", "next"):
                response.headers.append("Link", f'<?{rel}>; rel="{rel}"')
            response.headers["X-Trace"] = "of this exchange"
            response.set_cookie("session", "secret")
            return {"number": number, "body": body}

        @routes.post("/optional")
        @idempotent(required=False)
        def optional(request: Request) -> int:
            """In a thread, and without a body of its own."""
            self.made.append(request.url.path)
            return len(self.made)

        @routes.post("/form/{name}")
        @idempotent()
        async def form(name: str, text: Annotated[str, Form()]) -> str:
            self.made.append(text)
            return name + text

        @routes.post("/status/{status}")
        @idempotent()
        async def status(status: int, response: Response, later: bool = False, raised: bool = False) -> int:
            self.made.append(status)
            headers = {"Retry-After": "1"} if later else {}
            if raised:
                raise HTTPException(status, headers=headers)
            response.status_code = status
            response.headers.update(headers)
            return len(self.made)

        @routes.post("/broken")
        @idempotent()
        async def broken() -> None:
            self.made.append("broken")
            raise RuntimeError("out of paper")

        @routes.post("/stream")
        @idempotent()
        async def stream() -> Response:
            return StreamingResponse(iter(["a", "b"]))

        @routes.post("/large")
        @idempotent()
        async def large() -> str:
            return "x" * 3000

        @routes.post("/plain")
        async def plain(body: Annotated[dict[str, Any], Body()]) -> int:
            self.made.append(body)
            return len(self.made)

        return routes

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[IdempotencyStore]:
    if request.param == "memory":
        yield MemoryIdempotencyStore(now=clock.now)
    else:
        kept = SqliteIdempotencyStore(tmp_path / "keys.db", now=clock.now)
        yield kept
        kept.close()


@pytest.fixture
def shop(store: IdempotencyStore) -> Shop:
    return Shop(store)


async def test_a_repeat_gets_the_first_answer_and_nothing_happens(shop: Shop) -> None:
    """Status, body and the headers that are about the thing; not those that are about the exchange, nor cookies."""
    async with shop.client() as client:
        first = await client.post("/orders", json={"tea": 1}, headers=KEY)
        client.cookies.clear()
        second = await client.post("/orders", json={"tea": 1}, headers=KEY)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    for name in ("Location", "ETag", "Content-Type", "Content-Length", "Link"):
        assert second.headers.get_list(name) == first.headers.get_list(name)
    assert len(second.headers.get_list("Link")) == 2
    assert {"X-Trace", "Set-Cookie"}.isdisjoint(name.title() for name in second.headers)
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert shop.made == [{"tea": 1}]


async def test_a_hundred_repeats_at_once_run_the_handler_once(shop: Shop) -> None:
    """While it runs all others are told to come back; then all get its answer."""
    shop.gate = asyncio.Event()
    async with shop.client() as client:

        def send() -> "asyncio.Task[httpx2.Response]":
            return asyncio.create_task(client.post("/orders", json={"tea": 1}, headers=KEY))

        tasks = [send() for _ in range(100)]
        done: set[asyncio.Task[httpx2.Response]] = set()
        while len(done) < 99:
            done, _ = await asyncio.wait(tasks, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            tasks_left = [task for task in tasks if not task.done()]
            assert tasks_left
        for task in done:
            refused = task.result()
            assert refused.status_code == 409
            assert refused.json()["code"] == "request.idempotency-key-in-flight"
            assert refused.headers["Retry-After"] == "1"
        shop.gate.set()
        answers = await asyncio.gather(*(send() for _ in range(100)), *tasks_left)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert [answer.status_code for answer in answers][-1] == 201
    assert shop.made == [{"tea": 1}]


async def test_one_key_with_another_request_is_refused(shop: Shop) -> None:
    """Another body, query or type of content; the same JSON in other words is the same."""
    async with shop.client() as client:
        assert (await client.post("/orders", json={"a": 1, "b": [1.0]}, headers=KEY)).status_code == 201
        for changed in (
            client.post("/orders", json={"a": 1, "b": [1.00001]}, headers=KEY),
            client.post("/orders", json={"a": 1, "b": [1]}, headers=KEY),
            client.post("/orders?x=1", json={"a": 1, "b": [1.0]}, headers=KEY),
            client.post("/orders", content=b'{"a":1,"b":[1.0]}', headers={**KEY, "Content-Type": "application/x+json"}),
        ):
            refused = await changed
            assert (refused.status_code, refused.json()["code"]) == (422, "request.idempotency-key-reused")
        same = await client.post(
            "/orders",
            content=b'{ "b": [1.0],\n "a": 1 }',
            headers={**KEY, "Content-Type": "application/json; charset=utf-8"},
        )
        assert same.headers["Idempotency-Replayed"] == "true"
    assert len(shop.made) == 1


async def test_a_key_belongs_to_who_uses_it_and_to_the_route(shop: Shop) -> None:
    """Nobody gets the answer that another one was given."""
    async with shop.client() as client:
        numbers = [
            (await client.post("/orders", json={}, headers={**KEY, **user})).json()["number"]
            for user in ({"X-User": "ann"}, {"X-User": "bob"}, {}, {"X-User": "ann"})
        ]
        assert numbers == [1, 2, 3, 1]
        assert (await client.post("/optional", headers=KEY)).status_code == 200
        assert (await client.post("/form/a", data={"text": "x"}, headers=KEY)).json() == "ax"
        # One route, another path: another request.
        assert (await client.post("/form/b", data={"text": "x"}, headers=KEY)).status_code == 422


async def test_who_may_not_ask_learns_nothing_and_keeps_nothing(shop: Shop) -> None:
    """Sign-in and validation come before the key, so their refusals do not use it up."""
    async with shop.client() as client:
        assert (await client.post("/orders", json={}, headers={**KEY, "X-User": "nobody"})).status_code == 401
        assert (await client.post("/orders", json=[], headers=KEY)).status_code == 422
        assert (await client.post("/orders", json={}, headers=KEY)).status_code == 201
        assert (await client.post("/orders", json={}, headers={**KEY, "X-User": "nobody"})).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        '""',
        "abc",
        "'abc'",
        '"abc',
        'abc"',
        '"a"b"',
        '"a\\b"',
        '"a\\"',
        '"a";x=1',
        '"a", "b"',
        '"ä"',
        '"a\tb"',
        '"\x7f"',
        '"' + "x" * 256 + '"',
        ":YWJj:",
        "1",
        "?1",
    ],
)
async def test_what_is_no_structured_field_string_is_refused(header: str) -> None:
    """By its form, and without being repeated in the answer."""
    shop = Shop(MemoryIdempotencyStore())
    async with shop.client() as client:
        refused = await client.post("/orders", json={}, headers=[(b"Idempotency-Key", header.encode("latin-1"))])
    assert (refused.status_code, refused.json()["code"]) == (400, "request.bad-idempotency-key")
    assert header not in refused.text or len(header) < 3
    assert shop.made == []


async def test_two_keys_in_one_request_are_refused(shop: Shop) -> None:
    async with shop.client() as client:
        for first, second in (('"a"', '"a"'), ('"a', 'b"')):
            twice = [("Idempotency-Key", first), ("Idempotency-Key", second)]
            refused = await client.post("/orders", json={}, headers=twice)
            assert (refused.status_code, refused.json()["code"]) == (400, "request.bad-idempotency-key")


async def test_all_of_printable_ascii_may_stand_in_a_key(shop: Shop) -> None:
    r"""With \" and \\ escaped; each of them is a key of its own."""
    async with shop.client() as client:
        keys = [chr(code) for code in range(0x20, 0x7F)] + ["x" * 255]
        escaped = [key.replace("\\", r"\\").replace('"', r"\"") for key in keys]
        for key in escaped:
            made = await client.post("/orders", json={}, headers={"Idempotency-Key": f'"{key}"'})
            assert made.status_code == 201
    assert len(shop.made) == len(keys)


async def test_a_key_is_wanted_where_it_is_required_only(shop: Shop) -> None:
    async with shop.client() as client:
        missing = await client.post("/orders", json={})
        assert (missing.status_code, missing.json()["code"]) == (400, "request.idempotency-key-missing")
        assert [(await client.post("/optional")).json() for _ in range(2)] == [1, 2]
        assert [(await client.post("/optional", headers=KEY)).json() for _ in range(2)] == [3, 3]


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("200", True),
        ("302", True),
        ("404", True),
        ("409", True),
        ("422?raised=true", True),
        ("404?raised=true", True),
        ("401?raised=true", False),
        ("403", False),
        ("429", False),
        ("500", False),
        ("503?raised=true", False),
        ("409?later=true", False),
        ("409?later=true&raised=true", False),
        ("202?later=true", True),
    ],
)
async def test_an_answer_is_final_unless_it_says_not_now_or_not_you(shop: Shop, path: str, kept: bool) -> None:
    """A fault of the service, a refusal of the caller, and what has a Retry-After leave the key free."""
    async with shop.client() as client:
        answers = [await client.post(f"/status/{path}", headers=KEY) for _ in range(2)]
    assert answers[0].status_code == answers[1].status_code
    assert len(shop.made) == (1 if kept else 2)
    assert ("Idempotency-Replayed" in answers[1].headers) == kept


async def test_a_handler_that_fails_leaves_the_key_free(shop: Shop) -> None:
    async with shop.client() as client:
        for count in (1, 2):
            assert (await client.post("/broken", headers=KEY)).status_code == 500
            assert len(shop.made) == count


async def test_a_request_that_is_cut_off_leaves_the_key_free(shop: Shop) -> None:
    """Whoever was cancelled in the middle, by a time limit for one, may be repeated."""
    shop.gate = asyncio.Event()
    async with shop.client() as client:
        task = asyncio.create_task(client.post("/orders", json={}, headers=KEY))
        await asyncio.wait_for(shop.running.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        shop.gate.set()
        assert (await client.post("/orders", json={}, headers=KEY)).status_code == 201


async def test_a_request_that_is_cut_off_while_it_asks_for_its_key_leaves_it_free() -> None:
    """It may have got it all the same, after nobody waited for it any more."""

    class Slow(MemoryIdempotencyStore):
        asked, answers = asyncio.Event(), asyncio.Event()

        async def begin(
            self, key: str, fingerprint: str, token: str, *, lease: timedelta, retention: timedelta
        ) -> Claim:
            claim = await super().begin(key, fingerprint, token, lease=lease, retention=retention)
            self.asked.set()
            await self.answers.wait()
            return claim

    shop = Shop(Slow())
    async with shop.client() as client:
        task = asyncio.create_task(client.post("/optional", headers=KEY))
        await asyncio.wait_for(Slow.asked.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        Slow.answers.set()
        assert (await client.post("/optional", headers=KEY)).status_code == 200


async def test_after_a_crash_the_key_is_held_until_its_lease_lapses(shop: Shop, clock: ManualClock) -> None:
    """And then a repeat runs: nobody knows whether the first had its effect."""
    shop.gate = asyncio.Event()
    async with shop.client() as client:
        stuck = asyncio.create_task(client.post("/orders", json={}, headers=KEY))
        await asyncio.wait_for(shop.running.wait(), 30)
        again = Shop(shop.store)  # another process; the first one is as good as dead
        async with again.client() as other:
            assert (await other.post("/orders", json={}, headers=KEY)).status_code == 409
            clock.advance(119)
            assert (await other.post("/orders", json={}, headers=KEY)).status_code == 409
            clock.advance(1)
            second = await other.post("/orders", json={}, headers=KEY)
            assert second.status_code == 201
            assert "Idempotency-Replayed" not in second.headers
            # The first one wakes up after all: its caller is answered, and what is kept stays.
            shop.gate.set()
            assert (await stuck).status_code == 201
            assert (await other.post("/orders", json={}, headers=KEY)).content == second.content
    assert (len(shop.made), len(again.made)) == (1, 1)


async def test_an_answer_is_kept_for_24_hours(shop: Shop, clock: ManualClock) -> None:
    async with shop.client() as client:
        await client.post("/orders", json={}, headers=KEY)
        clock.advance(24 * 3600 - 1)
        assert (await client.post("/orders", json={}, headers=KEY)).json()["number"] == 1
        clock.advance(1)
        assert (await client.post("/orders", json={}, headers=KEY)).json()["number"] == 2


async def test_streams_and_large_answers_are_a_fault_and_say_so_in_the_log(
    store: IdempotencyStore, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of them is sent, and the key is free."""
    shop = Shop(store, max_body_bytes=2048)
    async with shop.client() as client:
        for path in ("/stream", "/large"):
            for _ in range(2):
                failed = await client.post(path, headers=KEY)
                assert (failed.status_code, failed.json()["code"]) == (500, "service.fault")


async def test_a_body_above_the_limit_is_refused_on_idempotent_routes_only(store: IdempotencyStore) -> None:
    shop = Shop(store, max_body_bytes=2048)
    async with shop.client() as client:
        refused = await client.post("/orders", json={"x": "y" * 3000}, headers=KEY)
        assert (refused.status_code, refused.json()["code"]) == (413, "request.body-too-large-for-key")
        assert (await client.post("/plain", json={"x": "y" * 3000}, headers=KEY)).status_code == 200
        assert len(shop.made) == 1


async def test_a_store_that_cannot_keep_refuses_before_anything_happens() -> None:
    """And one that fails afterwards does not hide from the caller what has happened."""
    full = MemoryIdempotencyStore(max_keys=1)
    shop = Shop(full)
    async with shop.client() as client:
        assert (await client.post("/orders", json={}, headers=KEY)).status_code == 201
        refused = await client.post("/orders", json={}, headers={"Idempotency-Key": '"other"'})
        assert (refused.status_code, refused.json()["code"]) == (503, "request.idempotency-unavailable")
        assert "Retry-After" in refused.headers
    assert len(shop.made) == 1


async def test_a_store_that_breaks_after_the_effect_does_not_hide_it() -> None:
    class Breaking(MemoryIdempotencyStore):
        async def finish(self, key: str, token: str, answer: KeptAnswer, *, retention: timedelta) -> bool:
            raise IdempotencyUnavailable("disk full")

    shop = Shop(Breaking())
    async with shop.client() as client:
        assert (await client.post("/orders", json={}, headers=KEY)).status_code == 201
        assert (await client.post("/orders", json={}, headers=KEY)).status_code == 409
    assert len(shop.made) == 1


async def test_routers_of_one_path_under_two_prefixes_are_two_routes() -> None:
    calls: list[str] = []
    inner = APIRouter()

    @inner.post("/")
    @idempotent()
    async def create(request: Request) -> None:
        calls.append(request.url.path)

    app = create_api(title="Two", version="1", middleware=[Middleware(Idempotency, store=MemoryIdempotencyStore())])
    app.include_router(inner, prefix="/tea")
    app.include_router(inner, prefix="/coffee")
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in ("/tea/", "/coffee/", "/tea/"):
            assert (await client.post(path, headers=KEY)).status_code == 200
    assert calls == ["/tea/", "/coffee/"]


async def test_without_the_middleware_an_idempotent_route_says_what_is_missing() -> None:
    app = FastAPI()

    @app.post("/x")
    @idempotent()
    async def x() -> None: ...

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
        with pytest.raises(InvalidApi, match="middleware Idempotency"):
            await client.post("/x", headers=KEY)


def test_generators_cannot_be_idempotent() -> None:
    async def events() -> AsyncIterator[int]:
        yield 1

    def lines() -> Iterator[int]:
        yield 1

    for endpoint in (events, lines):
        with pytest.raises(InvalidApi, match="streams"):
            idempotent()(endpoint)


def test_a_lease_is_some_time_and_not_longer_than_the_retention() -> None:
    for lease in (timedelta(0), timedelta(days=2)):
        with pytest.raises(InvalidApi):
            Idempotency(FastAPI(), store=MemoryIdempotencyStore(), lease=lease)


def test_the_contract_says_what_an_idempotent_route_takes_and_answers(shop: Shop) -> None:
    """The header, required or not, its refusals, and the mark of a repeat."""
    paths = shop.app.openapi()["paths"]
    for path, required in (("/orders", True), ("/optional", False)):
        operation = paths[path]["post"]
        (header,) = [each for each in operation["parameters"] if each["in"] == "header"]
        assert (header["name"], header["required"]) == ("Idempotency-Key", required)
        assert {"400", "409", "413", "422", "503"} <= operation["responses"].keys()
    assert "Idempotency-Replayed" in paths["/orders"]["post"]["responses"]["201"]["headers"]
    assert "parameters" not in paths["/plain"]["post"]
