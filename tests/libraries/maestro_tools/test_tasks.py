"""Calls that become tasks of the server: waited for without a place, over restarts, and never made a second time."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_tools.engine import Clock, step, waits

from maestro_tools import (
    InputRequired,
    InvalidArguments,
    McpKind,
    SecretAsked,
    ServerMisbehaved,
    ServerUnavailable,
    TaskLost,
    ToolCatalogue,
    ToolFailed,
    ToolsError,
    ToolTimedOut,
)
from maestro_tools._talk import Talk
from maestro_tools._tasks import poll_delay_s, read_task
from maestro_tools.testing import fake_modern_server, fake_server

WORKING = {"status": "working", "pollIntervalMs": 50}
DONE = {"status": "completed", "result": {"content": [], "structuredContent": {"n": 1}, "isError": False}}


def asks(**requests: Any) -> dict[str, Any]:
    form = {"type": "object", "properties": {"name": {"type": "string"}}}
    questions = {
        key: {"method": "elicitation/create", "params": {"message": text, "requestedSchema": form}}
        for key, text in requests.items()
    }
    return {"status": "input_required", "inputRequests": questions}


@pytest.fixture
async def kind() -> AsyncIterator[McpKind]:
    made = McpKind(now=Clock())
    yield made
    await made.close()


def seen(folder: Path) -> Any:
    """What the server knows."""
    return json.loads((folder / "server.json").read_text())


def work(folder: Path, *polls: Any, **more: Any) -> Any:
    return step(fake_modern_server(), "work", {"polls": list(polls), **more}, folder)


async def test_step_waits_for_its_task(kind: McpKind, tmp_path: Path) -> None:
    """At the pace that the server wishes, with one call and no place held."""
    call = work(tmp_path, WORKING, DONE, created={"pollIntervalMs": 250})
    wait = await waits(kind, call)
    assert wait.seconds == 0.25
    assert wait.on == {"kind": "task", "source": "srv", "tool": "work", "task": "task-1"}
    again = await waits(kind, call.after(wait))
    assert again.seconds == 0.05
    assert await kind.run(call.after(again)) == {"n": 1}
    assert len(seen(tmp_path)["calls"]) == 1


async def test_polling_goes_on_after_a_restart_of_us(kind: McpKind, tmp_path: Path) -> None:
    """Another process, another connection, another server process: the same task."""
    call = work(tmp_path, WORKING, WORKING, DONE)
    wait = await waits(kind, call)
    for _ in range(2):
        await kind.close()
        kind = McpKind(now=Clock())
        wait = await waits(kind, call.after(wait))
    assert await kind.run(call.after(wait)) == {"n": 1}
    await kind.close()
    assert len(seen(tmp_path)["calls"]) == 1


async def test_task_that_is_done_when_it_is_made_is_asked_for_at_once(kind: McpKind, tmp_path: Path) -> None:
    """The result is in the answer to the first question about it."""
    call = work(tmp_path, DONE, created={"status": "completed"})
    wait = await waits(kind, call)
    assert wait.seconds == 0.0
    assert await kind.run(call.after(wait)) == {"n": 1}


async def test_questions_of_a_task_become_approvals(kind: McpKind, tmp_path: Path) -> None:
    """One after the other; answered together; and a question that was answered is not put again."""
    first = asks(a="Who?", b="And who else?")
    call = work(tmp_path, first, first, asks(a="Who?", c="Sure?"), DONE)
    wait = await waits(kind, call.after(await waits(kind, call)))
    assert wait.on is not None
    assert (wait.on["kind"], wait.on["description"], wait.on["title"]) == ("approval", "Who?", "srv.work asks")
    wait = await waits(kind, call.after(wait, {"approved": True, "data": {"name": "Ada"}}))
    assert wait.on is not None
    assert wait.on["description"] == "And who else?"
    assert seen(tmp_path)["updates"] == []
    wait = await waits(kind, call.after(wait, {"approved": False}))
    assert wait.on is not None
    assert wait.on["kind"] == "task"
    answers = {"a": {"action": "accept", "content": {"name": "Ada"}}, "b": {"action": "decline"}}
    assert seen(tmp_path)["updates"] == [{"task": "task-1", "responses": answers}]
    wait = await waits(kind, call.after(wait))
    assert wait.on is not None
    assert wait.on["description"] == "Sure?"
    assert await kind.run(call.after(wait, {"approved": True})) == {"n": 1}
    assert len(seen(tmp_path)["calls"]) == 1


@pytest.mark.parametrize(
    ("poll", "message"),
    [
        ({"status": "failed", "error": {"code": -32603, "message": "boom"}}, "task failed with error -32603: boom"),
        ({"status": "failed", "error": {}, "statusMessage": "tired"}, "failed with error None: tired"),
        ({"status": "cancelled", "statusMessage": "by hand"}, "cancelled on the server: by hand"),
        (
            {"status": "completed", "result": {"content": [{"type": "text", "text": "sour"}], "isError": True}},
            "failed: sour",
        ),
    ],
)
async def test_task_that_ends_badly(kind: McpKind, tmp_path: Path, poll: Any, message: str) -> None:
    """Is a tool that failed: calling it again is no cure."""
    call = work(tmp_path, poll)
    with pytest.raises(ToolFailed, match=message) as caught:
        await kind.run(call.after(await waits(kind, call)))
    assert not caught.value.retryable


async def test_task_that_the_server_forgot_is_lost(kind: McpKind, tmp_path: Path) -> None:
    """Only another call can help, so a retry is right."""
    call = work(tmp_path, WORKING)
    wait = await waits(kind, call)
    (tmp_path / "server.json").unlink()
    with pytest.raises(TaskLost, match="does not know task 'task-1' any more: Failed to retrieve") as caught:
        await kind.run(call.after(wait))
    assert caught.value.retryable


async def test_task_that_outlives_its_time_is_lost(tmp_path: Path) -> None:
    """The server's word for how long it keeps a task, with a minute's grace."""
    clock = Clock()
    kind = McpKind(now=clock)
    call = work(tmp_path, {**WORKING, "ttlMs": 1000})
    wait = await waits(kind, call)
    clock.now += 60.0
    wait = await waits(kind, call.after(wait))
    clock.now += 2.0
    with pytest.raises(TaskLost, match="outlived its 1 s"):
        await kind.run(call.after(wait))
    await kind.close()


async def test_server_that_cannot_be_reached_is_asked_again(kind: McpKind, tmp_path: Path) -> None:
    """Less and less often, the task being safe where it is; and after twenty times the step fails."""
    call = work(tmp_path, {"die": True})
    wait = await waits(kind, call)
    delays = []
    for _ in range(3):
        wait = await waits(kind, call.after(wait))
        delays.append(wait.seconds)
    assert delays == [2.0, 4.0, 8.0]
    wait.memo["task"]["failures"] = 20
    with pytest.raises(ServerUnavailable):
        await kind.run(call.after(wait))
    assert len(seen(tmp_path)["calls"]) == 1


async def test_server_that_is_slow_to_say_how_a_task_stands_is_asked_again(kind: McpKind, tmp_path: Path) -> None:
    """A poll has the limit of any call, and ends no task."""
    slow = step(
        fake_modern_server(call_timeout_s=0.2), "work", {"polls": [{"silent": True}, DONE]}, tmp_path, timeout_s=20.0
    )
    wait = await waits(kind, slow)
    wait = await waits(kind, slow.after(wait))
    assert wait.on is not None
    assert wait.on["kind"] == "task"
    assert wait.memo["task"]["failures"] == 1
    patient = replace(slow.after(wait), tools={"srv": fake_modern_server()})
    assert await kind.run(patient) == {"n": 1}


@pytest.mark.parametrize(
    ("created", "message"),
    [
        ({"taskId": ""}, "whose id is no text"),
        ({"taskId": "x" * 2000}, "whose id is no text"),
        ({"taskId": 7}, "whose id is no text"),
        ({"status": "thinking"}, "whose status is 'thinking'"),
        ({"status": ["working"]}, "whose status is"),
        ({"pollIntervalMs": -1}, "whose pollIntervalMs is -1"),
        ({"pollIntervalMs": "soon"}, "whose pollIntervalMs is 'soon'"),
        ({"pollIntervalMs": True}, "whose pollIntervalMs is True"),
    ],
)
async def test_lies_about_a_new_task(kind: McpKind, tmp_path: Path, created: Any, message: str) -> None:
    """Are named, and not waited for."""
    with pytest.raises(ServerMisbehaved, match=message):
        await kind.run(work(tmp_path, WORKING, created=created))


@pytest.mark.parametrize(
    ("poll", "message"),
    [
        ({"taskId": "task-2"}, "it answered about 'task-2'"),
        ({"status": "done"}, "whose status is 'done'"),
        ({"status": "completed"}, "completed and has no result"),
        ({"status": "completed", "result": [1]}, "completed and has no result"),
        ({"status": "completed", "result": {"content": 7}}, "ended its task with what is no result"),
        ({"status": "failed"}, "failed and has no error"),
        ({"status": "input_required", "inputRequests": []}, "no mapping of at most 16 requests"),
        ({"status": "input_required", "inputRequests": {"a": {"method": "roots/list"}}}, "asks for roots/list"),
        (asks(**{f"q{n}": "?" for n in range(17)}), "no mapping of at most 16"),
        ({"ttlMs": "long"}, "whose ttlMs is 'long'"),
    ],
)
async def test_lies_about_a_task(kind: McpKind, tmp_path: Path, poll: Any, message: str) -> None:
    """Fail the step; the call is not made again."""
    call = work(tmp_path, poll)
    with pytest.raises(ServerMisbehaved, match=message):
        await kind.run(call.after(await waits(kind, call)))
    assert len(seen(tmp_path)["calls"]) == 1


async def test_task_that_asks_without_end_is_cancelled(kind: McpKind, tmp_path: Path) -> None:
    """After twenty rounds the server is told that nobody waits any more."""
    call = work(tmp_path, *(asks(**{f"k{n}": "More?"}) for n in range(30)))
    wait = await waits(kind, call)
    for _ in range(20):
        wait = await waits(kind, call.after(wait, {"approved": True}))
    with pytest.raises(InputRequired, match="asked 20 times"):
        await kind.run(call.after(wait, {"approved": True}))
    assert seen(tmp_path)["cancelled"] == ["task-1"]


async def test_task_that_asks_for_a_secret_is_cancelled(kind: McpKind, tmp_path: Path) -> None:
    """Nobody is asked, and the server need not go on."""
    schema = {"type": "object", "properties": {"password": {"type": "string"}}}
    params = {"message": "Who?", "requestedSchema": schema}
    requests = {"a": {"method": "elicitation/create", "params": params}}
    call = work(tmp_path, {"status": "input_required", "inputRequests": requests})
    wait = await waits(kind, call)
    with pytest.raises(SecretAsked):
        await kind.run(call.after(wait))
    assert seen(tmp_path)["cancelled"] == ["task-1"]


async def test_abandoned_step_cancels_its_task(kind: McpKind, tmp_path: Path) -> None:
    """The server is told; a server that is gone does not hold us up."""
    call = work(tmp_path, WORKING)
    wait = await waits(kind, call)
    await kind.abandon(call.after(wait))
    assert seen(tmp_path)["cancelled"] == ["task-1"]
    gone = work(tmp_path / "gone", WORKING)
    await kind.abandon(gone.after(wait))


async def test_memo_that_is_not_ours_is_refused(kind: McpKind, tmp_path: Path) -> None:
    """Nothing is sent for it."""
    for memo in ({}, {"v": 2}, [1], "x", {"v": 1, "task": {"id": 1}}):
        with pytest.raises(InvalidArguments, match="memo"):
            await kind.run(step(fake_modern_server(), "work", {"polls": []}, tmp_path, memo=memo))
    assert not (tmp_path / "server.json").exists()


async def test_tool_that_runs_only_as_a_task_of_the_old_era_says_so(kind: McpKind, tmp_path: Path) -> None:
    """The SDK knows those tasks by their types alone, and the protocol gave them up."""
    with pytest.raises(ToolFailed, match="runs only as a task as the protocol of 2025-11-25 had it") as caught:
        await kind.run(step(fake_server(), "task-only", {}, tmp_path))
    assert not caught.value.retryable


async def test_catalogue_waits_for_a_task_itself(tmp_path: Path) -> None:
    """Within the limit of the call; when that is over, the task is cancelled."""
    fast = {"pollIntervalMs": 1}
    async with ToolCatalogue({"srv": fake_modern_server()}, tmp_path) as tools:
        arguments = {"polls": [{**WORKING, **fast}, DONE], "created": fast}
        assert (await tools.call("srv", "work", arguments, timeout_s=20)).value == {"n": 1}
        with pytest.raises(ToolTimedOut):
            await tools.call("srv", "work", {"polls": [WORKING]}, timeout_s=0.3)
        with pytest.raises(InputRequired):
            await tools.call("srv", "work", {"polls": [asks(a="?")], "created": fast})
    assert seen(tmp_path)["cancelled"] == ["task-2", "task-3"]


@given(st.none() | st.floats(0, 1e300), st.floats(0, 1e12))
def test_delay_between_polls_is_bounded_and_heeds_the_server(wish: float | None, age: float) -> None:
    """Never under 50 ms, never over ten minutes, never sooner than wished within that."""
    delay = poll_delay_s(wish, age)
    assert 0.05 <= delay <= 600
    assert delay >= min(600, wish or 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("taskId", "status", "ttlMs", "pollIntervalMs", "inputRequests", "result", "error", "statusMessage")


@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.sampled_from(["task", "completed", "input_required"])))
def test_whatever_a_server_says_of_a_task_is_read_or_refused(raw: dict[str, Any]) -> None:
    """With an error of ours."""
    try:
        state = read_task("srv.work", raw, "task")
    except ToolsError:
        return
    assert state.id == "task"


@given(JSON)
def test_memo_is_read_or_refused(memo: Any) -> None:
    """With an error of ours."""
    try:
        talk = Talk.from_memo(memo)
    except InvalidArguments:
        return
    assert talk == Talk()
