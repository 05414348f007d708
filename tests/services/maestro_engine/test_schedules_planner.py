"""Which starts are due: the law, held against a model that looks at every minute."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.schedules.contract import Overlap
from maestro_engine.schedules.cron import Cron
from maestro_engine.schedules.overlap import turn
from maestro_engine.schedules.planner import MAX_AT_ONCE, ON_TIME, CatchUp, Due, Every, Once, Plan, Span, due

START = datetime(2026, 3, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def at(minutes: float) -> datetime:
    return START + minutes * MINUTE


TIMES = st.one_of(
    st.builds(lambda shift, every: Every(at(shift), every * MINUTE), st.integers(-500, 500), st.integers(1, 200)),
    st.integers(-100, 3000).map(lambda minutes: Once(at(minutes))),
    st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 */2 * * *", "5,50 1-4 * * SUN", "* 12 * * *"]).map(
        lambda expression: Cron(expression, "Europe/Berlin")
    ),
)
PLANS = st.builds(
    Plan,
    times=TIMES,
    seed=st.sampled_from(["a", "b"]),
    start_at=st.none() | st.integers(-100, 2000).map(at),
    end_at=st.none() | st.integers(0, 3000).map(at),
    catch_up=st.sampled_from(get_args(CatchUp)),
    catch_up_window=st.integers(0, 600).map(lambda minutes: minutes * MINUTE),
    jitter=st.sampled_from([timedelta(0), 5 * MINUTE, HOUR]),
)
MOMENTS = st.integers(0, 3000).map(lambda minutes: at(minutes) + timedelta(seconds=1))


def nominal_times(plan: Plan, after: datetime, until: datetime) -> list[datetime]:
    """Every minute that the rule hits and the plan allows, by asking for each minute alone."""
    found, minute = [], (after + MINUTE).replace(second=0, microsecond=0)
    while minute <= until:
        is_allowed = (plan.start_at is None or minute >= plan.start_at) and (
            plan.end_at is None or minute <= plan.end_at
        )
        if is_allowed and plan.times.after(minute - timedelta(microseconds=1)) == minute:
            found.append(minute)
        minute += MINUTE
    return found


def model(plan: Plan, last: datetime, now: datetime) -> tuple[list[datetime], list[datetime]]:
    """What starts and what is given up, as the documentation says it."""
    times = nominal_times(plan, last, now)
    late = [each for each in times if each + plan.jitter + ON_TIME <= now]
    kept = [each for each in late if each >= now - plan.jitter - plan.catch_up_window]
    punctual = [each for each in times if each not in late]
    if plan.catch_up == "none":
        kept = []
    elif plan.catch_up == "last":
        is_superseded = bool(punctual) and plan.due_at(punctual[0]) <= now
        kept = kept[-1:] if not is_superseded else []
    starts = []
    for each in kept + punctual:
        if plan.due_at(each) > now:
            break  # none goes before an earlier one
        starts.append(each)
    return starts, [each for each in late if each not in kept]


@given(PLANS, MOMENTS, MOMENTS)
@settings(max_examples=300, deadline=None)
def test_what_is_due_is_what_the_model_says(plan: Plan, last: datetime, now: datetime) -> None:
    """Starts, what is given up and where it stands afterwards agree with looking at every minute."""
    starts, missed = model(plan, last, now)
    found = due(plan, last, now, at_most=10_000)
    assert list(found.starts) == starts
    assert found.missed == (Span(missed[0], missed[-1]) if missed else None)
    assert found.last == max([last, *starts, *missed])
    if found.next_at is not None:
        assert found.next_at > now
        assert due(plan, found.last, found.next_at - timedelta(microseconds=1)).starts == ()


@given(PLANS, st.lists(MOMENTS, min_size=1, max_size=6), st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_each_nominal_time_is_decided_once(plan: Plan, moments: list[datetime], at_most: int) -> None:
    """However often it is asked, with clocks that jump both ways: nothing twice, nothing left out, in order."""
    last, decided = START, list[datetime]()
    for now in moments:
        for _ in range(4000):
            found = due(plan, last, now, at_most=at_most)
            decided += nominal_times(plan, found.missed.first - MINUTE, found.missed.last) if found.missed else []
            decided += found.starts
            assert found.last >= last
            last = found.last
            if found.next_at is None or found.next_at > now:
                break
    assert decided == nominal_times(plan, START, last)


@given(PLANS, MOMENTS, MOMENTS, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_no_more_than_what_is_left_starts(plan: Plan, last: datetime, now: datetime, left: int) -> None:
    """`runs_left` bounds the starts, and after the last one nothing follows."""
    bounded, free = due(plan, last, now, runs_left=left), due(plan, last, now)
    assert bounded.starts == free.starts[:left] if left else bounded == Due((), None, last, None)
    if len(bounded.starts) == left:
        assert bounded.next_at is None


def test_a_long_absence_is_planned_in_no_time_and_in_portions() -> None:
    """A year of seconds that were missed is one span; what is made up for comes in portions."""
    every_second = Every(START, timedelta(seconds=1))
    year = START + timedelta(days=365)
    found = due(Plan(every_second), START, year)
    assert found.missed is not None
    assert (found.missed.first, found.missed.last) == (START + timedelta(seconds=1), year - ON_TIME)
    assert len(found.starts) == 59 + 1
    portion = due(Plan(every_second, catch_up="all", catch_up_window=HOUR), START, year)
    assert (len(portion.starts), portion.next_at) == (MAX_AT_ONCE, year)


def test_jitter_is_the_same_each_time_and_spreads() -> None:
    """A start is put off by the same part of the jitter however often it is asked, another schedule by another."""
    plans = [Plan(Every(START, HOUR), seed=str(number), jitter=HOUR) for number in range(50)]
    delays = [plan.due_at(START) - START for plan in plans]
    assert delays == [plan.due_at(START) - START for plan in plans]
    assert all(timedelta(0) <= delay < HOUR for delay in delays)
    assert max(delays) - min(delays) > HOUR / 2


@pytest.mark.parametrize(
    ("catch_up", "minutes", "starts", "missed"),
    [
        ("none", 61 + 30 - 1, [0], None),  # an hour of jitter and a minute belong to being on time
        ("none", 61 + 30, [], Span(START, START)),
        ("last", 61 + 30, [0], None),
        ("last", 60 + 60, [0], None),  # the window begins after the jitter
        ("last", 60 + 61, [], Span(START, START)),
        ("all", 60 + 60, [0], None),
        ("all", 60 + 61, [], Span(START, START)),
    ],
)
def test_what_is_late_is_measured_after_the_jitter(
    catch_up: CatchUp, minutes: int, starts: list[int], missed: Span | None
) -> None:
    """A start that its jitter holds back is neither late nor out of the window for that."""
    plan = Plan(Once(START), catch_up=catch_up, catch_up_window=HOUR, jitter=HOUR + 30 * MINUTE)
    if catch_up != "none":
        plan = replace(plan, jitter=HOUR)
    found = due(plan, START - MINUTE, at(minutes))
    assert (found.starts, found.missed) == (tuple(at(minute) for minute in starts), missed)


def test_an_interval_is_anchored_for_ever() -> None:
    """Starts do not drift: they are whole intervals from the anchor, before it too."""
    every = Every(START, 7 * MINUTE)
    assert every.after(at(-8)) == at(-7)
    assert every.until(at(-8)) == at(-14)
    assert every.after(at(7 * 100_000)) == at(7 * 100_001)


def test_one_shot_starts_once() -> None:
    """Nothing follows it; asked long after it, it was missed."""
    plan = Plan(Once(at(10)), catch_up="last", catch_up_window=HOUR)
    assert due(plan, START, at(9)) == Due((), None, START, at(10))
    assert due(plan, START, at(10)) == Due((at(10),), None, at(10), None)
    assert due(plan, at(10), at(11)) == Due((), None, at(10), None)
    assert due(plan, START, at(30)).starts == (at(10),)
    assert due(plan, START, at(71)) == Due((), Span(at(10), at(10)), at(10), None)


@pytest.mark.parametrize(
    ("overlap", "is_running", "expected"),
    [
        ("allow", True, ([1, 2, 3], [], [])),
        ("skip", False, ([1], [], [2, 3])),
        ("skip", True, ([], [], [1, 2, 3])),
        ("queue", False, ([1], [2, 3], [])),
        ("queue", True, ([], [1, 2], [3])),
        ("cancel_running", False, ([3], [], [1, 2])),
        ("cancel_running", True, ([], [3], [1, 2])),
    ],
)
def test_overlap_decides_about_each_start(
    overlap: Overlap, is_running: bool, expected: tuple[list[int], list[int], list[int]]
) -> None:
    """Each of three that wait starts, goes on waiting or is skipped; two may wait."""
    found = turn(overlap, [1, 2, 3], is_running=is_running, max_queued=2)
    assert (list(found.start), list(found.queue), list(found.skip)) == expected
    assert found.cancels_running == (overlap == "cancel_running" and is_running)
    assert bool(found.reason) or not found.skip


@given(st.sampled_from(get_args(Overlap)), st.lists(st.integers(), unique=True), st.booleans(), st.integers(1, 5))
def test_every_start_that_waits_has_one_fate(overlap: Overlap, waiting: list[int], is_running: bool, most: int) -> None:
    """None is lost, none has two fates, and only `allow` has two run at once."""
    found = turn(overlap, waiting, is_running=is_running, max_queued=most)
    assert sorted([*found.start, *found.queue, *found.skip]) == sorted(waiting)
    assert overlap == "allow" or len(found.start) + is_running <= 1
    assert len(found.queue) <= most
