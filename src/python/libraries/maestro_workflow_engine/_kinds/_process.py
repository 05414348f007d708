"""Child processes that leave nothing behind: each with a process group of its own, which ends with it."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from maestro_workflow_engine._dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Output:
    """The end of what a process wrote, and how much it was."""

    tail: bytes
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out."""
        return self.size_bytes == len(self.tail)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended; a negative exit code is the signal that ended it."""

    exit_code: int
    stdout: Output
    stderr: Output


class _Tail(asyncio.Protocol):
    """Keeps the last bytes that come through a pipe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept = bytearray()
        self._size_bytes = 0
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._size_bytes += len(data)
        self._kept += data
        if len(self._kept) > 2 * self._limit_bytes:
            del self._kept[: -self._limit_bytes]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def output(self) -> Output:
        """What there is by now."""
        return Output(bytes(self._kept[-self._limit_bytes :]), self._size_bytes)


async def run_process(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes,
    limit_bytes: int,
    grace_s: float,
) -> Finished:
    """Run a process to its end; when cancelled, its group gets SIGTERM, and SIGKILL after `grace_s` seconds.

    Whatever is left of the group when the process ends is killed; a child that has left the group and keeps the output
    open is waited for `grace_s` seconds. Raises OSError when it cannot be started.
    """
    with tempfile.TemporaryFile() as given, contextlib.ExitStack() as stack:
        given.write(stdin)
        given.seek(0)
        # Pipes of our own: with asyncio's, waiting for the process would wait for all who inherited its output.
        out, out_pipe, out_end = await _pipe(limit_bytes)
        stack.callback(out_pipe.close)
        err, err_pipe, err_end = await _pipe(limit_bytes)
        stack.callback(err_pipe.close)
        with out_end, err_end:
            process = await asyncio.create_subprocess_exec(
                *arguments, cwd=cwd, env=env, stdin=given, stdout=out_end, stderr=err_end, start_new_session=True
            )
        exit_code = await _ended(process, grace_s)
        await asyncio.wait([out.ended, err.ended], timeout=grace_s)
        return Finished(exit_code, out.output(), err.output())


async def _pipe(limit_bytes: int) -> tuple[_Tail, asyncio.ReadTransport, IO[bytes]]:
    reading, writing = _ends()
    transport, tail = await asyncio.get_running_loop().connect_read_pipe(lambda: _Tail(limit_bytes), reading)
    return tail, transport, writing


def _ends() -> tuple[IO[bytes], IO[bytes]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)


async def _ended(process: asyncio.subprocess.Process, grace_s: float) -> int:
    try:
        return await process.wait()
    except asyncio.CancelledError:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_s)
        raise
    finally:
        _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or only a zombie is left of it
        os.killpg(group, number)
