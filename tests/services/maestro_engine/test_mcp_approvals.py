"""An approval at `/mcp`: a question to today's clients, a state of a task, a word to older ones."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult
from services.maestro_engine.mcp_calls import (
    WITH_FORMS,
    WITH_TASKS,
    ask,
    ended,
    message,
    post,
    refused,
    workflows,
    write_templates,
)
from services.maestro_engine.running import Engine, StartEngine, bearer

FORM = "{type: object, properties: {reason: {type: string, minLength: 3}}, required: [reason]}"
TEMPLATES = {
    "ship": f"""
name: Ship
steps:
  build: {{kind: echo, with: {{x: 1}}}}
  release:
    kind: approval
    needs: [build]
    with: {{title: 'Ship it?', description: To production., form: {FORM}}}
outputs:
  reason: ${{{{ steps.release.output.data.reason }}}}
""",
    "both": """
name: Both
steps:
  left: {kind: approval, with: {title: 'Left?'}}
  right: {kind: approval, with: {title: 'Right?'}}
outputs:
  left: ${{ steps.left.output.approved }}
  right: ${{ steps.right.output.approved }}
""",
    "chain": """
name: Chain
steps:
  one: {kind: approval, with: {title: 'One?'}}
  two: {kind: approval, needs: [one], with: {title: 'Two?'}}
outputs:
  done: true
""",
    "boss": """
name: Boss
steps:
  sign: {kind: approval, with: {title: 'Sign?', to: [petra]}}
outputs:
  by: ${{ steps.sign.output.by }}
""",
}
WITH_BOTH = {**WITH_TASKS, **WITH_FORMS}


def accepted(**content: Any) -> dict[str, Any]:
    return {"action": "accept", "content": content}


@pytest.fixture(autouse=True)
def templates(tmp_path: Path) -> None:
    write_templates(tmp_path / "data", TEMPLATES)


async def test_a_client_is_asked_and_its_answer_goes_on_with_the_same_workflow(engine: Engine) -> None:
    """The question is the form of the approval; the answer is the caller's, in the history and in the audit log."""
    params = {"name": "ship", "arguments": {}}
    first = await ask(engine, "tools/call", params, WITH_FORMS)
    assert first["resultType"] == "input_required"
    (key,) = first["inputRequests"]
    asked = first["inputRequests"][key]
    assert (key, asked["method"]) == ("release", "elicitation/create")
    assert asked["params"]["message"] == "Ship it?\n\nTo production."
    assert asked["params"]["requestedSchema"]["required"] == ["reason"]
    assert asked["params"]["requestedSchema"]["properties"] == {"reason": {"type": "string", "minLength": 3}}
    retried = {**params, "requestState": first["requestState"], "inputResponses": {key: accepted(reason="now")}}
    result = await ask(engine, "tools/call", retried, WITH_FORMS)
    assert result["structuredContent"] == {"reason": "now"}
    (started,) = await workflows(engine)
    answered = [event for event in await engine.backend.events(started["id"]) if event.type == "step.answered"]
    assert [event.data["by"] for event in answered] == ["local"]
    entries = await engine.entries(object=started["id"], action="workflow.answer")
    assert [(entry["actor"], entry["details"]["step"]) for entry in entries] == [("local", "release")]


async def test_the_client_of_the_sdk_answers_by_itself(engine: Engine) -> None:
    """Its callback sees the form; what it gives comes out of the workflow."""

    async def fill(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        assert params.message.startswith("Ship it?")
        return ElicitResult(action="accept", content={"reason": "because"})

    async with Client(f"{engine.url}/mcp", elicitation_callback=fill) as mcp:
        result = await mcp.call_tool("ship", {})
    assert result.structured_content == {"reason": "because"}
    assert len(await workflows(engine)) == 1


async def test_declining_rejects_and_the_workflow_says_so(engine: Engine) -> None:
    """A rejection is a result with an error: the model reads why."""
    params = {"name": "ship", "arguments": {}}
    first = await ask(engine, "tools/call", params, WITH_FORMS)
    responses = {"release": {"action": "decline"}}
    result = await ask(
        engine,
        "tools/call",
        {**params, "requestState": first["requestState"], "inputResponses": responses},
        WITH_FORMS,
    )
    assert result["isError"]
    assert "release" in result["content"][0]["text"]


async def test_a_question_that_is_left_open_stays_open(engine: Engine) -> None:
    """Dismissed, or answered under another name, it is asked again; nothing is decided."""
    params = {"name": "ship", "arguments": {}}
    first = await ask(engine, "tools/call", params, WITH_FORMS)
    for responses in ({"release": {"action": "cancel"}}, {"other": accepted(reason="now")}):
        again = await ask(
            engine,
            "tools/call",
            {**params, "requestState": first["requestState"], "inputResponses": responses},
            WITH_FORMS,
        )
        assert again["inputRequests"] == first["inputRequests"]
    assert len(await workflows(engine)) == 1


@pytest.mark.parametrize("content", [{}, {"reason": "no"}, {"reason": 7}, {"reason": "fine", "more": 1}])
async def test_an_answer_that_does_not_fit_the_form_is_refused(engine: Engine, content: dict[str, Any]) -> None:
    """The error says where; the question stays open."""
    params = {"name": "ship", "arguments": {}}
    first = await ask(engine, "tools/call", params, WITH_FORMS)
    retried = {**params, "requestState": first["requestState"], "inputResponses": {"release": accepted(**content)}}
    error = await refused(engine, "tools/call", retried, WITH_FORMS)
    assert error["code"] == -32602
    assert error["data"][0]["path"].startswith("/data")
    good = {**retried, "inputResponses": {"release": accepted(reason="good")}}
    assert (await ask(engine, "tools/call", good, WITH_FORMS))["structuredContent"] == {"reason": "good"}


async def test_one_question_after_the_other(engine: Engine) -> None:
    """Each round has its own state, and an answer that is known before is taken when it is asked for."""
    params = {"name": "chain", "arguments": {}}
    first = await ask(engine, "tools/call", params, WITH_FORMS)
    second = await ask(
        engine,
        "tools/call",
        {**params, "requestState": first["requestState"], "inputResponses": {"one": accepted()}},
        WITH_FORMS,
    )
    assert list(second["inputRequests"]) == ["two"]
    assert second["requestState"] != first["requestState"]
    result = await ask(
        engine,
        "tools/call",
        {**params, "requestState": second["requestState"], "inputResponses": {"two": accepted()}},
        WITH_FORMS,
    )
    assert result["structuredContent"] == {"done": True}
    early = {**params, "inputResponses": {"one": accepted(), "two": accepted(), "unknown": accepted()}}
    assert "structuredContent" in await ask(engine, "tools/call", early, WITH_FORMS)


async def test_who_cannot_show_a_form_is_told_where_to_answer(engine: Engine) -> None:
    """Without the capability no question is sent; the text names the workflow and the step."""
    result = await ask(engine, "tools/call", {"name": "ship", "arguments": {}})
    (started,) = await workflows(engine)
    assert result["isError"]
    assert started["id"] in result["content"][0]["text"]
    assert "release" in result["content"][0]["text"]
    async with Client(f"{engine.url}/mcp", mode="legacy") as older:
        told = await older.call_tool("ship", {})
    assert told.is_error
    assert "waits for an approval" in getattr(told.content[0], "text", "")


async def test_a_task_asks_for_all_that_is_open_and_takes_answers_one_by_one(engine: Engine) -> None:
    """What was answered is not asked again; unknown keys change nothing; the ack is empty."""
    created = await ask(engine, "tools/call", {"name": "both", "arguments": {}}, WITH_BOTH)
    handle = {"taskId": created["taskId"]}
    (started,) = await workflows(engine)
    task = await ask(engine, "tasks/get", handle, WITH_BOTH)
    assert (task["status"], sorted(task["inputRequests"])) == ("input_required", ["left", "right"])
    for responses, left in (
        ({"unknown": {"ignored": True}}, ["left", "right"]),
        ({"left": accepted()}, ["right"]),
        ({"left": accepted()}, ["right"]),
    ):
        ack = await ask(engine, "tasks/update", {**handle, "inputResponses": responses}, WITH_BOTH)
        assert ack.keys() == {"resultType", "_meta"}
        task = await ask(engine, "tasks/get", handle, WITH_BOTH)
        assert sorted(task["inputRequests"]) == left
    await ask(engine, "tasks/update", {**handle, "inputResponses": {"right": accepted()}}, WITH_BOTH)
    await ended(engine, started["id"])
    task = await ask(engine, "tasks/get", handle, WITH_BOTH)
    assert (task["status"], task["result"]["structuredContent"]) == ("completed", {"left": True, "right": True})


async def test_a_question_survives_a_restart_of_the_engine(start_engine: StartEngine) -> None:
    """Both ways: the state of a call and the handle of a task are good at the next engine."""
    params = {"name": "ship", "arguments": {}}
    async with start_engine() as engine:
        call = await ask(engine, "tools/call", params, WITH_FORMS)
        task = await ask(engine, "tools/call", params, WITH_BOTH)
    async with start_engine() as engine:
        responses = {"release": accepted(reason="one")}
        retried = {**params, "requestState": call["requestState"], "inputResponses": responses}
        assert (await ask(engine, "tools/call", retried, WITH_FORMS))["structuredContent"] == {"reason": "one"}
        handle = {"taskId": task["taskId"]}
        assert (await ask(engine, "tasks/get", handle, WITH_BOTH))["status"] == "input_required"
        await ask(engine, "tasks/update", {**handle, "inputResponses": {"release": accepted(reason="two")}}, WITH_BOTH)
        for each in await workflows(engine):
            await ended(engine, each["id"])
        done = await ask(engine, "tasks/get", handle, WITH_BOTH)
        assert done["result"]["structuredContent"] == {"reason": "two"}


async def test_only_who_is_asked_is_asked(start_engine: StartEngine) -> None:
    """A task of somebody else's approval is working, and says whom it waits for; a forged answer changes nothing."""
    async with start_engine(auth="on") as engine:
        olaf = bearer(await engine.add_user("olaf", "operator"))
        petra = bearer(await engine.add_user("petra", "operator"))
        params = {"name": "boss", "arguments": {}}
        created = await ask(engine, "tools/call", params, WITH_BOTH, headers=olaf)
        handle = {"taskId": created["taskId"]}
        task = await ask(engine, "tasks/get", handle, WITH_BOTH, headers=olaf)
        assert task["status"] == "working"
        assert "petra" in task["statusMessage"]
        await ask(engine, "tasks/update", {**handle, "inputResponses": {"sign": accepted()}}, WITH_BOTH, headers=olaf)
        assert (await ask(engine, "tasks/get", handle, WITH_BOTH, headers=olaf))["status"] == "working"
        hers = await ask(
            engine, "tools/call", {**params, "inputResponses": {"sign": accepted()}}, WITH_FORMS, headers=petra
        )
        assert hers["structuredContent"] == {"by": "petra"}


async def test_a_state_belongs_to_who_was_asked(start_engine: StartEngine) -> None:
    """Shown by another user, it is refused like a forged one."""
    async with start_engine(auth="on") as engine:
        olaf = bearer(await engine.add_user("olaf", "operator"))
        petra = bearer(await engine.add_user("petra", "operator"))
        params = {"name": "chain", "arguments": {}}
        first = await ask(engine, "tools/call", params, WITH_FORMS, headers=olaf)
        stolen = {**params, "requestState": first["requestState"], "inputResponses": {"one": accepted()}}
        error = await refused(engine, "tools/call", stolen, WITH_FORMS, headers=petra)
        assert error["data"] == {"reason": "invalid_request_state"}


@pytest.mark.parametrize("response", [7, "yes", [], {}, {"action": "maybe"}, {"action": "accept", "content": 7}])
async def test_responses_that_are_none_decide_nothing(engine: Engine, response: object) -> None:
    """Refused with a word, in a task and in a call."""
    created = await ask(engine, "tools/call", {"name": "chain", "arguments": {}}, WITH_BOTH)
    handle = {"taskId": created["taskId"]}
    update = {**handle, "inputResponses": {"one": response}}
    assert (await refused(engine, "tasks/update", update, WITH_BOTH))["code"] == -32602
    assert (await ask(engine, "tasks/get", handle, WITH_BOTH))["status"] == "input_required"
    params = {"name": "chain", "arguments": {}, "inputResponses": {"one": response}}
    answer = await post(engine, message("tools/call", params, WITH_FORMS))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602)
