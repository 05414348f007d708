"""Starting, reading and cancelling workflows over HTTP."""

import asyncio
import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest
from services.maestro_engine.running import Engine, StartEngine, one_step

ARTIFACT = b"<script>alert(1)</script>"


async def test_a_start_answers_with_its_place_in_history(engine: Engine) -> None:
    """201 names the workflow, where it is, and the last event that is stored already."""
    answer = await engine.http.post("/api/workflows", json={"definition": one_step(), "labels": {"team": "a"}})
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == body["url"] == f"/api/workflows/{body['id']}"
    assert (body["name"], body["template"]) == ("sample", None)
    events = (await engine.http.get(body["events_url"])).json()["items"]
    assert [each["seq"] for each in events][: body["seq"]] == list(range(1, body["seq"] + 1))
    state = await engine.backend.wait(body["id"], 10)
    read = (await engine.http.get(body["url"])).json()
    assert read == state.as_json()
    assert (read["status"], read["labels"], read["steps"]["only"]["output"]) == ("succeeded", {"team": "a"}, {"x": 1})


async def test_a_definition_may_be_the_text_of_a_yaml_file(engine: Engine) -> None:
    """Text is read as YAML; inputs are filled in."""
    text = """
name: from-text
inputs: {who: {type: string}}
steps:
  greet: {kind: echo, with: {text: "hello ${{ inputs.who }}"}}
outputs: {text: "${{ steps.greet.output.text }}"}
"""
    workflow_id = await engine.start(text, inputs={"who": "you"})
    assert (await engine.backend.wait(workflow_id, 10)).outputs == {"text": "hello you"}


async def test_a_wrong_definition_is_refused_with_every_problem_in_its_place(engine: Engine) -> None:
    """422 lists each problem with its pointer, line and column; nothing was started."""
    text = "name: wrong\nsteps:\n  a: {kind: nope, with: {}}\n  b: {kind: echo, needs: [zz]}\n"
    answer = await engine.http.post("/api/workflows", json={"definition": text})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert problem["code"] == "workflow.invalid-definition"
    assert problem["type"] == "urn:maestro:problem:workflow.invalid-definition"
    assert [(each["pointer"], each["line"]) for each in problem["errors"]] == [
        ("/steps/a/kind", 3),
        ("/steps/b/needs/0", 4),
    ]
    assert {each["part"] for each in problem["errors"]} == {"definition"}
    assert (await engine.http.get("/api/workflows")).json()["items"] == []


async def test_wrong_inputs_are_refused_by_name(engine: Engine) -> None:
    """Inputs that are missing or not declared are problems of the part `inputs`."""
    definition = {**one_step(), "inputs": {"n": {"type": "integer"}}}
    answer = await engine.http.post("/api/workflows", json={"definition": definition, "inputs": {"m": 1}})
    assert answer.status_code == 422
    assert {each["part"] for each in answer.json()["errors"]} == {"inputs"}
    assert {each["pointer"] for each in answer.json()["errors"]} == {"/m", "/n"}


async def test_a_name_that_is_no_text_is_refused_and_breaks_no_answer(engine: Engine) -> None:
    """Half of a surrogate pair cannot be encoded: the answer says so, and does not repeat it."""
    order = '{"definition": {"name": "n", "steps": {"a": {"kind": "echo"}}}, "inputs": {"\\ud800": 1}}'
    answer = await engine.http.post("/api/workflows", content=order, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")
    assert "surrogate" in answer.text


async def test_a_template_is_started_by_its_name(engine: Engine, tmp_path: Path) -> None:
    """A file in the templates folder can be started as soon as it is there; an unknown name lists the known ones."""
    folder = tmp_path / "data" / "templates"
    folder.mkdir()
    (folder / "hello.yml").write_text("name: hello\nsteps: {a: {kind: echo}}\n")
    (folder / ".hidden.yml").write_text("name: hidden\nsteps: {a: {kind: echo}}\n")
    answer = await engine.http.post("/api/workflows", json={"template": "hello"})
    assert answer.status_code == 201
    assert (await engine.backend.get(answer.json()["id"])).template == "hello"
    unknown = await engine.http.post("/api/workflows", json={"template": "helo"})
    assert (unknown.status_code, unknown.json()["known"]) == (404, ["hello"])


@pytest.mark.parametrize("name", ["../outside", "..", "a/b", "/etc/passwd", "hello.yml", "a\x00b", ".hidden", ""])
async def test_no_template_name_leads_out_of_its_folder(engine: Engine, tmp_path: Path, name: str) -> None:
    """A name is never a path: what is not a plain name is refused before any file is looked at."""
    (tmp_path / "data" / "templates").mkdir()
    (tmp_path / "data" / "outside.yml").write_text("name: outside\nsteps: {a: {kind: echo}}\n")
    answer = await engine.http.post("/api/workflows", json={"template": name})
    assert answer.status_code == 422
    assert (await engine.http.get("/api/workflows")).json()["items"] == []


async def test_pages_show_every_workflow_once_newest_first(engine: Engine) -> None:
    """Following the cursor gives all workflows in one order; filters narrow them."""
    ids = [await engine.start({**one_step(), "name": f"n{number % 2}"}) for number in range(5)]
    for workflow_id in ids:
        await engine.backend.wait(workflow_id, 10)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await engine.http.get("/api/workflows", params=params)).json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    named = (await engine.http.get("/api/workflows", params={"name": "n1", "status": "succeeded"})).json()["items"]
    assert [each["id"] for each in named] == [ids[3], ids[1]]
    assert (await engine.http.get("/api/workflows", params={"status": "failed"})).json()["items"] == []


@pytest.mark.parametrize("params", [{"cursor": "nonsense"}, {"cursor": "-1"}, {"cursor": "9" * 400}])
async def test_a_cursor_of_somebody_else_is_refused(engine: Engine, params: dict[str, str]) -> None:
    """400 says to begin again."""
    answer = await engine.http.get("/api/workflows", params=params)
    assert (answer.status_code, answer.json()["code"]) == (400, "request.bad-cursor")


@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"status": "done"}])
async def test_a_wrong_filter_is_refused_where_it_stands(engine: Engine, params: dict[str, str]) -> None:
    """422 names the parameter."""
    answer = await engine.http.get("/api/workflows", params=params)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["part"], error["pointer"]) == (422, "query", f"/{next(iter(params))}")


async def test_cancelling_stops_what_runs_and_may_be_repeated(engine: Engine) -> None:
    """202 both times; the reason is kept; once the workflow has ended otherwise it is too late: 409."""
    workflow_id = await engine.start(one_step("gate"))
    await engine.gate.arrival()
    first = await engine.http.post(f"/api/workflows/{workflow_id}/cancel", json={"reason": "enough"})
    again = await engine.http.post(f"/api/workflows/{workflow_id}/cancel")
    assert (first.status_code, again.status_code) == (202, 202)
    state = await engine.backend.wait(workflow_id, 10)
    assert (state.status, state.reason) == ("cancelled", "enough")
    assert [call.workflow_id for call in engine.gate.cancelled] == [workflow_id]
    done = await engine.start(one_step())
    await engine.backend.wait(done, 10)
    late = await engine.http.post(f"/api/workflows/{done}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "workflow.finished")


@pytest.mark.parametrize("path", ["", "/cancel", "/events", f"/artifacts/{'a' * 64}"])
async def test_what_does_not_exist_is_a_404_that_says_so(engine: Engine, path: str) -> None:
    """Each question about an unknown workflow has the same answer."""
    answer = await engine.http.request("POST" if path == "/cancel" else "GET", f"/api/workflows/unknown{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "workflow.not-found")


async def test_events_come_in_pages_without_a_gap(engine: Engine) -> None:
    """Following next_from_seq gives every event once, in order."""
    workflow_id = await engine.start(one_step("flaky", retry={"max_attempts": 2, "initial_delay_s": 0}))
    state = await engine.backend.wait(workflow_id, 10)
    seqs: list[int] = []
    from_seq: int | None = 1
    while from_seq is not None:
        params = {"from_seq": from_seq, "limit": 2}
        page = (await engine.http.get(f"/api/workflows/{workflow_id}/events", params=params)).json()
        seqs += [each["seq"] for each in page["items"]]
        from_seq = page["next_from_seq"]
    assert seqs == list(range(1, state.seq + 1))


async def test_an_artifact_is_handed_out_as_a_download_never_as_a_page(engine: Engine) -> None:
    """Whatever a step kept, a browser saves it and does not run it."""
    workflow_id = await engine.start(one_step("artifact"))
    await engine.backend.wait(workflow_id, 10)
    digest = hashlib.sha256(ARTIFACT).hexdigest()
    answer = await engine.http.get(f"/api/workflows/{workflow_id}/artifacts/{digest}")
    assert (answer.status_code, answer.content) == (200, ARTIFACT)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="page.html"'
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_artifact_of_another_workflow_is_not_handed_out(engine: Engine) -> None:
    """Only what the workflow itself names can be had through it, also when the store holds more."""
    owner = await engine.start(one_step("artifact"))
    other = await engine.start(one_step())
    await asyncio.gather(engine.backend.wait(owner, 10), engine.backend.wait(other, 10))
    digest = hashlib.sha256(ARTIFACT).hexdigest()
    answer = await engine.http.get(f"/api/workflows/{other}/artifacts/{digest}")
    assert (answer.status_code, answer.json()["code"]) == (404, "workflow.unknown-artifact")
    for wrong in ("x", "..%2f..%2fjournal.db", "A" * 64):
        assert (await engine.http.get(f"/api/workflows/{owner}/artifacts/{wrong}")).status_code in (404, 422)


async def test_a_failed_workflow_says_which_step_and_why(engine: Engine) -> None:
    """The state names the step and carries its error."""
    workflow_id = await engine.start(one_step("broken"))
    await engine.backend.wait(workflow_id, 10)
    state = (await engine.http.get(f"/api/workflows/{workflow_id}")).json()
    assert (state["status"], state["failed_step"]) == ("failed", "only")
    assert state["error"]["message"]


async def test_more_parallel_starts_than_steps_may_run_all_end(start_engine: StartEngine) -> None:
    """Fifty clients at once get fifty workflows."""
    async with start_engine(max_parallel_steps=4) as engine:
        ids = await asyncio.gather(*(engine.start(one_step()) for _ in range(50)))
        states = await asyncio.gather(*(engine.backend.wait(each, 20) for each in ids))
    assert len(set(ids)) == 50
    assert {state.status for state in states} == {"succeeded"}


async def test_a_damaged_workflow_is_named_and_leaves_the_others_alone(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    """At 3 a.m. one broken row must not look like a fault of the engine."""
    async with start_engine() as engine:
        damaged, sound = await engine.start(one_step()), await engine.start(one_step())
        await engine.backend.wait(damaged)
        await engine.backend.wait(sound)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as journal, journal:
        journal.execute(
            "UPDATE events SET data = '{' WHERE workflow = (SELECT key FROM workflows WHERE id = ?)", (damaged,)
        )
    async with start_engine() as engine:
        answer = await engine.http.get(f"/api/workflows/{damaged}")
        assert (answer.status_code, answer.json()["code"]) == (500, "workflow.journal-corrupt")
        assert (await engine.http.get(f"/api/workflows/{sound}")).json()["status"] == "succeeded"
