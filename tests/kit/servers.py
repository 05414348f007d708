"""Starts a real server on a free loopback port, and stops it."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path


def free_port() -> int:
    """A loopback port that nothing listens on at this moment.

    From below those that the kernel gives to connections, so that none takes it before, or between two runs of, a
    server; and not by a seeded generator, which would give the same ones to tests that run side by side.
    """
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def serving(
    command: list[str | Path], *, port: int, cwd: Path, env: Mapping[str, str], ready_s: float = 90.0
) -> Iterator[None]:
    """Run a server until the block ends; raises AssertionError with its log when it does not listen in time."""
    log = cwd / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if not _listens(process, port, ready_s):
            raise AssertionError(f"{command} did not listen within {ready_s} s:\n{log.read_text(errors='replace')}")
        yield
    finally:
        _stop(process)


def _listens(process: subprocess.Popen[bytes], port: int, ready_s: float) -> bool:
    until = time.monotonic() + ready_s
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        # Waits for the next try, or learns that the server has ended.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            return False
    return False


def _stop(process: subprocess.Popen[bytes], grace_s: float = 15.0) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace_s)
    # The server, if it is deaf, and whatever it started.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
