"""Every error that leaves a service is a problem, tells what helps and nothing of the inside."""

import logging
from typing import Any, ClassVar

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_core_api.tiny_app import Coded, Doings, check_problem, client_of, tiny_app
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON = {"Content-Type": "application/json"}


async def answer_to(error: Exception, **options: Any) -> httpx2.Response:
    async with client_of(tiny_app(Doings(error=error), **options)) as client:
        return await client.get("/api/things/broken")


async def test_an_error_with_a_declared_code_gets_its_status_and_says_its_text() -> None:
    """No base class and no handler: the attribute `code` and one row in the table."""
    problem = check_problem(await answer_to(Coded("thing.not-found", "no thing 7")), 404, "thing.not-found")
    assert (problem["detail"], problem["instance"]) == ("no thing 7", "/api/things/broken")
    assert "errors" not in problem


async def test_an_error_without_a_declared_code_is_a_fault_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """500 with a request id; the log has the error and its trace, the answer has neither."""
    for error in (RuntimeError("hunter2"), Coded("other.room", "hunter2"), Coded("7", "hunter2")):
        answer = await answer_to(error)
        check_problem(answer, 500, "service.fault")
        assert "hunter2" not in answer.text
        assert "Traceback" not in answer.text
    failed = [record for record in caplog.records if record.getMessage() == "http.request_failed"]
    assert len(failed) == 3
    assert all(record.exc_info and "hunter2" in str(record.exc_info[1]) for record in failed)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"retry_after_s": 0.2}, "1"),
        ({"retry_after_s": 30}, "30"),
        ({"retryable": True}, "1"),
        ({"retry_after_s": float("nan"), "retryable": False}, None),
        ({"retry_after_s": -1, "retryable": False}, None),
        ({}, None),
    ],
)
async def test_when_to_come_back_becomes_retry_after(more: dict[str, Any], expected: str | None) -> None:
    """Whole seconds, rounded up; one where a retry can help and nobody knows when."""
    answer = await answer_to(Coded("thing.busy", **more))
    check_problem(answer, 503, "thing.busy")
    assert answer.headers.get("retry-after") == expected


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [('Bearer realm="x"', 'Bearer realm="x"'), (None, None), ("", None), ("a\r\nSet-Cookie: x=1", None), ("ü", None)],
)
async def test_how_to_sign_in_becomes_www_authenticate(challenge: object, expected: str | None) -> None:
    """The attribute `challenge` is sent as it is; what is no header is left out."""
    answer = await answer_to(Coded("thing.not-found", challenge=challenge))
    check_problem(answer, 404, "thing.not-found")
    assert answer.headers.get("www-authenticate") == expected
    assert "set-cookie" not in answer.headers


async def test_field_problems_and_known_names_are_told() -> None:
    """`problems` of an error become `errors`, in the part that the table names; `known` is passed on."""

    class Field:
        path, message, code, line, column = "/steps/a", "is unknown", "step.unknown", 3, 7

    problem = check_problem(await answer_to(Coded("thing.invalid", problems=[Field()])), 422, "thing.invalid")
    assert problem["errors"] == [
        {
            "part": "definition",
            "pointer": "/steps/a",
            "message": "is unknown",
            "code": "step.unknown",
            "line": 3,
            "column": 7,
        }
    ]
    problem = check_problem(await answer_to(Coded("thing.unknown-colour", known=["red"])), 422, "thing.unknown-colour")
    assert problem["known"] == ["red"]
    problem = check_problem(await answer_to(Coded("thing.invalid", line=4, column=2)), 422, "thing.invalid")
    assert (problem["errors"][0]["line"], problem["errors"][0]["column"]) == (4, 2)


async def test_a_problem_has_a_bounded_size() -> None:
    """A hundred field problems and two thousand characters are enough to begin with."""

    class Field:
        path, message = "/x" * 5000, "y" * 5000

    answer = await answer_to(Coded("thing.invalid", "z" * 100_000, problems=[Field()] * 5000, known=["k" * 9000] * 500))
    problem = check_problem(answer, 422, "thing.invalid")
    assert len(problem["errors"]) == len(problem["known"]) == 100
    assert len(problem["detail"]) == 2000
    assert len(answer.content) < 1_000_000


@given(st.text(st.characters(), max_size=50))
async def test_any_text_can_be_told(text: str) -> None:
    """Half a surrogate pair, control characters and line ends break no answer."""
    problem = check_problem(await answer_to(Coded("thing.not-found", text or "x")), 404, "thing.not-found")
    assert problem["detail"] == (text or "x")


class Bouncer:
    """A middleware of another library that refuses by its own error."""

    def __init__(self, app: ASGIApp, *, error: Exception) -> None:
        self._app = app
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise self._error
        await self._app(scope, receive, send)


async def test_errors_of_middlewares_are_problems_too() -> None:
    """Sign-in that raises a declared code needs no knowledge of HTTP."""
    stack = [Middleware(Bouncer, error=Coded("thing.not-found", "who are you"))]
    async with client_of(tiny_app(middleware=stack)) as client:
        check_problem(await client.get("/api/things"), 404, "thing.not-found")
        check_problem(await client.get("/api/things", headers={"Host": "evil.example"}), 421, "request.untrusted-host")


class Observer:
    """What metrics do: count every answer by its status."""

    seen: ClassVar[list[int]] = []

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.seen.append(message["status"])
            await send(message)

        await self._app(scope, receive, send_counted)


async def test_observers_see_refusals_and_faults_too() -> None:
    """They stand outside of everything that may answer."""
    app = tiny_app(Doings(error=RuntimeError()), observers=[Middleware(Observer)], max_body_bytes=1024)
    async with client_of(app) as client:
        await client.get("/api/things")
        await client.get("/api/things", headers={"Host": "evil.example"})
        await client.post("/api/things", content=b"x" * 2000)
        await client.get("/api/things/broken")
    assert Observer.seen == [200, 421, 413, 500]


async def test_the_frameworks_own_errors_are_problems() -> None:
    """An HTTPException keeps its status and headers, under the code of its status."""
    async with client_of(tiny_app()) as client:
        for status, code in ((401, "request.unauthenticated"), (410, "request.gone"), (418, "request.refused")):
            answer = await client.get("/api/things/teapot", params={"status": status})
            check_problem(answer, status, code)
            assert answer.headers["x-why"] == "because"
        check_problem(await client.get("/api/things/teapot", params={"status": 502}), 502, "service.fault")
        assert (await client.get("/api/things/teapot", params={"status": 304})).status_code == 304


async def test_what_does_not_fit_is_told_field_by_field() -> None:
    """422 in place of FastAPI's own shape, without repeating what was sent."""
    async with client_of(tiny_app()) as client:
        problem = check_problem(await client.get("/api/things?limit=hunter2"), 422, "request.invalid")
        assert [(each["part"], each["pointer"]) for each in problem["errors"]] == [("query", "/limit")]
        answer = await client.post("/api/things", json={"name": ["hunter2"], "tags": [1, 2]})
        problem = check_problem(answer, 422, "request.invalid")
        assert [each["pointer"] for each in problem["errors"]] == ["/name", "/tags/0", "/tags/1"]
        assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    "kind", ["application/x!y+json", 'application/"x"+json', "application/x y+json", "APPLICATION/JSON"]
)
async def test_nothing_that_the_framework_reads_as_json_gets_past(kind: str) -> None:
    """NaN came back as null under a type that only the framework took for JSON."""
    async with client_of(tiny_app()) as client:
        answer = await client.post(
            "/api/things", content=b'{"name": "a", "weight": NaN}', headers={"Content-Type": kind}
        )
        assert "NaN" in check_problem(answer, 400, "request.malformed")["detail"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff\xfe{", 400, "not UTF-8"),
        (b'{"name": "\x80"}', 400, "not UTF-8"),
        (b"[" * 200_000, 400, "nested too deeply"),
        (b'{"name": ' + b"1" * 5000 + b"}", 400, "too many digits"),
        (b'{"name": "a", "weight": NaN}', 400, "NaN"),
        (b'{"name": "a", "weight": -Infinity}', 400, "-Infinity"),
        (b'{"name": "a", "weight": 1e999}', 400, "1e999"),
        (b'{"name": "a", "weight": ' + b"9" * 400 + b".5}", 400, "999"),
        (b"", 422, "shape"),
        (b"null", 422, "shape"),
        (b"[]", 422, "shape"),
        (b'{"name": "\\ud800"}', 400, "surrogate"),
        (b'{"\\uDFFF": "a"}', 400, "surrogate"),
    ],
)
async def test_a_body_that_cannot_be_read_is_told_why(body: bytes, status: int, says: str) -> None:
    """Never a fault of the service, never a bare text: a problem that says what is wrong with it."""
    async with client_of(tiny_app()) as client:
        answer = await client.post("/api/things", content=body, headers=JSON)
    problem = check_problem(answer, status, "request.malformed" if status == 400 else "request.invalid")
    assert says in problem["detail"]


async def test_a_body_that_breaks_off_is_told_at_which_character() -> None:
    """It stands in words; there is no data that a pointer could point into."""
    async with client_of(tiny_app()) as client:
        answer = await client.post("/api/things", content=b'{"name": {"a" 1}}', headers=JSON)
    (error,) = check_problem(answer, 400, "request.malformed")["errors"]
    assert (error["pointer"], error["message"].endswith("(at character 15)")) == ("", True)


async def test_a_path_without_a_route_is_a_problem() -> None:
    """404 names the path; one slash more is another path and no redirect."""
    async with client_of(tiny_app()) as client:
        for path in ("/", "/api/nothing", "/api/things/", "/api/things//raw", "/%2e%2e/etc", "/api/é"):
            assert check_problem(await client.get(path), 404, "request.unknown-path")["detail"].startswith(
                "Nothing is at"
            )


async def test_a_wrong_method_is_told_all_that_are_possible() -> None:
    """405 with a whole Allow although two routes share the path; OPTIONS asks just that; TRACE repeats nothing."""
    async with client_of(tiny_app()) as client:
        for method in ("DELETE", "PUT", "PATCH", "TRACE", "QUERY"):
            answer = await client.request(method, "/api/things", headers={"X-Secret": "hunter2"})
            check_problem(answer, 405, "request.method-not-allowed")
            assert answer.headers["allow"] == "GET, HEAD, POST"
            assert "hunter2" not in answer.text
        asked = await client.options("/api/things")
        assert (asked.status_code, asked.headers["allow"], asked.content) == (204, "GET, HEAD, POST", b"")
        assert (await client.delete("/api/things/raw")).headers["allow"] == "POST"


async def test_a_method_that_is_none_is_not_implemented() -> None:
    """501 for a method that no HTTP has, 405 for one that this path has not (RFC 9110, 15.6.2)."""
    async with client_of(tiny_app()) as client:
        check_problem(await client.request("FROB", "/api/things"), 501, "request.unknown-method")


async def test_every_kind_of_problem_can_be_read_about() -> None:
    """The page that `type` is about lists every code with its status and meaning."""
    async with client_of(tiny_app()) as client:
        listed = {each["code"]: each for each in (await client.get("/api/problems")).json()}
    assert listed["thing.busy"] == {
        "type": "urn:maestro:problem:thing.busy",
        "code": "thing.busy",
        "status": 503,
        "title": "Thing busy",
        "description": "Somebody else works on it.",
    }
    assert listed["request.malformed"]["status"] == 400


async def test_an_error_after_the_answer_began_is_logged_and_raised_on(caplog: pytest.LogCaptureFixture) -> None:
    """The server cuts the connection: a client must not take half an answer for a whole one."""

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise Coded("thing.not-found", "half way")

    app = tiny_app()
    app.mount("/breaks", breaks)
    with caplog.at_level(logging.INFO):
        async with client_of(app) as client:
            with pytest.raises(Coded, match="half way"):
                await client.get("/breaks/x")
    assert "http.answer_broken" in [record.getMessage() for record in caplog.records]
