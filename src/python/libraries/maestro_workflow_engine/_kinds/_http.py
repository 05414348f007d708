"""The step kind `http`: sends one request and gives the answer."""

import asyncio
import contextlib
import functools
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from maestro_workflow_engine._errors import HttpFailed
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds._arguments import is_open, unknown_names
from maestro_workflow_engine._kinds._http_request import READERS, Request, read_request, retry_after_s, shown
from maestro_workflow_engine._kinds._threads import in_own_thread
from maestro_workflow_engine._ports import StepCall
from maestro_workflow_engine._secrets import Masker

_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_RETRYABLE: Final = frozenset({408, 425, 429})
_OF_ANY_HOST: Final = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "user-agent"})
_NOT_KEPT: Final = frozenset({"set-cookie", "set-cookie2"})
_SHOWN_CHARS: Final = 300


class HttpKind:
    """`with: {url, method, headers, query, json or body, expect, parse, timeout_s, max_response_bytes}`.

    Gives `{status, headers, body}`, with header names in lower case and without cookies. Failed connections, 5xx, 408,
    425 and 429 are retried, after `Retry-After` where it is said; other answers are not. Requests that change
    something carry the idempotency key of the attempt.
    """

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from unknown_names(arguments, set(READERS))
        if "url" not in arguments:
            yield "", "http needs `url`"
        if "json" in arguments and "body" in arguments:
            yield "/body", "give `json` or `body`, not both"
        for name, value in arguments.items():
            if name in READERS and not is_open(value):
                try:
                    READERS[name](value)
                except ValueError as error:
                    yield f"/{name}", str(error)

    async def run(self, call: StepCall) -> object:
        """Send the request, follow redirects, and give the answer."""
        request = read_request(call.arguments, call.idempotency_key)
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await _send(request)
            location = answer.headers.get("location")
            if answer.status in request.expect or answer.status not in _REDIRECTS or location is None:
                return _result(request, answer, Masker(call.secrets.values()))
            request = _redirected(request, answer.status, location)
        raise HttpFailed(f"{shown(request)}: more than {_MAX_REDIRECTS} redirects", retryable=False)

    async def close(self) -> None:
        """Nothing is held between steps."""


class _Answer:
    """What came back, read whole."""

    def __init__(self, response: http.client.HTTPResponse, body: bytes) -> None:
        self.status = response.status
        self.headers: dict[str, str] = {}
        for name, value in response.getheaders():
            known = self.headers.get(name.lower())
            self.headers[name.lower()] = value if known is None else f"{known}, {value}"
        self.body = body


async def _send(request: Request) -> _Answer:
    connection = request.connection()
    exchange = functools.partial(_exchange, connection, request)
    try:
        answer = await asyncio.wait_for(in_own_thread(exchange, "maestro-http"), request.timeout_s)
    except TimeoutError as error:
        raise HttpFailed(f"{shown(request)}: no whole answer within {request.timeout_s:g} s", retryable=True) from error
    except ssl.SSLCertVerificationError as error:
        message = f"{shown(request)}: the certificate is not trusted: {error.verify_message}"
        raise HttpFailed(message, retryable=False) from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise HttpFailed(f"{shown(request)}: {type(error).__name__}: {reason[:200]}", retryable=True) from error
    finally:
        # The thread may still be reading: a socket that is shut down wakes it, a closed one would not.
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
    assert isinstance(answer, _Answer)
    return answer


def _exchange(connection: http.client.HTTPConnection, request: Request) -> _Answer:
    try:
        connection.request(request.method, request.target, body=request.body, headers=request.headers)
        response = connection.getresponse()
        body = response.read(request.max_response_bytes + 1)
        if len(body) > request.max_response_bytes:
            limit = request.max_response_bytes
            raise HttpFailed(f"{shown(request)}: the answer has more than {limit} bytes", retryable=False)
        if response.length:  # a bounded read does not tell that the connection broke
            raise http.client.IncompleteRead(body, response.length)
        return _Answer(response, body)
    finally:
        connection.close()


def _result(request: Request, answer: _Answer, masker: Masker) -> JSON:
    if answer.status not in request.expect:
        retryable = answer.status >= 500 or answer.status in _RETRYABLE
        wait_s = retry_after_s(answer.headers.get("retry-after")) if retryable else None
        # Cut last: of a secret that stands across the cut, the part that is left would be shown.
        said = request.without_secrets(masker.text(answer.body.decode("utf-8", errors="replace")))[:_SHOWN_CHARS]
        raise HttpFailed(
            f"{shown(request)}: status {answer.status} was not expected: {said!r}",
            retryable=retryable,
            retry_after_s=wait_s,
        )
    headers: dict[str, JSON] = {name: value for name, value in answer.headers.items() if name not in _NOT_KEPT}
    return {"status": answer.status, "headers": headers, "body": _parsed(request, answer)}


def _parsed(request: Request, answer: _Answer) -> JSON:
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = content_type == "application/json" or content_type.endswith("+json")
    text = answer.body.decode("utf-8", errors="replace")
    if request.parse == "text" or (request.parse == "auto" and not is_json):
        return text
    if not answer.body and request.parse == "auto":
        return None
    try:
        value: JSON = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HttpFailed(f"{shown(request)}: the answer is not JSON: {error}", retryable=False) from error
    return value


def _redirected(request: Request, status: int, location: str) -> Request:
    url = urljoin(request.url, location)
    headers, method, body = dict(request.headers), request.method, request.body
    if status == 303 or (status in (301, 302) and method == "POST"):
        method, body = ("HEAD" if method == "HEAD" else "GET"), None
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    before, after = urlsplit(request.url), urlsplit(url)
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        # Any other header may be a key that was meant for the first host alone.
        headers = {name: value for name, value in headers.items() if name.lower() in _OF_ANY_HOST}
    try:
        return request.moved(READERS["url"](url), method, headers, body)
    except ValueError as error:
        raise HttpFailed(
            f"{shown(request)}: redirected to an address that cannot be used: {error}", retryable=False
        ) from error
