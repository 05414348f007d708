"""The registry over HTTP: a few JSON endpoints on the standard library's server, with limits and one access token."""

import hmac
import ipaddress
import json
import logging
import math
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from maestro_service_registry._errors import (
    InvalidRequest,
    LeaseHeld,
    LeaseLost,
    NotAllowed,
    RegistryError,
    StoreError,
    TooMany,
    UnknownInstance,
)
from maestro_service_registry._model import Query, is_name
from maestro_service_registry._prober import Prober, is_loopback_host
from maestro_service_registry._registry import MAX_WAIT_S, LocalRegistry
from maestro_service_registry._wire import (
    MAX_BODY_BYTES,
    error_document,
    read_object,
    read_registration,
    read_renewal,
)

STATUS_OF: Final = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    NotAllowed: HTTPStatus.UNAUTHORIZED,
    UnknownInstance: HTTPStatus.NOT_FOUND,
    LeaseHeld: HTTPStatus.CONFLICT,
    LeaseLost: HTTPStatus.GONE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooMany: HTTPStatus.SERVICE_UNAVAILABLE,
}
_IDLE_S: Final = 10.0
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")

_log = logging.getLogger("maestro_service_registry")


class RegistryServer:
    """Serves a registry on a thread of its own, and probes the instances that ask for it.

    Beyond loopback an `access_token` is required (at least 16 characters), and every request has to bring it. Port 0
    takes a free one; `url` says which. A server on loopback probes loopback, any other nothing, and both what is in
    `probe_networks` (CIDR). A quarter of the connections is kept from those who wait for changes.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        access_token: str | None = None,
        max_connections: int = 200,
        probe_networks: tuple[str, ...] = (),
    ) -> None:
        if access_token is None and not is_loopback_host(host):
            raise NotAllowed(f"{host} can be reached from other machines: give an access token, or serve on 127.0.0.1")
        if access_token is not None and not (
            len(access_token) >= 16
            and access_token.isascii()
            and access_token.isprintable()
            and access_token == access_token.strip()
        ):
            raise NotAllowed("an access token has at least 16 visible ASCII characters, and no line end")
        # Whoever registers from another machine cannot have this one ask what listens on its loopback alone.
        own = _LOOPBACK if is_loopback_host(host) else ()
        try:
            networks = tuple(ipaddress.ip_network(network) for network in (*own, *probe_networks))
        except ValueError as error:
            raise InvalidRequest([f"probe_networks: {error}"]) from error
        self.registry = LocalRegistry(path)
        self._prober = Prober(self.registry, networks)
        try:
            self._http = _Http((host, port), self.registry, access_token, max_connections)
        except BaseException as error:
            self.registry.close()
            if isinstance(error, OSError):
                error.filename = f"{host}:{port}"  # so that its text says which address
            raise
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="registry-http", daemon=True
        )

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self._http.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._prober.start()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.shutdown()
        self._prober.stop()
        self.registry.close()  # wakes those who wait for changes
        self._prober.close()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], registry: LocalRegistry, access_token: str | None, max_connections: int
    ) -> None:
        self.registry = registry
        self.access_token = access_token
        self._free = threading.BoundedSemaphore(max_connections)
        # Those who wait must not keep out those who renew, or every lease would end.
        self.may_wait = threading.BoundedSemaphore(max(1, max_connections * 3 // 4))
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Refuse, and not queue, what is beyond the limit: a full registry answers those it has."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # the system has no thread left
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, from its first request to its last."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is nobody's fault; anything else is ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            _log.exception("a request has failed")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "maestro-service-registry"
    sys_version = ""
    timeout = _IDLE_S

    def do_GET(self) -> None:
        self._answer(
            {"/v1/instances": self._list, "/v1/changes": self._changes, "/v1/health": self._health}, self._read
        )

    def do_POST(self) -> None:
        self._answer({"/v1/instances": self._register}, None)

    def do_PUT(self) -> None:
        self._answer({}, self._renew)

    def do_DELETE(self) -> None:
        self._answer({}, self._deregister)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: whoever wants to see requests puts a proxy or a trace there."""

    def _answer(
        self,
        fixed: dict[str, Callable[[], tuple[HTTPStatus, object]]],
        of_one: Callable[[str, str], tuple[HTTPStatus, object]] | None,
    ) -> None:
        """Find what answers, and turn what it raises into a document; the body is read first, so that the next is."""
        document: object
        try:
            self._body = self._read_body()
            self._admit()
            parts = urlsplit(self.path)
            self._query = parse_qsl(
                parts.query, keep_blank_values=True, max_num_fields=64, strict_parsing=bool(parts.query)
            )
            status, document = self._call(parts.path, fixed, of_one)
        except RegistryError as error:
            status = STATUS_OF.get(type(error), HTTPStatus.SERVICE_UNAVAILABLE)
            document = error_document(error)
        except ValueError as error:
            status, document = HTTPStatus.BAD_REQUEST, error_document(InvalidRequest([f"request: {error}"]))
        body = json.dumps(document, separators=(",", ":")).encode() if document is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(body)

    def _call(
        self,
        path: str,
        fixed: dict[str, Callable[[], tuple[HTTPStatus, object]]],
        of_one: Callable[[str, str], tuple[HTTPStatus, object]] | None,
    ) -> tuple[HTTPStatus, object]:
        if path in fixed:
            return fixed[path]()
        parts = path.split("/")
        if of_one is not None and len(parts) == 5 and parts[:3] == ["", "v1", "instances"]:
            service, instance = unquote(parts[3]), unquote(parts[4])
            if is_name(service) and is_name(instance):
                return of_one(service, instance)
        raise UnknownInstance(f"nothing answers {self.command} here")

    def _read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise InvalidRequest(["body: send it with a Content-Length"])
        # Read otherwise by a proxy than by us, one request would be two.
        if self.headers.defects or any(
            name != name.strip() or "\n" in value or "\r" in value for name, value in self.headers.items()
        ):
            self.close_connection = True
            raise InvalidRequest(["headers: are not as HTTP has them"])
        text, *more = self.headers.get_all("Content-Length") or ["0"]
        if more or not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= MAX_BODY_BYTES):
            self.close_connection = True
            raise InvalidRequest([f"body: at most {MAX_BODY_BYTES} bytes"])
        return self.rfile.read(int(text))

    def _admit(self) -> None:
        http = cast(_Http, self.server)
        if http.access_token is not None:
            scheme, _, given = self.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), http.access_token.encode()):
                raise NotAllowed("this registry wants its access token as `Authorization: Bearer …`")
            return
        # Without a token only loopback is served; a page that a browser shows under another name must not get in.
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if not is_loopback_host(host) or "Origin" in self.headers:
            raise NotAllowed("this registry answers programs on this machine alone")

    @property
    def _registry(self) -> LocalRegistry:
        return cast(_Http, self.server).registry

    def _health(self) -> tuple[HTTPStatus, object]:
        return HTTPStatus.OK, {"revision": self._registry.revision}

    def _list(self) -> tuple[HTTPStatus, object]:
        snapshot = self._registry.snapshot(self._asked({}))
        return HTTPStatus.OK, {
            "revision": snapshot.revision,
            "items": [instance.as_json() for instance in snapshot.instances],
        }

    def _changes(self) -> tuple[HTTPStatus, object]:
        given = {"after": 0.0, "wait_s": 0.0}
        query = self._asked(given)
        wait_s = min(given["wait_s"], MAX_WAIT_S)
        may_wait = cast(_Http, self.server).may_wait
        if wait_s and not may_wait.acquire(blocking=False):
            raise TooMany("as many wait for changes as may; ask again, or without waiting", retry_after_s=1.0)
        try:
            changes = self._registry.changes(int(given["after"]), query, wait_s)
        finally:
            if wait_s:
                may_wait.release()
        return HTTPStatus.OK, {
            "revision": changes.revision,
            "items": [change.as_json() for change in changes.changes],
            "lost": changes.lost,
        }

    def _asked(self, numbers: dict[str, float]) -> Query:
        """The query in the address; `numbers` are filled in by name."""
        texts: dict[str, Any] = {}
        labels: dict[str, str] = {}
        for name, value in self._query:
            if name in numbers:
                number = float(value)
                if not (math.isfinite(number) and 0 <= number <= 2**53):
                    raise InvalidRequest([f"{name}: not a number that can be"])
                numbers[name] = number
            elif name.startswith("label."):
                labels[name.removeprefix("label.")] = value
            elif name in ("service", "contract", "status"):
                texts[name] = value
            else:
                raise InvalidRequest([f"{name[:80]}: unknown"])
        return Query(**texts, labels=labels)

    def _register(self) -> tuple[HTTPStatus, object]:
        registration, key = read_registration(read_object(self._body))
        lease = self._registry.register(registration, key)
        return HTTPStatus.CREATED, {"token": lease.token, "ttl_s": lease.ttl_s}

    def _read(self, service: str, instance: str) -> tuple[HTTPStatus, object]:
        return HTTPStatus.OK, self._registry.get(service, instance).as_json()

    def _renew(self, service: str, instance: str) -> tuple[HTTPStatus, object]:
        lease, status = read_renewal(read_object(self._body), service, instance)
        self._registry.renew(lease, status)
        return HTTPStatus.OK, {}

    def _deregister(self, service: str, instance: str) -> tuple[HTTPStatus, object]:
        lease, _ = read_renewal(read_object(self._body), service, instance)
        self._registry.deregister(lease)
        return HTTPStatus.OK, {}
