"""Commands to running workflows over HTTP: each holds, is audited with its caller, and refuses what does not fit."""

from typing import Any

import pytest
from services.maestro_engine.running import Engine, StartEngine, bearer

PATIENCE_S = 20


def define(steps: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A definition; a step without a kind echoes."""
    return {"name": "case", "steps": {id_: {"kind": "echo", **step} for id_, step in steps.items()}, **rest}


async def asked(engine: Engine, path: str, body: Any = None, method: str = "POST", status: int = 200) -> Any:
    """What a command is answered with."""
    answer = await engine.http.request(method, f"/api/workflows/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def seen(engine: Engine, workflow_id: str, type_: str) -> None:
    """Wait for an event."""
    async for event in engine.backend.watch(workflow_id):
        if event.type == type_:
            return
    raise AssertionError(f"it ended without {type_}")


FORM = {"type": "object", "properties": {"version": {"type": "string", "minLength": 1}}, "required": ["version"]}
APPROVAL = {"ask": {"kind": "approval", "with": {"title": "Ship?", "form": FORM}}}


async def test_a_paused_workflow_goes_on_when_it_is_resumed(engine: Engine) -> None:
    """Both are stored, and asking again changes nothing."""
    id_ = await engine.start(define({"a": {"kind": "gate"}, "b": {"needs": ["a"]}}))
    await engine.gate.arrival()
    first = await asked(engine, f"{id_}/pause", {"reason": "lunch"})
    assert (await asked(engine, f"{id_}/pause"))["seq"] == first["seq"]
    state = (await engine.http.get(f"/api/workflows/{id_}")).json()
    assert (state["status"], state["reason"]) == ("paused", "lunch")
    assert [each["id"] for each in (await engine.http.get("/api/workflows?status=paused")).json()["items"]] == [id_]
    engine.gate.open()
    await asked(engine, f"{id_}/resume")
    assert (await engine.backend.wait(id_, PATIENCE_S)).status == "succeeded"
    entry = (await engine.entries(action="workflow.pause", object=id_))[-1]
    assert (entry["actor"], entry["details"]["reason"]) == ("local", "lunch")


async def test_a_signal_reaches_the_step_that_waits_for_it(engine: Engine) -> None:
    """Also when it comes first; the same id twice is one signal."""
    steps = {"a": {"kind": "gate"}, "b": {"kind": "signal", "needs": ["a"], "with": {"name": "go"}}}
    id_ = await engine.start(define(steps, outputs={"got": "${{ steps.b.output }}"}))
    for _ in range(2):
        await asked(engine, f"{id_}/signals", {"name": "go", "payload": {"n": 1}, "id": "s1"})
    assert (await engine.http.get(f"/api/workflows/{id_}")).json()["signals"] == [{"id": "s1", "name": "go"}]
    engine.gate.open()
    assert (await engine.backend.wait(id_, PATIENCE_S)).outputs == {"got": {"n": 1}}


async def test_an_approval_is_found_and_decided(engine: Engine) -> None:
    """In the inbox, with its form; what does not fit the form is refused, field by field."""
    id_ = await engine.start(define(APPROVAL, outputs={"x": "${{ steps.ask.output }}"}))
    await seen(engine, id_, "step.waiting")
    [item] = (await engine.http.get("/api/waiting")).json()["items"]
    assert (item["workflow_id"], item["step"], item["on"]["title"]) == (id_, "ask", "Ship?")
    refused = await asked(engine, f"{id_}/steps/ask/approval", {"approved": True, "data": {"version": ""}}, status=422)
    assert refused["code"] == "workflow.invalid-answer"
    assert [each["part"] for each in refused["errors"]] == ["answer"]
    await asked(engine, f"{id_}/steps/ask/approval", {"approved": True, "data": {"version": "2"}, "comment": "go"})
    state = await engine.backend.wait(id_, PATIENCE_S)
    assert state.outputs["x"]["data"] == {"version": "2"}  # type: ignore[index, call-overload]  # the outputs are a mapping
    assert state.outputs["x"]["by"] == "local"  # type: ignore[index, call-overload]  # the outputs are a mapping
    assert (await engine.http.get("/api/waiting")).json()["items"] == []
    again = await asked(engine, f"{id_}/steps/ask/approval", {"approved": True, "data": {"version": "2"}}, status=409)
    assert again["code"] in ("workflow.step-not-waiting", "workflow.finished")


async def test_an_approval_that_names_people_is_for_them_alone(start_engine: StartEngine) -> None:
    """By name or by role; an admin may in any case."""
    async with start_engine(auth="on") as engine:
        keys = {name: await engine.add_user(name, role) for name, role in (("eva", "approver"), ("tom", "approver"))}
        steps = {"ask": {"kind": "approval", "with": {"title": "Ship?", "to": ["eva"]}}}
        for name, status in (("tom", 403), ("eva", 200)):
            id_ = await engine.start(define(steps))
            await seen(engine, id_, "step.waiting")
            answer = await engine.http.post(
                f"/api/workflows/{id_}/steps/ask/approval", json={"approved": True}, headers=bearer(keys[name])
            )
            assert answer.status_code == status, answer.text
        state = await engine.backend.wait(id_, PATIENCE_S)
        assert state.status == "succeeded"


async def test_steps_are_skipped_and_retried_by_hand(engine: Engine) -> None:
    """A retry need not be waited for; a skipped step gives what was given for it."""
    steps = {
        "a": {"kind": "flaky", "retry": {"max_attempts": 2, "initial_delay_s": 3600, "max_delay_s": 3600}},
        "b": {"kind": "gate", "needs": ["a"]},
    }
    id_ = await engine.start(define(steps, outputs={"b": "${{ steps.b.output }}"}))
    await seen(engine, id_, "step.failed")
    assert (await asked(engine, f"{id_}/steps/b/retry", status=409))["code"] == "workflow.step-not-waiting"
    await asked(engine, f"{id_}/steps/a/retry")
    await engine.gate.arrival()
    await asked(engine, f"{id_}/steps/b/skip", {"output": {"by": "hand"}, "reason": "done elsewhere"})
    assert (await engine.backend.wait(id_, PATIENCE_S)).outputs == {"b": {"by": "hand"}}


async def test_the_reasons_of_waiting_are_told(engine: Engine) -> None:
    """Each unfinished step, with the causes of its cause."""
    id_ = await engine.start(define({**APPROVAL, "b": {"needs": ["ask"]}}))
    await seen(engine, id_, "step.waiting")
    causes = {cause["step"]: cause for cause in (await asked(engine, f"{id_}/why", method="GET"))["items"]}
    assert causes["ask"]["kind"] == "approval"
    assert causes["b"]["kind"] == "dependency"
    assert causes["b"]["because"][0]["step"] == "ask"


async def test_a_budget_that_is_used_up_asks_for_more(engine: Engine) -> None:
    """And goes on when it is raised."""
    id_ = await engine.start(define({"a": {"cost": {"tokens": 50}}}, budget={"tokens": 10}))
    await seen(engine, id_, "step.waiting")
    [cause] = (await asked(engine, f"{id_}/why", method="GET"))["items"]
    assert cause["kind"] == "budget"
    await asked(engine, f"{id_}/budget", {"tokens": 100}, method="PUT")
    state = await engine.backend.wait(id_, PATIENCE_S)
    assert (state.status, state.spent) == ("succeeded", {"tokens": 50})


async def test_a_workflow_is_run_again_and_reuses_what_is_the_same(engine: Engine) -> None:
    """A new workflow, which says of each step why."""
    definition = define(
        {"a": {"with": {"n": "${{ inputs.n }}"}}, "b": {"kind": "broken", "needs": ["a"]}},
        inputs={"n": {"type": "integer"}},
    )
    id_ = await engine.start(definition, inputs={"n": 1})
    await engine.backend.wait(id_, PATIENCE_S)
    mended = {**definition, "steps": {**definition["steps"], "b": {"kind": "echo", "needs": ["a"]}}}
    started = await asked(engine, f"{id_}/rerun", {"definition": mended}, status=201)
    await engine.backend.wait(started["id"], PATIENCE_S)
    state = (await engine.http.get(started["url"])).json()
    assert state["status"] == "succeeded"
    assert state["origin"]["workflow"] == id_
    assert "same definition and input" in state["steps"]["a"]["why"]
    assert "definition has changed" in state["steps"]["b"]["why"]
    anew = await asked(engine, f"{id_}/rerun", {"from_steps": ["nope"]}, status=404)
    assert anew["code"] == "workflow.step-not-found"


async def test_a_running_workflow_goes_on_with_another_definition(engine: Engine) -> None:
    """After a look at what that would do."""
    id_ = await engine.start(define({"a": {"kind": "gate"}, "b": {"needs": ["a"]}}))
    await engine.gate.arrival()
    other = define({"a": {"kind": "gate"}, "c": {"needs": ["a"]}})
    plan = await asked(engine, f"{id_}/migrate", {"definition": other, "dry_run": True})
    assert (plan["kept"], plan["dropped"], plan["added"]) == (["a"], ["b"], ["c"])
    assert (await engine.http.get(f"/api/workflows/{id_}")).json()["steps"].keys() == {"a", "b"}
    assert await asked(engine, f"{id_}/migrate", {"definition": other}) == plan
    engine.gate.open()
    state = await engine.backend.wait(id_, PATIENCE_S)
    assert (state.status, set(state.steps)) == ("succeeded", {"a", "c"})
    assert (await asked(engine, f"{id_}/definition", method="GET"))["steps"].keys() == {"a", "c"}
    assert (await asked(engine, f"{id_}/migrate", {"definition": other}, status=409))["code"] == "workflow.finished"


async def test_the_past_is_shown_as_it_was(engine: Engine) -> None:
    """Any event of it."""
    id_ = await engine.start(define({"a": {}, "b": {"needs": ["a"]}}))
    end = await engine.backend.wait(id_, PATIENCE_S)
    first = await asked(engine, f"{id_}/states/1", method="GET")
    assert (first["seq"], first["status"]) == (1, "running")
    assert await asked(engine, f"{id_}/states/{end.seq}", method="GET") == end.as_json()
    answer = await engine.http.get(f"/api/workflows/{id_}/states/{end.seq + 1}")
    assert answer.status_code == 404, answer.text


async def test_what_has_ended_can_be_forgotten(engine: Engine) -> None:
    """Not what has not."""
    running = await engine.start(define({"a": {"kind": "gate"}}))
    assert (await asked(engine, running, method="DELETE", status=409))["code"] == "workflow.command-refused"
    id_ = await engine.start(define({"a": {}}))
    await engine.backend.wait(id_, PATIENCE_S)
    await asked(engine, id_, method="DELETE", status=204)
    assert (await engine.http.get(f"/api/workflows/{id_}")).status_code == 404
    assert [entry["object"] for entry in await engine.entries(action="workflow.delete")] == [id_]


async def test_a_limit_holds_at_once_and_survives(engine: Engine) -> None:
    """Paused, nothing begins; and the reason is told."""
    url = "/api/limits/kind:echo"
    assert (await engine.http.put(url, json={"is_paused": True})).status_code == 200
    assert [each["name"] for each in (await engine.http.get("/api/limits")).json()["items"]] == ["kind:echo"]
    id_ = await engine.start(define({"a": {}}))
    [cause] = (await asked(engine, f"{id_}/why", method="GET"))["items"]
    assert (cause["kind"], "kind:echo" in cause["message"]) == ("limit", True)
    assert (await engine.http.delete(url)).status_code == 204
    assert (await engine.backend.wait(id_, PATIENCE_S)).status == "succeeded"
    assert (await engine.http.put(url, json={"max_parallel": 0})).status_code == 422


async def test_an_event_wakes_every_step_that_waits_for_one_like_it(engine: Engine) -> None:
    """And no other."""
    ids = []
    for order in (7, 8):
        steps = {"a": {"kind": "event", "with": {"type": "order.paid", "match": {"data.order": order}}}}
        ids.append(await engine.start({"name": "case", "steps": steps}))
        await seen(engine, ids[-1], "step.waiting")
    event = {"id": "e1", "source": "/shop", "type": "order.paid", "data": {"order": 7}}
    assert (await engine.http.post("/api/events", json=event)).json() == {"runs": 1}
    assert (await engine.backend.wait(ids[0], PATIENCE_S)).status == "succeeded"
    assert (await engine.backend.get(ids[1])).status == "running"


async def test_workflows_are_found_by_label_and_input(engine: Engine) -> None:
    """All that is given must fit."""
    definition = define({"a": {}}, inputs={"n": {"type": "integer"}, "env": {"type": "string"}})
    one = await engine.start(definition, inputs={"n": 1, "env": "dev"}, labels={"team": "a"})
    two = await engine.start(definition, inputs={"n": 2, "env": "dev"}, labels={"team": "a"})

    async def found(query: str) -> list[str]:
        answer = await engine.http.get(f"/api/workflows?{query}")
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["items"]]

    assert await found("label=team=a") == [two, one]
    assert await found("label=team=a&input=n=1") == [one]
    assert await found("input=env=dev&input=n=2") == [two]
    assert await found("input=env=prod") == []
    assert await found("started_after=2020-01-01T00:00:00Z&started_before=2021-01-01T00:00:00Z") == []
    assert (await engine.http.get("/api/workflows?label=team")).status_code == 422


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("pause", {"reason": 3}),
        ("signals", {"name": "../x"}),
        ("signals", {"name": "a" * 200}),
        ("signals", {}),
        ("steps/a/skip", {"item": -1}),
        ("steps/a.b/skip", {}),
        ("steps/a/approval", {}),
        ("budget", {"tokens": -1}),
        ("budget", {"beer": 1}),
        ("priority", {"priority": 1000}),
        ("rerun", {"at_seq": 0}),
        ("migrate", {"definition": 3}),
        ("migrate", {"definition": {"name": "x"}}),
    ],
)
async def test_orders_that_make_no_sense_are_refused(engine: Engine, path: str, body: dict[str, Any]) -> None:
    """Before anything happens."""
    id_ = await engine.start(define({"a": {"kind": "gate"}}))
    method = "PUT" if path in ("budget", "priority") else "POST"
    await asked(engine, f"{id_}/{path}", body, method=method, status=422)


@pytest.mark.parametrize(
    "path", ["pause", "resume", "signals", "steps/a/skip", "steps/a/retry", "rerun", "migrate", "export"]
)
async def test_an_unknown_workflow_takes_no_command(engine: Engine, path: str) -> None:
    """It is told so."""
    body = {"signals": {"name": "go"}, "migrate": {"definition": define({"a": {}})}}.get(path)
    assert (await asked(engine, f"no-such-id/{path}", body, status=404))["code"] == "workflow.not-found"


async def test_a_start_may_have_its_own_priority_and_budget(engine: Engine) -> None:
    """In place of those of the definition."""
    definition = define({"a": {}}, priority=1, budget={"tokens": 1})
    id_ = await engine.start(definition, priority=7, budget={"calls": 5})
    state = (await engine.http.get(f"/api/workflows/{id_}")).json()
    assert (state["priority"], state["budget"]) == (7, {"calls": 5})
    for bad in ({"priority": 101}, {"budget": {"beer": 1}}, {"budget": {"calls": -1}}):
        answer = await engine.http.post("/api/workflows", json={"definition": definition, **bad})
        assert answer.status_code == 422
