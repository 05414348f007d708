"""Sampling, rate limit, and the count of what is dropped."""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_logging import RateLimit, get_logger, request_context
from maestro_core_logging._rate import Dropped, RateLimiter, Sampler

SetupTo = Callable[..., Any]
log = get_logger("rate")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_no_more_than_the_limit_in_any_period() -> None:
    """After the limit nothing passes until the oldest record is a period old; the next tells how many were dropped."""
    clock = Clock()
    limiter = RateLimiter(RateLimit(2, period_s=10), clock)

    assert [limiter.admit("l", "e") for _ in range(5)] == [0, 0, None, None, None]
    clock.now = 9.9
    assert limiter.admit("l", "e") is None
    clock.now = 10
    assert [limiter.admit("l", "e") for _ in range(3)] == [4, 0, None]


def test_each_event_of_each_logger_has_its_own_limit() -> None:
    """One noisy event takes nothing from the others."""
    limiter = RateLimiter(RateLimit(1), Clock())

    assert [limiter.admit(logger, event) for logger in "ab" for event in "cd"] == [0, 0, 0, 0]
    assert limiter.admit("a", "c") is None


@given(st.integers(1, 5), st.lists(st.floats(0, 3), max_size=60))
def test_the_limit_holds_in_every_window(records: int, steps: list[float]) -> None:
    """For random times, no window of one period holds more than the limit, and nothing is dropped below it."""
    clock = Clock()
    limiter = RateLimiter(RateLimit(records, period_s=1.0), clock)
    written: list[float] = []
    dropped = told = 0

    for step in steps:
        clock.now += step
        recent = [at for at in written if at > clock.now - 1.0]
        admitted = limiter.admit("l", "e")
        assert (admitted is None) is (len(recent) >= records)
        if admitted is None:
            dropped += 1
        else:
            told += admitted
            written.append(clock.now)
            assert told == dropped


def test_memory_is_bounded_whatever_is_logged() -> None:
    """Endlessly many events do not grow the limiter; the ones seen last are remembered."""
    limiter = RateLimiter(RateLimit(1), Clock())
    for number in range(5000):
        assert limiter.admit("l", f"event {number}") == 0

    assert len(limiter._windows) == 1000
    assert limiter.admit("l", "event 4999") is None
    assert limiter.admit("l", "event 0") == 0


def test_sampling_keeps_a_share() -> None:
    """Only the named events are thinned out, and never warnings or worse."""
    sampler = Sampler({"half": 0.5, "none": 0.0, "all": 1.0}, random=iter([0.4, 0.5, 0.6]).__next__)

    assert [sampler.keeps("half", logging.INFO, None) for _ in range(3)] == [True, False, False]
    assert sampler.keeps("none", logging.WARNING, None)
    assert sampler.keeps("all", logging.INFO, None)
    assert sampler.keeps("other", logging.INFO, None)


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_a_trace_is_kept_whole_or_not_at_all(trace: int, share: float) -> None:
    """The decision depends on the trace id alone, so that it is the same for all its records and in all processes."""
    trace_id = f"{trace:032x}"

    def fail() -> float:
        raise AssertionError("chance is not asked when there is a trace")

    decisions = {Sampler({"e": share}, random=fail).keeps("e", logging.INFO, trace_id) for _ in range(3)}

    assert decisions == {share >= 1.0 or (trace % 2**56) / 2**56 < share}


def test_a_flood_is_cut_and_counted(setup_to: SetupTo) -> None:
    """Records of one template count together, however their arguments differ."""
    setup, stream = setup_to(rate_limit=RateLimit(3, period_s=3600))

    for number in range(10):
        logging.getLogger("std").warning("flood %d", number)
    log.info("other")
    assert setup.flush(10)

    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["flood 0", "flood 1", "flood 2", "other"]
    assert setup.dropped == {"rate": 7}


def test_sampled_records_are_counted(setup_to: SetupTo) -> None:
    """A share of 0 drops all of an event, inside and outside of a trace."""
    setup, stream = setup_to(sampling={"rate.tick": 0.0})

    log.info("rate.tick")
    with request_context():
        log.info("rate.tick")
    log.error("rate.tick")
    assert setup.flush(10)

    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == ["error"]
    assert setup.dropped == {"sampled": 2}


def test_the_next_record_tells_what_was_suppressed(setup_to: SetupTo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record that passes after a gap has the number of those that did not."""
    clock = Clock()
    monkeypatch.setattr(RateLimiter.__init__, "__defaults__", (clock,))
    setup, stream = setup_to(rate_limit=RateLimit(1))

    for _ in range(4):
        log.info("rate.flood")
    clock.now = 2
    log.info("rate.flood")
    assert setup.flush(10)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("suppressed") for line in lines] == [None, 3]


def test_counting_is_safe_from_several_threads() -> None:
    """No drop is lost."""
    dropped = Dropped()

    def count() -> None:
        for _ in range(1000):
            dropped.add("x")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert dropped.counts() == {"x": 4000}
