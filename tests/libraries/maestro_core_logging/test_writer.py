"""The writer: lines in order, no caller held up, and nothing lost that a stream would take."""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from kit.processes import import_path
from maestro_core_logging import get_logger, setup_logging
from maestro_core_logging._rate import Dropped
from maestro_core_logging._writer import Writer

log = get_logger("writer")


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: the number of its reading end, and its writing end as a stream."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    yield reading, stream
    os.close(reading)
    stream.close()


def read_until(descriptor: int, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += os.read(descriptor, 1 << 20)
    return data


def test_lines_come_in_order_and_whole(pipe: tuple[int, TextIO]) -> None:
    """From several threads at once, each thread's lines keep their order and no line is torn."""
    reading, stream = pipe
    dropped = Dropped()
    writer = Writer(stream, dropped, 1 << 30)

    def log_many(name: str) -> None:
        for number in range(500):
            writer.put(f"{name} {number} {'x' * 200}")

    threads = [threading.Thread(target=log_many, args=(name,)) for name in "abcd"]
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(read_until(reading, b"END\n")))
    for thread in [*threads, reader]:
        thread.start()
    for thread in threads:
        thread.join(30)
    writer.put("END")
    reader.join(30)
    writer.close(10)

    lines = found[0].decode().splitlines()[:-1]
    assert len(lines) == 2000
    assert all(line.endswith("x" * 200) for line in lines)
    for name in "abcd":
        assert [int(line.split()[1]) for line in lines if line.startswith(name)] == list(range(500))
    assert dropped.counts() == {}


def test_a_stream_that_nobody_reads_holds_up_no_caller(pipe: tuple[int, TextIO]) -> None:
    """When pipe and queue are full, lines are dropped and counted; once somebody reads, the queued ones come."""
    reading, stream = pipe
    dropped = Dropped()
    writer = Writer(stream, dropped, max_queued_bytes=100_000)

    started = time.perf_counter()
    for number in range(5000):
        writer.put(f"{number:05} {'x' * 94}")
    took_s = time.perf_counter() - started

    assert took_s < 5
    assert writer.flush(0.01) is False
    lost = dropped.counts()["queue"]
    assert 1000 < lost < 5000
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(read_until(reading, b"END\n")))
    reader.start()
    assert writer.flush(30)
    writer.put("END")
    reader.join(10)
    assert len(found[0].splitlines()) == 5000 - lost + 1
    writer.close(10)


def test_a_descriptor_that_does_not_block_gets_everything(pipe: tuple[int, TextIO]) -> None:
    """Some programs make their standard error non-blocking; a full pipe is then waited for."""
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = Writer(stream, Dropped(), 1 << 30)
    text = "x" * 300_000

    writer.put(text)
    writer.put("END")

    assert read_until(reading, b"END\n") == f"{text}\nEND\n".encode()
    assert writer.flush(10)
    writer.close(10)


def test_a_closed_or_broken_stream_is_counted(pipe: tuple[int, TextIO]) -> None:
    """Nothing is raised, and the lines are counted."""
    closed = io.StringIO()
    closed.close()
    dropped = Dropped()
    writer = Writer(closed, dropped, 1000)
    writer.put("a")
    writer.put("b")
    assert writer.flush(10)
    writer.close(10)
    writer.put("after the end")

    assert dropped.counts() == {"stream": 2, "queue": 1}


def test_a_program_without_standard_error_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a window system sys.stderr may be None."""
    monkeypatch.setattr(sys, "stderr", None)

    with setup_logging() as setup:
        log.info("x")
        assert setup.flush(10)
        assert setup.dropped == {"stream": 1}


def run(program: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, with our packages on its path."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": import_path()},
    )


def test_the_end_of_a_program_loses_nothing() -> None:
    """What was logged last is written before the interpreter ends."""
    done = run(
        "from maestro_core_logging import get_logger, setup_logging\n"
        "setup_logging()\n"
        "for number in range(2000): get_logger('x').info('line', number=number)\n"
    )

    assert (done.returncode, done.stderr.count('"event":"line"')) == (0, 2000)


def test_a_program_whose_logs_nobody_reads_can_end() -> None:
    """A full pipe does not keep the interpreter from ending."""
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from maestro_core_logging import get_logger, setup_logging\n"
                "setup_logging()\n"
                "for number in range(5000): get_logger('x').info('line', text='x' * 100)\n",
            ],
            stderr=writing,
            env={**os.environ, "PYTHONPATH": import_path()},
        )
        assert process.wait(50) == 0
    finally:
        os.close(reading)
        os.close(writing)


def test_a_fork_logs_on_both_sides() -> None:
    """Lines that were queued before a fork come once; the child starts a writer of its own."""
    done = run(
        "import os\n"
        "from maestro_core_logging import get_logger, setup_logging\n"
        "setup = setup_logging()\n"
        "log = get_logger('x')\n"
        "for number in range(200): log.info('before')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    log.info('child')\n"
        "    setup.flush(10)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "log.info('parent')\n"
    )

    counts = [done.stderr.count(f'"event":"{event}"') for event in ("before", "child", "parent")]
    assert (done.returncode, counts) == (0, [200, 1, 1])


def test_uncaught_exceptions_are_records() -> None:
    """In the program, in a thread, and where they cannot be raised: as records, redacted; Ctrl-C stays as it is."""
    done = run(
        "import threading\n"
        "from maestro_core_logging import setup_logging\n"
        "setup_logging(uncaught=True)\n"
        "def fail(): raise ValueError('password=hunter2')\n"
        "class Bad:\n"
        "    def __del__(self): fail()\n"
        "thread = threading.Thread(target=fail, name='worker')\n"
        "thread.start(); thread.join()\n"
        "threading.Thread(target=exit).start()\n"
        "Bad()\n"
        "fail()\n"
    )

    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line.count('"level":"critical"') for line in lines] == [1, 1, 1]
    assert all('"type":"builtins.ValueError","message":"password=[redacted]"' in line for line in lines)
    assert ['"thread":"worker"' in line for line in lines] == [True, False, False]
    assert '"event":"uncaught exception",' in lines[2]
    assert "hunter2" not in done.stderr


def test_ctrl_c_is_not_an_uncaught_exception() -> None:
    """KeyboardInterrupt is left to the interpreter."""
    done = run(
        "from maestro_core_logging import setup_logging\nsetup_logging(uncaught=True)\nraise KeyboardInterrupt\n"
    )

    assert '"level":"critical"' not in done.stderr
    assert "KeyboardInterrupt" in done.stderr
