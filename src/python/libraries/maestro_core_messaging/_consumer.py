"""Consumer: takes from a subscription, runs the handler, and settles what became of it."""

import asyncio
import logging
import random as _random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial, reduce
from types import TracebackType
from typing import Any, Final, Protocol

from maestro_core_messaging._broker import Broker, Delivery, Start, Subscription
from maestro_core_messaging._checks import check_count, check_name, check_seconds
from maestro_core_messaging._errors import BrokerError, BrokerUnavailable, HandlerTimedOut, InvalidSetting, LeaseLost
from maestro_core_messaging._policy import Bury, RetryPolicy

Handler = Callable[[Delivery], Awaitable[None]]

_LOG: Final = logging.getLogger("maestro_core_messaging")
_IDLE_S: Final = 30.0
_CANCELLING_S: Final = 5.0
_ERROR_LIMIT: Final = 2000
"""Characters of an error that a dead letter keeps."""

_RECONNECT: Final = RetryPolicy(initial_delay_s=0.05, max_delay_s=5.0)


class Middleware(Protocol):
    """Something around each handling of a message: what it raises counts as the handler's."""

    async def __call__(self, delivery: Delivery, call_next: Handler) -> None: ...


class Consumer:
    """Handles the messages of a topic for a group while its `async with` lasts; many may share a group.

    Up to `concurrency` messages are leased and in hand at a time, none waits leased. The message is acknowledged when
    `handler` returns; what it raises is retried or buried by `policy`. Leases of `lease_s` are renewed while a handler
    runs, and a handler whose lease is lost is cancelled. `timeout_s` None lets it run for ever. At the end nothing new
    is taken, handlers get `stop_timeout_s` to finish, and what has not is given back at once.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        group: str,
        handler: Handler,
        *,
        middlewares: Iterable[Middleware] = (),
        policy: RetryPolicy | None = None,
        concurrency: int = 8,
        start: Start = "beginning",
        lease_s: float = 30.0,
        timeout_s: float | None = None,
        stop_timeout_s: float = 30.0,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._broker = broker
        self._topic = check_name("topic", topic)
        self._group = check_name("group", group)
        self._policy = policy or RetryPolicy()
        self._concurrency = check_count("concurrency", concurrency)
        self._start = start
        self._lease_s = check_seconds("lease_s", lease_s)
        self._timeout_s = None if timeout_s is None else check_seconds("timeout_s", timeout_s)
        self._stop_timeout_s = check_seconds("stop_timeout_s", stop_timeout_s, zero=True)
        self._random = random
        self._handle: Handler = reduce(_around, reversed([*middlewares]), handler)
        self._running: dict[asyncio.Task[None], _Work] = {}
        self._freed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Consumer":
        if self._loop is not None:
            raise InvalidSetting("a consumer runs once: make another")
        subscription = await self._broker.subscribe(self._topic, self._group, start=self._start, lease_s=self._lease_s)
        self._loop = asyncio.create_task(self._consume(subscription), name=f"consume {self._topic} {self._group}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        await self.wait()

    def stop(self) -> None:
        """Take nothing new from now on, and end when what is in hand is settled or given back."""
        self._stopping.set()

    async def wait(self) -> None:
        """Return when it has stopped; raises what ended it before, if something did."""
        assert self._loop is not None, "use the consumer as `async with Consumer(…) as consumer:`"
        await asyncio.shield(self._loop)

    async def _consume(self, subscription: Subscription) -> None:
        heartbeat = asyncio.create_task(self._keep_leases(subscription))
        heartbeat.add_done_callback(lambda _: self._stopping.set())
        try:
            await self._take_until_stopped(subscription)
        finally:
            if self._running:
                await asyncio.wait(self._running, timeout=self._stop_timeout_s)
            for task, work in self._running.items():
                work.cancelled_because = "stopping"
                task.cancel()
            if self._running:
                await asyncio.wait(self._running, timeout=_CANCELLING_S)
            for work in self._running.values():
                _LOG.error(
                    "message %s of topic %s: its handler ignores its cancellation", work.delivery.position, self._topic
                )
            await _end(heartbeat)
            await subscription.close()
        if not heartbeat.cancelled():
            heartbeat.result()

    async def _take_until_stopped(self, subscription: Subscription) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._freed.clear()
            free = self._concurrency - len(self._running)
            if free <= 0:
                await self._until(self._freed.wait())
                continue
            try:
                begun_s = time.monotonic()
                taken = await subscription.take(free)
                for delivery in taken:
                    self._begin(subscription, delivery, begun_s)
                if not taken:
                    await self._until(subscription.wait(_IDLE_S))
                failures = 0
            except BrokerUnavailable as error:
                failures += 1
                delay_s = _RECONNECT.delay_s(failures, self._random())
                _LOG.warning("topic %s, group %s: %s; again in %.2f s", self._topic, self._group, error, delay_s)
                await self._until(asyncio.sleep(delay_s))

    async def _until(self, waiting: Awaitable[object]) -> None:
        """Wait for something, but no longer than until the consumer is to stop; raises what the waiting raised."""
        wait = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(stop)
            await _end(wait)
        if not wait.cancelled():
            wait.result()

    def _begin(self, subscription: Subscription, delivery: Delivery, leased_at_s: float) -> None:
        work = _Work(delivery, leased_at_s + self._lease_s)
        task = asyncio.create_task(self._work(subscription, work), name=f"message {delivery.position}")
        self._running[task] = work
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        work = self._running.pop(task)
        self._freed.set()
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("message %s of topic %s: %r", work.delivery.position, self._topic, error, exc_info=error)

    async def _work(self, subscription: Subscription, work: "_Work") -> None:
        delivery = work.delivery
        try:
            settle = await self._outcome(subscription, delivery)
        except asyncio.CancelledError:
            if work.cancelled_because == "stopping":
                await self._settle(partial(subscription.give_back, delivery), tries=1)
                return
            if work.cancelled_because:
                _LOG.warning("message %s of topic %s: its lease is lost", delivery.position, self._topic)
                return
            raise
        work.settling = True
        await self._settle(settle)

    async def _outcome(self, subscription: Subscription, delivery: Delivery) -> "Settle":
        """Run the handler; returns what is to be told to the broker."""
        if delivery.attempt > self._policy.max_attempts:
            text = f"attempt {delivery.attempt - 1} was begun and never ended: its worker died or lost its lease"
            begun = replace(delivery, attempt=delivery.attempt - 1)
            return partial(subscription.bury, begun, reason="worker-lost", error=text)
        try:
            await self._handle_in_time(delivery)
        except Exception as error:
            return self._after(subscription, delivery, error)
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            return self._after(subscription, delivery, error)
        return partial(subscription.ack, delivery)

    async def _handle_in_time(self, delivery: Delivery) -> None:
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                await self._handle(delivery)
        except TimeoutError as error:
            if limit.expired():
                raise HandlerTimedOut(f"the handler took longer than {self._timeout_s:g} s") from error
            raise

    def _after(self, subscription: Subscription, delivery: Delivery, error: BaseException) -> "Settle":
        decision = self._policy.decide(delivery.attempt, error, self._random())
        text = _text_of(error)
        place = (delivery.position, self._topic, self._group, delivery.attempt)
        if isinstance(decision, Bury):
            _LOG.error("message %s of topic %s, group %s, attempt %d: buried: %r", *place, text)
            return partial(subscription.bury, delivery, reason=decision.reason, error=text)
        _LOG.warning(
            "message %s of topic %s, group %s, attempt %d: again in %.2f s: %r", *place, decision.delay_s, text
        )
        return partial(subscription.retry, delivery, delay_s=decision.delay_s)

    async def _settle(self, settle: "Settle", tries: int | None = None) -> None:
        """Tell the broker, as often as it takes while the lease lasts; a lost lease has been settled by another."""
        failures = 0
        while True:
            try:
                return await settle()
            except LeaseLost as error:
                _LOG.warning("topic %s, group %s: %s", self._topic, self._group, error)
                return None
            except BrokerError as error:
                failures += 1
                if not error.retryable or failures == tries:
                    _LOG.error(
                        "topic %s, group %s: not settled, so it will come again: %s", self._topic, self._group, error
                    )
                    return None
                await asyncio.sleep(_RECONNECT.delay_s(failures, self._random()))

    async def _keep_leases(self, subscription: Subscription) -> None:
        """Renew three times in the length of a lease; cancel the handlers of those that are lost or have run out."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            works = {work.delivery.position: (task, work) for task, work in self._running.items()}
            if not works:
                continue
            begun_s = time.monotonic()
            try:
                async with asyncio.timeout(self._lease_s / 3):
                    lost = await subscription.extend([work.delivery for _, work in works.values()])
            except (BrokerError, TimeoutError) as error:
                _LOG.warning("topic %s, group %s: leases not renewed: %s", self._topic, self._group, error)
                now_s = time.monotonic() + self._lease_s / 3
                lost = [work.delivery for _, work in works.values() if work.leased_until_s <= now_s]
            else:
                for _, work in works.values():
                    work.leased_until_s = begun_s + self._lease_s
            for delivery in lost:
                task, work = works[delivery.position]
                if not work.settling:
                    work.cancelled_because = "lease"
                    task.cancel()


Settle = Callable[[], Awaitable[None]]


class _Work:
    """A delivery in hand, until when it is surely ours, whether its handler has ended, and why it was cancelled."""

    __slots__ = ("cancelled_because", "delivery", "leased_until_s", "settling")

    def __init__(self, delivery: Delivery, leased_until_s: float) -> None:
        self.delivery = delivery
        self.leased_until_s = leased_until_s
        self.settling = False
        self.cancelled_because = ""


def _around(inner: Handler, middleware: Middleware) -> Handler:
    async def handle(delivery: Delivery) -> None:
        await middleware(delivery, inner)

    return handle


def _text_of(error: BaseException) -> str:
    """Type and text, as any store can hold them."""
    try:
        text = str(error)
    except Exception as worse:
        text = f"(its text cannot be had: {type(worse).__name__})"
    return f"{type(error).__name__}: {text}"[:_ERROR_LIMIT].encode(errors="backslashreplace").decode()


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
