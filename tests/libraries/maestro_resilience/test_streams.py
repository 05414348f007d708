"""Decorated generators: governed up to the first item, and generators in every other respect."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Generator

import pytest

from maestro_resilience import BreakerState, CircuitBreaker, Retry, TimedOut, Timeout
from maestro_resilience.testing import ManualClock


def test_send_throw_and_return_work() -> None:
    """The consumer can send, throw and read the return value, as through `yield from`."""

    @Timeout(5.0, clock=ManualClock())
    def echo() -> Generator[str, str, str]:
        heard = ["start"]
        while heard[-1] != "stop":
            try:
                heard.append((yield heard[-1]))
            except KeyError as error:
                heard.append(f"caught {error.args[0]}")
        return ",".join(heard)

    assert inspect.isgeneratorfunction(echo)
    items = echo()
    assert next(items) == "start"
    assert items.send("one") == "one"
    assert items.throw(KeyError("k")) == "caught k"
    with pytest.raises(StopIteration) as stop:
        items.send("stop")
    assert stop.value.value == "start,one,caught k,stop"


def test_a_generator_without_items_still_returns() -> None:
    """The return value of an empty generator comes through."""

    @Retry(on=OSError, clock=ManualClock())
    def nothing() -> Generator[int, None, str]:
        return "empty"
        yield 1

    def outer() -> Generator[int, None, str]:
        return (yield from nothing())

    with pytest.raises(StopIteration) as stop:
        next(outer())
    assert stop.value.value == "empty"


async def test_async_send_and_throw_work() -> None:
    """The same for async generators."""

    @Timeout(5.0, clock=ManualClock())
    async def echo() -> AsyncGenerator[str, str]:
        said = "start"
        while said != "stop":
            try:
                said = yield said
            except KeyError as error:
                said = f"caught {error.args[0]}"

    assert inspect.isasyncgenfunction(echo)
    items = echo()
    assert await anext(items) == "start"
    assert await items.asend("one") == "one"
    assert await items.athrow(KeyError("k")) == "caught k"
    with pytest.raises(StopAsyncIteration):
        await items.asend("stop")


async def test_leaving_early_closes_the_inner_generator() -> None:
    """A consumer that stops early closes what it opened."""
    closed: list[str] = []

    @Timeout(5.0, clock=ManualClock())
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            for number in range(9):
                yield number
        finally:
            closed.append("closed")

    items = numbers()
    assert [await anext(items), await anext(items)] == [0, 1]
    await items.aclose()
    assert closed == ["closed"]


async def test_a_timeout_limits_the_first_item_only() -> None:
    """A stream that does not begin in time is cut off; one that began may take as long as it likes."""
    clock = ManualClock(0.0)

    @Timeout(2.0, clock=clock)
    async def stream(first_s: float) -> AsyncGenerator[str, None]:
        await clock.asleep(first_s)
        yield "first"
        await clock.asleep(60.0)
        yield "second"

    assert [item async for item in stream(1.0)] == ["first", "second"]
    with pytest.raises(TimedOut):
        await anext(stream(3.0))


def test_a_breaker_judges_the_opening() -> None:
    """Failures to open count; what goes wrong later does not."""
    breaker = CircuitBreaker(minimum_calls=2, clock=ManualClock())

    @breaker
    def stream(opens: bool) -> Generator[int, None, None]:
        if not opens:
            raise OSError("cannot open")
        yield 1
        raise OSError("later")

    for _ in range(5):
        with pytest.raises(OSError, match="later"):
            list(stream(True))
    assert (breaker.state, breaker.metrics.failures) == (BreakerState.CLOSED, 0)
    for _ in range(5):
        with pytest.raises(OSError, match="cannot open"):
            list(stream(False))
    assert breaker.state is BreakerState.OPEN


async def test_a_cancelled_opening_is_cancelled() -> None:
    """Cancelling the consumer while the stream opens ends it as cancelled."""
    begun = asyncio.Event()

    @Timeout(5.0, clock=ManualClock())
    async def stream() -> AsyncGenerator[int, None]:
        begun.set()
        await asyncio.Event().wait()
        yield 1

    async def consume() -> None:
        async for _ in stream():
            raise AssertionError("nothing comes")

    task = asyncio.ensure_future(consume())
    await asyncio.wait_for(begun.wait(), 10.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
