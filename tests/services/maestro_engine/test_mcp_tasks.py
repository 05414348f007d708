"""The Tasks extension at `/mcp`: a task is a workflow, seen through a handle that only its owner can use."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.maestro_engine.mcp_calls import (
    BREAKS_LATER,
    TASKS,
    TEMPLATES,
    WITH_TASKS,
    ask,
    call,
    ended,
    headers_of,
    message,
    post,
    refused,
    workflows,
    write_templates,
)
from services.maestro_engine.process import EngineProcess
from services.maestro_engine.running import Engine, StartEngine, bearer

from maestro_engine.mcp.handles import Handles, UnknownTask, kept_key


@pytest.fixture(autouse=True)
def templates(tmp_path: Path) -> None:
    write_templates(tmp_path / "data", {**TEMPLATES, "breaks_later": BREAKS_LATER})


async def task(engine: Engine, task_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What tasks/get says."""
    return await ask(engine, "tasks/get", {"taskId": task_id}, WITH_TASKS, headers)


async def test_a_long_call_becomes_a_task_and_its_result_is_in_the_task(engine: Engine) -> None:
    """The workflow is durable when the handle is given; the task ends with what the call would have given."""
    created = await call(engine, "slow")
    assert created["resultType"] == "task"
    assert created["status"] == "working"
    assert (created["ttlMs"], created["pollIntervalMs"]) == (None, 1000)
    assert not created.keys() & {"result", "error", "inputRequests", "requestState", "task"}
    (started,) = await workflows(engine)
    assert started["id"] not in created["taskId"]
    assert started["started_at"] == created["createdAt"]
    working = await task(engine, created["taskId"])
    assert (working["resultType"], working["status"]) == ("complete", "working")
    assert "second" in working["statusMessage"]
    engine.gate.open()
    await ended(engine, started["id"])
    done = await task(engine, created["taskId"])
    assert done["status"] == "completed"
    assert done["result"]["structuredContent"]["x"] == 3
    assert done["result"]["_meta"] == {"maestro/workflow": started["id"]}


async def test_a_short_call_is_answered_at_once(start_engine: StartEngine) -> None:
    """What ends in time needs no task, and a client that can do tasks gets its result like any other."""
    async with start_engine(mcp_direct_s=20.0) as engine:
        result = await call(engine, "greet", {"name": "Ann"})
        assert result["resultType"] == "complete"
        assert result["content"][0]["text"] == "Hello, Ann!"


async def test_a_failed_workflow_is_a_completed_task_with_an_error(start_engine: StartEngine) -> None:
    """`failed` is for faults of the protocol; that a step failed is a result."""
    async with start_engine() as engine:
        created = await call(engine, "breaks_later")
        engine.gate.open()
        await ended(engine, (await workflows(engine))[0]["id"])
        done = await task(engine, created["taskId"])
        assert (done["status"], done["result"]["isError"]) == ("completed", True)


async def test_a_result_that_is_too_large_to_send_fails_the_task(start_engine: StartEngine, tmp_path: Path) -> None:
    """The task says why; the workflow has its outputs all the same."""
    text = "\n".join(
        [
            "name: Large",
            "steps:",
            "  wait: {kind: gate, with: {x: 1}}",
            "  make: {kind: echo, needs: [wait], with: {text: '" + "x" * 200_000 + "'}}",
            "outputs:",
            *(f"  o{number}: ${{{{ steps.make.output.text }}}}" for number in range(30)),
        ]
    )
    write_templates(tmp_path / "data", {"large": text})
    async with start_engine() as engine:
        created = await call(engine, "large")
        engine.gate.open()
        await ended(engine, (await workflows(engine))[0]["id"])
        done = await task(engine, created["taskId"])
        assert done["status"] == "failed"
        assert done["error"]["code"] == -32603
        assert "too large" in done["error"]["message"]
        assert "result" not in done


async def test_cancelling_a_task_cancels_the_workflow_and_again_is_fine(engine: Engine) -> None:
    """The answer is empty; the state comes with the next look, and the command is in the audit log."""
    created = await call(engine, "slow")
    (started,) = await workflows(engine)
    for _ in range(2):
        cancelled = await ask(engine, "tasks/cancel", {"taskId": created["taskId"]}, WITH_TASKS)
        assert cancelled.keys() == {"resultType", "_meta"}
        await ended(engine, started["id"])
    assert (await task(engine, created["taskId"]))["status"] == "cancelled"
    entries = await engine.entries(object=started["id"], action="workflow.cancel")
    assert [entry["details"]["via"] for entry in entries] == ["mcp"]


async def test_a_task_survives_a_restart_of_the_engine(start_engine: StartEngine) -> None:
    """Nothing but the workflow is kept: another process with the same folder knows the handle."""
    async with start_engine() as engine:
        created = await call(engine, "slow")
        (started,) = await workflows(engine)
    async with start_engine() as engine:
        assert (await task(engine, created["taskId"]))["status"] == "working"
        engine.gate.open()
        await ended(engine, started["id"])
        assert (await task(engine, created["taskId"]))["result"]["structuredContent"]["x"] == 3


def test_a_task_survives_sigkill(tmp_path: Path, started: list[EngineProcess]) -> None:
    """The handle was given when the workflow was durable: an engine that was killed right after knows it again."""
    write_templates(tmp_path / "data", {"nap": "name: Nap\nsteps:\n  nap: {kind: sleep, with: {seconds: 3600}}\n"})

    def tell(method: str, params: dict[str, Any]) -> dict[str, Any]:
        body = message(method, params, WITH_TASKS)
        answer = httpx2.post(f"{started[-1].url}/mcp", json=body, headers=headers_of(body), timeout=20)
        result: dict[str, Any] = answer.json()["result"]
        return result

    started.append(EngineProcess(tmp_path / "data", "--port", "0"))
    handle = {"taskId": tell("tools/call", {"name": "nap", "arguments": {}})["taskId"]}
    started[-1].kill()
    started.append(EngineProcess(tmp_path / "data", "--port", "0"))
    assert tell("tasks/get", handle)["status"] == "working"
    tell("tasks/cancel", handle)
    (nap,) = started[-1].ask("/api/workflows")["items"]
    started[-1].event_of(nap["id"], "workflow.cancelled")
    assert tell("tasks/get", handle)["status"] == "cancelled"


async def test_a_task_belongs_to_who_started_it(start_engine: StartEngine) -> None:
    """For anybody else there is no such task, and no difference to one that never was."""
    async with start_engine(auth="on") as engine:
        olaf = bearer(await engine.add_user("olaf", "operator"))
        petra = bearer(await engine.add_user("petra", "operator"))
        params = {"name": "slow", "arguments": {}}
        created = await ask(engine, "tools/call", params, WITH_TASKS, headers=olaf)
        handle = {"taskId": created["taskId"]}
        assert (await task(engine, created["taskId"], headers=olaf))["status"] == "working"
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            params = {**handle, **({"inputResponses": {}} if method == "tasks/update" else {})}
            stranger = await refused(engine, method, params, WITH_TASKS, headers=petra)
            unknown = await refused(engine, method, {**params, "taskId": "no-such-task"}, WITH_TASKS, headers=olaf)
            assert stranger == unknown
            assert stranger["code"] == -32602
        engine.gate.open()


async def test_who_may_only_read_cannot_cancel(start_engine: StartEngine) -> None:
    """The permission is that of the command over HTTP; the refusal is accounted for."""
    async with start_engine(auth="on") as engine:
        key = bearer(await engine.add_user("olaf", "operator"))
        created = await ask(engine, "tools/call", {"name": "slow", "arguments": {}}, WITH_TASKS, headers=key)
        answer = await engine.http.put("/api/access/users/olaf", json={"role": "viewer"})
        assert answer.status_code == 200, answer.text
        error = await refused(engine, "tasks/cancel", {"taskId": created["taskId"]}, WITH_TASKS, headers=key)
        assert error["data"]["code"] == "auth.forbidden"
        assert (await task(engine, created["taskId"], headers=key))["status"] == "working"
        assert [entry["action"] for entry in await engine.entries(outcome="denied")] == ["MCP tasks/cancel"]
        engine.gate.open()


@pytest.mark.parametrize("method", ["tasks/get", "tasks/cancel", "tasks/update"])
async def test_tasks_are_for_clients_that_declare_them(engine: Engine, method: str) -> None:
    """The error names the extension, with status 400; a call without it never becomes a task."""
    body = message(method, {"taskId": "x", "inputResponses": {}})
    answer = await post(engine, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == -32021
    assert error["data"] == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
async def test_methods_of_earlier_drafts_are_not_there(engine: Engine, method: str) -> None:
    """404, as for every unknown method."""
    answer = await post(engine, message(method, {"taskId": "x"}, WITH_TASKS))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)


async def test_older_clients_have_no_tasks(engine: Engine) -> None:
    """The extension is of today's protocol."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"taskId": "x"}}
    accept = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
    answer = await engine.http.post("/mcp", json=body, headers=accept)
    said = json.loads(next(line for line in answer.text.splitlines() if line.startswith("data: "))[6:])
    assert said["error"]["code"] == -32601


async def test_the_name_in_the_header_must_be_that_of_the_task(engine: Engine) -> None:
    """Whoever routes by the header must not be told another task than the body asks for."""
    created = await call(engine, "slow")
    body = message("tasks/get", {"taskId": created["taskId"]}, WITH_TASKS)
    answer = await post(engine, body, {"Mcp-Name": "another"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    engine.gate.open()


NO_HANDLES: list[dict[str, Any]] = [
    {},
    {"taskId": 7},
    {"taskId": "x" * 513},
    {"taskId": ""},
    {"taskId": "..."},
    {"taskId": "é"},
    {"taskId": "../../etc/passwd"},
    {"taskId": "AAAA.AAAA"},
    {"taskId": None},
]


async def test_handles_that_are_none_are_refused(engine: Engine) -> None:
    """Each with the code of wrong parameters, none with a fault."""
    for params in NO_HANDLES:
        body = message("tasks/get", params, WITH_TASKS)
        headers = {name: value for name, value in headers_of(body).items() if name != "Mcp-Name"}
        answer = await engine.http.post("/mcp", json=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602), params


async def test_the_same_key_is_the_same_task(engine: Engine) -> None:
    """A client that did not hear the answer asks again, and gets the handle it would have had."""
    first = await call(engine, "slow", _meta={"maestro/idempotencyKey": "k"})
    again = await call(engine, "slow", _meta={"maestro/idempotencyKey": "k"})
    assert first["taskId"] == again["taskId"]
    assert len(await workflows(engine)) == 1
    engine.gate.open()


@asynccontextmanager
async def listening(engine: Engine, notifications: dict[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The messages of a subscription, as they come."""
    body = message("subscriptions/listen", {"notifications": notifications}, WITH_TASKS)
    async with engine.http.stream("POST", "/mcp", json=body, headers=headers_of(body), timeout=20) as answer:

        async def messages() -> AsyncIterator[dict[str, Any]]:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])

        yield messages()


async def test_a_subscriber_hears_how_the_task_stands_until_it_has_ended(engine: Engine) -> None:
    """First what was agreed on, then the state as it is, then each change; every message names the subscription."""
    created = await call(engine, "slow")
    handle = created["taskId"]
    async with listening(engine, {"taskIds": [handle, "no-such-task"]}) as messages:
        agreed = await asyncio.wait_for(anext(messages), 10)
        assert agreed["method"] == "notifications/subscriptions/acknowledged"
        assert agreed["params"]["notifications"] == {"taskIds": [handle]}
        now = await asyncio.wait_for(anext(messages), 10)
        assert (now["method"], now["params"]["status"]) == ("notifications/tasks", "working")
        engine.gate.open()
        end = await asyncio.wait_for(anext(messages), 10)
        assert end["params"]["status"] == "completed"
        assert end["params"]["result"]["structuredContent"]["x"] == 3
        assert end["params"]["ttlMs"] is None
        assert {each["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] for each in (agreed, now, end)} == {7}


async def test_a_subscription_ends_with_the_engine(start_engine: StartEngine) -> None:
    """The last message is the result, so that clients know that it was meant."""
    async with start_engine() as engine, listening(engine, {"toolsListChanged": True}) as messages:
        await asyncio.wait_for(anext(messages), 10)
        engine.app.drainer.stopping.set()
        last = await asyncio.wait_for(anext(messages), 10)
        assert last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7


async def test_who_is_shut_out_hears_no_more(start_engine: StartEngine) -> None:
    """A stream that is open ends for who may not read any longer."""
    async with start_engine(auth="on", heartbeat_s=0.1) as engine:
        admin = dict(engine.http.headers)
        engine.http.headers.update(bearer(await engine.add_user("olaf", "operator")))
        async with listening(engine, {"toolsListChanged": True}) as messages:
            await asyncio.wait_for(anext(messages), 10)
            order = {"role": "operator", "disabled": True}
            answer = await engine.http.put("/api/access/users/olaf", json=order, headers=admin)
            assert answer.status_code == 200, answer.text
            last = await asyncio.wait_for(anext(messages), 10)
            assert "result" in last


async def test_tasks_of_a_subscription_need_the_extension(engine: Engine) -> None:
    """As the methods do."""
    error = await refused(engine, "subscriptions/listen", {"notifications": {"taskIds": ["x"]}})
    assert error["code"] == -32021


@pytest.mark.parametrize("task_ids", [7, [7], ["x"] * 101, ["x" * 513], {"x": 1}])
async def test_a_subscription_to_nonsense_is_refused(engine: Engine, task_ids: object) -> None:
    """Before anything is agreed on."""
    error = await refused(engine, "subscriptions/listen", {"notifications": {"taskIds": task_ids}}, WITH_TASKS)
    assert error["code"] == -32602


async def test_there_are_only_so_many_places_to_wait(start_engine: StartEngine) -> None:
    """Who finds none is told to come again; a place that is left is free at once."""
    async with start_engine(max_readers=1) as engine, listening(engine, {"toolsListChanged": True}) as messages:
        await asyncio.wait_for(anext(messages), 10)
        error = await refused(engine, "tools/call", {"name": "greet", "arguments": {"name": "Ann"}})
        assert error["data"] == {"retryable": True}


HANDLES = Handles(b"k" * 32)
TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(TEXT, TEXT)
def test_a_handle_leads_back_to_its_workflow(subject: str, workflow_id: str) -> None:
    """Whatever they are called."""
    assert HANDLES.workflow_of(subject, HANDLES.task_id(subject, workflow_id)) == workflow_id


@given(TEXT, TEXT, TEXT, TEXT)
def test_nobody_else_and_no_other_engine_takes_a_handle(subject: str, other: str, workflow_id: str, junk: str) -> None:
    """Of another caller, of another key, altered or invented: all are the same."""
    handle = HANDLES.task_id(subject, workflow_id)
    foreign = Handles(b"l" * 32).task_id(subject, workflow_id)
    for claimed, shown in ((other, handle), (subject, foreign), (subject, handle + junk), (subject, junk)):
        if (claimed, shown) != (subject, handle):
            with pytest.raises(UnknownTask):
                HANDLES.workflow_of(claimed, shown)


def test_the_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    """Made once, read again, and refused when it is no key."""
    path = tmp_path / "mcp.key"
    key = kept_key(path)
    assert (len(key), kept_key(path), path.stat().st_mode & 0o777) == (32, key, 0o600)
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="holds 5 bytes"):
        kept_key(path)
