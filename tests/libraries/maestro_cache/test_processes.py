"""The bound across processes, with real ones: one run for each lease, or one for each process without leases."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import redis
from libraries.maestro_cache import redis_process

from kit.processes import import_path
from kit.redis_server import RedisServer

WITHIN_S = 60
SCRIPT = redis_process.__file__


class Readers:
    """Processes that read one key, and the Redis in which they meet."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=WITHIN_S + 5)
        self._url = url
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, count: int, *, lease_s: float | None, threads: int = 1) -> list[subprocess.Popen[str]]:
        """Processes that are ready to read."""
        command = [sys.executable, "-P", SCRIPT, self._url, str(lease_s).lower(), str(threads)]
        environment = {**os.environ, "PYTHONPATH": import_path()}
        started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        self._processes += started
        for _ in started:
            assert self.client.blpop(["ready"], WITHIN_S) is not None, "a process did not start"
        return started

    def go(self, count: int = 1) -> None:
        self.client.rpush("go", *["1"] * count)

    def wait_until_one_has_begun(self) -> None:
        assert self.client.blpop(["begun"], WITHIN_S) is not None, "no function has begun"

    def let_end(self, count: int = 1) -> None:
        self.client.rpush("may-end", *["1"] * count)

    @property
    def runs(self) -> int:
        return int(str(self.client.get("runs")))

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait(20)
            assert process.stdout is not None
            process.stdout.close()
        self.client.close()


@pytest.fixture
def readers(own_redis: RedisServer) -> Iterator[Readers]:
    readers = Readers(own_redis.url)
    yield readers
    readers.close()


def values(process: subprocess.Popen[str]) -> list[str]:
    """What the threads of a process got, each value once."""
    output, _ = process.communicate(timeout=WITHIN_S)
    found: list[str] = json.loads(output)
    return found


def test_with_a_lease_the_function_runs_once_in_all_processes(readers: Readers) -> None:
    """Three processes with thirty threads each, one missing key: one run, one value for all ninety."""
    processes = readers.start(3, lease_s=60, threads=30)
    readers.go(3)
    readers.wait_until_one_has_begun()
    readers.let_end()
    assert [values(process) for process in processes] == [["value of run 1"]] * 3
    assert readers.runs == 1


def test_without_a_lease_the_function_runs_once_in_each_process(readers: Readers) -> None:
    """All three run at the same time, which a lease would not have allowed."""
    processes = readers.start(3, lease_s=None, threads=20)
    readers.go(3)
    for _ in processes:
        readers.wait_until_one_has_begun()
    readers.let_end(3)
    for process in processes:
        assert set(values(process)) <= {f"value of run {run}" for run in (1, 2, 3)}
    assert readers.runs == 3


def test_a_killed_leaseholder_is_replaced_when_its_lease_ends(readers: Readers) -> None:
    """kill -9 while the function runs: the others wait no longer than the lease, and one of them takes over."""
    lease_s = 1.0
    (holder,) = readers.start(1, lease_s=lease_s)
    # Theirs is longer than a busy machine keeps them waiting, so that none replaces the other.
    waiting = readers.start(2, lease_s=60, threads=5)
    readers.go(1)
    readers.wait_until_one_has_begun()
    begun_s = time.monotonic()
    readers.go(2)
    holder.kill()
    readers.wait_until_one_has_begun()
    waited_s = time.monotonic() - begun_s
    readers.let_end(2)
    assert [values(process) for process in waiting] == [["value of run 2"]] * 2
    assert readers.runs == 2
    assert waited_s < lease_s + 20


def test_a_function_slower_than_its_lease_runs_once_more_for_each_lease_that_ends(readers: Readers) -> None:
    """The stated bound, reached: two processes, one lease that ends, two runs; never more than one per process."""
    first, second = readers.start(2, lease_s=0.5, threads=5)
    readers.go(2)
    readers.wait_until_one_has_begun()
    readers.wait_until_one_has_begun()
    readers.let_end(2)
    assert {*values(first), *values(second)} <= {"value of run 1", "value of run 2"}
    assert readers.runs == 2
