"""The process: it says where it is, ends by a signal as it should, and tells clearly why it cannot begin."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO

import pytest
from libraries.maestro_core_api import tiny_server
from libraries.maestro_core_api.running import running

from kit.processes import import_path
from maestro_core_api import ApiSettings, CannotServe
from maestro_core_api.serve import address_of, bound_socket


class TinyServer:
    """The tiny service in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", tiny_server.__name__, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": import_path()},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._gather, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _gather(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._said:
                    self.lines.append(line.rstrip("\n"))
                    self._said.notify_all()

    def line_with(self, text: str, within_s: float = 30.0) -> str:
        """The first line that holds a text, as soon as it is written."""
        end = time.monotonic() + within_s
        with self._said:
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                if not self._said.wait(max(0.0, end - time.monotonic())):
                    raise AssertionError(f"{text!r} was not said: {self.lines}")

    @property
    def url(self) -> str:
        return self.line_with("serving http").split()[1]

    def status_of(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        status = self.process.wait(30)
        self._reader.join(10)
        return status

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.ended()


StartServer = Callable[..., TinyServer]


@pytest.fixture
def start() -> Iterator[StartServer]:
    """Starts servers; none of them is left."""
    servers: list[TinyServer] = []

    def begin(*arguments: str) -> TinyServer:
        servers.append(TinyServer(*arguments))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start: StartServer, number: int) -> None:
    """Lifespan, then what outlives requests; status 0 and no trace of a fault."""
    server = start("port=0")
    assert server.status_of("/api/health/live") == 200
    server.signal(number)
    assert server.ended() == 0
    assert server.lines[2:] == ["stopping", "lifespan ends", "after begins", "after ends"]


def test_the_first_signal_waits_no_longer_than_it_may(start: StartServer) -> None:
    """A request that does not end is cut off after drain_s; the service ends in order all the same."""
    server = start("port=0", "drain_s=0.3")
    with raw_request(server, "/api/things/slow") as connection:
        assert server.status_of("/api/health/ready") == 200
        server.signal()
        assert server.ended() == 0
        assert connection.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert "lifespan ends" in server.lines
    assert not any("Traceback" in line for line in server.lines)


def test_readiness_says_no_while_requests_are_still_taken(start: StartServer) -> None:
    """For drain_delay_s a load balancer can look away before the door closes; a second signal ends that too."""
    server = start("port=0", "drain_delay_s=60")
    assert server.status_of("/api/health/ready") == 200
    server.signal()
    server.line_with("stopping")
    assert server.status_of("/api/health/ready") == 503
    assert server.status_of("/api/things") == 200
    server.signal()
    assert server.ended() == 130


def test_a_second_signal_ends_it_at_once(start: StartServer) -> None:
    """Neither a request of a minute nor work that outlives requests holds it; 130 says so, and nothing is a fault."""
    server = start("port=0", "drain_s=60", "--long-after")
    with raw_request(server, "/api/things/slow"):
        assert server.status_of("/api/health/ready") == 200
        server.signal(signal.SIGINT)
        server.line_with("stopping")
        server.signal(signal.SIGINT)
        assert server.ended() == 130
    assert "lifespan ends" in server.lines
    assert "after ends" not in server.lines
    assert not any("Traceback" in line for line in server.lines)


def test_a_second_signal_ends_work_that_outlives_requests(start: StartServer) -> None:
    """Also when all requests are long done."""
    server = start("port=0", "--long-after")
    server.line_with("serving")
    server.signal()
    server.line_with("after begins")
    server.signal()
    assert server.ended() == 130


@pytest.mark.parametrize(("stuck", "said"), [("--long-start", "lifespan begins"), ("--long-end", "lifespan hangs")])
def test_a_second_signal_ends_a_lifespan_that_hangs(start: StartServer, stuck: str, said: str) -> None:
    """Whether it hangs before the first request or after the last: nobody has to kill the process."""
    server = start("port=0", stuck)
    if stuck == "--long-end":
        server.line_with("serving")
        server.signal()
    server.line_with(said)
    if stuck == "--long-start":
        server.signal()
        server.line_with("stopping")
    server.signal()
    assert server.ended() == 130


def test_an_app_that_does_not_start_is_told(start: StartServer) -> None:
    """Status 1 and the reason, not a server that answers nothing."""
    server = start("port=0", "--broken-start")
    assert server.ended() == 1
    assert "no disk" in "\n".join(server.lines)
    server.line_with("cannot: the app did not start")


@contextlib.contextmanager
def raw_request(server: TinyServer, path: str) -> Iterator[socket.socket]:
    """A connection on which a request was sent, and its answer is not read."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield connection


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    """The port, and how to take another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotServe, match=f"port {port} on 127.0.0.1 is in use.*0 for a free one"):
            bound_socket(ApiSettings(port=port))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    """Where it was to listen stands in the message."""
    with pytest.raises(CannotServe, match=f"cannot listen on {host}:0"):
        bound_socket(ApiSettings(host=host, port=0))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_an_address_is_said_as_a_browser_takes_it(host: str) -> None:
    """Brackets around IPv6, the port that was really taken."""
    with bound_socket(ApiSettings(host=host, port=0)) as listener:
        address = address_of(listener)
        assert address.startswith("http://[::1]:" if ":" in listener.getsockname()[0] else "http://127.0.0.1:")
        assert int(address.rpartition(":")[2]) == listener.getsockname()[1] > 0


async def test_a_reader_that_is_gone_without_a_word_is_found_by_the_kernel() -> None:
    """Connections are taken with a limit for what is sent and never acknowledged, where the kernel has one."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with bound_socket(ApiSettings(port=0)) as listener:
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    async with running() as service:
        assert (await service.http.get("/api/things")).status_code == 200
