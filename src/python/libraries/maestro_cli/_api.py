"""Speaks to a running engine over HTTP, with nothing but the standard library: the command starts at once."""

import http.client
import json
import os
import ssl
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from maestro_cli._errors import BadUsage, CliError, EngineRefused, EngineUnreachable
from maestro_cli._shape import EVENT, Shape, misfit
from maestro_cli._text import plain

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_TIMEOUT_S: Final = 30.0
_SILENCE_S: Final = 90.0
"""A stream shows signs of life more often than that."""
_MAX_ANSWER_BYTES: Final = 256 << 20
_MAX_EVENT_BYTES: Final = 64 << 20
_MAX_PROBLEM_BYTES: Final = 1 << 20
_MAX_FILE_BYTES: Final = 4 << 30
_CHUNK_BYTES: Final = 1 << 20
_WAITS_S: Final = (0.2, 0.5, 1.0)


class Api:
    """One engine; the API key comes from the environment or a file, never from the command line."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Raises BadUsage for a URL that is not http:// or https://, or that holds a password."""
        try:
            parts = urlsplit(url)
            self._port = parts.port
        except ValueError as error:
            raise BadUsage(f"the URL of the engine cannot be read: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise BadUsage("the URL of the engine is http://host:port or https://host:port, without a user name")
        if parts.query or parts.fragment or not (url.isascii() and url.isprintable()) or " " in url:
            raise BadUsage("the URL of the engine is http://host:port or https://host:port, and no more than a path")
        self._host, self._is_tls, self._base = parts.hostname, parts.scheme == "https", parts.path.rstrip("/")
        self.url = f"{parts.scheme}://{parts.netloc}{self._base}"
        self._key = key
        self._timeout_s = timeout_s

    @classmethod
    def from_environment(cls, url: str | None, environment: Mapping[str, str] = os.environ) -> "Api":
        """The engine at `url`, else at MAESTRO_URL, else on this machine; with the key in MAESTRO_API_KEY(_FILE)."""
        key = environment.get("MAESTRO_API_KEY") or None
        file = environment.get("MAESTRO_API_KEY_FILE")
        if key is None and file:
            try:
                with open(file, encoding="utf-8") as reading:
                    key = reading.read(65_536).strip() or None
            except (OSError, UnicodeDecodeError) as error:
                raise BadUsage(f"the file in MAESTRO_API_KEY_FILE cannot be read: {error}") from error
        if key is not None and not (key.isascii() and key.isprintable()):
            raise BadUsage("the API key holds characters that no key has")
        return cls(url or environment.get("MAESTRO_URL") or DEFAULT_URL, key)

    def get(self, path: str, shape: Shape = object, **params: object) -> Any:
        """The JSON at a path; parameters that are None are left out, those that are lists are repeated."""
        given = {name: value for name, value in params.items() if value is not None}
        return self._ask("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path, shape)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        shape: Shape = object,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What a command is answered with; None when the answer is empty."""
        return self._ask(method, path, shape, body, headers)

    def send_once(self, path: str, body: object, shape: Shape = object) -> Any:
        """POST what must not happen twice: under a key of its own, again while no answer comes through."""
        headers = {"Idempotency-Key": f'"{uuid.uuid4().hex}"'}
        for wait_s in _WAITS_S:
            try:
                return self.send("POST", path, body, shape, headers=headers)
            except EngineUnreachable as error:
                if isinstance(error.__cause__, ConnectionRefusedError | ssl.SSLCertVerificationError):
                    raise  # nobody is there to answer
            except EngineRefused as error:
                if error.problem != "request.idempotency-key-in-flight":
                    raise
            threading.Event().wait(wait_s)
        return self.send("POST", path, body, shape, headers=headers)

    def pages(self, path: str, shape: Shape, **params: object) -> Iterator[dict[str, Any]]:
        """Every item of a listing, page after page."""
        cursor = None
        while True:
            page = self.get(path, {"items": [shape], "next": (str, None)}, **params, cursor=cursor)
            yield from page["items"]
            if page["next"] is None or page["next"] == cursor:
                return
            cursor = page["next"]

    def events(self, workflow_id: str, from_seq: int) -> Iterator[dict[str, Any]]:
        """Stored events of a workflow and then live ones, until it ends or the stream does."""
        path = f"{path_of('workflows', workflow_id)}/events?from_seq={from_seq}"
        with self._exchange("GET", path, None, {"Accept": "text/event-stream"}, timeout_s=_SILENCE_S) as response:
            for data in _messages(response, self.url):
                yield self._fitting(self._json(data), EVENT)

    def download(self, path: str, body: object, target: IO[bytes]) -> int:
        """Write what a command is answered with to a file; gives its size."""
        size = 0
        with self._exchange("POST", path, json.dumps(body).encode(), {}, timeout_s=self._timeout_s) as response:
            while chunk := response.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > _MAX_FILE_BYTES:
                    raise EngineUnreachable(
                        f"{self.url} sends more than {_MAX_FILE_BYTES >> 30} GiB: that is no bundle"
                    )
                _write(target, chunk)
            self._check_whole(response)
        return size

    def _ask(
        self, method: str, path: str, shape: Shape, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with self._exchange(method, path, data, dict(headers or {}), timeout_s=self._timeout_s) as response:
            content = response.read(_MAX_ANSWER_BYTES + 1)
            if len(content) > _MAX_ANSWER_BYTES:
                raise EngineUnreachable(f"{self.url} answers with more than {_MAX_ANSWER_BYTES >> 20} MiB")
            self._check_whole(response)
        return self._fitting(self._json(content) if content else None, shape)

    def _json(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise EngineUnreachable(f"{self.url} answers, but not as an engine does: is this its address?") from error

    def _fitting(self, value: object, shape: Shape) -> Any:
        try:
            place = misfit(value, shape)
        except RecursionError:
            place = "/…"
        if place is not None:
            what = f"{plain(place[:200])} is not what was expected" if place else "this is not what was expected"
            raise EngineUnreachable(f"{self.url} answers, but not as an engine of this version does: {what}")
        return value

    def _check_whole(self, response: http.client.HTTPResponse) -> None:
        # `read` with a size gives what is there, also when the connection broke before the end.
        if response.length:
            raise EngineUnreachable(f"the connection to {self.url} broke before the end of its answer")

    @contextmanager
    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str], *, timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        if data is not None:
            headers["Content-Type"] = "application/json"
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        connection = self._connection(timeout_s)
        try:
            connection.request(method, self._base + path, body=data, headers=headers)
            with connection.getresponse() as response:
                _check_status(response, self.url)
                yield response
        except (OSError, http.client.HTTPException) as error:
            raise EngineUnreachable(_unreachable(self.url, error)) from error
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)


def path_of(*parts: str) -> str:
    """A path of the API with each part encoded."""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def refusal_text(problem: Mapping[str, Any]) -> str:
    """An RFC 9457 problem as lines for a person."""
    errors = [each for each in problem["errors"] if isinstance(each, dict)] if _has_list(problem, "errors") else []
    told = str(problem.get("detail") or problem.get("title") or problem.get("code")).splitlines() or [""]
    # What a detail of several lines says line by line stands in `errors` too.
    lines = [plain(line) for line in (told[:1] if errors else told)]
    detail = lines[0]
    for each in errors:
        if plain(str(each.get("message", ""))) not in detail:
            line = f"line {each['line']}" if isinstance(each.get("line"), int) else ""
            place = ", ".join(part for part in (line, plain(str(each.get("pointer") or ""))) if part)
            lines.append(f"  {place or plain(str(each.get('part') or ''))}: {plain(str(each.get('message', '')))}")
    names = [plain(str(name)) for name in problem["known"][:50]] if _has_list(problem, "known") else []
    if names and not all(name in detail for name in names):
        lines.append(f"  There are: {', '.join(names)}")
    if problem.get("status") == 401:
        lines.append("  Set MAESTRO_API_KEY, or MAESTRO_API_KEY_FILE, to a key of this engine.")
    return "\n".join(lines)


def _has_list(problem: Mapping[str, Any], name: str) -> bool:
    return isinstance(problem.get(name), list)


def _write(target: IO[bytes], chunk: bytes) -> None:
    try:
        target.write(chunk)
    except OSError as error:  # is no matter of the connection
        raise CliError(f"the file cannot be written: {error}") from error


def _unreachable(url: str, error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"no engine answers at {url}: start one with `maestro up`, or name another with --url or MAESTRO_URL"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {url} is not trusted: {error.verify_message}"
    return f"{url} cannot be reached: {plain(str(error))[:300] or type(error).__name__}"


def _check_status(response: http.client.HTTPResponse, url: str) -> None:
    if response.status < 300:
        return
    if response.status < 400:
        # Never followed: the key would go wherever an answer says.
        to = plain(response.getheader("Location") or "nowhere")[:300]
        raise EngineUnreachable(f"{url} sends us on to {to}: give the address of the engine itself with --url")
    try:
        problem = json.loads(response.read(_MAX_PROBLEM_BYTES))
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        raise EngineUnreachable(f"{url} answers with status {response.status}, but not as an engine does")
    raise EngineRefused(refusal_text(problem), problem=str(problem["code"]), status=response.status)


def _messages(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    """The data of each server-sent event."""
    data: list[bytes] = []
    size = 0
    while line := response.readline(_MAX_EVENT_BYTES):
        size += len(line)
        if size > _MAX_EVENT_BYTES:
            raise EngineUnreachable(f"{url} sends an event of more than {_MAX_EVENT_BYTES >> 20} MiB")
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line[5:])
        elif not line:
            if data:
                yield b"\n".join(data)
            data, size = [], 0
