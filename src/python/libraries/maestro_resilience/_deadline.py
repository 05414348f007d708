"""The ambient deadline: one moment, carried by a context variable, that nested scopes can only bring nearer."""

import asyncio
from contextvars import ContextVar, Token
from types import TracebackType
from typing import NamedTuple

from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock, Timer
from maestro_resilience._errors import DeadlinePassed, TimedOut


class _Ambient(NamedTuple):
    clock: Clock
    at_s: float
    task: "asyncio.Task[object] | None"
    """The task that is cancelled when the moment comes; None in sync scopes, which are cooperative."""

    def remaining_s(self) -> float:
        return self.at_s - self.clock.now_s()


_AMBIENT: ContextVar[_Ambient | None] = ContextVar("maestro_resilience_deadline", default=None)


def remaining_s() -> float | None:
    """Seconds until the ambient deadline, 0 when it has passed, None when there is none."""
    ambient = _AMBIENT.get()
    return None if ambient is None else max(0.0, ambient.remaining_s())


def check_deadline() -> None:
    """A place where cooperative (sync) code stops: raises DeadlinePassed when the ambient deadline has passed."""
    if remaining_s() == 0.0:
        raise DeadlinePassed("the deadline has passed")


class DeadlineScope:
    """A block with a deadline. `with` is cooperative; `async with` also cancels the block and raises TimedOut.

    Entering raises DeadlinePassed when the ambient deadline has passed already. One object is for one block.
    """

    __slots__ = (
        "_at_s",
        "_cancelling",
        "_clock",
        "_fired",
        "_inherited",
        "_limit_s",
        "_name",
        "_task",
        "_timer",
        "_token",
        "expired",
    )

    def __init__(self, limit_s: float, clock: Clock, name: str) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._name = name
        self._timer: Timer | None = None
        self._task: asyncio.Task[object] | None = None
        self._fired = False
        self.expired = False
        """Whether this scope cancelled its block and turned that into TimedOut."""

    def is_past(self) -> bool:
        """Whether the deadline of this scope has passed."""
        return self._clock.now_s() > self._at_s

    def __enter__(self) -> "DeadlineScope":
        self._begin(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _AMBIENT.reset(self._token)

    async def __aenter__(self) -> "DeadlineScope":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline scope needs a running task")
        delay_s = self._begin(task)
        if delay_s is not None:
            self._task = task
            self._cancelling = task.cancelling()
            self._timer = self._clock.call_later(delay_s, self._fire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _AMBIENT.reset(self._token)
        if self._timer is not None:
            self._timer.cancel()
        # Another request to cancel (from outside, or from an outer scope) goes first: then the CancelledError stays.
        if self._fired and self._task is not None:
            wanted_elsewhere = self._task.uncancel() > self._cancelling
            if kind is asyncio.CancelledError and not wanted_elsewhere:
                self.expired = True
                raise self._timed_out() from error

    def _begin(self, task: "asyncio.Task[object] | None") -> float | None:
        """Set the ambient deadline; the delay until this scope itself must cancel, None when an outer scope will."""
        now_s = self._clock.now_s()
        at_s = now_s + self._limit_s
        ambient = _AMBIENT.get()
        self._inherited = False
        if ambient is not None:
            outer_at_s = ambient.at_s if ambient.clock is self._clock else now_s + ambient.remaining_s()
            if outer_at_s <= now_s:
                raise DeadlinePassed(f"{self._name}: the deadline passed before the call began")
            if outer_at_s <= at_s:
                self._inherited = True
                at_s = outer_at_s
        self._at_s = at_s
        armed_outside = self._inherited and ambient is not None and ambient.task is task
        self._token: Token[_Ambient | None] = _AMBIENT.set(_Ambient(self._clock, at_s, task))
        return None if armed_outside else at_s - now_s

    def _fire(self) -> None:
        if self._task is not None:
            self._fired = True
            self._task.cancel()

    def _timed_out(self) -> TimedOut:
        if self._inherited:
            return DeadlinePassed(f"{self._name}: the ambient deadline passed")
        return TimedOut(f"{self._name}: no end within {self._limit_s:g} s")


def deadline(limit_s: float, *, clock: Clock = SYSTEM_CLOCK) -> DeadlineScope:
    """A block that has `limit_s` seconds, or what the ambient deadline leaves of them: see DeadlineScope."""
    checks = Checks("deadline")
    checks.seconds("limit_s", limit_s)
    checks.done()
    return DeadlineScope(limit_s, clock, "deadline")
