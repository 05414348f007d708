"""No test of this folder leaves a process or an asyncio task behind."""

import asyncio
import os
import select
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from maestro_tools.testing import ExampleService, example_http_server, example_service

_GONE_WITHIN_S = 5.0

# A busy machine is no reason to fail, and nothing is written into the repository.
settings.register_profile("unhurried", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def processes_marked(mark: str) -> dict[int, str]:
    """Command lines of all live processes with the mark in their environment, however far they are from us."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def wait_for_end(pid: int, seconds: float) -> None:
    """A process that was killed may not have been taken down by the kernel yet."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            select.select([handle], [], [], seconds)
        finally:
            os.close(handle)


@pytest.fixture(autouse=True)
def no_process_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SHELL is among the variables that every tool's process inherits, so it marks all that this test starts."""
    mark = f"maestro-tools-test-{uuid.uuid4().hex}"
    monkeypatch.setenv("SHELL", mark)
    yield
    for pid in processes_marked(mark):
        wait_for_end(pid, _GONE_WITHIN_S)
    left = processes_marked(mark)
    assert not left, f"processes are left: {left}"


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Whatever a test opened, its tasks have ended when it has."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert not left, f"tasks are left: {left}"


@pytest.fixture(scope="session")
def example_url() -> Iterator[str]:
    """The address of a real MCP server over Streamable HTTP."""
    with example_http_server() as url:
        yield url


@pytest.fixture(scope="session")
def service() -> Iterator[ExampleService]:
    """A real HTTP service with a UTCP manual."""
    with example_service() as served:
        yield served
