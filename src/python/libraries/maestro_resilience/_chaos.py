"""Chaos: faults, latency and strange outcomes on purpose, at a rate, off until enabled."""

import random as _random
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

from maestro_resilience._checks import MISSING, Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._events import ChaosInjected, Listener
from maestro_resilience._policy import P, Policy, T, sync_result


class Chaos(Policy):
    """Strikes a share `rate` of the calls: waits `latency_s`, then raises `fault` or returns `outcome` in their place.

    With only `latency_s` the call is made after the wait. `fault` is an exception class or a function that makes one.
    Does nothing until `enabled`, which may be set at any time. Innermost in a pipeline it plays the part of the callee.
    """

    kind = "chaos"

    def __init__(
        self,
        rate: float,
        *,
        fault: Callable[[], Exception] | None = None,
        latency_s: float | None = None,
        outcome: object = MISSING,
        enabled: bool = False,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = _random.random,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        self._rate = checks.ratio("rate", rate, zero=True)
        self._fault = checks.function("fault", fault)
        self._latency_s = None if latency_s is None else checks.seconds("latency_s", latency_s)
        self._outcome = outcome
        self.enabled = checks.flag("enabled", enabled)
        checks.function("random", random)
        what = {"latency": latency_s is not None, "fault": fault is not None, "outcome": outcome is not MISSING}
        if not any(what.values()):
            checks.fail("fault", "given, or `latency_s` or `outcome`", None)
        if what["fault"] and what["outcome"]:
            checks.fail("outcome", "left out when `fault` is given", outcome)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._what = tuple(part for part, given in what.items() if given)
        self._random = random

    @property
    def opens_streams(self) -> bool:
        return self._outcome is MISSING

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._strikes():
            if self._latency_s is not None:
                self.clock.sleep(self._latency_s)
            if self._replaces():
                return cast(T, self._outcome)
        return sync_result(fn(*args, **kwargs))

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._strikes():
            if self._latency_s is not None:
                await self.clock.asleep(self._latency_s)
            if self._replaces():
                return cast(T, self._outcome)
        return await fn(*args, **kwargs)

    def _strikes(self) -> bool:
        if not self.enabled or self._random() >= self._rate:
            return False
        if self.listeners:
            self.emit(ChaosInjected(self.name, self.clock.now_s(), self._what))
        return True

    def _replaces(self) -> bool:
        """Whether `outcome` stands in for the call; raises the fault."""
        if self._fault is not None:
            raise self._fault()
        return self._outcome is not MISSING
