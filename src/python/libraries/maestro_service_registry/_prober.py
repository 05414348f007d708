"""Asks instances whether they are well, for those that do not tell by themselves."""

import contextlib
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
    """Ask once; raises ProbeFailed.

    Only addresses inside `networks` are asked, and the one that was looked at is the one that is connected to: whoever
    registers cannot have the registry reach what the registrant itself cannot. No redirect is followed.
    """
    assert instance.probe is not None, "only instances that want to be asked are"
    parts = urlsplit(instance.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    timeout_s = instance.probe.timeout_s
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        address = str(found[0][4][0])
        if not any(ipaddress.ip_address(address) in network for network in networks):
            raise ProbeFailed(f"{address} is in none of the networks that this registry probes")
        link = socket.create_connection((address, port), timeout=timeout_s)
        with contextlib.ExitStack() as stack:
            stack.callback(link.close)
            if parts.scheme == "https":
                link = ssl.create_default_context().wrap_socket(link, server_hostname=parts.hostname)
                stack.callback(link.close)
            connection = HTTPConnection(parts.hostname or "", port, timeout=timeout_s)
            connection.sock = link
            connection.request("GET", instance.probe.path, headers={"Connection": "close"})
            status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        raise ProbeFailed(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        raise ProbeFailed(f"answered {status}")


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
        self._failures: dict[tuple[str, str, int], int] = {}
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
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] == FAILURES:
                _log.warning("%s/%s is not well: %s", instance.service, instance.instance, error)
            if self._failures[key] >= FAILURES:
                self._registry.fail_probed(instance)
        else:
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
                self._failures = {key: count for key, count in self._failures.items() if key in known}
                self._begin_what_is_due(due, known, order, now_s)
                nap_s = due[0][0] - time.monotonic() if due else MAX_WAIT_S
                self._registry.changes(snapshot.revision, wait_s=nap_s)
            except RegistryError as error:
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
            if (instance.service, instance.instance, instance.token) in known and instance.probe is not None:
                self._pool.submit(self._probe_and_log, instance)
                heapq.heappush(due, (now_s + instance.probe.interval_s, next(order), instance))

    def _probe_and_log(self, instance: Instance) -> None:
        if self._stopped.is_set():
            return
        try:
            self.probe_once(instance)
        except LeaseLost as error:
            _log.info("%s", error)
        except RegistryError as error:
            _log.error("%s/%s was probed in vain: %s", instance.service, instance.instance, error)
