"""What every request passes first, and what errors look like: the edge of maestro-core-api, as the engine sets it."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from services.maestro_engine.running import Engine, StartEngine, one_step

PROBLEM_KEYS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


def check_problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an answer that is a problem document as RFC 9457 has it."""
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.keys() >= PROBLEM_KEYS
    assert problem["type"] == f"urn:maestro:problem:{code}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]", "a@localhost", ""]
)
async def test_a_foreign_host_is_refused(engine: Engine, host: str) -> None:
    """A name that an attacker points at loopback gets nothing (DNS rebinding)."""
    answer = await engine.http.get("/api/health/live", headers={"Host": host})
    check_problem(answer, 421, "request.untrusted-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:9"])
async def test_loopback_hosts_are_answered(engine: Engine, host: str) -> None:
    """Every way of naming this machine works, with any port (a tunnel changes it)."""
    assert (await engine.http.get("/api/health/live", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://localhost", "localhost"]
)
async def test_a_page_of_another_origin_cannot_act(engine: Engine, origin: str) -> None:
    """A foreign page may neither start a workflow nor ask whether it could."""
    headers = {"Origin": origin}
    answer = await engine.http.post("/api/workflows", json={"definition": one_step()}, headers=headers)
    check_problem(answer, 403, "request.untrusted-origin")
    asked = await engine.http.options("/api/workflows", headers={**headers, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 403
    read = await engine.http.get("/api/health/live", headers=headers)
    assert "access-control-allow-origin" not in read.headers


async def test_a_dashboard_on_another_port_can_read_and_act_once_it_is_named(start_engine: StartEngine) -> None:
    """CORS lets a named origin start, and read where the workflow is; another port of this machine is another site."""
    origin = {"Origin": "http://localhost:4200"}
    asks = {"Access-Control-Request-Method": "POST"}
    async with start_engine(allowed_origins=("http://localhost:4200",)) as engine:
        asked = await engine.http.options("/api/workflows", headers={**origin, **asks})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, origin["Origin"])
        done = await engine.http.post("/api/workflows", json={"definition": one_step()}, headers=origin)
        assert (done.status_code, done.headers["access-control-allow-origin"]) == (201, origin["Origin"])
        assert "Location" in done.headers["access-control-expose-headers"]
        assert "Origin" in done.headers["vary"]
        other = {"Origin": "http://localhost:4201"}
        assert (await engine.http.options("/api/workflows", headers={**other, **asks})).status_code == 403


async def test_hosts_and_origins_can_be_added(start_engine: StartEngine) -> None:
    """The settings name further hosts and origins; everything else stays refused."""
    async with start_engine(allowed_hosts=("maestro.lan",), allowed_origins=("https://dash.example",)) as engine:
        for headers, status in (
            ({"Host": "maestro.lan:80", "Origin": "https://dash.example"}, 201),
            ({"Host": "maestro.lan", "Origin": "http://maestro.lan"}, 201),
            ({"Host": "maestro.lan", "Origin": "http://maestro.lan:81"}, 403),
            ({"Host": "other.lan"}, 421),
            ({"Origin": "http://dash.example"}, 403),
        ):
            answer = await engine.http.post("/api/workflows", json={"definition": one_step()}, headers=headers)
            assert answer.status_code == status


async def test_a_body_beyond_the_limit_is_refused_also_when_it_does_not_say_its_size(start_engine: StartEngine) -> None:
    """413 for a declared length and for a stream that never says how long it is."""

    async def chunks() -> Any:
        for _ in range(64):
            yield b"x" * 4096

    json_type = {"Content-Type": "application/json"}
    async with start_engine(max_body_bytes=4096) as engine:
        declared = await engine.http.post("/api/workflows", content=b"x" * 5000, headers=json_type)
        check_problem(declared, 413, "request.body-too-large")
        streamed = await engine.http.post("/api/workflows", content=chunks(), headers=json_type)
        check_problem(streamed, 413, "request.body-too-large")
        fits = await engine.http.post("/api/workflows", json={"definition": one_step()})
        assert fits.status_code == 201


async def test_headers_beyond_the_limit_are_refused(start_engine: StartEngine) -> None:
    """431 tells the limit; far beyond it the server does not even read on."""
    async with start_engine(max_header_bytes=8192) as engine:
        answer = await engine.http.get("/api/health/live", headers={f"X-Filler-{n}": "x" * 1000 for n in range(9)})
        check_problem(answer, 431, "request.headers-too-large")
        beyond = await engine.http.get("/api/health/live", headers={"X-Filler": "x" * 100_000})
        assert beyond.status_code in (400, 431)
        assert (await engine.http.get("/api/health/live")).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "request.malformed"),
        (b"", 422, "request.invalid"),
        (b"[]", 422, "request.invalid"),
        (b'"text"', 422, "request.invalid"),
        (b"\xff\xfe", 400, "request.malformed"),
        (b"[" * 200_000, 400, "request.malformed"),
        (b"{}", 422, "request.invalid"),
        (b'{"definition": {}, "template": "a"}', 422, "request.invalid"),
        (b'{"definition": {}, "surprise": 1}', 422, "request.invalid"),
        (b'{"definition": {}, "labels": {"../x": "y"}}', 422, "request.invalid"),
        (b'{"definition": null}', 422, "request.invalid"),
        (b'{"definition": 7}', 422, "request.invalid"),
        (b'{"definition": ""}', 422, "yaml.bad-syntax"),
        (b'{"definition": "a: [", "inputs": {}}', 422, "yaml.bad-syntax"),
        (b'{"definition": "a: &a [*a]"}', 422, None),
        (b'{"definition": "a: 1\\na: 2"}', 422, "yaml.duplicate-key"),
        (b'{"definition": {}}', 422, "workflow.invalid-definition"),
        (b'{"definition": {"name": "x", "steps": {}, "inputs": NaN}}', 400, "request.malformed"),
        (b'{"definition": {"name": "\\ud800", "steps": {"a": {"kind": "echo"}}}}', 400, "request.malformed"),
    ],
)
async def test_a_hostile_body_is_told_what_is_wrong(
    engine: Engine, content: bytes, status: int, code: str | None
) -> None:
    """Whatever is posted gets a problem document and never a fault of the service."""
    answer = await engine.http.post("/api/workflows", content=content, headers={"Content-Type": "application/json"})
    check_problem(answer, status, code or answer.json()["code"])


async def test_a_body_that_is_no_json_is_told_where(engine: Engine) -> None:
    """The character at which it breaks off stands in words; there is no data that a pointer could point into."""
    headers = {"Content-Type": "application/json"}
    answer = await engine.http.post("/api/workflows", content=b'{"inputs": {"a" 1}}', headers=headers)
    (error,) = answer.json()["errors"]
    assert (answer.json()["detail"], error["pointer"]) == ("The body is not JSON.", "")
    assert error["message"].endswith("(at character 17)")


async def test_a_yaml_bomb_is_refused_quickly(engine: Engine) -> None:
    """Nine levels of aliases of nine values are refused by a limit, in a moment."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    async with asyncio.timeout(5):
        answer = await engine.http.post("/api/workflows", json={"definition": "\n".join(lines)})
    check_problem(answer, 422, "yaml.too-large")


async def test_a_body_that_is_not_json_by_its_type_is_refused(engine: Engine) -> None:
    """A form that a foreign page could send without asking is no way in."""
    body = json.dumps({"definition": one_step()})
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await engine.http.post("/api/workflows", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 422
    assert (await engine.http.get("/api/workflows")).json()["items"] == []


async def test_unknown_paths_and_methods_are_problems_too(engine: Engine) -> None:
    """404 names the path; 405 lists every method that the path has."""
    check_problem(await engine.http.get("/api/nothing"), 404, "request.unknown-path")
    check_problem(await engine.http.get("/"), 404, "request.unknown-path")
    refused = await engine.http.delete("/api/workflows")
    check_problem(refused, 405, "request.method-not-allowed")
    assert refused.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("given_id", ["abc-123", "a" * 128])
async def test_a_request_id_is_kept(engine: Engine, given_id: str) -> None:
    """A client finds its own id in the answer."""
    answer = await engine.http.get("/api/health/live", headers={"X-Request-Id": given_id})
    assert answer.headers["x-request-id"] == given_id


@pytest.mark.parametrize("given_id", ["a" * 129, "spaces here", "<script>", ""])
async def test_a_strange_request_id_is_replaced(engine: Engine, given_id: str) -> None:
    """What could do harm in a log is not repeated."""
    answer = await engine.http.get("/api/health/live", headers={"X-Request-Id": given_id})
    assert answer.headers["x-request-id"] not in ("", given_id)
