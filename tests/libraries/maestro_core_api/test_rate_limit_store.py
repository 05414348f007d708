"""The store of rate limits in memory keeps what every such store promises."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from maestro_core_api import MemoryRateLimitStore, RateLimitStore
from maestro_core_api.testing import ManualClock, RateLimitConformance


class TestMemory(RateLimitConformance):
    """Of this process."""

    @asynccontextmanager
    async def open_store(self, folder: Path, clock: ManualClock) -> AsyncIterator[RateLimitStore]:
        yield MemoryRateLimitStore(now_ns=clock.monotonic_ns)
