"""The step kind `http`, against a real server on the loopback."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import BadArguments, HttpFailed, builtin_step_kinds
from maestro_workflow_engine.testing import make_call


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    server: "Server"

    def do_GET(self) -> None:
        """Echo, redirect, fail or hang."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        path, _, query = self.path.partition("?")
        if path == "/echo":
            seen = {"method": self.command, "query": query, "headers": dict(self.headers), "body": body}
            self.answer(200, json.dumps(seen), "application/json", {"Set-Cookie": "session=1"})
        elif path == "/text":
            self.answer(200, "plain words", "text/plain")
        elif path == "/not-json":
            self.answer(200, "{oops", "application/problem+json")
        elif path == "/empty":
            self.send_response(204)
            self.end_headers()
        elif path == "/large":
            self.answer(200, "x" * 5000, "text/plain")
        elif path.startswith("/status/"):
            self.answer(int(path[8:]), f"told: {self.headers.get('Authorization')}", "text/plain")
        elif path == "/later":
            self.answer(503, "busy", "text/plain", {"Retry-After": self.server.retry_after})
        elif path == "/to":
            self.send_response(int(query.partition("=")[0]))
            self.send_header("Location", query.partition("=")[2])
            self.end_headers()
        elif path == "/hang":
            self.server.hanging.set()
            self.server.over.wait(20)
        elif path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        else:
            self.wfile.write(b"garbage\r\n\r\n")
        self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def answer(self, status: int, text: str, media_type: str, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Two of them make two origins."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.retry_after = "7"
        self.hanging, self.over = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


other_server = server


async def http(folder: Path, url: str, **arguments: Any) -> Any:
    """Send one request."""
    return await builtin_step_kinds()["http"].run(make_call(folder, {"url": url, **arguments}))


async def test_an_answer_has_status_headers_and_body(tmp_path: Path, server: Server) -> None:
    """JSON is parsed when the answer says that it is JSON; cookies are not kept."""
    result = await http(tmp_path, f"{server.url}/echo?a=1", query={"b": [2, True], "c": "x y"}, headers={"X-Mine": "z"})
    assert result["status"] == 200
    assert result["headers"]["content-type"] == "application/json"
    assert "set-cookie" not in result["headers"]
    assert result["body"]["query"] == "a=1&b=2&b=true&c=x+y"
    assert result["body"]["headers"]["X-Mine"] == "z"
    assert "Idempotency-Key" not in result["body"]["headers"]
    assert (await http(tmp_path, f"{server.url}/text"))["body"] == "plain words"
    assert (await http(tmp_path, f"{server.url}/empty"))["body"] == ""
    assert (await http(tmp_path, f"{server.url}/echo", parse="text"))["body"].startswith("{")


async def test_requests_that_change_something_carry_the_idempotency_key(tmp_path: Path, server: Server) -> None:
    """Unless the workflow brings its own."""
    result = await http(tmp_path, f"{server.url}/echo", method="post", json={"a": 1})
    sent = result["body"]
    assert (sent["method"], json.loads(sent["body"])) == ("POST", {"a": 1})
    assert sent["headers"]["Content-Type"] == "application/json"
    assert sent["headers"]["Idempotency-Key"] == "workflow/step/1"
    own = await http(tmp_path, f"{server.url}/echo", method="PUT", body="x", headers={"idempotency-key": "mine"})
    assert own["body"]["headers"]["idempotency-key"] == "mine"


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (404, False), (408, True), (429, True), (500, True), (503, True)]
)
async def test_statuses_say_whether_a_retry_can_help(
    tmp_path: Path, server: Server, status: int, retryable: bool
) -> None:
    """The error names method, address and status, but neither query nor secrets."""
    with pytest.raises(HttpFailed, match=f"GET {server.url}/status/{status}: status {status}") as caught:
        await http(tmp_path, f"{server.url}/status/{status}?key=s3cret", headers={"Authorization": "Bearer t0ken-xyz"})
    assert caught.value.retryable is retryable
    assert "s3cret" not in str(caught.value)
    assert "t0ken-xyz" not in str(caught.value)


async def test_retry_after_is_passed_on(tmp_path: Path, server: Server) -> None:
    """As seconds and as a date."""
    with pytest.raises(HttpFailed) as caught:
        await http(tmp_path, f"{server.url}/later")
    assert caught.value.retry_after_s == 7.0
    server.retry_after = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    with pytest.raises(HttpFailed) as caught:
        await http(tmp_path, f"{server.url}/later")
    assert caught.value.retry_after_s == pytest.approx(100, abs=5)
    server.retry_after = "whenever"
    with pytest.raises(HttpFailed) as caught:
        await http(tmp_path, f"{server.url}/later")
    assert caught.value.retry_after_s is None


async def test_expected_statuses_are_no_failures(tmp_path: Path, server: Server) -> None:
    """Also redirects, which then are not followed."""
    assert (await http(tmp_path, f"{server.url}/status/404", expect=[200, 404]))["status"] == 404
    assert (await http(tmp_path, f"{server.url}/to?302=/text", expect=302))["headers"]["location"] == "/text"


async def test_redirects_are_followed_as_the_standard_says(tmp_path: Path, server: Server) -> None:
    """303 turns into GET without a body, 307 keeps both, and there is an end to it."""
    result = await http(tmp_path, f"{server.url}/to?303=/echo", method="POST", json={"a": 1})
    assert (result["body"]["method"], result["body"]["body"]) == ("GET", "")
    result = await http(tmp_path, f"{server.url}/to?307=/echo", method="POST", json={"a": 1})
    assert (result["body"]["method"], json.loads(result["body"]["body"])) == ("POST", {"a": 1})
    with pytest.raises(HttpFailed, match="redirects"):
        await http(tmp_path, f"{server.url}/to?302=/to?302=/to?302=/to?302=/to?302=/to?302=/to?302=/text")


async def test_secrets_do_not_follow_a_redirect_to_another_host(
    tmp_path: Path, server: Server, other_server: Server
) -> None:
    """No header does that could be a key; an address of another kind is refused."""
    headers = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "Accept-Language": "eo"}
    same = await http(tmp_path, f"{server.url}/to?302=/echo", headers=headers)
    assert same["body"]["headers"]["Authorization"] == "Bearer x"
    away = await http(
        tmp_path, f"{server.url}/to?302=http://localhost:{server.server_address[1]}/echo", headers=headers
    )
    assert not {"Authorization", "Cookie", "X-Api-Key"} & set(away["body"]["headers"])
    assert away["body"]["headers"]["Accept-Language"] == "eo"
    with pytest.raises(HttpFailed, match="cannot be used"):
        await http(tmp_path, f"{server.url}/to?302=file:///etc/passwd")


@pytest.mark.parametrize("path", ["/cut", "/garbage"])
async def test_broken_answers_may_be_tried_again(tmp_path: Path, server: Server, path: str) -> None:
    """So may refused connections."""
    with pytest.raises(HttpFailed) as caught:
        await http(tmp_path, f"{server.url}{path}")
    assert caught.value.retryable
    with pytest.raises(HttpFailed, match="ConnectionRefusedError") as caught:
        await http(tmp_path, "http://127.0.0.1:1/")
    assert caught.value.retryable


async def test_answers_are_bounded_in_size_and_time(tmp_path: Path, server: Server) -> None:
    """Too large is final, too slow is not."""
    with pytest.raises(HttpFailed, match="more than 4999 bytes") as caught:
        await http(tmp_path, f"{server.url}/large", max_response_bytes=4999)
    assert not caught.value.retryable
    with pytest.raises(HttpFailed, match=r"no whole answer within 0\.05 s") as caught:
        await http(tmp_path, f"{server.url}/hang", timeout_s=0.05)
    assert caught.value.retryable


async def test_a_request_can_be_stopped(tmp_path: Path, server: Server) -> None:
    """Its thread ends too."""
    running = asyncio.create_task(http(tmp_path, f"{server.url}/hang"))
    await asyncio.to_thread(server.hanging.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for thread in threading.enumerate():
        if thread.name == "maestro-http":
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()


async def test_an_answer_that_is_no_json_fails_for_good(tmp_path: Path, server: Server) -> None:
    """It would be none the next time either."""
    with pytest.raises(HttpFailed, match="not JSON") as caught:
        await http(tmp_path, f"{server.url}/not-json")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"url": "ftp://host/x"}, "http://host"),
        ({"url": "file:///etc/passwd"}, "http://host"),
        ({"url": "http://user:s3cret@host/"}, "user name or password"),
        ({"url": "http://host/a b"}, "percent-encode"),
        ({"url": "http://host/\r\nX: y"}, "control character"),
        ({"url": "http://host:99999/"}, "cannot be read"),
        ({"url": "http://h/", "headers": {"A\r\nB": "x"}}, "name of a header"),
        ({"url": "http://h/", "headers": {"A": "s3cret\r\nB: y"}}, "cannot hold"),
        ({"url": "http://h/", "headers": {"A": "s3cret\u2028"}}, "cannot hold"),
        ({"url": "http://h/", "method": "GET /x HTTP/1.1\r\n"}, "one of DELETE"),
        ({"url": "http://h/", "json": 1, "body": "x"}, "not both"),
        ({"url": "http://h/", "expect": 42}, "100 to 599"),
        ({}, "/with/url"),
    ],
)
async def test_hostile_requests_are_refused(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    """Before anything is sent, and without showing what may be secret; the static check finds them too."""
    kind = builtin_step_kinds()["http"]
    with pytest.raises(BadArguments, match=said) as caught:
        await kind.run(make_call(tmp_path, arguments))
    assert "s3cret" not in str(caught.value)
    problems = list(kind.check(arguments, {}))
    assert len(problems) == 1
    assert "s3cret" not in str(problems)


def test_checks_leave_expressions_to_the_run() -> None:
    """Unknown names are found."""
    kind = builtin_step_kinds()["http"]
    assert list(kind.check({"url": "${{ inputs.u }}", "headers": {"A": "${{ inputs.a }}"}}, {})) == []
    assert [path for path, _ in kind.check({"url": "http://h/", "header": {}}, {})] == ["/header"]
