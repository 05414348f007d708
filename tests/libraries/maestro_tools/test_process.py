"""A process of ours ends when we say so, and takes everything that it started along."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from maestro_tools import ServerUnavailable
from maestro_tools._environment import child_environment
from maestro_tools._masking import Masker, Tail
from maestro_tools._process import Process, group_lives, spawn


async def start(script: str, *, with_stdin: bool = False) -> Process:
    return await spawn(
        ["/bin/bash", "-c", script],
        env=child_environment({}, ()),
        cwd=Path("/"),
        stderr=Tail(Masker()),
        with_stdin=with_stdin,
    )


async def read_all(process: Process) -> bytes:
    output = bytearray()
    while chunk := await process.read():
        output += chunk
    return bytes(output)


async def test_all_output_arrives_though_the_process_is_gone() -> None:
    """More than a pipe holds, read slower than it is written; nothing is lost at the end."""
    process = await start("head -c 3000000 /dev/zero | tr '\\0' x; printf end >&2; exit 3")
    output = await read_all(process)
    await process.finished()
    assert output == b"x" * 3_000_000
    assert process.describe_exit() == "exited with code 3; stderr: end"
    await process.stop()


async def test_descendant_that_keeps_the_pipe_open_holds_nobody() -> None:
    """The process has ended, so reading ends, and stopping takes the descendant along."""
    process = await start("sleep 3600 & echo started")
    async with asyncio.timeout(10):
        assert await read_all(process) == b"started\n"
        await process.finished()
        assert group_lives(process.pid)
        await process.stop()
    assert not group_lives(process.pid)


async def test_stop_asks_first() -> None:
    """SIGTERM lets a process tidy up."""
    process = await start("trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
    assert await process.read() == b"ready\n"
    await process.stop(eof_grace_s=0)
    assert await read_all(process) == b"tidied\n"
    assert process.returncode == 0


async def test_stop_kills_who_does_not_listen() -> None:
    """Processes that ignore SIGTERM end after the grace, the whole group of them."""
    process = await start("trap '' TERM; sleep 3600 & echo ready; wait; sleep 3600")
    assert await process.read() == b"ready\n"
    started = time.monotonic()
    await process.stop(eof_grace_s=0, term_grace_s=0.2)
    assert 0.2 <= time.monotonic() - started < 5
    assert process.returncode == -9
    assert "SIGKILL" in process.describe_exit()
    assert not group_lives(process.pid)


async def test_cancelled_stop_kills_at_once() -> None:
    """Whoever loses patience gets no leak for it."""
    process = await start("trap '' TERM; echo ready; while :; do sleep 3600; done")
    assert await process.read() == b"ready\n"
    stopping = asyncio.create_task(process.stop(eof_grace_s=3600))
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait([stopping])
    await asyncio.wait_for(process.exited.wait(), 10)
    assert stopping.cancelled()


async def test_stop_may_be_called_by_many() -> None:
    """Together or one after the other, it happens once."""
    process = await start("sleep 3600")
    await asyncio.gather(process.stop(), process.stop())
    await process.stop()
    assert process.returncode == -15


async def test_flood_is_held_back_by_its_pipe() -> None:
    """What nobody reads is not taken into memory."""
    process = await start("cat /dev/zero")
    first = await process.read()
    assert len(first) <= 64 * 1024
    await process.stop(eof_grace_s=0)
    assert len(await read_all(process)) < 1024 * 1024


async def test_writing_waits_for_a_reader_and_ends_with_it() -> None:
    """A full pipe holds the writer; a reader that ends releases it with an error."""
    process = await start("read -r line; sleep 3600", with_stdin=True)
    writer = asyncio.create_task(process.write(b"x" * 10_000_000))
    await asyncio.sleep(0)
    assert not writer.done()
    await process.stop(eof_grace_s=0)
    await asyncio.wait([writer])
    with pytest.raises(ConnectionError):
        await process.write(b"more")


@pytest.mark.parametrize("program", ["/no/such/program", "/etc/passwd", "/"])
async def test_what_cannot_start_is_named(program: str) -> None:
    """Trying again would not help, and the error says so."""
    with pytest.raises(ServerUnavailable, match="cannot start") as caught:
        await spawn([program], env={}, cwd=Path("/"), stderr=Tail(Masker()), with_stdin=False)
    assert not caught.value.retryable
    with pytest.raises(ServerUnavailable, match="/no/such/folder"):
        await spawn([sys.executable], env={}, cwd=Path("/no/such/folder"), stderr=Tail(Masker()), with_stdin=False)
