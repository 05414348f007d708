"""Which starts are due: the law of schedules. Pure: the time is passed in."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, TypeAlias

CatchUp: TypeAlias = Literal["none", "last", "all"]

ON_TIME: Final = timedelta(seconds=60)
"""What starts no later than this is not late: restarts and busy machines take their time."""
MAX_AT_ONCE: Final = 100
"""So many starts are planned in one go; the rest is due at once after that."""
_INSTANT: Final = timedelta(microseconds=1)


class Times(Protocol):
    """A rule that names instants, without an end or with one."""

    def after(self, at: datetime) -> datetime | None:
        """The first instant after `at`."""
        ...

    def until(self, at: datetime) -> datetime | None:
        """The last instant that is not after `at`."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Instants at equal distances, of which one is the anchor; there are some before it, too."""

    anchor: datetime
    interval: timedelta

    def after(self, at: datetime) -> datetime | None:
        """The first instant after `at`."""
        return self.anchor + ((at - self.anchor) // self.interval + 1) * self.interval

    def until(self, at: datetime) -> datetime | None:
        """The last instant that is not after `at`."""
        return self.anchor + ((at - self.anchor) // self.interval) * self.interval


@dataclass(frozen=True, slots=True)
class Once:
    """One instant."""

    at: datetime

    def after(self, at: datetime) -> datetime | None:
        """The instant, if it is after `at`."""
        return self.at if self.at > at else None

    def until(self, at: datetime) -> datetime | None:
        """The instant, if it is not after `at`."""
        return self.at if self.at <= at else None


@dataclass(frozen=True, slots=True)
class Plan:
    """When a schedule starts, and what becomes of what was missed.

    `seed` makes the jitter of each nominal time one and the same, however often it is asked for.
    """

    times: Times
    seed: str = ""
    start_at: datetime | None = None
    end_at: datetime | None = None
    catch_up: CatchUp = "none"
    catch_up_window: timedelta = timedelta(0)
    jitter: timedelta = timedelta(0)

    def after(self, at: datetime) -> datetime | None:
        """The first nominal time after `at`."""
        if self.start_at is not None:
            at = max(at, self.start_at - _INSTANT)
        found = self.times.after(at)
        return None if found is None or (self.end_at is not None and found > self.end_at) else found

    def until(self, at: datetime) -> datetime | None:
        """The last nominal time that is not after `at`."""
        if self.end_at is not None:
            at = min(at, self.end_at)
        found = self.times.until(at)
        return None if found is None or (self.start_at is not None and found < self.start_at) else found

    def due_at(self, nominal: datetime) -> datetime:
        """When the start of a nominal time is due: up to `jitter` later."""
        if not self.jitter:
            return nominal
        digest = hashlib.sha256(f"{self.seed}\0{nominal.timestamp()}".encode()).digest()
        return nominal + self.jitter * (int.from_bytes(digest[:4], "big") / 2**32)

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The nominal times from `first` to `last`, both included, whatever start and end are set."""
        found = self.times.after(first - _INSTANT)
        while found is not None and found <= last:
            yield found
            found = self.times.after(found)


@dataclass(frozen=True, slots=True)
class Span:
    """Nominal times that follow each other: the first and the last."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """What is decided: nominal times to start, those that are given up, up to where, and when to ask again."""

    starts: tuple[datetime, ...]
    missed: Span | None
    last: datetime
    next_at: datetime | None


def due(plan: Plan, last: datetime, now: datetime, *, runs_left: int | None = None, at_most: int = MAX_AT_ONCE) -> Due:
    """What is to be done at `now`, when everything up to the nominal time `last` has been decided.

    A nominal time that lies behind by more than the jitter and ON_TIME is late. `catch_up` none gives up all that are
    late; last starts the newest of them, unless it is older than the window or a newer time is due; all starts those
    within the window. An earlier nominal time always starts before a later one.
    """
    if runs_left == 0:
        return Due((), None, last, None)
    missed = _missed(plan, last, now)
    if missed is not None:
        last = missed.last
    starts: list[datetime] = []
    next_at: datetime | None = None
    while len(starts) != runs_left and (nominal := plan.after(last)) is not None:
        if (due_at := plan.due_at(nominal)) > now:
            next_at = due_at
            break
        if len(starts) == at_most:
            next_at = now
            break
        starts.append(nominal)
        last = nominal
    return Due(tuple(starts), missed, last, next_at)


def _missed(plan: Plan, last: datetime, now: datetime) -> Span | None:
    newest = plan.until(now - plan.jitter - ON_TIME)
    if newest is None or newest <= last:
        return None
    first = plan.after(last)
    assert first is not None
    oldest_kept = now - plan.jitter - plan.catch_up_window
    kept: datetime | None = None
    if plan.catch_up == "last":
        following = plan.after(newest)
        is_superseded = following is not None and plan.due_at(following) <= now
        kept = newest if newest >= oldest_kept and not is_superseded else None
    elif plan.catch_up == "all":
        kept = plan.after(max(last, oldest_kept - _INSTANT))
    if kept is None or kept > newest:
        return Span(first, newest)
    before = plan.until(kept - _INSTANT)
    return Span(first, before) if before is not None and before > last else None
