"""Following the journal on behalf of the audit log and of metrics: in order, through faults, to the very end."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services.maestro_engine.running import one_step

from maestro_engine.feed.follower import Follower, NotFollowing
from maestro_workflow_engine import EmbeddedBackend, Event, SlowReader, parse_definition
from maestro_workflow_engine.testing import Gate, ScriptedKind


class Ear:
    """A listener that raises what it is told to, once each, and keeps what it has heard."""

    def __init__(self, *faults: Exception) -> None:
        self.heard: list[Event] = []
        self._faults = list(faults)

    async def __call__(self, event: Event) -> None:
        if self._faults and len(self.heard) == 2:
            raise self._faults.pop(0)
        self.heard.append(event)


class Busy(Exception):
    """Something that may work the next time."""

    retryable = True


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[EmbeddedBackend]:
    kinds = {"echo": ScriptedKind(), "gate": ScriptedKind(Gate())}
    async with EmbeddedBackend(tmp_path, kinds=kinds, synchronous="NORMAL") as opened:
        yield opened


async def finished_workflow(backend: EmbeddedBackend) -> list[Event]:
    begun = await backend.start(parse_definition(one_step()))
    await backend.wait(begun.workflow_id, 10)
    return await backend.events(begun.workflow_id)


async def test_each_event_is_heard_once_in_order_to_the_last(backend: EmbeddedBackend) -> None:
    """History first, then what comes, until the backend closes."""
    before, ear = await finished_workflow(backend), Ear()
    async with Follower("ear", backend, ear, from_position=before[2].position):
        after = await finished_workflow(backend)
        await backend.close(0)
    assert ear.heard == [*before[2:], *after]


async def test_what_may_work_later_is_tried_again_with_the_same_event(
    backend: EmbeddedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """After a pause that grows; meanwhile it says why it does not hear, and afterwards that all is well."""
    events, ear = await finished_workflow(backend), Ear(Busy("not now"), Busy("not yet"))
    pauses: list[float] = []
    reasons: list[str] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        with pytest.raises(NotFollowing) as told:
            await follower.probe()
        reasons.append(str(told.value))

    follower = Follower("ear", backend, ear, from_position=0, pause=pause)
    async with follower:
        await finished_workflow(backend)
        while len(ear.heard) < 2 * len(events):
            await backend.list(limit=1)
        await follower.probe()
        await backend.close(0)
    assert ear.heard[: len(events)] == events
    assert pauses == [1.0, 2.0]
    assert reasons == ["ear: Busy: not now", "ear: Busy: not yet"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_a_fault_ends_it_and_is_told(backend: EmbeddedBackend, caplog: pytest.LogCaptureFixture) -> None:
    """In the log with its trace, and by the probe from then on."""
    await finished_workflow(backend)
    ear = Ear(ZeroDivisionError("ours"))
    async with Follower("ear", backend, ear, from_position=0) as follower:
        while not caplog.records:
            await backend.list(limit=1)
        await finished_workflow(backend)
        with pytest.raises(NotFollowing, match="ear: ZeroDivisionError: ours"):
            await follower.probe()
        await backend.close(0)
    assert len(ear.heard) == 2
    (record,) = caplog.records
    assert (record.levelname, record.exc_info is not None) == ("ERROR", True)


async def test_a_burst_is_read_from_the_journal(backend: EmbeddedBackend, caplog: pytest.LogCaptureFixture) -> None:
    """A listener that is slower than the engine loses its place in the queue, and no event."""
    caplog.set_level(logging.INFO)
    events, ear = await finished_workflow(backend), Ear(SlowReader(0))
    async with Follower("ear", backend, ear, from_position=0):
        while len(ear.heard) < len(events):
            await backend.list(limit=1)
        await backend.close(0)
    assert ear.heard == events
    assert "falls behind" in caplog.text


async def test_who_leaves_before_the_backend_is_not_held_up(
    backend: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower that has nothing to hear is let go when its time is up."""
    monkeypatch.setattr("maestro_engine.feed.follower._LAST_EVENTS_S", 0.05)
    ear = Ear()
    async with Follower("ear", backend, ear, from_position=0):
        events = await finished_workflow(backend)
        while len(ear.heard) < len(events):
            await backend.list(limit=1)
    await finished_workflow(backend)
    assert ear.heard == events
