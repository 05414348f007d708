"""The arguments of the step kind `http`, read into a request."""

import email.utils
import http.client
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._errors import BadArguments

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_UNSAFE_IN_URL: Final = re.compile(r"[\x00-\x20\x7f\\]")
_UNSAFE_IN_HEADER: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_CHANGE_NOTHING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PARSERS: Final = ("auto", "json", "text")
_DEFAULT_RESPONSE_BYTES: Final = 8 << 20
_MAX_RESPONSE_BYTES: Final = 64 << 20
_SHORTEST_SECRET: Final = 6


@dataclass(frozen=True, slots=True)
class Request:
    """One request, checked."""

    url: str
    method: str
    headers: dict[str, str]
    body: bytes | None
    expect: frozenset[int]
    parse: str
    timeout_s: float
    max_response_bytes: int

    @property
    def target(self) -> str:
        """What goes into the request line."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def connection(self) -> http.client.HTTPConnection:
        """A new connection, not open yet."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=self.timeout_s, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=self.timeout_s)

    def moved(self, url: str, method: str, headers: dict[str, str], body: bytes | None) -> Self:
        """The request that follows a redirect."""
        return replace(self, url=url, method=method, headers=headers, body=body)

    def without_secrets(self, text: str) -> str:
        """A text in which nothing is left of the headers that were sent."""
        for name, value in self.headers.items():
            for part in (value, *value.split()):
                if name.lower() not in ("accept", "user-agent", "content-type") and len(part) >= _SHORTEST_SECRET:
                    text = text.replace(part, "***")
        return text


def shown(request: Request) -> str:
    """Method and address without the query, which may hold secrets."""
    parts = urlsplit(request.url)
    return f"{request.method} {parts.scheme}://{parts.netloc}{parts.path}"


def retry_after_s(value: str | None) -> float | None:
    """The seconds that a Retry-After asks for, given as a number or as a date; None when it makes no sense."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def read_request(arguments: Mapping[str, object], idempotency_key: str) -> Request:
    """The request that the rendered arguments ask for; raises BadArguments."""
    values: dict[str, Any] = {}
    for name, reader in READERS.items():
        if name in arguments or name == "url":
            try:
                values[name] = reader(arguments.get(name))
            except ValueError as error:
                raise BadArguments(f"/with/{name}: {error}") from error
    if "json" in values and "body" in values:
        raise BadArguments("/with/body: give `json` or `body`, not both")
    url = values["url"]
    if "query" in values:
        url += ("&" if urlsplit(url).query else "?") + values["query"]
    method = values.get("method", "GET")
    headers = {"User-Agent": "maestro-workflow-engine", "Accept-Encoding": "identity", **values.get("headers", {})}
    given = {name.lower() for name in headers}
    if "json" in values and "content-type" not in given:
        headers["Content-Type"] = "application/json"
    if method not in _CHANGE_NOTHING and "idempotency-key" not in given:
        headers["Idempotency-Key"] = idempotency_key
    return Request(
        url=url,
        method=method,
        headers=headers,
        body=values.get("json", values.get("body")),
        expect=values.get("expect", frozenset(range(200, 300))),
        parse=values.get("parse", "auto"),
        timeout_s=values.get("timeout_s", 30.0),
        max_response_bytes=values.get("max_response_bytes", _DEFAULT_RESPONSE_BYTES),
    )


def _url(value: object) -> str:
    # What is wrong is said without the address itself: it may hold a secret.
    if not isinstance(value, str):
        raise ValueError("a text was expected")
    if _UNSAFE_IN_URL.search(value):
        raise ValueError("the address holds a space, a backslash or a control character: percent-encode it")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("the address cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("the address is http://host/… or https://host/…")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not hold a user name or password: send a header instead")
    return quote(parts._replace(fragment="").geturl(), safe="%/:?#[]@!$&'()*+,;=~-._")


def _method(value: object) -> str:
    if not isinstance(value, str) or value.upper() not in _METHODS:
        raise ValueError(f"one of {', '.join(sorted(_METHODS))} was expected")
    return value.upper()


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("an object was expected, from the name of a header to its value")
    headers = {}
    for name, inner in value.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:64]!r} cannot be the name of a header")
        text = _scalar(inner)
        if _UNSAFE_IN_HEADER.search(text) or not _is_latin1(text):
            raise ValueError(f"the value of {name} holds characters that a header cannot hold")
        headers[name] = text.strip()
    return headers


def _is_latin1(text: str) -> bool:
    return all(ord(character) < 256 for character in text)


def _query(value: object) -> str:
    if not isinstance(value, dict):
        raise ValueError("an object was expected, from the name of a parameter to its value or a list of them")
    pairs = [
        (name, _scalar(inner))
        for name, values in value.items()
        for inner in (values if isinstance(values, list) else [values])
    ]
    return urlencode(pairs)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError("texts, numbers and booleans were expected")
    return str(value)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _body(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("a text was expected: data goes into `json`")
    return value.encode()


def _expect(value: object) -> frozenset[int]:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int and 100 <= number <= 599 for number in numbers):
        raise ValueError("a status or a list of them was expected, each from 100 to 599")
    return frozenset(numbers)


def _parse(value: object) -> str:
    if value not in _PARSERS:
        raise ValueError(f"one of {', '.join(_PARSERS)} was expected")
    return str(value)


def _timeout(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
        raise ValueError("a number of seconds was expected, above 0 and up to a day")
    return float(value)


def _response_limit(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_RESPONSE_BYTES:
        raise ValueError(f"a number from 1 to {_MAX_RESPONSE_BYTES} was expected")
    return value


READERS: Final[dict[str, Callable[[object], Any]]] = {
    "url": _url,
    "method": _method,
    "headers": _headers,
    "query": _query,
    "json": _json,
    "body": _body,
    "expect": _expect,
    "parse": _parse,
    "timeout_s": _timeout,
    "max_response_bytes": _response_limit,
}
