"""Events and listeners: small, frozen, and never in the way of a call."""

import dataclasses
import logging
from typing import Any

import pytest

import maestro_resilience
from maestro_resilience import CircuitBreaker, Event, Retry, RetryScheduled, log_event
from maestro_resilience.testing import ManualClock, Recorder

EVENTS = sorted(
    (value for value in vars(maestro_resilience).values() if isinstance(value, type) and issubclass(value, Event)),
    key=lambda event: event.__name__,
)


def _flaky(failures: int) -> object:
    left = [OSError("password=hunter2")] * failures

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return Retry(on=OSError, clock=ManualClock(), name="db", listeners=[log_event]).call(work)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_events_are_frozen_and_typed(event: type[Event]) -> None:
    """Each event is an immutable dataclass with slots, that names its policy, its time and its own stable type."""
    names = [field.name for field in dataclasses.fields(event)]
    assert names[:2] == ["policy", "at_s"]
    assert event.type.startswith("resilience.")
    values: dict[str, Any] = dict.fromkeys(names)
    made = event(**values)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.policy = "other"  # type: ignore[misc]  # the forbidden write under test
    assert not hasattr(made, "__dict__")
    assert [other for other in EVENTS if other.type == event.type] == [event]


def test_a_listener_that_raises_breaks_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The call goes on, later listeners hear the event, and the failure is in the log with its traceback."""
    recorder = Recorder()

    def broken(event: Event) -> None:
        raise RuntimeError("listener bug")

    left = [OSError()]

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    retry = Retry(on=OSError, clock=ManualClock(), name="db", listeners=[broken, recorder])
    assert retry.call(work) == "done"
    assert len(recorder.of(RetryScheduled)) == 1
    records = [record for record in caplog.records if record.name == "maestro_resilience"]
    assert len(records) == 2
    assert records[0].levelno == logging.ERROR
    assert "resilience.listener_failed" in records[0].message
    assert "db" in records[0].message
    assert "listener bug" in caplog.text


def test_the_ready_listener_logs_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """`log_event` writes one record per event, fields included, and of an error only its type."""
    with caplog.at_level(logging.INFO, logger="maestro_resilience"):
        assert _flaky(1) == "done"
    assert [record.message.split()[0] for record in caplog.records] == [
        "resilience.retry_scheduled",
        "resilience.retry_recovered",
    ]
    fields = caplog.records[0].resilience  # type: ignore[attr-defined]  # set through `extra`
    assert (fields["policy"], fields["attempt"], fields["error"]) == ("db", 1, "OSError")
    assert "hunter2" not in caplog.text


def test_state_changes_are_told_once() -> None:
    """Setting the state that a breaker is in already is no event."""
    recorder = Recorder()
    breaker = CircuitBreaker(clock=ManualClock(), listeners=[recorder])
    breaker.reset()
    breaker.force_open()
    breaker.force_open()
    assert len(recorder.events) == 1
