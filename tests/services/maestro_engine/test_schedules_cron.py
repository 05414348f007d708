"""Cron expressions: which instants they name in a time zone, on the days when clocks are changed too."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.schedules.cron import Cron, check_cron
from maestro_engine.schedules.errors import BadCron, UnknownTimeZone

MINUTE = timedelta(minutes=1)


def local(expression: str, zone: str, day: str, hours: int = 36) -> list[str]:
    """The local times with their offsets, from the beginning of a day on."""
    cron = Cron(expression, zone)
    at = datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    end, found = at + timedelta(hours=hours), []
    at -= MINUTE
    while (following := cron.after(at)) is not None and following < end:
        found.append(following.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
        at = following
    return found


GAPS = [
    # Clocks jump from 02:00 to 03:00.
    ("Europe/Berlin", "2026-03-29", "30 2 * * *", ["29 03:00+0200", "30 02:30+0200"]),
    ("Europe/Berlin", "2026-03-29", "*/30 2 * * *", ["30 02:00+0200", "30 02:30+0200"]),
    ("Europe/Berlin", "2026-03-29", "0,30 2,3 * * *", ["29 03:00+0200", "29 03:30+0200", "30 02:00+0200"]),
    ("America/New_York", "2026-03-08", "15 2 * * *", ["08 03:00-0400", "09 02:15-0400"]),
    # By half an hour, from 02:00 to 02:30.
    ("Australia/Lord_Howe", "2026-10-04", "10 2 * * *", ["04 02:30+1100", "05 02:10+1100"]),
    ("Australia/Lord_Howe", "2026-10-04", "*/15 2 * * *", ["04 02:30+1100", "04 02:45+1100", "05 02:00+1100"]),
    # At midnight: the day begins at 01:00.
    ("Africa/Cairo", "2026-04-24", "0 0 * * *", ["24 01:00+0300", "25 00:00+0300"]),
    ("America/Santiago", "2026-09-06", "30 0 * * *", ["06 01:00-0300", "07 00:30-0300"]),
    # A day that was left out altogether.
    ("Pacific/Apia", "2011-12-30", "0 12 * * *", ["31 00:00+1400", "31 12:00+1400"]),
]
FOLDS = [
    ("Europe/Berlin", "2026-10-25", "30 2 * * *", ["25 02:30+0200", "26 02:30+0100"]),
    (
        "Europe/Berlin",
        "2026-10-25",
        "*/30 2 * * *",
        ["25 02:00+0200", "25 02:30+0200", "25 02:00+0100", "25 02:30+0100"],
    ),
    ("America/New_York", "2026-11-01", "0 1 * * *", ["01 01:00-0400", "02 01:00-0500"]),
    (
        "America/New_York",
        "2026-11-01",
        "0 */1 1 11 *",
        ["01 00:00-0400", "01 01:00-0400", "01 01:00-0500", "01 02:00-0500"],
    ),
    ("Australia/Lord_Howe", "2026-04-05", "45 1 * * *", ["05 01:45+1100", "06 01:45+1030"]),
    (
        "Australia/Lord_Howe",
        "2026-04-05",
        "*/20 1 * * *",
        ["05 01:00+1100", "05 01:20+1100", "05 01:40+1100", "05 01:40+1030"],
    ),
    # Set back from midnight to 23:00, and from 01:00 to 00:00.
    ("Africa/Cairo", "2026-10-29", "30 23 * * *", ["29 23:30+0300", "30 23:30+0200"]),
    (
        "America/Havana",
        "2026-11-01",
        "*/30 0 * * *",
        ["01 00:00-0400", "01 00:30-0400", "01 00:00-0500", "01 00:30-0500"],
    ),
    # From 00:01 back to 23:01: instants of one day lie behind those of the next.
    ("America/St_Johns", "2006-10-28", "*/30 23 * * *", ["28 23:00-0230", "28 23:30-0230", "28 23:30-0330"]),
    (
        "America/St_Johns",
        "2006-10-28",
        "*/30 0,23 * * *",
        [
            *("28 00:00-0230", "28 00:30-0230", "28 23:00-0230", "28 23:30-0230", "29 00:00-0230"),
            *("28 23:30-0330", "29 00:00-0330", "29 00:30-0330", "29 23:00-0330"),
        ],
    ),
]


@pytest.mark.parametrize(("zone", "day", "expression", "expected"), GAPS)
def test_a_time_that_clocks_jump_over(zone: str, day: str, expression: str, expected: list[str]) -> None:
    """A time of day that is given is taken right after the gap, and once; with `*` it does not come that day."""
    assert local(expression, zone, day, 72)[: len(expected)] == expected


@pytest.mark.parametrize(("zone", "day", "expression", "expected"), FOLDS)
def test_a_time_that_comes_twice(zone: str, day: str, expression: str, expected: list[str]) -> None:
    """A time of day that is given is taken once, the first time; with `*` each moment counts."""
    assert local(expression, zone, day, 72)[: len(expected)] == expected


def test_days_that_overlap_are_told_in_order_both_ways() -> None:
    """Where clocks went back across midnight, looking back finds what looking ahead has found."""
    cron, at = Cron("*/30 0,23 * * *", "America/St_Johns"), datetime(2006, 10, 28, tzinfo=UTC)
    ahead = [at]
    while (following := cron.after(ahead[-1])) is not None and len(ahead) < 30:
        ahead.append(following)
    back = [ahead[-1]]
    while (previous := cron.until(back[-1] - timedelta(microseconds=1))) is not None and previous > at:
        back.append(previous)
    assert back[::-1] == ahead[1:]
    assert sorted(ahead) == ahead


def test_an_hourly_expression_comes_each_hour_that_passes() -> None:
    """25 times on the long day, 23 times on the short one."""
    assert len(local("0 * * * *", "Europe/Berlin", "2026-10-25", 25)) == 25
    assert len(local("0 * * * *", "Europe/Berlin", "2026-03-29", 23)) == 23
    assert Cron("0 * * * *", "Europe/Berlin").on(date(2026, 3, 29))[-1] == datetime(2026, 3, 29, 21, tzinfo=UTC)


DAYS = [
    ("0 0 29 2 *", ["2028-02-29", "2032-02-29"]),
    ("0 0 L * *", ["2026-01-31", "2026-02-28", "2026-03-31"]),
    ("0 0 L 2 *", ["2026-02-28", "2027-02-28", "2028-02-29"]),
    ("0 0 LW * *", ["2026-01-30", "2026-02-27", "2026-03-31"]),
    ("0 0 * * MON#2", ["2026-01-12", "2026-02-09"]),
    ("0 0 * * FRI#5", ["2026-01-30", "2026-05-29"]),
    ("0 0 * * 5L", ["2026-01-30", "2026-02-27"]),
    ("0 0 * * 7", ["2026-01-04", "2026-01-11"]),
    ("0 0 */10 * *", ["2026-01-11", "2026-01-21", "2026-01-31", "2026-02-01"]),
    ("0 0 1-20/7 MAR-APR *", ["2026-03-01", "2026-03-08", "2026-03-15", "2026-04-01"]),
    # Day of month or day of week where neither starts with a star, and both where one does.
    ("0 0 13 * FRI", ["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"]),
    ("0 0 */2 * SUN", ["2026-01-11", "2026-01-25"]),
    ("@monthly", ["2026-02-01", "2026-03-01"]),
]


@pytest.mark.parametrize(("expression", "expected"), DAYS)
def test_days_are_those_that_are_named(expression: str, expected: list[str]) -> None:
    """Leap days, the last day, the nth weekday, steps, names."""
    cron, at, found = Cron(expression), datetime(2026, 1, 1, tzinfo=UTC), []
    for _ in expected:
        following = cron.after(at)
        assert following is not None
        found.append(following.date().isoformat())
        at = following
    assert found == expected


def test_the_rarest_day_is_found_and_what_never_comes_is_not_looked_for_forever() -> None:
    """Forty years lie between two 29 February on a Monday around 2100; before the first one there is none."""
    cron = Cron("0 0 * 2 MON#5")
    assert cron.after(datetime(2072, 3, 1, tzinfo=UTC)) == datetime(2112, 2, 29, tzinfo=UTC)
    assert cron.until(datetime(2112, 2, 28, tzinfo=UTC)) == datetime(2072, 2, 29, tzinfo=UTC)


BAD = [
    ("61 * * * *", "minute: '61' (character 1) will not do; it is 0 to 59"),
    ("0  24 * * *", "hour: '24' (character 4)"),
    ("0 0 * * MON,TUE,NOPE", "day of week: 'NOPE' (character 17)"),
    ("1,,2 * * * *", "minute: '' (character 3)"),
    ("*/0 * * * *", "minute: '*/0' (character 1)"),
    ("5-1 * * * *", "minute: '5-1'"),
    ("0 0 32 * *", "day of month: '32' (character 5)"),
    ("0 0 * 13 *", "month: '13'"),
    ("0 0 * * MON#6", "day of week: 'MON#6'"),
    ("0 0 * * 8L", "day of week: '8L'"),
    ("0 0 30 2 *", "no month has such a day: '30' (day of month), '2' (month)"),
    ("* * * *", "4 fields, where 5 were expected: minute, hour,"),
    ("0 * * * * *", "6 fields"),
    ("", "0 fields"),
    ("@reboot", "'@reboot' is none of @hourly"),
    ("５ * * * *", "printable ASCII"),
    ("0\t0 * * *", "printable ASCII"),
    ("0 0 * * *" + " " * 200, "at most 200"),
    ("9" * 150 + " * * * *", "minute: '999"),
]


@pytest.mark.parametrize(("expression", "message"), BAD)
def test_a_bad_expression_is_refused_with_its_place(expression: str, message: str) -> None:
    """The error names the field, the term, where it stands, and what may stand there."""
    with pytest.raises(BadCron) as refused:
        check_cron(expression)
    assert message in str(refused.value)


@given(st.text(alphabet="0123456789*/,-#LW MONFRIJ@", max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_text_is_either_refused_or_names_instants(text: str) -> None:
    """No text crashes it, or has it search for ever."""
    try:
        cron = Cron(text)
    except BadCron:
        return
    following = cron.after(datetime(2026, 1, 1, tzinfo=UTC))
    assert following is None or following > datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["Europe/Nowhere", "../../etc/passwd", "", "America", "/etc/localtime", "x" * 5000, "\0"]
)
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    """Also what would be a path."""
    with pytest.raises(UnknownTimeZone):
        Cron("0 0 * * *", name)


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Havana",
        "Africa/Cairo",
        "Asia/Kolkata",
    ]
)
INSTANTS = st.integers(0, 4 * 365 * 24 * 60).map(lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + minutes * MINUTE)


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        numbers.map(str),
        st.integers(1, 12).map(lambda step: f"*/{step}"),
        st.lists(numbers, min_size=1, max_size=3).map(lambda many: ",".join(map(str, many))),
        st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    )


EXPRESSIONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 6)).map(" ".join)


def _fits(expression: str) -> Callable[[datetime], bool]:
    """Whether a wall time fits, by the library alone: it is what comes after the minute before."""
    return lambda wall: next(CronSim(expression, wall.replace(tzinfo=UTC) - MINUTE)) == wall.replace(tzinfo=UTC)


@given(EXPRESSIONS, ZONES, st.sampled_from([(2026, 3, 8), (2026, 3, 29), (2026, 4, 5), (2026, 10, 25), (2026, 11, 1)]))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_looking_at_the_clock_each_minute(expression: str, zone: str, day: tuple[int, int, int]) -> None:
    """With `*` it is every minute at which the clock on the wall fits; otherwise each fitting time of day, once."""
    cron, tz, fits = Cron(expression, zone), ZoneInfo(zone), _fits(expression)
    start = datetime(*day, tzinfo=UTC) - timedelta(hours=14)
    minutes = [start + number * MINUTE for number in range(40 * 60)]
    shown = [at.astimezone(tz).replace(tzinfo=None) for at in minutes]
    if cron._is_fixed:
        expected, seen, last = [], set[datetime](), shown[0] - MINUTE
        for at, wall in zip(minutes, shown, strict=True):
            jumped_over = [last + number * MINUTE for number in range(1, int((wall - last) / MINUTE))]
            if (wall not in seen and fits(wall)) or any(fits(each) for each in jumped_over):
                expected.append(at)
            seen.add(wall)
            last = wall
    else:
        expected = [at for at, wall in zip(minutes, shown, strict=True) if fits(wall)]
    found, at = [], start - MINUTE
    while (following := cron.after(at)) is not None and following <= minutes[-1]:
        found.append(following)
        at = following
    assert found == expected


@given(EXPRESSIONS, ZONES, INSTANTS)
@settings(max_examples=150, deadline=None)
def test_looking_back_and_ahead_agree(expression: str, zone: str, at: datetime) -> None:
    """Nothing lies between the last instant until a time and the first one after it."""
    cron = Cron(expression, zone)
    before, after = cron.until(at), cron.after(at)
    assert before is not None
    assert after is not None
    assert before <= at < after
    assert cron.after(before) == after
    assert cron.until(after - timedelta(microseconds=1)) == before
    following = [after]
    for _ in range(5):
        following.append(cron.after(following[-1]) or after)
    assert all(first < second for first, second in pairwise(following))
