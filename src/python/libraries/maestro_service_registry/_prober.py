"""Asks instances whether they are well, for those that do not tell by themselves."""

import heapq
import ipaddress
import itertools
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

from maestro_service_registry._deadline import Deadline
from maestro_service_registry._errors import LeaseLost, RegistryError
from maestro_service_registry._model import Instance
from maestro_service_registry._registry import MAX_WAIT_S, LocalRegistry

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FAILURES: Final = 2
"""How many probes in a row have to fail before an instance counts as failing."""
_AT_ONCE: Final = 16
_AFTER_FAULT_S: Final = 1.0

_log = logging.getLogger("maestro_service_registry")


class ProbeFailed(Exception):
    """An instance did not answer as a well one does; told to the log, never to those who ask."""


def is_loopback_host(host: str) -> bool:
    """Whether a host, as it stands in an address, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def probe(instance: Instance, networks: Sequence[Network]) -> None:
    """Ask once, in `timeout_s` from the first connection to the last byte; raises ProbeFailed.

    Only addresses inside `networks` are asked, and the one that was looked at is the one that is connected to: whoever
    registers cannot have the registry reach what the registrant itself cannot. No redirect is followed.
    """
    assert instance.probe is not None, "only instances that want to be asked are"
    parts = urlsplit(instance.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = [str(each[4][0]) for each in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)]
        allowed = [each for each in found if any(ipaddress.ip_address(each) in network for network in networks)]
        if not allowed:
            raise ProbeFailed(f"{', '.join(found)} is in none of the networks that this registry probes")
        until_s = time.monotonic() + instance.probe.timeout_s
        with _connect(allowed, port, instance.probe.timeout_s) as plain:
            secure = parts.scheme == "https"
            with _secured(plain, parts.hostname or "") if secure else plain as link:
                connection = HTTPConnection(parts.hostname or "", port)
                connection.sock = Deadline(link, until_s)
                connection.request("GET", instance.probe.path, headers={"Connection": "close"})
                status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        raise ProbeFailed(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        raise ProbeFailed(f"answered {status}")


def _connect(addresses: Sequence[str], port: int, timeout_s: float) -> socket.socket:
    """The first that takes the call: `localhost` is ::1 and 127.0.0.1, and a service often listens on one alone."""
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), timeout=timeout_s / len(addresses))
        except OSError:
            continue
    return socket.create_connection((addresses[-1], port), timeout=timeout_s / len(addresses))


def _secured(link: socket.socket, host: str) -> ssl.SSLSocket:
    return ssl.create_default_context().wrap_socket(link, server_hostname=host)


class Prober:
    """Probes every instance that wants it, each in its own rhythm, on a few threads."""

    def __init__(
        self,
        registry: LocalRegistry,
        networks: Sequence[Network],
        *,
        ask: Callable[[Instance, Sequence[Network]], None] = probe,
    ) -> None:
        self._registry = registry
        self._networks = networks
        self._ask = ask
        self._lock = threading.Lock()  # for the two that follow
        self._failures: dict[tuple[str, str, int], int] = {}
        self._under_way: set[tuple[str, str, int]] = set()
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="registry-probe")
        self._thread = threading.Thread(target=self._run, name="registry-prober", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopped.set()

    def close(self) -> None:
        """End, once the registry is closed; probes under way are waited for, at most their own time limit."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown()

    def probe_once(self, instance: Instance) -> None:
        """Probe an instance and tell the registry; raises LeaseLost when the instance is another's meanwhile."""
        key = (instance.service, instance.instance, instance.token)
        try:
            self._ask(instance, self._networks)
        except ProbeFailed as error:
            with self._lock:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
            if failures == FAILURES:
                _log.warning("%s/%s is not well: %s", instance.service, instance.instance, error)
            if failures >= FAILURES:
                self._registry.fail_probed(instance)
        else:
            with self._lock:
                self._failures.pop(key, None)
            self._registry.renew_probed(instance)

    def _run(self) -> None:
        """Keep a heap of who is due when, and look again at who is there whenever anything has changed."""
        due: list[tuple[float, int, Instance]] = []
        known: dict[tuple[str, str, int], Instance] = {}
        order = itertools.count()
        while not self._stopped.is_set():
            try:
                snapshot = self._registry.snapshot()
                there = {(each.service, each.instance, each.token): each for each in snapshot.instances if each.probe}
                now_s = time.monotonic()
                for key in there.keys() - known.keys():
                    heapq.heappush(due, (now_s, next(order), there[key]))
                known = there
                with self._lock:
                    self._failures = {key: count for key, count in self._failures.items() if key in known}
                self._begin_what_is_due(due, known, order, now_s)
                nap_s = due[0][0] - time.monotonic() if due else MAX_WAIT_S
                self._registry.changes(snapshot.revision, wait_s=nap_s)
            except (RegistryError, RuntimeError) as error:  # RuntimeError: the system has no thread left
                if not self._stopped.wait(_AFTER_FAULT_S):
                    _log.error("nobody can be probed: %s", error)

    def _begin_what_is_due(
        self,
        due: list[tuple[float, int, Instance]],
        known: Mapping[tuple[str, str, int], Instance],
        order: Iterator[int],
        now_s: float,
    ) -> None:
        while due and due[0][0] <= now_s:
            _, _, instance = heapq.heappop(due)
            key = (instance.service, instance.instance, instance.token)
            if key not in known or instance.probe is None:
                continue
            heapq.heappush(due, (now_s + instance.probe.interval_s, next(order), instance))
            with self._lock:
                waits = key in self._under_way
                self._under_way.add(key)
            if waits:  # slow ones would fill the queue without end
                continue
            try:
                self._pool.submit(self._probe_and_log, key, instance)
            except RuntimeError:
                with self._lock:
                    self._under_way.discard(key)
                raise

    def _probe_and_log(self, key: tuple[str, str, int], instance: Instance) -> None:
        if self._stopped.is_set():
            return
        try:
            self.probe_once(instance)
        except LeaseLost as error:
            _log.info("%s", error)
        except RegistryError as error:
            _log.error("%s/%s was probed in vain: %s", instance.service, instance.instance, error)
        except Exception:
            _log.exception("%s/%s could not be probed", instance.service, instance.instance)
        finally:
            with self._lock:
                self._under_way.discard(key)
