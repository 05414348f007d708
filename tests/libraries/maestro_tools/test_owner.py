"""One task owns a connection: it opens it, closes it, and outlives its losses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_tools import ServerMisbehaved, ServerUnavailable, ToolsError
from maestro_tools._owner import Owner, reconnect_delay_s


class FakeLink:
    """A connection that does what it is told, and remembers the tasks that came by."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.answered = True

    def loss(self) -> ToolsError:
        return ServerUnavailable("the link broke")


class FakeServer:
    """Opens links; `failures` says how the next attempts end."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.links: list[FakeLink] = []
        self.opened_in: list[asyncio.Task[None] | None] = []
        self.closed_in: list[asyncio.Task[None] | None] = []
        self.delays_s: list[float] = []
        self.closed = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakeLink]:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.links.append(FakeLink())
        self.opened_in.append(asyncio.current_task())
        self.closed.clear()
        try:
            yield self.links[-1]
        finally:
            self.closed_in.append(asyncio.current_task())
            self.closed.set()

    async def sleep(self, seconds: float) -> None:
        self.delays_s.append(seconds)

    def owner(self, *, idle_s: float | None = None) -> Owner[FakeLink]:
        return Owner(self.open, name="fake", idle_s=idle_s, sleep=self.sleep)


async def answer(link: FakeLink) -> str:
    return "answer"


async def never(link: FakeLink) -> str:
    await asyncio.Event().wait()
    return "never"


@given(st.integers(-5, 10_000))
def test_reconnect_delay_grows_and_is_bounded(failures: int) -> None:
    """None before the first failure, never less after one more, never above five seconds."""
    delay_s = reconnect_delay_s(failures)
    assert (delay_s == 0) == (failures < 1)
    assert delay_s <= reconnect_delay_s(failures + 1) <= 5


async def test_one_task_opens_and_closes() -> None:
    """Whichever task asks, and whichever closes; and nothing is opened before the first request."""
    server = FakeServer()
    owner = server.owner()
    assert server.links == []
    assert await asyncio.gather(*(owner.run(answer) for _ in range(5))) == ["answer"] * 5
    await asyncio.create_task(owner.close())
    assert len(server.links) == 1
    assert server.opened_in == server.closed_in
    assert server.opened_in[0] is not asyncio.current_task()


async def test_requests_run_beside_each_other() -> None:
    """One that waits for another does not wait for ever."""
    owner = FakeServer().owner()
    called = asyncio.Event()

    async def wait(link: FakeLink) -> None:
        await called.wait()

    async def release(link: FakeLink) -> None:
        called.set()

    async with asyncio.timeout(10):
        await asyncio.gather(owner.run(wait), owner.run(release))
    await owner.close()


async def test_loss_fails_what_is_in_flight_and_the_next_request_reconnects() -> None:
    """At once, with the reason, and worth a retry."""
    server = FakeServer()
    owner = server.owner()
    waiting = [asyncio.create_task(owner.run(never)) for _ in range(3)]
    assert await owner.run(answer) == "answer"
    server.links[0].lost.set()
    async with asyncio.timeout(10):
        for task in waiting:
            with pytest.raises(ServerUnavailable, match="the link broke") as caught:
                await task
            assert caught.value.retryable
        assert await owner.run(answer) == "answer"
    assert len(server.links) == 2
    assert server.delays_s == [], "a link that had answered is opened again without delay"
    await owner.close()


async def test_failed_attempt_fails_everyone_who_waits_and_the_next_is_delayed() -> None:
    """Each attempt in a row waits longer; success ends that."""
    server = FakeServer(ServerUnavailable("no"), ServerMisbehaved("odd"), OSError("unforeseen"))
    owner = server.owner()
    for message in ("no", "odd", "fake: the connection failed: OSError"):
        results = await asyncio.gather(*(owner.run(answer) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, ToolsError) and message in str(result) for result in results), results
    assert await owner.run(answer) == "answer"
    assert server.delays_s == [0.1, 0.2, 0.4]
    await owner.close()


async def test_link_that_never_answered_counts_as_a_failure() -> None:
    """A server that opens and dies is not opened in a loop without delay."""
    server = FakeServer()
    owner = server.owner()
    for _ in range(3):

        async def die(link: FakeLink) -> None:
            link.answered = False
            link.lost.set()
            await asyncio.Event().wait()

        with pytest.raises(ServerUnavailable):
            await owner.run(die)
    assert server.delays_s == [0.1, 0.2]
    await owner.close()


async def test_error_of_a_request_is_its_own() -> None:
    """It goes to the one who asked, and the link lives on."""
    server = FakeServer()
    owner = server.owner()

    async def fail(link: FakeLink) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await owner.run(fail)
    assert await owner.run(answer) == "answer"
    assert len(server.links) == 1
    await owner.close()


async def test_cancelling_the_one_who_waits_cancels_the_request() -> None:
    """And nothing else."""
    server = FakeServer()
    owner = server.owner()
    cancelled = asyncio.Event()

    async def wait(link: FakeLink) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(owner.run(wait))
    assert await owner.run(answer) == "answer"
    waiting.cancel()
    async with asyncio.timeout(10):
        await cancelled.wait()
    assert await owner.run(answer) == "answer"
    assert len(server.links) == 1
    await owner.close()


async def test_request_that_is_ending_is_left_to_end() -> None:
    """Closing waits for what a cancelled request does to tidy up, and does not cut it short."""
    owner = FakeServer().owner()
    tidying, tidy, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait(link: FakeLink) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tidying.set()
            await tidy.wait()
            done.set()

    waiting = asyncio.create_task(owner.run(wait))
    await owner.run(answer)
    waiting.cancel()
    async with asyncio.timeout(10):
        await tidying.wait()
        closing = asyncio.create_task(owner.close())
        await asyncio.sleep(0)
        tidy.set()
        await closing
    assert done.is_set()


async def test_idle_link_is_closed_and_opened_again() -> None:
    """Nothing is held for nobody; a request in flight is somebody."""
    server = FakeServer()
    owner = server.owner(idle_s=0.01)
    waiting = asyncio.create_task(owner.run(never))
    assert await owner.run(answer) == "answer"
    waiting.cancel()
    async with asyncio.timeout(10):
        await server.closed.wait()
        assert await owner.run(answer) == "answer"
        await server.closed.wait()
    assert len(server.links) == 2
    await owner.close()


async def test_check_opens_nothing() -> None:
    """It looks after a link that is there."""
    server = FakeServer()
    owner = server.owner()
    checked = asyncio.Event()

    async def check(link: FakeLink) -> None:
        checked.set()

    owner.check(check)
    assert server.links == []
    await owner.run(answer)
    owner.check(check)
    async with asyncio.timeout(10):
        await checked.wait()
    await owner.close()
    owner.check(check)


async def test_close_while_opening_leaves_nothing() -> None:
    """Nobody waits for a connection that is not wanted any more."""

    @asynccontextmanager
    async def open_for_ever() -> AsyncIterator[FakeLink]:
        await asyncio.Event().wait()
        yield FakeLink()

    owner: Owner[FakeLink] = Owner(open_for_ever, name="slow")
    waiting = asyncio.create_task(owner.run(answer))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await owner.close()
        with pytest.raises(ServerUnavailable):
            await waiting
        with pytest.raises(ServerUnavailable):
            await owner.run(answer)
