"""Servers, services and callbacks that misbehave cost a client, a keeper and a prober nothing but what is theirs."""

import contextlib
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from maestro_service_registry import (
    Changes,
    Directory,
    Instance,
    InvalidRequest,
    Keeper,
    LeaseHeld,
    LocalRegistry,
    Probe,
    Query,
    Registration,
    RegistryClient,
    RegistryServer,
    Unreachable,
)
from maestro_service_registry._model import ANY
from maestro_service_registry._prober import ProbeFailed, Prober, probe
from maestro_service_registry._wire import error_of
from maestro_service_registry.testing import FlakyRegistry, ManualClock

KEY = "the holder's own key"
ORDERS = Registration("orders", "a", "http://127.0.0.1:80", ttl_s=10)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@contextlib.contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that talks to the first connection as told; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            link, _ = listener.accept()
            with link, contextlib.suppress(OSError):
                link.recv(65_536)
                talk(link)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(30)
        assert not thread.is_alive()


def drip(link: socket.socket) -> None:
    """A header that never ends, a byte in each twentieth of a second, until the other side has had enough."""
    link.settimeout(0.05)
    link.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        link.sendall(b"a")
        with contextlib.suppress(TimeoutError):
            if not link.recv(1):
                return


def answering(document: object, status: bytes = b"200 OK") -> Callable[[socket.socket], None]:
    body = json.dumps(document).encode()
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n"
    return lambda link: link.sendall(head + body)


def test_a_server_that_drips_is_given_up_in_time() -> None:
    """The limit is one for the whole exchange, its headers too."""
    with serving(drip) as url, pytest.raises(Unreachable, match="TimeoutError"):
        RegistryClient(url, timeout_s=0.3).get("orders", "a")


def test_a_service_that_drips_has_failed_its_probe() -> None:
    """Or sixteen of them would stop all probes, and the leases of everyone probed would end."""
    with LocalRegistry() as registry, serving(drip) as url:
        registry.register(Registration("orders", "a", url, ttl_s=60, probe=Probe("/", 10, 0.3)), KEY)
        with pytest.raises(ProbeFailed, match="TimeoutError"):
            probe(registry.get("orders", "a"), LOOPBACK)


def test_a_service_on_one_of_the_addresses_of_its_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` leads to ::1 first, and the service listens on 127.0.0.1 alone."""
    kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    real = socket.getaddrinfo

    def both(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        if host == "localhost":
            return [(*kind, ("127.0.0.2", port)), (*kind, ("127.0.0.1", port))]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with LocalRegistry() as registry, serving(answering({})) as url:
        named = url.replace("127.0.0.1", "localhost")
        registry.register(Registration("orders", "a", named, ttl_s=60, probe=Probe("/", 10, 5)), KEY)
        probe(registry.get("orders", "a"), LOOPBACK)


def test_probes_of_a_slow_service_do_not_pile_up() -> None:
    """The next one is begun when the last has ended; others keep their rhythm."""
    asked = {"slow": 0, "quick": 0}
    enough, gate = threading.Event(), threading.Event()

    def ask(instance: Instance, *_: object) -> None:
        asked[instance.instance] += 1
        if instance.instance == "slow":
            assert gate.wait(30)
        elif asked["quick"] == 5:
            enough.set()

    with LocalRegistry() as registry:
        prober = Prober(registry, LOOPBACK, ask=ask)
        for name in asked:
            probed = Registration("orders", name, "http://127.0.0.1:1", ttl_s=60, probe=Probe("/", 0.1, 0.1))
            registry.register(probed, KEY)
        prober.start()
        assert enough.wait(30)
        assert asked["slow"] == 1
        gate.set()
        prober.stop()
    prober.close()


def test_the_prober_outlives_a_system_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be begun is begun later, and every instance is still known."""
    probed = threading.Event()
    with LocalRegistry() as registry:
        prober = Prober(registry, LOOPBACK, ask=lambda *_: probed.set())
        real, calls = threading.Thread.start, iter([True])

        def start(thread: threading.Thread) -> None:
            if thread.name.startswith("registry-probe_") and next(calls, False):
                raise RuntimeError("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        registry.register(Registration("orders", "a", "http://127.0.0.1:1", ttl_s=60, probe=Probe("/", 0.1, 0.1)), KEY)
        prober.start()
        assert probed.wait(30)
        prober.stop()
    prober.close()


def test_a_server_beyond_loopback_does_not_probe_its_own_loopback() -> None:
    """Whoever registers from elsewhere cannot have it ask what only this machine reaches."""
    with RegistryServer(host="0.0.0.0", access_token="a token that is long enough") as server:
        assert server._prober._networks == ()
    with RegistryServer(probe_networks=("10.0.0.0/8",)) as server:
        assert list(map(str, server._prober._networks)) == ["127.0.0.0/8", "::1/128", "10.0.0.0/8"]


@pytest.mark.parametrize("ttl_s", [0, -1, 1e-9, float("nan"), float("inf"), 10**400, 1e300])
def test_a_lease_for_no_time_is_no_lease(ttl_s: float) -> None:
    """A keeper that believed it would ask without a pause, or die."""
    granted = answering({"token": 1, "ttl_s": ttl_s}, b"201 Created")
    with serving(granted) as url, pytest.raises(Unreachable, match="ttl_s"):
        RegistryClient(url).register(ORDERS, KEY)


@pytest.mark.parametrize("after_s", [-5, float("nan"), float("inf"), 10**400, "soon", [1]])
def test_a_refusal_for_no_time_names_none(after_s: object) -> None:
    error = error_of({"code": "registry.lease-held", "message": "m", "retry_after_s": after_s})
    assert isinstance(error, LeaseHeld)
    assert error.retry_after_s is None


def test_what_a_server_says_moves_no_terminal() -> None:
    """No escape sequences, no lines of its own, no megabytes, in what is logged and shown."""
    hostile = "\x1b]0;owned\x07\nERROR fake line\ud800\u202e" + "x" * 5000
    for document in (
        {"code": "registry.too-many", "message": hostile},
        {"code": "registry.invalid-request", "problems": [hostile]},
        {"code": "other", "message": hostile},
    ):
        text = str(error_of(document))
        assert text.isprintable()
        assert len(text) < 1100


@pytest.mark.parametrize(
    "change",
    [{"url": "file:///etc/passwd"}, {"service": "a\x1b[2J"}, {"labels": {"a": {"b": 1}}}, {"contract": "latest"}],
)
def test_an_instance_that_nobody_could_register_is_not_believed(change: dict[str, object]) -> None:
    with LocalRegistry() as registry:
        registry.register(ORDERS, KEY)
        document = registry.get("orders", "a").as_json() | change
    with serving(answering(document)) as url, pytest.raises(Unreachable, match="does not answer as a registry"):
        RegistryClient(url).get("orders", "a")


@pytest.mark.parametrize("url", ["http://a:99999", "http://[::1", "http://:secret@a", "http://user:secret@a"])
def test_an_address_with_a_secret_is_refused_without_it(url: str) -> None:
    with pytest.raises(InvalidRequest, match="url: ") as refused:
        RegistryClient(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "token", ["a token with its line end\n", "ein Schlüssel, nicht ASCII", "\r\nX: y", " indented"]
)
def test_a_token_that_is_no_header_is_refused_without_it(token: str) -> None:
    """It is what a file holds that was read whole; http.client would show it in an error at each call."""
    with pytest.raises(InvalidRequest, match="access_token: ") as refused:
        RegistryClient("http://127.0.0.1:1", access_token=token)
    assert token.strip() not in str(refused.value)


def test_a_callback_that_fails_does_not_end_the_keeper(caplog: pytest.LogCaptureFixture) -> None:
    """The program hears of it in the log, and stays registered."""

    def fail(valid: bool) -> None:
        raise ZeroDivisionError("a mistake of the program")

    with LocalRegistry() as registry, Keeper(registry, ORDERS, on_change=fail) as keeper:
        assert keeper.wait(30)
        revision = registry.revision
        keeper.say("draining")
        assert registry.changes(revision, wait_s=30).changes[0].instance.status == "draining"
    assert "on_change has failed" in caplog.text


def test_a_callback_may_wait_for_those_who_look_at_valid() -> None:
    """A lease lapses, and whoever is told stops the work: its thread looks at `valid` once more, and may."""
    told, looked, in_time = threading.Event(), threading.Event(), list[bool]()
    clock = ManualClock()
    with LocalRegistry() as registry:
        flaky = FlakyRegistry(registry)

        def look() -> None:
            assert not keeper.valid
            looked.set()

        def stop_work(valid: bool) -> None:
            if valid:
                return
            worker = threading.Thread(target=look)
            worker.start()
            in_time.append(looked.wait(10))
            told.set()
            worker.join(10)

        keeper = Keeper(flaky, ORDERS, on_change=stop_work, clock=clock)
        keeper.step()
        keeper._tell()
        flaky.away = True
        clock.advance(9.1)
        pausing = threading.Thread(target=lambda: keeper._pause(1.0))
        pausing.start()
        assert told.wait(30)
        assert in_time == [True]
        clock.advance(1.0)
        keeper.say("passing")
        pausing.join(30)


def test_a_directory_goes_on_when_its_callback_fails(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a mistake of the program")

    with LocalRegistry() as registry, Directory(registry, on_change=fail) as directory:
        registry.register(Registration("orders", "1", "http://a"), KEY)
        assert directory.wait(lambda there: len(there) == 1, 30)
        registry.register(Registration("orders", "2", "http://a"), KEY)
        assert directory.wait(lambda there: len(there) == 2, 30)
    assert "on_change has failed" in caplog.text


def test_a_directory_does_not_hammer_a_registry_that_answers_at_once() -> None:
    """Two registries behind one address are `lost` at every question."""
    clock_at: list[int] = []
    enough = threading.Event()

    class Impatient(FlakyRegistry):
        def changes(self, after: int, query: Query = ANY, wait_s: float = 0.0) -> Changes:
            clock_at.append(after)
            if len(clock_at) == 3:
                enough.set()
            return Changes(after, (), lost=True)

    with LocalRegistry() as registry, Directory(Impatient(registry)) as directory:
        paused: list[float] = []
        real = directory._pause

        def pause(pause_s: float) -> None:
            paused.append(pause_s)
            real(pause_s)

        directory._pause = pause  # type: ignore[method-assign]  # looks on
        assert enough.wait(30)
    assert paused
    assert min(paused) >= 0.05
    assert len(clock_at) <= len(paused) + 3


def test_faults_of_the_machine_end_no_thread(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """No file descriptor is left for a moment: keeper and directory go on when there are some again."""
    with LocalRegistry() as registry:
        faults = {"register": True, "snapshot": True}

        def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any) -> Any:
                if faults.pop(name, False):
                    raise OSError(24, f"Too many open files, in {name}")
                return real(*given)

            return call

        for name in tuple(faults):
            monkeypatch.setattr(registry, name, failing(name, getattr(registry, name)))
        with Keeper(registry, ORDERS) as keeper, Directory(registry) as directory:
            assert keeper.wait(30)
            assert directory.wait(lambda there: len(there) == 1, 30)
        assert caplog.text.count("Too many open files") >= 2


def test_certificates_that_cannot_be_read_are_told_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ssl, "create_default_context", no_file)
    with pytest.raises(Unreachable, match="Too many open files"):
        RegistryClient("https://127.0.0.1:1").snapshot()
