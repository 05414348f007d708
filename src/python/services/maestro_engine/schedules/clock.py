"""The clock of the machine."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime


class SystemClock:
    """Says the time of the machine, and measures delays by its monotonic clock."""

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on the running event loop after a delay; the returned function calls it off."""
        return asyncio.get_running_loop().call_later(delay_s, callback).cancel
