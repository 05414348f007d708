"""Bulkheads: never more at once than allowed, first come first served, nothing lost."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import AdaptiveBulkhead, Bulkhead, BulkheadFull, CallShed, LimitChanged, deadline
from maestro_resilience._adaptive import Aimd
from maestro_resilience._slots import Slots
from maestro_resilience.testing import ManualClock, Recorder


def test_a_full_bulkhead_refuses() -> None:
    """Without a queue, the call above the limit is refused without being made; a free slot is free again."""
    recorder, calls = Recorder(), list[int]()
    bulkhead = Bulkhead(1, name="db", clock=ManualClock(), listeners=[recorder])
    with bulkhead.slot():
        assert bulkhead.in_use == 1
        with pytest.raises(BulkheadFull, match="db: 1 calls are running and 0 are waiting") as caught:
            bulkhead.call(calls.append, 1)
    assert recorder.of(CallShed)[0].error is caught.value
    assert caught.value.retryable
    bulkhead.call(calls.append, 2)
    assert (calls, bulkhead.in_use) == ([2], 0)


def test_a_sync_wait_ends_at_its_limit() -> None:
    """A thread waits max_wait_s, or what the deadline leaves, and is then refused and forgotten."""
    clock = ManualClock(0.0)
    bulkhead = Bulkhead(1, max_waiting=1, max_wait_s=5.0, clock=clock)
    with bulkhead.slot():
        with pytest.raises(BulkheadFull), bulkhead.slot():
            pass
        assert clock.now_s() == 5.0
        with deadline(2.0, clock=clock), pytest.raises(BulkheadFull), bulkhead.slot():
            pass
        assert clock.now_s() == 7.0
    assert (bulkhead.in_use, bulkhead.waiting) == (0, 0)


@dataclass(frozen=True)
class Visit:
    """A task that comes at a time, holds its slot for a while, and may be cancelled while it waits or works."""

    at_s: int
    holds_s: int
    cancelled_after_s: int | None


visits = st.lists(
    st.builds(
        Visit, at_s=st.integers(0, 20), holds_s=st.integers(0, 10), cancelled_after_s=st.none() | st.integers(0, 12)
    ),
    max_size=12,
)


@given(visits, st.integers(1, 3), st.integers(0, 4), st.none() | st.integers(1, 8))
def test_it_keeps_its_limits_and_its_order(
    plan: list[Visit], limit: int, max_waiting: int, max_wait_s: int | None
) -> None:
    """In any traffic with cancellations: limit and queue hold, slots go by arrival, nobody waits beside a free slot."""
    clock = ManualClock(0.0)
    bulkhead = Bulkhead(limit, max_waiting=max_waiting, max_wait_s=max_wait_s, clock=clock)
    arrived: list[int] = []
    began: list[int] = []
    running = 0

    async def visit(number: int, plan: Visit) -> str:
        nonlocal running
        await clock.asleep(plan.at_s)
        arrived.append(number)
        came_s = clock.now_s()

        async def work() -> str:
            nonlocal running
            running += 1
            began.append(number)
            assert running <= limit
            assert bulkhead.waiting <= max_waiting
            assert clock.now_s() - came_s <= (max_wait_s if max_wait_s is not None else 1e9)
            try:
                await clock.asleep(plan.holds_s)
            finally:
                running -= 1
            return "served"

        try:
            return await bulkhead.acall(work)
        except BulkheadFull:
            assert running == limit
            assert bulkhead.waiting == max_waiting or clock.now_s() - came_s == max_wait_s
            return "refused"

    async def cancel(task: "asyncio.Task[str]", plan: Visit) -> None:
        if plan.cancelled_after_s is not None:
            await clock.asleep(plan.at_s + plan.cancelled_after_s)
            task.cancel()

    async def main() -> list[str | BaseException]:
        tasks = [asyncio.create_task(visit(number, visitor)) for number, visitor in enumerate(plan)]
        cancels = [asyncio.create_task(cancel(task, visitor)) for task, visitor in zip(tasks, plan, strict=True)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*cancels)
        return outcomes

    outcomes = asyncio.run(main())
    assert all(outcome in ("served", "refused") or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert began == sorted(began, key=arrived.index)
    assert (bulkhead.in_use, bulkhead.waiting, running) == (0, 0, 0)


async def test_a_freed_slot_goes_to_the_longest_waiter() -> None:
    """Nobody who comes later gets in before those who wait."""
    clock, order = ManualClock(0.0), []
    bulkhead = Bulkhead(1, max_waiting=10, clock=clock)

    async def work(name: str) -> None:
        order.append(name)
        await clock.asleep(1.0)

    async def late() -> None:
        await clock.asleep(1.0)
        await bulkhead.acall(work, "late")

    await asyncio.gather(*(bulkhead.acall(work, name) for name in "abc"), late())
    assert order == ["a", "b", "c", "late"]


async def test_a_slot_holds_for_an_async_block() -> None:
    """`async with bulkhead.slot()` waits for its slot and gives it back."""
    clock = ManualClock(0.0)
    bulkhead = Bulkhead(1, max_waiting=1, max_wait_s=2.0, clock=clock)
    async with bulkhead.slot():
        with pytest.raises(BulkheadFull):
            async with bulkhead.slot():
                pass
    assert (bulkhead.in_use, clock.now_s()) == (0, 2.0)


async def test_a_slot_granted_to_a_cancelled_task_is_passed_on() -> None:
    """A task that is cancelled in the very moment in which it gets its slot does not take it to the grave."""
    bulkhead = Bulkhead(1, max_waiting=2, clock=ManualClock())
    done: list[str] = []

    async def wait(name: str) -> None:
        async with bulkhead.slot():
            done.append(name)

    async with bulkhead.slot():
        first, second = asyncio.ensure_future(wait("first")), asyncio.ensure_future(wait("second"))
        await asyncio.sleep(0)
        assert bulkhead.waiting == 2
    first.cancel()
    await asyncio.wait_for(second, 10.0)
    assert (first.cancelled() or done == ["first", "second"], bulkhead.in_use) == (True, 0)


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    """A freed slot is not given to a waiter that can no longer be woken."""

    def dead() -> None:
        raise RuntimeError("Event loop is closed")

    slots, woken = Slots(1, 5, ManualClock()), []
    assert slots.try_acquire()
    slots._enqueue(dead)
    slots._enqueue(lambda: woken.append("alive"))
    slots.release()
    assert (woken, slots.in_use, slots.waiting) == (["alive"], 1, 0)


steps = st.lists(st.tuples(st.sampled_from(["good", "overload"]), st.integers(0, 60), st.integers(0, 3)), max_size=200)


@given(steps, st.integers(1, 20), st.integers(0, 20), st.integers(0, 50), st.floats(0.1, 0.99))
def test_the_adaptive_limit_keeps_its_bounds(
    history: list[tuple[str, int, int]], low: int, above: int, more: int, decrease: float
) -> None:
    """It stays between its bounds, grows by one at most per good call, and falls by its factor on overload only."""
    aimd = Aimd(low + above, low, low + above + more, decrease)
    now_s, cut_s = 0.0, float("-inf")
    for kind, in_use, age_s in history:
        now_s += 1.0
        before = aimd.limit
        if kind == "good":
            aimd.succeeded(in_use)
            assert before <= aimd.limit <= before + 1
        else:
            aimd.overloaded(now_s - age_s, now_s)
            assert int(before * decrease) <= aimd.limit <= before
            if now_s - age_s < cut_s:
                assert aimd.limit == before
            else:
                cut_s = now_s
        assert low <= aimd.limit <= low + above + more


def test_the_adaptive_limit_finds_what_the_callee_can_do() -> None:
    """Against a callee that times out above 20 calls at once, the limit settles near 20 and keeps trying for more."""
    clock = ManualClock(0.0)
    bulkhead = AdaptiveBulkhead(initial=5, max_concurrent=100, clock=clock)
    seen: list[int] = []
    busy = 0

    async def callee() -> None:
        nonlocal busy
        busy += 1
        try:
            if busy > 20:
                raise TimeoutError
            await clock.asleep(1.0)
        finally:
            busy -= 1

    async def round_of_calls() -> None:
        await asyncio.gather(*(bulkhead.acall(callee) for _ in range(bulkhead.limit)), return_exceptions=True)
        seen.append(bulkhead.limit)

    async def main() -> None:
        for _ in range(200):
            await round_of_calls()

    asyncio.run(main())
    assert max(seen[50:]) <= 22
    assert min(seen[50:]) >= 13
    assert bulkhead.in_use == 0


def test_an_unused_limit_does_not_grow() -> None:
    """One call at a time says nothing about whether twenty would do."""
    bulkhead = AdaptiveBulkhead(initial=10, clock=ManualClock())
    for _ in range(500):
        bulkhead.call(len, "ok")
    assert bulkhead.limit == 10


def test_the_adaptive_bulkhead_tells_and_refuses() -> None:
    """Slow calls and named errors lower the limit once per round; listeners hear of it; what is above is refused."""
    clock, recorder = ManualClock(0.0), Recorder()
    bulkhead = AdaptiveBulkhead(slow_call_s=1.0, initial=10, decrease=0.5, clock=clock, listeners=[recorder])
    bulkhead.call(clock.advance, 1.5)
    assert bulkhead.limit == 5

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(TimeoutError):
        bulkhead.call(fail, TimeoutError())
    with pytest.raises(KeyError):
        bulkhead.call(fail, KeyError())
    assert bulkhead.limit == 2
    assert [(event.before, event.after) for event in recorder.of(LimitChanged)] == [(10, 5), (5, 2)]

    def nested(depth: int) -> None:
        if depth:
            bulkhead.call(nested, depth - 1)

    with pytest.raises(BulkheadFull, match="2 calls are running and the limit is 2"):
        bulkhead.call(nested, 2)
    assert len(recorder.of(CallShed)) == 1
    assert bulkhead.in_use == 0
