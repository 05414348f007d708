"""The rows that a person sees are the fold of a workflow's events."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from maestro_cli._progress import Progress
from maestro_workflow_engine import Event, parse_definition

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def progress() -> Progress:
    return Progress.of(
        parse_definition(
            {
                "name": "sample",
                "steps": {
                    "fetch": {"kind": "http", "with": {"url": "http://localhost"}, "retry": 3},
                    "each": {"kind": "shell", "with": {"run": "true"}, "map": {"items": [1, 2]}},
                },
            }
        )
    )


def event(seq: int, type_: str, after_s: float = 0.0, **data: Any) -> Event:
    return Event(seq, "w", type_, START + timedelta(seconds=after_s), data, seq)


def test_a_row_begins_waiting_and_ends_done_with_its_time() -> None:
    """A step that succeeded is settled, and its time is from its first start to its end."""
    rows = progress()
    assert {row.word for row in rows.rows.values()} == {"waiting"}
    rows.apply(event(1, "step.scheduled", step="fetch", attempt=1))
    rows.apply(event(2, "step.started", 1.0, step="fetch", attempt=1))
    row = rows.apply(event(3, "step.succeeded", 3.5, step="fetch", attempt=1, output=1))
    assert row is not None
    assert (row.word, row.is_settled, row.elapsed_s(START), row.note(START)) == ("done", True, 2.5, "")
    assert rows.settled == 1


def test_a_retry_says_which_attempt_comes_when_and_why() -> None:
    """While a step waits for its next attempt, its note counts down and names the error on one line."""
    rows = progress()
    rows.apply(event(1, "step.started", step="fetch", attempt=1))
    failed = {"code": "c", "message": "connection\nrefused", "retryable": True}
    retry_at = (START + timedelta(seconds=2)).isoformat()
    row = rows.apply(event(2, "step.failed", step="fetch", attempt=1, error=failed, retry_at=retry_at))
    assert row is not None
    assert row.word == "retrying"
    assert row.note(START + timedelta(seconds=0.5)) == "attempt 2 of 3 in 1.5 s · connection refused"
    rows.apply(event(3, "step.started", 2.0, step="fetch", attempt=2))
    assert row.note(START) == "attempt 2 of 3"
    rows.apply(event(4, "step.succeeded", 3.0, step="fetch", attempt=2))
    assert row.note(START) == "1 retry"


def test_a_map_counts_its_items_and_settles_once() -> None:
    """The items of a map are one row with a count; a failed item does not settle it, the end of the step does."""
    rows = progress()
    rows.apply(event(1, "step.expanded", step="each", count=2))
    rows.apply(event(2, "step.started", step="each", attempt=1, item=0))
    row = rows.apply(event(3, "step.succeeded", step="each", attempt=1, item=0))
    assert row is not None
    assert row.note(START) == "1/2"
    wrong = {"code": "c", "message": "no", "retryable": False}
    rows.apply(event(4, "step.failed", step="each", attempt=1, item=1, error=wrong))
    assert not row.is_settled
    rows.apply(event(5, "step.failed", step="each", attempt=1, error={**wrong, "message": "item 1: no"}))
    assert (row.word, row.note(START)) == ("failed", "1/2 · item 1: no")


def test_the_workflow_itself_has_no_row() -> None:
    """Events of the whole workflow give its start, its end, and nothing to print."""
    rows = progress()
    assert rows.apply(event(1, "workflow.started", name="sample", inputs={})) is None
    assert rows.took_s is None
    assert rows.apply(event(2, "workflow.succeeded", 4.0, outputs={})) is None
    assert rows.took_s == 4.0


def test_an_event_of_an_unknown_type_or_step_changes_no_row() -> None:
    """A newer engine may tell more; what is not known is passed over."""
    rows = progress()
    rows.apply(event(1, "step.paused", step="fetch", attempt=1))
    rows.apply(event(2, "step.started", step="other", attempt=1))
    assert {row.word for row in rows.rows.values()} == {"waiting"}
    assert rows.seq == 2


ITEM = st.one_of(st.none(), st.integers(0, 1))
TYPES = st.sampled_from(["started", "waiting", "succeeded", "failed", "skipped", "cancelled"])


@given(st.lists(st.tuples(TYPES, st.sampled_from(["fetch", "each"]), ITEM), max_size=30))
def test_counts_never_leave_their_bounds(history: list[tuple[str, str, int | None]]) -> None:
    """Whatever order events come in, no more rows are settled than there are, and every note can be told."""
    rows = progress()
    for seq, (type_, step, item) in enumerate(history, start=1):
        data: dict[str, Any] = {"step": step, "attempt": 1, "error": {"code": "c", "message": "m"}}
        if item is not None:
            data["item"] = item
        rows.apply(event(seq, f"step.{type_}", **data))
    assert 0 <= rows.settled <= len(rows.rows)
    assert all(isinstance(row.note(START), str) for row in rows.rows.values())


def test_a_step_of_a_later_phase_has_a_row_once_it_begins() -> None:
    """What may never run takes no room, and is not counted as waiting."""
    steps = {"a": {"kind": "shell", "with": {"command": "true"}}}
    rows = Progress.of(parse_definition({"name": "n", "steps": steps, "finally": {"clean": steps["a"]}}))
    assert list(rows.rows) == ["a"]
    row = rows.apply(event(1, "step.scheduled", step="clean", attempt=1))
    assert list(rows.rows) == ["a", "clean"]
    assert row is rows.rows["clean"]


def test_a_step_that_asks_says_what() -> None:
    """Until it is answered; a child workflow runs meanwhile, and a timer only sleeps."""
    rows = progress()
    rows.apply(event(1, "step.started", step="fetch", attempt=1))
    row = rows.apply(event(2, "step.waiting", step="fetch", attempt=1, on={"kind": "approval", "title": "Go?"}))
    assert row is not None
    assert (row.word, row.note(START)) == ("asking", "approval Go?")
    rows.apply(event(3, "step.answered", step="fetch", attempt=1, answer={"approved": True}))
    assert (row.word, row.note(START)) == ("running", "")
    rows.apply(event(4, "step.waiting", step="fetch", attempt=1, on={"kind": "workflow", "workflow": "w.fetch.1"}))
    assert (row.word, row.is_settled) == ("running", False)
    rows.apply(event(5, "step.waiting", step="fetch", attempt=1, until="2026-11-21T13:00:00Z"))
    assert (row.word, row.is_settled) == ("sleeping", False)


def test_a_step_that_was_reused_says_why() -> None:
    """It is done without having run."""
    rows = progress()
    row = rows.apply(event(1, "step.reused", step="fetch", output=1, why="same definition and input"))
    assert row is not None
    assert (row.word, row.is_settled, row.note(START)) == ("done", True, "reused: same definition and input")


def test_a_pause_is_known() -> None:
    """From its beginning to its end."""
    rows = progress()
    rows.apply(event(1, "workflow.paused"))
    assert rows.is_paused
    rows.apply(event(2, "workflow.resumed"))
    assert not rows.is_paused
