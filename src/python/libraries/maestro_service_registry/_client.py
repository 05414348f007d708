"""The registry over HTTP, for programs on any machine."""

import json
import re
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from maestro_service_registry._deadline import Deadline
from maestro_service_registry._errors import InvalidRequest, Unreachable
from maestro_service_registry._model import (
    ANY,
    MAX_TTL_S,
    MIN_TTL_S,
    Changes,
    Instance,
    Lease,
    Query,
    Registration,
    Snapshot,
    Status,
)
from maestro_service_registry._registry import MAX_WAIT_S
from maestro_service_registry._wire import (
    MAX_ANSWER_BYTES,
    Fields,
    answered,
    error_of,
    read_changes,
    read_instance,
    read_snapshot,
)

_TOKEN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|", re.ASCII)


class RegistryClient:
    """Speaks to a RegistryServer; a connection for each call, so that threads share a client and nothing stays open.

    Every call raises Unreachable when the server does not answer within `timeout_s`, and NotAllowed when it wants
    another access token; the token is in no error and no repr.
    """

    def __init__(self, url: str, *, access_token: str | None = None, timeout_s: float = 5.0) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidRequest([f"url: is not http://HOST:PORT ({error})"]) from error
        if "@" in parts.netloc:
            raise InvalidRequest(["url: no user and no password belong into it; there is access_token"])
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidRequest([f"url: {url[:200]!r} is not http://HOST:PORT"])
        # Looked at here: http.client would refuse it at each call, in words that hold it.
        if access_token is not None and not _TOKEN.fullmatch(access_token):
            raise InvalidRequest(["access_token: visible ASCII characters alone, without a line end"])
        self._host, self._port, self._scheme = parts.hostname, port, parts.scheme
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
        self._timeout_s = timeout_s
        self.url = url

    def __repr__(self) -> str:
        return f"RegistryClient({self.url!r})"

    def register(self, registration: Registration, key: str) -> Lease:
        """See Registry."""
        body = {
            "service": registration.service,
            "instance": registration.instance,
            "url": registration.url,
            "contract": registration.contract,
            "labels": dict(registration.labels),
            "ttl_s": registration.ttl_s,
            "probe": registration.probe.as_json() if registration.probe else None,
            "key": key,
        }
        token, ttl_s = answered(_granted, self._ask("POST", "/v1/instances", body=body), self.url)
        return Lease(registration.service, registration.instance, token, key, ttl_s)

    def renew(self, lease: Lease, status: Status | None = None) -> None:
        """See Registry."""
        self._ask("PUT", _place(lease.service, lease.instance), body=_shown(lease) | {"status": status})

    def deregister(self, lease: Lease) -> None:
        """See Registry."""
        self._ask("DELETE", _place(lease.service, lease.instance), body=_shown(lease))

    def get(self, service: str, instance: str) -> Instance:
        """See Registry."""
        return answered(read_instance, self._ask("GET", _place(service, instance)), self.url)

    def snapshot(self, query: Query = ANY) -> Snapshot:
        """See Registry."""
        return answered(read_snapshot, self._ask("GET", "/v1/instances", _words(query)), self.url)

    def changes(self, after: int, query: Query = ANY, wait_s: float = 0.0) -> Changes:
        """See Registry."""
        wait_s = min(max(wait_s, 0.0), MAX_WAIT_S)
        words = {**_words(query), "after": str(after), "wait_s": str(wait_s)}
        return answered(read_changes, self._ask("GET", "/v1/changes", words, wait_s=wait_s), self.url)

    def _ask(
        self,
        method: str,
        path: str,
        words: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        wait_s: float = 0.0,
    ) -> bytes:
        """Send one request; the body of a good answer. Raises the error that the registry tells."""
        until_s = time.monotonic() + self._timeout_s + wait_s
        connection: HTTPConnection | None = None
        try:
            connection = self._connection(self._timeout_s + wait_s)
            target = self._prefix + path + (f"?{urlencode(words)}" if words else "")
            content = json.dumps(body).encode() if body is not None else None
            headers = self._headers | ({"Content-Type": "application/json"} if content is not None else {})
            connection.connect()
            with connection.sock as link:
                connection.sock = Deadline(link, until_s)
                connection.request(method, target, content, headers)
                answer = connection.getresponse()
                data = bytearray()
                while part := answer.read1(65_536):
                    data += part
                    if len(data) > MAX_ANSWER_BYTES:
                        raise Unreachable(f"{self.url} sends too much")
        except (OSError, HTTPException, UnicodeError) as error:
            raise Unreachable(f"{self.url} does not answer: {type(error).__name__}: {error}") from error
        finally:
            if connection is not None:
                connection.close()
        if answer.status >= 300:
            raise error_of(answered(dict, bytes(data), self.url))
        return bytes(data)

    def _connection(self, timeout_s: float) -> HTTPConnection:
        if self._scheme == "https":
            context = ssl.create_default_context()
            return HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)
        return HTTPConnection(self._host, self._port, timeout=timeout_s)


def _place(service: str, instance: str) -> str:
    return f"/v1/instances/{quote(service, safe='')}/{quote(instance, safe='')}"


def _shown(lease: Lease) -> dict[str, Any]:
    return {"token": lease.token, "key": lease.key}


def _granted(data: Mapping[str, Any]) -> tuple[int, float]:
    fields = Fields(data)
    token, ttl_s = fields.take("token", int), fields.take("ttl_s", float)
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        fields.problems.append("ttl_s: no time that a lease can have")
    fields.end()
    return token, ttl_s


def _words(query: Query) -> dict[str, str]:
    asked = {"service": query.service, "contract": query.contract, "status": query.status}
    words = {name: value for name, value in asked.items() if value is not None}
    return words | {f"label.{name}": value for name, value in query.labels.items()}
