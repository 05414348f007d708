"""Cron expressions in a time zone: which instants they name, on days when clocks are changed too. Pure.

As Debian's cron has it. Where both minute and hour are given (`30 2 * * *`), a time that the clocks jump over is taken
at the first moment after the gap, and one that comes twice is taken once, the first time. Where one of them starts with
`*`, every moment counts whose time of day fits: none in a gap, both where it comes twice.
"""

import bisect
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from maestro_engine.schedules.errors import BadCron, UnknownTimeZone

_FIELDS: Final = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, L for the last, LW for the last from Monday to Friday"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of week", "0 to 7 or SUN to SAT, 5L for the last Friday, MON#2 for the second Monday"),
)
_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MAX_CHARS: Final = 200
_ANY_DAY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=41 * 366)
"""The rarest day is a 29 February of one weekday around a year like 2100: 40 years."""


def check_cron(expression: str) -> None:
    """Raises BadCron, which says which field is wrong, where it stands, and what may stand there."""
    if len(expression) > _MAX_CHARS or not expression.isascii() or not expression.isprintable():
        raise BadCron(f"a cron expression is a text of at most {_MAX_CHARS} printable ASCII characters")
    if expression.startswith("@"):
        if expression.lower() not in _ALIASES:
            raise BadCron(f"{expression!r} is none of {', '.join(_ALIASES)}")
        return
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        names = ", ".join(name for name, _ in _FIELDS)
        raise BadCron(f"{len(texts)} fields, where 5 were expected: {names}")
    start = 0
    for number, text in enumerate(texts):
        start = expression.index(text, start)
        _check_field(number, text, start + 1)
        start += len(text)
    if not _can_be(expression):
        raise BadCron(f"no month has such a day: {texts[2]!r} (day of month), {texts[3]!r} (month)")


def _check_field(number: int, text: str, column: int) -> None:
    name, range_ = _FIELDS[number]
    for term in text.split(","):
        alone = ["*"] * len(_FIELDS)
        alone[number] = term
        # A blank term would vanish among the other fields.
        if not term or not _can_be(" ".join(alone)):
            raise BadCron(
                f"{name}: {term!r} (character {column}) will not do; it is {range_}; also *, a-b, /n and lists"
            )
        column += len(term) + 1


def _can_be(expression: str) -> bool:
    try:
        CronSim(expression, _ANY_DAY)
    except CronSimError:
        return False
    return True


def time_zone(name: str) -> ZoneInfo:
    """The zone of the IANA time zone database; raises UnknownTimeZone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimeZone(name) from error


@dataclass(frozen=True)
class Cron:
    """The instants that a cron expression names in a time zone; raises BadCron, UnknownTimeZone."""

    expression: str
    zone_name: str = "UTC"
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _fields: CronSim = field(init=False, repr=False, compare=False)
    _is_fixed: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_cron(self.expression)
        expression = _ALIASES.get(self.expression.lower(), self.expression)
        minute, hour = expression.split()[:2]
        object.__setattr__(self, "_zone", time_zone(self.zone_name))
        object.__setattr__(self, "_fields", CronSim(expression, _ANY_DAY))
        object.__setattr__(self, "_is_fixed", not minute.startswith("*") and not hour.startswith("*"))

    def after(self, at: datetime) -> datetime | None:
        """The first instant after `at`, None when there is none for longer than 40 years."""
        # Clocks that are set back across midnight put instants of one day behind those of the next.
        for day in self._days(at.astimezone(self._zone).date() - _DAY, 1):
            if found := self._first_after(day, at):
                return min(found, self._first_after(day + _DAY, at) or found)
        return None

    def until(self, at: datetime) -> datetime | None:
        """The last instant that is not after `at`, None when there is none for longer than 40 years."""
        for day in self._days(at.astimezone(self._zone).date() + _DAY, -1):
            if found := self._last_until(day, at):
                return max(found, self._last_until(day - _DAY, at) or found)
        return None

    def _days(self, first: date, step: int) -> Iterator[date]:
        for number in range(_LONGEST.days):
            day = first + step * number * _DAY
            if self._has(day):
                yield day

    def _has(self, day: date) -> bool:
        return day.month in self._fields.months and self._fields.match_day(day)

    def _first_after(self, day: date, at: datetime) -> datetime | None:
        instants = _instants(self, day)
        place = bisect.bisect_right(instants, at)
        return instants[place] if place < len(instants) else None

    def _last_until(self, day: date, at: datetime) -> datetime | None:
        instants = _instants(self, day)
        place = bisect.bisect_right(instants, at)
        return instants[place - 1] if place else None

    def on(self, day: date) -> tuple[datetime, ...]:
        """The instants of one local day, in order."""
        if not self._has(day):
            return ()
        walls = [
            datetime.combine(day, time(hour, minute))
            for hour in sorted(self._fields.hours)
            for minute in sorted(self._fields.minutes)
        ]
        start = datetime.combine(day, time(), self._zone)
        offset = start.utcoffset()
        if offset is not None and offset == (start + _DAY).replace(fold=1).utcoffset():
            return tuple((wall - offset).replace(tzinfo=UTC) for wall in walls)
        return tuple(sorted({instant for wall in walls for instant in self._meant(wall)}))

    def _meant(self, wall: datetime) -> list[datetime]:
        instants = _real(wall, self._zone)
        if not self._is_fixed:
            return instants
        while not instants:
            wall += _MINUTE
            instants = _real(wall, self._zone)
        return instants[:1]


def _real(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants at which clocks show this time: none in a gap, two where it comes twice."""
    found = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(instant for instant in found if instant.astimezone(zone).replace(tzinfo=None) == wall)


@functools.lru_cache(maxsize=64)
def _instants(cron: Cron, day: date) -> tuple[datetime, ...]:
    return cron.on(day)
