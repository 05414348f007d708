"""Whoever answers at the address of an engine may be anything: the command ends with words, bounded, and no trace."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libraries.maestro_cli.client import Client

from kit.servers import free_port
from maestro_cli._api import Api, refusal_text
from maestro_cli._errors import BadUsage, EngineRefused, EngineUnreachable
from maestro_cli._shape import misfit

Answer = Callable[[BaseHTTPRequestHandler], None]
LINE = {"id": "w1", "name": "n", "status": "running", "started_at": "2026-11-21T08:00:00Z"}
LINE |= {"finished_at": None, "error": None}  # type: ignore[dict-item]  # a line as the engine writes it


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server that answers every request so; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.body = self.rfile.read(length)
            answer(self)

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *unused: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def saying(content: bytes, status: int = 200, **headers: str) -> Answer:
    """Always the same."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def page(*items: object) -> bytes:
    return json.dumps({"items": items, "next": None}).encode()


@pytest.mark.parametrize(
    ("content", "status", "headers"),
    [
        (b"<html>hello</html>", 200, {}),
        (b"", 200, {}),
        (b"\xff\xfe", 200, {}),
        (b"[" * 100_000, 200, {}),
        (b"null", 200, {}),
        (b"[]", 200, {}),
        (b'{"items": {}, "next": null}', 200, {}),
        (page({}), 200, {}),
        (page({**LINE, "id": 7}), 200, {}),
        (page({**LINE, "started_at": "soon"}), 200, {}),
        (page({**LINE, "started_at": "2026-11-21T08:00:00"}), 200, {}),
        (page({**LINE, "error": "bad"}), 200, {}),
        (b'{"items": []}', 200, {}),
        (b'{"items": [], "next": null}', 200, {"Content-Length": "500"}),
        (b"go away", 403, {}),
        (b'{"detail": "no"}', 500, {}),
        (b"", 302, {"Location": "http://127.0.0.1:1/\x1b[2J"}),
        (b"", 302, {}),
        (b"", 304, {}),
    ],
)
def test_an_answer_that_is_none_of_an_engine(
    tmp_path: Path, content: bytes, status: int, headers: dict[str, str]
) -> None:
    """Exit 3 with one message that names the address; no control character of it reaches the terminal."""
    with answering(saying(content, status, **headers)) as url:
        done = Client(url, tmp_path)("ls")
    assert (done.returncode, done.stdout) == (3, "")
    assert url in done.stderr
    assert "\x1b" not in done.stderr


def test_a_redirect_is_never_followed(tmp_path: Path) -> None:
    """The key goes to no other address than the one that was given."""
    seen: list[str | None] = []

    def thief(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("Authorization"))
        saying(page())(request)

    with answering(thief) as elsewhere, answering(saying(b"", 307, Location=elsewhere)) as url:
        done = Client(url, tmp_path)("ls", MAESTRO_API_KEY="mst_secret")
    assert done.returncode == 3
    assert elsewhere in done.stderr
    assert seen == []


def test_a_key_is_sent_and_never_shown(tmp_path: Path) -> None:
    """From the environment or from a file; not in any message."""
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("Authorization"))
        problem = {"code": "auth.missing-credentials", "status": 401, "detail": "Who are you?"}
        saying(json.dumps(problem).encode(), 401)(request)

    (tmp_path / "key").write_text("mst_from_file\n")
    with answering(answer) as url:
        client = Client(url, tmp_path)
        first = client("ls", MAESTRO_API_KEY="mst_secret")
        second = client("ls", MAESTRO_API_KEY_FILE=str(tmp_path / "key"))
    assert seen == ["Bearer mst_secret", "Bearer mst_from_file"]
    assert first.returncode == second.returncode == 1
    assert "Set MAESTRO_API_KEY" in first.stderr
    assert "mst_" not in first.stderr + second.stderr
    for wrong in ({"MAESTRO_API_KEY": "a\r\nb: c"}, {"MAESTRO_API_KEY_FILE": str(tmp_path / "none")}):
        assert client("ls", **wrong).returncode == 2


def test_nobody_at_the_address(tmp_path: Path) -> None:
    """Exit 3, and what to do about it; a name that nobody has, likewise."""
    done = Client(f"http://127.0.0.1:{free_port()}", tmp_path)("ls")
    assert done.returncode == 3
    assert "maestro up" in done.stderr
    assert Client("http://no-such-host.invalid", tmp_path)("ls").returncode == 3


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "127.0.0.1:8000",
        "http://",
        "http://a:b@c",
        "http://@c",
        "http://h:port",
        "http://h?x",
        "http://h/#x",
        "http://[::1",
        "http://hä",
        "http://h/a b",
        "http://h\r\nX: y",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    """A password has no place in it: it would be seen by everybody on this machine."""
    with pytest.raises(BadUsage):
        Api(url)


def test_names_cannot_move_the_cursor(tmp_path: Path) -> None:
    """Control characters of names and errors are blanks in tables, and escaped in JSON."""
    evil = "\x1b[2J\x9b2J\u202ename\r\n\t"
    line = {**LINE, "id": "id\x1b[0m", "name": evil, "error": {"code": "c", "message": evil}}
    with answering(saying(page(line))) as url:
        table = Client(url, tmp_path).says("ls")
        document = Client(url, tmp_path).says("ls", "--json")
    assert not {"\x1b", "\x9b", "\u202e", "\r", "\t"} & set(table + document)
    assert json.loads(document)[0]["name"] == evil


def test_a_huge_name_is_cut_at_once(tmp_path: Path) -> None:
    """Two megabytes of name make one line of a table."""
    with answering(saying(page({**LINE, "name": "x" * 2_000_000}))) as url:
        assert len(Client(url, tmp_path).says("ls")) < 500


def test_a_listing_without_end_ends(tmp_path: Path) -> None:
    """A page that names itself as the next one is the last; --limit is kept in any case."""
    count = 0

    def forever(request: BaseHTTPRequestHandler) -> None:
        nonlocal count
        count += 1
        saying(json.dumps({"items": [LINE], "next": str(count)}).encode())(request)

    with answering(forever) as url:
        assert len(Client(url, tmp_path).json("ls", "--limit", "5")) == 5
    with answering(saying(json.dumps({"items": [LINE], "next": "same"}).encode())) as url:
        assert len(Client(url, tmp_path).json("ls", "--limit", "5")) == 2


def event(seq: int, type_: str = "workflow.paused", **data: object) -> dict[str, Any]:
    return {"seq": seq, "workflow_id": "w1-long-enough-that-nobody-looks", "type": type_} | {
        "at": "2026-11-21T08:00:00Z",
        "data": data,
        "position": seq,
    }


def stream(*parts: bytes | dict[str, Any]) -> bytes:
    return b"".join(
        b"data: " + (part if isinstance(part, bytes) else json.dumps(part).encode()) + b"\n\n" for part in parts
    )


@pytest.mark.parametrize(
    "content",
    [
        stream(b"no json"),
        stream(b"\xff"),
        stream(b"[]"),
        stream({"seq": 1}),
        stream({**event(1), "at": "now"}),
        stream({**event(1), "data": []}),
        stream({**event(1), "seq": True}),
        stream(b"[" * 100_000),
    ],
)
def test_a_stream_of_nonsense(tmp_path: Path, content: bytes) -> None:
    """`logs --follow` and `watch` end with exit 3."""
    with answering(saying(content)) as url:
        assert Client(url, tmp_path)("logs", "w1-long-enough-that-nobody-looks", "--follow").returncode == 3


STATE: dict[str, Any] = LINE | {
    "seq": 1,
    "phase": "main",
    "updated_at": None,
    "template": None,
    "reason": None,
    "labels": {},
    "origin": None,
    "parent": None,
    "budget": None,
    "spent": {},
    "failed_step": None,
    "failed_item": None,
    "inputs": {},
    "outputs": None,
    "steps": {},
}
DEFINITION = {"name": "n", "steps": {"a": {"kind": "shell", "with": {"command": "true"}}}}


def engine_with(*streams: bytes, definition: object = DEFINITION) -> Answer:
    """An engine of one workflow, whose streams break off one after the other."""
    left = list(streams)

    def answer(request: BaseHTTPRequestHandler) -> None:
        if "/events" in request.path:
            asked.append(request.path.rpartition("=")[2])
            saying(left.pop(0) if left else b"")(request)
        elif request.path.endswith("/definition"):
            saying(json.dumps(definition).encode())(request)
        else:
            saying(json.dumps(STATE | {"status": "succeeded"}).encode())(request)

    asked: list[str] = []
    answer.asked = asked  # type: ignore[attr-defined]  # what the test looks at
    return answer


def test_watch_goes_on_where_a_stream_broke(tmp_path: Path) -> None:
    """No event is told twice and none is left out."""
    answer = engine_with(
        stream(event(1), event(2)), stream(event(3))[:-40], stream(event(3), event(4, "workflow.succeeded"))
    )
    with answering(answer) as url:
        done = Client(url, tmp_path)("watch", "w1-long-enough-that-nobody-looks", "--json")
    seqs = [json.loads(line).get("seq") for line in done.stdout.splitlines()]
    assert (done.returncode, seqs) == (0, [1, 2, 3, 4, None])
    assert answer.asked == ["1", "3", "3"]  # type: ignore[attr-defined]  # see engine_with


@pytest.mark.parametrize(
    ("first", "definition"),
    [
        (event(1, "step.expanded", step="a"), DEFINITION),
        (event(1, "step.failed", step="a", error=3, attempt=1), DEFINITION),
        (event(1), {"name": 3}),
        (event(1), []),
    ],
)
def test_watch_of_an_engine_that_makes_no_sense(tmp_path: Path, first: dict[str, Any], definition: object) -> None:
    """Ends with words; nothing that comes is asked for again and again."""
    with answering(engine_with(stream(first), definition=definition)) as url:
        done = Client(url, tmp_path)("watch", "w1-long-enough-that-nobody-looks")
    assert done.returncode in (1, 3)
    assert done.stderr.startswith("maestro: ")


def test_a_start_is_sent_again_under_the_same_key(tmp_path: Path) -> None:
    """When the connection breaks before the answer, the engine can tell that it is the same start."""
    keys: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        keys.append(request.headers.get("Idempotency-Key"))
        if len(keys) == 1:
            request.connection.close()
        elif len(keys) == 2:
            problem = {"code": "request.idempotency-key-in-flight", "status": 409, "detail": "It runs."}
            saying(json.dumps(problem).encode(), 409)(request)
        else:
            saying(b'{"id": "w1", "name": "n"}', 201)(request)

    with answering(answer) as url:
        assert Client(url, tmp_path).says("start", "tea") == "n · w1\n"
    assert len(keys) == 3
    assert len(set(keys)) == 1
    with answering(answer) as url:
        Client(url, tmp_path).says("start", "tea")
    assert len(set(keys)) == 2, "another invocation has another key"


def test_a_download_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    """Neither the file nor a part of it."""
    with answering(saying(b"PK", 200, **{"Content-Length": "500"})) as url:
        done = Client(url, tmp_path)("export", "w1-long-enough-that-nobody-looks", "-o", "it.zip")
    assert done.returncode == 3
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_no_matter_of_the_engine(tmp_path: Path) -> None:
    """Exit 1 with the path."""
    with answering(saying(b"PK")) as url:
        done = Client(url, tmp_path)("export", "w1-long-enough-that-nobody-looks", "-o", "none/it.zip")
    assert done.returncode == 1
    assert "none/it.zip cannot be written" in done.stderr


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_problem_of_any_shape_can_be_told(problem: object) -> None:
    """Whatever an engine says is wrong, it becomes lines without control characters."""
    text = refusal_text({"code": "x", "detail": problem, "errors": problem, "known": problem, "status": problem})
    assert "\x1b" not in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_shape_is_told_from_what_is_none(value: object) -> None:
    """What is found wrong is named by its place; a whole fits its own shape."""
    found = misfit(value, {"a": str, "b?": (int, None), "c?": [str], "d?": {str: bool}})
    is_right = (
        isinstance(value, dict)
        and isinstance(value.get("a"), str)
        and (value.get("b") is None or (isinstance(value["b"], int) and not isinstance(value["b"], bool)))
        and (isinstance(value.get("c", []), list) and all(isinstance(each, str) for each in value.get("c", [])))
        and (
            isinstance(value.get("d", {}), dict) and all(isinstance(each, bool) for each in value.get("d", {}).values())
        )
    )
    assert (found is None) is is_right


def test_a_refusal_keeps_code_and_status(tmp_path: Path) -> None:
    """For programs that use the client."""
    problem = {"code": "workflow.not-found", "status": 404, "detail": "Gone.", "errors": [{"line": 3, "pointer": "/a"}]}
    with answering(saying(json.dumps(problem).encode(), 404)) as url, pytest.raises(EngineRefused) as caught:
        Api(url).get("/api/workflows/x")
    assert (caught.value.problem, caught.value.status) == ("workflow.not-found", 404)
    with answering(saying(b"x" * 100)) as url, pytest.raises(EngineUnreachable):
        Api(url).get("/api/workflows")
