"""The law by which a flood of refusals is bounded, and every one of them told or counted."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.audit.refusals import PER_WINDOW, WINDOW, Refusals

START = datetime(2026, 11, 21, tzinfo=UTC)
ACTORS = ("anonymous", "ana", "ben")
BURSTS = st.lists(st.tuples(st.sampled_from(ACTORS), st.integers(1, 150), st.floats(-90, 90)), min_size=1, max_size=20)


@given(BURSTS)
def test_every_refusal_is_kept_or_counted_once_and_not_too_many_are_kept(bursts: list[tuple[str, int, float]]) -> None:
    """Whatever comes when, also from a clock that is set back: kept and counted together are all that came."""
    refusals, at = Refusals(), START
    came: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for actor, count, later_s in bursts:
        at += timedelta(seconds=later_s)
        for _ in range(count):
            for window in refusals.ended(at):
                counted[window.actor] += window.counted
            came[actor] += 1
            kept[actor] += refusals.keeps(actor, at)
    for window in refusals.all():
        counted[window.actor] += window.counted
    assert kept + counted == came
    assert refusals.all() == []


@given(st.lists(st.floats(0, 2), min_size=1, max_size=400))
def test_no_minute_has_more_than_two_windows_of_entries(pauses: list[float]) -> None:
    """While the clock goes on, any minute meets two windows at most."""
    refusals, at = Refusals(), START
    kept: list[datetime] = []
    for pause_s in pauses:
        at += timedelta(seconds=pause_s)
        refusals.ended(at)
        if refusals.keeps("anonymous", at):
            kept.append(at)
    assert all(sum(1 for other in kept if begin <= other < begin + WINDOW) <= 2 * PER_WINDOW for begin in kept)


def test_one_actor_cannot_hide_another() -> None:
    """Each has a minute of its own, which begins with its first refusal."""
    refusals = Refusals()
    assert [refusals.keeps("anonymous", START) for _ in range(PER_WINDOW + 1)][-2:] == [True, False]
    assert refusals.keeps("ana", START)
    (told,) = refusals.ended(START + WINDOW)
    assert (told.actor, told.counted, told.since) == ("anonymous", 1, START)
    assert refusals.keeps("anonymous", START + WINDOW)
