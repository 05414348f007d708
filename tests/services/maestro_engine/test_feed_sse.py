"""Server-sent events: history, then live, and a browser that reconnects misses nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from services.maestro_engine.running import Engine, StartEngine, one_step

STREAM = {"Accept": "text/event-stream"}


async def frames(answer: httpx2.Response) -> AsyncIterator[dict[str, str]]:
    """The frames of a stream as a browser reads them; comments are left out."""
    frame: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            if frame:
                yield frame
            frame = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            frame[name] = value


async def all_frames(engine: Engine, workflow_id: str, **headers: str) -> list[dict[str, str]]:
    path = f"/api/workflows/{workflow_id}/events"
    async with asyncio.timeout(10), engine.http.stream("GET", path, headers={**STREAM, **headers}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [frame async for frame in frames(answer)]


async def test_a_stream_carries_every_event_unchanged_and_ends_with_the_workflow(engine: Engine) -> None:
    """`id` is the seq, `event` the type, `data` the stored event."""
    workflow_id = await engine.start(one_step("gate"))
    await engine.gate.arrival()
    reading = asyncio.create_task(all_frames(engine, workflow_id))
    engine.gate.open()
    seen = await reading
    journal = [event.as_json() for event in await engine.backend.events(workflow_id)]
    assert [json.loads(frame["data"]) for frame in seen] == journal
    assert [(frame["id"], frame["event"]) for frame in seen] == [(str(each["seq"]), each["type"]) for each in journal]


async def test_a_browser_that_reconnects_gets_what_follows(engine: Engine) -> None:
    """Last-Event-ID is the last seq that it has."""
    workflow_id = await engine.start(one_step())
    state = await engine.backend.wait(workflow_id, 10)
    seen = await all_frames(engine, workflow_id, **{"Last-Event-ID": "2"})
    assert [int(frame["id"]) for frame in seen] == list(range(3, state.seq + 1))
    assert await all_frames(engine, workflow_id, **{"Last-Event-ID": str(state.seq)}) == []


@pytest.mark.parametrize("last", ["-1", "x", "9" * 30, "1.5"])
async def test_a_strange_last_event_id_is_refused(engine: Engine, last: str) -> None:
    """422 in place of a stream that begins somewhere."""
    workflow_id = await engine.start(one_step())
    answer = await engine.http.get(f"/api/workflows/{workflow_id}/events", headers={**STREAM, "Last-Event-ID": last})
    assert (answer.status_code, answer.json()["errors"][0]["part"]) == (422, "header")


async def test_an_unknown_workflow_is_a_404_and_no_empty_stream(engine: Engine) -> None:
    """A browser does not reconnect for ever to what is not there."""
    answer = await engine.http.get("/api/workflows/unknown/events", headers=STREAM)
    assert (answer.status_code, answer.json()["code"]) == (404, "workflow.not-found")


async def test_a_quiet_stream_has_heartbeats_and_ends_when_the_engine_stops(start_engine: StartEngine) -> None:
    """Comments keep proxies from cutting it; on a stop the stream ends whole."""
    async with start_engine(heartbeat_s=0.02) as engine:
        workflow_id = await engine.start(one_step("gate"))
        await engine.gate.arrival()
        beats = 0
        async with engine.http.stream("GET", f"/api/workflows/{workflow_id}/events", headers=STREAM) as answer:
            async for line in answer.aiter_lines():
                beats += line == ": heartbeat"
                if beats == 3:
                    engine.app.drainer.stopping.set()
        assert beats >= 3


async def test_streams_count_as_readers(start_engine: StartEngine) -> None:
    """The stream beyond the limit is a 503 that says to come back."""
    async with start_engine(max_readers=1) as engine:
        workflow_id = await engine.start(one_step("gate"))
        await engine.gate.arrival()
        path = f"/api/workflows/{workflow_id}/events"
        async with engine.http.stream("GET", path, headers=STREAM) as first:
            await anext(first.aiter_lines())
            refused = await engine.http.get(path, headers=STREAM)
        assert (refused.status_code, refused.json()["code"]) == (503, "feed.too-many-readers")
        assert refused.headers["retry-after"] == "1"
        await engine.hub.vacant()


async def test_many_streams_of_one_workflow_see_the_same(engine: Engine) -> None:
    """Ten readers, one journal."""
    workflow_id = await engine.start(one_step("gate"))
    await engine.gate.arrival()
    reading = [asyncio.create_task(all_frames(engine, workflow_id)) for _ in range(10)]
    engine.gate.open()
    seen: list[Any] = await asyncio.gather(*reading)
    assert all(each == seen[0] for each in seen)
