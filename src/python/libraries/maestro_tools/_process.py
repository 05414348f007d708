"""A process of our own, watched: bounded buffers, a tail of its stderr, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import cast

from maestro_tools._errors import ServerUnavailable
from maestro_tools._masking import Tail

_CHUNK_BYTES = 64 * 1024
_POLL_S = 0.02
# What a process that has ended may still have in its pipe; a child of it that keeps the pipe open must not hold us.
_DRAIN_S = 0.25


class Process(asyncio.SubprocessProtocol):
    """One child process in a session (and process group) of its own.

    `exited` is set as soon as the process ends, whoever else still holds its pipes. Made by `spawn` only.
    """

    def __init__(self, stderr: Tail) -> None:
        self.exited = asyncio.Event()
        self.stderr = stderr
        # Reading is paused at twice this size, so a process that floods is held back by its own pipe.
        self._stdout = asyncio.StreamReader(limit=_CHUNK_BYTES)
        self._stdout_ended = False
        self._heard = False
        self._finished = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._stopping = asyncio.Lock()
        self._stopped = False
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its group."""
        return self._live().get_pid()

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal that ended it, or None while it runs."""
        return self._live().get_returncode()

    def describe_exit(self) -> str:
        """How it ended, with the tail of its stderr: `exited with code 3; stderr: …`."""
        code = self.returncode
        if code is None:
            ended = "closed its stdout"
        elif code < 0:
            ended = f"was killed by signal {signal.Signals(-code).name}"
        else:
            ended = f"exited with code {code}"
        tail = self.stderr.text()
        return f"{ended}; stderr: {tail}" if tail else ended

    async def read(self) -> bytes:
        """The next piece of stdout, at most 64 KiB; empty when there will be no more."""
        return await self._stdout.read(_CHUNK_BYTES)

    async def write(self, data: bytes) -> None:
        """Write to stdin, waiting while the pipe is full. Raises ConnectionError when the process has gone."""
        await self._writable.wait()
        # Not asked by class: uvloop's pipes are not asyncio's.
        pipe = cast("asyncio.WriteTransport | None", self._live().get_pipe_transport(0))
        if pipe is None or pipe.is_closing() or self.exited.is_set():
            raise BrokenPipeError("the process does not read any more")
        pipe.write(data)
        await self._writable.wait()

    async def finished(self) -> None:
        """Wait until it has ended and everything that it wrote has been taken; soon after `read` gives nothing."""
        await self._finished.wait()

    async def stop(self, *, eof_grace_s: float = 1.0, term_grace_s: float = 2.0) -> None:
        """End the process and its whole group: end of input, SIGTERM, SIGKILL, each after its grace.

        Bounded by the two graces and little more; when it is cancelled, SIGKILL comes at once. Calling it again does
        nothing. A descendant that made itself a session of its own (a daemon) escapes.
        """
        async with self._stopping:
            if self._stopped:
                return
            transport = self._live()
            try:
                if pipe := transport.get_pipe_transport(0):
                    pipe.close()
                if eof_grace_s > 0:
                    await within(eof_grace_s, self.exited.wait())
                if self._signal(signal.SIGTERM):
                    await within(term_grace_s, self._group_gone())
                self._signal(signal.SIGKILL)
                await within(term_grace_s, self.exited.wait())
            finally:
                self._stopped = True
                self._signal(signal.SIGKILL)
                transport.close()

    def kill(self) -> None:
        """SIGKILL to the whole group, now."""
        self._signal(signal.SIGKILL)

    def _live(self) -> asyncio.SubprocessTransport:
        assert self._transport is not None, "a Process is made by spawn"
        return self._transport

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the group; False when nobody is left in it."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            # Some member changed its user: the rest did get the signal, and waiting is still right.
            return True
        return True

    async def _group_gone(self) -> None:
        # The death of a stranger's child announces itself to nobody, hence the polling, only while ending.
        while group_lives(self.pid):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_POLL_S)

    # What asyncio calls:

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        if (pipe := self._transport.get_pipe_transport(1)) is not None:
            self._stdout.set_transport(pipe)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._heard = True
        if fd == 2:
            self.stderr.feed(data)
        elif not self._stdout_ended:
            self._stdout.feed_data(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._writable.set()
        elif fd == 1:
            self._end_stdout()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def process_exited(self) -> None:
        self.exited.set()
        self._writable.set()
        # Whatever it wrote last is in its pipes still.
        self._heard = True
        self._finish_when_quiet()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_stdout()
        self._finished.set()

    def _finish_when_quiet(self) -> None:
        """Take the pipes for ended once nothing came for a while, although a descendant may keep them open."""
        if self._finished.is_set():
            return
        if self._heard or not self._stdout_taken():
            self._heard = False
            asyncio.get_running_loop().call_later(_DRAIN_S, self._finish_when_quiet)
            return
        self._end_stdout()
        self._finished.set()

    def _stdout_taken(self) -> bool:
        pipe = cast("asyncio.ReadTransport | None", self._live().get_pipe_transport(1))
        return pipe is None or pipe.is_closing() or pipe.is_reading()

    def _end_stdout(self) -> None:
        if not self._stdout_ended:
            self._stdout_ended = True
            self._stdout.feed_eof()


async def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stderr: Tail,
    with_stdin: bool,
) -> Process:
    """Start a program without a shell. Raises ServerUnavailable when it cannot be started."""
    loop = asyncio.get_running_loop()
    pipe = asyncio.subprocess.PIPE
    try:
        _transport, process = await loop.subprocess_exec(
            lambda: Process(stderr),
            *argv,
            stdin=pipe if with_stdin else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=dict(env),
            cwd=str(cwd),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        # A missing folder or a file that is no program stays so; too many processes or files may pass.
        passing = isinstance(error, BlockingIOError) or getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE)
        raise ServerUnavailable(f"cannot start {argv[0]!r} in {str(cwd)!r}: {error}", retryable=passing) from error
    return process


def group_lives(pgid: int) -> bool:
    """Whether a process group still has a member that runs.

    One that is dead but not yet reaped does not count: below an init that never reaps, it would stay for ever.
    """
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    return not stats or any(_runs_in(stat, pgid) for stat in stats)


def _runs_in(stat: Path, pgid: int) -> bool:
    try:
        # pid (name, which may hold anything) state ppid pgrp …
        state, _parent, group = stat.read_bytes().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(group) == pgid and state not in (b"Z", b"X")


async def within(seconds: float, what: Awaitable[object]) -> bool:
    """Wait for something at most so long; False when it did not come."""
    try:
        async with asyncio.timeout(seconds):
            await what
    except TimeoutError:
        return False
    return True
