"""The engine that the tests of this folder talk to."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.process import EngineProcess
from services.maestro_engine.running import Engine, StartEngine, running

from kit.processes import Signal


@pytest.fixture
def start_engine(tmp_path: Path) -> StartEngine:
    """Starts an engine with other settings."""

    def start(**settings: Any) -> AbstractAsyncContextManager[Engine]:
        return running(tmp_path / "data", **settings)

    return start


@pytest.fixture
async def engine(start_engine: StartEngine) -> AsyncIterator[Engine]:
    """An engine with the settings as they come."""
    async with start_engine() as running_engine:
        yield running_engine


@pytest.fixture
def started() -> Iterator[list[EngineProcess]]:
    """What a test starts; none of it is left."""
    processes: list[EngineProcess] = []
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Signal]:
    """Told by the step `second` when it has begun."""
    signal_of_second = Signal(tmp_path / "waiting")
    yield signal_of_second
    signal_of_second.close()
