"""Idempotency-Key on what makes something: the same key has the same effect, once, over crashes too."""

import asyncio
import json
import os
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.process import EngineProcess
from services.maestro_engine.running import Engine, StartEngine, bearer, one_step

from kit.processes import Signal
from maestro_engine.workflows.contract import StartWorkflow
from maestro_engine.workflows.errors import KeySpent
from maestro_engine.workflows.service import WorkflowService
from maestro_workflow_engine import InvalidDefinition

KEY = {"Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}
WORKFLOWS, TEMPLATES, SCHEDULES = "/api/workflows", "/api/templates", "/api/schedules"
SPAN = {"from_at": "2026-02-01T00:00:00Z", "to_at": "2026-02-01T00:00:00Z"}


async def started(engine: Engine) -> list[str]:
    return [each["id"] for each in (await engine.http.get(WORKFLOWS)).json()["items"]]


async def test_a_repeated_start_gives_the_first_answer_and_starts_nothing(engine: Engine) -> None:
    """Body, status and Location are the same, and a header says that it is a repeat; spacing does not count."""
    first = await engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers=KEY)
    text = '{ "definition": {"steps": {"only": {"with": {"x": 1}, "kind": "echo"}}, "name": "sample"} }'
    again = await engine.http.post(WORKFLOWS, content=text, headers={**KEY, "Content-Type": "application/json"})
    assert (again.status_code, again.json()) == (first.status_code, first.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert await started(engine) == [first.json()["id"]]


async def test_a_key_is_good_for_one_payload(engine: Engine) -> None:
    """With another body 422, without a key everything starts; a refused order is refused again the same."""
    await engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers=KEY)
    other = await engine.http.post(WORKFLOWS, json={"definition": one_step(), "labels": {"a": "b"}}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "request.idempotency-key-reused")
    for _ in range(2):
        assert (await engine.http.post(WORKFLOWS, json={"definition": one_step()})).status_code == 201
    assert len(await started(engine)) == 3
    wrong = {**KEY, "Idempotency-Key": '"wrong"'}
    for _ in range(2):
        refused = await engine.http.post(WORKFLOWS, json={"definition": one_step("nope")}, headers=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "workflow.invalid-definition")


@pytest.mark.parametrize("key", ["bare", '""', '"a', '"' + "x" * 256 + '"', '"ä"', '"a", "b"', '"a\tb"'])
async def test_what_is_no_key_is_refused(engine: Engine, key: str) -> None:
    """400, and nothing is started."""
    answer = await engine.http.post(
        WORKFLOWS, json={"definition": one_step()}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "request.bad-idempotency-key")
    assert await started(engine) == []


async def test_of_many_at_once_one_starts_and_the_others_wait_or_get_its_answer(engine: Engine) -> None:
    """While the first runs the others get 409 with Retry-After; whoever comes later gets the answer."""
    held, free = asyncio.Event(), asyncio.Event()
    check = engine.parts.audit.check

    async def slow_check() -> None:
        held.set()
        await free.wait()
        await check()

    engine.parts.audit.check = slow_check  # type: ignore[method-assign]  # what a slow disk does
    first = asyncio.create_task(engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers=KEY))
    await asyncio.wait_for(held.wait(), 10)
    others = [engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers=KEY) for _ in range(5)]
    for answer in await asyncio.gather(*others):
        assert (answer.status_code, answer.json()["code"]) == (409, "request.idempotency-key-in-flight")
        assert int(answer.headers["retry-after"]) >= 1
    free.set()
    assert (await first).status_code == 201
    late = await engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers=KEY)
    assert (late.status_code, late.json()) == (201, (await first).json())
    assert len(await started(engine)) == 1


async def test_a_key_belongs_to_its_caller_and_its_route(start_engine: StartEngine) -> None:
    """Two users may have the same key; so may a template and a workflow."""
    async with start_engine(auth="on") as engine:
        keys = [bearer(await engine.add_user(name, "operator")) for name in ("ann", "ben")]
        for headers in keys:
            answer = await engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers={**KEY, **headers})
            assert answer.status_code == 201
        assert len(await started(engine)) == 2
        template = await engine.http.post(TEMPLATES, json={"definition": one_step()}, headers={**KEY, **keys[0]})
        assert template.status_code == 201


async def test_templates_schedules_runs_and_backfills_have_keys_too(engine: Engine) -> None:
    """A repeat of each gives the first answer, and makes nothing more."""
    order = {"name": "it", "every_s": 3600, "anchor_at": "2026-01-01T00:00:00Z", "definition": one_step()}
    for path, body, status in [
        (TEMPLATES, {"definition": one_step()}, 201),
        (SCHEDULES, order, 201),
        (f"{SCHEDULES}/it/run", None, 201),
        (f"{SCHEDULES}/it/backfill", SPAN, 202),
    ]:
        first, again = [await engine.http.post(path, json=body, headers=KEY) for _ in range(2)]
        assert (first.status_code, again.status_code, again.json()) == (status, status, first.json())
        assert again.headers["idempotency-replayed"] == "true"
    kinds = [each["kind"] for each in (await engine.http.get(f"{SCHEDULES}/it/runs")).json()["items"]]
    assert sorted(kinds) == ["backfill", "manual"]


async def test_the_answer_outlives_a_restart(start_engine: StartEngine, tmp_path: Path) -> None:
    """The key is in a file of mode 0600, and never as it was sent."""
    async with start_engine() as engine:
        first = await engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers=KEY)
    file = tmp_path / "data" / "idempotency.db"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert KEY["Idempotency-Key"].strip('"').encode() not in file.read_bytes()
    async with start_engine() as engine:
        again = await engine.http.post(WORKFLOWS, json={"definition": one_step()}, headers=KEY)
        assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
        assert len(await started(engine)) == 1


async def test_when_the_answer_was_lost_the_key_still_names_its_workflow(engine: Engine) -> None:
    """After a crash, or when the answer is forgotten, the same order is the same workflow; another is refused."""
    service = WorkflowService(engine.backend, engine.parts.templates)
    order = StartWorkflow.model_validate({"definition": one_step()})
    first = await service.start(order, by="ann", key='"k"')
    await engine.backend.wait(first.id, 10)
    again = await service.start(order, by="ann", key='"k"')
    assert (again.id, again.url) == (first.id, first.url)
    assert (await service.start(order, by="ben", key='"k"')).id != first.id
    other = {"definition": one_step(when="${{ true }}")}
    with pytest.raises(KeySpent):
        await service.start(StartWorkflow.model_validate(other), by="ann", key='"k"')
    with pytest.raises(InvalidDefinition):
        await service.start(StartWorkflow.model_validate({"definition": one_step("nope")}), by="ann", key='"k"')


async def test_by_a_bare_name_the_key_names_its_workflow_though_the_latest_is_another(engine: Engine) -> None:
    """The workflow stays on the version it began with, and the repeat says which."""
    service = WorkflowService(engine.backend, engine.parts.templates)
    await engine.http.post(TEMPLATES, json={"definition": one_step()})
    order = StartWorkflow.model_validate({"template": "sample"})
    first = await service.start(order, by="ann", key='"k"')
    await engine.http.post(TEMPLATES, json={"definition": one_step(when="${{ true }}")})
    again = await service.start(order, by="ann", key='"k"')
    assert (again.id, again.version) == (first.id, "1")
    with pytest.raises(KeySpent):
        await service.start(StartWorkflow.model_validate({"definition": one_step()}), by="ann", key='"k"')


def _ask(engine: EngineProcess, definition: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json", **KEY}
    body = json.dumps({"definition": definition}).encode()
    request = urllib.request.Request(f"{engine.url}{WORKFLOWS}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_the_answer_outlives_a_kill(tmp_path: Path, started: list[EngineProcess], waiting: Signal) -> None:
    """kill -9 right after the answer: the repeat is answered the same, and one workflow was started."""
    command = f"echo > {tmp_path / 'waiting'}"
    definition = {"name": "tells", "steps": {"a": {"kind": "shell", "with": {"command": command}}}}
    started.append(EngineProcess(tmp_path / "data", "--port", "0"))
    first = _ask(started[0], definition)
    started[0].kill()
    started.append(EngineProcess(tmp_path / "data", "--port", "0"))
    assert _ask(started[1], definition) == first
    waiting.wait()
    assert [each["id"] for each in started[1].ask(WORKFLOWS)["items"]] == [first[1]["id"]]
