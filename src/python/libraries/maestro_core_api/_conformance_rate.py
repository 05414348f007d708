"""What every store of rate limits promises, as tests that run against anyone's."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from maestro_core_api._manual_clock import ManualClock
from maestro_core_api._rate_limit import RateLimitPolicy, RateLimitStore

_FIVE: Final = RateLimitPolicy("five", quota=5, window_s=10)
_ONE_AT_ONCE: Final = RateLimitPolicy("one-at-once", quota=100, window_s=10, burst=1)


class RateLimitConformance:
    """Derive a test class from it and say how your store is opened; pytest with asyncio in auto mode does the rest."""

    def open_store(self, folder: Path, clock: ManualClock) -> AbstractAsyncContextManager[RateLimitStore]:
        """The store that is tested."""
        raise NotImplementedError

    async def test_the_burst_passes_and_then_one_for_each_part_of_the_window(self, tmp_path: Path) -> None:
        """What remains is counted down, and what is waited for is there on time."""
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            for left in (4, 3, 2, 1, 0):
                (decision,) = await store.take("k", (_FIVE,))
                assert (decision.allowed, decision.remaining) == (True, left)
            (refused,) = await store.take("k", (_FIVE,))
            assert not refused.allowed
            assert abs(refused.next_s - 2.0) < 0.001
            for _ in range(3):
                clock.advance(1.999)
                assert not (await store.take("k", (_FIVE,)))[0].allowed
                clock.advance(0.001)
                assert (await store.take("k", (_FIVE,)))[0].allowed

    async def test_one_policy_that_refuses_refuses_for_all_and_nothing_is_taken(self, tmp_path: Path) -> None:
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            assert all(each.allowed for each in await store.take("k", (_FIVE, _ONE_AT_ONCE)))
            for _ in range(10):
                five, one = await store.take("k", (_FIVE, _ONE_AT_ONCE))
                assert (five.allowed, five.remaining, one.allowed) == (True, 4, False)

    async def test_callers_are_apart(self, tmp_path: Path) -> None:
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            for _ in range(6):
                await store.take("a", (_FIVE,))
            assert not (await store.take("a", (_FIVE,)))[0].allowed
            assert (await store.take("b", (_FIVE,)))[0].allowed

    async def test_of_a_hundred_at_once_as_many_pass_as_there_is_room_for(self, tmp_path: Path) -> None:
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            decisions = await asyncio.gather(*(store.take("k", (_FIVE,)) for _ in range(100)))
            assert sum(decision.allowed for (decision,) in decisions) == 5
