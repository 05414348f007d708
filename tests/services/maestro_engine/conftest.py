"""The engine that the tests of this folder talk to."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.running import Engine, StartEngine, running


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
