"""Instances that do not tell how they are, are asked."""

import contextlib
import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from maestro_service_registry import LeaseLost, LocalRegistry, Probe, Registration, RegistryServer
from maestro_service_registry._prober import FAILURES, Network, ProbeFailed, Prober, is_loopback_host, probe
from maestro_service_registry.testing import ManualClock

KEY = "the holder's own key"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Service:
    """A real HTTP service that is well or not, as told."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(self.path)
                self.send_response(service.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    thread = threading.Thread(target=running.http.serve_forever, args=(0.05,))
    thread.start()
    yield running
    running.http.shutdown()
    thread.join()
    running.http.server_close()


def asking(service: Service, ttl_s: float = 10.0, interval_s: float = 1.0) -> Registration:
    return Registration(
        "orders", "a", service.url, ttl_s=ttl_s, probe=Probe("/health/live", interval_s, min(interval_s, 0.5))
    )


def test_a_probe_that_succeeds_renews_and_one_that_fails_does_not(service: Service) -> None:
    """Two failures in a row make an instance failing, one success passing; the lease ends when none comes in time."""
    clock = ManualClock()
    with LocalRegistry(clock=clock, expire=False) as registry, contextlib.closing(Prober(registry, LOOPBACK)) as prober:
        registry.register(asking(service), KEY)
        instance = registry.get("orders", "a")
        statuses = []
        for status in (200, 503, 200, 503, 302, 200):
            service.status = status
            clock.advance(6)
            prober.probe_once(instance)
            registry.expire_due()
            statuses.append(registry.snapshot().instances[0].status if registry.snapshot().instances else "gone")
            if status != 200:
                registry.renew_probed(instance)  # so that the next one finds it there
        assert service.asked == ["/health/live"] * 6
        assert statuses == ["passing", "passing", "passing", "passing", "failing", "passing"]
        clock.advance(11)
        with pytest.raises(LeaseLost):
            prober.probe_once(instance)


def test_two_failures_make_it_failing_and_then_it_is_gone() -> None:
    clock = ManualClock()

    def refuse(*_: object) -> None:
        raise ProbeFailed("as the test wants")

    with LocalRegistry(clock=clock, expire=False) as registry:
        registry.register(Registration("orders", "a", "http://127.0.0.1:1", ttl_s=10, probe=Probe("/", 1, 0.5)), KEY)
        instance = registry.get("orders", "a")
        with contextlib.closing(Prober(registry, LOOPBACK, ask=refuse)) as prober:
            for number in range(1, FAILURES + 2):
                prober.probe_once(instance)
                assert registry.get("orders", "a").status == ("failing" if number >= FAILURES else "passing")
        clock.advance(10)
        assert registry.snapshot().instances == ()


def test_a_served_registry_probes_by_itself(service: Service) -> None:
    """A service that knows nothing of the registry stays in it while it is well, and leaves when it is not."""
    with RegistryServer() as server:
        server.registry.register(asking(service, ttl_s=0.5, interval_s=0.1), KEY)
        seen = server.registry.get("orders", "a").renewed_at
        while server.registry.get("orders", "a").renewed_at == seen:
            assert server.registry.changes(server.registry.revision, wait_s=0.05).changes == ()
        revision = server.registry.revision
        service.status = 500
        changes = server.registry.changes(revision, wait_s=30).changes
        assert [(change.kind, change.instance.status) for change in changes] == [("changed", "failing")]
        (gone,) = server.registry.changes(revision + 1, wait_s=30).changes
        assert gone.kind == "expired"


@pytest.mark.parametrize(
    "url", ["http://localhost:9", "http://192.0.2.1:9", "http://127.0.0.1:1", "http://nowhere.invalid"]
)
def test_what_may_not_be_asked_or_does_not_answer_has_failed(url: str) -> None:
    """The registry reaches nothing outside the networks that it may probe."""
    networks: tuple[Network, ...] = LOOPBACK if "127" in url else (ipaddress.ip_network("198.51.100.0/24"),)
    with LocalRegistry() as registry:
        registry.register(Registration("orders", "a", url, ttl_s=60, probe=Probe("/", 10, 0.5)), KEY)
        with pytest.raises(ProbeFailed):
            probe(registry.get("orders", "a"), networks)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_loopback_is_known_by_its_addresses(host: str, loopback: bool) -> None:
    assert is_loopback_host(host) is loopback
