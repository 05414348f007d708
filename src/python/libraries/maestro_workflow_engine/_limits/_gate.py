"""One flow limit: whether an attempt may begin under it now."""

import math
from typing import Final, Literal, NamedTuple

from maestro_workflow_engine._limits._breaker import Breaker
from maestro_workflow_engine._limits._rate import Rate
from maestro_workflow_engine._ports import FlowLimit
from maestro_workflow_engine._refusals import BadSetting
from maestro_workflow_engine._run import MAX_NAME

_MAX_COUNT: Final = 1_000_000
_MAX_SECONDS: Final = 366 * 86_400.0


def check_limit(limit: FlowLimit) -> None:
    """Raises BadSetting for a limit that cannot be."""
    if not isinstance(limit.name, str) or not 1 <= len(limit.name) <= MAX_NAME or not limit.name.isprintable():
        raise BadSetting(f"the name of a limit has 1 to {MAX_NAME} printable characters")
    for what in ("max_parallel", "rate_count", "breaker_failures"):
        count = getattr(limit, what)
        if count is not None and (type(count) is not int or not 1 <= count <= _MAX_COUNT):
            raise BadSetting(f"limit {limit.name!r}: {what} is a whole number from 1 to {_MAX_COUNT}, or none")
    for what in ("rate_per_s", "breaker_open_s"):
        seconds = getattr(limit, what)
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not math.isfinite(seconds) or not 0.001 <= seconds <= _MAX_SECONDS:
            raise BadSetting(f"limit {limit.name!r}: {what} is a number of seconds, from 0.001 to those of a year")
    if type(limit.is_paused) is not bool:
        raise BadSetting(f"limit {limit.name!r}: is_paused is true or false")


class Refusal(NamedTuple):
    """Why an attempt may not begin; `wait_s` None: not by time alone."""

    reason: Literal["paused", "breaker", "parallel", "rate"]
    wait_s: float | None


class Gate:
    """A limit with what is under way and what it remembers; pure: times are those of one steady clock.

    `began_at` is when the last attempt may have begun under it, as far as anybody knows.
    """

    __slots__ = ("began_at", "breaker", "figures", "is_central", "rate", "running")

    def __init__(self, name: str, *, began_at: float) -> None:
        self.figures = FlowLimit(name)
        self.is_central = False
        """Whether the engine was told its figures; those of a definition hold otherwise."""
        self.running = 0
        self.began_at = began_at
        self.rate: Rate | None = None
        self.breaker: Breaker | None = None

    def set(self, figures: FlowLimit, now: float, *, is_central: bool) -> None:
        """Hold these figures from now on, and keep what is counted."""
        self.figures = figures
        self.is_central = is_central
        if figures.rate_count is None:
            self.rate = None
        elif self.rate is None:
            self.rate = Rate(figures.rate_count, figures.rate_per_s, empty_at=self.began_at)
        else:
            self.rate.change(figures.rate_count, figures.rate_per_s, now)
        if figures.breaker_failures is None:
            self.breaker = None
        elif self.breaker is None:
            self.breaker = Breaker(figures.breaker_failures, figures.breaker_open_s)
        else:
            self.breaker.change(figures.breaker_failures, figures.breaker_open_s)

    def refusal(self, now: float) -> Refusal | None:
        """Why none may begin now; None when one may."""
        figures = self.figures
        if figures.is_paused:
            return Refusal("paused", None)
        if self.breaker is not None:
            wait_s = self.breaker.wait_s(now)
            if wait_s != 0.0:
                return Refusal("breaker", wait_s)
        if figures.max_parallel is not None and self.running >= figures.max_parallel:
            return Refusal("parallel", None)
        if self.rate is not None:
            wait_s = self.rate.wait_s(now)
            if wait_s != 0.0:
                return Refusal("rate", wait_s)
        return None

    def begin(self, now: float) -> int:
        """Count an attempt that begins; what comes back is to be given to `end`."""
        self.running += 1
        self.began_at = now
        if self.rate is not None:
            self.rate.take(now)
        return 0 if self.breaker is None else self.breaker.begin()

    def end(self, era: int, went_well: bool | None, now: float) -> None:
        """Count an attempt that has ended; `went_well` None when that says nothing about what it called."""
        self.running -= 1
        if self.breaker is not None:
            self.breaker.end(era, went_well, now)

    def is_forgettable(self, now: float) -> bool:
        """Whether one made anew would be the same."""
        return (
            not self.is_central
            and self.running == 0
            and (self.rate is None or self.rate.is_full(now))
            and (self.breaker is None or self.breaker.is_fresh())
        )
